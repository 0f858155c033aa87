"""Members or teams side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from crm.members import members_of
from crm.models import Membership, Team, User
from reporting.metrics import Metric
from reporting.metrics.kinds import Measure
from reporting.metrics.selections import Days, member_labels
from reporting.queries.asked import Filters, is_column, limited
from reporting.queries.overview import both_periods
from reporting.statements import Dimension, Groups, grouped, value_of

Pair = tuple[Decimal | None, Decimal | None]  # this period, the previous one


@dataclass(frozen=True)
class Row:
    """One member's or team's line; `cells` and `previous` in the order of the metrics. `only`: the members of the team
    that the report is limited to; empty for all of them."""

    member: Membership | None
    cells: tuple[Decimal | None, ...]
    previous: tuple[Decimal | None, ...] = ()
    team: Team | None = None
    former: bool = False
    only: tuple[User, ...] = ()

    @property
    def name(self) -> str:
        return self.member.user.full_name if self.member else str(self.team)

    @property
    def public_id(self) -> str:
        """The id that limits a list to this row."""
        return self.member.user.public_id if self.member else self.team.public_id if self.team else ""

    @property
    def users(self) -> list[str]:
        """The ids that limit a list to what this row counts."""
        return [user.public_id for user in self.only] or [self.public_id]

    @property
    def is_zero(self) -> bool:
        return not any(self.cells) and not any(self.previous)


@dataclass(frozen=True)
class Comparison:
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    totals: tuple[Decimal | None, ...]
    previous_totals: tuple[Decimal | None, ...]
    largest: tuple[Decimal, ...]


def comparison(
    actor: Membership,
    metrics: Sequence[Metric],
    filters: Filters,
    *,
    hide_zero: bool = False,
    teams: bool = False,
    previous: bool = False,
) -> Comparison:
    """Return members (or teams) × metrics with totals, and the same numbers of the previous equal period when asked.

    One statement per measure, and one more for totals of what does not add up. Former members have a row when they
    have a number, teams when one of the members that the report is limited to is in them. Numbers of nobody (imports without author) count in the total.
    """
    columns = [_Column(actor, metric, filters, previous) for metric in metrics]
    rows = _teams(actor, columns, filters) if teams else _members(actor, columns, filters)
    shown = tuple(row for row in rows if not (row.is_zero and (hide_zero or row.former)))
    totals = [column.total for column in columns]
    largest = tuple(
        max((row.cells[index] or Decimal(0) for row in shown), default=Decimal(0)) for index in range(len(metrics))
    )
    return Comparison(
        tuple(metrics),
        shown,
        tuple(total for total, _ in totals),
        tuple(before for _, before in totals) if previous else (),
        largest,
    )


def _members(actor: Membership, columns: Sequence[_Column], filters: Filters) -> list[Row]:
    rows = []
    for member in members_of(actor.organization, former=True):
        if filters.user_ids and member.user_id not in filters.user_ids:
            continue
        pairs = [column.of_member(member.user_id) for column in columns]
        rows.append(_row(member, None, pairs, columns, former=member.removed_at is not None))
    return rows


def _teams(actor: Membership, columns: Sequence[_Column], filters: Filters) -> list[Row]:
    rows = []
    for team in Team.objects.order_by("name", "pk").prefetch_related("members"):
        members = list(team.members.all())
        only = tuple(user for user in members if user.pk in filters.user_ids)
        if filters.user_ids and not only:
            continue
        numbers = sorted(user.pk for user in only or members)
        pairs = [column.of_team(tuple(numbers)) for column in columns]
        rows.append(replace(_row(None, team, pairs, columns), only=only))
    return rows


def _row(
    member: Membership | None, team: Team | None, pairs: list[Pair], columns: Sequence[_Column], former: bool = False
) -> Row:
    with_previous = bool(columns) and columns[0].with_previous
    before = tuple(pair[1] for pair in pairs) if with_previous else ()
    return Row(member, tuple(pair[0] for pair in pairs), before, team, former)


class _Column:
    """One metric for everybody."""

    def __init__(self, actor: Membership, metric: Metric, filters: Filters, with_previous: bool) -> None:
        self.actor, self.metric, self.filters, self.with_previous = actor, metric, filters, with_previous
        self.narrow = limited(actor, metric, filters)
        self.found: list[Groups] = [self._grouped(measure, by_member=True) for measure in self.narrow.measures]

    def _grouped(self, measure: Measure, *, by_member: bool) -> Groups:
        """Return groups by (span, member), or by (span,): span 1 is the previous period, 2 this one."""
        period, place = self.filters.period, measure.selection.place
        members = [Dimension(place=place, only=() if is_column(place) else self.filters.user_ids)] if by_member else []
        if not self.with_previous:
            here = replace(measure, selection=measure.selection.on(Days(period.start, period.end)))
            found = grouped(self.actor, here, period.zone, members)
            return {(2, *key): rows for key, rows in found.items()}
        spans = Dimension(bounds=(period.bounds("month")[0], *period.moments))
        return grouped(self.actor, both_periods(measure, period), period.zone, [spans, *members])

    def _value(self, found: Sequence[Groups], span: int, numbers: Sequence[int | None] | None) -> Decimal | None:
        values = []
        for measure, groups in zip(self.narrow.measures, found, strict=True):
            rows = [
                row
                for key, parts in groups.items()
                if key[0] == span and (numbers is None or key[1] in numbers)
                for row in parts
            ]
            values.append(value_of(measure.aggregate, rows))
        return self.metric.value(values)

    def of_member(self, number: int) -> Pair:
        return self._value(self.found, 2, [number]), self._value(self.found, 1, [number])

    @property
    def _folds(self) -> bool:
        return all(row.aggregate.folds and is_column(row.selection.place) for row in self.narrow.measures)

    def of_team(self, numbers: tuple[int, ...]) -> Pair:
        """Return the number of a team: of records that count for any of its members, each once."""
        if not numbers:
            empty = self.metric.value([measure.aggregate.empty for measure in self.narrow.measures])
            return empty, empty
        if self._folds:
            return self._value(self.found, 2, numbers), self._value(self.found, 1, numbers)
        names = member_labels(self.actor, numbers)
        found = [
            self._grouped(
                replace(measure, selection=measure.selection.among(measure.selection.place, numbers, names)),
                by_member=False,
            )
            for measure in self.narrow.measures
        ]
        return self._value(found, 2, None), self._value(found, 1, None)

    @property
    def total(self) -> Pair:
        found = self.found
        if not self._folds:
            found = [self._grouped(measure, by_member=False) for measure in self.narrow.measures]
        return self._value(found, 2, None), self._value(found, 1, None)
