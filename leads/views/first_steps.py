"""What an organization without leads is shown instead of an empty list: how to begin, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse

from crm.models import Membership
from crm.permissions import Perm, has


@dataclass(frozen=True)
class Step:
    """One thing to do. `actions`: (label, address) of where it is done, the usual one first. `next`: it is what comes now."""

    title: str
    text: str
    actions: tuple[tuple[str, str], ...] = ()
    done: bool = False
    next: bool = False


def first_steps(actor: Membership, types: Sequence[Any]) -> list[Step]:
    """Return the steps of those who set an organization up; of others none. `types`: the types the actor sees."""
    if not has(actor, Perm.MANAGE_CUSTOMIZATIONS):
        return []

    def link(label: str, name: str) -> tuple[str, str]:
        return label, reverse(name, args=[actor.organization.slug])

    found = [
        Step(
            "Say what you log",
            "Calls, emails, SMS, meetings and notes are there. Add types of your own with their fields, or begin with the seven "
            "starter types.",
            (link("Choose types", "activities:types"),),
            done=any(kind.object_type == "activity.custom_activity" and not kind.archived for kind in types),
        )
    ]
    if has(actor, Perm.MANAGE_ORGANIZATION):
        others = Membership.objects.filter(removed_at=None).exclude(pk=actor.pk)
        found.append(
            Step(
                "Invite your team",
                "Each member gets a link, and a role that says what they may do.",
                (link("Invite members", "members"),),
                done=others.exists(),
            )
        )
    bring = [link("New lead", "leads:create")]
    if has(actor, Perm.BULK_IMPORT):
        bring.insert(0, link("Import a file", "activities:import_export"))
    found.append(
        Step(
            "Bring your leads",
            "A lead is a company or customer. Import a CSV or Excel file with as many as you have, or add the first by hand.",
            tuple(bring),
        )
    )
    found.append(
        Step("Log the first activity", "Open a lead and choose New activity. What you type is saved as you go.")
    )
    now = next(step for step in found if not step.done)
    return [replace(step, next=step is now) for step in found]
