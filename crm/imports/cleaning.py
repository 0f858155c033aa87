"""Cleaning the cells of many new records: what `clean_values` says, without asking again what the rows before have told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from crm.customfields.catalog import Field, Use
from crm.customfields.cleaning import clean_values, may_write
from crm.customfields.lookups import Lookups
from crm.fieldkinds import InvalidValue, is_blank
from crm.imports.resource import CLEARED
from crm.models import Membership

_KEPT_CELLS = 5_000
_KEPT_LENGTH = 200
_UNKNOWN: Any = object()
# The stored key of a field, the field, and the stored values of its cells so far; None where they depend on the lead.
_Plan = tuple[str, Field, dict[str, Any] | None]


def as_is(cell: str, field: Field) -> str:
    return cell


class RowCleaner:
    """Cleans rows that become new records of one field set. `read`: how the file writes the values of a field.

    A cell that was cleaned before is not cleaned again. Whatever is out of the ordinary (a restricted field, a rule that
    hides one, a removed option, a mistake, something required that is missing) goes to `clean_values`, whose word counts.
    """

    def __init__(
        self, actor: Membership, uses: Sequence[Use], lookups: Lookups, zone: ZoneInfo,
        read: Callable[[str, Field], str] = as_is,
    ) -> None:  # fmt: skip
        self.actor, self.uses, self.lookups, self.zone, self.read = actor, uses, lookups, zone, read
        self.ordinary = all(
            not use.show_when and may_write(actor, use) and not any(option.removed for option in use.field.options)
            for use in uses
        )
        self._required = [str(use.field.id) for use in uses if use.required]
        self._fields: dict[str, _Plan] = {
            use.field.public_id: (str(use.field.id), use.field, None if use.field.kind.refers_to == "contact" else {})
            for use in uses
        }
        self._columns = {f"custom.{use.field.name}": self._fields[use.field.public_id] for use in uses}
        self._columns |= {f"custom.{public_id}": plan for public_id, plan in self._fields.items()}

    def clean_quickly(self, given: Mapping[str, str], lead_id: int | None) -> dict[str, Any] | None:
        """Return the stored values of a row's cells by column, or None when the row needs a closer look by `clean`."""
        if not self.ordinary:
            return None
        values: dict[str, Any] = {}
        for column, cell in given.items():
            if (plan := self._columns.get(column)) is None:
                if column.startswith("custom."):
                    return None
                continue
            field_id, field, known = plan
            if known is None or (stored := known.get(cell, _UNKNOWN)) is _UNKNOWN:
                if cell is CLEARED:
                    continue
                lookups = self.lookups.at(lead_id) if known is None else self.lookups
                # Cells are filled, so one value needs no look at whether there is any.
                clean = field.kind.clean if field.multiple else field.kind.clean_one
                try:
                    stored = clean(self.read(cell, field), field, lookups, self.zone)
                except InvalidValue:
                    return None
                if known is not None and len(cell) <= _KEPT_LENGTH and len(known) < _KEPT_CELLS:
                    known[cell] = stored
            if stored is not None:
                values[field_id] = stored
        for field_id in self._required:
            if is_blank(values.get(field_id)):
                return None
        return values

    def clean(self, raw: Mapping[str, str | None], lead_id: int | None) -> dict[str, Any]:
        """Return the stored values of a row's cells by `cf_` id, None empties. Raises `InvalidInput` naming each field."""
        return clean_values(
            self.actor, self.uses, self.read_all(raw), current={}, lookups=self.lookups.at(lead_id), require=True,
            partial=True, zone=self.zone,
        )  # fmt: skip

    def read_all(self, raw: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return a row's cells as their kinds read them."""
        return {key: None if cell is None else self.read(cell, self._fields[key][1]) for key, cell in raw.items()}
