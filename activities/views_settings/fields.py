"""The fields of leads, contacts and activity types: their lists and the editor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.forms_settings import FieldForm, typed_field, typed_type
from activities.views_settings.options import options_context
from activities.views_settings.owners import (
    Owner,
    fields_context,
    lines_of,
    owner_of,
    places_of,
    preview_context,
    roles,
    use_of,
)
from crm.access import member_page
from crm.customfields import services
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.customfields.mentions import mentions
from crm.customfields.sketches import sketch_use, with_sketch
from crm.errors import InvalidInput, PlanLimitReached
from crm.fieldkinds import many
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.permissions import Perm
from crm.plans import MAX_FIELDS_PER_TYPE


@member_page()
@require_GET
def lead_fields(request: HttpRequest) -> HttpResponse:
    return _record_fields(request, "lead")


@member_page()
@require_GET
def contact_fields(request: HttpRequest) -> HttpResponse:
    return _record_fields(request, "contact")


def _record_fields(request: HttpRequest, key: str) -> HttpResponse:
    whose = owner_of(request, key)
    context = {"section": whose.section, "title": whose.title, **fields_context(request, whose)}
    return render(request, "settings/record_fields.html", context)


# --- the editor -------------------------------------------------------------------------------------------------------
@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def field_create(request: HttpRequest, owner: str) -> HttpResponse:
    whose = owner_of(request, owner)
    if request.method == "GET":
        full = len(catalog(request.organization).uses(whose.fieldset.pk)) >= MAX_FIELDS_PER_TYPE
        refusal = (
            f"There are {MAX_FIELDS_PER_TYPE} fields already, which is the most. Delete one first." if full else ""
        )
        typed = {"kind": request.GET.get("kind", "text")}
        form = _form(request, whose, None, typed)
        form.fields["name"].widget.attrs["autofocus"] = True
        return _editor(request, whose, None, typed, form=form, refusal=refusal, full=full)
    typed = typed_field(request.POST)
    if request.POST.get("then") == "settings":
        return _editor(request, whose, None, typed)
    form = _form(request, whose, None, typed, request.POST)
    refusal, status = "", 422
    if form.is_valid():
        try:
            kind = form.cleaned_data["kind"]
            field = services.create_field(request.actor, whose.fieldset, kind=kind, **form.changes())
        except InvalidInput as error:
            form.show(error)
        except PlanLimitReached as error:
            refusal, status = error.message, error.status
        else:
            messages.success(request, f"{field.name} is on the form.")
            if request.POST.get("then") == "another":
                return redirect("activities:field_create", slug=request.organization.slug, owner=owner)
            return redirect(whose.back)
    return _editor(request, whose, None, typed, form=form, refusal=refusal, status=status)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def field_edit(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    whose = owner_of(request, owner)
    use = use_of(request, whose, field_id)
    if request.method == "GET":
        return _editor(request, whose, use, _initial(request, use))
    typed = _typed(request, use)
    if request.POST.get("then") == "settings":
        return _editor(request, whose, use, typed)
    form = _form(request, whose, use, typed, request.POST)
    if form.is_valid():
        try:
            services.update_field(
                request.actor, whose.fieldset, services.field_for(request.actor, field_id), form.changes()
            )
        except InvalidInput as error:
            form.show(error)
        else:
            messages.success(request, f"{form.cleaned_data['name']} is saved.")
            return redirect(whose.back)
    return _editor(request, whose, use, typed, form=form, status=422)


def _typed(request: HttpRequest, use: Use | None) -> dict[str, Any]:
    """Return what is typed in the editor; settings that are fixed are not sent, and stay."""
    typed = typed_field(request.POST)
    if use:
        typed |= {"kind": use.field.kind.slug, "multiple": typed["multiple"] or use.field.multiple}
    return typed


def _form(request: HttpRequest, whose: Owner, use: Use | None, typed: dict[str, Any], data: Any = None) -> FieldForm:
    known, lookups = catalog(request.organization), Lookups(request.organization)
    others = [other for other in known.uses(whose.fieldset.pk) if not use or other.field.id != use.field.id]
    rule = next((other for other in others if other.field.public_id == typed.get("show_field")), None)
    return FieldForm(
        sketch=_sketch(request, whose, use, typed), others=others, rule=rule, roles=roles(request), lookups=lookups,
        editing=use is not None, convertible=whose.type is None, data=data, initial=typed,
    )  # fmt: skip


def _sketch(request: HttpRequest, whose: Owner, use: Use | None, typed: dict[str, Any]) -> Use:
    return sketch_use(
        catalog(request.organization), whose.fieldset, typed, current=use, lookups=Lookups(request.organization),
        zone=request.actor.zone,
    )  # fmt: skip


def _editor(
    request: HttpRequest, whose: Owner, use: Use | None, typed: dict[str, Any], *, form: FieldForm | None = None,
    refusal: str = "", full: bool = False, delete_error: str = "", status: int = 200,
) -> HttpResponse:  # fmt: skip
    """Answer with the editor: the whole page, or its form alone when htmx asks for the settings of another kind."""
    slug, sketch = request.organization.slug, _sketch(request, whose, use, typed)
    uses = with_sketch(catalog(request.organization).uses(whose.fieldset.pk), sketch)
    args = [slug, whose.key, use.field.public_id] if use else [slug, whose.key]
    context = {
        "section": whose.section, "whose": whose, "use": use, "field": use.field if use else None,
        "form": form or _form(request, whose, use, typed), "refusal": refusal, "full": full,
        "action": reverse("activities:field_edit" if use else "activities:field_create", args=args),
        "delete_error": delete_error, **preview_context(request, whose, uses, None, sketch.field.public_id),
    }  # fmt: skip
    if use:
        row = services.field_for(request.actor, use.field.public_id)
        context |= options_context(use) if use.field.kind.has_options else {}
        context["places"] = places_of(request, use.field)
        if may_convert := bool(services.possible_kinds(whose.fieldset, row)):
            context["form"].fields["kind"].help_text = "A change keeps the values that fit."
        context["may_convert"] = may_convert
        context["converting"] = lines_of([use])[0].converting
        context["holding"] = services.records_holding(row)
        if not use.field.shared:  # one of several places of a shared field goes; the field itself stays
            context["mentions"] = list(mentions(request.actor, use.field, None))
            context["home"] = reverse("settings_home", args=[slug]).removesuffix("settings/")
        context["holding_here"] = (
            services.records_holding_in(whose.fieldset, row) if use.field.shared else context["holding"]
        )
    return render_page(request, "settings/field.html", context, "settings/_field_form.html", status=status)


def _initial(request: HttpRequest, use: Use) -> dict[str, Any]:
    """Return a field as the editor shows it."""
    field, rule = use.field, use.show_when
    lookups, zone = Lookups(request.organization), request.actor.zone
    other = catalog(request.organization).fields.get(rule["field"]) if rule else None
    shown = (
        [other.kind.initial([value] if other.multiple else value, other, lookups, zone) for value in rule["values"]]
        if rule and other
        else []
    )
    return {
        "name": field.name,
        "kind": field.kind.slug,
        "description": field.description,
        "required": use.required,
        "multiple": field.multiple,
        "unit": field.unit,
        "minimum": field.kind.initial(str(field.minimum), field, lookups, zone) if field.minimum is not None else "",
        "maximum": field.kind.initial(str(field.maximum), field, lookups, zone) if field.maximum is not None else "",
        "default": "" if field.default is None else field.kind.initial(field.default, field, lookups, zone),
        "heading": use.heading,
        "read_only": use.read_only,
        "show_field": other.public_id if other else "",
        "show_values": [str(item) for value in shown for item in many(value)],
        "edit_roles": [str(pk) for pk in use.edit_roles],
        "view_roles": [str(pk) for pk in use.view_roles],
    }


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_preview(request: HttpRequest, owner: str) -> HttpResponse:
    """The form with what is typed now: a field of the editor (`editing`: its id), or the type's own name, icon, colour."""
    whose = owner_of(request, owner)
    uses, changing = catalog(request.organization).uses(whose.fieldset.pk), ""
    if "icon" in request.POST and whose.type:
        whose = replace(whose, type=typed_type(whose.type, request.POST))
    elif "name" in request.POST:
        editing = request.POST.get("editing", "")
        use = use_of(request, whose, editing) if editing else None
        sketch = _sketch(request, whose, use, _typed(request, use))
        uses, changing = with_sketch(uses, sketch), sketch.field.public_id
    return render(request, "settings/_preview.html", preview_context(request, whose, uses, request.POST, changing))


# --- order and deletion -----------------------------------------------------------------------------------------------
@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_order(request: HttpRequest, owner: str) -> HttpResponse:
    whose = owner_of(request, owner)
    services.reorder_fields(request.actor, whose.fieldset, request.POST.getlist("order"))
    return trigger(toast(HttpResponse(status=204), "The order of the form is saved."), "fields-changed")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_delete(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    whose = owner_of(request, owner)
    use = use_of(request, whose, field_id)
    field = services.field_for(request.actor, field_id)
    try:
        services.delete_field(request.actor, whose.fieldset, field, request.POST.get("confirm_name", ""))
    except InvalidInput as error:
        sentence = error.fields.get("confirm_name", error.message)
        return _editor(request, whose, use, _initial(request, use), delete_error=sentence, status=422)
    messages.success(request, f"{field.name} is deleted.")
    return redirect_to(request, whose.back)
