"""The staff door: who comes in and how, what is listed, and that nothing is made or deleted there by hand."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from crm.models import Membership, Organization, User
from tests.factories import World
from tests.leads.test_pages import signed_in, text

LISTED = ["activities.activity", "crm.organization", "crm.user", "django_q.failure", "leads.contact", "leads.lead"]
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("ops@example.com", "a long password")


@pytest.fixture
def staff(operator: User) -> Client:
    client = Client()
    client.force_login(operator, backend=BACKEND)
    return client


def lists() -> list[str]:
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
    ]


# --- who comes in -----------------------------------------------------------------------------------------------------
def test_the_only_way_in_is_the_one_with_limits_and_the_second_step(operator: User) -> None:
    cache.clear()
    client, sent = Client(), {"username": operator.email, "password": "a long password"}
    for response in (client.get("/staff/"), client.get("/staff/crm/user/"), client.post("/staff/login/", sent)):
        assert response.status_code == 302
    assert client.get("/staff/crm/user/", follow=True).redirect_chain[-1][0].startswith("/accounts/login/?next=/staff/")
    assert "_auth_user_id" not in client.session


def test_for_members_nothing_is_there(world: World) -> None:
    client = signed_in(world.ours.admin)
    for path in ("/staff/", "/staff/login/", *lists()):
        assert client.get(path, follow=True).status_code == 404, path


def test_staff_without_rights_reads_nothing(operator: User, staff: Client) -> None:
    User.objects.filter(pk=operator.pk).update(is_superuser=False)
    assert "Organizations" not in text(staff.get("/staff/"))
    for path in lists():
        assert staff.get(path).status_code == 403, path


def test_who_is_in_is_not_asked_again(staff: Client) -> None:
    assert staff.get("/staff/login/").headers["Location"] == "/staff/"
    assert staff.get("/staff/password_change/").headers["Location"] == reverse("account_change_password")


# --- what is there ----------------------------------------------------------------------------------------------------
def test_nothing_is_listed_that_we_did_not_choose() -> None:
    assert sorted(model._meta.label_lower for model in admin.site._registry) == LISTED


def test_every_list_its_search_and_its_form_open(world: World, staff: Client) -> None:
    for path in lists():
        for given in ({}, {"q": "a"}):
            page = staff.get(path, given)
            assert page.status_code == 200, path
        for row in page.context["cl"].queryset[:1] if "django_q" not in path else ():
            form = staff.get(f"{path}{row.pk}/change/")
            assert form.status_code == 200, path
        assert staff.get(f"{path}add/").status_code == 403, path


def test_users_are_shown_with_their_organizations(
    world: World, staff: Client, django_assert_max_num_queries: Any
) -> None:
    path = reverse("admin:crm_user_changelist")
    with django_assert_max_num_queries(8):
        page = text(staff.get(path))
    assert f"{world.ours.organization} (Admin)" in page and f"{world.theirs.organization} (Admin)" in page


def test_nothing_is_made_or_deleted_by_hand(world: World, staff: Client) -> None:
    organization, user = world.ours.organization, world.ours.user.user
    before = (Organization.objects.count(), User.objects.count(), Membership.unscoped.count())
    for path in (f"/staff/crm/organization/{organization.pk}/", f"/staff/crm/user/{user.pk}/"):
        assert staff.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert staff.post("/staff/crm/user/add/", {"email": "new@example.com"}).status_code == 403
    assert (Organization.objects.count(), User.objects.count(), Membership.unscoped.count()) == before


def test_a_plan_is_chosen_and_a_person_shut_out(world: World, staff: Client) -> None:
    organization, user = world.ours.organization, world.ours.user.user
    given = {"name": organization.name, "slug": organization.slug, "plan": "growth", "timezone": "Nowhere/Land"}
    assert staff.post(f"/staff/crm/organization/{organization.pk}/change/", given).status_code == 302
    organization.refresh_from_db()
    assert (organization.plan, organization.timezone) == ("growth", "UTC")
    assert staff.post(f"/staff/crm/user/{user.pk}/change/", {"email": user.email, "first_name": "U"}).status_code == 302
    user.refresh_from_db()
    assert not user.is_active
    assert signed_in(world.ours.user).get("/o/ours/leads/").status_code != 200
