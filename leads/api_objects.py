"""Leads, contacts, statuses and tasks as the REST API shows them. A lead is rendered with the keys that are asked for, no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest

from crm import ids
from crm.api import Wanted, custom_json, name_of, renders, stamp, user_id_of
from crm.api_people import organization_parts
from crm.customfields.catalog import catalog
from crm.phones import phone_country, shown_phone
from leads.api_figures import add_figures, columns_of_figures, contact_numbers
from leads.models import Contact, Lead, LeadStatus, Task
from leads.queries import seen_tasks, statuses, visible_contacts, visible_leads


# --- contacts ---------------------------------------------------------------------------------------------------------
def _audit(request: HttpRequest, row: Contact) -> dict[str, Any]:
    return {
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(row.created_by_id),
        "created_by_name": name_of(request, row.created_by_id),
        "updated_by": user_id_of(row.updated_by_id),
        "updated_by_name": name_of(request, row.updated_by_id),
        "date_created": stamp(row.date_created),
        "date_updated": stamp(row.date_updated),
    }


def contact_json(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.public_id,
        "lead_id": ids.encode("lead", contact.lead_id),
        "name": contact.name,
        "display_name": str(contact),
        "title": contact.title,
        "emails": [{**entry, "is_unsubscribed": False} for entry in contact.emails],
        "phones": [
            {**entry, "phone_formatted": shown_phone(entry["phone"]), "country": phone_country(entry["phone"])}
            for entry in contact.phones
        ],
        "urls": contact.urls,
        "integration_links": [],
        **_audit(request, contact),
        **contact_numbers(request, contact),
        **custom_json(request, catalog(request.organization).contact_uses, contact.values),
    }


# --- leads ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Around:
    """What lies around one lead."""

    contacts: Sequence[Contact] = ()
    tasks: Sequence[Task] = ()


Key = Callable[[HttpRequest, Lead, _Around], Any]
# The keys of a lead in their order: the columns each needs, and how it is made.
_LEAD: dict[str, tuple[tuple[str, ...], Key]] = {
    "id": ((), lambda request, lead, around: lead.public_id),
    "name": (("name",), lambda request, lead, around: lead.name),
    "display_name": (("name",), lambda request, lead, around: lead.name),
    "description": (("description",), lambda request, lead, around: lead.description),
    "url": (("url",), lambda request, lead, around: lead.url or None),
    "html_url": ((), lambda request, lead, around: f"{settings.BASE_URL}/o/{request.organization.slug}/leads/{lead.public_id}/"),
    "status_id": (("status_id",), lambda request, lead, around: ids.encode("stat", lead.status_id)),
    "status_label": (("status_id",), lambda request, lead, around: _labels(request).get(lead.status_id)),
    "contact_ids": ((), lambda request, lead, around: [contact.public_id for contact in around.contacts]),
    "contacts": ((), lambda request, lead, around: [contact_json(request, contact) for contact in around.contacts]),
    "addresses": (("addresses",), lambda request, lead, around: lead.addresses),
    "opportunities": ((), lambda request, lead, around: []),
    "tasks": ((), lambda request, lead, around: [task_json(request, task) for task in around.tasks]),
    "integration_links": ((), lambda request, lead, around: []),
    "primary_email": ((), lambda request, lead, around: next((row.emails[0] for row in around.contacts if row.emails), None)),
    "primary_phone": ((), lambda request, lead, around: next((row.phones[0] for row in around.contacts if row.phones), None)),
    "source": (("source",), lambda request, lead, around: lead.source),
    "organization_id": ((), lambda request, lead, around: request.organization.public_id),
    "created_by": (("created_by_id",), lambda request, lead, around: user_id_of(lead.created_by_id)),
    "created_by_name": (("created_by_id",), lambda request, lead, around: name_of(request, lead.created_by_id)),
    "updated_by": (("updated_by_id",), lambda request, lead, around: user_id_of(lead.updated_by_id)),
    "updated_by_name": (("updated_by_id",), lambda request, lead, around: name_of(request, lead.updated_by_id)),
    "date_created": (("date_created",), lambda request, lead, around: stamp(lead.date_created)),
    "date_updated": (("date_updated",), lambda request, lead, around: stamp(lead.date_updated)),
}  # fmt: skip
_OF_CONTACTS = {"contact_ids", "contacts", "primary_email", "primary_phone"}


def lead_columns(rows: QuerySet[Lead], wanted: Wanted) -> QuerySet[Lead]:
    """Return the rows with the columns that `leads_json` reads for these keys."""
    if wanted is None:
        return rows
    names = {name for key in wanted if key in _LEAD for name in _LEAD[key][0]}
    names |= columns_of_figures(wanted)
    return rows.only("pk", *names, *(["values"] if _wants_custom(wanted) else []))


def leads_json(request: HttpRequest, leads: Sequence[Lead], wanted: Wanted = None) -> list[dict[str, Any]]:
    """Return leads with the wanted keys (None: all). Contacts and open tasks cost one query each, and only when wanted."""
    numbers = [lead.pk for lead in leads]
    contacts: dict[int, list[Contact]] = {}
    tasks: dict[int, list[Task]] = {}
    if wanted is None or not _OF_CONTACTS.isdisjoint(wanted):
        contacts = _by_lead(Contact.objects.filter(lead_id__in=numbers).order_by("pk"))
    if wanted is None or "tasks" in wanted:
        open_tasks = Task.objects.filter(lead_id__in=numbers, done_at=None)
        tasks = _by_lead(open_tasks.select_related("lead").order_by("pk"))
    keys = [(key, make) for key, (_, make) in _LEAD.items() if wanted is None or key in wanted]
    custom = wanted is None or _wants_custom(wanted)
    found = []
    for lead in leads:
        around = _Around(contacts.get(lead.pk, ()), tasks.get(lead.pk, ()))
        shown = {key: make(request, lead, around) for key, make in keys}
        found.append({**shown, **_custom_of_lead(request, lead)} if custom else shown)
    return found


def _by_lead(rows: Iterable[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.lead_id, []).append(row)
    return found


def _wants_custom(wanted: AbstractSet[str]) -> bool:
    return any(key == "custom" or key.startswith("custom.") for key in wanted)


def _custom_of_lead(request: HttpRequest, lead: Lead) -> dict[str, Any]:
    """Return custom values twice, as Close does: by name in `custom`, and as flat `custom.cf_…` keys."""
    uses = catalog(request.organization).lead_uses
    flat = custom_json(request, uses, lead.values)
    by_name = {use.field.name: flat[key] for use in uses if (key := f"custom.{use.field.public_id}") in flat}
    return {"custom": by_name, **flat}


@renders("lead")
def _render_leads(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    rows = list(lead_columns(visible_leads(request.actor).filter(pk__any=pks), wanted))
    shown = add_figures(request, rows, leads_json(request, rows, wanted))
    return dict(zip([row.pk for row in rows], shown, strict=True))


@renders("contact")
def _render_contacts(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    return {row.pk: contact_json(request, row) for row in visible_contacts(request.actor).filter(pk__in=pks)}


# --- statuses ---------------------------------------------------------------------------------------------------------
def status_rows(request: HttpRequest) -> list[LeadStatus]:
    if not hasattr(request, "lead_statuses"):
        request.lead_statuses = statuses()
    return request.lead_statuses


def _labels(request: HttpRequest) -> dict[int, str]:
    if not hasattr(request, "lead_status_labels"):
        request.lead_status_labels = {row.pk: row.label for row in status_rows(request)}
    return request.lead_status_labels


def status_json(request: HttpRequest, status: LeadStatus) -> dict[str, Any]:
    return {
        "id": status.public_id,
        "label": status.label,
        "color": status.color or None,
        "organization_id": request.organization.public_id,
    }


organization_parts.append(
    lambda request: {"lead_statuses": [status_json(request, row) for row in status_rows(request)]}
)


@renders("status.lead")
def _render_statuses(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    return {row.pk: status_json(request, row) for row in status_rows(request) if row.pk in pks}


# --- tasks ------------------------------------------------------------------------------------------------------------
def task_json(request: HttpRequest, task: Task) -> dict[str, Any]:
    return {
        "id": task.public_id,
        "_type": "lead",
        "object_type": None,
        "object_id": None,
        "lead_id": ids.encode("lead", task.lead_id),
        "lead_name": task.lead.name,
        "text": task.text,
        "date": task.due_date.isoformat() if task.due_date else None,
        "due_date": task.due_date.isoformat() if task.due_date else None,
        "is_dateless": task.due_date is None,
        "is_complete": task.done_at is not None,
        "assigned_to": user_id_of(task.assigned_to_id),
        "assigned_to_name": name_of(request, task.assigned_to_id),
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(task.created_by_id),
        "created_by_name": name_of(request, task.created_by_id),
        "date_created": stamp(task.date_created),
        "date_updated": stamp(task.date_updated),
    }


@renders("task")
def _render_tasks(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    rows = seen_tasks(request.actor, Task.objects.select_related("lead").filter(pk__in=pks))
    return {row.pk: task_json(request, row) for row in rows}
