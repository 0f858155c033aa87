"""Leads and their contacts as CSV rows: one row per contact; rows of the same lead become one lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from crm import events, ids
from crm.customfields.catalog import Use, catalog
from crm.errors import InvalidInput
from crm.fieldkinds import fold, join_several, split_several
from crm.imports.files import Row
from crm.imports.resource import CLEARED, CREATE, SKIP, UPDATE, SettledResource, Verdict
from crm.models import ImportRow
from crm.permissions import can_edit_field
from leads.models import Contact, Lead
from leads.queries import statuses, visible_leads
from leads.services import (
    ADDRESS_PARTS,
    CHANNELS,
    contact_state,
    create_contact,
    create_lead,
    lead_state,
    status_named,
    update_contact,
    update_lead,
)

COLUMNS = (
    "id", "name", "status", "url", "description", "address_1", "address_2", "city", "state", "zipcode", "country",
    "other_addresses", "contact_id", "contact_name", "contact_title", "contact_emails", "contact_phones", "contact_urls",
)  # fmt: skip
CONTACT_COLUMNS = {
    "contact_name": "name", "contact_title": "title", "contact_emails": "emails", "contact_phones": "phones",
    "contact_urls": "urls",
}  # fmt: skip
CONTACT_FIELD = "contact.custom."


class LeadResource(SettledResource):
    """Creates leads with contacts, updates by `id`, and skips or updates leads whose name is there already."""

    columns = COLUMNS
    aliases = {
        "lead_id": "id", "lead_name": "name", "contact_email": "contact_emails", "contact_phone": "contact_phones",
        "contact_url": "contact_urls",
    }  # fmt: skip
    never_imported = (
        "organization", "organization_id", "created_by", "date_created", "date_updated", "updated_by", "contacts_count",
    )  # fmt: skip
    never_cleared = ("id", "contact_id")
    words = {
        "company": "name", "company name": "name", "account": "name", "customer": "name", "website": "url",
        "web": "url", "homepage": "url", "email": "contact_emails", "e-mail": "contact_emails",
        "email address": "contact_emails", "phone": "contact_phones", "telephone": "contact_phones",
        "mobile": "contact_phones", "contact": "contact_name", "contact person": "contact_name",
        "full name": "contact_name", "job title": "contact_title", "title": "contact_title", "zip": "zipcode",
        "zip code": "zipcode", "postcode": "zipcode", "postal code": "zipcode", "street": "address_1",
        "address": "address_1", "notes": "description",
    }  # fmt: skip

    class Meta:
        model = Lead

    def field_names(self) -> dict[str, str]:
        known = catalog(self.actor.organization)
        found: dict[str, str] = {}
        for prefix, uses in (("custom.", known.lead_uses), (CONTACT_FIELD, known.contact_uses)):
            for use in uses:
                target = f"{prefix}{use.field.public_id}"
                found |= {f"{prefix}{use.field.name}": target, target: target}
        return found

    def writable_names(self) -> dict[str, str]:
        known = catalog(self.actor.organization)
        found = {use.field.name: f"custom.{use.field.public_id}" for use in self._may_edit(known.lead_uses)}
        return found | {
            f"{use.field.name} (contact)": f"{CONTACT_FIELD}{use.field.public_id}"
            for use in self._may_edit(known.contact_uses)
        }

    def _may_edit(self, uses: Sequence[Use]) -> list[Use]:
        return [use for use in uses if can_edit_field(self.actor, use)]

    # --- rows -------------------------------------------------------------------------------------------------------
    def settle(self, rows: Sequence[Row]) -> list[Verdict]:
        cells = {row.number: {} if row.problem else self.read(row) for row in rows}
        numbers = {ids.decode("lead", given["id"].strip()) for given in cells.values() if "id" in given}
        names = {fold(given["name"]) for given in cells.values() if "name" in given}
        self._by_id = {lead.pk: lead for lead in visible_leads(self.actor).filter(pk__any=numbers - {None})}
        self._by_name: dict[str, list[Lead]] = {}
        # Leads as earlier rows of these left them.
        self._changed: dict[int, Lead] = {}
        for lead in visible_leads(self.actor).filter(name_fold__any=names):
            self._by_name.setdefault(lead.name_fold, []).append(lead)
        self._continued = self._leads_of_continued_runs()
        self._statuses = statuses()
        return self.judge(rows, self._whole, cells)

    def _leads_of_continued_runs(self) -> dict[str, Lead]:
        """Return the leads these rows name that the runs made whose failed rows they are, by folded name; newest wins."""
        there = {lead.pk: lead for found in self._by_name.values() for lead in found} if self.options.continues else {}
        if not there:
            return {}
        rows = ImportRow.objects.filter(
            run_id__in=self.options.continues, verdict=CREATE, object_type="lead", object_id__any=set(there)
        )
        made = [there[pk] for pk in rows.order_by("run_id").values_list("object_id", flat=True) if pk]
        return {lead.name_fold: lead for lead in made}

    def _whole(self, verdict: Verdict, given: dict[str, str]) -> None:
        """Settle a row whole or not at all: its contact may be refused after its lead was changed."""
        try:
            with transaction.atomic():
                self._one(verdict, given)
        except InvalidInput:
            if "id" not in given:
                verdict.key = fold(" ".join(given.get("name", "").split()))
                self.memory.new_failed.setdefault(verdict.key, verdict.number)
            raise

    def _one(self, verdict: Verdict, given: dict[str, str]) -> None:
        verdict.object_type = "lead"
        if "id" in given:
            lead = self._by_id.get(ids.decode("lead", given["id"].strip()) or 0)
            if lead is None:
                raise InvalidInput(fields={"id": f"There is no lead “{given['id'].strip()[:60]}”."})
            self._update(verdict, lead, given)
            return
        name = " ".join(given.get("name", "").split())
        if not name:
            raise InvalidInput(fields={"name": "The row names no lead. Fill in name, or id."})
        made, found = self.memory.made_lead(fold(name)), self._by_name.get(fold(name), [])
        if made is not None:
            self._add_to_made(verdict, made, given)
        elif continued := self._continued.get(fold(name)):
            self._update(verdict, continued, given)
        elif found and self.options.on_existing != "create":
            candidates = ", ".join(f"{row.name} ({row.public_id})" for row in found[:5])
            if self.options.on_existing == "skip":
                self._skip(verdict, name, found, candidates, given)
            elif len(found) > 1:
                raise InvalidInput(fields={"name": f"“{name}” fits {len(found)} leads: {candidates}. Use id."})
            else:
                self._update(verdict, found[0], given)
        elif first := self.memory.failed_lead(fold(name)):
            # Made from its other rows it would lack what the first one says, and the first, mended, would find it there.
            raise InvalidInput(
                fields={"name": f"Row {first} of the same lead failed. Mend that one; this row is fine."}
            )
        else:
            self._create(verdict, name, given)

    def _skip(
        self, verdict: Verdict, name: str, found: Sequence[Lead], candidates: str, given: Mapping[str, str]
    ) -> None:
        verdict.verdict = SKIP
        if len(found) == 1:
            verdict.object_id, verdict.error = found[0].pk, f"There is a lead “{name}” already."
            how = "To add the row’s contact to it, choose to update such leads."
        else:
            verdict.error = f"There are {len(found)} leads “{name}” already: {candidates}."
            how = "To add the row’s contact to one of them, give the row its id."
        if self._contact(given):
            verdict.error += f" {how}"

    # --- writing ------------------------------------------------------------------------------------------------------
    def _create(self, verdict: Verdict, name: str, given: Mapping[str, str]) -> None:
        contact = self._contact(given)
        try:
            lead = create_lead(
                self.actor, name=name, status=status_named(_plain(given.get("status", "")), self._statuses),
                source="import", description=_plain(given.get("description", "")), url=_plain(given.get("url", "")),
                addresses=self._addresses(given, []) or [], contacts=[contact] if contact else [],
                custom=self._custom(given, "custom."),
            )  # fmt: skip
        except InvalidInput as error:
            # A name that fits a lead can only be the contact's.
            raise _of_contact(
                error, keep=() if len(name) <= (Lead._meta.get_field("name").max_length or 0) else ("name",)
            ) from None
        self.memory.new_leads[fold(name)] = lead.pk
        self._by_name.setdefault(fold(name), []).append(lead)
        verdict.verdict, verdict.object_id, verdict.label, verdict.key = CREATE, lead.pk, lead.name, fold(name)
        people = Contact.objects.filter(lead=lead)
        verdict.before = {
            "date_updated": lead.date_updated.isoformat(),
            "contacts": {pk: at.isoformat() for pk, at in people.values_list("pk", "date_updated")} if contact else {},
        }

    def _add_to_made(self, verdict: Verdict, made: int, given: Mapping[str, str]) -> None:
        verdict.fresh = True
        lead = Lead.objects.filter(pk=made).first()
        if lead is not None:
            self._update(verdict, lead, given)
        elif self._contact(given):
            # A check made this lead in an earlier chunk and took it back; the real run will find it.
            verdict.verdict = UPDATE
            verdict.changes = [("contact", "", given.get("contact_name", "").strip() or "a contact")]
        else:
            verdict.verdict, verdict.error = SKIP, "Nothing differs."

    def _update(self, verdict: Verdict, lead: Lead, given: Mapping[str, str]) -> None:
        lead = self._changed.get(lead.pk, lead)
        # A name that found its lead does not rename it: ACME is Acme.
        parts = ("name", "status", "url", "description") if "id" in given else ("status", "url", "description")
        changes: dict[str, Any] = {key: _plain(given[key]) for key in parts if key in given}
        if changes.get("status") == "":
            raise InvalidInput(fields={"status": "A lead always has a status; it cannot be cleared."})
        if "status" in changes:
            changes["status"] = status_named(changes["status"], self._statuses)
        addresses = self._addresses(given, lead.addresses)
        if addresses is not None:
            changes["addresses"] = addresses
        if custom := self._custom(given, "custom."):
            changes["custom"] = custom
        before, was = lead_state(lead), lead.date_updated
        updated = update_lead(self.actor, lead, changes)
        after = lead_state(updated)
        changed = events.diff(before, after)
        verdict.object_id, verdict.label = lead.pk, lead.name
        try:
            kept = self._put_contact(verdict, updated, given)
        except InvalidInput as error:
            raise _of_contact(error) from None
        self._changed[lead.pk] = updated
        if changed:
            kept |= {"was": was.isoformat(), "date_updated": updated.date_updated.isoformat()}
            kept["state"] = {key: before.get(key) for key in changed}
            verdict.changes = [
                (self._label(key), _shown(before.get(key)), _shown(after.get(key))) for key in changed
            ] + verdict.changes
        verdict.verdict, verdict.before = (UPDATE, kept) if kept else (SKIP, None)
        if not kept:
            verdict.error = "Nothing differs."

    def _put_contact(self, verdict: Verdict, lead: Lead, given: Mapping[str, str]) -> dict[str, Any]:
        """Change the contact a row names, or add it; return what an undo needs, nothing when nothing differs."""
        contact = self._contact(given)
        held = list(Contact.objects.filter(lead=lead).order_by("pk")) if contact or "contact_id" in given else []
        found = self._contact_named(held, given, contact or {})
        if not contact:
            return {}
        if found is None:
            made = create_contact(self.actor, lead, **{key: value for key, value in contact.items() if value})
            verdict.changes.append(("contact", "", str(made)))
            return {"contact_created": made.pk, "contact_date": made.date_updated.isoformat()}
        for channel in CHANNELS:
            if channel in contact:
                # What the file does not tell of an entry (office, mobile …) stays as it is.
                entries = {entry[channel[:-1]]: entry for entry in getattr(found, channel)}
                contact[channel] = [entries.get(text, text) for text in contact[channel]]
        before, was = contact_state(found), found.date_updated
        updated = update_contact(self.actor, found, contact)
        after = contact_state(updated)
        changed = events.diff(before, after)
        if not changed:
            return {}
        verdict.changes += [
            (f"contact {self._label(key)}", _shown(before.get(key)), _shown(after.get(key))) for key in changed
        ]
        return {
            "contact": found.pk, "contact_was": was.isoformat(), "contact_date": updated.date_updated.isoformat(),
            "contact_state": {key: before.get(key) for key in changed},
        }  # fmt: skip

    def _contact_named(
        self, held: Sequence[Contact], given: Mapping[str, str], contact: Mapping[str, Any]
    ) -> Contact | None:
        """Return the lead's contact that a row means: by id, else by one of its emails, else by name."""
        if "contact_id" in given:
            text = given["contact_id"].strip()
            number = ids.decode("cont", text)
            for row in held:
                if row.pk == number:
                    return row
            raise InvalidInput(fields={"contact_id": f"The lead has no contact “{text[:60]}”."})
        emails = {text.casefold() for text in contact.get("emails", ())}
        for row in held:
            if emails & {entry["email"].casefold() for entry in row.emails}:
                return row
        name = fold(contact.get("name", ""))
        return next((row for row in held if name and name == fold(row.name)), None)

    # --- cells --------------------------------------------------------------------------------------------------------
    def _contact(self, given: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the parts of a contact that the row fills in, None when it fills in none."""
        found: dict[str, Any] = {}
        for column, part in CONTACT_COLUMNS.items():
            if column in given:
                text = _plain(given[column])
                entries = [entry.strip() for entry in split_several(text) if entry.strip()]
                found[part] = entries if part in CHANNELS else text
        if custom := self._custom(given, CONTACT_FIELD):
            found["custom"] = custom
        return found or None

    def _addresses(self, given: Mapping[str, str], held: Sequence[Mapping[str, str]]) -> list[dict[str, str]] | None:
        """Return a lead's addresses with the row's parts put into them; None when the row has none."""
        parts = {part: _plain(given[part]) for part in ADDRESS_PARTS if part in given}
        if not parts and "other_addresses" not in given:
            return None
        first = {"label": "business", **(held[0] if held else {}), **parts}
        others: list[Mapping[str, str]] = list(held[1:])
        if "other_addresses" in given:
            others = [address_of(text) for text in split_several(_plain(given["other_addresses"]))]
        return [dict(row) for row in (first, *others) if any(text for part, text in row.items() if part != "label")]

    def _custom(self, given: Mapping[str, str], prefix: str) -> dict[str, Any]:
        known = catalog(self.actor.organization)
        found: dict[str, Any] = {}
        for key, cell in given.items():
            if not key.startswith(prefix):
                continue
            public_id = key.removeprefix(prefix)
            field = known.field_by_public_id(public_id)
            if cell is CLEARED:
                found[public_id] = None
            else:
                found[public_id] = cell if field is None else self.field_cell(cell, field)
        return found

    def _label(self, key: str) -> str:
        field = catalog(self.actor.organization).fields.get(int(key[7:])) if key.startswith("custom.") else None
        return field.name if field else key.removesuffix("_id")


def address_cell(addresses: Sequence[Mapping[str, str]]) -> str:
    """Return addresses as one cell: a list of lists, each with its parts in the order of `ADDRESS_PARTS`."""
    return join_several([join_several([row.get(part, "") for part in ADDRESS_PARTS]) for row in addresses])


def address_of(text: str) -> dict[str, str]:
    """Return the address that `address_cell` wrote; raises `InvalidInput` for anything else."""
    parts = [part.strip() for part in split_several(text)]
    if len(parts) != len(ADDRESS_PARTS):
        words = f'Write each as "{";".join(ADDRESS_PARTS)}" in quotation marks, with ; between them.'
        raise InvalidInput(fields={"other_addresses": words})
    return dict(zip(ADDRESS_PARTS, parts, strict=True))


def _of_contact(error: InvalidInput, keep: Sequence[str] = ()) -> InvalidInput:
    """Return the refusal of a contact, named by the columns of its parts but for those to `keep`."""
    columns = {part: column for column, part in CONTACT_COLUMNS.items() if part not in keep}
    return InvalidInput(error.message, {columns.get(key, key): text for key, text in error.fields.items()})


def _plain(cell: str) -> str:
    return "" if cell is CLEARED else cell.strip()


def _entry(row: Mapping[str, str]) -> str:
    """Return an address, email, phone or website without the word for its kind."""
    return ", ".join(str(text) for part, text in row.items() if text and part not in ("label", "type"))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_entry(row) if isinstance(row, dict) else str(row) for row in value)
    return "" if value is None else str(value)
