"""Entries about changes of a lead's status that a member writes: history brought along from elsewhere (`spec/api.md` 2.14)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from activities.models import Activity
from activities.queries import type_catalog
from activities.services.activities import activity_state, event_type, type_of
from activities.services.facts import refresh_facts
from activities.services.observer import log_system
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.values import delete_index
from crm.errors import InvalidInput
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


def delete_status_change(actor: Membership, entry: Activity) -> Event:
    """Take such an entry off the timeline: one's own, or another's with *manage others' activities*. The status stays."""
    kind = type_of(actor, entry)
    authorize(can_view_type(actor, kind))
    mine = actor.user_id == entry.created_by_id
    authorize(has(actor, Perm.DELETE_OWN_ACTIVITIES if mine else Perm.MANAGE_OTHERS_ACTIVITIES))
    with transaction.atomic():
        entry = Activity.with_drafts.select_for_update(of=("self",)).get(pk=entry.pk)
        event = events.record(
            actor, "deleted", event_type(kind), entry.pk, lead_id=entry.lead_id, before=activity_state(entry)
        )
        uses = catalog(actor.organization).uses(kind.fieldset_id)
        delete_index(entry.lead_id, [use.field.id for use in uses], [entry.pk])
        lead_id, type_id = entry.lead_id, entry.type_id
        entry.delete()
        refresh_facts([lead_id], [type_id])
    return event
