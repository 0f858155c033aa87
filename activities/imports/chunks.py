"""Checking and writing a run's rows in the background, chunk by chunk, until it ends, is stopped, or hands over."""

from __future__ import annotations

import gc
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from activities.imports.pace import Pace
from activities.imports.runs import State, can_resume, path_of, require_state, resource_of
from activities.imports.upload import remove_file, remove_old_files
from activities.queries import type_catalog
from crm import events
from crm.bulk import insert_rows
from crm.customfields.services import create_field
from crm.errors import Conflict, InvalidInput, NotAllowed, PlanLimitReached, TouchpointError
from crm.fieldkinds import fold
from crm.imports.files import BLOCK_SIZE, Row, read_rows
from crm.imports.resource import CREATE, ERROR, Memory, Verdict
from crm.jobs import enqueue, upkeep
from crm.models import FieldSet, ImportRow, ImportRun, Membership, Organization
from crm.permissions import Perm, authorize, has
from crm.plans import usage
from crm.tenancy import scope
from leads.models import Lead

log = logging.getLogger("touchpoint.imports")
# The most rows of a chunk. SQLite writes the pages of an index again with every chunk that touches them.
CHUNK = 2000 if connection.vendor == "postgresql" else 5000
# A job hands over to the next one well before the queue's timeout, so that other jobs and imports get their turn.
SECONDS_A_JOB = 20


# --- asked by people ----------------------------------------------------------------------------------------------------
def begin_check(actor: Membership, run: ImportRun) -> None:
    """Check a run in the background: the real run, rolled back."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if run.started_at is not None:
        raise Conflict("The import has written rows already; it can go on, or be undone.")
    require_state(run, State.UPLOADED, State.CHECKED, State.CHECKING, State.FAILED)
    with transaction.atomic():
        ImportRow.objects.filter(run=run).delete()
        run.state, run.rows_done, run.counts, run.message = State.CHECKING, 0, {}, ""
        run.options["counted"] = 0
        run.save(update_fields=["state", "rows_done", "counts", "message", "options"])
        enqueue("activities.imports.work", run.organization_id, run.pk)


def begin_run(actor: Membership, run: ImportRun, *, unchecked: bool = False) -> None:
    """Write a checked run's rows in the background; one that stopped goes on where it stopped.

    `unchecked`: a file whose columns are matched is written without a check before.
    """
    authorize(has(actor, Perm.BULK_IMPORT))
    if not can_resume(run):
        require_state(run, State.CHECKED, *([State.UPLOADED] if unchecked and run.options.get("chosen") else []))
    with transaction.atomic():
        if run.state in (State.CHECKED, State.UPLOADED):
            ImportRow.objects.filter(run=run).delete()
            run.rows_done, run.counts, run.started_at = 0, {}, timezone.now()
        run.state, run.message, run.finished_at = State.RUNNING, "", None
        run.save(update_fields=["state", "rows_done", "counts", "message", "started_at", "finished_at"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": "running"})
        enqueue("activities.imports.work", run.organization_id, run.pk)


def pause_run(actor: Membership, run: ImportRun) -> None:
    """Stop after the chunk that is being written; `begin_run` goes on."""
    _stop(actor, run, State.PAUSED, (State.RUNNING,))


def cancel_run(actor: Membership, run: ImportRun) -> None:
    """Stop for good; what is written stays and can be undone."""
    _stop(
        actor, run, State.CANCELLED,
        (State.RUNNING, State.PAUSED, State.CHECKING, State.CHECKED, State.UPLOADED, State.FAILED),
    )  # fmt: skip


def _stop(actor: Membership, run: ImportRun, state: str, from_states: tuple[str, ...]) -> None:
    authorize(has(actor, Perm.BULK_IMPORT))
    with transaction.atomic():
        locked = ImportRun.objects.select_for_update().get(pk=run.pk)
        if locked.state not in from_states:
            raise Conflict(f"The import is {locked.state}; this cannot be done now.")
        locked.state = state
        locked.finished_at = timezone.now() if state == State.CANCELLED else None
        locked.save(update_fields=["state", "finished_at"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": state})
        if state == State.CANCELLED:  # nothing reads its file again
            transaction.on_commit(lambda: remove_file(run))
    run.state, run.finished_at = locked.state, locked.finished_at


# --- the job --------------------------------------------------------------------------------------------------------------
def resume_all() -> int:
    """Put unfinished runs back in the queue after a restart; two workers on one run take turns and harm nothing."""
    remove_old_files()
    runs = ImportRun.unscoped.filter(state__in=(State.RUNNING, State.CHECKING))
    for organization_id, pk in runs.values_list("organization_id", "pk"):
        enqueue("activities.imports.work", organization_id, pk)
    undone = ImportRun.unscoped.filter(options__has_key="undo_by")
    for organization_id, pk in undone.values_list("organization_id", "pk"):
        enqueue("activities.imports.undo_work", organization_id, pk)
    return len(runs) + len(undone)


def work(organization_id: int, run_id: int) -> None:
    """The job of a run: settle chunks until it ends, is stopped, or its time is up; then hand over to the next job."""
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        return
    deadline = time.monotonic() + SECONDS_A_JOB
    with scope(organization), events.door("import"):
        run = ImportRun.objects.filter(pk=run_id).first()
        if run is None or run.state not in (State.CHECKING, State.RUNNING):
            return
        try:
            with door_of(run):
                done = advance(run, deadline)
            if not done:
                enqueue("activities.imports.work", organization_id, run_id)
            elif run.state == State.RUNNING:
                upkeep()
        except TouchpointError as error:
            _fail(run_id, error.message)
        except Exception:
            log.exception("Import %s failed", run.public_id)
            what = "What is written stays; the import can go on later." if run.started_at else "Try again."
            _fail(run_id, f"Something went wrong on our side. {what}")
            raise


def door_of(run: ImportRun) -> AbstractContextManager[None]:
    """What is written inside came in by this run: its events say which, and new leads say from which file."""
    return events.door("import", meta={"import_id": run.public_id, "file_name": run.file_name})


def _fail(run_id: int, message: str) -> None:
    # One that was cancelled meanwhile stays cancelled.
    runs = ImportRun.objects.filter(pk=run_id, state__in=(State.RUNNING, State.CHECKING))
    runs.update(state=State.FAILED, message=message, finished_at=timezone.now())


def run_now(actor: Membership, run: ImportRun, *, check: bool = False) -> ImportRun:
    """Check or write a run here and now, without a worker: for commands and small files."""
    begin = begin_check if check else begin_run
    begin(actor, run)
    with door_of(run):
        while not advance(run, float("inf")):
            continue
    return ImportRun.objects.get(pk=run.pk)


def advance(run: ImportRun, deadline: float) -> bool:
    """Settle chunks of a run; return False when the time is up, True when there is nothing more to do."""
    pace = Pace(CHUNK)
    rows: Iterator[Row] | None = None
    position = -1
    waiting: list[Row] = []
    held = 0  # characters: a chunk of long texts has fewer rows
    checking = run.state == State.CHECKING
    memory = Memory()
    _remember(memory, run)
    while True:
        if position != run.rows_done:
            position = run.rows_done
            rows = read_rows(
                path_of(run), run.options["encoding"], run.options["delimiter"], run.options["headers"], position
            )
            waiting, held = [], 0
        assert rows is not None
        while len(waiting) < pace.size and held < BLOCK_SIZE and (row := next(rows, None)) is not None:
            waiting.append(row)
            held += sum(map(len, row.texts))
        chunk = waiting[: pace.size]
        began = time.monotonic()
        try:
            with _without_collector():
                done = settle(run.pk, chunk, position, checking, memory)
        except PlanLimitReached as error:
            if pace.size > 1:
                pace.shrink()
                continue
            ImportRun.objects.filter(pk=run.pk).update(state=State.PAUSED, message=error.message)
            return True
        if done is None:
            return True
        run = done
        if run.rows_done == position + len(chunk):
            waiting, position = waiting[len(chunk) :], run.rows_done
            held = sum(len(text) for row in waiting for text in row.texts)
        if run.state not in (State.CHECKING, State.RUNNING):
            return True
        if time.monotonic() > deadline:
            return False
        pace.note(len(chunk), time.monotonic() - began)
        if deadline != float("inf"):
            pace.breathe()


def _remember(memory: Memory, run: ImportRun) -> None:
    """Put in what a run or check that goes on must know: what it made, and the leads whose first row failed."""
    if not run.rows_done:
        return
    made = ImportRow.objects.filter(run=run, verdict=CREATE)
    if run.state == State.CHECKING:  # what it made is rolled back
        told = made.filter(before__has_key="key").values_list("before", flat=True).iterator()
        keys = {before["key"] for before in told if before}
        memory.externals = keys if run.target == "activities" else set()
        memory.made_leads = dict.fromkeys(keys, 0) if run.target == "leads" else {}
    elif run.target == "leads":
        leads = Lead.objects.filter(pk__in=made.filter(object_type="lead").values("object_id"))
        memory.made_leads = {fold(name): pk for pk, name in leads.values_list("pk", "name")}
    if run.target == "leads":
        failed = ImportRow.objects.filter(run=run, verdict=ERROR, before__has_key="key").order_by("number")
        for number, before in failed.values_list("number", "before").iterator():
            memory.failed_leads.setdefault((before or {})["key"], number)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing in a chunk refers to itself: looking for such things again and again costs a fifth of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _RollBack(Exception):
    """Leaves a transaction without keeping it."""


def settle(run_id: int, chunk: list[Row], position: int, checking: bool, memory: Memory) -> ImportRun | None:
    """Settle one chunk in one transaction, resume point included; returns the run, None when it was stopped."""
    for attempt in range(3):
        try:
            with transaction.atomic():
                run = ImportRun.objects.select_for_update().get(pk=run_id)
                if run.state != (State.CHECKING if checking else State.RUNNING):
                    return None
                if run.rows_done != position:
                    _remember(memory, run)  # another worker was faster, and made leads that this one has not seen
                    return run
                _note(run, _verdicts(run, chunk, checking, memory), len(chunk), checking)
                if run.state == State.DONE:
                    events.record(
                        _actor(run, Organization.objects.get(pk=run.organization_id)), "completed", "import", run.pk,
                        changed=["state"], before={"state": "running"}, after={"state": "done", "counts": run.counts},
                    )  # fmt: skip
            memory.keep(rolled_back=checking)
            return run
        except IntegrityError:
            # Somebody wrote the same external id or deleted a lead meanwhile: the next try sees it.
            if attempt == 2:
                raise
    return None


def _verdicts(run: ImportRun, chunk: list[Row], checking: bool, memory: Memory) -> list[Verdict]:
    """Return the verdicts of a chunk, its rows written; when checking, everything but the verdicts is taken back."""
    if not chunk:
        return []
    options = run.options
    memory.begin()
    found: list[Verdict] = []
    try:
        # Only a check takes back a part of the transaction; SQLite would copy each page that is written in a savepoint.
        with transaction.atomic(savepoint=checking):
            # Two imports of an organization take turns by chunk, so that both see the leads the other makes.
            organization = Organization.objects.select_for_update(no_key=True).get(pk=run.organization_id)
            # Rights are read at each chunk: a role that changes during a run counts at once.
            actor = _actor(run, organization)
            authorize(has(actor, Perm.BULK_IMPORT))
            if checking:
                # Each chunk's count is rolled back with it; `_note` compares the sum with the plan.
                organization.plan = "unlimited"
            _make_fields(actor, run)
            found = resource_of(actor, run, memory).settle(chunk)
            if checking:
                raise _RollBack
    except _RollBack:
        run.options = options  # the fields it named are gone again
    return found


def _note(run: ImportRun, verdicts: list[Verdict], number: int, checking: bool) -> None:
    """Write down what became of a chunk's rows, and the resume point."""
    counts = Counter(run.counts)
    counts.update(verdict.verdict for verdict in verdicts)
    insert_rows(
        ImportRow,
        ("organization_id", "run_id", "number", "verdict", "object_type", "object_id", "error", "cells", "before"),
        (
            (
                run.organization_id, run.pk, row.number, row.verdict, row.object_type,
                None if checking and (row.fresh or row.verdict == CREATE) else row.object_id, row.error, row.cells,
                _shown(row) if checking else row.before or _failed(row),
            )
            for row in verdicts
        ),
    )  # fmt: skip
    run.counts, run.rows_done = dict(counts), run.rows_done + number
    if checking:
        run.options["counted"] = run.options.get("counted", 0) + sum(verdict.counts for verdict in verdicts)
    if run.rows_done >= run.rows_total or not number:
        run.state = State.CHECKED if checking else State.DONE
        run.finished_at = None if checking else timezone.now()
        run.message = _plan_message(run) if checking else ""
    run.save(update_fields=["counts", "rows_done", "state", "finished_at", "options", "message"])


def _shown(row: Verdict) -> dict[str, Any] | None:
    """Return what a check tells of a row: what is made, or old and new; and what its later jobs must know."""
    told: dict[str, Any] = {"changes": row.changes[:20], "label": row.label[:200], "key": row.key}
    return {name: text for name, text in told.items() if text} or None


def _failed(row: Verdict) -> dict[str, Any] | None:
    """Return what later jobs of a run must know of a row that failed."""
    return {"key": row.key} if row.verdict == ERROR and row.key else None


def _plan_message(run: ImportRun) -> str:
    """Return what the plan will say to a run that was checked, empty when everything fits."""
    organization = Organization.objects.get(pk=run.organization_id)
    use = usage(organization, 0)
    wanted = run.options["counted"]
    if use.plan.monthly_activities is None or use.activities_used + wanted <= use.plan.monthly_activities:
        return ""
    room = max(0, use.plan.monthly_activities - use.activities_used)
    return (
        f"The {use.plan.name} plan has room for {room:,} more activities this month and the file holds {wanted:,}. "
        f"The import will stop there and can go on from {use.resets_on:%-d %B %Y}, or after choosing a larger plan."
    )


def _make_fields(actor: Membership, run: ImportRun) -> None:
    """Create the fields that columns are to become, once, and note them in the run's mapping."""
    mapping = dict(run.options["mapping"])
    if not any(target.startswith("new.") for target in mapping.values()):
        return
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    if run.target == "leads":
        fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    else:
        kind = type_catalog(actor.organization).by_public_id(run.options["type_id"])
        if kind is None:
            raise InvalidInput("The activity type of this import is gone. Upload the file again.")
        fieldset = FieldSet.objects.get(pk=kind.fieldset_id)
    empty = run.options.get("empty_words", ())
    for header, target in mapping.items():
        if target.startswith("new."):
            labels = [label for label in run.options["new_options"].get(header, ()) if label not in empty]
            field = create_field(
                actor, fieldset, name=header.removeprefix("custom."), kind=target.removeprefix("new."), options=labels
            )
            mapping[header] = f"custom.{field.public_id}"
    run.options = run.options | {"mapping": mapping}


def _actor(run: ImportRun, organization: Organization) -> Membership:
    """Return the member the run acts as, with the rights they have now."""
    found = Membership.objects.select_related("user", "role").filter(pk=run.membership_id).first()
    if found is None or found.removed_at is not None:
        raise NotAllowed("The member who started this import was removed.")
    found.organization = organization
    return found
