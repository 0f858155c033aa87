"""HTML forms of leads: they collect input; services clean it."""

from __future__ import annotations

from typing import Any

from django import forms

from crm.errors import InvalidInput
from leads.models import Contact, Lead, LeadStatus


class LeadForm(forms.Form):
    """A lead's own fields, and for a new one its first contact."""

    name = forms.CharField(label="Name", max_length=300, help_text="The company or customer.")
    status = forms.ChoiceField(label="Status", required=False)
    url = forms.CharField(label="Website", max_length=500, required=False)
    description = forms.CharField(label="Description", required=False, widget=forms.Textarea(attrs={"rows": 3}))
    address = forms.CharField(label="Address", max_length=300, required=False)
    city = forms.CharField(label="City", max_length=300, required=False)
    country = forms.CharField(label="Country", max_length=300, required=False)

    def __init__(self, statuses: list[LeadStatus], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["status"].choices = [(row.public_id, row.label) for row in statuses]

    def changes(self) -> dict[str, Any]:
        """Return what a service takes. Call it after `is_valid`."""
        given = self.cleaned_data
        address = {"address_1": given["address"], "city": given["city"], "country": given["country"]}
        return {
            **{key: given[key] for key in ("name", "status", "url", "description")},
            "addresses": [address] if any(address.values()) else [],
        }

    @staticmethod
    def initial_of(lead: Lead) -> dict[str, Any]:
        address = lead.addresses[0] if lead.addresses else {}
        return {
            "name": lead.name,
            "status": lead.status.public_id,
            "url": lead.url,
            "description": lead.description,
            "address": address.get("address_1", ""),
            "city": address.get("city", ""),
            "country": address.get("country", ""),
        }


class NewLeadForm(LeadForm):
    contact_name = forms.CharField(label="Contact name", max_length=300, required=False)
    contact_email = forms.CharField(label="Contact email", max_length=320, required=False)
    contact_phone = forms.CharField(label="Contact phone", max_length=60, required=False)

    def contacts(self) -> list[dict[str, Any]]:
        given = self.cleaned_data
        contact = {
            "name": given["contact_name"],
            "emails": [given["contact_email"]] if given["contact_email"] else [],
            "phones": [given["contact_phone"]] if given["contact_phone"] else [],
        }
        return [contact] if any(contact.values()) else []


class ContactForm(forms.Form):
    """A contact; several emails, phones and urls, one a line."""

    name = forms.CharField(label="Name", max_length=300, required=False)
    title = forms.CharField(label="Title", max_length=200, required=False)
    emails = forms.CharField(
        label="Emails", required=False, help_text="One a line.", widget=forms.Textarea(attrs={"rows": 2})
    )
    phones = forms.CharField(
        label="Phones", required=False, help_text="One a line.", widget=forms.Textarea(attrs={"rows": 2})
    )
    urls = forms.CharField(
        label="Links", required=False, help_text="One a line.", widget=forms.Textarea(attrs={"rows": 2})
    )

    def changes(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "name": given["name"],
            "title": given["title"],
            **{
                channel: [line for line in given[channel].splitlines() if line.strip()]
                for channel in ("emails", "phones", "urls")
            },
        }

    @staticmethod
    def initial_of(contact: Contact) -> dict[str, Any]:
        lines = {
            channel: "\n".join(entry[channel[:-1]] for entry in getattr(contact, channel))
            for channel in ("emails", "phones", "urls")
        }
        return {"name": contact.name, "title": contact.title, **lines}


class TaskForm(forms.Form):
    text = forms.CharField(label="Task", max_length=1000, widget=forms.TextInput(attrs={"placeholder": "New task"}))
    due_date = forms.DateField(label="Due", required=False, widget=forms.DateInput(attrs={"type": "date"}))


class StatusForm(forms.Form):
    label = forms.CharField(label="Name", max_length=100)
    color = forms.ChoiceField(label="Colour", required=False)

    def __init__(self, colors: tuple[str, ...], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["color"].choices = [(color, color.capitalize()) for color in colors]


def show_errors(form: forms.Form, error: InvalidInput) -> None:
    """Show a service's sentences at their fields; those of no field go on top."""
    for key, sentence in (error.fields or {"": error.message}).items():
        form.add_error(key if key in form.fields else None, sentence)
