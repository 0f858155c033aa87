"""Writing tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm import events, ids
from crm.errors import InvalidInput
from crm.models import Membership, User
from crm.permissions import Perm, authorize, has
from leads.models import Lead, Task


def create_task(
    actor: Membership, lead: Lead, text: str, *, due_date: date | None = None, assigned_to: User | None = None
) -> Task:
    """Add a task to a lead; without an assignee it is the actor's."""
    text = " ".join(text.replace("\x00", "").split())
    if not text or len(text) > 1000:
        raise InvalidInput(fields={"text": "A task needs a text of at most 1,000 characters."})
    with transaction.atomic():
        task = Task.objects.create(
            organization=actor.organization, lead=lead, text=text, due_date=due_date,
            assigned_to=assigned_to or actor.user, created_by=actor.user,
        )  # fmt: skip
        events.record(actor, "created", "task.lead", task.pk, lead_id=lead.pk, after=task_state(task))
    return task


def update_task(actor: Membership, task: Task, changes: Mapping[str, Any]) -> Task:
    """Change a task's text, due_date, assigned_to or done (bool)."""
    _authorize_task(actor, task)
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=task.pk)
        before = task_state(task)
        for key in ("text", "due_date", "assigned_to"):
            if key in changes:
                setattr(task, key, changes[key])
        if "done" in changes:
            task.done_at = (task.done_at or timezone.now()) if changes["done"] else None
        after = task_state(task)
        if changed := events.diff(before, after):
            task.date_updated = timezone.now()
            task.save(update_fields=["text", "due_date", "assigned_to", "done_at", "date_updated"])
            action = "completed" if "is_complete" in changed and after["is_complete"] else "updated"
            events.record(
                actor, action, "task.lead", task.pk, lead_id=task.lead_id, changed=changed,
                before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            )  # fmt: skip
    return task


def delete_task(actor: Membership, task: Task) -> None:
    """Delete a task: own ones, or others' with *manage others' tasks*."""
    _authorize_task(actor, task)
    with transaction.atomic():
        events.record(actor, "deleted", "task.lead", task.pk, lead_id=task.lead_id, before=task_state(task))
        task.delete()


def _authorize_task(actor: Membership, task: Task) -> None:
    if actor.user_id not in (task.assigned_to_id, task.created_by_id):
        authorize(has(actor, Perm.MANAGE_OTHERS_TASKS))


def task_state(task: Task) -> dict[str, Any]:
    """Return what the event log keeps of a task."""
    return {
        "text": task.text,
        "date": task.due_date.isoformat() if task.due_date else None,
        "assigned_to": ids.encode("user", task.assigned_to_id) if task.assigned_to_id else None,
        "is_complete": task.done_at is not None,
    }
