"""Activity Overview: the grid, and each tile by itself."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.errors import InvalidInput, NotFound, TooMuch
from crm.htmx import render_page
from crm.permissions import Perm
from reporting import filling, services
from reporting.goals import progress
from reporting.metrics.aggregates import LEADS
from reporting.metrics.kinds import Measured
from reporting.models import Report
from reporting.queries import Series, Tuned, filters_from, plain, tile_series, tuned
from reporting.queries.asked import WIDTHS, Filters
from reporting.queries.overview import Line
from reporting.spreadsheets import csv_of
from reporting.views.shown import (
    Cell,
    Links,
    bucket_label,
    change_text,
    days_text,
    given_of,
    holds_id,
    is_all_time,
    number_text,
    query_of,
    read_filters,
    report_shown,
    tile_of,
    tile_query,
    tiles_lost,
    tiles_shown,
    toolbar,
)

MOST_CROSSING = 4  # lines that one can still follow with the eye
LEAST_BARS = 12  # of all time


@dataclass(frozen=True)
class TileFrame:
    """A place on the grid; its content loads by itself. `tile_id` is empty on the default report."""

    asked: Tuned
    label: str
    tile_id: str
    width: str
    url: str
    csv_url: str
    number: int

    @property
    def color(self) -> str:
        return self.asked.metric.color


def frames_of(request: HttpRequest, report: Report | None, given: dict[str, Any]) -> list[TileFrame]:
    """Return the tiles of a report (the default one without) that exist for the actor."""
    pairs: list[tuple[str, int, Tuned]] = []
    if report is not None:
        pairs = [(tile.public_id, tile.width, asked) for tile, asked in tiles_shown(request, report)]
    else:
        defaults = services.default_tiles(request.actor, Report.Kind.OVERVIEW)
        pairs = [("", 1, tuned(request.actor, asked)) for asked in defaults]
    slug, frames = request.organization.slug, []
    for number, (tile_id, width, asked) in enumerate(pairs, start=1):
        query = query_of(given, None, **tile_query(asked.asked), step=request.GET.get("step", ""), frame=str(number))
        frames.append(
            TileFrame(
                asked, asked.label, tile_id, WIDTHS[min(max(width, 1), 4) - 1],
                f"{reverse('reporting:tile', args=[slug])}?{query}",
                f"{reverse('reporting:tile_csv', args=[slug])}?{query}", number,
            )
        )  # fmt: skip
    return frames


@member_page()
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    report = report_shown(request, Report.Kind.OVERVIEW)
    given = given_of(request, report)
    filters, error = read_filters(request, given)
    period = (filters or filters_from(request.actor, {})).period
    context = {
        **toolbar(request, Report.Kind.OVERVIEW, report, given, period),
        "frames": frames_of(request, report, given) if filters else [],
        "lost": tiles_lost(request, report),
        "days": days_text(period.start, period.end),
        "error": error,
    }
    return render_page(request, "reporting/overview.html", context, status=422 if error else 200)


def _asked(request: HttpRequest) -> tuple[Tuned, Filters, dict[str, Any]]:
    """Return what the address of a tile asks for. Raises `InvalidInput`."""
    given = given_of(request)
    asked = tile_of(request)
    filters, error = read_filters(request, given)
    if filters is None:
        raise InvalidInput(error)
    return asked, filters, given


def _series(request: HttpRequest, asked: Tuned, filters: Filters) -> Series:
    with filling.watched(request.actor, [asked.asked], filters, Report.Kind.OVERVIEW):
        return tile_series(request.actor, asked, filters, request.GET.get("step", ""))


@member_page()
@require_GET
def tile(request: HttpRequest) -> HttpResponse:
    """One tile's content: number, change, chart and the table behind it; or why it cannot be shown, and a retry."""
    frame = request.GET.get("frame", "")
    frame = frame if frame.isdigit() else "0"
    try:
        asked, filters, given = _asked(request)
        found = _series(request, asked, filters)
    except (InvalidInput, TooMuch, NotFound) as refused:
        context = {"frame": frame, "error": refused.message, "retry_url": request.get_full_path()}
        return render(request, "reporting/_tile_refused.html", context, status=422)
    context = {"frame": frame, **tile_context(request, asked, filters, given, found)}
    if not request.htmx:
        return render(request, "reporting/tile.html", context)
    return render_page(request, "reporting/_tile.html", context)


def tile_context(
    request: HttpRequest, asked: Tuned, filters: Filters, given: dict[str, Any], found: Series
) -> dict[str, Any]:
    """Return everything a tile shows, each number with its list."""
    period, unit = filters.period, found.metric.unit
    links = Links(request, asked, given, period)
    several = len(found.numbers) > 1
    years = period.start.year != period.end.year
    lines = [(line, holds_id(asked, line.holds)) for line in found.lines]
    rows = []
    all_time = is_all_time(given)
    skipped = _bars_before(found) if all_time else 0
    for place, bar in list(enumerate(found.bars))[skipped:]:
        label = bucket_label(bar.start, bar.end, found.step, years)
        cells = [
            _cell(line.values[place], unit, links.to(bar.start, bar.end, holds=holds)) for line, holds in lines
        ] or [_cell(bar.value, unit, links.to(bar.start, bar.end))]
        rows.append((label, days_text(bar.start, bar.end), cells))
    totals = [_cell(line.total, unit, links.whole(holds=holds)) for line, holds in lines]
    goal = progress(asked.goal, found.total, period, unit) if asked.goal else None
    kind = _chart_kind(asked, found)
    return {
        "asked": asked,
        "label": asked.label,
        "metric": found.metric,
        "series": found,
        "total": Cell(number_text(found.total, unit), links.whole()),
        "of": [Cell(number_text(n), links.whole(part=i)) for i, n in enumerate(found.numbers)] if several else [],
        "previous": Cell(number_text(found.previous, unit), links.before()),
        "previous_days": days_text(period.previous.start, period.previous.end),
        "change": "" if found.change is None else change_text(found.change, unit),
        "columns": [line.label for line, _ in lines] or [asked.label],
        "rows": rows,
        "totals": totals,
        "kind": kind,
        "tall": kind == "row" and len(found.lines) > 8,
        "unit": unit,
        "colors": _colors(found, kind),
        "goal": goal,
        "goal_text": number_text(goal.shown_target, unit) if goal else "",
        "days": days_text(period.start, period.end),
        "period": period,
        "all_time": all_time,
        "empty": not any(found.numbers) and not any(found.previous_numbers),
    }


def _bars_before(found: Series) -> int:
    """Return how many bars lie before the first record, as far as the chart keeps its least length."""
    nothing = {None, found.metric.aggregate.empty} if isinstance(found.metric, Measured) else {None}
    filled = (place for place, bar in enumerate(found.bars) if bar.value not in nothing)
    return min(next(filled, 0), max(0, len(found.bars) - LEAST_BARS))


def _cell(value: Decimal | None, unit: str, url: str) -> Cell:
    return Cell(number_text(value, unit), url, "" if value is None else str(plain(value)))


def _chart_kind(asked: Tuned, found: Series) -> str:
    """Bars for what is counted or added up, lines for averages and shares over time.

    Many lines that cannot be stacked would hide each other: those are drawn as one bar each, of the whole range.
    """
    if found.lines:
        return "stacked" if asked.stacks else "line" if len(found.lines) <= MOST_CROSSING else "row"
    return "bar" if asked.stacks or (asked.metric.aggregate is LEADS and len(found.numbers) == 1) else "line"


def _colors(found: Series, kind: str) -> str:
    """Return the colours of the series."""
    if not found.lines or kind == "row":
        return found.metric.color
    return ",".join(line.color for line in found.lines)


@member_page(Perm.EXPORT)
@require_GET
def tile_csv(request: HttpRequest) -> HttpResponse:
    """The bars of a tile as CSV: first and last day, then one column for each line."""
    asked, filters, _ = _asked(request)
    found = _series(request, asked, filters)
    lines = found.lines or (Line(None, asked.written, "", found.total, tuple(bar.value for bar in found.bars)),)
    zone = filters.period.zone.key
    rows = [
        [bar.start.isoformat(), bar.end.isoformat(), zone, *(plain(line.values[place]) for line in lines)]
        for place, bar in enumerate(found.bars)
    ]
    rows.append(["Total", "", zone, *(plain(line.total) for line in lines)])
    return csv_of(
        ["from", "to", "time zone", *(line.written for line in lines)], rows, f"{slugify(asked.written) or 'tile'}.csv"
    )
