"""How many records become one number. Each aggregate is a small class; `folds` tells whether parts can be put together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from django.db import connection

from crm.customfields.catalog import Field
from leads.search.sql import Sql, fill
from reporting.metrics.selections import Followed

CENT = Decimal("0.01")


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
    """`columns` are SQL; `value` makes the number of the rows that have them (several rows only when it `folds`)."""

    folds: ClassVar[bool] = True
    key: str = ""  # names it among the numbers that are kept
    empty: ClassVar[Decimal | None] = None

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
    """Different leads: never the sum of its parts. `grouped` makes rows of different leads first, by hashing."""

    folds = False
    empty = Decimal(0)

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        return [Sql("COUNT(*)")]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        assert len(rows) < 2, "different leads cannot be added up"
        return Decimal(rows[0][0]) if rows else Decimal(0)


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

    def columns(self, lead: str, amount: Sql | None) -> list[Sql]:
        amount = amount or Sql("0")
        if connection.vendor == "postgresql":
            return [fill("PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY {})", amount)]
        return [fill("touchpoint_median({})", amount)]

    def value(self, rows: Sequence[Sequence[Any]]) -> Decimal | None:
        assert len(rows) < 2, "medians cannot be put together"
        return _decimal(rows[0][0]).quantize(CENT) if rows and rows[0][0] is not None else None


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
MINIMUM, MAXIMUM = Extreme("MIN", min), Extreme("MAX", max)
# word in a key → (aggregate, words for people)
OF_NUMBERS: dict[str, tuple[Aggregate, str]] = {
    "sum": (SUM, "sum of"),
    "avg": (AVERAGE, "average"),
    "median": (MEDIAN, "median"),
    "min": (MINIMUM, "smallest"),
    "max": (MAXIMUM, "largest"),
}
