"""Metrics: small classes that say which records are measured, and how measures become one number.

To add one: a class here, its line in `reporting.metrics.catalogue`, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from leads.search.language import Exists, Query, Related, Where
from leads.search.sources import LEAD
from reporting.metrics.aggregates import COUNT, LEADS, SUM, Aggregate, Amount, FieldAmount
from reporting.metrics.selections import Place, Selection, held_in

Narrow = Callable[[Selection], Selection]


@dataclass(frozen=True)
class Measure:
    """One aggregate over one selection. `words` name the list behind it."""

    selection: Selection
    aggregate: Aggregate = COUNT
    amount: Amount | None = None
    words: str = ""

    @property
    def records(self) -> Selection:
        """The records behind the number: those that have the measured value."""
        if not isinstance(self.amount, FieldAmount):
            return self.selection
        return self.selection.with_nodes(Where(held_in(self.amount.field, self.selection.types), Exists()))

    @property
    def lists_leads(self) -> bool:
        """Whether the list behind the number is one of leads."""
        return self.selection.of_leads or self.aggregate is LEADS


@dataclass(frozen=True)
class Metric:
    """`key` names it in the API and on tiles, `label` to people. `unit`: `%`, `s` (seconds), `days`, a field's own.

    `told`: what the API and files call it where that is not the label. `more_is_better`: a rise is good news, a fall bad;
    for the others a change is neither.
    """

    key: str
    label: str
    color: str

    measures: tuple[Measure, ...] = ()
    unit: str = ""
    told: str = ""
    more_is_better: ClassVar[bool] = True

    @property
    def written(self) -> str:
        """What the API and files call it."""
        return self.told or self.label

    @property
    def main(self) -> Measure:
        return self.measures[0]

    def value(self, numbers: Sequence[Decimal | None]) -> Decimal | None:
        """Return the metric's number from those of its measures."""
        raise NotImplementedError

    def narrowed(self, narrow: Narrow) -> Metric:
        """Return the same metric about fewer records."""
        return replace(self, measures=tuple(replace(row, selection=narrow(row.selection)) for row in self.measures))

    def counted_for(self, who: Place) -> Metric:
        """Return the same metric, attributed through another column or user field."""
        return self.narrowed(lambda selection: replace(selection, who=who))

    @property
    def aggregate(self) -> Aggregate:
        return self.main.aggregate


@dataclass(frozen=True)
class Measured(Metric):
    """One measure: a count, different leads, or sum, average, median, smallest, largest of a number field."""

    @property
    def adds_up(self) -> bool:
        """Whether parts of the number make the whole: a count, a sum."""
        return self.aggregate in (COUNT, SUM)

    def value(self, numbers: Sequence[Decimal | None]) -> Decimal | None:
        return numbers[0]


@dataclass(frozen=True)
class Share(Metric):
    """How many per cent of all records are the ones meant. Nothing of nothing is no number."""

    unit: str = "%"

    def value(self, numbers: Sequence[Decimal | None]) -> Decimal | None:
        part, whole = numbers
        return (part * 100 / whole).quantize(Decimal("0.1")) if part is not None and whole else None


@dataclass(frozen=True)
class Conversion(Share):
    """The share of leads with an A that a B follows within n days. `when` is the date of the A."""


@dataclass(frozen=True)
class DaysBetween(Metric):
    """The average days from an A to the first B after it on the same lead, within n days."""

    unit: str = "days"
    more_is_better: ClassVar[bool] = False

    def value(self, numbers: Sequence[Decimal | None]) -> Decimal | None:
        return numbers[0]


@dataclass(frozen=True)
class Ratio(Metric):
    """One metric for each of another. Nothing to divide by is no number."""

    def value(self, numbers: Sequence[Decimal | None]) -> Decimal | None:
        part, whole = numbers
        return (part / whole).quantize(Decimal("0.01")) if part is not None and whole else None


def leads_with(measure: Measure) -> Query:
    """Return the search of leads that have one of a measure's records."""
    if measure.selection.of_leads:
        return measure.records.query()
    query = measure.records.query()
    return Query(LEAD, Related(LEAD, measure.selection.source, query.root))
