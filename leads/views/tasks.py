"""Tasks: on the lead's page, and everybody's own list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.models import Membership
from crm.permissions import Perm, has
from leads import queries, services
from leads.forms import TaskForm, show_errors
from leads.models import Lead, Task

PAGE = 50
DONE_SHOWN = 20
TAB_LABELS = {"overdue": "Overdue", "today": "Today", "upcoming": "Upcoming", "done": "Done"}


@dataclass(frozen=True)
class TaskRow:
    """A task as a page shows it. `shows_lead`: on lists of several leads."""

    task: Task
    can_edit: bool
    can_delete: bool
    overdue: bool
    due_today: bool
    shows_lead: bool = False


def row_of(actor: Membership, task: Task, *, shows_lead: bool = False) -> TaskRow:
    today, due = timezone.localdate(), task.due_date
    late = due is not None and due < today and task.done_at is None
    return TaskRow(
        task, bool(services.can_edit_task(actor, task)), bool(services.can_delete_task(actor, task)), late, due == today, shows_lead
    )  # fmt: skip


def tasks_context(actor: Membership, lead: Lead, form: TaskForm | None = None) -> dict[str, Any]:
    """Return what the panel *Tasks* of a lead shows: open ones by day, the last done ones folded."""
    order = (F("due_date").asc(nulls_last=True), "pk")
    rows = list(Task.objects.filter(lead=lead).select_related("assigned_to").order_by("-done_at", *order))
    open_rows, done = [row for row in rows if row.done_at is None], [row for row in rows if row.done_at]
    for row in rows:
        row.lead = lead
    return {
        "lead": lead,
        "open_tasks": [row_of(actor, row) for row in open_rows],
        "done_tasks": [row_of(actor, row) for row in done[:DONE_SHOWN]],
        "done_count": len(done),
        "task_form": form or TaskForm(queries.assignees(), initial={"assigned_to": actor.user.public_id}),
    }


@member_page()
@require_GET
def my_tasks(request: HttpRequest) -> HttpResponse:
    """One's own tasks by tab; of another member with *manage others' tasks*."""
    actor, today = request.actor, timezone.localdate()
    may_choose = bool(has(actor, Perm.MANAGE_OTHERS_TASKS))
    people = queries.assignees() if may_choose else []
    chosen = {user.public_id: user for user in people}.get(request.GET.get("member", ""), actor.user)
    counts = queries.task_counts(actor, chosen.pk, today)
    tab = request.GET.get("tab", "")
    if tab not in queries.TABS:
        tab = "overdue" if counts["overdue"] else "today"
    member = {"member": chosen.public_id} if chosen.pk != actor.user_id else {}
    found = queries.seen_tasks(actor, queries.tasks_of(chosen.pk, tab, today))
    paginator = Paginator(found, PAGE)
    paginator.count = counts[tab]
    page = paginator.get_page(request.GET.get("page"))
    here = reverse("leads:my_tasks", args=[actor.organization.slug])
    link = lambda **more: f"{here}?{urlencode({**member, **more})}"  # noqa: E731
    context = {
        "rows": [row_of(actor, task, shows_lead=True) for task in page],
        "tab": tab,
        "tabs": [(key, TAB_LABELS[key], counts[key], link(tab=key)) for key in queries.TABS],
        "page": page,
        "previous_url": link(tab=tab, page=page.previous_page_number()) if page.has_previous() else "",
        "next_url": link(tab=tab, page=page.next_page_number()) if page.has_next() else "",
        "people": people,
        "chosen": chosen,
        "is_mine": chosen.pk == actor.user_id,
    }
    return render(request, "leads/tasks.html", context)


@member_page()
@require_http_methods(["GET", "POST"])
def lead_tasks(request: HttpRequest, lead_id: str) -> HttpResponse:
    """GET: the panel. POST: add a task, then the panel."""
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    if request.method == "GET":
        return render(request, "leads/_lead_tasks.html", tasks_context(actor, lead))
    form = TaskForm(queries.assignees(), request.POST)
    if form.is_valid():
        try:
            given = form.changes()
            services.create_task(actor, lead, given.pop("text"), **given)
        except InvalidInput as error:
            show_errors(form, error)
        else:
            if not request.htmx:
                return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
            return render(request, "leads/_lead_tasks.html", tasks_context(actor, lead) | {"focus": "new"})
    context = tasks_context(actor, lead, form)
    return render_page(request, "leads/lead_tasks.html", context, "leads/_lead_tasks.html", status=422)


@member_page()
@require_http_methods(["GET", "POST"])
def task_edit(request: HttpRequest, task_id: str) -> HttpResponse:
    """The form of a task, then its row. `show`: the row again, after Cancel."""
    actor = request.actor
    task = queries.task_for(actor, task_id)
    if request.method == "GET" and "show" in request.GET:
        return _row(request, task, focus="edit")
    posted = request.POST if request.method == "POST" else None
    initial = {
        "text": task.text,
        "due_date": task.due_date,
        "assigned_to": task.assigned_to.public_id if task.assigned_to else "",
    }
    people = queries.assignees()
    if task.assigned_to and task.assigned_to not in people:
        people.append(task.assigned_to)
    form = TaskForm(people, posted, initial=initial, auto_id=f"{task.public_id}-%s")
    if posted is not None and form.is_valid():
        try:
            task = services.update_task(actor, task, form.changes())
        except InvalidInput as error:
            show_errors(form, error)
        else:
            return _row(request, task, focus="edit")
    context = {"task": task, "form": form, "shows_lead": _of_many(request)}
    status = 200 if posted is None else 422
    return render_page(request, "leads/task.html", context, "leads/_task_form.html", status=status)


@member_page()
@require_POST
def task_done(request: HttpRequest, task_id: str) -> HttpResponse:
    """Tick a task off, or take that back (`undone`)."""
    task = queries.task_for(request.actor, task_id)
    task = services.update_task(request.actor, task, {"done": "undone" not in request.POST})
    return _row(request, task, focus="done")


@member_page()
@require_POST
def task_delete(request: HttpRequest, task_id: str) -> HttpResponse:
    task = queries.task_for(request.actor, task_id)
    lead = task.lead
    event = services.delete_task(request.actor, task)
    if not request.htmx:
        return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead.public_id]))
    undo = reverse("leads:task_restore", args=[request.organization.slug, event.public_id])
    return toast(HttpResponse(""), f"“{task.text[:60]}” is deleted.", undo_url=undo)


@member_page()
@require_POST
def task_restore(request: HttpRequest, event_id: str) -> HttpResponse:
    event = queries.deletion_for(request.actor, event_id, "task.lead")
    services.restore_task(request.actor, event)
    return toast(trigger(HttpResponse(status=204), "tasks-changed"), "The task is back.")


def _of_many(request: HttpRequest) -> bool:
    """Was the row asked for by a list of several leads? Only its words depend on it."""
    return "list" in request.GET


def _row(request: HttpRequest, task: Task, focus: str) -> HttpResponse:
    if not request.htmx:
        return redirect_to(request, reverse("leads:page", args=[request.organization.slug, task.lead.public_id]))
    row = row_of(request.actor, task, shows_lead=_of_many(request))
    return render(request, "leads/_task_row.html", {"row": row, "focus": focus})
