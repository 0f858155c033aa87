"""Writing leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from crm import events, ids
from crm.customfields.catalog import Use, catalog
from crm.customfields.cleaning import api_key_of, clean_values, drop_hidden, is_shown
from crm.customfields.lookups import Lookups
from crm.customfields.values import delete_index, index_rows, insert_index_many, replace_index
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, InvalidValue, fold, is_blank
from crm.models import Membership, User
from crm.permissions import Perm, authorize, has
from leads.models import Contact, Lead, LeadStatus, Task
from leads.queries import statuses
from leads.services.contacts import add_contacts, contact_state, created, new_contact
from leads.services.custom import Named, by_field_id
from leads.services.editing import put_back, untouched
from leads.services.index import current_search_text, search_text
from leads.services.states import origin, task_state

ADDRESS_PARTS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")


class Observer(Protocol):
    """What activities do when a lead changes (`settings.LEAD_OBSERVER`)."""

    def lead_created(self, actor: Membership, lead: Lead) -> None: ...
    def status_changed(self, actor: Membership, lead: Lead, old: LeadStatus, new: LeadStatus) -> None: ...
    def lead_deleted(self, actor: Membership, lead: Lead) -> None: ...
    def task_completed(self, actor: Membership, task: Task) -> None: ...
    def task_reopened(self, actor: Membership, task: Task) -> None: ...
    def lock_activities(self, lead_ids: Iterable[int]) -> None: ...
    def lead_merged(
        self, actor: Membership, source: Lead, destination: Lead, replaced: Mapping[int, int], kept_beside: str
    ) -> None: ...


def observer() -> Any:
    """Return what must act when a lead changes."""
    return import_module(settings.LEAD_OBSERVER)


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
    created_by: User | None = None,
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
            by_field_id(known.lead_uses, custom or {}),
            current={},
            lookups=lookups,
            require=True,
            partial=True,
        )
        lead = Lead(
            organization=actor.organization, name_fold=fold(clean["name"]), status=_status(status), values=values,
            created_by=created_by or actor.user, updated_by=actor.user, source=source,
            date_created=date_created or now, date_updated=now, **clean,
        )  # fmt: skip
        people = [new_contact(actor, given) for given in contacts]
        lead.contacts_count, lead.search_text = len(people), search_text(lead, people)
        lead.save(force_insert=True)
        insert_index_many(index_rows(known, lead.pk, 0, values))
        if people:
            add_contacts(actor, lead, people, contacts)
        made = events.EventRow("created", "lead", lead.pk, lead.pk, after=lead_state(lead))
        events.record_many(actor, [*(created(contact) for contact in people), made])
        observer().lead_created(actor, lead)
    return lead


def update_lead(
    actor: Membership, lead: Lead, changes: Mapping[str, Any], *, seen: Mapping[str, str] | None = None
) -> Lead:
    """Change parts of a lead: name, description, url, addresses, status, custom (raw input by `cf_` id).

    `require`: True asks for every required field, "given" for those in `custom` only. Records one event with the keys that differ, and a timeline entry when the status does.
    `seen`: marks of what the actor's form showed. What others changed since, and the form did not, stays as it is;
    what both changed raises `EditedMeanwhile`.
    """
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)
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
                actor, known.lead_uses, by_field_id(known.lead_uses, changes["custom"]), current=old_values,
                lookups=Lookups(actor.organization, lead.pk), require=changes.get("require") is True, partial=True,
            )  # fmt: skip
            if changes.get("require") == "given":
                _require_given(known.lead_uses, changes["custom"], lead.values)
        if seen and (left := untouched(before, lead_state(lead), seen)):
            lead.status = old_status if "status_id" in left else lead.status
            put_back(lead, before, [key for key in left if key != "status_id"])
            drop_hidden(known.lead_uses, lead.values)
        changed = events.diff(before, lead_state(lead))
        if not changed:
            return lead
        lead.updated_by, lead.date_updated = actor.user, timezone.now()
        lead.search_text = current_search_text(lead)
        lead.save(update_fields=[*clean, "name_fold", "status", "values", "updated_by", "date_updated", "search_text"])
        replace_index(lead.pk, 0, known, old_values, lead.values)
        after = lead_state(lead)
        events.record(
            actor, "updated", "lead", lead.pk, lead_id=lead.pk, changed=changed,
            before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
        )  # fmt: skip
        if old_status.pk != lead.status_id:
            observer().status_changed(actor, lead, old_status, lead.status)
    return lead


def _require_given(uses: Sequence[Use], given: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse to empty a required field; others that are empty since before do not stand in the way."""
    errors = {
        api_key_of(use): f"{use.field.subject} is required."
        for use in uses
        if use.required and {use.field.public_id, use.field.name} & set(given) and is_blank(values.get(str(use.field.id)))
        and is_shown(use, values)
    }  # fmt: skip
    if errors:
        raise InvalidInput(fields=errors)


def delete_lead(actor: Membership, lead: Lead) -> None:
    """Delete a lead with its contacts, tasks and activities. Every one of them leaves an event."""
    authorize(has(actor, Perm.DELETE_LEADS))
    with transaction.atomic():
        # Before the lead, as publishing does: the other way round, the two would wait for each other.
        observer().lock_activities([lead.pk])
        lead = Lead.objects.select_for_update().get(pk=lead.pk)
        observer().lead_deleted(actor, lead)
        rows = [
            events.EventRow("deleted", "contact", row.pk, lead.pk, before=contact_state(row) | origin(row))
            for row in Contact.objects.filter(lead=lead)
        ]
        rows += [
            events.EventRow("deleted", "task.lead", row.pk, lead.pk, before=task_state(row) | origin(row))
            for row in Task.objects.filter(lead=lead)
        ]
        rows.append(events.EventRow("deleted", "lead", lead.pk, lead.pk, before=lead_state(lead) | origin(lead)))
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
    return given if isinstance(given, LeadStatus) else status_named(given, statuses())


def status_named(given: str | None, known: Sequence[LeadStatus]) -> LeadStatus:
    """Return the status of this id or label among `known`, the first without one; raises `InvalidInput`."""
    if not given:
        return known[0]
    number = ids.decode("stat", given)
    for row in known:
        if row.pk == number or row.label.casefold() == str(given).strip().casefold():
            return row
    offered = ", ".join(row.label for row in known)
    raise InvalidInput(fields={"status": f"“{given}” is not a lead status. Use one of: {offered}."})


def check_lead_parts(given: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` for parts of a lead (`update_lead`) that cannot be stored."""
    _clean_lead(given)


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
            clean["url"] = KINDS["url"].clean_one(clean["url"], Named("The website"), None, None)
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
