"""What somebody sees who opens an organization in which nothing has happened yet."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection

from activities.services.types import create_type
from crm import events
from crm.management.provision import join, provision_organization
from crm.models import Membership, Role
from crm.tenancy import scope
from leads.services import create_lead
from tests.leads.test_pages import signed_in, text


@pytest.fixture
def admin(db: None) -> Membership:
    return provision_organization("New", "new", "ann@new.example", plan="unlimited")


def joined(admin: Membership, role: str) -> Membership:
    with scope(admin.organization):
        return join(admin.organization, f"{role}@new.example", Role.objects.get(slug=role))


def page(member: Membership, query: str = "") -> str:
    return text(signed_in(member).get(f"/o/new/leads/{query}"))


def steps(shown: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", shown)


ALL = ["Say what you log", "Invite your team", "Bring your leads", "Log the first activity"]


def test_an_admin_is_told_how_to_begin(admin: Membership) -> None:
    shown = page(admin)
    assert steps(shown) == ALL and "Done:" not in shown
    for address in ("settings/activities/", "settings/members/", "settings/import/", "leads/new/"):
        assert f'href="/o/new/{address}"' in shown, address


def test_what_is_done_is_ticked_off(admin: Membership) -> None:
    with scope(admin.organization), events.door("page"):
        create_type(admin, name="Demo")
    assert page(admin).count("Done:") == 1
    joined(admin, "user")
    shown = page(admin).partition("tp-first-steps")[2]
    assert shown.count("Done:") == 2 and re.findall(r'btn btn-primary" href="([^"]+)', shown) == [
        "/o/new/settings/import/"
    ]


@pytest.mark.parametrize(("role", "expected"), [
    ("superuser", [ALL[0], *ALL[2:]]), ("user", []), ("restricteduser", []),
])  # fmt: skip
def test_nobody_is_sent_where_they_may_not_go(admin: Membership, role: str, expected: list[str]) -> None:
    shown = page(joined(admin, role))
    assert steps(shown) == expected and ("No leads yet" in shown) == (not expected)
    assert "settings/members" not in shown.partition("tp-first-steps")[2]


def test_a_search_without_results_is_no_beginning(admin: Membership) -> None:
    assert steps(page(admin, "?q=nobody")) == [] and "Nothing fits" in page(admin, "?q=nobody")
    with scope(admin.organization), events.door("page"):
        create_lead(admin, name="Acme")
    assert steps(page(admin)) == []
    assert steps(text(signed_in(admin).get("/o/new/contacts/"))) == []


def test_leads_of_others_are_a_beginning_as_well(admin: Membership) -> None:
    member = joined(admin, "superuser")
    with scope(admin.organization), events.door("page"):
        create_lead(admin, name="Zyxt")
        member.role = Role.objects.create(
            organization=admin.organization, name="Builders", permissions=["manage_customizations"]
        )
        member.save(update_fields=["role"])
    assert "Zyxt" not in page(member) and steps(page(member)) == []


# PostgreSQL is told how long a search may take.
LIMITS = 4 if connection.vendor == "postgresql" else 0


def test_it_costs_two_queries(admin: Membership, django_assert_num_queries: Any) -> None:
    for member, queries in ((admin, 12), (joined(admin, "superuser"), 11)):
        client = signed_in(member)
        client.get("/o/new/leads/")
        with django_assert_num_queries(queries + LIMITS):
            client.get("/o/new/leads/")
