"""REST doors to leads and contacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import (
    Body,
    between,
    custom_given,
    listed,
    listing,
    member_user,
    moment,
    numbers,
    ordered,
    shows,
    wanted_keys,
)  # fmt: skip
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotFound
from leads import services
from leads.api_figures import add_figures
from leads.api_objects import contact_json, lead_columns, leads_json
from leads.legacy import legacy_leads
from leads.models import Contact, Lead
from leads.queries import (
    contact_for,
    lead_for,
    smart_view_for,
    visible_contacts,
    visible_leads,
)  # fmt: skip
from leads.search.legacy import read_contacts
from leads.search.run import id_subquery, parse

router = Router(tags=["Leads"])
LEAD = {"id": "lead_9f…", "display_name": "Bluth Company", "status_label": "Potential", "custom.cf_3W…": "Software"}
CONTACT = {
    "id": "cont_7d…",
    "lead_id": "lead_9f…",
    "name": "Gob",
    "emails": [{"type": "office", "email": "gob@bluth.example"}],
}


_LEAD_ORDERS = {
    "date_created": "date_created", "date_updated": "date_updated", "name": "name_fold", "display_name": "name_fold",
}  # fmt: skip
_CONTACT_ORDERS = {name: name for name in ("date_created", "date_updated", "name")}


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
           "status_id": "with these statuses", "date_created__gte": "also gt, lt, lte; and date_updated__…",
           "_order_by": "date_created, date_updated or name, with - for descending; another name leaves the order as it is",
           "_skip": "at most 35000", "_limit": "at most 200", "_fields": "names of keys, comma-joined"}))  # fmt: skip
def list_leads(request: HttpRequest) -> Any:
    """Newest first, unless the query says `sort:` or `_order_by` another order. `_fields=_all` adds what is counted: `num_calls`, `last_call_date` and their kin."""
    rows = visible_leads(request.actor)
    order = ordered(request, _LEAD_ORDERS, "-date_created")
    if text := request.GET.get("query", "").strip():
        rows, asked = legacy_leads(request.actor, rows, text, request.zone)
        order = asked or order
    if view_id := request.GET.get("saved_search_id"):
        rows = _among(request, rows, smart_view_for(request.actor, view_id).query, "lead")
    if (statuses := listed(request, "status_id")) is not None:
        rows = rows.filter(status_id__in=numbers("stat", statuses))
    rows = between(request, rows, "date_created", "date_updated")
    wanted = wanted_keys(request)
    return listing(
        request, lead_columns(rows.order_by(*order), wanted), lambda page: add_figures(request, page, leads_json(request, page, wanted)),
        maximum=200, max_skip=35_000, total=True,
    )  # fmt: skip


def _contact_words(text: str) -> dict[str, Any]:
    """Return the search for contacts with these words in their name or title, or in an email or phone."""
    ways: list[dict[str, Any]] = [{"type": "text", "value": text}]
    for channel in ("email", "phone"):
        of = f"contact_{channel}"
        field = {"type": "regular_field", "object_type": of, "field_name": channel}
        asked = {
            "type": "field_condition",
            "field": field,
            "condition": {"type": "text", "value": text, "mode": "phrase"},
        }
        ways.append(
            {"type": "has_related", "this_object_type": "contact", "related_object_type": of, "related_query": asked}
        )
    return {
        "type": "and",
        "queries": [{"type": "object_type", "object_type": "contact"}, {"type": "or", "queries": ways}],
    }


def _among(request: HttpRequest, rows: Any, tree: Mapping[str, Any], object_type: str) -> Any:
    """Return those of the rows that a search selects."""
    sql, params = id_subquery(request.actor, parse(tree, request.actor), object_type)
    return rows.filter(pk__in=RawSQL(sql, params))


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
    """`_fields=_all` adds what is worked out: `num_calls`, `last_call_date`, `times_communicated` and every other computed
    field that a search knows, under the same name. Each can be asked for by itself as well.
    """
    found = [lead_for(request.actor, lead_id)]
    return add_figures(request, found, leads_json(request, found, wanted_keys(request)))[0]


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
    openapi_extra=shows(
        {"data": [CONTACT], "has_more": False},
        query={
            "lead_id": "of this lead",
            "query": 'words of name, title, emails and phones; or email:"gob@bluth.example", phone:…, name:…, title:…',
            "_order_by": "date_created, date_updated or name, with - for descending; another name leaves the order as it is",
        },
    ),
)
def list_contacts(request: HttpRequest) -> Any:
    rows = visible_contacts(request.actor).order_by(*ordered(request, _CONTACT_ORDERS, "-date_created"))
    if text := request.GET.get("query", "").strip():
        tree = read_contacts(text, request.actor, request.zone) or _contact_words(text)
        rows = _among(request, rows, tree, "contact")
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


def lead_given(request: HttpRequest, lead_id: Any, key: str = "lead_id", *, whole: bool = True) -> Lead:
    """Return the lead a body names under `key`; a missing or foreign one is the field's error, not a 404.

    Without `whole` only its name is loaded, which is all that writing something on it takes.
    """
    if not lead_id:
        raise InvalidInput(fields={key: "This field is required."})
    if not whole:
        rows = visible_leads(request.actor).filter(pk=ids.decode("lead", lead_id))
        for lead in rows.only("pk", "organization_id", "name")[:1]:
            return lead
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
