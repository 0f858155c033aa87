"""One lead: create, read, edit, delete."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.htmx import redirect_to, render_page, trigger
from crm.models import Membership
from crm.permissions import Perm, has
from leads import queries, services
from leads.forms import LeadForm, NewLeadForm, address_rows, addresses_given, show_apart
from leads.models import Lead
from leads.views.contacts import contacts_context
from leads.views.editing import Theirs, custom_keys, seen_by, seen_now, without_theirs
from leads.views.in_place import about_context, head_context, lead_theirs
from leads.views.tasks import tasks_context


@member_page()
@require_http_methods(["GET", "POST"])
def lead_create(request: HttpRequest) -> HttpResponse:
    actor = request.actor
    posted = request.POST if request.method == "POST" else None
    uses = catalog(actor.organization).lead_uses
    custom = value_form(uses, actor=actor, lookups=Lookups(actor.organization), data=posted)
    form = NewLeadForm(queries.statuses(), posted)
    form.fields["name"].widget.attrs["autofocus"] = posted is None
    given: list[dict[str, str]] = []
    status = 200
    twins: list[queries.Twin] = []
    if posted is not None:
        status = 422
        given = addresses_given(posted)
        if form.is_valid():
            if not posted.get("anyway"):
                twins = _twins(actor, posted)
            if not twins:
                try:
                    lead = services.create_lead(
                        actor, **form.changes(), addresses=given, contacts=form.contacts(), custom=custom.raw(), source="ui"
                    )  # fmt: skip
                except InvalidInput as error:
                    show_apart(_contact_errors(error), form, custom)
                else:
                    return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    context = {"form": form, "custom": custom, "twins": twins, "rows": address_rows(given)[:1], "refused": bool(twins)}
    return render_page(request, "leads/create.html", context, status=status)


def _contact_errors(error: InvalidInput) -> InvalidInput:
    """Return the error with the keys of the first contact's inputs."""
    names = {"emails": "contact_email", "phones": "contact_phone"}
    return InvalidInput(error.message, {names.get(key, key): text for key, text in error.fields.items()})


def _twins(actor: Membership, given: QueryDict) -> list[queries.Twin]:
    return queries.twins(
        actor, name=given.get("name", ""), url=given.get("url", ""),
        emails=[given.get("contact_email", "")], phones=[given.get("contact_phone", "")],
    )  # fmt: skip


@member_page()
@require_GET
def lead_twins(request: HttpRequest) -> HttpResponse:
    """Leads that may be the one whose name, website, email or phone is being typed.

    `besides`: the lead a contact is being typed for (`emails`, `phones`): which others have them?
    """
    given = request.GET
    if "besides" in given:
        lead = queries.lead_for(request.actor, given["besides"])
        found = queries.twins(
            request.actor, emails=given.getlist("emails"), phones=given.getlist("phones"), besides=lead.pk
        )
        twins = [twin for twin in found if not all(reason.startswith("same domain") for reason in twin.reasons)]
    else:
        twins = _twins(request.actor, given)
    return render(
        request, "leads/_lead_twins.html", {"twins": twins, "refused": False, "of_contact": "besides" in given}
    )


@member_page()
@require_GET
def lead_page(request: HttpRequest, lead_id: str) -> HttpResponse:
    actor = request.actor
    try:
        lead = queries.lead_for(actor, lead_id)
    except NotFound:
        survivor = queries.survivor_of(actor, lead_id)
        if survivor is None:
            raise
        here = reverse("leads:page", args=[actor.organization.slug, survivor.public_id])
        return redirect(f"{here}?{request.GET.urlencode()}" if request.GET else here)
    timeline = reverse("activities:timeline", args=[actor.organization.slug, lead.public_id])
    extra = import_string(settings.LEAD_PAGE_CONTEXT)(request, lead)
    context = {
        **head_context(actor, lead),
        **about_context(actor, lead),
        **contacts_context(actor, lead),
        **tasks_context(actor, lead),
        "timeline_url": f"{timeline}?{request.GET.urlencode()}",
        "may_delete": bool(has(actor, Perm.DELETE_LEADS)),
        "may_merge": bool(has(actor, Perm.MERGE_LEADS)),
        **extra,
    }
    return render_page(request, "leads/page.html", context)


@member_page()
@require_http_methods(["GET", "POST"])
def lead_edit(request: HttpRequest, lead_id: str) -> HttpResponse:
    """Everything of a lead in one form; its page edits part by part."""
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    lookups = Lookups(actor.organization, lead.pk)
    posted = request.POST if request.method == "POST" else None
    form = LeadForm(queries.statuses(), posted, initial=LeadForm.initial_of(lead))
    custom = value_form(
        catalog(actor.organization).lead_uses, actor=actor, lookups=lookups, data=posted, initial=lead.values
    )
    addresses = lead.addresses if posted is None else addresses_given(posted)
    status, theirs = 200, list[Theirs]()
    if posted is not None:
        status = 422
        if form.is_valid():
            changes = {**form.changes(), "addresses": addresses, "custom": custom.raw(), "require": True}
            changes = without_theirs(changes, custom.uses, posted)
            try:
                services.update_lead(actor, lead, changes, seen=seen_by(posted))
            except InvalidInput as error:
                show_apart(error, form, custom)
            except services.EditedMeanwhile as conflict:
                status, theirs = conflict.status, lead_theirs(actor, lead, conflict.keys)
            else:
                return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    keys = ["name", "status_id", "url", "description", "addresses", *custom_keys(custom)]
    seen = seen_now(services.lead_state(lead), keys)
    context = {
        "lead": lead,
        "form": form,
        "custom": custom,
        "rows": address_rows(addresses),
        "seen": seen,
        "theirs": theirs,
    }
    return render_page(request, "leads/edit.html", context, status=status)


@member_page()
@require_POST
def lead_status(request: HttpRequest, lead_id: str) -> HttpResponse:
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    lead = services.update_lead(actor, lead, {"status": request.POST.get("status", "")})
    if not request.htmx:
        return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    response = render(request, "leads/_lead_head.html", head_context(actor, lead) | {"focus": "status"})
    return trigger(response, "timeline-changed")


@member_page(Perm.DELETE_LEADS)
@require_http_methods(["GET", "POST"])
def lead_delete(request: HttpRequest, lead_id: str) -> HttpResponse:
    """GET: what goes with the lead, counted. POST: delete it; a lead with something under it asks for its name."""
    actor = request.actor
    lead = queries.lead_for(actor, lead_id)
    contents = queries.contents_of(lead)
    error = ""
    if request.method == "POST":
        typed = " ".join(request.POST.get("typed_name", "").split())
        if contents.is_empty or typed == " ".join(lead.name.split()):
            services.delete_lead(actor, lead)
            messages.success(request, _deleted(lead, contents))
            return redirect_to(request, reverse("leads:list", args=[actor.organization.slug]))
        error = f"Type the name of the lead exactly as it is written: {lead.name}"
    context: dict[str, Any] = {
        "lead": lead,
        "contents": contents,
        "error": error,
        "typed": request.POST.get("typed_name", ""),
    }
    return render(request, "leads/delete.html", context, status=422 if error else 200)


def _deleted(lead: Lead, contents: queries.Contents) -> str:
    return f"{lead.name} is deleted." if contents.is_empty else f"{lead.name} is deleted with {contents.words}."
