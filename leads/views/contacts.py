"""Contacts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.customfields.catalog import Use, catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.models import Membership
from crm.permissions import can_view_field
from leads import queries, services
from leads.forms import ContactForm, PointRow, PointRows, show_apart
from leads.models import Contact, Lead
from leads.views.editing import Theirs, custom_keys, seen_by, seen_now, theirs_of, without_theirs


@dataclass(frozen=True)
class ContactValue:
    """`href`: where it links to, or empty. `chips`: (words, colour)."""

    label: str
    text: str
    href: str
    chips: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ContactCard:
    """A contact as the lead's page shows it, with its custom fields."""

    contact: Contact
    values: list[ContactValue]


SHOWN = 10  # of a lead's contacts; the others fold away, and tasks and timeline stay in reach


def contacts_context(actor: Membership, lead: Lead) -> dict[str, Any]:
    """Return what the panel *Contacts* of a lead shows."""
    lookups = Lookups(actor.organization, lead.pk)
    uses = [
        use
        for use in catalog(actor.organization).contact_uses
        if not use.field.kind.hidden and can_view_field(actor, use)
    ]
    rows = Contact.objects.filter(lead=lead).order_by("pk")
    cards = [ContactCard(row, _values(row, uses, lookups)) for row in rows]
    shown = SHOWN if len(cards) > SHOWN + 2 else len(cards)
    return {"lead": lead, "count": len(cards), "cards": cards[:shown], "folded": cards[shown:]}


def _values(contact: Contact, uses: list[Use], lookups: Lookups) -> list[ContactValue]:
    found = []
    for use in uses:
        stored = contact.values.get(str(use.field.id))
        if stored is not None:
            kind = use.field.kind
            href = "" if isinstance(stored, list) else kind.href(stored, use.field)
            text = kind.display(stored, use.field, lookups)
            found.append(ContactValue(use.field.name, text, href, kind.chips(stored, use.field)))
    return found


@member_page()
@require_GET
def lead_contacts(request: HttpRequest, lead_id: str) -> HttpResponse:
    """The panel *Contacts*, with the focus on the contact `focus` when one is named."""
    lead = queries.lead_for(request.actor, lead_id)
    return _panel(request, lead, request.GET.get("focus", ""))


def _panel(request: HttpRequest, lead: Lead, focus: str) -> HttpResponse:
    return render(request, "leads/_lead_contacts.html", contacts_context(request.actor, lead) | {"focus": focus})


def _contact_form(request: HttpRequest, lead: Lead, contact: Contact | None) -> HttpResponse:
    actor = request.actor
    posted = request.POST if request.method == "POST" else None
    form = ContactForm(posted, contact, spare=not request.htmx)
    custom = value_form(
        catalog(actor.organization).contact_uses, actor=actor, lookups=Lookups(actor.organization, lead.pk), data=posted,
        initial=contact.values if contact else None, prefix="c",
    )  # fmt: skip
    status, theirs = 200 if posted is None else 422, list[Theirs]()
    if posted is not None and form.is_valid():
        changes = without_theirs({**form.changes(), "custom": custom.raw()}, custom.uses, posted)
        try:
            if contact:
                services.update_contact(actor, contact, changes, seen=seen_by(posted))
            else:
                contact = services.create_contact(actor, lead, **changes)
        except InvalidInput as error:
            show_apart(error, form, custom)
        except services.EditedMeanwhile as conflict:
            status, theirs = conflict.status, _theirs(actor, contact, conflict.keys)
        else:
            if request.htmx:
                return _panel(request, lead, contact.public_id)
            return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    elif posted is not None:
        custom.full_clean()
    keys = ["name", "title", *services.CHANNELS, *custom_keys(custom)]
    seen = seen_now(services.contact_state(contact), keys) if contact else ""
    context = {"lead": lead, "contact": contact, "form": form, "custom": custom, "seen": seen, "theirs": theirs}
    response = render_page(request, "leads/contact.html", context, "leads/_contact_form.html", status=status)
    if posted is not None:
        response["HX-Retarget"] = f"#contact_{contact.public_id}" if contact else "#contact_new"
        response["HX-Reswap"] = "outerHTML"
    return response


def _theirs(actor: Membership, contact: Contact | None, keys: Sequence[str]) -> list[Theirs]:
    if contact is None:
        return []
    uses = [use for use in catalog(actor.organization).contact_uses if can_view_field(actor, use)]
    return theirs_of(services.contact_state(contact), keys, uses, Lookups(actor.organization, contact.lead_id))


@member_page()
@require_http_methods(["GET", "POST"])
def contact_create(request: HttpRequest, lead_id: str) -> HttpResponse:
    return _contact_form(request, queries.lead_for(request.actor, lead_id), None)


@member_page()
@require_http_methods(["GET", "POST"])
def contact_edit(request: HttpRequest, contact_id: str) -> HttpResponse:
    contact = queries.contact_for(request.actor, contact_id)
    return _contact_form(request, contact.lead, contact)


@member_page()
@require_GET
def contact_row(request: HttpRequest, channel: str) -> HttpResponse:
    """One more empty row for an email, phone or link of the form."""
    if channel not in services.CHANNELS:
        raise NotFound("There is no such kind of row.")
    rows = PointRows(channel, [], owner="".join(filter(str.isalnum, request.GET.get("owner", ""))) or "new")
    # Numbered by chance: the page may hold any number of rows already.
    row = PointRow(secrets.randbelow(10**9), "", "")
    return render(request, "leads/_point_row.html", {"rows": rows, "row": row, "focus": True})


@member_page()
@require_http_methods(["GET", "POST"])
def contact_delete(request: HttpRequest, contact_id: str) -> HttpResponse:
    """GET: how many activities name the contact. POST: delete it, with an offer to undo."""
    contact = queries.contact_for(request.actor, contact_id)
    lead, name = contact.lead, str(contact)
    if request.method == "GET":
        context = {"lead": lead, "contact": contact, "named_by": services.activities_with(contact).count()}
        return render_page(request, "leads/contact_delete.html", context, "leads/_contact_delete.html")
    event = services.delete_contact(request.actor, contact)
    if not request.htmx:
        return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead.public_id]))
    undo = reverse("leads:contact_restore", args=[request.organization.slug, event.public_id])
    return toast(_panel(request, lead, "add"), f"{name} is deleted.", undo_url=undo)


@member_page()
@require_POST
def contact_restore(request: HttpRequest, event_id: str) -> HttpResponse:
    event = queries.deletion_for(request.actor, event_id, "contact")
    contact = services.restore_contact(request.actor, event)
    return toast(trigger(HttpResponse(status=204), "contacts-changed"), f"{contact} is back.")
