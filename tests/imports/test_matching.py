"""Which column of a file goes where: what is matched by itself, what is only suggested, and what is remembered."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from activities import imports
from crm import events
from crm.customfields.services import create_field
from crm.models import FieldSet, ImportRun
from crm.tenancy import scope
from leads.resources import LeadResource
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World, settings: Any, tmp_path: Any) -> Iterator[Tenant]:
    settings.MEDIA_ROOT = tmp_path
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def upload(tenant: Tenant, *headers: str, target: str = "activities", name: str = "file.csv") -> ImportRun:
    text = f"{','.join(headers)}\n{','.join('x' for _ in headers)}\n"
    return imports.start_run(tenant.admin, target, name, io.BytesIO(text.encode()))


def lead_field(tenant: Tenant, name: str, owner: str = FieldSet.Owner.LEAD) -> str:
    return f"custom.{create_field(tenant.admin, FieldSet.objects.get(owner=owner), name=name, kind='text').public_id}"


def test_names_match_whatever_their_capitals_and_spaces(ours: Tenant) -> None:
    region = lead_field(ours, "Sales region")
    run = upload(ours, "NAME", "Contact Name", "zip-code", "SALES_REGION", "City", target="leads")
    assert run.options["mapping"] == {
        "NAME": "name", "Contact Name": "contact_name", "zip-code": "zipcode", "SALES_REGION": region, "City": "city",
    }  # fmt: skip


def test_a_name_that_is_only_similar_is_suggested_and_left_out(ours: Tenant) -> None:
    lead_field(ours, "Employees")
    resource = LeadResource(ours.admin)
    for header, suggested in (("Employes", "Employees"), ("Contct_name", "contact_name"), ("Web-sites", "url")):
        run = upload(ours, "name", header, target="leads")
        assert run.options["mapping"] == {"name": "name", header: ""}
        assert resource.hint_for(header).words == f"“{header}”: did you mean “{suggested}”? It is left out."
    assert upload(ours, "Users").options["mapping"] == {"Users": f"custom.{ours.fields['Users']}"}
    assert upload(ours, "User's").options["mapping"] == {"User's": ""}


def test_what_is_surer_goes_first_wherever_it_stands(ours: Tenant) -> None:
    run = upload(ours, "Account", "Company", "Name", "name", target="leads")
    assert run.options["mapping"] == {"Account": "", "Company": "", "Name": "", "name": "name"}
    company = lead_field(ours, "company")
    run = upload(ours, "Company", "Customer", target="leads")
    assert run.options["mapping"] == {"Company": company, "Customer": "name"}


def test_a_field_of_leads_comes_before_that_of_contacts(ours: Tenant) -> None:
    of_contact = lead_field(ours, "Tier", FieldSet.Owner.CONTACT)
    of_lead = lead_field(ours, "Tier")
    run = upload(ours, "name", "Tier", "Tier (contact)", target="leads")
    assert run.options["mapping"] == {"name": "name", "Tier": of_lead, "Tier (contact)": f"contact.{of_contact}"}


def test_what_was_left_out_of_another_file_is_not_left_out_of_this_one(ours: Tenant) -> None:
    first = upload(ours, "name", "City", target="leads")
    imports.set_mapping(ours.admin, first, {"mapping": {"name": "name", "City": ""}})
    assert upload(ours, "name", "City", target="leads").options["mapping"]["City"] == ""
    assert upload(ours, "name", "City", "url", target="leads").options["mapping"]["City"] == "city"


def test_a_field_whose_name_other_types_have_too_is_found_again(ours: Tenant) -> None:
    first = upload(ours, "lead_name", "Region")
    users = f"custom.{ours.fields['Users']}"
    imports.set_mapping(
        ours.admin, first, {"mapping": {"lead_name": "lead_name", "Region": users}, "type_id": ours.call.public_id}
    )
    from activities.services.types import create_type

    create_field(ours.admin, create_type(ours.admin, name="Other").fieldset, name="Users", kind="text")
    again = upload(ours, "lead_name", "Region", "user")
    resource = imports.resource_of(ours.admin, again)
    assert again.options["mapping"]["Region"] == "custom.Users"
    assert "custom.Users" in resource.writable_names().values(), "the page offers it"
