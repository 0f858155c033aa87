"""The old text language of `GET /lead/?query=…` (`spec/api.md` 2.8), as a search tree.

Words are ANDed; `not`, `-`, `or` and parentheses combine. Anything that is not an expression is a word of the lead's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from crm.errors import InvalidInput
from crm.models import Membership
from leads.search.legacy.keys import CONTACT_KEYS, Keys
from leads.search.legacy.reader import Reader
from leads.search.legacy.tokens import tokens

__all__ = ["Legacy", "read", "read_contacts"]


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
    keys = Keys(actor, zone or actor.zone, lists)
    return Legacy(_tree(query, keys, "lead"), keys.sort, keys.part)


def read_contacts(query: str, actor: Membership, zone: ZoneInfo | None = None) -> dict[str, Any] | None:
    """Return the tree of contacts that `email:"gob@bluth.example"` and its kin ask for; None when it names no key."""
    if not re.search(rf"(?:^|[\s(-])(?:{'|'.join(CONTACT_KEYS)})\s*[:=]", query, re.IGNORECASE):
        return None
    return _tree(query, Keys(actor, zone or actor.zone, True), "contact")


def _tree(query: str, keys: Keys, of: str) -> dict[str, Any]:
    if len(query) > 5000:
        raise InvalidInput(fields={"query": "The query is longer than 5,000 characters."})
    reader = Reader(tokens(query), keys)
    tree = reader.any(of)
    if reader.peek() is not None:
        raise InvalidInput(fields={"query": f"“{reader.peek()[1]}” was not expected there. Check the parentheses."})
    return {"type": "and", "queries": [{"type": "object_type", "object_type": of}, tree]}
