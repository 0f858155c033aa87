"""Writing leads, contacts, statuses and tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from crm import events, ids
from crm.customfields.catalog import Use, catalog, touch_schema
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.customfields.values import delete_index, index_rows, insert_index_many, replace_index
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, InvalidValue, fold, normal_phone
from crm.models import Membership, User
from crm.permissions import Perm, authorize, has
from leads.models import Contact, ContactPoint, Lead, LeadStatus, SmartView, Task
from leads.queries import statuses

CHANNELS = ("emails", "phones", "urls")
ADDRESS_PARTS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")


class Observer(Protocol):
    """What activities do when a lead changes (`settings.LEAD_OBSERVER`)."""

    def lead_created(self, actor: Membership, lead: Lead) -> None: ...
    def status_changed(self, actor: Membership, lead: Lead, old: LeadStatus, new: LeadStatus) -> None: ...
    def lead_deleted(self, actor: Membership, lead: Lead) -> None: ...


def _observer() -> Any:
    return import_module(settings.LEAD_OBSERVER)


# --- leads ------------------------------------------------------------------------------------------------------------
def create_lead(
    actor: Membership,
    *,
    name: str,
    status: LeadStatus | str | None = None,
    description: str = "",
    url: str = "",
    addresses: Sequence[Mapping[str, Any]] = (),
    contacts: Sequence[Mapping[str, Any]] = (),
    custom: Mapping[str, Any] | None = None,
    date_created: datetime | None = None,
    source: str = "ui",
) -> Lead:
    """Create a lead with its contacts. `status`: a row, id or label; the first status without one. `custom`: raw input by `cf_` id.

    Raises `InvalidInput` naming each part.
    """
    now = timezone.now()
    with transaction.atomic():
        clean = _clean_lead({"name": name, "description": description, "url": url, "addresses": addresses})
        if not clean["name"]:
            raise InvalidInput(fields={"name": "A lead needs a name."})
        known = catalog(actor.organization)
        lookups = Lookups(actor.organization)
        values = clean_values(
            actor,
            known.lead_uses,
            _by_field_id(known.lead_uses, custom or {}),
            current={},
            lookups=lookups,
            require=True,
            partial=True,
        )
        lead = Lead.objects.create(
            organization=actor.organization, name_fold=fold(clean["name"]), status=_status(status), values=values,
            created_by=actor.user, updated_by=actor.user, source=source,
            date_created=date_created or now, date_updated=now, **clean,
        )  # fmt: skip
        insert_index_many(index_rows(known, lead.pk, 0, values))
        for given in contacts:
            _add_contact(actor, lead, given)
        _refresh(lead)
        events.record(actor, "created", "lead", lead.pk, lead_id=lead.pk, after=lead_state(lead))
        _observer().lead_created(actor, lead)
    return lead


def update_lead(actor: Membership, lead: Lead, changes: Mapping[str, Any]) -> Lead:
    """Change parts of a lead: name, description, url, addresses, status, custom (raw input by `cf_` id).

    Records one event with the keys that differ, and a timeline entry when the status does.
    """
    with transaction.atomic():
        lead = Lead.objects.select_for_update().get(pk=lead.pk)
        before, old_status, old_values = lead_state(lead), lead.status, dict(lead.values)
        clean = _clean_lead(
            {key: changes[key] for key in ("name", "description", "url", "addresses") if key in changes}
        )
        if "name" in clean and not clean["name"]:
            raise InvalidInput(fields={"name": "A lead needs a name."})
        for key, value in clean.items():
            setattr(lead, key, value)
        lead.name_fold = fold(lead.name)
        if changes.get("status") is not None:
            lead.status = _status(changes["status"])
        known = catalog(actor.organization)
        if "custom" in changes:
            lead.values = clean_values(
                actor, known.lead_uses, _by_field_id(known.lead_uses, changes["custom"]), current=old_values,
                lookups=Lookups(actor.organization, lead.pk), require=bool(changes.get("require", False)), partial=True,
            )  # fmt: skip
        changed = events.diff(before, lead_state(lead))
        if not changed:
            return lead
        lead.updated_by, lead.date_updated = actor.user, timezone.now()
        lead.search_text = _search_text(lead)
        lead.save(update_fields=[*clean, "name_fold", "status", "values", "updated_by", "date_updated", "search_text"])
        replace_index(lead.pk, 0, known, old_values, lead.values)
        after = lead_state(lead)
        events.record(
            actor, "updated", "lead", lead.pk, lead_id=lead.pk, changed=changed,
            before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
        )  # fmt: skip
        if old_status.pk != lead.status_id:
            _observer().status_changed(actor, lead, old_status, lead.status)
    return lead


def delete_lead(actor: Membership, lead: Lead) -> None:
    """Delete a lead with its contacts, tasks and activities. Every one of them leaves an event."""
    authorize(has(actor, Perm.DELETE_LEADS))
    with transaction.atomic():
        lead = Lead.objects.select_for_update().get(pk=lead.pk)
        _observer().lead_deleted(actor, lead)
        rows = [
            events.EventRow("deleted", "contact", row.pk, lead.pk, before=contact_state(row))
            for row in Contact.objects.filter(lead=lead)
        ]
        rows += [
            events.EventRow("deleted", "task.lead", row.pk, lead.pk, before={"text": row.text})
            for row in Task.objects.filter(lead=lead)
        ]
        rows.append(events.EventRow("deleted", "lead", lead.pk, lead.pk, before=lead_state(lead)))
        events.record_many(actor, rows)
        delete_index(lead.pk, catalog(actor.organization).fields)
        lead.delete()


def lead_state(lead: Lead) -> dict[str, Any]:
    """Return what the event log keeps of a lead. Custom values are keyed by `custom.<field id>`."""
    return {
        "name": lead.name,
        "status_id": ids.encode("stat", lead.status_id),
        "description": lead.description,
        "url": lead.url,
        "addresses": lead.addresses,
        **{f"custom.{key}": value for key, value in lead.values.items()},
    }


def _status(given: LeadStatus | str | None) -> LeadStatus:
    if isinstance(given, LeadStatus):
        return given
    known = statuses()
    if not given:
        return known[0]
    number = ids.decode("stat", given)
    for row in known:
        if row.pk == number or row.label.casefold() == str(given).strip().casefold():
            return row
    offered = ", ".join(row.label for row in known)
    raise InvalidInput(fields={"status": f"“{given}” is not a lead status. Use one of: {offered}."})


def _clean_lead(given: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for key, limit in (("name", 300), ("description", 100_000), ("url", 500)):
        if key not in given:
            continue
        text = str(given[key] or "").strip()
        if "\x00" in text:
            errors[key] = f"The {key} contains a NUL character. Remove it."
        if len(text) > limit:
            errors[key] = f"The {key} is {len(text):,} characters long; at most {limit:,} fit."
        clean[key] = text
    if clean.get("url"):
        try:
            clean["url"] = KINDS["url"].clean_one(clean["url"], _Named("The website"), None, None)
        except InvalidValue as error:
            errors["url"] = str(error)
    if "addresses" in given:
        rows = given["addresses"] or []
        clean["addresses"] = [
            {part: str(row.get(part) or "").strip()[:300] for part in ADDRESS_PARTS}
            for row in rows
            if any(row.values())
        ]
    if errors:
        raise InvalidInput(fields=errors)
    return clean


class _Named:
    """Lends a plain column a name for a field kind's sentence."""

    def __init__(self, name: str) -> None:
        self.name = name


def _by_field_id(uses: Sequence[Use], custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return raw input keyed by `cf_` id; keys may also be exact field names. Raises `InvalidInput` for unknown ones."""
    by_name = {use.field.name: use.field.public_id for use in uses}
    known = set(by_name.values())
    found, errors = {}, {}
    for key, value in custom.items():
        public_id = key if key in known else by_name.get(key)
        if public_id is None:
            errors[f"custom.{key}"] = f"There is no field “{key}”."
        else:
            found[public_id] = value
    if errors:
        raise InvalidInput(fields=errors)
    return found


# --- contacts ---------------------------------------------------------------------------------------------------------
def create_contact(actor: Membership, lead: Lead, **given: Any) -> Contact:
    """Add a contact to a lead: name, title, emails, phones, urls (text or `{"email": …, "type": …}`), custom."""
    with transaction.atomic():
        # Locked before the contact refers to it: two such inserts at once would wait for each other.
        lead = Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)
        contact = _add_contact(actor, lead, given)
        _refresh(lead)
    return contact


def update_contact(actor: Membership, contact: Contact, changes: Mapping[str, Any]) -> Contact:
    """Change parts of a contact."""
    with transaction.atomic():
        contact = Contact.objects.select_for_update().get(pk=contact.pk)
        before, old_values = contact_state(contact), dict(contact.values)
        for key, value in _clean_contact(changes).items():
            setattr(contact, key, value)
        known = catalog(actor.organization)
        if "custom" in changes:
            contact.values = clean_values(
                actor, known.contact_uses, _by_field_id(known.contact_uses, changes["custom"]), current=old_values,
                lookups=Lookups(actor.organization, contact.lead_id), require=False, partial=True,
            )  # fmt: skip
        _require_something(contact)
        after = contact_state(contact)
        if changed := events.diff(before, after):
            contact.updated_by, contact.date_updated = actor.user, timezone.now()
            contact.save(
                update_fields=["name", "title", "emails", "phones", "urls", "values", "updated_by", "date_updated"]
            )
            replace_index(contact.lead_id, -contact.pk, known, old_values, contact.values)
            _index_points(contact)
            _refresh(Lead.objects.select_for_update(no_key=True).get(pk=contact.lead_id))
            events.record(
                actor, "updated", "contact", contact.pk, lead_id=contact.lead_id, changed=changed,
                before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
            )  # fmt: skip
    return contact


def delete_contact(actor: Membership, contact: Contact) -> None:
    """Delete a contact. Activities that name it stay and show it as deleted."""
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).get(pk=contact.lead_id)
        events.record(actor, "deleted", "contact", contact.pk, lead_id=lead.pk, before=contact_state(contact))
        delete_index(lead.pk, catalog(actor.organization).fields, [-contact.pk])
        contact.delete()
        _refresh(lead)


def contact_state(contact: Contact) -> dict[str, Any]:
    """Return what the event log keeps of a contact."""
    return {
        "name": contact.name,
        "title": contact.title,
        "emails": contact.emails,
        "phones": contact.phones,
        "urls": contact.urls,
        **{f"custom.{key}": value for key, value in contact.values.items()},
    }


def _add_contact(actor: Membership, lead: Lead, given: Mapping[str, Any]) -> Contact:
    known = catalog(actor.organization)
    clean = _clean_contact(given)
    custom = _by_field_id(known.contact_uses, given.get("custom") or {})
    lookups = Lookups(actor.organization, lead.pk)
    values = clean_values(actor, known.contact_uses, custom, current={}, lookups=lookups, require=False, partial=True)
    contact = Contact(
        organization=actor.organization, lead=lead, values=values, created_by=actor.user, updated_by=actor.user, **clean
    )
    _require_something(contact)
    contact.save()
    insert_index_many(index_rows(known, lead.pk, -contact.pk, values))
    _index_points(contact)
    events.record(actor, "created", "contact", contact.pk, lead_id=lead.pk, after=contact_state(contact))
    return contact


def _require_something(contact: Contact) -> None:
    if not (contact.name or contact.emails or contact.phones):
        raise InvalidInput(fields={"name": "A contact needs a name, an email or a phone number."})


def _clean_contact(given: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for key, limit in (("name", 300), ("title", 200)):
        if key in given:
            clean[key] = " ".join(str(given[key] or "").replace("\x00", "").split())
            if len(clean[key]) > limit:
                errors[key] = f"The {key} is {len(clean[key])} characters long; at most {limit} fit."
    for channel in CHANNELS:
        if channel not in given:
            continue
        one = channel[:-1]
        entries = []
        for entry in given[channel] or []:
            row = {one: entry} if isinstance(entry, str) else entry
            text = str(row.get(one) or "").strip()
            if not text:
                continue
            try:
                text = KINDS[one].clean_one(text, _Named(f"The {one}"), None, None)
            except InvalidValue as error:
                errors[channel] = f"“{text[:60]}”: {error}"
                continue
            entries.append({one: text, "type": str(row.get("type") or ("url" if one == "url" else "office"))[:30]})
        clean[channel] = entries
    if errors:
        raise InvalidInput(fields=errors)
    return clean


def contact_points(contact: Contact) -> list[ContactPoint]:
    """Return the index rows of a contact's emails, phones and urls, not saved."""
    found = []
    for channel in CHANNELS:
        one = channel[:-1]
        for entry in getattr(contact, channel):
            text = entry[one]
            value = normal_phone(text) if one == "phone" else text.lower()
            found.append(
                ContactPoint(
                    organization_id=contact.organization_id, contact=contact, lead_id=contact.lead_id,
                    channel=one, value=value[:320],
                )
            )  # fmt: skip
    return found


def _index_points(contact: Contact) -> None:
    ContactPoint.objects.filter(contact=contact).delete()
    ContactPoint.unscoped.bulk_create(contact_points(contact))


def _refresh(lead: Lead) -> None:
    """Make the lead's count of contacts and its search text agree with its contacts."""
    contacts = list(Contact.objects.filter(lead=lead).order_by("pk"))
    lead.contacts_count = len(contacts)
    lead.search_text = _search_text(lead, contacts)
    lead.save(update_fields=["contacts_count", "search_text"])


def _search_text(lead: Lead, contacts: Sequence[Contact] | None = None) -> str:
    if contacts is None:
        contacts = list(Contact.objects.filter(lead=lead).order_by("pk"))
    return search_text(lead, contacts)


def search_text(lead: Lead, contacts: Sequence[Contact]) -> str:
    """Return the folded words the free-text box looks in: names, emails, phones (as written and as digits), domain."""
    parts = [lead.name, urlsplit(lead.url).hostname or ""]
    for contact in contacts:
        parts.append(contact.name)
        parts += [entry["email"] for entry in contact.emails]
        for entry in contact.phones:
            parts += [entry["phone"], re.sub(r"\D", "", entry["phone"])]
    return fold(" ".join(part for part in parts if part))[:10_000]


# --- statuses ---------------------------------------------------------------------------------------------------------
def create_status(actor: Membership, label: str, color: str = "") -> LeadStatus:
    """Add a lead status at the end."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        clean = _clean_label(label)
        last = LeadStatus.objects.aggregate(last=Max("position"))["last"]
        status = LeadStatus.objects.create(
            organization=actor.organization, label=clean, color=color, position=0 if last is None else last + 1
        )
        touch_schema(actor.organization)
        events.record(actor, "created", "status.lead", status.pk, after={"label": clean})
    return status


def update_status(actor: Membership, status: LeadStatus, label: str, color: str | None = None) -> LeadStatus:
    """Rename or recolour a lead status."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        before = status.label
        status.label = _clean_label(label, status)
        status.color = status.color if color is None else color
        status.save(update_fields=["label", "color"])
        touch_schema(actor.organization)
        events.record(
            actor, "updated", "status.lead", status.pk,
            changed=["label"], before={"label": before}, after={"label": status.label},
        )  # fmt: skip
    return status


def delete_status(actor: Membership, status: LeadStatus) -> None:
    """Delete a lead status that no lead has; the last one stays."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        used = Lead.objects.filter(status=status).count()
        if used:
            raise InvalidInput(f"{used:,} leads have the status “{status.label}”. Give them another one first.")
        if LeadStatus.objects.count() == 1:
            raise InvalidInput("The last status cannot be deleted: every lead has one.")
        events.record(actor, "deleted", "status.lead", status.pk, before={"label": status.label})
        status.delete()
        touch_schema(actor.organization)


def reorder_statuses(actor: Membership, order: Sequence[str]) -> None:
    """Put statuses in this order; the first is the default of new leads."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        rows = {row.public_id: row for row in statuses()}
        named = [rows.pop(public_id) for public_id in dict.fromkeys(order) if public_id in rows]
        for position, row in enumerate([*named, *rows.values()]):
            row.position = position
            row.save(update_fields=["position"])
        touch_schema(actor.organization)
        events.record(actor, "updated", "status.lead", 0, changed=["order"], after={"order": list(order)})


def _clean_label(label: str, status: LeadStatus | None = None) -> str:
    label = " ".join(label.split())
    if not label or len(label) > 100:
        raise InvalidInput(fields={"label": "A status needs a name of at most 100 characters."})
    taken = LeadStatus.objects.filter(label__iexact=label)
    if (taken.exclude(pk=status.pk) if status else taken).exists():
        raise InvalidInput(fields={"label": f"There is a status “{label}” already."})
    return label


# --- tasks ------------------------------------------------------------------------------------------------------------
def create_task(
    actor: Membership, lead: Lead, text: str, *, due_date: date | None = None, assigned_to: User | None = None
) -> Task:
    """Add a task to a lead; without an assignee it is the actor's."""
    text = " ".join(text.replace("\x00", "").split())
    if not text or len(text) > 1000:
        raise InvalidInput(fields={"text": "A task needs a text of at most 1,000 characters."})
    with transaction.atomic():
        task = Task.objects.create(
            organization=actor.organization, lead=lead, text=text, due_date=due_date,
            assigned_to=assigned_to or actor.user, created_by=actor.user,
        )  # fmt: skip
        events.record(actor, "created", "task.lead", task.pk, lead_id=lead.pk, after=task_state(task))
    return task


def update_task(actor: Membership, task: Task, changes: Mapping[str, Any]) -> Task:
    """Change a task's text, due_date, assigned_to or done (bool)."""
    _authorize_task(actor, task)
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=task.pk)
        before = task_state(task)
        for key in ("text", "due_date", "assigned_to"):
            if key in changes:
                setattr(task, key, changes[key])
        if "done" in changes:
            task.done_at = (task.done_at or timezone.now()) if changes["done"] else None
        after = task_state(task)
        if changed := events.diff(before, after):
            task.date_updated = timezone.now()
            task.save(update_fields=["text", "due_date", "assigned_to", "done_at", "date_updated"])
            action = "completed" if "is_complete" in changed and after["is_complete"] else "updated"
            events.record(
                actor, action, "task.lead", task.pk, lead_id=task.lead_id, changed=changed,
                before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            )  # fmt: skip
    return task


def delete_task(actor: Membership, task: Task) -> None:
    """Delete a task: own ones, or others' with *manage others' tasks*."""
    _authorize_task(actor, task)
    with transaction.atomic():
        events.record(actor, "deleted", "task.lead", task.pk, lead_id=task.lead_id, before=task_state(task))
        task.delete()


def _authorize_task(actor: Membership, task: Task) -> None:
    if actor.user_id not in (task.assigned_to_id, task.created_by_id):
        authorize(has(actor, Perm.MANAGE_OTHERS_TASKS))


def task_state(task: Task) -> dict[str, Any]:
    """Return what the event log keeps of a task."""
    return {
        "text": task.text,
        "date": task.due_date.isoformat() if task.due_date else None,
        "assigned_to": ids.encode("user", task.assigned_to_id) if task.assigned_to_id else None,
        "is_complete": task.done_at is not None,
    }


# --- Smart Views ------------------------------------------------------------------------------------------------------
def save_smart_view(
    actor: Membership, *, name: str, query: Mapping[str, Any], text: str = "", lists: str = "lead", shared: bool = False,
    description: str = "", sort: str = "", columns: Sequence[str] = (),
) -> SmartView:  # fmt: skip
    """Save a search. Sharing needs *manage team smart views*. The caller has validated `query` as the actor."""
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise InvalidInput(fields={"name": "A Smart View needs a name of at most 200 characters."})
    if shared:
        authorize(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))
    with transaction.atomic():
        view = SmartView.objects.create(
            organization=actor.organization, owner=actor.user, name=name, query=dict(query), text=text, lists=lists,
            shared=shared, description=description[:500], sort=sort, columns=list(columns),
        )  # fmt: skip
        events.record(actor, "created", "saved_search", view.pk, after={"name": name, "query": dict(query)})
    return view


def delete_smart_view(actor: Membership, view: SmartView) -> None:
    """Delete a Smart View: own ones, or others' with *manage team smart views*."""
    if view.owner_id != actor.user_id:
        authorize(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS))
    with transaction.atomic():
        events.record(actor, "deleted", "saved_search", view.pk, before={"name": view.name, "query": view.query})
        view.delete()
