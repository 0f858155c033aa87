"""Built-in kinds and system entries: declared here, kept as rows of the same tables as custom types.

To add one: a declaration here; `manage.py sync_builtins` gives it to organizations that exist. The hidden fields `more`
keep what API clients send beyond our fields (`activities/api_shapes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BuiltinField:
    """`key` is the API's name of the field; `options` for choices: the word of the API and of files → as people read it."""

    key: str
    name: str
    kind: str
    required: bool = False
    options: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Builtin:
    """`api_type`: the `_type` of the REST API. `event_type`: the object type of events. `starts`: the field that says when
    it happens, where nobody said so otherwise.
    """

    slug: str
    name: str
    icon: str
    color: str
    api_type: str
    event_type: str
    fields: tuple[BuiltinField, ...]
    system: bool = False
    starts: str = ""


_WAYS = {"outbound": "Outbound", "inbound": "Inbound"}

BUILTINS: dict[str, Builtin] = {
    row.slug: row
    for row in (
        Builtin("note", "Note", "note", "yellow", "Note", "activity.note", (
            BuiltinField("title", "Title", "text"),
            BuiltinField("note", "Note", "textarea", required=True),
            BuiltinField("more", "More", "hidden"),
        )),
        Builtin("call", "Call", "phone", "green", "Call", "activity.call", (
            BuiltinField("direction", "Direction", "choices", options=_WAYS),
            BuiltinField("disposition", "Disposition", "choices", options={
                "answered": "Answered", "no-answer": "No answer", "vm-answer": "Voicemail answered", "vm-left": "Voicemail left",
                "busy": "Busy", "blocked": "Blocked", "error": "Error", "abandoned": "Abandoned"}),
            BuiltinField("duration", "Duration", "number", settings={"unit": "s", "minimum": "0"}),
            BuiltinField("phone", "Phone", "phone"),
            BuiltinField("note", "Notes", "textarea"),
            BuiltinField("recording_url", "Recording", "url"),
            BuiltinField("more", "More", "hidden"),
        )),
        Builtin("email", "Email", "mail", "purple", "Email", "activity.email", (
            BuiltinField("direction", "Direction", "choices", options={"outgoing": "Outgoing", "incoming": "Incoming"}),
            BuiltinField("subject", "Subject", "text"),
            BuiltinField("sender", "From", "text"),
            BuiltinField("to", "To", "text"),
            BuiltinField("body_text", "Body", "textarea"),
            BuiltinField("more", "More", "hidden"),
        )),
        Builtin("sms", "SMS", "message", "cyan", "SMS", "activity.sms", (
            BuiltinField("direction", "Direction", "choices", options=_WAYS),
            BuiltinField("remote_phone", "Phone", "phone"),
            BuiltinField("text", "Text", "textarea", required=True),
            BuiltinField("more", "More", "hidden"),
        )),
        Builtin("meeting", "Meeting", "calendar", "orange", "Meeting", "activity.meeting", (
            BuiltinField("title", "Title", "text", required=True),
            BuiltinField("starts_at", "Starts", "datetime"),
            BuiltinField("ends_at", "Ends", "datetime"),
            BuiltinField("location", "Location", "text"),
            BuiltinField("note", "Notes", "textarea"),
            BuiltinField("more", "More", "hidden"),
        ), starts="starts_at"),
        Builtin("created", "Lead created", "plus", "blue", "Created", "activity.created", (
            BuiltinField("source", "Source", "text"),
        ), system=True),
        Builtin("status_change", "Status changed", "arrows-exchange", "blue", "LeadStatusChange",
                "activity.lead_status_change", (
            BuiltinField("old_status_label", "From", "text"),
            BuiltinField("new_status_label", "To", "text"),
            BuiltinField("old_status_id", "From id", "hidden"),
            BuiltinField("new_status_id", "To id", "hidden"),
        ), system=True),
        Builtin("lead_merge", "Leads merged", "arrow-merge", "blue", "LeadMerge", "activity.lead_merge", (
            BuiltinField("source_lead_name", "Merged lead", "text"),
            BuiltinField("source_lead_id", "Merged lead id", "hidden"),
            BuiltinField("kept_beside", "Where it differed", "textarea"),
        ), system=True),
        Builtin("import", "Imported", "upload", "blue", "Import", "activity.import", (
            BuiltinField("file_name", "File", "text"),
        ), system=True),
        Builtin("rule", "Rule ran", "bolt", "blue", "RuleRun", "activity.rule_run", (
            BuiltinField("rule", "Rule", "text"),
            BuiltinField("done", "What it did", "text"),
        ), system=True),
        Builtin("task_completed", "Task completed", "checks", "green", "TaskCompleted", "activity.task_completed", (
            BuiltinField("task_text", "Task", "text"),
            BuiltinField("task_id", "Task id", "hidden"),
            BuiltinField("task_assigned_to", "Assignee id", "hidden"),
            BuiltinField("task_assigned_to_name", "Assignee", "hidden"),
        ), system=True),
    )
}  # fmt: skip

# By field (`call.disposition`): what people read for the options of built-in fields.
OPTION_WORDS = {
    f"{slug}.{given.key}": given.options
    for slug, declared in BUILTINS.items()
    for given in declared.fields
    if given.options
}
