"""How many rows there are, roughly and counted seldom: enough to choose a way, never part of an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from crm.models import Membership
from leads.search.sql import Sql, fill, value
from leads.search.statements import select_rows

_SMALL = 10_000
_leads: dict[int, tuple[float, int]] = {}
_text_rows: dict[int, tuple[float, int]] = {}
_probed: dict[tuple[str, str], tuple[float, int]] = {}


def probe(selects: Sequence[Sql], bound: int, *, bounded: bool = False) -> list[int]:
    """Return how many rows each has, counted as far as it takes to see the fewest, at most as far as `bound` goes.

    Remembered for a minute, so that the next page, another order or the exact total of a search asks nothing again.
    `bounded`: each reads its rows in the order of an index.
    """
    now, keys = time.monotonic(), [(select.text, repr(select.params)) for select in selects]
    if all(now - _probed.get(key, (now - 60, 0))[0] < 60 for key in keys):
        return [_probed[key][1] for key in keys]
    numbers: list[int] = []
    for most in (bound // 4, bound + 1):
        counted = [fill("(SELECT COUNT(*) FROM ({} LIMIT {}) p)", select, value(most)) for select in selects]
        asked = fill(f"SELECT {', '.join(['{}'] * len(counted))}", *counted)
        numbers = [int(number) for number in select_rows(asked, bounded=bounded)[0]]
        if min(numbers) < most:
            break
    if len(_probed) > 1000:
        _probed.clear()
    _probed.update((key, (now, number)) for key, number in zip(keys, numbers, strict=True))
    return numbers


def is_small(field_id: int) -> bool:
    """Return whether a text field has few rows, counted at most every ten minutes."""
    at, rows = _text_rows.get(field_id, (0.0, 0))
    if time.monotonic() - at > 600 or not at:
        counted = Sql(
            "SELECT COUNT(*) FROM (SELECT 1 FROM value_text WHERE field_id = %s LIMIT %s) c", (field_id, _SMALL + 1)
        )
        rows = int(select_rows(counted)[0][0])
        _text_rows[field_id] = (time.monotonic(), rows)
    return rows <= _SMALL


def probe_bound(actor: Membership) -> int:
    """Return how many rows are *few*: six times the root of the number of leads (`spec/storage.md`)."""
    return max(200, min(6 * math.isqrt(number_of_leads(actor)), 10_000))


def number_of_leads(actor: Membership) -> int:
    """Return how many leads the organization has, counted at most every ten minutes and up to a million."""
    at, leads = _leads.get(actor.organization_id, (0.0, 0))
    if time.monotonic() - at > 600 or not at:
        counted = Sql("SELECT COUNT(*) FROM (SELECT 1 FROM leads_lead WHERE organization_id = %s LIMIT 1000000) c",
                      (actor.organization_id,))  # fmt: skip
        leads = int(select_rows(counted)[0][0])
        _leads[actor.organization_id] = (time.monotonic(), leads)
    return leads


def forget_estimates() -> None:
    """Count again what was counted lately: for when a lot was written at once."""
    _leads.clear()
    _text_rows.clear()
    forget_probes()


def forget_probes() -> None:
    """Ask again how many rows a condition has, as a search does that nobody asked within the last minute."""
    _probed.clear()
