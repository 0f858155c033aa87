"""Writing tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm import events
from crm.errors import Conflict, InvalidInput, NotFound
from crm.models import Event, Membership, User
from crm.notifications import notify
from crm.permissions import Decision, Perm, authorize, has, yes
from leads.models import Lead, Task
from leads.queries import visible_leads
from leads.services.leads import observer
from leads.services.states import origin, task_state


def create_task(
    actor: Membership, lead: Lead, text: str, *, due_date: date | None = None, assigned_to: User | None = None
) -> Task:
    """Add a task to a lead; without an assignee it is the actor's. The assignee is told."""
    with transaction.atomic():
        task = Task.objects.create(
            organization=actor.organization, lead=lead, text=_clean_text(text), due_date=due_date,
            assigned_to=_clean_assignee(assigned_to) or actor.user, created_by=actor.user,
        )  # fmt: skip
        events.record(actor, "created", "task.lead", task.pk, lead_id=lead.pk, after=task_state(task))
        _tell_assignee(actor, task)
    return task


def update_task(actor: Membership, task: Task, changes: Mapping[str, Any]) -> Task:
    """Change a task's text, due_date, assigned_to or done (bool). A new assignee is told."""
    with transaction.atomic():
        task = _locked(task)
        authorize(can_edit_task(actor, task))
        before = task_state(task)
        if "text" in changes:
            task.text = _clean_text(changes["text"])
        if "due_date" in changes:
            task.due_date = changes["due_date"]
        if "assigned_to" in changes and changes["assigned_to"] != task.assigned_to:
            task.assigned_to = _clean_assignee(changes["assigned_to"])
        if "done" in changes:
            task.done_at = (task.done_at or timezone.now()) if changes["done"] else None
        after = task_state(task)
        if changed := events.diff(before, after):
            task.date_updated = timezone.now()
            task.save(update_fields=["text", "due_date", "assigned_to", "done_at", "date_updated"])
            turned = "is_complete" in changed
            action = "completed" if turned and after["is_complete"] else "updated"
            events.record(
                actor, action, "task.lead", task.pk, lead_id=task.lead_id, changed=changed,
                before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            )  # fmt: skip
            if turned and task.done_at:
                observer().task_completed(actor, task)
            elif turned:
                observer().task_reopened(actor, task)
            if "assigned_to" in changed:
                _tell_assignee(actor, task)
    return task


def delete_task(actor: Membership, task: Task) -> Event:
    """Delete a task: own ones with *delete own tasks*, others' with *manage others' tasks*. The event brings it back."""
    with transaction.atomic():
        task = _locked(task)
        authorize(can_delete_task(actor, task))
        meta = {
            "created_by_id": task.created_by_id, "assigned_to_id": task.assigned_to_id,
            "date_created": task.date_created.isoformat(), "done_at": task.done_at.isoformat() if task.done_at else None,
        }  # fmt: skip
        event = events.record(
            actor, "deleted", "task.lead", task.pk, lead_id=task.lead_id, before=task_state(task) | origin(task),
            meta=meta,
        )  # fmt: skip
        task.delete()
    return event


def restore_task(actor: Membership, event: Event) -> Task:
    """Bring a deleted task back with its id (undo). Raises `NotFound` or `Conflict`."""
    state, meta = event.before or {}, event.meta
    if (event.action, event.object_type) != ("deleted", "task.lead") or "created_by_id" not in meta:
        raise NotFound("There is nothing to bring back.")
    with transaction.atomic():
        lead = visible_leads(actor).filter(pk=event.lead_id).first()
        if lead is None:
            raise NotFound("The lead of this task is gone, so it cannot come back.")
        if Task.objects.filter(pk=event.object_id).exists():
            raise Conflict("This task is back already.")
        moments = {key: datetime.fromisoformat(meta[key]) if meta[key] else None for key in ("date_created", "done_at")}
        task = Task(
            pk=event.object_id, organization=actor.organization, lead=lead, text=state["text"],
            due_date=date.fromisoformat(state["date"]) if state["date"] else None,
            created_by_id=meta["created_by_id"], assigned_to_id=meta["assigned_to_id"], **moments,
        )  # fmt: skip
        authorize(can_delete_task(actor, task))
        task.save(force_insert=True)
        events.record(
            actor, "created", "task.lead", task.pk, lead_id=lead.pk, after=task_state(task),
            meta={"restored_from": event.public_id},
        )  # fmt: skip
    return task


def can_edit_task(actor: Membership, task: Task) -> Decision:
    """May the actor change the task? Their own: yes; others': with *manage others' tasks*."""
    if actor.user_id in (task.assigned_to_id, task.created_by_id):
        return yes("It is yours.")
    return has(actor, Perm.MANAGE_OTHERS_TASKS)


def can_delete_task(actor: Membership, task: Task) -> Decision:
    """May the actor delete the task?"""
    if actor.user_id in (task.assigned_to_id, task.created_by_id):
        return has(actor, Perm.DELETE_OWN_TASKS)
    return has(actor, Perm.MANAGE_OTHERS_TASKS)


def _tell_assignee(actor: Membership, task: Task) -> None:
    """Tell a member who sees the lead that somebody else gave them a task."""
    if task.assigned_to_id in (None, actor.user_id):
        return
    membership = Membership.objects.select_related("role").filter(user_id=task.assigned_to_id, removed_at=None).first()
    if membership is not None and visible_leads(membership).filter(pk=task.lead_id).exists():
        text = f"{actor.user.full_name} gave you a task on {task.lead.name}: {task.text}"
        notify([membership], "task", text, f"leads/{task.lead.public_id}/", actor.user)


def _locked(task: Task) -> Task:
    found = Task.objects.select_for_update().filter(pk=task.pk).first()
    if found is None:
        raise NotFound("There is no such task.")
    return found


def _clean_text(text: Any) -> str:
    clean = " ".join(str(text or "").replace("\x00", "").split())
    if not clean or len(clean) > 1000:
        raise InvalidInput(fields={"text": "A task needs a text of at most 1,000 characters."})
    return clean


def _clean_assignee(user: User | None) -> User | None:
    if user is not None and not Membership.objects.filter(user=user, removed_at=None).exists():
        raise InvalidInput(fields={"assigned_to": f"{user.full_name} is no member of this organization any more."})
    return user
