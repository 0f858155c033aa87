"""The columns of result tables: what each is called, shows for a page of records, and sorts by.

`settings.RESULT_COLUMNS` lists the functions that offer columns, one per app: `(actor, source) → list[ResultColumn]`.
A key is stable: a column's name, a `cf_` id, `count:<type id>`, `last:<type id>:<field>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils.module_loading import import_string

from crm import ids
from crm.customfields.catalog import Field
from crm.customfields.lookups import Lookups
from crm.fieldkinds import many
from crm.models import Membership
from crm.phones import shown_phone
from leads.models import Contact, Lead, Task
from leads.search.figures import Figure
from leads.search.language import CustomValue
from leads.search.sources import Column, Source

MAX_COLUMNS = 30


@dataclass(frozen=True)
class Cell:
    """What a table shows of one record: `moment`, else `text`. `page`: the record it links to (lead, contact, activity)
    with its id. `written`: what a file says where that is not the text.
    """

    text: str = ""
    page: str = ""
    page_id: str = ""
    href: str = ""
    color: str = ""
    moment: datetime | None = None
    written: str = ""

    @property
    def csv(self) -> str:
        return self.moment.isoformat() if self.moment else self.written or self.text


EMPTY = Cell()


def _phone(text: str) -> Cell:
    return Cell(shown_phone(text), href=f"tel:{text}", written=text) if text else EMPTY


class Rows:
    """The records of one page, and what several columns look up once."""

    def __init__(self, actor: Membership, records: Sequence[Any], lookups: Lookups | None = None) -> None:
        self.actor = actor
        self.records = records
        self.lookups = lookups or Lookups(actor.organization)
        self.kept: dict[str, Any] = {}

    @cached_property
    def numbers(self) -> list[int]:
        return [record.pk for record in self.records]

    @cached_property
    def contacts(self) -> Mapping[int, list[Contact]]:
        """The contacts of the leads, in order."""
        found: dict[int, list[Contact]] = {}
        for contact in Contact.objects.filter(lead__in=self.numbers).order_by("pk"):
            found.setdefault(contact.lead_id, []).append(contact)
        return found

    @cached_property
    def open_tasks(self) -> Mapping[int, int]:
        rows = Task.objects.filter(lead__in=self.numbers, done_at=None).order_by().values_list("lead")
        return dict(rows.annotate(Count("pk")))


Load = Callable[[Rows], Mapping[int, Cell]]


@dataclass(frozen=True)
class ResultColumn:
    """`order`: what rows are ordered by, or what makes it, None when they cannot be. `load`: the cells of a page by row id."""

    key: str
    label: str
    group: str
    load: Load = field(repr=False)
    order: Column | Callable[[], Column] | None = None
    numeric: bool = False

    @property
    def sort(self) -> Column | None:
        return self.order() if callable(self.order) else self.order


def offered(actor: Membership, source: Source) -> dict[str, ResultColumn]:
    """Return every column the actor may choose for lists of a source, by key."""
    found = (column for path in settings.RESULT_COLUMNS for column in import_string(path)(actor, source))
    return {column.key: column for column in found}


def chosen(known: Mapping[str, ResultColumn], keys: Iterable[str], otherwise: Sequence[str]) -> list[ResultColumn]:
    """Return the columns asked for, in order; those the actor does not see (any more) are left out."""
    found = [known[key] for key in dict.fromkeys(keys) if key in known][:MAX_COLUMNS]
    return found or [known[key] for key in otherwise if key in known]


def sort_column(actor: Membership, source: Source, key: str) -> Column | None:
    """Return what a column's key sorts by, or None."""
    column = source.column(key)
    if column is not None and column.sorts:
        return column
    if isinstance(column, Figure) and column.shown:
        key = column.shown(actor)
    found = offered(actor, source).get(key)
    return found.sort if found else None


# --- pieces other apps use --------------------------------------------------------------------------------------------
def simple(key: str, label: str, group: str, cell: Callable[[Any, Rows], Cell], sort: Column | None = None,
           numeric: bool = False) -> ResultColumn:  # fmt: skip
    """Return a column whose cell is read off its own record."""
    return ResultColumn(
        key, label, group, lambda rows: {r.pk: cell(r, rows) for r in rows.records}, sort, numeric
    )  # fmt: skip


def sorting(name: str, asks: str, sql: str, walk: str = "") -> Column:
    """Return what to sort by. `asks`: text, number or moment, as the sort value is compared. `walk`: see `Column`."""
    return Column(name, name, asks, sql, sorts=True, nullable=True, walk=walk)


USER_NAME = "(SELECT LOWER(u.first_name || ' ' || u.last_name || ' ' || u.email) FROM crm_user u WHERE u.id = {id})"


def moment_cell(moment: datetime | None) -> Cell:
    return Cell(moment=moment) if moment else EMPTY


def user_cell(rows: Rows, user_id: int | None) -> Cell:
    ref = rows.lookups.user(user_id)
    return Cell(f"{ref.name} (former member)" if ref.former else ref.name) if ref else EMPTY


def value_cell(rows: Rows, known: Field, stored: Any) -> Cell:
    """Return the cell of a custom field's stored value."""
    if stored is None:
        return EMPTY
    href = "" if isinstance(stored, list) else known.kind.href(stored, known)
    color = ""
    if known.kind.has_options and len(many(stored)) == 1:
        option = known.option(many(stored)[0])
        color = option.color if option else ""
    shown, written = (say(stored, known, rows.lookups) for say in (known.kind.display, known.kind.written))
    return Cell(shown, href=href, color=color, written=written)


_INDEX = {"text": ("value_text", "text"), "number": ("value_number", "number"), "moment": ("value_moment", "moment"),
          "ref": ("value_ref", "number")}  # fmt: skip


def value_sort(key: str, known: Field, rows: str, guard: str = "", *, of_leads: bool = False) -> Column:
    """Return the order of a custom field: options by position, members by name, several values by their smallest.

    `rows`: the condition that ties the value rows `v` to the record; `guard` follows it. `of_leads`: it is a lead's own.
    """
    source, asks, value = _compared(known)
    walk = f"{source} WHERE v.field_id = {int(known.id)} AND v.record_key = 0" if of_leads else ""
    return sorting(
        key, asks, f"(SELECT MIN({value}) FROM {source} WHERE v.field_id = {int(known.id)} AND {rows}{guard})",
        _walkable(known, walk),
    )  # fmt: skip


def latest_sort(key: str, known: Field, join: str, rows: str, newest: str, last: str) -> Column:
    """Return the order of a custom field's value on the newest record that has one.

    `join` and `rows` tie the value rows `v` to records, of which `newest` orders the newest first. `last`: the condition that
    the record of `v` is the newest that has one of its lead, where `{table}` holds the values.
    """
    source, asks, value = _compared(known)
    walk = f"{source} WHERE v.field_id = {int(known.id)} AND {last.replace('{table}', source.split()[0])}"
    return sorting(
        key, asks,
        f"(SELECT {value} FROM {source} {join} WHERE v.field_id = {int(known.id)} AND {rows} "
        f"ORDER BY {newest}, {value} LIMIT 1)",
        _walkable(known, walk),
    )  # fmt: skip


def _walkable(known: Field, walk: str) -> str:
    """Return the walk where an index has the values themselves in order, one a record."""
    source, _, value = _compared(known)
    in_order = value == "v.v" and not source.startswith("value_text") and not known.multiple
    return walk if in_order else ""


def _compared(known: Field) -> tuple[str, str, str]:
    """Return the value rows `v` of a field, what its values are compared as, and the expression that is compared."""
    table, asks = _INDEX[known.kind.storage]
    if known.kind.has_options:
        return f"{table} v JOIN crm_fieldoption o ON o.id = v.v", asks, "o.position"
    if known.kind.refers_to == "user":
        name = "LOWER(u.first_name || ' ' || u.last_name || ' ' || u.email)"
        return f"{table} v JOIN crm_user u ON u.id = v.v", "text", name
    return f"{table} v", asks, "v.v"


def preload_contacts(rows: Rows, known: Field, stored: Iterable[Any]) -> None:
    if known.kind.refers_to == "contact":
        rows.lookups.preload_contacts({int(item) for value in stored for item in many(value)})


def custom_columns(actor: Membership, source: Source, group: str, tie: str) -> list[ResultColumn]:
    """Return the custom fields that leads or contacts have, as the actor sees them."""
    of_leads = source.object_type == "lead"
    return [
        _custom(found, group, tie, of_leads) for found in source.custom_fields(actor) if not found.field.kind.hidden
    ]


def _custom(found: CustomValue, group: str, tie: str, of_leads: bool) -> ResultColumn:
    known = found.field

    def load(rows: Rows) -> Mapping[int, Cell]:
        stored = {record.pk: record.values.get(str(known.id)) for record in rows.records}
        preload_contacts(rows, known, stored.values())
        return {pk: value_cell(rows, known, value) for pk, value in stored.items()}

    label = f"{known.name} ({known.unit})" if known.unit else known.name
    numeric = known.kind.storage == "number"

    def order() -> Column:
        return value_sort(known.public_id, known, tie, of_leads=of_leads)

    return ResultColumn(known.public_id, label, group, load, order, numeric)


# --- leads and contacts -----------------------------------------------------------------------------------------------
def columns(actor: Membership, source: Source) -> list[ResultColumn]:
    """Return the columns of leads and contacts."""
    if source.object_type == "lead":
        return [*_LEAD, *custom_columns(actor, source, "Lead fields", "v.lead_id = {row}.id AND v.record_key = 0")]
    if source.object_type == "contact":
        tie = "v.lead_id = {row}.lead_id AND v.record_key = -{row}.id"
        return [*_CONTACT, *custom_columns(actor, source, "Contact fields", tie)]
    return []


def lead_cell(lead: Lead) -> Cell:
    return Cell(lead.name, page="lead", page_id=lead.public_id)


def _first(rows: Rows, lead: Lead, channel: str) -> str:
    return next((text for contact in rows.contacts.get(lead.pk, ()) if (text := contact.first(channel))), "")


def _text_sort(name: str) -> Column:
    return sorting(name, "text", f"NULLIF(LOWER({{row}}.{name}), '')")


def _city(lead: Lead) -> str:
    place = lead.addresses[0] if lead.addresses else {}
    return ", ".join(place[part] for part in ("city", "state", "country") if place.get(part))


_BY = sorting("created_by", "text", USER_NAME.replace("{id}", "{row}.created_by_id"))
_UPDATED_BY = sorting("updated_by", "text", USER_NAME.replace("{id}", "{row}.updated_by_id"))


def _moments(group: str) -> list[ResultColumn]:
    return [
        simple("date_created", "Created", group, lambda r, rows: moment_cell(r.date_created),
               Column("date_created", "", "moment", "{row}.date_created", sorts=True)),
        simple("date_updated", "Updated", group, lambda r, rows: moment_cell(r.date_updated),
               Column("date_updated", "", "moment", "{row}.date_updated", sorts=True)),
        simple("created_by", "Created by", group, lambda r, rows: user_cell(rows, r.created_by_id), _BY),
        simple("updated_by", "Updated by", group, lambda r, rows: user_cell(rows, r.updated_by_id), _UPDATED_BY),
    ]  # fmt: skip


_LEAD = [
    simple("name", "Lead", "Lead", lambda r, rows: lead_cell(r), Column("name", "", "text", "{row}.name_fold", sorts=True)),
    simple("status", "Status", "Lead", lambda r, rows: Cell(r.status.label, color=r.status.color or "gray"),
           sorting("status", "number", "(SELECT s.position FROM leads_leadstatus s WHERE s.id = {row}.status_id)")),
    simple("contacts", "Contacts", "Lead", lambda r, rows: Cell(str(r.contacts_count)),
           Column("contacts", "", "number", "{row}.contacts_count", sorts=True), numeric=True),
    simple("last_activity_at", "Last activity", "Lead", lambda r, rows: moment_cell(r.last_activity_at),
           sorting("last_activity_at", "moment", "{row}.last_activity_at")),
    *_moments("Lead"),
    simple("url", "Website", "Lead", lambda r, rows: Cell(r.url, href=r.url), _text_sort("url")),
    simple("description", "Description", "Lead", lambda r, rows: Cell(r.description[:300]), _text_sort("description")),
    simple("place", "Place", "Lead", lambda r, rows: Cell(_city(r))),
    simple("contact", "First contact", "Lead", lambda r, rows: next(
        (Cell(str(c), page="contact", page_id=c.public_id) for c in rows.contacts.get(r.pk, ())[:1]), EMPTY)),
    simple("email", "Email", "Lead", lambda r, rows: Cell(t, href=f"mailto:{t}") if (t := _first(rows, r, "emails")) else EMPTY),
    simple("phone", "Phone", "Lead", lambda r, rows: _phone(_first(rows, r, "phones"))),
    simple("open_tasks", "Open tasks", "Lead", lambda r, rows: Cell(str(rows.open_tasks.get(r.pk, 0))),
           Column("open_tasks", "", "number",
                  "(SELECT COUNT(*) FROM leads_task k WHERE k.lead_id = {row}.id AND k.done_at IS NULL)", sorts=True),
           numeric=True),
    simple("id", "Id", "Lead", lambda r, rows: Cell(r.public_id)),
]  # fmt: skip
_CONTACT = [
    simple("name", "Contact", "Contact", lambda r, rows: Cell(str(r), page="contact", page_id=r.public_id),
           _text_sort("name")),
    simple("title", "Title", "Contact", lambda r, rows: Cell(r.title), _text_sort("title")),
    simple("lead", "Lead", "Contact", lambda r, rows: lead_cell(r.lead), sorting(
        "lead", "text", "(SELECT l.name_fold FROM leads_lead l WHERE l.id = {row}.lead_id)")),
    simple("email", "Email", "Contact",
           lambda r, rows: Cell(t, href=f"mailto:{t}") if (t := r.first("emails")) else EMPTY),
    simple("phone", "Phone", "Contact", lambda r, rows: _phone(r.first("phones"))),
    simple("url", "Website", "Contact", lambda r, rows: Cell(t, href=t) if (t := r.first("urls")) else EMPTY),
    simple("lead_status", "Lead status", "Contact",
           lambda r, rows: Cell(r.lead.status.label, color=r.lead.status.color or "gray")),
    *_moments("Contact"),
    simple("id", "Id", "Contact", lambda r, rows: Cell(r.public_id)),
]  # fmt: skip


def records(source: Source, numbers: Sequence[int]) -> list[Any]:
    """Return leads or contacts by row id, in the given order, ready for their columns."""
    rows: Any = Lead.objects.select_related("status")
    if source.object_type == "contact":
        rows = Contact.objects.select_related("lead__status")
    found = rows.in_bulk(list(numbers))
    return [found[pk] for pk in numbers if pk in found]


def public_id_of(source: Source, number: int) -> str:
    return ids.encode(source.id_prefix, number)
