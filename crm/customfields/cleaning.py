"""Raw input to stored values: the one place where page, API and CSV values become the same thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from crm.customfields.catalog import Use
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.events import current_door
from crm.fieldkinds import InvalidValue, is_blank, many
from crm.models import Membership
from crm.permissions import Decision, can_edit_field, no, yes


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


def drop_hidden(uses: Iterable[Use], values: dict[str, Any]) -> None:
    """Take the values of fields that a rule hides out of `values`.

    A rule may depend on a field whose own rule hides it, so this goes on until nothing more goes.
    """
    ruled = [use for use in uses if use.show_when]
    while hidden := [use for use in ruled if str(use.field.id) in values and not is_shown(use, values)]:
        for use in hidden:
            del values[str(use.field.id)]


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
    whose `fields` are named by `key`. A field hidden by its rule is neither required nor stored. What the actor cannot
    fill in (restricted, read-only here) is not required of them.
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
            if held is not None and (partial or not may_write(actor, use, check_rights)):
                values[field_id] = held
            continue
        try:
            value = _value_of(raw[public_id], use, held, lookups, zone)
        except InvalidValue as error:
            errors[key(use)] = str(error)
            continue
        if value != held and not (decision := may_write(actor, use, check_rights)):
            errors[key(use)] = decision.reason
            continue
        if removed := _newly_taken_removed_options(use, value, held):
            errors[key(use)] = f"“{removed}” was removed from {use.field.subject}. Choose another option."
            continue
        if value is not None:
            values[field_id] = value
    drop_hidden(uses, values)
    missing: list[Use] = []
    for use in uses:
        if not is_shown(use, values):
            errors.pop(key(use), None)
        elif require and use.required and key(use) not in errors and is_blank(values.get(str(use.field.id))):
            missing.append(use)
    errors |= {key(use): f"{use.field.subject} is required." for use in missing if may_write(actor, use, check_rights)}
    if errors:
        raise InvalidInput(fields=errors)
    return kept | values


def may_write(actor: Membership, use: Use, check_rights: bool = True) -> Decision:
    """May the actor write this field through the current door? Hidden kinds are not for pages."""
    if not check_rights and not use.field.converting_to:
        return yes("Written by Touchpoint itself.")
    if use.field.kind.hidden and current_door() == "page":
        return no(f"{use.field.subject} is written through the API and imports only.")
    return can_edit_field(actor, use)


def _value_of(raw: Any, use: Use, held: Any, lookups: Lookups, zone: ZoneInfo) -> Any:
    """Return the stored value of raw input; `held` when the input only repeats what the form showed for it."""
    kind = use.field.kind
    if kind.is_as_shown(raw, held, use.field, lookups, zone):
        return held
    return kind.clean(raw, use.field, lookups, zone)


def _newly_taken_removed_options(use: Use, value: Any, held: Any) -> str:
    """Return the label of a removed option that the record does not hold already, or an empty text."""
    if not use.field.kind.has_options:
        return ""
    for option_id in many(value):
        option = use.field.option(option_id)
        if option and option.removed and option_id not in many(held):
            return option.label
    return ""
