"""Goals: what a range should reach."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from reporting.goals import Goal, progress
from reporting.periods import Period

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("per", "start", "end", "target"),
    [
        ("range", date(2026, 1, 1), date(2026, 3, 31), "20"),
        ("day", date(2026, 1, 1), date(2026, 1, 5), "100"),
        ("week", date(2026, 1, 5), date(2026, 1, 18), "40"),
        ("week", date(2026, 1, 5), date(2026, 1, 14), "28.57"),
        ("month", date(2026, 1, 1), date(2026, 2, 28), "40"),
        ("month", date(2026, 2, 1), date(2026, 2, 14), "10"),
    ],
)
def test_a_goal_grows_with_its_range(per: str, start: date, end: date, target: str) -> None:
    assert Goal(Decimal(20), per).target(Period(start, end, UTC)) == Decimal(target)


def test_a_share_has_the_same_goal_for_every_range() -> None:
    assert Goal(Decimal(50), "week").target(Period(date(2026, 1, 1), date(2026, 12, 31), UTC), "%") == 50


def test_progress_is_shown_up_to_the_whole() -> None:
    day = Period(date(2026, 1, 1), date(2026, 1, 1), UTC)
    found = progress(Goal(Decimal(20), "day"), Decimal(25), day)
    assert (found.percent, found.shown) == (125, 100)
    assert progress(Goal(Decimal(20), "day"), None, day).percent == 0
