"""Kinds that hold a choice: of options, members, contacts, or yes and no."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms

from crm import ids
from crm.fieldkinds.kind import FieldKind, InvalidValue, many, quoted

if TYPE_CHECKING:
    from crm.customfields.catalog import Field, Option, Use
    from crm.customfields.lookups import Lookups

LONG_LIST = 12  # a list longer than this is searched by typing


class ColoredSelect(forms.Select):
    """A list whose entries may carry a colour, shown as a dot where the list is enhanced. `colors`: by value."""

    def __init__(self, colors: dict[str, str], attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.colors = colors

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if color := self.colors.get(str(value)):
            option["attrs"]["data-color"] = color
        return option


class ColoredSelectMultiple(ColoredSelect, forms.SelectMultiple):
    pass


def pick_one(offered: list[tuple[str, str]], widget: forms.Select | None = None) -> forms.ChoiceField:
    """Return a field that takes one of a list or nothing; a long list is searched by typing."""
    field = forms.ChoiceField(choices=[("", "–"), *offered], widget=widget or forms.Select())
    if len(offered) > LONG_LIST:
        field.widget.attrs["data-enhance"] = ""
    return field


def _words(option: Option | None) -> str:
    return option.shown if option else "Unknown option"


class Choices(FieldKind):
    slug, label, storage, value_name = "choices", "Choices", "ref", "option"
    hint = "One or several of a list you write."
    settings = (*FieldKind.settings, "options", "multiple")
    allows_multiple = has_options = True
    operators = ("any of", "none of", "all of", "exists", "missing")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> int:
        text = str(raw).strip()
        if found := field.find_option(text):
            return found.id
        offered = ", ".join(option.label for option in field.options if not option.removed)
        raise InvalidValue(
            f"{quoted(text, 100)} is not an option of {field.subject}. Choose one of: {offered or 'none yet'}."
        )

    def split(self, raw: Any, field: Field, lookups: Lookups) -> list[Any]:
        if isinstance(raw, str) and any(option.label.casefold() == raw.strip().casefold() for option in field.options):
            return [raw]  # an option whose label holds “;”
        return super().split(raw, field, lookups)

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        offered = [(option.public_id, option.shown) for option in use.field.options if not option.removed]
        removed = [(option.public_id, option.shown) for option in use.field.options if option.removed]
        colors = {option.public_id: option.color for option in use.field.options if option.color}
        if use.field.multiple:
            widget = ColoredSelectMultiple(colors, attrs={"data-enhance": ""})
            return forms.MultipleChoiceField(choices=offered + removed, widget=widget)
        return pick_one(offered + removed, ColoredSelect(colors))

    def option(self, stored: Any, field: Field) -> Option | None:
        return field.option(stored)

    def index_one(self, stored: Any) -> int:
        return int(stored)

    def to_api_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        option = field.option(stored)
        return option.label if option else ""

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return _words(field.option(stored))

    def written_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        option = field.option(stored)
        return replace(option, spoken="").shown if option else _words(None)

    def chips(self, stored: Any, field: Field) -> list[tuple[str, str]]:
        held = [field.option(item) for item in many(stored)]
        if not any(option and option.color for option in held):
            return []
        return [(_words(option), option.color if option else "") for option in held]

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        found = [ids.encode("opt", item) for item in many(stored)]
        return found if field.multiple else (found[0] if found else "")


class User(FieldKind):
    slug, label, storage, value_name = "user", "User", "ref", "user"
    hint = "A member, also one who left."
    settings = (*FieldKind.settings, "multiple")
    refers_to = "user"
    allows_multiple = True
    operators = ("any of", "none of", "me", "exists", "missing")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> int:
        text = str(raw).strip()
        found = lookups.find_users(text)
        if len(found) > 1:
            raise InvalidValue(f"Several members are called {quoted(text, 100)}. Use the email for {field.subject}.")
        if not found:
            raise InvalidValue(
                f"{quoted(text, 100)} is not a member. Use an email, an exact name or an id for {field.subject}."
            )
        return found[0].id

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        offered = [(ref.public_id, ref.name) for ref in lookups.members if not ref.former]
        former = [(ref.public_id, f"{ref.name} (former member)") for ref in lookups.members if ref.former]
        if use.field.multiple:
            return forms.MultipleChoiceField(
                choices=offered + former, widget=forms.SelectMultiple(attrs={"data-enhance": ""})
            )
        return pick_one(offered + former)

    def index_one(self, stored: Any) -> int:
        return int(stored)

    def to_api_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return ids.encode("user", stored)

    def to_csv_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        ref = lookups.user(stored)
        return ref.email if ref else ids.encode("user", stored)

    def to_kind(self, stored: Any, field: Field, lookups: Lookups, into: FieldKind, zone: ZoneInfo) -> str:
        ref = lookups.user(stored)
        return "" if ref is None else ref.email if into.is_address else ref.name

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        ref = lookups.user(stored)
        return "Unknown member" if ref is None else f"{ref.name} (former member)" if ref.former else ref.name


class Contact(FieldKind):
    slug, label, storage, value_name = "contact", "Contact", "ref", "contact"
    hint = "A contact of the same lead."
    settings = ("required", "read_only", "heading", "show_when", "multiple")
    refers_to = "contact"
    allows_multiple = True
    operators = ("any of", "none of", "exists", "missing")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> int:
        text = str(raw).strip()
        found = lookups.find_contacts(text)
        if len(found) > 1:
            raise InvalidValue(
                f"Several contacts of this lead match {quoted(text, 100)}. Use the email for {field.subject}."
            )
        if not found:
            raise InvalidValue(f"{quoted(text, 100)} is not a contact of this lead. Choose one for {field.subject}.")
        return found[0].id

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        offered = [(ref.public_id, ref.name) for ref in lookups.contacts]
        if use.field.multiple:
            return forms.MultipleChoiceField(choices=offered, widget=forms.SelectMultiple(attrs={"data-enhance": ""}))
        return pick_one(offered)

    def index_one(self, stored: Any) -> int:
        return int(stored)

    def to_api_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return ids.encode("cont", stored)

    def to_kind(self, stored: Any, field: Field, lookups: Lookups, into: FieldKind, zone: ZoneInfo) -> str:
        ref = lookups.contact(stored)
        return ref.name if ref else ""

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        ref = lookups.contact(stored)
        return ref.name if ref else "Deleted contact"


class Checkbox(FieldKind):
    slug, label, storage, value_name = "checkbox", "Checkbox", "ref", "boolean"
    hint = "Yes, no, or not said."
    operators = ("yes", "no", "exists", "missing")
    WORDS: ClassVar = {
        **dict.fromkeys(("true", "yes", "y", "1", "on", "x"), True),
        **dict.fromkeys(("false", "no", "n", "0", "off"), False),
    }

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> bool:
        found = self.WORDS.get(str(raw).strip().casefold())
        if found is None:
            raise InvalidValue(f"{field.subject} must be yes or no; {quoted(raw)} is neither.")
        return found

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.ChoiceField(choices=[("", "–"), ("yes", "Yes"), ("no", "No")])

    def index_one(self, stored: Any) -> int:
        return int(stored)

    def to_csv_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return "yes" if stored else "no"

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return "Yes" if stored else "No"

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        return "" if stored is None else "yes" if stored else "no"
