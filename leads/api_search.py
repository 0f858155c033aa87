"""REST door to the search: one query language for leads, contacts and activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from crm.models import Membership
from leads.search.language import NOT_KEPT, Query, object_type_of
from leads.search.order import sort_by
from leads.search.run import parse, run
from leads.search.sources import Source, sources

router = Router(tags=["Search"])
MAX_SEARCH, MAX_WALK = 200, 10_000
MIXED = ("lead", "contact", "activity")  # what a search lists that names no object type, in this order


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
    """The query language of every list, Smart View and report. Without `_fields` only ids come back.

    A query that names no `object_type` finds what it fits: leads, then contacts, then activities, each in the order asked for
    if they have it.
    """
    limit = _search_limit(request)
    if object_type_of(body.query) in NOT_KEPT:
        return {"data": [], "cursor": None, **({"count": {"limited": 0, "total": 0}} if body.include_counts else {})}
    queries = _queries(request.actor, body)
    seen, at, inner = _search_cursor(body.cursor, queries)
    left = MAX_WALK - seen
    if body.results_limit is not None:
        left = min(left, max(body.results_limit, 0) - seen)
    size = max(0, min(limit, left))
    rows: list[dict[str, Any]] = []
    total = 0
    for number, (query, order) in enumerate(queries):
        wanted = size - len(rows) if number >= at else 0
        if not wanted and not body.include_counts:
            continue
        found = run(
            request.actor, query, sort=order, limit=max(wanted, 1), cursor=inner if number == at else "",
            count="exact" if body.include_counts else "no", tz=request.zone,
        )  # fmt: skip
        total += found.total or 0
        if wanted:
            rows += _rows(request, query.source, found.ids[:wanted])
            at, inner = (number, found.next_cursor) if found.next_cursor else (number + 1, "")
    done = seen + len(rows)
    more = at < len(queries) and size and done < MAX_WALK and (body.results_limit is None or done < body.results_limit)
    answer: dict[str, Any] = {
        "data": rows,
        "cursor": f"{done}:{queries[at][0].source.object_type}:{inner}" if more else None,
    }
    if body.include_counts:
        cap = total if body.results_limit is None else min(total, max(body.results_limit, 0))
        answer["count"] = {"limited": cap, "total": total}
    return answer


Order = list[dict[str, Any]] | str


def _queries(actor: Membership, body: SearchBody) -> list[tuple[Query, Order]]:
    """Return what is searched and in which order: the records a query names, else all sorts of records that it fits."""
    order: Order = body.sort or ""
    if object_type_of(body.query):
        return [(parse(body.query, actor), order)]
    found, refused = _fitting(actor, body.query, MIXED)
    if not any(query.source.family == "activity" for query in found):
        kinds = [source.object_type for source in sources() if source.listed and source.object_type not in MIXED]
        found += _fitting(actor, body.query, kinds)[0]
    if not found:
        raise refused[0]
    ordered = [(query, order if _can_order(actor, query, order) else "") for query in found]
    if not any(kept == order for _, kept in ordered):
        sort_by(actor, found[0], order)
    return ordered


def _fitting(actor: Membership, tree: dict[str, Any], names: Iterable[str]) -> tuple[list[Query], list[InvalidInput]]:
    """Return the query for each of these object types that it can be asked of, and why it cannot of the others."""
    found, refused = [], []
    for name in names:
        try:
            found.append(parse(tree, actor, name))
        except InvalidInput as error:
            refused.append(error)
    return found, refused


def _can_order(actor: Membership, query: Query, order: Order) -> bool:
    try:
        sort_by(actor, query, order)
    except InvalidInput:
        return False
    return True


def _search_limit(request: HttpRequest) -> int:
    limit = request.json.get("_limit")
    if limit is None:
        return 100
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInput(fields={"_limit": "Input should be a whole number, 0 or more"})
    if limit > MAX_SEARCH:
        raise InvalidInput(fields={"_limit": f"Input should be less than or equal to {MAX_SEARCH}"})
    return limit


def _search_cursor(cursor: str | None, queries: Sequence[tuple[Query, Order]]) -> tuple[int, int, str]:
    """Return how many records were given, which of the queries goes on, and the cursor within it."""
    if not cursor:
        return 0, 0, ""
    seen, _, rest = cursor.partition(":")
    name, _, inner = rest.partition(":")
    names = [query.source.object_type for query, _ in queries]
    if not seen.isdecimal() or len(seen) > 6 or name not in names or not (inner or names.index(name)):
        raise InvalidInput(fields={"cursor": "Expired cursor"})
    return int(seen), names.index(name), inner


def _rows(request: HttpRequest, source: Source, pks: Sequence[int]) -> list[dict[str, Any]]:
    """Return what was found: ids only, unless `_fields` names keys of the object type."""
    kinds = source.object_types(request.actor, pks)
    shown: dict[int, dict[str, Any]] = {}
    for kind in dict.fromkeys(kinds.values()):
        shown |= _shown(request, kind, [pk for pk in pks if kinds.get(pk) == kind])
    return [
        {"__object_type": kinds[pk], "id": ids.encode(source.id_prefix, pk), **shown.get(pk, {})}
        for pk in pks
        if pk in kinds
    ]


def _shown(request: HttpRequest, object_type: str, pks: list[int]) -> dict[int, dict[str, Any]]:
    """Return the keys of these objects that `_fields` names for their type, its kind or its family."""
    fields, wanted = request.json.get("_fields"), None
    if isinstance(fields, Mapping):
        family, _, kind = object_type.partition(".")
        wanted = fields.get(object_type) or fields.get(kind) or fields.get(family)
    names = ",".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted or "")
    request.fields_searched, keys = names.split(","), keys_named(names)
    render = renderer_of(object_type)
    if not names or render is None:
        return {}
    return {pk: picked(row, keys) for pk, row in render(request, pks, keys).items()}
