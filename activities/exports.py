"""Activities and leads as CSV, streamed in constant memory. An exported file, edited, is a valid update file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from activities.models import Activity
from activities.queries import TypeInfo, type_catalog, visible_activities, visible_types
from crm import ids
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.fieldkinds import join_several, many
from crm.imports.files import csv_text
from crm.imports.formula import neutralise
from crm.models import Membership
from crm.permissions import Perm, authorize, can_view_field, has
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.queries import visible_leads

CHUNK = 1000
FIXED = (
    "id", "activity_type", "status", "lead_id", "lead_name", "contact_id", "contact_name", "user", "user_name",
    "created_by", "date_created", "updated_by", "date_updated", "activity_at", "pinned", "external_id",
)  # fmt: skip
LEAD_COLUMNS = (
    "id", "name", "status", "url", "description", "address_1", "address_2", "city", "state", "zipcode", "country",
    "contact_id", "contact_name", "contact_title", "contact_emails", "contact_phones", "contact_urls",
    "created_by", "date_created", "date_updated",
)  # fmt: skip


def exported_types(actor: Membership) -> list[TypeInfo]:
    """Return the types whose activities the actor may export."""
    return [kind for kind in visible_types(actor) if not kind.system]


def activity_columns(actor: Membership, kind: TypeInfo) -> tuple[list[str], list[Use]]:
    """Return the header of a type's export, and the fields behind its last columns, in display order."""
    uses = [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_view_field(actor, use)]
    return [*FIXED, *(f"custom.{use.field.name}" for use in uses)], uses


def export_activities(actor: Membership, kind: TypeInfo) -> Iterator[str]:
    """Yield a type's published activities as CSV text, oldest first, a thousand rows at a time.

    Rights are read again for every thousand rows; when they are gone, the file ends.
    """
    authorize(has(actor, Perm.EXPORT))
    header, uses = activity_columns(actor, kind)
    lookups = Lookups(actor.organization)
    yield "\ufeff" + csv_text([[neutralise(name) for name in header]])
    last = 0
    while True:
        with scope(actor.organization):
            if not _still_allowed(actor):
                return
            rows = list(
                visible_activities(actor)
                .filter(type_id=kind.id, pk__gt=last)
                .select_related("lead")
                .order_by("pk")[:CHUNK]
            )
            if not rows:
                return
            last = rows[-1].pk
            contacts = {row.contact_id for row in rows if row.contact_id}
            for use in uses:
                if use.field.kind.refers_to == "contact":
                    contacts |= {pk for row in rows for pk in many(row.values.get(str(use.field.id)))}
            lookups.preload_contacts(contacts)
            text = csv_text([_activity_row(row, kind, uses, lookups) for row in rows])
        yield text


def _activity_row(row: Activity, kind: TypeInfo, uses: list[Use], lookups: Lookups) -> list[str]:
    contact = lookups.contact(row.contact_id)
    user, author, editor = (lookups.user(pk) for pk in (row.user_id, row.created_by_id, row.updated_by_id))
    cells = [
        row.public_id, kind.name, str(row.status), ids.encode("lead", row.lead_id), row.lead.name,
        contact.public_id if contact else "", contact.name if contact else "", user.email if user else "",
        user.name if user else "", author.email if author else "", row.date_created.isoformat(),
        editor.email if editor else "", row.date_updated.isoformat(), row.activity_at.isoformat(),
        "yes" if row.pinned_at else "no", row.external_id or "",
    ]  # fmt: skip
    cells += [use.field.kind.to_csv(row.values.get(str(use.field.id)), use.field, lookups) for use in uses]
    return [neutralise(cell) for cell in cells]


def export_leads(actor: Membership) -> Iterator[str]:
    """Yield the leads the actor may see as CSV text, one row per contact."""
    authorize(has(actor, Perm.EXPORT))
    uses = [use for use in catalog(actor.organization).lead_uses if can_view_field(actor, use)]
    lookups = Lookups(actor.organization)
    yield "\ufeff" + csv_text([[*LEAD_COLUMNS, *(neutralise(f"custom.{use.field.name}") for use in uses)]])
    last = 0
    while True:
        with scope(actor.organization):
            if not _still_allowed(actor):
                return
            leads = list(visible_leads(actor).filter(pk__gt=last).select_related("status").order_by("pk")[:CHUNK])
            if not leads:
                return
            last = leads[-1].pk
            contacts: dict[int, list[Contact]] = {}
            for contact in Contact.objects.filter(lead__in=leads).order_by("pk"):
                contacts.setdefault(contact.lead_id, []).append(contact)
            text = csv_text(
                _lead_row(lead, contact, uses, lookups) for lead in leads for contact in contacts.get(lead.pk, [None])
            )
        yield text


def _lead_row(lead: Lead, contact: Contact | None, uses: list[Use], lookups: Lookups) -> list[str]:
    address: dict[str, Any] = lead.addresses[0] if lead.addresses else {}
    author = lookups.user(lead.created_by_id)
    cells = [lead.public_id, lead.name, lead.status.label, lead.url, lead.description]
    cells += [address.get(part, "") for part in ("address_1", "address_2", "city", "state", "zipcode", "country")]
    cells += [contact.public_id, contact.name, contact.title] if contact else ["", "", ""]
    for channel in ("emails", "phones", "urls"):
        cells.append(join_several([entry[channel[:-1]] for entry in getattr(contact, channel)]) if contact else "")
    cells += [author.email if author else "", lead.date_created.isoformat(), lead.date_updated.isoformat()]
    cells += [use.field.kind.to_csv(lead.values.get(str(use.field.id)), use.field, lookups) for use in uses]
    return [neutralise(cell) for cell in cells]


def export_everything(actor: Membership) -> Iterator[bytes]:
    """Yield a zip with one CSV per type and one of leads, built as it is sent."""
    authorize(has(actor, Perm.EXPORT))
    with scope(actor.organization):
        kinds = exported_types(actor)
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        parts = [(f"{_file_name(kind.name)}.csv", export_activities(actor, kind)) for kind in kinds]
        for name, lines in [*parts, ("leads.csv", export_leads(actor))]:
            with archive.open(name, "w", force_zip64=True) as member:
                for text in lines:
                    member.write(text.encode())
                    yield pipe.taken()
    yield pipe.taken()


class _Pipe(io.RawIOBase):
    """Takes what a zip writer writes, and gives it away."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._kept += content
        return len(content)

    def taken(self) -> bytes:
        found, self._kept = bytes(self._kept), bytearray()
        return found


def template_of(actor: Membership, kind: TypeInfo) -> str:
    """Return a CSV to fill in for a type: its columns and one example row."""
    uses = [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_view_field(actor, use)]
    examples = {"number": "12.5", "ref": "", "moment": "2024-01-31", "text": "Some text"}
    header = ["custom_activity_type", "lead_name", "user", "date_created", "external_id"]
    cells = [kind.name, "Example Company", actor.user.email, "2024-01-31T14:30", "example-1"]
    for use in uses:
        offered = [option.label for option in use.field.options if not option.removed]
        header.append(f"custom.{use.field.name}")
        cells.append(offered[0] if offered else examples[use.field.kind.storage])
    return "\ufeff" + csv_text([header, [neutralise(cell) for cell in cells]])


def file_name_of(kind: TypeInfo) -> str:
    """Return the name a type's export is saved under."""
    return f"{_file_name(kind.name)}.csv"


def _file_name(name: str) -> str:
    return (
        "".join(char if char.isascii() and char.isalnum() else "-" for char in name).strip("-").lower() or "activities"
    )


def _still_allowed(actor: Membership) -> bool:
    fresh = Membership.objects.select_related("user", "role").filter(pk=actor.pk).first()
    return fresh is not None and bool(has(fresh, Perm.EXPORT)) and bool(type_catalog(actor.organization).types)
