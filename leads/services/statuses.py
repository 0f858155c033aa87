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


def create_status(actor: Membership, label: str, color: str = "") -> LeadStatus:
    """Add a lead status at the end."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        clean = _clean_label(label)
        last = LeadStatus.objects.aggregate(last=Max("position"))["last"]
        status = LeadStatus.objects.create(
            organization=actor.organization, label=clean, color=color, position=0 if last is None else last + 1
        )
        touch_schema(actor.organization)
        events.record(actor, "created", "status.lead", status.pk, after={"label": clean})
    return status


def update_status(actor: Membership, status: LeadStatus, label: str, color: str | None = None) -> LeadStatus:
    """Rename or recolour a lead status."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        before = status.label
        status.label = _clean_label(label, status)
        status.color = status.color if color is None else color
        status.save(update_fields=["label", "color"])
        touch_schema(actor.organization)
        events.record(
            actor, "updated", "status.lead", status.pk,
            changed=["label"], before={"label": before}, after={"label": status.label},
        )  # fmt: skip
    return status


def delete_status(actor: Membership, status: LeadStatus) -> None:
    """Delete a lead status that no lead has; the last one stays."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        used = Lead.objects.filter(status=status).count()
        if used:
            raise InvalidInput(f"{used:,} leads have the status “{status.label}”. Give them another one first.")
        if LeadStatus.objects.count() == 1:
            raise InvalidInput("The last status cannot be deleted: every lead has one.")
        events.record(actor, "deleted", "status.lead", status.pk, before={"label": status.label})
        status.delete()
        touch_schema(actor.organization)


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
