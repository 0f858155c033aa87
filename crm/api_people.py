"""REST doors to people: me, user, organization, role, membership, group, api_key; and lists that are empty here."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import Body, empty_list, listing, naive_stamp, shows, stamp
from crm.api_keys import keys_for
from crm.errors import InvalidInput, NotFound
from crm.members import add_member, change_member_role, member_for, members_of, role_for
from crm.models import ApiKey, Membership, Role, Team, User
from crm.permissions import permissions_of

router = Router(tags=["People"])
USER = {"id": "user_8Q…", "email": "ann@example.com", "first_name": "Ann", "last_name": "Lee"}


# --- objects ----------------------------------------------------------------------------------------------------------
def user_json(user: User) -> dict[str, Any]:
    return {
        "id": user.public_id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "image": None,
        "google_profile_image_url": None,
        "email_verified_at": stamp(user.date_joined),
        "last_used_timezone": user.timezone or None,
        "date_created": stamp(user.date_joined),
        "date_updated": stamp(user.date_updated),
    }


def membership_json(member: Membership) -> dict[str, Any]:
    """Return a membership with its user's keys flattened (`user_email` …)."""
    user = member.user
    return {
        "id": member.public_id,
        "user_id": user.public_id,
        "user_email": user.email,
        "user_full_name": user.full_name,
        "user_first_name": user.first_name,
        "user_last_name": user.last_name,
        "user_image": None,
        "organization_id": ids.encode("orga", member.organization_id),
        "role_id": member.role.public_id,
        "date_created": stamp(member.date_created),
        "date_updated": stamp(member.date_updated),
    }


def organization_json(request: HttpRequest) -> dict[str, Any]:
    """Return the organization with members; leads add their statuses and fields (`organization_parts`)."""
    organization = request.organization
    members = members_of(organization, former=True)
    nested = "memberships__user" in request.GET.get("_expand", "")
    shown = {row.pk: membership_json(row) | ({"user": user_json(row.user)} if nested else {}) for row in members}
    answer: dict[str, Any] = {
        "id": organization.public_id,
        "name": organization.name,
        "currency": organization.currency,
        "memberships": [shown[row.pk] for row in members if row.removed_at is None],
        "inactive_memberships": [shown[row.pk] for row in members if row.removed_at is not None],
        "opportunity_statuses": [],
        "pipelines": [],
        "date_created": stamp(organization.date_created),
        "date_updated": stamp(organization.date_updated),
    }
    for part in organization_parts:
        answer |= part(request)
    return answer


organization_parts: list[Any] = []


def role_json(role: Role) -> dict[str, Any]:
    fixed = "0001-01-01T00:00:00"
    return {
        "id": role.public_id,
        "name": role.name,
        "editable": not role.slug,
        "organization_id": ids.encode("orga", role.organization_id),
        "permissions": sorted(permissions_of(role)),
        "visibility_user_lcf_ids": [ids.encode("cf", number) for number in role.visibility_fields],
        "visibility_user_lcf_behavior": "allow_unassigned" if role.sees_unassigned else None,
        "date_created": fixed if role.slug else naive_stamp(role.date_created),
        "date_updated": fixed if role.slug else naive_stamp(role.date_updated),
    }


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


def key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.public_id,
        "name": key.name,
        "organization_id": ids.encode("orga", key.organization_id),
        "user_id": ids.encode("user", key.membership.user_id),
        "read_only": key.read_only,
        "expires_at": stamp(key.expires_at),
        "last_used_at": stamp(key.last_used_at),
        "revoked_at": stamp(key.revoked_at),
        "date_created": stamp(key.date_created),
    }


# --- me and users -----------------------------------------------------------------------------------------------------
@router.get(
    "/me/", summary="Who am I?", openapi_extra=shows({**USER, "organizations": [{"id": "orga_…", "name": "Acme"}]})
)
def me(request: HttpRequest) -> Any:
    """The user the key belongs to, with the organization and the role."""
    return {
        **user_json(request.actor.user),
        "email_accounts": [],
        "organizations": [organization_json(request)],
        "memberships": [membership_json(request.actor)],
    }


@router.get("/user/", summary="List members", openapi_extra=shows({"data": [USER], "has_more": False}))
def list_users(request: HttpRequest) -> Any:
    """Active members of the organization. `_order_by`: `last_name,first_name` or `first_name,last_name`."""
    users = [row.user for row in members_of(request.organization)]
    order = [name for name in request.GET.get("_order_by", "").split(",") if name in ("first_name", "last_name")]
    if order:
        users.sort(key=lambda user: [getattr(user, name).casefold() for name in order])
    organization = request.organization.public_id
    return listing(
        request,
        users,
        lambda rows: [user_json(user) | {"organizations": [organization]} for user in rows],
        maximum=1000,
    )


@router.get("/user/availability/", summary="Availability of members (nobody is on a call here)")
def availability(request: HttpRequest) -> Any:
    return empty_list()


@router.get("/user/{user_id}/", summary="One member", openapi_extra=shows(USER))
def get_user(request: HttpRequest, user_id: str) -> Any:
    number = ids.decode("user", user_id)
    for row in members_of(request.organization, former=True):
        if row.user_id == number:
            return user_json(row.user) | {"organizations": [request.organization.public_id]}
    raise NotFound("There is no such user.")


# --- organization and roles -------------------------------------------------------------------------------------------
@router.get("/organization/{organization_id}/", summary="The organization")
def get_organization(request: HttpRequest, organization_id: str) -> Any:
    """Members, statuses and lead fields. `_expand=memberships__user` nests each member's user."""
    if organization_id != request.organization.public_id:
        raise NotFound("There is no such organization.")
    return organization_json(request)


@router.get("/role/", summary="List roles")
def list_roles(request: HttpRequest) -> Any:
    return listing(request, Role.objects.order_by("pk"), lambda rows: map(role_json, rows))


@router.get("/role/{role_id}/", summary="One role")
def get_role(request: HttpRequest, role_id: str) -> Any:
    return role_json(role_for(request.actor, role_id))


class MembershipBody(Body):
    email: str | None = None
    role_id: str | None = None


@router.post(
    "/membership/",
    summary="Add a member",
    openapi_extra=shows({"id": "memb_…"}, sends={"email": "bo@example.com", "role_id": "user"}),
)
def create_membership(request: HttpRequest, body: MembershipBody) -> Any:
    if not body.email:
        raise InvalidInput(fields={"email": "This field is required."})
    return membership_json(add_member(request.actor, body.email, role_for(request.actor, body.role_id or "user")))


@router.put("/membership/{membership_id}/", summary="Change a member's role")
def update_membership(request: HttpRequest, membership_id: str, body: MembershipBody) -> Any:
    if body.role_id:
        change_member_role(
            request.actor, member_for(request.actor, membership_id), role_for(request.actor, body.role_id)
        )
    return membership_json(member_for(request.actor, membership_id))


# --- groups and keys --------------------------------------------------------------------------------------------------
@router.get("/group/", summary="List groups (teams)")
def list_groups(request: HttpRequest) -> Any:
    return listing(
        request, Team.objects.order_by("pk"), lambda rows: [team_json(row, "") for row in rows], maximum=1000
    )


@router.get("/group/{group_id}/", summary="One group")
def get_group(request: HttpRequest, group_id: str) -> Any:
    """`_fields=name,members` adds its members."""
    team = Team.objects.filter(pk=ids.decode("group", group_id)).first()
    if team is None:
        raise NotFound("There is no such group.")
    return team_json(team, request.GET.get("_fields", ""))


@router.get("/api_key/", summary="List API keys")
def list_keys(request: HttpRequest) -> Any:
    """Your own keys; all of the organization's for those who manage it. The secret part is never shown again."""
    return listing(request, keys_for(request.actor), lambda rows: map(key_json, rows))


# --- what Touchpoint does not have ------------------------------------------------------------------------------------
EMPTY = (
    "opportunity", "status/opportunity", "pipeline", "email_template", "sms_template", "sequence", "sequence_subscription",
    "send_as", "connected_account", "dialer", "phone_number", "integration_link", "custom_object_type",
    "custom_field/custom_object_type", "custom_field/opportunity", "outcome", "activity/emailthread",
    "activity/status_change/opportunity", "activity/task_completed", "activity/whatsapp_message",
    "activity/form_submission",
)  # fmt: skip
empty_router = Router(tags=["Empty lists"])


def _empty(path: str) -> None:
    more = {"total_results": 0} if path == "opportunity" else {}

    @empty_router.get(f"/{path}/", operation_id=f"list_{path.replace('/', '_')}", summary="Always empty")
    def answer(request: HttpRequest) -> Any:
        """Kept so that Close's clients find the address they ask."""
        return empty_list(**more)


for _path in EMPTY:
    _empty(_path)
