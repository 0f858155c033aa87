"""The options of a choices field: labels, colours, order, removing, restoring, adding, merging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from activities.views_settings.owners import Owner, owner_of, use_of
from crm.access import member_page
from crm.customfields import services
from crm.customfields.catalog import Option, Use
from crm.customfields.services.options import COLORS, MERGED_AT_ONCE
from crm.errors import InvalidInput, NotFound
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.models import ValueRef
from crm.permissions import Perm


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_options(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Save labels and colours (`label-opt_…`, `color-opt_…`), add new ones (`add`, one a line), take one away (`gone`) or bring it `back`."""
    whose = owner_of(request, owner)
    use = _choices(request, whose, field_id)
    field = services.field_for(request.actor, field_id)
    errors: dict[str, str] = {}
    try:
        with transaction.atomic():
            services.change_options(request.actor, field, _changes(request, use))
            services.add_options(request.actor, field, request.POST.get("add", "").splitlines())
            if option := request.POST.get("gone"):
                services.remove_option(request.actor, field, option)
            if option := request.POST.get("back"):
                services.restore_option(request.actor, field, option)
    except InvalidInput as error:
        errors = error.fields or {"": error.message}
        return _panel(request, whose, use_of(request, whose, field_id), errors, 422)
    if request.htmx:
        response = _panel(request, whose, use_of(request, whose, field_id), {}, 200)
        return trigger(toast(response, "The options are saved."), "fields-changed")
    messages.success(request, "The options are saved.")
    return redirect(reverse("activities:field_edit", args=[request.organization.slug, owner, field_id]) + "#options")


def _choices(request: HttpRequest, whose: Owner, field_id: str) -> Use:
    use = use_of(request, whose, field_id)
    if not use.field.kind.has_options:
        raise NotFound("There is no such field.")
    return use


def _changes(request: HttpRequest, use: Use) -> dict[str, dict[str, str]]:
    """Return what was typed that differs from what is there."""
    found = {}
    for option in use.field.options:
        label = request.POST.get(f"label-{option.public_id}", option.label).strip()
        color = request.POST.get(f"color-{option.public_id}", option.color)
        if (label, color) != (option.label, option.color):
            found[option.public_id] = {"label": label, "color": color}
    return found


@dataclass(frozen=True)
class OptionRow:
    """An option in the panel, with its label and colour as typed."""

    option: Option
    label: str
    color: str


def options_context(use: Use, typed: Any = None) -> dict[str, Any]:
    """Return what the panel of options needs. `typed`: a refused query dict, shown again as it was."""
    typed = typed or {}
    return {
        "option_rows": [
            OptionRow(
                option,
                typed.get(f"label-{option.public_id}", option.label),
                typed.get(f"color-{option.public_id}", option.color),
            )
            for option in use.field.options
            if not option.removed
        ],
        "removed": [option for option in use.field.options if option.removed],
        "colors": COLORS,
        "added": typed.get("add", ""),
    }


def _panel(request: HttpRequest, whose: Owner, use: Use, errors: dict[str, str], status: int) -> HttpResponse:
    """Answer with the panel of options, as typed where it was refused."""
    context = {
        "section": whose.section, "whose": whose, "use": use, "field": use.field,
        "option_errors": list(errors.values()), **options_context(use, request.POST if errors else None),
    }  # fmt: skip
    return render_page(request, "settings/options.html", context, "settings/_options.html", status=status)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def option_order(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    _choices(request, owner_of(request, owner), field_id)
    services.reorder_options(request.actor, services.field_for(request.actor, field_id), request.POST.getlist("order"))
    return trigger(toast(HttpResponse(status=204), "The order of the options is saved."), "fields-changed")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def option_merge(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Choose two options, see how many records hold each, and make one of them."""
    whose = owner_of(request, owner)
    use = _choices(request, whose, field_id)
    context: dict[str, Any] = {"section": whose.section, "whose": whose, "use": use, "field": use.field}
    given = request.POST if request.method == "POST" else request.GET
    gone, kept = (use.field.find_option(given.get(key, "")) for key in ("from", "into"))
    context |= {"gone": gone, "kept": kept, "several": MERGED_AT_ONCE}
    status = 200
    if request.method == "POST":
        try:
            if not gone or not kept:
                raise NotFound("There is no such option.")
            field = services.field_for(request.actor, field_id)
            number = services.merge_options(request.actor, field, gone.public_id, kept.public_id)
        except (InvalidInput, NotFound) as error:
            context["refusal"], status = error.message, 422
        else:
            later = " The values are being moved in the background." if number > MERGED_AT_ONCE else ""
            messages.success(request, f"{gone.label} is now {kept.label}, on {number:,} records.{later}")
            return redirect_to(
                request, reverse("activities:field_edit", args=[request.organization.slug, owner, field_id])
            )
    if gone and kept and gone != kept:
        rows = ValueRef.objects.filter(field_id=use.field.id)
        context["counts"] = {"from": rows.filter(v=gone.id).count(), "into": rows.filter(v=kept.id).count()}
    elif request.method == "GET" and gone and gone == kept:
        context["refusal"] = "Choose two different options."
    return render(request, "settings/option_merge.html", context, status=status)
