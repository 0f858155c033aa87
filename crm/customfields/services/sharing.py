"""One definition in several places: each record keeps its own value, each place its own rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.utils import timezone

from crm import events, jobs
from crm.customfields.services.changes import (
    authorize_definitions,
    clean_roles,
    next_position,
    require_own,
    require_room,
    schema_change,
    use_for,
)
from crm.customfields.values import TABLES
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS
from crm.models import CustomField, FieldSet, FieldUse, Membership


def share_field(actor: Membership, field: CustomField) -> None:
    """Make a field one that other forms can use as well. It stays where it is, with its values; it cannot be undone."""
    authorize_definitions(actor)
    require_own(field)
    if field.shared:
        return
    with schema_change(actor, field):
        field.shared, field.updated_by, field.date_updated = True, actor.user, timezone.now()
        field.save(update_fields=["shared", "updated_by", "date_updated"])
        owner = FieldSet.objects.filter(uses__field=field).values_list("owner", flat=True).first()
        events.record(
            actor, "updated", f"custom_fields.{owner}", field.number,
            changed=["shared"], before={"shared": False}, after={"shared": True},
        )  # fmt: skip


def attach_field(
    actor: Membership, fieldset: FieldSet, field: CustomField, *, required: bool = False, heading: str = "",
    read_only: bool = False, edit_roles: Iterable[int] = (), view_roles: Iterable[int] = (),
) -> FieldUse:  # fmt: skip
    """Use a shared field in one more form. The definition is common; each record keeps its own value.

    Raises `InvalidInput` when it is not shared or its name is taken there, `PlanLimitReached` at 50 fields.
    """
    authorize_definitions(actor)
    if not field.shared:
        raise InvalidInput(fields={"field": f"{field.name} is not a shared field."})
    with schema_change(actor) as known:
        require_room(known, fieldset)
        if field.name.casefold() in {use.field.name.casefold() for use in known.uses(fieldset.pk)}:
            raise InvalidInput(fields={"field": f"There is a field “{field.name}” already."})
        use = FieldUse.objects.create(
            organization=actor.organization, fieldset=fieldset, field=field, required=required, read_only=read_only,
            position=next_position(fieldset), heading=heading.strip(),
            edit_roles=clean_roles("edit_roles", edit_roles), view_roles=clean_roles("view_roles", view_roles),
        )  # fmt: skip
        events.record(
            actor, "updated", f"custom_fields.{fieldset.owner}", field.number, changed=["fieldsets"],
            after={"attached": fieldset.pk},
        )  # fmt: skip
    return use


def detach_field(actor: Membership, fieldset: FieldSet, field: CustomField, confirm_name: str | None) -> int:
    """Take a shared field off one form, with the values held there; returns how many records held one.

    With values, `confirm_name` must be its name (None from doors that confirm otherwise). The definition stays, also
    without any place, until it is deleted. A job removes the values behind it.
    """
    authorize_definitions(actor)
    if not field.shared:
        raise InvalidInput(f"{field.name} is not a shared field. Delete it instead.")
    with schema_change(actor):
        use = use_for(fieldset, field)
        number = records_holding_in(fieldset, field)
        if number and confirm_name is not None and confirm_name.strip() != field.name:
            raise InvalidInput(fields={"confirm_name": f"Type “{field.name}” exactly to take it off."})
        use.delete()
        jobs.enqueue("crm.tasks.purge_use", field.pk, fieldset.pk)
        events.record(
            actor, "updated", f"custom_fields.{fieldset.owner}", field.number, changed=["fieldsets"],
            before={"attached": fieldset.pk}, meta={"records": number},
        )  # fmt: skip
    return number


def delete_shared_field(actor: Membership, field: CustomField, confirm_name: str) -> None:
    """Delete a shared field everywhere, with all its values; `confirm_name` must be its name.

    It is gone for everybody at once; a job removes the values behind it.
    """
    authorize_definitions(actor)
    if not field.shared:
        raise InvalidInput(f"{field.name} is not a shared field.")
    if confirm_name.strip() != field.name:
        raise InvalidInput(fields={"confirm_name": f"Type “{field.name}” exactly to delete the field everywhere."})
    with schema_change(actor):
        field.deleted_at = timezone.now()
        field.save(update_fields=["deleted_at"])
        jobs.enqueue("crm.tasks.purge_field", field.pk)
        events.record(
            actor, "deleted", "custom_fields.shared", field.number, before={"name": field.name, "kind": field.kind}
        )  # fmt: skip


def records_holding_in(fieldset: FieldSet, field: CustomField) -> int:
    """Return how many records of one field set (leads, contacts, activities of a type) hold a value of the field."""
    rows = index_rows_in(TABLES[KINDS[field.kind].storage], fieldset, field.pk)
    return rows.values("lead_id", "record_key").distinct().count()


def index_rows_in(model: Any, fieldset: FieldSet, field_id: int) -> Any:
    """Return the index rows of a field that belong to the records of one field set."""
    rows = model.objects.filter(field_id=field_id)
    match FieldSet.Owner(fieldset.owner):
        case FieldSet.Owner.LEAD:
            return rows.filter(record_key=0)
        case FieldSet.Owner.CONTACT:
            return rows.filter(record_key__lt=0)
    activities = apps.get_model("activities.Activity").objects.filter(type__fieldset_id=fieldset.pk)
    return rows.filter(record_key__in=activities.values("pk"))
