"""Stretches of days in a zone, and how they are cut into buckets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from crm.errors import InvalidInput

# key → label, in the order of the menu
RELATIVE_RANGES: dict[str, str] = {
    "today": "Today",
    "yesterday": "Yesterday",
    "this-week": "This week",
    "last-week": "Last week",
    "last-7-days": "Last 7 days",
    "last-30-days": "Last 30 days",
    "this-month": "This month",
    "last-month": "Last month",
    "last-90-days": "Last 90 days",
    "this-quarter": "This quarter",
    "last-quarter": "Last quarter",
    "this-year": "This year",
    "last-year": "Last year",
    "all-time": "All time",
}
STEPS = ("day", "week", "month")
LONGEST_DAYS = 366 * 30
FIRST_YEAR, LAST_YEAR = 1900, 2200
MOST_BARS = 400


def check_year(name: str, year: int) -> None:
    """Raise `InvalidInput` for a day of a year that reports do not know."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InvalidInput(fields={name: f"Reports know the years {FIRST_YEAR} to {LAST_YEAR}. Choose one of them."})


@dataclass(frozen=True)
class Period:
    """Days from `start` to `end`, both included, as they fall in `zone`. `week_start`: 0 = Monday … 6 = Sunday."""

    start: date
    end: date
    zone: ZoneInfo
    week_start: int = 0

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise InvalidInput(f"The range ends ({self.end}) before it starts ({self.start}). Swap the two dates.")
        if (self.end - self.start).days > LONGEST_DAYS:
            raise InvalidInput("The range is longer than 30 years. Choose a shorter one.")

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """First instant of the first day, and first instant after the last: aware, half open."""
        after = self.end + timedelta(days=1)
        return datetime.combine(self.start, time.min, self.zone), datetime.combine(after, time.min, self.zone)

    @property
    def previous(self) -> Period:
        """The equally long period just before this one."""
        end = self.start - timedelta(days=1)
        return replace(self, start=end - timedelta(days=self.days - 1), end=end)

    def bounds(self, step: str) -> tuple[datetime, ...]:
        """Return the first instants of the previous period and of each bucket of this one, and where the last one ends."""
        days = [self.previous.start, *(max(day, self.start) for day in self.buckets(step))]
        return (*(datetime.combine(day, time.min, self.zone) for day in days), self.moments[1])

    @property
    def step(self) -> str:
        """The bucket that keeps a chart readable."""
        return "day" if self.days <= 35 else "week" if self.days <= 200 else "month"

    def readable(self, step: str) -> str:
        """Return `step`, or a coarser one where a chart would have too many bars."""
        step = step if step in STEPS else self.step
        while step != STEPS[-1] and self.days > MOST_BARS * {"day": 1, "week": 7}[step]:
            step = STEPS[STEPS.index(step) + 1]
        return step

    def bucket(self, day: date, step: str) -> date:
        """Return the first day of the bucket that `day` falls in. The first bucket may start before the period."""
        if step == "month":
            return day.replace(day=1)
        if step == "week":
            return day - timedelta(days=(day.weekday() - self.week_start) % 7)
        return day

    def buckets(self, step: str) -> list[date]:
        """Return the first days of all buckets that touch the period, in order."""
        found, day = [], self.bucket(self.start, step)
        while day <= self.end:
            found.append(day)
            if step == "month":
                day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
            else:
                day += timedelta(days=7 if step == "week" else 1)
        return found

    def span(self, bucket: date, step: str) -> tuple[date, date]:
        """Return the first and last day of a bucket, cut to the period."""
        if step == "month":
            last = (bucket.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        else:
            last = bucket + timedelta(days=6 if step == "week" else 0)
        return max(bucket, self.start), min(last, self.end)


def relative_period(name: str, today: date, zone: ZoneInfo, week_start: int = 0, first: date | None = None) -> Period:
    """Return the period a name stands for on `today`. `first`: where *all time* begins. Raises `InvalidInput`."""
    this_week = today - timedelta(days=(today.weekday() - week_start) % 7)
    month = today.replace(day=1)
    quarter = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
    year = today.replace(month=1, day=1)
    day = timedelta(days=1)
    before = {"month": month - day, "quarter": quarter - day, "year": year - day}
    spans = {
        "today": (today, today),
        "yesterday": (today - day, today - day),
        "this-week": (this_week, this_week + 6 * day),
        "last-week": (this_week - 7 * day, this_week - day),
        "last-7-days": (today - 6 * day, today),
        "last-30-days": (today - 29 * day, today),
        "last-90-days": (today - 89 * day, today),
        "this-month": (month, _month_end(month)),
        "last-month": (before["month"].replace(day=1), before["month"]),
        "this-quarter": (quarter, _month_end(quarter.replace(month=quarter.month + 2))),
        "last-quarter": (before["quarter"].replace(month=before["quarter"].month - 2, day=1), before["quarter"]),
        "this-year": (year, year.replace(month=12, day=31)),
        "last-year": (before["year"].replace(month=1, day=1), before["year"]),
        "all-time": (min(first or today, today), today),
    }
    if name not in spans:
        raise InvalidInput(fields={"relative_range": f"“{name}” is not a range. Use one of: {', '.join(spans)}."})
    return Period(*spans[name], zone, week_start)


def _month_end(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
