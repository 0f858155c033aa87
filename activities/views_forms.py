"""Settings > Public forms."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import escape
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.forms_public import PublicFormForm, VisitorForm, questions
from activities.models import PublicForm
from activities.queries import TypeInfo, type_for, visible_types
from activities.services.public_forms import (
    OpenForm,
    askable_uses,
    create_form,
    delete_form,
    form_for,
    forms_for,
    give_new_address,
    opened,
    update_form,
)
from crm import events, ids
from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to
from crm.permissions import Perm, can_log


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_GET
def forms(request: HttpRequest) -> HttpResponse:
    with events.door("form"):
        types = [kind for kind in visible_types(request.actor) if kind.is_custom and can_log(request.actor, kind)]
    shown = [
        {"form": form, "address": address_of(form), "is_open": opened(form) is not None}
        for form in forms_for(request.actor)
    ]
    return render(request, "settings/forms.html", {"section": "forms", "forms": shown, "types": types})


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def form_create(request: HttpRequest) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    if not given.get("type"):  # the address alone, as it stands in the browser after a refusal
        return redirect("activities:forms", slug=request.organization.slug)
    return _page(request, type_for(request.actor, given["type"]), None)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def form_page(request: HttpRequest, form_id: str) -> HttpResponse:
    form = form_for(request.actor, form_id)
    return _page(request, type_for(request.actor, ids.encode("actitype", form.type_id)), form)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_GET
def form_preview(request: HttpRequest, form_id: str) -> HttpResponse:
    """Show the form as strangers see it, also while it takes no answers. Nothing can be sent."""
    form = form_for(request.actor, form_id)
    kind = type_for(request.actor, ids.encode("actitype", form.type_id))
    with events.door("form"):
        askable = {use.field.id: use for use in askable_uses(request.actor, kind)}
        uses = tuple(askable[number] for number in form.fields if number in askable)
        fields = questions(OpenForm(form, request.actor, kind, uses))
    context = {
        "form": form, "visitor": VisitorForm(form.token), "fields": fields, "problem": "", "preview": True,
        "title": form.title, "organization_name": request.organization.name, "embedded": "",
    }  # fmt: skip
    return render(request, "public/form.html", context)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def form_address(request: HttpRequest, form_id: str) -> HttpResponse:
    form = give_new_address(request.actor, form_for(request.actor, form_id))
    messages.success(request, "The form has a new address; the old one does not work any more.")
    return redirect("activities:form", slug=request.organization.slug, form_id=form.public_id)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def form_delete(request: HttpRequest, form_id: str) -> HttpResponse:
    delete_form(request.actor, form_for(request.actor, form_id))
    return redirect_to(request, reverse("activities:forms", args=[request.organization.slug]))


def address_of(form: PublicForm) -> str:
    return settings.BASE_URL + reverse("public_form", args=[form.token])


def embed_code(form: PublicForm) -> str:
    """Return the HTML that shows a form in a page of another site."""
    source, title = escape(f"{address_of(form)}?embed=1"), escape(form.title)
    return f'<iframe src="{source}" title="{title}" width="100%" height="720" style="border:0" loading="lazy"></iframe>'


def _page(request: HttpRequest, kind: TypeInfo, form: PublicForm | None) -> HttpResponse:
    with events.door("form"):
        uses = askable_uses(request.actor, kind)
    page = PublicFormForm(uses, form, request.POST if request.method == "POST" else None)
    if form is None and not page.is_bound:
        page.initial["title"] = kind.name
    if page.is_valid():
        try:
            if form is None:
                saved = create_form(request.actor, kind.public_id, page.changes())
            else:
                saved = update_form(request.actor, form, page.changes())
        except InvalidInput as error:
            page.take(error)
        else:
            messages.success(request, "The form is saved.")
            return redirect("activities:form", slug=request.organization.slug, form_id=saved.public_id)
    context = {
        "section": "forms", "form": page, "public_form": form, "kind": kind,
        "address": address_of(form) if form else "", "embed_code": embed_code(form) if form else "",
    }  # fmt: skip
    return render(request, "settings/form.html", context, status=422 if page.is_bound else 200)
