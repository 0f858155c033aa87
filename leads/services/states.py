"""What the event log keeps of rows that go: with where they came from, so that a log entry alone tells all of them."""

from __future__ import annotations

from typing import Any

from crm import ids
from leads.models import Contact, Lead, Task


def origin(row: Lead | Contact | Task) -> dict[str, Any]:
    """Return who made a row and when, and the source of a lead. JSON-able."""
    found: dict[str, Any] = {"created_by_id": row.created_by_id, "date_created": row.date_created.isoformat()}
    if isinstance(row, Lead):
        found["source"] = row.source
    return found


def task_state(task: Task) -> dict[str, Any]:
    """Return what the event log keeps of a task."""
    return {
        "text": task.text,
        "date": task.due_date.isoformat() if task.due_date else None,
        "assigned_to": ids.encode("user", task.assigned_to_id) if task.assigned_to_id else None,
        "is_complete": task.done_at is not None,
    }
