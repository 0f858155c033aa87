"""HTML forms of activity types and of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django import forms

from activities.queries import TypeInfo
from activities.services.types import COLORS, ICONS
from crm.customfields.catalog import Use
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, many
from crm.models import Role
from crm.plans import MAX_FIELD_DESCRIPTION

NO_RULE = ("", "Always")


class TypeForm(forms.Form):
    """The properties of an activity type."""

    name = forms.CharField(label="Name", max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    description = forms.CharField(
        label="Description", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2, "data-grow": ""}),
        help_text="Shown above the form.",
    )  # fmt: skip
    icon = forms.ChoiceField(label="Icon", required=False, choices=list(ICONS.items()), widget=forms.RadioSelect)
    color = forms.ChoiceField(
        label="Colour", required=False, choices=[(c, c.capitalize()) for c in COLORS], widget=forms.RadioSelect
    )
    edit_roles = forms.MultipleChoiceField(
        label="Restrict editing to", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Only these roles add, edit or delete its activities. None chosen: everybody. Admin always may.",
    )  # fmt: skip
    view_roles = forms.MultipleChoiceField(
        label="Restrict viewing to", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Only these roles see its activities anywhere. None chosen: everybody. Admin always does.",
    )  # fmt: skip
    api_only = forms.BooleanField(
        label="Hide (API only)",
        required=False,
        help_text="Not offered on lead pages; the API and imports may create it.",
    )

    def __init__(self, roles: Sequence[Role], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key in ("edit_roles", "view_roles"):
            self.fields[key].choices = [(str(role.pk), role.name) for role in roles]

    def changes(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            **{key: given[key] for key in ("name", "description", "api_only")},
            "icon": given["icon"] or "clipboard-check",
            "color": given["color"] or "blue",
            **{key: [int(pk) for pk in given[key]] for key in ("edit_roles", "view_roles")},
        }


def typed_type(kind: TypeInfo, data: Any) -> TypeInfo:
    """Return a type as it would be with what is typed in its properties (a query dict); what does not fit stays."""
    icon, color = data.get("icon"), data.get("color")
    return replace(
        kind,
        name=" ".join(data.get("name", "").split())[:100] or kind.name,
        description=data.get("description", "").strip()[:2000],
        icon=icon if icon in ICONS else kind.icon,
        color=color if color in COLORS else kind.color,
    )


def typed_field(data: Any) -> dict[str, Any]:
    """Return what is in the field editor (a query dict), as typed: for a sketch, and to show it again."""
    return {
        **{key: data.get(key, "") for key in ("name", "kind", "description", "unit", "minimum", "maximum", "heading")},
        **{key: bool(data.get(key)) for key in ("required", "multiple", "read_only")},
        "options": [line.strip() for line in data.get("options", "").splitlines() if line.strip()],
        "default": data.getlist("default") if len(data.getlist("default")) > 1 else data.get("default", ""),
        "show_field": data.get("show_field", ""),
        "show_values": _split(data.getlist("show_values")),
        **{key: data.getlist(key) for key in ("edit_roles", "view_roles")},
    }


def _split(given: Sequence[str]) -> list[str]:
    """Return values that came as one text with `;` between them, or already apart."""
    found = given[0].split(";") if len(given) == 1 else given
    return [value.strip() for value in found if value.strip()]


class FieldForm(forms.Form):
    """A field's definition and its use in one form: only the settings that its kind has.

    `sketch`: the field as typed or as it is; its kind draws the control of the default value. `rule`: the use that the
    show-when rule depends on; its kind draws the values to choose from. `editing`: the field is there; `convertible`: it
    may get another kind later, on a page of its own.
    """

    name = forms.CharField(label="Name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    kind = forms.ChoiceField(label="Kind", choices=[(kind.slug, kind.label) for kind in KINDS.values()])
    description = forms.CharField(
        label="Description", required=False, max_length=MAX_FIELD_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": MAX_FIELD_DESCRIPTION}),
    )  # fmt: skip
    options = forms.CharField(
        label="Options", required=False, widget=forms.Textarea(attrs={"rows": 5}),
        help_text="One a line, in order. Colours, renaming and merging come after saving.",
    )  # fmt: skip
    required = forms.BooleanField(label="Required", required=False, help_text="Drafts may leave it empty.")
    multiple = forms.BooleanField(label="Several values", required=False, help_text="Cannot be turned off later.")
    read_only = forms.BooleanField(label="Read-only", required=False, help_text="Written by the API and imports only.")
    unit = forms.CharField(label="Unit", required=False, max_length=20, help_text="Shown beside the number.")
    minimum = forms.CharField(label="Minimum", required=False, max_length=40)
    maximum = forms.CharField(label="Maximum", required=False, max_length=40)
    default = forms.CharField(label="Default value", required=False)
    heading = forms.CharField(
        label="Section heading above", required=False, max_length=200, help_text="Starts a section of the form."
    )
    show_field = forms.ChoiceField(label="Show only when", required=False)
    show_values = forms.CharField(
        label="has one of these values", required=False, max_length=1000, help_text="Separated by semicolons."
    )
    edit_roles = forms.MultipleChoiceField(
        label="Restrict editing to", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: everybody who may edit the record. Admin always may.",
    )  # fmt: skip
    view_roles = forms.MultipleChoiceField(
        label="Restrict viewing to", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: everybody. Hidden values are in no list, search, report or export.",
    )  # fmt: skip

    def __init__(
        self, *, sketch: Use, others: Sequence[Use], rule: Use | None, roles: Sequence[Role], lookups: Lookups,
        editing: bool, convertible: bool, data: Any = None, initial: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(data, initial=dict(initial or {}))
        kind = sketch.field.kind
        self.initial["options"] = "\n".join(self.initial.get("options") or ())
        absent = {"required", "read_only", "default", "heading", "unit", "minimum", "maximum", "multiple", "options"}
        absent -= set(kind.settings)
        absent |= {"options"} if editing else set()
        absent |= set() if "show_when" in kind.settings and others else {"show_field", "show_values"}
        absent |= set() if rule else {"show_values"}
        for key in absent:
            del self.fields[key]
        for key in ("edit_roles", "view_roles"):
            self.fields[key].choices = [(str(role.pk), role.name) for role in roles]
        self.fields["kind"].disabled = editing
        later = "It can be changed later." if convertible else "Fixed once saved."
        self.fields["kind"].help_text = (
            "The kind is fixed: records may hold values of it." if editing else f"{kind.hint} {later}"
        )
        if "multiple" in self.fields and editing and sketch.field.multiple:
            self.fields["multiple"].disabled = True
        if "default" in self.fields:
            self.fields["default"] = _optional(kind.form_field(sketch, lookups), "Default value")
            if sketch.field.multiple:
                self.initial["default"] = many(self.initial.get("default"))
        if "show_field" in self.fields:
            self.fields["show_field"].choices = [NO_RULE, *((use.field.public_id, use.field.name) for use in others)]
        if "show_values" in self.fields and rule:
            self._offer_values(rule, lookups)

    def _offer_values(self, rule: Use, lookups: Lookups) -> None:
        """A kind with a list offers it; any other takes text."""
        offered = getattr(rule.field.kind.form_field(rule, lookups), "choices", None)
        if offered is not None:
            field = forms.MultipleChoiceField(
                choices=[choice for choice in offered if choice[0]],
                widget=forms.SelectMultiple(attrs={"data-enhance": ""}),
            )
            self.fields["show_values"] = _optional(field, "has one of these values")
        else:
            self.initial["show_values"] = "; ".join(self.initial.get("show_values") or ())

    def changes(self) -> dict[str, Any]:
        """Return what a service takes: only the settings that are on the form. Call it after `is_valid`."""
        given = self.cleaned_data
        plain = ("name", "description", "required", "multiple", "heading", "read_only", "default")
        found: dict[str, Any] = {key: given[key] for key in plain if key in given}
        if "unit" in given:
            found["settings"] = {key: given[key] for key in ("unit", "minimum", "maximum")}
        found |= {key: [int(pk) for pk in given[key]] for key in ("edit_roles", "view_roles")}
        if "show_field" in given:
            values = given.get("show_values") or []
            found["show_when"] = given["show_field"] and {
                "field": given["show_field"],
                "values": values if isinstance(values, list) else _split([values]),
            }
        if "options" in given:
            found["options"] = [line.strip() for line in given["options"].splitlines() if line.strip()]
        return found

    def show(self, error: InvalidInput) -> None:
        """Show a service's refusal at the fields it names; anything else on top."""
        self.full_clean()
        for key, sentence in (error.fields or {"": error.message}).items():
            name = {"show_when": "show_values" if "show_values" in self.fields else "show_field"}.get(key, key)
            self.add_error(name if name in self.fields else None, sentence)


class UseForm(forms.Form):
    """How one more form uses a shared field."""

    field = forms.ChoiceField(label="Shared field")
    required = forms.BooleanField(label="Required", required=False, help_text="Drafts may leave it empty.")
    edit_roles = forms.MultipleChoiceField(
        label="Restrict editing to", required=False, widget=forms.CheckboxSelectMultiple
    )
    view_roles = forms.MultipleChoiceField(
        label="Restrict viewing to", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, roles: Sequence[Role], offered: Sequence[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["field"].choices = list(offered)
        for key in ("edit_roles", "view_roles"):
            self.fields[key].choices = [(str(role.pk), role.name) for role in roles]


def _optional(field: forms.Field, label: str) -> forms.Field:
    field.required, field.label = False, label
    return field
