"""Shared fields by themselves: made before they are used anywhere, changed and deleted for all their places at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from crm import events, jobs
from crm.customfields.services.changes import authorize_definitions, require_own, schema_change
from crm.customfields.services.definitions import clean_definition, update_field
from crm.customfields.services.options import clean_labels, set_options
from crm.errors import NotFound
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Membership

OBJECT_TYPE = "custom_fields.shared"


def create_shared_field(
    actor: Membership,
    *,
    name: str,
    kind: str,
    description: str = "",
    multiple: bool = False,
    options: Iterable[str] = (),
) -> CustomField:
    """Define a shared field that is used nowhere yet. Raises `InvalidInput` naming each part."""
    authorize_definitions(actor)
    labels = clean_labels(options)
    with schema_change(actor) as known:
        clean = clean_definition(
            known, FieldSet(pk=0), name=name, kind=kind, description=description, multiple=multiple, settings={},
            labels=labels,
        )  # fmt: skip
        field = CustomField.objects.create(
            organization=actor.organization, kind=kind, multiple=multiple, shared=True, created_by=actor.user,
            updated_by=actor.user, **clean,
        )  # fmt: skip
        FieldOption.objects.bulk_create(
            FieldOption(organization=actor.organization, field=field, label=label, position=index)
            for index, label in enumerate(labels)
        )
        events.record(
            actor, "created", OBJECT_TYPE, field.number, after={"name": field.name, "kind": kind, "options": labels}
        )
    return field


def update_shared_field(actor: Membership, field: CustomField, changes: Mapping[str, Any]) -> CustomField:
    """Change what all places share: name, description, multiple, options. Raises `NotFound` for a field of one place."""
    _require_shared(field)
    place = FieldSet.objects.filter(uses__field=field).order_by("pk").first()
    if place is not None:
        return update_field(actor, place, field, changes)
    authorize_definitions(actor)
    with schema_change(actor) as known:
        before = {"name": field.name, "description": field.description, "multiple": field.multiple}
        field.multiple = changes.get("multiple", field.multiple)
        clean = clean_definition(
            known, FieldSet(pk=0), field=field, kind=field.kind, multiple=field.multiple, settings=field.settings,
            name=changes.get("name", field.name), description=changes.get("description", field.description),
            labels=changes.get("options"),
        )  # fmt: skip
        for name, value in clean.items():
            setattr(field, name, value)
        field.updated_by, field.date_updated = actor.user, timezone.now()
        field.save(update_fields=[*clean, "multiple", "updated_by", "date_updated"])
        if "options" in changes:
            set_options(actor, field, changes["options"])
        after = {"name": field.name, "description": field.description, "multiple": field.multiple}
        changed = events.diff(before, after) + (["options"] if "options" in changes else [])
        events.record(
            actor, "updated", OBJECT_TYPE, field.number, changed=changed,
            before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
        )  # fmt: skip
    return field


def delete_shared_field(actor: Membership, field: CustomField) -> None:
    """Delete a shared field from all its places, with its values. A job removes the values behind it."""
    authorize_definitions(actor)
    _require_shared(field)
    require_own(field)
    with schema_change(actor):
        FieldUse.objects.filter(field=field).delete()
        field.deleted_at = timezone.now()
        field.save(update_fields=["deleted_at"])
        jobs.enqueue("crm.tasks.purge_field", field.pk)
        events.record(actor, "deleted", OBJECT_TYPE, field.number, before={"name": field.name, "kind": field.kind})


def _require_shared(field: CustomField) -> None:
    if not field.shared:
        raise NotFound("There is no such shared field.")
