"""The same activity on several leads at once, and several activities deleted or brought back at once: all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from activities.models import Activity
from activities.queries import TypeInfo, type_catalog, visible_activities
from activities.services.activities import (
    delete_activity,
    log_activity,
    restore_activity,
    type_of,
    update_activity,
)
from crm.customfields.catalog import catalog
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound
from crm.models import Event, Membership, User
from crm.permissions import Perm, authorize, can_delete_activity, has
from leads.models import Contact, Lead
from leads.queries import visible_leads

MOST_LEADS = 100
MOST_DELETED = 500


def log_on_leads(
    actor: Membership,
    lead: Lead,
    kind: TypeInfo,
    also: Iterable[int],
    *,
    custom: Mapping[str, Any],
    draft: Activity | None = None,
    contact: Contact | None = None,
    user: User | None = None,
    activity_at: datetime | None = None,
) -> list[Activity]:
    """Log the same activity on `lead` and on the leads with the ids in `also`; return them, the one on `lead` first.

    `draft`: the draft on `lead` that becomes the first one. People of `lead` (contact, contact fields) stay there. Each lead
    must be visible to the actor (`NotFound`), each activity valid (`InvalidInput` names the lead) and within the plan;
    otherwise nothing is written.
    """
    wanted = [number for number in dict.fromkeys(also) if number != lead.pk]
    if len(wanted) > MOST_LEADS:
        raise InvalidInput(f"One activity can be logged on {MOST_LEADS} more leads at once; you chose {len(wanted)}.")
    with transaction.atomic():
        found = {row.pk: row for row in visible_leads(actor).filter(pk__in=wanted)}
        if len(found) != len(wanted):
            raise NotFound("One of the leads you chose is not there any more. Choose again.")
        if draft is None:
            first = log_activity(
                actor, lead, kind, custom=custom, contact=contact, user=user, activity_at=activity_at
            )  # fmt: skip
        else:
            first = update_activity(
                actor, draft, status="published", partial=False, custom=custom, contact=contact, user=user,
                activity_at=activity_at,
            )  # fmt: skip
        people = {
            use.field.public_id
            for use in catalog(actor.organization).uses(kind.fieldset_id)
            if use.field.kind.refers_to == "contact"
        }
        shared = {key: value for key, value in custom.items() if key not in people}
        logged = [first]
        for number in wanted:
            other = found[number]
            try:
                logged.append(
                    log_activity(actor, other, kind, custom=shared, user=user, activity_at=first.activity_at)
                )  # fmt: skip
            except InvalidInput as error:
                raise InvalidInput(
                    fields={key: f"On {other.name}: {text}" for key, text in error.fields.items()}
                ) from None
    return logged


def deletable(actor: Membership, activities: Sequence[Activity]) -> dict[int, str]:
    """Return why the actor may not delete some of these activities, by id; empty when all may go."""
    authorize(has(actor, Perm.BULK_DELETE))
    refused = {}
    for row in activities:
        decision = can_delete_activity(actor, row, type_of(actor, row))
        if not decision:
            refused[row.pk] = decision.reason
    return refused


def delete_activities(actor: Membership, activities: Sequence[Activity]) -> list[Event]:
    """Delete these published activities. Raises `NotAllowed` when one of them may not be, and deletes none then."""
    if len(activities) > MOST_DELETED:
        raise InvalidInput(f"{MOST_DELETED} activities can be deleted at once; you chose {len(activities)}.")
    with transaction.atomic():
        authorize(has(actor, Perm.BULK_DELETE))
        numbers = [row.pk for row in activities]
        rows = list(visible_activities(actor).select_related("lead").filter(pk__in=numbers).order_by("pk"))
        if len(rows) != len(set(numbers)):
            raise NotFound("One of these activities is not there any more. Choose again.")
        if refused := deletable(actor, rows):
            raise NotAllowed(f"{len(refused)} of {len(rows)} cannot be deleted. {next(iter(refused.values()))}")
        return [delete_activity(actor, row) for row in rows]


def restore_deleted(actor: Membership, request_id: str) -> list[Activity]:
    """Bring back what the actor deleted with one request (undo). What is back already stays as it is."""
    kinds = {kind.event_type for kind in type_catalog(actor.organization).types}
    rows = Event.objects.filter(
        request_id=request_id, user_id=actor.user_id, action="deleted", object_type__in=kinds
    ).order_by("pk")
    found = list(rows[: MOST_DELETED + 1]) if request_id else []
    if not found:
        raise NotFound("There is nothing to bring back.")
    restored = []
    with transaction.atomic():
        for event in found:
            try:
                with transaction.atomic():
                    restored.append(restore_activity(actor, event))
            except Conflict:
                continue
    return restored
