"""Arithmetic over metrics: tiles, comparison tables and the API's report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Min
from django.db.models.expressions import RawSQL
from django.utils import timezone

from activities.queries import visible_activities
from crm.errors import InvalidInput, NotFound
from crm.members import members_of
from crm.models import Membership
from leads.search.run import id_subquery, parse
from reporting.metrics import Metric, Part, catalogue, combine, metric_for
from reporting.models import Report
from reporting.periods import STEPS, Period, relative_period


@dataclass(frozen=True)
class Filters:
    """What a whole report is limited to. `user_ids`: empty = everybody. `lead_ids`: SQL and parameters, or None."""

    period: Period
    user_ids: tuple[int, ...] = ()
    lead_ids: tuple[str, tuple[Any, ...]] | None = None


@dataclass(frozen=True)
class Bar:
    """One bucket of a chart: its first and last day within the period, and its value (None = nothing to average)."""

    start: date
    end: date
    value: Decimal | None


@dataclass(frozen=True)
class Series:
    """A metric over a period. `change`: percent against the previous equal period, None when that was 0 or empty."""

    metric: Metric
    step: str
    total: Decimal | None
    previous: Decimal | None
    change: int | None
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Row:
    """One member's line of a comparison; `cells` in the order of the metrics."""

    member: Membership | None
    cells: tuple[Decimal | None, ...]

    @property
    def is_zero(self) -> bool:
        return not any(self.cells)


@dataclass(frozen=True)
class Comparison:
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    totals: tuple[Decimal | None, ...]
    largest: tuple[Decimal, ...]


def _parts(actor: Membership, metric: Metric, filters: Filters) -> list[Part]:
    records = records_behind(actor, metric, filters)
    return list(metric.parts(records))


def records_behind(actor: Membership, metric: Metric, filters: Filters) -> Any:
    """Return the queryset of exactly the records a number counts."""
    records = metric.records(actor, filters.period)
    if filters.user_ids:
        records = records.filter(**{f"{getattr(metric, 'who', 'created_by')}_id__in": filters.user_ids})
    if filters.lead_ids:
        sql, params = filters.lead_ids
        lead = "pk" if metric.key.startswith("leads.") else "lead_id"
        records = records.filter(**{f"{lead}__in": RawSQL(sql, params)})
    return records


def _total(actor: Membership, metric: Metric, filters: Filters, parts: Iterable[Part]) -> Decimal | None:
    """Different leads cannot be added up over days; everything else can."""
    if metric.aggregate == "leads":
        return Decimal(records_behind(actor, metric, filters).order_by().values("lead_id").distinct().count())
    return combine(metric.aggregate, parts)


def series(actor: Membership, metric: Metric, filters: Filters, step: str = "") -> Series:
    """Return a metric's total, its change, and one bar per bucket, zero buckets included. Two grouped queries."""
    period = filters.period
    step = step if step in STEPS else period.step
    parts = _parts(actor, metric, filters)
    total = _total(actor, metric, filters, parts)
    before = Filters(period.previous, filters.user_ids, filters.lead_ids)
    previous = _total(actor, metric, before, _parts(actor, metric, before))
    change = round((total - previous) / previous * 100) if previous and total is not None else None
    by_bucket: dict[date, list[Part]] = {bucket: [] for bucket in period.buckets(step)}
    for part in parts:
        by_bucket[period.bucket(part.day, step)].append(part)
    bars = tuple(Bar(*period.span(start, step), combine(metric.aggregate, found)) for start, found in by_bucket.items())
    return Series(metric, step, total, previous, change, bars)


def comparison(
    actor: Membership, metrics: Sequence[Metric], filters: Filters, *, hide_zero: bool = False
) -> Comparison:
    """Return members × metrics with a totals row. One grouped query per metric and one for the members.

    Former members have a row when they have a number. Numbers of nobody (imports without author) count in the total.
    """
    members = members_of(actor.organization, former=True)
    columns: list[dict[int | None, Decimal | None]] = []
    totals = []
    for metric in metrics:
        parts = _parts(actor, metric, filters)
        grouped: dict[int | None, list[Part]] = {}
        for part in parts:
            grouped.setdefault(part.user_id, []).append(part)
        columns.append({user: combine(metric.aggregate, found) for user, found in grouped.items()})
        totals.append(_total(actor, metric, filters, parts))
    rows = []
    for member in members:
        if filters.user_ids and member.user_id not in filters.user_ids:
            continue
        row = Row(member, tuple(column.get(member.user_id, Decimal(0)) for column in columns))
        if row.is_zero and (hide_zero or member.removed_at is not None):
            continue
        rows.append(row)
    largest = tuple(
        max((row.cells[index] or Decimal(0) for row in rows), default=Decimal(0)) for index in range(len(metrics))
    )
    return Comparison(tuple(metrics), tuple(rows), tuple(totals), largest)


def period_from(actor: Membership, given: Any, *, zone: ZoneInfo | None = None) -> Period:
    """Return the period a query string or JSON body asks for: `start` and `end` days, or a `range` name."""
    zone = zone or actor.zone
    week_start = actor.organization.week_starts_on
    if given.get("start") or given.get("end"):
        return Period(_day("start", given.get("start")), _day("end", given.get("end")), zone, week_start)
    name = given.get("range") or "last-30-days"
    today = timezone.now().astimezone(zone).date()
    first = None
    if name == "all-time":
        oldest = visible_activities(actor).aggregate(oldest=Min("date_created"))["oldest"]
        first = oldest.astimezone(zone).date() if oldest else today
    return relative_period(name, today, zone, week_start, first)


def _day(name: str, text: Any) -> date:
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        raise InvalidInput(fields={name: f"“{text or ''}” is not a date. Write it as 2026-01-31."}) from None


def drill_down_url(
    base: str, leads_base: str, metric: Metric, start: date, end: date, zone: ZoneInfo, user: str = ""
) -> str:
    """Return the address of the list of exactly the records behind a number."""
    given = metric.drill_down()
    address = leads_base if given.pop("list", "") == "leads" else base
    given |= {"from": start.isoformat(), "to": end.isoformat(), "zone": zone.key}
    if user:
        given["user"] = user
    return f"{address}?{urlencode(given)}"


def reports_for(actor: Membership, kind: str) -> list[Report]:
    """Return the actor's own and the shared reports of a kind, own first, with their tiles."""
    rows = Report.objects.filter(kind=kind).prefetch_related("tiles")
    mine = [row for row in rows if row.owner_id == actor.user_id]
    return mine + [row for row in rows if row.shared and row.owner_id != actor.user_id]


def report_for(actor: Membership, public_id: str) -> Report:
    """Return a report the actor may see; raises `NotFound`."""
    for kind in Report.Kind.values:
        for report in reports_for(actor, kind):
            if report.public_id == public_id:
                return report
    raise NotFound("There is no such report.")


def activity_report(
    actor: Membership,
    kind: str,
    metrics: Sequence[str],
    start: datetime,
    end: datetime,
    users: Sequence[int] = (),
    zone: Any = None,
    view: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the API's report (`spec/api.md` 2.19): totals, and rows per bucket (overview) or per member (comparison).

    `start` and `end` are aware; the days they fall on in `zone` are included. Averages and sums are numbers, counts
    integers. Raises `InvalidInput` for an unknown metric or kind.
    """
    if kind not in Report.Kind.values:
        raise InvalidInput(fields={"type": f"“{kind}” is not a report. Use overview or comparison."})
    known = catalogue(actor)
    chosen = [metric_for(actor, key, known) for key in metrics]
    zone = zone or actor.zone
    last = (end - timedelta(microseconds=1)).astimezone(zone).date()
    period = Period(start.astimezone(zone).date(), max(last, start.astimezone(zone).date()), zone)
    filters = Filters(period, tuple(users), lead_filter(actor, view))
    if kind == Report.Kind.COMPARISON:
        table = comparison(actor, chosen, filters)
        data = [
            {"user_id": row.member.user.public_id, **_numbers(chosen, row.cells)} for row in table.rows if row.member
        ]
        return {"aggregations": {"totals": _numbers(chosen, table.totals)}, "data": data, "queries": {}}
    found = [series(actor, metric, filters) for metric in chosen]
    moment: Callable[[date], str] = lambda day: datetime.combine(day, datetime.min.time(), zone).isoformat()  # noqa: E731
    data = [
        {"datetime": moment(bars[0].start), **_numbers(chosen, [bar.value for bar in bars])}
        for bars in zip(*(one.bars for one in found), strict=True)
    ]
    totals = _numbers(chosen, [one.total for one in found])
    return {"aggregations": {"totals": totals}, "data": data, "queries": {}}


def lead_filter(actor: Membership, tree: dict[str, Any] | None) -> tuple[str, tuple[Any, ...]] | None:
    """Return SQL that selects the lead ids of a search tree, validated as the actor; None without a tree."""
    if not tree:
        return None
    sql, params = id_subquery(actor, parse(tree, actor), "lead")
    return sql, tuple(params)


def _numbers(metrics: Sequence[Metric], values: Sequence[Decimal | None]) -> dict[str, int | float | None]:
    return {metric.key: plain(value) for metric, value in zip(metrics, values, strict=True)}


def plain(value: Decimal | None) -> int | float | None:
    """Return a number as JSON has it: whole numbers as integers."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)
