"""What the REST API shows of leads and contacts only when `_fields` asks for it by name or with `_all`: what is worked out.

The names are those a search knows (`leads.search.figures` and the computed columns of leads), so that whatever can be asked
for can also be read, and the value is the one the search compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from crm.api import stamp, user_id_of
from leads.models import Contact, Lead
from leads.search.figures import Figure, Known, numbers_kept
from leads.search.sources import LEAD, LEAD_COLUMNS, Column

_COUNTED = tuple(column for column in LEAD_COLUMNS if column.asks == "number")
_DATED = tuple(column for column in LEAD_COLUMNS if column.name.startswith("last_activity"))


def _asked(request: HttpRequest) -> frozenset[str]:
    """Return the names that `_fields` has, in the address or in a search's body."""
    return frozenset((*request.GET.get("_fields", "").split(","), *getattr(request, "fields_searched", ())))


def _among(asked: frozenset[str], columns: Iterable[Column]) -> list[Any]:
    return [column for column in columns if "_all" in asked or column.name in asked]


def add_figures(request: HttpRequest, leads: Sequence[Lead], shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the computed fields that are asked for to leads as they are shown; at most five queries, whatever their number."""
    asked = _asked(request)
    numbers = [lead.pk for lead in leads]
    figures: list[Figure] = _among(asked, LEAD.figures)
    known: dict[Any, Known] = {}
    for load in dict.fromkeys(figure.reading.load for figure in figures):
        known[load] = load(request.actor, numbers) if numbers else {}
    kept = numbers_kept(request.actor, numbers, _among(asked, _COUNTED))
    dated = _among(asked, _DATED)
    for lead, keys in zip(leads, shown, strict=True):
        keys.update(kept.get(lead.pk, {}))
        keys.update((column.name, stamp(lead.last_activity_at)) for column in dated)
        for figure in figures:
            keys[figure.name] = _worded(figure, figure.reading.of(known[figure.reading.load], lead.pk))
    return shown


def _worded(figure: Figure, found: Any) -> Any:
    if found is None:
        return None
    if figure.asks == "moment":
        return stamp(found) if isinstance(found, datetime) else found.isoformat()
    if figure.asks == "user":
        return user_id_of(found)
    return int(found) if not isinstance(found, Decimal) or found == found.to_integral_value() else float(found)


def columns_of_figures(wanted: Iterable[str]) -> set[str]:
    """Return the columns of leads that `add_figures` reads for these keys."""
    return {"last_activity_at"} if any(column.name in wanted for column in _DATED) else set()


def contact_numbers(request: HttpRequest, contact: Contact) -> dict[str, int]:
    """Return how many emails, phones and websites a contact has, as far as they are asked for."""
    asked = _asked(request)
    return {
        f"{channel}_count": len(getattr(contact, channel))
        for channel in ("emails", "phones", "urls")
        if "_all" in asked or f"{channel}_count" in asked
    }
