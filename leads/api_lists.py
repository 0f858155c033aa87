"""REST doors to lead statuses and tasks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from crm.api import (
    Body,
    between,
    day,
    empty_list,
    flag,
    listed,
    listing,
    member_user,
    numbers,
    shows,
    user_numbers,
)  # fmt: skip
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
    query={"lead_id": "of these leads", "is_complete": "true or false", "assigned_to": "of these members or groups"}))  # fmt: skip
def list_tasks(request: HttpRequest) -> Any:
    rows = Task.objects.select_related("lead")
    if (visible := visible_lead_filter(request.actor, "lead_id")) is not None:
        rows = rows.filter(visible)
    if (kinds := listed(request, "_type")) is not None and not {"lead", "all"} & set(kinds):
        return empty_list()
    if (leads := listed(request, "lead_id")) is not None:
        rows = rows.filter(lead_id__in=numbers("lead", leads))
    if (people := listed(request, "assigned_to")) is not None:
        rows = rows.filter(assigned_to_id__in=user_numbers(people))
    if (done := flag(request, "is_complete")) is not None:
        rows = rows.filter(done_at__isnull=not done)
    rows = between(request, rows, "date_created", "date_updated")
    order = {"date": "due_date", "-date": "-due_date"}.get(request.GET.get("_order_by", ""), "")
    order = order or (
        name
        if (name := request.GET.get("_order_by", "")).lstrip("-") in ("date_created", "date_updated")
        else "-date_created"
    )
    return listing(
        request, rows.order_by(order, "-pk"), lambda page: [task_json(request, row) for row in page], maximum=1000
    )


@router.post(
    "/task/",
    summary="Add a task",
    openapi_extra=shows({"id": "task_…"}, sends={"lead_id": "lead_9f…", "text": "Call back", "date": "2026-12-01"}),
)
def create_task(request: HttpRequest, body: TaskBody) -> Any:
    lead, given = lead_given(request, body.lead_id), body.given()
    task = services.create_task(
        request.actor, lead, body.text or "", due_date=day(given.get("date") or given.get("due_date"), "date"),
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
    task, given, changes = task_for(request.actor, task_id), body.given(), {}
    if "text" in given:
        changes["text"] = given["text"] or ""
    if "date" in given or "due_date" in given:
        changes["due_date"] = day(given.get("date") or given.get("due_date"), "date")
    if "assigned_to" in given:
        changes["assigned_to"] = member_user(request, given["assigned_to"], "assigned_to")
    if given.get("is_complete") is not None:
        changes["done"] = given["is_complete"]
    services.update_task(request.actor, task, changes)
    return get_task(request, task_id)


@router.delete("/task/{task_id}/", summary="Delete a task", openapi_extra=shows({}))
def delete_task(request: HttpRequest, task_id: str) -> Any:
    services.delete_task(request.actor, task_for(request.actor, task_id))
    return {}
