"""What a form of a lead or contact carries, so that two people who edit at once lose nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from crm.customfields.catalog import Use
from crm.customfields.forms import ValueForm
from crm.customfields.lookups import Lookups
from leads import services

LABELS = {
    "name": "Name", "status_id": "Status", "url": "Website", "description": "Description", "addresses": "Addresses",
    "title": "Title", "emails": "Emails", "phones": "Phones", "urls": "Links",
}  # fmt: skip


@dataclass(frozen=True)
class Theirs:
    """A part that somebody else changed meanwhile. `key`: as in the record's state; `text`: what it is now."""

    key: str
    label: str
    text: str


def custom_keys(form: ValueForm) -> list[str]:
    """Return the keys of the custom fields that a form can change."""
    return [f"custom.{use.field.id}" for name, use in form.uses.items() if not form.fields[name].disabled]


def seen_now(state: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return what the hidden input `seen` holds for a record in this state."""
    return json.dumps(services.marks(state, keys))


def seen_by(posted: QueryDict) -> dict[str, str]:
    """Return the marks a posted form carries, without those of parts where theirs was taken (`theirs`)."""
    try:
        given = json.loads(posted.get("seen") or "{}")
    except ValueError:
        return {}
    if not isinstance(given, dict):
        return {}
    return {key: mark for key, mark in given.items() if isinstance(mark, str) and key not in posted.getlist("theirs")}


def without_theirs(changes: dict[str, Any], uses: Mapping[str, Use], posted: QueryDict) -> dict[str, Any]:
    """Return the changes without those of the parts where theirs was taken."""
    taken = set(posted.getlist("theirs"))
    kept = {
        key: value
        for key, value in changes.items()
        if key not in taken and not (key == "status" and "status_id" in taken)
    }
    if "custom" in kept:
        gone = {name for name, use in uses.items() if f"custom.{use.field.id}" in taken}
        kept["custom"] = {name: value for name, value in kept["custom"].items() if name not in gone}
    return kept


def theirs_of(
    state: Mapping[str, Any], keys: Sequence[str], uses: Iterable[Use], lookups: Lookups, **words: str
) -> list[Theirs]:
    """Return what these parts are now, in words. `uses`: the fields the actor sees; `words`: texts known better."""
    fields = {f"custom.{use.field.id}": use.field for use in uses}
    found = []
    for key in keys:
        held = state.get(key)
        if key in fields:
            field = fields[key]
            found.append(Theirs(key, field.name, "" if held is None else field.kind.display(held, field, lookups)))
        elif key in LABELS:
            found.append(Theirs(key, LABELS[key], words.get(key) or _words(held)))
    return found


def _words(held: Any) -> str:
    """Return rows (addresses, emails …) or a text in words; the kind of a row stands last in its state."""
    if not isinstance(held, list):
        return str(held or "")
    return "; ".join(", ".join(str(part) for part in row.values() if part) for row in held)
