"""What leads can be searched by that activities know: every type, its fields, counts, and which activity was the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from activities.builtin import BUILTINS
from activities.models import Activity
from activities.queries import TypeInfo, type_catalog
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.lookups import Lookups
from crm.models import Membership
from crm.permissions import Perm, can_view_field, can_view_type, has
from leads.search.language import CustomValue, IdIs, MomentIn, Node, OneOf, Where
from leads.search.sources import BY_AND_WHEN, Column, Resolved, Scope, Source
from leads.search.sql import Sql, both, either, fill, one_of, value

TYPE = "custom_activity_type_id"
COLUMNS = (
    Column(TYPE, "Type", "type", "{row}.type_id", refers_to="custom_activity_type", indexed=True),
    Column("activity_at", "Activity date", "moment", "{row}.activity_at", indexed=True, sorts=True),
    *BY_AND_WHEN,
    Column("user_id", "User", "user", "{row}.user_id", refers_to="user"),
    Column("contact_id", "Contact", "reference", "{row}.contact_id", refers_to="contact"),
    Column("lead_id", "Lead", "reference", "{row}.lead_id", refers_to="lead"),
    Column("status", "State", "term", "{row}.status", terms=("published", "draft")),
    Column("pinned", "Pinned", "flag", "CASE WHEN {row}.pinned_at IS NULL THEN 0 ELSE 1 END"),
)
_TYPE = COLUMNS[0]
_STATUS = next(column for column in COLUMNS if column.name == "status")


@dataclass(frozen=True)
class ActivityScope(Scope):
    """Published activities of these types; drafts the actor may see as well, when the search asks for the state."""

    types: frozenset[int] = frozenset()
    drafts: bool = False

    def base(self, row: str) -> Sql:
        return both([self.related(row), fill(f"{row}.organization_id = {{}}", value(self.actor.organization_id))])

    def related(self, row: str) -> Sql:
        # The types are the organization's own, which is proof enough, and what the indexes by type hold.
        return both([one_of(f"{row}.type_id", sorted(self.types)), self._state(row)])

    def _state(self, row: str) -> Sql:
        published = Sql(f"{row}.status = 'published'")  # a constant: the partial indexes need to see it
        if not self.drafts:
            return published
        if has(self.actor, Perm.MANAGE_OTHERS_ACTIVITIES):
            return Sql("1 = 1")
        return either([published, fill(f"{row}.created_by_id = {{}}", value(self.actor.user_id))])

    def implied_by(self, searched: CustomValue) -> bool:
        return _type_ids(self.actor, searched.fieldset_ids) <= self.types

    def shortcut(self, rest: Sequence[Node], clock: Any) -> tuple[str, Callable[[str], Sql]] | None:
        """Existence by type, or since or before a moment of `activity_at`, is answered by `lead_activity_fact`."""
        if self.drafts or len(rest) > 1:
            return None
        types: Callable[[str], Sql] = lambda row: one_of(f"{row}.type_id", sorted(self.types))  # noqa: E731
        if not rest:
            return "lead_activity_fact", types
        (node,) = rest
        if not isinstance(node, Where) or node.negate or not isinstance(node.condition, MomentIn):
            return None
        if not isinstance(node.field, Column) or node.field.name != "activity_at":
            return None
        start, before = node.condition.start, node.condition.before
        if start and before:
            return None
        column, operator, moment = ("last_at", ">=", start) if start else ("first_at", "<", before)
        assert moment is not None, "a condition has a start or an end"
        at = connection.ops.adapt_datetimefield_value(moment.at(clock))
        return "lead_activity_fact", lambda row: both([types(row), fill(f"{row}.{column} {operator} {{}}", value(at))])


@dataclass(frozen=True)
class LastScope(ActivityScope):
    """The latest published activity of its lead, among the types the actor sees."""

    among: frozenset[int] = frozenset()

    def related(self, row: str) -> Sql:
        newer = fill(
            f"NOT EXISTS (SELECT 1 FROM activities_activity n WHERE n.lead_id = {row}.lead_id AND n.status = 'published' "
            f"AND {{}} AND (n.activity_at, n.id) > ({row}.activity_at, {row}.id))",
            one_of("n.type_id", sorted(self.among)),
        )
        return both([super().related(row), newer])

    def implied_by(self, searched: CustomValue) -> bool:
        return False

    def shortcut(self, rest: Sequence[Node], clock: Any) -> tuple[str, Callable[[str], Sql]] | None:
        return None


@dataclass(frozen=True)
class ActivitySource(Source):
    """Activities of the types that `holds` names."""

    holds: Callable[[TypeInfo], bool] = lambda row: True
    builtin: str = ""

    __hash__ = Source.__hash__

    def object_types(self, actor: Membership, numbers: Sequence[int]) -> dict[int, str]:
        if self.object_type != "activity":
            return super().object_types(actor, numbers)
        kinds = {row.id: row.event_type for row in type_catalog(actor.organization).types}
        rows = Activity.with_drafts.filter(pk__in=numbers).values_list("pk", "type_id")
        return {number: kinds[type_id] for number, type_id in rows}

    def named_field(self, actor: Membership, name: str) -> CustomValue | None:
        """Return the field of a built-in kind that the API calls `name`, if the actor may see it."""
        key = f"{self.builtin}.{name}"
        known = catalog(actor.organization).fields.values() if self.builtin else ()
        return next((self.custom_field(actor, field.public_id) for field in known if field.builtin == key), None)

    def types(self, actor: Membership) -> frozenset[int]:
        """Return the ids of the types the actor may see here, archived ones included."""
        rows = type_catalog(actor.organization).types
        return frozenset(row.id for row in rows if self.holds(row) and can_view_type(actor, row))

    def uses(self, actor: Membership, known: Catalog) -> Iterable[Use]:
        for row in type_catalog(actor.organization).types:
            if self.holds(row):
                yield from known.uses(row.fieldset_id)

    def visible_here(self, actor: Membership, use: Use) -> bool:
        owner = type_catalog(actor.organization).of_fieldset(use.fieldset_id)
        return owner is not None and bool(can_view_type(actor, owner)) and bool(can_view_field(actor, use))

    def guard(self, searched: CustomValue, row: str, actor: Membership) -> Sql | None:
        plain = super().guard(searched, row, actor)
        elsewhere = set(searched.field.fieldset_ids) - searched.fieldset_ids
        if not _type_ids(actor, elsewhere):
            return plain
        where = one_of("g.type_id", sorted(_type_ids(actor, searched.fieldset_ids)))
        own = fill(f"(SELECT 1 FROM activities_activity g WHERE g.id = {row}.record_key AND {{}}) IS NOT NULL", where)
        return both([plain, own]) if plain else own

    def absorb(self, actor: Membership, nodes: Sequence[Node], clock: Any) -> tuple[Scope, list[Node]]:
        types, rest = self.types(actor), []
        entries = frozenset(row.id for row in type_catalog(actor.organization).types if row.system)
        # "Any activity" is what somebody did. What the product wrote (lead created, imported …) is found by its type alone.
        if not self.builtin and not any(_asks_entries(actor, node, entries) for node in nodes):
            types -= entries
        for node in nodes:
            if isinstance(node, Where) and isinstance(node.field, Column) and node.field.name == TYPE:
                if isinstance(node.condition, OneOf):
                    asked = frozenset(int(number) for number in node.condition.values)
                    types = types - asked if node.negate else types & asked
                elif node.negate:
                    types = frozenset()
            else:
                rest.append(node)
        return self._scope(actor, types, any(_asks_state(node) for node in nodes)), rest

    def _scope(self, actor: Membership, types: frozenset[int], drafts: bool) -> Scope:
        return ActivityScope(self, actor, types, drafts)


@dataclass(frozen=True)
class LastSource(ActivitySource):
    __hash__ = Source.__hash__

    def _scope(self, actor: Membership, types: frozenset[int], drafts: bool) -> Scope:
        return LastScope(self, actor, types, False, self.types(actor))


def _asks_state(node: Any) -> bool:
    """Return whether a condition on the state (draft or published) is part of a node, on the same activity."""
    if isinstance(node, Where):
        return node.field is _STATUS
    return any(_asks_state(child) for child in getattr(node, "nodes", ()))


def _asks_entries(actor: Membership, node: Any, entries: frozenset[int], turned: bool = False) -> bool:
    """Return whether a node names a type of system entry (`entries`: their ids), a field that only they have, or a record.

    `turned`: it stands in a group that is negated. “None of: Lead created …” names no entries to find.
    """
    turned ^= getattr(node, "negate", False)
    if isinstance(node, IdIs):
        return not turned
    if not isinstance(node, Where):
        return any(_asks_entries(actor, child, entries, turned) for child in getattr(node, "nodes", ()))
    if isinstance(node.field, CustomValue):
        return bool(owners := _type_ids(actor, node.field.fieldset_ids)) and owners <= entries
    if node.field is _TYPE and isinstance(node.condition, OneOf) and not turned:
        return not entries.isdisjoint(int(number) for number in node.condition.values)
    return False


def _type_ids(actor: Membership, fieldset_ids: Iterable[int]) -> frozenset[int]:
    wanted = set(fieldset_ids)
    return frozenset(row.id for row in type_catalog(actor.organization).types if row.fieldset_id in wanted)


def _activity_type(actor: Membership, lookups: Lookups, raw: Any) -> Resolved:
    found = type_catalog(actor.organization).by_public_id(raw)
    return (found.id, found.name) if found and can_view_type(actor, found) else None


ACTIVITY = ActivitySource(
    object_type="activity",
    singular="activity",
    plural="activities",
    table="activities_activity",
    columns=COLUMNS,
    links={"lead": "{row}.lead_id = {this}.id", "contact": "{row}.contact_id = {this}.id"},
    record_key="{row}.id",
    from_key="{row}.id = {key}",
    key_test="> 0",
    id_prefix="acti",
    listed=True,
    default_sort="-activity_at",
    references={"custom_activity_type": _activity_type},
)
CUSTOM = replace(ACTIVITY, object_type="activity.custom_activity", holds=lambda row: row.is_custom)
LAST = LastSource(
    **{
        **{name: getattr(ACTIVITY, name) for name in ACTIVITY.__dataclass_fields__},
        "object_type": "activity.last",
        "singular": "last activity",
        "plural": "last activities",
        "links": {"lead": "{row}.lead_id = {this}.id"},
        "listed": False,
        "holds": lambda row: not row.system,
    }
)
BUILTIN = tuple(
    replace(
        ACTIVITY,
        object_type=declared.event_type,
        singular=declared.name.lower() if not declared.name.isupper() else declared.name,
        plural=f"{declared.name.lower() if not declared.name.isupper() else declared.name} activities",
        holds=lambda row, slug=slug: row.builtin == slug,
        builtin=slug,
    )
    for slug, declared in BUILTINS.items()
)
ACTIVITIES = (CUSTOM, *BUILTIN, LAST, ACTIVITY)
