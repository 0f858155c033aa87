"""The builder's operators: what a field may be asked, in words, and how that is written in the query language and read back.

An operator has an *editor*, the kind of input its values come from: `none`, `text`, `number`, `numbers` (two), `span`
(a number and a unit), `period` (a named stretch of days), `day`, `days` (two), `many` (a list of choices), `one`, or
`records` (contacts or leads, found by name). A field's first operator is what a new condition begins with.

On a list of operators, a named stretch of days is an entry of its own: `period=this-year`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leads.search.language import CURRENT_USER

Tree = dict[str, Any]


@dataclass(frozen=True)
class Operator:
    """`negate`: the condition is turned around, so that records without a value are found as well."""

    key: str
    words: str
    editor: str = "none"
    negate: bool = False


_EMPTY = (Operator("exists", "is not empty"), Operator("missing", "is empty", negate=True))
_TEXT = (
    Operator("words", "contains", "text"),
    Operator("starts", "has words starting with", "text"),
    Operator("phrase", "contains the phrase", "text"),
    Operator("is", "is exactly", "text"),
    Operator("no-words", "does not contain", "text", negate=True),
    Operator("no-phrase", "does not contain the phrase", "text", negate=True),
    Operator("is-not", "is not exactly", "text", negate=True),
)
_CHOICES = (Operator("any", "is any of", "many"), Operator("none", "is none of", "many", negate=True))
EMPTY = "empty:"  # among the values: records without one as well
OR_NEVER = ("ago", "before", "past")  # operators that leave out records without a moment, who people often look for
OPERATORS: dict[str, tuple[Operator, ...]] = {
    "text": (*_TEXT, *_EMPTY),
    "words": _TEXT,
    "number": (
        Operator(">", ">", "number"),
        Operator("≥", "≥", "number"),
        Operator("=", "=", "number"),
        Operator("≠", "≠", "number", negate=True),
        Operator("<", "<", "number"),
        Operator("≤", "≤", "number"),
        Operator("between", "is between", "numbers"),
        *_EMPTY,
    ),
    "count": (
        Operator("some", "has any"),
        Operator("zero", "has none"),
        Operator("=", "exactly", "number"),
        Operator("≥", "at least", "number"),
        Operator("≤", "at most", "number"),
        Operator(">", "more than", "number"),
        Operator("<", "fewer than", "number"),
        Operator("≠", "not exactly", "number", negate=True),
        Operator("between", "between", "numbers"),
    ),
    "moment": (
        Operator("last", "in the last", "span"),
        Operator("not-last", "not in the last", "span", negate=True),
        Operator("ago", "more than … ago", "span"),
        Operator("period", "is", "period"),
        Operator("on", "on", "day"),
        Operator("after", "on or after", "day"),
        Operator("before", "before", "day"),
        Operator("between", "between", "days"),
        Operator("past", "before today"),
        Operator("future", "today or later"),
        Operator("since", "since … ago", "span"),
        Operator("next", "in the next", "span"),
        Operator("ahead", "more than … from now", "span"),
        Operator("not-period", "is not", "period", negate=True),
        *_EMPTY,
    ),
    "term": (*_CHOICES, *_EMPTY),
    "terms": (*_CHOICES, Operator("all", "has all of", "many"), *_EMPTY),
    "flag": (Operator("yes", "is yes"), Operator("no", "is no"), *_EMPTY),
    "user": (*_CHOICES, *_EMPTY),
    "type": _CHOICES,
    "label": (*_CHOICES, *_EMPTY),
    "reference": (
        Operator("named", "is any of", "records"),
        Operator("not-named", "is none of", "records", negate=True),
        *_EMPTY,
    ),
    "view": (Operator("in", "in the Smart View", "one"), Operator("not-in", "not in the Smart View", "one", negate=True)),
}  # fmt: skip
PERIODS = (
    ("today", "today"), ("yesterday", "yesterday"), ("tomorrow", "tomorrow"), ("this-week", "this week"),
    ("last-week", "last week"), ("next-week", "next week"), ("this-month", "this month"), ("last-month", "last month"),
    ("next-month", "next month"), ("this-quarter", "this quarter"), ("last-quarter", "last quarter"),
    ("next-quarter", "next quarter"), ("this-year", "this year"), ("last-year", "last year"), ("next-year", "next year"),
)  # fmt: skip
_PERIOD = "period="
WHENS = (
    ("So long ago", ("last", "not-last", "ago", "since")),
    ("Calendar", ("today", "yesterday", "this-week", "last-week", "this-month", "last-month", "this-quarter", "last-quarter",
                  "this-year", "last-year")),
    ("Days", ("on", "after", "before", "between", "past", "future")),
    ("Ahead", ("tomorrow", "next-week", "next-month", "next-quarter", "next-year", "next", "ahead")),
    ("More", ("not-period", "exists", "missing")),
)  # fmt: skip
UNITS = ("days", "weeks", "months", "years", "hours")
FIRST_VALUES = {"span": ("30", "days"), "period": ("this-month",)}
_MODES = {"words": "full_words", "starts": "beginning_of_words", "phrase": "phrase", "is": "exact_value",
          "no-words": "full_words", "no-phrase": "phrase", "is-not": "exact_value"}  # fmt: skip
_BOUNDS = {"=": ("gte", "lte"), "≠": ("gte", "lte"), ">": ("gt",), "≥": ("gte",), "<": ("lt",), "≤": ("lte",)}


def operator(asks: str, key: str) -> Operator:
    """Return an operator of these fields, or their first one."""
    found = OPERATORS[asks]
    return next((one for one in found if one.key == key), found[0])


def is_complete(asks: str, key: str, values: Sequence[str]) -> bool:
    """Return whether enough was chosen to ask."""
    editor = operator(asks, key).editor
    if editor == "span":
        return bool(values and values[0].strip())
    filled = [value for value in values if value.strip() and (editor == "many" or value != EMPTY)]
    return editor == "none" or len(filled) >= (2 if editor in ("numbers", "days") else 1)


def entry(key: str, values: Sequence[str]) -> str:
    """Return an operator as an entry of the list of operators."""
    return f"{_PERIOD}{values[0]}" if key == "period" and values else key


def of_entry(chosen: str) -> tuple[str, tuple[str, ...]]:
    """Return the operator that an entry stands for, and the values it brings along."""
    return ("period", (chosen.removeprefix(_PERIOD),)) if chosen.startswith(_PERIOD) else (chosen, ())


def listed(asks: str, key: str, values: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the list of operators as groups, each a heading (empty: none) and its entries with their words."""
    if asks != "moment":
        return [("", [(one.key, one.words) for one in OPERATORS[asks]])]
    words = {one.key: one.words for one in OPERATORS[asks]}
    periods = dict(PERIODS)
    found = [
        (head, [(key, words[key]) if key in words else (f"{_PERIOD}{key}", periods[key]) for key in keys])
        for head, keys in WHENS
    ]
    if key == "period" and values and values[0] not in periods:
        found[1][1].append((entry(key, values), values[0].replace("-", " ")))
    return found


_RELATIVES = ({"number", "numbers"}, {"day", "days"})


def carried(before: str, after: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the values that one editor leaves to the next."""
    never = tuple(value for value in values if value == EMPTY)
    if before == after or any({before, after} <= family for family in _RELATIVES):
        return tuple(values)
    return (*FIRST_VALUES.get(after, ()), *never)


# --- writing ----------------------------------------------------------------------------------------------------------
def conditions(asks: str, key: str, values: Sequence[str], refers_to: str = "") -> tuple[list[Tree], str]:
    """Return the conditions of the query language, and how they combine (`and` or `or`) when there are several."""
    if key in ("exists", "missing"):
        return [{"type": "exists"}], "or"
    return _WRITERS[asks](key, [value.strip() for value in values], refers_to)


def _write_text(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    return [{"type": "text", "value": values[0], "mode": _MODES[key]}], "or"


def _write_number(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    numbers = [value.replace("\u00a0", "").replace("\u202f", "") for value in values]
    if key == "between":
        return [{"type": "number_range", "gte": numbers[0], "lte": numbers[1]}], "or"
    return [{"type": "number_range", **dict.fromkeys(_BOUNDS[key], numbers[0])}], "or"


def _write_count(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    if key in ("some", "zero"):
        return [{"type": "number_range", **({"gte": "1"} if key == "some" else {"lte": "0"})}], "or"
    return _write_number(key, values, refers_to)


def _write_moment(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    return [{"type": "moment_range", **_RANGES[key](values)}], "or"


def _offset(direction: str, values: Sequence[str], day_end: str = "") -> Tree:
    number: Any = int(values[0]) if values[0].isascii() and values[0].isdigit() and len(values[0]) < 7 else values[0]
    unit = values[1] if len(values) > 1 and values[1] in UNITS else "days"
    found: Tree = {"type": "offset", "direction": direction, "moment": {"type": "now"}, "offset": {unit: number}}
    # Days and longer count whole days; hours count from now.
    return {**found, "which_day_end": day_end} if day_end and unit != "hours" else found


def _day(value: str, which: str) -> Tree:
    return {"type": "fixed_local_date", "value": value, "which": which}


def _period(value: str, which: str) -> Tree:
    return {"type": "start_end_of_predefined_relative_period", "range": value, "which": which}


_NOW = {"type": "now"}
_RANGES: dict[str, Any] = {
    "last": lambda v: {"on_or_after": _offset("past", v, "start"), "before": _NOW},
    "not-last": lambda v: {"on_or_after": _offset("past", v, "start"), "before": _NOW},
    "since": lambda v: {"on_or_after": _offset("past", v, "start")},
    "ago": lambda v: {"before": _offset("past", v, "start")},
    "next": lambda v: {"on_or_after": _NOW, "before": _offset("future", v, "end")},
    "ahead": lambda v: {"on_or_after": _offset("future", v, "end")},
    "period": lambda v: {"on_or_after": _period(v[0], "start"), "before": _period(v[0], "end")},
    "not-period": lambda v: {"on_or_after": _period(v[0], "start"), "before": _period(v[0], "end")},
    "on": lambda v: {"on_or_after": _day(v[0], "start"), "before": _day(v[0], "end")},
    "between": lambda v: {"on_or_after": _day(v[0], "start"), "before": _day(v[1], "end")},
    "past": lambda v: {"before": _period("today", "start")},
    "future": lambda v: {"on_or_after": _period("today", "start")},
    "after": lambda v: {"on_or_after": _day(v[0], "start")},
    "before": lambda v: {"before": _day(v[0], "start")},
}


def _write_terms(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    chosen = [value for value in values if value]
    if key == "all":
        return [{"type": "term", "values": [value]} for value in chosen], "and"
    if refers_to and refers_to != "custom_activity_type":
        return [{"type": "reference", "reference_type": refers_to, "object_ids": chosen}], "or"
    return [{"type": "term", "values": chosen}], "or"


def _write_flag(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    return [{"type": "boolean", "value": key == "yes"}], "or"


def _write_user(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    found: list[Tree] = [{"type": kind} for word, kind in _SOMEBODY.items() if word in values]
    for prefix, kind in (("user_", "user"), ("group_", "group")):
        if chosen := [value for value in values if value.startswith(prefix)]:
            found.append({"type": "reference", "reference_type": kind, "object_ids": chosen})
    return found, "or"


def _write_reference(key: str, values: Sequence[str], refers_to: str) -> tuple[list[Tree], str]:
    return [{"type": "reference", "reference_type": refers_to, "object_ids": list(values)}], "or"


_SOMEBODY = {"me": "current_user", "former": "former_user"}
_WRITERS: dict[str, Any] = {
    "text": _write_text, "words": _write_text, "number": _write_number, "count": _write_count, "moment": _write_moment, "term": _write_terms,
    "terms": _write_terms, "type": _write_terms, "label": _write_terms, "flag": _write_flag, "user": _write_user, "reference": _write_reference,
}  # fmt: skip


# --- reading ----------------------------------------------------------------------------------------------------------
def read(asks: str, condition: Mapping[str, Any], negate: bool) -> tuple[str, tuple[str, ...]] | None:
    """Return the operator and values that write this condition, or None when the builder has no such words."""
    kind = condition.get("type")
    if kind == "exists":
        found: tuple[str, tuple[str, ...]] | None = ("exists", ())
    else:
        reader = _READERS.get(str(kind))
        found = reader(condition) if reader else None
    if found is None:
        return None
    if asks == "count":
        found, negate = _counted(found, negate)
    key = _TURNED.get(found[0], "") if negate else found[0]
    return (key, found[1]) if any(one.key == key for one in OPERATORS[asks]) else None


_TURNED = {"exists": "missing", "words": "no-words", "phrase": "no-phrase", "is": "is-not", "=": "≠", "last": "not-last",
           "period": "not-period", "any": "none", "named": "not-named"}  # fmt: skip


def _read_text(condition: Mapping[str, Any]) -> Any:
    mode = condition.get("mode", "beginning_of_words")
    key = next((key for key, value in _MODES.items() if value == mode), "")
    return (key, (str(condition.get("value") or ""),)) if key else None


def _read_number(condition: Mapping[str, Any]) -> Any:
    bounds = {key: str(condition[key]) for key in ("gt", "gte", "lt", "lte") if condition.get(key) is not None}
    if bounds.keys() == {"gte", "lte"}:
        low, high = bounds["gte"], bounds["lte"]
        return ("=", (low,)) if low == high else ("between", (low, high))
    if len(bounds) != 1:
        return None
    ((key, number),) = bounds.items()
    return {"gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}[key], (number,)


_OTHER_WAY = {">": "≤", "≤": ">", "≥": "<", "<": "≥"}
_ANY_OR_NONE = {(">", "0"): "some", ("≥", "1"): "some", ("≤", "0"): "zero", ("<", "1"): "zero", ("=", "0"): "zero"}


def _counted(found: tuple[str, tuple[str, ...]], negate: bool) -> tuple[tuple[str, tuple[str, ...]], bool]:
    """Return what a condition on a number of records says: it always has a value, so *not more than* is *at most*."""
    key, values = found
    if negate and key in _OTHER_WAY:
        key, negate = _OTHER_WAY[key], False
    short = _ANY_OR_NONE.get((key, values[0] if values else ""), "")
    return (("some" if negate else short, ()), False) if short else ((key, values), negate)


def _read_moment(condition: Mapping[str, Any]) -> Any:
    given = {"type": "moment_range", **{
        side: value for key, side in (("gte", "on_or_after"), ("lt", "before"), ("on_or_after", "on_or_after"), ("before", "before"))
        if (value := condition.get(key)) is not None
    }}  # fmt: skip
    for key, values in _guesses(given):
        if ({"type": "moment_range", **_RANGES[key](values)}) == given:
            return key, tuple(str(value) for value in values)
    return None


def _guesses(given: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return what the bounds may stand for; the caller writes each again and compares."""
    start, before = given.get("on_or_after"), given.get("before")
    named = [side if isinstance(side, Mapping) else {} for side in (start, before)]
    found: list[tuple[str, list[str]]] = [("past", []), ("future", [])]
    for side, keys in zip(named, (("last", "since", "ahead"), ("ago", "next")), strict=True):
        amounts = side.get("offset")
        if isinstance(amounts, Mapping) and len(amounts) == 1:
            ((unit, number),) = amounts.items()
            found += [(key, [str(number), str(unit)]) for key in keys]
    if named[0].get("range"):
        found.append(("period", [str(named[0]["range"])]))
    days = [str(side.get("value")) if isinstance(side, Mapping) else str(side) for side in (start, before)]
    found += [("on", [days[0]]), ("between", days), ("after", [days[0]]), ("before", [days[1]])]
    return found


def _read_term(condition: Mapping[str, Any]) -> Any:
    values = condition.get("values")
    return ("any", tuple(str(value) for value in values)) if isinstance(values, list) and values else None


def _read_reference(condition: Mapping[str, Any]) -> Any:
    values = condition.get("object_ids")
    if not isinstance(values, list) or not values:
        return None
    named = condition.get("reference_type") in ("contact", "lead")
    return ("named" if named else "any"), tuple("me" if value == CURRENT_USER else str(value) for value in values)


_READERS: dict[str, Any] = {
    "text": _read_text,
    "number_range": _read_number,
    "moment_range": _read_moment,
    "term": _read_term,
    "reference": _read_reference,
    "boolean": lambda condition: ("yes" if condition.get("value") else "no", ()),
    "current_user": lambda condition: ("any", ("me",)),
    "former_user": lambda condition: ("any", ("former",)),
}
