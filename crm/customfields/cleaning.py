"""Raw input to stored values: the one place where page, API and CSV values become the same thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from crm.customfields.catalog import Use
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.fieldkinds import InvalidValue, is_blank, many
from crm.models import Membership
from crm.permissions import can_edit_field


def api_key_of(use: Use) -> str:
    """Return the key under which a field's error is reported: `custom.cf_…`."""
    return f"custom.{use.field.public_id}"


def is_shown(use: Use, values: Mapping[str, Any]) -> bool:
    """Return whether a field is shown, given the values so far: its rule is absent, or the other field holds a listed value."""
    rule = use.show_when
    if not rule:
        return True
    held = many(values.get(str(rule["field"])))
    return any(value in rule["values"] for value in held)


def clean_values(
    actor: Membership,
    uses: Iterable[Use],
    raw: Mapping[str, Any],
    *,
    current: Mapping[str, Any],
    lookups: Lookups,
    require: bool,
    partial: bool,
    key: Callable[[Use], str] = api_key_of,
    zone: ZoneInfo | None = None,
    check_rights: bool = True,
) -> dict[str, Any]:
    """Return the new complete `{"<field id>": stored value}` of a record.

    `raw`: input by `cf_…` id, in any form the kinds accept. `current`: what the record holds now. With `partial`,
    fields absent from `raw` keep their value; without, they are emptied, except those the actor may not edit.
    `require`: required fields that are shown must have a value. Every problem is collected into one `InvalidInput`
    whose `fields` are named by `key`. A field hidden by its rule is neither required nor stored.
    """
    zone = zone or actor.zone
    uses = list(uses)
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    known = {str(use.field.id) for use in uses}
    kept = {field_id: value for field_id, value in current.items() if field_id not in known}
    for use in uses:
        field_id, public_id = str(use.field.id), use.field.public_id
        held = current.get(field_id)
        if public_id not in raw:
            keep = partial or (check_rights and not can_edit_field(actor, use))
            if keep and held is not None:
                values[field_id] = held
            continue
        try:
            value = use.field.kind.clean(raw[public_id], use.field, lookups, zone)
        except InvalidValue as error:
            errors[key(use)] = str(error)
            continue
        if value != held and check_rights and not (decision := can_edit_field(actor, use)):
            errors[key(use)] = decision.reason
            continue
        if removed := _newly_taken_removed_options(use, value, held):
            errors[key(use)] = f"“{removed}” was removed from {use.field.name}. Choose another option."
            continue
        if value is not None:
            values[field_id] = value
    # A rule may depend on a field whose own rule hides it: settle until nothing more goes.
    hidden = True
    while hidden:
        hidden = [use for use in uses if str(use.field.id) in values and not is_shown(use, values)]
        for use in hidden:
            del values[str(use.field.id)]
    for use in uses:
        if not is_shown(use, values):
            errors.pop(key(use), None)
        elif require and use.required and key(use) not in errors and is_blank(values.get(str(use.field.id))):
            errors[key(use)] = f"{use.field.name} is required."
    if errors:
        raise InvalidInput(fields=errors)
    return kept | values


def _newly_taken_removed_options(use: Use, value: Any, held: Any) -> str:
    """Return the label of a removed option that the record does not hold already, or an empty text."""
    if not use.field.kind.has_options:
        return ""
    for option_id in many(value):
        option = use.field.option(option_id)
        if option and option.removed and option_id not in many(held):
            return option.label
    return ""
