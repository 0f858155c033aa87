"""Ranges and buckets, around the awkward days."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from crm.errors import InvalidInput
from reporting.periods import Period, relative_period

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = date(2026, 11, 24)  # a Tuesday


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("today", (2026, 11, 24), (2026, 11, 24)),
        ("yesterday", (2026, 11, 23), (2026, 11, 23)),
        ("this-week", (2026, 11, 23), (2026, 11, 29)),
        ("last-week", (2026, 11, 16), (2026, 11, 22)),
        ("last-30-days", (2026, 10, 26), (2026, 11, 24)),
        ("this-month", (2026, 11, 1), (2026, 11, 30)),
        ("last-month", (2026, 10, 1), (2026, 10, 31)),
        ("this-quarter", (2026, 10, 1), (2026, 12, 31)),
        ("last-quarter", (2026, 7, 1), (2026, 9, 30)),
        ("this-year", (2026, 1, 1), (2026, 12, 31)),
        ("last-year", (2025, 1, 1), (2025, 12, 31)),
    ],
)
def test_relative_ranges(name: str, start: tuple, end: tuple) -> None:
    period = relative_period(name, TODAY, BERLIN)
    assert (period.start, period.end) == (date(*start), date(*end))


def test_last_quarter_in_january_is_of_last_year() -> None:
    period = relative_period("last-quarter", date(2026, 1, 15), BERLIN)
    assert (period.start, period.end) == (date(2025, 10, 1), date(2025, 12, 31))


def test_a_week_can_start_on_sunday() -> None:
    period = relative_period("this-week", TODAY, BERLIN, week_start=6)
    assert (period.start, period.end) == (date(2026, 11, 22), date(2026, 11, 28))


def test_unknown_range_is_named() -> None:
    with pytest.raises(InvalidInput, match="“fortnight” is not a range. Use one of: today"):
        relative_period("fortnight", TODAY, BERLIN)


def test_backwards_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ends .* before it starts"):
        Period(date(2026, 2, 1), date(2026, 1, 1), BERLIN)


def test_the_day_of_the_clock_change_has_25_hours() -> None:
    start, after = Period(date(2026, 10, 25), date(2026, 10, 25), BERLIN).moments
    assert (start.astimezone(UTC), after.astimezone(UTC)) == (
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    )


def test_buckets_cover_the_period_and_are_cut_to_it() -> None:
    period = Period(date(2025, 12, 30), date(2026, 2, 2), BERLIN)
    assert period.buckets("month") == [date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]
    assert period.span(date(2025, 12, 1), "month") == (date(2025, 12, 30), date(2025, 12, 31))
    assert period.span(date(2026, 2, 1), "month") == (date(2026, 2, 1), date(2026, 2, 2))
    assert period.buckets("week")[0] == date(2025, 12, 29)
    assert len(period.buckets("day")) == period.days == 35


def test_previous_period_is_as_long_and_just_before() -> None:
    previous = Period(date(2026, 3, 1), date(2026, 3, 31), BERLIN).previous
    assert (previous.start, previous.end) == (date(2026, 1, 29), date(2026, 2, 28))
