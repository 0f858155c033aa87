"""Activity Comparison: members or teams side by side."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.errors import InvalidInput, TooMuch
from crm.htmx import render_page
from crm.permissions import Perm
from reporting import filling, services
from reporting.models import Report
from reporting.queries import (
    Comparison,
    Filters,
    Tuned,
    comparison,
    filters_from,
    plain,
    tuned,
)
from reporting.queries.comparison import Row
from reporting.queries.overview import change_of
from reporting.spreadsheets import csv_of
from reporting.views.shown import (
    Cell,
    Choice,
    Links,
    change_text,
    days_text,
    given_of,
    number_text,
    query_of,
    read_filters,
    report_shown,
    tiles_lost,
    tiles_shown,
    toolbar,
)


@dataclass(frozen=True)
class Column:
    """A metric of the table. `sort_url` sorts by it, `aria_sort` says how it is sorted now; `left` and `right` are the
    order of all columns once it changed places with its neighbour, "" at the edge."""

    asked: Tuned
    tile_id: str
    sort_url: str
    aria_sort: str
    left: str = ""
    right: str = ""


@dataclass(frozen=True)
class Pair:
    """A number and, when asked for, that of the previous period."""

    now: Cell
    before: Cell | None = None
    change: int | None = None
    change_text: str = ""


def _chosen(request: HttpRequest, report: Report | None) -> list[tuple[str, Tuned]]:
    if report is not None:
        return [(tile.public_id, asked) for tile, asked in tiles_shown(request, report)]
    return [("", tuned(request.actor, row)) for row in services.default_tiles(request.actor, Report.Kind.COMPARISON)]


def _sorted(request: HttpRequest, rows: tuple[Row, ...], number: int) -> tuple[list[Row], str]:
    """Return the rows in the order asked for: `0` is the first metric, largest first; `-0` smallest first; else by name."""
    sort = request.GET.get("sort", "")
    bare = sort.removeprefix("-")
    if bare.isdigit() and int(bare) < number:
        # Rows without a number come last, whichever way.
        index, up = int(bare), sort.startswith("-")
        key = lambda row: (row.cells[index] is None, (row.cells[index] or Decimal(0)) * (1 if up else -1))  # noqa: E731
        return sorted(rows, key=key), sort
    if sort == "-name":
        return list(rows)[::-1], sort
    return list(rows), "name"


def _table(
    request: HttpRequest, report: Report | None, given: dict[str, Any], filters: Filters
) -> tuple[list, Comparison]:
    chosen = _chosen(request, report)
    with filling.watched(request.actor, [each.asked for _, each in chosen], filters, Report.Kind.COMPARISON):
        table = comparison(
            request.actor,
            [asked.metric for _, asked in chosen],
            filters,
            hide_zero=bool(given.get("hide_zero")),
            teams=given.get("rows") == "teams",
            previous=bool(given.get("compare")),
        )
    return chosen, table


@member_page()
@require_GET
def comparison_page(request: HttpRequest) -> HttpResponse:
    report = report_shown(request, Report.Kind.COMPARISON)
    given = given_of(request, report)
    filters, error = read_filters(request, given)
    period = (filters or filters_from(request.actor, {})).period
    shown: dict[str, Any] = {"columns": [], "lines": [], "totals": []}
    if filters is not None:
        try:
            shown = _shown(request, report, given, filters)
        except (InvalidInput, TooMuch) as refused:
            error = refused.message
    context = {
        **toolbar(request, Report.Kind.COMPARISON, report, given, period),
        **shown,
        "by_teams": given.get("rows") == "teams",
        "compare": bool(given.get("compare")),
        "hide_zero": bool(given.get("hide_zero")),
        "rows_of": [Choice("", "Members", given.get("rows") != "teams"), Choice("teams", "Teams", given.get("rows") == "teams")],
        "lost": tiles_lost(request, report),
        "days": days_text(period.start, period.end),
        "previous_days": days_text(period.previous.start, period.previous.end),
        "error": error,
    }  # fmt: skip
    return render_page(request, "reporting/comparison.html", context, status=422 if error else 200)


def _shown(request: HttpRequest, report: Report | None, given: dict[str, Any], filters: Filters) -> dict[str, Any]:
    chosen, table = _table(request, report, given, filters)
    rows, sort = _sorted(request, table.rows, len(chosen))
    links = [Links(request, asked, given, filters.period) for _, asked in chosen]
    columns = []
    for index, (tile_id, asked) in enumerate(chosen):
        descending, ascending = sort == str(index), sort == f"-{index}"
        url = f"?{query_of(given, report, sort=f'-{index}' if descending else str(index))}"
        sorted_now = "descending" if descending else "ascending" if ascending else ""
        order = [each for each, _ in chosen]
        columns.append(Column(asked, tile_id, url, sorted_now, _swapped(order, index - 1), _swapped(order, index)))
    lines = []
    for row in rows:
        pairs = [
            _pair(asked, links[i], row.cells[i], row.previous[i] if row.previous else None, row.users, table.largest[i])
            for i, (_, asked) in enumerate(chosen)
        ]
        lines.append((row, pairs))
    previous = table.previous_totals
    totals = [
        _pair(asked, links[i], table.totals[i], previous[i] if previous else None, None, Decimal(0))
        for i, (_, asked) in enumerate(chosen)
    ]
    return {
        "columns": columns, "lines": lines, "totals": totals, "name_sort": sort,
        "name_url": f"?{query_of(given, report, sort='-name' if sort == 'name' else 'name')}",
    }  # fmt: skip


def _swapped(order: list[str], index: int) -> str:
    """Return the ids with those at `index` and after it changed, as one value; "" where one of them is not there."""
    if not 0 <= index < len(order) - 1:
        return ""
    return ",".join([*order[:index], order[index + 1], order[index], *order[index + 2 :]])


def _pair(
    asked: Tuned, links: Links, now: Decimal | None, before: Decimal | None, users: list[str] | None, largest: Decimal
) -> Pair:
    metric = asked.metric
    share = int(min((now or Decimal(0)) / largest * 100, Decimal(100))) if largest else 0
    cell = Cell(number_text(now, metric.unit), links.whole(users=users), "" if now is None else str(plain(now)), share)
    if before is None:
        return Pair(cell)
    change = change_of(metric, now, before)
    words = "" if change is None else change_text(change, metric.unit)
    return Pair(cell, Cell(number_text(before, metric.unit), links.before(users=users)), change, words)


@member_page(Perm.EXPORT)
@require_GET
def comparison_csv(request: HttpRequest) -> HttpResponse:
    report = report_shown(request, Report.Kind.COMPARISON)
    given = given_of(request, report)
    filters, error = read_filters(request, given)
    if filters is None:
        raise InvalidInput(error)
    chosen, table = _table(request, report, given, filters)
    rows, _ = _sorted(request, table.rows, len(chosen))
    with_previous = bool(given.get("compare"))
    header = ["team"] if given.get("rows") == "teams" else ["member", "email"]
    width = len(header)
    for _, asked in chosen:
        header += [asked.written, f"{asked.written} (before)"] if with_previous else [asked.written]
    lines = []
    for row in rows:
        first = [row.name, row.member.user.email] if row.member else [row.name]
        lines.append([*first, *_numbers(row.cells, row.previous)])
    lines.append(["Total", *[""] * (width - 1), *_numbers(table.totals, table.previous_totals)])
    return csv_of(header, lines, "activity-comparison.csv")


def _numbers(now: tuple[Decimal | None, ...], before: tuple[Decimal | None, ...]) -> list[Any]:
    if not before:
        return [plain(value) for value in now]
    return [plain(value) for pair in zip(now, before, strict=True) for value in pair]
