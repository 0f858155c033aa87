"""Asking: which records a checked search selects, page by page, and how many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from crm.errors import InvalidInput
from crm.models import Membership
from leads.search.compiler import ROW, Compiler, Seed, _needs_row
from leads.search.cursors import encode_cursor
from leads.search.estimates import is_small, number_of_leads, probe, probe_bound
from leads.search.language import (
    CustomValue,
    FreeText,
    Node,
    Query,
    Related,
    TextIs,
    Where,
    conjuncts,
    free_words,
    parse,
)
from leads.search.moments import Clock
from leads.search.order import Sort, as_json, last_seen, sort_by
from leads.search.sources import Column
from leads.search.sql import Sql, both, fill, nesting, value
from leads.search.statements import limited, select_rows

__all__ = ["Page", "count", "id_subquery", "parse", "run"]

CAPPED = 10_000
MAX_LIMIT = 1000
_SEVERAL_PER_RECORD = 3
_KNOWN = 3
_NESTED = 8
_LOOKED_AT = CAPPED * _SEVERAL_PER_RECORD + 1


@dataclass(frozen=True)
class Page:
    """Row ids in order. `total` is None when not asked for; not exact: there are more than that."""

    ids: tuple[int, ...]
    next_cursor: str
    total: int | None
    total_is_exact: bool = True


def run(
    actor: Membership,
    query: Query,
    *,
    lists: str = "",
    sort: str | Sequence[Mapping[str, Any]] = "",
    limit: int = 50,
    cursor: str = "",
    text: str = "",
    count: str = "capped",
    tz: ZoneInfo | None = None,
    part: tuple[int, int] | None = None,
) -> Page:
    """Return one page of the ids that match, in the actor's scope, types, fields and leads.

    `sort`: a column's name, with `-` for descending (`sort_names`), or the API's list of one. `text`: the free-text box.
    `count`: `capped` (at most 10,000), `exact` or `no`. `part`: (k, n) keeps the k-th of n equal parts. Raises
    `InvalidInput` for an unknown sort or a foreign cursor, `TooMuch` when the answer takes too long.
    """
    if lists and lists != query.source.family:
        raise InvalidInput(fields={"query": f"This search selects {query.source.plural}, not {lists}s."})
    search = _Search(actor, query, text, tz, part)
    ordered = sort_by(actor, query, sort)
    after = last_seen(ordered, cursor)
    limit = max(1, min(limit, MAX_LIMIT))
    with limited():
        return search.page(ordered, limit, after, count)


def count(actor: Membership, query: Query, *, text: str = "", tz: ZoneInfo | None = None) -> int:
    """Return the exact number of records that match."""
    with limited():
        return _Search(actor, query, text, tz, None).exact()


def id_subquery(
    actor: Membership, query: Query, lists: str = "", *, text: str = "", tz: ZoneInfo | None = None
) -> tuple[str, tuple[Any, ...]]:
    """Return SQL that selects the ids that match, for use inside another statement (reports, exports, bulk)."""
    if lists and lists != query.source.family:
        raise InvalidInput(fields={"query": f"This search selects {query.source.plural}, not {lists}s."})
    found = _Search(actor, query, text, tz, None).everything()
    return found.text, found.params


@dataclass(frozen=True)
class _Found:
    """How many different records the candidates looked at are; `complete`: all were. `rows`: the page, when they are few."""

    records: int
    complete: bool
    rows: list[Any] | None


class _Search:
    """One search being run. `free` compiles for the planner, `compiler` for look-ups row by row."""

    def __init__(
        self, actor: Membership, query: Query, text: str, tz: ZoneInfo | None, part: tuple[int, int] | None
    ) -> None:
        clock = Clock(timezone.now(), tz or actor.zone, actor.organization.week_starts_on)
        self.actor = actor
        self.source = query.source
        self.compiler = Compiler(actor, clock)
        self.free = Compiler(actor, clock, free=True)
        nodes = query.conjuncts
        if words := free_words(text):
            nodes.append(FreeText(words))
        self.scope, self.nodes = query.source.absorb(actor, nodes, clock)
        self.part = part
        self.leads = number_of_leads(actor)
        self.bound = probe_bound(actor)
        if self.compiler.postgres:
            small = {field_id for node in self.nodes for field_id in _text_fields(node) if is_small(field_id)}
            self.compiler.small_fields = self.free.small_fields = small

    # --- what matches -------------------------------------------------------------------------------------------------
    def everything(self) -> Sql:
        """Return the ids of everything that matches, for the planner to arrange."""
        seeds = [(node, self.free.seed(node, self.scope)) for node in self.nodes]
        rest = [node for node, seed in seeds if seed is None or not seed.exact]
        parts = [self.free.where(self.scope, "r", rest), *self._part("r")]
        parts += [fill("r.id IN (SELECT id FROM ({}) s)", seed.sql) for _, seed in seeds if seed and seed.exact]
        return fill(f"SELECT r.id FROM {self.source.table} r WHERE {{}}", both(parts))

    def _part(self, row: str) -> list[Sql]:
        return [] if self.part is None else [Sql(f"{row}.id %% {int(self.part[1])} = {int(self.part[0]) - 1}")]

    def _candidates(self, driver: tuple[int, Seed] | None) -> Sql:
        """Return the ids that match, from the rarest seed with a look-up for the rest; a record may come several times."""
        if driver is None:
            parts = [self.free.where(self.scope, "r", self.nodes), *self._part("r")]
            return fill(f"SELECT r.id AS id FROM {self.source.table} r WHERE {{}}", both(parts))
        index, seed = driver
        rest = [node for i, node in enumerate(self.nodes) if i != index or not seed.exact]
        if not rest and seed.exact and self.part is None and self.compiler.visible("r.id") is None:
            return seed.sql
        parts = [Sql("r.id = c.id"), self.compiler.where(self.scope, "r", rest), *self._part("r")]
        check = fill(f"SELECT 1 FROM {self.source.table} r WHERE {{}} LIMIT 1", both(parts))
        return fill("SELECT c.id AS id FROM ({}) c WHERE ({}) IS NOT NULL", seed.sql, check)

    # --- the rarest seed ----------------------------------------------------------------------------------------------
    def driver(self) -> tuple[int, Seed] | None:
        """Return the conjunct with the fewest rows and its seed, as far as bounded probes can tell."""
        for node in self.nodes:
            self._choose_anchor(node)
        seeds = [(i, seed) for i, node in enumerate(self.nodes) if (seed := self.compiler.seed(node, self.scope))]
        if len(seeds) < 2:
            return seeds[0] if seeds else None
        numbers = probe([fill("SELECT 1 FROM ({}) s", seed.sql) for _, seed in seeds], self.bound)
        return min(zip(numbers, seeds, strict=True), key=lambda pair: (pair[0], not pair[1][1].exact))[1]

    def _choose_anchor(self, node: Node) -> None:
        """Decide from which condition the related records of a conjunct are read: the one with the fewest rows."""
        if not isinstance(node, Related) or self.source.object_type != "lead":
            return
        scope, rest = node.source.absorb(self.actor, conjuncts(node.query), self.compiler.clock)
        anchors = self.compiler.value_anchors(node, rest)
        selects: dict[int | str, Sql] = {}
        for index in anchors:
            driver = rest[index]
            assert isinstance(driver, Where) and isinstance(driver.field, CustomValue), "value_anchors chose it"
            where = both(self.compiler._on_values(driver.field, driver.condition, node.source, "v"))
            selects[index] = fill(f"SELECT 1 FROM {_table_of(driver.field)} v WHERE {{}}", where)
        on_row = [child for child in rest if _needs_row(child)]
        if anchors and any(_is_bounded(child) for child in on_row):
            row = self.compiler.row(node.source, "a")
            plain = [child for child in on_row if isinstance(child, Where)]
            where = both([scope.related("a"), *(self.compiler.test(child, row) for child in plain)])
            selects[ROW] = fill(f"SELECT 1 FROM {node.source.table} a WHERE {{}}", where)
        if len(selects) > 1:
            in_order = all(not isinstance(getattr(rest[i], "condition", None), TextIs) for i in anchors)
            probed = probe(list(selects.values()), self.bound, bounded=in_order and ROW not in selects)
            numbers = dict(zip(selects, probed, strict=True))
            chosen = min(numbers, key=lambda anchor: numbers[anchor])
            self.compiler.anchors[id(node)] = self.free.anchors[id(node)] = chosen

    # --- pages and totals ---------------------------------------------------------------------------------------------
    def page(self, sort: Sort, limit: int, after: tuple[Any, int] | None, count: str) -> Page:
        driver = self.driver()
        candidates = self._candidates(driver)
        found = self._look(candidates, driver, count, sort, limit, after) if self.nodes else None
        rows = found.rows if found and found.rows is not None else self._walk(sort, limit + 1, after)
        shown = rows[:limit]
        cursor = encode_cursor(sort.name, as_json(shown[-1][1]), shown[-1][0]) if len(rows) > limit else ""
        total, exact = self._total(count, candidates, found)
        return Page(tuple(row[0] for row in shown), cursor, total, exact)

    def _few(self, limit: int) -> int:
        """Return up to how many records it is cheaper to fetch and sort than to test rows in order until a page is full.

        A page is full after about `leads / records * limit` tests. Measured: to fetch and sort one record by its id costs
        nearly twice as much as to look up a value of a row, and an eighth of what words or counts cost.
        """
        tests = self.leads * limit * (0.6 if self._is_plain() else 8)
        return min(max(self.bound // 2, math.isqrt(int(tests))), _KNOWN * self.bound, CAPPED)

    def _is_plain(self) -> bool:
        """Return whether the search asks about values of one record only: each test is a look-up in an index."""
        node = self.nodes[0]
        tests: Sequence[Node] = [node]
        if isinstance(node, Related):
            _, tests = node.source.absorb(self.actor, conjuncts(node.query), self.compiler.clock)
            tests = tests if node.count is None else []
        plain = [isinstance(test, Where) and not isinstance(test.condition, TextIs) for test in tests]
        return len(self.nodes) == 1 and bool(plain) and all(plain)

    def _look(
        self,
        candidates: Sql,
        driver: tuple[int, Seed] | None,
        count: str,
        sort: Sort,
        limit: int,
        after: tuple[Any, int] | None,
    ) -> _Found:
        """Look at as many candidates as the total asks for, and sort them where they are all and few.

        Without a driver the candidates are records, once each. With one a record may come several times, so more rows
        are looked at than are counted. Where nothing is counted, a few rows tell whether it is worth going on.
        """
        once = driver is None or driver[1].once
        if not once and driver and driver[1].ordered:
            candidates, once = fill("SELECT DISTINCT id FROM ({}) d", candidates), True
        most, few = CAPPED + 1 if once else _LOOKED_AT, self._few(limit)
        picked = self._picked(sort, limit + 1, after)
        if count == "no":
            found = self._look_at(candidates, once, self.bound + 1, min(few, self.bound), picked)
            if found.complete or driver is None or found.records > self.bound // _SEVERAL_PER_RECORD:
                return found
        return self._look_at(candidates, once, most, few, picked)

    def _look_at(self, candidates: Sql, once: bool, most: int, few: int, picked: Sql) -> _Found:
        """Count the different candidates, and select the page of them when there are at most `few`: in one statement."""
        listed = "array_agg(id)" if self.compiler.postgres else "json_group_array(id)"
        # SQLite's parser goes no more than a hundred symbols deep, but plans best what stands in its place.
        apart = not self.compiler.postgres and nesting(candidates.text) > _NESTED
        within = Sql("c") if apart else fill("({})", candidates)
        numbers, each = "COUNT(*)", fill(f"SELECT id FROM {{}} s LIMIT {most:d}", within)
        if not once:
            numbers, each = "COALESCE(SUM(n), 0)", fill("SELECT id, COUNT(*) AS n FROM ({}) c GROUP BY id", each)
        seen = fill(
            f"SELECT {numbers} AS seen, COUNT(*) AS records, "
            f"CASE WHEN {numbers} < {most:d} AND COUNT(*) <= {few:d} THEN {listed} END AS ids FROM ({{}}) e",
            each,
        )
        before = fill("c AS ({}), ", candidates) if apart else Sql("")
        asked = fill(
            "WITH {}f AS ({}) SELECT f.seen, f.records, w.id, w.sorted FROM f LEFT JOIN ({}) w ON 1 = 1",
            before,
            seen,
            picked,
        )
        rows = select_rows(asked)
        seen_rows, records = int(rows[0][0]), int(rows[0][1])
        complete = seen_rows < most
        page = [row[2:] for row in rows if row[2] is not None] if complete and records <= few else None
        return _Found(records, complete, page)

    def _picked(self, sort: Sort, limit: int, after: tuple[Any, int] | None) -> Sql:
        """Return the SELECT of the next (id, sort value) of the rows whose ids are `f.ids`; those without a value last."""
        column, sign = sort.column.sql.replace("{row}", "r"), "<" if sort.descending else ">"
        ids = (
            "ANY((SELECT f.ids FROM f)::bigint[])"
            if self.compiler.postgres
            else "(SELECT value FROM f, json_each(f.ids))"
        )
        known = Sql(f"r.id {'=' if self.compiler.postgres else 'IN'} {ids}")
        where = both([known, fill("r.organization_id = {}", value(self.actor.organization_id))])
        beyond = Sql("1 = 1")
        if after is not None and after[0] is None:
            # The plus keeps SQLite from looking up the bound in an index that has these ids already: it forgets it then.
            beyond = fill(f"q.sorted IS NULL AND +q.id {sign} {{}}", value(after[1]))
        elif after is not None:
            beyond = fill(f"(q.sorted, q.id) {sign} ({{}}, {{}}) OR q.sorted IS NULL", value(after[0]), value(after[1]))
        rows = fill(f"SELECT r.id, {column} AS sorted FROM {self.source.table} r WHERE {{}}", where)
        order = f"q.sorted IS NULL, q.sorted {sort.order}, q.id {sort.order}"
        return fill(
            f"SELECT q.id, q.sorted FROM ({{}}) q WHERE {{}} ORDER BY {order} LIMIT {{}}", rows, beyond, value(limit)
        )

    def _walk(self, sort: Sort, limit: int, after: tuple[Any, int] | None) -> list[Any]:
        """Return (id, sort value) of the next rows in order, each tested; rows without a sort value come last."""
        where = both([self.compiler.where(self.scope, "r", self.nodes), *self._part("r")])
        column = sort.column.sql.replace("{row}", "r")
        sign = "<" if sort.descending else ">"
        rows: list[Any] = []
        if after is None or after[0] is not None:
            found, key, held = self._in_order(sort, where)
            beyond = Sql(f"{held} IS NOT NULL")
            if after is not None:
                beyond = fill(f"({held}, {key}) {sign} ({{}}, {{}})", value(after[0]), value(after[1]))
            order = f"{held} {sort.order}, {key} {sort.order}"
            select = f"SELECT {key}, {held} FROM {{}} AND {{}} ORDER BY {order} LIMIT {{}}"
            rows = select_rows(fill(select, found, beyond, value(limit)))
        if len(rows) < limit and sort.column.nullable:
            beyond = Sql(f"{column} IS NULL")
            if after is not None and after[0] is None:
                beyond = fill(f"{column} IS NULL AND r.id {sign} {{}}", value(after[1]))
            select = f"SELECT r.id, NULL FROM {self.source.table} r WHERE {{}} AND {{}} ORDER BY r.id {sort.order} LIMIT {{}}"
            rows += select_rows(fill(select, where, beyond, value(limit - len(rows))))
        return rows

    def _in_order(self, sort: Sort, where: Sql) -> tuple[Sql, str, str]:
        """Return FROM and WHERE of the rows that meet `where` and have a sort value, their id, and the value."""
        column = sort.column.sql.replace("{row}", "r")
        if sort.column.walk:
            # The index of values has them in order, so that a page of rows is looked at, not every lead.
            tested = fill(
                f"(SELECT 1 FROM {self.source.table} r WHERE r.id = v.lead_id AND {{}} LIMIT 1) IS NOT NULL", where
            )
            return fill(f"{sort.column.walk} AND {{}}", tested), "v.lead_id", "v.v"
        if "SELECT" in column:
            # A look-up is made once a row, not again for each comparison: the fence keeps the planner from unfolding it.
            fence = "OFFSET 0" if self.compiler.postgres else "LIMIT -1 OFFSET 0"
            rows = f"(SELECT r.id, {column} AS sorted FROM {self.source.table} r WHERE {{}} {fence}) r WHERE 1 = 1"
            return fill(rows, where), "r.id", "r.sorted"
        return fill(f"{self.source.table} r WHERE {{}}", where), "r.id", column

    def _total(self, count: str, candidates: Sql, found: _Found | None) -> tuple[int | None, bool]:
        if count == "no":
            return None, False
        if found is not None and found.complete:
            return (min(found.records, CAPPED), found.records <= CAPPED) if count == "capped" else (found.records, True)
        if count == "exact":
            return self.exact(), True
        if found is not None:
            if found.records > CAPPED:
                return CAPPED, False
            candidates = fill("SELECT DISTINCT id FROM ({}) c", candidates)
        number = select_rows(fill("SELECT COUNT(*) FROM ({} LIMIT {}) c", candidates, value(CAPPED + 1)))[0][0]
        return min(number, CAPPED), number <= CAPPED

    def exact(self) -> int:
        return int(select_rows(fill("SELECT COUNT(*) FROM ({}) c", self.everything()))[0][0])


def _text_fields(node: Node) -> Iterator[int]:
    """Yield the ids of the custom fields whose text a node asks about, however deep."""
    if isinstance(node, Where) and isinstance(node.field, CustomValue) and isinstance(node.condition, TextIs):
        yield node.field.field.id
    for child in (*getattr(node, "nodes", ()), *([node.query] if isinstance(node, Related) else [])):
        yield from _text_fields(child)


def _table_of(searched: CustomValue) -> str:
    from leads.search.compiler import TABLES

    return TABLES[searched.field.kind.storage]


def _is_bounded(node: Node) -> bool:
    """Return whether a condition is a range of an indexed column: reading rows by it may be the shortest way."""
    return isinstance(node, Where) and isinstance(node.field, Column) and node.field.indexed and not node.negate
