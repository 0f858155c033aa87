"""The options that the rows of an import hold and their choice fields lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from activities.queries import TypeInfo, type_catalog
from crm.customfields.catalog import catalog
from crm.customfields.lookups import Lookups
from crm.customfields.services import add_options, field_for
from crm.imports.resource import CLEARED
from crm.models import Membership
from crm.permissions import can_edit_field


def add_missing_options(actor: Membership, constant: TypeInfo | None, given: Sequence[Mapping[str, str]]) -> None:
    """Give choice fields the options that rows of an import hold and they lack. `constant`: the type of rows that name none."""
    known = catalog(actor.organization)
    types = type_catalog(actor.organization)
    wanted: dict[str, dict[str, None]] = {}
    for row in given:
        text = row.get("custom_activity_type", "").strip()
        kind = (types.by_public_id(text) or types.by_name(text)) if text else constant
        if kind is None:
            continue
        for use in known.uses(kind.fieldset_id):
            if not use.field.kind.has_options or use.field.builtin or not can_edit_field(actor, use):
                continue
            cell = row.get(f"custom.{use.field.public_id}") or row.get(f"custom.{use.field.name}") or ""
            if not cell or cell is CLEARED:
                continue
            offered = {option.label.casefold() for option in use.field.options if not option.removed}
            ids_ = {option.public_id for option in use.field.options}
            entries = use.field.kind.split(cell, use.field, Lookups(actor.organization))
            for entry in entries if use.field.multiple else [cell]:
                label = entry.strip()
                if label and label.casefold() not in offered and label not in ids_ and len(label) <= 200:
                    wanted.setdefault(use.field.public_id, {}).setdefault(label)
    for public_id, labels in wanted.items():
        add_options(actor, field_for(actor, public_id), labels)
