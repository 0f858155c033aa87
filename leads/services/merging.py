"""Merging two leads into one. Nothing is lost: what cannot stand twice is written into the merge entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from crm import events
from crm.customfields.catalog import Use, catalog
from crm.customfields.cleaning import is_shown
from crm.customfields.lookups import Lookups
from crm.customfields.values import delete_index, move_lead, replace_index
from crm.errors import InvalidInput, NotFound
from crm.fieldkinds import many
from crm.models import Event, Membership
from crm.permissions import Perm, authorize, can_view_field, has
from crm.phones import normal_phone
from leads.models import Contact, ContactPoint, Lead, MergedLead, Task
from leads.services.contacts import contact_state
from leads.services.index import CHANNELS, index_points, refresh_lead
from leads.services.leads import lead_state, observer
from leads.services.states import origin

MERGES = 77_101  # names our advisory locks among all of the database


@dataclass(frozen=True)
class Difference:
    """Something both hold: `kept` stays, `other` goes into the merge entry. `use`: of a custom field."""

    label: str
    kept: str
    other: str
    use: Use | None = None

    @property
    def is_public(self) -> bool:
        """May everybody who sees the lead read it? Values that only some roles see stay in the event log."""
        return self.use is None or not (self.use.view_roles or self.use.field.kind.hidden)


@dataclass(frozen=True)
class Joined:
    """The custom values of a record after the merge."""

    values: dict[str, Any]
    filled: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


@dataclass
class MergePlan:
    """What a merge will do, worked out without writing. `contacts`: each of the source's, and the one it joins or None."""

    source: Lead
    destination: Lead
    contacts: list[tuple[Contact, Contact | None]]
    changes: dict[str, Any]
    filled: list[str]
    differences: list[Difference]

    @property
    def joined_contacts(self) -> list[tuple[Contact, Contact]]:
        return [(mine, theirs) for mine, theirs in self.contacts if theirs is not None]

    @property
    def moved_contacts(self) -> list[Contact]:
        return [mine for mine, theirs in self.contacts if theirs is None]

    def visible_differences(self, actor: Membership) -> list[Difference]:
        """Return the differences the actor may read."""
        return [row for row in self.differences if row.use is None or can_view_field(actor, row.use)]


def plan_merge(actor: Membership, source: Lead, destination: Lead) -> MergePlan:
    """Return what merging `source` into `destination` will do. Reads only; raises as `merge_leads` does."""
    authorize(has(actor, Perm.MERGE_LEADS))
    if source.pk == destination.pk:
        raise InvalidInput(fields={"source": "A lead cannot be merged into itself. Choose another one."})
    lookups = Lookups(actor.organization, destination.pk)
    contacts = _match_contacts(source, destination)
    known = catalog(actor.organization)
    replaced = {mine.pk: theirs.pk for mine, theirs in contacts if theirs is not None}
    joined = _join_values(
        known.lead_uses, destination.values, repoint(source.values, known.lead_uses, replaced), lookups
    )
    changes: dict[str, Any] = {"values": joined.values}
    filled, differences = joined.filled, joined.differences
    if source.url and not destination.url:
        changes["url"] = source.url
        filled = ["Website", *filled]
    elif source.url and source.url != destination.url:
        differences = [Difference("Website", destination.url, source.url), *differences]
    if source.status_id != destination.status_id:
        differences = [Difference("Status", destination.status.label, source.status.label), *differences]
    if source.description and source.description not in destination.description:
        changes["description"] = "\n\n".join(filter(None, (destination.description, source.description)))
    changes["addresses"] = [
        *destination.addresses,
        *(row for row in source.addresses if row not in destination.addresses),
    ]
    for mine, theirs in contacts:
        if theirs is not None:
            differences += _contact_changes(mine, theirs, known.contact_uses, replaced, lookups)[1]
    return MergePlan(source, destination, contacts, changes, filled, differences)


def merge_leads(actor: Membership, source: Lead, destination: Lead) -> Lead:
    """Merge `source` into `destination` and return it; the source is gone and its links lead to the destination.

    Contacts (those with an email in common become one), tasks, activities with drafts and comments, values and the log
    move over. The destination's own values win; the source's fill what is empty and join where several values
    are taken; others stand in the merge entry.
    Raises `NotFound` when one of them was merged or deleted meanwhile.
    """
    authorize(has(actor, Perm.MERGE_LEADS))
    with transaction.atomic():
        if source.pk != destination.pk:
            source, destination = _lock(source, destination)
        plan = plan_merge(actor, source, destination)
        before = lead_state(destination)
        meta = {"merge_source_lead_id": source.public_id, "merge_destination_lead_id": destination.public_id}
        replaced = _merge_contacts(actor, plan, meta)
        Task.objects.filter(lead=source).update(lead=destination)
        Event.objects.filter(lead_id=source.pk).update(lead_id=destination.pk)
        observer().lead_merged(actor, source, destination, replaced, _kept_beside(plan))
        known = catalog(actor.organization)
        move_lead(source.pk, destination.pk, known.fields)
        _write_destination(actor, plan, replaced)
        MergedLead.objects.filter(lead=source).update(lead=destination)
        MergedLead.objects.create(organization=actor.organization, old_id=source.pk, lead=destination)
        gone = lead_state(source) | origin(source)
        events.record(actor, "deleted", "lead", source.pk, lead_id=source.pk, before=gone, meta=meta)
        after = lead_state(destination)
        changed = events.diff(before, after)
        events.record(
            actor, "merged", "lead", destination.pk, lead_id=destination.pk, changed=changed, meta=meta,
            before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
        )  # fmt: skip
        Lead.objects.get(pk=source.pk).delete()
        refresh_lead(destination)
    return destination


def _lock(source: Lead, destination: Lead) -> tuple[Lead, Lead]:
    """Lock both, the lower id first, and return them as they are now.

    Activities before leads, as publishing does: the other way round, the two would wait for each other.
    """
    _one_merge_at_a_time(source.organization_id)
    observer().lock_activities([source.pk, destination.pk])
    pks = sorted((source.pk, destination.pk))
    # Not of the status: two merges of leads with the same status need not wait for each other.
    rows = Lead.objects.select_for_update(of=("self",)).select_related("status").filter(pk__in=pks).order_by("pk")
    found = {row.pk: row for row in rows}
    if len(found) < 2:
        raise NotFound("One of the two leads is gone: somebody merged or deleted it just now.")
    return found[source.pk], found[destination.pk]


def _one_merge_at_a_time(organization_id: int) -> None:
    """Let merges of an organization follow each other, until the transaction ends.

    What one merge moves is not among the rows the next one locked before: they would wait for each other. SQLite has one
    writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [MERGES, organization_id % 2**31])


# --- contacts ---------------------------------------------------------------------------------------------------------
def _emails(contact: Contact) -> set[str]:
    return {entry["email"].casefold() for entry in contact.emails}


def _match_contacts(source: Lead, destination: Lead) -> list[tuple[Contact, Contact | None]]:
    rows = list(Contact.objects.filter(lead__in=(source, destination)).order_by("pk"))
    theirs: dict[str, Contact] = {}
    for row in rows:
        if row.lead_id == destination.pk:
            for email in sorted(_emails(row)):
                theirs.setdefault(email, row)
    return [
        (row, next((theirs[email] for email in sorted(_emails(row)) if email in theirs), None))
        for row in rows
        if row.lead_id == source.pk
    ]


def _contact_changes(
    mine: Contact, theirs: Contact, uses: Sequence[Use], replaced: Mapping[int, int], lookups: Lookups
) -> tuple[dict[str, Any], list[Difference]]:
    """Return what `theirs` becomes when `mine` joins it, and what differs."""
    changes: dict[str, Any] = {}
    differences: list[Difference] = []
    for key, label in (("name", "Name"), ("title", "Title")):
        held, other = getattr(theirs, key), getattr(mine, key)
        changes[key] = held or other
        if held and other and held != other:
            differences.append(Difference(f"{theirs}: {label}", held, other))
    for channel in CHANNELS:
        changes[channel] = _union(getattr(theirs, channel), getattr(mine, channel), channel[:-1])
    joined = _join_values(uses, theirs.values, repoint(mine.values, uses, replaced), lookups)
    changes["values"] = joined.values
    differences += [Difference(f"{theirs}: {row.label}", row.kept, row.other, row.use) for row in joined.differences]
    return changes, differences


def _union(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]], one: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in (*first, *second):
        text = entry[one]
        found.setdefault(normal_phone(text) if one == "phone" else text.casefold(), dict(entry))
    return list(found.values())


def _merge_contacts(actor: Membership, plan: MergePlan, meta: dict[str, Any]) -> dict[int, int]:
    """Move or join the source's contacts. Returns the joined ones: old id → new id."""
    known, destination = catalog(actor.organization), plan.destination
    lookups = Lookups(actor.organization, destination.pk)
    replaced = {mine.pk: theirs.pk for mine, theirs in plan.joined_contacts}
    for contact in plan.moved_contacts:
        contact.lead = destination
        values = repoint(contact.values, known.contact_uses, replaced)
        if values != contact.values:
            replace_index(plan.source.pk, -contact.pk, known, contact.values, values)
            contact.values = values
        contact.save(update_fields=["lead", "values"])
    moved = [contact.pk for contact in plan.moved_contacts]
    ContactPoint.objects.filter(contact_id__in=moved).update(lead=destination)
    for mine, theirs in plan.joined_contacts:
        before = contact_state(theirs)
        old_values = theirs.values
        # `theirs` is one object for all that join it, so that the second joins what the first left.
        for key, value in _contact_changes(mine, theirs, known.contact_uses, replaced, lookups)[0].items():
            setattr(theirs, key, value)
        theirs.updated_by, theirs.date_updated = actor.user, timezone.now()
        theirs.save(update_fields=["name", "title", *CHANNELS, "values", "updated_by", "date_updated"])
        replace_index(destination.pk, -theirs.pk, known, old_values, theirs.values)
        after = contact_state(theirs)
        rows = []
        if changed := events.diff(before, after):
            rows.append(events.EventRow(
                "updated", "contact", theirs.pk, destination.pk, changed=changed, meta=meta,
                before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
            ))  # fmt: skip
        rows.append(
            events.EventRow(
                "deleted", "contact", mine.pk, destination.pk, before=contact_state(mine) | origin(mine),
                meta={**meta, "merged_into": theirs.public_id},
            )
        )  # fmt: skip
        events.record_many(actor, rows)
        delete_index(plan.source.pk, known.fields, [-mine.pk])
        ContactPoint.objects.filter(contact=mine).delete()
        index_points(theirs)
    return replaced


# --- values -----------------------------------------------------------------------------------------------------------
def repoint(values: Mapping[str, Any], uses: Iterable[Use], replaced: Mapping[int, int]) -> dict[str, Any]:
    """Return stored values with the contacts in them replaced (old id → new id), each named once."""
    if not replaced:
        return dict(values)
    found = dict(values)
    for use in uses:
        key = str(use.field.id)
        if use.field.kind.refers_to != "contact" or key not in found:
            continue
        held = found[key]
        if isinstance(held, list):
            found[key] = list(dict.fromkeys(replaced.get(one, one) for one in held))
        else:
            found[key] = replaced.get(held, held)
    return found


def _join_values(uses: Iterable[Use], held: Mapping[str, Any], other: Mapping[str, Any], lookups: Lookups) -> Joined:
    """Return `held` with its empty fields filled from `other`, in display order; a rule's hidden field stays empty.

    A field that takes several values holds those of both.
    """
    uses = list(uses)
    shown = lambda use, value: use.field.kind.display(value, use.field, lookups)  # noqa: E731
    united = {
        key: [*many(held[key]), *(value for value in many(other[key]) if value not in many(held[key]))]
        for key in (str(use.field.id) for use in uses if use.field.multiple)
        if many(held.get(key)) and many(other.get(key))
    }
    # Values of fields that are no longer in use are kept as they are.
    found = Joined({**{key: value for key, value in other.items() if key not in held}, **held, **united})
    # A rule may depend on a field whose own rule hides it: settle until nothing more goes.
    while hidden := [
        str(use.field.id)
        for use in uses
        if str(use.field.id) in found.values.keys() - held.keys() and not is_shown(use, found.values)
    ]:
        for key in hidden:
            del found.values[key]
    for use in uses:
        key = str(use.field.id)
        if many(other.get(key)) == many(held.get(key)) or not many(other.get(key)):
            continue
        if key in united:
            if united[key] != many(held[key]):
                found.filled.append(use.field.name)
        elif key in found.values and key not in held:
            found.filled.append(use.field.name)
        else:
            kept = shown(use, held[key]) if key in held else ""
            found.differences.append(Difference(use.field.name, kept, shown(use, other[key]), use))
    return found


def _write_destination(actor: Membership, plan: MergePlan, replaced: Mapping[int, int]) -> None:
    lead, known = plan.destination, catalog(actor.organization)
    old_values = lead.values
    for key, value in plan.changes.items():
        setattr(lead, key, value)
    lead.updated_by, lead.date_updated = actor.user, timezone.now()
    lead.save(update_fields=[*plan.changes, "updated_by", "date_updated"])
    replace_index(lead.pk, 0, known, old_values, lead.values)


def _kept_beside(plan: MergePlan) -> str:
    """Return the words of the merge entry: what the source held and the destination does not."""
    return "; ".join(f"{row.label}: {row.other}" for row in plan.differences if row.is_public)
