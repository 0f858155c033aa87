"""Logging many activities at once, with few statements: what imports and bulk actions are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from activities.models import Activity
from activities.queries import TypeInfo
from activities.services.activities import PUBLISHED, activity_state, event_type
from activities.services.facts import count_published
from crm import events
from crm.bulk import insert_rows, next_ids
from crm.customfields.catalog import catalog
from crm.customfields.values import Rows, index_rows, insert_index_many
from crm.models import Membership
from crm.plans import count_first_publishes

COLUMNS = (
    "id", "organization_id", "lead_id", "type_id", "status", "values", "user_id", "contact_id", "created_by_id",
    "updated_by_id", "date_created", "date_updated", "activity_at", "published_at", "created_on", "external_id",
    "pinned_at", "revision",
)  # fmt: skip


@dataclass
class Prepared:
    """One activity ready for `log_many`: cleaned values and who, when, where."""

    lead_id: int
    kind: TypeInfo
    values: dict[str, Any]
    user_id: int
    created_by_id: int
    date_created: datetime
    activity_at: datetime
    contact_id: int | None = None
    external_id: str | None = None
    pinned: bool = False
    status: str = PUBLISHED
    meta: dict[str, Any] = field(default_factory=dict)


def log_many(actor: Membership, prepared: Sequence[Prepared]) -> list[Activity]:
    """Log many activities in one transaction: rows, index, facts, counter and events. Returns them in the given order.

    The caller has cleaned each (`clean_values`) and asked `can_log`. Raises `PlanLimitReached` when not all fit.
    """
    if not prepared:
        return []
    known = catalog(actor.organization)
    with transaction.atomic():
        published = [row for row in prepared if row.status == PUBLISHED]
        if counted := sum(row.kind.is_custom for row in published):
            count_first_publishes(actor.organization, counted)
        activities = _rows(actor, prepared)
        insert_rows(Activity, COLUMNS, (tuple(getattr(row, name) for name in COLUMNS) for row in activities))
        index = Rows()
        for given, activity in zip(prepared, activities, strict=True):
            if given.status == PUBLISHED:
                index.extend(index_rows(known, given.lead_id, activity.pk, given.values))
        insert_index_many(index)
        count_published((row.type_id, row.lead_id, row.activity_at) for row in activities if row.status == PUBLISHED)
        events.record_many(actor, _events(prepared, activities))
    return activities


def _rows(actor: Membership, prepared: Sequence[Prepared]) -> list[Activity]:
    """Return the activities, unsaved, with the ids they will have."""
    now, zone = timezone.now(), ZoneInfo(actor.organization.timezone)
    return [
        Activity(
            pk=pk, organization_id=actor.organization_id, lead_id=row.lead_id, type_id=row.kind.id, status=row.status,
            values=row.values, user_id=row.user_id, contact_id=row.contact_id, created_by_id=row.created_by_id,
            updated_by_id=actor.user_id, date_created=row.date_created, date_updated=now, activity_at=row.activity_at,
            published_at=now if row.status == PUBLISHED else None, created_on=row.date_created.astimezone(zone).date(),
            external_id=row.external_id, pinned_at=now if row.pinned else None,
        )
        for pk, row in zip(next_ids(Activity, len(prepared)), prepared, strict=True)
    ]  # fmt: skip


def _events(prepared: Sequence[Prepared], activities: Sequence[Activity]) -> Iterable[events.EventRow]:
    for row, activity in zip(prepared, activities, strict=True):
        named = event_type(row.kind)
        yield events.EventRow("created", named, activity.pk, row.lead_id, after=activity_state(activity), meta=row.meta)
        if row.status == PUBLISHED and row.kind.is_custom:
            yield events.EventRow("published", named, activity.pk, row.lead_id)
