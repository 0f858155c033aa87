"""What lead pages show of activities. Named in settings, so that leads need not know this app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from activities.builtin import BUILTINS
from activities.queries import active_types, has_nothing_to_fill_in, visible_types
from crm.models import Membership
from leads.models import Lead


@dataclass(frozen=True)
class SearchableType:
    """A type to search leads by. `object_type`: its name in the query language."""

    public_id: str
    name: str
    fieldset_id: int
    object_type: str
    archived: bool


def searchable_types(actor: Membership) -> list[SearchableType]:
    """Return the types the actor sees, custom ones first, archived ones last; no system entries."""
    rows = [row for row in visible_types(actor) if not row.system]
    rows.sort(key=lambda row: (row.archived, bool(row.builtin), row.position))
    return [
        SearchableType(
            row.public_id,
            row.name,
            row.fieldset_id,
            BUILTINS[row.builtin].event_type if row.builtin else "activity.custom_activity",
            row.archived,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class MenuEntry:
    """A type in the *New activity* menu. `at_once`: there is nothing to fill in, so choosing it logs it."""

    public_id: str
    name: str
    icon: str
    color: str
    at_once: bool


def lead_page_context(request: HttpRequest, lead: Lead) -> dict[str, Any]:
    """Return the types of the *New activity* menu, custom ones first."""
    types = sorted(active_types(request.actor), key=lambda row: (bool(row.builtin), row.position))
    return {
        "types": [
            MenuEntry(row.public_id, row.name, row.icon, row.color, has_nothing_to_fill_in(request.actor, row))
            for row in types
        ]
    }
