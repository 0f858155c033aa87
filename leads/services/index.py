"""What is kept beside a lead and its contacts so that they are found: points, search text, the count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from crm.fieldkinds import fold
from crm.phones import normal_phone
from leads.models import Contact, ContactPoint, Lead

CHANNELS = ("emails", "phones", "urls")


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
                    channel=one, value=value[:320], kind=fold(entry.get("type") or "")[:30],
                )
            )  # fmt: skip
    return found


def index_points(contact: Contact) -> None:
    """Make the index of a contact's emails, phones and urls agree with it."""
    ContactPoint.objects.filter(contact=contact).delete()
    add_points([contact])


def add_points(contacts: Iterable[Contact]) -> None:
    """Index the emails, phones and urls of contacts that have no index yet."""
    ContactPoint.unscoped.bulk_create([point for contact in contacts for point in contact_points(contact)])


def refresh_lead(lead: Lead) -> None:
    """Make the lead's count of contacts and its search text agree with its contacts."""
    contacts = list(Contact.objects.filter(lead=lead).order_by("pk"))
    lead.contacts_count = len(contacts)
    lead.search_text = search_text(lead, contacts)
    lead.save(update_fields=["contacts_count", "search_text"])


def current_search_text(lead: Lead) -> str:
    """Return the search text of a lead with the contacts it has in the database."""
    return search_text(lead, list(Contact.objects.filter(lead=lead).order_by("pk")))


def search_text(lead: Lead, contacts: Sequence[Contact]) -> str:
    """Return the folded words the free-text box looks in: names, emails, phones (as written and as digits), domain."""
    parts = [lead.name, urlsplit(lead.url).hostname or ""]
    for contact in contacts:
        parts.append(contact.name)
        parts += [entry["email"] for entry in contact.emails]
        for entry in contact.phones:
            parts += [entry["phone"], re.sub(r"\D", "", entry["phone"])]
    return fold(" ".join(part for part in parts if part))[:10_000]
