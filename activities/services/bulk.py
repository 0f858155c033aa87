"""Logging many activities at once, with few statements: what imports and bulk actions are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from activities.models import Activity
from activities.queries import TypeInfo
from activities.services.activities import PUBLISHED, activity_state, event_type
from activities.services.facts import count_published
from activities.services.rules import run_rules
from crm import events
from crm.bulk import insert_rows, next_ids
from crm.customfields.catalog import catalog
from crm.customfields.values import Rows, index_rows, insert_index_many
from crm.models import Membership
from crm.plans import count_first_publishes


@dataclass(slots=True)
class Row:
    """A row of the table of activities, with the names `activity_state` reads: cheaper by far than a model instance."""

    id: int
    organization_id: int
    lead_id: int
    type_id: int
    status: str
    values: dict[str, Any]
    user_id: int
    contact_id: int | None
    created_by_id: int
    updated_by_id: int
    date_created: datetime
    date_updated: datetime
    activity_at: datetime
    published_at: datetime | None
    created_on: date
    external_id: str | None
    pinned_at: datetime | None
    revision: int = 1
    draft_data: None = None


COLUMNS = tuple(column.name for column in fields(Row))
_cells = attrgetter(*COLUMNS)


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


def log_many(actor: Membership, prepared: Sequence[Prepared]) -> list[int]:
    """Log many activities in one transaction: rows, index, facts, counter and events. Returns their ids, in order.

    The caller has cleaned each (`clean_values`) and asked `can_log`. Raises `PlanLimitReached` when not all fit.
    """
    if not prepared:
        return []
    known = catalog(actor.organization)
    with transaction.atomic():
        published = [row for row in prepared if row.status == PUBLISHED]
        if counted := sum(row.kind.is_custom for row in published):
            count_first_publishes(actor.organization, counted)
        rows = _rows(actor, prepared)
        insert_rows(Activity, COLUMNS, map(_cells, rows))
        index = Rows()
        for row in rows:
            if row.status == PUBLISHED:
                index.extend(index_rows(known, row.lead_id, row.id, row.values))
        insert_index_many(index)
        count_published((row.type_id, row.lead_id, row.activity_at) for row in rows if row.status == PUBLISHED)
        events.record_many(actor, _events(prepared, rows))
        run_rules(actor, [(row.id, row.type_id) for row in rows if row.status == PUBLISHED])
    return [row.id for row in rows]


def _rows(actor: Membership, prepared: Sequence[Prepared]) -> list[Row]:
    """Return the rows with the ids they will have."""
    now, zone = timezone.now(), ZoneInfo(actor.organization.timezone)
    return [
        Row(
            pk, actor.organization_id, row.lead_id, row.kind.id, row.status, row.values, row.user_id, row.contact_id,
            row.created_by_id, actor.user_id, row.date_created, now, row.activity_at,
            now if row.status == PUBLISHED else None, row.date_created.astimezone(zone).date(), row.external_id,
            now if row.pinned else None,
        )
        for pk, row in zip(next_ids(Activity, len(prepared)), prepared, strict=True)
    ]  # fmt: skip


def _events(prepared: Sequence[Prepared], rows: Sequence[Row]) -> Iterable[events.EventRow]:
    for given, row in zip(prepared, rows, strict=True):
        named = event_type(given.kind)
        yield events.EventRow("created", named, row.id, row.lead_id, after=activity_state(row), meta=given.meta)
        if row.status == PUBLISHED and given.kind.is_custom:
            yield events.EventRow("published", named, row.id, row.lead_id)
