"""Numbers of past days, kept on PostgreSQL so that a year of a busy type need not be counted again each time.

What is kept is one day of one number, as the columns its aggregate makes, in groups. Nobody has to keep it right by hand:
each write to an activity notes its day (a trigger of migration 0004), and a noted day is counted again. A day is only
kept while nobody writes to its month: writers share a lock for a type and month until they commit, keeping needs it for
itself and never waits for it. So what is kept was counted after every write that is not noted.

Only numbers that are the same for everybody who may ask for them are kept: those of members who see all leads, by days of
the organization's zone, filtered by choices and authors alone. All else is counted afresh, and so is today. Counts that
one index answers alone come here for long ranges only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils import timezone

from crm.models import Membership
from leads.search.language import CustomValue, OneOf, Where
from reporting.metrics.aggregates import FieldAmount, Packed
from reporting.metrics.kinds import Measure
from reporting.metrics.selections import Days, Place, Selection
from reporting.models import DayNumbers

KEEP_AFTER_MS = 40
MOST_NUMBERS = 60  # of one type: the ones kept longest ago make room
LONGEST_KEY = 500
MOST_RUNS = 4
MOST_AT_ONCE = 62  # missing past days that one who asks waits for
MOST_CHARACTERS = 50_000  # of a day, on average: what is longer is counted afresh
KEPT = (
    "FROM reporting_daynumbers k WHERE k.type_id = %s AND k.number = %s AND k.day BETWEEN %s AND %s AND NOT EXISTS "
    "(SELECT 1 FROM reporting_changedday c WHERE c.type_id = k.type_id AND c.day = k.day)"
)
Cells = list[tuple[tuple[Any, ...], tuple[Any, ...]]]  # (what each place holds, the aggregate's columns)
ByDay = dict[date, Cells]
Count = Callable[[Measure, Sequence[Place]], ByDay]


class Later:
    """Many days are missing: they may be kept, and not while somebody waits."""


LATER: Final = Later()
_slow: ContextVar[list[float] | None] = ContextVar("slow", default=None)


@contextmanager
def watched() -> Iterator[list[float]]:
    """Gather how long numbers inside took (milliseconds) that could have been kept and were too slow without."""
    found: list[float] = []
    token = _slow.set(found)
    try:
        yield found
    finally:
        _slow.reset(token)


@contextmanager
def timed(found: ByDay | Later | None) -> Iterator[None]:
    """What is counted inside is counted because of what `by_day` found."""
    start = time.monotonic()
    yield
    took, slow = (time.monotonic() - start) * 1000, _slow.get()
    if found is LATER and slow is not None and took > KEEP_AFTER_MS:
        slow.append(took)


def by_day(
    actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place], count: Count
) -> ByDay | Later | None:
    """Return the cells of each day of the measure's selection that has records; None where nothing may be kept.

    `count` counts a measure afresh. What took long to count is kept for the next time. Where many past days are missing,
    `LATER`.
    """
    number = _number(actor, measure, zone, places)
    days = measure.selection.days
    if number is None or days is None:
        return None
    found = _kept(number.kind, number.key, days)
    if missing := [day for day in _each(days) if day not in found]:
        today = timezone.now().astimezone(zone).date()
        past = [day for day in missing if day < today]
        if len(past) > MOST_AT_ONCE:
            return LATER
        # Most is written to this month: it is kept by itself, when there is little of it to count.
        earlier = [day for day in past if day < today.replace(day=1)]
        fresh = _Fresh(number, missing, count)
        found |= fresh.keep(actor, earlier or past) if past else fresh.count()
    return number.those(found)


def fill(
    actor: Membership,
    measure: Measure,
    zone: ZoneInfo,
    places: Sequence[Place],
    count: Count,
    worth: Callable[[], bool],
) -> None:
    """Keep the past days of the measure's selection that are missing: each month by itself, the latest first.

    Months that somebody is writing to are left for the next time. `worth` is asked where no day is kept yet.
    """
    number = _number(actor, measure, zone, places)
    days = measure.selection.days
    if number is None or days is None:
        return
    found = _kept_days(number.kind, number.key, days)
    if not found and not worth():
        return
    today = timezone.now().astimezone(zone).date()
    missing = [day for day in _each(days) if day not in found and day < today]
    months = [list(month) for _, month in groupby(missing, lambda day: day.replace(day=1))]
    for month in reversed(months):
        _Fresh(number, month, count).keep(actor, month, after_ms=-1)


@dataclass(frozen=True)
class _Number:
    """A number as it is kept. Of the records that hold a choice those are kept of all choices: one count answers for each
    of them and for the split by it. `wanted`: the choices asked for."""

    key: str
    measure: Measure
    places: tuple[Place, ...]
    wanted: frozenset[Any] | None = None

    @property
    def kind(self) -> int:
        return self.measure.selection.types[0].id

    def those(self, found: ByDay) -> ByDay:
        """Return the days that have records, and of them what is asked for."""
        if self.wanted is None:
            return {day: cells for day, cells in found.items() if cells}
        rows = {
            day: [(holds[:-1], columns) for holds, columns in cells if holds[-1] in self.wanted]
            for day, cells in found.items()
        }
        return {day: cells for day, cells in rows.items() if cells}


def _number(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place]) -> _Number | None:
    """Return how a number is kept, None where it may not be."""
    daily = measure.aggregate.daily
    if daily is None:
        return None
    measure, wanted = replace(measure, aggregate=daily), None
    if (held := _held_choice(measure)) is not None:
        node, field = held
        rest = tuple(each for each in measure.selection.nodes if each is not node)
        measure, places = replace(measure, selection=replace(measure.selection, nodes=rest)), [*places, field]
        wanted = frozenset(node.condition.values) if isinstance(node.condition, OneOf) else frozenset()
    key = _key(actor, measure, zone, places)
    return _Number(key, measure, tuple(places), wanted) if key is not None else None


def _held_choice(measure: Measure) -> tuple[Where, CustomValue] | None:
    """Return a condition that a record holds a choice, which it can do once only, and the field it is about."""
    for node in measure.selection.nodes:
        if not isinstance(node, Where) or node.negate or not isinstance(node.field, CustomValue):
            continue
        if isinstance(node.condition, OneOf) and (len(node.condition.values) == 1 or not node.field.field.multiple):
            return (node, node.field) if node.field.field.kind.has_options else None
    return None


def _of(measure: Measure, days: Sequence[date]) -> Measure:
    return replace(measure, selection=measure.selection.on(Days(days[0], days[-1])))


def _each(days: Days) -> Iterable[date]:
    return (days.start + timedelta(days=number) for number in range((days.end - days.start).days + 1))


def _runs(days: list[date]) -> list[list[date]]:
    """Return days in runs that follow each other; all as one where they are scattered."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs if len(runs) <= MOST_RUNS else [days]


# --- what may be kept -------------------------------------------------------------------------------------------------
def _key(actor: Membership, measure: Measure, zone: ZoneInfo, places: Sequence[Place]) -> str | None:
    """Return what names a number among those of its type, None when it may not be kept."""
    selection, amount = measure.selection, measure.amount
    fits = (
        connection.vendor == "postgresql"
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
        cursor.execute(f"SELECT k.day, k.cells {KEPT}", [kind, key, days.start, days.end])
        rows = cursor.fetchall()
    read = json.loads(f"[{','.join(cells for _, cells in rows)}]")
    return {day: _read(cells) for (day, _), cells in zip(rows, read, strict=True)}


def _kept_days(kind: int, key: str, days: Days) -> set[date]:
    """Return which days of a number are kept and no write was noted for."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT k.day {KEPT}", [kind, key, days.start, days.end])
        return {day for (day,) in cursor.fetchall()}


class _Fresh:
    """Days of a number that are not kept."""

    def __init__(self, number: _Number, days: list[date], count: Count) -> None:
        self.number, self.days, self._count = number, days, count

    def count(self) -> ByDay:
        found: ByDay = {}
        for run in self._runs():
            counted = self._count(_of(self.number.measure, run), self.number.places)
            found |= {day: counted.get(day, []) for day in run}
        return found

    def _runs(self) -> list[list[date]]:
        runs = _runs(self.days)
        if not isinstance(self.number.measure.aggregate, Packed):
            return runs
        # What is long goes through memory one month at a time.
        return [list(month) for run in runs for _, month in groupby(run, lambda day: day.replace(day=1))]

    def keep(self, actor: Membership, days: list[date], after_ms: float | None = None) -> ByDay:
        """Count, and keep these of the days if that took long, except in months that somebody is writing to."""
        kind, after_ms = self.number.kind, KEEP_AFTER_MS if after_ms is None else after_ms
        months = sorted({day.replace(day=1) for day in days})
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT m FROM unnest(%s::date[]) m WHERE reporting_month_free(%s, m)", [months, kind])
            free = {month for (month,) in cursor.fetchall()}
            start = time.monotonic()
            found = self.count()
            if free and (time.monotonic() - start) * 1000 > after_ms:
                self._write(actor, [day for day in days if day.replace(day=1) in free], found, cursor)
        return found

    def _write(self, actor: Membership, days: list[date], found: ByDay, cursor: Any) -> None:
        # Nobody was writing: every write that was noted is counted here, and the other numbers of its day are not right.
        kind, key = self.number.kind, self.number.key
        texts = {day: _write(found[day]) for day in days}
        if sum(map(len, texts.values())) > MOST_CHARACTERS * len(days):
            return
        cursor.execute(
            "DELETE FROM reporting_daynumbers WHERE type_id = %s AND day IN "
            "(SELECT day FROM reporting_changedday WHERE type_id = %s AND day = ANY(%s))",
            [kind, kind, days],
        )
        cursor.execute("DELETE FROM reporting_changedday WHERE type_id = %s AND day = ANY(%s)", [kind, days])
        DayNumbers.unscoped.bulk_create(
            [
                DayNumbers(organization=actor.organization, type_id=kind, number=key, day=day, cells=text)
                for day, text in texts.items()
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


def _read(cells: list[Any]) -> Cells:
    return [(tuple(holds), tuple(map(_number_of, columns))) for holds, columns in cells]


def _number_of(part: Any) -> Any:
    return Decimal(part[0]) if part.__class__ is list else part
