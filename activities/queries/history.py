"""Who changed what of an activity, when, and through which door; and how it was after each change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from activities.models import Activity
from activities.queries.types import TypeInfo, type_catalog
from crm import ids
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.lookups import Lookups
from crm.errors import NotFound
from crm.models import Event, Membership
from crm.permissions import can_edit_activity, can_view_field

SHOWN = 200
# What a version consists of, beside the fields. Status, pin and draft text are not taken back with it.
ABOUT = ("activity_at", "user_id", "contact_id")
DOORS = {
    "page": "on a page",
    "api": "through the API",
    "import": "by an import",
    "form": "through a public form",
    "system": "by Touchpoint itself",
}
_LABELS = {
    "status": "Status",
    "activity_at": "When",
    "user_id": "Attributed to",
    "contact_id": "Contact",
    "pinned_at": "Pinned",
}


@dataclass(frozen=True)
class Change:
    """One entry of an activity's history. `fields`: (name, before, after) of what the actor may see.

    `id`: the event; `can_restore`: the activity was published then, differs from what it is now, and the actor may edit it.
    """

    when: datetime
    who: str
    door: str
    action: str
    fields: tuple[tuple[str, str, str], ...]
    id: str = ""
    can_restore: bool = False

    @property
    def through(self) -> str:
        """The door in words."""
        return DOORS.get(self.door, self.door)


def history(actor: Membership, activity: Activity) -> list[Change]:
    """Return who changed what from what to what, when and through which door, newest first. Two queries."""
    known, lookups = catalog(actor.organization), Lookups(actor.organization)
    kind = _kind(actor, activity)
    rows = list(_events(activity, kind).order_by("-pk")[:SHOWN])
    editable = not activity.is_draft and bool(can_edit_activity(actor, activity, kind))
    state = now = _state(activity)
    found = []
    for row in rows:
        who = lookups.user(row.user_id)
        differs = _version(state, known, kind, actor) != _version(now, known, kind, actor)
        found.append(
            Change(
                when=row.date_created,
                who=who.name if who else "",
                door=row.door,
                action=row.action,
                fields=tuple(_fields(actor, row, kind, known, lookups)),
                id=row.public_id,
                can_restore=editable
                and differs
                and state.get("status") == Activity.Status.PUBLISHED
                and row.action in ("created", "updated"),
            )
        )
        state = _before(state, row)
    return found


def version_after(actor: Membership, activity: Activity, event_id: str) -> dict[str, Any]:
    """Return how the activity was after one entry of its history: the keys of `activity_state`. Raises `NotFound`."""
    kind = _kind(actor, activity)
    rows = _events(activity, kind)
    number = ids.decode("ev", event_id)
    if number is None or not rows.filter(pk=number, action__in=("created", "updated")).exists():
        raise NotFound("There is no such version of this activity.")
    state = _state(activity)
    for row in rows.filter(pk__gt=number).order_by("-pk").iterator(chunk_size=500):
        state = _before(state, row)
    if state.get("status") != Activity.Status.PUBLISHED:
        raise NotFound("There is no such version of this activity: it was a draft then.")
    return state


def _kind(actor: Membership, activity: Activity) -> TypeInfo:
    kind = type_catalog(actor.organization).get(activity.type_id)
    if kind is None:
        raise NotFound("There is no such activity type.")
    return kind


def _events(activity: Activity, kind: TypeInfo) -> Any:
    return Event.objects.filter(object_type=kind.event_type, object_id=activity.pk)


def _state(activity: Activity) -> dict[str, Any]:
    return {
        "status": str(activity.status),
        "user_id": activity.user_id,
        "contact_id": activity.contact_id,
        "activity_at": activity.activity_at.isoformat(),
        **{f"custom.{key}": value for key, value in activity.values.items()},
    }


def _before(state: dict[str, Any], event: Event) -> dict[str, Any]:
    """Return the state before an event, given the one after it."""
    if event.action != "updated":
        return state
    return state | {key: (event.before or {}).get(key) for key in event.changed}


def _version(state: dict[str, Any], known: Catalog, kind: TypeInfo, actor: Membership) -> dict[str, Any]:
    """Return the part of a state that can be restored by this actor."""
    seen = {
        f"custom.{use.field.id}"
        for use in known.uses(kind.fieldset_id)
        if not use.field.kind.hidden and can_view_field(actor, use)
    }
    return {key: value for key, value in state.items() if value is not None and (key in seen or key in ABOUT)}


def _fields(
    actor: Membership, row: Event, kind: TypeInfo, known: Catalog, lookups: Lookups
) -> list[tuple[str, str, str]]:
    found = []
    for key in row.changed or sorted(key for key in (row.after or {}) if key.startswith("custom.")):
        before, after = (row.before or {}).get(key), (row.after or {}).get(key)
        if key.startswith("custom."):
            number = key.removeprefix("custom.")
            use = known.use(kind.fieldset_id, int(number)) if number.isdecimal() else None
            if use is None or use.field.kind.hidden or not can_view_field(actor, use):
                continue
            found.append((use.field.name, _shown(use, before, lookups), _shown(use, after, lookups)))
        elif key in _LABELS:
            found.append((_LABELS[key], _plain(key, before, lookups), _plain(key, after, lookups)))
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
