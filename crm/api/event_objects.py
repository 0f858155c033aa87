"""Events as the API and webhooks show them: the whole object as it was then, seen with the asker's rights (`api.md` 2.22).

The log keeps what changed. The object at the time of an event is what it is now (or was when it was deleted), with what
later events changed taken back. Updates of one object by one member in the same ten seconds are one event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from crm import ids
from crm.api.answers import naive_stamp, stamp
from crm.api.objects import gate_of, in_words, rebuilder_of, renderer_of, settled
from crm.api.values import lookups, user_id_of
from crm.customfields.catalog import Use, catalog
from crm.models import Event
from crm.permissions import Perm, can_view_field, has

TOGETHER_SECONDS = 10
# How long those who do not manage the organization see what an event holds.
DATA_SHOWN = timedelta(hours=1)
# Later changes of one page's objects that are looked at; past that, the object is shown as it is now.
MAX_RELATED = 5000
# Object types and the prefix of their ids; of `activity.note` the part before the dot counts.
PREFIXES = {
    "lead": "lead", "contact": "cont", "task": "task", "activity": "acti", "custom_activity_type": "actitype",
    "custom_fields": "cf", "status": "stat", "membership": "memb", "saved_search": "save", "api_key": "api",
    "webhook": "whsub", "group": "group", "role": "role", "import": "imp", "export": "exp", "comment": "comm",
    "report": "report", "tile": "tile", "bulk_action": "bulkedit", "bulk_action.delete": "bulkdelete",
    "bulk_action.log": "bulklog", "rule": "rule", "form": "form",
}  # fmt: skip
# How the log's row ids of people and things are called and written by the API.
_IDS = {
    "user_id": ("user_id", "user"), "created_by_id": ("created_by", "user"), "contact_id": ("contact_id", "cont"),
    "type_id": ("custom_activity_type_id", "actitype"),
}  # fmt: skip
# What undo needs to know of a deletion: numbers of rows.
_OF_UNDO = {"activity_ids", "created_by_id", "assigned_to_id", "date_created", "done_at"}
_PRIVATE = {"draft_data", "edit_roles", "view_roles", "comments"}
Key = tuple[str, int]


def prefix_of(object_type: str) -> str:
    return PREFIXES.get(object_type, PREFIXES.get(object_type.partition(".")[0], ""))


@dataclass
class _Story:
    """What is known of the objects of a page: what they are now, all their events since, and what they were at their end."""

    events: dict[Key, list[Event]] = field(default_factory=lambda: defaultdict(list))
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    ends: dict[int, dict[str, Any]] = field(default_factory=dict)

    def gone(self, key: Key) -> Event | None:
        return next((row for row in reversed(self.events[key]) if row.action == "deleted"), None)


def events_json(request: HttpRequest, rows: Sequence[Event]) -> list[dict[str, Any]]:
    """Return these events in their order, each once, without those that are part of a later one or not for the actor's eyes."""
    if not rows:
        return []
    story = _tell(request, rows)
    shown = []
    for row in rows:
        group = _together(story.events[row.object_type, row.object_id], row)
        if group[-1].pk == row.pk and _may_see(request, story, row):
            shown.append(_event_json(request, story, group))
    return shown


def event_json(request: HttpRequest, group: Sequence[Event], *, whole: bool = False) -> dict[str, Any] | None:
    """Return updates of one object, oldest first, as one event; None when the actor may not see it.

    `whole`: with its data however old it is, as for a delivery that was held up.
    """
    story = _tell(request, group)
    return _event_json(request, story, group, whole) if _may_see(request, story, group[-1]) else None


def head_of(row: Event) -> Event:
    """Return the event that the API shows for this one: itself, or the last of the updates it is part of."""
    if row.action != "updated":
        return row
    rows = Event.objects.filter(object_type=row.object_type, object_id=row.object_id, pk__gte=row.pk)
    near = rows.filter(date_created__lt=row.date_created + timedelta(seconds=TOGETHER_SECONDS))
    return _together(list(near.order_by("pk")), row)[-1]


def _tell(request: HttpRequest, rows: Sequence[Event]) -> _Story:
    story, by_type, gone = _Story(), defaultdict(set), defaultdict(list)
    for row in rows:
        if not _is_about_many(row):
            by_type[row.object_type].add(row.object_id)
    about = Q()
    for object_type, numbers in by_type.items():
        about |= Q(object_type=object_type, object_id__in=numbers)
    since = _bucket(min(row.date_created for row in rows))
    found = Event.objects.filter(about, date_created__gte=since).order_by("-pk")[:MAX_RELATED]
    related = [row for row in found if not _is_about_many(row)] if by_type else []
    for row in sorted({row.pk: row for row in (*related, *rows)}.values(), key=lambda row: row.pk):
        story.events[row.object_type, row.object_id].append(row)
        if row.action == "deleted" and row.before and (rebuild := rebuilder_of(row.object_type)):
            gone[rebuild].append(row)
    for rebuild, ends in gone.items():
        story.ends |= rebuild(request, ends)
    for object_type, numbers in by_type.items():
        if render := renderer_of(object_type):
            for number, shown in render(request, sorted(numbers), None).items():
                story.objects[object_type, number] = shown
    return story


def _is_about_many(row: Event) -> bool:
    """Is it a new order of things? Then its number names none of them."""
    return row.changed == ["order"]


def _bucket(moment: datetime) -> datetime:
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % TOGETHER_SECONDS, UTC)


def _together(known: Iterable[Event], row: Event) -> list[Event]:
    """Return the updates that are one event with this one, oldest first."""
    if row.action != "updated" or _is_about_many(row):
        return [row]
    mine = (row.user_id, row.api_key_id, row.door, _bucket(row.date_created))
    return [
        other
        for other in known
        if other.action == "updated"
        and not _is_about_many(other)
        and (other.user_id, other.api_key_id, other.door, _bucket(other.date_created)) == mine
    ] or [row]


def _may_see(request: HttpRequest, story: _Story, row: Event) -> bool:
    actor, key = request.actor, (row.object_type, row.object_id)
    if key in story.objects and not _is_about_many(row):
        return True
    manages = has(actor, Perm.MANAGE_ORGANIZATION)
    if renderer_of(row.object_type) is None or _is_about_many(row):
        return bool(manages) or row.user_id == actor.user_id
    # It is not there, or not for this actor: what was deleted is judged by what the log kept of it.
    gone = story.gone(key)
    if gone is None or not (has(actor, Perm.VIEW_ALL_LEADS) or row.user_id == actor.user_id):
        return False
    gate = gate_of(row.object_type)
    return gate is None or gate(request, gone)


def _event_json(request: HttpRequest, story: _Story, group: Sequence[Event], whole: bool = False) -> dict[str, Any]:
    row = group[-1]
    before, after = _net(group)
    was, became = (_shown(request, row.object_type, state) for state in (before, after))
    again = _published_again(row, was, became)
    if again:
        first = _as_of(request, story, row).get("published_at")
        was, became = was | {"last_published_at": first}, became | {"last_published_at": stamp(row.date_created)}
    changed = sorted(key for key in {*was, *became} if was.get(key) != became.get(key)) if _changes(row) else []
    previous, now = None, None
    if whole or _data_is_shown(request, row):
        now = None if row.action == "deleted" else _as_of(request, story, row)
        if now and again:
            now["last_published_at"] = stamp(row.date_created)
        if row.action == "deleted":
            previous = _gone(request, story, row)
        elif _changes(row):
            previous = {key: was.get(key) for key in changed}
    prefix = "" if _is_about_many(row) else prefix_of(row.object_type)
    return {
        "id": row.public_id,
        "action": row.action,
        "object_type": row.object_type,
        "object_id": ids.encode(prefix, row.object_id) if prefix else None,
        "lead_id": ids.encode("lead", row.lead_id) if row.lead_id else None,
        "user_id": user_id_of(row.user_id),
        "organization_id": request.organization.public_id,
        "request_id": row.request_id or None,
        "api_key_id": ids.encode("api", row.api_key_id) if row.api_key_id else None,
        "oauth_client_id": None,
        "oauth_scope": None,
        "changed_fields": changed,
        "previous_data": previous,
        "data": now,
        "meta": {**{key: value for key, value in row.meta.items() if key not in _OF_UNDO}, "door": row.door},
        "date_created": naive_stamp(group[0].date_created),
        "date_updated": naive_stamp(row.date_created),
    }


def _published_again(row: Event, was: Mapping[str, Any], became: Mapping[str, Any]) -> bool:
    """Was it published before, a draft again, and is it published now? Clients that want the first time alone look whether
    `previous_data` tells of an earlier one."""
    if row.object_type != "activity.custom_activity" or "published_at" in became:
        return False
    return (was.get("status"), became.get("status")) == ("draft", "published")


def _changes(row: Event) -> bool:
    """Is it a change of what was there: updated, completed, merged …?"""
    return row.action not in ("created", "deleted") and row.before is not None


def _data_is_shown(request: HttpRequest, row: Event) -> bool:
    return bool(has(request.actor, Perm.MANAGE_ORGANIZATION)) or timezone.now() - row.date_created < DATA_SHOWN


def _net(group: Sequence[Event]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a group of updates changed: the first value and the last of each key."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for row in group:
        for key in row.changed:
            before.setdefault(key, (row.before or {}).get(key))
            after[key] = (row.after or {}).get(key)
    return before, after


def _as_of(request: HttpRequest, story: _Story, row: Event) -> dict[str, Any]:
    """Return the object as it was right after an event."""
    key = (row.object_type, row.object_id)
    if key in story.objects:
        found = dict(story.objects[key])
    elif gone := story.gone(key):
        found = _gone(request, story, gone)
    else:
        return _whole(request, row, row.after)
    for later in reversed(story.events[key]):
        if later.pk > row.pk and _changes(later):
            found |= _shown(request, later.object_type, later.before or {})
    if row.action != "deleted" and "date_updated" in found:
        found["date_updated"] = stamp(row.date_created)
    found = {name: value for name, value in found.items() if value is not None or not name.startswith("custom.")}
    return settled(request, row.object_type, found)


def _gone(request: HttpRequest, story: _Story, end: Event) -> dict[str, Any]:
    """Return an object as it was when it was deleted."""
    return dict(story.ends.get(end.pk) or _whole(request, end, end.before))


def _whole(request: HttpRequest, row: Event, state: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a stored state with the ids that every object carries."""
    prefix = "" if _is_about_many(row) else prefix_of(row.object_type)
    return {
        "id": ids.encode(prefix, row.object_id) if prefix else None,
        "organization_id": request.organization.public_id,
        **({"lead_id": ids.encode("lead", row.lead_id)} if row.lead_id else {}),
        **_shown(request, row.object_type, state or {}),
    }


def _shown(request: HttpRequest, object_type: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored state in the API's words, without the fields the actor may not see."""
    uses = _uses(request)
    found: dict[str, Any] = {}
    for key, value in in_words(request, object_type, state).items():
        number = key.removeprefix("custom.")
        if key != number and number.isdecimal():
            use = uses.get(int(number))
            if use is not None and value is not None:
                found[f"custom.{use.field.public_id}"] = use.field.kind.to_api(value, use.field, lookups(request))
            elif use is not None:
                found[f"custom.{use.field.public_id}"] = None
        elif key in _IDS:
            name, prefix = _IDS[key]
            found[name] = ids.encode(prefix, value) if isinstance(value, int) else value
        elif key == "pinned_at":
            found |= {"pinned_at": value, "pinned": value is not None}
        elif key == "published_at":
            found |= {"published_at": value, "last_published_at": value}
        elif key not in _PRIVATE:
            found[key] = value
    return found


def _uses(request: HttpRequest) -> dict[int, Use]:
    """Return one use per field that the actor may see wherever it is used."""
    if not hasattr(request, "event_uses"):
        lookups(request)
        every: dict[int, list[Use]] = {}
        for placed in catalog(request.organization).fieldsets.values():
            for use in placed:
                every.setdefault(use.field.id, []).append(use)
        request.event_uses = {
            number: uses[0] for number, uses in every.items() if all(can_view_field(request.actor, use) for use in uses)
        }
    return request.event_uses
