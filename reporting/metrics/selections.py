"""Which records a number is about: a search of the one search language, and the moment and member each record counts for.

The number and the list behind it are made from the same nodes: `Selection.where` compiles them into the statement that
counts, `Selection.query` is the search that lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.utils import timezone

from activities.queries import TypeInfo
from activities.search import ACTIVITY, TYPE, ActivityScope
from crm.customfields.catalog import Field
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.models import Membership
from crm.permissions import lead_visibility
from leads.search.compiler import Compiler, Row
from leads.search.language import All, CustomValue, Exists, MomentIn, Node, OneOf, Query, Where, parse
from leads.search.moments import Clock, LocalDay
from leads.search.sources import LEAD, Column, Source
from leads.search.sql import Sql, both, fill, one_of

Place = Column | CustomValue  # where a record says whose it is, or which option it holds


@dataclass(frozen=True)
class Days:
    """From `start` to `end`, both included."""

    start: date
    end: date


@dataclass(frozen=True)
class Selection:
    """Published activities of `types` (or leads, without types) for which all `nodes` hold.

    `when`: the column that places a record in time. `who`: the column or user field that says whom it counts for.
    """

    source: Source
    when: str = "date_created"
    who: Place | None = None
    types: tuple[TypeInfo, ...] = ()
    nodes: tuple[Node, ...] = ()
    days: Days | None = None

    @property
    def place(self) -> Place:
        """Where to read the member from."""
        return self.who or cast(Column, self.source.column("created_by"))

    @property
    def of_leads(self) -> bool:
        return self.source.object_type == "lead"

    @property
    def lead(self) -> str:
        return "r.id" if self.of_leads else "r.lead_id"

    @property
    def moment(self) -> Column:
        return cast(Column, self.source.column(self.when))

    def with_nodes(self, *nodes: Node) -> Selection:
        return replace(self, nodes=(*self.nodes, *nodes))

    def among(self, given: Place, numbers: tuple[int, ...], labels: tuple[str, ...], negate: bool = False) -> Selection:
        """Return the records where a column or field holds one of these."""
        return self.with_nodes(Where(given, OneOf(numbers, labels), negate))

    def on(self, days: Days) -> Selection:
        """Return the records of these days."""
        return replace(self, days=Days(days.start, days.end))

    @property
    def _dated(self) -> tuple[Node, ...]:
        if self.days is None:
            return ()
        return (Where(self.moment, MomentIn(LocalDay(self.days.start, False), LocalDay(self.days.end, True))),)

    # --- the search that lists ----------------------------------------------------------------------------------------
    def query(self) -> Query:
        """Return the search that selects exactly these records."""
        return self._query((*self.nodes, *self._dated))

    def _query(self, nodes: tuple[Node, ...]) -> Query:
        if not self.of_leads:
            kinds = OneOf(tuple(row.id for row in self.types), tuple(row.name for row in self.types))
            nodes = (Where(cast(Column, ACTIVITY.column(TYPE)), kinds), *nodes)
        return Query(self.source, All(nodes))

    # --- the condition that counts ------------------------------------------------------------------------------------
    def has_stored_day(self, actor: Membership, zone: ZoneInfo, *, by_choice: bool = False) -> bool:
        """Return whether `created_on` says the day, and the index that has it and the author answers everything asked.

        `by_choice`: conditions on what fields hold, as ids, are no hindrance.
        """
        author = self.source.column("created_by")
        return (
            all(
                isinstance(node, Where) and (node.field == author or (by_choice and _by_id(node)))
                for node in self.nodes
            )
            and not self.of_leads
            and self.when == "date_created"
            and zone.key == actor.organization.timezone
            and lead_visibility(actor).everything
        )

    def where(self, actor: Membership, zone: ZoneInfo, *, by_stored_day: bool = False) -> Sql:
        """Return the same condition for row `r` of the source's table. `by_stored_day`: when `has_stored_day`.

        The organization is left out where a type implies it, so that an index of the type answers alone.
        """
        clock = Clock(timezone.now(), zone, actor.organization.week_starts_on)
        compiler = Compiler(actor, clock, free=True)
        query = self._query(self.nodes) if by_stored_day else self.query()
        scope, rest = self.source.absorb(actor, query.conjuncts, clock)
        if isinstance(scope, ActivityScope):
            base = both([one_of("r.type_id", sorted(scope.types)), Sql("r.status = 'published'")])
            base = base if scope.types else Sql("1 = 0")
        else:
            base = scope.base("r")
        row = compiler.row(self.source, "r")
        visible = compiler.visible(row.lead)
        dated: list[Sql] = []
        if by_stored_day and self.days is not None:
            dated = [Sql("r.created_on >= %s AND r.created_on <= %s", (self.days.start, self.days.end))]
        return both([base, *dated, *([visible] if visible else []), *(compiler.test(node, row) for node in rest)])


def _by_id(node: Where) -> bool:
    return isinstance(node.field, CustomValue) and isinstance(node.condition, OneOf | Exists)


def activities(types: tuple[TypeInfo, ...], when: str = "date_created", who: Place | None = None) -> Selection:
    return Selection(ACTIVITY, when, who, types)


def leads() -> Selection:
    return Selection(LEAD)


def held_in(field: Field, kinds: tuple[TypeInfo, ...]) -> CustomValue:
    """Return a field of these types as a search asks for it. That the actor may see it there is the caller's duty."""
    where = frozenset(kind.fieldset_id for kind in kinds)
    return CustomValue(field, where, guarded=bool(set(field.fieldset_ids) - where))


def filter_nodes(actor: Membership, source: Source, tree: Any) -> tuple[Node, ...]:
    """Return the nodes of a tile's filter, checked as the actor. Raises `InvalidInput`."""
    if not tree:
        return ()
    query = parse(tree, actor, source.object_type)
    if query.source != source:
        raise InvalidInput(fields={"filter": f"This number is about {source.plural}: filter those."})
    if any(_asks_state(node) for node in query.conjuncts):
        raise InvalidInput(fields={"filter": "Reports count published activities only; leave the state out."})
    return tuple(query.conjuncts)


def lead_nodes(actor: Membership, source: Source, tree: Any) -> tuple[Node, ...]:
    """Return the nodes that limit records to the leads of a search, checked as the actor. Raises `InvalidInput`."""
    if not tree:
        return ()
    query = parse(tree, actor)
    if query.source.object_type != "lead":
        raise InvalidInput(fields={"query": "A report is limited by a Smart View of leads."})
    if source.object_type == "lead":
        return tuple(query.conjuncts)
    related = {
        "type": "has_related",
        "this_object_type": source.object_type,
        "related_object_type": "lead",
        "related_query": tree,
    }
    return tuple(parse(related, actor, source.object_type).conjuncts)


def _asks_state(node: Any) -> bool:
    if isinstance(node, Where):
        return isinstance(node.field, Column) and node.field.name == "status"
    return any(_asks_state(child) for child in getattr(node, "nodes", ()))


# --- B after A on the same lead ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Followed:
    """A node that only reports make: an activity of these types follows on the same lead within `days` days.

    `same`: it may be of the same type as the one it follows, and must not be that very one.
    """

    types: tuple[TypeInfo, ...]
    days: int
    same: bool = False
    negate: bool = False

    def later(self, row: str) -> Sql:
        """Return FROM and WHERE of the activities that follow, as `n`."""
        types = one_of("n.type_id", [kind.id for kind in self.types])
        other = f"AND n.id <> {row}.id " if self.same else ""
        return fill(
            f"FROM activities_activity n WHERE n.lead_id = {row}.lead_id AND n.status = 'published' {other}"
            f"AND n.activity_at >= {row}.activity_at AND {{}} AND {{}}",
            types,
            self._soon(row),
        )

    def _soon(self, row: str) -> Sql:
        if _is_postgres():
            return Sql(f"n.activity_at < {row}.activity_at + make_interval(days => %s)", (self.days,))
        return Sql(f"julianday(n.activity_at) < julianday({row}.activity_at) + %s", (self.days,))

    @cached_property
    def words(self) -> str:
        names = " or ".join(kind.name for kind in self.types)
        return f"{'no ' if self.negate else ''}{names} follows on the same lead within {self.days} days"


def _is_postgres() -> bool:
    from django.db import connection

    return connection.vendor == "postgresql"


def _test_followed(compiler: Compiler, node: Followed, row: Row) -> Sql:
    return compiler.some(fill("SELECT 1 {}", node.later(row.alias or "r")), negate=node.negate)


def _teach() -> None:
    from leads.search.sentences import clause

    Compiler.__dict__["_test"].register(Followed, _test_followed)
    clause.register(Followed, lambda node: node.words)


_teach()


def member_labels(actor: Membership, user_ids: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of members, for sentences."""
    lookups = Lookups(actor.organization)
    return tuple(found.name if (found := lookups.user(number)) else "nobody" for number in user_ids)
