"""Kinds that hold a day of the calendar or an instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone

from crm.fieldkinds.kind import FieldKind, InvalidValue, quoted

if TYPE_CHECKING:
    from crm.customfields.catalog import Field, Use
    from crm.customfields.lookups import Lookups


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
            raise InvalidValue(
                f"{field.subject} must be a date such as 2024-01-31; {quoted(text)} is not one."
            ) from None
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
                f"{field.subject} must be a date and time such as 2024-01-31T14:30; {quoted(text)} is not one."
            ) from None
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        try:
            # In a gap (clocks go forward) the time moves on by the gap; of two equal times the first is meant.
            instant = found.astimezone(UTC)
        except OverflowError:
            instant = None
        if instant is None or not self.FIRST <= instant <= self.LAST:
            raise InvalidValue(f"{field.subject} is out of range. Use years 1 to 9999.")
        return instant.isoformat()

    def form_field(self, use: Use, lookups: Lookups) -> forms.Field:
        return forms.CharField(widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "any"}))

    def index_one(self, stored: Any) -> datetime:
        return datetime.fromisoformat(stored)

    def display_one(self, stored: Any, field: Field, lookups: Lookups) -> str:
        return f"{datetime.fromisoformat(stored).astimezone(timezone.get_current_timezone()):%-d %b %Y, %H:%M}"

    def initial(self, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
        """Return local time to the minute, with seconds where there are any: a box without them would lose them."""
        if not stored:
            return ""
        local = datetime.fromisoformat(stored).astimezone(zone).replace(tzinfo=None)
        return local.isoformat(timespec="seconds" if local.second else "minutes")

    def to_kind(self, stored: Any, field: Field, lookups: Lookups, into: FieldKind, zone: ZoneInfo) -> str:
        """A moment becomes the day it is in the zone."""
        return datetime.fromisoformat(stored).astimezone(zone).date().isoformat() if into.whole_days else str(stored)

    def is_as_shown(self, raw: Any, stored: Any, field: Field, lookups: Lookups, zone: ZoneInfo) -> bool:
        """Local time says nothing of fractions, nor which of the two hours at the end of summer time is meant."""
        return bool(stored) and raw == self.initial(stored, field, lookups, zone)
