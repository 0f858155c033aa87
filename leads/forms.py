"""HTML forms of leads: they collect input; services clean it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict

from crm.customfields.forms import ValueForm
from crm.errors import InvalidInput
from crm.models import User
from leads.models import Contact, Lead, LeadStatus
from leads.services import ADDRESS_PARTS, CHANNELS, COLORS, clean_point

POINT_TYPES = ("office", "mobile", "home", "direct", "fax", "other")
ADDRESS_LABELS = {
    "label": "Kind", "address_1": "Street", "address_2": "Street, second line", "city": "City", "state": "State",
    "zipcode": "Postcode", "country": "Country",
}  # fmt: skip


class LeadForm(forms.Form):
    """A lead's own fields. Its addresses are rows beside it (`AddressRows`)."""

    name = forms.CharField(
        label="Name", max_length=300, help_text="The company or customer.",
        error_messages={"required": "A lead needs a name."},
    )  # fmt: skip
    status = forms.ChoiceField(label="Status", required=False)
    url = forms.CharField(label="Website", max_length=500, required=False)
    description = forms.CharField(label="Description", required=False, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, statuses: list[LeadStatus], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["status"].choices = [(row.public_id, row.label) for row in statuses]

    def changes(self) -> dict[str, Any]:
        """Return what a service takes. Call it after `is_valid`."""
        return {key: self.cleaned_data[key] for key in ("name", "status", "url", "description")}

    @staticmethod
    def initial_of(lead: Lead) -> dict[str, Any]:
        return {
            "name": lead.name,
            "status": lead.status.public_id,
            "url": lead.url,
            "description": lead.description,
        }


class PartForm(LeadForm):
    """One of a lead's own fields, edited in place."""

    def __init__(self, key: str, lead: Lead, data: Any = None) -> None:
        super().__init__([lead.status], data, initial=self.initial_of(lead), auto_id="part-%s")
        self.fields = {key: self.fields[key]}
        self.fields[key].help_text = ""

    def changes(self) -> dict[str, Any]:
        return {key: self.cleaned_data[key] for key in self.fields}


@dataclass(frozen=True)
class AddressPart:
    name: str
    label: str
    value: str


@dataclass(frozen=True)
class AddressRow:
    number: int
    parts: tuple[AddressPart, ...]
    is_new: bool


def address_rows(addresses: Iterable[Mapping[str, Any]]) -> list[AddressRow]:
    """Return the rows of the addresses, and an empty one to add another."""
    rows = [*addresses, {}]
    return [
        AddressRow(
            number,
            tuple(AddressPart(part, ADDRESS_LABELS[part], str(row.get(part) or "")) for part in ADDRESS_PARTS),
            number == len(rows),
        )
        for number, row in enumerate(rows, start=1)
    ]


def addresses_given(data: QueryDict) -> list[dict[str, str]]:
    """Return the addresses of a posted form: the inputs of each part stand in the order of the rows."""
    columns = [data.getlist(f"address_{part}") for part in ADDRESS_PARTS]
    rows = [
        dict(zip(ADDRESS_PARTS, (value.strip() for value in row), strict=True)) for row in zip(*columns, strict=False)
    ]
    return [row for row in rows if any(value for part, value in row.items() if part != "label")]


class NewLeadForm(LeadForm):
    contact_name = forms.CharField(label="Contact name", max_length=300, required=False)
    contact_email = forms.CharField(label="Contact email", max_length=320, required=False)
    contact_phone = forms.CharField(label="Contact phone", max_length=60, required=False)

    def contacts(self) -> list[dict[str, Any]]:
        given = self.cleaned_data
        contact = {
            "name": given["contact_name"],
            "emails": [given["contact_email"]] if given["contact_email"] else [],
            "phones": [given["contact_phone"]] if given["contact_phone"] else [],
        }
        return [contact] if any(contact.values()) else []


@dataclass(frozen=True)
class PointRow:
    """One email, phone or link in the form."""

    number: int
    value: str = ""
    type: str = ""
    error: str = ""

    @property
    def types(self) -> list[str]:
        """Return the types to choose from; one that came through the API is among them."""
        return list(dict.fromkeys([*POINT_TYPES, *([self.type] if self.type else [])]))


class PointRows:
    """The emails, phones or links of a contact: `<channel>` and `<channel>_type`, once per row."""

    NAMES: Mapping[str, tuple[str, str]] = {
        "emails": ("Email", "email"), "phones": ("Phone", "tel"), "urls": ("Link", "url"),
    }  # fmt: skip

    def __init__(self, channel: str, rows: list[PointRow], *, owner: str = "new", spare: bool = False) -> None:
        self.channel, self.one, self.owner = channel, channel[:-1], owner
        self.key = f"{channel}_{owner}"
        self.label, self.input_type = self.NAMES[channel]
        self.has_types = channel != "urls"
        self.rows = [*rows, PointRow(len(rows) + 1)] if spare or not rows else rows

    @property
    def is_valid(self) -> bool:
        return not any(row.error for row in self.rows)

    @property
    def given(self) -> list[dict[str, str]]:
        return [
            {self.one: row.value, **({"type": row.type} if row.type else {})} for row in self.rows if row.value.strip()
        ]

    @classmethod
    def of(cls, channel: str, contact: Contact | None, spare: bool) -> PointRows:
        entries = getattr(contact, channel) if contact else []
        rows = [PointRow(n, entry[channel[:-1]], entry.get("type", "")) for n, entry in enumerate(entries, start=1)]
        return cls(channel, rows, owner=contact.public_id if contact else "new", spare=spare)

    @classmethod
    def posted(cls, channel: str, data: QueryDict, owner: str, spare: bool) -> PointRows:
        values, types = data.getlist(channel), data.getlist(f"{channel}_type")
        rows = []
        for number, value in enumerate(values, start=1):
            given = types[number - 1] if number <= len(types) else ""
            if value.strip():
                rows.append(PointRow(number, value, given, _problem(channel, value)))
        return cls(channel, rows, owner=owner, spare=spare)


def _problem(channel: str, value: str) -> str:
    try:
        if value.strip():
            clean_point(channel, value)
    except InvalidInput as error:
        return error.message
    return ""


class ContactForm(forms.Form):
    """A contact; its emails, phones and links are rows (`channels`)."""

    name = forms.CharField(label="Name", max_length=300, required=False)
    title = forms.CharField(label="Title", max_length=200, required=False)

    def __init__(self, data: QueryDict | None = None, contact: Contact | None = None, *, spare: bool = False) -> None:
        owner = contact.public_id if contact else "new"
        initial = {"name": contact.name, "title": contact.title} if contact else None
        super().__init__(data, initial=initial, auto_id=f"contact-{owner}-%s")
        self.channels = [
            PointRows.of(channel, contact, spare) if data is None else PointRows.posted(channel, data, owner, spare)
            for channel in CHANNELS
        ]

    def is_valid(self) -> bool:
        return super().is_valid() and all(rows.is_valid for rows in self.channels)

    def changes(self) -> dict[str, Any]:
        given = {rows.channel: rows.given for rows in self.channels}
        return {"name": self.cleaned_data["name"], "title": self.cleaned_data["title"], **given}


class TaskForm(forms.Form):
    """A task: what, until when, who."""

    text = forms.CharField(label="Task", max_length=1000, widget=forms.TextInput(attrs={"placeholder": "New task"}))
    due_date = forms.DateField(
        label="Due", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    assigned_to = forms.ChoiceField(label="Assignee", required=False)

    def __init__(self, people: Iterable[User], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.people = {user.public_id: user for user in people}
        self.fields["assigned_to"].choices = [(key, user.full_name) for key, user in self.people.items()]

    def changes(self) -> dict[str, Any]:
        """Return what a service takes. Call it after `is_valid`."""
        given = self.cleaned_data
        who = self.people.get(given["assigned_to"])
        return {"text": given["text"], "due_date": given["due_date"], **({"assigned_to": who} if who else {})}


class StatusForm(forms.Form):
    """A lead status; its colour is drawn as a row of dots."""

    label = forms.CharField(label="Name", max_length=100)
    color = forms.ChoiceField(label="Colour", required=False, choices=[(color, color.capitalize()) for color in COLORS])


def show_errors(form: forms.Form, error: InvalidInput) -> None:
    """Show a service's sentences at their fields; those of no field go on top."""
    for key, sentence in (error.fields or {"": error.message}).items():
        form.add_error(key if key in form.fields else None, sentence)


def show_apart(error: InvalidInput, form: forms.Form, custom: ValueForm) -> None:
    """Show a service's sentences where they belong: custom fields in `custom`, the rest in `form`."""
    theirs = {key: text for key, text in error.fields.items() if key.startswith("custom.")}
    ours = {key: text for key, text in error.fields.items() if key not in theirs}
    if ours or not theirs:
        show_errors(form, InvalidInput(error.message, ours))
    custom.add_errors(theirs)
