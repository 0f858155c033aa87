"""Contacts and leads by name: conditions take names, the query language takes ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from crm import ids
from crm.fieldkinds import fold
from crm.models import Membership
from leads.models import Contact, ContactPoint, Lead
from leads.queries import visible_contacts, visible_leads

MOST = 100
SEPARATOR = " · "  # between a contact and its lead


def ids_named(actor: Membership, target: str, text: str) -> list[str]:
    """Return the ids of the contacts (by name or email) or leads (by name) the actor sees; an id stands for itself."""
    text = text.strip()
    if ids.decode("cont" if target == "contact" else "lead", text):
        return [text]
    if target == "lead":
        return [row.public_id for row in visible_leads(actor).filter(name_fold=fold(text)).order_by("pk")[:MOST]]
    name, _, lead = text.rpartition(SEPARATOR)
    if name:
        rows = visible_contacts(actor).filter(name__iexact=name.strip(), lead__name_fold=fold(lead))
        return [row.public_id for row in rows.order_by("pk")[:MOST]]
    by_email = ContactPoint.objects.filter(channel="email", value=text.lower()).values("contact_id")
    rows = visible_contacts(actor).filter(Q(name__iexact=text) | Q(pk__in=by_email))
    return [row.public_id for row in rows.order_by("pk")[:MOST]]


def labels_of(actor: Membership, target: str, values: Iterable[str]) -> list[tuple[str, str]]:
    """Return values with what a picker shows for them: a contact with its lead; what is no id stands for itself."""
    given = list(dict.fromkeys(values))
    prefix = "cont" if target == "contact" else "lead"
    numbers = [number for one in given if (number := ids.decode(prefix, one))]
    rows: QuerySet[Any] = visible_leads(actor)
    if target == "contact":
        rows = visible_contacts(actor).select_related("lead")
    found = {row.public_id: label(row) for row in rows.filter(pk__in=numbers)} if numbers else {}
    return [(one, found.get(one, one)) for one in given]


def label(row: Contact | Lead) -> str:
    """Return a record's name; a contact's with its lead, which tells two of the same name apart."""
    return f"{row}{SEPARATOR}{row.lead.name}" if isinstance(row, Contact) else row.name


def names_of(actor: Membership, target: str, values: Iterable[str]) -> list[str]:
    """Return what the input shows for ids: the name when it stands for exactly these, else with the lead, else the ids."""
    given = list(values)
    rows: QuerySet[Any] = visible_contacts(actor) if target == "contact" else visible_leads(actor)
    prefix = "cont" if target == "contact" else "lead"
    names = {row.public_id: str(row) for row in rows.filter(pk__in=[ids.decode(prefix, one) or 0 for one in given])}
    shown = list(dict.fromkeys(names.get(one, one) for one in given))
    if _meant(actor, target, shown) == set(given):
        return shown
    longer = [shown for _, shown in labels_of(actor, target, given)]
    return longer if _meant(actor, target, longer) == set(given) else given


def _meant(actor: Membership, target: str, names: Iterable[str]) -> set[str]:
    return {found for name in names for found in ids_named(actor, target, name) or [name]}
