"""REST doors to groups, which are teams on screen (`spec/api.md` 2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, JsonResponse
from ninja import Router

from crm import ids
from crm.api import Body, Wanted, created, listing, no_content, renders, shows, user_id_of, words
from crm.errors import InvalidInput, NotFound
from crm.members import member_of_user
from crm.models import Membership, Team
from crm.teams import add_to_team, create_team, delete_team, remove_from_team, rename_team, team_for

router = Router(tags=["People"])
GROUP = {"id": "group_…", "name": "West", "organization_id": "orga_…"}


def team_json(team: Team, wanted: str) -> dict[str, Any]:
    """Return a group. `name` and `members` come with `_fields` as Close's do; the name comes always."""
    shown: dict[str, Any] = {
        "id": team.public_id,
        "name": team.name,
        "organization_id": ids.encode("orga", team.organization_id),
    }
    if "members" in wanted:
        shown["members"] = [{"user_id": user.public_id} for user in team.members.order_by("pk")]
    return shown


@renders("group")
def _render_groups(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    rows = Team.objects.filter(pk__in=pks).prefetch_related("members")
    return {row.pk: team_json(row, "members") for row in rows}


@words("group")
def _group_in_words(request: HttpRequest, state: Mapping[str, Any]) -> dict[str, Any]:
    members = [{"user_id": user_id_of(number)} for number in state.get("members") or ()]
    return {**state, "members": members} if "members" in state else dict(state)


class GroupBody(Body):
    name: str | None = None
    members: list[dict[str, Any]] | None = None


class GroupMemberBody(Body):
    user_id: str | None = None


@router.get("/group/", summary="List groups (teams)", openapi_extra=shows({"data": [GROUP], "has_more": False}))
def list_groups(request: HttpRequest) -> Any:
    return listing(
        request, Team.objects.order_by("pk"), lambda rows: [team_json(row, "") for row in rows], maximum=1000
    )


@router.post("/group/", summary="Make a group", openapi_extra=shows(GROUP, status=201, sends={"name": "West"}))
def post_group(request: HttpRequest, body: GroupBody) -> Any:
    """`members`: `[{"user_id": "user_…"}]`. Names are unique (400)."""
    members = [_member_given(request, row.get("user_id")) for row in body.members or []]
    team = create_team(request.actor, body.name or "", members)
    return created(request, team_json(team, request.GET.get("_fields", "")))


@router.get("/group/{group_id}/", summary="One group", openapi_extra=shows(GROUP))
def get_group(request: HttpRequest, group_id: str) -> Any:
    """`_fields=name,members` adds its members."""
    return team_json(team_for(request.actor, group_id), request.GET.get("_fields", ""))


@router.put("/group/{group_id}/", summary="Rename a group", openapi_extra=shows(GROUP, sends={"name": "West"}))
def put_group(request: HttpRequest, group_id: str, body: GroupBody) -> Any:
    team = team_for(request.actor, group_id)
    if "name" in body.given():
        team = rename_team(request.actor, team, body.name or "")
    return team_json(team, request.GET.get("_fields", ""))


@router.delete(
    "/group/{group_id}/", summary="Delete a group", openapi_extra={"responses": {204: {"description": "Gone"}}}
)
def remove_group(request: HttpRequest, group_id: str) -> Any:
    delete_team(request.actor, team_for(request.actor, group_id))
    return no_content()


@router.post(
    "/group/{group_id}/member/",
    summary="Put a member into a group",
    openapi_extra=shows({"user_id": "user_…", "group_id": "group_…"}, status=201, sends={"user_id": "user_…"}),
)
def post_group_member(request: HttpRequest, group_id: str, body: GroupMemberBody) -> Any:
    """One who is in it already changes nothing."""
    team = team_for(request.actor, group_id)
    member = _member_given(request, body.user_id)
    add_to_team(request.actor, team, member)
    answer = JsonResponse({"user_id": member.user.public_id, "group_id": team.public_id}, status=201)
    answer["Location"] = f"{request.path}{member.user.public_id}/"
    return answer


@router.delete(
    "/group/{group_id}/member/{user_id}/",
    summary="Take a member out of a group",
    openapi_extra={"responses": {204: {"description": "Gone"}}},
)
def remove_group_member(request: HttpRequest, group_id: str, user_id: str) -> Any:
    """One who is not in it changes nothing."""
    remove_from_team(request.actor, team_for(request.actor, group_id), member_of_user(request.actor, user_id))
    return no_content()


def _member_given(request: HttpRequest, user_id: Any) -> Membership:
    """Return the member a body names; somebody who is not there is the body's mistake, not the address's."""
    if not user_id:
        raise InvalidInput(fields={"user_id": "This field is required."})
    try:
        return member_of_user(request.actor, str(user_id))
    except NotFound as error:
        raise InvalidInput(fields={"user_id": error.message}) from None
