"""Settings > Organization and Settings > Plan."""

from __future__ import annotations

from django.apps import apps
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from crm import plans
from crm.access import member_page
from crm.errors import InvalidInput
from crm.forms import OrganizationForm
from crm.organization import update_organization
from crm.permissions import Perm


@member_page(Perm.MANAGE_ORGANIZATION)
@require_http_methods(["GET", "POST"])
def organization(request: HttpRequest) -> HttpResponse:
    form = OrganizationForm(request.organization, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            update_organization(request.actor, form.cleaned_data)
        except InvalidInput as error:
            form.take(error)
        else:
            messages.success(request, "The organization's settings are saved.")
            return redirect("organization", slug=request.organization.slug)
    context = {"section": "organization", "form": form}
    return render(request, "settings/organization.html", context, status=422 if form.is_bound else 200)


@member_page()
@require_GET
def plan(request: HttpRequest) -> HttpResponse:
    types = apps.get_model("activities", "ActivityType").objects.filter(builtin="", archived_at=None).count()
    context = {"section": "plan", "usage": plans.usage(request.organization, types), "plans": plans.PLANS}
    return render(request, "settings/plan.html", context)
