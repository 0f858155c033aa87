"""Writing lead statuses."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Max

from crm import events
from crm.customfields.catalog import touch_schema
from crm.errors import InvalidInput
from crm.models import Membership
from crm.permissions import Perm, authorize, has
from leads.models import Lead, LeadStatus
from leads.queries import statuses
from leads.services.leads import update_lead

MOVED_AT_ONCE = 500
COLORS = ("blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan")


def create_status(actor: Membership, label: str, color: str = "") -> LeadStatus:
    """Add a lead status at the end."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        clean = _clean_label(label)
        last = LeadStatus.objects.aggregate(last=Max("position"))["last"]
        status = LeadStatus.objects.create(
            organization=actor.organization,
            label=clean,
            color=_clean_color(color),
            position=0 if last is None else last + 1,
        )
        touch_schema(actor.organization)
        events.record(actor, "created", "status.lead", status.pk, after={"label": clean})
    return status


def update_status(actor: Membership, status: LeadStatus, label: str, color: str | None = None) -> LeadStatus:
    """Rename or recolour a lead status."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        before = {"label": status.label, "color": status.color}
        status.label = _clean_label(label, status)
        status.color = status.color if color is None else _clean_color(color)
        after = {"label": status.label, "color": status.color}
        if changed := events.diff(before, after):
            status.save(update_fields=["label", "color"])
            touch_schema(actor.organization)
            events.record(
                actor, "updated", "status.lead", status.pk, changed=changed,
                before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            )  # fmt: skip
    return status


def delete_status(actor: Membership, status: LeadStatus, move_to: LeadStatus | None = None) -> int:
    """Delete a lead status; the last one stays. `move_to`: the status its leads get first. Returns how many were moved.

    Raises `InvalidInput` with the number while leads have it and no other one is named, or when they are more than
    `MOVED_AT_ONCE`: those are changed in bulk.
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        status = LeadStatus.objects.select_for_update().get(pk=status.pk)
        if LeadStatus.objects.count() == 1:
            raise InvalidInput("The last status cannot be deleted: every lead has one.")
        used = Lead.objects.filter(status=status).count()
        if used and (move_to is None or move_to.pk == status.pk):
            have = "1 lead has" if used == 1 else f"{used:,} leads have"
            raise InvalidInput(f"{have} the status “{status.label}”. Choose another one for them first.")
        if used > MOVED_AT_ONCE:
            raise InvalidInput(
                f"{used:,} leads have the status “{status.label}”. Give them another one in bulk from the list of leads first."
            )
        for lead in Lead.objects.filter(status=status).order_by("pk"):
            update_lead(actor, lead, {"status": move_to})
        events.record(actor, "deleted", "status.lead", status.pk, before={"label": status.label})
        status.delete()
        touch_schema(actor.organization)
    return used


def reorder_statuses(actor: Membership, order: Sequence[str]) -> None:
    """Put statuses in this order; the first is the default of new leads."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        rows = {row.public_id: row for row in statuses()}
        named = [rows.pop(public_id) for public_id in dict.fromkeys(order) if public_id in rows]
        for position, row in enumerate([*named, *rows.values()]):
            row.position = position
            row.save(update_fields=["position"])
        touch_schema(actor.organization)
        events.record(actor, "updated", "status.lead", 0, changed=["order"], after={"order": list(order)})


def _clean_label(label: str, status: LeadStatus | None = None) -> str:
    label = " ".join(label.split())
    if not label or len(label) > 100:
        raise InvalidInput(fields={"label": "A status needs a name of at most 100 characters."})
    taken = LeadStatus.objects.filter(label__iexact=label)
    if (taken.exclude(pk=status.pk) if status else taken).exists():
        raise InvalidInput(fields={"label": f"There is a status “{label}” already."})
    return label


def _clean_color(color: str) -> str:
    if color and color not in COLORS:
        raise InvalidInput(fields={"color": f"“{color[:30]}” is no colour. Use one of: {', '.join(COLORS)}."})
    return color
