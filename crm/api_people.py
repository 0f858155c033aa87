"""REST doors to people: me, user, organization, role, membership, api_key; and lists that are empty here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Router

from crm import ids
from crm.api import Body, Wanted, created, empty_list, listing, naive_stamp, renders, shows, stamp, words
from crm.api_keys import keys_for
from crm.errors import InvalidInput, NotFound
from crm.members import add_member, change_member_role, invite_again, member_for, members_of
from crm.models import ApiKey, CustomField, Membership, Role, User
from crm.permissions import Perm, permissions_of
from crm.roles import assignment_fields, create_role, delete_role, role_for, update_role

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


@renders("membership")
def _render_memberships(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    members = members_of(request.organization, former=True)
    return {row.pk: membership_json(row) for row in members if row.pk in pks}


@words("membership")
def _membership_in_words(request: HttpRequest, state: Mapping[str, Any]) -> dict[str, Any]:
    return {"user_email" if key == "email" else key: value for key, value in state.items()}


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
        "permissions": sorted({*permissions_of(role), *_ELSEWHERE_OF.get(role.slug, ())}),
        "visibility_user_lcf_ids": _assignment_ids(role),
        "visibility_user_lcf_behavior": _behavior(role),
        "date_created": fixed if role.slug else naive_stamp(role.date_created),
        "date_updated": fixed if role.slug else naive_stamp(role.date_updated),
    }


def _assignment_ids(role: Role) -> list[str]:
    known = CustomField.objects.in_bulk(role.visibility_fields) if role.visibility_fields else {}
    return [known[number].public_id for number in role.visibility_fields if number in known]


def _behavior(role: Role) -> str | None:
    """Return what happens to leads with nobody assigned; None for a role that sees every lead."""
    if Perm.VIEW_ALL_LEADS in permissions_of(role):
        return None
    return "allow_unassigned" if role.sees_unassigned else "require_assignment"


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
    "/me/", summary="Who you are", openapi_extra=shows({**USER, "organizations": [{"id": "orga_…", "name": "Acme"}]})
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
    """Active members of the organization. `_order_by`: `last_name,first_name` or `first_name,last_name`; another name leaves
    the order as it is."""
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


class RoleBody(Body):
    name: str | None = None
    permissions: list[str] | None = None
    visibility_user_lcf_ids: list[str] | None = None
    visibility_user_lcf_behavior: str | None = None


ROLE = {"id": "role_…", "name": "Closer", "editable": True, "permissions": ["export", "view_all_leads"]}
# Permissions of Close about things that are not here: taken and left out, so that scripts that copy roles run.
ELSEWHERE = frozenset(
    [
        "bulk_email", "bulk_sequence_subscriptions", "call_coach_barge", "call_coach_listen", "calling",
        "delete_own_opportunities", "manage_email_sequences", "manage_group_numbers", "manage_others_opportunities",
        "manage_team_email_templates",
    ]
)  # fmt: skip
# Built-in roles have them as in Close: clients ask for them by name. They allow nothing here.
_OF_ALL = frozenset(["calling", "delete_own_opportunities"])
_ELSEWHERE_OF = {"admin": ELSEWHERE, "superuser": ELSEWHERE, "user": _OF_ALL, "restricteduser": _OF_ALL}
BEHAVIORS = {"require_assignment": False, "allow_unassigned": True}


def _role_changes(request: HttpRequest, body: RoleBody) -> dict[str, Any]:
    """Return what a role's service takes. Raises `InvalidInput` for fields and behaviors that are not there."""
    given, changes = body.given(), {}
    if "name" in given:
        changes["name"] = given["name"] or ""
    if given.get("permissions") is not None:
        changes["permissions"] = [name for name in given["permissions"] if name not in ELSEWHERE]
    if given.get("visibility_user_lcf_ids") is not None:
        known = {field.public_id: field.id for field in assignment_fields(request.actor)}
        unknown = [public_id for public_id in given["visibility_user_lcf_ids"] if public_id not in known]
        if unknown:
            raise InvalidInput(
                fields={"visibility_user_lcf_ids": f"“{unknown[0]}” is no lead field that holds members."}
            )
        changes["visibility_fields"] = [known[public_id] for public_id in given["visibility_user_lcf_ids"]]
    if behavior := given.get("visibility_user_lcf_behavior"):
        if behavior not in BEHAVIORS:
            raise InvalidInput(fields={"visibility_user_lcf_behavior": f"Use one of: {', '.join(BEHAVIORS)}."})
        changes["sees_unassigned"] = BEHAVIORS[behavior]
    return changes


@router.post(
    "/role/",
    summary="Make a role",
    openapi_extra=shows(ROLE, status=201, sends={"name": "Closer", "permissions": ["export", "view_all_leads"]}),
)
def post_role(request: HttpRequest, body: RoleBody) -> Any:
    """Needs *manage organization*, and each of the permissions it gives."""
    return created(request, role_json(create_role(request.actor, **{"name": "", **_role_changes(request, body)})))


@router.put("/role/{role_id}/", summary="Change a role", openapi_extra=shows(ROLE, sends={"permissions": ["export"]}))
def put_role(request: HttpRequest, role_id: str, body: RoleBody) -> Any:
    """Built-in roles are fixed (403)."""
    role = role_for(request.actor, role_id)
    return role_json(update_role(request.actor, role, _role_changes(request, body)))


@router.delete("/role/{role_id}/", summary="Delete a role", openapi_extra=shows({}))
def remove_role(request: HttpRequest, role_id: str) -> Any:
    """Only a role that nobody holds (else 400)."""
    delete_role(request.actor, role_for(request.actor, role_id))
    return {}


class MembershipBody(Body):
    email: str | None = None
    role_id: str | None = None


@router.post(
    "/membership/",
    summary="Add a member",
    openapi_extra=shows({"id": "memb_…"}, sends={"email": "bo@example.com", "role_id": "user"}),
)
def create_membership(request: HttpRequest, body: MembershipBody) -> Any:
    """The person gets a mail with a sign-in link."""
    if not body.email:
        raise InvalidInput(fields={"email": "This field is required."})
    member = add_member(request.actor, body.email, _role_named(request, body.role_id or "user"))
    invite_again(request.actor, member)
    return membership_json(member)


@router.put(
    "/membership/",
    summary="Change the role of several members",
    openapi_extra=shows(
        {"data": [{"id": "memb_…", "role_id": "user"}]}, sends={"role_id": "user"}, query={"id__in": "memb_…,memb_…"}
    ),
)
def update_memberships(request: HttpRequest, body: MembershipBody) -> Any:
    """All of them or none."""
    wanted = list(dict.fromkeys(part for part in request.GET.get("id__in", "").split(",") if part))
    if not wanted:
        raise InvalidInput(fields={"id__in": "Name the memberships to change."})
    if len(wanted) > 1000:
        raise InvalidInput(fields={"id__in": "At most 1,000 memberships at once."})
    with transaction.atomic():
        members = [member_for(request.actor, public_id) for public_id in wanted]
        if body.role_id:
            role = _role_named(request, body.role_id)
            for member in members:
                change_member_role(request.actor, member, role)
    return {"data": [membership_json(member) for member in members], "has_more": False}


@router.put("/membership/{membership_id}/", summary="Change a member's role")
def update_membership(request: HttpRequest, membership_id: str, body: MembershipBody) -> Any:
    """`auto_record_calls` and other keys of Close are taken and left out."""
    member = member_for(request.actor, membership_id)
    if body.role_id:
        change_member_role(request.actor, member, _role_named(request, body.role_id))
    return membership_json(member)


def _role_named(request: HttpRequest, role_id: str) -> Role:
    """Return the role a body names; one that is not there is the body's mistake, not the address's."""
    try:
        return role_for(request.actor, role_id)
    except NotFound as error:
        raise InvalidInput(fields={"role_id": error.message}) from None


# --- keys --------------------------------------------------------------------------------------------------------------
@router.get("/api_key/", summary="List API keys")
def list_keys(request: HttpRequest) -> Any:
    """Your own keys; all of the organization's for those who manage it. The secret part is never shown again."""
    return listing(request, keys_for(request.actor), lambda rows: map(key_json, rows))


@router.get("/api_key/{key_id}/", summary="One API key")
def get_key(request: HttpRequest, key_id: str) -> Any:
    """By its id, or by the key itself, as old scripts ask for the organization of a key."""
    prefix = key_id.partition(".")[0]
    for row in keys_for(request.actor):
        if row.public_id == key_id or row.prefix == prefix:
            return key_json(row)
    raise NotFound("There is no such API key.")


# --- what Touchpoint does not have ------------------------------------------------------------------------------------
EMPTY = (
    "opportunity", "status/opportunity", "pipeline", "email_template", "sms_template", "sequence", "sequence_subscription",
    "send_as", "connected_account", "dialer", "phone_number", "integration_link", "custom_object_type",
    "custom_field/custom_object_type", "custom_field/opportunity", "outcome", "activity/emailthread",
    "activity/status_change/opportunity", "activity/whatsapp_message",
    "activity/form_submission", "bulk_action/email", "bulk_action/sequence_subscription", "custom_object",
    "sequence_schedule", "email_account", "scheduling_link", "shared_scheduling_link", "unsubscribe/email",
)  # fmt: skip
_PERIODS = ("one_time", "monthly", "annual", "annualized")
_NOTHING_SOLD = {
    "total_results": 0, "count_by_value_period": {}, **{f"total_value_{name}": 0 for name in _PERIODS},
    **{f"expected_value_{name}": 0 for name in _PERIODS},
}  # fmt: skip
empty_router = Router(tags=["Empty lists"])


def _empty(path: str) -> None:
    more = _NOTHING_SOLD if path == "opportunity" else {}

    @empty_router.get(f"/{path}/", operation_id=f"list_{path.replace('/', '_')}", summary="Always empty")
    def answer(request: HttpRequest) -> Any:
        """Kept so that Close's clients find the address they ask."""
        return empty_list(**more)


for _path in EMPTY:
    _empty(_path)
