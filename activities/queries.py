"""Reading activities and their types."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from activities.models import Activity, ActivityType
from crm import ids
from crm.customfields.catalog import Catalog, Use, catalog
from crm.customfields.lookups import Lookups
from crm.errors import NotFound
from crm.fieldkinds import fold, many
from crm.models import Event, Membership, Organization, ValueText
from crm.permissions import (
    Perm,
    can_delete_activity,
    can_edit_activity,
    can_log,
    can_view_draft,
    can_view_field,
    can_view_type,
    has,
    visible_lead_filter,
)
from leads.models import Lead
from leads.search.cursors import decode_cursor, encode_cursor

PAGE = 30
MAX_PINNED = 200


# --- types ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TypeInfo:
    """An activity type as pages and services need it; `fieldset_id` leads to its fields in the catalog."""

    id: int
    public_id: str
    name: str
    description: str
    icon: str
    color: str
    position: int
    builtin: str
    system: bool
    archived: bool
    api_only: bool
    edit_roles: tuple[int, ...]
    view_roles: tuple[int, ...]
    fieldset_id: int

    @property
    def is_custom(self) -> bool:
        return not self.builtin


@dataclass(frozen=True)
class TypeCatalog:
    """All types of an organization, archived ones included, in menu order."""

    types: tuple[TypeInfo, ...]
    _by_id: Mapping[int, TypeInfo] = field(repr=False, compare=False)

    @property
    def custom(self) -> list[TypeInfo]:
        return [row for row in self.types if row.is_custom]

    def get(self, type_id: int) -> TypeInfo | None:
        return self._by_id.get(type_id)

    def builtin(self, slug: str) -> TypeInfo | None:
        return next((row for row in self.types if row.builtin == slug), None)

    def by_public_id(self, public_id: Any) -> TypeInfo | None:
        number = ids.decode("actitype", public_id)
        return self._by_id.get(number) if number else None

    def by_name(self, name: str) -> TypeInfo | None:
        wanted = name.strip().casefold()
        return next((row for row in self.types if row.name.casefold() == wanted), None)


_cache: OrderedDict[tuple[int, str], TypeCatalog] = OrderedDict()
_lock = Lock()


def type_catalog(organization: Organization) -> TypeCatalog:
    """Return the organization's types; one query when its schema changed since the last call, else none."""
    key = (organization.pk, organization.schema_version)
    with _lock:
        if found := _cache.get(key):
            return found
    rows = ActivityType.unscoped.filter(organization=organization)
    types = tuple(
        TypeInfo(
            id=row.pk,
            public_id=row.public_id,
            name=row.name,
            description=row.description,
            icon=row.icon,
            color=row.color,
            position=row.position,
            builtin=row.builtin,
            system=row.system,
            archived=row.archived_at is not None,
            api_only=row.api_only,
            edit_roles=tuple(row.edit_roles),
            view_roles=tuple(row.view_roles),
            fieldset_id=row.fieldset_id,
        )
        for row in sorted(rows, key=lambda row: (row.system, not row.builtin, row.position, row.pk))
    )
    found = TypeCatalog(types, {row.id: row for row in types})
    with _lock:
        _cache[key] = found
        while len(_cache) > 200:
            _cache.popitem(last=False)
    return found


def forget_types() -> None:
    """Drop the types kept in this process."""
    with _lock:
        _cache.clear()


def active_types(actor: Membership) -> list[TypeInfo]:
    """Return the types the actor may log here, in menu order: none archived, API-only, system or restricted."""
    return [row for row in type_catalog(actor.organization).types if not row.system and can_log(actor, row)]


def visible_types(actor: Membership) -> list[TypeInfo]:
    """Return the types whose activities the actor may see, archived and system ones included."""
    return [row for row in type_catalog(actor.organization).types if can_view_type(actor, row)]


def type_for(actor: Membership, public_id: str) -> TypeInfo:
    """Return a type the actor may see; raises `NotFound`."""
    found = type_catalog(actor.organization).by_public_id(public_id)
    if found is None or not can_view_type(actor, found):
        raise NotFound("There is no such activity type.")
    return found


# --- activities -------------------------------------------------------------------------------------------------------
def visible_activities(actor: Membership) -> QuerySet[Activity]:
    """Return published activities the actor may see: by type and by lead."""
    return _visible(actor, Activity.objects.all())


def visible_with_drafts(actor: Membership) -> QuerySet[Activity]:
    """Return what `visible_activities` returns, and the drafts the actor may see."""
    found = _visible(actor, Activity.with_drafts.all())
    if has(actor, Perm.MANAGE_OTHERS_ACTIVITIES):
        return found
    return found.filter(Q(status=Activity.Status.PUBLISHED) | Q(created_by=actor.user_id))


def _visible(actor: Membership, found: QuerySet[Activity]) -> QuerySet[Activity]:
    hidden = [row.id for row in type_catalog(actor.organization).types if not can_view_type(actor, row)]
    if hidden:
        found = found.exclude(type_id__in=hidden)
    visible = visible_lead_filter(actor, "lead_id")
    return found if visible is None else found.filter(visible)


def activity_for(actor: Membership, public_id: str, *, drafts: bool = True) -> Activity:
    """Return an activity the actor may see, its lead and users loaded; raises `NotFound`. `drafts`: theirs too."""
    rows = visible_with_drafts(actor) if drafts else visible_activities(actor)
    found = rows.select_related("lead", "contact").filter(pk=ids.decode("acti", public_id)).first()
    if found is None:
        raise NotFound("There is no such activity.")
    return found


def my_drafts(actor: Membership) -> list[Activity]:
    """Return the actor's own drafts, latest first, with their leads."""
    rows = _visible(actor, Activity.with_drafts.filter(status=Activity.Status.DRAFT, created_by=actor.user_id))
    return list(rows.select_related("lead").order_by("-date_updated", "-pk")[:500])


# --- the timeline -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Value:
    """One line of a card. `href`: where it links to, or empty. `wide`: takes the whole width."""

    label: str
    text: str
    href: str = ""
    wide: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Card:
    """An activity ready for display."""

    id: str
    activity: Activity
    type: TypeInfo
    lead_name: str
    lead_id: str
    values: tuple[Value, ...]
    empty_labels: tuple[str, ...]
    summary: str
    direction: str
    user_name: str
    created_by_name: str
    contact_name: str
    is_draft: bool
    is_pinned: bool
    is_future: bool
    can_edit: bool
    can_delete: bool
    can_copy: bool


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


class _Cards:
    """Turns activities into cards: one query for members, one for contacts and leads, whatever the number."""

    def __init__(self, actor: Membership, lookups: Lookups | None = None) -> None:
        self.actor = actor
        self.types = type_catalog(actor.organization)
        self.fields: Catalog = catalog(actor.organization)
        self.lookups = lookups or Lookups(actor.organization)
        self.now = timezone.now()

    @cached_property
    def _uses(self) -> dict[int, list[Use]]:
        return {
            row.id: [
                use
                for use in self.fields.uses(row.fieldset_id)
                if not use.field.kind.hidden and can_view_field(self.actor, use)
            ]
            for row in self.types.types
        }

    def make(self, rows: Iterable[Activity]) -> list[Card]:
        rows = list(rows)
        self._preload(rows)
        return [self._card(row) for row in rows]

    def _preload(self, rows: list[Activity]) -> None:
        contacts = {row.contact_id for row in rows if row.contact_id}
        for row in rows:
            for use in self._uses.get(row.type_id, []):
                if use.field.kind.refers_to == "contact":
                    contacts.update(many(row.values.get(str(use.field.id))))
        if contacts:
            self.lookups.preload_contacts(contacts)

    def _card(self, row: Activity) -> Card:
        kind = self.types.get(row.type_id)
        assert kind is not None, "a type is never deleted while it has activities"
        shown, empty, direction = [], [], ""
        for use in self._uses[row.type_id]:
            stored = row.values.get(str(use.field.id))
            if stored is None:
                typed = (row.draft_data or {}).get(use.field.public_id)
                labels = {option.public_id: option.label for option in use.field.options}
                text = ", ".join(labels.get(part, str(part)) for part in many(typed) if part)
                if text:
                    shown.append(Value(use.field.name, text, wide=use.field.kind.wide))
                else:
                    empty.append(use.field.name)
                continue
            text = use.field.kind.display(stored, use.field, self.lookups)
            if use.field.builtin.endswith(".direction"):
                direction = text
                continue
            href = "" if isinstance(stored, list) else use.field.kind.href(stored, use.field)
            shown.append(Value(use.field.name, text, href, use.field.kind.wide, use.field.kind.slug))
        user, author = self.lookups.user(row.user_id), self.lookups.user(row.created_by_id)
        contact = self.lookups.contact(row.contact_id)
        lead = row.lead if Activity.lead.is_cached(row) else None
        return Card(
            id=row.public_id,
            activity=row,
            type=kind,
            lead_name=lead.name if lead else "",
            lead_id=ids.encode("lead", row.lead_id),
            values=tuple(shown),
            empty_labels=tuple(empty),
            summary=shown[0].text if shown else "",
            direction=direction,
            user_name=user.name if user else "",
            created_by_name=author.name if author else "",
            contact_name=contact.name if contact else "",
            is_draft=row.is_draft,
            is_pinned=row.pinned_at is not None,
            is_future=row.activity_at > self.now,
            can_edit=bool(can_edit_activity(self.actor, row, kind))
            and (not row.is_draft or bool(can_view_draft(self.actor, row))),
            can_delete=bool(can_delete_activity(self.actor, row, kind)),
            can_copy=not row.is_draft and not kind.system and bool(can_log(self.actor, kind)),
        )


def cards_of(actor: Membership, rows: Iterable[Activity], lookups: Lookups | None = None) -> list[Card]:
    """Return activities ready for display, in the given order. Give rows with `lead` loaded where its name is shown."""
    return _Cards(actor, lookups).make(rows)


# --- history ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Change:
    """One entry of an activity's history. `fields`: (name, before, after) of what the actor may see."""

    when: datetime
    who: str
    door: str
    action: str
    fields: tuple[tuple[str, str, str], ...]


_LABELS = {
    "status": "Status",
    "activity_at": "When",
    "user_id": "Attributed to",
    "contact_id": "Contact",
    "pinned_at": "Pinned",
    "draft_data": "Draft",
}


def history(actor: Membership, activity: Activity) -> list[Change]:
    """Return who changed what from what to what, when and through which door, newest first. Two queries."""
    known, lookups = catalog(actor.organization), Lookups(actor.organization)
    kind = type_catalog(actor.organization).get(activity.type_id)
    rows = Event.objects.filter(object_id=activity.pk, object_type__startswith="activity.").order_by("-pk")[:200]
    found = []
    for row in rows:
        fields = []
        keys = row.changed or sorted(key for key in (row.after or {}) if key.startswith("custom."))
        for key in keys:
            before, after = (row.before or {}).get(key), (row.after or {}).get(key)
            if key.startswith("custom."):
                use = known.use(kind.fieldset_id if kind else None, int(key.removeprefix("custom.")))
                if use is None or use.field.kind.hidden or not can_view_field(actor, use):
                    continue
                fields.append((use.field.name, _shown(use, before, lookups), _shown(use, after, lookups)))
            elif key in _LABELS and key != "draft_data":
                fields.append((_LABELS[key], _plain(key, before, lookups), _plain(key, after, lookups)))
        who = lookups.user(row.user_id)
        found.append(Change(row.date_created, who.name if who else "", row.door, row.action, tuple(fields)))
    return found


def _shown(use: Use, stored: Any, lookups: Lookups) -> str:
    return "" if stored is None else use.field.kind.display(stored, use.field, lookups)


def _plain(key: str, value: Any, lookups: Lookups) -> str:
    if value is None:
        return ""
    if key == "user_id":
        ref = lookups.user(value)
        return ref.name if ref else ""
    if key == "contact_id":
        contact = lookups.contact(value)
        return contact.name if contact else "Deleted contact"
    if key.endswith("_at"):
        return f"{datetime.fromisoformat(value).astimezone(timezone.get_current_timezone()):%-d %b %Y, %H:%M}"
    return str(value)
