"""Taking in a file: kept under a name of ours, read once from end to end, refused with a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from activities.imports.mapping import guess_options
from activities.imports.runs import UNDO_DAYS, State, path_of, require_state
from crm import events
from crm.errors import Conflict, InvalidInput
from crm.imports.files import MAX_BYTES, BadFile, Table, inspect
from crm.imports.sheets import xlsx_to_csv
from crm.models import ImportRun, Membership
from crm.permissions import Perm, authorize, has


class Readable(Protocol):
    """A file as browsers, programs and tests hand it over."""

    def read(self, size: int, /) -> bytes: ...


AT_ONCE, AT_ONCE_IN_ONE = 3, 2  # files that one process reads, of all organizations and of one
_lock, _reading = Lock(), Counter[int]()
SHEET_ENDING = ".sheet.csv"  # of what a workbook became
_TOO_LARGE = f"The file is larger than {MAX_BYTES / 1e6:,.0f} MB. Split it."
TARGETS = {"activities": "Activities, one per row", "leads": "Leads and contacts, one contact per row"}


def start_run(
    actor: Membership, target: str, file_name: str, content: Readable, *, encoding: str = "", delimiter: str = ""
) -> ImportRun:
    """Keep an uploaded file and read it once. Raises `BadFile` with a sentence; then nothing is kept."""
    authorize(has(actor, Perm.BULK_IMPORT))
    if target not in TARGETS:
        raise InvalidInput(fields={"target": "Choose what the file holds: activities or leads."})
    with _turn(actor.organization_id):
        table = _take_in(actor, file_name, content, encoding, delimiter)
    with transaction.atomic():
        run = ImportRun.objects.create(
            organization=actor.organization, membership=actor, target=target,
            file_name=Path(file_name.replace("\x00", "")).name[:255] or "file.csv",
            file_path=str(table.path.relative_to(settings.MEDIA_ROOT)), rows_total=table.rows_total,
            options=_options_of(table) | {"zone": str(actor.zone)},
        )  # fmt: skip
        run.options |= guess_options(actor, run)
        run.save(update_fields=["options"])
        events.record(actor, "created", "import", run.pk, after={"file_name": run.file_name, "target": target})
    return run


@contextmanager
def _turn(organization_id: int) -> Iterator[None]:
    """Reading a file keeps a thread of the web server busy: some are left for everybody else. Raises `Conflict`."""
    with _lock:
        if _reading.total() >= AT_ONCE or _reading[organization_id] >= AT_ONCE_IN_ONE:
            raise Conflict("Other files are being read just now. Try again in a moment.")
        _reading[organization_id] += 1
    try:
        yield
    finally:
        with _lock:
            _reading[organization_id] -= 1


def _take_in(actor: Membership, file_name: str, content: Readable, encoding: str, delimiter: str) -> Table:
    folder = Path(settings.MEDIA_ROOT) / "imports" / str(actor.organization_id)
    folder.mkdir(parents=True, exist_ok=True)
    # The name on disk is ours; the person's file name is only ever shown.
    path = folder / f"{get_random_string(24)}.csv"
    notes: list[str] = []
    try:
        _keep(content, path)
        if file_name.lower().endswith((".xlsx", ".xlsm")):
            sheet = path.with_suffix(SHEET_ENDING)
            try:
                notes = xlsx_to_csv(path, sheet)
            finally:
                path.unlink(missing_ok=True)
            path, encoding, delimiter = sheet, "utf-8-sig", ","
        table = inspect(path, encoding=encoding, delimiter=delimiter)
    except BadFile:
        path.unlink(missing_ok=True)
        path.with_suffix(SHEET_ENDING).unlink(missing_ok=True)
        raise
    table.notes += notes
    return table


def reread(actor: Membership, run: ImportRun, encoding: str, delimiter: str) -> ImportRun:
    """Read the file again with another encoding or delimiter. Raises `BadFile`."""
    authorize(has(actor, Perm.BULK_IMPORT))
    require_state(run, State.UPLOADED, State.CHECKED)
    if run.file_path.endswith(SHEET_ENDING):
        raise InvalidInput("A workbook says itself how it is read.")
    with _turn(run.organization_id):
        table = inspect(path_of(run), encoding=encoding, delimiter=delimiter)
    run.options |= _options_of(table)
    for guessed in ("day_first", "decimal_comma"):
        run.options.pop(guessed, None)
    run.rows_total, run.state = table.rows_total, State.UPLOADED
    run.options |= guess_options(actor, run)
    run.save(update_fields=["options", "rows_total", "state"])
    return run


def _keep(content: Readable, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        # A file from the network tells its size; what is too large is not copied first.
        if getattr(content, "size", 0) > MAX_BYTES:
            raise BadFile(_TOO_LARGE)
        while chunk := content.read(1024 * 1024):
            size += len(chunk)
            if size > MAX_BYTES:
                raise BadFile(_TOO_LARGE)
            file.write(chunk)


def _options_of(table: Table) -> dict[str, Any]:
    return {
        "encoding": table.encoding,
        "delimiter": table.delimiter,
        "headers": table.headers,
        "notes": table.notes,
        "columns": [
            {
                "header": column.header, "samples": column.samples, "kind": column.guessed_kind,
                "options": column.options, "filled": column.filled, "unclear": column.unclear,
                "day_first": column.day_first, "month_first": column.month_first, "commas": column.commas,
                "points": column.points, "unclear_number": column.unclear_number,
            }
            for column in table.columns
        ],
    }  # fmt: skip


def remove_file(run: ImportRun) -> None:
    """Remove the upload of a run that needs it no more."""
    (Path(settings.MEDIA_ROOT) / run.file_path).unlink(missing_ok=True)


def remove_old_files(days: int = UNDO_DAYS) -> None:
    """Remove uploads of runs that ended more than `days` ago."""
    old = timezone.now() - timedelta(days=days)
    for run in ImportRun.unscoped.filter(date_created__lt=old).exclude(state__in=(State.RUNNING, State.CHECKING)):
        remove_file(run)
