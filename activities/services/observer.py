"""What happens with activities when a lead is made, changes status or goes (`settings.LEAD_OBSERVER`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from activities.models import Activity, Comment, LeadActivityFact
from activities.queries import type_catalog
from activities.services.activities import activity_state, comment_state, event_type, local_day
from activities.services.facts import count_published, refresh_facts
from activities.services.merging import lock_activities_of, move_activities
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.values import delete_index, index_rows_of, insert_index_many
from crm.models import Event, Membership
from leads.models import Lead, LeadStatus, Task


def lead_created(actor: Membership, lead: Lead) -> None:
    """Put *Lead created* on the timeline, and the file it came from."""
    entries = {"created": {"source": lead.source}}
    if file := events.current_meta().get("file_name"):
        entries["import"] = {"file_name": file}
    _log_entries(actor, lead, entries, lead.date_created, is_new=True)


def status_changed(actor: Membership, lead: Lead, old: LeadStatus, new: LeadStatus) -> None:
    """Put the change of status on the timeline, with an event of its own: clients follow those."""
    entry = log_system(
        actor, lead, "status_change",
        {
            "old_status_label": old.label, "new_status_label": new.label,
            "old_status_id": old.public_id, "new_status_id": new.public_id,
        },
    )  # fmt: skip
    _tell(actor, entry)


def task_completed(actor: Membership, task: Task) -> None:
    """Put a finished task on the timeline, with an event of its own."""
    assignee = task.assigned_to
    entry = log_system(
        actor, task.lead, "task_completed",
        {
            "task_text": task.text, "task_id": task.public_id,
            "task_assigned_to": assignee.public_id if assignee else "",
            "task_assigned_to_name": assignee.full_name if assignee else "",
        },
        at=task.done_at,
    )  # fmt: skip
    _tell(actor, entry)


def task_reopened(actor: Membership, task: Task) -> None:
    """Take the entries of a task that is open again off the timeline: it is not finished."""
    kind = type_catalog(actor.organization).builtin("task_completed")
    if kind is None:
        return
    key = {use.field.builtin: str(use.field.id) for use in catalog(actor.organization).uses(kind.fieldset_id)}
    for entry in Activity.objects.filter(lead_id=task.lead_id, type_id=kind.id).order_by("pk"):
        if entry.values.get(key["task_completed.task_id"]) == task.public_id:
            take_off(actor, entry)


def lead_deleted(actor: Membership, lead: Lead) -> None:
    """Record an event for each activity that goes with the lead, and drop its facts. Rows go with the lead's."""
    types = type_catalog(actor.organization)
    comments: dict[int, list[dict[str, Any]]] = {}
    for comment in Comment.objects.filter(activity__lead=lead).order_by("pk").iterator(chunk_size=1000):
        comments.setdefault(comment.activity_id, []).append(comment_state(comment))
    rows = []
    for activity in Activity.with_drafts.filter(lead=lead).iterator(chunk_size=1000):
        kind = types.get(activity.type_id)
        if kind is not None:
            state = activity_state(activity) | {"comments": comments.get(activity.pk, [])}
            rows.append(events.EventRow("deleted", event_type(kind), activity.pk, lead.pk, before=state))
    events.record_many(actor, rows)
    LeadActivityFact.objects.filter(lead_id=lead.pk).delete()


def lock_activities(lead_ids: Iterable[int]) -> None:
    """Lock what is under these leads before the leads themselves are locked."""
    lock_activities_of(lead_ids)


def lead_merged(
    actor: Membership, source: Lead, destination: Lead, replaced: Mapping[int, int], kept_beside: str
) -> None:
    """Move the activities over and put the merge on the timeline. `kept_beside`: what could not stand twice."""
    move_activities(actor, source, destination, replaced)
    log_system(
        actor, destination, "lead_merge",
        {"source_lead_name": source.name, "source_lead_id": source.public_id, "kept_beside": kept_beside},
    )  # fmt: skip


def log_system(actor: Membership, lead: Lead, slug: str, fields: dict[str, str], at=None) -> Activity:
    """Write a system entry; no permission is asked, no event is written: the caller's tells of it."""
    return _log_entries(actor, lead, {slug: fields}, at or timezone.now())[0]


def _log_entries(
    actor: Membership, lead: Lead, entries: Mapping[str, dict[str, str]], at: datetime, *, is_new: bool = False
) -> list[Activity]:
    """Write system entries of a lead, by kind. `is_new`: the lead is of this transaction, so nobody else counts its."""
    known = catalog(actor.organization)
    rows = []
    for slug, fields in entries.items():
        kind = type_catalog(actor.organization).builtin(slug)
        assert kind is not None, "run manage.py sync_builtins"
        keys = {use.field.builtin: str(use.field.id) for use in known.uses(kind.fieldset_id)}
        values = {keys[key]: text for name, text in fields.items() if text and (key := f"{slug}.{name}") in keys}
        rows.append(
            Activity(
                organization=actor.organization, lead=lead, type_id=kind.id, status=Activity.Status.PUBLISHED, values=values,
                user=actor.user, created_by=actor.user, updated_by=actor.user, date_created=at, activity_at=at,
                published_at=at, created_on=local_day(at, actor.organization),
            )
        )  # fmt: skip
    Activity.unscoped.bulk_create(rows)
    insert_index_many(index_rows_of(known, [(lead.pk, row.pk, row.values) for row in rows]))
    count_published([(row.type_id, row.lead_id, row.activity_at) for row in rows], system=True, locked=is_new)
    return rows


def take_off(actor: Membership, entry: Activity) -> Event | None:
    """Take a system entry off the timeline, with an event; no permission is asked. None: it is gone already."""
    entry = Activity.objects.select_for_update(of=("self",)).filter(pk=entry.pk).first()
    kind = type_catalog(actor.organization).get(entry.type_id) if entry else None
    if entry is None or kind is None:
        return None
    event = events.record(
        actor, "deleted", event_type(kind), entry.pk, lead_id=entry.lead_id, before=activity_state(entry)
    )
    delete_index(
        entry.lead_id, [use.field.id for use in catalog(actor.organization).uses(kind.fieldset_id)], [entry.pk]
    )
    lead_id, type_id = entry.lead_id, entry.type_id
    entry.delete()
    refresh_facts([lead_id], [type_id])
    return event


def _tell(actor: Membership, entry: Activity) -> None:
    kind = type_catalog(actor.organization).get(entry.type_id)
    assert kind is not None, "it was just logged"
    events.record(actor, "created", event_type(kind), entry.pk, lead_id=entry.lead_id, after=activity_state(entry))
