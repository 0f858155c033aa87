"""Whose fields a settings page is about, and how their form looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from activities.models import ActivityType
from activities.queries import TypeInfo, type_catalog
from activities.queries.type_settings import may_manage
from activities.services.types import custom_type_for
from crm.customfields.catalog import Field, Use, catalog
from crm.customfields.forms import ValueForm, raw_input, value_form
from crm.customfields.lookups import Lookups
from crm.customfields.services import Progress, conversions_of
from crm.errors import NotFound
from crm.models import FieldSet, Role
from crm.permissions import can_view_field
from crm.plans import MAX_FIELDS_PER_TYPE

PREFIX = "preview"


@dataclass(frozen=True)
class Owner:
    """Whose fields a page edits: a type (`key` is its id), `lead` or `contact`. `one`: what a record of it is called."""

    key: str
    title: str
    one: str
    fieldset: FieldSet
    back: str
    section: str
    type: TypeInfo | None = None


def owner_of(request: HttpRequest, key: str) -> Owner:
    """Return the owner a URL names; raises `NotFound`."""
    slug = request.organization.slug
    if key == "lead":
        back = reverse("activities:lead_fields", args=[slug])
        return Owner(key, "Lead fields", "lead", FieldSet.objects.get(owner=key), back, "lead_fields")
    if key == "contact":
        back = reverse("activities:contact_fields", args=[slug])
        return Owner(key, "Contact fields", "contact", FieldSet.objects.get(owner=key), back, "contact_fields")
    return owner_of_type(request, custom_type_for(request.actor, key))


def owner_of_type(request: HttpRequest, row: ActivityType) -> Owner:
    back = reverse("activities:type_page", args=[request.organization.slug, row.public_id])
    known = type_catalog(request.organization).get(row.pk)
    return Owner(row.public_id, row.name, "activity", row.fieldset, back, "types", known)


def use_of(request: HttpRequest, whose: Owner, field_id: str) -> Use:
    """Return a field of this owner; raises `NotFound`."""
    for use in catalog(request.organization).uses(whose.fieldset.pk):
        if use.field.public_id == field_id:
            return use
    raise NotFound("There is no such field.")


def roles(request: HttpRequest) -> list[Role]:
    return list(Role.objects.order_by("pk"))


@dataclass(frozen=True)
class Place:
    """One form that uses a field. `key`: as in URLs."""

    key: str
    title: str
    fieldset_id: int
    archived: bool = False


def places(request: HttpRequest) -> list[Place]:
    """Return every form of the organization that the actor may see: leads, contacts and custom types."""
    known = catalog(request.organization)
    found = [
        Place("lead", "Leads", known.lead_fieldset_id or 0),
        Place("contact", "Contacts", known.contact_fieldset_id or 0),
    ]
    return found + [
        Place(row.public_id, row.name, row.fieldset_id, row.archived)
        for row in type_catalog(request.organization).custom
        if not row.view_roles or request.actor.role_id in row.view_roles
    ]


def places_of(request: HttpRequest, field: Field) -> list[Place]:
    """Return the forms that use a field."""
    return [place for place in places(request) if place.fieldset_id in field.fieldset_ids]


@dataclass(frozen=True)
class FieldLine:
    """A field in the list. `converting`: how far it is on the way to another kind."""

    use: Use
    converting: Progress | None


def lines_of(uses: Iterable[Use]) -> list[FieldLine]:
    """Return the lines of these fields; one query while any of them is being converted, else none."""
    uses = list(uses)
    going_on = conversions_of(use.field.id for use in uses if use.field.converting_to)
    return [FieldLine(use, going_on.get(use.field.id)) for use in uses]


# --- fields and their preview -----------------------------------------------------------------------------------------
def fields_context(request: HttpRequest, whose: Owner) -> dict[str, Any]:
    """Return what the list of fields and the preview beside it need."""
    manages = may_manage(request.actor)
    uses = catalog(request.organization).uses(whose.fieldset.pk)
    shown = uses if manages else [use for use in uses if can_view_field(request.actor, use)]
    return {
        "whose": whose,
        "owner": whose.key,
        "lines": lines_of(shown),
        "may_manage": manages,
        "most": MAX_FIELDS_PER_TYPE,
        "fields_left": MAX_FIELDS_PER_TYPE - len(uses),
        **preview_context(request, whose, uses),
    }


def preview_context(
    request: HttpRequest, whose: Owner, uses: Sequence[Use], typed: Any = None, changing: str = ""
) -> dict[str, Any]:
    """Return the preview of a form. `typed`: what is filled into it now; `changing`: the field that is being edited."""
    return {"whose": whose, "preview": preview(request, uses, typed, changing), "changing": changing}


def preview(request: HttpRequest, uses: Iterable[Use], typed: Any = None, changing: str = "") -> ValueForm:
    """Return the form as members will see it: with defaults, rules followed, and what was tried out in it."""
    uses = list(uses)
    raw = {
        use.field.public_id: raw_input(typed, f"{PREFIX}-{use.field.public_id}", use)
        for use in uses
        if typed is not None
        and use.field.public_id != changing
        and f"{PREFIX}-{use.field.public_id}" in typed
    }  # fmt: skip
    starts = {str(use.field.id): use.field.default for use in uses if use.field.default is not None}
    return value_form(
        uses, actor=request.actor, lookups=Lookups(request.organization), initial=starts, raw=raw, prefix=PREFIX
    )
