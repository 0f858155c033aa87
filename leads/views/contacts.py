"""Contacts and tasks."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page
from leads import queries, services
from leads.forms import ContactForm, TaskForm, show_errors
from leads.models import Contact, Lead
from leads.search.language import parse
from leads.search.run import run
from leads.views.tables import PAGE, url_with


@member_page()
@require_GET
def contact_list(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "")
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "contact"}]}
    error = ""
    query = parse(tree, request.actor)
    try:
        page = run(request.actor, query, limit=PAGE, cursor=request.GET.get("after", ""), text=text)
    except InvalidInput as refused:
        error, page = refused.message, run(request.actor, query, limit=PAGE)
    found = Contact.objects.select_related("lead").in_bulk(list(page.ids))
    context = {
        "contacts": [found[pk] for pk in page.ids if pk in found],
        "total": page.total,
        "total_is_exact": page.total_is_exact,
        "text": text,
        "next_url": url_with(request.GET, after=page.next_cursor) if page.next_cursor else "",
        "first_url": url_with(request.GET, after="") if request.GET.get("after") else "",
        "error": error,
    }
    return render_page(request, "leads/contacts.html", context, status=422 if error else 200)


def _contact_form(request: HttpRequest, lead: Lead, contact: Contact | None) -> HttpResponse:
    actor = request.actor
    posted = request.POST if request.method == "POST" else None
    form = ContactForm(posted, initial=ContactForm.initial_of(contact) if contact else None)
    custom = value_form(
        catalog(actor.organization).contact_uses, actor=actor, lookups=Lookups(actor.organization, lead.pk), data=posted,
        initial=contact.values if contact else None,
    )  # fmt: skip
    if posted is not None and form.is_valid():
        changes = {**form.changes(), "custom": custom.raw()}
        try:
            if contact:
                services.update_contact(actor, contact, changes)
            else:
                services.create_contact(actor, lead, **changes)
        except InvalidInput as error:
            show_errors(form, error)
            custom.add_errors({key: text for key, text in error.fields.items() if key.startswith("custom.")})
        else:
            return redirect_to(request, reverse("leads:page", args=[actor.organization.slug, lead.public_id]))
    context = {"lead": lead, "contact": contact, "form": form, "custom": custom}
    return render_page(request, "leads/contact.html", context, status=200 if posted is None else 422)


@member_page()
@require_http_methods(["GET", "POST"])
def contact_create(request: HttpRequest, lead_id: str) -> HttpResponse:
    return _contact_form(request, queries.lead_for(request.actor, lead_id), None)


@member_page()
@require_http_methods(["GET", "POST"])
def contact_edit(request: HttpRequest, contact_id: str) -> HttpResponse:
    contact = queries.contact_for(request.actor, contact_id)
    return _contact_form(request, contact.lead, contact)


@member_page()
@require_POST
def contact_delete(request: HttpRequest, contact_id: str) -> HttpResponse:
    contact = queries.contact_for(request.actor, contact_id)
    lead = contact.lead.public_id
    services.delete_contact(request.actor, contact)
    return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead]))


@member_page()
@require_POST
def task_create(request: HttpRequest, lead_id: str) -> HttpResponse:
    lead = queries.lead_for(request.actor, lead_id)
    form = TaskForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(" ".join(error for errors in form.errors.values() for error in errors))
    services.create_task(request.actor, lead, form.cleaned_data["text"], due_date=form.cleaned_data["due_date"])
    return redirect_to(request, reverse("leads:page", args=[request.organization.slug, lead.public_id]))


@member_page()
@require_POST
def task_done(request: HttpRequest, task_id: str) -> HttpResponse:
    task = queries.task_for(request.actor, task_id)
    services.update_task(request.actor, task, {"done": True})
    return redirect_to(request, reverse("leads:page", args=[request.organization.slug, task.lead.public_id]))
