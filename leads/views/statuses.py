"""Settings: lead statuses."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import toast
from crm.permissions import Perm, has
from leads import queries, services
from leads.forms import StatusForm, show_errors

COLORS = ("blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan")


def _status_page(request: HttpRequest, form: StatusForm, status: int = 200) -> HttpResponse:
    context = {
        "section": "statuses",
        "statuses": queries.statuses(),
        "colors": COLORS,
        "form": form,
        "may_manage": bool(has(request.actor, Perm.MANAGE_CUSTOMIZATIONS)),
    }
    return render(request, "settings/statuses.html", context, status=status)


@member_page()
@require_GET
def status_list(request: HttpRequest) -> HttpResponse:
    return _status_page(request, StatusForm(COLORS))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def status_create(request: HttpRequest) -> HttpResponse:
    form = StatusForm(COLORS, request.POST)
    if form.is_valid():
        try:
            services.create_status(request.actor, form.cleaned_data["label"], form.cleaned_data["color"])
            return redirect("leads:statuses", slug=request.organization.slug)
        except InvalidInput as error:
            show_errors(form, error)
    return _status_page(request, form, 422)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def status_edit(request: HttpRequest, status_id: str) -> HttpResponse:
    status = queries.status_for(request.actor, status_id)
    services.update_status(request.actor, status, request.POST.get("label", ""), request.POST.get("color"))
    return redirect("leads:statuses", slug=request.organization.slug)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def status_delete(request: HttpRequest, status_id: str) -> HttpResponse:
    services.delete_status(request.actor, queries.status_for(request.actor, status_id))
    return redirect("leads:statuses", slug=request.organization.slug)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def status_order(request: HttpRequest) -> HttpResponse:
    services.reorder_statuses(request.actor, request.POST.getlist("order"))
    return toast(HttpResponse(status=204), "The order is saved. The first status is the default of new leads.")
