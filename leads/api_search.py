"""REST door to the search: one query language for leads, contacts and activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import (
    Body,
    keys_named,
    picked,
    renderer_of,
    shows,
)  # fmt: skip
from crm.errors import InvalidInput
from leads.search.language import NOT_KEPT, object_type_of
from leads.search.run import parse, run

router = Router(tags=["Search"])
MAX_SEARCH, MAX_WALK = 200, 10_000


EXAMPLE_SEARCH = {
    "query": {"type": "and", "queries": [
        {"type": "object_type", "object_type": "lead"},
        {"type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity",
         "related_query": {"type": "and", "queries": [
             {"type": "field_condition",
              "field": {"type": "regular_field", "object_type": "activity.custom_activity", "field_name": "custom_activity_type_id"},
              "condition": {"type": "term", "values": ["actitype_…"]}},
             {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": "cf_…"},
              "condition": {"type": "number_range", "gt": 50}}]}}]},
    "_fields": {"lead": ["id", "display_name"]}, "_limit": 100, "include_counts": True,
}  # fmt: skip


class SearchBody(Body):
    query: dict[str, Any]
    cursor: str | None = None
    results_limit: int | None = None
    include_counts: bool | None = False
    sort: list[dict[str, Any]] | None = None


@router.post("/data/search/", summary="Search leads, contacts or activities", tags=["Search"], openapi_extra=shows(
    {"data": [{"__object_type": "lead", "id": "lead_9f…"}], "cursor": None, "count": {"limited": 1, "total": 1}}, sends=EXAMPLE_SEARCH))  # fmt: skip
def search(request: HttpRequest, body: SearchBody) -> Any:
    """The query language of every list, Smart View and report. Without `_fields` only ids come back."""
    limit = _search_limit(request)
    if object_type_of(body.query) in NOT_KEPT:
        return {"data": [], "cursor": None, **({"count": {"limited": 0, "total": 0}} if body.include_counts else {})}
    query = parse(body.query, request.actor)
    seen, inner = _search_cursor(body.cursor)
    left = MAX_WALK - seen
    if body.results_limit is not None:
        left = min(left, max(body.results_limit, 0) - seen)
    size = max(0, min(limit, left))
    counting = "exact" if body.include_counts else "no"
    found = run(
        request.actor, query, sort=body.sort or "", limit=max(size, 1), cursor=inner, count=counting, tz=request.zone
    )
    pks = list(found.ids[:size])
    done = seen + len(pks)
    more = found.next_cursor and size and done < MAX_WALK and (body.results_limit is None or done < body.results_limit)
    source = query.source
    answer: dict[str, Any] = {
        "data": _rows(request, source.object_type, source.id_prefix, pks, request.json.get("_fields")),
        "cursor": f"{done}:{found.next_cursor}" if more else None,
    }
    if body.include_counts:
        total = found.total or 0
        cap = total if body.results_limit is None else min(total, max(body.results_limit, 0))
        answer["count"] = {"limited": cap, "total": total}
    return answer


def _search_limit(request: HttpRequest) -> int:
    limit = request.json.get("_limit")
    if limit is None:
        return 100
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInput(fields={"_limit": "Input should be a whole number, 0 or more"})
    if limit > MAX_SEARCH:
        raise InvalidInput(fields={"_limit": f"Input should be less than or equal to {MAX_SEARCH}"})
    return limit


def _search_cursor(cursor: str | None) -> tuple[int, str]:
    if not cursor:
        return 0, ""
    seen, _, inner = cursor.partition(":")
    if not seen.isdecimal() or not inner or len(seen) > 6:
        raise InvalidInput(fields={"cursor": "Expired cursor"})
    return int(seen), inner


def _rows(request: HttpRequest, object_type: str, prefix: str, pks: Iterable[int], fields: Any) -> list[dict[str, Any]]:
    """Return what was found: ids only, unless `_fields` names keys of the object type."""
    pks, wanted = list(pks), None
    if isinstance(fields, Mapping):
        family, _, kind = object_type.partition(".")
        wanted = fields.get(object_type) or fields.get(kind) or fields.get(family)
    names = ",".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted or "")
    request.fields_searched, keys = names.split(","), keys_named(names)
    whole: dict[int, dict[str, Any]] = {}
    if names and (render := renderer_of(object_type)):
        whole = render(request, pks, keys)
    return [
        {"__object_type": object_type, "id": ids.encode(prefix, pk), **picked(whole.get(pk, {}), keys)} for pk in pks
    ]
