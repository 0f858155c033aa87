"""One metric over a period: its total, its change, its bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from crm.customfields.lookups import Lookups
from crm.models import Membership
from leads.search.language import CustomValue, Exists, OneOf, Where
from reporting.metrics import Metric
from reporting.metrics.kinds import Measure, Measured
from reporting.metrics.selections import Days, Place
from reporting.periods import Period
from reporting.queries.asked import Filters, Tuned, holds_several, limited
from reporting.statements import Dimension, Groups, grouped, grouped_each, value_of

MOST_LINES = 20
MOST_STACKED = 8  # parts of a bar, each of its own colour
# Told apart by colour-blind readers, next to each other too.
PALETTE = ("blue", "orange", "teal", "pink", "yellow", "azure", "purple", "lime")

NOTHING = "No answer"  # the records of a split that hold no choice


Holds = int | None | tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    """One bucket of a chart: its first and last day within the period, and its value (None = nothing to measure)."""

    start: date
    end: date
    value: Decimal | None


@dataclass(frozen=True)
class Line:
    """The bars of one member or choice. `holds`: the row id, None for records without one; several: none of these.

    `told`: what files call it where that is not the label.
    """

    holds: Holds
    label: str
    color: str
    total: Decimal | None
    values: tuple[Decimal | None, ...]
    told: str = ""

    @property
    def written(self) -> str:
        """What files call it."""
        return self.told or self.label


@dataclass(frozen=True)
class Series:
    """A metric over a period. `numbers`: those of its measures. `lines`: the split, when asked for; `left_out`: how many
    smaller ones are not among them. `change`: percent against the previous equal period (points for a share), None
    when that was nothing."""

    metric: Metric
    step: str
    total: Decimal | None
    previous: Decimal | None
    change: int | None
    bars: tuple[Bar, ...]
    numbers: tuple[Decimal | None, ...] = ()
    previous_numbers: tuple[Decimal | None, ...] = ()
    lines: tuple[Line, ...] = ()
    left_out: int = 0


def change_of(metric: Metric, total: Decimal | None, previous: Decimal | None) -> int | None:
    """Return the change in per cent; for a metric that is a share itself, in points."""
    if total is None or previous is None:
        return None
    if metric.unit == "%":
        return round(total - previous)
    return round((total - previous) / abs(previous) * 100) if previous else None


def series(actor: Membership, metric: Metric, filters: Filters, step: str = "", split: Place | None = None) -> Series:
    """Return a metric's total, its change, and one bar per bucket, empty buckets included.

    One statement for each measure that folds, two for one that does not (different leads, median); as many more for
    a split.
    """
    period = filters.period
    step = period.readable(step)
    bounds = period.bounds(step)
    narrow = limited(actor, metric, filters)
    count = len(bounds) - 2
    found = [_over_time(actor, measure, period, bounds) for measure in narrow.measures]
    numbers = tuple(total for total, _, _ in found)
    before = tuple(previous for _, previous, _ in found)
    total, previous = metric.value(numbers), metric.value(before)
    buckets = period.buckets(step)
    bars = tuple(
        Bar(*period.span(buckets[i], step), metric.value([values[i] for _, _, values in found])) for i in range(count)
    )
    lines, left_out = _lines(actor, narrow, period, bounds, split) if split else ((), 0)
    change = change_of(metric, total, previous)
    return Series(metric, step, total, previous, change, bars, numbers, before, lines, left_out)


def tile_series(actor: Membership, asked: Tuned, filters: Filters, step: str = "") -> Series:
    """Return the series of a tile, by its own step unless another is asked for."""
    return series(actor, asked.metric, filters, step or asked.asked.step, asked.split)


def both_periods(measure: Measure, period: Period) -> Measure:
    """Return the measure over this period and the one before it."""
    return replace(measure, selection=measure.selection.on(Days(period.previous.start, period.end)))


def _over_time(
    actor: Membership, measure: Measure, period: Period, bounds: Sequence[Any]
) -> tuple[Decimal | None, Decimal | None, list[Decimal | None]]:
    """Return the total, the previous period's total, and the value of each bucket."""
    aggregate, zone = measure.aggregate, period.zone
    spanned = both_periods(measure, period)
    if aggregate.folds:
        rows = grouped(actor, spanned, zone, [Dimension(bounds=tuple(bounds))])
        current = [part for (bucket,), parts in rows.items() if bucket > 1 for part in parts]
        total, previous = value_of(aggregate, current), value_of(aggregate, rows.get((1,), []))
        first = 2
    else:
        here = replace(measure, selection=measure.selection.on(Days(period.start, period.end)))
        over, bars = [Dimension(bounds=(bounds[0], *period.moments))], [Dimension(bounds=tuple(bounds[1:]))]
        spans, rows = grouped_each(actor, [(spanned, over), (here, bars)], zone)
        total, previous = value_of(aggregate, spans.get((2,), [])), value_of(aggregate, spans.get((1,), []))
        first = 1
    values = [value_of(aggregate, rows.get((first + i,), [])) for i in range(len(bounds) - 2)]
    return total, previous, values


def _lines(
    actor: Membership, metric: Metric, period: Period, bounds: Sequence[Any], split: Place
) -> tuple[tuple[Line, ...], int]:
    """Return the bars split by what `split` holds, the largest first (choices in their own order)."""
    only = _only(metric.main, split)
    per_measure: list[tuple[Groups, Groups]] = []
    for measure in metric.measures:
        here = replace(measure, selection=measure.selection.on(Days(period.start, period.end)))
        place = Dimension(place=split, only=only)
        by_bar = [place, Dimension(bounds=tuple(bounds[1:]))]
        if measure.aggregate.folds:
            bars = grouped(actor, here, period.zone, by_bar)
            per_measure.append((bars, _folded(bars)))
        else:
            bars, totals = grouped_each(actor, [(here, by_bar), (here, [place])], period.zone)
            per_measure.append((bars, totals))

    def numbers(held: Sequence[int | None]) -> tuple[Decimal | None, tuple[Decimal | None, ...]]:
        """Return the total and the bars of records that hold one of these."""
        parts = [[row for number in held for row in totals.get((number,), [])] for _, totals in per_measure]
        total = metric.value([value_of(m.aggregate, p) for m, p in zip(metric.measures, parts, strict=True)])
        of_bar = [
            [[row for number in held for row in bars.get((number, i + 1), [])] for bars, _ in per_measure]
            for i in range(len(bounds) - 2)
        ]
        return total, tuple(
            metric.value([value_of(m.aggregate, p) for m, p in zip(metric.measures, parts, strict=True)])
            for parts in of_bar
        )

    lines = [(number, *numbers([number])) for number in {key[0] for _, totals in per_measure for key in totals}]
    lines.sort(key=lambda row: (row[0] is None, -(row[1] or Decimal(0)), row[0] or 0))
    shown, rest = _shown(metric, split, lines)
    names = _names(actor, split)
    if isinstance(split, CustomValue) and split.field.kind.has_options:
        order = {option.id: place for place, option in enumerate(split.field.options)}
        shown.sort(key=lambda row: (row[0] is None, order.get(row[0] or 0, 0)))
    found, taken = [], set[str]()
    for number, total, values in shown:
        label, told, color = names(number)
        if color in taken:
            color = next((each for each in PALETTE if each not in taken), color)
        taken.add(color)
        found.append(Line(number, label, color, total, values, told))
    if rest and _stacks(metric) and not holds_several(split):
        besides = tuple(number for number, _, _ in shown if number is not None)
        found.append(Line(besides, f"{len(rest)} others", "gray", *numbers([number for number, _, _ in rest])))
        rest = []
    return tuple(found), len(rest)


def _stacks(metric: Metric) -> bool:
    """Return whether the bars of the parts of a split stand on each other."""
    return isinstance(metric, Measured) and metric.adds_up


def _shown(metric: Metric, split: Place, lines: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the lines that are drawn, the largest, and the rest: put together as the last part of a stack."""
    if not _stacks(metric):
        return lines[:MOST_LINES], lines[MOST_LINES:]
    if len(lines) <= MOST_STACKED:
        return lines, []
    most = MOST_STACKED if holds_several(split) else MOST_STACKED - 1
    return lines[:most], lines[most:]


def _folded(bars: Groups) -> Groups:
    """Return groups by (held, bucket) as groups by (held,)."""
    totals: Groups = {}
    for (held, _), rows in bars.items():
        totals.setdefault((held,), []).extend(rows)
    return totals


def _only(measure: Measure, split: Place) -> tuple[int, ...]:
    """Return the members a report is limited to, when the split is by a field that may hold others beside them."""
    if not isinstance(split, CustomValue):
        return ()
    found = [
        node.condition.values
        for node in measure.selection.nodes
        if isinstance(node, Where) and node.field == split and isinstance(node.condition, OneOf) and not node.negate
    ]
    return tuple(int(number) for number in found[-1]) if found else ()


def _names(actor: Membership, split: Place) -> Any:
    """Return a function from what is held to (label, its word in files, colour).

    A choice or member has one colour on every tile."""
    if isinstance(split, CustomValue) and split.field.kind.has_options:
        field = split.field
        own = [option.color for option in field.options]
        colors = own if all(own) and len(set(own)) == len(own) else _by_place(len(own))
        of_option = {option.id: color for option, color in zip(field.options, colors, strict=True)}
        # A call without a disposition is not one that nobody answered.
        nothing = "Empty" if any(option.words == NOTHING for option in field.options) else NOTHING

        def option(number: int | None) -> tuple[str, str, str]:
            found, color = field.option(number), of_option.get(number or 0, "gray")
            if found is None:
                return nothing, NOTHING, color
            return found.shown, replace(found, spoken="").shown, color

        return option
    lookups = Lookups(actor.organization)
    people = [ref.id for ref in lookups.members]
    of_member = dict(zip(people, _by_place(len(people)), strict=True))

    def member(number: int | None) -> tuple[str, str, str]:
        found = lookups.user(number)
        name = found.name if found else "Nobody"
        return name, name, of_member.get(number or 0, "gray")

    return member


def _by_place(number: int) -> list[str]:
    return [PALETTE[place % len(PALETTE)] for place in range(number)]


def holding(split: Place, holds: Holds, label: str | tuple[str, ...]) -> Where:
    """Return the condition that a record is in the group of `holds`."""
    if holds is None:
        return Where(split, Exists(), True)
    if isinstance(holds, tuple):
        labels = label if isinstance(label, tuple) else (label,) * len(holds)
        return Where(split, OneOf(holds, labels), True)
    return Where(split, OneOf((holds,), (str(label),)))


__all__ = ["Bar", "Holds", "Line", "Series", "change_of", "holding", "series", "tile_series"]
