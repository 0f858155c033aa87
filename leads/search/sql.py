"""Pieces of SQL that carry their parameters. Text is always a constant of this package; values are parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """SQL text with `%s` places, and the values for them in order. `closed`: it can stand beside AND and OR as it is."""

    text: str
    params: tuple[Any, ...] = ()
    closed: bool = False


def fill(template: str, *parts: Sql) -> Sql:
    """Return the template with each `{}` replaced by a piece; its parameters follow in the same order."""
    pieces = template.split("{}")
    assert len(pieces) == len(parts) + 1, f"{template!r} takes {len(pieces) - 1} parts"
    text = pieces[0] + "".join(part.text + piece for part, piece in zip(parts, pieces[1:], strict=True))
    return Sql(text, tuple(value for part in parts for value in part.params))


def value(given: Any) -> Sql:
    return Sql("%s", (given,))


def values(given: Sequence[Any]) -> Sql:
    """Return `(%s, %s, …)`; an empty list matches nothing."""
    return Sql(f"({', '.join(['%s'] * len(given))})", tuple(given)) if given else Sql("(NULL)")


def one_of(column: str, given: Sequence[Any]) -> Sql:
    """Return `column = x` for one value, `column IN (…)` for several."""
    if len(given) == 1:
        return Sql(f"{column} = %s", (given[0],))
    return fill(f"{column} IN {{}}", values(given))


def both(parts: Iterable[Sql]) -> Sql:
    """Return the conjunction of pieces; TRUE without any."""
    return _joined(parts, " AND ", "1 = 1")


def either(parts: Iterable[Sql]) -> Sql:
    """Return the disjunction of pieces; FALSE without any."""
    return _joined(parts, " OR ", "1 = 0")


def _joined(parts: Iterable[Sql], word: str, nothing: str) -> Sql:
    found = list(parts)
    if not found:
        return Sql(nothing)
    if len(found) == 1:
        return found[0]
    # Brackets that need not be are left out: SQLite's parser goes no more than a hundred symbols deep.
    return fill(word.join("{}" if part.closed else "({})" for part in found), *found)


def nesting(text: str) -> int:
    """Return how deep brackets stand in each other."""
    deepest = depth = 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        deepest = max(deepest, depth)
    return deepest
