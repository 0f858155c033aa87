"""Settings > Custom Activities, and the fields of leads and contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.forms import FieldForm, TypeForm
from activities.models import Activity, ActivityType
from activities.queries import type_catalog
from activities.services import types as services
from crm.access import member_page
from crm.customfields import services as fields
from crm.customfields.catalog import Use, catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound, PlanLimitReached
from crm.fieldkinds import KINDS
from crm.htmx import redirect_to, toast
from crm.models import FieldSet, FieldUse, Role
from crm.permissions import Perm, has
from crm.plans import MAX_FIELDS_PER_TYPE, this_month
from leads.forms import show_errors


@dataclass(frozen=True)
class TypeLine:
    """A type on the settings list."""

    row: ActivityType
    fields: int
    this_month: int
    last_used: Any
    editors: str


# --- types ------------------------------------------------------------------------------------------------------------
@member_page()
@require_GET
def types(request: HttpRequest) -> HttpResponse:
    archived = request.GET.get("tab") == "archived"
    month = this_month(request.organization)
    rows = ActivityType.objects.filter(builtin="").order_by("position", "pk")
    used = {
        row["type_id"]: row
        for row in Activity.objects.order_by()
        .filter(type__in=rows)
        .values("type_id")
        .annotate(month=Count("pk", filter=Q(created_on__gte=month)), last=Max("date_created"))
    }
    sizes = dict(FieldUse.objects.filter(field__deleted_at=None).values_list("fieldset").annotate(n=Count("pk")))
    roles = dict(Role.objects.values_list("pk", "name"))
    lines = [
        TypeLine(
            row,
            sizes.get(row.fieldset_id, 0),
            used.get(row.pk, {}).get("month", 0),
            used.get(row.pk, {}).get("last"),
            ", ".join(roles.get(pk, "?") for pk in row.edit_roles) or "Everybody",
        )
        for row in rows
    ]
    context = {
        "section": "types",
        "lines": [line for line in lines if (line.row.archived_at is not None) == archived],
        "archived": archived,
        "archived_count": sum(line.row.archived_at is not None for line in lines),
        "active_count": sum(line.row.archived_at is None for line in lines),
        "may_manage": bool(has(request.actor, Perm.MANAGE_CUSTOMIZATIONS)),
        "has_starters": any(line.row.starter for line in lines),
    }
    return render(request, "settings/types.html", context)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def type_create(request: HttpRequest) -> HttpResponse:
    form = TypeForm(_roles(), request.POST or None, initial={"icon": "clipboard-check", "color": "blue"})
    refusal, status = "", 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                row = services.create_type(request.actor, **form.changes())
            except InvalidInput as error:
                show_errors(form, error)
            except PlanLimitReached as error:
                refusal = error.message
            else:
                return redirect("activities:type_page", slug=request.organization.slug, type_id=row.public_id)
    return render(
        request, "settings/type_create.html", {"section": "types", "form": form, "refusal": refusal}, status=status
    )


def _roles() -> list[Role]:
    return list(Role.objects.order_by("pk"))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def type_page(request: HttpRequest, type_id: str) -> HttpResponse:
    """The type's properties, its fields, and a live preview of its form."""
    row = services.custom_type_for(request.actor, type_id)
    form = TypeForm(_roles(), request.POST or None, initial=_type_initial(row))
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                services.update_type(request.actor, row, form.changes())
            except InvalidInput as error:
                show_errors(form, error)
            else:
                return redirect("activities:type_page", slug=request.organization.slug, type_id=type_id)
    return render(request, "settings/type.html", _type_context(request, row, form), status=status)


def _type_initial(row: ActivityType) -> dict[str, Any]:
    return {
        **{key: getattr(row, key) for key in ("name", "description", "icon", "color", "api_only")},
        "edit_roles": [str(pk) for pk in row.edit_roles],
        "view_roles": [str(pk) for pk in row.view_roles],
    }


def _type_context(request: HttpRequest, row: ActivityType, form: TypeForm) -> dict[str, Any]:
    return {
        "section": "types",
        "row": row,
        "type": type_catalog(request.organization).get(row.pk),
        "form": form,
        "activities": Activity.with_drafts.filter(type=row).count(),
        **_fields_context(request, row.fieldset_id, row.public_id),
    }


def _fields_context(request: HttpRequest, fieldset_id: int | None, owner: str) -> dict[str, Any]:
    uses = catalog(request.organization).uses(fieldset_id)
    return {
        "owner": owner,
        "uses": uses,
        "fields_left": MAX_FIELDS_PER_TYPE - len(uses),
        "preview": value_form(uses, actor=request.actor, lookups=Lookups(request.organization), prefix="preview"),
    }


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_archive(request: HttpRequest, type_id: str) -> HttpResponse:
    row = services.custom_type_for(request.actor, type_id)
    if row.archived_at is None:
        services.archive_type(request.actor, row)
    else:
        services.unarchive_type(request.actor, row)
    return redirect_to(request, reverse("activities:type_page", args=[request.organization.slug, type_id]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_delete(request: HttpRequest, type_id: str) -> HttpResponse:
    row = services.custom_type_for(request.actor, type_id)
    services.delete_type(request.actor, row, request.POST.get("confirm_name", ""))
    return redirect_to(request, reverse("activities:types", args=[request.organization.slug]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_duplicate(request: HttpRequest, type_id: str) -> HttpResponse:
    copy = services.duplicate_type(request.actor, services.custom_type_for(request.actor, type_id))
    return redirect_to(request, reverse("activities:type_page", args=[request.organization.slug, copy.public_id]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def type_order(request: HttpRequest) -> HttpResponse:
    services.reorder_types(request.actor, request.POST.getlist("order"))
    return toast(HttpResponse(status=204), "The order of the menu is saved.")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def starters(request: HttpRequest) -> HttpResponse:
    services.install_starters(request.actor)
    return redirect_to(request, reverse("activities:types", args=[request.organization.slug]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def starters_remove(request: HttpRequest) -> HttpResponse:
    services.remove_starters(request.actor)
    return redirect_to(request, reverse("activities:types", args=[request.organization.slug]))


# --- fields -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Owner:
    """Whose fields a page edits: a type (by its id), `lead` or `contact`."""

    key: str
    title: str
    fieldset: FieldSet
    back: str
    section: str


def _owner(request: HttpRequest, key: str) -> Owner:
    slug = request.organization.slug
    plain = {
        "lead": ("Lead fields", "activities:lead_fields"),
        "contact": ("Contact fields", "activities:contact_fields"),
    }
    if key in plain:
        title, name = plain[key]
        fieldset = FieldSet.objects.get(owner=key)
        return Owner(key, title, fieldset, reverse(name, args=[slug]), f"{key}_fields")
    row = services.custom_type_for(request.actor, key)
    return Owner(key, row.name, row.fieldset, reverse("activities:type_page", args=[slug, key]), "types")


@member_page()
@require_GET
def lead_fields(request: HttpRequest) -> HttpResponse:
    return _record_fields(request, "lead")


@member_page()
@require_GET
def contact_fields(request: HttpRequest) -> HttpResponse:
    return _record_fields(request, "contact")


def _record_fields(request: HttpRequest, key: str) -> HttpResponse:
    owner = _owner(request, key)
    context = {
        "section": owner.section,
        "title": owner.title,
        "may_manage": bool(has(request.actor, Perm.MANAGE_CUSTOMIZATIONS)),
        **_fields_context(request, owner.fieldset.pk, key),
    }
    return render(request, "settings/record_fields.html", context)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def field_create(request: HttpRequest, owner: str) -> HttpResponse:
    whose = _owner(request, owner)
    form = FieldForm(
        _roles(), _others(request, whose, None), request.POST or None, initial={"kind": request.GET.get("kind", "text")}
    )
    refusal, status = "", 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                fields.create_field(request.actor, whose.fieldset, kind=form.cleaned_data["kind"], **form.changes())
            except InvalidInput as error:
                show_errors(form, error)
            except PlanLimitReached as error:
                refusal = error.message
            else:
                if request.POST.get("then") == "another":
                    return redirect("activities:field_create", slug=request.organization.slug, owner=owner)
                return redirect(whose.back)
    context = {
        "section": whose.section,
        "whose": whose,
        "form": form,
        "refusal": refusal,
        "kinds": list(KINDS.values()),
    }
    return render(request, "settings/field.html", context, status=status)


def _others(request: HttpRequest, whose: Owner, field_id: str | None) -> list[tuple[str, str]]:
    uses = catalog(request.organization).uses(whose.fieldset.pk)
    return [(use.field.public_id, use.field.name) for use in uses if use.field.public_id != field_id]


def _use_for(request: HttpRequest, whose: Owner, field_id: str) -> Use:
    for use in catalog(request.organization).uses(whose.fieldset.pk):
        if use.field.public_id == field_id:
            return use
    raise NotFound("There is no such field.")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def field_edit(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    whose = _owner(request, owner)
    use = _use_for(request, whose, field_id)
    field = fields.field_for(request.actor, field_id)
    data = request.POST.copy() if request.method == "POST" else None
    if data is not None:
        data["kind"] = use.field.kind.slug
    form = FieldForm(_roles(), _others(request, whose, field_id), data, initial=_field_initial(request, use))
    form.fields["kind"].disabled = True
    status = 200
    if data is not None:
        status = 422
        if form.is_valid():
            try:
                fields.update_field(request.actor, whose.fieldset, field, form.changes())
            except InvalidInput as error:
                show_errors(form, error)
            else:
                return redirect(whose.back)
    context = {
        "section": whose.section, "whose": whose, "form": form, "use": use, "field": field,
        "holding": fields.records_holding(field),
    }  # fmt: skip
    return render(request, "settings/field.html", context, status=status)


def _field_initial(request: HttpRequest, use: Use) -> dict[str, Any]:
    field, rule = use.field, use.show_when
    known = catalog(request.organization)
    other = known.fields.get(rule["field"]) if rule else None
    lookups = Lookups(request.organization)
    return {
        "name": field.name,
        "kind": field.kind.slug,
        "description": field.description,
        "options": "\n".join(option.label for option in field.options if not option.removed),
        "required": use.required,
        "multiple": field.multiple,
        "unit": field.unit,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "default": field.kind.to_csv(field.default, field, lookups) if field.default is not None else "",
        "heading": use.heading,
        "read_only": use.read_only,
        "show_field": other.public_id if other else "",
        "show_values": "; ".join(other.kind.display_one(value, other, lookups) for value in rule["values"])
        if other
        else "",
        "edit_roles": [str(pk) for pk in use.edit_roles],
        "view_roles": [str(pk) for pk in use.view_roles],
    }


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_rename_options(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Give options other labels (`opt_…` = label): the values of old records follow."""
    whose = _owner(request, owner)
    use = _use_for(request, whose, field_id)
    field = fields.field_for(request.actor, field_id)
    with transaction.atomic():
        for option in use.field.options:
            label = request.POST.get(option.public_id, option.label).strip()
            if label != option.label:
                fields.rename_option(request.actor, field, option.public_id, label)
    return redirect_to(request, reverse("activities:field_edit", args=[request.organization.slug, owner, field_id]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_order(request: HttpRequest, owner: str) -> HttpResponse:
    whose = _owner(request, owner)
    fields.reorder_fields(request.actor, whose.fieldset, request.POST.getlist("order"))
    return toast(HttpResponse(status=204), "The order of the form is saved.")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_delete(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    whose = _owner(request, owner)
    field = fields.field_for(request.actor, field_id)
    fields.delete_field(request.actor, whose.fieldset, field, request.POST.get("confirm_name", ""))
    return redirect_to(request, whose.back)
