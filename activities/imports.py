"""Import runs from upload to undo: check, run, pause, resume, cancel, failed rows, undo.

A run is settled in chunks; each is one transaction that holds the rows, their verdicts and the resume point
(`ImportRun.rows_done`), so a worker killed at any row loses nothing and repeats nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from activities.models import Activity
from activities.queries import type_catalog
from activities.resources import ActivityResource
from activities.services.activities import delete_activity, update_activity
from crm import events, ids
from crm.bulk import insert_rows
from crm.customfields.catalog import catalog
from crm.customfields.lookups import Lookups
from crm.customfields.services import create_field
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound, PlanLimitReached, TouchpointError
from crm.imports.files import MAX_BYTES, BadFile, Row, csv_text, inspect, read_rows, xlsx_to_csv
from crm.imports.formula import neutralise
from crm.imports.resource import CREATE, ERROR, UPDATE, Options, SettledResource, Verdict
from crm.jobs import enqueue
from crm.models import FieldSet, ImportRow, ImportRun, Membership, Organization, User
from crm.permissions import Perm, authorize, has
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.resources import LeadResource
from leads.services import delete_contact, delete_lead, update_lead

CHUNK = 500
UNDO_DAYS = 30
# A job hands over to the next one well before the queue's timeout.
SECONDS_A_JOB = 60
KEPT_VERDICTS = 500
TARGETS: dict[str, type[SettledResource]] = {"activities": ActivityResource, "leads": LeadResource}
State = ImportRun.State


# --- reading ----------------------------------------------------------------------------------------------------------
def run_for(actor: Membership, public_id: str) -> ImportRun:
    """Return an import run: the actor's own, or anybody's for who manages the organization. Raises `NotFound`."""
    rows = ImportRun.objects.filter(pk=ids.decode("imp", public_id))
    if not has(actor, Perm.MANAGE_ORGANIZATION):
        rows = rows.filter(membership=actor)
    found = rows.select_related("membership__user").first()
    if found is None:
        raise NotFound("There is no such import.")
    return found


def runs_for(actor: Membership) -> list[ImportRun]:
    """Return recent import runs the actor may open, newest first."""
    rows = ImportRun.objects.select_related("membership__user").order_by("-date_created")
    return list((rows if has(actor, Perm.MANAGE_ORGANIZATION) else rows.filter(membership=actor))[:30])


def verdicts_of(run: ImportRun, verdict: str = "", offset: int = 0, limit: int = 50) -> list[ImportRow]:
    """Return kept verdicts of a run in row order, of one kind when given."""
    rows = ImportRow.objects.filter(run=run).order_by("number")
    return list((rows.filter(verdict=verdict) if verdict else rows)[offset : offset + limit])


def can_undo(run: ImportRun) -> bool:
    """Return whether the run wrote something and is younger than thirty days."""
    ended = run.finished_at
    written = run.counts.get(CREATE, 0) + run.counts.get(UPDATE, 0)
    return bool(
        written
        and run.state in (State.DONE, State.CANCELLED, State.PAUSED)
        and (ended is None or timezone.now() - ended < timedelta(days=UNDO_DAYS))
    )


# --- upload and mapping -----------------------------------------------------------------------------------------------
def start_run(
    actor: Membership, target: str, file_name: str, content: BinaryIO, *, encoding: str = "", delimiter: str = ""
) -> ImportRun:
    """Keep an uploaded file and read it once. Raises `BadFile` with a sentence; then nothing is kept."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if target not in TARGETS:
        raise InvalidInput(fields={"target": "Choose what the file holds: activities or leads."})
    folder = Path(settings.MEDIA_ROOT) / "imports" / str(actor.organization_id)
    folder.mkdir(parents=True, exist_ok=True)
    # The name on disk is ours; the person's file name is only ever shown.
    path = folder / f"{get_random_string(24)}.csv"
    try:
        _keep(content, path)
        if file_name.lower().endswith(".xlsx"):
            sheet = path.with_suffix(".sheet.csv")
            try:
                xlsx_to_csv(path, sheet)
            finally:
                path.unlink(missing_ok=True)
            path, encoding, delimiter = sheet, "utf-8-sig", ","
        table = inspect(path, encoding=encoding, delimiter=delimiter)
    except BadFile:
        path.unlink(missing_ok=True)
        path.with_suffix(".sheet.csv").unlink(missing_ok=True)
        raise
    with transaction.atomic():
        run = ImportRun.objects.create(
            organization=actor.organization, membership=actor, target=target, file_name=Path(file_name).name[:255],
            file_path=str(path.relative_to(settings.MEDIA_ROOT)), rows_total=table.rows_total,
            options=_options_of(table) | {"zone": str(actor.zone)},
        )  # fmt: skip
        run.options["mapping"] = guessed_mapping(actor, run)
        run.save(update_fields=["options"])
        events.record(actor, "created", "import", run.pk, after={"file_name": run.file_name, "target": target})
    return run


def _options_of(table: Any) -> dict[str, Any]:
    return {
        "encoding": table.encoding,
        "delimiter": table.delimiter,
        "headers": table.headers,
        "notes": table.notes,
        "columns": [
            {
                "header": column.header, "samples": column.samples, "kind": column.guessed_kind,
                "options": column.options, "filled": column.filled,
            }
            for column in table.columns
        ],
    }  # fmt: skip


def _keep(content: BinaryIO, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        while chunk := content.read(1024 * 1024):
            size += len(chunk)
            if size > MAX_BYTES:
                raise BadFile(f"The file is larger than {MAX_BYTES / 1e6:,.0f} MB. Split it.")
            file.write(chunk)


def reread(actor: Membership, run: ImportRun, encoding: str, delimiter: str) -> ImportRun:
    """Read the file again with another encoding or delimiter. Raises `BadFile`."""
    authorize(has(actor, Perm.BULK_IMPORT))
    _require(run, State.UPLOADED, State.CHECKED)
    table = inspect(_path(run), encoding=encoding, delimiter=delimiter)
    run.options |= _options_of(table)
    run.rows_total, run.state = table.rows_total, State.UPLOADED
    run.options["mapping"] = guessed_mapping(actor, run)
    run.save(update_fields=["options", "rows_total", "state"])
    return run


def resource_of(actor: Membership, run: ImportRun) -> Any:
    """Return the resource that settles a run's rows."""
    options = Options.of(run.options)
    if run.target == "leads":
        made = ImportRow.objects.filter(run=run, verdict=CREATE, object_type="lead").values("object_id")
        names = Lead.objects.filter(pk__in=made).values_list("name_fold", "pk")
        return LeadResource(actor, options, dict(names))
    return ActivityResource(actor, options)


def guessed_mapping(actor: Membership, run: ImportRun) -> dict[str, str]:
    """Return header → target: exact names, near misses, and what the last import of such a file did."""
    resource = resource_of(actor, run)
    last = (
        ImportRun.objects.filter(membership=actor, target=run.target)
        .exclude(pk=run.pk)
        .exclude(state__in=(State.UPLOADED, State.FAILED))
        .order_by("-pk")
        .first()
    )
    remembered: dict[str, str] = last.options.get("mapping", {}) if last else {}
    found: dict[str, str] = {}
    for header in run.options["headers"]:
        target = resource.hint_for(header)[0]
        if not target and not remembered.get(header, "").startswith("new."):
            target = remembered.get(header, "")
        found[header] = "" if target in found.values() else target
    return found


def set_mapping(actor: Membership, run: ImportRun, given: Mapping[str, Any]) -> ImportRun:
    """Keep how columns are read, after checking it. Raises `InvalidInput` by header.

    `given`: mapping, type_id, create_leads, add_options, empty_words, day_first, zone, on_existing.
    """
    authorize(has(actor, Perm.BULK_IMPORT))
    _require(run, State.UPLOADED, State.CHECKED, State.CHECKING)
    options = dict(run.options) | {key: given[key] for key in Options.__dataclass_fields__ if key in given}
    headers = set(options["headers"])
    mapping = {header: target for header, target in options["mapping"].items() if header in headers}
    errors: dict[str, str] = {}
    probe: Any = TARGETS[run.target](actor, Options.of(options | {"mapping": mapping}))
    allowed = {*probe.columns, *probe.field_names().values()}
    taken: dict[str, str] = {}
    may_customize = has(actor, Perm.MANAGE_CUSTOMIZATIONS)
    for header, target in mapping.items():
        if not target:
            continue
        if target.startswith("new."):
            if not may_customize:
                errors[header] = may_customize.reason
            elif target.removeprefix("new.") not in _NEW_KINDS:
                errors[header] = "Choose a kind for the new field."
        elif target not in allowed:
            errors[header] = f"“{target}” is not a column that can be imported."
        elif target in taken:
            errors[header] = f"“{taken[target]}” goes there already. Choose another target, or leave one out."
        taken.setdefault(target, header)
    if options.get("add_options") and not may_customize:
        errors["add_options"] = may_customize.reason
    if run.target == "activities":
        if "id" not in taken:
            if (
                "custom_activity_type" not in taken
                and type_catalog(actor.organization).by_public_id(options.get("type_id")) is None
            ):
                errors["type_id"] = "Choose an activity type for the file, or map a column to it."
            if not {"lead_id", "lead_name", "lead_email", "lead_phone"} & set(taken):
                errors["lead"] = "Map a column to the lead: its id, name, or an email or phone of a contact."
        if any(target.startswith("new.") for target in mapping.values()):
            chosen = type_catalog(actor.organization).by_public_id(options.get("type_id"))
            if chosen is None or not chosen.is_custom:
                errors["type_id"] = "New fields need one custom activity type for the whole file. Choose it."
    elif "name" not in taken and "id" not in taken:
        errors["lead"] = "Map a column to the lead's name, or to its id."
    if errors:
        raise InvalidInput(fields=errors)
    options["mapping"] = mapping
    options["new_options"] = {
        column["header"]: column["options"]
        for column in options["columns"]
        if mapping.get(column["header"]) == "new.choices"
    }
    run.options, run.state = options, State.UPLOADED
    run.save(update_fields=["options", "state"])
    return run


_NEW_KINDS = ("text", "textarea", "number", "date", "datetime", "choices", "checkbox", "url", "email", "phone")
NEW_KINDS = _NEW_KINDS


# --- check and run ----------------------------------------------------------------------------------------------------
def begin_check(actor: Membership, run: ImportRun) -> None:
    """Check a run in the background: the real run, rolled back."""
    authorize(has(actor, Perm.BULK_IMPORT))
    _require(run, State.UPLOADED, State.CHECKED, State.CHECKING)
    with transaction.atomic():
        ImportRow.objects.filter(run=run).delete()
        run.state, run.rows_done, run.counts, run.message = State.CHECKING, 0, {}, ""
        run.save(update_fields=["state", "rows_done", "counts", "message"])
        enqueue("activities.imports.work", run.organization_id, run.pk)


def begin_run(actor: Membership, run: ImportRun) -> None:
    """Write a checked run's rows in the background; a paused one goes on where it stopped."""
    authorize(has(actor, Perm.BULK_IMPORT))
    _require(run, State.CHECKED, State.PAUSED)
    with transaction.atomic():
        if run.state == State.CHECKED:
            ImportRow.objects.filter(run=run).delete()
            run.rows_done, run.counts, run.started_at = 0, {}, timezone.now()
        run.state, run.message = State.RUNNING, ""
        run.save(update_fields=["state", "rows_done", "counts", "message", "started_at"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": "running"})
        enqueue("activities.imports.work", run.organization_id, run.pk)


def pause_run(actor: Membership, run: ImportRun) -> None:
    """Stop after the chunk that is being written; `begin_run` goes on."""
    _stop(actor, run, State.PAUSED)


def cancel_run(actor: Membership, run: ImportRun) -> None:
    """Stop for good; what is written stays and can be undone."""
    _stop(actor, run, State.CANCELLED)


def _stop(actor: Membership, run: ImportRun, state: str) -> None:
    authorize(has(actor, Perm.BULK_IMPORT))
    with transaction.atomic():
        locked = ImportRun.objects.select_for_update().get(pk=run.pk)
        if locked.state not in (State.RUNNING, State.PAUSED, State.CHECKING, State.CHECKED, State.UPLOADED):
            raise Conflict(f"The import is {locked.state} already.")
        locked.state = state
        locked.finished_at = timezone.now() if state == State.CANCELLED else None
        locked.save(update_fields=["state", "finished_at"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": state})
    run.state, run.finished_at = locked.state, locked.finished_at


def resume_all() -> int:
    """Put unfinished runs back in the queue after a restart; two workers on one run take turns and harm nothing."""
    runs = ImportRun.unscoped.filter(state__in=(State.RUNNING, State.CHECKING))
    for organization_id, pk in runs.values_list("organization_id", "pk"):
        enqueue("activities.imports.work", organization_id, pk)
    return len(runs)


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
            if not _advance(run, deadline):
                enqueue("activities.imports.work", organization_id, run_id)
        except TouchpointError as error:
            ImportRun.objects.filter(pk=run_id).update(
                state=State.FAILED, message=error.message, finished_at=timezone.now()
            )


def run_now(actor: Membership, run: ImportRun, *, check: bool = False) -> ImportRun:
    """Check or write a run here and now, without a worker: for commands and small files."""
    begin = begin_check if check else begin_run
    begin(actor, run)
    with events.door("import"):
        while not _advance(run, float("inf")):
            continue
    return ImportRun.objects.get(pk=run.pk)


def _advance(run: ImportRun, deadline: float) -> bool:
    """Settle chunks of a run; return False when the time is up, True when there is nothing more to do."""
    size = CHUNK
    rows: Iterator[Row] | None = None
    position = -1
    waiting: list[Row] = []
    checking = run.state == State.CHECKING
    seen: set[str] = set()
    while True:
        if position != run.rows_done:
            position = run.rows_done
            rows = read_rows(
                _path(run), run.options["encoding"], run.options["delimiter"], run.options["headers"], position
            )
            waiting = []
        assert rows is not None
        while len(waiting) < size and (row := next(rows, None)) is not None:
            waiting.append(row)
        chunk = waiting[:size]
        try:
            done = _settle(run.pk, chunk, position, checking, seen)
        except PlanLimitReached as error:
            if size > 1:
                size = max(1, size // 4)
                continue
            _pause_with(run.pk, error.message)
            return True
        if done is None:
            return True
        run = done
        if run.rows_done == position + len(chunk):
            waiting, position = waiting[size:], run.rows_done
        if run.state not in (State.CHECKING, State.RUNNING):
            return True
        if time.monotonic() > deadline:
            return False


class _RollBack(Exception):
    """Leaves a transaction without keeping it."""


def _settle(run_id: int, chunk: list[Row], position: int, checking: bool, seen: set[str]) -> ImportRun | None:
    """Settle one chunk in one transaction, resume point included; returns the run, None when it was stopped."""
    for attempt in range(3):
        try:
            with transaction.atomic():
                run = ImportRun.objects.select_for_update().get(pk=run_id)
                if run.state != (State.CHECKING if checking else State.RUNNING):
                    return None
                if run.rows_done != position:
                    return run  # another worker was faster
                verdicts = _verdicts(run, chunk, checking, seen)
                _note(run, verdicts, len(chunk), checking)
                return run
        except IntegrityError:
            # Somebody wrote the same external id or lead meanwhile: the next try sees it.
            if attempt == 2:
                raise
    return None


def _verdicts(run: ImportRun, chunk: list[Row], checking: bool, seen: set[str]) -> list[Verdict]:
    """Return the verdicts of a chunk, its rows written; when checking, everything but the verdicts is taken back."""
    if not chunk:
        return []
    options = run.options
    try:
        with transaction.atomic():
            # Rights are read at each chunk: a role that changes during a run counts at once.
            actor = _actor(run)
            authorize(has(actor, Perm.BULK_IMPORT))
            _make_fields(actor, run)
            resource = resource_of(actor, run)
            if hasattr(resource, "seen_external"):
                resource.seen_external = set(seen)
            found = resource.settle(chunk)
            if checking:
                raise _RollBack
    except _RollBack:
        run.options = options  # the fields it named are gone again
        seen |= getattr(resource, "seen_external", set())
    return found


def _note(run: ImportRun, verdicts: list[Verdict], number: int, checking: bool) -> None:
    counts = Counter(run.counts)
    counts.update(verdict.verdict for verdict in verdicts)
    kept = verdicts
    if checking:
        # A check keeps what a person can look through; the counts tell the rest.
        room = max(0, KEPT_VERDICTS - run.rows_done)
        errors = max(0, 10_000 - run.counts.get(ERROR, 0))
        kept = [row for index, row in enumerate(verdicts) if index < room or (row.verdict == ERROR and errors > 0)]
    insert_rows(
        ImportRow,
        ("organization_id", "run_id", "number", "verdict", "object_type", "object_id", "error", "cells", "before"),
        (
            (
                run.organization_id, run.pk, row.number, row.verdict, row.object_type,
                None if checking and row.verdict == CREATE else row.object_id, row.error, row.cells,
                {"changes": row.changes[:20]} if checking else row.before,
            )
            for row in kept
        ),
    )  # fmt: skip
    run.counts, run.rows_done = dict(counts), run.rows_done + number
    if run.rows_done >= run.rows_total or not number:
        run.state = State.CHECKED if checking else State.DONE
        run.finished_at = None if checking else timezone.now()
    run.save(update_fields=["counts", "rows_done", "state", "finished_at", "options"])


def _pause_with(run_id: int, message: str) -> None:
    ImportRun.objects.filter(pk=run_id).update(state=State.PAUSED, message=message)


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
    for header, target in mapping.items():
        if target.startswith("new."):
            field = create_field(
                actor, fieldset, name=header.removeprefix("custom."), kind=target.removeprefix("new."),
                options=[label for label in run.options["new_options"].get(header, ()) if label not in run.options.get("empty_words", ())],
            )  # fmt: skip
            mapping[header] = f"custom.{field.public_id}"
    run.options = run.options | {"mapping": mapping}


def _actor(run: ImportRun) -> Membership:
    """Return the member the run acts as, with the rights they have now."""
    found = Membership.objects.select_related("user", "organization", "role").filter(pk=run.membership_id).first()
    if found is None or found.removed_at is not None:
        raise NotAllowed("The member who started this import was removed.")
    return found


# --- failed rows and undo ---------------------------------------------------------------------------------------------
def failed_rows(run: ImportRun) -> Iterator[str]:
    """Yield the failed rows as CSV text: the original columns and `error`. The file can be imported as it is."""
    headers = run.options["headers"]
    yield "\ufeff" + csv_text([[*headers, "error"]])
    last = 0
    while True:
        with scope(run.organization_id):
            rows = list(ImportRow.objects.filter(run=run, verdict=ERROR, number__gt=last).order_by("number")[:500])
        if not rows:
            return
        last = rows[-1].number
        yield csv_text(
            [[*[(row.cells or {}).get(name, "") for name in headers], neutralise(row.error)] for row in rows]
        )


def begin_undo(actor: Membership, run: ImportRun) -> None:
    """Take a run back in the background."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if not can_undo(run):
        raise Conflict(f"This import cannot be undone: it wrote nothing, is undone, or is older than {UNDO_DAYS} days.")
    enqueue("activities.imports.undo_work", run.organization_id, run.pk, actor.pk)


def undo_work(organization_id: int, run_id: int, membership_id: int) -> None:
    """The job of an undo."""
    with scope(organization_id), events.door("import"):
        actor = Membership.objects.select_related("user", "organization", "role").get(pk=membership_id)
        undo_run(actor, ImportRun.objects.get(pk=run_id))


def undo_run(actor: Membership, run: ImportRun) -> ImportRun:
    """Remove what a run created and bring back what it overwrote; what somebody changed since is kept and listed."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if run.state == State.RUNNING:
        raise Conflict("Pause or cancel the import first.")
    written = ImportRow.objects.filter(run=run, verdict__in=(CREATE, UPDATE)).order_by("-number")
    made_leads: set[int] = set()
    while rows := list(written[:200]):
        with transaction.atomic():
            for row in rows:
                if lead := (row.before or {}).get("lead_created"):
                    made_leads.add(lead)
                row.error = _undo_row(actor, row)
                row.verdict = "kept" if row.error else "undone"
            ImportRow.objects.bulk_update(rows, ["verdict", "error"])
    undone = ImportRow.objects.filter(run=run, verdict__in=("undone", "kept"), before__lead_created__isnull=False)
    made_leads |= {row.before["lead_created"] for row in undone}
    with transaction.atomic():
        for lead in Lead.objects.filter(pk__in=made_leads):
            if not Activity.with_drafts.filter(lead=lead, type__system=False).exists() and not lead.contacts_count:
                delete_lead(actor, lead)
        kept = ImportRow.objects.filter(run=run, verdict="kept").count()
        run.state = State.UNDONE
        run.message = f"{kept:,} records were changed after the import and are kept." if kept else ""
        run.save(update_fields=["state", "message"])
        events.record(actor, "updated", "import", run.pk, changed=["state"], after={"state": "undone"})
    return run


def _undo_row(actor: Membership, row: ImportRow) -> str:
    """Take one row back; returns why it is kept, or an empty text."""
    undo = _undo_activity if row.object_type == "activity" else _undo_lead
    try:
        with transaction.atomic():
            return undo(actor, row)
    except TouchpointError as error:
        return error.message


def _undo_activity(actor: Membership, row: ImportRow) -> str:
    activity = Activity.with_drafts.filter(pk=row.object_id).first()
    if activity is None:
        return "" if row.verdict == CREATE else "The activity was deleted since."
    if activity.revision != (1 if row.verdict == CREATE else row.before["revision"]):
        return "It was changed after the import."
    if row.verdict == CREATE:
        delete_activity(actor, activity)
        return ""
    old = dict(row.before["values"])
    known, lookups = catalog(actor.organization), Lookups(actor.organization, activity.lead_id)
    changes: dict[str, Any] = {}
    if "user" in old:
        changes["user"] = User.objects.get(pk=old.pop("user"))
    if "contact" in old:
        contact_id = old.pop("contact")
        changes["contact"] = Contact.objects.filter(pk=contact_id).first() if contact_id else None
    if "activity_at" in old:
        changes["activity_at"] = datetime.fromisoformat(old.pop("activity_at"))
    if "pinned" in old:
        changes["pinned"] = old.pop("pinned")
    raw = {}
    for public_id, stored in old.items():
        if field := known.field_by_public_id(public_id):
            raw[public_id] = None if stored is None else field.kind.to_csv(stored, field, lookups)
    update_activity(actor, activity, custom=raw, **changes)
    return ""


def _undo_lead(actor: Membership, row: ImportRow) -> str:
    lead = Lead.objects.filter(pk=row.object_id).first()
    before = row.before or {}
    if lead is None:
        return "" if row.verdict == CREATE else "The lead was deleted since."
    if contact := Contact.objects.filter(pk=before.get("contact_created")).first():
        delete_contact(actor, contact)
    if row.verdict == CREATE:
        if Activity.with_drafts.filter(
            lead=lead, type__system=False
        ).exists() or lead.date_updated > lead.date_created + timedelta(seconds=1):
            return "It was changed after the import."
        delete_lead(actor, lead)
        return ""
    if "state" in before:
        if lead.date_updated.isoformat() != before["date_updated"]:
            return "It was changed after the import."
        known, lookups = catalog(actor.organization), Lookups(actor.organization)
        changes: dict[str, Any] = {"custom": {}}
        for key, stored in before["state"].items():
            if key.startswith("custom."):
                if field := known.fields.get(int(key.removeprefix("custom."))):
                    raw = None if stored is None else field.kind.to_csv(stored, field, lookups)
                    changes["custom"][field.public_id] = raw
            else:
                changes["status" if key == "status_id" else key] = stored
        update_lead(actor, lead, changes)
    return ""


# --- parts ------------------------------------------------------------------------------------------------------------
def _path(run: ImportRun) -> Path:
    path = Path(settings.MEDIA_ROOT) / run.file_path
    if not path.exists():
        raise InvalidInput("The uploaded file is gone. Upload it again.")
    return path


def _require(run: ImportRun, *states: str) -> None:
    if run.state not in states:
        raise Conflict(f"The import is {run.state}; this cannot be done now.")


def remove_old_files(days: int = UNDO_DAYS) -> None:
    """Remove uploads of runs that ended more than `days` ago."""
    old = timezone.now() - timedelta(days=days)
    for run in ImportRun.unscoped.filter(date_created__lt=old).exclude(state__in=(State.RUNNING, State.CHECKING)):
        (Path(settings.MEDIA_ROOT) / run.file_path).unlink(missing_ok=True)
