"""REST door to Smart Views (`/saved_search/`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import Body, Wanted, gates, listed, listing, renders, shows, stamp, user_id_of, words
from crm.errors import InvalidInput
from crm.members import member_for
from crm.models import Event, Membership
from crm.permissions import Perm, authorize, has
from leads.models import SmartView
from leads.queries import smart_view_for, smart_views_for
from leads.search.language import CURRENT_USER, object_type_of
from leads.search.legacy import read
from leads.search.order import sort_by
from leads.search.run import parse
from leads.services import smart_views as services

router = Router(tags=["Smart Views"])
# What Close calls a list of one kind of activities.
KINDS = ("call", "email", "sms", "meeting", "note")
EXAMPLE = {
    "name": "Qualified", "type": "lead", "is_shared": True, "selected_fields": ["name", "status"],
    "s_query": {"query": {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}, "sort": []},
}  # fmt: skip


class ViewBody(Body):
    name: str | None = None
    description: str | None = None
    type: str | None = None
    is_shared: bool | None = None
    shared_with: list[str] | None = None
    sharing_settings: dict[str, Any] | None = None
    s_query: dict[str, Any] | None = None
    query: str | dict[str, Any] | None = None
    selected_fields: list[str] | None = None


def view_json(request: HttpRequest, view: SmartView) -> dict[str, Any]:
    kind = object_type_of(view.query).partition(".")[2]
    return {
        "id": view.public_id,
        "name": view.name,
        "description": view.description,
        "type": kind if kind in KINDS else view.lists,
        "query": view.text or None,
        "s_query": {"query": view.query, "results_limit": None, "sort": sort_json(view.sort, view.query)},
        "is_shared": view.shared,
        "shared_with": [ids.encode("group", pk) for pk in view.teams],
        "sharing_settings": {
            "everybody": view.shared,
            "groups": [ids.encode("group", pk) for pk in view.teams],
            "whole_org": view.shared,
            "group_ids": [ids.encode("group", pk) for pk in view.teams],
            "user_ids": [],
        },
        "is_user_dependent": _names_me(view.query),
        "selected_fields": view.columns,
        "user_id": user_id_of(view.owner_id),
        "organization_id": request.organization.public_id,
        "date_created": stamp(view.date_created),
        "date_updated": stamp(view.date_updated),
    }


@renders("saved_search")
def _render_views(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    return {row.pk: view_json(request, row) for row in smart_views_for(request.actor) if row.pk in pks}


@gates("saved_search")
def _may_have_seen(request: HttpRequest, gone: Event) -> bool:
    """A deleted view: whoever deleted it, and everybody when it was shared with all."""
    return gone.user_id == request.actor.user_id or bool((gone.before or {}).get("shared"))


@words("saved_search")
def _state_in_words(request: HttpRequest, state: Mapping[str, Any]) -> dict[str, Any]:
    names = {"columns": "selected_fields", "shared": "is_shared", "lists": "type"}
    found = {
        names.get(key, key): value for key, value in state.items() if key not in ("query", "sort", "text", "teams")
    }
    if "teams" in state:
        found["shared_with"] = [ids.encode("group", number) for number in state["teams"] or ()]
    if "text" in state:
        found["query"] = state["text"] or None
    if state.get("query"):
        sort = sort_json(state.get("sort") or "", state["query"])
        found["s_query"] = {"query": state["query"], "results_limit": None, "sort": sort}
    elif "query" in state or "sort" in state:
        found["s_query"] = None
    return found


def _names_me(tree: Any) -> bool:
    """Return whether a search finds something else for every member."""
    if isinstance(tree, Mapping):
        return tree.get("type") == "current_user" or any(_names_me(value) for value in tree.values())
    return tree == CURRENT_USER or (isinstance(tree, list) and any(_names_me(value) for value in tree))


def sort_json(sort: str, tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a sort as `/data/search/` takes it."""
    if not sort:
        return []
    name = sort.removeprefix("-")
    regular = {"type": "regular_field", "object_type": object_type_of(tree) or "lead", "field_name": name}
    field = {"type": "custom_field", "custom_field_id": name} if name.startswith("cf_") else regular
    return [{"direction": "desc" if sort.startswith("-") else "asc", "field": field}]


def search_given(given: Any) -> Mapping[str, Any]:
    """Return what an `s_query` holds: `query`, `sort`, `results_limit`. Close's documentation sends the bare search as well."""
    if not isinstance(given, Mapping):
        return {}
    return {"query": given} if "query" not in given and "type" in given else given


def limit_given(*given: Any) -> int | None:
    """Return the first results limit that is given; None for none. Raises `InvalidInput` for what is no number of results."""
    limit = next((one for one in given if one is not None), None)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidInput(fields={"results_limit": "Input should be a whole number, 0 or more"})
    return limit


def sort_given(given: Any) -> str:
    """Return the sort of an `s_query`."""
    first = given[0] if isinstance(given, list) and given else {}
    field = first.get("field") if isinstance(first, Mapping) else None
    if not isinstance(field, Mapping):
        return ""
    name = str(field.get("custom_field_id") or field.get("field_name") or "")
    return f"-{name}" if name and first.get("direction") == "desc" else name


@router.get("/saved_search/", summary="List Smart Views", openapi_extra=shows(
    {"data": [{"id": "save_…", **EXAMPLE}], "has_more": False},
    query={"type": "lead (default), contact, custom_activity, call, email, sms, meeting, note", "type__in": "several, comma-joined"}))  # fmt: skip
def list_views(request: HttpRequest) -> Any:
    """Your own ones, those shared with everybody and with your groups."""
    kinds = listed(request, "type") or [SmartView.Lists.LEADS]
    rows = [row for row in smart_views_for(request.actor) if view_json(request, row)["type"] in kinds]
    return listing(request, rows, lambda page: [view_json(request, row) for row in page], maximum=600)


@router.post("/saved_search/", summary="Save a Smart View", openapi_extra=shows({"id": "save_…", **EXAMPLE}, sends=EXAMPLE))  # fmt: skip
def create_view(request: HttpRequest, body: ViewBody) -> Any:
    """`s_query` as in `/data/search/`, or `query` in the older text language. Sharing needs a permission. A `sort` that the list
    has not is left out; the answer shows it."""
    given = body.given()
    kind = given.get("type") or SmartView.Lists.LEADS
    lists = SmartView.Lists.ACTIVITIES if kind in KINDS else kind
    changes = _changes(request, given)
    if "query" not in changes:
        raise InvalidInput(fields={"s_query": "This field is required: {“query”: {…}} as in /data/search/."})
    view = services.save_smart_view(
        request.actor, name=changes.pop("name", ""), query=changes.pop("query"), lists=lists, pin=False, **changes
    )
    return view_json(request, view)


@router.get("/saved_search/{view_id}/", summary="One Smart View", openapi_extra=shows({"id": "save_…", **EXAMPLE}))
def get_view(request: HttpRequest, view_id: str) -> Any:
    return view_json(request, smart_view_for(request.actor, view_id))


@router.put(
    "/saved_search/{view_id}/",
    summary="Change a Smart View",
    openapi_extra=shows({"id": "save_…", **EXAMPLE}, sends={"name": "Qualified lately", "is_shared": False}),
)
def update_view(request: HttpRequest, view_id: str, body: ViewBody) -> Any:
    """Only the keys that are sent change. The type of a view stays."""
    view = smart_view_for(request.actor, view_id)
    changes = _changes(request, body.given())
    return view_json(request, services.update_smart_view(request.actor, view, changes))


@router.delete("/saved_search/{view_id}/", summary="Delete a Smart View", openapi_extra=shows({}))
def delete_view(request: HttpRequest, view_id: str) -> Any:
    services.delete_smart_view(request.actor, smart_view_for(request.actor, view_id))
    return {}


def _changes(request: HttpRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body changes, in the services' words."""
    found: dict[str, Any] = {key: given[key] or "" for key in ("name", "description") if key in given}
    if "selected_fields" in given:
        found["columns"] = given["selected_fields"] or []
    sharing = given.get("sharing_settings") or {}
    for shared in (given.get("is_shared"), sharing.get("everybody"), sharing.get("whole_org")):
        if isinstance(shared, bool):
            found["shared"] = shared
            break
    for groups in (given.get("shared_with"), sharing.get("groups"), sharing.get("group_ids")):
        if isinstance(groups, list):
            found["teams"] = [_group(str(one)) for one in groups]
            break
    wanted, text = search_given(given.get("s_query")), given.get("query")
    if isinstance(text, Mapping):
        # Some clients send what belongs into `s_query` as `query`, with or without the wrapping.
        wanted, text = wanted or (text if "query" in text else {"query": text}), None
    if "query" in wanted:
        if not isinstance(wanted["query"], Mapping):
            raise InvalidInput(fields={"s_query.query": "A search node is an object with a type."})
        sort = _kept_sort(request, wanted["query"], sort_given(wanted.get("sort")))
        found |= {"query": wanted["query"], "sort": sort}
        if text:
            found["text"] = text
    elif text:
        legacy = read(text, request.actor, request.zone)
        found |= {"query": legacy.tree, "sort": legacy.sort, "text": ""}
    return found


def _kept_sort(request: HttpRequest, tree: Mapping[str, Any], sort: str) -> str:
    """Return the order of a view if its list has it, else none: Close's have more, and a view is worth having without."""
    try:
        sort_by(request.actor, parse(tree, request.actor), sort)
    except InvalidInput:
        return ""
    return sort


def _group(public_id: str) -> int:
    number = ids.decode("group", public_id)
    if number is None:
        raise InvalidInput(fields={"shared_with": f"“{public_id[:60]}” is not the id of a group."})
    return number


# --- what a member has pinned -----------------------------------------------------------------------------------------
class PinnedBody(Body):
    saved_view_ids: list[str]


PINNED = {"saved_view_ids": ["save_…", "save_…"]}


@router.get(
    "/membership/{membership_id}/pinned_views/", summary="What a member has pinned", openapi_extra=shows(PINNED)
)
def get_pinned(request: HttpRequest, membership_id: str) -> Any:
    """In the order of the menu. Others' pins need *manage organization*."""
    member = _pinner(request, membership_id)
    seen = {view.public_id for view in smart_views_for(member)}
    return {"saved_view_ids": [public_id for public_id in member.pinned_views if public_id in seen]}


@router.put(
    "/membership/{membership_id}/pinned_views/",
    summary="Pin these Smart Views, in this order",
    openapi_extra=shows(PINNED, sends=PINNED),
)
def put_pinned(request: HttpRequest, membership_id: str, body: PinnedBody) -> Any:
    """The list takes the place of what was pinned."""
    member = _pinner(request, membership_id)
    seen = {view.public_id for view in smart_views_for(member)}
    unknown = next((one for one in body.saved_view_ids if one not in seen), None)
    if unknown is not None:
        raise InvalidInput(fields={"saved_view_ids": f"“{unknown[:60]}” is no Smart View of this member."})
    return {"saved_view_ids": services.set_pinned_views(member, body.saved_view_ids)}


def _pinner(request: HttpRequest, membership_id: str) -> Membership:
    if membership_id != request.actor.public_id:
        authorize(has(request.actor, Perm.MANAGE_ORGANIZATION))
        return member_for(request.actor, membership_id)
    return request.actor
