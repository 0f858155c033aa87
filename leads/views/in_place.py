"""The parts of a lead that are edited in place: name, website, description, addresses, each custom field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from crm.access import member_page
from crm.customfields.catalog import Use, catalog
from crm.customfields.cleaning import is_shown
from crm.customfields.forms import ValueForm, value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.htmx import redirect_to, render_page
from crm.models import Membership
from crm.permissions import authorize, can_edit_field, can_view_field
from leads import queries, services
from leads.forms import AddressRow, PartForm, address_rows, addresses_given, show_errors
from leads.models import Lead
from leads.views.editing import Theirs, seen_by, seen_now, theirs_of

TEXTS = {"name": "Name", "url": "Website", "description": "Description"}
ADDRESSES = "addresses"


@dataclass(frozen=True)
class Part:
    """One thing a lead's page shows of the lead. `lines`: what it holds; empty for nothing. `chips`: (words, colour)."""

    key: str
    label: str
    lines: Sequence[str] = ()
    href: str = ""
    wide: bool = False
    can_edit: bool = True
    chips: Sequence[tuple[str, str]] = ()


def about_parts(actor: Membership, lead: Lead, lookups: Lookups) -> list[Part]:
    """Return the parts of the panel *About*, in order; fields hidden by their rule or from the actor are left out."""
    website = lead.url.split("://", 1)[-1].rstrip("/")
    found = [
        Part("url", "Website", [website] if lead.url else [], lead.url),
        Part(ADDRESSES, "Address", [_address(row) for row in lead.addresses]),
    ]
    found += [
        _custom_part(actor, lead, use, lookups)
        for use in catalog(actor.organization).lead_uses
        if not use.field.kind.hidden and can_view_field(actor, use) and is_shown(use, lead.values)
    ]
    return [*found, Part("description", "Description", [lead.description] if lead.description else [], wide=True)]


def _custom_part(actor: Membership, lead: Lead, use: Use, lookups: Lookups) -> Part:
    kind, stored = use.field.kind, lead.values.get(str(use.field.id))
    text = "" if stored is None else kind.display(stored, use.field, lookups)
    href = "" if stored is None or isinstance(stored, list) else kind.href(stored, use.field)
    chips = () if stored is None else kind.chips(stored, use.field)
    may_edit = bool(can_edit_field(actor, use))
    return Part(use.field.public_id, use.field.name, [text] if text else [], href, kind.wide, may_edit, chips)


def _address(row: dict[str, str]) -> str:
    town = " ".join(filter(None, (row.get("zipcode"), row.get("city"))))
    parts = (row.get("address_1"), row.get("address_2"), town, row.get("state"), row.get("country"))
    text = ", ".join(part for part in parts if part)
    return f"{row['label']}: {text}" if row.get("label") else text


@dataclass
class PartEditor:
    """The form of one part. `form` holds the inputs, except those of addresses, which are rows.

    `state_key`: the part's key in the lead's state; `seen`: the mark of what the form shows; `theirs`: what somebody
    else made of it meanwhile.
    """

    key: str
    label: str
    form: forms.Form
    rows: list[AddressRow]
    changes: dict[str, Any]
    state_key: str
    seen: str = ""
    theirs: Sequence[Theirs] = ()

    @property
    def in_list(self) -> bool:
        """Does it stand in a list of terms and descriptions? The name is a heading."""
        return self.key != "name"

    def show(self, error: InvalidInput) -> None:
        """Show a service's sentences at the inputs."""
        if isinstance(self.form, ValueForm):
            self.form.add_errors(error.fields or {"": error.message})
        else:
            show_errors(self.form, error)


def editor_for(actor: Membership, lead: Lead, key: str, posted: QueryDict | None) -> PartEditor:
    """Return the editor of a part the actor sees; raises `NotFound`, or `NotAllowed` for what is not theirs to change."""
    if key in TEXTS:
        form = PartForm(key, lead, posted)
        changes = form.changes() if posted is not None and form.is_valid() else {}
        return PartEditor(key, TEXTS[key], form, [], changes, key)
    if key == ADDRESSES:
        given = lead.addresses if posted is None else addresses_given(posted)
        return PartEditor(key, "Address", forms.Form(posted), address_rows(given), {"addresses": given}, key)
    uses = catalog(actor.organization).lead_uses
    use = next((use for use in uses if use.field.public_id == key and can_view_field(actor, use)), None)
    if use is None or use.field.kind.hidden:
        raise NotFound("There is no such field.")
    authorize(can_edit_field(actor, use))
    lookups = Lookups(actor.organization, lead.pk)
    custom = value_form([use], actor=actor, lookups=lookups, data=posted, initial=lead.values)
    changes = {"custom": custom.raw(), "require": "given"} if posted is not None else {}
    return PartEditor(key, use.field.name, custom, [], changes, f"custom.{use.field.id}")


@member_page()
@require_http_methods(["GET", "POST"])
def lead_part(request: HttpRequest, lead_id: str, key: str) -> HttpResponse:
    """GET: the form of a part (`show`: the part again, after Cancel). POST: save it, answer the panel it stands in."""
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    if request.method == "GET" and "show" in request.GET:
        return _panel(request, lead, key)
    posted = request.POST if request.method == "POST" else None
    editor = editor_for(actor, lead, key, posted)
    editor.seen = seen_now(services.lead_state(lead), [editor.state_key])
    status = 200
    if posted is not None:
        status = 422
        if editor.form.is_valid():
            try:
                lead = services.update_lead(actor, lead, editor.changes, seen=seen_by(posted))
            except InvalidInput as error:
                editor.show(error)
            except services.EditedMeanwhile as conflict:
                status, editor.theirs = conflict.status, lead_theirs(actor, lead, conflict.keys)
            else:
                if not request.htmx:
                    return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
                return _panel(request, lead, key)
    response = render_page(
        request, "leads/part.html", {"lead": lead, "editor": editor}, "leads/_part_form.html", status=status
    )
    if status != 200:
        response["HX-Retarget"], response["HX-Reswap"] = f"#part_{key}", "outerHTML"
    return response


def lead_theirs(actor: Membership, lead: Lead, keys: Sequence[str]) -> list[Theirs]:
    """Return what somebody else made of these parts of a lead, as far as the actor sees them."""
    uses = [use for use in catalog(actor.organization).lead_uses if can_view_field(actor, use)]
    words = {"status_id": lead.status.label, "addresses": "; ".join(_address(row) for row in lead.addresses)}
    return theirs_of(services.lead_state(lead), keys, uses, Lookups(actor.organization, lead.pk), **words)


def _panel(request: HttpRequest, lead: Lead, key: str) -> HttpResponse:
    """Answer the panel of a part, with the focus on its pencil."""
    if key == "name":
        return render(request, "leads/_lead_head.html", head_context(request.actor, lead) | {"focus": key})
    return render(request, "leads/_lead_about.html", about_context(request.actor, lead) | {"focus": key})


def head_context(actor: Membership, lead: Lead) -> dict[str, Any]:
    return {"lead": lead, "statuses": queries.statuses()}


def about_context(actor: Membership, lead: Lead) -> dict[str, Any]:
    parts = about_parts(actor, lead, Lookups(actor.organization, lead.pk))
    return {
        "lead": lead,
        "filled": [part for part in parts if part.lines],
        "empty": [part for part in parts if not part.lines],
    }
