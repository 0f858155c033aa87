"""Settings > Import & export: choosing a file and matching its columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities import exports, imports
from activities.imports.mapping import ON_EXISTING
from activities.imports.upload import SHEET_ENDING
from activities.queries import type_catalog, visible_types
from crm.access import member_page
from crm.errors import Conflict, InvalidInput
from crm.fieldkinds import KINDS
from crm.htmx import redirect_to, render_page
from crm.imports.files import DELIMITERS, ENCODINGS, MAX_BYTES, MAX_COLUMNS, MAX_ROWS
from crm.imports.resource import SIMILAR, WORD
from crm.models import ImportRun
from crm.permissions import Perm, can_log, has

SECTION = "import_export"
STEPS = ("Upload", "Match columns", "Check", "Import")


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
        "targets": imports.TARGETS.items(),
        "target": request.POST.get("target", "activities"),
        "steps": steps(1),
        "error": error,
        "limits": {"megabytes": MAX_BYTES // 1_000_000, "rows": f"{MAX_ROWS:,}", "columns": MAX_COLUMNS},
    }
    return render_page(request, "imports/home.html", context, status=status)


def steps(here: int) -> list[dict[str, Any]]:
    """Return the steps of an import, with the one the page is at."""
    return [
        {"number": number, "name": name, "here": number == here, "done": number < here}
        for number, name in enumerate(STEPS, start=1)
    ]


def run_url(request: HttpRequest, name: str, run: ImportRun) -> str:
    return reverse(f"activities:{name}", args=[request.organization.slug, run.public_id])


@member_page(Perm.BULK_IMPORT)
@require_POST
def import_upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES.get("file")
    if file is None:
        return _home(request, "Choose a file first.", 422)
    try:
        run = imports.start_run(request.actor, request.POST.get("target", ""), file.name or "file.csv", file)
    except (Conflict, InvalidInput) as error:
        return _home(request, error.message, 409 if isinstance(error, Conflict) else 422)
    return redirect("activities:import_map", request.organization.slug, run.public_id)


# --- mapping ----------------------------------------------------------------------------------------------------------
@dataclass
class ColumnRow:
    """One column on the mapping page: what is in it, where it goes, and what to say about it. `similar`: target, label."""

    number: int
    header: str
    samples: list[str]
    target: str
    kind_label: str
    new_target: str
    similar: tuple[str, str] | None = None
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
    if run.started_at is not None:
        return redirect_to(request, run_url(request, "import_run", run))
    errors: dict[str, str] = {}
    if request.method == "POST":
        action = request.POST.get("action")
        try:
            if action == "reread":
                encoding, delimiter = request.POST.get("encoding", ""), request.POST.get("delimiter", "")
                run = imports.reread(request.actor, run, encoding, delimiter)
                return redirect_to(request, run_url(request, "import_map", run))
            given = _given(request, run)
            if action == "refresh":
                run.options |= given
                run.options["mapping"] = _with_new_guesses(request, run)
            else:
                run = imports.set_mapping(request.actor, run, given)
                imports.begin_check(request.actor, run)
                return redirect_to(request, run_url(request, "import_check", run))
        except InvalidInput as error:
            errors = error.fields or {"file": error.message}
            if action != "reread":
                run.options |= _given(request, run)
    return render_page(request, "imports/map.html", _map_context(request, run, errors), status=422 if errors else 200)


def _given(request: HttpRequest, run: ImportRun) -> dict[str, Any]:
    posted = request.POST
    headers = run.options["headers"]
    words = [word.strip() for word in posted.get("empty_words", "").split(",") if word.strip()]
    on_existing = posted.get("on_existing", "skip")
    return {
        "mapping": {header: posted.get(f"target_{number}", "") for number, header in enumerate(headers)},
        "type_id": posted.get("type_id", ""),
        "create_leads": posted.get("create_leads") == "on",
        "add_options": posted.get("add_options") == "on",
        "empty_words": words[:20],
        "day_first": {"day": True, "month": False}.get(posted.get("dates", "")),
        "decimal_comma": {"comma": True, "point": False}.get(posted.get("numbers", "")),
        "on_existing": on_existing if on_existing in ON_EXISTING else "skip",
    }


def _with_new_guesses(request: HttpRequest, run: ImportRun) -> dict[str, str]:
    """Return the mapping with guesses for columns that went nowhere: another type has other fields."""
    resource = imports.resource_of(request.actor, run)
    names = resource.field_names()
    allowed = {*resource.columns, *names.values()}
    kept = {
        header: target if target in allowed or target.startswith("new.") else names.get(target, "")
        for header, target in run.options["mapping"].items()
    }
    return resource.guesses_for(run.options["headers"], {header: target for header, target in kept.items() if target})


def _map_context(request: HttpRequest, run: ImportRun, errors: dict[str, str]) -> dict[str, Any]:
    actor = request.actor
    resource = imports.resource_of(actor, run)
    may_customize = bool(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    fields = [(target, label) for label, target in resource.writable_names().items()]
    groups = [TargetGroup("Columns", [(name, name) for name in resource.columns]), TargetGroup("Fields", fields)]
    if may_customize:
        made = [(f"new.{kind}", f"New field: {KINDS[kind].label}") for kind in imports.NEW_KINDS]
        groups.append(TargetGroup("Make a field", made))
    mapping = run.options["mapping"]
    taken = set(mapping.values())

    labels = {target: label for group in groups for target, label in group.targets}

    def row(number: int, column: dict[str, Any]) -> ColumnRow:
        header = column["header"]
        target = mapping.get(header, "")
        found = ColumnRow(
            number, header, column["samples"], target, KINDS[column["kind"]].label, f"new.{column['kind']}",
            error=errors.get(header, ""),
        )  # fmt: skip
        hint = resource.hint_for(header)
        if hint.rank == SIMILAR:  # told while the column is left out, where no other one goes there
            if not target and hint.target not in taken and hint.target in labels:
                found.similar, found.hint = (hint.target, labels[hint.target]), hint.words
        elif hint.target == target and not (hint.rank == WORD and run.options.get("remembered_from")):
            found.hint = hint.words
        return found

    columns = [row(number, column) for number, column in enumerate(run.options["columns"])]
    headers = set(run.options["headers"])
    return {
        "section": SECTION,
        "steps": steps(2),
        "run": run,
        "columns": columns,
        "left_out": sum(not column.target for column in columns),
        "groups": groups,
        "types": [kind for kind in visible_types(actor) if not kind.system],
        "on_existing": ON_EXISTING.items(),
        "encodings": ENCODINGS.items(),
        "delimiters": DELIMITERS.items(),
        "options": run.options,
        "empty_words": ", ".join(run.options.get("empty_words", [])),
        "may_customize": may_customize,
        "errors": {key: text for key, text in errors.items() if key not in headers},
        "wrong_columns": sum(key in headers for key in errors),
        # A workbook became a file of ours; there is nothing to choose about how it is read.
        "reads_text": not run.file_path.endswith(SHEET_ENDING),
    }
