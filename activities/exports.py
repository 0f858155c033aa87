"""Activities and leads as CSV, streamed in constant memory. An exported file, edited, is a valid update file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast

from activities.queries import TypeInfo, type_catalog, visible_activities, visible_types
from crm import events, ids
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.fieldkinds import join_several, many
from crm.imports.files import columns_text, csv_text
from crm.imports.formula import neutralise, neutralise_all
from crm.models import Event, Membership
from crm.permissions import Perm, authorize, can_edit_field, can_view_field, has
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.queries import visible_leads
from leads.resources import CONTACT_FIELD, address_cell

CHUNK = 2000
LEADS = 1000
FIRST_PAGE = 100
PAGE_LENGTH = 4_000_000  # characters that are held at once, give or take some rows
FIXED = (
    "id", "activity_type", "status", "lead_id", "lead_name", "contact_id", "contact_name", "user", "user_name",
    "created_by", "date_created", "updated_by", "date_updated", "activity_at", "pinned", "external_id",
)  # fmt: skip
LEAD_COLUMNS = (
    "id", "name", "status", "url", "description", "address_1", "address_2", "city", "state", "zipcode", "country",
    "other_addresses",
)  # fmt: skip
CONTACT_COLUMNS = (
    "contact_id", "contact_name", "contact_title", "contact_emails", "contact_phones", "contact_urls",
)  # fmt: skip
WRITTEN_COLUMNS = ("created_by", "date_created", "date_updated")


def note_export(actor: Membership, what: str, asked: Mapping[str, Any] | None = None) -> Event:
    """Record that the actor takes data out. `asked`: what an API's export is to hold, read again when it is fetched."""
    authorize(has(actor, Perm.EXPORT))
    return events.record(actor, "created", "export", 0, after={"what": what, **(asked or {})})


def exported_types(actor: Membership) -> list[TypeInfo]:
    """Return the types whose activities the actor may export."""
    return [kind for kind in visible_types(actor) if not kind.system]


def activity_columns(actor: Membership, kind: TypeInfo) -> tuple[list[str], list[Use]]:
    """Return the header of a type's export, and the fields behind its last columns, in display order."""
    uses = [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_view_field(actor, use)]
    return [*FIXED, *(f"custom.{use.field.name}" for use in uses)], uses


def export_activities(actor: Membership, kind: TypeInfo) -> Iterator[str]:
    """Yield a type's published activities as CSV text, oldest first, some rows at a time.

    Rights are read again for every two thousand rows; when they are gone, the file ends.
    """
    authorize(has(actor, Perm.EXPORT))
    header, uses = activity_columns(actor, kind)
    lookups = Lookups(actor.organization)
    yield "\ufeff" + csv_text([[neutralise(name) for name in header]])
    last, size = 0, FIRST_PAGE
    while True:
        with scope(actor.organization):
            if not still_allowed(actor):
                return
            wanted = visible_activities(actor).filter(type_id=kind.id, pk__gt=last).order_by("pk")
            rows = list(wanted.values_list(*_READ)[:size])
            if not rows:
                return
            last = rows[-1][0]
            text = columns_text(map(neutralise_all, _activity_columns(rows, kind, uses, lookups)))
        yield text
        size = _next_page(size, len(text))


def _next_page(size: int, length: int) -> int:
    """Return how many rows to read together, after so many made a text of this length: few large ones or many small."""
    return max(10, min(CHUNK, 4 * size, size * PAGE_LENGTH // max(length, 1)))


def _as_text(column: str) -> Cast:
    """A column as the database writes it: making objects of moments and JSON costs more than all else of a row."""
    return Cast(column, TextField())


_READ = (
    "pk", "status", "lead_id", "lead__name", "contact_id", "user_id", "created_by_id", _as_text("date_created"),
    "updated_by_id", _as_text("date_updated"), _as_text("activity_at"), _as_text("pinned_at"), "external_id",
    _as_text("values"),
)  # fmt: skip


def _iso(text: str) -> str:
    """Return a moment in UTC as the database writes it (`2024-01-31 14:30:00.5+00`, SQLite without offset) as ISO 8601."""
    whole, _, fraction = text.removesuffix("+00").partition(".")
    return f"{whole[:10]}T{whole[11:]}{f'.{fraction:0<6}' if fraction else ''}+00:00"


def _activity_columns(
    rows: Sequence[tuple[Any, ...]], kind: TypeInfo, uses: Sequence[Use], lookups: Lookups
) -> list[Sequence[str]]:
    """Return the cells of activities column by column: what comes again and again is put into words once."""
    (
        keys, statuses, lead_ids, lead_names, contact_ids, user_ids, author_ids, created, editor_ids, updated, happened,
        pinned, externals, texts,
    ) = zip(*rows, strict=True)  # fmt: skip
    # Read as one list: names of fields that come again and again are made once.
    values: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    lookups.preload_contacts(set(filter(None, contact_ids)) | _contacts_in(values, uses))

    def contact(what: str) -> Callable[[Any], str]:
        return lambda pk: getattr(lookups.contact(pk), what, "")

    def member(what: str) -> Callable[[Any], str]:
        return lambda pk: getattr(lookups.user(pk), what, "")

    lead_id = partial(ids.encode, "lead")
    return [
        [ids.encode("acti", pk) for pk in keys], [kind.name] * len(rows), _cells(statuses, str),
        _cells(lead_ids, lead_id), _cells(lead_names, str), _cells(contact_ids, contact("public_id")),
        _cells(contact_ids, contact("name")), _cells(user_ids, member("email")), _cells(user_ids, member("name")),
        _cells(author_ids, member("email")), _cells(created, _iso), _cells(editor_ids, member("email")),
        _cells(updated, _iso), _cells(happened, _iso),
        ["yes" if at else "no" for at in pinned], _cells(externals, str),
        *(_field_column(use, values, lookups) for use in uses),
    ]  # fmt: skip


def _cells(values: Sequence[Any], words: Callable[[Any], str]) -> list[str]:
    """Return each value in words; None is empty. `words` is asked once for each distinct value."""
    found = {value: "" if value is None else words(value) for value in set(values)}
    return list(map(found.__getitem__, values))


def _field_column(use: Use, values: Sequence[Mapping[str, Any]], lookups: Lookups) -> list[str]:
    key, field = str(use.field.id), use.field
    held = [stored.get(key) for stored in values]
    if field.multiple or list in set(map(type, held)):
        several = [tuple(stored) if type(stored) is list else stored for stored in held]
        return _cells(
            several, lambda stored: field.kind.to_csv(list(stored) if type(stored) is tuple else stored, field, lookups)
        )
    return _cells(held, lambda stored: field.kind.to_csv_one(stored, field, lookups))


def lead_pages(actor: Membership) -> Iterator[list[int]]:
    """Yield the ids of all leads the actor sees, oldest first, a thousand at a time."""
    last = 0
    while found := list(visible_leads(actor).filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:LEADS]):
        last = found[-1]
        yield found


def export_leads(
    actor: Membership, pages: Callable[[Membership], Iterator[list[int]]] = lead_pages, only: Sequence[str] = ()
) -> Iterator[str]:
    """Yield leads as CSV text, one row per contact. `pages`: which, and in what order. `only`: names of columns."""
    authorize(has(actor, Perm.EXPORT))
    known = catalog(actor.organization)
    uses = [use for use in known.lead_uses if can_view_field(actor, use)]
    contact_uses = [use for use in known.contact_uses if can_view_field(actor, use)]
    lookups = Lookups(actor.organization)
    header = [*LEAD_COLUMNS, *CONTACT_COLUMNS, *WRITTEN_COLUMNS, *(f"custom.{use.field.name}" for use in uses)]
    header += [f"{CONTACT_FIELD}{use.field.name}" for use in contact_uses]
    kept = [number for number, name in enumerate(header) if not only or name in only]
    yield "\ufeff" + csv_text([[neutralise(header[number]) for number in kept]])
    asked = pages(actor)
    while True:
        with scope(actor.organization):
            found = next(asked, None)
            if found is None or not still_allowed(actor):
                return
            by_id = visible_leads(actor).select_related("status").in_bulk(found)
            leads = [by_id[pk] for pk in found if pk in by_id]
            contacts: dict[int, list[Contact]] = {}
            for contact in Contact.objects.filter(lead__in=leads).order_by("pk"):
                contacts.setdefault(contact.lead_id, []).append(contact)
            lookups.preload_contacts(_contacts_in([lead.values for lead in leads], uses))
            rows = []
            for lead in leads:
                cells, fields = _lead_cells(lead), _field_cells(lead.values, uses, lookups)
                author = lookups.user(lead.created_by_id)
                written = [author.email if author else "", lead.date_created.isoformat(), lead.date_updated.isoformat()]
                people: Sequence[Contact | None] = contacts.get(lead.pk) or [None]
                for person in people:
                    own = _field_cells(person.values if person else {}, contact_uses, lookups)
                    rows.append([*cells, *_contact_cells(person), *written, *fields, *own])
            text = csv_text([[neutralise(row[number]) for number in kept] for row in rows])
        yield text


def _lead_cells(lead: Lead) -> list[str]:
    first: dict[str, Any] = lead.addresses[0] if lead.addresses else {}
    cells = [lead.public_id, lead.name, lead.status.label, lead.url, lead.description]
    return [*cells, *(first.get(part, "") for part in LEAD_COLUMNS[5:11]), address_cell(lead.addresses[1:])]


def _contact_cells(contact: Contact | None) -> list[str]:
    if contact is None:
        return [""] * len(CONTACT_COLUMNS)
    channels = (("email", contact.emails), ("phone", contact.phones), ("url", contact.urls))
    several = [join_several([entry[one] for entry in entries]) for one, entries in channels]
    return [contact.public_id, contact.name, contact.title, *several]


def _field_cells(values: Mapping[str, Any], uses: Sequence[Use], lookups: Lookups) -> list[str]:
    return [use.field.kind.to_csv(values.get(str(use.field.id)), use.field, lookups) for use in uses]


def _contacts_in(values: Iterable[Mapping[str, Any]], uses: Iterable[Use]) -> set[int]:
    """Return the contacts that fields of records with these values name."""
    keys = [str(use.field.id) for use in uses if use.field.kind.refers_to == "contact"]
    return {pk for stored in values for key in keys for pk in many(stored.get(key))} if keys else set()


def export_everything(actor: Membership) -> Iterator[bytes]:
    """Yield a zip with one CSV per type and one of leads, built as it is sent."""
    authorize(has(actor, Perm.EXPORT))
    with scope(actor.organization):
        kinds = exported_types(actor)
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        parts = [
            ("leads", export_leads(actor)),
            *((_file_name(kind.name), export_activities(actor, kind)) for kind in kinds),
        ]
        taken: set[str] = set()
        for plain, lines in parts:
            # Names of types may differ only in what a file's name cannot hold.
            names = chain([plain], (f"{plain}-{number}" for number in count(2)))
            taken.add(name := next(name for name in names if name not in taken))
            with archive.open(f"{name}.csv", "w", force_zip64=True) as member:
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


# What a cell of each kind may look like; other kinds show text.
_EXAMPLES = {
    "number": ("12.5", "3"), "date": ("2024-01-31", "2024-02-29"), "checkbox": ("yes", "no"),
    "datetime": ("2024-01-31T14:30", "2024-02-29T09:00+02:00"), "url": ("https://example.com", ""), "contact": ("", ""),
    "email": ("ada@example.com", ""), "phone": ("+12025550143", ""), "textarea": ("Two lines\nare fine", ""),
}  # fmt: skip


def template_of(actor: Membership, kind: TypeInfo) -> str:
    """Return a CSV to fill in for a type: its columns and two example rows."""
    uses = [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_edit_field(actor, use)]
    header = ["custom_activity_type", "lead_name", "user", "date_created", "external_id"]
    rows = [
        [kind.name, "Example Company", actor.user.email, "2024-01-31T14:30", "example-1"],
        [kind.name, "Another Company", "", "2024-02-29", "example-2"],
    ]
    return _template(header, rows, [("custom.", use) for use in uses], actor)


def template_of_leads(actor: Membership) -> str:
    """Return a CSV to fill in with leads: two contacts of one company, and a company without any."""
    known = catalog(actor.organization)
    uses = [("custom.", use) for use in known.lead_uses if can_edit_field(actor, use)]
    uses += [(CONTACT_FIELD, use) for use in known.contact_uses if can_edit_field(actor, use)]
    header = [
        "name", "status", "url", "address_1", "city", "zipcode", "country", "contact_name", "contact_title",
        "contact_emails", "contact_phones",
    ]  # fmt: skip
    rows = [
        [
            "Example Company", "", "https://example.com", "1 Main Street", "Springfield", "01101", "US", "Ada Example",
            "CEO", "ada@example.com;ada@home.example", "+12025550143",
        ],
        ["Example Company", *[""] * 6, "Bo Example", "", "bo@example.com", ""],
        ["Another Company", *[""] * 10],
    ]  # fmt: skip
    return _template(header, rows, uses, actor)


def _template(header: list[str], rows: list[list[str]], uses: Sequence[tuple[str, Use]], actor: Membership) -> str:
    for prefix, use in uses:
        header.append(f"{prefix}{use.field.name}")
        offered = [option.label for option in use.field.options if not option.removed]
        texts = [actor.user.email] if use.field.kind.refers_to == "user" else []
        texts = texts or offered[:2] or list(_EXAMPLES.get(use.field.kind.slug, ("Some text", "")))
        for number, row in enumerate(rows):
            row.append(texts[number] if number < len(texts) else "")
        if use.field.multiple and len(offered) > 1:
            rows[0][-1] = join_several(offered[:2])
    return "\ufeff" + csv_text([[neutralise(cell) for cell in row] for row in [header, *rows]])


def file_name_of(kind: TypeInfo) -> str:
    """Return the name a type's export is saved under."""
    return f"{_file_name(kind.name)}.csv"


def _file_name(name: str) -> str:
    return (
        "".join(char if char.isascii() and char.isalnum() else "-" for char in name).strip("-").lower() or "activities"
    )


def still_allowed(actor: Membership) -> bool:
    """Return whether the member may export now; asked again for every page of a file."""
    fresh = Membership.objects.select_related("user", "role").filter(pk=actor.pk).first()
    return fresh is not None and bool(has(fresh, Perm.EXPORT)) and bool(type_catalog(actor.organization).types)
