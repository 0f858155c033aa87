"""Roles, groups and memberships through the API (`spec/api.md` 2.4 to 2.6)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail

from crm.customfields.services import create_field
from crm.models import Event, FieldSet, Membership, Role, Team
from crm.roles import clone_role
from crm.teams import create_team
from crm.tenancy import scope
from tests.api.conftest import Api
from tests.factories import World


def state() -> Any:
    return (
        list(Role.unscoped.order_by("pk").values()),
        [(row.pk, row.name, sorted(row.members.values_list("pk", flat=True))) for row in Team.unscoped.order_by("pk")],
        list(Membership.unscoped.order_by("pk").values()),
        Event.unscoped.count(),
    )


# --- roles ------------------------------------------------------------------------------------------------------------
def test_a_role_is_made_changed_and_deleted(api: Api, world: World) -> None:
    with scope(world.ours.organization):
        fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
        owner = create_field(world.ours.admin, fieldset, name="Owner", kind="user").public_id
    role = api.post("role/", {"name": "Closer", "permissions": ["export", "calling"]}, status=201)
    assert role["id"].startswith("role_")
    assert api.last["Location"].endswith(f"/api/v1/role/{role['id']}/")
    assert (role["editable"], role["permissions"]) == (True, ["export"])
    assert (role["visibility_user_lcf_ids"], role["visibility_user_lcf_behavior"]) == ([], "require_assignment")
    changes = {"visibility_user_lcf_ids": [owner], "visibility_user_lcf_behavior": "allow_unassigned"}
    changed = api.put(f"role/{role['id']}/", changes)
    assert (changed["visibility_user_lcf_ids"], changed["visibility_user_lcf_behavior"]) == (
        [owner],
        "allow_unassigned",
    )
    assert changed["permissions"] == ["export"]
    assert api.get(f"role/{role['id']}/") == changed
    assert api.get("role/admin/")["visibility_user_lcf_behavior"] is None
    assert api.delete(f"role/{role['id']}/") == {}
    api.get(f"role/{role['id']}/", status=404)


def test_built_in_roles_have_closes_permissions(api: Api) -> None:
    """Clients ask for them by name, also for those about things that are not here."""
    roles = {row["id"]: row["permissions"] for row in api.get("role/")["data"]}
    close = {
        "bulk_delete", "bulk_edit", "bulk_email", "bulk_import", "bulk_sequence_subscriptions", "call_coach_barge", "call_coach_listen",
        "calling", "delete_leads", "delete_own_activities", "delete_own_opportunities", "delete_own_tasks", "export",
        "manage_customizations", "manage_email_sequences", "manage_group_numbers", "manage_organization",
        "manage_others_activities", "manage_others_opportunities", "manage_others_tasks", "manage_team_email_templates",
        "manage_team_smart_views", "merge_leads", "view_all_leads",
    }  # fmt: skip
    restricted = {"delete_own_activities", "delete_own_opportunities", "delete_own_tasks", "calling", "view_all_leads"}
    assert roles["admin"] == sorted(close | {"manage_team_reports"})
    assert set(roles["superuser"]) - {"manage_team_reports"} == close - {"manage_organization"}
    assert set(roles["restricteduser"]) == restricted
    assert restricted <= set(roles["user"])


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({}, "name"),
        ({"name": "ADMIN"}, "name"),
        ({"name": "x", "permissions": ["fly"]}, "permissions"),
        ({"name": "x", "visibility_user_lcf_ids": ["cf_nothing"]}, "visibility_user_lcf_ids"),
        ({"name": "x", "visibility_user_lcf_behavior": "hide"}, "visibility_user_lcf_behavior"),
    ],
)
def test_a_role_that_cannot_be_is_refused_at_its_key(api: Api, body: dict[str, Any], key: str) -> None:
    before = state()
    assert key in api.post("role/", body, status=400)["field-errors"]
    assert state() == before


def test_built_in_roles_refuse_change_and_deletion(api: Api) -> None:
    before = state()
    for role in ("admin", "superuser", "user", "restricteduser"):
        assert "built-in role" in api.put(f"role/{role}/", {"name": "x"}, status=403)["error"]
        api.delete(f"role/{role}/", status=403)
    assert state() == before


def test_a_role_somebody_holds_is_not_deleted(api: Api, world: World) -> None:
    role = api.post("role/", {"name": "Closer", "permissions": ["view_all_leads"]}, status=201)
    api.put(f"membership/{world.ours.user.public_id}/", {"role_id": role["id"]})
    assert "1 member holds it" in api.delete(f"role/{role['id']}/", status=400)["error"]


# --- memberships ------------------------------------------------------------------------------------------------------
def test_a_member_is_added_with_a_mail_and_gets_another_role(api: Api) -> None:
    member = api.post("membership/", {"email": "bo@new.example", "role_id": "restricteduser"})
    assert (member["user_email"], member["role_id"]) == ("bo@new.example", "restricteduser")
    assert mail.outbox[-1].to == ["bo@new.example"]
    assert "sign-in" not in str(member)
    assert api.put(f"membership/{member['id']}/", {"role_id": "user"})["role_id"] == "user"
    kept = api.put(f"membership/{member['id']}/", {"auto_record_calls": "enabled"})
    assert kept["role_id"] == "user"


def test_several_members_change_together_or_not_at_all(api: Api, world: World) -> None:
    ours = world.ours
    both = f"{ours.user.public_id},{ours.restricted.public_id}"
    answer = api.put(f"membership/?id__in={both}", {"role_id": "superuser"})
    assert [row["role_id"] for row in answer["data"]] == ["superuser", "superuser"]
    before = state()
    api.put(f"membership/?id__in={ours.user.public_id},{ours.admin.public_id}", {"role_id": "user"}, status=400)
    api.put(f"membership/?id__in={ours.user.public_id},{world.theirs.user.public_id}", {"role_id": "user"}, status=404)
    api.put("membership/", {"role_id": "user"}, status=400)
    assert state() == before


def test_the_last_admin_keeps_the_role(api: Api, world: World) -> None:
    before = state()
    answer = api.put(f"membership/{world.ours.admin.public_id}/", {"role_id": "user"}, status=400)
    assert "last admin" in answer["error"]
    assert (
        "role_id"
        in api.put(f"membership/{world.ours.user.public_id}/", {"role_id": "role_x"}, status=400)["field-errors"]
    )
    assert state() == before


# --- groups -----------------------------------------------------------------------------------------------------------
def test_a_group_is_made_filled_emptied_and_deleted(api: Api, world: World) -> None:
    user = world.ours.user.user.public_id
    group = api.post("group/", {"name": "West", "members": [{"user_id": user}]}, status=201)
    address = f"group/{group['id']}/"
    assert api.last["Location"].endswith(f"/api/v1/{address}")
    assert api.get(f"{address}?_fields=id,name,members") == {
        "id": group["id"], "name": "West", "members": [{"user_id": user}],
    }  # fmt: skip
    other = world.ours.restricted.user.public_id
    for _ in range(2):
        assert api.post(f"{address}member/", {"user_id": other}, status=201)["user_id"] == other
    assert len(api.get(f"{address}?_fields=members")["members"]) == 2
    for _ in range(2):
        assert api.delete(f"{address}member/{other}/", status=204) == ""
    assert api.put(address, {"name": "Far West"})["name"] == "Far West"
    api.post("group/", {"name": "FAR west"}, status=400)
    assert api.delete(address, status=204) == ""
    api.get(address, status=404)


def test_a_group_takes_members_of_its_organization_only(api: Api, world: World) -> None:
    group = api.post("group/", {"name": "West"}, status=201)
    before = state()
    stranger = world.theirs.user.user.public_id
    for body in ({"user_id": stranger}, {"user_id": "user_x"}, {}):
        assert "user_id" in api.post(f"group/{group['id']}/member/", body, status=400)["field-errors"]
    api.post("group/", {"name": "East", "members": [{"user_id": stranger}]}, status=400)
    api.delete(f"group/{group['id']}/member/{stranger}/", status=404)
    assert state() == before


# --- who may ----------------------------------------------------------------------------------------------------------
def test_people_are_managed_by_those_who_may(user_api: Api, world: World) -> None:
    with scope(world.ours.organization):
        role = clone_role(world.ours.admin, Role.objects.get(slug="user"), "Closer").public_id
        group = create_team(world.ours.admin, "West").public_id
    member, user = world.ours.admin.public_id, world.ours.user.user.public_id
    before = state()
    for method, address, body in (
        ("POST", "role/", {"name": "x"}),
        ("PUT", f"role/{role}/", {"name": "x"}),
        ("DELETE", f"role/{role}/", None),
        ("POST", "membership/", {"email": "bo@new.example"}),
        ("PUT", f"membership/{member}/", {"role_id": "user"}),
        ("PUT", f"membership/?id__in={member}", {"role_id": "user"}),
        ("POST", "group/", {"name": "x"}),
        ("PUT", f"group/{group}/", {"name": "x"}),
        ("DELETE", f"group/{group}/", None),
        ("POST", f"group/{group}/member/", {"user_id": user}),
        ("DELETE", f"group/{group}/member/{user}/", None),
    ):
        assert "manage organization" in user_api.call(method, address, body, status=403)["error"]
    assert state() == before


def test_what_is_another_organizations_is_not_there(api: Api, world: World) -> None:
    with scope(world.theirs.organization):
        role = clone_role(world.theirs.admin, Role.objects.get(slug="user"), "Theirs").public_id
        group = create_team(world.theirs.admin, "Theirs").public_id
    before = state()
    for address, missing in ((f"role/{role}/", "role/role_0/"), (f"group/{group}/", "group/group_0/")):
        for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
            theirs = api.call(method, address, body, status=404)
            assert theirs == api.call(method, missing, body, status=404)
    api.put(f"membership/{world.theirs.user.public_id}/", {"role_id": "user"}, status=404)
    assert state() == before
