"""Cleaning the cells of many new records: what `clean_values` says, without asking again what the rows before have told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from crm.customfields.catalog import Field, Use
from crm.customfields.cleaning import clean_values, may_write
from crm.customfields.lookups import Lookups
from crm.fieldkinds import InvalidValue, is_blank
from crm.models import Membership

_KEPT_CELLS = 5_000
_KEPT_LENGTH = 200
_UNKNOWN = object()


class RowCleaner:
    """Cleans rows that become new records of one field set.

    A cell that was cleaned before is not cleaned again. Whatever is out of the ordinary (a restricted field, a rule that
    hides one, a removed option, a mistake, something required that is missing) goes to `clean_values`, whose word counts.
    """

    def __init__(self, actor: Membership, uses: Sequence[Use], lookups: Lookups, zone: ZoneInfo) -> None:
        self.actor, self.uses, self.lookups, self.zone = actor, uses, lookups, zone
        self.ordinary = all(
            not use.show_when and may_write(actor, use) and not any(option.removed for option in use.field.options)
            for use in uses
        )
        self._required = [str(use.field.id) for use in uses if use.required]
        self._fields: dict[str, tuple[str, Field, dict[Any, Any] | None]] = {
            use.field.public_id: (str(use.field.id), use.field, None if use.field.kind.refers_to == "contact" else {})
            for use in uses
        }

    def clean(self, raw: Mapping[str, Any], lead_id: int | None) -> dict[str, Any]:
        """Return the stored values of a row's cells by `cf_` id. Raises `InvalidInput` naming each field."""
        found = self._quick(raw, lead_id) if self.ordinary else None
        if found is not None:
            return found
        return clean_values(
            self.actor, self.uses, raw, current={}, lookups=self.lookups.at(lead_id), require=True, partial=True,
            zone=self.zone,
        )  # fmt: skip

    def _quick(self, raw: Mapping[str, Any], lead_id: int | None) -> dict[str, Any] | None:
        """Return the values, or None when the row needs a closer look."""
        values: dict[str, Any] = {}
        for public_id, cell in raw.items():
            field_id, field, known = self._fields[public_id]
            stored = _UNKNOWN if known is None else known.get(cell, _UNKNOWN)
            if stored is _UNKNOWN:
                lookups = self.lookups.at(lead_id) if known is None else self.lookups
                try:
                    stored = field.kind.clean(cell, field, lookups, self.zone)
                except InvalidValue:
                    return None
                if known is not None and len(known) < _KEPT_CELLS and cell is not None and len(cell) <= _KEPT_LENGTH:
                    known[cell] = stored
            if stored is not None:
                values[field_id] = stored
        if any(is_blank(values.get(field_id)) for field_id in self._required):
            return None
        return values
