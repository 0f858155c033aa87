"""Forms of the organization's own pages."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms

from crm.customfields.catalog import Field
from crm.errors import TouchpointError
from crm.models import Organization, Role
from crm.permissions import PERM_WORDS, Perm


class ServiceForm(forms.Form):
    """A form that shows a service's refusal at the fields it names, and on top what is not about one."""

    def take(self, error: TouchpointError) -> None:
        named = {key: sentence for key, sentence in error.fields.items() if key in self.fields}
        for key, sentence in named.items():
            self.add_error(key, sentence)
        if not named:
            self.add_error(None, error.message)


class InviteForm(ServiceForm):
    """A new member: email, name and role."""

    email = forms.EmailField(label="Email", max_length=254)
    first_name = forms.CharField(label="First name", max_length=100, required=False)
    last_name = forms.CharField(label="Last name", max_length=100, required=False)
    role = forms.ChoiceField(label="Role", initial="user")

    def __init__(self, roles: list[Role], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.roles = roles
        self.fields["role"].choices = [(role.public_id, role.name) for role in roles]


class ApiKeyForm(forms.Form):
    """A new API key."""

    name = forms.CharField(label="Name", max_length=100, help_text="What will use it, e.g. “Website forms”.")
    expires_at = forms.DateTimeField(
        label="Expires",
        required=False,
        help_text="In your time zone. Empty: never.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    read_only = forms.BooleanField(
        label="Read only", required=False, help_text="It lists, reads and searches, and changes nothing."
    )


class TeamForm(ServiceForm):
    """A new team."""

    name = forms.CharField(label="Name", max_length=100)


class CloneRoleForm(ServiceForm):
    """A new role that starts as a copy."""

    name = forms.CharField(label="Name", max_length=100)
    source = forms.ChoiceField(label="Starts as a copy of", initial="user")

    def __init__(self, roles: list[Role], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = [(role.public_id, role.name) for role in roles]


class RoleForm(ServiceForm):
    """A custom role: what it allows, and which leads it sees."""

    name = forms.CharField(label="Name", max_length=100)
    permissions = forms.MultipleChoiceField(
        label="What it allows", required=False, widget=forms.CheckboxSelectMultiple,
        choices=[(perm.value, f"{perm.words[0].upper()}{perm.words[1:]}: {PERM_WORDS[perm]}") for perm in Perm],
    )  # fmt: skip
    visibility_fields = forms.MultipleChoiceField(
        label="A lead is visible when one of these fields holds the member or somebody of their team",
        required=False, widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    sees_unassigned = forms.BooleanField(
        label="Leads with nobody in these fields are visible too",
        required=False,
    )

    def __init__(self, role: Role, fields: list[Field], *args: Any, **kwargs: Any) -> None:
        initial = {
            "name": role.name,
            "permissions": role.permissions,
            "visibility_fields": [str(number) for number in role.visibility_fields],
            "sees_unassigned": role.sees_unassigned,
        }
        super().__init__(*args, initial=initial, **kwargs)
        self.fields["visibility_fields"].choices = [(str(field.id), field.name) for field in fields]

    def changes(self) -> dict[str, Any]:
        """Return what the service takes. Call it after `is_valid`."""
        given = self.cleaned_data
        return given | {"visibility_fields": [int(number) for number in given["visibility_fields"]]}


class OrganizationForm(ServiceForm):
    """The organization's own settings."""

    name = forms.CharField(label="Name", max_length=200)
    timezone = forms.ChoiceField(
        label="Time zone",
        help_text="Days in reports and the month of the plan follow it. Members may have a zone of their own.",
        widget=forms.Select(attrs={"data-enhance": ""}),
    )
    week_starts_on = forms.TypedChoiceField(
        label="The week starts on",
        coerce=int,
        choices=list(enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))),
    )
    currency = forms.CharField(label="Currency", max_length=3, help_text="Three letters, for example EUR.")

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        initial = {key: getattr(organization, key) for key in ("name", "timezone", "week_starts_on", "currency")}
        super().__init__(*args, initial=initial, **kwargs)
        self.fields["timezone"].choices = [(name, name.replace("_", " ")) for name in sorted(available_timezones())]
