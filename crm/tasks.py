"""Background jobs of the foundation: thin, idempotent, chunked."""

from __future__ import annotations

import time

from django.apps import apps
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from crm import jobs
from crm.customfields.services import move_merged_values
from crm.customfields.services.conversions import convert_some
from crm.customfields.services.sharing import index_rows_in
from crm.customfields.values import TABLES
from crm.models import CustomField, FieldSet, FieldUse, Membership
from crm.tenancy import scope

CHUNK = 2000
TURN_SECONDS = 60  # well within what the queue grants a job


def purge_field(field_id: int) -> None:
    """Remove the index rows of a deleted field, and its key from the JSON of the records that hold it. Safe to repeat."""
    field = CustomField.unscoped.filter(pk=field_id).exclude(deleted_at=None).first()
    if field is None:
        return
    with scope(field.organization_id):
        for model in TABLES.values():
            while rows := list(model.objects.filter(field_id=field_id).values_list("lead_id", "record_key")[:CHUNK]):
                _purge(model, field_id, rows)


def purge_use(field_id: int, fieldset_id: int) -> None:
    """Remove the values of a shared field from the records of a field set it was taken off. Safe to repeat."""
    fieldset = FieldSet.unscoped.filter(pk=fieldset_id).first()
    if fieldset is None or FieldUse.unscoped.filter(fieldset_id=fieldset_id, field_id=field_id).exists():
        return  # put back meanwhile
    with scope(fieldset.organization_id):
        for model in TABLES.values():
            rows = index_rows_in(model, fieldset, field_id)
            while found := list(rows.values_list("lead_id", "record_key")[:CHUNK]):
                _purge(model, field_id, found)


def convert_field(staged_id: int) -> None:
    """Convert values of a field that gets another kind for a turn, then queue the next one. Safe to repeat."""
    staged = CustomField.unscoped.filter(pk=staged_id, deleted_at=None).first()
    if staged is None or staged.replaces is None:
        return
    with scope(staged.organization_id):
        by = staged.settings["converting"]["by"]
        actor = Membership.objects.select_related("user", "role", "organization").get(pk=by)
        until, over = time.monotonic() + TURN_SECONDS, False
        with timezone.override(actor.zone):
            while not over and time.monotonic() < until:
                over = convert_some(actor, staged)
    if not over:
        jobs.enqueue("crm.tasks.convert_field", staged_id)


def resume_conversions() -> None:
    """Queue the conversions that a dead worker left, of every organization."""
    for staged_id in CustomField.unscoped.exclude(replaces=None).filter(deleted_at=None).values_list("pk", flat=True):
        jobs.enqueue("crm.tasks.convert_field", staged_id)


def merge_option(field_id: int, from_id: int, into_id: int) -> None:
    """Move the values of a merged option to the one it was merged into. Safe to repeat."""
    field = CustomField.unscoped.filter(pk=field_id, deleted_at=None).first()
    if field is None or field.settings.get("merged", {}).get(str(from_id)) != into_id:
        return  # gone, or parted again meanwhile
    with scope(field.organization_id):
        move_merged_values(field, from_id, into_id)


def _purge(model: type[Model], field_id: int, rows: list[tuple[int, int]]) -> None:
    """Remove one field from the records at these places (lead id, record key), from their JSON and from the index."""
    keys: dict[int, list[int]] = {}
    for lead_id, key in rows:
        keys.setdefault(lead_id, []).append(key)
    with transaction.atomic():
        _drop_key("activities.Activity", str(field_id), [key for _, key in rows if key > 0])
        _drop_key("leads.Lead", str(field_id), [lead for lead, key in rows if key == 0])
        _drop_key("leads.Contact", str(field_id), [-key for _, key in rows if key < 0])
        for lead_id, found in keys.items():
            model.objects.filter(field_id=field_id, lead_id=lead_id, record_key__in=found).delete()


def _drop_key(label: str, key: str, record_ids: list[int]) -> None:
    if not record_ids:
        return
    model = apps.get_model(label)
    rows = list(model.unscoped.filter(pk__in=record_ids).select_for_update().only("pk", "values"))
    for row in rows:
        row.values.pop(key, None)
    model.unscoped.bulk_update(rows, ["values"])
