"""REST doors to leads and contacts, and the objects every other door of leads answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import (
    Body,
    custom_given,
    custom_json,
    listed,
    listing,
    member_user,
    moment,
    name_of,
    numbers,
    renders,
    shows,
    stamp,
    user_id_of,
)  # fmt: skip
from crm.api_people import organization_parts
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotFound
from leads import services
from leads.legacy import legacy_leads
from leads.models import Contact, Lead, LeadStatus, Task
from leads.queries import (
    contact_for,
    lead_for,
    smart_view_for,
    statuses,
    visible_contacts,
    visible_leads,
)  # fmt: skip
from leads.search.run import parse

router = Router(tags=["Leads"])
LEAD = {"id": "lead_9f…", "display_name": "Bluth Company", "status_label": "Potential", "custom.cf_3W…": "Software"}
CONTACT = {
    "id": "cont_7d…",
    "lead_id": "lead_9f…",
    "name": "Gob",
    "emails": [{"type": "office", "email": "gob@bluth.example"}],
}


# --- objects ----------------------------------------------------------------------------------------------------------
def _audit(request: HttpRequest, row: Lead | Contact) -> dict[str, Any]:
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
        "phones": [{**entry, "phone_formatted": entry["phone"], "country": None} for entry in contact.phones],
        "urls": contact.urls,
        "integration_links": [],
        **_audit(request, contact),
        **custom_json(request, catalog(request.organization).contact_uses, contact.values),
    }


def leads_json(request: HttpRequest, leads: Sequence[Lead]) -> list[dict[str, Any]]:
    """Return leads with their contacts and open tasks: two queries, whatever the number."""
    contacts: dict[int, list[Contact]] = {lead.pk: [] for lead in leads}
    for contact in Contact.objects.filter(lead_id__in=contacts).order_by("pk"):
        contacts[contact.lead_id].append(contact)
    tasks: dict[int, list[Task]] = {lead.pk: [] for lead in leads}
    for task in Task.objects.filter(lead_id__in=tasks, done_at=None).select_related("lead").order_by("pk"):
        tasks[task.lead_id].append(task)
    return [_lead_json(request, lead, contacts[lead.pk], tasks[lead.pk]) for lead in leads]


def _lead_json(request: HttpRequest, lead: Lead, contacts: list[Contact], tasks: list[Task]) -> dict[str, Any]:
    uses = catalog(request.organization).lead_uses
    flat = custom_json(request, uses, lead.values)
    by_name = {use.field.name: flat[key] for use in uses if (key := f"custom.{use.field.public_id}") in flat}
    label = {row.pk: row.label for row in status_rows(request)}.get(lead.status_id)
    return {
        "id": lead.public_id,
        "name": lead.name,
        "display_name": lead.name,
        "description": lead.description,
        "url": lead.url or None,
        "html_url": f"{settings.BASE_URL}/o/{request.organization.slug}/leads/{lead.public_id}/",
        "status_id": ids.encode("stat", lead.status_id),
        "status_label": label,
        "contact_ids": [contact.public_id for contact in contacts],
        "contacts": [contact_json(request, contact) for contact in contacts],
        "addresses": lead.addresses,
        "opportunities": [],
        "tasks": [task_json(request, task) for task in tasks],
        "integration_links": [],
        "primary_email": next((contact.emails[0] for contact in contacts if contact.emails), None),
        "primary_phone": next((contact.phones[0] for contact in contacts if contact.phones), None),
        "source": lead.source,
        **_audit(request, lead),
        "custom": by_name,
        **flat,
    }


def status_rows(request: HttpRequest) -> list[LeadStatus]:
    if not hasattr(request, "lead_statuses"):
        request.lead_statuses = statuses()
    return request.lead_statuses


def status_json(request: HttpRequest, status: LeadStatus) -> dict[str, Any]:
    return {
        "id": status.public_id,
        "label": status.label,
        "color": status.color or None,
        "organization_id": request.organization.public_id,
    }


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


organization_parts.append(
    lambda request: {"lead_statuses": [status_json(request, row) for row in status_rows(request)]}
)


@renders("lead")
def _render_leads(request: HttpRequest, pks: list[int]) -> dict[int, dict[str, Any]]:
    rows = list(visible_leads(request.actor).filter(pk__in=pks))
    return dict(zip([row.pk for row in rows], leads_json(request, rows), strict=True))


@renders("contact")
def _render_contacts(request: HttpRequest, pks: list[int]) -> dict[int, dict[str, Any]]:
    return {row.pk: contact_json(request, row) for row in visible_contacts(request.actor).filter(pk__in=pks)}


# --- leads ------------------------------------------------------------------------------------------------------------
class ContactBody(Body):
    lead_id: str | None = None
    name: str | None = None
    title: str | None = None
    emails: list[dict[str, Any] | str] | None = None
    phones: list[dict[str, Any] | str] | None = None
    urls: list[dict[str, Any] | str] | None = None


class LeadBody(Body):
    name: str | None = None
    description: str | None = None
    url: str | None = None
    status: str | None = None
    status_id: str | None = None
    addresses: list[dict[str, Any]] | None = None
    contacts: list[ContactBody] | None = None


@router.get("/lead/", summary="List leads", openapi_extra=shows(
    {"data": [LEAD], "has_more": False, "total_results": 1},
    query={"query": "Close's text language: `status:\"Potential\" sort:-date_updated`, or words", "saved_search_id": "a Smart View",
           "_skip": "at most 35000", "_limit": "at most 200", "_fields": "names of keys, comma-joined"}))  # fmt: skip
def list_leads(request: HttpRequest) -> Any:
    """Newest first, unless the query says `sort:`."""
    rows = visible_leads(request.actor)
    order = ["-date_created", "-pk"]
    if text := request.GET.get("query", "").strip():
        rows, asked = legacy_leads(request.actor, rows, text, request.zone)
        order = asked or order
    if view_id := request.GET.get("saved_search_id"):
        from django.db.models.expressions import RawSQL

        from leads.search.run import id_subquery

        sql, params = id_subquery(
            request.actor, parse(smart_view_for(request.actor, view_id).query, request.actor), "lead"
        )
        rows = rows.filter(pk__in=RawSQL(sql, params))
    return listing(
        request, rows.order_by(*order), lambda page: leads_json(request, page), maximum=200, max_skip=35_000, total=True
    )


@router.post("/lead/", summary="Create a lead", openapi_extra=shows(LEAD, sends={
    "name": "Bluth Company", "status": "Potential", "custom.Industry": "Software",
    "contacts": [{"name": "Gob", "title": "Magician", "emails": [{"email": "gob@bluth.example", "type": "office"}]}]}))  # fmt: skip
def create_lead(request: HttpRequest, body: LeadBody) -> Any:
    """All keys are optional. Custom fields: `custom.<cf id>`, `custom.<Field name>` or a `custom` object."""
    given = body.given()
    contacts = [_contact_given(request, row) for row in given.get("contacts") or []]
    fallback = next((row["name"] for row in contacts if row.get("name")), "Untitled lead")
    with _named_as_given(given):
        lead = services.create_lead(
            request.actor, name=given.get("name") or fallback, status=given.get("status_id") or given.get("status"),
            description=given.get("description") or "", url=given.get("url") or "", addresses=given.get("addresses") or [],
            contacts=contacts, custom=custom_given(request, catalog(request.organization).lead_uses, given) or {},
            date_created=_past(request, given), created_by=member_user(request, given.get("created_by"), "created_by"),
            source="api",
        )  # fmt: skip
    return get_lead(request, lead.public_id)


@contextmanager
def _named_as_given(given: Mapping[str, Any]) -> Iterator[None]:
    """An unknown status is the error of the key that was sent: `status_id` or `status`."""
    try:
        yield
    except InvalidInput as error:
        if given.get("status_id") and "status" in error.fields:
            error.fields["status_id"] = error.fields.pop("status")
        raise


def _past(request: HttpRequest, given: Mapping[str, Any]) -> Any:
    text = given.get("date_created")
    return moment(text, "date_created", request.zone) if text else None


class MergeBody(Body):
    source: str | None = None
    destination: str | None = None


# Above the routes of one lead: “merge” would be taken for an id.
@router.post(
    "/lead/merge/",
    summary="Merge a lead into another",
    openapi_extra=shows({}, sends={"source": "lead_1a…", "destination": "lead_9f…"}),
)
def merge_leads(request: HttpRequest, body: MergeBody) -> Any:
    """The source goes; its contacts, tasks and activities move to the destination, whose own values win."""
    pair = {key: lead_given(request, getattr(body, key), key) for key in ("source", "destination")}
    services.merge_leads(request.actor, pair["source"], pair["destination"])
    return {}


@router.get("/lead/{lead_id}/", summary="One lead", openapi_extra=shows(LEAD))
def get_lead(request: HttpRequest, lead_id: str) -> Any:
    return leads_json(request, [lead_for(request.actor, lead_id)])[0]


@router.put(
    "/lead/{lead_id}/",
    summary="Change a lead",
    openapi_extra=shows(LEAD, sends={"status": "Customer", "custom.cf_3W….add": ["B2B"]}),
)
def update_lead(request: HttpRequest, lead_id: str, body: LeadBody) -> Any:
    """Only what is sent changes. `null` clears; `custom.<id>.add` and `.remove` change lists."""
    lead, given = lead_for(request.actor, lead_id), body.given()
    changes = {key: given[key] for key in ("name", "description", "url", "addresses") if key in given}
    if status := given.get("status_id") or given.get("status"):
        changes["status"] = status
    custom = custom_given(request, catalog(request.organization).lead_uses, given, lead.values)
    if custom is not None:
        changes["custom"] = custom
    with _named_as_given(given):
        services.update_lead(request.actor, lead, changes)
    return get_lead(request, lead_id)


@router.delete("/lead/{lead_id}/", summary="Delete a lead with everything under it", openapi_extra=shows({}))
def delete_lead(request: HttpRequest, lead_id: str) -> Any:
    services.delete_lead(request.actor, lead_for(request.actor, lead_id))
    return {}


# --- contacts ---------------------------------------------------------------------------------------------------------
def _contact_given(request: HttpRequest, given: Mapping[str, Any], current: Contact | None = None) -> dict[str, Any]:
    found = {key: given[key] for key in ("name", "title", *services.CHANNELS) if key in given}
    uses = catalog(request.organization).contact_uses
    custom = custom_given(request, uses, given, current.values if current else None)
    return found | ({"custom": custom} if custom is not None else {})


@router.get(
    "/contact/",
    summary="List contacts",
    openapi_extra=shows({"data": [CONTACT], "has_more": False}, query={"lead_id": "of this lead"}),
)
def list_contacts(request: HttpRequest) -> Any:
    rows = visible_contacts(request.actor).order_by("-date_created", "-pk")
    if (leads := listed(request, "lead_id")) is not None:
        rows = rows.filter(lead_id__in=numbers("lead", leads))
    return listing(request, rows, lambda page: [contact_json(request, row) for row in page])


@router.post(
    "/contact/", summary="Create a contact", openapi_extra=shows(CONTACT, sends={"lead_id": "lead_9f…", "name": "Gob"})
)
def create_contact(request: HttpRequest, body: ContactBody) -> Any:
    """Without `lead_id` a new lead is made, named after the contact."""
    given = body.given()
    contact = _contact_given(request, given)
    if not given.get("lead_id"):
        name = contact.get("name") or "Untitled lead"
        lead = services.create_lead(request.actor, name=name, contacts=[contact], source="api")
        return contact_json(request, Contact.objects.get(lead=lead))
    lead = lead_given(request, given["lead_id"])
    return contact_json(request, services.create_contact(request.actor, lead, **contact))


def lead_given(request: HttpRequest, lead_id: Any, key: str = "lead_id") -> Lead:
    """Return the lead a body names under `key`; a missing or foreign one is the field's error, not a 404."""
    if not lead_id:
        raise InvalidInput(fields={key: "This field is required."})
    try:
        return lead_for(request.actor, lead_id)
    except NotFound as error:
        raise InvalidInput(fields={key: error.message}) from None


@router.get("/contact/{contact_id}/", summary="One contact", openapi_extra=shows(CONTACT))
def get_contact(request: HttpRequest, contact_id: str) -> Any:
    return contact_json(request, contact_for(request.actor, contact_id))


@router.put("/contact/{contact_id}/", summary="Change a contact", openapi_extra=shows(CONTACT, sends={"title": "CEO"}))
def update_contact(request: HttpRequest, contact_id: str, body: ContactBody) -> Any:
    contact = contact_for(request.actor, contact_id)
    services.update_contact(request.actor, contact, _contact_given(request, body.given(), contact))
    return get_contact(request, contact_id)


@router.delete("/contact/{contact_id}/", summary="Delete a contact", openapi_extra=shows({}))
def delete_contact(request: HttpRequest, contact_id: str) -> Any:
    services.delete_contact(request.actor, contact_for(request.actor, contact_id))
    return {}
