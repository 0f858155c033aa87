"""Settings: lead statuses."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page, toast
from crm.models import Membership
from crm.permissions import Perm, has
from leads import queries, services
from leads.forms import StatusForm, show_errors
from leads.models import LeadStatus


def _rows(actor: Membership) -> dict[str, Any]:
    return {
        "statuses": queries.statuses_with_leads(),
        "may_manage": bool(has(actor, Perm.MANAGE_CUSTOMIZATIONS)),
    }


def _status_page(request: HttpRequest, form: StatusForm, status: int = 200) -> HttpResponse:
    context = {"section": "statuses", "form": form, **_rows(request.actor)}
    return render(request, "settings/statuses.html", context, status=status)


@member_page()
@require_GET
def status_list(request: HttpRequest) -> HttpResponse:
    return _status_page(request, StatusForm())


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def status_create(request: HttpRequest) -> HttpResponse:
    form = StatusForm(request.POST)
    if form.is_valid():
        try:
            services.create_status(request.actor, form.cleaned_data["label"], form.cleaned_data["color"])
            return redirect("leads:statuses", slug=request.organization.slug)
        except InvalidInput as error:
            show_errors(form, error)
    return _status_page(request, form, 422)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def status_edit(request: HttpRequest, status_id: str) -> HttpResponse:
    """The form of a status, then its row. `show`: the row again, after Cancel."""
    status = queries.status_for(request.actor, status_id)
    if request.method == "GET" and "show" in request.GET:
        return _row(request, status)
    posted = request.POST if request.method == "POST" else None
    form = StatusForm(posted, initial={"label": status.label, "color": status.color}, auto_id=f"{status.public_id}-%s")
    if posted is not None and form.is_valid():
        try:
            services.update_status(request.actor, status, form.cleaned_data["label"], form.cleaned_data["color"])
        except InvalidInput as error:
            show_errors(form, error)
            status.refresh_from_db()
        else:
            if request.htmx:
                return _row(request, status)
            return redirect("leads:statuses", slug=request.organization.slug)
    context = {"section": "statuses", "status": status, "form": form}
    code = 200 if posted is None else 422
    return render_page(request, "settings/status.html", context, "settings/_status_form.html", status=code)


def _row(request: HttpRequest, status: LeadStatus) -> HttpResponse:
    found = next(row for row in queries.statuses_with_leads() if row.pk == status.pk)
    return render(request, "settings/_status_row.html", {"status": found, "may_manage": True, "focus": True})


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def status_delete(request: HttpRequest, status_id: str) -> HttpResponse:
    """GET: how many leads have the status, and which one they shall get. POST: move them and delete it."""
    status = queries.status_for(request.actor, status_id)
    error = ""
    if request.method == "POST":
        target = request.POST.get("move_to")
        try:
            moved = services.delete_status(
                request.actor, status, queries.status_for(request.actor, target) if target else None
            )
        except InvalidInput as refused:
            error = refused.message
        else:
            after = f" {moved:,} lead{'' if moved == 1 else 's'} got another one." if moved else ""
            messages.success(request, f"The status “{status.label}” is deleted.{after}")
            return redirect_to(request, reverse("leads:statuses", args=[request.organization.slug]))
    rows = queries.statuses_with_leads()
    context = {
        "section": "statuses",
        "status": status,
        "used": next(row.leads_count for row in rows if row.pk == status.pk),
        "others": [row for row in rows if row.pk != status.pk],
        "at_once": services.MOVED_AT_ONCE,
        "error": error,
    }
    return render(request, "settings/status_delete.html", context, status=422 if error else 200)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def status_order(request: HttpRequest) -> HttpResponse:
    services.reorder_statuses(request.actor, request.POST.getlist("order"))
    return toast(HttpResponse(status=204), "The order is saved. The first status is the default of new leads.")
