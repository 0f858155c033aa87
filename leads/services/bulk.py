"""Bulk changes: one change to everything a search finds, row by row through the normal services, in the background.

A run is a `BulkAction`. Its resume point (`last_id`) is written in the transaction of the rows before it, so a worker that
dies at any moment leaves whole chunks behind, and the next one goes on after them. Rows a service refuses are listed with
the reason; the others are done. What can be done to which list is in `settings.BULK_CHANGES`, by (list, kind).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from crm import events, ids
from crm.errors import InvalidInput, NotFound, TouchpointError
from crm.jobs import enqueue
from crm.models import Membership
from crm.permissions import Perm, authorize, has
from crm.refusals import refused_in_words
from leads.models import BulkAction, Contact, Lead
from leads.search.language import Query, object_type_of, parse
from leads.search.run import count, id_subquery, run

CHUNK = 50  # rows of one transaction
AHEAD = 1000  # ids read at once
TURN = 60  # seconds a job works before it lets others have a turn
MOST_CHOSEN = 10_000
KEPT_REFUSALS = 1000
RUNNING = (BulkAction.State.CREATED, BulkAction.State.PROCESSING)
PERMS = {"edit": Perm.BULK_EDIT, "log": Perm.BULK_EDIT, "delete": Perm.BULK_DELETE}


@dataclass(frozen=True)
class Part:
    """What a record has besides custom fields and can be given to many at once. `editor`: `text` or `member`."""

    key: str
    label: str
    editor: str = "text"


@dataclass(frozen=True)
class Change:
    """`check` returns the change in words or raises; `apply` changes the row of this id and says whether anything differs.

    `parts`: what an edit can give besides custom fields.
    """

    check: Callable[[Membership, Mapping[str, Any]], str]
    apply: Callable[[Membership, int, Mapping[str, Any]], bool]
    parts: tuple[Part, ...] = ()


def change_for(lists: str, kind: str) -> Change:
    """Return how this kind of change is done to a list; raises `NotFound`."""
    for path in settings.BULK_CHANGES:
        if found := import_string(path).get((lists, kind)):
            return found
    raise NotFound("There is no such bulk change.")


@dataclass(frozen=True)
class Selection:
    """What a bulk change is for: a search, its words, and, when rows were ticked or a limit given, these row ids only."""

    lists: str
    tree: Mapping[str, Any]
    text: str = ""
    sort: str = ""
    limit: int | None = None
    zone: str = ""
    only: tuple[int, ...] | None = None


def how_many(actor: Membership, selection: Selection) -> int:
    """Return exactly how many rows a bulk change would be offered. Raises `InvalidInput`."""
    query = _query(actor, selection.tree, selection.lists)
    if selection.only is not None:
        return len(_among(actor, query, selection, selection.only))
    number = count(actor, query, text=selection.text, tz=_zone(selection.zone))
    return number if selection.limit is None else min(number, selection.limit)


def start_bulk(
    actor: Membership, kind: str, selection: Selection, change: Mapping[str, Any], *, expected: int | None = None
) -> BulkAction:
    """Start a bulk change and return it. `expected`: the number that was shown; another one raises `InvalidInput`."""
    if kind not in PERMS:
        raise NotFound("There is no such bulk change.")
    authorize(has(actor, PERMS[kind]))
    words = change_for(selection.lists, kind).check(actor, change)
    selection = _settled(actor, selection)
    number = how_many(actor, selection)
    if expected is not None and expected != number:
        raise InvalidInput(f"The search finds {number:,} by now, not {expected:,}. Look again, then confirm.")
    with transaction.atomic():
        bulk = BulkAction.objects.create(
            organization=actor.organization, membership=actor, kind=kind, lists=selection.lists,
            query=dict(selection.tree), text=selection.text, sort=selection.sort, results_limit=selection.limit,
            n_objects=number, message=words,
            change={**change, "door": events.current_door(), "zone": selection.zone,
                    **({"only": list(selection.only)} if selection.only is not None else {})},
        )  # fmt: skip
        events.record(actor, "created", f"bulk_action.{kind}", bulk.pk, after=bulk_state(bulk))
        enqueue("leads.tasks.run_bulk_action", bulk.pk)
    return bulk


def cancel_bulk(actor: Membership, bulk: BulkAction) -> BulkAction:
    """Stop a bulk change after the chunk in hand. What is done stays done."""
    authorize(has(actor, PERMS[bulk.kind]))
    with transaction.atomic():
        bulk = BulkAction.objects.select_for_update().get(pk=bulk.pk)
        if bulk.state in RUNNING:
            _finish(bulk, BulkAction.State.CANCELLED)
    return bulk


def run_bulk(bulk: BulkAction, actor: Membership) -> bool:
    """Work on a bulk change for a turn; returns whether it is over. Safe to repeat, also after a worker was killed."""
    change = change_for(bulk.lists, bulk.kind)
    started = time.monotonic()
    waiting: list[int] = []
    with events.door(bulk.change.get("door", "page")):
        while time.monotonic() - started < TURN:
            if not waiting:
                try:
                    waiting = _next_ids(actor, bulk)
                except TouchpointError as refused:
                    return _stop(bulk, refused.message)
            with transaction.atomic():
                bulk = BulkAction.objects.select_for_update().get(pk=bulk.pk)
                if bulk.state not in RUNNING:
                    return True
                if not has(actor, PERMS[bulk.kind]):
                    _finish(
                        bulk, BulkAction.State.ERROR, "You may no longer make bulk changes. What was done before stays."
                    )
                    return True
                waiting = [number for number in waiting if number > bulk.last_id]
                if not waiting:
                    if _next_ids(actor, bulk):
                        continue
                    _finish(bulk, BulkAction.State.DONE)
                    events.record(actor, "completed", f"bulk_action.{bulk.kind}", bulk.pk, after=bulk_state(bulk))
                    return True
                _do_chunk(bulk, actor, change, waiting[:CHUNK])
                waiting = waiting[CHUNK:]
    return False


def _do_chunk(bulk: BulkAction, actor: Membership, change: Change, numbers: Sequence[int]) -> None:
    for number in numbers:
        try:
            with transaction.atomic():
                bulk.n_changed += change.apply(actor, number, bulk.change)
        except TouchpointError as refused:
            bulk.n_refused += 1
            if len(bulk.refused) < KEPT_REFUSALS:
                bulk.refused.append(_refusal(bulk, number, refused.message))
    bulk.n_done += len(numbers)
    bulk.last_id = numbers[-1]
    bulk.state, bulk.date_updated = BulkAction.State.PROCESSING, timezone.now()
    bulk.save(update_fields=["n_changed", "n_refused", "refused", "n_done", "last_id", "state", "date_updated"])


def _refusal(bulk: BulkAction, number: int, reason: str) -> dict[str, str]:
    prefix, model = {"lead": ("lead", Lead), "contact": ("cont", Contact)}.get(bulk.lists, ("acti", None))
    row = model.objects.filter(pk=number).first() if model else None
    return {"id": ids.encode(prefix, number), "name": str(row) if row else "", "reason": reason}


def _stop(bulk: BulkAction, message: str) -> bool:
    with transaction.atomic():
        bulk = BulkAction.objects.select_for_update().get(pk=bulk.pk)
        if bulk.state in RUNNING:
            _finish(bulk, BulkAction.State.ERROR, message)
    return True


def _finish(bulk: BulkAction, state: str, message: str = "") -> None:
    bulk.state, bulk.date_updated = state, timezone.now()
    bulk.change = {**bulk.change, "problem": message} if message else bulk.change
    bulk.save(update_fields=["state", "change", "date_updated"])


def bulk_state(bulk: BulkAction) -> dict[str, Any]:
    """Return what the event log keeps of a bulk change."""
    return {"kind": bulk.kind, "lists": bulk.lists, "change": bulk.message, "n_objects": bulk.n_objects,
            "n_changed": bulk.n_changed, "n_refused": bulk.n_refused}  # fmt: skip


# --- which rows -------------------------------------------------------------------------------------------------------
def _zone(name: str) -> ZoneInfo | None:
    return ZoneInfo(name) if name else None


def _query(actor: Membership, tree: Mapping[str, Any], lists: str) -> Query:
    return parse(tree, actor, object_type_of(tree) or lists)


def _settled(actor: Membership, selection: Selection) -> Selection:
    """Return the selection with the rows of a limit named: editing them may change which come first."""
    if selection.limit is None:
        return selection
    if selection.limit > MOST_CHOSEN:
        raise InvalidInput(fields={"results_limit": f"At most {MOST_CHOSEN:,} fit in results_limit."})
    query, cursor = _query(actor, selection.tree, selection.lists), ""
    found: list[int] = []
    while len(found) < selection.limit:
        page = run(actor, query, sort=selection.sort, limit=1000, cursor=cursor, text=selection.text, count="no",
                   tz=_zone(selection.zone))  # fmt: skip
        found += page.ids
        cursor = page.next_cursor
        if not cursor:
            break
    only = tuple(found[: selection.limit])
    return Selection(
        selection.lists, selection.tree, selection.text, selection.sort, selection.limit, selection.zone, only
    )


def _among(actor: Membership, query: Query, selection: Selection, numbers: Sequence[int]) -> list[int]:
    found: list[int] = []
    sql, params = id_subquery(actor, query, text=selection.text, tz=_zone(selection.zone))
    for start in range(0, len(numbers), 500):
        part = list(numbers[start : start + 500])
        marks = ", ".join(["%s"] * len(part))
        found += _ids(
            f"SELECT s.id FROM ({sql}) s WHERE s.id IN ({marks}) ORDER BY s.id",  # noqa: S608 (compiled SQL)
            (*params, *part),
        )
    return found


def _next_ids(actor: Membership, bulk: BulkAction) -> list[int]:
    """Return the ids of the next rows after the resume point, as the member may see them now."""
    zone = bulk.change.get("zone", "")
    selection = Selection(bulk.lists, bulk.query, bulk.text, zone=zone)
    query = _query(actor, bulk.query, bulk.lists)
    if (only := bulk.change.get("only")) is not None:
        rest = sorted(number for number in only if number > bulk.last_id)
        for start in range(0, len(rest), AHEAD):
            if found := _among(actor, query, selection, rest[start : start + AHEAD]):
                return found
        return []
    sql, params = id_subquery(actor, query, text=bulk.text, tz=_zone(zone))
    return _ids(
        f"SELECT s.id FROM ({sql}) s WHERE s.id > %s ORDER BY s.id LIMIT {AHEAD}",  # noqa: S608 (compiled SQL)
        (*params, bulk.last_id),
    )


def _ids(sql: str, params: Sequence[Any]) -> list[int]:
    with refused_in_words(), connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [row[0] for row in cursor.fetchall()]
