"""Teams: made, named, filled and deleted by those who manage the organization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from crm import events
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.members import deactivate_member
from crm.models import Event, Team
from crm.teams import add_to_team, create_team, delete_team, remove_from_team, rename_team, team_for, teams_of
from crm.tenancy import scope
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def signed_in(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def state() -> Any:
    return (
        [(row.pk, row.name, sorted(row.members.values_list("pk", flat=True))) for row in Team.unscoped.order_by("pk")],
        Event.unscoped.count(),
    )


def test_a_team_is_made_renamed_filled_and_deleted(ours: Tenant) -> None:
    team = create_team(ours.admin, " West  coast ", [ours.user])
    assert [(row.name, list(row.members.all())) for row in teams_of(ours.admin)] == [("West coast", [ours.user.user])]
    rename_team(ours.admin, team, "West")
    add_to_team(ours.admin, team, ours.superuser)
    events_before = Event.objects.count()
    add_to_team(ours.admin, team, ours.superuser)
    remove_from_team(ours.admin, team, ours.restricted)
    assert Event.objects.count() == events_before
    remove_from_team(ours.admin, team, ours.user)
    assert list(team.members.all()) == [ours.superuser.user]
    delete_team(ours.admin, team)
    rows = Event.objects.filter(object_type="group").order_by("pk").values_list("action", flat=True)
    assert list(rows) == ["created", "updated", "updated", "updated", "deleted"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "WEST"])
def test_a_team_needs_a_name_of_its_own(ours: Tenant, name: str) -> None:
    create_team(ours.admin, "West")
    other = create_team(ours.admin, "East")
    before = state()
    with pytest.raises(InvalidInput) as refused:
        create_team(ours.admin, name)
    assert set(refused.value.fields) == {"name"}
    with pytest.raises(InvalidInput):
        rename_team(ours.admin, other, name)
    assert state() == before


def test_former_members_join_no_team_but_stay_in_theirs(ours: Tenant) -> None:
    team = create_team(ours.admin, "West", [ours.user])
    deactivate_member(ours.admin, ours.user)
    deactivate_member(ours.admin, ours.restricted)
    assert list(team.members.all()) == [ours.user.user]
    ours.restricted.refresh_from_db()
    with pytest.raises(InvalidInput, match="former member"):
        add_to_team(ours.admin, team, ours.restricted)


@pytest.mark.parametrize("who", ["superuser", "user", "restricted"])
def test_teams_are_for_those_who_manage_the_organization(ours: Tenant, who: str) -> None:
    team = create_team(ours.admin, "West", [ours.user])
    actor, before = getattr(ours, who), state()
    for attempt in (
        lambda: create_team(actor, "Mine"),
        lambda: rename_team(actor, team, "Mine"),
        lambda: delete_team(actor, team),
        lambda: add_to_team(actor, team, actor),
        lambda: remove_from_team(actor, team, ours.user),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert state() == before


def test_the_page_shows_teams_with_one_number_of_queries(world: World, django_assert_num_queries: Any) -> None:
    client = signed_in(world.ours)
    client.get("/o/ours/settings/teams/")
    with django_assert_num_queries(8):
        client.get("/o/ours/settings/teams/")
    with scope(world.ours.organization):
        for name in ("West", "East", "North"):
            create_team(world.ours.admin, name, world.ours.members)
    with django_assert_num_queries(9):
        page = client.get("/o/ours/settings/teams/").content.decode()
    assert page.count("Uma User") >= 3


def test_the_page_makes_renames_and_fills(world: World) -> None:
    client = signed_in(world.ours)
    assert client.post("/o/ours/settings/teams/new/", {"name": "West"}).status_code == 302
    team = Team.unscoped.get(organization=world.ours.organization)
    base = f"/o/ours/settings/teams/{team.public_id}/"
    assert client.post(f"{base}members/", {"member": world.ours.user.public_id}).status_code == 302
    assert list(team.members.all()) == [world.ours.user.user]
    refused = client.post(f"{base}rename/", {"name": ""})
    assert refused.status_code == 422
    assert "A team needs a name." in refused.content.decode()
    assert client.post(f"{base}members/{world.ours.user.public_id}/remove/").status_code == 302
    assert not team.members.exists()
    assert client.post(f"{base}delete/").status_code == 302
    assert not Team.unscoped.exists()


def test_another_organizations_team_and_members_are_not_there(world: World) -> None:
    with scope(world.theirs.organization):
        theirs = create_team(world.theirs.admin, "Theirs", [world.theirs.user])
    with scope(world.ours.organization):
        own = create_team(world.ours.admin, "Ours")
        with pytest.raises(NotFound, match="There is no such group"):
            team_for(world.ours.admin, theirs.public_id)
    client, before = signed_in(world.ours), state()
    for part, given in (
        ("rename/", {"name": "x"}),
        ("delete/", {}),
        ("members/", {"member": world.ours.user.public_id}),
    ):
        assert client.post(f"/o/ours/settings/teams/{theirs.public_id}/{part}", given).status_code == 404
    address = f"/o/ours/settings/teams/{own.public_id}/members/"
    assert client.post(address, {"member": world.theirs.user.public_id}).status_code == 404
    assert state() == before
