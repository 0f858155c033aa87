"""Pages of Settings > Import & export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities import exports, imports
from activities.queries import type_catalog, type_for, visible_types
from crm import events
from crm.access import member_page
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS
from crm.htmx import redirect_to, render_page, toast
from crm.imports.files import DELIMITERS, ENCODINGS, MAX_BYTES, MAX_COLUMNS, MAX_ROWS
from crm.models import ImportRow, ImportRun
from crm.permissions import Perm, can_log, has

SECTION = "import_export"
PAGE = 50


@member_page()
@require_GET
def import_export(request: HttpRequest) -> HttpResponse:
    return _home(request)


def _home(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    actor = request.actor
    may_import, may_export = has(actor, Perm.BULK_IMPORT), has(actor, Perm.EXPORT)
    context = {
        "section": SECTION,
        "may_import": bool(may_import),
        "may_export": bool(may_export),
        "reason": "" if may_import or may_export else may_import.reason,
        "runs": imports.runs_for(actor) if may_import else [],
        "types": exports.exported_types(actor) if may_export else [],
        "templates": [kind for kind in type_catalog(actor.organization).custom if can_log(actor, kind)],
        "error": error,
        "limits": {"megabytes": MAX_BYTES // 1_000_000, "rows": MAX_ROWS, "columns": MAX_COLUMNS},
    }
    return render_page(request, "imports/home.html", context, status=status)


@member_page(Perm.BULK_IMPORT)
@require_POST
def import_upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES.get("file")
    if file is None:
        return _home(request, "Choose a file first.", 422)
    try:
        run = imports.start_run(request.actor, request.POST.get("target", ""), file.name or "file.csv", file)
    except InvalidInput as error:
        return _home(request, error.message, 422)
    return redirect("activities:import_map", request.organization.slug, run.public_id)


# --- mapping ----------------------------------------------------------------------------------------------------------
@dataclass
class ColumnRow:
    """One column on the mapping page: what is in it, where it goes, and what to say about it."""

    number: int
    header: str
    samples: list[str]
    target: str
    kind_label: str
    new_target: str
    hint: str = ""
    error: str = ""


@dataclass
class TargetGroup:
    label: str
    targets: list[tuple[str, str]] = field(default_factory=list)


@member_page(Perm.BULK_IMPORT)
@require_http_methods(["GET", "POST"])
def import_map(request: HttpRequest, run_id: str) -> HttpResponse:
    run = imports.run_for(request.actor, run_id)
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            if request.POST.get("action") == "reread":
                run = imports.reread(
                    request.actor, run, request.POST.get("encoding", ""), request.POST.get("delimiter", "")
                )
                return redirect("activities:import_map", request.organization.slug, run.public_id)
            given = _given(request, run)
            if request.POST.get("action") == "refresh":
                run.options |= given
            else:
                run = imports.set_mapping(request.actor, run, given)
                imports.begin_check(request.actor, run)
                return redirect_to(request, _url(request, "import_check", run))
        except InvalidInput as error:
            errors = error.fields or {"file": error.message}
            run.options |= _given(request, run)
    return render_page(request, "imports/map.html", _map_context(request, run, errors), status=422 if errors else 200)


def _given(request: HttpRequest, run: ImportRun) -> dict[str, Any]:
    posted = request.POST
    headers = run.options["headers"]
    words = [word.strip() for word in posted.get("empty_words", "").split(",") if word.strip()]
    return {
        "mapping": {header: posted.get(f"target_{number}", "") for number, header in enumerate(headers)},
        "type_id": posted.get("type_id", ""),
        "create_leads": posted.get("create_leads") == "on",
        "add_options": posted.get("add_options") == "on",
        "empty_words": words[:20],
        "day_first": {"day": True, "month": False}.get(posted.get("dates", "")),
        "on_existing": posted.get("on_existing", "skip")
        if posted.get("on_existing") in ("skip", "update", "create")
        else "skip",
    }


def _map_context(request: HttpRequest, run: ImportRun, errors: dict[str, str]) -> dict[str, Any]:
    actor = request.actor
    resource = imports.resource_of(actor, run)
    may_customize = bool(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    names = resource.field_names()
    fields = [
        (target, label.removeprefix("custom."))
        for label, target in names.items()
        if label != target or not label.startswith("custom.cf_")
    ]
    groups = [
        TargetGroup("Columns", [(name, name) for name in resource.columns]),
        TargetGroup("Fields", fields),
    ]
    if may_customize:
        groups.append(
            TargetGroup(
                "Make a field", [(f"new.{kind}", f"New field: {KINDS[kind].label}") for kind in imports.NEW_KINDS]
            )
        )
    columns = []
    for number, column in enumerate(run.options["columns"]):
        header = column["header"]
        columns.append(
            ColumnRow(
                number, header, column["samples"], run.options["mapping"].get(header, ""), KINDS[column["kind"]].label,
                f"new.{column['kind']}", resource.hint_for(header)[1], errors.get(header, ""),
            )
        )  # fmt: skip
    headers = set(run.options["headers"])
    return {
        "section": SECTION,
        "run": run,
        "columns": columns,
        "groups": groups,
        "types": [kind for kind in visible_types(actor) if not kind.system],
        "encodings": ENCODINGS.items(),
        "delimiters": DELIMITERS.items(),
        "options": run.options,
        "empty_words": ", ".join(run.options.get("empty_words", [])),
        "may_customize": may_customize,
        "errors": {key: text for key, text in errors.items() if key not in headers},
    }


# --- check, run, result -----------------------------------------------------------------------------------------------
@member_page(Perm.BULK_IMPORT)
@require_GET
def import_check(request: HttpRequest, run_id: str) -> HttpResponse:
    run = imports.run_for(request.actor, run_id)
    if run.state not in (ImportRun.State.CHECKING, ImportRun.State.CHECKED, ImportRun.State.FAILED):
        return redirect_to(request, _url(request, "import_run", run))
    return render_page(request, "imports/check.html", _run_context(request, run), "imports/_run_part.html")


@member_page(Perm.BULK_IMPORT)
@require_http_methods(["GET", "POST"])
def import_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """The run's progress and result; a POST starts, pauses, resumes or cancels it."""
    run = imports.run_for(request.actor, run_id)
    if request.method == "POST":
        actions = {
            "start": imports.begin_run, "resume": imports.begin_run, "pause": imports.pause_run,
            "cancel": imports.cancel_run, "check": imports.begin_check,
        }  # fmt: skip
        action = actions.get(request.POST.get("action", ""))
        if action is None:
            raise InvalidInput("Choose what to do: start, pause, resume or cancel.")
        action(request.actor, run)
        name = "import_check" if request.POST.get("action") == "check" else "import_run"
        return redirect_to(request, _url(request, name, run))
    if run.state in (ImportRun.State.UPLOADED, ImportRun.State.CHECKING, ImportRun.State.CHECKED):
        name = "import_map" if run.state == ImportRun.State.UPLOADED else "import_check"
        return redirect_to(request, _url(request, name, run))
    return render_page(request, "imports/run.html", _run_context(request, run), "imports/_run_part.html")


def _run_context(request: HttpRequest, run: ImportRun) -> dict[str, Any]:
    wanted = request.GET.get("rows", "")
    wanted = wanted if wanted in ("create", "update", "skip", "error", "kept", "undone") else ""
    text = request.GET.get("from", "0")
    offset = int(text) if text.isdecimal() and len(text) < 8 else 0
    rows = imports.verdicts_of(run, wanted, offset, PAGE + 1)
    checking = run.state == ImportRun.State.CHECKING
    counts = run.counts
    return {
        "section": SECTION,
        "run": run,
        "busy": run.state in (ImportRun.State.CHECKING, ImportRun.State.RUNNING),
        "checking": checking,
        "poll_url": _url(request, "import_check" if checking or run.state == "checked" else "import_run", run),
        "counts": [(key, label, counts.get(key, 0)) for key, label in _LABELS],
        "rows": [_row(row) for row in rows[:PAGE]],
        "shown": wanted,
        "next_offset": offset + PAGE if len(rows) > PAGE else 0,
        "failed": counts.get("error", 0),
        "can_undo": imports.can_undo(run),
        "writes": counts.get("create", 0) + counts.get("update", 0),
    }


_LABELS = (("create", "New"), ("update", "Changed"), ("skip", "Skipped"), ("error", "Failed"))
_WORDS = dict(_LABELS) | {"kept": "Kept", "undone": "Undone"}


def _row(row: ImportRow) -> dict[str, Any]:
    changes = (row.before or {}).get("changes") or []
    return {
        "number": row.number,
        "verdict": row.verdict,
        "word": _WORDS[row.verdict],
        "error": row.error,
        "changes": changes,
    }


@member_page(Perm.BULK_IMPORT)
@require_GET
def import_failed(request: HttpRequest, run_id: str) -> HttpResponse:
    run = imports.run_for(request.actor, run_id)
    return _download(imports.failed_rows(run), f"failed-{run.file_name.rsplit('.', 1)[0][:80]}.csv")


@member_page(Perm.BULK_IMPORT)
@require_POST
def import_undo(request: HttpRequest, run_id: str) -> HttpResponse:
    run = imports.run_for(request.actor, run_id)
    imports.begin_undo(request.actor, run)
    response = redirect_to(request, _url(request, "import_run", run))
    return toast(response, "The import is being undone.", "info")


# --- export -----------------------------------------------------------------------------------------------------------
@member_page(Perm.EXPORT)
@require_GET
def export_type(request: HttpRequest, type_id: str) -> HttpResponse:
    kind = type_for(request.actor, type_id)
    _note_export(request, kind.name)
    return _download(exports.export_activities(request.actor, kind), exports.file_name_of(kind))


@member_page(Perm.EXPORT)
@require_GET
def export_leads(request: HttpRequest) -> HttpResponse:
    _note_export(request, "leads")
    return _download(exports.export_leads(request.actor), "leads.csv")


@member_page(Perm.EXPORT)
@require_GET
def export_all(request: HttpRequest) -> HttpResponse:
    _note_export(request, "everything")
    response = StreamingHttpResponse(exports.export_everything(request.actor), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{request.organization.slug}.zip"'
    return response


@member_page(Perm.BULK_IMPORT)
@require_GET
def import_template(request: HttpRequest, type_id: str) -> HttpResponse:
    kind = type_for(request.actor, type_id)
    return _download([exports.template_of(request.actor, kind)], f"template-{exports.file_name_of(kind)}")


def _note_export(request: HttpRequest, what: str) -> None:
    events.record(request.actor, "created", "export", 0, after={"what": what})


def _download(lines: Any, name: str) -> StreamingHttpResponse:
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_. ") else "-" for char in name)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{safe}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _url(request: HttpRequest, name: str, run: ImportRun) -> str:
    return reverse(f"activities:{name}", args=[request.organization.slug, run.public_id])
