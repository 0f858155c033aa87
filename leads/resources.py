"""Leads and their contacts as CSV rows: one row per contact; rows of the same lead become one lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm import ids
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.fieldkinds import fold, is_blank, split_several
from crm.imports.files import Row
from crm.imports.resource import (
    CLEAR,
    CREATE,
    ERROR,
    SKIP,
    UPDATE,
    Options,
    SettledResource,
    Verdict,
    near_miss,
    sentence,
)
from crm.models import Membership
from leads.models import Contact, Lead
from leads.queries import visible_leads
from leads.services import ADDRESS_PARTS, create_contact, create_lead, lead_state, update_lead

COLUMNS = (
    "id", "name", "status", "url", "description", "address_1", "address_2", "city", "state", "zipcode", "country",
    "contact_name", "contact_title", "contact_emails", "contact_phones", "contact_urls",
)  # fmt: skip
ALIASES = {
    "lead_id": "id",
    "lead_name": "name",
    "contact_email": "contact_emails",
    "contact_phone": "contact_phones",
    "contact_url": "contact_urls",
}
NEVER_IMPORTED = (
    "organization",
    "organization_id",
    "created_by",
    "date_created",
    "date_updated",
    "updated_by",
    "contact_id",
)
_CONTACT = {
    "contact_name": "name",
    "contact_title": "title",
    "contact_emails": "emails",
    "contact_phones": "phones",
    "contact_urls": "urls",
}


class LeadResource(SettledResource):
    """Creates leads with contacts, updates by `id`, and skips or updates leads whose name is there already."""

    columns = COLUMNS
    aliases = ALIASES

    class Meta:
        model = Lead

    def __init__(
        self, actor: Membership, options: Options | None = None, made: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(actor, options)
        # Leads this run made, by folded name: further rows of the same name add contacts to them.
        self.made = dict(made or {})

    def field_names(self) -> dict[str, str]:
        uses = catalog(self.actor.organization).lead_uses
        found = {f"custom.{use.field.name}": f"custom.{use.field.public_id}" for use in uses}
        return found | {f"custom.{use.field.public_id}": f"custom.{use.field.public_id}" for use in uses}

    def target_of(self, header: str) -> str:
        if header in COLUMNS:
            return header
        return ALIASES.get(header) or self.field_names().get(header, "")

    def hint_for(self, header: str) -> tuple[str, str]:
        """Return the target guessed for a header, and what to tell about it."""
        if target := self.target_of(header):
            return target, ""
        if header in NEVER_IMPORTED:
            return "", "Kept by Touchpoint; it is not imported."
        names = self.field_names()
        plain = {name.removeprefix("custom."): name for name in names}
        words = {
            "company": "name",
            "company name": "name",
            "website": "url",
            "email": "contact_emails",
            "phone": "contact_phones",
        }
        if header.strip().casefold() in words:
            found = words[header.strip().casefold()]
            return found, f"“{header}”: did you mean “{found}”?"
        if found := near_miss(header, [*COLUMNS, *ALIASES, *names]) or plain.get(near_miss(header, list(plain)), ""):
            return self.target_of(found), f"“{header}”: did you mean “{found}”?"
        return "", ""

    def settle(self, rows: Sequence[Row]) -> list[Verdict]:
        cells = {row.number: self.read(row) for row in rows}
        numbers = {ids.decode("lead", given["id"].strip()) for given in cells.values() if given.get("id", "").strip()}
        names = {fold(given["name"]) for given in cells.values() if given.get("name", "").strip()}
        by_id = {lead.pk: lead for lead in visible_leads(self.actor).filter(pk__in=numbers - {None})}
        by_name: dict[str, list[Lead]] = {}
        for lead in visible_leads(self.actor).filter(name_fold__in=names):
            by_name.setdefault(lead.name_fold, []).append(lead)
        verdicts = []
        headers = {target: header for header, target in self.options.mapping.items() if target}
        for row in rows:
            verdict = Verdict(row.number, ERROR)
            verdicts.append(verdict)
            try:
                if row.problem:
                    raise InvalidInput(row.problem)
                self._one(verdict, cells[row.number], by_id, by_name)
            except InvalidInput as error:
                verdict.verdict, verdict.error = ERROR, sentence(self._named(error, headers), headers)
            except (NotAllowed, NotFound) as error:
                verdict.verdict, verdict.error = ERROR, error.message
            if verdict.verdict == ERROR:
                verdict.cells = row.cells
        return verdicts

    def _one(
        self, verdict: Verdict, given: Mapping[str, str], by_id: Mapping[int, Lead], by_name: dict[str, list[Lead]]
    ) -> None:
        name = " ".join(given.get("name", "").split())
        text = given.get("id", "").strip()
        if text:
            lead = by_id.get(ids.decode("lead", text) or 0)
            if lead is None:
                raise InvalidInput(fields={"id": f"There is no lead “{text[:60]}”."})
            self._update(verdict, lead, given)
            return
        if not name:
            raise InvalidInput(fields={"name": "The row names no lead. Fill in name, or id."})
        made = self.made.get(fold(name))
        found = by_name.get(fold(name), [])
        if made:
            lead = next((row for row in found if row.pk == made), None) or Lead.objects.get(pk=made)
            self._add_contact(verdict, lead, given)
        elif found and self.options.on_existing != "create":
            if len(found) > 1:
                candidates = ", ".join(f"{row.name} ({row.public_id})" for row in found[:5])
                raise InvalidInput(fields={"name": f"“{name}” fits {len(found)} leads: {candidates}. Use id."})
            if self.options.on_existing == "skip":
                verdict.verdict, verdict.error = SKIP, f"There is a lead “{name}” already."
                verdict.object_type, verdict.object_id = "lead", found[0].pk
            else:
                self._update(verdict, found[0], given)
        else:
            contact = self._contact(given)
            lead = create_lead(
                self.actor, name=name, status=given.get("status", "").strip() or None, source="import",
                description=given.get("description", ""), url=given.get("url", ""),
                addresses=self._addresses(given), contacts=[contact] if contact else [], custom=self._custom(given),
            )  # fmt: skip
            self.made[fold(name)] = lead.pk
            by_name.setdefault(fold(name), []).append(lead)
            verdict.verdict, verdict.object_type, verdict.object_id = CREATE, "lead", lead.pk

    def _update(self, verdict: Verdict, lead: Lead, given: Mapping[str, str]) -> None:
        changes: dict[str, Any] = {}
        for key in ("name", "status", "url", "description"):
            if not is_blank(given.get(key)):
                changes[key] = "" if given[key].strip() == CLEAR else given[key].strip()
        if addresses := self._addresses(given):
            changes["addresses"] = [
                {**(lead.addresses[0] if lead.addresses else {}), **addresses[0]},
                *lead.addresses[1:],
            ]
        if custom := self._custom(given):
            changes["custom"] = custom
        before = lead_state(lead)
        updated = update_lead(self.actor, lead, changes)
        after = lead_state(updated)
        changed = [key for key in {*before, *after} if before.get(key) != after.get(key)]
        self._add_contact(verdict, updated, given)
        verdict.object_type, verdict.object_id = "lead", lead.pk
        if changed:
            verdict.verdict, verdict.error = UPDATE, ""
            kept = {
                "date_updated": updated.date_updated.isoformat(),
                "state": {key: before.get(key) for key in changed},
            }
            verdict.before = {**(verdict.before or {}), **kept}
            verdict.changes = [(key, str(before.get(key) or ""), str(after.get(key) or "")) for key in sorted(changed)]

    def _add_contact(self, verdict: Verdict, lead: Lead, given: Mapping[str, str]) -> None:
        """Add the row's contact unless the lead has one with the same name or email."""
        verdict.object_type, verdict.object_id = "lead", lead.pk
        contact = self._contact(given)
        verdict.verdict, verdict.error = SKIP, "Nothing differs."
        if not contact:
            return
        emails = {text.casefold() for text in contact["emails"]}
        for row in Contact.objects.filter(lead=lead):
            held = {entry["email"].casefold() for entry in row.emails}
            if emails & held or (contact["name"] and fold(contact["name"]) == fold(row.name)):
                return
        made = create_contact(self.actor, lead, **contact)
        verdict.verdict, verdict.error = UPDATE, ""
        verdict.before = {"contact_created": made.pk}
        verdict.changes = [("contact", "", str(made))]

    def _contact(self, given: Mapping[str, str]) -> dict[str, Any] | None:
        if all(is_blank(given.get(column)) for column in _CONTACT):
            return None
        found: dict[str, Any] = {part: given.get(column, "") for column, part in _CONTACT.items()}
        for part in ("emails", "phones", "urls"):
            found[part] = [text.strip() for text in split_several(found[part]) if text.strip()]
        return found

    def _addresses(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        address = {part: given[part].strip() for part in ADDRESS_PARTS if not is_blank(given.get(part))}
        return [{"label": "business", **address}] if address else []

    def _custom(self, given: Mapping[str, str]) -> dict[str, Any]:
        return {
            key.removeprefix("custom."): None if cell.strip() == CLEAR else cell
            for key, cell in given.items()
            if key.startswith("custom.") and not is_blank(cell)
        }

    def _named(self, error: InvalidInput, headers: Mapping[str, str]) -> InvalidInput:
        names = {use.field.public_id: use.field.name for use in catalog(self.actor.organization).lead_uses}
        fields = {
            headers.get(key) or names.get(key.removeprefix("custom."), key): text for key, text in error.fields.items()
        }
        return InvalidInput(error.message if not fields else "", fields=fields)
