"""Pages: Activity Overview and Activity Comparison."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm import ids
from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import render_page
from crm.members import members_of
from crm.permissions import Perm
from reporting import queries, services
from reporting.metrics import Metric, catalogue, metric_for
from reporting.models import Report
from reporting.periods import RELATIVE_RANGES, STEPS, Period


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class TileFrame:
    """A place on the grid; its content loads by itself. `tile_id` is empty on the default report."""

    metric: Metric
    tile_id: str
    url: str


@dataclass(frozen=True)
class Cell:
    text: str
    url: str
    share: int
    raw: str


def _filters(request: HttpRequest) -> queries.Filters:
    """Read range and members from the query string. Raises `InvalidInput` naming what cannot be read."""
    users = []
    for public_id in request.GET.getlist("user"):
        if not public_id:
            continue
        number = ids.decode("user", public_id)
        if number is None:
            raise InvalidInput(f"“{public_id}” is not a member. Choose members from the list.")
        users.append(number)
    return queries.Filters(queries.period_from(request.actor, request.GET), tuple(users))


def _toolbar(request: HttpRequest, filters: queries.Filters, error: str) -> dict[str, Any]:
    given = request.GET
    name = "" if given.get("start") else given.get("range") or "last-30-days"
    step = given.get("step", "")
    metrics = catalogue(request.actor)
    return {
        "ranges": [Choice(key, label, key == name) for key, label in RELATIVE_RANGES.items()],
        "steps": [Choice("", "Automatic", step not in STEPS)] + [Choice(s, f"By {s}", s == step) for s in STEPS],
        "members": [
            Choice(row.user.public_id, row.user.full_name, row.user_id in filters.user_ids)
            for row in members_of(request.organization)
        ],
        "period": filters.period,
        "custom": bool(given.get("start")),
        "query": given.urlencode(),
        "metrics": list(metrics.values()),
        "error": error,
    }


def _read_filters(request: HttpRequest) -> tuple[queries.Filters, str]:
    """Return the filters, or the defaults with the sentence that says what was wrong."""
    try:
        return _filters(request), ""
    except InvalidInput as error:
        return queries.Filters(queries.period_from(request.actor, {})), error.message


def _chosen(request: HttpRequest, kind: str) -> list[tuple[str, Metric]]:
    """Return (tile id, metric) of the report to show. Metrics the viewer may not see are left out, without a hint."""
    known = catalogue(request.actor)
    found = queries.reports_for(request.actor, kind)
    if found:
        tiles = sorted(found[0].tiles.all(), key=lambda row: (row.position, row.pk))
        pairs = [(row.public_id, row.metric) for row in tiles]
    else:
        pairs = [("", key) for key in services.default_metrics(request.actor, kind)]
    return [(tile_id, known[key]) for tile_id, key in pairs if key in known]


@member_page()
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    filters, error = _read_filters(request)
    base = reverse("reporting:tile", args=[request.organization.slug])
    given = [(key, value) for key in request.GET for value in request.GET.getlist(key)] if not error else []
    frames = [
        TileFrame(metric, tile_id, f"{base}?{urlencode([*given, ('metric', metric.key)])}")
        for tile_id, metric in _chosen(request, Report.Kind.OVERVIEW)
    ]
    context = {"frames": frames, "kind": "overview", **_toolbar(request, filters, error)}
    return render_page(request, "reporting/overview.html", context, status=422 if error else 200)


@member_page()
@require_GET
def tile(request: HttpRequest) -> HttpResponse:
    """One tile's content: number, change, chart and the table behind it."""
    metric = metric_for(request.actor, request.GET.get("metric", ""))
    filters = _filters(request)
    found = queries.series(request.actor, metric, filters, request.GET.get("step", ""))
    period = filters.period
    rows = [
        (bucket_label(bar, found.step), _cell(request, metric, bar.value, bar.start, bar.end, period))
        for bar in found.bars
    ]
    context = {
        "metric": metric,
        "series": found,
        "total": _cell(request, metric, found.total, period.start, period.end, period),
        "previous": number_text(found.previous, metric.unit),
        "rows": rows,
        "slug_id": metric.key.replace(".", "-"),
        "period": period,
    }
    return render_page(request, "reporting/_tile.html", context)


def bucket_label(bar: queries.Bar, step: str) -> str:
    """Return a bucket's label: `24 Nov`, or `November 2026` for months."""
    return f"{bar.start:%B %Y}" if step == "month" else f"{bar.start:%-d %b}"


def number_text(value: Decimal | None, unit: str = "") -> str:
    """Return a number for people: thousands separated, two decimals at most; `–` for none. Seconds become h and min."""
    if value is None:
        return "–"
    if unit == "s":
        minutes, seconds = divmod(int(value), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    text = f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{text} {unit}".strip()


def _cell(
    request: HttpRequest, metric: Metric, value: Decimal | None, start: Any, end: Any, period: Period,
    user: str = "", largest: Decimal = Decimal(0),
) -> Cell:  # fmt: skip
    slug = request.organization.slug
    url = queries.drill_down_url(
        reverse("activities:list", args=[slug]),
        reverse("leads:list", args=[slug]),
        metric,
        start,
        end,
        period.zone,
        user,
    )
    share = int((value or 0) / largest * 100) if largest else 0
    return Cell(number_text(value, metric.unit), url, share, str(queries.plain(value) if value is not None else ""))


@member_page()
@require_GET
def comparison_page(request: HttpRequest) -> HttpResponse:
    filters, error = _read_filters(request)
    chosen = _chosen(request, Report.Kind.COMPARISON)
    metrics = [metric for _, metric in chosen]
    table = queries.comparison(request.actor, metrics, filters, hide_zero=bool(request.GET.get("hide_zero")))
    rows = list(table.rows)
    sort = request.GET.get("sort", "")
    if sort.lstrip("-").isdigit() and int(sort.lstrip("-")) < len(metrics):
        index = int(sort.lstrip("-"))
        rows.sort(key=lambda row: row.cells[index] or Decimal(0), reverse=not sort.startswith("-"))
    period = filters.period
    lines = [
        (
            row.member,
            [
                _cell(request, metric, value, period.start, period.end, period, row.member.user.public_id, largest)
                for metric, value, largest in zip(metrics, row.cells, table.largest, strict=True)
            ],
        )
        for row in rows
        if row.member
    ]
    totals = [
        _cell(request, metric, value, period.start, period.end, period)
        for metric, value in zip(metrics, table.totals, strict=True)
    ]
    context = {
        "kind": "comparison", "columns": chosen, "lines": lines, "totals": totals, "sort": sort,
        "hide_zero": bool(request.GET.get("hide_zero")), **_toolbar(request, filters, error),
    }  # fmt: skip
    return render_page(request, "reporting/comparison.html", context, status=422 if error else 200)


@member_page(Perm.EXPORT)
@require_GET
def comparison_csv(request: HttpRequest) -> HttpResponse:
    filters = _filters(request)
    metrics = [metric for _, metric in _chosen(request, Report.Kind.COMPARISON)]
    table = queries.comparison(request.actor, metrics, filters)
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="activity-comparison.csv"'},
    )
    writer = csv.writer(response)
    writer.writerow(["member", "email", *(metric.label for metric in metrics)])
    for row in table.rows:
        if row.member:
            numbers = [queries.plain(value) for value in row.cells]
            writer.writerow([row.member.user.full_name, row.member.user.email, *numbers])
    writer.writerow(["Total", "", *(queries.plain(value) for value in table.totals)])
    return response


def _kind(kind: str) -> str:
    if kind not in Report.Kind.values:
        raise Http404
    return kind


@member_page()
@require_POST
def add_tile(request: HttpRequest, kind: str) -> HttpResponse:
    report = services.report_to_change(request.actor, _kind(kind))
    services.add_tile(request.actor, report, request.POST.get("metric", ""))
    return redirect(f"reporting:{kind}", slug=request.organization.slug)


@member_page()
@require_POST
def remove_tile(request: HttpRequest, kind: str) -> HttpResponse:
    report = services.report_to_change(request.actor, _kind(kind))
    tile_id = request.POST.get("tile", "")
    if not tile_id:  # a tile of the default report, which was only just kept
        metric = request.POST.get("metric", "")
        tile_id = next((row.public_id for row in report.tiles.all() if row.metric == metric), "")
    services.remove_tile(request.actor, report, tile_id)
    return redirect(f"reporting:{kind}", slug=request.organization.slug)


@member_page()
@require_POST
def order_tiles(request: HttpRequest, kind: str) -> HttpResponse:
    report = services.report_to_change(request.actor, _kind(kind))
    services.reorder_tiles(request.actor, report, request.POST.getlist("order"))
    return HttpResponse(status=204)
