"""Settings > On-publish rules."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities.forms_rules import RuleForm
from activities.models import PublishRule
from activities.queries import TypeInfo, type_for, visible_types
from activities.services.rules import (
    action_words,
    condition_tree,
    create_rule,
    delete_rule,
    rule_for,
    rules_for,
    update_rule,
)
from crm import ids
from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page
from crm.models import Membership
from crm.permissions import Perm
from leads.search.language import parse
from leads.search.sentences import sentence


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_GET
def rules(request: HttpRequest) -> HttpResponse:
    types = [kind for kind in visible_types(request.actor) if not kind.system and not kind.archived]
    types.sort(key=lambda kind: bool(kind.builtin))
    shown = [
        {
            "rule": rule,
            "when": when_words(request.actor, rule),
            "then": action_words(request.actor, rule),
            "owner_left": rule.owner.removed_at is not None,
        }
        for rule in rules_for(request.actor)
    ]
    return render(request, "settings/rules.html", {"section": "rules", "rules": shown, "types": types})


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def rule_create(request: HttpRequest) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    if not given.get("type"):  # the address alone, as it stands in the browser after a refusal
        return redirect("activities:rules", slug=request.organization.slug)
    kind = type_for(request.actor, given["type"])
    return _page(request, kind, None, reverse("activities:rule_create", args=[request.organization.slug]))


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_http_methods(["GET", "POST"])
def rule_page(request: HttpRequest, rule_id: str) -> HttpResponse:
    rule = rule_for(request.actor, rule_id)
    kind = type_for(request.actor, ids.encode("actitype", rule.type_id))
    address = reverse("activities:rule", args=[request.organization.slug, rule.public_id])
    return _page(request, kind, rule, address)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def rule_switch(request: HttpRequest, rule_id: str) -> HttpResponse:
    update_rule(request.actor, rule_for(request.actor, rule_id), {"enabled": request.POST.get("enabled") == "1"})
    return redirect("activities:rules", slug=request.organization.slug)


@member_page(Perm.MANAGE_CUSTOMIZATIONS)
@require_POST
def rule_delete(request: HttpRequest, rule_id: str) -> HttpResponse:
    delete_rule(request.actor, rule_for(request.actor, rule_id))
    return redirect_to(request, reverse("activities:rules", args=[request.organization.slug]))


def when_words(actor: Membership, rule: PublishRule) -> str:
    """Return a rule's condition as the end of a sentence ("where Users > 50"), or what is wrong with it."""
    if not rule.condition:
        return ""
    try:
        whole, start = (
            sentence(parse(condition_tree(rule.type.public_id, condition), actor))
            for condition in (rule.condition, {"type": "and", "queries": []})
        )
    except InvalidInput:
        return "and a condition holds that is about something gone"
    # The sentence starts with the type's name in the plural, which stands before it already.
    return whole.removeprefix(start).strip()


def _page(request: HttpRequest, kind: TypeInfo, rule: PublishRule | None, address: str) -> HttpResponse:
    """Show a rule's form; save it when it was posted by *Save*, show it again with what its other buttons ask."""
    actor, status = request.actor, 200
    given = request.POST if request.method == "POST" else request.GET
    form = RuleForm.read(actor, kind, given) if "r-k" in given else RuleForm.of(actor, kind, rule)
    if request.method == "POST" and given.get("do", "save") == "save":
        try:
            form.require_complete()
            whole: dict[str, Any] = {
                "name": form.name, "condition": form.condition(), "actions": form.actions(), "enabled": form.enabled,
            }  # fmt: skip
            if rule is None:
                create_rule(actor, kind.public_id, **whole)
            else:
                update_rule(actor, rule, whole)
        except InvalidInput as error:
            form.take(error)
            status = 422
        else:
            messages.success(request, "The rule is saved.")
            return redirect_to(request, reverse("activities:rules", args=[request.organization.slug]))
    context = {
        "section": "rules", "form": form, "shown": form.shown, "rule": rule, "kind": kind, "address": address,
        "state": {"list_url": address},
    }  # fmt: skip
    return render_page(request, "settings/rule.html", context, "settings/_rule_form.html", status=status)
