"""Numbers of past days, kept on PostgreSQL so that a year of a busy type need not be counted again each time.

What is kept is one day of one number, as the columns its aggregate makes, in groups. Nobody has to keep it right by hand:
each write to an activity notes its day (a trigger of migration 0004), and a noted day is counted again. A day is only
kept while nobody writes to its month: writers share a lock for a type and month until they commit, keeping needs it for
itself and never waits for it. So what is kept was counted after every write that is not noted.

Only numbers that are the same for everybody who may ask for them are kept: those of members who see all leads, by days of
the organization's zone, filtered by choices and authors alone. All else is counted afresh, and so is today.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils import timezone

from crm.models import Membership
from leads.search.language import CustomValue, OneOf, Where
from reporting.metrics.aggregates import FieldAmount
from reporting.metrics.kinds import Measure
from reporting.metrics.selections import Days, Place, Selection
from reporting.models import DayNumbers

KEEP_AFTER_MS = 40
MOST_NUMBERS = 60  # of one type: the ones kept longest ago make room
LONGEST_KEY = 500
Cells = list[tuple[tuple[Any, ...], tuple[Any, ...]]]  # (what each place holds, the aggregate's columns)
ByDay = dict[date, Cells]
Count = Callable[[Measure], ByDay]


def by_day(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place], count: Count) -> ByDay | None:
    """Return the cells of each day of the measure's selection that has records; None where nothing may be kept.

    `count` counts a measure afresh. What took long to count is kept for the next time.
    """
    key = _key(actor, measure, zone, places)
    days = measure.selection.days
    if key is None or days is None:
        return None
    kind = measure.selection.types[0].id
    found = _kept(kind, key, days)
    missing = [day for day in _each(days) if day not in found]
    if missing:
        start = time.monotonic()
        fresh = count(_of(measure, missing))
        found |= {day: fresh.get(day, []) for day in missing}
        if (time.monotonic() - start) * 1000 > KEEP_AFTER_MS:
            past = [day for day in missing if day < timezone.now().astimezone(zone).date()]
            for _, month in groupby(past, key=lambda day: (day.year, day.month)):
                _keep(actor, measure, key, list(month), count)
    return {day: cells for day, cells in found.items() if cells}


def _of(measure: Measure, days: Sequence[date]) -> Measure:
    return replace(measure, selection=measure.selection.on(Days(days[0], days[-1])))


def _each(days: Days) -> Iterable[date]:
    return (days.start + timedelta(days=number) for number in range((days.end - days.start).days + 1))


# --- what may be kept -------------------------------------------------------------------------------------------------
def _key(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place]) -> str | None:
    """Return what names a number among those of its type, None when it may not be kept."""
    selection, amount = measure.selection, measure.amount
    fits = (
        connection.vendor == "postgresql"
        and measure.aggregate.folds
        and len(selection.types) == 1
        and selection.has_stored_day(actor, zone, by_choice=True)
        and (amount is None or isinstance(amount, FieldAmount))
    )
    if not fits:
        return None
    how = f"{measure.aggregate.key}{amount.field.id if isinstance(amount, FieldAmount) else ''}"
    parts = [*map(_node, selection.nodes), *(f"by {_place(selection, place)}" for place in places)]
    key = " ".join([how, *parts])
    return key if len(key) <= LONGEST_KEY else None


def _node(node: Any) -> str:
    """Return a condition as part of a key; `Selection.has_stored_day` lets no others through."""
    assert isinstance(node, Where)
    holds = f"in {sorted(node.condition.values)}" if isinstance(node.condition, OneOf) else "any"
    name = f"field {node.field.field.id}" if isinstance(node.field, CustomValue) else node.field.name
    return f"{'not ' if node.negate else ''}{name} {holds}"


def _place(selection: Selection, place: Place) -> str:
    return f"field {place.field.id}" if isinstance(place, CustomValue) else place.name


# --- reading and keeping ----------------------------------------------------------------------------------------------
def _kept(kind: int, key: str, days: Days) -> ByDay:
    """Return the kept days of a number that no write was noted for. One statement: it sees both, or neither."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT k.day, k.cells FROM reporting_daynumbers k WHERE k.type_id = %s AND k.number = %s "
            "AND k.day BETWEEN %s AND %s AND NOT EXISTS "
            "(SELECT 1 FROM reporting_changedday c WHERE c.type_id = k.type_id AND c.day = k.day)",
            [kind, key, days.start, days.end],
        )
        return {day: _read(cells) for day, cells in cursor.fetchall()}


def _keep(actor: Membership, measure: Measure, key: str, days: list[date], count: Count) -> None:
    """Count days of one month and keep them, unless somebody is writing to that month."""
    kind, first = measure.selection.types[0].id, days[0].replace(day=1)
    month = (first, (first + timedelta(days=31)).replace(day=1))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT reporting_month_free(%s, %s)", [kind, first])
        if not cursor.fetchone()[0]:
            return
        # Nobody writes now, so every write that was noted is there to be counted.
        cursor.execute(
            "DELETE FROM reporting_daynumbers k USING reporting_changedday c WHERE c.type_id = %s AND c.day >= %s "
            "AND c.day < %s AND k.type_id = c.type_id AND k.day = c.day",
            [kind, *month],
        )
        cursor.execute("DELETE FROM reporting_changedday WHERE type_id = %s AND day >= %s AND day < %s", [kind, *month])
        found = count(_of(measure, days))
        DayNumbers.unscoped.bulk_create(
            [
                DayNumbers(
                    organization=actor.organization, type_id=kind, number=key, day=day, cells=_write(found.get(day, []))
                )
                for day in days
            ],
            ignore_conflicts=True,
        )
        _make_room(cursor, kind)


def _make_room(cursor: Any, kind: int) -> None:
    cursor.execute(
        "DELETE FROM reporting_daynumbers WHERE type_id = %s AND number IN (SELECT number FROM reporting_daynumbers "
        "WHERE type_id = %s GROUP BY number ORDER BY MAX(id) DESC OFFSET %s)",
        [kind, kind, MOST_NUMBERS],
    )


def _write(cells: Cells) -> str:
    return json.dumps(cells, default=_exact, separators=(",", ":"))


def _exact(number: Any) -> list[str]:
    assert isinstance(number, Decimal)
    return [str(number)]


def _read(cells: str) -> Cells:
    return [
        (tuple(holds), tuple(Decimal(part[0]) if isinstance(part, list) else part for part in columns))
        for holds, columns in json.loads(cells)
    ]
