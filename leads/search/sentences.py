"""A search in plain English: “Leads with at least one Demo created in the last 30 days where Users > 50”."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

from leads.search.counts import counted, how_many, is_count, number_words
from leads.search.language import (
    All,
    AnyOf,
    Count,
    CustomValue,
    Everything,
    Exists,
    FigureIs,
    FreeText,
    IdIs,
    InView,
    MomentIn,
    Node,
    NotKept,
    NumberIn,
    OneOf,
    Query,
    Related,
    TextIs,
    Where,
    Words,
    conjuncts,
)
from leads.search.moments import LocalDay, Moment, Now, Offset, Period
from leads.search.sources import Column

_TIMES = {"date_created": "created", "date_updated": "updated", "activity_at": "dated"}
_SIGNS = {">": ">", ">=": "≥", "<": "<", "<=": "≤"}
_MODES = {
    "full_words": "contains",
    "phrase": "contains the phrase",
    "beginning_of_words": "has words starting with",
    "exact_value": "is exactly",
}
_NOT_MODES = {
    "full_words": "does not contain",
    "phrase": "does not contain the phrase",
    "beginning_of_words": "has no words starting with",
    "exact_value": "is not exactly",
}


def sentence(query: Query, text: str = "") -> str:
    """Return what a search selects, in one sentence without a full stop. `text`: what stands in the free-text box."""
    found = _selected(query)
    return f"{found}, with “{text}” in the words" if text.strip() else found


def _selected(query: Query) -> str:
    plural = query.source.plural
    start = plural[0].upper() + plural[1:]
    nodes = _conjuncts(query.root)
    if not nodes:
        return f"All {plural}"
    if len(nodes) == 1 and isinstance(nodes[0], AnyOf) and not nodes[0].negate and _one_field(nodes[0].nodes) is None:
        return f"{start} {_either(nodes[0].nodes)}"
    own, others = _split(nodes)
    views = [node for node in own if isinstance(node, InView) and not node.negate]
    own = [node for node in own if node not in views]
    types = _types(own)
    if types:
        start = types[1][0].upper() + types[1][1:]
        own = [node for node in own if not _is_type(node)]
    times = [node for node in own if query.source.family == "activity" and _is_time(node)]
    own = [node for node in own if node not in times]
    start = " ".join([start, *(_time(node) for node in times)])
    parts = [f"in the Smart View “{view.name}”" for view in views] + [_related(node) for node in others]
    if own:
        parts.insert(0, "where " + _joined([clause(node) for node in own], "and"))
    return f"{start} {_joined(parts, 'and')}".strip()


def _either(nodes: Sequence[Node]) -> str:
    """Return what a search selects that asks for any of several things, and for nothing else."""
    if all(map(_is_with, nodes)):
        return _joined([_related(node) for node in nodes], "or")
    return "where " + _joined([clause(node) for node in nodes], "or")


def _conjuncts(node: Node) -> list[Node]:
    """Return what must all hold; a sentence names Smart Views and figures instead of repeating what they stand for."""
    if isinstance(node, InView | FigureIs | NotKept):
        return [node]
    if isinstance(node, All) and not node.negate:
        return [inner for child in node.nodes for inner in _conjuncts(child)]
    return [] if node == Everything() else [node]


def _split(nodes: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    related = [node for node in nodes if _is_with(node)]
    return [node for node in nodes if not _is_with(node)], related


def _is_with(node: Node) -> bool:
    """Return whether a node is said by *with*: related records, and numbers of them."""
    return isinstance(node, Related) or _is_number(node)


def _is_number(node: Node) -> bool:
    named = isinstance(node, Where | FigureIs) and isinstance(node.field, Column) and is_count(node.field)
    return named and isinstance(node.condition, NumberIn)  # type: ignore[union-attr]


def _number_of(node: Any) -> str:
    """Return how many of something there are: an email address, no email address, at least 2 calls."""
    many, noun = how_many(node.condition.bounds, counted(node.field))
    if many in ("any", "no"):
        return _article(noun) if (many == "any") != node.negate else f"no {noun}"
    return f"{'not ' if node.negate else ''}{many} {noun}"


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) < 3:
        return f" {word} ".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _is_type(node: Node) -> bool:
    named = (
        isinstance(node, Where) and isinstance(node.field, Column) and node.field.refers_to == "custom_activity_type"
    )
    return named and isinstance(node.condition, OneOf) and not node.negate  # type: ignore[union-attr]


def _types(nodes: Sequence[Node]) -> list[str]:
    """Return the names of the types a search is about as one phrase, for one activity and for several, or nothing."""
    for node in nodes:
        if _is_type(node):
            names: tuple[str, ...] = node.condition.labels  # type: ignore[union-attr]
            return [_joined(names, "or"), _joined([plural_of(name) for name in names], "or")]
    return []


_NEVER_SEVERAL = {"feedback", "information", "onboarding", "advice", "news", "research", "training", "support", "ran"}


def plural_of(name: str) -> str:
    """Return what several of a type are called: names end like English nouns; those that do not stay as they are."""
    word = name.rpartition(" ")[2]
    # What happened (Lead created, Contract signed) is no noun.
    if word.lower() in _NEVER_SEVERAL or re.search(r"..[^e]ed$", word):
        return name
    if not (word.isascii() and word.isalpha()) or re.search(r"(?<!s)s$", word, re.IGNORECASE):
        return name
    if word.isupper():
        return f"{name}s"
    if re.search(r"(ss|x|z|ch|sh)$", word):
        return f"{name}es"
    return f"{name[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{name}s"


def _related(node: Node) -> str:
    if not isinstance(node, Related):
        return f"with {_number_of(node)}"
    inner = conjuncts(node.query)
    names = _types(inner)
    rest = [child for child in inner if not _is_type(child)]
    one, several = names or (node.source.singular, node.source.plural)
    times = [child for child in rest if _is_time(child)]
    others = [child for child in rest if not _is_time(child)]
    if node.source.object_type == "activity.last" and not (names or rest):
        start = f"with {'no' if node.negate else 'an'} activity"
    elif node.source.object_type == "activity.last":
        start = f"whose last activity {'was not' if node.negate else 'was'} {_article(one) if names else 'one'}"
    else:
        start = f"with {_how_many(node.count, node.negate, one, several)}"
    parts = [start, *(_time(child) for child in times)]
    if others:
        parts.append("where " + _joined([clause(child) for child in others], "and"))
    return " ".join(parts)


def _article(name: str) -> str:
    """Return a name with its article, by sound: an invoice, an NPS score, a ticket."""
    first, spelled = name[:1], len(name.split(" ")[0]) > 1 and name.split(" ")[0].isupper()
    return f"{'an' if first in ('AEFHILMNORSX' if spelled else 'aeiouAEIOU') else 'a'} {name}"


def _how_many(count: Count | None, negate: bool, one: str, several: str) -> str:
    if count is None:
        return f"no {one}" if negate else f"at least one {one}"
    number, operator = count.number, count.operator
    if negate and operator == "gte":
        operator, number, negate = "lte", number - 1, False
    elif negate and operator == "lte":
        operator, number, negate = "gte", number + 1, False
    words = {"gte": "at least", "lte": "at most", "eq": "exactly"}[operator]
    return f"{'not ' if negate else ''}{words} {number} {one if number == 1 else several}"


def _is_time(node: Node) -> bool:
    timed = isinstance(node, Where) and isinstance(node.field, Column) and node.field.name in _TIMES
    return timed and isinstance(node.condition, MomentIn) and not node.negate  # type: ignore[union-attr]


def _time(node: Node) -> str:
    assert isinstance(node, Where) and isinstance(node.field, Column) and isinstance(node.condition, MomentIn)
    return f"{_TIMES[node.field.name]} {_stretch(node.condition)}"


def _stretch(condition: MomentIn) -> str:
    start, before = condition.start, condition.before
    if isinstance(start, Offset) and start.sign < 0 and isinstance(start.moment, Now):
        ago = start.words.removesuffix(" ago")
        if before is None or isinstance(before, Now):
            return f"in the last {ago}"
    if isinstance(start, Period) and isinstance(before, Period) and start.name == before.name:
        return start.name.replace("-", " ")
    if isinstance(start, LocalDay) and isinstance(before, LocalDay):
        last = before.words.removeprefix("the end of ")
        if before.end and start.day == before.day:
            return f"on {last}"
        return f"from {start.words} to {last}" if before.end else f"from {start.words} until before {last}"
    if start is None:
        assert before is not None, "a condition has a start or an end"
        if isinstance(before, Offset) and before.sign < 0 and isinstance(before.moment, Now):
            return f"more than {before.words}"
        return f"before {_words(before)}"
    return f"since {_words(start)}" if before is None else f"from {_words(start)} until {_words(before)}"


def _words(moment: Moment) -> str:
    return moment.words


@singledispatch
def clause(node: Any) -> str:
    """Return a condition as a clause that follows *where*."""
    raise TypeError(f"No words for {type(node).__name__}.")


@clause.register
def _(node: Everything) -> str:
    return "nothing" if node.negate else "anything"


@clause.register
def _(node: All) -> str:
    if len(node.nodes) == 1:
        return clause(_turned(node.nodes[0], node.negate))
    found = f"({_joined([clause(child) for child in node.nodes], 'and')})" if node.nodes else "anything"
    return f"not {found}" if node.negate else found


def _turned(node: Node, negate: bool) -> Node:
    return replace(node, negate=not node.negate) if negate else node


@clause.register
def _(node: InView) -> str:
    return f"it is {'not ' if node.negate else ''}in the Smart View “{node.name}”"


@clause.register
def _(node: FigureIs) -> str:
    assert node.field is not None, "made for a field"
    if _is_number(node):
        return f"it has {_number_of(node)}"
    return _asked(node.condition, node.field.label, node.negate)


@clause.register
def _(node: NotKept) -> str:
    return f"it has {f'no {node.name}' if node.negate else _article(node.name)}"


@clause.register
def _(node: AnyOf) -> str:
    if len(node.nodes) == 1:
        return clause(_turned(node.nodes[0], node.negate))
    if (same := _one_field(node.nodes)) is not None:
        return f"{same[0]} is {'not ' if node.negate else ''}{_joined(same[1], 'or')}"
    found = f"({_joined([clause(child) for child in node.nodes], 'or')})" if node.nodes else "nothing"
    return f"not {found}" if node.negate else found


def _one_field(nodes: Sequence[Node]) -> tuple[str, list[str]] | None:
    """Return the label of the one field that all nodes ask for values, moments or *empty*, and all they ask for."""
    words: list[str] = []
    for node in nodes:
        if not isinstance(node, Where | FigureIs) or node.field != nodes[0].field:  # type: ignore[union-attr]
            return None
        if isinstance(node.condition, OneOf) and not node.negate:
            words += node.condition.labels
        elif isinstance(node.condition, MomentIn) and not node.negate:
            words.append(_stretch(node.condition))
        elif isinstance(node.condition, Exists) and node.negate:
            timed = any(isinstance(one.condition, MomentIn) for one in nodes)  # type: ignore[union-attr]
            words.append(never(_label(node)) if timed else "empty")
        else:
            return None
    return _label(nodes[0]), words  # type: ignore[arg-type]


def never(label: str) -> str:
    """Return what people say of a moment that is not there: the last call was never, a due date is empty."""
    return "never" if label.startswith(("Last ", "First ")) else "empty"


def _label(node: Where | FigureIs) -> str:
    assert node.field is not None, "made for a field"
    return node.field.label


@clause.register
def _(node: IdIs) -> str:
    return "it is not this very record" if node.negate else "it is this very record"


@clause.register
def _(node: Words) -> str:
    found = f"the text {_MODES[node.condition.mode]} “{node.condition.shown}”"
    return f"not ({found})" if node.negate else found


@clause.register
def _(node: FreeText) -> str:
    return f"“{' '.join(node.words)}” is found"


@clause.register
def _(node: Related) -> str:
    return (
        _related(node).replace("with ", "it has ", 1) if node.source.object_type != "activity.last" else _related(node)
    )


@clause.register
def _(node: Where) -> str:
    if _is_number(node):
        return f"it has {_number_of(node)}"
    unit = node.field.field.unit if isinstance(node.field, CustomValue) else ""
    return _asked(node.condition, _label(node), node.negate, unit)


@singledispatch
def _asked(condition: Any, label: str, negate: bool, unit: str = "") -> str:
    raise TypeError(f"No words for {type(condition).__name__}.")


@_asked.register
def _(condition: TextIs, label: str, negate: bool, unit: str = "") -> str:
    return f"{label} {(_NOT_MODES if negate else _MODES)[condition.mode]} “{condition.shown}”"


@_asked.register
def _(condition: OneOf, label: str, negate: bool, unit: str = "") -> str:
    return f"{label} is {'not ' if negate else ''}{_joined(condition.labels, 'or')}"


@_asked.register
def _(condition: NumberIn, label: str, negate: bool, unit: str = "") -> str:
    bounds = dict(condition.bounds)
    if bounds.keys() == {">=", "<="}:
        low, high = bounds[">="], bounds["<="]
        if low == high:
            return f"{label} {'≠' if negate else '='} {number_words(low, unit)}"
        return f"{label} is {'not ' if negate else ''}between {number_words(low, unit)} and {number_words(high, unit)}"
    found = " and ".join(f"{label} {_SIGNS[sign]} {number_words(number, unit)}" for sign, number in condition.bounds)
    return f"not ({found})" if negate else found


@_asked.register
def _(condition: MomentIn, label: str, negate: bool, unit: str = "") -> str:
    return f"{label} is {'not ' if negate else ''}{_stretch(condition)}"


@_asked.register
def _(condition: Exists, label: str, negate: bool, unit: str = "") -> str:
    return f"{label} is {'empty' if negate else 'not empty'}"
