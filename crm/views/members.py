"""Settings > Members: invitations, roles, removal, signing somebody out."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm import members as people
from crm.access import member_page
from crm.errors import Conflict, InvalidInput
from crm.forms import InviteForm
from crm.htmx import redirect_to, toast
from crm.models import Membership
from crm.permissions import Perm, can_grant, has
from crm.roles import roles_with_counts
from crm.teams import teams_of


@member_page()
@require_GET
def members(request: HttpRequest) -> HttpResponse:
    return render(request, "settings/members.html", _context(request, _form(request)))


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    form = _form(request, request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            member = people.add_member(
                request.actor, given["email"], people.role_for(request.actor, given["role"]),
                first_name=given["first_name"], last_name=given["last_name"],
            )  # fmt: skip
        except InvalidInput as error:
            form.take(error)
        except Conflict as error:
            form.add_error("email", error.message)
        else:
            return _invited(request, member)
    return render(request, "settings/members.html", _context(request, form), status=422)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def resend(request: HttpRequest, member_id: str) -> HttpResponse:
    return _invited(request, people.member_for(request.actor, member_id))


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def change_role(request: HttpRequest, member_id: str) -> HttpResponse:
    """Give a member another role. htmx gets the choice as it stands then: a refusal leaves it as it was."""
    member = people.member_for(request.actor, member_id)
    role = people.role_for(request.actor, request.POST.get("role", ""))
    said, level, status = f"{member.user.full_name} is now {role.name}.", "success", 200
    try:
        people.change_member_role(request.actor, member, role)
    except InvalidInput as error:
        if not request.htmx:
            raise
        said, level, status = error.message, "danger", 422
    if not request.htmx:
        messages.success(request, said)
        return redirect("members", slug=request.organization.slug)
    shown = {"member": people.member_for(request.actor, member_id), "roles": _form(request).roles}
    return toast(render(request, "settings/_member_role.html", shown, status=status), said, level)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def remove(request: HttpRequest, member_id: str) -> HttpResponse:
    member = people.member_for(request.actor, member_id)
    people.deactivate_member(request.actor, member)
    messages.success(request, f"{member.user.full_name} was removed. Everything they did stays.")
    return redirect_to(request, reverse("members", args=[request.organization.slug]))


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def sign_out(request: HttpRequest, member_id: str) -> HttpResponse:
    member = people.member_for(request.actor, member_id)
    ended = people.sign_out_everywhere(request.actor, member)
    if request.htmx:
        browsers = "1 browser" if ended == 1 else f"{ended} browsers"
        return toast(HttpResponse(status=204), f"{member.user.full_name} was signed out of {browsers}.")
    return redirect("members", slug=request.organization.slug)


def _invited(request: HttpRequest, member: Membership) -> HttpResponse:
    link, mailed = people.invite_again(request.actor, member)
    invited = {"new_member": member, "link": link, "mailed": mailed}
    return render(request, "settings/members.html", _context(request, _form(request)) | invited)


def _form(request: HttpRequest, *given: Any) -> InviteForm:
    """Return the invitation form with the roles the actor may give."""
    return InviteForm([role for role in roles_with_counts(request.actor) if can_grant(request.actor, role)], *given)


def _context(request: HttpRequest, form: InviteForm) -> dict[str, Any]:
    actor = request.actor
    rows = people.members_of(request.organization, former=True)
    teams: dict[int, list[str]] = {}
    for team in teams_of(actor):
        for user in team.members.all():
            teams.setdefault(user.pk, []).append(team.name)
    grantable = {role.pk: role for role in form.roles}
    shown = [
        {
            "member": row,
            "teams": ", ".join(teams.get(row.user_id, ())),
            "may_change": row.removed_at is None and row.role_id in grantable,
            "is_me": row.user_id == actor.user_id,
        }
        for row in rows
    ]
    return {
        "section": "members",
        "present": [row for row in shown if row["member"].removed_at is None],
        "former": [row for row in shown if row["member"].removed_at is not None],
        "roles": form.roles,
        "form": form,
        "may_manage": bool(has(actor, Perm.MANAGE_ORGANIZATION)),
    }
