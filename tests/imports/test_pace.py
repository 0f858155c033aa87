"""How many rows an import writes at once, so that others can write in between."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from activities.imports.pace import BREATH, Pace


def test_slow_rows_are_written_few_at_once_and_fast_ones_many() -> None:
    pace = Pace(5000)
    assert pace.size == 250, "the first ones tell how long they take"
    pace.note(250, 10.0)
    assert pace.size == 50, "as many as take two seconds"
    for size in (200, 800, 3200, 5000, 5000):
        pace.note(pace.size, 0.01)
        assert pace.size == size
    pace.note(10, 400.0)
    assert pace.size == 1
    pace.note(0, 9.0)
    assert pace.size == 1, "no rows tell nothing"
    assert Pace(1).size == 1 and Pace(500, first=50).size == 50


def test_what_did_not_fit_is_not_tried_again() -> None:
    pace = Pace(5000)
    pace.shrink()
    pace.note(62, 0.01)
    assert pace.size == 62


def test_others_get_their_turn_on_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    pace = Pace(5000)
    for seconds in (1.5, 0.6, 1.5):
        pace.note(250, seconds)
        pace.breathe()
    assert slept == ([BREATH] if connection.vendor == "sqlite" else [])
