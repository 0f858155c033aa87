"""Columns that result tables have of activities: the last value of a field and counts on leads, and activities' own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from activities.models import Activity, LeadActivityFact
from activities.queries import TypeInfo, type_catalog, visible_types
from activities.queries.cards import SOURCES
from crm.customfields.catalog import Use, catalog
from crm.models import Membership
from crm.permissions import can_view_field
from leads.search.columns import (
    USER_NAME,
    Cell,
    ResultColumn,
    Rows,
    latest_sort,
    lead_cell,
    moment_cell,
    preload_contacts,
    simple,
    sorting,
    user_cell,
    value_cell,
    value_sort,
)  # fmt: skip
from leads.search.sources import Column, Source, asks_of


def columns(actor: Membership, source: Source) -> list[ResultColumn]:
    """Return what leads and contacts show of activities, or the columns of activities themselves."""
    if source.object_type == "lead":
        return _of_leads(actor)
    return _of_activities(actor, source) if source.family == "activity" else []


def _types(actor: Membership) -> list[TypeInfo]:
    rows = [row for row in visible_types(actor) if not row.system]
    return sorted(rows, key=lambda row: (row.archived, bool(row.builtin), row.position))


def _uses(actor: Membership, kind: TypeInfo) -> list[Use]:
    uses = catalog(actor.organization).uses(kind.fieldset_id)
    return [use for use in uses if can_view_field(actor, use) and not use.field.kind.hidden]


# --- leads ------------------------------------------------------------------------------------------------------------
def _of_leads(actor: Membership) -> list[ResultColumn]:
    found = []
    for kind in _types(actor):
        found += [_count(kind), _last_moment(kind), *(_last_value(kind, use) for use in _uses(actor, kind))]
    return found


def _facts(rows: Rows) -> Mapping[tuple[int, int], LeadActivityFact]:
    if "facts" not in rows.kept:
        facts = LeadActivityFact.objects.filter(lead_id__in=rows.numbers)
        rows.kept["facts"] = {(fact.lead_id, fact.type_id): fact for fact in facts}
    return rows.kept["facts"]


def _fact_sql(kind: TypeInfo, what: str) -> str:
    return (
        f"(SELECT f.{what} FROM lead_activity_fact f "  # noqa: S608 (constants and row numbers)
        f"WHERE f.lead_id = {{row}}.id AND f.type_id = {int(kind.id)})"
    )


def _count(kind: TypeInfo) -> ResultColumn:
    key = f"count:{kind.public_id}"

    def load(rows: Rows) -> Mapping[int, Cell]:
        facts = _facts(rows)
        return {pk: Cell(str(fact.count if (fact := facts.get((pk, kind.id))) else 0)) for pk in rows.numbers}

    sort = Column(key, "", "number", f"COALESCE({_fact_sql(kind, 'count')}, 0)", sorts=True)
    return ResultColumn(key, f"Number of {kind.name}", kind.name, load, sort, numeric=True)


def _last_moment(kind: TypeInfo) -> ResultColumn:
    key = f"last:{kind.public_id}:activity_at"

    def load(rows: Rows) -> Mapping[int, Cell]:
        facts = _facts(rows)
        return {pk: moment_cell(fact.last_at) for pk in rows.numbers if (fact := facts.get((pk, kind.id)))}

    return ResultColumn(key, f"Last {kind.name}", kind.name, load, sorting(key, "moment", _fact_sql(kind, "last_at")))


def _last_value(kind: TypeInfo, use: Use) -> ResultColumn:
    """The value of the lead's latest activity of the type that has one."""
    known, key = use.field, f"last:{kind.public_id}:{use.field.public_id}"

    def load(rows: Rows) -> Mapping[int, Cell]:
        place = Window(RowNumber(), partition_by=[F("lead_id")], order_by=[F("activity_at").desc(), F("pk").desc()])
        latest = Activity.objects.filter(
            lead__in=rows.numbers, type_id=kind.id, values__has_key=str(known.id)
        ).annotate(place=place)
        stored = {row.lead_id: row.values.get(str(known.id)) for row in latest.filter(place=1)}
        preload_contacts(rows, known, stored.values())
        return {pk: value_cell(rows, known, value) for pk, value in stored.items()}

    # Only published activities have rows in the index of values, so the newest of them is the one whose value is shown.
    of_type = f"type_id = {int(kind.id)}"
    later = (
        "SELECT 1 FROM {table} w JOIN activities_activity b ON b.id = w.record_key WHERE w.field_id = v.field_id "  # noqa: S608 (constants and row numbers)
        f"AND w.lead_id = v.lead_id AND w.record_key > 0 AND b.{of_type} AND (b.activity_at, b.id) > (a.activity_at, a.id)"
    )
    newest = (
        f"SELECT 1 FROM activities_activity a WHERE a.id = v.record_key AND a.{of_type} AND ({later} LIMIT 1) IS NULL"  # noqa: S608
    )

    def order() -> Column:
        return latest_sort(
            key, known, "JOIN activities_activity a ON a.id = v.record_key",
            f"v.lead_id = {{row}}.id AND v.record_key > 0 AND a.{of_type}", "a.activity_at DESC, a.id DESC",
            f"v.record_key > 0 AND ({newest} LIMIT 1) IS NOT NULL",
        )  # fmt: skip

    return ResultColumn(key, f"{kind.name}: {known.name}", kind.name, load, order, known.kind.storage == "number")


# --- activities -------------------------------------------------------------------------------------------------------
def _kind(rows: Rows, row: Activity) -> TypeInfo | None:
    return type_catalog(rows.actor.organization).get(row.type_id)


def _type_cell(row: Activity, rows: Rows) -> Cell:
    kind = _kind(rows, row)
    return Cell(kind.name if kind else "", page="activity", page_id=row.public_id)


def _own_uses(rows: Rows, row: Activity) -> dict[int, Use]:
    kept = rows.kept.setdefault("uses", {})
    if row.type_id not in kept:
        kind = _kind(rows, row)
        kept[row.type_id] = {use.field.id: use for use in _uses(rows.actor, kind)} if kind else {}
    return kept[row.type_id]


def _summary(rows: Rows) -> Mapping[int, Cell]:
    for row in rows.records:
        for use in _own_uses(rows, row).values():
            preload_contacts(rows, use.field, [row.values.get(str(use.field.id))])
    return {row.pk: _joined(rows, row) for row in rows.records}


def _joined(rows: Rows, row: Activity) -> Cell:
    kind, texts = _kind(rows, row), list(islice(_texts(rows, row), 3))
    joiner = " → " if kind is not None and kind.builtin == "status_change" else " · "
    return Cell(joiner.join(shown for shown, _ in texts), written=joiner.join(written for _, written in texts))


def _texts(rows: Rows, row: Activity) -> Iterator[tuple[str, str]]:
    """Yield an activity's values, as shown and as files have them, so that each can be read without its column.

    Numbers, days and ticks stand beside their name."""
    for use in _own_uses(rows, row).values():
        known, stored = use.field, row.values.get(str(use.field.id))
        cell = value_cell(rows, known, stored)
        text, written = cell.text, cell.written
        if known.builtin == "created.source":
            text = written = SOURCES.get(text, text)
        elif text and asks_of(known.kind) == "flag":
            text = written = known.name if stored else ""
        elif text and asks_of(known.kind) in ("number", "moment"):
            text, written = f"{known.name}: {text}", f"{known.name}: {written}"
        if text:
            yield _short(text), _short(written)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _contacts(rows: Rows) -> Mapping[int, Cell]:
    rows.lookups.preload_contacts({row.contact_id for row in rows.records if row.contact_id})
    refs = {row.pk: rows.lookups.contact(row.contact_id) for row in rows.records}
    return {pk: Cell(ref.name, page="contact", page_id=ref.public_id) for pk, ref in refs.items() if ref}


_TYPE_NAME = "(SELECT t.name_fold FROM activities_activitytype t WHERE t.id = {row}.type_id)"
_CONTACT_NAME = "(SELECT NULLIF(LOWER(c.name), '') FROM leads_contact c WHERE c.id = {row}.contact_id)"
_LEAD_NAME = "(SELECT l.name_fold FROM leads_lead l WHERE l.id = {row}.lead_id)"


def _plain(name: str, label: str) -> ResultColumn:
    return simple(name, label, "Activity", lambda r, rows: moment_cell(getattr(r, name)),
                  Column(name, "", "moment", f"{{row}}.{name}", sorts=True))  # fmt: skip


def _person(name: str, label: str) -> ResultColumn:
    return simple(name, label, "Activity", lambda r, rows: user_cell(rows, getattr(r, f"{name}_id")),
                  sorting(name, "text", USER_NAME.replace("{id}", f"{{row}}.{name}_id")))  # fmt: skip


_ACTIVITY = [
    simple("type", "Type", "Activity", _type_cell, sorting("type", "text", _TYPE_NAME)),
    simple("lead", "Lead", "Activity", lambda r, rows: lead_cell(r.lead), sorting("lead", "text", _LEAD_NAME)),
    ResultColumn("what", "What", "Activity", _summary),
    _person("user", "User"),
    _plain("activity_at", "When"),
    ResultColumn("contact", "Contact", "Activity", _contacts, sorting("contact", "text", _CONTACT_NAME)),
    _plain("date_created", "Created"),
    _plain("date_updated", "Updated"),
    _person("created_by", "Created by"),
    _person("updated_by", "Updated by"),
    simple("lead_status", "Lead status", "Activity",
           lambda r, rows: Cell(r.lead.status.label, color=r.lead.status.color or "gray")),
    simple("state", "State", "Activity", lambda r, rows: Cell(str(r.status).capitalize()),
           sorting("state", "text", "{row}.status")),
    simple("pinned", "Pinned", "Activity", lambda r, rows: Cell("Yes" if r.pinned_at else "")),
    simple("id", "Id", "Activity", lambda r, rows: Cell(r.public_id)),
]  # fmt: skip


def _of_activities(actor: Membership, source: Source) -> list[ResultColumn]:
    groups: dict[str, list[str]] = {}
    for kind in _types(actor):
        for use in _uses(actor, kind):
            groups.setdefault(use.field.public_id, []).append(kind.name)
    found = []
    for searched in source.custom_fields(actor):
        if searched.field.kind.hidden:
            continue
        names = groups.get(searched.field.public_id, [])
        found.append(_field(actor, source, searched, ", ".join(names[:3]) or "Fields"))
    return [*_ACTIVITY, *found]


def _field(actor: Membership, source: Source, searched: Any, group: str) -> ResultColumn:
    known = searched.field

    def load(rows: Rows) -> Mapping[int, Cell]:
        # A shared field may be hidden in one type and shown in another.
        held = {r.pk: r.values.get(str(known.id)) for r in rows.records if known.id in _own_uses(rows, r)}
        preload_contacts(rows, known, held.values())
        return {pk: value_cell(rows, known, value) for pk, value in held.items()}

    shown = sorted(
        row.id for row in type_catalog(actor.organization).types if row.fieldset_id in searched.fieldset_ids
    )  # fmt: skip
    guard = f" AND {{row}}.type_id IN ({', '.join(map(str, shown)) or '0'})"

    def order() -> Column:
        return value_sort(known.public_id, known, "v.lead_id = {row}.lead_id AND v.record_key = {row}.id", guard)

    return ResultColumn(known.public_id, known.name, group, load, order, known.kind.storage == "number")


def records(actor: Membership, numbers: list[int]) -> list[Activity]:
    """Return activities by row id, in the given order, their leads loaded."""
    found = Activity.with_drafts.select_related("lead__status").in_bulk(numbers)
    return [found[pk] for pk in numbers if pk in found]
