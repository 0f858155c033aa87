"""Kinds that hold text: one line, many lines, never shown, and text of a known shape."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from crm.fieldkinds.kind import LONG_TEXT, FieldKind, InvalidValue, is_blank, plain_text
from crm.phones import normal_phone, shown_phone

if TYPE_CHECKING:
    from crm.customfields.catalog import Field, Use
    from crm.customfields.lookups import Lookups


class Text(FieldKind):
    slug, label = "text", "Text"
    hint = "One line of text."
    prose = True
    LIMIT = 10_000

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        return " ".join(plain_text(raw, field, self.LIMIT).splitlines()).strip()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}))


class Textarea(FieldKind):
    slug, label = "textarea", "Text area"
    hint = "Text with line breaks."
    LIMIT = LONG_TEXT
    wide = prose = True

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        return plain_text(raw, field, self.LIMIT).replace("\r\n", "\n").replace("\r", "\n").rstrip()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(strip=False, widget=forms.Textarea(attrs={"rows": 3, "data-grow": ""}))


class Hidden(Textarea):
    slug, label = "hidden", "Hidden"
    hint = "Never on a page; the API and imports write it."
    settings = ()
    hidden = True

    def clean(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Clients keep anything in it: what is no text is kept as its JSON."""
        if isinstance(raw, dict | list | tuple | bool) and not is_blank(raw):
            raw = json.dumps(raw, ensure_ascii=False)
        return super().clean(raw, field, lookups, zone)

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = super().clean_one(raw, field, lookups, zone)
        # Built-in kinds keep there what they have no field for, by its key; a file may say anything.
        if field.builtin.endswith(".more") and not json_object(text):
            raise InvalidValue(f"{field.subject} must be a JSON object, as Touchpoint exports it.")
        return text


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text holds; an empty one where it holds none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class Url(FieldKind):
    slug, label = "url", "URL"
    hint = "A web address, linked where it is shown."
    HOST = re.compile(r"[^\s.:/@\[\]]+(\.[^\s.:/@\[\]]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
    FORBIDDEN = re.compile(r"[\x00-\x20\x7f\s<>\"\\^`{}|]")

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = plain_text(raw, field, 2000).strip()
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
            raise InvalidValue(f"{field.subject} must be a web address such as https://example.com.")
        return text

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}))

    def href(self, stored: Any, field: Field) -> str:
        return stored if str(stored).lower().startswith(("http://", "https://")) else ""


class Email(FieldKind):
    slug, label = "email", "Email"
    hint = "An email address, linked where it is shown."
    is_address = True

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = plain_text(raw, field, 320).strip()
        try:
            validate_email(text)
        except ValidationError:
            raise InvalidValue(f"{field.subject} must be an email address such as name@company.com.") from None
        return text

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "email", "autocomplete": "off"}))

    def href(self, stored: Any, field: Field) -> str:
        return f"mailto:{stored}"


class Phone(FieldKind):
    slug, label = "phone", "Phone"
    hint = "A phone number, linked where it is shown."

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        text = plain_text(raw, field, 60).strip()
        if not 3 <= len(re.sub(r"\D", "", text)) <= 20 or not re.fullmatch(r"[\d\s()+\-./xext#*,;]+", text, re.I):
            raise InvalidValue(f"{field.subject} must be a phone number such as +1 202 555 0143.")
        return normal_phone(text)

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return shown_phone(str(stored))

    def written_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return str(stored)

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off"}))

    def href(self, stored: Any, field: Field) -> str:
        return f"tel:{re.sub(r'[^+0-9]', '', stored)}"
