"""Writing contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.cleaning import clean_values, drop_hidden
from crm.customfields.lookups import Lookups
from crm.customfields.values import delete_index, index_rows, insert_index_many, replace_index
from crm.errors import Conflict, InvalidInput, NotFound
from crm.fieldkinds import KINDS, InvalidValue
from crm.models import Event, Membership
from leads.models import Contact, Lead
from leads.queries import visible_leads
from leads.services.custom import Named, by_field_id
from leads.services.editing import put_back, untouched
from leads.services.index import CHANNELS, add_points, index_points, refresh_lead
from leads.services.states import origin


def create_contact(actor: Membership, lead: Lead, **given: Any) -> Contact:
    """Add a contact to a lead: name, title, emails, phones, urls (text or `{"email": …, "type": …}`), custom."""
    with transaction.atomic():
        # Locked before the contact refers to it: two such inserts at once would wait for each other.
        lead = Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)
        contact = add_contact(actor, lead, given)
        refresh_lead(lead)
    return contact


def update_contact(
    actor: Membership, contact: Contact, changes: Mapping[str, Any], *, seen: Mapping[str, str] | None = None
) -> Contact:
    """Change parts of a contact. `seen`: marks of what the actor's form showed, as in `update_lead`."""
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
        if seen and (left := untouched(before, contact_state(contact), seen)):
            put_back(contact, before, left)
            drop_hidden(known.contact_uses, contact.values)
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


def delete_contact(actor: Membership, contact: Contact) -> Event:
    """Delete a contact. Activities that name it stay and show it as deleted. The event brings it back (`restore_contact`)."""
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).get(pk=contact.lead_id)
        contact = Contact.objects.select_for_update().get(pk=contact.pk)
        meta = {
            "activity_ids": list(activities_with(contact).order_by("pk").values_list("pk", flat=True)),
            "created_by_id": contact.created_by_id,
            "date_created": contact.date_created.isoformat(),
        }
        event = events.record(
            actor, "deleted", "contact", contact.pk, lead_id=lead.pk,
            before=contact_state(contact) | origin(contact), meta=meta,
        )  # fmt: skip
        delete_index(lead.pk, catalog(actor.organization).fields, [-contact.pk])
        contact.delete()
        refresh_lead(lead)
    return event


def restore_contact(actor: Membership, event: Event) -> Contact:
    """Bring a deleted contact back with its id, and to the activities that named it. Raises `NotFound` or `Conflict`."""
    state, meta = event.before or {}, event.meta
    if (event.action, event.object_type) != ("deleted", "contact") or "activity_ids" not in meta:
        raise NotFound("There is nothing to bring back.")
    with transaction.atomic():
        lead = visible_leads(actor).select_for_update(no_key=True, of=("self",)).filter(pk=event.lead_id).first()
        if lead is None:
            raise NotFound("The lead of this contact is gone, so it cannot come back.")
        if Contact.objects.filter(pk=event.object_id).exists():
            raise Conflict("This contact is back already.")
        known = catalog(actor.organization)
        values = {key.removeprefix("custom."): value for key, value in state.items() if key.startswith("custom.")}
        contact = Contact.objects.create(
            pk=event.object_id, organization=actor.organization, lead=lead, values=values,
            created_by_id=meta["created_by_id"], updated_by=actor.user,
            date_created=datetime.fromisoformat(meta["date_created"]),
            **{key: state[key] for key in ("name", "title", *CHANNELS)},
        )  # fmt: skip
        insert_index_many(index_rows(known, lead.pk, -contact.pk, values))
        index_points(contact)
        activity = apps.get_model("activities", "Activity")
        activity.with_drafts.filter(pk__in=meta["activity_ids"], lead=lead, contact=None).update(contact=contact)
        refresh_lead(lead)
        events.record(
            actor, "created", "contact", contact.pk, lead_id=lead.pk, after=contact_state(contact),
            meta={"restored_from": event.public_id},
        )  # fmt: skip
    return contact


def activities_with(contact: Contact) -> QuerySet[Any]:
    """Return the activities, drafts included, that name the contact. They belong to a higher app: asked for by name."""
    return apps.get_model("activities", "Activity").with_drafts.filter(contact=contact)


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
    (contact,) = add_contacts(actor, lead, [new_contact(actor, given)], [given])
    events.record_many(actor, [created(contact)])
    return contact


def new_contact(actor: Membership, given: Mapping[str, Any]) -> Contact:
    """Return a contact with what does not depend on its lead, checked, not saved."""
    contact = Contact(
        organization=actor.organization, created_by=actor.user, updated_by=actor.user, **_clean_contact(given)
    )
    _require_something(contact)
    return contact


def add_contacts(
    actor: Membership, lead: Lead, contacts: Sequence[Contact], given: Sequence[Mapping[str, Any]]
) -> list[Contact]:
    """Save new contacts of a lead with their custom fields; the caller refreshes the lead and writes the events."""
    known = catalog(actor.organization)
    for contact, told in zip(contacts, given, strict=True):
        contact.lead = lead
        contact.values = clean_values(
            actor, known.contact_uses, by_field_id(known.contact_uses, told.get("custom") or {}), current={},
            lookups=Lookups(actor.organization, lead.pk), require=False, partial=True,
        )  # fmt: skip
        contact.save(force_insert=True)
        insert_index_many(index_rows(known, lead.pk, -contact.pk, contact.values))
    add_points(contacts)
    return list(contacts)


def created(contact: Contact) -> events.EventRow:
    return events.EventRow("created", "contact", contact.pk, contact.lead_id, after=contact_state(contact))


def _require_something(contact: Contact) -> None:
    if not (contact.name or contact.emails or contact.phones):
        raise InvalidInput(fields={"name": "A contact needs a name, an email or a phone number."})


def clean_point(channel: str, text: str) -> str:
    """Return an email, phone or url (`channel` in plural) as it is kept; raises `InvalidInput` with a sentence."""
    one = channel[:-1]
    try:
        return KINDS[one].clean_one(text.strip(), Named(f"The {one}"), None, None)
    except InvalidValue as error:
        raise InvalidInput(str(error)) from None


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
                text = clean_point(channel, text)
            except InvalidInput as error:
                errors[channel] = f"“{text[:60]}”: {error.message}"
                continue
            entries.append({one: text, "type": str(row.get("type") or ("url" if one == "url" else "office"))[:30]})
        clean[channel] = entries
    if errors:
        raise InvalidInput(fields=errors)
    return clean
