"""The event log: one row per change, written in the change's transaction, read by history, undo, webhooks and audit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm.models import Event, Membership


@dataclass(frozen=True)
class Door:
    """Through which door the current request came: `page`, `api`, `import` or `system`."""

    name: str = "system"
    request_id: str = ""
    api_key_id: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)


_COLUMNS = (
    "organization_id", "action", "object_type", "object_id", "lead_id", "user_id", "api_key_id", "door", "request_id",
    "changed", "before", "after", "meta", "date_created",
)  # fmt: skip
_door: ContextVar[Door] = ContextVar("door", default=Door())


@contextmanager
def door(
    name: str, *, request_id: str = "", api_key_id: int | None = None, meta: dict[str, Any] | None = None
) -> Iterator[None]:
    """Everything written inside is recorded as having come through this door. `meta` is kept with each event."""
    token = _door.set(Door(name, request_id, api_key_id, meta or {}))
    try:
        yield
    finally:
        _door.reset(token)


def current_door() -> str:
    """Return the name of the current door."""
    return _door.get().name


def current_meta() -> dict[str, Any]:
    """Return what the current door adds to each event."""
    return _door.get().meta


def current_request_id() -> str:
    return _door.get().request_id


@dataclass(slots=True)
class EventRow:
    """One change for `record_many`; see `record` for the meaning of each part."""

    action: str
    object_type: str
    object_id: int
    lead_id: int | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    changed: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ, sorted; a missing key equals None."""
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def record(
    actor: Membership,
    action: str,
    object_type: str,
    object_id: int,
    *,
    lead_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    changed: list[str] | None = None,
    meta: dict[str, Any] | None = None,
) -> Event:
    """Write one event. `before` and `after` are JSON-able; for updates pass the changed keys only.

    Call it inside the transaction that makes the change.
    """
    row = EventRow(action, object_type, object_id, lead_id, before, after, changed or [], meta or {})
    return record_many(actor, [row])[0]


def record_many(actor: Membership, rows: Iterable[EventRow]) -> list[Event]:
    """Write many events with few statements, and what webhooks have to deliver of them.

    Returns them, unless they are so many that they go past the ORM.
    """
    from django.utils import timezone

    from crm.bulk import WORTH_IT, insert_few, insert_rows
    from crm.models import Event
    from crm.webhooks import queue

    current, rows, now = _door.get(), list(rows), timezone.now()
    listeners = queue.interested(actor, rows)
    values = (
        (
            actor.organization_id, row.action, row.object_type, row.object_id, row.lead_id, actor.user_id,
            current.api_key_id, current.name, current.request_id, row.changed, row.before, row.after,
            {**current.meta, **row.meta} if current.meta else row.meta, now,
        )
        for row in rows
    )  # fmt: skip
    if len(rows) >= WORTH_IT and not listeners:
        insert_rows(Event, _COLUMNS, values)
        return []
    inserted = list(values)
    numbers = insert_few(Event, _COLUMNS, inserted, returning="id")
    written = [
        Event(pk=number, **dict(zip(_COLUMNS, row, strict=True))) for number, row in zip(numbers, inserted, strict=True)
    ]
    if listeners:
        queue.put(listeners, written)
    return written
