"""How many records become one number. Each aggregate is a small class; `folds` tells whether parts can be put together."""

from __future__ import annotations

import base64
import statistics
from array import array
from binascii import a2b_base64
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from django.db import connection

from crm.customfields.catalog import Field
from leads.search.sql import Sql, fill
from reporting.metrics.selections import Followed

try:
    from pyroaring import BitMap64
except ImportError:  # no build of it for this machine: different leads are counted afresh each time
    BitMap64 = None  # type: ignore[assignment, misc]

CENT = Decimal("0.01")
FEW_A_DAY = 60


@dataclass(frozen=True)
class FieldAmount:
    """The number a field holds. Records without one are left out."""

    field: Field

    def join(self, lead: str) -> Sql:
        return Sql(
            f"JOIN value_number m ON m.field_id = %s AND m.lead_id = {lead} AND m.record_key = r.id", (self.field.id,)
        )

    @property
    def expression(self) -> Sql:
        return Sql("m.v")


@dataclass(frozen=True)
class DaysUntil:
    """The days from an activity to the first that follows (`Followed` is among the selection's nodes)."""

    followed: Followed

    def join(self, lead: str) -> Sql:
        return Sql("")

    @property
    def expression(self) -> Sql:
        first = fill("(SELECT MIN(n.activity_at) {})", self.followed.later("r"))
        if connection.vendor == "postgresql":
            return fill("EXTRACT(EPOCH FROM {} - r.activity_at) / 86400.0", first)
        return fill("(julianday({}) - julianday(r.activity_at))", first)


Amount = FieldAmount | DaysUntil


class Aggregate:
    """`columns` are SQL; `value` makes the number of the rows that have them (several rows only when it `folds`).

    With `each`, records are grouped by that first: `columns` are then about its values `x`, and `n`, how many records hold
    one when it `counts`.
    """

    folds: ClassVar[bool] = True
    counts: ClassVar[bool] = False
    key: str = ""  # names it among the numbers that are kept
    empty: ClassVar[Decimal | None] = None

    @property
    def daily(self) -> Aggregate | None:
        """What is kept of a day to make the number of many days: the same where it folds; None when nothing can be."""
        return self if self.folds else None

    def each(self, lead: str, amount: Sql | None) -> Sql | None:
        return None

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        raise NotImplementedError

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        raise NotImplementedError


class Count(Aggregate):
    key = "count"
    empty = Decimal(0)

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [Sql("COUNT(*)")]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        return Decimal(sum(row[0] for row in rows))


class CountLeads(Aggregate):
    """Different leads: never the sum of its parts. They are made different first, by hashing."""

    folds = False
    empty = Decimal(0)

    @property
    def daily(self) -> Aggregate | None:
        return LEAD_SETS if BitMap64 is not None else None

    def each(self, lead: str, amount: Sql | None) -> Sql | None:
        return Sql(lead)

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [Sql("COUNT(*)")]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        assert len(rows) < 2, "different leads cannot be added up"
        return Decimal(rows[0][0]) if rows else Decimal(0)


class Packed(Aggregate):
    """What many days need to know of one of them, as text that may be long. `whole` makes the columns of the number."""

    def packed(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(row)

    def unpacked(self, text: str) -> Any:
        """Return what `whole` takes of a day, from the text that is kept of it."""
        raise NotImplementedError

    def whole(self, days: Sequence[Any]) -> tuple[Any, ...]:
        """Return the columns of the number of many days, each unpacked."""
        raise NotImplementedError


class LeadSets(Packed):
    """The leads themselves, as a compressed set of bits."""

    key = "leads"

    def each(self, lead: str, amount: Sql | None) -> Sql | None:
        return Sql(lead)

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [Sql("STRING_AGG(x::text, ' ')")]

    def packed(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return (base64.b64encode(BitMap64(map(int, row[0].split())).serialize()).decode(),)

    def unpacked(self, text: str) -> Any:
        return BitMap64.deserialize(a2b_base64(text))

    def whole(self, days: Sequence[Any]) -> tuple[Any, ...]:
        return (len(days[0] if len(days) == 1 else BitMap64.union(*days)),)


class Total(Aggregate):
    key = "sum"
    empty = Decimal(0)

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [fill("SUM({})", amount or Sql("0"))]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        return sum((_decimal(row[0]) for row in rows if row[0] is not None), Decimal(0))


class Average(Aggregate):
    key = "average"

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        amount = amount or Sql("0")
        return [fill("SUM({})", amount), fill("COUNT({})", amount)]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        count = sum(row[1] for row in rows)
        total = sum((_decimal(row[0]) for row in rows if row[0] is not None), Decimal(0))
        return (total / count).quantize(CENT) if count else None


class Extreme(Aggregate):
    def __init__(self, name: str, pick: Callable[[list[Decimal]], Decimal]) -> None:
        self.name, self.pick, self.key = name, pick, name.lower()

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [fill(f"{self.name}({{}})", amount or Sql("0"))]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        found = [_decimal(row[0]) for row in rows if row[0] is not None]
        return self.pick(found) if found else None


class Median(Aggregate):
    folds = False

    @property
    def daily(self) -> Aggregate | None:
        return SORTED

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        amount = amount or Sql("0")
        if connection.vendor == "postgresql":
            return [fill("PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY {})", amount)]
        return [fill("touchpoint_median({})", amount)]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        assert len(rows) < 2, "medians cannot be put together"
        return _decimal(rows[0][0]).quantize(CENT) if rows and rows[0][0] is not None else None


class SortedNumbers(Packed):
    """All the numbers in their order, as whole ones of a power of ten: `2 i <base64 of an array>`, or `2 - 150 200`.

    Of long days none is merged: how many numbers lie below one is looked up in each of them.
    """

    counts = True
    key = "sorted"

    def each(self, lead: str, amount: Sql | None) -> Sql | None:
        return amount

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [Sql("STRING_AGG(x::text || ' ' || n::text, ' ')")]

    def packed(self, row: Sequence[Any]) -> tuple[Any, ...]:
        parts = row[0].split()
        split = [(whole, cents.rstrip("0")) for whole, _, cents in (number.partition(".") for number in parts[::2])]
        places = max(len(cents) for _, cents in split)
        found = (int(whole + cents.ljust(places, "0")) for whole, cents in split)
        numbers = sorted(zip(found, map(int, parts[1::2]), strict=True))
        flat = [number for number, count in numbers for _ in range(count)]
        size = max(abs(flat[0]), abs(flat[-1]))
        if size >= 2**63:
            return (f"{places} - {' '.join(map(str, flat))}",)
        code = next(code for code in "bhiq" if size < 2 ** (8 * array(code).itemsize - 1))
        return (f"{places} {code} {base64.b64encode(array(code, flat).tobytes()).decode()}",)

    def unpacked(self, text: str) -> tuple[int, Sequence[int]]:
        places, code, held = text.split(" ", 2)
        if code == "-":
            return int(places), [int(number) for number in held.split()]
        numbers = array(code)
        numbers.frombytes(a2b_base64(held))
        return int(places), numbers

    def whole(self, days: Sequence[Any]) -> tuple[Any, ...]:
        finest = max(places for places, _ in days)
        scaled = [(10 ** (finest - places), numbers) for places, numbers in days]
        count = sum(len(numbers) for _, numbers in days)
        middles = (count - 1) // 2, count // 2
        if count < FEW_A_DAY * len(days):  # sooner put in one order
            flat = sorted(number * factor for factor, numbers in scaled for number in numbers)
            low, high = flat[middles[0]], flat[middles[1]]
        else:
            low = self._smallest_with(scaled, middles[0] + 1)
            high = low if count % 2 else self._smallest_with(scaled, middles[1] + 1)
        lower, upper = low / 10**finest, high / 10**finest
        return (lower + (upper - lower) * 0.5,)

    @staticmethod
    def _smallest_with(days: Sequence[tuple[int, Sequence[int]]], count: int) -> int:
        """Return the smallest number that so many are not larger than."""
        low = min(numbers[0] * factor for factor, numbers in days)
        high = max(numbers[-1] * factor for factor, numbers in days)
        while low < high:
            middle = (low + high) // 2
            if sum(bisect_right(numbers, middle // factor) for factor, numbers in days) >= count:
                high = middle
            else:
                low = middle + 1
        return low


class SqliteMedian:
    """The aggregate function that SQLite lacks."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def step(self, number: float | None) -> None:
        if number is not None:
            self.seen.append(float(number))

    def finalize(self) -> float | None:
        return statistics.median(self.seen) if self.seen else None


def _decimal(number: Any) -> Decimal:
    # SQLite adds with floats: what ten decimals cannot hold is noise.
    return number if isinstance(number, Decimal) else Decimal(str(round(number, 10)))


COUNT, LEADS, SUM, AVERAGE, MEDIAN = Count(), CountLeads(), Total(), Average(), Median()
LEAD_SETS, SORTED = LeadSets(), SortedNumbers()
MINIMUM, MAXIMUM = Extreme("MIN", min), Extreme("MAX", max)
# word in a key → (aggregate, words for people)
OF_NUMBERS: dict[str, tuple[Aggregate, str]] = {
    "sum": (SUM, "sum of"),
    "avg": (AVERAGE, "average"),
    "median": (MEDIAN, "median"),
    "min": (MINIMUM, "smallest"),
    "max": (MAXIMUM, "largest"),
}
