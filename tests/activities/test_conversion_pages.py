"""Settings > Lead fields > Change kind: what it says before anything happens, the change, and the field on its way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from crm import events, jobs
from crm.customfields import services
from crm.customfields.services import conversion_previews, conversions
from crm.models import CustomField, FieldSet, Notification
from crm.roles import create_role
from crm.tasks import convert_field
from crm.tenancy import scope
from tests.activities.test_types_pages import HTMX, client_of, everything, text, url
from tests.crm.test_field_conversion import add, give, shown
from tests.factories import Tenant, World

QUERIES_CHOOSE = 10
QUERIES_PREVIEW = 19
QUERIES_LIST = 7


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def admin(ours: Tenant) -> Client:
    return client_of(ours)


@pytest.fixture
def field(ours: Tenant) -> CustomField:
    found = add(ours, FieldSet.objects.get(owner="lead"))
    give(ours, found, "1", "two", "3")
    return found


def address(tenant: Tenant, field: CustomField, name: str = "field_convert") -> str:
    return url(tenant, name, FieldSet.objects.get(uses__field=field).owner, field.public_id)


def words(response: Any) -> str:
    """Return what a person reads of a page, in one line."""
    found = re.sub(r"<[^>]+>", " ", re.sub(r"(?s).*<main", "<main", text(response)))
    return " ".join(found.split())


# --- who may ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
@pytest.mark.parametrize("role", ["user", "restricted"])
def test_who_does_not_manage_customizations_sees_and_changes_nothing(
    ours: Tenant, field: CustomField, role: str, headers: dict[str, str]
) -> None:
    before, client = everything(), client_of(ours, role)
    for given in ({"kind": "number", "then": "preview"}, {"kind": "number", "then": "convert", "drops": "9"}):
        response = client.post(address(ours, field), given, headers=headers)
        assert response.status_code == 403 and "two" not in text(response)
    for name in ("field_convert", "field_converting"):
        assert client.get(address(ours, field, name), headers=headers).status_code == 403
    assert everything() == before


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_another_organizations_field_is_not_there(
    ours: Tenant, world: World, field: CustomField, headers: dict[str, str]
) -> None:
    with scope(world.theirs.organization):
        theirs = address(world.theirs, add(world.theirs, FieldSet.objects.get(owner="lead")))
    before, given = everything(), {"kind": "number", "then": "convert", "drops": "9"}
    assert client_of(world.theirs).post(address(ours, field), given, headers=headers).status_code == 404
    client = client_of(ours)
    swapped = theirs.replace("/o/theirs/", "/o/ours/")
    assert client.post(swapped, given, headers=headers).status_code == 404
    assert client.get(swapped.replace("/convert/", "/converting/"), headers=headers).status_code == 404
    assert everything() == before


def test_fields_whose_kind_is_fixed_have_no_such_page(ours: Tenant, admin: Client, field: CustomField) -> None:
    services.share_field(ours.admin, field)
    before, given = everything(), {"kind": "number", "then": "convert", "drops": "9"}
    for address_ in (address(ours, field), url(ours, "field_convert", ours.type_row.public_id, ours.fields["CRM"])):
        assert admin.get(address_).status_code == 404
        assert admin.post(address_, given).status_code == 404
    assert everything() == before
    for page in (
        address(ours, field, "field_edit"),
        url(ours, "field_edit", ours.type_row.public_id, ours.fields["CRM"]),
    ):
        assert "Change kind" not in text(admin.get(page))


def test_a_new_field_says_whether_its_kind_can_be_changed(ours: Tenant, admin: Client) -> None:
    for owner, later in (("lead", True), ("contact", True), (ours.type_row.public_id, False)):
        page = text(admin.get(url(ours, "field_create", owner)))
        assert ("It can be changed later." in page, "Fixed once saved." in page) == (later, not later)


# --- before anything happens --------------------------------------------------------------------------------------------
def test_the_editor_leads_to_it(ours: Tenant, admin: Client, field: CustomField) -> None:
    page = text(admin.get(address(ours, field, "field_edit")))
    assert f'href="{address(ours, field)}"' in page and "Change kind…" in page
    page = text(admin.get(address(ours, field)))
    offered = re.findall(r'<option value="(\w+)"', page)
    assert offered == [kind.slug for kind in services.possible_kinds(FieldSet.objects.get(owner="lead"), field)]
    assert "text" not in offered and len(offered) == 12
    assert 'id="convert_preview"' not in page


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_the_preview_has_numbers_examples_and_what_else_changes(
    ours: Tenant, admin: Client, field: CustomField, headers: dict[str, str]
) -> None:
    before = everything()
    response = admin.post(address(ours, field), {"kind": "number", "then": "preview"}, headers=headers)
    page = words(response)
    assert response.status_code == 200 and ("<html" in text(response)) is not bool(headers)
    for sentence in (
        "Leads with a value 3", "keep it 2", "lose it 1", "Would be dropped", "must be a number; “two” is not one",
        ours.leads[1].name, "Would be kept", "No Smart View, on-publish rule, report tile or other field’s rule uses",
        "It cannot be undone", "Export leads and contacts as CSV", "Change kind and drop 1 value",
    ):  # fmt: skip
        assert sentence in page, sentence
    assert everything() == before


def test_a_member_without_the_right_to_export_is_offered_none(ours: Tenant, field: CustomField) -> None:
    ours.user.role = create_role(ours.admin, name="Editors", permissions=["manage_customizations", "view_all_leads"])
    ours.user.save(update_fields=["role"])
    page = words(client_of(ours, "user").post(address(ours, field), {"kind": "number"}))
    assert "lose it 1" in page and "Export leads" not in page


def test_without_values_nothing_is_lost(ours: Tenant, admin: Client) -> None:
    field = add(ours, FieldSet.objects.get(owner="contact"))
    page = words(admin.post(address(ours, field), {"kind": "date"}))
    assert "No contact has a value yet, so nothing is lost." in page and "Change kind to Date" in page
    assert "Export leads" not in page and "cannot be undone" not in page


def test_more_than_is_looked_at_is_said_so(
    ours: Tenant, admin: Client, field: CustomField, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion_previews, "LOOKED_AT", 2)
    monkeypatch.setattr("crm.customfields.services.conversion_plans.CHUNK", 2)
    page = words(admin.post(address(ours, field), {"kind": "number"}))
    assert "the first 2 of 3 were looked at" in page
    assert "lose it at least 1" in page and "Change kind and drop at least 1 value" in page


def test_options_are_made_or_written(ours: Tenant, admin: Client, field: CustomField) -> None:
    page = words(admin.post(address(ours, field), {"kind": "choices", "asked": "1"}))
    assert "Make one of each value there is (3)" in page and "lose it 0" in page
    listed = {"kind": "choices", "asked": "1", "make": "listed", "options": "Two\n3"}
    response = admin.post(address(ours, field), listed)
    assert "Change kind and drop 1 value" in words(response) and ">Two\n3</textarea>" in text(response)
    # Who begins to write finds one for each value.
    begun = admin.post(address(ours, field), {**listed, "options": " "})
    assert begun.status_code == 200 and ">1\n3\ntwo</textarea>" in text(begun) and "lose it 0" in words(begun)
    empty = admin.post(address(ours, field), {**listed, "options": " ", "then": "convert", "drops": "9"})
    assert empty.status_code == 422 and "Write the options, one a line." in words(empty)
    admin.post(address(ours, field), {**listed, "then": "convert", "drops": "1", "multiple": "1"})
    assert shown(ours, field) == [None, ["Two"], ["3"]]


def test_too_many_different_values_for_options(
    ours: Tenant, admin: Client, field: CustomField, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm.customfields.services.conversion_plans.MAX_OPTIONS", 2)
    before = everything()
    for given in ({}, {"then": "convert", "drops": "0"}):
        response = admin.post(address(ours, field), {"kind": "choices", **given})
        assert response.status_code == 422
        assert "There are more than 2 different values" in words(response)
        assert "Change kind and" not in words(response)
    assert everything() == before


def test_a_field_by_which_a_role_sees_leads_says_which(ours: Tenant, admin: Client) -> None:
    field = add(ours, FieldSet.objects.get(owner="lead"), "user", name="Owner")
    give(ours, field, ours.user.user.public_id)
    role = create_role(ours.admin, name="Own leads", visibility_fields=[field.pk])
    before, page = everything(), admin.get(address(ours, field))
    assert "The role Own leads sees only the leads where Owner" in words(page)
    assert f"/settings/roles/{role.public_id}/" in text(page) and "<select" not in text(page).split("<main")[1]
    response = admin.post(address(ours, field), {"kind": "text", "then": "convert", "drops": "9"})
    assert response.status_code == 422 and everything() == before


def test_the_preview_costs_the_same_for_any_number_of_values(
    ours: Tenant, admin: Client, field: CustomField, django_assert_num_queries: Any
) -> None:
    admin.get(address(ours, field))
    with django_assert_num_queries(QUERIES_CHOOSE):
        admin.get(address(ours, field))
    with django_assert_num_queries(QUERIES_PREVIEW):
        admin.post(address(ours, field), {"kind": "number"})
    for number, lead in enumerate(ours.leads):
        give(ours, field, *[f"{number} {lead.name}"] * 3)
    give(ours, field, "1", "two", "many")
    with django_assert_num_queries(QUERIES_PREVIEW):
        admin.post(address(ours, field), {"kind": "number"})


# --- the change ---------------------------------------------------------------------------------------------------------
def test_it_changes_when_confirmed(ours: Tenant, admin: Client, field: CustomField) -> None:
    page = text(admin.post(address(ours, field), {"kind": "number"}))
    form = page[page.index('id="convert_preview"') :]
    given = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    given.pop("csrfmiddlewaretoken", None)
    assert given == {"then": "convert", "kind": "number", "asked": "1", "make": "each", "options": "", "drops": "1"}
    response = admin.post(address(ours, field), given, follow=True)
    assert "The kind of Size is Number now." in text(response) and response.redirect_chain[-1][0].endswith(
        f"/settings/fields/lead/{field.public_id}/"
    )
    assert shown(ours, field) == [1, None, 3]


@pytest.mark.parametrize("drops", ["0", "", "²", "-1", "9" * 30])
def test_more_than_was_agreed_is_shown_again(ours: Tenant, admin: Client, field: CustomField, drops: str) -> None:
    before = everything()
    response = admin.post(address(ours, field), {"kind": "number", "then": "convert", "drops": drops})
    assert response.status_code == 409
    assert "Meanwhile Size has other values: 1 would be dropped now, not 0." in words(response)
    assert "Change kind and drop 1 value" in words(response)
    assert everything() == before


def test_a_kind_that_is_none_is_not_taken(ours: Tenant, admin: Client, field: CustomField) -> None:
    before = everything()
    for kind in ("", "text", "opportunity", "x" * 3000):
        response = admin.post(address(ours, field), {"kind": kind, "then": "convert", "drops": "9"})
        assert 'id="convert_preview"' not in text(response)
    assert everything() == before


# --- on its way ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def staged(ours: Tenant, admin: Client, field: CustomField, monkeypatch: pytest.MonkeyPatch) -> CustomField:
    monkeypatch.setattr(conversions, "AT_ONCE", 2)
    monkeypatch.setattr(conversions, "CHUNK", 1)
    monkeypatch.setattr(jobs, "enqueue", lambda *told: None)
    response = admin.post(address(ours, field), {"kind": "number", "then": "convert", "drops": "1"}, follow=True)
    assert "Size is being converted to Number in the background." in text(response)
    assert response.redirect_chain[-1][0].endswith("/settings/fields/leads/")
    return CustomField.objects.get(replaces=field.pk)


def test_the_list_shows_how_far_it_is(
    ours: Tenant, admin: Client, field: CustomField, staged: CustomField, django_assert_num_queries: Any
) -> None:
    fields = url(ours, "lead_fields")
    assert "Converting to Number… 0%" in words(admin.get(fields))
    conversions.convert_some(ours.admin, staged)
    with django_assert_num_queries(QUERIES_LIST + 1):
        page = text(admin.get(fields))
    assert "Converting to Number… 33%" in page
    poll = address(ours, field, "field_converting")
    assert f'hx-get="{poll}"' in page
    assert f'hx-get="{poll}"' not in text(client_of(ours, "user").get(fields))
    line = admin.get(poll, headers=HTMX)
    assert text(line).lstrip().startswith("<li id=") and "33%" in text(line) and "HX-Trigger" not in line.headers
    assert admin.get(poll).headers["Location"] == fields
    convert_field(staged.pk)
    line = admin.get(poll, headers=HTMX)
    assert "hx-get" not in text(line) and "Number" in words(line)
    assert (
        "The kind of Size is Number now." in line.headers["HX-Trigger"]
        and "fields-changed" in line.headers["HX-Trigger"]
    )
    admin.get(fields)  # the types, once for each version of the schema
    with django_assert_num_queries(QUERIES_LIST):
        assert "Converting" not in text(admin.get(fields))


def test_its_page_shows_how_far_it_is_and_takes_no_changes(
    ours: Tenant, admin: Client, field: CustomField, staged: CustomField
) -> None:
    own = address(ours, field, "field_edit")
    page = text(admin.get(own))
    assert "Converting to Number…" in page and 'id="field_form"' not in page and 'id="field_delete"' in page
    assert admin.get(address(ours, field)).headers["Location"] == own
    before = everything()
    assert admin.post(address(ours, field), {"kind": "date", "then": "convert"}).headers["Location"] == own
    refused = admin.post(own, {"name": "Other"})
    assert refused.status_code == 422 and "Size is being changed to number" in words(refused)
    assert everything() == before
    poll = address(ours, field, "field_converting") + "?page=1"
    assert 'id="field_converting"' in text(admin.get(poll, headers=HTMX))
    assert admin.get(poll).headers["Location"] == own
    convert_field(staged.pk)
    assert admin.get(poll, headers=HTMX).headers["HX-Redirect"] == own
    assert 'id="field_form"' in text(admin.get(own)) and shown(ours, field) == [1, None, 3]
    assert Notification.objects.get().text == "The kind of Size is Number now: 2 values kept, 1 dropped."


def test_it_can_be_deleted_on_its_way(ours: Tenant, admin: Client, field: CustomField, staged: CustomField) -> None:
    own = address(ours, field, "field_edit")
    admin.post(address(ours, field, "field_delete"), {"confirm_name": "Size"})
    convert_field(staged.pk)
    assert admin.get(own).status_code == 404
    assert not CustomField.objects.filter(pk__in=(field.pk, staged.pk), deleted_at=None).exists()


def test_it_can_be_cancelled_on_its_way(ours: Tenant, admin: Client, field: CustomField, staged: CustomField) -> None:
    own, cancel = address(ours, field, "field_edit"), address(ours, field, "field_convert_cancel")
    conversions.convert_some(ours.admin, staged)
    assert f'action="{cancel}"' in text(admin.get(own))
    before = everything()
    assert client_of(ours, "user").post(cancel).status_code == 403
    assert admin.get(cancel).status_code == 405 and everything() == before
    page = admin.post(cancel, follow=True)
    assert page.redirect_chain[-1][0] == own
    assert "Size stays Text, with every value as it was." in text(page) and 'id="field_form"' in text(page)
    # The line of the list in another tab does not say that it is done.
    line = admin.get(address(ours, field, "field_converting"), {"to": "number"}, headers=HTMX)
    assert "The conversion of Size was cancelled: it stays Text." in line.headers["HX-Trigger"]
    convert_field(staged.pk)
    assert shown(ours, field) == ["1", "two", "3"]
    assert "No conversion of Size was going on: it is Text." in text(admin.post(cancel, follow=True))
