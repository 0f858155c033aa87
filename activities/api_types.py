"""REST doors to activity types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from activities.api_schema import field_short, in_their_words, role_numbers, roles, type_given
from activities.models import ActivityType
from activities.services.types import (
    archive_type,
    create_type,
    delete_type,
    unarchive_type,
    update_type,
)
from crm.api import Body, Wanted, created, listing, naive_stamp, no_content, renders, shows, user_id_of
from crm.customfields.catalog import catalog
from crm.customfields.services import reorder_fields
from crm.errors import InvalidInput
from crm.permissions import can_view_field, can_view_type

router = Router(tags=["Activity types"])
TYPE = {
    "id": "actitype_1h…",
    "name": "Qualification Call",
    "is_archived": False,
    "api_create_only": False,
    "fields": [],
}


def type_json(request: HttpRequest, row: ActivityType) -> dict[str, Any]:
    uses = catalog(request.organization).uses(row.fieldset_id)
    return {
        "id": row.public_id,
        "name": row.name,
        "description": row.description or None,
        "api_create_only": row.api_only,
        "editable_with_roles": roles(request, row.edit_roles),
        "viewable_with_roles": roles(request, row.view_roles),
        "is_archived": row.archived_at is not None,
        "icon": row.icon,
        "color": row.color,
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(row.created_by_id),
        "updated_by": user_id_of(row.updated_by_id),
        "date_created": naive_stamp(row.date_created),
        "date_updated": naive_stamp(row.date_updated),
        "fields": [field_short(request, use) for use in uses if can_view_field(request.actor, use)],
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


_TYPE_NAMES = {"edit_roles": "editable_with_roles", "view_roles": "viewable_with_roles", "api_only": "api_create_only"}


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
            changes[ours] = role_numbers(request, given, theirs)
    return changes


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
    with in_their_words(**_TYPE_NAMES):
        row = create_type(request.actor, **_type_changes(request, given))
    return created(request, type_json(request, row))


@router.get("/custom_activity/{type_id}/", summary="One activity type", openapi_extra=shows(TYPE))
def get_type(request: HttpRequest, type_id: str) -> Any:
    return type_json(request, type_given(request, type_id))


@router.put(
    "/custom_activity/{type_id}/",
    summary="Change, archive or reorder an activity type",
    openapi_extra=shows(TYPE, sends={"is_archived": True, "fields": [{"id": "cf_3W…"}]}),
)
def update_custom_type(request: HttpRequest, type_id: str, body: TypeBody) -> Any:
    """`fields` puts them in this order; it never adds or removes one."""
    row, given = type_given(request, type_id), body.given()
    with in_their_words(**_TYPE_NAMES):
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
    delete_type(request.actor, type_given(request, type_id), None)
    return no_content()


@renders("custom_activity_type")
def _render_types(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    rows = ActivityType.objects.filter(pk__in=pks, builtin="")
    return {row.pk: type_json(request, row) for row in rows if can_view_type(request.actor, row)}
