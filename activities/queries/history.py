"""Who changed what of an activity, when, and through which door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from activities.models import Activity
from activities.queries.types import type_catalog
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.models import Event, Membership
from crm.permissions import (
    can_view_field,
)


@dataclass(frozen=True)
class Change:
    """One entry of an activity's history. `fields`: (name, before, after) of what the actor may see."""

    when: datetime
    who: str
    door: str
    action: str
    fields: tuple[tuple[str, str, str], ...]


_LABELS = {
    "status": "Status",
    "activity_at": "When",
    "user_id": "Attributed to",
    "contact_id": "Contact",
    "pinned_at": "Pinned",
    "draft_data": "Draft",
}


def history(actor: Membership, activity: Activity) -> list[Change]:
    """Return who changed what from what to what, when and through which door, newest first. Two queries."""
    known, lookups = catalog(actor.organization), Lookups(actor.organization)
    kind = type_catalog(actor.organization).get(activity.type_id)
    rows = Event.objects.filter(object_id=activity.pk, object_type__startswith="activity.").order_by("-pk")[:200]
    found = []
    for row in rows:
        fields = []
        keys = row.changed or sorted(key for key in (row.after or {}) if key.startswith("custom."))
        for key in keys:
            before, after = (row.before or {}).get(key), (row.after or {}).get(key)
            if key.startswith("custom."):
                use = known.use(kind.fieldset_id if kind else None, int(key.removeprefix("custom.")))
                if use is None or use.field.kind.hidden or not can_view_field(actor, use):
                    continue
                fields.append((use.field.name, _shown(use, before, lookups), _shown(use, after, lookups)))
            elif key in _LABELS and key != "draft_data":
                fields.append((_LABELS[key], _plain(key, before, lookups), _plain(key, after, lookups)))
        who = lookups.user(row.user_id)
        found.append(Change(row.date_created, who.name if who else "", row.door, row.action, tuple(fields)))
    return found


def _shown(use: Use, stored: Any, lookups: Lookups) -> str:
    return "" if stored is None else use.field.kind.display(stored, use.field, lookups)


def _plain(key: str, value: Any, lookups: Lookups) -> str:
    if value is None:
        return ""
    if key == "user_id":
        ref = lookups.user(value)
        return ref.name if ref else ""
    if key == "contact_id":
        contact = lookups.contact(value)
        return contact.name if contact else "Deleted contact"
    if key.endswith("_at"):
        return f"{datetime.fromisoformat(value).astimezone(timezone.get_current_timezone()):%-d %b %Y, %H:%M}"
    return str(value)
