"""Settings > Custom Activities: the types."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.forms_settings import TypeForm
from activities.models import ActivityType
from activities.queries.type_settings import may_manage, type_contents, type_lines
from activities.services import types as services
from activities.views_settings.owners import fields_context, owner_of_type, roles
from crm.access import member_page
from crm.errors import InvalidInput, PlanLimitReached
from crm.htmx import redirect_to, toast
from crm.permissions import Perm
from leads.forms import show_errors


@member_page()
@require_GET
def types(request: HttpRequest) -> HttpResponse:
    return _list(request)


def _list(request: HttpRequest, refusal: str = "", status: int = 200) -> HttpResponse:
    archived = request.GET.get("tab") == "archived"
    lines = type_lines(request.actor)
    context = {
        "section": "types",
        "lines": [line for line in lines if line.archived == archived],
        "archived": archived,
        "archived_count": sum(line.archived for line in lines),
        "active_count": sum(not line.archived for line in lines),
        "may_manage": may_manage(request.actor),
        "has_starters": any(line.row.starter for line in lines),
        "starters_left": services.missing_starters(),
        "refusal": refusal,
    }
    return render(request, "settings/types.html", context, status=status)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def type_create(request: HttpRequest) -> HttpResponse:
    form = TypeForm(roles(request), request.POST or None, initial={"icon": "clipboard-check", "color": "blue"})
    form.fields["name"].widget.attrs["autofocus"] = request.method == "GET"
    refusal, status = "", 200
    if request.method == "GET":
        try:
            services.require_room(request.actor)
        except PlanLimitReached as error:
            refusal = error.message  # said before anything is filled in
    else:
        status = 422
        if form.is_valid():
            try:
                row = services.create_type(request.actor, **form.changes())
            except InvalidInput as error:
                show_errors(form, error)
            except PlanLimitReached as error:
                refusal, status = error.message, error.status
            else:
                return redirect("activities:type_page", slug=request.organization.slug, type_id=row.public_id)
    context = {"section": "types", "form": form, "refusal": refusal}
    return render(request, "settings/type_create.html", context, status=status)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def type_page(request: HttpRequest, type_id: str) -> HttpResponse:
    """The type's fields, a live preview of its form, and its properties."""
    row = services.custom_type_for(request.actor, type_id)
    form = TypeForm(roles(request), request.POST or None, initial=_initial(row))
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                services.update_type(request.actor, row, form.changes())
            except InvalidInput as error:
                show_errors(form, error)
            else:
                messages.success(request, "The properties are saved.")
                return redirect("activities:type_page", slug=request.organization.slug, type_id=type_id)
    return _page(request, row, form, status=status)


def _page(
    request: HttpRequest, row: ActivityType, form: TypeForm, *, refusal: str = "", delete_error: str = "", status: int = 200
) -> HttpResponse:  # fmt: skip
    whose = owner_of_type(request, row)
    context = {
        "section": "types", "row": row, "type": whose.type, "form": form, "contents": type_contents(row),
        "refusal": refusal, "delete_error": delete_error, **fields_context(request, whose),
    }  # fmt: skip
    return render(request, "settings/type.html", context, status=status)


def _initial(row: ActivityType) -> dict[str, Any]:
    return {
        **{key: getattr(row, key) for key in ("name", "description", "icon", "color", "api_only")},
        "edit_roles": [str(pk) for pk in row.edit_roles],
        "view_roles": [str(pk) for pk in row.view_roles],
    }


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_archive(request: HttpRequest, type_id: str) -> HttpResponse:
    row = services.custom_type_for(request.actor, type_id)
    try:
        if row.archived_at is None:
            services.archive_type(request.actor, row)
            messages.success(request, f"{row.name} is archived. Its activities stay.")
        else:
            services.unarchive_type(request.actor, row)
            messages.success(request, f"{row.name} can be logged again.")
    except PlanLimitReached as error:
        return _page(
            request, row, TypeForm(roles(request), initial=_initial(row)), refusal=error.message, status=error.status
        )
    return redirect_to(request, reverse("activities:type_page", args=[request.organization.slug, type_id]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_delete(request: HttpRequest, type_id: str) -> HttpResponse:
    row = services.custom_type_for(request.actor, type_id)
    name = row.name
    try:
        gone = services.delete_type(request.actor, row, request.POST.get("confirm_name", ""))
    except InvalidInput as error:
        form = TypeForm(roles(request), initial=_initial(row))
        return _page(request, row, form, delete_error=error.fields.get("confirm_name", error.message), status=422)
    messages.success(request, f"{name} is deleted, with {gone:,} activities." if gone else f"{name} is deleted.")
    return redirect_to(request, reverse("activities:types", args=[request.organization.slug]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_duplicate(request: HttpRequest, type_id: str) -> HttpResponse:
    row = services.custom_type_for(request.actor, type_id)
    try:
        copy = services.duplicate_type(request.actor, row)
    except PlanLimitReached as error:
        form = TypeForm(roles(request), initial=_initial(row))
        return _page(request, row, form, refusal=error.message, status=error.status)
    messages.success(request, f"This is a copy of {row.name}. Give it a name of its own below.")
    return redirect_to(request, reverse("activities:type_page", args=[request.organization.slug, copy.public_id]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_order(request: HttpRequest) -> HttpResponse:
    services.reorder_types(request.actor, request.POST.getlist("order"))
    return toast(HttpResponse(status=204), "The order of the menu is saved.")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def starters(request: HttpRequest) -> HttpResponse:
    try:
        made = services.install_starters(request.actor)
    except PlanLimitReached as error:
        return _list(request, f"The starter types do not all fit, so none was added. {error.message}", error.status)
    messages.success(
        request, f"{len(made)} starter types are here." if made else "All starter types were here already."
    )
    return redirect_to(request, reverse("activities:types", args=[request.organization.slug]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def starters_remove(request: HttpRequest) -> HttpResponse:
    gone = services.remove_starters(request.actor)
    messages.success(request, f"{gone} unused starter types are gone. Those with activities stay.")
    return redirect_to(request, reverse("activities:types", args=[request.organization.slug]))
