"""Numbers of records a lead or contact has, in words: *has an email address*, *has at least 2 calls*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil, floor

from crm.fieldkinds import SECONDS, time_words
from leads.search.sources import Column

_PREFIX = "Number of "
_NAMED = {"times_communicated": "communications"}


def is_count(column: Column) -> bool:
    """Return whether a column is a number of records: it is never empty, and 0 means that there are none."""
    return column.asks == "number" and bool(counted(column))


def counted(column: Column) -> str:
    """Return what a number of records counts, as a plural: email addresses. Nothing for other columns."""
    named = _NAMED.get(column.name, "")
    return named or (column.label.removeprefix(_PREFIX) if column.label.startswith(_PREFIX) else "")


def one_of(several: str) -> str:
    """Return the singular of what is counted."""
    if several.endswith("sses"):
        return several[:-2]
    if several.endswith("ies"):
        return f"{several[:-3]}y"
    return several.removesuffix("s") if several[-2:].islower() else several


def how_many(bounds: Sequence[tuple[str, Decimal]], several: str) -> tuple[str, str]:
    """Return how many are asked for in words (`any` and `no` for some and none), and what of."""
    signs = dict(bounds)
    low, high = _least(signs), _most(signs)
    if low == 1 and high is None:
        return "any", one_of(several)
    if high == 0:
        return "no", one_of(several)
    if low is not None and low == high:
        return f"exactly {low:,}", one_of(several) if low == 1 else several
    words = {">": "more than", ">=": "at least", "<": "fewer than", "<=": "at most"}
    if {">=", "<="} == signs.keys():
        return f"between {number_words(signs['>='])} and {number_words(signs['<='])}", several
    found = " and ".join(f"{words[sign]} {number_words(number)}" for sign, number in bounds)
    return found, one_of(several) if len(bounds) == 1 and bounds[0][1] == 1 else several


def _least(signs: Mapping[str, Decimal]) -> int | None:
    """Return the smallest whole number within the bounds."""
    found = [floor(bound) + 1 if sign == ">" else ceil(bound) for sign, bound in signs.items() if sign in (">", ">=")]
    return max(found, default=None)


def _most(signs: Mapping[str, Decimal]) -> int | None:
    """Return the largest whole number within the bounds."""
    found = [ceil(bound) - 1 if sign == "<" else floor(bound) for sign, bound in signs.items() if sign in ("<", "<=")]
    return min(found, default=None)


def number_words(number: Decimal, unit: str = "") -> str:
    """Return a number for people; of seconds as they say them."""
    if unit == SECONDS:
        return time_words(number)
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
