"""Every page of an organization answers for a member, and nothing of it for anybody else."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from crm.customfields.services import create_field
from crm.tenancy import scope
from tests.factories import PASSWORD, Tenant


def client_of(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def addresses(tenant: Tenant) -> dict[str, str]:
    slug = tenant.organization.slug
    lead, kind = tenant.leads[0].public_id, tenant.type_row.public_id
    activity, draft = tenant.activities[0].public_id, tenant.draft.public_id

    with scope(tenant.organization):
        contact = tenant.leads[0].contacts.first().public_id
        field = tenant.fields["CRM"]
    named = {
        "leads:list": (), "leads:create": (), "leads:page": (lead,), "leads:edit": (lead,), "leads:contact_create": (lead,),
        "leads:contacts": (), "leads:contact_edit": (contact,), "leads:smart_views": (), "leads:palette": (),
        "leads:merge": (lead,), "leads:delete": (lead,), "leads:contact_delete": (contact,), "leads:lead_contacts": (lead,),
        "leads:lead_tasks": (lead,), "leads:my_tasks": (), "leads:twins": (),
        "leads:statuses": (), "activities:list": (), "activities:drafts": (), "activities:timeline": (lead,),
        "activities:form_new": (lead, kind), "activities:edit": (activity,), "activities:history": (activity,),
        "activities:types": (), "activities:type_create": (), "activities:type_page": (kind,),
        "activities:lead_fields": (), "activities:contact_fields": (), "activities:field_create": (kind,),
        "activities:field_edit": (kind, field), "activities:import_export": (), "reporting:overview": (),
        "reporting:comparison": (), "members": (), "roles": (), "plan": (), "api_keys": (), "help": (),
    }  # fmt: skip
    found = {name: reverse(name, args=[slug, *args]) for name, args in named.items()}
    found["draft"] = reverse("activities:edit", args=[slug, draft])
    found["tile"] = reverse("reporting:tile", args=[slug]) + f"?metric=custom_activities.created.{kind}.count"
    return found


def test_each_page_answers_a_member(world) -> None:
    client = client_of(world.ours)
    for name, address in addresses(world.ours).items():
        response = client.get(address)
        assert response.status_code == 200, f"{name} {address}: {response.status_code}"
        assert (
            response.headers["Cache-Control"] == "no-store, private" or "private" in response.headers["Cache-Control"]
        )


def test_strangers_get_the_same_404_as_for_nothing(world) -> None:
    client = client_of(world.theirs)
    missing = client.get("/o/no-such-organization/leads/")
    assert missing.status_code == 404
    for name, address in addresses(world.ours).items():
        response = client.get(address)
        assert response.status_code == 404, name
        assert b"Acme" not in response.content


def test_another_organizations_ids_are_404_in_ours(world) -> None:
    client = client_of(world.ours)
    ours, theirs = addresses(world.ours), addresses(world.theirs)
    for name, address in theirs.items():
        swapped = address.replace("/o/theirs/", "/o/ours/")
        if swapped == ours[name] or name == "tile":
            continue
        assert client.get(swapped).status_code == 404, name


def test_the_signed_out_are_asked_to_sign_in(world) -> None:
    for name, address in addresses(world.ours).items():
        response = Client().get(address)
        assert response.status_code == 302, name
        assert response.headers["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("role", ["user", "restricted"])
def test_members_without_the_right_are_told_why(world, role: str) -> None:
    client = client_of(world.ours, role)
    response = client.get(addresses(world.ours)["activities:type_page"])
    assert response.status_code == 403
    assert "does not include “manage customizations”" in response.content.decode()


def test_a_field_description_is_text_and_never_markup(world) -> None:
    """Attack 15: what an admin types as a description reaches every form; it must arrive as text."""
    ours = world.ours
    with scope(ours.organization):
        create_field(
            ours.admin, ours.type_row.fieldset, name="<b>Trap</b>", kind="text", description="<img src=x id=pwn>"
        )  # fmt: skip
    page = client_of(ours).get(addresses(ours)["activities:form_new"]).content.decode()
    assert "&lt;img src=x id=pwn&gt;" in page
    assert "<img src=x" not in page
    assert "<b>Trap" not in page


@pytest.mark.parametrize("name", ["leads:create", "activities:type_create", "activities:field_create"])
def test_a_page_for_something_new_starts_at_its_name(world, name: str) -> None:
    ours = world.ours
    args = [ours.type_row.public_id] if name == "activities:field_create" else []
    client = Client()
    client.force_login(ours.admin.user)
    page = client.get(reverse(name, args=[ours.organization.slug, *args])).content.decode()
    assert re.findall(r'<input[^>]*name="(\w+)"[^>]* autofocus', page) == ["name"]
