"""Bringing an earlier version of an activity back, through the same door as every other change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from activities.models import Activity
from activities.queries.history import version_after
from activities.services.activities import type_of, update_activity
from crm.customfields.catalog import catalog
from crm.customfields.cleaning import may_write
from crm.customfields.lookups import Lookups
from crm.errors import Conflict, NotFound
from crm.models import Membership, User
from crm.permissions import authorize, can_edit_activity, can_view_field
from leads.models import Contact


@dataclass(frozen=True)
class Restored:
    """The activity as it is now, and the names of fields that stayed because the actor may not write them."""

    activity: Activity
    stayed: tuple[str, ...]


def restore_version(actor: Membership, activity: Activity, event_id: str, *, revision: int | None) -> Restored:
    """Give an activity the values, contact, member and moment it had after one entry of its history.

    It is an ordinary change: validated, refused with sentences (an option removed since, a required field that was empty),
    recorded, and itself restorable. `revision`: the one the actor saw; another one raises `Conflict`. What the actor may not
    see or write stays as it is.
    """
    with transaction.atomic():
        fresh = Activity.with_drafts.select_for_update(of=("self",)).filter(pk=activity.pk).first()
        if fresh is None:
            raise NotFound("There is no such activity.")
        kind = type_of(actor, fresh)
        authorize(can_edit_activity(actor, fresh, kind))
        if fresh.is_draft:
            raise Conflict("A draft has no earlier versions to bring back. Publish it first.")
        then = version_after(actor, fresh, event_id)
        lookups = Lookups(actor.organization, fresh.lead_id)
        custom: dict[str, Any] = {}
        stayed = []
        for use in catalog(actor.organization).uses(kind.fieldset_id):
            stored = then.get(f"custom.{use.field.id}")
            if stored == fresh.values.get(str(use.field.id)) or not can_view_field(actor, use):
                continue
            if not may_write(actor, use):
                stayed.append(use.field.name)
                continue
            if stored is None:
                custom[use.field.public_id] = ""
            elif use.field.kind.has_options or use.field.kind.refers_to:
                custom[use.field.public_id] = use.field.kind.initial(stored, use.field, lookups, actor.zone)
            else:
                custom[use.field.public_id] = stored
        contact = Contact.objects.filter(pk=then.get("contact_id"), lead_id=fresh.lead_id).first()
        if contact is None and then.get("contact_id"):
            stayed.append("Contact")
            contact = fresh.contact
        changed = update_activity(
            actor,
            fresh,
            custom=custom,
            contact=contact,
            user=User.objects.filter(pk=then.get("user_id")).first(),
            activity_at=datetime.fromisoformat(then["activity_at"]),
            revision=revision,
        )
    return Restored(changed, tuple(stayed))
