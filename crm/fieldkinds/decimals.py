"""The kind that holds an exact decimal number."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django import forms

from crm.fieldkinds.kind import FieldKind, InvalidValue, quoted

if TYPE_CHECKING:
    from crm.customfields.catalog import Field, Use
    from crm.customfields.lookups import Lookups


SECONDS = "s"  # the unit whose numbers people read as hours, minutes and seconds


class Number(FieldKind):
    slug, label, storage, value_name = "number", "Number", "number", "number"
    hint = "An exact decimal number, with a unit and bounds if you like."
    settings = (*FieldKind.settings, "unit", "minimum", "maximum")
    operators = ("=", "≠", "<", "≤", ">", "≥", "between", "exists", "missing")
    SHAPE = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")

    STORED = re.compile(r"(?:-?[1-9]\d{0,17}|0)|-?(?:[1-9]\d{0,17}|0)\.\d{0,9}[1-9]")  # as `plain` writes it

    def clean_one(self, raw: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> str:
        if isinstance(raw, str) and self.STORED.fullmatch(raw) and field.minimum is field.maximum is None:
            return raw
        number = self.number(raw, field.subject)
        if field.minimum is not None and number < field.minimum:
            raise InvalidValue(f"{field.subject} must be at least {plain(field.minimum)}.")
        if field.maximum is not None and number > field.maximum:
            raise InvalidValue(f"{field.subject} must be at most {plain(field.maximum)}.")
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
        return time_words(Decimal(stored)) if field.unit == SECONDS else self.written_one(stored, field, lookups)

    def written_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return f"{Decimal(stored):,f} {field.unit}".strip()

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        return stored


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and trailing zeros: `12.5`, `100`, `0`."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def time_words(seconds: Decimal) -> str:
    """Return seconds exactly, as people say them: `45 s`, `6 min 14 s`, `1 h 30 min`, `0 s`."""
    whole, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(whole), 60)
    parts = [f"{hours:,} h" if hours else "", f"{minutes} min" if minutes else "", f"{plain(rest)} s" if rest else ""]
    return ("-" if seconds < 0 else "") + (" ".join(part for part in parts if part) or "0 s")
