"""Pages of the organization itself: home, sign-in links, members, roles, plan, API keys."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm import accounts, plans
from crm import members as people
from crm.access import member_page, public_page
from crm.api_keys import create_key, keys_for, revoke
from crm.errors import InvalidInput
from crm.forms import ApiKeyForm, InviteForm
from crm.htmx import redirect_to, render_page, toast
from crm.models import Membership, Role
from crm.permissions import Perm, has, permissions_of


@public_page
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a member to their organization; tell those who have none."""
    first = (
        Membership.unscoped.filter(user=request.user, removed_at=None)
        .select_related("organization")
        .order_by("organization__name")
        .first()
    )
    if first is None:
        return render(request, "home_without_organization.html", {})
    return redirect("leads:list", slug=first.organization.slug)


@public_page
@require_GET
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@public_page
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link. Opening it shows one button, so that mail scanners and previews do not use it up."""
    if request.method == "GET":
        return render(request, "sign_in_link.html", {"token": token})
    user = accounts.redeem_sign_in_link(token)
    if user is None:
        return render(request, "sign_in_link.html", {"token": "", "used": True}, status=410)
    accounts.sign_in(request, user)
    return redirect("home")


@member_page()
@require_GET
def settings_home(request: HttpRequest) -> HttpResponse:
    return redirect("activities:types", slug=request.organization.slug)


@member_page()
@require_GET
def members(request: HttpRequest) -> HttpResponse:
    return render(request, "settings/members.html", _members_context(request, InviteForm(_roles())))


def _roles() -> list[Role]:
    return list(Role.objects.order_by("id"))


def _members_context(request: HttpRequest, form: InviteForm) -> dict:
    return {
        "section": "members",
        "members": people.members_of(request.organization, former=True),
        "roles": _roles(),
        "form": form,
        "may_manage": bool(has(request.actor, Perm.MANAGE_ORGANIZATION)),
    }


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def invite_member(request: HttpRequest) -> HttpResponse:
    form = InviteForm(_roles(), request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            member = people.add_member(
                request.actor, given["email"], people.role_for(request.actor, given["role"]),
                first_name=given["first_name"], last_name=given["last_name"],
            )  # fmt: skip
        except InvalidInput as error:
            for field, sentence in error.fields.items():
                form.add_error(field, sentence)
        else:
            link = accounts.make_sign_in_link(member.user)
            context = _members_context(request, InviteForm(_roles())) | {"new_member": member, "link": link}
            return render(request, "settings/members.html", context)
    return render(request, "settings/members.html", _members_context(request, form), status=422)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def change_role(request: HttpRequest, member_id: str) -> HttpResponse:
    member = people.member_for(request.actor, member_id)
    role = people.role_for(request.actor, request.POST.get("role", ""))
    people.change_member_role(request.actor, member, role)
    if request.htmx:
        return toast(HttpResponse(status=204), f"{member.user.full_name} is now {role.name}.")
    return redirect("members", slug=request.organization.slug)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def remove_member(request: HttpRequest, member_id: str) -> HttpResponse:
    people.deactivate_member(request.actor, people.member_for(request.actor, member_id))
    return redirect_to(request, reverse("members", args=[request.organization.slug]))


@member_page()
@require_GET
def roles(request: HttpRequest) -> HttpResponse:
    rows = _roles()
    allowed = {role.pk: permissions_of(role) for role in rows}
    matrix = [(perm.value.replace("_", " "), [perm in allowed[role.pk] for role in rows]) for perm in Perm]
    return render(request, "settings/roles.html", {"section": "roles", "roles": rows, "matrix": matrix})


@member_page()
@require_GET
def plan(request: HttpRequest) -> HttpResponse:
    types = apps.get_model("activities", "ActivityType").objects.filter(builtin="", archived_at=None).count()
    context = {"section": "plan", "usage": plans.usage(request.organization, types), "plans": plans.PLANS}
    return render(request, "settings/plan.html", context)


@member_page()
@require_GET
def api_keys(request: HttpRequest) -> HttpResponse:
    context = {"section": "api_keys", "keys": keys_for(request.actor), "form": ApiKeyForm()}
    return render(request, "settings/api_keys.html", context)


@member_page()
@require_POST
def api_key_create(request: HttpRequest) -> HttpResponse:
    form = ApiKeyForm(request.POST)
    context = {"section": "api_keys", "form": form}
    if not form.is_valid():
        return render(request, "settings/api_keys.html", context | {"keys": keys_for(request.actor)}, status=422)
    given = form.cleaned_data
    row, plain = create_key(request.actor, given["name"], read_only=given["read_only"], expires_at=given["expires_at"])
    context |= {"keys": keys_for(request.actor), "form": ApiKeyForm(), "new_key": row, "plain": plain}
    return render(request, "settings/api_keys.html", context)


@member_page()
@require_POST
def api_key_revoke(request: HttpRequest, key_id: str) -> HttpResponse:
    revoke(request.actor, key_id)
    return redirect_to(request, reverse("api_keys", args=[request.organization.slug]))


@member_page()
@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    return render_page(request, "help.html", {})
