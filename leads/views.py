"""Pages of leads, contacts, tasks, Smart Views and lead statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.customfields.catalog import Use, catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.fieldkinds import fold
from crm.htmx import redirect_to, render_page, toast
from crm.models import Membership
from crm.permissions import Perm, can_view_field, has
from leads import queries, services
from leads.filters import LeadFilter
from leads.forms import ContactForm, LeadForm, NewLeadForm, StatusForm, TaskForm, show_errors
from leads.models import Contact, Lead, SmartView, Task
from leads.search.builder import OPERATORS, Builder, Row, query_tree, value_choices
from leads.search.language import parse
from leads.search.run import run
from leads.search.sentences import sentence

PAGE = 50
COLORS = ("blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan")
COLUMNS = (
    ("name", "Lead"), ("status", "Status"), ("contacts", "Contacts"), ("last_activity_at", "Last activity"), ("date_created", "Created"),
)  # fmt: skip
SORTABLE = ("name", "last_activity_at", "date_created")


@dataclass(frozen=True)
class Column:
    """A head cell: `sort_url` empty when it cannot be sorted by; `order`: ascending, descending or empty."""

    label: str
    sort_url: str = ""
    order: str = ""


@dataclass(frozen=True)
class ConditionRow:
    """One row of the builder with what can be chosen in it."""

    row: Row
    operators: tuple[tuple[str, str], ...]
    choices: list[tuple[str, str]]
    input_type: str


def _types(actor: Membership) -> list[Any]:
    """Return the activity types the actor sees. They belong to a higher app, which settings name."""
    return import_string(settings.SEARCHABLE_TYPES)(actor)


# --- the list ---------------------------------------------------------------------------------------------------------
@member_page()
@require_GET
def lead_list(request: HttpRequest) -> HttpResponse:
    actor, data = request.actor, request.GET
    builder, text = Builder.read(data), data.get("q", "")
    filters = LeadFilter(data, queryset=Lead.objects.none())
    types = _types(actor)
    chosen = next((kind for kind in types if kind.public_id == builder.type), None)
    uses = _uses(actor, chosen)
    error = ""
    tree = query_tree([])
    try:
        if builder.type and chosen is None:
            raise InvalidInput("That activity type does not exist any more. Choose another one.")
        block = builder.tree(uses, chosen.object_type if chosen else "")
        tree = query_tree([*filters.conditions(), *block])
        query = parse(tree, actor)
        page = run(actor, query, sort=data.get("sort", ""), limit=PAGE, cursor=data.get("after", ""), text=text)
    except InvalidInput as refused:
        error = refused.message
        query = parse(query_tree([]), actor)
        page = run(actor, query, limit=PAGE)
    context = {
        "leads": _rows(page.ids),
        "columns": _columns(data),
        "total": page.total,
        "total_is_exact": page.total_is_exact,
        "is_first": not data.get("after"),
        "next_url": _url(data, after=page.next_cursor) if page.next_cursor else "",
        "first_url": _url(data, after="") if data.get("after") else "",
        "text": text,
        "sentence": sentence(query) if not error else "",
        "is_search": bool(builder.type or text or filters.conditions()),
        "builder_open": bool(builder.type) or data.get("builder") == "open",
        "filters": filters.form,
        "error": error,
        "types": types,
        "builder": builder,
        "chosen": chosen,
        "uses": uses,
        "conditions": [_condition(actor, uses, row) for row in (*builder.rows, Row())] if chosen else [],
        "may_share": bool(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS)),
        "query_string": data.urlencode(),
        "sort": data.get("sort", ""),
    }
    fragment = "leads/_results.html" if request.headers.get("HX-Target") == "results" else None
    return render_page(request, "leads/list.html", context, fragment, status=422 if error else 200)


def _uses(actor: Membership, kind: Any) -> list[Use]:
    if kind is None:
        return []
    return [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_view_field(actor, use)]


def _condition(actor: Membership, uses: list[Use], row: Row) -> ConditionRow:
    field = next((use.field for use in uses if use.field.public_id == row.field), None)
    if field is None:
        return ConditionRow(row, OPERATORS["text"], [], "text")
    users = [(ref.public_id, ref.name) for ref in Lookups(actor.organization).members]
    kinds = {"number": "text", "moment": "date"}
    return ConditionRow(
        row, OPERATORS[field.kind.storage], value_choices(field, users), kinds.get(field.kind.storage, "text")
    )


@member_page()
@require_GET
def condition_row(request: HttpRequest) -> HttpResponse:
    """One row of the builder after its field was chosen: operators and values of that field's kind."""
    kind = next((row for row in _types(request.actor) if row.public_id == request.GET.get("type")), None)
    uses = _uses(request.actor, kind)
    fields = [name for name in request.GET.getlist("field") if name]
    row = _condition(request.actor, uses, Row(field=fields[-1] if fields else ""))
    return render(request, "leads/_condition.html", {"condition": row, "uses": uses, "chosen": kind})


def _rows(lead_ids: Any) -> list[Lead]:
    found = Lead.objects.select_related("status").in_bulk(list(lead_ids))
    return [found[pk] for pk in lead_ids if pk in found]


def _url(data: Any, **changes: str) -> str:
    changed = data.copy()
    for key, value in changes.items():
        changed.pop(key, None)
        if value:
            changed[key] = value
    return f"?{changed.urlencode()}"


def _columns(data: Any) -> list[Column]:
    current = data.get("sort", "") or "name"
    found = []
    for key, label in COLUMNS:
        if key not in SORTABLE:
            found.append(Column(label))
            continue
        order = "ascending" if current == key else "descending" if current == f"-{key}" else ""
        found.append(Column(label, _url(data, sort=f"-{key}" if order == "ascending" else key, after=""), order))
    return found


# --- one lead ---------------------------------------------------------------------------------------------------------
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


# --- contacts and tasks -----------------------------------------------------------------------------------------------
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
        "next_url": _url(request.GET, after=page.next_cursor) if page.next_cursor else "",
        "first_url": _url(request.GET, after="") if request.GET.get("after") else "",
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


# --- Smart Views ------------------------------------------------------------------------------------------------------
@member_page()
@require_GET
def smart_views(request: HttpRequest) -> HttpResponse:
    """The sidebar's list with counts; loaded after the page, so that it slows nothing."""
    rows = []
    for view in queries.smart_views_for(request.actor, SmartView.Lists.LEADS)[:20]:
        try:
            page = run(request.actor, parse(view.query, request.actor), limit=1, text=view.text)
            count = f"{page.total:,}{'' if page.total_is_exact else '+'}"
        except InvalidInput:
            count = "!"
        rows.append((view, reverse("leads:smart_view", args=[request.organization.slug, view.public_id]), count))
    return render(request, "leads/_smart_views.html", {"rows": rows})


@member_page()
@require_GET
def smart_view(request: HttpRequest, view_id: str) -> HttpResponse:
    actor = request.actor
    view = queries.smart_view_for(actor, view_id)
    error = ""
    try:
        query = parse(view.query, actor)
        page = run(
            actor, query, sort=request.GET.get("sort", view.sort), limit=PAGE, cursor=request.GET.get("after", ""),
            text=view.text,
        )  # fmt: skip
        words = sentence(query)
    except InvalidInput as refused:
        error, words = f"This Smart View asks for something you cannot see or that is gone. {refused.message}", ""
        page = None
    context = {
        "view": view,
        "leads": _rows(page.ids) if page else [],
        "columns": _columns(request.GET),
        "total": page.total if page else 0,
        "total_is_exact": page.total_is_exact if page else True,
        "is_first": not request.GET.get("after"),
        "next_url": _url(request.GET, after=page.next_cursor) if page and page.next_cursor else "",
        "first_url": _url(request.GET, after="") if request.GET.get("after") else "",
        "sentence": words,
        "error": error,
        "is_search": True,
        "may_delete": view.owner_id == actor.user_id or bool(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS)),
    }
    return render_page(request, "leads/smart_view.html", context)


@member_page()
@require_POST
def smart_view_save(request: HttpRequest) -> HttpResponse:
    actor = request.actor
    data = QueryDict(request.POST.get("query_string", ""))
    builder = Builder.read(data)
    chosen = next((kind for kind in _types(actor) if kind.public_id == builder.type), None)
    filters = LeadFilter(data, queryset=Lead.objects.none())
    block = builder.tree(_uses(actor, chosen), chosen.object_type if chosen else "")
    tree = query_tree([*filters.conditions(), *block])
    parse(tree, actor)
    view = services.save_smart_view(
        actor, name=request.POST.get("name", ""), query=tree, text=data.get("q", ""), sort=data.get("sort", ""),
        shared=bool(request.POST.get("shared")),
    )  # fmt: skip
    return redirect_to(request, reverse("leads:smart_view", args=[request.organization.slug, view.public_id]))


@member_page()
@require_POST
def smart_view_delete(request: HttpRequest, view_id: str) -> HttpResponse:
    services.delete_smart_view(request.actor, queries.smart_view_for(request.actor, view_id))
    return redirect_to(request, reverse("leads:list", args=[request.organization.slug]))


# --- palette ----------------------------------------------------------------------------------------------------------
@member_page()
@require_GET
def palette(request: HttpRequest) -> HttpResponse:
    """Leads, contacts and pages whose words begin with what is typed."""
    actor, slug, text = request.actor, request.organization.slug, request.GET.get("q", "").strip()
    pages = [
        ("Leads", reverse("leads:list", args=[slug]), "building"),
        ("New lead", reverse("leads:create", args=[slug]), "plus"),
        ("Contacts", reverse("leads:contacts", args=[slug]), "users"),
        ("Activities", reverse("activities:list", args=[slug]), "clipboard-check"),
        ("My drafts", reverse("activities:drafts", args=[slug]), "edit"),
        ("Activity Overview", reverse("reporting:overview", args=[slug]), "chart-bar"),
        ("Activity Comparison", reverse("reporting:comparison", args=[slug]), "table"),
        ("Custom Activities", reverse("activities:types", args=[slug]), "settings"),
        ("Members", reverse("members", args=[slug]), "users"),
        ("Import & export", reverse("activities:import_export", args=[slug]), "upload"),
        ("API keys", reverse("api_keys", args=[slug]), "key"),
    ]
    leads, contacts = [], []
    if text:
        page = run(actor, parse(query_tree([]), actor), limit=6, text=text, count="no")
        leads = _rows(page.ids)
        words = fold(text)
        contacts = [
            contact
            for contact in Contact.objects.filter(lead_id__in=page.ids).select_related("lead")[:200]
            if words in fold(f"{contact.name} {' '.join(entry['email'] for entry in contact.emails)}")
        ][:5]
    context = {
        "leads": leads,
        "contacts": contacts,
        "pages": [page for page in pages if fold(text) in fold(page[0])][: 6 if text else 20],
        "text": text,
        "search_url": f"{reverse('leads:list', args=[slug])}?{urlencode({'q': text})}",
    }
    return render(request, "leads/_palette.html", context)


# --- statuses ---------------------------------------------------------------------------------------------------------
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
