"""The bulk changes of leads and contacts, row by row through their services (`leads.services.bulk` runs them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm import ids
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.fieldkinds import InvalidValue, many
from crm.models import Membership, User
from crm.permissions import authorize, can_edit_field
from leads.models import Contact, Lead
from leads.queries import statuses, visible_contacts, visible_leads
from leads.services.bulk import Change, Part
from leads.services.contacts import delete_contact, update_contact
from leads.services.leads import check_lead_parts, delete_lead, update_lead

OPERATIONS = ("replace", "add", "remove", "clear")
LEAD_PARTS = (Part("url", "Website"), Part("description", "Description"))
CONTACT_PARTS = (Part("title", "Title"),)


def use_named(actor: Membership, uses: Sequence[Use], public_id: Any) -> Use:
    """Return the field of a change; raises `InvalidInput` for one that is not there, `NotAllowed` for one not to edit."""
    use = next((use for use in uses if use.field.public_id == public_id), None)
    if use is None:
        raise InvalidInput(fields={"field": "There is no such field here."})
    authorize(can_edit_field(actor, use))
    return use


def check_field(actor: Membership, uses: Sequence[Use], change: Mapping[str, Any]) -> str:
    """Return a change of a field in words, its value read once. Raises `InvalidInput`."""
    use, operation = use_named(actor, uses, change.get("field")), change.get("operation", "replace")
    if operation not in OPERATIONS:
        raise InvalidInput(fields={"operation": f"“{operation}” is not known. Use one of: {', '.join(OPERATIONS)}."})
    if operation in ("add", "remove") and not use.field.multiple:
        raise InvalidInput(fields={"operation": f"{use.field.name} holds one value: replace or clear it."})
    if operation == "clear":
        return f"{use.field.name} is emptied"
    shown = _read(actor, use, change.get("value"))
    verb = {"replace": "becomes", "add": "gets", "remove": "loses"}[operation]
    return f"{use.field.name} {verb} “{shown}”"


def _read(actor: Membership, use: Use, raw: Any) -> str:
    kind, lookups = use.field.kind, Lookups(actor.organization)
    if kind.refers_to == "contact":
        return str(raw)
    try:
        stored = kind.clean(raw, use.field, lookups, actor.zone)
    except InvalidValue as error:
        raise InvalidInput(fields={"value": str(error)}) from None
    if stored is None:
        raise InvalidInput(fields={"value": f"Say what {use.field.name} should become, or choose to empty it."})
    return str(kind.display(stored, use.field, lookups))


def new_value(actor: Membership, use: Use, held: Any, change: Mapping[str, Any]) -> Any:
    """Return the raw input that makes the change to what a record holds."""
    operation, value = change.get("operation", "replace"), change.get("value")
    if operation == "clear":
        return None
    if operation == "replace":
        return value
    lookups = Lookups(actor.organization)
    given = many(use.field.kind.clean(value, use.field, lookups, actor.zone))
    kept = many(held)
    found = [*kept, *(one for one in given if one not in kept)] if operation == "add" else [
        one for one in kept if one not in given
    ]  # fmt: skip
    return use.field.kind.to_api(found, use.field, lookups) if found else None


def _check_lead(actor: Membership, change: Mapping[str, Any]) -> str:
    if "status" in change:
        named = next((row for row in statuses() if row.public_id == change["status"]), None)
        if named is None:
            raise InvalidInput(fields={"status": "Choose a lead status."})
        return f"Status becomes “{named.label}”"
    if "part" in change:
        words = check_part(actor, LEAD_PARTS, change)
        check_lead_parts({change["part"]: change.get("value")})
        return words
    return check_field(actor, catalog(actor.organization).lead_uses, change)


def check_part(actor: Membership, parts: Sequence[Part], change: Mapping[str, Any]) -> str:
    """Return a change of a part (`{"part": key, "value": …}`) in words; no value empties it. Raises `InvalidInput`."""
    part = next((part for part in parts if part.key == change.get("part")), None)
    if part is None:
        raise InvalidInput(fields={"part": "There is no such part here."})
    if part.editor == "member":
        return f"{part.label} becomes “{member_named(actor, change.get('value')).full_name}”"
    value = change.get("value")
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidInput(fields={"value": f"Say what {part.label} should become, or choose to empty it."})
    return f"{part.label} becomes “{value.strip()[:200]}”" if value else f"{part.label} is emptied"


def member_named(actor: Membership, public_id: Any) -> User:
    """Return a present member's user by id; raises `InvalidInput`."""
    found = Lookups(actor.organization).user(ids.decode("user", public_id))
    if found is None or found.former:
        raise InvalidInput(fields={"value": "Choose a member."})
    return User.objects.get(pk=found.id)


def _lead(actor: Membership, number: int) -> Lead:
    found = visible_leads(actor).filter(pk=number).first()
    if found is None:
        raise NotFound("The lead is gone.")
    return found


def _edit_lead(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    lead = _lead(actor, number)
    before = lead.date_updated
    if "status" in change:
        return bool(update_lead(actor, lead, {"status": change["status"]}).date_updated != before)
    if "part" in change:
        return bool(update_lead(actor, lead, {change["part"]: change.get("value")}).date_updated != before)
    use = use_named(actor, catalog(actor.organization).lead_uses, change["field"])
    value = new_value(actor, use, lead.values.get(str(use.field.id)), change)
    return bool(update_lead(actor, lead, {"custom": {use.field.public_id: value}}).date_updated != before)


def _delete_lead(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    delete_lead(actor, _lead(actor, number))
    return True


def _check_contact(actor: Membership, change: Mapping[str, Any]) -> str:
    if "part" in change:
        return check_part(actor, CONTACT_PARTS, change)
    return check_field(actor, catalog(actor.organization).contact_uses, change)


def _contact(actor: Membership, number: int) -> Contact:
    found = visible_contacts(actor).filter(pk=number).first()
    if found is None:
        raise NotFound("The contact is gone.")
    return found


def _edit_contact(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    contact = _contact(actor, number)
    before = contact.date_updated
    if "part" in change:
        return bool(update_contact(actor, contact, {change["part"]: change.get("value")}).date_updated != before)
    use = use_named(actor, catalog(actor.organization).contact_uses, change["field"])
    value = new_value(actor, use, contact.values.get(str(use.field.id)), change)
    return bool(update_contact(actor, contact, {"custom": {use.field.public_id: value}}).date_updated != before)


def _delete_contact(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    delete_contact(actor, _contact(actor, number))
    return True


CHANGES: dict[tuple[str, str], Change] = {
    ("lead", "edit"): Change(_check_lead, _edit_lead, LEAD_PARTS),
    ("lead", "delete"): Change(lambda actor, change: "Deleted, with everything under them", _delete_lead),
    ("contact", "edit"): Change(_check_contact, _edit_contact, CONTACT_PARTS),
    ("contact", "delete"): Change(lambda actor, change: "Deleted", _delete_contact),
}
