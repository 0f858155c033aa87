"""Why a member can or cannot: the page gives the gate's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from activities.queries_access import explain, things_meant
from activities.services.types import update_type
from crm import events
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.members import deactivate_member
from crm.models import Role
from crm.tenancy import scope
from leads.services import create_lead
from tests.factories import PASSWORD, Tenant, World, change_field


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def answers(tenant: Tenant, member: Any, thing: str) -> dict[str, bool]:
    found = explain(tenant.admin, member, thing)
    return {f"{row.question} {row.door}".strip(): row.decision.allowed for row in found.answers}


def test_a_lead(ours: Tenant) -> None:
    assert answers(ours, ours.restricted, ours.leads[0].public_id) == {
        "See the lead, find it and count it": True,
        "Edit the lead, its contacts and tasks of their own": True,
        "Merge the lead with another one": False,
        "Delete the lead": False,
    }


def test_a_link_names_the_activity_in_it(ours: Tenant) -> None:
    link = f"http://localhost:8000/o/ours/leads/{ours.leads[0].public_id}/#{ours.activities[0].public_id}"
    found = explain(ours.admin, ours.restricted, link)
    assert (found.what, found.name) == ("activity", "Qualifying call on Acme")
    assert [row.decision.allowed for row in found.answers] == [True, False, False]
    assert "does not include “manage others’ activities”" in found.answers[1].decision.reason


def test_a_draft_is_private(ours: Tenant) -> None:
    assert not answers(ours, ours.restricted, ours.draft.public_id)["See the activity, find it and count it"]
    assert answers(ours, ours.user, ours.draft.public_id)["Publish it"]


def test_a_type_that_is_restricted_or_for_the_api(ours: Tenant) -> None:
    superuser = Role.objects.get(slug="superuser").pk
    update_type(ours.admin, ours.type_row, {"edit_roles": [superuser], "api_only": True})
    kind = ours.type_row.public_id
    ours.admin.organization.refresh_from_db()
    assert answers(ours, ours.user, kind) == {"See activities of this type": True, "Log a new one": False}
    assert answers(ours, ours.superuser, kind) == {
        "See activities of this type": True,
        "Log a new one on pages": False,
        "Log a new one through the API": True,
    }


def test_a_field(ours: Tenant) -> None:
    superuser = Role.objects.get(slug="superuser").pk
    change_field(ours, "Users", {"view_roles": [superuser]})
    field = ours.fields["Users"]
    assert answers(ours, ours.user, field) == {
        "See it on Qualifying call activities": False,
        "Write it on Qualifying call activities": False,
    }
    assert "See Users" in answers(ours, ours.user, ours.activities[0].public_id)


def test_a_former_member_gets_one_answer(ours: Tenant) -> None:
    deactivate_member(ours.admin, ours.user)
    ours.user.refresh_from_db()
    found = explain(ours.admin, ours.user, ours.leads[0].public_id)
    assert [(row.question, row.decision.reason) for row in found.answers] == [
        ("Use this organization at all", "You are no longer a member of this organization.")
    ]


@pytest.mark.parametrize("thing", ["", "hello", "lead_", "lead_0000000000000000", "x" * 500])
def test_what_names_nothing_is_said(ours: Tenant, thing: str) -> None:
    with pytest.raises((InvalidInput, NotFound)):
        explain(ours.admin, ours.user, thing)


def test_things_are_found_by_their_names(ours: Tenant, world: World) -> None:
    def meant(text: str, actor: Any = None) -> list[tuple[str, str]]:
        return [(thing.what, thing.name) for thing in things_meant(actor or ours.admin, text)]

    lead = ours.leads[0]
    assert meant(f" {lead.name.upper()} ") == [("lead", lead.name)]
    assert things_meant(ours.admin, lead.name)[0].public_id == lead.public_id, "not the other organization's"
    assert meant(ours.call.name) == [("activity type", ours.call.name)]
    assert meant("crm") == [("field", "CRM")]
    assert ("lead", lead.name) in meant(lead.name[:3]), "words of the name are enough"
    for nothing in ("", "no such thing", "Lead created", "Direction", "%", "_"):
        with pytest.raises(InvalidInput):
            things_meant(ours.admin, nothing)
    with pytest.raises(NotAllowed):
        things_meant(ours.superuser, lead.name)
    create_lead(ours.admin, name=lead.name)
    assert meant(lead.name) == [("lead", lead.name)] * 2


def test_things_of_another_organization_are_not_there(ours: Tenant, world: World) -> None:
    theirs = world.theirs
    with scope(theirs.organization):
        things = [theirs.leads[0].public_id, theirs.activities[0].public_id, theirs.type_row.public_id]
        things.append(theirs.fields["CRM"])
    for thing in things:
        with pytest.raises(NotFound):
            explain(ours.admin, ours.user, thing)


@pytest.mark.parametrize("who", ["superuser", "user", "restricted"])
def test_only_those_who_manage_the_organization_ask(world: World, who: str) -> None:
    with scope(world.ours.organization), pytest.raises(NotAllowed):
        explain(getattr(world.ours, who), world.ours.admin, world.ours.leads[0].public_id)
    client = Client()
    client.login(email=getattr(world.ours, who).user.email, password=PASSWORD)
    assert client.get("/o/ours/settings/access/").status_code == 403


def test_the_page_answers_with_and_without_htmx(world: World) -> None:
    client = Client()
    client.login(email=world.ours.admin.user.email, password=PASSWORD)
    asked = {"member": world.ours.restricted.public_id, "thing": world.ours.leads[0].public_id}
    page = client.get("/o/ours/settings/access/", asked).content.decode()
    part = client.get("/o/ours/settings/access/", asked, headers={"HX-Request": "true"}).content.decode()
    assert "<html" in page
    assert part.strip().startswith('<div id="access_answer"')
    for shown in (page, part):
        assert "does not include “delete leads”" in shown
    choice = client.get("/o/ours/settings/access/", asked | {"thing": "a"}).content.decode()
    assert "Which one do you mean?" in choice and f"thing={world.ours.leads[0].public_id}" in choice
    named = client.get("/o/ours/settings/access/", asked | {"thing": world.ours.leads[0].name}).content.decode()
    assert "does not include “delete leads”" in named
    asked["thing"] = world.theirs.leads[0].public_id
    refused = client.get("/o/ours/settings/access/", asked)
    assert refused.status_code == 422
    assert "There is no such lead." in refused.content.decode()
