"""REST doors to bulk actions (`/bulk_action/edit/`, `/bulk_action/delete/`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import Body, listing, shows, stamp, user_id_of
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotFound
from crm.permissions import has
from leads.api_smart_views import limit_given, search_given, sort_given, sort_json
from leads.models import BulkAction, SmartView
from leads.search.language import object_type_of
from leads.search.legacy import read
from leads.services import bulk as services
from leads.services.bulk import Selection

router = Router(tags=["Bulk actions"])
# What Close calls the states. Nobody resumes a cancelled one, and its clients wait for done or error.
STATES = {"cancelled": "error"}
LISTS = {"lead": "lead", "contact": "contact", "custom_activity": "custom_activity", "activity": "custom_activity",
         "call": "custom_activity", "email": "custom_activity", "note": "custom_activity", "meeting": "custom_activity",
         "sms": "custom_activity"}  # fmt: skip
_QUERY = {"query": {"type": "object_type", "object_type": "lead"}}
ROW = {"id": "bulkedit_…", "status": "created", "n_objects": 38, "n_objects_processed": 0, "s_query": _QUERY}


class BulkBody(Body):
    s_query: dict[str, Any] | None = None
    query: str | None = None
    results_limit: int | None = None
    sort: list[dict[str, Any]] | None = None
    send_done_email: bool | None = None


class EditBody(BulkBody):
    type: str
    lead_status_id: str | None = None
    custom_field_id: str | None = None
    custom_field_name: str | None = None
    custom_field_value: Any = None
    custom_field_values: list[Any] | None = None
    custom_field_operation: str | None = None


class DeleteBody(BulkBody):
    bulk_object_type: str | None = None


def bulk_json(request: HttpRequest, bulk: BulkAction) -> dict[str, Any]:
    user = user_id_of(bulk.membership.user_id)
    leads = bulk.lists == SmartView.Lists.LEADS
    row = {
        "id": bulk.public_id,
        "status": STATES.get(bulk.state, bulk.state),
        "message": bulk.change.get("problem") or bulk.message,
        "n_objects": bulk.n_objects,
        "n_objects_processed": bulk.n_done,
        "n_leads": bulk.n_objects if leads else None,
        "n_leads_processed": bulk.n_done if leads else None,
        "n_objects_changed": bulk.n_changed,
        "n_objects_refused": bulk.n_refused,
        "refused": bulk.refused[:100],
        "query": bulk.text or None,
        "s_query": {"query": bulk.query, "sort": sort_json(bulk.sort, bulk.query), "results_limit": bulk.results_limit},
        "sort": sort_json(bulk.sort, bulk.query),
        "results_limit": bulk.results_limit,
        "send_done_email": False,
        "created_by": user,
        "updated_by": user,
        "organization_id": request.organization.public_id,
        "date_created": stamp(bulk.date_created),
        "date_updated": stamp(bulk.date_updated),
    }
    if bulk.kind == "delete":
        return {**row, "bulk_object_type": bulk.lists}
    return {**row, **bulk.change.get("asked", {})}


def _rows(request: HttpRequest, kind: str) -> Any:
    rows = BulkAction.objects.filter(kind=kind).select_related("membership").order_by("-pk")
    return rows if has(request.actor, services.PERMS[kind]) else rows.filter(membership=request.actor)


def _one(request: HttpRequest, kind: str, public_id: str) -> dict[str, Any]:
    found = _rows(request, kind).filter(pk=ids.decode(f"bulk{kind}", public_id)).first()
    if found is None:
        raise NotFound("There is no such bulk action.")
    return bulk_json(request, found)


def _list(request: HttpRequest, kind: str) -> Any:
    return listing(request, _rows(request, kind), lambda page: [bulk_json(request, row) for row in page])


def _selection(request: HttpRequest, body: BulkBody, lists: str) -> Selection:
    """Return what a body selects; a search of other records stands for what belongs to them."""
    wanted = search_given(body.s_query)
    limit = limit_given(body.results_limit, wanted.get("results_limit"))
    tree, sort = wanted.get("query"), sort_given(body.sort or wanted.get("sort"))
    if tree is None and body.query is not None:
        legacy = read(body.query, request.actor, request.zone)
        tree, sort = legacy.tree, sort or legacy.sort
    if not isinstance(tree, Mapping):
        raise InvalidInput(fields={"s_query": "This field is required: {“query”: {…}} as in /data/search/."})
    own = "activity.custom_activity" if lists == SmartView.Lists.ACTIVITIES else lists
    asked = object_type_of(tree) or own
    if LISTS.get(asked.partition(".")[0]) != lists:
        inner = {"type": "has_related", "this_object_type": own, "related_object_type": asked, "related_query": tree}
        tree, sort = {"type": "and", "queries": [{"type": "object_type", "object_type": own}, inner]}, ""
    return Selection(lists, tree, "", sort, limit)


@router.get("/bulk_action/edit/", summary="List bulk edits", openapi_extra=shows({"data": [ROW], "has_more": False}))
def list_edits(request: HttpRequest) -> Any:
    return _list(request, "edit")


@router.get("/bulk_action/edit/{bulk_id}/", summary="One bulk edit", openapi_extra=shows(ROW))
def get_edit(request: HttpRequest, bulk_id: str) -> Any:
    return _one(request, "edit", bulk_id)


@router.post("/bulk_action/edit/", summary="Edit everything a search finds", openapi_extra=shows(
    ROW, sends={"s_query": _QUERY, "type": "set_lead_status", "lead_status_id": "stat_…"}))  # fmt: skip
def create_edit(request: HttpRequest, body: EditBody) -> Any:
    """`type`: `set_lead_status`, `set_custom_field`, `clear_custom_field`, and the same two for `contact_` and `activity_`
    custom fields (`set_contact_custom_field`). Poll until `status` is `done` or `error`."""
    lists, change = _change(request, body)
    selection = _selection(request, body, lists)
    return bulk_json(request, services.start_bulk(request.actor, "edit", selection, change))


def _change(request: HttpRequest, body: EditBody) -> tuple[str, dict[str, Any]]:
    asked = {"type": body.type}
    if body.type == "set_lead_status":
        return "lead", {"status": body.lead_status_id, "asked": {**asked, "lead_status_id": body.lead_status_id}}
    verb, _, rest = body.type.partition("_")
    lists = {"custom_field": "lead", "lead_custom_field": "lead", "contact_custom_field": "contact",
             "activity_custom_field": "custom_activity", "custom_activity_custom_field": "custom_activity"}.get(rest)  # fmt: skip
    if verb not in ("set", "clear") or lists is None:
        raise InvalidInput(
            fields={"type": f"“{body.type}” is not known. Use set_lead_status, set_custom_field or clear_custom_field."}
        )
    name = body.custom_field_id or _field_named(request, lists, body.custom_field_name)
    operation = "clear" if verb == "clear" else body.custom_field_operation or "replace"
    value = body.custom_field_values if body.custom_field_values is not None else body.custom_field_value
    shown = {"custom_field_id": name, "custom_field_value": value, "custom_field_operation": operation}
    return lists, {"field": name, "operation": operation, "value": value, "asked": asked | shown}


def _field_named(request: HttpRequest, lists: str, name: str | None) -> str | None:
    known = catalog(request.organization)
    uses = {"lead": known.lead_uses, "contact": known.contact_uses}.get(lists, ())
    return next((use.field.public_id for use in uses if use.field.name == name), None)


@router.get(
    "/bulk_action/delete/", summary="List bulk deletes", openapi_extra=shows({"data": [ROW], "has_more": False})
)
def list_deletes(request: HttpRequest) -> Any:
    return _list(request, "delete")


@router.get("/bulk_action/delete/{bulk_id}/", summary="One bulk delete", openapi_extra=shows(ROW))
def get_delete(request: HttpRequest, bulk_id: str) -> Any:
    return _one(request, "delete", bulk_id)


@router.post("/bulk_action/delete/", summary="Delete everything a search finds", openapi_extra=shows(
    ROW, sends={"s_query": _QUERY, "bulk_object_type": "lead"}))  # fmt: skip
def create_delete(request: HttpRequest, body: DeleteBody) -> Any:
    """`bulk_object_type`: `lead` (default), `contact`, `custom_activity` or a built-in kind. It cannot be undone."""
    kind = body.bulk_object_type or "lead"
    if kind not in LISTS:
        raise InvalidInput(fields={"bulk_object_type": f"“{kind}” is not known. Use one of: {', '.join(LISTS)}."})
    bulk = services.start_bulk(request.actor, "delete", _selection(request, body, LISTS[kind]), {})
    return bulk_json(request, bulk)
