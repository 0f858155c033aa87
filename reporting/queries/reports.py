"""Which reports a member may see, and the API's report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from crm import ids
from crm.errors import InvalidInput, NotFound
from crm.models import Membership
from crm.permissions import Perm, has
from reporting.metrics import Metric, MetricCatalogue, metric_for
from reporting.models import Report, Tile
from reporting.periods import Period
from reporting.queries.asked import Asked, Filters, Tuned, tuned
from reporting.queries.comparison import comparison
from reporting.queries.overview import series


def reports_for(actor: Membership, kind: str) -> list[Report]:
    """Return the actor's own and the shared reports of a kind, own first, each by name."""
    rows = Report.objects.filter(Q(owner=actor.user_id) | Q(shared=True), kind=kind).order_by("name", "pk")
    return sorted(rows, key=lambda row: row.owner_id != actor.user_id)


def report_for(actor: Membership, public_id: str) -> Report:
    """Return a report the actor may see; raises `NotFound`."""
    rows = Report.objects.filter(Q(owner=actor.user_id) | Q(shared=True), pk=ids.decode("report", public_id))
    if (found := rows.first()) is None:
        raise NotFound("There is no such report.")
    return found


def may_change(actor: Membership, report: Report) -> bool:
    """Return whether the actor may change a report they see: their own, or a shared one with *manage team reports*."""
    return report.owner_id == actor.user_id or bool(has(actor, Perm.MANAGE_TEAM_REPORTS))


def tiles_of(report: Report) -> list[Tile]:
    return list(report.tiles.order_by("position", "pk"))


def asked_of(tile: Tile) -> Asked:
    return Asked.read(tile.metric, tile.name, tile.options)


def visible_tiles(actor: Membership, tiles: Sequence[Tile]) -> list[tuple[Tile, Tuned]]:
    """Return the tiles that exist for the actor. One about what they may not see is left out, without a hint."""
    known, found = MetricCatalogue(actor), []
    for tile in tiles:
        try:
            found.append((tile, tuned(actor, asked_of(tile), known)))
        except (InvalidInput, NotFound):
            continue
    return found


def filters_of(
    actor: Membership,
    start: datetime,
    end: datetime,
    users: Sequence[int] = (),
    zone: Any = None,
    view: Mapping[str, Any] | None = None,
) -> Filters:
    """Return the filters of the days that aware moments fall on in `zone`, both included."""
    zone = zone or actor.zone
    last = (end - timedelta(microseconds=1)).astimezone(zone).date()
    first = start.astimezone(zone).date()
    return Filters(Period(first, max(last, first), zone, actor.organization.week_starts_on), tuple(users), view)


def activity_report(actor: Membership, kind: str, metrics: Sequence[str], filters: Filters) -> dict[str, Any]:
    """Return the API's report (`spec/api.md` 2.19): totals, and rows per bucket (overview) or per member (comparison).

    Averages and sums are numbers, counts integers. Raises `InvalidInput` for an unknown metric or kind.
    """
    if kind not in Report.Kind.values:
        raise InvalidInput(fields={"type": f"“{kind}” is not a report. Use overview or comparison."})
    known = MetricCatalogue(actor)
    chosen = [metric_for(actor, key, known) for key in metrics]
    zone = filters.period.zone
    if kind == Report.Kind.COMPARISON:
        table = comparison(actor, chosen, filters)
        data = [{"user_id": row.public_id, **_numbers(chosen, row.cells)} for row in table.rows]
        return {"aggregations": {"totals": _numbers(chosen, table.totals)}, "data": data, "queries": {}}
    found = [series(actor, metric, filters) for metric in chosen]
    moment: Callable[[date], str] = lambda day: datetime.combine(day, datetime.min.time(), zone).isoformat()  # noqa: E731
    data = [
        {"datetime": moment(bars[0].start), **_numbers(chosen, [bar.value for bar in bars])}
        for bars in zip(*(one.bars for one in found), strict=True)
    ]
    totals = _numbers(chosen, [one.total for one in found])
    return {"aggregations": {"totals": totals}, "data": data, "queries": {}}


def _numbers(metrics: Sequence[Metric], values: Sequence[Decimal | None]) -> dict[str, int | float | None]:
    return {metric.key: plain(value) for metric, value in zip(metrics, values, strict=True)}


def plain(value: Decimal | None) -> int | float | None:
    """Return a number as JSON has it: whole numbers as integers."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)
