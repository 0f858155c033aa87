"""Writing contacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.customfields.values import delete_index, index_rows, insert_index_many, replace_index
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, InvalidValue
from crm.models import Membership
from leads.models import Contact, Lead
from leads.services.custom import Named, by_field_id
from leads.services.index import CHANNELS, index_points, refresh_lead


def create_contact(actor: Membership, lead: Lead, **given: Any) -> Contact:
    """Add a contact to a lead: name, title, emails, phones, urls (text or `{"email": …, "type": …}`), custom."""
    with transaction.atomic():
        # Locked before the contact refers to it: two such inserts at once would wait for each other.
        lead = Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)
        contact = add_contact(actor, lead, given)
        refresh_lead(lead)
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
                actor, known.contact_uses, by_field_id(known.contact_uses, changes["custom"]), current=old_values,
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
            index_points(contact)
            refresh_lead(Lead.objects.select_for_update(no_key=True).get(pk=contact.lead_id))
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
        refresh_lead(lead)


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


def add_contact(actor: Membership, lead: Lead, given: Mapping[str, Any]) -> Contact:
    """Write a contact of a lead; the caller locks the lead and refreshes it."""
    known = catalog(actor.organization)
    clean = _clean_contact(given)
    custom = by_field_id(known.contact_uses, given.get("custom") or {})
    lookups = Lookups(actor.organization, lead.pk)
    values = clean_values(actor, known.contact_uses, custom, current={}, lookups=lookups, require=False, partial=True)
    contact = Contact(
        organization=actor.organization, lead=lead, values=values, created_by=actor.user, updated_by=actor.user, **clean
    )
    _require_something(contact)
    contact.save()
    insert_index_many(index_rows(known, lead.pk, -contact.pk, values))
    index_points(contact)
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
                text = KINDS[one].clean_one(text, Named(f"The {one}"), None, None)
            except InvalidValue as error:
                errors[channel] = f"“{text[:60]}”: {error}"
                continue
            entries.append({one: text, "type": str(row.get("type") or ("url" if one == "url" else "office"))[:30]})
        clean[channel] = entries
    if errors:
        raise InvalidInput(fields=errors)
    return clean
