"""REST doors to reports: the catalogue of metrics, Activity Overview and Activity Comparison."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from crm.api import Body, moment, shows, user_numbers
from crm.errors import InvalidInput, NotFound
from leads.queries import smart_view_for
from leads.search.legacy import read
from reporting import filling
from reporting.metrics import catalogue, metric_for
from reporting.metrics.catalogue import NOT_KEPT
from reporting.periods import check_year
from reporting.queries import Asked, activity_report, filters_of, period_from, status_report
from reporting.spreadsheets import csv_of

router = Router(tags=["Reports"])
METRIC = "custom_activities.created.actitype_1h….count"


class RangeBody(Body):
    start: str
    end: str


class ReportBody(Body):
    type: str
    metrics: list[str]
    datetime_range: RangeBody | None = None
    relative_range: str | None = None
    users: list[str] | None = None
    query: dict[str, Any] | None = None


@router.get("/report/activity/metrics/", summary="List metrics", openapi_extra=shows(
    {"data": [{"id": METRIC, "key": METRIC, "label": "Qualification Call, created", "unit": None}], "has_more": False}))  # fmt: skip
def list_metrics(request: HttpRequest) -> Any:
    """Every metric you may see: those of custom activities, one family per type, and of built-in kinds.

    Opened emails, sequences, linked replies and opportunities are not kept here: always 0.

    Three more take parameters: `conversion.<type>.<type>.<days>`, `days_between.<type>.<type>.<days>` and
    `ratio(<key>,<key>)`."""
    found = [*catalogue(request.actor).values(), *(metric_for(request.actor, key) for key in NOT_KEPT)]
    rows = [{"id": row.key, "key": row.key, "label": row.written, "unit": row.unit or None} for row in found]
    return {"data": rows, "has_more": False}


@router.post("/report/activity/", summary="Activity Overview or Comparison", openapi_extra=shows(
    {"aggregations": {"totals": {METRIC: 3}}, "data": [{"datetime": "2026-05-10T00:00:00+00:00", METRIC: 3}], "queries": {}},
    sends={"type": "overview", "metrics": [METRIC], "relative_range": "this-month"}))  # fmt: skip
def report(request: HttpRequest, body: ReportBody) -> Any:
    """`type`: `overview` (rows per period) or `comparison` (rows per member). Give `datetime_range` or `relative_range`.

    With `Accept: text/csv` the rows come as CSV. `X-TZ-Offset` sets where days begin.
    """
    if (body.datetime_range is None) == (body.relative_range is None):
        raise InvalidInput(fields={"datetime_range": "Give either datetime_range or relative_range."})
    if not body.metrics:
        raise InvalidInput(fields={"metrics": "Name at least one metric. GET /report/activity/metrics/ lists them."})
    if body.datetime_range is not None:
        start = _known_year(request, body.datetime_range.start, "datetime_range.start")
        end = _known_year(request, body.datetime_range.end, "datetime_range.end")
        if end <= start:
            end = _a_day_on(start, request.zone) or start
    else:
        start, end = period_from(request.actor, {"range": body.relative_range}, zone=request.zone).moments
    users = sorted(user_numbers(body.users or []))
    if body.users and not users:
        users = [0]  # ids of nobody: nothing counts, rather than everything
    tree = _lead_tree(request, body.query)
    filters = filters_of(request.actor, start, end, users, request.zone, tree)
    with filling.watched(request.actor, [Asked(key) for key in body.metrics], filters, body.type):
        found = activity_report(request.actor, body.type, body.metrics, filters)
    if "text/csv" in request.headers.get("Accept", ""):
        return _csv(found, body.type, body.metrics)
    return found


@router.get("/report/statuses/lead/{organization_id}/", summary="How leads moved between statuses", openapi_extra=shows(
    {"status_overview": [{"status_id": "stat_…", "status_label": "Potential", "started": 4, "ended": 6, "change": 2, "entered": 3}],
     "status_transitions": [{"from_status_label": "Potential", "to_status_label": "Customer", "count": 1}], "status_transitions_summary": []},
    query={"date_start": "a day or moment; without it nothing is compared", "date_end": "a day or moment",
           "query": "of these leads, in Close's text language", "smart_view_id": "of the leads of a Smart View"}))  # fmt: skip
def lead_statuses(request: HttpRequest, organization_id: str) -> Any:
    """`entered` and `left` count leads; `status_transitions` count changes, the summary leads from the start to the end.

    A day means its start as `date_start` and its end as `date_end`."""
    if organization_id != request.organization.public_id:
        raise NotFound("There is no such organization.")
    text, view_id = request.GET.get("query", "").strip(), request.GET.get("smart_view_id")
    if text and view_id:
        raise InvalidInput(fields={"query": "Give either query or smart_view_id."})
    tree = smart_view_for(request.actor, view_id).query if view_id else None
    if text:
        tree = read(text, request.actor, request.zone).tree
    start, end = (_edge(request, name) for name in ("date_start", "date_end"))
    return status_report(request.actor, start, end, tree)


def _edge(request: HttpRequest, name: str) -> datetime | None:
    text = request.GET.get(name, "").strip()
    if not text:
        return None
    found = moment(text, name, request.zone)
    if name != "date_end" or len(text) != len("2026-01-31"):
        return found
    return _a_day_on(found, request.zone)


def _known_year(request: HttpRequest, text: str, name: str) -> datetime:
    found = moment(text, name, request.zone)
    check_year(name, found.year)
    return found


def _a_day_on(start: datetime, zone: tzinfo) -> datetime | None:
    """Return the moment a day later by the calendar, where a day has 23 or 25 hours when clocks change; None past its end."""
    try:
        return (start.astimezone(zone) + timedelta(days=1)).astimezone(UTC)
    except OverflowError:
        return None


def _lead_tree(request: HttpRequest, query: dict[str, Any] | None) -> dict[str, Any] | None:
    if not query:
        return None
    if query.get("type") == "saved_search":
        return smart_view_for(request.actor, query.get("saved_search_id") or "").query
    return query


def _csv(found: dict[str, Any], kind: str, metrics: list[str]) -> HttpResponse:
    first = "user_id" if kind == "comparison" else "datetime"
    return csv_of([first, *metrics], ([row[first], *(row[key] for key in metrics)] for row in found["data"]))
