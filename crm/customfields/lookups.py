"""People that values refer to: members and contacts, loaded once per request or import chunk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps

from crm import ids
from crm.models import Membership, Organization
from crm.models.organizations import full_name


@dataclass(frozen=True)
class UserRef:
    id: int
    public_id: str
    name: str
    email: str
    former: bool


@dataclass(frozen=True)
class ContactRef:
    id: int
    public_id: str
    lead_id: int
    name: str
    emails: tuple[str, ...]


class Lookups:
    """Members of an organization and contacts of leads. One query for each, when first needed.

    `lead_id` is the lead whose contacts may be named; `at(lead_id)` gives the same lookups for another lead.
    """

    def __init__(self, organization: Organization, lead_id: int | None = None, _shared: Lookups | None = None) -> None:
        self.organization = organization
        self.lead_id = lead_id
        self._parent = _shared or self
        if _shared is None:
            self._contacts: dict[int, ContactRef] = {}
            self._leads_loaded: set[int] = set()

    def at(self, lead_id: int | None) -> Lookups:
        """Return lookups for another lead that share what is loaded."""
        return Lookups(self.organization, lead_id, self._parent)

    # --- members ------------------------------------------------------------------------------------------------------
    @property
    def members(self) -> list[UserRef]:
        """Everybody who is or was a member, by name, former ones last."""
        return self._parent._members

    @cached_property
    def _members(self) -> list[UserRef]:
        named = ("user_id", "user__first_name", "user__last_name", "user__email", "removed_at")
        rows = Membership.unscoped.filter(organization=self.organization).values_list(*named)
        found = [
            UserRef(user_id, ids.encode("user", user_id), full_name(first, last, email), email, removed_at is not None)
            for user_id, first, last, email, removed_at in rows
        ]
        return sorted(found, key=lambda ref: (ref.former, ref.name.casefold()))

    @cached_property
    def _members_by_id(self) -> dict[int, UserRef]:
        return {ref.id: ref for ref in self.members}

    @cached_property
    def _members_by_text(self) -> dict[str, list[UserRef]]:
        found: dict[str, list[UserRef]] = {}
        for ref in self.members:
            for text in {ref.public_id, ref.email.casefold(), ref.name.casefold()}:
                found.setdefault(text, []).append(ref)
        return found

    def user(self, user_id: int | None) -> UserRef | None:
        return self._parent._members_by_id.get(user_id) if user_id else None

    def find_users(self, text: str) -> list[UserRef]:
        """Return members by id, email or exact name (ignoring case); several when a name is ambiguous."""
        known = self._parent._members_by_text
        return known.get(text) or known.get(text.casefold()) or []

    def find_user(self, text: str) -> UserRef | None:
        """Return the one member this text names, or None."""
        found = self.find_users(text)
        return found[0] if len(found) == 1 else None

    # --- contacts -----------------------------------------------------------------------------------------------------
    def preload_contacts(self, contact_ids: Iterable[int]) -> None:
        """Load these contacts with one query, for display."""
        missing = set(contact_ids) - set(self._parent._contacts)
        if missing:
            self._parent._add(_contacts().filter(pk__in=missing))

    def preload_leads(self, lead_ids: Iterable[int]) -> None:
        """Load the contacts of these leads with one query, for cleaning many rows."""
        missing = set(lead_ids) - self._parent._leads_loaded
        if missing:
            self._parent._add(_contacts().filter(lead_id__in=missing))
            self._parent._leads_loaded |= missing

    def _add(self, rows: Iterable[Any]) -> None:
        for row in rows:
            emails = tuple(entry.get("email", "") for entry in row.emails)
            self._contacts[row.pk] = ContactRef(row.pk, row.public_id, row.lead_id, str(row), emails)

    @property
    def contacts(self) -> list[ContactRef]:
        """Contacts of the lead, by name."""
        if self.lead_id is None:
            return []
        self.preload_leads([self.lead_id])
        found = [ref for ref in self._parent._contacts.values() if ref.lead_id == self.lead_id]
        return sorted(found, key=lambda ref: ref.name.casefold())

    def contact(self, contact_id: int | None) -> ContactRef | None:
        if not contact_id:
            return None
        self.preload_contacts([contact_id])
        return self._parent._contacts.get(contact_id)

    def find_contacts(self, text: str) -> list[ContactRef]:
        """Return contacts of the lead by id, exact name or email (ignoring case)."""
        number, wanted = ids.decode("cont", text), text.casefold()
        return [
            ref
            for ref in self.contacts
            if ref.id == number or wanted == ref.name.casefold() or wanted in {email.casefold() for email in ref.emails}
        ]

    def find_contact(self, lead_id: int, text: str) -> ContactRef | None:
        """Return the one contact of `lead_id` that this text names, or None."""
        found = self.at(lead_id).find_contacts(text)
        return found[0] if len(found) == 1 else None


def _contacts() -> Any:
    return apps.get_model("leads", "Contact").objects.all()
