"""One lead: create, read, edit, delete."""

from __future__ import annotations

from dataclasses import dataclass

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page
from crm.models import Membership
from crm.permissions import Perm, can_view_field, has
from leads import queries, services
from leads.forms import LeadForm, NewLeadForm, TaskForm, show_errors
from leads.models import Contact, Lead, Task


@member_page()
@require_http_methods(["GET", "POST"])
def lead_create(request: HttpRequest) -> HttpResponse:
    actor = request.actor
    uses = catalog(actor.organization).lead_uses
    custom = value_form(uses, actor=actor, lookups=Lookups(actor.organization), data=request.POST or None)
    form = NewLeadForm(queries.statuses(), request.POST or None)
    status = 200
    twins: list[Lead] = []
    if request.method == "POST":
        status = 422
        if form.is_valid():
            given = form.cleaned_data
            if not request.POST.get("anyway"):
                twins = queries.duplicates(
                    actor, name=given["name"], email=given["contact_email"], phone=given["contact_phone"]
                )
            if not twins:
                try:
                    lead = services.create_lead(
                        actor, **form.changes(), contacts=form.contacts(), custom=custom.raw(), source="ui"
                    )
                except InvalidInput as error:
                    show_errors(form, error)
                    custom.add_errors({key: text for key, text in error.fields.items() if key.startswith("custom.")})
                else:
                    return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    context = {"form": form, "custom": custom, "twins": twins}
    return render_page(request, "leads/create.html", context, status=status)


@member_page()
@require_GET
def lead_page(request: HttpRequest, lead_id: str) -> HttpResponse:
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    lookups = Lookups(actor.organization, lead.pk)
    timeline = reverse("activities:timeline", args=[actor.organization.slug, lead.public_id])
    extra = import_string(settings.LEAD_PAGE_CONTEXT)(request, lead)
    context = {
        "lead": lead,
        "statuses": queries.statuses(),
        "facts": _facts(actor, lead, lookups),
        "contacts": list(Contact.objects.filter(lead=lead).order_by("pk")),
        "tasks": list(Task.objects.filter(lead=lead, done_at=None).select_related("assigned_to").order_by("due_date", "pk")),
        "task_form": TaskForm(),
        "timeline_url": f"{timeline}?{request.GET.urlencode()}",
        "may_delete": bool(has(actor, Perm.DELETE_LEADS)),
        "activities_count": apps.get_model("activities", "Activity").objects.filter(lead=lead).count(),
        **extra,
    }  # fmt: skip
    return render_page(request, "leads/page.html", context)


@dataclass(frozen=True)
class Fact:
    label: str
    text: str
    href: str = ""


def _facts(actor: Membership, lead: Lead, lookups: Lookups) -> list[Fact]:
    found = []
    if lead.url:
        found.append(Fact("Website", lead.url.split("://", 1)[-1].rstrip("/"), lead.url))
    for address in lead.addresses:
        text = ", ".join(filter(None, (address.get(part) for part in ("address_1", "city", "state", "country"))))
        found.append(Fact("Address", text))
    for use in catalog(actor.organization).lead_uses:
        stored = lead.values.get(str(use.field.id))
        if stored is None or use.field.kind.hidden or not can_view_field(actor, use):
            continue
        href = "" if isinstance(stored, list) else use.field.kind.href(stored, use.field)
        found.append(Fact(use.field.name, use.field.kind.display(stored, use.field, lookups), href))
    return found


@member_page()
@require_http_methods(["GET", "POST"])
def lead_edit(request: HttpRequest, lead_id: str) -> HttpResponse:
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    lookups = Lookups(actor.organization, lead.pk)
    posted = request.POST if request.method == "POST" else None
    form = LeadForm(queries.statuses(), posted, initial=LeadForm.initial_of(lead))
    custom = value_form(
        catalog(actor.organization).lead_uses, actor=actor, lookups=lookups, data=posted, initial=lead.values
    )
    status = 200
    if posted is not None:
        status = 422
        if form.is_valid():
            try:
                services.update_lead(actor, lead, {**form.changes(), "custom": custom.raw(), "require": True})
            except InvalidInput as error:
                show_errors(form, error)
                custom.add_errors({key: text for key, text in error.fields.items() if key.startswith("custom.")})
            else:
                return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    return render_page(request, "leads/edit.html", {"lead": lead, "form": form, "custom": custom}, status=status)


@member_page()
@require_POST
def lead_status(request: HttpRequest, lead_id: str) -> HttpResponse:
    lead = queries.lead_for(request.actor, lead_id)
    services.update_lead(request.actor, lead, {"status": request.POST.get("status", "")})
    return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead.public_id]))


@member_page(Perm.DELETE_LEADS)
@require_POST
def lead_delete(request: HttpRequest, lead_id: str) -> HttpResponse:
    services.delete_lead(request.actor, queries.lead_for(request.actor, lead_id))
    return redirect_to(request, reverse("leads:list", args=[request.organization.slug]))
