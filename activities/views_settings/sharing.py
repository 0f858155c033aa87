"""Shared fields: one definition on leads, contacts and several types."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.forms_settings import UseForm
from activities.queries.type_settings import may_manage
from activities.views_settings.owners import Owner, Place, owner_of, places, places_of, roles, use_of
from crm.access import member_page
from crm.customfields import services
from crm.customfields.catalog import Field, catalog
from crm.errors import InvalidInput, PlanLimitReached
from crm.htmx import redirect_to
from crm.permissions import Perm, can_view_field
from leads.forms import show_errors


@dataclass(frozen=True)
class SharedLine:
    """A shared field on its settings page."""

    field: Field
    places: list[Place]
    free: list[Place]


@member_page()
@require_GET
def shared_fields(request: HttpRequest) -> HttpResponse:
    return _page(request)


def _page(request: HttpRequest, error: str = "", wrong: str = "", status: int = 200) -> HttpResponse:
    everywhere = places(request)
    lines = [
        SharedLine(
            field, places_of(request, field), [place for place in everywhere if place.fieldset_id not in field.fieldset_ids]
        )
        for field in sorted(_shared(request), key=lambda field: field.name.casefold())
    ]  # fmt: skip
    context = {
        "section": "shared_fields",
        "lines": lines,
        "may_manage": may_manage(request.actor),
        "delete_error": error,
        "wrong": wrong,
    }
    return render(request, "settings/shared_fields.html", context, status=status)


def _shared(request: HttpRequest) -> list[Field]:
    """Return the shared fields: all of them to those who manage fields, else those the actor may see somewhere."""
    known = catalog(request.organization)
    shared = [field for field in known.fields.values() if field.shared]
    if may_manage(request.actor):
        return shared
    return [
        field
        for field in shared
        if any(
            use and can_view_field(request.actor, use) for use in (known.use(pk, field.id) for pk in field.fieldset_ids)
        )
    ]


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def shared_delete(request: HttpRequest, field_id: str) -> HttpResponse:
    """Delete a shared field everywhere, with its values."""
    field = services.field_for(request.actor, field_id)
    try:
        services.delete_shared_field(request.actor, field, request.POST.get("confirm_name", ""))
    except InvalidInput as error:
        return _page(request, error.fields.get("confirm_name", error.message), field_id, 422)
    messages.success(request, f"{field.name} is deleted everywhere.")
    return redirect_to(request, reverse("activities:shared_fields", args=[request.organization.slug]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_share(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Make a field one that other forms can use as well."""
    use_of(request, owner_of(request, owner), field_id)
    field = services.field_for(request.actor, field_id)
    services.share_field(request.actor, field)
    messages.success(
        request, f"{field.name} is a shared field now. Leads, contacts and other types can use it as well."
    )
    return redirect_to(request, reverse("activities:field_edit", args=[request.organization.slug, owner, field_id]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def field_attach(request: HttpRequest, owner: str) -> HttpResponse:
    """Use a shared field on this form, with rules of its own."""
    whose = owner_of(request, owner)
    offered = [
        (field.public_id, f"{field.name} ({field.kind.label.lower()})")
        for field in sorted(_shared(request), key=lambda field: field.name.casefold())
        if whose.fieldset.pk not in field.fieldset_ids
    ]
    form = UseForm(roles(request), offered, request.POST or None, initial={"field": request.GET.get("field", "")})
    refusal, status = "", 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                name = _attach(request, whose, form)
            except InvalidInput as error:
                show_errors(form, error)
            except PlanLimitReached as error:
                refusal, status = error.message, error.status
            else:
                messages.success(request, f"{name} is on the form.")
                return redirect(whose.back)
    context = {"section": whose.section, "whose": whose, "form": form, "offered": offered, "refusal": refusal}
    return render(request, "settings/field_attach.html", context, status=status)


def _attach(request: HttpRequest, whose: Owner, form: UseForm) -> str:
    given = form.cleaned_data
    field = services.field_for(request.actor, given["field"])
    edit_roles, view_roles = ([int(pk) for pk in given[key]] for key in ("edit_roles", "view_roles"))
    services.attach_field(
        request.actor, whose.fieldset, field, required=given["required"], edit_roles=edit_roles, view_roles=view_roles
    )
    return field.name


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_detach(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Take a shared field off this form, with the values held there."""
    whose = owner_of(request, owner)
    use_of(request, whose, field_id)
    field = services.field_for(request.actor, field_id)
    try:
        number = services.detach_field(request.actor, whose.fieldset, field, request.POST.get("confirm_name", ""))
    except InvalidInput as error:
        messages.error(request, error.message)
        return redirect(reverse("activities:field_edit", args=[request.organization.slug, owner, field_id]) + "#remove")
    messages.success(request, f"{field.name} is off this form, with {number:,} values.")
    return redirect_to(request, whose.back)
