"""Field kinds: one class each. Everything that depends on a field's kind is asked of its class here, nowhere else.

A kind turns raw input (typed text, JSON, a CSV cell) into one *stored* value, and a stored value into an index entry,
JSON, CSV and words. Stored forms: text kinds str · number str of the exact decimal · date `2024-01-31` · datetime ISO in
UTC · choices option id · user user id · contact contact id · checkbox bool; a list of those when the field holds several.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import phonenumbers
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from crm import ids

if TYPE_CHECKING:
    from crm.customfields.catalog import Field, Option, Use
    from crm.customfields.lookups import Lookups

INDEXED_TEXT = 1000


class InvalidValue(ValueError):
    """A value that does not fit its field; the text is the sentence to show."""


def fold(text: str) -> str:
    """Return text without case, accents and extra blanks, as searches compare it."""
    if not text.isascii():
        # Taking letters apart can bring capitals (“™” is “TM”), and ignoring case can bring accents: hence twice.
        bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        text = "".join(char for char in bare if not unicodedata.combining(char))
    return " ".join(text.casefold().split())


def quoted(raw: Any, limit: int = 40) -> str:
    """Return raw input as it may stand in a sentence: quoted, shortened, without characters nobody can send on."""
    text = str(raw)[: limit + 1].encode(errors="replace").decode().replace("\x00", "?")
    return f"“{text[:limit]}…”" if len(text) > limit else f"“{text}”"


def is_blank(raw: Any) -> bool:
    """Return whether raw input means *empty*: nothing, blanks only, or a list of nothing."""
    if raw is None:
        return True
    if isinstance(raw, str):
        return not raw.strip()
    if isinstance(raw, list | tuple):
        return all(is_blank(item) for item in raw)
    return False


class FieldKind:
    """What a kind must answer. `storage` names the index table; `operators` what searches may ask."""

    slug: ClassVar[str]
    label: ClassVar[str]
    storage: ClassVar[str] = "text"
    allows_multiple: ClassVar[bool] = False
    hidden: ClassVar[bool] = False
    has_options: ClassVar[bool] = False
    hint: ClassVar[str] = ""  # one sentence for the person who chooses a kind
    settings: ClassVar[tuple[str, ...]] = ("required", "read_only", "default", "heading", "show_when")
    wide: ClassVar[bool] = False
    refers_to: ClassVar[str] = ""  # user or contact: what stored ids name
    whole_days: ClassVar[bool] = False  # moments are calendar days, indexed as midnight UTC
    operators: ClassVar[tuple[str, ...]] = ("contains", "phrase", "starts", "is", "exists", "missing")
    value_name: ClassVar[str] = "text"

    def clean(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Return the stored value of raw input, None for empty. Raises `InvalidValue` with a sentence.

        A field with several values takes a list, or text with `;` between values (CSV), and keeps order without
        repeats. A list with one entry is accepted where one value is expected.
        """
        if is_blank(raw):
            return None
        if not field.multiple:
            if isinstance(raw, list | tuple):
                if len(raw) > 1:
                    raise InvalidValue(f"{field.name} takes one value, {len(raw)} were given.")
                raw = raw[0]
            return self.clean_one(raw, field, lookups, zone)
        entries = raw if isinstance(raw, list | tuple) else self.split(raw, field, lookups)
        values = [self.clean_one(entry, field, lookups, zone) for entry in entries if not is_blank(entry)]
        return list(dict.fromkeys(values)) or None

    def split(self, raw: Any, field: Field, lookups: Lookups) -> list[Any]:
        """Return the entries of one cell or text that holds several values."""
        return split_several(raw) if isinstance(raw, str) else [raw]

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must clean one value")

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        """Return the form field that collects raw input; cleaning stays with `clean`."""
        return forms.CharField(max_length=20_000)

    def index(self, stored: Any, field: Field) -> list[Any]:
        """Return the values for the index table; empty for nothing."""
        return [self.index_one(item) for item in many(stored)]

    def index_one(self, stored: Any) -> Any:
        return fold(stored)[:INDEXED_TEXT]

    def is_as_shown(self, raw: Any, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> bool:
        """Return whether raw input is what the form showed for `stored`, though it says less: then nothing changed."""
        return False

    def to_api(self, stored: Any, field: Field, lookups: Lookups) -> Any:
        """Return the JSON form of the API; None stays None. A field with several values is a list, also of one."""
        if isinstance(stored, list) or (field.multiple and stored is not None):
            return [self.to_api_one(item, field, lookups) for item in many(stored)]
        return None if stored is None else self.to_api_one(stored, field, lookups)

    def to_api_one(self, stored: Any, field: Field, lookups: Lookups) -> Any:
        return stored

    def to_csv(self, stored: Any, field: Field, lookups: Lookups) -> str:
        """Return the cell that `clean` would turn back into the same stored value."""
        if isinstance(stored, list):
            return join_several([self.to_csv_one(item, field, lookups) for item in stored])
        return "" if stored is None else self.to_csv_one(stored, field, lookups)

    def to_csv_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return str(self.to_api_one(stored, field, lookups))

    def display(self, stored: Any, field: Field, lookups: Lookups) -> str:
        """Return the words shown to people."""
        return ", ".join(self.display_one(item, field, lookups) for item in many(stored))

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return str(stored)

    def href(self, stored: Any, field: Field) -> str:
        """Return the address a shown value links to, or an empty text."""
        return ""

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Return what the form widget shows for a stored value."""
        return self.to_api(stored, field, lookups)


def many(stored: Any) -> list[Any]:
    """Return a stored value as a list: [] for None."""
    if stored is None or stored == "":
        return []
    return stored if isinstance(stored, list) else [stored]


def split_several(text: str) -> list[str]:
    """Split a cell at `;`. A value that holds `;` or quotes is quoted as in CSV."""
    import csv

    line = " ".join(text.splitlines())
    if len(line) > Textarea.LIMIT:
        raise InvalidValue(f"The list is {len(line):,} characters long; at most {Textarea.LIMIT:,} fit.")
    return next(csv.reader([line], delimiter=";", skipinitialspace=True), [])


def join_several(values: Sequence[str]) -> str:
    """Join values so that `split_several` returns them."""
    return ";".join(f'"{v.replace(chr(34), chr(34) * 2)}"' if re.search(r'[;"\n]|^\s|\s$', v) else v for v in values)


def _text(raw: Any, field: Field, limit: int) -> str:
    if isinstance(raw, bool | dict | list | tuple):
        raise InvalidValue(f"{field.name} must be text.")
    text = str(raw)
    if "\x00" in text:
        raise InvalidValue(f"{field.name} contains a NUL character. Remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{field.name} contains broken characters. Paste the text again.") from None
    if len(text) > limit:
        raise InvalidValue(f"{field.name} is {len(text):,} characters long; at most {limit:,} fit.")
    return text


class Text(FieldKind):
    slug, label = "text", "Text"
    hint = "One line of text."
    LIMIT = 10_000

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        return " ".join(_text(raw, field, self.LIMIT).splitlines()).strip()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}))


class Textarea(FieldKind):
    slug, label = "textarea", "Text area"
    hint = "Text with line breaks."
    LIMIT = 100_000
    wide = True

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        return _text(raw, field, self.LIMIT).replace("\r\n", "\n").replace("\r", "\n").rstrip()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(strip=False, widget=forms.Textarea(attrs={"rows": 3, "data-grow": ""}))


class Hidden(Textarea):
    slug, label = "hidden", "Hidden"
    hint = "Never on a page; the API and imports write it."
    settings = ()
    hidden = True


class Number(FieldKind):
    slug, label, storage, value_name = "number", "Number", "number", "number"
    hint = "An exact decimal number, with a unit and bounds if you like."
    settings = (*FieldKind.settings, "unit", "minimum", "maximum")
    operators = ("=", "≠", "<", "≤", ">", "≥", "between", "exists", "missing")
    SHAPE = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        number = self.number(raw, field.name)
        if field.minimum is not None and number < field.minimum:
            raise InvalidValue(f"{field.name} must be at least {plain(field.minimum)}.")
        if field.maximum is not None and number > field.maximum:
            raise InvalidValue(f"{field.name} must be at most {plain(field.maximum)}.")
        return plain(number)

    def number(self, raw: Any, name: str) -> Decimal:
        """Return the exact number of raw input; raises `InvalidValue`."""
        if isinstance(raw, bool):
            raise InvalidValue(f"{name} must be a number.")
        text = str(raw).strip().replace("\u00a0", "").replace("\u202f", "")
        if len(text) > 60:
            raise InvalidValue(f"{name} can hold 18 digits before and 10 after the decimal point.")
        if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
            whole, point = text.replace(",", ""), text.replace(",", ".")
            raise InvalidValue(f"{name} is unclear: {quoted(text)} can mean {whole} or {point}. Write one of them.")
        if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text):
            text = text.replace(",", "")
        if not self.SHAPE.fullmatch(text):
            hint = "Use a point for decimals." if re.fullmatch(r"[+-]?[\d.]*,\d+", text) else "Write it as 1234.5."
            raise InvalidValue(f"{name} must be a number; {quoted(text)} is not one. {hint}")
        number = Decimal(text)
        whole, _, fraction = plain(number.copy_abs()).partition(".")
        if len(whole) > 18 or len(fraction) > 10:
            raise InvalidValue(f"{name} can hold 18 digits before and 10 after the decimal point.")
        return number

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        # A text box: a half-typed “12.” must survive, and number boxes throw such text away.
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}))

    def index_one(self, stored: Any) -> Decimal:
        return Decimal(stored)

    def to_api_one(self, stored: Any, field: Field, lookups: Lookups) -> int | float:
        number = Decimal(stored)
        return int(number) if number == number.to_integral_value() else float(number)

    def to_csv_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return str(stored)

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return f"{Decimal(stored):,f} {field.unit}".strip()

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        return stored


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and trailing zeros: `12.5`, `100`, `0`."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


class Date(FieldKind):
    slug, label, storage, value_name = "date", "Date", "moment", "date"
    hint = "A day of the calendar."
    whole_days = True
    operators = ("on", "before", "after", "between", "relative", "exists", "missing")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = str(raw).strip()
        try:
            found = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text).date()
        except ValueError:
            raise InvalidValue(f"{field.name} must be a date such as 2024-01-31; {quoted(text)} is not one.") from None
        return found.isoformat()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.DateInput(attrs={"type": "date"}))

    def index_one(self, stored: Any) -> datetime:
        return datetime.combine(date.fromisoformat(stored), time.min, UTC)

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return f"{date.fromisoformat(stored):%-d %b %Y}"


class DateTime(FieldKind):
    slug, label, storage, value_name = "datetime", "Date and time", "moment", "date"
    hint = "A moment, shown in each member's time zone."
    operators = Date.operators
    # A day inside what can be written, so that every zone can show it.
    FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = str(raw).strip()
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidValue(
                f"{field.name} must be a date and time such as 2024-01-31T14:30; {quoted(text)} is not one."
            ) from None
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        try:
            # In a gap (clocks go forward) the time moves on by the gap; of two equal times the first is meant.
            instant = found.astimezone(UTC)
        except OverflowError:
            instant = None
        if instant is None or not self.FIRST <= instant <= self.LAST:
            raise InvalidValue(f"{field.name} is out of range. Use years 1 to 9999.")
        return instant.isoformat()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "any"}))

    def index_one(self, stored: Any) -> datetime:
        return datetime.fromisoformat(stored)

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        from django.utils import timezone

        return f"{datetime.fromisoformat(stored).astimezone(timezone.get_current_timezone()):%-d %b %Y, %H:%M}"

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Return local time to the minute, with seconds where there are any: a box without them would lose them."""
        if not stored:
            return ""
        local = datetime.fromisoformat(stored).astimezone(zone).replace(tzinfo=None)
        return local.isoformat(timespec="seconds" if local.second else "minutes")

    def is_as_shown(self, raw: Any, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> bool:
        """Local time says nothing of fractions, nor which of the two hours at the end of summer time is meant."""
        return bool(stored) and raw == self.initial(stored, field, lookups, zone)


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
    field = forms.ChoiceField(choices=[("", "–"), *offered], **({"widget": widget} if widget else {}))
    if len(offered) > LONG_LIST:
        field.widget.attrs["data-enhance"] = ""
    return field


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
            f"{quoted(text, 100)} is not an option of {field.name}. Choose one of: {offered or 'none yet'}."
        )

    def split(self, raw: Any, field: Field, lookups: Lookups) -> list[Any]:
        if isinstance(raw, str) and any(option.label.casefold() == raw.strip().casefold() for option in field.options):
            return [raw]  # an option whose label holds “;”
        return super().split(raw, field, lookups)

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        offered = [(option.public_id, option.label) for option in use.field.options if not option.removed]
        removed = [(option.public_id, f"{option.label} (removed)") for option in use.field.options if option.removed]
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
        option = field.option(stored)
        if option is None:
            return "Unknown option"
        return f"{option.label} (removed)" if option.removed else option.label

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
            raise InvalidValue(f"Several members are called {quoted(text, 100)}. Use the email for {field.name}.")
        if not found:
            raise InvalidValue(
                f"{quoted(text, 100)} is not a member. Use an email, an exact name or an id for {field.name}."
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
                f"Several contacts of this lead match {quoted(text, 100)}. Use the email for {field.name}."
            )
        if not found:
            raise InvalidValue(f"{quoted(text, 100)} is not a contact of this lead. Choose one for {field.name}.")
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
            raise InvalidValue(f"{field.name} must be yes or no; {quoted(raw)} is neither.")
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


class Url(FieldKind):
    slug, label = "url", "URL"
    hint = "A web address, linked where it is shown."
    HOST = re.compile(r"[^\s.:/@\[\]]+(\.[^\s.:/@\[\]]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
    FORBIDDEN = re.compile(r"[\x00-\x20\x7f\s<>\"\\^`{}|]")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = _text(raw, field, 2000).strip()
        bare = "://" not in text and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?!\d)", text)
        if bare:
            text = f"https://{text}"
        try:
            parts = urlsplit(text)
            host = parts.hostname or ""
            _ = parts.port  # a port that is no number raises
        except ValueError:
            host = ""
        likely = self.HOST.fullmatch(host) and (not bare or "." in host or ":" in host or host == "localhost")
        if not likely or parts.scheme not in ("http", "https") or self.FORBIDDEN.search(text):
            raise InvalidValue(f"{field.name} must be a web address such as https://example.com.")
        return text

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}))

    def href(self, stored: Any, field: Field) -> str:
        return stored if str(stored).lower().startswith(("http://", "https://")) else ""


class Email(FieldKind):
    slug, label = "email", "Email"
    hint = "An email address, linked where it is shown."

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = _text(raw, field, 320).strip()
        try:
            validate_email(text)
        except ValidationError:
            raise InvalidValue(f"{field.name} must be an email address such as name@company.com.") from None
        return text

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "email", "autocomplete": "off"}))

    def href(self, stored: Any, field: Field) -> str:
        return f"mailto:{stored}"


class Phone(FieldKind):
    slug, label = "phone", "Phone"
    hint = "A phone number, linked where it is shown."

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = _text(raw, field, 60).strip()
        if not 3 <= len(re.sub(r"\D", "", text)) <= 20 or not re.fullmatch(r"[\d\s()+\-./xext#*,;]+", text, re.I):
            raise InvalidValue(f"{field.name} must be a phone number such as +1 202 555 0143.")
        return normal_phone(text)

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off"}))

    def href(self, stored: Any, field: Field) -> str:
        return f"tel:{re.sub(r'[^+0-9]', '', stored)}"


def normal_phone(text: str) -> str:
    """Return an international number as E.164 (`+12025550143`); anything else as it was written."""
    if text.lstrip().startswith("+"):
        try:
            parsed = phonenumbers.parse(text, None)
        except phonenumbers.NumberParseException:
            return text
        if phonenumbers.is_possible_number(parsed) and not parsed.extension:
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return text


KINDS: dict[str, FieldKind] = {
    kind.slug: kind
    for kind in (
        Text(), Textarea(), Number(), Date(), DateTime(), Choices(), User(), Contact(), Checkbox(), Url(), Email(),
        Phone(), Hidden(),
    )
}  # fmt: skip
