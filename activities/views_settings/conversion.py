"""Another kind for a field of leads or contacts: what it would do, the change, how far it is, and stopping it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.views_settings.owners import Owner, lines_of, owner_of, use_of
from crm.access import member_page
from crm.customfields import services
from crm.customfields.catalog import Use
from crm.errors import Conflict, InvalidInput, NotFound
from crm.fieldkinds import KINDS
from crm.htmx import redirect_to, render_page, toast, trigger
from crm.permissions import Perm, has

LABELS_SHOWN = 30


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def field_convert(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Choose a kind and see what would become of the values (`then=preview`); nothing happens before `then=convert`.

    `kind`, `multiple`, `make` (`each` value an option, or `listed`: only those in `options`, one a line), `drops`: how
    many values the page said are lost.
    """
    whose = owner_of(request, owner)
    use = use_of(request, whose, field_id)
    field = services.field_for(request.actor, field_id)
    if not services.possible_kinds(whose.fieldset, field):
        raise NotFound("There is no such field.")
    if use.field.converting_to:
        return redirect(_field_url(request, owner, field_id))
    typed = _typed(request.POST if request.method == "POST" else request.GET, use)
    if request.POST.get("then") != "convert" or not typed["kind"]:
        return _page(request, whose, use, typed)
    drops = request.POST.get("drops", "")
    agreed = int(drops) if drops.isascii() and drops.isdigit() and len(drops) < 10 else 0
    try:
        done = services.convert_field(request.actor, whose.fieldset, field, typed["kind"], _changes(typed), agreed)
    except InvalidInput as error:
        return _page(request, whose, use, typed, _errors(error))
    except Conflict as error:
        return _page(request, whose, use, typed, {"": error.message}, error.status)
    label = KINDS[typed["kind"]].label
    if done:
        messages.success(request, f"The kind of {use.field.name} is {label} now.")
    else:
        messages.info(
            request, f"{use.field.name} is being converted to {label} in the background. You hear when it is done."
        )
    return redirect_to(request, _field_url(request, owner, field_id) if done else whose.back)


def _typed(given: Any, use: Use) -> dict[str, Any]:
    """Return what is chosen on the page. Several values: as the field has it until a kind is shown that asks."""
    kind = given.get("kind", "") if given.get("kind", "") in KINDS else ""
    return {
        "kind": kind,
        "multiple": bool(given.get("multiple")) if "asked" in given else use.field.multiple,
        "make": "listed" if given.get("make") == "listed" else "each",
        "options": given.get("options", ""),
    }


def _changes(typed: dict[str, Any]) -> dict[str, Any]:
    kind = KINDS[typed["kind"]]
    changes: dict[str, Any] = {"multiple": typed["multiple"] and kind.allows_multiple}
    if kind.has_options and typed["make"] == "listed":
        changes["options"] = [line.strip() for line in typed["options"].splitlines() if line.strip()]
        if not changes["options"]:
            raise InvalidInput(fields={"options": "Write the options, one a line."})
    return changes


def _errors(error: InvalidInput) -> dict[str, str]:
    return error.fields or {"": error.message}


def _page(
    request: HttpRequest, whose: Owner, use: Use, typed: dict[str, Any], errors: dict[str, str] | None = None,
    status: int = 422,
) -> HttpResponse:  # fmt: skip
    """Answer with the page, and with the preview once a kind is chosen that the field can get."""
    field = services.field_for(request.actor, use.field.public_id)
    errors, preview, kind = dict(errors or {}), None, KINDS.get(typed["kind"])
    if kind is not None:
        # Who wants to write the options begins with one for each value.
        begins = kind.has_options and typed["make"] == "listed" and not typed["options"].strip()
        try:
            changes = _changes({**typed, "make": "each"} if begins else typed)
            preview = services.preview_conversion(request.actor, whose.fieldset, field, typed["kind"], changes)
        except InvalidInput as error:
            errors = {**_errors(error), **errors}
        if begins and preview:
            typed = {**typed, "options": "\n".join(preview.labels)}
            preview = preview if preview.labels else None
    roles = services.roles_seeing_by(field)
    context = {
        "section": whose.section, "whose": whose, "use": use, "field": use.field, "typed": typed, "kind": kind,
        "kinds": services.possible_kinds(whose.fieldset, field), "preview": preview, "errors": errors, "roles": roles,
        "labels": preview.labels[:LABELS_SHOWN] if preview and typed["make"] == "each" else (),
        "may_export": bool(has(request.actor, Perm.EXPORT)),
        "home": reverse("settings_home", args=[request.organization.slug]).removesuffix("settings/"),
    }  # fmt: skip
    return render_page(
        request,
        "settings/field_convert.html",
        context,
        "settings/_field_convert.html",
        status=status if errors else 200,
    )


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_GET
def field_converting(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """How far a conversion is: the field's line in the list, or with `?page=1` the notice on its own page.

    `to`: the kind it was being converted to, as the line said before.
    """
    whose = owner_of(request, owner)
    use = use_of(request, whose, field_id)
    own_page = "page" in request.GET
    context = {
        "section": whose.section, "whose": whose, "owner": owner, "use": use, "field": use.field, "may_manage": True,
        "converting": lines_of([use])[0].converting,
    }  # fmt: skip
    if not request.htmx:
        return redirect(_field_url(request, owner, field_id) if own_page else whose.back)
    if own_page and not use.field.converting_to:
        return redirect_to(request, _field_url(request, owner, field_id))
    fragment = "settings/_field_converting.html" if own_page else "settings/_field_row.html"
    response = render_page(request, fragment, context)
    if use.field.converting_to:
        return response
    name, label = use.field.name, use.field.kind.label
    stopped = request.GET.get("to", use.field.kind.slug) != use.field.kind.slug
    said = (
        f"The conversion of {name} was cancelled: it stays {label}."
        if stopped
        else f"The kind of {name} is {label} now."
    )
    return trigger(toast(response, said), "fields-changed")


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def field_convert_cancel(request: HttpRequest, owner: str, field_id: str) -> HttpResponse:
    """Stop a conversion that is going on; the field stays what it is."""
    whose = owner_of(request, owner)
    use = use_of(request, whose, field_id)
    field = services.field_for(request.actor, field_id)
    if services.cancel_conversion(request.actor, whose.fieldset, field):
        messages.success(request, f"{field.name} stays {use.field.kind.label}, with every value as it was.")
    else:
        messages.info(request, f"No conversion of {field.name} was going on: it is {use.field.kind.label}.")
    return redirect_to(request, _field_url(request, owner, field_id))


def _field_url(request: HttpRequest, owner: str, field_id: str) -> str:
    return reverse("activities:field_edit", args=[request.organization.slug, owner, field_id])
