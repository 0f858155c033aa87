"""Background jobs of the foundation: thin, idempotent, chunked."""

from __future__ import annotations

from django.apps import apps
from django.db import transaction

from crm.customfields.values import TABLES
from crm.models import CustomField, Organization
from crm.tenancy import scope

CHUNK = 2000


def purge_field(field_id: int) -> None:
    """Remove the index rows of a deleted field, and its key from the JSON of the records that hold it. Safe to repeat."""
    field = CustomField.unscoped.filter(pk=field_id).exclude(deleted_at=None).first()
    if field is None:
        return
    organization = Organization.objects.get(pk=field.organization_id)
    with scope(organization):
        for model in TABLES.values():
            while rows := list(model.objects.filter(field_id=field_id).values_list("lead_id", "record_key")[:CHUNK]):
                with transaction.atomic():
                    _drop_key("activities.Activity", str(field_id), [key for _, key in rows if key > 0])
                    _drop_key("leads.Lead", str(field_id), [lead for lead, key in rows if key == 0])
                    _drop_key("leads.Contact", str(field_id), [-key for _, key in rows if key < 0])
                    for lead_id in {lead for lead, _ in rows}:
                        keys = [key for lead, key in rows if lead == lead_id]
                        model.objects.filter(field_id=field_id, lead_id=lead_id, record_key__in=keys).delete()


def _drop_key(label: str, key: str, record_ids: list[int]) -> None:
    if not record_ids:
        return
    model = apps.get_model(label)
    rows = list(model.unscoped.filter(pk__in=record_ids).select_for_update().only("pk", "values"))
    for row in rows:
        row.values.pop(key, None)
    model.unscoped.bulk_update(rows, ["values"])
