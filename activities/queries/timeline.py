"""A lead's timeline, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from activities.models import Activity
from activities.queries.activities import visible_with_drafts
from activities.queries.cards import Card, cards_of
from activities.queries.types import type_catalog, visible_types
from crm import ids
from crm.customfields.catalog import catalog
from crm.customfields.lookups import Lookups
from crm.fieldkinds import fold
from crm.models import Membership, ValueText
from crm.permissions import (
    can_view_field,
)
from leads.models import Lead
from leads.search.cursors import decode_cursor, encode_cursor

PAGE = 30
MAX_PINNED = 200


@dataclass(frozen=True)
class TimelineFilters:
    """What the timeline's address asks for. `type_ids`: public ids; `user_id`: a public id; `text`: words."""

    type_ids: tuple[str, ...] = ()
    user_id: str = ""
    text: str = ""
    with_system: bool = True


@dataclass(frozen=True)
class TimelinePage:
    """`pinned` only on the first page. `next_cursor`: empty at the end."""

    pinned: tuple[Card, ...]
    cards: tuple[Card, ...]
    next_cursor: str = ""
    focused: Card | None = None


def timeline(
    actor: Membership,
    lead: Lead,
    filters: TimelineFilters | None = None,
    cursor: str = "",
    *,
    focus: str = "",
    limit: int = PAGE,
    lookups: Lookups | None = None,
) -> TimelinePage:
    """Return one page of a lead's timeline, newest `activity_at` first.

    At most three queries for activities (pinned, page, focused), plus one for members and one for contacts. `focus` is
    the id of an activity to show even when filters or paging would hide it.
    """
    filters = filters or TimelineFilters()
    rows = _filtered(actor, visible_with_drafts(actor).filter(lead=lead), filters)
    place = moment_and_id(cursor)
    first_page = place is None
    page = rows.filter(pinned_at=None)
    if place:
        at, pk = place
        page = page.filter(Q(activity_at__lt=at) | Q(activity_at=at, pk__lt=pk))
    found = list(page.order_by("-activity_at", "-pk")[: limit + 1])
    next_cursor = ""
    if len(found) > limit:
        found = found[:limit]
        next_cursor = encode_cursor(found[-1].activity_at.isoformat(), found[-1].pk)
    pinned = list(rows.exclude(pinned_at=None).order_by("-pinned_at", "-pk")[:MAX_PINNED]) if first_page else []
    focused = []
    if focus and first_page:
        number = ids.decode("acti", focus)
        if number and number not in {row.pk for row in [*pinned, *found]}:
            focused = list(visible_with_drafts(actor).filter(lead=lead, pk=number))
    cards = cards_of(actor, [*pinned, *found, *focused], lookups)
    by_id = {card.activity.pk: card for card in cards}
    return TimelinePage(
        pinned=tuple(by_id[row.pk] for row in pinned),
        cards=tuple(by_id[row.pk] for row in found),
        next_cursor=next_cursor,
        focused=by_id[focused[0].pk] if focused else None,
    )


def moment_and_id(cursor: str) -> tuple[datetime, int] | None:
    """Return where a list ordered by a moment goes on, or None for the beginning and for what is no such cursor."""
    parts = decode_cursor(cursor) if cursor else None
    if not parts or len(parts) != 2 or not isinstance(parts[0], str) or not isinstance(parts[1], int):
        return None
    try:
        at = datetime.fromisoformat(parts[0])
    except ValueError:
        return None
    return (at, parts[1]) if at.tzinfo and abs(parts[1]) < 2**63 else None


def _filtered(actor: Membership, rows: QuerySet[Activity], filters: TimelineFilters) -> QuerySet[Activity]:
    if filters.type_ids:
        numbers = [ids.decode("actitype", public_id) for public_id in filters.type_ids]
        rows = rows.filter(type_id__in=[number for number in numbers if number])
    if filters.user_id:
        rows = rows.filter(user_id=ids.decode("user", filters.user_id) or 0)
    if not filters.with_system:
        rows = rows.exclude(type_id__in=[row.id for row in type_catalog(actor.organization).types if row.system])
    if filters.text.strip():
        # Within one lead the index on values finds the few rows that hold every word.
        known = catalog(actor.organization)
        readable = {
            use.field.id
            for row in visible_types(actor)
            for use in known.uses(row.fieldset_id)
            if can_view_field(actor, use)
        }
        texts = ValueText.objects.filter(field_id__in=readable, lead_id=OuterRef("lead_id"), record_key=OuterRef("pk"))
        condition = Q()
        for word in fold(filters.text).split():
            condition &= Q(Exists(texts.filter(v__contains=word)))
        rows = rows.filter(condition)
    return rows
