"""The builder's tree: groups, blocks about related records, conditions. Made from the query language or a form
(`leads.search.forms`), and back. A button of the form is `add:<path>`, `remove:`, `up:`, `down:`, `wrap:`.

An entry of an *Add* list is `field=<name>`, `when=<operator>` (the date of an activity), `when=period=<name>`, `block=<what>`,
`without=<what>` (a block that has none), `in=<what>:<field>` (a block with its first condition), `last`, `overdue` or `group`; `lately:` before it says that it was
chosen among those used lately.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm.models import Membership
from leads.search.counts import is_count
from leads.search.language import CustomValue
from leads.search.operators import EMPTY, FIRST_VALUES, OR_NEVER, Tree, conditions, is_complete, of_entry, operator
from leads.search.sources import Column, Source, asks_of, refers_to

MAX_NODES = 150
MAX_LEVELS = 8
MATCHES = (("all", "all of these hold"), ("any", "any of these holds"), ("none", "none of these holds"),
           ("notall", "not all of these hold"))  # fmt: skip
HOWS = (
    ("some", "has at least one"), ("none", "has none"), ("other", "has one where not"), ("gte", "has at least …"),
    ("lte", "has at most …"), ("eq", "has exactly …"), ("last", "last activity was"), ("notlast", "last activity was not"),
)  # fmt: skip
LAST = "activity.last"


@dataclass(eq=False)
class Part:
    """A node. `path` names it in the form, `emitted` is its place in the tree it wrote, `error` what is wrong with it."""

    path: str = field(default="", kw_only=True)
    emitted: Tree | None = field(default=None, kw_only=True)
    error: str = field(default="", kw_only=True)
    is_new: bool = field(default=False, kw_only=True)


@dataclass(eq=False)
class Group(Part):
    match: str = "all"
    children: list[Part] = field(default_factory=list)


@dataclass(eq=False)
class Block(Part):
    """Related records. `what`: `t:<type id>` (activities of a type) or `r:<object type>`. Children hold on the same one."""

    what: str = ""
    how: str = "some"
    number: str = "2"
    match: str = "all"
    children: list[Part] = field(default_factory=list)


@dataclass(eq=False)
class Condition(Part):
    """`name`: a column's name, a `cf_` id, `text:` (any text of the record) or `view:` (in a Smart View).

    `before`: field and operator that the values were chosen for, when a form was sent to change one of them.
    """

    name: str = ""
    op: str = ""
    values: tuple[str, ...] = ()
    before: tuple[str, str] = ("", "")


@dataclass(eq=False)
class Raw(Part):
    """A part the builder has no words for: kept as it is."""

    tree: Tree = field(default_factory=dict)


# --- fields -----------------------------------------------------------------------------------------------------------
ANY_TEXT, IN_VIEW = "text:", "view:"


def field_of(actor: Membership, source: Source, name: str) -> Column | CustomValue | None:
    if name.startswith("cf_"):
        return source.custom_field(actor, name)
    return source.column(name) or source.named_field(actor, name)


def asks_for(searched: Column | CustomValue | None, name: str) -> str:
    """Return which operators a field takes (a key of `operators.OPERATORS`); empty for a field that is gone."""
    if name in (ANY_TEXT, IN_VIEW):
        return "words" if name == ANY_TEXT else "view"
    if searched is None:
        return ""
    if isinstance(searched, Column):
        return "count" if is_count(searched) else searched.asks
    asks = asks_of(searched.field.kind)
    return "terms" if asks == "term" and searched.field.multiple else asks


_ALWAYS_THERE = ("date_created", "date_updated", "activity_at")


def takes_never(searched: Column | CustomValue | None, name: str, op: str) -> bool:
    """Return whether a condition on a moment can let in records without one: *more than 60 days ago or never*."""
    return asks_for(searched, name) == "moment" and op in OR_NEVER and name not in _ALWAYS_THERE


class Writer:
    """Writes parts as trees of the query language. Incomplete parts write nothing."""

    def __init__(self, actor: Membership, types: Mapping[str, str]) -> None:
        self.actor, self.types = actor, types

    def query(self, root: Group, source: Source) -> Tree:
        """Return the whole tree, with its object type."""
        found = self.part(root, source)
        head: Tree = {"type": "object_type", "object_type": source.object_type}
        if found is None:
            return {"type": "and", "queries": [head]}
        if root.match == "all":
            return {"type": "and", "queries": [head, *found["queries"]]}
        return {"type": "and", "queries": [head, found]}

    def part(self, part: Part, source: Source) -> Tree | None:
        part.emitted = _WRITERS[type(part)](self, part, source)
        return part.emitted

    def group(self, part: Group | Block, source: Source) -> Tree | None:
        written = [self.part(child, source) for child in part.children]
        found = [one for one in written if one is not None]
        if not found:
            return None
        kind = {"all": "and", "any": "or", "none": "or", "notall": "and"}.get(part.match, "and")
        tree: Tree = {"type": kind, "queries": found}
        return {**tree, "negate": True} if part.match in ("none", "notall") else tree

    def block(self, part: Block, source: Source) -> Tree | None:
        from leads.search.sources import source_named

        name = self.object_type(part)
        related = source_named(self.actor, name)
        if related is None or source.family not in related.links:
            return {"type": "has_related", "this_object_type": source.object_type, "related_object_type": name}
        inner: list[Tree] = [self.type_condition(part, name)] if part.what.startswith("t:") else []
        found = self.group(part, related)
        if found is not None:
            if part.how == "other":
                inner.append({**found, "negate": not found.get("negate", False)})
            elif found["type"] == "and" and not found.get("negate"):
                inner += found["queries"]
            else:
                inner.append(found)
        query: Tree = {"type": "and", "queries": inner} if inner else {"type": "match_all"}
        node: Tree = {
            "type": "has_related",
            "this_object_type": source.object_type,
            "related_object_type": name,
            "related_query": query,
        }
        if part.how in ("none", "notlast"):
            node["negate"] = True
        if part.how in ("gte", "lte", "eq"):
            plain = part.number.strip()
            node["count"] = {part.how: int(plain) if plain.isascii() and plain.isdigit() else plain}
        return node

    def object_type(self, part: Block) -> str:
        if part.how in ("last", "notlast"):
            return LAST
        return self.types.get(part.what[2:], "activity") if part.what.startswith("t:") else part.what[2:]

    def type_condition(self, part: Block, name: str) -> Tree:
        regular = {"type": "regular_field", "object_type": name, "field_name": "custom_activity_type_id"}
        return {"type": "field_condition", "field": regular, "condition": {"type": "term", "values": [part.what[2:]]}}

    def condition(self, part: Condition, source: Source) -> Tree | None:
        searched = field_of(self.actor, source, part.name)
        asks = asks_for(searched, part.name)
        if not asks:
            return {"type": "field_condition", "field": _field_tree(part.name, source), "condition": {"type": "exists"}}
        if not is_complete(asks, part.op, part.values):
            return None
        negate = operator(asks, part.op).negate
        if asks == "view":
            return _turned({"type": "saved_search", "saved_search_id": part.values[0]}, negate)
        target = refers_to(searched) if searched is not None else ""
        values = self.named(target, part.values) if asks == "reference" else part.values
        chosen = tuple(value for value in values if value != EMPTY)
        or_empty = len(chosen) < len(values)
        asked_for = any(chosen) or not or_empty or asks == "moment"
        found, joined = conditions(asks, part.op, chosen, target) if asked_for else ([], "or")
        if asks == "words":
            return _turned({**found[0]}, negate)
        asked = {"type": "field_condition", "field": _field_tree(part.name, source)}
        trees: list[Tree] = [{**asked, "condition": one} for one in found]
        if or_empty and part.op != "all":
            trees.append({**asked, "condition": {"type": "exists"}, "negate": True})
        if len(trees) == 1:
            return {**trees[0], "negate": False} if negate and trees[0].get("negate") else _turned(trees[0], negate)
        return _turned({"type": joined, "queries": trees}, negate)

    def named(self, target: str, values: tuple[str, ...]) -> list[str]:
        """Return the ids that names stand for; a name nobody has stays, for the error that quotes it."""
        from leads.search.named import ids_named

        return [public_id for value in values for public_id in (ids_named(self.actor, target, value) or [value])]

    def raw(self, part: Raw, source: Source) -> Tree:
        return dict(part.tree)


_WRITERS: dict[type[Part], Any] = {
    Group: Writer.group,
    Block: Writer.block,
    Condition: Writer.condition,
    Raw: Writer.raw,
}


def _turned(tree: Tree, negate: bool) -> Tree:
    return {**tree, "negate": True} if negate else tree


def _field_tree(name: str, source: Source) -> Tree:
    if name.startswith("cf_"):
        return {"type": "custom_field", "custom_field_id": name}
    return {"type": "regular_field", "object_type": source.object_type, "field_name": name}


# --- paths and errors -------------------------------------------------------------------------------------------------
def number_paths(part: Part, path: str = "r") -> None:
    """Give every part its path."""
    part.path = path
    for index, child in enumerate(getattr(part, "children", ())):
        number_paths(child, f"{path}.{index}")


def every(part: Part) -> Iterator[Part]:
    """Yield a part and all parts below it."""
    yield part
    for child in getattr(part, "children", ()):
        yield from every(child)


def mark_error(root: Part, tree: Tree, path: str, sentence: str) -> bool:
    """Put a sentence beside the part that wrote the place `path` of the tree. Returns whether there is one."""
    written = {id(part.emitted): part for part in every(root) if part.emitted is not None and part is not root}
    at: Any = tree
    found: Part | None = None
    for step in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        try:
            at = at[step[0]] if step[0] else at[int(step[1])]
        except (KeyError, IndexError, TypeError):
            break
        found = written.get(id(at), found)
    if found is not None:
        found.error = sentence
    return found is not None


# --- buttons ----------------------------------------------------------------------------------------------------------
def apply(root: Group, action: str, given: Any) -> None:
    """Do what a button says. Unknown buttons and places do nothing."""
    number_paths(root)
    verb, _, path = action.partition(":")
    where = {part.path: part for part in every(root)}
    part = where.get(path)
    if part is None or verb not in _ACTIONS:
        return
    owner = where.get(path.rpartition(".")[0])
    _ACTIONS[verb](part, owner, where, given)


def _add(part: Part, owner: Any, where: Mapping[str, Part], given: Any) -> None:
    if isinstance(part, Group | Block) and (new := new_part(given.get(f"{part.path}-add", ""))) is not None:
        (new.children[0] if isinstance(new, Block) and new.children else new).is_new = True
        part.children.append(new)


def new_part(key: str) -> Part | None:
    """Return what an entry of the *Add* list stands for."""
    kind, _, rest = key.removeprefix("lately:").partition("=")
    if kind == "field" and rest:
        return Condition(name=rest)
    if kind == "when":
        op, values = of_entry(rest)
        return Condition(
            name="activity_at", op=op, values=values or FIRST_VALUES.get(operator("moment", op).editor, ())
        )
    if kind in ("block", "without") and rest:
        return Block(what=rest, how="some" if kind == "block" else "none")
    if kind == "in" and rest.count(":") == 2:
        what, _, name = rest.rpartition(":")
        return Block(what=what, children=[Condition(name=name)])
    if kind == "last":
        return Block(what="r:activity", how="last")
    if kind == "overdue":
        return Block(
            what="r:task", children=[Condition(name="due_date", op="past"), Condition(name="is_complete", op="no")]
        )
    return Group(match="any") if kind == "group" else None


def _remove(part: Part, owner: Any, where: Mapping[str, Part], given: Any) -> None:
    if owner is not None:
        owner.children.remove(part)


def _up(part: Part, owner: Any, where: Mapping[str, Part], given: Any) -> None:
    if owner is None:
        return
    place = owner.children.index(part)
    before = owner.children[place - 1] if place else None
    owner.children.remove(part)
    part.is_new = True
    if isinstance(before, Group) and not isinstance(part, Group):
        before.children.append(part)
    elif before is not None:
        owner.children.insert(place - 1, part)
    elif isinstance(owner, Group) and (outer := where.get(owner.path.rpartition(".")[0])):
        outer.children.insert(outer.children.index(owner), part)  # type: ignore[attr-defined]
    else:
        owner.children.insert(0, part)


def _down(part: Part, owner: Any, where: Mapping[str, Part], given: Any) -> None:
    if owner is None:
        return
    place = owner.children.index(part)
    after = owner.children[place + 1] if place + 1 < len(owner.children) else None
    owner.children.remove(part)
    part.is_new = True
    if isinstance(after, Group) and not isinstance(part, Group):
        after.children.insert(0, part)
    elif after is not None:
        owner.children.insert(place + 1, part)
    elif isinstance(owner, Group) and (outer := where.get(owner.path.rpartition(".")[0])):
        outer.children.insert(outer.children.index(owner) + 1, part)  # type: ignore[attr-defined]
    else:
        owner.children.append(part)


def _wrap(part: Part, owner: Any, where: Mapping[str, Part], given: Any) -> None:
    if owner is not None and part.path.count(".") < MAX_LEVELS - 1:
        owner.children[owner.children.index(part)] = Group(match="any", children=[part], is_new=True)


_ACTIONS = {"add": _add, "remove": _remove, "up": _up, "down": _down, "wrap": _wrap}
