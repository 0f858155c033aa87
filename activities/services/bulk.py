"""Logging and deleting many activities at once, with few statements: what imports and their undo are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from activities.models import Activity
from activities.queries import TypeInfo, type_catalog
from activities.services.activities import PUBLISHED, activity_state, comment_states, event_type
from activities.services.facts import count_published, refresh_facts
from activities.services.rules import run_rules
from crm import events
from crm.bulk import insert_rows, next_ids
from crm.customfields.catalog import catalog
from crm.customfields.values import delete_index_many, index_rows_of, insert_index_many
from crm.models import Membership
from crm.permissions import can_delete_activity, can_view_draft
from crm.plans import count_first_publishes

COLUMNS = (
    "id", "organization_id", "lead_id", "type_id", "status", "values", "user_id", "contact_id", "created_by_id",
    "updated_by_id", "date_created", "date_updated", "activity_at", "published_at", "created_on", "external_id",
    "pinned_at", "revision",
)  # fmt: skip


@dataclass(slots=True)
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
    now = timezone.now()
    with transaction.atomic(savepoint=False):
        if counted := sum(row.kind.is_custom for row in prepared if row.status == PUBLISHED):
            count_first_publishes(actor.organization, counted)
        made = next_ids(Activity, len(prepared))
        insert_rows(Activity, COLUMNS, _rows(actor, prepared, made, now))
        published = [(row, pk) for row, pk in zip(prepared, made, strict=True) if row.status == PUBLISHED]
        insert_index_many(index_rows_of(known, ((row.lead_id, pk, row.values) for row, pk in published)))
        count_published((row.kind.id, row.lead_id, row.activity_at) for row, _ in published)
        events.record_many(actor, _events(prepared, made, now))
        run_rules(actor, [(pk, row.kind.id) for row, pk in published])
    return made


def _rows(
    actor: Membership, prepared: Sequence[Prepared], made: Sequence[int], now: datetime
) -> Iterable[Sequence[Any]]:
    """Return the rows of the table of activities, in the order of `COLUMNS`."""
    zone, organization_id, editor_id = ZoneInfo(actor.organization.timezone), actor.organization_id, actor.user_id
    days = {at: at.astimezone(zone).date() for at in {row.date_created for row in prepared}}
    return [
        (
            pk, organization_id, row.lead_id, row.kind.id, row.status, row.values, row.user_id, row.contact_id,
            row.created_by_id, editor_id, row.date_created, now, row.activity_at,
            now if row.status == PUBLISHED else None, days[row.date_created], row.external_id,
            now if row.pinned else None, 1,
        )
        for pk, row in zip(made, prepared, strict=True)
    ]  # fmt: skip


def _events(prepared: Sequence[Prepared], made: Sequence[int], now: datetime) -> Iterable[events.EventRow]:
    text = cache(datetime.isoformat)  # the same moment comes again and again
    custom = cache("custom.{}".format)
    named = {row.kind.id: event_type(row.kind) for row in prepared}
    for row, pk in zip(prepared, made, strict=True):
        kind, published = named[row.kind.id], row.status == PUBLISHED
        # What `activity_state` returns for the row.
        state = {
            "type_id": row.kind.id, "status": row.status, "user_id": row.user_id, "contact_id": row.contact_id,
            "created_by_id": row.created_by_id, "date_created": text(row.date_created),
            "activity_at": text(row.activity_at), "published_at": text(now) if published else None,
            "pinned_at": text(now) if row.pinned else None, "external_id": row.external_id, "draft_data": None,
            **{custom(key): value for key, value in row.values.items()},
        }  # fmt: skip
        yield events.EventRow("created", kind, pk, row.lead_id, after=state, meta=row.meta)
        if published and row.kind.is_custom:
            yield events.EventRow("published", kind, pk, row.lead_id)


def delete_many(actor: Membership, activity_ids: Sequence[int]) -> dict[int, str]:
    """Delete many activities in one transaction: rows, index, facts and events, as `delete_activity` does one by one.

    Returns why some were kept, by id; those that are gone already are passed over.
    """
    refused: dict[int, str] = {}
    kinds, known = type_catalog(actor.organization), catalog(actor.organization)
    with transaction.atomic():
        rows = Activity.with_drafts.select_for_update().filter(pk__any=activity_ids).order_by("pk")
        going: list[tuple[Activity, TypeInfo]] = []
        for row in rows:
            kind = kinds.get(row.type_id)
            assert kind is not None, "a type is never deleted while it has activities"
            decision = can_delete_activity(actor, row, kind)
            if decision and row.is_draft:
                decision = can_view_draft(actor, row)
            if decision:
                going.append((row, kind))
            else:
                refused[row.pk] = decision.reason
        if not going:
            return refused
        keys = [row.pk for row, _ in going]
        comments = comment_states(keys)
        events.record_many(actor, [
            events.EventRow(
                "deleted", event_type(kind), row.pk, row.lead_id,
                before=activity_state(row) | {"comments": comments.get(row.pk, [])},
            )
            for row, kind in going
        ])  # fmt: skip
        delete_index_many(known, [(row.lead_id, row.pk, row.values) for row, _ in going])
        published = [(row.lead_id, row.type_id) for row, _ in going if not row.is_draft]
        Activity.with_drafts.filter(pk__any=keys).delete()
        refresh_facts({lead_id for lead_id, _ in published}, {type_id for _, type_id in published})
    return refused
