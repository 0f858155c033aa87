"""Points in time of the search language: fixed, or relative to the instant and zone a search is run in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crm.errors import InvalidInput

DAY = timedelta(days=1)
UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
PERIODS = ("day", "week", "month", "quarter", "year")
_DAYS = re.compile(r"(last|next)-(\d{1,4})-days")


@dataclass(frozen=True)
class Clock:
    """When and where a search is run. `week_starts_on`: 0 = Monday … 6 = Sunday."""

    now: datetime
    zone: ZoneInfo
    week_starts_on: int = 0

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time.min, self.zone).astimezone(UTC)


class Moment:
    """`at(clock)` is the instant, `words` how a sentence says it."""

    def at(self, clock: Clock) -> datetime:
        raise NotImplementedError

    @property
    def words(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Now(Moment):
    def at(self, clock: Clock) -> datetime:
        return clock.now

    @property
    def words(self) -> str:
        return "now"


@dataclass(frozen=True)
class Fixed(Moment):
    instant: datetime

    def at(self, clock: Clock) -> datetime:
        return self.instant

    @property
    def words(self) -> str:
        return f"{self.instant:%-d %b %Y}" if self.instant.time() == time.min else f"{self.instant:%-d %b %Y %H:%M} UTC"


@dataclass(frozen=True)
class LocalDay(Moment):
    """The first instant of a day in the caller's zone, or of the day after it (`end`)."""

    day: date
    end: bool

    def at(self, clock: Clock) -> datetime:
        return clock.midnight(self.day + DAY if self.end else self.day)

    @property
    def words(self) -> str:
        return f"{'the end of ' if self.end else ''}{self.day:%-d %b %Y}"


@dataclass(frozen=True)
class Period(Moment):
    """The first instant of a named stretch of days (`this-week`), or the first one after it (`end`)."""

    name: str
    end: bool

    def at(self, clock: Clock) -> datetime:
        first, after = period_days(self.name, clock)
        return clock.midnight(after if self.end else first)

    @property
    def words(self) -> str:
        if self.name in ("today", "yesterday", "tomorrow") and not self.end:
            return self.name
        return f"the {'end' if self.end else 'start'} of {self.name.replace('-', ' ')}"


@dataclass(frozen=True)
class Offset(Moment):
    """So long before or after another moment. `day_end`: "" keeps the instant, start or end moves it to a local midnight."""

    moment: Moment
    sign: int
    amounts: tuple[tuple[str, int], ...]
    day_end: str = ""

    def at(self, clock: Clock) -> datetime:
        parts = dict(self.amounts)
        found = self.moment.at(clock).astimezone(clock.zone)
        found = _add_months(found, self.sign * (parts.pop("years", 0) * 12 + parts.pop("months", 0)))
        found = found.astimezone(UTC)
        days = timedelta(weeks=parts.pop("weeks", 0), days=parts.pop("days", 0))
        if days:
            local = found.astimezone(clock.zone)
            found = datetime.combine(local.date() + self.sign * days, local.time(), clock.zone).astimezone(UTC)
        found += self.sign * timedelta(**parts)
        if not self.day_end:
            return found
        day = found.astimezone(clock.zone).date()
        return clock.midnight(day + DAY if self.day_end == "end" else day)

    @property
    def words(self) -> str:
        amount = " ".join(f"{number} {unit if number != 1 else unit[:-1]}" for unit, number in self.amounts if number)
        if isinstance(self.moment, Now):
            return f"{amount or '0 days'} ago" if self.sign < 0 else f"{amount or '0 days'} from now"
        return f"{amount or '0 days'} {'before' if self.sign < 0 else 'after'} {self.moment.words}"


def _add_months(moment: datetime, months: int) -> datetime:
    if not months:
        return moment
    index = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(index, 12)
    last = (date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - DAY).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _start(day: date, unit: str, week_starts_on: int) -> date:
    return {
        "day": day,
        "week": day - timedelta(days=(day.weekday() - week_starts_on) % 7),
        "month": day.replace(day=1),
        "quarter": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "year": day.replace(month=1, day=1),
    }[unit]


def _after(first: date, unit: str) -> date:
    """Return the first day of the stretch that follows the one beginning at `first`."""
    long = {"day": 1, "week": 7}.get(unit)
    if long:
        return first + timedelta(days=long)
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    index = first.year * 12 + first.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def period_days(name: str, clock: Clock) -> tuple[date, date]:
    """Return a stretch's first day and the first day after it."""
    today = clock.today
    if found := _DAYS.fullmatch(name):
        count = timedelta(days=int(found[2]))
        return (today - count + DAY, today + DAY) if found[1] == "last" else (today + DAY, today + count + DAY)
    name = {"today": "this-day", "yesterday": "last-day", "tomorrow": "next-day"}.get(name, name)
    which, unit = name.split("-")
    first = _start(today, unit, clock.week_starts_on)
    if which == "last":
        first = _start(first - DAY, unit, clock.week_starts_on)
    elif which == "next":
        first = _after(first, unit)
    return first, _after(first, unit)


def is_period(name: Any) -> bool:
    """Return whether a name is one that `period_days` knows."""
    if not isinstance(name, str):
        return False
    which, _, unit = name.partition("-")
    known = which in ("this", "last", "next") and unit in PERIODS
    return known or name in ("today", "yesterday", "tomorrow") or bool(_DAYS.fullmatch(name))


def _wrong(path: str, sentence: str) -> InvalidInput:
    return InvalidInput(fields={path: sentence})


def _which(tree: Mapping[str, Any], path: str) -> bool:
    if tree.get("which") not in ("start", "end"):
        raise _wrong(f"{path}.which", "Say which end of the day is meant: “start” or “end”.")
    return tree["which"] == "end"


def _fixed(text: Any, path: str) -> Fixed:
    try:
        found = datetime.fromisoformat(text)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(path, "Write the moment as 2026-01-31T14:30:00+00:00.") from None
    return Fixed(found)


def parse_moment(tree: Any, path: str, depth: int = 0) -> Moment:
    """Return the moment a tree stands for. An ISO text is taken as a fixed moment (a plain date: that day's start, local)."""
    if depth > 4:
        raise _wrong(path, "The moment is nested too deeply.")
    if isinstance(tree, str):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", tree):
            return parse_moment({"type": "fixed_local_date", "value": tree, "which": "start"}, path)
        return _fixed(tree, path)
    if not isinstance(tree, Mapping):
        raise _wrong(path, "A moment is an object with a type, such as {“type”: “now”}.")
    parser = _PARSERS.get(str(tree.get("type")))
    if parser is None:
        raise _wrong(f"{path}.type", f"“{tree.get('type')}” is no kind of moment. Use one of: {', '.join(_PARSERS)}.")
    return parser(tree, path, depth)


def _local_day(tree: Mapping[str, Any], path: str, depth: int) -> Moment:
    end = _which(tree, path)
    try:
        day = date.fromisoformat(tree.get("value"))  # type: ignore[arg-type]
        _ = day + 2 * DAY, day - 2 * DAY  # the very first and last days have no neighbours
    except (TypeError, ValueError, OverflowError):
        raise _wrong(f"{path}.value", "Write the day as 2026-01-31.") from None
    return LocalDay(day, end)


def _period(tree: Mapping[str, Any], path: str, depth: int) -> Moment:
    if not is_period(tree.get("range")):
        raise _wrong(
            f"{path}.range", "Use today, yesterday, this-week, last-month, next-quarter, last-7-days and the like."
        )
    return Period(tree["range"], _which(tree, path))


def _offset(tree: Mapping[str, Any], path: str, depth: int) -> Moment:
    if tree.get("direction") not in ("past", "future"):
        raise _wrong(f"{path}.direction", "Use “past” or “future”.")
    amounts = tree.get("offset") or {}
    if not isinstance(amounts, Mapping):
        raise _wrong(f"{path}.offset", "The offset is an object such as {“days”: 30}.")
    for unit, number in amounts.items():
        if unit not in UNITS:
            raise _wrong(f"{path}.offset.{unit}", f"“{unit}” is no unit. Use {', '.join(UNITS)}.")
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 100_000:
            raise _wrong(f"{path}.offset.{unit}", "Use a whole number from 0 to 100,000.")
    day_end = tree.get("which_day_end") or ""
    if day_end not in ("", "start", "end"):
        raise _wrong(f"{path}.which_day_end", "Use “start” or “end”.")
    inner = parse_moment(tree.get("moment", {"type": "now"}), f"{path}.moment", depth + 1)
    found = Offset(
        inner,
        -1 if tree["direction"] == "past" else 1,
        tuple((unit, amounts[unit]) for unit in UNITS if amounts.get(unit)),
        day_end,
    )
    try:
        found.at(Clock(datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("UTC")))
    except (ValueError, OverflowError):
        raise _wrong(f"{path}.offset", "The offset leads out of the calendar.") from None
    return found


_PARSERS = {
    "now": lambda tree, path, depth: Now(),
    "fixed_utc": lambda tree, path, depth: _fixed(tree.get("value"), f"{path}.value"),
    "fixed_local_date": _local_day,
    "start_end_of_predefined_relative_period": _period,
    "offset": _offset,
}
