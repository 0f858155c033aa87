"""The one statement behind a number: records grouped by bucket of time, member or choice.

A bucket is found by bisection among boundaries that were made in the chosen zone: an hour more or less at a change to
summer time moves a boundary, never a rule. The search that lists the records has the same boundaries.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import OperationalError, connection, transaction

from crm.errors import TooMuch
from crm.models import Membership
from crm.refusals import in_words
from leads.search.language import CustomValue
from leads.search.sources import Column
from leads.search.sql import Sql, both, fill, one_of
from reporting import kept
from reporting.metrics.aggregates import COUNT, Aggregate, Packed, SqliteMedian
from reporting.metrics.kinds import Measure
from reporting.metrics.selections import Place

Groups = dict[tuple[Any, ...], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Dimension:
    """What records are grouped by: a bucket of time (`bounds`), or what a column or field holds (`place`).

    `only`: these row ids alone, for a field that may hold several.
    """

    place: Place | None = None
    bounds: tuple[datetime, ...] = ()
    only: tuple[int, ...] = ()


def grouped(actor: Membership, measure: Measure, zone: ZoneInfo, dimensions: Sequence[Dimension]) -> Groups:
    """Return, for each combination of the dimensions that has records, the aggregate's columns. One statement.

    A bucket's number is that of the boundary it starts at; times outside of all boundaries are left out by the caller's
    selection. A record whose field holds several values is in several groups. Days that are kept are not counted again.
    """
    by_index = _by_index(actor, measure, zone, [row.place for row in dimensions if not row.bounds])
    found = None if by_index and _few(measure) else _kept(actor, measure, zone, dimensions)
    if isinstance(found, dict):
        return _of_kept(_unpacked(found, measure), measure, dimensions, zone)
    with kept.timed(found):
        if by_index:
            return _days_to_buckets(_counted(actor, measure, zone, dimensions, stored=True), dimensions, zone)
        return _counted(actor, measure, zone, dimensions, stored=False)


def keep(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place], *, known: bool = False) -> None:
    """Keep the past days of a number, grouped by these places, if it takes long to count without.

    `known`: only bring up to date what is kept.
    """

    def slow() -> bool:
        start, by_index = time.monotonic(), _by_index(actor, measure, zone, places)
        _counted(actor, measure, zone, [Dimension(place=place) for place in places], stored=by_index)
        return (time.monotonic() - start) * 1000 > kept.KEEP_AFTER_MS

    kept.fill(actor, measure, zone, places, _fresh(actor, zone), (lambda: False) if known else slow)


def _few(measure: Measure) -> bool:
    """Return whether an index is as fast as what is kept of these days."""
    days = measure.selection.days
    return days is not None and (days.end - days.start).days < kept.MOST_AT_ONCE


def _by_index(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place | None]) -> bool:
    """Return whether the index that has the day and the author answers alone."""
    author = measure.selection.source.column("created_by")
    return (
        measure.aggregate is COUNT
        and all(place == author for place in places)
        and measure.selection.has_stored_day(actor, zone)
    )


def grouped_each(
    actor: Membership, asked: Sequence[tuple[Measure, Sequence[Dimension]]], zone: ZoneInfo
) -> list[Groups]:
    """Return the groups of each pair. They have the same places, and the days of the first hold those of the others.

    What is kept of days is read once for all of them. A bucket numbered 0 is before the first boundary.
    """
    (measure, dimensions), *_ = asked
    if not measure.aggregate.folds and isinstance(found := _kept(actor, measure, zone, dimensions), dict):
        found = _unpacked(found, measure)
        return [_of_kept(found, measure, dimensions, zone) for _, dimensions in asked]
    return [grouped(actor, measure, zone, dimensions) for measure, dimensions in asked]


def _kept(
    actor: Membership, measure: Measure, zone: ZoneInfo, dimensions: Sequence[Dimension]
) -> kept.ByDay | kept.Later | None:
    if any(row.only for row in dimensions):
        return None
    places = [row.place for row in dimensions if row.place is not None]
    return kept.by_day(actor, measure, zone, places, _fresh(actor, zone))


def _fresh(actor: Membership, zone: ZoneInfo) -> kept.Count:
    return lambda measure, places: _by_day(actor, measure, zone, places)


def _unpacked(found: kept.ByDay, measure: Measure) -> kept.ByDay:
    """Return the cells ready to be put together, which are read once for all that is made of them."""
    daily = measure.aggregate.daily
    if not isinstance(daily, Packed):
        return found
    return {day: [(holds, daily.unpacked(columns[0])) for holds, columns in cells] for day, cells in found.items()}


def _of_kept(found: kept.ByDay, measure: Measure, dimensions: Sequence[Dimension], zone: ZoneInfo) -> Groups:
    """Return the groups of kept days; a day's place among the boundaries is looked up once for all its cells."""
    firsts = next((_first_days(row, zone) for row in dimensions if row.bounds), [])
    at = next((place for place, row in enumerate(dimensions) if row.bounds), None)
    groups: Groups = {}
    for day, cells in found.items():
        bucket = (bisect_right(firsts, day),)
        for holds, columns in cells:
            key = holds if at is None else holds[:at] + bucket + holds[at:]
            if key in groups:
                groups[key].append(columns)
            else:
                groups[key] = [columns]
    daily = measure.aggregate.daily
    return {key: [daily.whole(rows)] for key, rows in groups.items()} if isinstance(daily, Packed) else groups


def _first_days(dimension: Dimension, zone: ZoneInfo) -> list[date]:
    return [bound.astimezone(zone).date() for bound in dimension.bounds]


def _by_day(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place]) -> kept.ByDay:
    """Return the groups of each stored day, counted afresh."""
    day = Dimension(bounds=(datetime.max.replace(tzinfo=UTC),))
    found: kept.ByDay = {}
    groups = _counted(actor, measure, zone, [day, *(Dimension(place=place) for place in places)], stored=True)
    packed = measure.aggregate.packed if isinstance(measure.aggregate, Packed) else tuple[Any, ...]
    for (day_of, *holds), rows in groups.items():
        found.setdefault(_day(day_of), []).extend((tuple(holds), packed(row)) for row in rows)
    return found


def _counted(
    actor: Membership, measure: Measure, zone: ZoneInfo, dimensions: Sequence[Dimension], *, stored: bool
) -> Groups:
    """Return what one statement counts. `stored`: by the stored day, in place of a bucket."""
    selection = measure.selection
    keys: list[Sql] = []
    joins: list[Sql] = []
    more: list[Sql] = []
    for number, dimension in enumerate(dimensions):
        if dimension.bounds:
            keys.append(Sql("r.created_on") if stored else _bucket(f"r.{selection.when}", dimension.bounds))
        elif isinstance(dimension.place, CustomValue):
            alias = f"g{number}"
            joins.append(
                Sql(
                    f"LEFT JOIN value_ref {alias} ON {alias}.field_id = %s AND {alias}.lead_id = {selection.lead} "
                    f"AND {alias}.record_key = r.id",
                    (dimension.place.field.id,),
                )
            )
            keys.append(Sql(f"{alias}.v"))
            if dimension.only:
                more.append(one_of(f"{alias}.v", dimension.only))
        elif isinstance(dimension.place, Column):
            keys.append(Sql(dimension.place.sql.replace("{row}", "r")))
    amount = measure.amount
    if amount is not None:
        joins.insert(0, amount.join(selection.lead))
    expression = amount.expression if amount else None
    columns = measure.aggregate.columns(selection.lead, expression)
    where = both([selection.where(actor, zone, by_stored_day=stored), *more])
    joined = fill(" ".join(["{}"] * len(joins)), *joins) if joins else Sql("")
    places = [str(place + 1) for place in range(len(keys))]
    group = f" GROUP BY {', '.join(places)}" if keys else ""
    body = f"FROM {selection.source.table} r {{}} WHERE {{}}"
    if (each := measure.aggregate.each(selection.lead, expression)) is not None:
        named = [fill(f"{{}} AS k{place}", key) for place, key in enumerate(keys)]
        inner = _listed([*named, fill("{} AS x", each), *([Sql("COUNT(*) AS n")] if measure.aggregate.counts else [])])
        by = ", ".join(map(str, range(1, len(keys) + 2)))
        outer = "".join(f"k{place}, " for place in range(len(keys)))
        statement = fill(
            f"SELECT {outer}{{}} FROM (SELECT {{}} {body} GROUP BY {by}) d{group}",
            _listed(columns),
            inner,
            joined,
            where,
        )
    else:
        statement = fill(f"SELECT {{}} {body}{group}", _listed([*keys, *columns]), joined, where)
    found: Groups = {}
    for row in _rows(statement):
        found.setdefault(tuple(row[: len(keys)]), []).append(tuple(row[len(keys) :]))
    return found


def _days_to_buckets(found: Groups, dimensions: Sequence[Dimension], zone: ZoneInfo) -> Groups:
    """Return groups by stored day as groups by bucket; what they counted stays apart, to be folded."""
    days = [_first_days(row, zone) for row in dimensions]
    bucketed: Groups = {}
    for key, rows in found.items():
        place = tuple(
            bisect_right(firsts, _day(part)) if firsts else part for firsts, part in zip(days, key, strict=True)
        )
        bucketed.setdefault(place, []).extend(rows)
    return bucketed


def _day(stored: Any) -> date:
    return date.fromisoformat(stored) if isinstance(stored, str) else stored


def _listed(parts: Sequence[Sql]) -> Sql:
    return fill(", ".join(["{}"] * len(parts)), *parts)


def _bucket(column: str, bounds: Sequence[datetime]) -> Sql:
    """Return the number of the boundary that a moment comes after: 1 for the first."""
    if connection.vendor == "postgresql":
        return Sql(f"width_bucket({column}, %s::timestamptz[])", ([bound.astimezone(UTC) for bound in bounds],))
    stored = json.dumps([str(connection.ops.adapt_datetimefield_value(bound.astimezone(UTC))) for bound in bounds])
    return Sql(f"touchpoint_bucket({column}, %s)", (stored,))


@lru_cache(maxsize=32)
def _stored_bounds(text: str) -> list[str]:
    return json.loads(text)


def _sqlite_bucket(moment: str | None, bounds: str) -> int | None:
    return None if moment is None else bisect_right(_stored_bounds(bounds), moment)


def value_of(aggregate: Aggregate, rows: Sequence[tuple[Any, ...]]) -> Decimal | None:
    return aggregate.value(rows) if rows else aggregate.empty


def _rows(statement: Sql) -> list[Any]:
    with _limited(), connection.cursor() as cursor:
        cursor.execute(statement.text, statement.params)
        return cursor.fetchall()


@contextmanager
def _limited() -> Iterator[None]:
    """A statement inside is stopped after `SEARCH_STATEMENT_TIMEOUT_MS`; raises `TooMuch` then. It has memory to hash in."""
    milliseconds = int(settings.SEARCH_STATEMENT_TIMEOUT_MS)
    try:
        if connection.vendor == "postgresql":
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', '64MB', true)",
                    [str(milliseconds)],
                )
                yield
                if len(connection.savepoint_ids) > 0:
                    cursor.execute("SET LOCAL statement_timeout TO DEFAULT; SET LOCAL work_mem TO DEFAULT")
            return
        connection.ensure_connection()
        raw = connection.connection
        raw.create_function("touchpoint_bucket", 2, _sqlite_bucket, deterministic=True)
        raw.create_aggregate("touchpoint_median", 1, SqliteMedian)
        end = time.monotonic() + milliseconds / 1000
        raw.set_progress_handler(lambda: int(time.monotonic() > end), 50_000)
        try:
            yield
        finally:
            raw.set_progress_handler(None, 0)
    except OperationalError as error:
        refused = in_words(error)
        if refused is None:
            raise
        if isinstance(refused, TooMuch):
            refused = TooMuch("This number takes too long to count. Choose a shorter range, or filter it.")
        raise refused from error
