"""Settings > Import & export: the check of a file, its run, the result, failed rows and undo."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities import imports
from activities.views_exports import download
from activities.views_imports import SECTION, run_url, steps
from crm import ids
from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page, toast
from crm.models import ImportRow, ImportRun
from crm.permissions import Perm

PAGE = 50
LABELS = (("create", "New"), ("update", "Changed"), ("skip", "Skipped"), ("error", "Failed"))
AFTER_UNDO = (("undone", "Undone"), ("kept", "Kept"), ("skip", "Skipped"), ("error", "Failed"))
WORDS = dict(LABELS) | dict(AFTER_UNDO)
COLORS = {"create": "green", "update": "blue", "error": "red", "kept": "yellow"}
PAGES = {"lead": "leads:page", "acti": "activities:permalink"}
State = ImportRun.State
_IDS = re.compile(r"(\b(?:lead|acti)_\w+)")


@member_page(Perm.BULK_IMPORT)
@require_GET
def import_check(request: HttpRequest, run_id: str) -> HttpResponse:
    run = imports.run_for(request.actor, run_id)
    if run.started_at is not None or run.state not in (State.CHECKING, State.CHECKED, State.FAILED):
        return redirect_to(request, run_url(request, "import_run", run))
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
        return redirect_to(request, run_url(request, name, run))
    if run.started_at is None and run.state != State.CANCELLED:
        name = "import_map" if run.state == State.UPLOADED else "import_check"
        return redirect_to(request, run_url(request, name, run))
    return render_page(request, "imports/run.html", _run_context(request, run), "imports/_run_part.html")


def _run_context(request: HttpRequest, run: ImportRun) -> dict[str, Any]:
    undone = run.state == State.UNDONE
    labels = AFTER_UNDO if undone else LABELS
    wanted = request.GET.get("rows", "")
    wanted = wanted if wanted in dict(labels) else ""
    text = request.GET.get("after", "0")
    undoing = "undo_by" in run.options
    busy = undoing or run.state in (State.CHECKING, State.RUNNING)
    after = int(text) if text.isdecimal() and len(text) < 8 else 0
    page = imports.Page([], None, None) if busy else imports.verdicts_of(run, wanted, after, PAGE)
    before_start = run.started_at is None
    base = run_url(request, "import_check" if before_start and run.state != State.CANCELLED else "import_run", run)
    return {
        "section": SECTION,
        "steps": steps(3 if before_start else 5 if run.state == State.DONE else 4),
        "run": run,
        "busy": busy,
        "checking": run.state == State.CHECKING,
        "undoing": imports.rows_to_undo(run) if undoing else 0,
        "can_undo": imports.can_undo(run),
        "can_resume": imports.can_resume(run),
        "before_start": before_start,
        "time_left": _time_left(run),
        "poll_url": base,
        "counts": _counts(run, labels, undone),
        "rows": _rows(request, page.rows),
        "shown": wanted,
        "previous_url": "" if page.previous is None else f"{base}?rows={wanted}&after={page.previous}",
        "next_url": "" if page.next is None else f"{base}?rows={wanted}&after={page.next}",
        "failed": run.counts.get("error", 0),
        "writes": run.counts.get("create", 0) + run.counts.get("update", 0),
    }


def _counts(run: ImportRun, labels: tuple[tuple[str, str], ...], undone: bool) -> list[tuple[str, str, int]]:
    counts = run.counts
    if undone:
        kept = ImportRow.objects.filter(run=run, verdict="kept").count()
        counts = counts | {"kept": kept, "undone": counts.get("create", 0) + counts.get("update", 0) - kept}
    return [(key, label, counts.get(key, 0)) for key, label in labels]


def _time_left(run: ImportRun) -> str:
    """Return how long a running import will take yet, once its speed is known."""
    if run.state != State.RUNNING or not run.started_at or run.rows_done < 1000:
        return ""
    passed = (timezone.now() - run.started_at).total_seconds()
    left = passed / run.rows_done * (run.rows_total - run.rows_done)
    return "less than a minute left" if left < 60 else f"about {round(left / 60)} min left"


def _rows(request: HttpRequest, rows: list[ImportRow]) -> list[dict[str, Any]]:
    """Return what to show of rows; those whose record is there name it and lead to it."""
    slug = request.organization.slug
    records = imports.records_of(request.actor, rows)
    found = []
    for row in rows:
        record = records.get((row.object_type, row.object_id), "")
        before = row.before or {}
        found.append({
            "number": row.number,
            "word": WORDS.get(row.verdict, row.verdict),
            "color": COLORS.get(row.verdict, "gray"),
            "told": _linked(slug, row.error),
            "label": "" if record else before.get("label", ""),
            "record": record,
            "url": _url(slug, imports.object_id_of(row)) if record else "",
            "changes": before.get("changes") or [],
        })  # fmt: skip
    return found


def _url(slug: str, public_id: str | None) -> str:
    """Return the page of a lead or an activity, an empty text for anything else."""
    prefix = (public_id or "").partition("_")[0]
    return reverse(PAGES[prefix], args=[slug, public_id]) if prefix in PAGES and ids.decode(prefix, public_id) else ""


def _linked(slug: str, reason: str) -> list[tuple[str, str]]:
    """Return a reason in parts, each with the page of the record whose id it is: a row may fit several leads."""
    return [(part, _url(slug, part)) for part in _IDS.split(reason) if part]


@member_page(Perm.BULK_IMPORT)
@require_GET
def import_failed(request: HttpRequest, run_id: str) -> StreamingHttpResponse:
    run = imports.run_for(request.actor, run_id)
    return download(imports.failed_rows(run), f"failed-{run.file_name.rsplit('.', 1)[0][:80]}.csv")


@member_page(Perm.BULK_IMPORT)
@require_POST
def import_undo(request: HttpRequest, run_id: str) -> HttpResponse:
    run = imports.run_for(request.actor, run_id)
    imports.begin_undo(request.actor, run)
    return toast(redirect_to(request, run_url(request, "import_run", run)), "The import is being undone.", "info")
