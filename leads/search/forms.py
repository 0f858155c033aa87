"""The builder's form, and back: flat, so that it works without JavaScript.

Each node has a path (`r` is the root, `r.0` its first part) and inputs named `<path>-<part>`: `k` kind, `m` match, `w` what,
`h` how, `n` number, `f` field, `o` operator, `v` values, `j` JSON of what the builder has no words for; `pf`, `po`, `pw` repeat
what was chosen before. `do` is the button pressed (`leads.search.builder`).

A condition without a value is in no tree. So that it is still there when the page is loaded again, the address of a search
with such a condition has the form itself as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from crm.models import Membership
from leads.search.builder import (
    MAX_LEVELS,
    MAX_NODES,
    Block,
    Condition,
    Group,
    Part,
    Raw,
    Writer,
    asks_for,
    every,
    field_of,
    takes_never,
)  # fmt: skip
from leads.search.operators import EMPTY, FIRST_VALUES, carried, entry, of_entry, operator
from leads.search.sources import Source, refers_to

_INPUT = re.compile(r"(r(?:\.\d{1,3})*)-(\w{1,3})")


def from_form(given: Any) -> Group:
    """Return the tree a submitted form holds (a QueryDict)."""
    inputs: dict[str, dict[str, list[str]]] = {}
    for key in given:
        if (found := _INPUT.fullmatch(key)) and len(inputs) <= MAX_NODES and found[1].count(".") <= MAX_LEVELS:
            inputs.setdefault(found[1], {})[found[2]] = given.getlist(key)
    root = Group(match=_last(inputs.get("r", {}), "m") or "all")
    parts: dict[str, Part] = {"r": root}
    for path in sorted(inputs, key=lambda path: [int(step) for step in path.split(".")[1:]]):
        if path == "r":
            continue
        part = _part_of(inputs[path])
        owner = parts.get(path.rpartition(".")[0])
        if part is not None and isinstance(owner, Group | Block):
            owner.children.append(part)
            parts[path] = part
    return root


def _last(inputs: Mapping[str, list[str]], name: str) -> str:
    return inputs.get(name, [""])[-1]


def _part_of(inputs: Mapping[str, list[str]]) -> Part | None:
    kind, one = _last(inputs, "k"), lambda name: _last(inputs, name)
    if kind == "group":
        return Group(match=one("m") or "any")
    if kind == "block":
        return Block(what=one("w"), how=one("h") or "some", number=one("n") or "2", match=one("m") or "all")
    if kind == "condition":
        op, values = of_entry(one("o"))
        before = (one("pf"), of_entry(one("po"))[0] or op)
        return Condition(name=one("f"), op=op, values=values or tuple(inputs.get("v", ())[:1000]), before=before)
    if kind == "raw":
        try:
            tree = json.loads(one("j"))
        except (ValueError, RecursionError):
            return None
        return Raw(tree=tree) if isinstance(tree, dict) else None
    return None


def to_form(root: Group) -> list[tuple[str, str]]:
    """Return the inputs that `from_form` reads as this tree. Its parts have their paths."""
    return [(f"{part.path}-{name}", text) for part in every(root) for name, text in _INPUTS[type(part)](part)]


def _condition_inputs(part: Condition) -> list[tuple[str, str]]:
    named = [("k", "condition"), ("f", part.name), ("pf", part.name), ("o", entry(part.op, part.values))]
    return [*named, *(("v", value) for value in part.values)]


_INPUTS: dict[type[Part], Any] = {
    Group: lambda part: [("k", "group"), ("m", part.match)],
    Block: lambda part: [("k", "block"), ("w", part.what), ("h", part.how), ("n", part.number), ("m", part.match)],
    Condition: _condition_inputs,
    Raw: lambda part: [("k", "raw"), ("j", json.dumps(part.tree, ensure_ascii=False, separators=(",", ":")))],
}


def is_unfinished(root: Group) -> bool:
    """Return whether a part of a tree that was written is in no search yet: a condition without a value, an empty group."""
    return any(part.emitted is None and part is not root for part in every(root))


# --- what fits --------------------------------------------------------------------------------------------------------
def settle(part: Part, actor: Membership, source: Source | None, types: Mapping[str, str]) -> None:
    """Make operators and values fit their fields. A field or operator that takes the same sort of value keeps what was chosen."""
    from leads.search.sources import source_named

    if isinstance(part, Block):
        if part.how in ("last", "notlast") and not part.what.startswith(("t:", "r:activity")):
            part.how = "some"
        source = source_named(actor, Writer(actor, types).object_type(part))
    if isinstance(part, Condition) and source is not None:
        _settle_condition(part, actor, source)
    for child in getattr(part, "children", ()):
        settle(child, actor, source, types)


def _settle_condition(part: Condition, actor: Membership, source: Source) -> None:
    searched = field_of(actor, source, part.name)
    asks = asks_for(searched, part.name)
    if not asks:
        return
    name, op = part.before
    if name and name != part.name:
        _carry_over(part, asks, name, field_of(actor, source, name), searched)
    chosen = operator(asks, part.op)
    if chosen.key != part.op:
        part.op, part.values = chosen.key, FIRST_VALUES.get(chosen.editor, ())
    elif op and op != part.op and chosen.key != "period":
        part.values = carried(operator(asks, op).editor, chosen.editor, part.values)
    part.before = ("", "")
    never = (EMPTY,) if EMPTY in part.values and takes_never(searched, part.name, part.op) else ()
    _fit_values(part, chosen.editor)
    part.values += never if EMPTY not in part.values else ()


_ALIKE = ({"number", "count"}, {"text", "words"})
_OWN_VALUES = ("term", "terms")


def _carry_over(part: Condition, asks: str, name: str, before: Any, after: Any) -> None:
    """Keep what was chosen for another field as far as this one takes it: not the options of another list."""
    asked = asks_for(before, name)
    alike = asked == asks or any({asked, asks} <= family for family in _ALIKE) or {asked, asks} <= set(_OWN_VALUES)
    if not alike or (before and after and refers_to(before) != refers_to(after)):
        part.op, part.values = "", ()
    elif asks in _OWN_VALUES:
        part.values = tuple(value for value in part.values if value == EMPTY)


def _fit_values(part: Condition, editor: str) -> None:
    """Keep what an editor can show; two inputs always have two values."""
    wanted = {"none": 0, "numbers": 2, "days": 2, "span": 2, "text": 1, "number": 1, "period": 1, "day": 1, "one": 1}
    count = wanted.get(editor)
    if count is None:
        part.values = tuple(value for value in part.values if value)
        return
    first = FIRST_VALUES.get(editor, ())
    given = tuple(value for value in part.values if value != EMPTY)
    if editor == "text" and len(given) > 1:
        return
    padded = [*given[:count], *first[len(given) :], *[""] * count]
    part.values = tuple(padded[:count])
