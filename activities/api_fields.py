"""REST doors to custom fields of leads, contacts and activity types, and to their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from activities.api_schema import association_json, field_json, in_their_words, places_of, role_numbers, type_given
from activities.queries import type_catalog
from crm.api import Body, Wanted, listing, renders, shows
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.services import convert_field, create_field, delete_field, field_for, reorder_fields, update_field
from crm.errors import InvalidInput, NotFound
from crm.models import FieldSet
from crm.permissions import can_view_field, can_view_type

router = Router(tags=["Custom fields"])
FIELD = {"id": "cf_3W…", "name": "CRM", "type": "choices", "choices": ["HubSpot", "Salesforce"], "required": False}


FIELD_NAMES = {
    "kind": "type", "options": "choices", "multiple": "accepts_multiple_values", "edit_roles": "editable_with_roles",
    "view_roles": "viewable_with_roles", "read_only": "is_read_only", "heading": "section_heading",
}  # fmt: skip


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


def definition(request: HttpRequest, given: Mapping[str, Any]) -> dict[str, Any]:
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
            found[ours] = role_numbers(request, given, theirs)
    return found


def _fieldset(request: HttpRequest, owner: str, given: Mapping[str, Any]) -> FieldSet:
    if owner != "activity":
        return FieldSet.objects.get(owner=owner)
    if not given.get("custom_activity_type_id"):
        raise InvalidInput(fields={"custom_activity_type_id": "This field is required."})
    try:
        return type_given(request, given["custom_activity_type_id"]).fieldset
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
        """Shared fields are listed under `/custom_field/shared/`."""
        return listing(
            request,
            [placed for placed in _placed(request, owner) if not placed[0].field.shared],
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
        with in_their_words(**FIELD_NAMES):
            field = create_field(request.actor, fieldset, kind=given["type"], **definition(request, given))
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
        """A field of leads or contacts may get another `type`: values become what it reads in them, others go. Where there
        are many, `converting_to_type` is told until they are converted. Without `choices`, a choices field gets one for each
        value. A field by which a role sees its leads keeps its type. The type of other fields, and the activity type a field
        belongs to, are fixed. Choices left out are removed; old values keep them."""
        use, type_id = _find(request, owner, field_id)
        given = body.given()
        fixed = {"custom_activity_type_id": type_id}
        if type_id or use.field.shared:
            fixed["type"] = use.field.kind.slug
        for key, value in fixed.items():
            if given.get(key) not in (None, value):
                raise InvalidInput(fields={key: f"{key} of a field cannot be changed. Add a new field instead."})
        fieldset, field = FieldSet.objects.get(pk=use.fieldset_id), field_for(request.actor, field_id)
        kind, changes = given.get("type") or field.kind, definition(request, given)
        with in_their_words(**FIELD_NAMES):
            if kind != field.kind:
                convert_field(request.actor, fieldset, field, kind, changes)
            else:
                update_field(request.actor, fieldset, field, changes)
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


# --- order ------------------------------------------------------------------------------------------------------------
class OrderBody(Body):
    fields: list[dict[str, Any]]


def _schema(request: HttpRequest, object_type: str, fieldset_id: int | None, type_id: str | None) -> dict[str, Any]:
    known: Catalog = catalog(request.organization)
    uses = [use for use in known.uses(fieldset_id) if can_view_field(request.actor, use)]
    return {
        "object_type": object_type,
        "organization_id": request.organization.public_id,
        "fields": [_in_schema(request, use, type_id) for use in uses],
    }


def _in_schema(request: HttpRequest, use: Use, type_id: str | None) -> dict[str, Any]:
    places = places_of(request, use.field) if use.field.shared else ()
    associations = [association_json(request, place) for place in places]
    return field_json(request, use, type_id) | {"associations": associations}


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


@router.get("/custom_field_schema/opportunity/", summary="Always empty: there are no opportunities here")
def get_opportunity_schema(request: HttpRequest) -> Any:
    """Kept so that Close's clients find the address they ask."""
    return _schema(request, "opportunity", None, None)


@router.get("/custom_field_schema/activity/{type_id}/", summary="Fields of an activity type in display order")
def get_activity_schema(request: HttpRequest, type_id: str) -> Any:
    row = type_given(request, type_id)
    return _schema(request, f"activity/{row.public_id}", row.fieldset_id, row.public_id)


@router.put("/custom_field_schema/activity/{type_id}/", summary="Reorder the fields of an activity type")
def put_activity_schema(request: HttpRequest, type_id: str, body: OrderBody) -> Any:
    """Fields left out go to the end."""
    row = type_given(request, type_id)
    reorder_fields(request.actor, row.fieldset, [str(entry.get("id")) for entry in body.fields])
    return get_activity_schema(request, type_id)


@renders("custom_fields.lead", "custom_fields.contact", "custom_fields.activity")
def _render_fields(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    return {
        use.field.number: field_json(request, use, type_id)
        for owner in ("lead", "contact", "activity")
        for use, type_id in _placed(request, owner)
        if use.field.number is not None and use.field.number in pks
    }
