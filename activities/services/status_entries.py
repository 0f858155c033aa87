"""System entries that a member writes or takes away: history brought along from elsewhere (`spec/api.md` 2.14)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from activities.models import Activity
from activities.queries import type_catalog
from activities.services.activities import activity_state, event_type, type_of
from activities.services.observer import log_system, take_off
from crm import events
from crm.errors import InvalidInput, NotFound
from crm.models import Event, Membership
from crm.permissions import Perm, authorize, can_view_type, has
from leads.models import Lead

SLUG = "status_change"


def log_status_change(
    actor: Membership,
    lead: Lead,
    *,
    old: tuple[str, str],
    new: tuple[str, str],
    at: datetime | None = None,
) -> Activity:
    """Write that a lead's status changed, without changing it. `old` and `new`: id (may be empty) and label of a status.

    `at` may lie in the past. Raises `InvalidInput` where both are the same.
    """
    kind = type_catalog(actor.organization).builtin(SLUG)
    assert kind is not None, "run manage.py sync_builtins"
    authorize(can_view_type(actor, kind))
    if old == new:
        raise InvalidInput(fields={"new_status_id": "The status before and the status after are the same."})
    fields = {
        "old_status_id": old[0], "old_status_label": old[1], "new_status_id": new[0], "new_status_label": new[1],
    }  # fmt: skip
    with transaction.atomic():
        entry = log_system(actor, lead, SLUG, fields, at=at or timezone.now())
        events.record(
            actor, "created", event_type(kind), entry.pk, lead_id=lead.pk, after=activity_state(entry)
        )  # fmt: skip
    return entry


def delete_entry(actor: Membership, entry: Activity) -> Event:
    """Take an entry off the timeline: one's own, or another's with *manage others' activities*. What it tells of stays."""
    authorize(can_view_type(actor, type_of(actor, entry)))
    mine = actor.user_id == entry.created_by_id
    authorize(has(actor, Perm.DELETE_OWN_ACTIVITIES if mine else Perm.MANAGE_OTHERS_ACTIVITIES))
    with transaction.atomic():
        event = take_off(actor, entry)
    if event is None:
        raise NotFound("There is no such activity.")
    return event
