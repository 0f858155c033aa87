"""What can be searched: leads, contacts and what belongs to them. Activities add theirs (`activities.search`).

A source is a table, its columns, and how its rows hang together with others. The explicit list of all sources is
`settings.SEARCH_SOURCES`, in the order the builder shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from crm import ids
from crm.customfields.catalog import Catalog, Field, Use, catalog
from crm.customfields.lookups import Lookups
from crm.fieldkinds import FieldKind, fold
from crm.models import Membership
from crm.permissions import can_view_field
from leads.models import Contact, Lead, LeadStatus
from leads.search.language import CustomValue, Node
from leads.search.sql import Sql, fill, value

# What a field may be asked, by where its values are stored and what they name.
ASKS = {
    "text": ("text", "exists"),
    "number": ("number_range", "exists"),
    "moment": ("moment_range", "exists"),
    "term": ("term", "exists"),
    "flag": ("boolean", "exists"),
    "user": ("reference", "current_user", "former_user", "exists"),
    "reference": ("reference", "exists"),
    "type": ("term", "reference", "exists"),
    "label": ("term", "text", "exists"),
}


@dataclass(frozen=True)
class Column:
    """A regular field. `sql`: its expression on `{row}`. `asks`: a key of ASKS. `folded`: the text is folded already.

    `terms`: the values a term condition may name. `indexed`: a probe by this column alone is cheap. `sorts`, `nullable`:
    results can be ordered by it; rows without a value come last. `walk`: for orders by a look-up, the rows `v` of an index
    of values that hold the sort value `v.v` of the lead `v.lead_id`, one row a lead.
    """

    name: str
    label: str
    asks: str
    sql: str
    refers_to: str = ""
    folded: bool = False
    terms: tuple[str, ...] = ()
    whole_days: bool = False
    indexed: bool = False
    sorts: bool = False
    nullable: bool = False
    walk: str = ""


def asks_of(kind: FieldKind) -> str:
    """Return what fields of a kind may be asked (a key of ASKS)."""
    if kind.has_options:
        return "term"
    if kind.refers_to:
        return "user" if kind.refers_to == "user" else "reference"
    return "flag" if kind.storage == "ref" else kind.storage


def accepted(searched: Column | CustomValue) -> tuple[str, ...]:
    """Return the condition types a field takes."""
    return ASKS[searched.asks if isinstance(searched, Column) else asks_of(searched.field.kind)]


def refers_to(searched: Column | CustomValue) -> str:
    """Return what a reference field's ids name: user, contact, status.lead …"""
    return searched.refers_to if isinstance(searched, Column) else searched.field.kind.refers_to


Resolved = tuple[int | str, str] | None


def resolve_terms(actor: Membership, searched: Column | CustomValue, raw: Any) -> Resolved:
    """Return the stored value and label of a term: an option by id or label (ignoring case), a word of the column."""
    if isinstance(searched, CustomValue):
        option = searched.field.find_option(raw)
        return (option.id, option.words) if option else None
    if searched.refers_to:
        return resolve_reference(actor, Lookups(actor.organization), searched.refers_to, raw)
    if searched.asks == "label":  # people write what they like; the usual ones are only suggested
        return (fold(str(raw)), str(raw)) if str(raw).strip() else None
    return (str(raw), str(raw)) if raw in searched.terms else None


def resolve_reference(actor: Membership, lookups: Lookups, target: str, raw: Any) -> Resolved:
    """Return the row id and name of what a public id names within the organization."""
    for source in sources():
        if resolver := source.references.get(target):
            return resolver(actor, lookups, raw)
    return None


@dataclass(frozen=True)
class Scope:
    """The records of a source that a search may see. `drafts`, `types`: activities only."""

    source: Source
    actor: Membership

    def base(self, row: str) -> Sql:
        """Return what always holds for a row of the table."""
        return fill(f"{row}.organization_id = {{}}", value(self.actor.organization_id))

    def related(self, row: str) -> Sql:
        """Return what always holds for a row that hangs on a record of the organization, or lists its leads."""
        return self.base(row)

    def implied_by(self, searched: CustomValue) -> bool:
        """Return whether a row of the value index alone proves that its record is in the scope."""
        return True

    def shortcut(self, rest: Sequence[Node], clock: Any) -> tuple[str, Callable[[str], Sql]] | None:
        """Return a smaller table (with `lead_id`) and its condition that answer `rest` for one lead, or None."""
        return None


@dataclass(frozen=True)
class Source:
    """One object type. `{row}` in SQL is a row of `table`, `{this}` a row of the source it is related to.

    `lead` and `record_key` say where its custom values are (`crm.models.ValueIndex`), `row_id` how to come back from
    a record key. `links`: how rows hang on those of another object type. `points`: the text that free words search.
    """

    object_type: str
    singular: str
    plural: str
    table: str
    columns: tuple[Column, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    lead: str = "{row}.lead_id"
    record_key: str = ""
    from_key: str = ""
    key_test: str = ""
    id_prefix: str = ""
    listed: bool = False
    words: tuple[str, ...] = ()
    default_sort: str = ""
    references: Mapping[str, Callable[[Membership, Lookups, Any], Resolved]] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.object_type)

    @property
    def family(self) -> str:
        """The object type without its detail: `activity` for `activity.call`."""
        return self.object_type.partition(".")[0]

    def column(self, name: str) -> Column | None:
        own = next((column for column in self.columns if column.name == name), None)
        return own or next((figure for figure in self.figures if figure.name == name), None)

    @property
    def figures(self) -> tuple[Column, ...]:
        """The fields of leads that are worked out from what belongs to them."""
        return figures() if self.object_type == "lead" else ()

    def object_types(self, actor: Membership, numbers: Sequence[int]) -> dict[int, str]:
        """Return of which object type records are, by row id; a source of several sorts tells them apart."""
        return dict.fromkeys(numbers, self.object_type)

    def named_field(self, actor: Membership, name: str) -> CustomValue | None:
        """Return the custom field behind a regular field's name, for kinds that are built in."""
        return None

    def uses(self, actor: Membership, known: Catalog) -> Iterable[Use]:
        """Return every use of a custom field on these records, whether the actor may see it or not."""
        return ()

    def visible_here(self, actor: Membership, use: Use) -> bool:
        return bool(can_view_field(actor, use))

    def custom_field(self, actor: Membership, public_id: Any) -> CustomValue | None:
        """Return a custom field of these records that the actor may see, else None."""
        known = catalog(actor.organization)
        found = known.field_by_public_id(public_id)
        if found is None:
            return None
        return self._kept(actor, known).get(found.id)

    def custom_fields(self, actor: Membership) -> list[CustomValue]:
        """Return the custom fields of these records that the actor may see, in display order."""
        return list(self._kept(actor, catalog(actor.organization)).values())

    def _kept(self, actor: Membership, known: Catalog) -> dict[int, CustomValue]:
        """Return the fields by row id, found once for what stands for the actor: rights hang on its role and the schema."""
        kept = actor.__dict__.setdefault("_searchable", {})
        key = (self.object_type, actor.role_id, actor.organization.schema_version)
        if key not in kept:
            kept[key] = {one.field.id: one for one in self._visible(actor, self.uses(actor, known))}
        return kept[key]

    def _visible(self, actor: Membership, uses: Iterable[Use]) -> list[CustomValue]:
        places: dict[int, tuple[Field, set[int]]] = {}
        for use in uses:
            if self.visible_here(actor, use):
                places.setdefault(use.field.id, (use.field, set()))[1].add(use.fieldset_id)
        return [
            CustomValue(found, frozenset(where), guarded=bool(set(found.fieldset_ids) - where))
            for found, where in places.values()
        ]

    def guard(self, searched: CustomValue, row: str, actor: Membership) -> Sql | None:
        """Return the condition on a value row that its record is one where the actor may see the field."""
        return Sql(f"{row}.record_key {self.key_test}")

    def absorb(self, actor: Membership, nodes: Sequence[Node], clock: Any) -> tuple[Scope, list[Node]]:
        """Return the scope of a search for `nodes`, and the nodes that remain to be tested."""
        return Scope(self, actor), list(nodes)


@dataclass(frozen=True)
class FieldSetSource(Source):
    """A source whose custom fields are one field set of the organization."""

    fieldset: str = ""

    __hash__ = Source.__hash__

    def uses(self, actor: Membership, known: Catalog) -> Iterable[Use]:
        return known.uses(getattr(known, self.fieldset))


@dataclass(frozen=True)
class PointScope(Scope):
    """Emails, phones or urls: rows of one table, told apart by channel."""

    channel: str = ""

    def base(self, row: str) -> Sql:
        return fill(
            f"{row}.organization_id = {{}} AND {row}.channel = {{}}",
            value(self.actor.organization_id),
            value(self.channel),
        )


@dataclass(frozen=True)
class PointSource(Source):
    channel: str = ""

    __hash__ = Source.__hash__

    def absorb(self, actor: Membership, nodes: Sequence[Node], clock: Any) -> tuple[Scope, list[Node]]:
        return PointScope(self, actor, self.channel), list(nodes)


@dataclass(frozen=True)
class BareScope(Scope):
    """Rows inside a JSON column: their lead's row is checked where they hang."""

    def base(self, row: str) -> Sql:
        return Sql("1 = 1")


@dataclass(frozen=True)
class AddressSource(Source):
    __hash__ = Source.__hash__

    def absorb(self, actor: Membership, nodes: Sequence[Node], clock: Any) -> tuple[Scope, list[Node]]:
        return BareScope(self, actor), list(nodes)


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """Return every source, in the order the builder shows them."""
    return tuple(source for path in settings.SEARCH_SOURCES for source in import_string(path))


@lru_cache(maxsize=1)
def figures() -> tuple[Column, ...]:
    """Return the figures of every app."""
    return tuple(figure for path in settings.SEARCH_FIGURES for figure in import_string(path))


def source_named(actor: Membership, name: str) -> Source | None:
    """Return the source of an object type, or None. Saved views call activities `custom_activity`, lists `activity`."""
    name = {"custom_activity": "activity.custom_activity"}.get(name, name)
    return next((source for source in sources() if source.object_type == name), None)


# --- references -------------------------------------------------------------------------------------------------------
def _user(actor: Membership, lookups: Lookups, raw: Any) -> Resolved:
    found = lookups.user(ids.decode("user", raw))
    if found is None:
        return None
    return found.id, f"{found.name} (former member)" if found.former else found.name


def _status(actor: Membership, lookups: Lookups, raw: Any) -> Resolved:
    number = ids.decode("stat", raw)
    rows = LeadStatus.objects.filter(pk=number) if number else LeadStatus.objects.filter(label__iexact=str(raw))
    found = rows.first()
    return (found.pk, found.label) if found else None


def _lead(actor: Membership, lookups: Lookups, raw: Any) -> Resolved:
    found = Lead.objects.filter(pk=ids.decode("lead", raw)).first()
    return (found.pk, found.name) if found else None


def _contact(actor: Membership, lookups: Lookups, raw: Any) -> Resolved:
    found = Contact.objects.filter(pk=ids.decode("cont", raw)).first()
    return (found.pk, str(found)) if found else None


# --- the sources of this app ------------------------------------------------------------------------------------------
BY_AND_WHEN = (
    Column("date_created", "Date created", "moment", "{row}.date_created", indexed=True, sorts=True),
    Column("date_updated", "Date updated", "moment", "{row}.date_updated", indexed=True, sorts=True),
    Column("created_by", "Created by", "user", "{row}.created_by_id", refers_to="user"),
    Column("updated_by", "Updated by", "user", "{row}.updated_by_id", refers_to="user"),
)

_ARRAY_LENGTH = "jsonb_array_length" if connection.vendor == "postgresql" else "json_array_length"
_PART = "({row}.value->>'%s')" if connection.vendor == "postgresql" else "json_extract({row}.value, '$.%s')"


def _points(channel: str, owner: str) -> str:
    """Return the number of emails, phones or urls of a lead's contacts or of a contact."""
    return f"(SELECT COUNT(*) FROM leads_contactpoint p WHERE p.{owner} = {{row}}.id AND p.channel = '{channel}')"


LEAD_COLUMNS = (
    Column("display_name", "Name", "text", "{row}.name_fold", folded=True, indexed=True, sorts=True),
    Column("name", "Name", "text", "{row}.name_fold", folded=True, indexed=True, sorts=True),
    Column("lead_name", "Name", "text", "{row}.name_fold", folded=True, indexed=True, sorts=True),
    Column("status_id", "Status", "type", "{row}.status_id", refers_to="status.lead", indexed=True),
    Column("description", "Description", "text", "{row}.description"),
    Column("url", "Website", "text", "{row}.url"),
    *BY_AND_WHEN,
    *(
        Column(name, "Last activity", "moment", "{row}.last_activity_at", indexed=True, sorts=True, nullable=True)
        for name in ("last_activity_at", "last_activity_date")
    ),
    Column("contacts_count", "Number of contacts", "number", "{row}.contacts_count"),
    Column("num_contacts", "Number of contacts", "number", "{row}.contacts_count"),
    Column("num_phone_numbers", "Number of phone numbers", "number", _points("phone", "lead_id")),
    Column("num_email_addresses", "Number of email addresses", "number", _points("email", "lead_id")),
    Column("addresses_count", "Number of addresses", "number", f"{_ARRAY_LENGTH}({{row}}.addresses)"),
    Column("num_addresses", "Number of addresses", "number", f"{_ARRAY_LENGTH}({{row}}.addresses)"),
    Column(
        "all_urls_count",
        "Number of websites",
        "number",
        f"({_points('url', 'lead_id')} + CASE WHEN {{row}}.url = '' THEN 0 ELSE 1 END)",
    ),
    Column("source", "Source", "term", "{row}.source", terms=("ui", "api", "import", "form")),
)

LEAD = FieldSetSource(
    object_type="lead",
    singular="lead",
    plural="leads",
    table="leads_lead",
    columns=LEAD_COLUMNS,
    links={"contact": "{row}.id = {this}.lead_id", "activity": "{row}.id = {this}.lead_id"},
    lead="{row}.id",
    record_key="0",
    key_test="= 0",
    id_prefix="lead",
    listed=True,
    words=("{row}.search_text",),
    default_sort="name",
    references={"user": _user, "status.lead": _status, "lead": _lead, "contact": _contact},
    fieldset="lead_fieldset_id",
)

TASK = Source(
    object_type="task",
    singular="task",
    plural="tasks",
    table="leads_task",
    columns=(
        Column("text", "Text", "text", "{row}.text"),
        Column("due_date", "Due date", "moment", "{row}.due_date", whole_days=True),
        Column("date", "Due date", "moment", "{row}.due_date", whole_days=True),
        Column("assigned_to", "Assigned to", "user", "{row}.assigned_to_id", refers_to="user"),
        Column("is_complete", "Done", "flag", "CASE WHEN {row}.done_at IS NULL THEN 0 ELSE 1 END"),
        Column("created_by", "Created by", "user", "{row}.created_by_id", refers_to="user"),
        Column("date_created", "Date created", "moment", "{row}.date_created"),
        Column("date_updated", "Date updated", "moment", "{row}.date_updated"),
    ),
    links={"lead": "{row}.lead_id = {this}.id"},
    id_prefix="task",
)

_PLACE = {
    "address_1": "Street", "address_2": "Street, second line", "city": "City", "state": "State", "zipcode": "Zip code",
    "country": "Country", "label": "Label",
}  # fmt: skip
_LOCATION = " || ' ' || ".join(f"COALESCE({_PART % name}, '')" for name in _PLACE if name != "label")
ADDRESS = AddressSource(
    object_type="address",
    singular="address",
    plural="addresses",
    table="{this}.addresses",
    columns=(
        *(Column(name, label, "text", _PART % name) for name, label in _PLACE.items()),
        Column("location", "Whole address", "text", f"TRIM({_LOCATION})"),
    ),
    links={"lead": ""},
    lead="",
)
LEADS = (LEAD, ADDRESS, TASK)

CONTACT = FieldSetSource(
    object_type="contact",
    singular="contact",
    plural="contacts",
    table="leads_contact",
    columns=(
        Column("name", "Name", "text", "{row}.name"),
        Column("display_name", "Name", "text", "{row}.name"),
        Column("title", "Title", "text", "{row}.title"),
        Column("lead_id", "Lead", "reference", "{row}.lead_id", refers_to="lead"),
        Column("emails_count", "Number of email addresses", "number", _points("email", "contact_id")),
        Column("phones_count", "Number of phone numbers", "number", _points("phone", "contact_id")),
        Column("urls_count", "Number of websites", "number", _points("url", "contact_id")),
        *BY_AND_WHEN,
    ),
    links={"lead": "{row}.lead_id = {this}.id", "activity": "{row}.id = {this}.contact_id"},
    record_key="-{row}.id",
    from_key="{row}.id = -{key}",
    key_test="< 0",
    id_prefix="cont",
    listed=True,
    words=("{row}.name", "{row}.title"),
    default_sort="-date_created",
    fieldset="contact_fieldset_id",
)


POINT_TYPES = ("office", "mobile", "home", "direct", "fax", "url", "other")


def _point(channel: str, singular: str, plural: str) -> PointSource:
    return PointSource(
        object_type=f"contact_{channel}",
        singular=singular,
        plural=plural,
        table="leads_contactpoint",
        columns=(
            Column(channel, singular.capitalize(), "text", "{row}.value", folded=True, indexed=True),
            Column("type", "Type", "label", "{row}.kind", folded=True, terms=POINT_TYPES),
        ),
        links={"lead": "{row}.lead_id = {this}.id", "contact": "{row}.contact_id = {this}.id"},
        words=("{row}.value",),
        channel=channel,
    )


CONTACTS = (
    CONTACT,
    _point("email", "email address", "email addresses"),
    _point("phone", "phone number", "phone numbers"),
    _point("url", "URL", "URLs"),
)
