"""REST doors to shared fields: one definition, and the places that use it (associations)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from activities.api_fields import FIELD, FIELD_NAMES, FieldBody, definition
from activities.api_schema import (
    TYPE,
    Place,
    association_json,
    field_json,
    in_their_words,
    places_of,
    role_numbers,
    type_given,
)
from crm.api import Body, Wanted, listing, no_content, renders, shows
from crm.customfields.catalog import Use, catalog
from crm.customfields.services import attach_field, detach_field, field_for, update_field
from crm.customfields.services.unplaced import create_shared_field, delete_shared_field, update_shared_field
from crm.errors import InvalidInput, NotFound
from crm.models import CustomField, FieldSet
from crm.permissions import Perm, has

router = Router(tags=["Shared fields"])
SHARED = {
    **FIELD,
    "is_shared": True,
    "associations": [{"object_type": "lead", "custom_activity_type_id": None, "required": False}],
}
ASSOCIATION = {
    "object_type": "custom_activity_type", "custom_activity_type_id": "actitype_1h…", "required": True,
    "editable_with_roles": [],
}  # fmt: skip
PLAIN = ("lead", "contact")


class AssociationBody(Body):
    object_type: str | None = None
    custom_activity_type_id: str | None = None
    required: bool | None = None
    editable_with_roles: list[str] | None = None


# --- objects ----------------------------------------------------------------------------------------------------------
def _visible(request: HttpRequest) -> dict[int, list[Place]]:
    """Return shared fields with their places. One that is used nowhere is seen by those who manage fields."""
    found = {}
    for field in catalog(request.organization).fields.values():
        if not field.shared or field.builtin:
            continue
        places = list(places_of(request, field))
        if places or (not field.fieldset_ids and has(request.actor, Perm.MANAGE_CUSTOMIZATIONS)):
            found[field.id] = places
    return found


def shared_json(request: HttpRequest, field_id: int, places: list[Place]) -> dict[str, Any]:
    field = catalog(request.organization).fields[field_id]
    use = places[0][2] if places else Use(field, 0, "shared", 0, "", False, False, (), (), None)
    shown = field_json(request, use) | {"required": False, "editable_with_roles": []}
    return shown | {"associations": [association_json(request, place) for place in places]}


@renders("custom_fields.shared")
def _render_shared(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    found = _visible(request)
    fields = catalog(request.organization).fields
    numbers = {fields[field_id].number: field_id for field_id in found}
    return {pk: shared_json(request, numbers[pk], found[numbers[pk]]) for pk in pks if pk in numbers}


def _shared(request: HttpRequest, field_id: str) -> CustomField:
    field = field_for(request.actor, field_id)
    if field.pk not in _visible(request):
        raise NotFound("There is no such field.")
    return field


def _shown(request: HttpRequest, field: CustomField) -> dict[str, Any]:
    places = _visible(request).get(field.pk)
    if places is None:
        raise NotFound("There is no such field.")
    return shared_json(request, field.pk, places)


# --- fields -----------------------------------------------------------------------------------------------------------
@router.get(
    "/custom_field/shared/", summary="List shared fields", openapi_extra=shows({"data": [SHARED], "has_more": False})
)
def list_shared(request: HttpRequest) -> Any:
    """Fields with one definition and several places (`associations`)."""
    rows = list(_visible(request).items())
    return listing(request, rows, lambda page: [shared_json(request, *row) for row in page], maximum=1000)


@router.post("/custom_field/shared/", summary="Add a shared field", openapi_extra=shows(
    {**SHARED, "associations": []}, sends={"name": "CRM", "type": "choices", "choices": ["HubSpot", "Salesforce"]}))  # fmt: skip
def add_shared(request: HttpRequest, body: FieldBody) -> Any:
    """It is used nowhere until it is associated. Keys of a copied field that make no sense here are ignored."""
    given = body.given()
    for key in ("name", "type"):
        if not given.get(key):
            raise InvalidInput(fields={key: "This field is required."})
    with in_their_words(**FIELD_NAMES):
        field = create_shared_field(
            request.actor, name=given["name"], kind=given["type"], description=given.get("description") or "",
            multiple=bool(given.get("accepts_multiple_values")), options=given.get("choices") or (),
        )  # fmt: skip
    return _shown(request, field)


@router.get("/custom_field/shared/{field_id}/", summary="One shared field", openapi_extra=shows(SHARED))
def get_shared(request: HttpRequest, field_id: str) -> Any:
    return _shown(request, _shared(request, field_id))


@router.put("/custom_field/shared/{field_id}/", summary="Change a shared field everywhere", openapi_extra=shows(
    SHARED, sends={"choices": ["HubSpot", "Pipedrive"]}))  # fmt: skip
def change_shared(request: HttpRequest, field_id: str, body: FieldBody) -> Any:
    """Name, description, choices, several values. The type is fixed; what is required is said per association."""
    field, given = _shared(request, field_id), body.given()
    if given.get("type") not in (None, field.kind):
        raise InvalidInput(fields={"type": "type of a field cannot be changed. Add a new field instead."})
    kept = ("name", "description", "multiple", "options")
    changes = {key: value for key, value in definition(request, given).items() if key in kept}
    with in_their_words(**FIELD_NAMES):
        field = update_shared_field(request.actor, field, changes)
    return _shown(request, field)


@router.delete("/custom_field/shared/{field_id}/", summary="Delete a shared field everywhere", openapi_extra=shows({}))
def remove_shared(request: HttpRequest, field_id: str) -> Any:
    delete_shared_field(request.actor, _shared(request, field_id))
    return {}


# --- associations -----------------------------------------------------------------------------------------------------
def _fieldset(request: HttpRequest, object_type: Any, type_id: Any) -> FieldSet:
    if object_type in PLAIN:
        return FieldSet.objects.get(owner=object_type)
    if object_type != TYPE:
        raise InvalidInput(fields={"object_type": f"Use one of: {', '.join((*PLAIN, TYPE))}."})
    if not type_id:
        raise InvalidInput(fields={"custom_activity_type_id": "This field is required."})
    try:
        return type_given(request, type_id).fieldset
    except NotFound as error:
        raise InvalidInput(fields={"custom_activity_type_id": error.message}) from None


def _place(request: HttpRequest, field: CustomField, object_type: str, type_id: str | None) -> Place:
    for place in _visible(request).get(field.pk, []):
        if place[:2] == (object_type, type_id):
            return place
    raise NotFound("The field is not used there.")


@router.post("/custom_field/shared/{field_id}/association/", summary="Use a shared field in one more place",
             openapi_extra=shows(ASSOCIATION, status=201, sends=ASSOCIATION))  # fmt: skip
def associate(request: HttpRequest, field_id: str, body: AssociationBody) -> HttpResponse:
    """`object_type`: lead, contact or custom_activity_type (with `custom_activity_type_id`)."""
    field, given = _shared(request, field_id), body.given()
    fieldset = _fieldset(request, given.get("object_type"), given.get("custom_activity_type_id"))
    with in_their_words(field="object_type", edit_roles="editable_with_roles"):
        attach_field(
            request.actor, fieldset, field, required=bool(given.get("required")),
            edit_roles=role_numbers(request, given, "editable_with_roles"),
        )  # fmt: skip
    type_id = given.get("custom_activity_type_id") if given["object_type"] == TYPE else None
    answer = JsonResponse(association_json(request, _place(request, field, given["object_type"], type_id)), status=201)
    answer["Location"] = f"{request.path}{given['object_type']}/{f'{type_id}/' if type_id else ''}"
    return answer


def _use_of(request: HttpRequest, field_id: str, object_type: str, type_id: str | None) -> Any:
    return association_json(request, _place(request, _shared(request, field_id), object_type, type_id))


def _change_use(
    request: HttpRequest, field_id: str, given: dict[str, Any], object_type: str, type_id: str | None
) -> Any:
    field = _shared(request, field_id)
    _, _, use = _place(request, field, object_type, type_id)
    changes: dict[str, Any] = {}
    if given.get("required") is not None:
        changes["required"] = given["required"]
    if given.get("editable_with_roles") is not None:
        changes["edit_roles"] = role_numbers(request, given, "editable_with_roles")
    with in_their_words(edit_roles="editable_with_roles"):
        update_field(request.actor, FieldSet.objects.get(pk=use.fieldset_id), field, changes)
    return association_json(request, _place(request, field, object_type, type_id))


def _remove_use(request: HttpRequest, field_id: str, object_type: str, type_id: str | None) -> HttpResponse:
    field = _shared(request, field_id)
    _, _, use = _place(request, field, object_type, type_id)
    detach_field(request.actor, FieldSet.objects.get(pk=use.fieldset_id), field, None)
    return no_content()


GONE = {"responses": {204: {"description": "Gone"}}}
ONE, CHANGED = shows(ASSOCIATION), shows(ASSOCIATION, sends={"required": True})


def _serve_plain(owner: str) -> None:
    """Add the endpoints of a field's use on leads or contacts."""
    path = f"/custom_field/shared/{{field_id}}/association/{owner}/"

    @router.get(path, operation_id=f"get_{owner}_use", summary=f"Use of a shared field: {owner}", openapi_extra=ONE)
    def get_use(request: HttpRequest, field_id: str) -> Any:
        return _use_of(request, field_id, owner, None)

    @router.put(path, operation_id=f"update_{owner}_use", summary=f"Change a use: {owner}", openapi_extra=CHANGED)
    def update_use(request: HttpRequest, field_id: str, body: AssociationBody) -> Any:
        return _change_use(request, field_id, body.given(), owner, None)

    @router.delete(
        path, operation_id=f"delete_{owner}_use", summary=f"Take a shared field off: {owner}", openapi_extra=GONE
    )
    def delete_use(request: HttpRequest, field_id: str) -> Any:
        """Its values there go with it. The definition stays."""
        return _remove_use(request, field_id, owner, None)


for _owner in PLAIN:
    _serve_plain(_owner)
IN_A_TYPE = "/custom_field/shared/{field_id}/association/custom_activity_type/{type_id}/"


@router.get(IN_A_TYPE, summary="Use of a shared field: activity type", openapi_extra=ONE)
def get_type_use(request: HttpRequest, field_id: str, type_id: str) -> Any:
    return _use_of(request, field_id, TYPE, type_id)


@router.put(IN_A_TYPE, summary="Change a use: activity type", openapi_extra=CHANGED)
def update_type_use(request: HttpRequest, field_id: str, type_id: str, body: AssociationBody) -> Any:
    return _change_use(request, field_id, body.given(), TYPE, type_id)


@router.delete(IN_A_TYPE, summary="Take a shared field off: activity type", openapi_extra=GONE)
def delete_type_use(request: HttpRequest, field_id: str, type_id: str) -> Any:
    """Its values there go with it. The definition stays."""
    return _remove_use(request, field_id, TYPE, type_id)
