"""The form of custom fields, made by the field kinds. It collects input; cleaning is the service's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from django import forms
from django.http import QueryDict

from crm.customfields.catalog import Use
from crm.customfields.cleaning import drop_hidden, is_shown
from crm.customfields.lookups import Lookups
from crm.fieldkinds import InvalidValue, many
from crm.models import Membership
from crm.permissions import can_edit_field, can_view_field


class ValueForm(forms.Form):
    """Fields named by `cf_…` ids, in display order. `raw()` is what to hand to a service."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.uses: dict[str, Use] = {}

    @property
    def has_rules(self) -> bool:
        """Does a change of one field show or hide others?"""
        return any("data-decides" in field.widget.attrs for field in self.fields.values())

    def visibility(self) -> dict[str, list[str]]:
        """Return the names of the inputs that are shown and that a rule hides, with what is in the form now."""
        found: dict[str, list[str]] = {"shown": [], "hidden": []}
        for name, field in self.fields.items():
            found["shown" if field.is_shown else "hidden"].append(self.add_prefix(name))
        return found

    def raw(self) -> dict[str, Any]:
        """Return the input of every editable field, as typed: text, or a list where several values are taken."""
        found: dict[str, Any] = {}
        for name, use in self.uses.items():
            if self.fields[name].disabled:
                continue
            found[name] = raw_input(self.data, self.add_prefix(name), use)
        return found

    def add_errors(self, errors: Mapping[str, str]) -> None:
        """Show a service's errors at their fields; keys are `custom.cf_…` or `cf_…`; others go on top."""
        self.full_clean()
        self._errors.clear()
        for key, sentence in errors.items():
            name = key.removeprefix("custom.")
            self.add_error(name if name in self.fields else None, sentence)


def raw_input(data: Any, name: str, use: Use) -> Any:
    """Return one field's raw input from a query dict or a plain mapping."""
    if use.field.multiple and isinstance(data, QueryDict):
        return data.getlist(name)
    return data.get(name, [] if use.field.multiple else "")


def value_form(
    uses: Iterable[Use],
    *,
    actor: Membership,
    lookups: Lookups,
    data: Any = None,
    initial: Mapping[str, Any] | None = None,
    raw: Mapping[str, Any] | None = None,
    require: bool = False,
    prefix: str | None = None,
) -> ValueForm:
    """Return the form of these fields for the actor.

    `initial`: stored values by field id. `raw`: what was typed, by `cf_…` id, shown even where it does not validate
    (a draft); it wins over `initial`. A new record (`initial` None and no `raw`) starts with the defaults. Hidden kinds
    and fields the actor may not view are left out, fields they may not edit are disabled. A field that a rule hides is
    there with `is_shown` false; a change of a field with `data-decides` may show or hide others.
    """
    uses = list(uses)
    form = ValueForm(data=data, prefix=prefix)
    for use in uses:
        if use.field.kind.hidden or not can_view_field(actor, use):
            continue
        name = use.field.public_id
        field = use.field.kind.form_field(use, lookups)
        field.label = use.field.name + (f" ({use.field.unit})" if use.field.unit else "")
        field.help_text = use.field.description
        field.required = False
        field.disabled = not can_edit_field(actor, use)
        field.is_required_on_publish = use.required
        field.heading = use.heading
        field.is_wide = use.field.kind.wide
        field.is_shown = True
        if raw is not None and name in raw:
            field.initial = raw[name]
        else:
            stored = use.field.default if initial is None and raw is None else (initial or {}).get(str(use.field.id))
            field.initial = use.field.kind.initial(stored, use.field, lookups, actor.zone)
        if use.field.kind.has_options:
            _offer_removed_only_where_held(field, use)
        form.fields[name] = field
        form.uses[name] = use
    _apply_rules(form, uses, actor, lookups, initial, raw)
    _mark_ruled_out(form)
    return form


def _mark_ruled_out(form: ValueForm) -> None:
    """Give hidden fields the class that hides them (`ruled_out`), and headings whose whole section is hidden."""
    heading = None
    for field in form.fields.values():
        field.ruled_out = "" if field.is_shown else "tp-ruled-out"
        if field.heading:
            heading, field.heading_ruled_out = field, "tp-ruled-out"
        if heading is not None and field.is_shown:
            heading.heading_ruled_out = ""


def _apply_rules(
    form: ValueForm, uses: list[Use], actor: Membership, lookups: Lookups, initial: Mapping[str, Any] | None,
    raw: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    """Mark the fields that a rule hides now (`is_shown`), and those whose change may show others (`data-decides`).

    What does not validate yet decides nothing, exactly as it would not be stored.
    """
    by_id = {use.field.id: use for use in uses}
    deciding = {use.show_when["field"] for use in uses if use.show_when} & by_id.keys()
    if not deciding:
        return
    values: dict[str, Any] = {}
    for field_id in deciding:
        use = by_id[field_id]
        name = use.field.public_id
        if name in form.fields:
            form.fields[name].widget.attrs["data-decides"] = ""
        if form.is_bound and name in form.fields and not form.fields[name].disabled:
            typed = raw_input(form.data, form.add_prefix(name), use)
        elif raw is not None and name in raw:
            typed = raw[name]
        else:
            starts = use.field.default if initial is None and raw is None else (initial or {}).get(str(field_id))
            if starts is not None:
                values[str(field_id)] = starts
            continue
        with suppress(InvalidValue):
            cleaned = use.field.kind.clean(typed, use.field, lookups, actor.zone)
            if cleaned is not None:
                values[str(field_id)] = cleaned
    drop_hidden(uses, values)
    for name, use in form.uses.items():
        form.fields[name].is_shown = is_shown(use, values)


def _offer_removed_only_where_held(field: forms.Field, use: Use) -> None:
    """A removed option stays on the record that holds it, and is no choice for others."""
    held = {str(item) for item in many(field.initial)}
    removed = {option.public_id for option in use.field.options if option.removed}
    field.choices = [choice for choice in field.choices if choice[0] not in removed - held]
