"""When something was or will be, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm.templatetags.ui import words_of

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(seconds=-30), "just now"),
        (timedelta(seconds=2), "just now"),  # clocks differ by that much
        (timedelta(seconds=30), "in a moment"),
        (timedelta(minutes=-5), "5 min ago"),
        (timedelta(minutes=5), "in 5 min"),
        (timedelta(hours=-3), "3 h ago"),
        (timedelta(hours=3), "in 3 h"),
        (timedelta(days=-1), "yesterday 12:00"),
        (timedelta(days=1), "tomorrow 12:00"),
        (timedelta(days=-7), "7 days ago"),
        (timedelta(days=8), "18 Mar 2026"),
    ],
)
def test_a_moment_in_words(away: timedelta, words: str) -> None:
    assert words_of(NOW + away, NOW)[2] == words
