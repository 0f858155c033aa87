"""What can be subscribed to: object types and their actions, as Close names them, and ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from crm.errors import InvalidInput
from crm.webhooks.filters import check_filter

_CHANGES = ("created", "updated", "deleted")
# object type → (words on the page, actions)
SUBSCRIBABLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "activity.custom_activity": ("Custom activity", (*_CHANGES, "published")),
    "lead": ("Lead", (*_CHANGES, "merged")),
    "contact": ("Contact", _CHANGES),
    "task.lead": ("Task", (*_CHANGES, "completed")),
    "activity.note": ("Note", _CHANGES),
    "activity.call": ("Call", _CHANGES),
    "activity.email": ("Email", (*_CHANGES, "sent")),
    "activity.sms": ("SMS", (*_CHANGES, "sent")),
    "activity.meeting": ("Meeting", (*_CHANGES, "scheduled", "started", "completed", "canceled")),
    "activity.lead_status_change": ("Change of status", ("created", "deleted")),
    "activity.task_completed": ("Completion of a task", ("created", "deleted")),
    "custom_activity_type": ("Activity type", _CHANGES),
    "custom_fields.activity": ("Activity field", _CHANGES),
    "custom_fields.lead": ("Lead field", _CHANGES),
    "custom_fields.contact": ("Contact field", _CHANGES),
    "custom_fields.shared": ("Shared field", _CHANGES),
    "status.lead": ("Lead status", _CHANGES),
    "saved_search": ("Smart View", _CHANGES),
    "membership": ("Membership", ("updated", "activated", "deactivated")),
    "group": ("Team", _CHANGES),
    "comment": ("Comment", _CHANGES),
    "import": ("Import", ("created", "updated", "completed")),
    "export": ("Export", ("created",)),
    "bulk_action.edit": ("Bulk edit", ("created", "completed")),
    "bulk_action.delete": ("Bulk delete", ("created", "completed")),
}
# What happens at Close and not here: a subscription copied from there is accepted, and waits for ever.
NEVER_HERE = (
    "opportunity", "status.opportunity", "activity.email_thread", "activity.whatsapp_message", "activity.form_submission",
    "activity.opportunity_status_change", "activity.created", "activity.lead_merge", "custom_fields.opportunity",
    "custom_fields.custom_object", "custom_object_type", "custom_object",
    "phone_number", "email_template", "sms_template", "sequence", "sequence_subscription", "comment_thread", "lead_merge",
    "export.lead", "export.opportunity", "bulk_action.email", "bulk_action.sequence_subscription", "unsubscribed_email",
    "task.incoming_email", "task.email_followup", "task.missed_call", "task.answered_detached_call", "task.voicemail",
    "task.opportunity_due", "task.incoming_sms", "task.outgoing_call",
)  # fmt: skip
# Of what is subscribable, calls are never `answered` or `completed`: those that are logged here were made elsewhere.
ELSEWHERE_ACTIONS = (
    *_CHANGES, "answered", "completed", "sent", "scheduled", "started", "canceled", "merged", "activated", "deactivated",
    "paused", "reverting", "reverted",
)  # fmt: skip
MAX_EVENTS = 200


@dataclass(frozen=True)
class Choice:
    """One object type on the page, with its actions as `type/action` values."""

    label: str
    object_type: str
    actions: tuple[tuple[str, str], ...]


def choices() -> list[Choice]:
    """Return what the page offers, in order."""
    return [
        Choice(label, object_type, tuple((f"{object_type}/{action}", action) for action in actions))
        for object_type, (label, actions) in SUBSCRIBABLE.items()
    ]


def clean_events(given: Any) -> list[dict[str, Any]]:
    """Return subscribed events as stored; raises `InvalidInput` that names what is wrong with which."""
    if not isinstance(given, list) or not given:
        raise InvalidInput(fields={"events": "Name at least one event: {“object_type”: “lead”, “action”: “created”}."})
    if len(given) > MAX_EVENTS:
        raise InvalidInput(fields={"events": f"A subscription has at most {MAX_EVENTS} events."})
    return [_clean_event(number, row) for number, row in enumerate(given)]


def _clean_event(number: int, row: Any) -> dict[str, Any]:
    where = f"events.{number}"
    if not isinstance(row, dict):
        raise InvalidInput(fields={where: "An event is an object with object_type and action."})
    object_type, action = row.get("object_type"), row.get("action")
    if isinstance(object_type, str) and object_type in SUBSCRIBABLE:
        allowed: Iterable[str] = SUBSCRIBABLE[object_type][1]
        if action in ELSEWHERE_ACTIONS:
            allowed = ELSEWHERE_ACTIONS
    elif object_type in NEVER_HERE:
        allowed = ELSEWHERE_ACTIONS
    else:
        names = ", ".join(SUBSCRIBABLE)
        raise InvalidInput(fields={f"{where}.object_type": f"“{str(object_type)[:60]}” is not one of: {names}."})
    if not isinstance(action, str) or action not in allowed:
        raise InvalidInput(
            fields={
                f"{where}.action": f"“{str(action)[:40]}” does not happen to {object_type}. Use: {', '.join(allowed)}."
            }
        )
    clean = {"object_type": object_type, "action": action}
    if row.get("extra_filter") is not None:
        try:
            check_filter(row["extra_filter"])
        except InvalidInput as error:
            raise InvalidInput(fields={f"{where}.extra_filter": error.message}) from None
        clean["extra_filter"] = row["extra_filter"]
    return clean
