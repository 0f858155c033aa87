"""Trees of the query language as the builder's parts. What the builder has no words for is kept as it is (`Raw`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm.models import Membership
from leads.search.builder import (
    ANY_TEXT,
    IN_VIEW,
    LAST,
    MAX_LEVELS,
    Block,
    Condition,
    Group,
    Part,
    Raw,
    asks_for,
    field_of,
    takes_never,
)  # fmt: skip
from leads.search.language import CustomValue, option_named
from leads.search.operators import EMPTY, read
from leads.search.sources import Source, source_named

_TYPE, CUSTOM = "custom_activity_type_id", "activity.custom_activity"


def from_tree(tree: Any, actor: Membership, source: Source, types: Mapping[str, str]) -> Group:
    """Return the builder's root for a tree that selects records of `source`. `types`: object type by type id."""
    reader = _Reader(actor, types)
    parts = [child for child in _flat(tree) if not _is_noise(child)]
    if len(parts) == 1:
        only = reader.part(parts[0], source, 1)
        if isinstance(only, Group):
            return only
        return Group(children=[only])
    return Group(children=[reader.part(child, source, 1) for child in parts])


def _flat(tree: Any) -> list[Any]:
    """Return what must all hold, with plain `and`s inside `and`s dissolved."""
    if isinstance(tree, Mapping) and tree.get("type") == "and" and not tree.get("negate"):
        queries = tree.get("queries")
        if isinstance(queries, list):
            return [inner for child in queries for inner in _flat(child)]
    return [tree]


def _is_noise(tree: Any) -> bool:
    return isinstance(tree, Mapping) and tree.get("type") in ("object_type", "match_all") and not tree.get("negate")


class _Reader:
    def __init__(self, actor: Membership, types: Mapping[str, str]) -> None:
        self.actor, self.types = actor, types

    def part(self, tree: Any, source: Source, depth: int) -> Part:
        if not isinstance(tree, Mapping):
            return Raw(tree={"type": str(tree)})
        readers = {
            "and": self.group, "or": self.group, "field_condition": self.condition, "text": self.words,
            "saved_search": self.view, "has_related": self.block,
        }  # fmt: skip
        reader = readers.get(str(tree.get("type")))
        found = reader(tree, source, depth) if reader and depth < MAX_LEVELS else None
        return found if found is not None else Raw(tree=dict(tree))

    def group(self, tree: Mapping[str, Any], source: Source, depth: int) -> Part | None:
        queries, negate = tree.get("queries"), bool(tree.get("negate"))
        if not isinstance(queries, list) or not queries:
            return None
        if (same := self.several(tree, source)) is not None:
            return same
        match = {("and", False): "all", ("or", False): "any", ("or", True): "none", ("and", True): "notall"}
        children = [self.part(child, source, depth + 1) for child in queries if not _is_noise(child)]
        if len(children) < len(queries) and tree["type"] == "or":
            return None
        return Group(match=match[str(tree["type"]), negate], children=children)

    def several(self, tree: Mapping[str, Any], source: Source) -> Condition | None:
        """Return one condition for what takes several nodes: *has all of*, several sorts of members, some or *empty*, a moment or *never*."""
        found = [self.condition(child, source, 0) if _is_plain(child) else None for child in tree["queries"]]
        plain = [one for one in found if one is not None]
        if len(plain) < 2 or len(plain) < len(found) or len({one.name for one in plain}) != 1:
            return None
        searched = field_of(self.actor, source, plain[0].name)
        asks = asks_for(searched, plain[0].name)
        values = tuple(value for one in plain for value in one.values)
        ops = [one.op for one in plain]
        if tree["type"] == "or" and not tree.get("negate") and len(ops) == 2 and "missing" in ops:
            timed = plain[1 - ops.index("missing")]
            if takes_never(searched, timed.name, timed.op):
                return Condition(name=timed.name, op=timed.op, values=(*timed.values, EMPTY))
        if ops[-1] == "missing" and set(ops[:-1]) == {"any"} and asks in ("term", "terms", "user", "label"):
            if tree["type"] == "or" and (asks == "user" or len(ops) == 2):
                op = "none" if tree.get("negate") else "any"
                return Condition(name=plain[0].name, op=op, values=(*values, EMPTY))
        if set(ops) != {"any"}:
            return None
        if asks == "user" and tree["type"] == "or":
            return Condition(name=plain[0].name, op="none" if tree.get("negate") else "any", values=values)
        if asks == "terms" and tree["type"] == "and" and not tree.get("negate") and len(values) == len(plain):
            return Condition(name=plain[0].name, op="all", values=values)
        return None

    def condition(self, tree: Mapping[str, Any], source: Source, depth: int) -> Condition | None:
        given, condition = tree.get("field"), tree.get("condition")
        if not isinstance(given, Mapping) or not isinstance(condition, Mapping):
            return None
        custom = given.get("type") == "custom_field"
        name = str(given.get("custom_field_id") if custom else given.get("field_name"))
        searched = field_of(self.actor, source, name)
        asks = asks_for(searched, name)
        if searched is None or not asks:
            return None
        found = read(asks, condition, bool(tree.get("negate")))
        if found is None:
            return None
        op, values = found
        if asks in ("term", "terms") and isinstance(searched, CustomValue):
            values = tuple(_option_id(searched, value) for value in values)
        return Condition(name=name, op=op, values=values)

    def words(self, tree: Mapping[str, Any], source: Source, depth: int) -> Condition | None:
        found = read("words", tree, bool(tree.get("negate")))
        return Condition(name=ANY_TEXT, op=found[0], values=found[1]) if found else None

    def view(self, tree: Mapping[str, Any], source: Source, depth: int) -> Condition:
        op = "not-in" if tree.get("negate") else "in"
        return Condition(name=IN_VIEW, op=op, values=(str(tree.get("saved_search_id") or ""),))

    def block(self, tree: Mapping[str, Any], source: Source, depth: int) -> Block | None:
        name = str(tree.get("related_object_type"))
        related = source_named(self.actor, name)
        how = _how(tree)
        if related is None or source.family not in related.links or how is None:
            return None
        block = Block(what=f"r:{related.object_type}", how=how[0], number=how[1])
        if related.object_type == LAST:
            if how[0] not in ("some", "none"):
                return None
            block.what, block.how = "r:activity", "last" if how[0] == "some" else "notlast"
        inner = tree.get("related_query") or {"type": "match_all"}
        parts = [child for child in _flat(inner) if not _is_noise(child)]
        for child in parts:
            if (named := self.type_named(child, related)) is not None:
                block.what = f"t:{named}"
                parts.remove(child)
                break
        else:
            block.what = self.kind_named(related.object_type) or block.what
        children = [self.part(child, related, depth + 1) for child in parts]
        only = children[0] if len(children) == 1 else None
        turned = {"notall": "all", "none": "any"}
        if isinstance(only, Group) and only.match in turned and block.how == "some":
            block.how, block.match, children = "other", turned[only.match], only.children
        elif isinstance(only, Group) and only.match == "any":
            block.match, children = "any", only.children
        block.children = children
        return block

    def kind_named(self, object_type: str) -> str:
        """Return how the builder names a kind that is one type: calls, emails; clients need not name the type beside it."""
        of = [public_id for public_id, known in self.types.items() if known == object_type]
        return f"t:{of[0]}" if len(of) == 1 and object_type != CUSTOM else ""

    def type_named(self, tree: Any, related: Source) -> str | None:
        """Return the id of the one type a condition names, when blocks of that type search these very records."""
        if not isinstance(tree, Mapping) or tree.get("type") != "field_condition" or tree.get("negate"):
            return None
        given, condition = tree.get("field"), tree.get("condition")
        if not isinstance(given, Mapping) or given.get("field_name") != _TYPE or not isinstance(condition, Mapping):
            return None
        values = condition.get("values") or condition.get("object_ids")
        if not isinstance(values, list) or len(values) != 1:
            return None
        searched = self.types.get(str(values[0]))
        fits = searched is not None and related.object_type in (searched, LAST)
        return str(values[0]) if fits else None


def _is_plain(tree: Any) -> bool:
    """Return whether a node is a condition; a negated one only when it says *is empty*."""
    if not isinstance(tree, Mapping) or tree.get("type") != "field_condition":
        return False
    condition = tree.get("condition")
    return not tree.get("negate") or (isinstance(condition, Mapping) and condition.get("type") == "exists")


def _how(tree: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return how many are asked for, with a negated count said the other way round."""
    count, negate = tree.get("count"), bool(tree.get("negate"))
    if count is None:
        return ("none" if negate else "some"), "2"
    if not isinstance(count, Mapping) or len(count) != 1:
        return None
    ((operator, number),) = count.items()
    if isinstance(number, bool) or not isinstance(number, int) or operator not in ("gte", "lte", "eq"):
        return None
    if negate and operator == "gte" and number > 0:
        return "lte", str(number - 1)
    if negate and operator == "lte":
        return "gte", str(number + 1)
    return None if negate else (operator, str(number))


def _option_id(searched: Any, value: str) -> str:
    """Return an option's id, whether the tree names it by id or label; what is unknown stays, for its error."""
    found = option_named(searched, value)
    return str(found.public_id) if found else value
