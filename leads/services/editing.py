"""Two people who edit the same thing at once: what neither of them touched goes through, the rest is asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from crm.errors import Conflict


class EditedMeanwhile(Conflict):
    """Somebody changed parts of a record after its form was opened, and so did the actor. Nothing was written.

    `keys`: the parts, as in `lead_state` and `contact_state`.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        super().__init__(
            "Somebody else changed this while you were editing. Nothing is lost: choose which one to keep."
        )
        self.keys = sorted(keys)


def marks(state: Mapping[str, Any], keys: Iterable[str] | None = None) -> dict[str, str]:
    """Return a short mark of each part of a state, for a form to carry: the same mark, the same value."""
    return {key: _mark(state.get(key)) for key in (state if keys is None else keys)}


def untouched(before: Mapping[str, Any], after: Mapping[str, Any], seen: Mapping[str, str]) -> list[str]:
    """Return the parts that changed since the form saw them and that the actor left as they were: they stay as `before`.

    Raises `EditedMeanwhile` for parts that both changed, to different values. Parts without a mark are not compared.
    """
    moved = [key for key, mark in seen.items() if _mark(before.get(key)) != mark]
    left = [key for key in moved if _mark(after.get(key)) == seen[key]]
    if both := [key for key in moved if key not in left and after.get(key) != before.get(key)]:
        raise EditedMeanwhile(both)
    return left


def put_back(record: Any, before: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Give a lead or contact these parts of its state back; the status is the caller's."""
    for key in keys:
        if not key.startswith("custom."):
            setattr(record, key, before[key])
        elif before.get(key) is None:
            record.values.pop(key.removeprefix("custom."), None)
        else:
            record.values[key.removeprefix("custom.")] = before[key]


def _mark(value: Any) -> str:
    # Nothing, an empty text and no addresses are one thing, and so are both ways to end a line: forms do not tell them apart.
    text = json.dumps(None if value in ("", []) else value, sort_keys=True).replace("\\r\\n", "\\n")
    return sha256(text.encode()).hexdigest()[:12]
