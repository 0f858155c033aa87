"""The search language once more, as plain Python over loaded rows: slow, obvious, and what the compiler must agree with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from activities.models import Activity
from activities.queries import type_catalog
from crm import ids
from crm.customfields.catalog import catalog
from crm.fieldkinds import fold, many
from crm.models import Membership, Team, ValueRef
from crm.permissions import can_view_draft, can_view_type, lead_visibility
from leads.models import Contact, ContactPoint, Lead, SmartView, Task
from leads.search.moments import Clock, parse_moment


@dataclass
class Store:
    """All rows of one organization, as one actor may see them."""

    actor: Membership
    clock: Clock
    leads: list[Lead]
    contacts: dict[int, list[Contact]]
    points: dict[int, list[ContactPoint]]
    activities: dict[int, list[Activity]]
    tasks: dict[int, list[Task]]


def load(actor: Membership, clock: Clock) -> Store:
    rule = lead_visibility(actor)
    holders: dict[int, set[int]] = {}
    for row in ValueRef.objects.filter(record_key=0, field_id__in=rule.field_ids):
        holders.setdefault(row.lead_id, set()).add(row.v)
    sees: Callable[[int], bool] = lambda pk: (  # noqa: E731
        rule.everything or bool(holders.get(pk, set()) & set(rule.user_ids)) or (rule.unassigned and pk not in holders)
    )
    leads = [lead for lead in Lead.objects.all() if sees(lead.pk)]
    types = type_catalog(actor.organization)
    visible = {row.id for row in types.types if can_view_type(actor, row)}
    store = Store(actor, clock, leads, {}, {}, {}, {})
    for task in Task.objects.all():
        store.tasks.setdefault(task.lead_id, []).append(task)
    for contact in Contact.objects.all():
        store.contacts.setdefault(contact.lead_id, []).append(contact)
    for point in ContactPoint.objects.all():
        store.points.setdefault(point.lead_id, []).append(point)
    for activity in Activity.with_drafts.all():
        shown = not activity.is_draft or can_view_draft(actor, activity)
        if activity.type_id in visible and shown:
            store.activities.setdefault(activity.lead_id, []).append(activity)
    return store


def matching(store: Store, tree: dict[str, Any]) -> set[int]:
    """Return the ids of the leads a tree selects."""
    return {lead.pk for lead in store.leads if _holds(store, tree, lead)}


def matching_activities(store: Store, tree: dict[str, Any]) -> set[int]:
    drafts = _asks_state(tree)
    rows = (a for lead in store.leads for a in store.activities.get(lead.pk, ()) if drafts or not a.is_draft)
    custom = {row.id for row in type_catalog(store.actor.organization).types if row.is_custom}
    return {row.pk for row in rows if row.type_id in custom and _holds(store, tree, row)}


def matching_contacts(store: Store, tree: dict[str, Any]) -> set[int]:
    rows = (contact for lead in store.leads for contact in store.contacts.get(lead.pk, ()))
    return {row.pk for row in rows if _holds(store, tree, row)}


def _holds(store: Store, tree: dict[str, Any], row: Any) -> bool:
    return _plain(store, tree, row) != bool(tree.get("negate"))


def _plain(store: Store, tree: dict[str, Any], row: Any) -> bool:
    kind = tree["type"]
    if kind == "and":
        return all(_holds(store, child, row) for child in tree["queries"])
    if kind == "or":
        return any(_holds(store, child, row) for child in tree["queries"])
    if kind in ("match_all", "object_type"):
        return True
    if kind == "id":
        return row.public_id == tree["value"]
    if kind == "text":
        return any(_text(value, tree) for value in _texts(store, row))
    if kind == "saved_search":
        view = SmartView.objects.get(pk=ids.decode("save", tree["saved_search_id"]))
        words = fold(view.text).split()
        return _holds(store, view.query, row) and all(word in row.search_text for word in words)
    if kind == "has_related":
        found = sum(_holds(store, tree["related_query"], other) for other in _related(store, tree, row))
        if "count" not in tree:
            return found > 0
        ((operator, number),) = tree["count"].items()
        return {"gte": found >= number, "lte": found <= number, "eq": found == number}[operator]
    assert kind == "field_condition"
    return _meets(store, tree["condition"], _values(store, tree["field"], row), tree["field"])


def _related(store: Store, tree: dict[str, Any], row: Any) -> Iterable[Any]:
    name = tree["related_object_type"]
    lead_id = row.pk if isinstance(row, Lead) else row.lead_id
    if name == "opportunity":
        return []
    if name == "task":
        return store.tasks.get(lead_id, [])
    if name == "lead":
        return [lead for lead in store.leads if lead.pk == lead_id]
    if name == "contact":
        found = store.contacts.get(lead_id, [])
        return found if isinstance(row, Lead) else [c for c in found if c.pk == row.contact_id]
    if name == "address":
        return row.addresses
    if name.startswith("contact_"):
        points = [point for point in store.points.get(lead_id, []) if point.channel == name.removeprefix("contact_")]
        return [point for point in points if isinstance(row, Lead) or point.contact_id == row.pk]
    rows = store.activities.get(lead_id, [])
    if isinstance(row, Contact):
        rows = [activity for activity in rows if activity.contact_id == row.pk]
    if not _asks_state(tree["related_query"]):
        rows = [activity for activity in rows if not activity.is_draft]
    types = type_catalog(store.actor.organization)
    if name == "activity.last":
        seen = [row for row in rows if not types.get(row.type_id).system and not row.is_draft]
        return [max(seen, key=lambda activity: (activity.activity_at, activity.pk))] if seen else []
    builtin = name.partition(".")[2]
    wanted = {
        row.id for row in types.types
        if (row.is_custom if builtin == "custom_activity" else row.builtin == builtin if builtin else not row.system)
    }  # fmt: skip
    return [activity for activity in rows if activity.type_id in wanted]


def _texts(store: Store, row: Any) -> list[str]:
    """Return where the words of a record stand: its own text and the text fields the actor sees."""
    if isinstance(row, ContactPoint):
        return [row.value]
    if isinstance(row, Activity) and row.is_draft:
        return []
    known = catalog(store.actor.organization)
    if isinstance(row, Lead):
        found, uses = [row.search_text], known.lead_uses
    elif isinstance(row, Contact):
        found, uses = [fold(row.name), fold(row.title)], known.contact_uses
    else:
        found, uses = [], known.uses(type_catalog(store.actor.organization).get(row.type_id).fieldset_id)
    for use in uses:
        if use.field.kind.storage == "text" and not (use.view_roles and store.actor.role_id not in use.view_roles):
            found += [use.field.kind.index_one(item) for item in many(row.values.get(str(use.field.id)))]
    return found


def _asks_state(tree: dict[str, Any]) -> bool:
    if tree["type"] == "field_condition":
        return tree["field"].get("field_name") == "status" and tree["field"].get("object_type") != "lead"
    return any(_asks_state(child) for child in tree.get("queries", ()))


def _values(store: Store, field: dict[str, Any], row: Any) -> list[Any]:
    """Return what a record holds in a field: comparable values, none for empty."""
    if field["type"] == "custom_field":
        known = catalog(store.actor.organization).field_by_public_id(field["custom_field_id"])
        assert known is not None
        if isinstance(row, Activity):
            if row.is_draft:
                return []
            kind = type_catalog(store.actor.organization).get(row.type_id)
            use = catalog(store.actor.organization).use(kind.fieldset_id, known.id)
            if use is None or (use.view_roles and store.actor.role_id not in use.view_roles):
                return []
        found = [known.kind.index_one(item) for item in many(row.values.get(str(known.id)))]
        if known.kind.whole_days:
            found = [datetime.combine(item.date(), time.min, store.clock.zone) for item in found]
        return found
    name = field["field_name"]
    if isinstance(row, Lead) and (name.startswith(("num_", "first_", "last_", "next_", "times_"))):
        return _figure(store, name, row)
    if isinstance(row, Activity) and name in ("duration", "direction", "phone"):
        return _of_call(store, row, name)
    if isinstance(row, dict) and name == "location":
        parts = ("address_1", "address_2", "city", "state", "zipcode", "country")
        found = " ".join(row[part] for part in parts if row.get(part))
    elif isinstance(row, dict):
        found = row.get(name)
    elif name == "custom_activity_type_id":
        found = row.type_id
    elif name in ("display_name", "name"):
        found = row.name
    elif isinstance(row, ContactPoint) and name == "type":
        entries = row.contact.emails if row.channel == "email" else row.contact.phones
        found = next(e["type"] for e in entries if row.value in (e.get("email"), e.get("phone")))
    elif isinstance(row, ContactPoint):
        found = row.value
    elif isinstance(row, Task) and name == "is_complete":
        return [int(row.done_at is not None)]
    elif isinstance(row, Task) and name in ("due_date", "date"):
        return [datetime.combine(row.due_date, time.min, store.clock.zone)] if row.due_date else []
    elif name == "assigned_to":
        found = row.assigned_to_id
    elif name in ("user_id", "contact_id", "status_id", "lead_id"):
        found = getattr(row, name)
    elif name in ("created_by", "updated_by"):
        found = getattr(row, f"{name}_id")
    else:
        found = getattr(row, name)
    if isinstance(found, str) and name != "status":
        found = fold(found)
    return [] if found is None or found == "" else [found]


def _of_call(store: Store, row: Activity, name: str) -> list[Any]:
    known = next(f for f in catalog(store.actor.organization).fields.values() if f.builtin == f"call.{name}")
    stored = many(row.values.get(str(known.id)))
    if known.kind.has_options:
        return [option.label for option in known.options if option.id in stored]
    return [known.kind.index_one(item) for item in stored]


def _figure(store: Store, name: str, lead: Lead) -> list[Any]:
    """Return a number or date of a lead, worked out from its rows."""
    tasks = store.tasks.get(lead.pk, [])
    open_tasks = [task for task in tasks if task.done_at is None]
    if name == "next_task_due_date":
        days = [task.due_date for task in open_tasks if task.due_date]
        return [datetime.combine(min(days), time.min, store.clock.zone)] if days else []
    plain = {
        "num_tasks": len(tasks), "num_incomplete_tasks": len(open_tasks), "num_completed_tasks": len(tasks) - len(open_tasks),
        "num_contacts": len(store.contacts.get(lead.pk, [])), "num_addresses": len(lead.addresses), "num_opportunities": 0,
    }  # fmt: skip
    if name in plain:
        return [plain[name]]
    if name == "last_activity_at":
        return [lead.last_activity_at] if lead.last_activity_at else []
    types = type_catalog(store.actor.organization)
    kinds = ("call", "email", "sms", "meeting") if "communicat" in name else ("note",) if "note" in name else ("call",)
    ways = [
        way
        for words, way in {"outgoing": "outbound", "incoming": "inbound", "received": "inbound"}.items()
        if words in name
    ]
    rows = [
        row for row in store.activities.get(lead.pk, [])
        if not row.is_draft and types.get(row.type_id).builtin in kinds
        and (not ways or _of_call(store, row, "direction") == ways)
    ]  # fmt: skip
    if name.startswith(("num_", "times_")):
        return [len(rows)]
    if not rows:
        return []
    last = max(rows, key=lambda row: (row.activity_at, row.pk))
    if name == "last_call_duration":
        return _of_call(store, last, "duration")
    if name == "last_call_user_id":
        return [last.user_id] if last.user_id else []
    return [(min if name.startswith("first_") else max)(row.activity_at for row in rows)]


def _meets(store: Store, condition: dict[str, Any], values: list[Any], field: dict[str, Any]) -> bool:
    kind = condition["type"]
    if kind == "exists":
        return bool(values)
    if kind == "text":
        return any(_text(value, condition) for value in values)
    if kind == "number_range":
        bounds = {
            "gt": lambda v, b: v > b,
            "gte": lambda v, b: v >= b,
            "lt": lambda v, b: v < b,
            "lte": lambda v, b: v <= b,
        }
        return any(
            all(test(Decimal(value), Decimal(str(condition[key]))) for key, test in bounds.items() if key in condition)
            for value in values
        )
    if kind == "moment_range":
        start, before = condition.get("on_or_after"), condition.get("before")
        low = parse_moment(start, "x").at(store.clock) if start else datetime(1, 1, 2, tzinfo=UTC)
        high = parse_moment(before, "x").at(store.clock) if before else datetime(9999, 12, 30, tzinfo=UTC)
        return any(low <= value < high for value in values)
    if kind == "boolean":
        return int(condition["value"]) in [int(value) for value in values]
    if kind == "current_user":
        return store.actor.user_id in values
    if kind == "former_user":
        former = set(Membership.objects.exclude(removed_at=None).values_list("user_id", flat=True))
        return bool(former & set(values))
    asked = condition.get("values") or condition.get("object_ids")
    if condition.get("reference_type") == "group":
        teams = Team.objects.filter(pk__in=[ids.decode("group", raw) for raw in asked])
        return bool(set(teams.values_list("members", flat=True)) & set(values))
    return bool(set(values) & {_number(store, raw, field) for raw in asked})


def _number(store: Store, raw: str, field: dict[str, Any]) -> Any:
    if field["type"] == "custom_field" and not raw.startswith(("user_", "cont_")):
        known = catalog(store.actor.organization).field_by_public_id(field["custom_field_id"])
        return next(option.id for option in known.options if raw in (option.label, option.public_id))
    if field.get("field_name") == "type":
        return fold(raw)
    prefix = raw.partition("_")[0]
    number = ids.decode(prefix, raw) if "_" in raw else None
    return raw if number is None else number


def _text(value: str, condition: dict[str, Any]) -> bool:
    text, wanted, mode = value[:1000], fold(condition["value"]), condition.get("mode", "beginning_of_words")
    if mode == "exact_value":
        return text == wanted
    words = [wanted] if mode == "phrase" else wanted.split()
    end = "" if mode == "beginning_of_words" else r"(?!\w)"
    return all(re.search(rf"(?<!\w){re.escape(word)}{end}", text) for word in words)
