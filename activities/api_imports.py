"""REST door to imports: a file is sent as multipart, its run is polled, its failed rows are fetched, and it can be undone."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from activities import imports
from activities.imports.runs import State
from activities.views_exports import download
from crm.api import created, listing, shows, stamp, window
from crm.errors import InvalidInput
from crm.models import ImportRow, ImportRun
from crm.permissions import Perm, authorize, has

router = Router(tags=["Import and export"])

RUN = {
    "id": "imp_9f…", "target": "activities", "status": "done", "dry_run": False, "file_name": "calls.csv", "rows_total": 3,
    "rows_done": 3, "counts": {"create": 2, "update": 0, "skip": 0, "error": 1}, "message": "",
    "notes": ["“Lead Nam”: did you mean “lead_name”? It is left out."], "can_undo": True,
    "mapping": {"Company": "lead_name", "Users": "custom.cf_…"}, "headers": ["Company", "Users"], "delimiter": ",",
    "encoding": "utf-8-sig", "zone": "Europe/Berlin", "date_created": "2024-01-31T14:30:00+00:00",
    "failed_rows_url": "/api/v1/import/imp_9f…/failed_rows/",
}  # fmt: skip
OPTIONS = (
    "file", "mapping", "delimiter", "encoding", "zone", "dry_run", "type_id", "create_leads", "add_options",
    "empty_words", "day_first", "decimal_comma", "on_existing",
)  # fmt: skip
SENDS = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "format": "binary", "description": "CSV, TSV or XLSX"},
                "mapping": {
                    "type": "string",
                    "description": 'JSON: {"column of the file": "target"}; other columns go by their names, "" leaves out',
                },
                "type_id": {"type": "string", "description": "one activity type for the whole file"},
                "delimiter": {"type": "string", "description": "recognised when absent"},
                "encoding": {"type": "string", "description": "recognised when absent"},
                "zone": {"type": "string", "description": "of times without an offset; yours when absent"},
                "day_first": {"type": "string", "description": "true or false: how 03/04/2024 reads"},
                "decimal_comma": {"type": "string", "description": "true or false: whether 1,234 is 1.234 or 1234"},
                "empty_words": {"type": "string", "description": "comma-joined words that mean empty"},
                "create_leads": {"type": "string", "description": "true: make leads that are missing"},
                "add_options": {"type": "string", "description": "true: add missing options to choice fields"},
                "on_existing": {"type": "string", "description": "leads of the same name: skip, update or create"},
                "dry_run": {"type": "string", "description": "true: check every row and write nothing"},
            },
        }
    }
}
FILE = {"requestBody": {"required": True, "content": SENDS}}


def run_json(run: ImportRun) -> dict[str, Any]:
    options = run.options
    undoing = "undo_by" in options
    return {
        "id": run.public_id,
        "target": run.target,
        "status": "undoing" if undoing else run.state,
        "dry_run": run.started_at is None,
        "file_name": run.file_name,
        "rows_total": run.rows_total,
        "rows_done": run.rows_done,
        "counts": {key: run.counts.get(key, 0) for key in ("create", "update", "skip", "error")},
        "message": run.message,
        "can_undo": imports.can_undo(run),
        "mapping": options.get("mapping", {}),
        "headers": options.get("headers", []),
        "notes": options.get("notes", []),
        "delimiter": options.get("delimiter"),
        "encoding": options.get("encoding"),
        "zone": options.get("zone"),
        "date_created": stamp(run.date_created),
        "date_started": stamp(run.started_at),
        "date_finished": stamp(run.finished_at),
        "failed_rows_url": f"/api/v1/import/{run.public_id}/failed_rows/",
    }


# --- sending a file -----------------------------------------------------------------------------------------------------
@router.post("/import/activities/", summary="Import activities", openapi_extra=shows(RUN) | FILE)
def import_activities(request: HttpRequest) -> Any:
    """Send a file as multipart. Rows with `id` change activities, others create them; poll the run until it is `done`."""
    return _import(request, "activities")


@router.post("/import/leads/", summary="Import leads and contacts", openapi_extra=shows(RUN) | FILE)
def import_leads(request: HttpRequest) -> Any:
    """One row per contact; rows of the same lead become one lead."""
    return _import(request, "leads")


def _import(request: HttpRequest, target: str) -> HttpResponse:
    authorize(has(request.actor, Perm.BULK_IMPORT))
    file, posted = request.FILES.get("file"), request.POST
    if file is None:
        raise InvalidInput(fields={"file": "Send the file as the part `file` of a multipart/form-data request."})
    if unknown := sorted({*posted, *request.FILES} - set(OPTIONS)):
        raise InvalidInput(
            fields={name[:100]: f"There is no such option. Use: {', '.join(OPTIONS)}." for name in unknown}
        )
    given, dry_run = _options(posted), _flag(posted, "dry_run")
    run = imports.start_run(
        request.actor, target, file.name or "file.csv", file,
        encoding=posted.get("encoding", ""), delimiter={"tab": "\t"}.get(posted.get("delimiter", ""), posted.get("delimiter", "")),
    )  # fmt: skip
    asked = given.get("mapping", {})
    given["mapping"] = run.options["mapping"] | asked
    try:
        run = imports.set_mapping(request.actor, run, given)
    except InvalidInput:
        imports.cancel_run(request.actor, run)
        raise
    imports.note_near_misses(request.actor, run, asked)
    if dry_run:
        imports.begin_check(request.actor, run)
    else:
        imports.begin_run(request.actor, run, unchecked=True)
    return created(request, run_json(run))


def _options(posted: Any) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in ("type_id", "zone", "on_existing"):
        if posted.get(name, "").strip():
            given[name] = posted[name].strip()
    for name in ("create_leads", "add_options", "day_first", "decimal_comma"):
        if name in posted:
            given[name] = _flag(posted, name)
    if "empty_words" in posted:
        given["empty_words"] = [word.strip() for word in posted["empty_words"].split(",") if word.strip()][:20]
    if posted.get("mapping", "").strip():
        try:
            mapping = json.loads(posted["mapping"])
        except (ValueError, RecursionError):
            mapping = None
        if not isinstance(mapping, dict) or not all(isinstance(value, str | None) for value in mapping.values()):
            raise InvalidInput(fields={"mapping": 'Send JSON such as {"Company": "lead_name"}.'})
        given["mapping"] = {header: target or "" for header, target in mapping.items()}
    return given


def _flag(posted: Any, name: str) -> bool:
    text = posted.get(name, "").strip().casefold()
    if text not in ("", "true", "1", "yes", "false", "0", "no"):
        raise InvalidInput(fields={name: "Send true or false."})
    return text in ("true", "1", "yes")


# --- a run ----------------------------------------------------------------------------------------------------------------
@router.get("/import/", summary="List imports", openapi_extra=shows({"data": [RUN], "has_more": False}))
def list_imports(request: HttpRequest) -> Any:
    """Your own, newest first; everybody's for who manages the organization."""
    authorize(has(request.actor, Perm.BULK_IMPORT))
    return listing(request, imports.visible_runs(request.actor), lambda page: [run_json(row) for row in page])


def _run(request: HttpRequest, import_id: str) -> ImportRun:
    authorize(has(request.actor, Perm.BULK_IMPORT))
    return imports.run_for(request.actor, import_id)


@router.get("/import/{import_id}/", summary="Fetch the state of an import", openapi_extra=shows(RUN))
def get_import(request: HttpRequest, import_id: str) -> Any:
    """`status`: checking, checked, running, paused, done, failed, cancelled, undoing, undone."""
    return run_json(_run(request, import_id))


@router.get("/import/{import_id}/rows/", summary="List what becomes of each row", openapi_extra=shows(
    {"data": [{"row": 3, "verdict": "error", "error": "lead_name: There is no lead “Nobody”.", "object_id": None, "changes": []}],
     "has_more": False},
    query={"verdict": "create, update, skip, error, undone or kept", "after": "row number", "_limit": "at most 100"}))  # fmt: skip
def list_rows(request: HttpRequest, import_id: str) -> Any:
    """In the order of the file. Ask for the next page with `after` = the last row of this one.

    `row` is the row's number in a spreadsheet: the header is row 1, and a cell of several lines makes one row.
    """
    run = _run(request, import_id)
    after = request.GET.get("after", "0")
    if not after.isdecimal() or len(after) > 9:
        raise InvalidInput(fields={"after": "Input should be a whole number, 0 or more"})
    page = imports.verdicts_of(run, request.GET.get("verdict", ""), int(after), window(request)[1])
    return {"data": [_row_json(row) for row in page.rows], "has_more": page.next is not None}


def _row_json(row: ImportRow) -> dict[str, Any]:
    return {
        "row": row.number,
        "verdict": row.verdict,
        "error": row.error,
        "object_id": imports.object_id_of(row),
        "changes": [
            {"field": name, "old": old, "new": new} for name, old, new in (row.before or {}).get("changes") or []
        ],
    }


@router.get("/import/{import_id}/failed_rows/", summary="Download the failed rows", openapi_extra=shows("CSV"))
def failed_rows(request: HttpRequest, import_id: str) -> Any:
    """CSV with the original columns and `error`; mended, it can be imported as it is."""
    run = _run(request, import_id)
    return download(imports.failed_rows(run), f"failed-{run.public_id}.csv")


@router.post(
    "/import/{import_id}/{action}/", summary="Run, pause, resume or cancel an import", openapi_extra=shows(RUN)
)
def act(request: HttpRequest, import_id: str, action: str) -> Any:
    """`run` writes what a dry run has checked; `pause`, `resume` and `cancel` do what they say."""
    run = _run(request, import_id)
    actions = {
        "run": imports.begin_run, "resume": imports.begin_run, "pause": imports.pause_run, "cancel": imports.cancel_run,
    }  # fmt: skip
    if action not in actions:
        raise InvalidInput(fields={"action": f"Use one of: {', '.join(actions)}."})
    actions[action](request.actor, run)
    return run_json(run)


@router.delete("/import/{import_id}/", summary="Undo an import", openapi_extra=shows(RUN | {"status": "undoing"}))
def undo_import(request: HttpRequest, import_id: str) -> Any:
    """What it created goes, what it overwrote comes back; what somebody changed since is kept. Within 30 days.

    A run that has written nothing is cancelled.
    """
    run = _run(request, import_id)
    if run.started_at is None and run.state not in (State.CANCELLED, State.UNDONE):
        imports.cancel_run(request.actor, run)
    else:
        imports.begin_undo(request.actor, run)
    return run_json(run)
