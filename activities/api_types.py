"""REST doors to activity types, custom fields and their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest
from ninja import Router

from activities.models import ActivityType
from activities.queries import type_catalog
from activities.services.types import (
    archive_type,
    create_type,
    custom_type_for,
    delete_type,
    unarchive_type,
    update_type,
)
from crm.api import Body, created, listing, naive_stamp, no_content, shows, stamp, user_id_of
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.services import create_field, delete_field, field_for, reorder_fields, update_field
from crm.errors import InvalidInput, NotFound
from crm.members import role_for
from crm.models import FieldSet, Role
from crm.permissions import can_view_field, can_view_type

router = Router(tags=["Activity types and fields"])
TYPE = {
    "id": "actitype_1h…",
    "name": "Qualification Call",
    "is_archived": False,
    "api_create_only": False,
    "fields": [],
}
FIELD = {"id": "cf_3W…", "name": "CRM", "type": "choices", "choices": ["HubSpot", "Salesforce"], "required": False}


# --- objects ----------------------------------------------------------------------------------------------------------
def _role_names(request: HttpRequest) -> dict[int, str]:
    if not hasattr(request, "role_names"):
        request.role_names = {row.pk: row.public_id for row in Role.objects.all()}
    return request.role_names


def _roles(request: HttpRequest, numbers: Iterable[int]) -> list[str]:
    return [name for number in numbers if (name := _role_names(request).get(number))]


def _field_short(request: HttpRequest, use: Use) -> dict[str, Any]:
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
        "editable_with_roles": _roles(request, use.edit_roles),
        "converting_to_type": None,
        "referenced_custom_type_id": None,
        "back_reference_is_visible": None,
    }


def field_json(request: HttpRequest, use: Use, type_id: str | None = None) -> dict[str, Any]:
    """Return a field of leads, contacts or, with `type_id`, of an activity type."""
    field = use.field
    choices = [option.label for option in field.options if not option.removed] if field.kind.has_options else None
    return {
        **_field_short(request, use),
        "choices": choices,
        **({"custom_activity_type_id": type_id} if type_id else {}),
        "viewable_with_roles": _roles(request, use.view_roles),
        "is_read_only": use.read_only,
        "section_heading": use.heading or None,
        "unit": field.unit or None,
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(field.created_by_id),
        "updated_by": user_id_of(field.updated_by_id),
        "date_created": stamp(field.date_created),
        "date_updated": stamp(field.date_updated),
    }


def type_json(request: HttpRequest, row: ActivityType) -> dict[str, Any]:
    uses = catalog(request.organization).uses(row.fieldset_id)
    return {
        "id": row.public_id,
        "name": row.name,
        "description": row.description or None,
        "api_create_only": row.api_only,
        "editable_with_roles": _roles(request, row.edit_roles),
        "viewable_with_roles": _roles(request, row.view_roles),
        "is_archived": row.archived_at is not None,
        "icon": row.icon,
        "color": row.color,
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(row.created_by_id),
        "updated_by": user_id_of(row.updated_by_id),
        "date_created": naive_stamp(row.date_created),
        "date_updated": naive_stamp(row.date_updated),
        "fields": [_field_short(request, use) for use in uses if can_view_field(request.actor, use)],
    }


# --- types ------------------------------------------------------------------------------------------------------------
class TypeBody(Body):
    name: str | None = None
    description: str | None = None
    api_create_only: bool | None = None
    editable_with_roles: list[str] | None = None
    viewable_with_roles: list[str] | None = None
    is_archived: bool | None = None
    icon: str | None = None
    color: str | None = None
    fields: list[dict[str, Any]] | None = None


@contextmanager
def _in_their_words(**names: str) -> Iterator[None]:
    """Inside, errors are named by the API's keys."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(
            error.message, fields={names.get(key, key): words for key, words in error.fields.items()}
        ) from None


_TYPE_NAMES = {"edit_roles": "editable_with_roles", "view_roles": "viewable_with_roles", "api_only": "api_create_only"}
_FIELD_NAMES = {
    "kind": "type", "options": "choices", "multiple": "accepts_multiple_values", "edit_roles": "editable_with_roles",
    "view_roles": "viewable_with_roles", "read_only": "is_read_only", "heading": "section_heading",
}  # fmt: skip


def _role_numbers(request: HttpRequest, given: Mapping[str, Any], key: str) -> list[int]:
    try:
        return [role_for(request.actor, public_id).pk for public_id in given.get(key) or []]
    except NotFound as error:
        raise InvalidInput(fields={key: error.message}) from None


def _type_changes(request: HttpRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    changes = {key: given[key] for key in ("name", "icon", "color") if given.get(key) is not None}
    if "name" in given:
        changes["name"] = given["name"]
    if "description" in given:
        changes["description"] = given["description"] or ""
    if given.get("api_create_only") is not None:
        changes["api_only"] = given["api_create_only"]
    for ours, theirs in (("edit_roles", "editable_with_roles"), ("view_roles", "viewable_with_roles")):
        if theirs in given:
            changes[ours] = _role_numbers(request, given, theirs)
    return changes


def _type(request: HttpRequest, type_id: str) -> ActivityType:
    row = custom_type_for(request.actor, type_id)
    if not can_view_type(request.actor, row):
        raise NotFound("There is no such activity type.")
    return row


@router.get(
    "/custom_activity/", summary="List activity types", openapi_extra=shows({"data": [TYPE], "has_more": False})
)
def list_types(request: HttpRequest) -> Any:
    """Archived ones too. Choices of fields are in `/custom_field/activity/`."""
    rows = [
        row
        for row in ActivityType.objects.filter(builtin="").order_by("position", "pk")
        if can_view_type(request.actor, row)
    ]
    return listing(request, rows, lambda page: [type_json(request, row) for row in page], maximum=1000)


@router.post(
    "/custom_activity/",
    summary="Create an activity type",
    openapi_extra=shows(TYPE, status=201, sends={"name": "Qualification Call"}),
)
def create_custom_type(request: HttpRequest, body: TypeBody) -> Any:
    """Keys of a copied type that make no sense here (`id`, `fields`, dates) are ignored. Needs *manage customizations*."""
    given = body.given()
    if not given.get("name"):
        raise InvalidInput(fields={"name": "This field is required."})
    with _in_their_words(**_TYPE_NAMES):
        row = create_type(request.actor, **_type_changes(request, given))
    return created(request, type_json(request, row))


@router.get("/custom_activity/{type_id}/", summary="One activity type", openapi_extra=shows(TYPE))
def get_type(request: HttpRequest, type_id: str) -> Any:
    return type_json(request, _type(request, type_id))


@router.put(
    "/custom_activity/{type_id}/",
    summary="Change, archive or reorder an activity type",
    openapi_extra=shows(TYPE, sends={"is_archived": True, "fields": [{"id": "cf_3W…"}]}),
)
def update_custom_type(request: HttpRequest, type_id: str, body: TypeBody) -> Any:
    """`fields` puts them in this order; it never adds or removes one."""
    row, given = _type(request, type_id), body.given()
    with _in_their_words(**_TYPE_NAMES):
        if changes := _type_changes(request, given):
            row = update_type(request.actor, row, changes)
        if given.get("is_archived") is not None:
            (archive_type if given["is_archived"] else unarchive_type)(request.actor, row)
        if given.get("fields") is not None:
            reorder_fields(request.actor, row.fieldset, [str(entry.get("id")) for entry in given["fields"]])
    return get_type(request, type_id)


@router.delete(
    "/custom_activity/{type_id}/",
    summary="Delete an activity type with its activities",
    openapi_extra={"responses": {204: {"description": "Gone"}}},
)
def delete_custom_type(request: HttpRequest, type_id: str) -> Any:
    delete_type(request.actor, _type(request, type_id), None)
    return no_content()


# --- fields -----------------------------------------------------------------------------------------------------------
class FieldBody(Body):
    custom_activity_type_id: str | None = None
    name: str | None = None
    type: str | None = None
    description: str | None = None
    required: bool | None = None
    accepts_multiple_values: bool | None = None
    choices: list[str] | None = None
    editable_with_roles: list[str] | None = None
    viewable_with_roles: list[str] | None = None
    is_read_only: bool | None = None
    section_heading: str | None = None


def _placed(request: HttpRequest, owner: str) -> list[tuple[Use, str | None]]:
    """Return the uses the actor may see of leads, contacts, or all custom types (with the type's id)."""
    known = catalog(request.organization)
    plain = {"lead": known.lead_uses, "contact": known.contact_uses}
    if owner in plain:
        found: list[tuple[Use, str | None]] = [(use, None) for use in plain[owner]]
    else:
        types = [
            row
            for row in type_catalog(request.organization).types
            if row.is_custom and can_view_type(request.actor, row)
        ]
        found = [(use, row.public_id) for row in types for use in known.uses(row.fieldset_id)]
    return [(use, type_id) for use, type_id in found if can_view_field(request.actor, use)]


def _find(request: HttpRequest, owner: str, field_id: str) -> tuple[Use, str | None]:
    for use, type_id in _placed(request, owner):
        if use.field.public_id == field_id:
            return use, type_id
    raise NotFound("There is no such field.")


def _definition(request: HttpRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body says about a field in our words; nulls mean *as it is*."""
    found: dict[str, Any] = {}
    for ours, theirs in (
        ("name", "name"), ("required", "required"), ("multiple", "accepts_multiple_values"), ("options", "choices"),
        ("read_only", "is_read_only"), ("heading", "section_heading"),
    ):  # fmt: skip
        if given.get(theirs) is not None:
            found[ours] = given[theirs]
    if "description" in given:
        found["description"] = given["description"] or ""
    for ours, theirs in (("edit_roles", "editable_with_roles"), ("view_roles", "viewable_with_roles")):
        if given.get(theirs) is not None:
            found[ours] = _role_numbers(request, given, theirs)
    return found


def _fieldset(request: HttpRequest, owner: str, given: Mapping[str, Any]) -> FieldSet:
    if owner != "activity":
        return FieldSet.objects.get(owner=owner)
    if not given.get("custom_activity_type_id"):
        raise InvalidInput(fields={"custom_activity_type_id": "This field is required."})
    try:
        return _type(request, given["custom_activity_type_id"]).fieldset
    except NotFound as error:
        raise InvalidInput(fields={"custom_activity_type_id": error.message}) from None


def _serve_fields(owner: str) -> None:
    """Add the endpoints of the fields of leads, contacts or activities."""
    path = f"/custom_field/{owner}/"
    sends = {"name": "CRM", "type": "choices", "choices": ["HubSpot", "Salesforce"]}
    sends |= {"custom_activity_type_id": "actitype_1h…"} if owner == "activity" else {}

    @router.get(
        path,
        operation_id=f"list_{owner}_fields",
        summary=f"List fields: {owner}",
        openapi_extra=shows({"data": [FIELD], "has_more": False}),
    )
    def list_fields(request: HttpRequest) -> Any:
        return listing(
            request,
            _placed(request, owner),
            lambda page: [field_json(request, *placed) for placed in page],
            maximum=1000,
        )

    @router.post(
        path,
        operation_id=f"create_{owner}_field",
        summary=f"Add a field: {owner}",
        openapi_extra=shows(FIELD, sends=sends),
    )
    def add_field(request: HttpRequest, body: FieldBody) -> Any:
        """Types: text, textarea, number, date, datetime, choices, user, contact, checkbox, url, email, phone, hidden."""
        given = body.given()
        for key in ("name", "type"):
            if not given.get(key):
                raise InvalidInput(fields={key: "This field is required."})
        fieldset = _fieldset(request, owner, given)
        with _in_their_words(**_FIELD_NAMES):
            field = create_field(request.actor, fieldset, kind=given["type"], **_definition(request, given))
        return field_json(request, *_find(request, owner, field.public_id))

    @router.get(
        path + "{field_id}/",
        operation_id=f"get_{owner}_field",
        summary=f"One field: {owner}",
        openapi_extra=shows(FIELD),
    )
    def get_field(request: HttpRequest, field_id: str) -> Any:
        return field_json(request, *_find(request, owner, field_id))

    @router.put(
        path + "{field_id}/",
        operation_id=f"update_{owner}_field",
        summary=f"Change a field: {owner}",
        openapi_extra=shows(FIELD, sends={"choices": ["HubSpot", "Pipedrive"]}),
    )
    def change_field(request: HttpRequest, field_id: str, body: FieldBody) -> Any:
        """The type of a field and the activity type it belongs to are fixed. Choices left out are removed; old values keep them."""
        use, type_id = _find(request, owner, field_id)
        given = body.given()
        fixed = {"type": use.field.kind.slug, "custom_activity_type_id": type_id}
        for key, value in fixed.items():
            if given.get(key) not in (None, value):
                raise InvalidInput(fields={key: f"{key} of a field cannot be changed. Add a new field instead."})
        with _in_their_words(**_FIELD_NAMES):
            update_field(
                request.actor, FieldSet.objects.get(pk=use.fieldset_id), field_for(request.actor, field_id),
                _definition(request, given),
            )  # fmt: skip
        return field_json(request, *_find(request, owner, field_id))

    @router.delete(
        path + "{field_id}/",
        operation_id=f"delete_{owner}_field",
        summary=f"Delete a field and its values: {owner}",
        openapi_extra=shows({}),
    )
    def remove_field(request: HttpRequest, field_id: str) -> Any:
        use, _ = _find(request, owner, field_id)
        delete_field(request.actor, FieldSet.objects.get(pk=use.fieldset_id), field_for(request.actor, field_id), None)
        return {}


for _owner in ("lead", "contact", "activity"):
    _serve_fields(_owner)


@router.get("/custom_field/shared/", summary="List shared fields")
def list_shared(request: HttpRequest) -> Any:
    """Fields with one definition and several places (`associations`)."""
    found: dict[str, dict[str, Any]] = {}
    for owner in ("lead", "contact", "activity"):
        for use, type_id in _placed(request, owner):
            if not use.field.shared:
                continue
            row = found.setdefault(use.field.public_id, field_json(request, use) | {"associations": []})
            row["associations"].append(
                {
                    "object_type": "custom_activity_type" if type_id else owner,
                    "custom_activity_type_id": type_id,
                    "editable_with_roles": _roles(request, use.edit_roles),
                    "required": use.required,
                }
            )
    return listing(request, list(found.values()), lambda page: page, maximum=1000)


# --- order ------------------------------------------------------------------------------------------------------------
class OrderBody(Body):
    fields: list[dict[str, Any]]


def _schema(request: HttpRequest, object_type: str, fieldset_id: int | None, type_id: str | None) -> dict[str, Any]:
    known: Catalog = catalog(request.organization)
    uses = [use for use in known.uses(fieldset_id) if can_view_field(request.actor, use)]
    return {
        "object_type": object_type,
        "organization_id": request.organization.public_id,
        "fields": [field_json(request, use, type_id) for use in uses],
    }


def _serve_schema(owner: str) -> None:
    path = f"/custom_field_schema/{owner}/"

    @router.get(path, operation_id=f"get_{owner}_schema", summary=f"Fields in display order: {owner}")
    def get_schema(request: HttpRequest) -> Any:
        return _schema(request, owner, FieldSet.objects.get(owner=owner).pk, None)

    @router.put(path, operation_id=f"reorder_{owner}_fields", summary=f"Reorder fields: {owner}")
    def put_schema(request: HttpRequest, body: OrderBody) -> Any:
        fieldset = FieldSet.objects.get(owner=owner)
        reorder_fields(request.actor, fieldset, [str(entry.get("id")) for entry in body.fields])
        return _schema(request, owner, fieldset.pk, None)


for _owner in ("lead", "contact"):
    _serve_schema(_owner)


@router.get("/custom_field_schema/activity/{type_id}/", summary="Fields of an activity type in display order")
def get_activity_schema(request: HttpRequest, type_id: str) -> Any:
    row = _type(request, type_id)
    return _schema(request, f"activity/{row.public_id}", row.fieldset_id, row.public_id)


@router.put("/custom_field_schema/activity/{type_id}/", summary="Reorder the fields of an activity type")
def put_activity_schema(request: HttpRequest, type_id: str, body: OrderBody) -> Any:
    """Fields left out go to the end."""
    row = _type(request, type_id)
    reorder_fields(request.actor, row.fieldset, [str(entry.get("id")) for entry in body.fields])
    return get_activity_schema(request, type_id)
