"""HTML forms of activities."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms

from activities.models import Activity
from activities.services.typed import moment_of
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.models import Membership


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
        try:
            return moment_of(self.cleaned_data["activity_at"], self.actor.zone)
        except InvalidInput as error:
            raise forms.ValidationError(error.fields["activity_at"]) from None
