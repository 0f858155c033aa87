"""The old text language of `GET /lead/?query=…` (`spec/api.md` 2.8), as a search tree.

Words are ANDed; `not`, `-`, `or` and parentheses combine. Anything that is not an expression is a word of the lead's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from crm.errors import InvalidInput
from crm.models import Membership
from leads.search.legacy.keys import Keys
from leads.search.legacy.reader import Reader
from leads.search.legacy.tokens import tokens

__all__ = ["Legacy", "read"]


@dataclass
class Legacy:
    """`tree` for `parse`, `sort` (with `-`, empty: not asked for), and `part` (k, n) of a slice."""

    tree: dict[str, Any]
    sort: str = ""
    part: tuple[int, int] | None = None


def read(query: str, actor: Membership, zone: ZoneInfo | None = None, *, lists: bool = False) -> Legacy:
    """Return what a legacy query asks. Dates are of `zone` (the actor's). Raises `InvalidInput` for what is not understood.

    `lists`: it only lists leads, so a custom field that does not exist is one no lead has a value of; a query by which leads
    are changed, or that is kept, may not name one.
    """
    if len(query) > 5000:
        raise InvalidInput(fields={"query": "The query is longer than 5,000 characters."})
    keys = Keys(actor, zone or actor.zone, lists)
    reader = Reader(tokens(query), keys)
    tree = reader.any()
    if reader.peek() is not None:
        raise InvalidInput(fields={"query": f"“{reader.peek()[1]}” was not expected there. Check the parentheses."})
    head = {"type": "object_type", "object_type": "lead"}
    return Legacy({"type": "and", "queries": [head, tree]}, keys.sort, keys.part)
