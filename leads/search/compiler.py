"""From a checked search to SQL, for PostgreSQL and SQLite.

Two shapes of every condition, because the planner cannot estimate (field, value) pairs (`spec/storage.md`):

* a *test* asks about one row at hand, by a correlated sub-query on the index of values;
* a *seed* lists the ids of the rows for which a condition holds, from the other end of the same index.

`leads.search.run` finds the rarest seed by bounded probes and tests the rest, or walks the rows in order and tests all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

from crm.models import Membership
from crm.permissions import lead_visibility
from leads.search.conditions import Conditions
from leads.search.language import (
    All,
    AnyOf,
    Count,
    CustomValue,
    Everything,
    Exists,
    FreeText,
    IdIs,
    MomentIn,
    Node,
    OneOf,
    Related,
    TextIs,
    Where,
    Words,
    conjuncts,
)
from leads.search.moments import Clock
from leads.search.sources import Column, Scope, Source
from leads.search.sql import Sql, both, either, fill, value, values

TABLES = {"text": "value_text", "number": "value_number", "moment": "value_moment", "ref": "value_ref"}
NUMBERS, ROWS, VALUES = "numbers", "rows", "values"
ROW = "row"  # the anchor that reads the records' own table
_COUNT = {"gte": ">=", "lte": "<=", "eq": "="}


@dataclass(frozen=True)
class Row:
    """A record at hand: its alias, or only the lead and record key of a value row (`alias` None)."""

    source: Source
    alias: str | None
    lead: str
    key: str


@dataclass(frozen=True)
class Seed:
    """SQL that lists ids of the root. `exact`: it lists all and only the rows for which its condition holds.

    `ordered`: an index lists the ids in order, so that different ones can be told apart while they are read. `once`: each
    id comes at most once.
    """

    sql: Sql
    exact: bool = True
    ordered: bool = False
    once: bool = False


class Compiler(Conditions):
    """Writes SQL for one search of one actor. `free`: the planner may turn tests into joins."""

    def __init__(self, actor: Membership, clock: Clock, *, free: bool = False) -> None:
        super().__init__(clock)
        self.actor = actor
        self.free = free
        self.anchors: dict[int, int | str] = {}
        self.small_fields: set[int] = set()
        self._aliases = 0

    def alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    # --- the root -----------------------------------------------------------------------------------------------------
    def row(self, source: Source, alias: str) -> Row:
        return Row(source, alias, source.lead.replace("{row}", alias), source.record_key.replace("{row}", alias))

    def where(self, scope: Scope, alias: str, nodes: Sequence[Node]) -> Sql:
        """Return the condition on a row of the root: its scope, whether the actor sees its lead, and the nodes."""
        row = self.row(scope.source, alias)
        parts = [scope.base(alias)]
        if (visible := self.visible(row.lead)) is not None:
            parts.append(visible)
        return both([*parts, *(self.test(node, row) for node in nodes)])

    def visible(self, lead: str) -> Sql | None:
        """Return the condition that the actor sees a lead; None when they see all."""
        rule = lead_visibility(self.actor)
        if rule.everything:
            return None
        held = fill(
            f"SELECT 1 FROM value_ref v WHERE v.lead_id = {lead} AND v.record_key = 0 AND v.field_id IN {{}}",
            values(rule.field_ids),
        )
        mine = self.some(fill("{} AND v.v IN {}", held, values(rule.user_ids)))
        return either([mine, self.some(held, negate=True)]) if rule.unassigned else mine

    def some(self, select: Sql, *, negate: bool = False) -> Sql:
        """Return the test that a SELECT has a row. Written so that it stays a look-up per row, unless `free`."""
        if self.free:
            return fill("NOT EXISTS ({})" if negate else "EXISTS ({})", select)._replace(closed=True)
        return fill(f"({{}} LIMIT 1) IS {'' if negate else 'NOT '}NULL", select)._replace(closed=True)

    # --- tests --------------------------------------------------------------------------------------------------------
    def test(self, node: Node, row: Row) -> Sql:
        """Return the condition that `node` holds for the row at hand. NULL counts as no; a negation is never NULL."""
        return self._test(node, row)

    def _turned(self, node: Node, found: Sql) -> Sql:
        return fill("({}) IS NOT TRUE", found) if node.negate else found

    @singledispatchmethod
    def _test(self, node: Any, row: Row) -> Sql:
        raise TypeError(f"The compiler does not know {type(node).__name__}.")

    @_test.register
    def _(self, node: Everything, row: Row) -> Sql:
        return Sql("1 = 0" if node.negate else "1 = 1")

    @_test.register
    def _(self, node: All, row: Row) -> Sql:
        return self._turned(node, both(self.test(child, row) for child in node.nodes))

    @_test.register
    def _(self, node: AnyOf, row: Row) -> Sql:
        return self._turned(node, either(self.test(child, row) for child in node.nodes))

    @_test.register
    def _(self, node: IdIs, row: Row) -> Sql:
        return self._turned(node, fill(f"{row.alias}.id = {{}}", value(node.number)))

    @_test.register
    def _(self, node: Words, row: Row) -> Sql:
        return self._turned(node, either(self._word_places(node.condition, row)))

    @_test.register
    def _(self, node: FreeText, row: Row) -> Sql:
        return self._turned(node, both(self._free_word(word, row) for word in node.words))

    def _free_word(self, word: str, row: Row) -> Sql:
        """Return the condition that a word stands in the lead's search text, or in the row's own words."""
        if row.source.object_type == "lead":
            return self.contains(f"{row.alias}.search_text", word)
        lead = self.alias()
        of_lead = both([Sql(f"{lead}.id = {row.lead}"), self.contains(f"{lead}.search_text", word)])
        places = [self.some(fill(f"SELECT 1 FROM leads_lead {lead} WHERE {{}}", of_lead))]
        if row.source.words:  # a contact: found by its own name and points, not by those of its colleagues
            point = self.alias()
            own = both([Sql(f"{point}.contact_id = {row.alias}.id"), self.contains(f"{point}.value", word)])
            name = self.contains(f"{lead}.name_fold", word)
            of_lead = both([Sql(f"{lead}.id = {row.lead}"), name])
            places = [self.some(fill(f"SELECT 1 FROM leads_lead {lead} WHERE {{}}", of_lead))]
            places.append(self.some(fill(f"SELECT 1 FROM leads_contactpoint {point} WHERE {{}}", own)))
            places += [
                self.contains(self.folded(text.replace("{row}", row.alias or "")), word) for text in row.source.words
            ]
        return either(places)

    @_test.register
    def _(self, node: Where, row: Row) -> Sql:
        if isinstance(node.field, Column):
            found = self._on_column(node, row.alias or "")
            return self._turned(node, found)
        alias = self.alias()
        where = both(
            [
                Sql(f"{alias}.lead_id = {row.lead} AND {alias}.record_key = {row.key}"),
                *self._on_values(node.field, node.condition, row.source, alias),
            ]
        )
        select = fill(f"SELECT 1 FROM {TABLES[node.field.field.kind.storage]} {alias} WHERE {{}}", where)
        return self.some(select, negate=node.negate)

    @_test.register
    def _(self, node: Related, row: Row) -> Sql:
        if node.count is None:
            return self.some(self.records(node, row), negate=node.negate)
        return self._turned(node, self._counted(node, node.count, row))

    def _counted(self, node: Related, count: Count, row: Row) -> Sql:
        """Return the comparison of the number of related records; counts no further than the answer needs."""
        records, what = self._records(node, row, "key")
        stop = value(count.number + (count.operator != "gte"))
        if what == NUMBERS:
            number = fill("(SELECT COALESCE(SUM(c.number), 0) FROM ({}) c)", records)
        elif what == ROWS:
            number = fill("(SELECT COUNT(*) FROM ({} LIMIT {}) c)", records, stop)
        else:
            number = fill("(SELECT COUNT(*) FROM (SELECT DISTINCT key FROM ({}) d LIMIT {}) c)", records, stop)
        return fill(f"{{}} {_COUNT[count.operator]} {{}}", number, value(count.number))

    def _on_column(self, node: Where, alias: str) -> Sql:
        assert isinstance(node.field, Column)
        column = self.column_sql(node.field, alias)
        if isinstance(node.condition, MomentIn) and node.field.whole_days:
            return self.on_dates(node.condition, column)
        if isinstance(node.condition, TextIs | Exists) and node.field.asks in ("text", "label"):
            if isinstance(node.condition, Exists):
                return Sql(f"{column} <> ''")
            column = column if node.field.folded else self.folded(column)
        return self.condition(node.condition, column)

    def _on_values(self, searched: CustomValue, condition: Any, source: Source, alias: str) -> list[Sql]:
        """Return the conditions on a row of the value index, without its lead and record."""
        # As a bigint: the text index of PostgreSQL compares no other kind of number with its field.
        parts = [fill(f"{alias}.field_id = CAST({{}} AS bigint)", value(searched.field.id))]
        if not isinstance(condition, Exists):
            # The few rows of a small field are read faster than the trigrams that all fields share.
            column = f"({alias}.v || '')" if searched.field.id in self.small_fields else f"{alias}.v"
            parts.append(self.condition(condition, column, searched.field.kind.whole_days))
        if searched.guarded and (guard := source.guard(searched, alias, self.actor)) is not None:
            parts.append(guard)
        return parts

    def _word_places(self, condition: TextIs, row: Row) -> list[Sql]:
        """Return where a record's words may stand: its own text columns and the text fields the actor sees."""
        places = []
        for template in row.source.words:
            column = template.replace("{row}", row.alias or "")
            folded = column if column.endswith((".search_text", ".value")) else self.folded(column)
            places.append(self.condition(condition, folded))
        texts = [found for found in row.source.custom_fields(self.actor) if found.field.kind.storage == "text"]
        for searched in texts if row.source.record_key else ():
            places.append(self.test(Where(searched, condition), row))
        return places

    # --- related records ----------------------------------------------------------------------------------------------
    def records(self, node: Related, row: Row | None, select: str = "1") -> Sql:
        """Return a SELECT of the related records of a row, or of all rows (`row` None).

        `select`: `1`, `lead` (lead_id), `key` (from a shortcut: `number`, how many), or `both` of the last two.
        """
        return self._records(node, row, select)[0]

    def _records(self, node: Related, row: Row | None, select: str) -> tuple[Sql, str]:
        """Return the SELECT and what its rows are: NUMBERS of records, ROWS of records, or VALUES (several a record)."""
        scope, rest = node.source.absorb(self.actor, conjuncts(node.query), self.clock)
        by_lead = row is None or row.source.object_type == "lead"
        short = scope.shortcut(rest, self.clock) if by_lead and not (rest and node.count) else None
        if short is not None:
            table, condition = short
            alias = self.alias()
            where = [condition(alias)] + ([Sql(f"{alias}.lead_id = {row.lead}")] if row else [])
            columns = _columns(select, f"{alias}.lead_id", f"{alias}.count AS number")
            return fill(f"SELECT {columns} FROM {table} {alias} WHERE {{}}", both(where)), NUMBERS
        anchor = self.anchor_of(node, rest) if by_lead else ROW
        if isinstance(anchor, int):
            return self._from_values(scope, rest, anchor, row, select), VALUES
        return self._from_rows(node, scope, rest, row, select), ROWS

    def value_anchors(self, node: Related, rest: Sequence[Node]) -> list[int]:
        """Return which conjuncts can drive the search for related records from the index of values."""
        if not node.source.from_key:
            return []
        return [
            i for i, n in enumerate(rest) if isinstance(n, Where) and isinstance(n.field, CustomValue) and not n.negate
        ]

    def anchor_of(self, node: Related, rest: Sequence[Node]) -> int | str:
        chosen = self.anchors.get(id(node))
        if chosen is not None:
            return chosen
        return next(iter(self.value_anchors(node, rest)), ROW)

    def _from_values(self, scope: Scope, rest: Sequence[Node], anchor: int, row: Row | None, select: str) -> Sql:
        source, driver = scope.source, rest[anchor]
        assert isinstance(driver, Where) and isinstance(driver.field, CustomValue), "value_anchors chose it"
        alias = self.alias()
        record = Row(source, None, f"{alias}.lead_id", f"{alias}.record_key")
        parts = self._on_values(driver.field, driver.condition, source, alias)
        if row is not None:
            parts.append(Sql(f"{alias}.lead_id = {row.lead}"))
        others = [node for i, node in enumerate(rest) if i != anchor]
        parts += [self.test(node, record) for node in others if not _needs_row(node)]
        on_row = [node for node in others if _needs_row(node)]
        if on_row or not scope.implied_by(driver.field):
            inner = self.alias()
            at_hand = self.row(source, inner)
            where = both(
                [
                    Sql(source.from_key.replace("{row}", inner).replace("{key}", record.key)),
                    scope.related(inner),
                    *(self.test(node, at_hand) for node in on_row),
                ]
            )
            # Always a look-up by primary key, `free` or not: the values are the rarer side.
            held = fill(f"(SELECT 1 FROM {source.table} {inner} WHERE {{}} LIMIT 1) IS NOT NULL", where)
            parts.append(held._replace(closed=True))
        columns = _columns(select, record.lead, f"{record.key} AS key")
        table = TABLES[driver.field.field.kind.storage]
        return fill(f"SELECT {columns} FROM {table} {alias} WHERE {{}}", both(parts))

    def _from_rows(self, node: Related, scope: Scope, rest: Sequence[Node], row: Row | None, select: str) -> Sql:
        source, alias = scope.source, self.alias()
        at_hand = self.row(source, alias)
        parts = [scope.related(alias)]
        if row is not None and (link := source.links[row.source.family]):
            parts.append(Sql(link.replace("{row}", alias).replace("{this}", row.alias or "")))
        parts += [self.test(child, at_hand) for child in rest]
        key = f"{alias}.id" if source.lead else f"{alias}.{'ordinality' if self.postgres else 'key'}"
        columns = _columns(select, at_hand.lead, f"{key} AS key")
        return fill(f"SELECT {columns} FROM {self._table(source, alias, row)} WHERE {{}}", both(parts))

    def _table(self, source: Source, alias: str, row: Row | None) -> str:
        if "{this}" not in source.table:
            return f"{source.table} {alias}"
        column = source.table.replace("{this}", row.alias if row and row.alias else "")
        if self.postgres:
            return f"jsonb_array_elements({column}) WITH ORDINALITY AS {alias}(value, ordinality)"
        return f"json_each({column}) AS {alias}"

    # --- seeds --------------------------------------------------------------------------------------------------------
    def seed(self, node: Node, scope: Scope) -> Seed | None:
        """Return SQL that lists the ids of the root's rows for which `node` holds, or None when a test is the only way."""
        return None if node.negate else self._seed(node, scope)

    @singledispatchmethod
    def _seed(self, node: Any, scope: Scope) -> Seed | None:
        return None

    @_seed.register
    def _(self, node: All, scope: Scope) -> Seed | None:
        found = [seed for child in node.nodes if (seed := self.seed(child, scope))]
        return Seed(found[0].sql, exact=len(node.nodes) == 1 and found[0].exact) if found else None

    @_seed.register
    def _(self, node: AnyOf, scope: Scope) -> Seed | None:
        found = [self.seed(child, scope) for child in node.nodes]
        if not found or any(seed is None for seed in found):
            return None
        seeds = [seed for seed in found if seed is not None]
        if len(seeds) == 1:
            return seeds[0]
        sql = fill(" UNION ALL ".join(["SELECT id FROM ({}) u"] * len(seeds)), *(seed.sql for seed in seeds))
        return Seed(sql, all(seed.exact for seed in seeds))

    @_seed.register
    def _(self, node: IdIs, scope: Scope) -> Seed | None:
        return self._by_rows(node, scope)

    @_seed.register
    def _(self, node: Words | FreeText, scope: Scope) -> Seed | None:
        return self._by_rows(node, scope)

    @_seed.register
    def _(self, node: Where, scope: Scope) -> Seed | None:
        if isinstance(node.field, Column):
            return self._by_rows(node, scope) if node.field.indexed else None
        alias = self.alias()
        column = {"= 0": "lead_id", "< 0": "-{}.record_key", "> 0": "record_key"}[scope.source.key_test]
        column = column.replace("{}", alias) if "{}" in column else f"{alias}.{column}"
        parts = self._on_values(node.field, node.condition, scope.source, alias)
        table = TABLES[node.field.field.kind.storage]
        return Seed(
            fill(f"SELECT {column} AS id FROM {table} {alias} WHERE {{}}", both(parts)), scope.implied_by(node.field)
        )

    @_seed.register
    def _(self, node: Related, scope: Scope) -> Seed | None:
        if scope.source.object_type != "lead" or not node.source.lead:
            return None
        count = node.count
        if count is None:
            records = fill("SELECT lead_id AS id FROM ({}) s", self.records(node, None, "lead"))
            return Seed(records, ordered=self._is_ordered(node))
        if count.number < 1 or count.operator == "lte":
            return None
        rows, what = self._records(node, None, "both")
        # Rows are counted by their number: without the id, an index alone may answer.
        number = {NUMBERS: "SUM(number)", ROWS: "COUNT(*)", VALUES: "COUNT(DISTINCT key)"}[what]
        # SQLite would read every row of the type in the order of leads to spare the sorting, whatever the dates are; a sum
        # has no such order.
        lead = "lead_id" if self.postgres or what != ROWS else "+lead_id"
        grouped = f"SELECT lead_id AS id FROM ({{}}) s GROUP BY {lead} HAVING {number} {_COUNT[count.operator]} {{}}"
        return Seed(fill(grouped, rows, value(count.number)), once=True)

    def _is_ordered(self, node: Related) -> bool:
        """Return whether related records are read for one value of one field: its index goes on by lead."""
        _, rest = node.source.absorb(self.actor, conjuncts(node.query), self.clock)
        anchor = self.anchor_of(node, rest)
        driver = rest[anchor] if isinstance(anchor, int) else None
        return isinstance(driver, Where) and isinstance(driver.condition, OneOf) and len(driver.condition.values) == 1

    def _by_rows(self, node: Node, scope: Scope) -> Seed:
        alias = self.alias()
        where = both([scope.base(alias), self.test(node, self.row(scope.source, alias))])
        return Seed(fill(f"SELECT {alias}.id AS id FROM {scope.source.table} {alias} WHERE {{}}", where), once=True)


def _needs_row(node: Node) -> bool:
    """Return whether a node reads the record's own row, not only its values."""
    if isinstance(node, All | AnyOf):
        return any(_needs_row(child) for child in node.nodes)
    if isinstance(node, Where):
        return isinstance(node.field, Column)
    return not isinstance(node, Everything)


def _columns(select: str, lead: str, key: str) -> str:
    return {"1": "1", "lead": f"{lead} AS lead_id", "key": key, "both": f"{lead} AS lead_id, {key}"}[select]
