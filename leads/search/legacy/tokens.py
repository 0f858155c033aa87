"""A text query cut into words, quoted texts and signs."""

from __future__ import annotations

import re

from crm.errors import InvalidInput

_TOKEN = re.compile(
    r'\s*(?:(?P<op>[()]|>=|<=|!=|>|<|:|=)|"(?P<quoted>(?:[^"\\]|\\.)*)"|'
    # The Ruby gem puts values into single quotes; an apostrophe inside a word is none.
    r"'(?P<single>(?:[^'\\]|\\.)*)'(?=[\s)]|$)|"
    # Colons of moments and addresses are no signs.
    r"(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)(?=[\s)]|$)|"
    r"(?P<address>https?://[^\s()\"]+)|"
    r'(?P<word>(?:(?!!=)[^\s()"<>=:])+))'
)
# “+” of an offset that was sent unquoted in an address arrives as a blank.
_LOST_PLUS = re.compile(r"(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)(?=[\s)\"]|$)")


def tokens(query: str) -> list[tuple[str, str]]:
    """Return pairs of a kind (`word`, `quoted`, `op`) and a text. Raises `InvalidInput` that names where it cannot go on."""
    found, at = [], 0
    query = _LOST_PLUS.sub(r"\1+\2", query).rstrip()
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise InvalidInput(fields={"query": f"The query cannot be read from “{query[at : at + 20].strip()}” on."})
        kind = match.lastgroup or ""
        text = match[kind]
        if kind in ("quoted", "single"):
            kind, text = "quoted", re.sub(r"\\(.)", r"\1", text)
        found.append((kind if kind in ("op", "quoted") else "word", text))
        at = match.end()
    return found
