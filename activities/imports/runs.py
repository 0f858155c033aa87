"""Reading import runs: who may see which, what became of their rows, and what can be done with them now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from activities.queries import visible_activities
from activities.resources import ActivityResource
from crm import ids
from crm.errors import Conflict, InvalidInput, NotFound
from crm.imports.files import csv_text
from crm.imports.formula import neutralise
from crm.imports.resource import CREATE, ERROR, UPDATE, Memory, Options, SettledResource
from crm.models import ImportRow, ImportRun, Membership
from crm.permissions import Perm, has
from crm.tenancy import scope
from leads.queries import visible_leads
from leads.resources import LeadResource

UNDO_DAYS = 30
ERROR_COLUMN = "error"  # of a file of failed rows
RESOURCES: dict[str, type[SettledResource]] = {"activities": ActivityResource, "leads": LeadResource}
State = ImportRun.State


def run_for(actor: Membership, public_id: str) -> ImportRun:
    """Return an import run: the actor's own, or anybody's for who manages the organization. Raises `NotFound`."""
    rows = ImportRun.objects.filter(pk=ids.decode("imp", public_id))
    if not has(actor, Perm.MANAGE_ORGANIZATION):
        rows = rows.filter(membership=actor)
    found = rows.select_related("membership__user").first()
    if found is None:
        raise NotFound("There is no such import.")
    return found


def visible_runs(actor: Membership) -> QuerySet[ImportRun]:
    """Return the import runs the actor may open, newest first."""
    rows = ImportRun.objects.select_related("membership__user").order_by("-date_created", "-pk")
    return rows if has(actor, Perm.MANAGE_ORGANIZATION) else rows.filter(membership=actor)


def runs_for(actor: Membership) -> list[ImportRun]:
    """Return recent import runs the actor may open, newest first."""
    return list(visible_runs(actor)[:30])


def object_id_of(row: ImportRow) -> str | None:
    """Return the public id of what a row made, changed or found."""
    return (
        ids.encode({"activity": "acti"}.get(row.object_type, row.object_type), row.object_id) if row.object_id else None
    )


def records_of(actor: Membership, rows: Sequence[ImportRow]) -> dict[tuple[str, int | None], str]:
    """Return what the rows made, changed or kept, in words, by type and id; what the actor does not see is not there."""
    named: dict[tuple[str, int | None], str] = {}
    if wanted := {row.object_id for row in rows if row.object_type == "lead" and row.object_id}:
        for pk, name in visible_leads(actor).filter(pk__any=wanted).values_list("pk", "name"):
            named["lead", pk] = name
    if wanted := {row.object_id for row in rows if row.object_type == "activity" and row.object_id}:
        found = visible_activities(actor).filter(pk__any=wanted).values_list("pk", "type__name", "lead__name")
        named |= {("activity", pk): f"{kind} · {lead}" for pk, kind, lead in found}
    return named


@dataclass(frozen=True)
class Page:
    """Some rows of a run. `previous` and `next` are the row numbers after which those pages begin; None: there is none."""

    rows: list[ImportRow]
    previous: int | None
    next: int | None


def verdicts_of(run: ImportRun, verdict: str = "", after: int = 0, limit: int = 50) -> Page:
    """Return a page of what becomes of a run's rows, in row order, of one verdict when given."""
    rows = ImportRow.objects.filter(run=run)
    rows = rows.filter(verdict=verdict) if verdict else rows
    found = list(rows.filter(number__gt=after).order_by("number")[: limit + 1])
    previous = None
    if after:
        before = list(rows.filter(number__lte=after).order_by("-number").values_list("number", flat=True)[: limit + 1])
        previous = (before[limit] if len(before) > limit else 0) if before else None
    return Page(found[:limit], previous, found[limit - 1].number if len(found) > limit else None)


def can_undo(run: ImportRun) -> bool:
    """Return whether the run wrote something and is younger than thirty days."""
    ended = run.finished_at
    written = run.counts.get(CREATE, 0) + run.counts.get(UPDATE, 0)
    return bool(
        written
        and run.started_at
        and "undo_by" not in run.options
        and run.state in (State.DONE, State.CANCELLED, State.PAUSED, State.FAILED)
        and (ended is None or timezone.now() - ended < timedelta(days=UNDO_DAYS))
    )


def can_resume(run: ImportRun) -> bool:
    """Return whether the run stopped before its last row and can go on there."""
    stopped = run.state == State.PAUSED or (run.state == State.FAILED and run.started_at is not None)
    return bool(stopped and "undo_by" not in run.options and run.rows_done < run.rows_total)


def failed_rows(run: ImportRun) -> Iterator[str]:
    """Yield the failed rows as CSV text: the original columns and `error`. The file can be imported as it is."""
    # The reasons of an earlier such file make way; a column of that name that goes somewhere stays.
    headers = [name for name in run.options["headers"] if name != ERROR_COLUMN or run.options["mapping"].get(name)]
    # A spreadsheet that writes semicolons would open commas as one column.
    delimiter = ";" if run.options["delimiter"] == ";" else ","
    yield "\ufeff" + csv_text([[*headers, ERROR_COLUMN]], delimiter)
    last = 0
    while True:
        with scope(run.organization_id):
            rows = list(ImportRow.objects.filter(run=run, verdict=ERROR, number__gt=last).order_by("number")[:500])
        if not rows:
            return
        last = rows[-1].number
        yield csv_text(
            [[*[(row.cells or {}).get(name, "") for name in headers], neutralise(row.error)] for row in rows], delimiter
        )


def resource_of(actor: Membership, run: ImportRun, memory: Memory | None = None) -> SettledResource:
    """Return the resource that settles a run's rows."""
    return RESOURCES[run.target](actor, Options.of(run.options), memory)


def path_of(run: ImportRun) -> Path:
    """Return where the uploaded file lies. Raises `InvalidInput` when it is gone."""
    path = Path(settings.MEDIA_ROOT) / run.file_path
    if not path.exists():
        raise InvalidInput("The uploaded file is gone. Upload it again.")
    return path


def require_state(run: ImportRun, *states: str) -> None:
    """Raise `Conflict` unless the run is in one of these states."""
    if run.state not in states:
        raise Conflict(f"The import is {run.state}; this cannot be done now.")
