"""Settings > Teams."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm.access import member_page
from crm.errors import InvalidInput
from crm.forms import TeamForm
from crm.htmx import redirect_to
from crm.members import member_for, members_of
from crm.permissions import Perm, has
from crm.teams import add_to_team, create_team, delete_team, remove_from_team, rename_team, team_for, teams_of


@member_page()
@require_GET
def teams(request: HttpRequest) -> HttpResponse:
    return render(request, "settings/teams.html", _context(request))


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def create(request: HttpRequest) -> HttpResponse:
    form = TeamForm(request.POST)
    if form.is_valid():
        try:
            create_team(request.actor, form.cleaned_data["name"])
        except InvalidInput as error:
            form.take(error)
        else:
            return redirect("teams", slug=request.organization.slug)
    return render(request, "settings/teams.html", _context(request) | {"form": form}, status=422)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def rename(request: HttpRequest, team_id: str) -> HttpResponse:
    team = team_for(request.actor, team_id)
    try:
        rename_team(request.actor, team, request.POST.get("name", ""))
    except InvalidInput as error:
        refused = {"refused": team.pk, "refused_reason": error.message, "refused_name": request.POST.get("name", "")}
        return render(request, "settings/teams.html", _context(request) | refused, status=422)
    return redirect("teams", slug=request.organization.slug)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def delete(request: HttpRequest, team_id: str) -> HttpResponse:
    delete_team(request.actor, team_for(request.actor, team_id))
    return redirect_to(request, reverse("teams", args=[request.organization.slug]))


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def add(request: HttpRequest, team_id: str) -> HttpResponse:
    team = team_for(request.actor, team_id)
    add_to_team(request.actor, team, member_for(request.actor, request.POST.get("member", "")))
    return redirect("teams", slug=request.organization.slug)


@member_page(Perm.MANAGE_ORGANIZATION)
@require_POST
def take_out(request: HttpRequest, team_id: str, member_id: str) -> HttpResponse:
    remove_from_team(request.actor, team_for(request.actor, team_id), member_for(request.actor, member_id))
    return redirect("teams", slug=request.organization.slug)


def _context(request: HttpRequest) -> dict[str, Any]:
    everybody = {row.user_id: row for row in members_of(request.organization, former=True)}
    shown = []
    for team in teams_of(request.actor):
        held = [everybody[user.pk] for user in team.members.all() if user.pk in everybody]
        inside = {row.pk for row in held}
        others = [row for row in everybody.values() if row.removed_at is None and row.pk not in inside]
        shown.append({"team": team, "members": held, "others": others})
    return {
        "section": "teams",
        "teams": shown,
        "form": TeamForm(),
        "may_manage": bool(has(request.actor, Perm.MANAGE_ORGANIZATION)),
    }
