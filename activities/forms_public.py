"""Forms of public forms: what a member decides, and what a stranger fills in, with its traps for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core import signing
from django.http import HttpRequest

from activities.models import PublicForm
from activities.services.public_forms import OpenForm
from crm import rate_limits
from crm.accounts import client_address
from crm.customfields.catalog import Use
from crm.customfields.forms import ValueForm, value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.forms import ServiceForm

FASTEST = 2  # seconds: nobody reads and fills in a form sooner
OLDEST = 24 * 3600
# How many fit in a window of seconds: answers per form and address, answers per form, tries per form and address.
PER_ADDRESS = ((600, 5), (86_400, 30))
PER_FORM = ((3600, 300),)
TRIES = (600, 30)
# A list of more options than this stays a list; a shorter one is boxes to tick.
MOST_BOXES = 20


class PublicFormForm(ServiceForm):
    """A form's settings; each field that can be asked has a box and a place."""

    title = forms.CharField(label="Title", max_length=200)
    intro = forms.CharField(
        label="Introduction", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
    )
    thanks = forms.CharField(
        label="What they read after sending", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
    )
    enabled = forms.BooleanField(label="The form takes answers", required=False, initial=True)
    embeddable = forms.BooleanField(label="Other sites may show it in a frame", required=False)

    def __init__(self, uses: Sequence[Use], form: PublicForm | None, *args: Any, **kwargs: Any) -> None:
        initial = {"thanks": "Thank you. We will be in touch."}
        if form is not None:
            initial = {key: getattr(form, key) for key in ("title", "intro", "thanks", "enabled", "embeddable")}
        super().__init__(*args, initial=initial, **kwargs)
        places = {number: place for place, number in enumerate(form.fields, start=1)} if form else {}
        self.uses = list(uses)
        for place, use in enumerate(self.uses, start=1):
            # Everybody is asked for an email address already.
            asked = use.field.id in places if form else not use.field.kind.is_address
            self.fields[f"ask_{use.field.public_id}"] = forms.BooleanField(
                label=use.field.name, required=False, initial=asked or use.required
            )
            self.fields[f"place_{use.field.public_id}"] = forms.IntegerField(
                label=f"Place of {use.field.name}", required=False, min_value=1, max_value=500,
                initial=places.get(use.field.id, place if form is None else None),
                widget=forms.NumberInput(attrs={"class": "tp-place"}),
            )  # fmt: skip

    @property
    def rows(self) -> list[tuple[Use, forms.BoundField, forms.BoundField]]:
        return [(use, self[f"ask_{use.field.public_id}"], self[f"place_{use.field.public_id}"]) for use in self.uses]

    def changes(self) -> dict[str, Any]:
        """Return what the service takes, the fields in the order of their places. Call it after `is_valid`."""
        given = self.cleaned_data
        keys = [use.field.public_id for use in self.uses if given[f"ask_{use.field.public_id}"]]
        keys.sort(key=lambda key: given[f"place_{key}"] or 1000)
        return {key: given[key] for key in ("title", "intro", "thanks", "enabled", "embeddable")} | {"fields": keys}

    def take(self, error: Any) -> None:
        """Show a refusal about the choice of fields on top."""
        if "fields" in error.fields:
            self.add_error(None, error.fields["fields"])
        rest = {key: sentence for key, sentence in error.fields.items() if key != "fields"}
        if rest or not error.fields:
            super().take(InvalidInput(error.message, rest))


class VisitorForm(ServiceForm):
    """Who is asking. `website` is a trap: people do not see it. `stamp` says when the page was made, signed."""

    name = forms.CharField(label="Your name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(
        label="Your email", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    company = forms.CharField(
        label="Company", max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    website = forms.CharField(
        label="Leave this empty", required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "tabindex": "-1"}),
    )  # fmt: skip
    stamp = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, token: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token = token
        self.fresh_stamp = signing.dumps(1, salt=_salt(token))

    @property
    def is_trapped(self) -> bool:
        """Did something fill in what people do not see?"""
        return bool(self.data.get("website"))

    def clean_stamp(self) -> str:
        """Refuse what comes sooner than a person can, or from a page that is too old or not ours."""
        given = self.cleaned_data["stamp"]
        try:
            signing.loads(given, salt=_salt(self._token), max_age=OLDEST)
        except signing.BadSignature:
            raise forms.ValidationError("This page has waited too long. Please send it again.") from None
        try:
            signing.loads(given, salt=_salt(self._token), max_age=FASTEST)
        except signing.SignatureExpired:
            return given
        raise forms.ValidationError("That was very quick. Please look it over and send it again.")


@dataclass(frozen=True)
class Questions:
    """The fields a form asks. What their rules hide, given what is typed so far, is not `shown`."""

    form: ValueForm

    @property
    def every(self) -> list[tuple[str, forms.BoundField]]:
        """Return each field with the heading above it, or ""."""
        return [(bound.field.heading, bound) for bound in self.form]

    @property
    def shown(self) -> list[tuple[str, forms.BoundField]]:
        """Return what is asked now. A heading goes to the first field of its section that is."""
        found, waiting = [], ""
        for heading, bound in self.every:
            waiting = heading or waiting
            if bound.field.is_shown:
                found.append((waiting, bound))
                waiting = ""
        return found

    @property
    def follow(self) -> bool:
        """Does an answer decide what else is asked?"""
        return any("data-decides" in field.widget.attrs for field in self.form.fields.values())

    @property
    def errors(self) -> Any:
        return self.form.errors


def questions(found: OpenForm, raw: dict[str, Any] | None = None, data: Any = None) -> Questions:
    """Return the fields a form asks, empty or as typed."""
    lookups = Lookups(found.owner.organization)
    form = value_form(found.uses, actor=found.owner, lookups=lookups, raw=raw, data=data)
    for name, use in form.uses.items():
        form.fields[name].required = use.required
        _offer_boxes(form.fields[name])
    return Questions(form)


def _offer_boxes(field: forms.Field) -> None:
    """Let several options be ticked: strangers do not know which key to hold while they click in a list."""
    if isinstance(field.widget, forms.SelectMultiple) and len(field.choices) <= MOST_BOXES:
        attrs = {key: value for key, value in field.widget.attrs.items() if key != "data-enhance"}
        field.widget = forms.CheckboxSelectMultiple(attrs, choices=field.choices)


def too_many_tries(request: HttpRequest, token: str) -> float:
    """Count one try from this address, whatever comes of it; returns for how many seconds there is no room for it, or 0."""
    seconds, most = TRIES
    return rate_limits.wait_for(f"try:{token}:{client_address(request)}", most, seconds)


def too_many_answers(request: HttpRequest, token: str) -> float:
    """Count one answer from this address; returns for how many seconds there is no room for it, or 0."""
    done: list[tuple[str, int, int]] = []
    for limit in _limits(request, token):
        if wait := rate_limits.wait_for(*limit):
            for before in done:
                rate_limits.give_back(*before)
            return wait
        done.append(limit)
    return 0


def was_no_answer(request: HttpRequest, token: str) -> None:
    """Take back what was counted of an answer that has to be mended first."""
    for limit in _limits(request, token):
        rate_limits.give_back(*limit)


def _limits(request: HttpRequest, token: str) -> list[tuple[str, int, int]]:
    address = client_address(request)
    per_address = [(f"form:{token}:{address}:{seconds}", most, seconds) for seconds, most in PER_ADDRESS]
    return per_address + [(f"form:{token}:{seconds}", most, seconds) for seconds, most in PER_FORM]


def _salt(token: str) -> str:
    return f"public-form:{token}"
