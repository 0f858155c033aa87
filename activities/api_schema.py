"""Activity types and fields as the REST API shows and reads them: what their endpoints share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest

from activities.models import ActivityType
from activities.queries import TypeInfo, type_catalog
from activities.services.types import (
    custom_type_for,
)
from crm.api import stamp, user_id_of
from crm.customfields.catalog import Field, Use, catalog
from crm.errors import InvalidInput, NotFound
from crm.members import role_for
from crm.models import Role
from crm.permissions import can_view_field, can_view_type

TYPE = "custom_activity_type"
Place = tuple[str, str | None, Use]


# --- objects ----------------------------------------------------------------------------------------------------------
def _role_names(request: HttpRequest) -> dict[int, str]:
    if not hasattr(request, "role_names"):
        request.role_names = {row.pk: row.public_id for row in Role.objects.all()}
    return request.role_names


def roles(request: HttpRequest, numbers: Iterable[int]) -> list[str]:
    return [name for number in numbers if (name := _role_names(request).get(number))]


def field_short(request: HttpRequest, use: Use) -> dict[str, Any]:
    """Return a field as it stands inside a type: without its choices, as Close's do."""
    field = use.field
    return {
        "id": field.public_id,
        "name": field.name,
        "description": field.description or None,
        "type": field.kind.slug,
        "required": use.required,
        "is_shared": field.shared,
        "accepts_multiple_values": field.multiple,
        "editable_with_roles": roles(request, use.edit_roles),
        "converting_to_type": field.converting_to or None,
        "referenced_custom_type_id": None,
        "back_reference_is_visible": None,
    }


def field_json(request: HttpRequest, use: Use, type_id: str | None = None) -> dict[str, Any]:
    """Return a field of leads, contacts or, with `type_id`, of an activity type."""
    field = use.field
    choices = [option.label for option in field.options if not option.removed] if field.kind.has_options else None
    return {
        **field_short(request, use),
        "choices": choices,
        **({"custom_activity_type_id": type_id} if type_id else {}),
        "viewable_with_roles": roles(request, use.view_roles),
        "is_read_only": use.read_only,
        "section_heading": use.heading or None,
        "unit": field.unit or None,
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(field.created_by_id),
        "updated_by": user_id_of(field.updated_by_id),
        "date_created": stamp(field.date_created),
        "date_updated": stamp(field.date_updated),
    }


# --- where a field is used --------------------------------------------------------------------------------------------
def places_of(request: HttpRequest, field: Field) -> Iterator[Place]:
    """Yield where a field is used, as far as the actor may see: object type, type id, use."""
    known = catalog(request.organization)
    types = {row.fieldset_id: row for row in type_catalog(request.organization).types}
    for fieldset_id in field.fieldset_ids:
        use = known.use(fieldset_id, field.id)
        if use is None or not can_view_field(request.actor, use):
            continue
        kind: TypeInfo | None = types.get(fieldset_id)
        if kind is None:
            yield use.owner, None, use
        elif can_view_type(request.actor, kind):
            yield TYPE, kind.public_id, use


def association_json(request: HttpRequest, place: Place) -> dict[str, Any]:
    object_type, type_id, use = place
    return {
        "object_type": object_type,
        "custom_activity_type_id": type_id,
        "custom_object_type_id": None,
        "editable_with_roles": roles(request, use.edit_roles),
        "required": use.required,
    }


# --- what a body says ---------------------------------------------------------------------------------------------------
@contextmanager
def in_their_words(**names: str) -> Iterator[None]:
    """Inside, errors are named by the API's keys."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(
            error.message, fields={names.get(key, key): words for key, words in error.fields.items()}
        ) from None


def role_numbers(request: HttpRequest, given: Mapping[str, Any], key: str) -> list[int]:
    try:
        return [role_for(request.actor, public_id).pk for public_id in given.get(key) or []]
    except NotFound as error:
        raise InvalidInput(fields={key: error.message}) from None


def type_given(request: HttpRequest, type_id: str) -> ActivityType:
    row = custom_type_for(request.actor, type_id)
    if not can_view_type(request.actor, row):
        raise NotFound("There is no such activity type.")
    return row
