"""HTML forms of activities and their types."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms

from activities.models import Activity
from activities.services.types import COLORS, ICONS
from crm.customfields.lookups import Lookups
from crm.fieldkinds import KINDS
from crm.models import Membership, Role


class AboutForm(forms.Form):
    """When an activity happened, with whom, and to whom it is attributed."""

    activity_at = forms.CharField(
        label="When", required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    contact = forms.ChoiceField(label="Contact", required=False)
    user = forms.ChoiceField(label="Attributed to", required=False)

    def __init__(
        self, actor: Membership, lookups: Lookups, activity: Activity | None, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor
        self.fields["contact"].choices = [("", "–"), *((ref.public_id, ref.name) for ref in lookups.contacts)]
        self.fields["user"].choices = [("", "–")] + [
            (ref.public_id, f"{ref.name} (former member)" if ref.former else ref.name) for ref in lookups.members
        ]
        if activity is None:
            self.initial = {"user": actor.user.public_id}
            return
        typed = activity.draft_data or {}
        user, contact = lookups.user(activity.user_id), lookups.contact(activity.contact_id)
        self.initial = {
            "activity_at": "" if activity.is_draft else f"{activity.activity_at.astimezone(actor.zone):%Y-%m-%dT%H:%M}",
            "contact": contact.public_id if contact else "",
            "user": user.public_id if user else "",
            **{key: typed[key] for key in ("activity_at", "contact", "user") if key in typed},
        }

    def clean_activity_at(self) -> datetime | None:
        text = self.cleaned_data["activity_at"].strip()
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise forms.ValidationError(f"“{text}” is not a date and time. Write it as 2026-01-31T14:30.") from None
        return found if found.tzinfo else found.replace(tzinfo=self.actor.zone)


class TypeForm(forms.Form):
    """The properties of an activity type."""

    name = forms.CharField(label="Name", max_length=100)
    description = forms.CharField(
        label="Description", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Shown above the form.",
    )  # fmt: skip
    icon = forms.ChoiceField(
        label="Icon", required=False, choices=[(icon, icon) for icon in ICONS], widget=forms.RadioSelect
    )
    color = forms.ChoiceField(
        label="Colour", required=False, choices=[(c, c) for c in COLORS], widget=forms.RadioSelect
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

    def __init__(self, roles: list[Role], *args: Any, **kwargs: Any) -> None:
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


class FieldForm(forms.Form):
    """A field's definition; which parts matter depends on its kind."""

    name = forms.CharField(label="Name", max_length=200)
    kind = forms.ChoiceField(label="Kind", choices=[(kind.slug, kind.label) for kind in KINDS.values()])
    description = forms.CharField(
        label="Description", required=False, max_length=280, widget=forms.Textarea(attrs={"rows": 2, "maxlength": 280})
    )
    options = forms.CharField(
        label="Options", required=False, widget=forms.Textarea(attrs={"rows": 4}),
        help_text="For choices: one a line, in order. Taking a line out keeps it on old values.",
    )  # fmt: skip
    required = forms.BooleanField(label="Required", required=False, help_text="Drafts may leave it empty.")
    multiple = forms.BooleanField(label="Several values", required=False, help_text="For choices, users and contacts.")
    unit = forms.CharField(label="Unit", required=False, max_length=20, help_text="For numbers: shown after the value.")
    minimum = forms.CharField(label="Minimum", required=False, max_length=40)
    maximum = forms.CharField(label="Maximum", required=False, max_length=40)
    default = forms.CharField(label="Default value", required=False, max_length=1000)
    heading = forms.CharField(
        label="Section heading above", required=False, max_length=200, help_text="Starts a section of the form."
    )
    read_only = forms.BooleanField(label="Read-only", required=False, help_text="Written by the API and imports only.")
    show_field = forms.ChoiceField(label="Show only when", required=False)
    show_values = forms.CharField(
        label="has one of these values", required=False, max_length=1000, help_text="Separated by semicolons."
    )
    edit_roles = forms.MultipleChoiceField(
        label="Restrict editing to", required=False, widget=forms.CheckboxSelectMultiple
    )
    view_roles = forms.MultipleChoiceField(
        label="Restrict viewing to", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, roles: list[Role], others: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key in ("edit_roles", "view_roles"):
            self.fields[key].choices = [(str(role.pk), role.name) for role in roles]
        self.fields["show_field"].choices = [("", "Always"), *others]

    def changes(self) -> dict[str, Any]:
        """Return what a service takes. Call it after `is_valid`."""
        given = self.cleaned_data
        found: dict[str, Any] = {
            key: given[key]
            for key in ("name", "description", "required", "multiple", "heading", "read_only", "default")
        }
        found["settings"] = {key: given[key] for key in ("unit", "minimum", "maximum")}
        found |= {key: [int(pk) for pk in given[key]] for key in ("edit_roles", "view_roles")}
        found["show_when"] = (
            {"field": given["show_field"], "values": [v.strip() for v in given["show_values"].split(";") if v.strip()]}
            if given["show_field"]
            else None
        )
        if KINDS[given["kind"]].has_options:
            found["options"] = [line.strip() for line in given["options"].splitlines() if line.strip()]
        return found
