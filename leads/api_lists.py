"""REST doors to lead statuses and tasks."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from crm.api import (
    MAX_PAGE,
    Body,
    between,
    day,
    flag,
    listed,
    listing,
    member_user,
    numbers,
    shows,
    user_numbers,
)  # fmt: skip
from crm.errors import InvalidInput
from crm.permissions import visible_lead_filter
from leads import services
from leads.api import lead_given
from leads.api_objects import status_json, status_rows, task_json
from leads.models import Task
from leads.queries import (
    status_for,
    task_for,
)  # fmt: skip

router = Router(tags=["Statuses, tasks"])


# --- statuses ---------------------------------------------------------------------------------------------------------
class StatusBody(Body):
    label: str | None = None
    color: str | None = None


@router.get(
    "/status/lead/",
    summary="List lead statuses",
    openapi_extra=shows({"data": [{"id": "stat_…", "label": "Potential"}], "has_more": False}),
)
def list_statuses(request: HttpRequest) -> Any:
    return listing(request, status_rows(request), lambda rows: [status_json(request, row) for row in rows])


@router.post(
    "/status/lead/",
    summary="Add a lead status",
    openapi_extra=shows({"id": "stat_…", "label": "Paused"}, sends={"label": "Paused"}),
)
def create_status(request: HttpRequest, body: StatusBody) -> Any:
    return status_json(request, services.create_status(request.actor, body.label or "", body.color or ""))


@router.get("/status/lead/{status_id}/", summary="One lead status")
def get_status(request: HttpRequest, status_id: str) -> Any:
    return status_json(request, status_for(request.actor, status_id))


@router.put("/status/lead/{status_id}/", summary="Rename a lead status")
def update_status(request: HttpRequest, status_id: str, body: StatusBody) -> Any:
    status = status_for(request.actor, status_id)
    return status_json(request, services.update_status(request.actor, status, body.label or status.label, body.color))


@router.delete("/status/lead/{status_id}/", summary="Delete a lead status that no lead has", openapi_extra=shows({}))
def delete_status(request: HttpRequest, status_id: str) -> Any:
    services.delete_status(request.actor, status_for(request.actor, status_id))
    return {}


# What makes a change of several tasks a change of some, not of all.
_SELECTS = (
    "id", "id__in", "lead_id", "lead_id__in", "assigned_to", "assigned_to__in", "is_complete", "view",
    *(f"{name}__{end}" for name in ("date", "due_date", "date_created", "date_updated") for end in ("gt", "gte", "lt", "lte")),
)  # fmt: skip


# --- tasks ------------------------------------------------------------------------------------------------------------
class TaskBody(Body):
    lead_id: str | None = None
    text: str | None = None
    date: str | None = None
    due_date: str | None = None
    assigned_to: str | None = None
    is_complete: bool | None = None


@router.get("/task/", summary="List tasks", openapi_extra=shows(
    {"data": [{"id": "task_…", "text": "Call back", "is_complete": False}], "has_more": False},
    query={"lead_id": "of these leads", "is_complete": "true or false", "assigned_to": "of these members or groups",
           "id__in": "these tasks", "date__lte": "the day it is due, also gt, gte, lt",
           "_order_by": "date, date_created or date_updated, with - for descending; another name leaves the order as it is",
           "view": "inbox (open, due by the end of today or without a day), future (open, due later) or archive (done)"}))  # fmt: skip
def list_tasks(request: HttpRequest) -> Any:
    return listing(
        request, _asked(request).order_by(_order(request), "-pk"), lambda page: [task_json(request, row) for row in page],
        maximum=1000,
    )  # fmt: skip


def _asked(request: HttpRequest) -> QuerySet[Task]:
    """Return the tasks the query string selects."""
    rows = Task.objects.select_related("lead")
    if (visible := visible_lead_filter(request.actor, "lead_id")) is not None:
        rows = rows.filter(visible)
    if (kinds := listed(request, "_type")) is not None and not {"lead", "all"} & set(kinds):
        rows = rows.none()
    if (tasks := listed(request, "id")) is not None:
        rows = rows.filter(pk__in=numbers("task", tasks))
    if (leads := listed(request, "lead_id")) is not None:
        rows = rows.filter(lead_id__in=numbers("lead", leads))
    if (people := listed(request, "assigned_to")) is not None:
        rows = rows.filter(assigned_to_id__in=user_numbers(people))
    if (done := flag(request, "is_complete")) is not None:
        rows = rows.filter(done_at__isnull=not done)
    return _due(request, between(request, rows, "date_created", "date_updated"))


def _due(request: HttpRequest, rows: QuerySet[Task]) -> QuerySet[Task]:
    """Apply what the query string says of the day a task is due: `date__…`, older clients' `due_date__…`, and `view`."""
    for end in ("gt", "gte", "lt", "lte"):
        for name in (f"date__{end}", f"due_date__{end}"):
            if due := day(request.GET.get(name), name):
                rows = rows.filter(**{f"due_date__{end}": due})
    view = request.GET.get("view")
    today = timezone.now().astimezone(request.zone).date()
    if view == "inbox":
        rows = rows.filter(Q(due_date__lte=today) | Q(due_date=None), done_at=None)
    elif view == "future":
        rows = rows.filter(due_date__gt=today, done_at=None)
    elif view == "archive":
        rows = rows.exclude(done_at=None)
    elif view:
        raise InvalidInput(fields={"view": f"“{view[:40]}” is not a view. Use one of: inbox, future, archive."})
    return rows


def _order(request: HttpRequest) -> OrderBy:
    """Return the order asked for; tasks without a day come last."""
    asked = request.GET.get("_order_by", "")
    column = {"date": "due_date", "date_created": "date_created", "date_updated": "date_updated"}.get(asked.lstrip("-"))
    if column is None:
        return F("date_created").desc()
    return F(column).desc(nulls_last=True) if asked.startswith("-") else F(column).asc(nulls_last=True)


@router.post(
    "/task/",
    summary="Add a task",
    openapi_extra=shows({"id": "task_…"}, sends={"lead_id": "lead_9f…", "text": "Call back", "date": "2026-12-01"}),
)
def create_task(request: HttpRequest, body: TaskBody) -> Any:
    lead, given = lead_given(request, body.lead_id), body.given()
    # The other sort of task that Close's clients may make has no text of its own.
    text = body.text or ("Call" if given.get("_type") == "outgoing_call" else "")
    task = services.create_task(
        request.actor, lead, text, due_date=day(given.get("date") or given.get("due_date"), "date"),
        assigned_to=member_user(request, body.assigned_to, "assigned_to"),
    )  # fmt: skip
    if body.is_complete:
        task = services.update_task(request.actor, task, {"done": True})
    return get_task(request, task.public_id)


@router.get("/task/{task_id}/", summary="One task")
def get_task(request: HttpRequest, task_id: str) -> Any:
    return task_json(request, task_for(request.actor, task_id))


@router.put(
    "/task/{task_id}/",
    summary="Change or complete a task",
    openapi_extra=shows({"id": "task_…"}, sends={"is_complete": True}),
)
def update_task(request: HttpRequest, task_id: str, body: TaskBody) -> Any:
    services.update_task(request.actor, task_for(request.actor, task_id), _changes(request, body))
    return get_task(request, task_id)


@router.put(
    "/task/",
    summary="Change several tasks at once",
    openapi_extra=shows({"data": [{"id": "task_…", "is_complete": True}], "has_more": False}, sends={"is_complete": True},
                        query={"id__in": "the tasks, comma-joined; or filters as for the list"}),
)  # fmt: skip
def update_tasks(request: HttpRequest, body: TaskBody) -> Any:
    """At most 100. All that the filters select change or, when one is refused, none."""
    if not any(request.GET.get(name, "").strip() for name in _SELECTS):
        raise InvalidInput(fields={"id__in": "Name the tasks in the address: ?id__in=task_…,task_… or other filters."})
    if body.text is not None:
        raise InvalidInput(
            fields={"text": "Several tasks at once get another day or assignee, or are completed; no text."}
        )
    changes = _changes(request, body)
    with transaction.atomic():
        tasks = list(_asked(request).order_by("pk")[: MAX_PAGE + 1])
        if len(tasks) > MAX_PAGE:
            raise InvalidInput(f"The filters select more than {MAX_PAGE} tasks. Narrow them, or name tasks by id__in.")
        changed = [services.update_task(request.actor, task, changes) for task in tasks]
    return {"data": [task_json(request, task) for task in changed], "has_more": False}


def _changes(request: HttpRequest, body: TaskBody) -> dict[str, Any]:
    """Return what a body changes, in the services' words."""
    given, changes = body.given(), {}
    if "text" in given:
        changes["text"] = given["text"] or ""
    if "date" in given or "due_date" in given:
        changes["due_date"] = day(given.get("date") or given.get("due_date"), "date")
    if "assigned_to" in given:
        changes["assigned_to"] = member_user(request, given["assigned_to"], "assigned_to")
    if given.get("is_complete") is not None:
        changes["done"] = given["is_complete"]
    return changes


@router.delete("/task/{task_id}/", summary="Delete a task", openapi_extra=shows({}))
def delete_task(request: HttpRequest, task_id: str) -> Any:
    services.delete_task(request.actor, task_for(request.actor, task_id))
    return {}
