"""Forms of the organization's own pages."""

from __future__ import annotations

from typing import Any

from django import forms

from crm.models import Role


class InviteForm(forms.Form):
    """A new member: email, name and role."""

    email = forms.EmailField(label="Email", max_length=254)
    first_name = forms.CharField(label="First name", max_length=100, required=False)
    last_name = forms.CharField(label="Last name", max_length=100, required=False)
    role = forms.ChoiceField(label="Role", initial="user")

    def __init__(self, roles: list[Role], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(role.public_id, role.name) for role in roles]


class ApiKeyForm(forms.Form):
    """A new API key."""

    name = forms.CharField(label="Name", max_length=100, help_text="What will use it, e.g. “Website forms”.")
    expires_at = forms.DateTimeField(
        label="Expires",
        required=False,
        help_text="Empty: never.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    read_only = forms.BooleanField(label="Read only", required=False)
