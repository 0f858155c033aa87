"""Settings > Custom Activities, its fields, options and shared fields, as pages and fragments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from activities.models import Activity, ActivityType
from activities.services.types import archive_type, create_type, install_starters, update_type
from crm import events
from crm.customfields import services
from crm.customfields.catalog import catalog
from crm.models import CustomField, Event, FieldOption, FieldSet, FieldUse, Organization, Role
from crm.tenancy import scope
from tests.factories import PASSWORD, Tenant, World

HTMX = {"HX-Request": "true"}
QUERIES_LIST = 10
QUERIES_TYPE = 11
QUERIES_RECORD = 7


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def client_of(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


@pytest.fixture
def admin(ours: Tenant) -> Client:
    return client_of(ours)


def url(tenant: Tenant, name: str, *args: str) -> str:
    return reverse(f"activities:{name}", args=[tenant.organization.slug, *args])


def names(tenant: Tenant) -> list[str]:
    fresh = Organization.objects.get(pk=tenant.organization.pk)
    return [use.field.name for use in catalog(fresh).uses(tenant.type_row.fieldset_id)]


def text(response: Any) -> str:
    return response.content.decode()


def everything() -> Any:
    """Return all that settings may write, of both organizations."""
    tables = (ActivityType, CustomField, FieldUse, FieldOption)
    rows = [list(table.unscoped.order_by("pk").values()) for table in tables]
    return rows, Event.unscoped.count(), Activity.unscoped.count()


# --- who may ----------------------------------------------------------------------------------------------------------
def writes(tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    """Return every writing URL of these settings, with what would do something."""
    kind, crm = tenant.type_row.public_id, tenant.use("CRM").field
    first, second = crm.options[0].public_id, crm.options[1].public_id
    field = {"name": "New", "kind": "text"}
    return [
        (url(tenant, "type_create"), {"name": "Another"}),
        (url(tenant, "type_order"), {"order": [kind]}),
        (url(tenant, "starters"), {}),
        (url(tenant, "starters_remove"), {}),
        (url(tenant, "type_page", kind), {"name": "Renamed"}),
        (url(tenant, "type_archive", kind), {}),
        (url(tenant, "type_delete", kind), {"confirm_name": "Qualifying call"}),
        (url(tenant, "type_duplicate", kind), {}),
        (url(tenant, "field_create", kind), field),
        (url(tenant, "field_create", "lead"), field),
        (url(tenant, "field_create", "contact"), field),
        (url(tenant, "field_preview", kind), field),
        (url(tenant, "field_order", kind), {"order": [crm.public_id]}),
        (url(tenant, "field_attach", "lead"), {"field": crm.public_id}),
        (url(tenant, "field_edit", kind, crm.public_id), {"name": "Renamed"}),
        (url(tenant, "field_options", kind, crm.public_id), {"gone": first}),
        (url(tenant, "option_order", kind, crm.public_id), {"order": [second, first]}),
        (url(tenant, "option_merge", kind, crm.public_id), {"from": first, "into": second}),
        (url(tenant, "field_share", kind, crm.public_id), {}),
        (url(tenant, "field_detach", kind, crm.public_id), {"confirm_name": "CRM"}),
        (url(tenant, "field_delete", kind, crm.public_id), {"confirm_name": "CRM"}),
        (url(tenant, "shared_delete", crm.public_id), {"confirm_name": "CRM"}),
    ]


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
@pytest.mark.parametrize("role", ["user", "restricted"])
def test_who_does_not_manage_customizations_changes_nothing(ours: Tenant, role: str, headers: dict[str, str]) -> None:
    before, client = everything(), client_of(ours, role)
    for address, given in writes(ours):
        response = client.post(address, given, headers=headers)
        assert response.status_code == 403, address
    assert everything() == before


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_another_organizations_are_not_there(ours: Tenant, world: World, headers: dict[str, str]) -> None:
    """A stranger at our address, and our admin with their ids: the same 404, and nothing written."""
    with scope(world.theirs.organization):
        theirs = writes(world.theirs)
    before = everything()
    stranger, admin = client_of(world.theirs), client_of(ours)
    for address, given in writes(ours):
        assert stranger.post(address, given, headers=headers).status_code == 404, address
    for address, given in theirs:
        swapped = address.replace("/o/theirs/", "/o/ours/")
        if re.search(r"(actitype|cf)_", swapped):
            assert admin.post(swapped, given, headers=headers).status_code == 404, swapped
    assert everything() == before


def test_a_field_of_another_form_is_not_there(ours: Tenant, admin: Client) -> None:
    """The address names both: a field is edited through a form it is on."""
    before, crm = everything(), ours.fields["CRM"]
    for name in ("field_edit", "field_options", "option_merge", "field_share", "field_detach", "field_delete"):
        assert admin.post(url(ours, name, "lead", crm), {"name": "X"}).status_code == 404, name
    assert everything() == before


def test_members_see_the_types_they_may_see_and_no_buttons(ours: Tenant) -> None:
    roles = {role.slug: role.pk for role in Role.objects.all()}
    create_type(ours.admin, name="Secret visit", view_roles=[roles["superuser"]])
    page = text(client_of(ours, "user").get(url(ours, "types")))
    assert "Qualifying call" in page
    assert "Secret visit" not in page
    assert "New Custom Activity" not in page
    assert "Secret visit" in text(client_of(ours, "superuser").get(url(ours, "types")))
    services.create_field(
        ours.admin, FieldSet.objects.get(owner="lead"), name="Margin", kind="number", view_roles=[roles["superuser"]]
    )
    assert "Margin" not in text(client_of(ours, "user").get(url(ours, "lead_fields")))
    assert "Margin" in text(client_of(ours, "superuser").get(url(ours, "lead_fields")))


# --- the list ---------------------------------------------------------------------------------------------------------
def test_the_list_says_how_much_each_type_is_used(ours: Tenant, admin: Client) -> None:
    roles = {role.slug: role.pk for role in Role.objects.all()}
    update_type(ours.admin, ours.type_row, {"edit_roles": [roles["user"]], "api_only": True})
    create_type(ours.admin, name="Connected")
    page = text(admin.get(url(ours, "types")))
    for part in ("4 fields", '<dd class="tp-number">3</dd>', "Admin, User", "API only", "never used", "last used"):
        assert part in page, part
    assert "No fields, logged by one click" in page


def test_the_list_costs_the_same_for_many_types(ours: Tenant, admin: Client, django_assert_num_queries: Any) -> None:
    admin.get(url(ours, "types"))
    with django_assert_num_queries(QUERIES_LIST):
        admin.get(url(ours, "types"))
    install_starters(ours.admin)
    admin.get(url(ours, "types"))
    with django_assert_num_queries(QUERIES_LIST):
        admin.get(url(ours, "types"))


def test_a_type_page_costs_the_same_with_fifty_fields(
    ours: Tenant, admin: Client, django_assert_num_queries: Any
) -> None:
    address = url(ours, "type_page", ours.type_row.public_id)
    admin.get(address)
    with django_assert_num_queries(QUERIES_TYPE):
        admin.get(address)
    while len(names(ours)) < 50:
        services.create_field(
            ours.admin, ours.type_row.fieldset, name=f"Choice {len(names(ours))}", kind="choices", options=["A", "B"]
        )
    admin.get(address)
    with django_assert_num_queries(QUERIES_TYPE):
        page = text(admin.get(address))
    assert page.count("data-handle") == 50
    assert "50 of 50: the form is full" in page


def test_archived_types_have_their_own_tab_and_come_back_if_the_plan_has_room(ours: Tenant, admin: Client) -> None:
    kind = ours.type_row.public_id
    assert "Qualifying call is archived." in text(admin.post(url(ours, "type_archive", kind), follow=True))
    assert "Qualifying call" not in text(admin.get(url(ours, "types")))
    assert "Qualifying call" in text(admin.get(url(ours, "types") + "?tab=archived"))
    ours.organization.plan = "startup"
    ours.organization.save(update_fields=["plan"])
    for number in range(5):
        create_type(ours.admin, name=f"Type {number}")
    before = everything()
    response = admin.post(url(ours, "type_archive", kind))
    assert response.status_code == 402
    assert "The Startup plan allows 5 activity types and 5 are in use." in text(response)
    assert everything() == before
    for address in (url(ours, "type_duplicate", kind), url(ours, "starters")):
        response = admin.post(address)
        assert response.status_code == 402
        assert "allows 5 activity types" in text(response)
    assert "allows 5 activity types and 5 are in use" in text(admin.get(url(ours, "type_create")))
    assert admin.post(url(ours, "type_create"), {"name": "Sixth"}).status_code == 402
    assert everything() == before


def test_deleting_says_exactly_what_goes_and_asks_for_the_name(ours: Tenant, admin: Client) -> None:
    address = url(ours, "type_delete", ours.type_row.public_id)
    page = text(admin.get(url(ours, "type_page", ours.type_row.public_id)))
    assert re.search(r"<strong>3 activities</strong> and <strong>1 draft</strong> on 3 leads, and 4 fields", page)
    before = everything()
    response = admin.post(address, {"confirm_name": "qualifying call"})
    assert response.status_code == 422
    assert "Type “Qualifying call” exactly to delete it with its 4 activities." in text(response)
    assert everything() == before
    response = admin.post(address, {"confirm_name": "Qualifying call"}, follow=True)
    assert "Qualifying call is deleted, with 4 activities." in text(response)
    assert not ActivityType.objects.filter(pk=ours.type_row.pk).exists()


@pytest.mark.parametrize(("name", "value", "words"), [("icon", "map-pin", "Map pin"), ("color", "teal", "Teal")])
def test_icons_and_colours_are_read_out_by_their_names(
    ours: Tenant, admin: Client, name: str, value: str, words: str
) -> None:
    page = text(admin.get(url(ours, "type_page", ours.type_row.public_id)))
    spoken = dict(re.findall(rf'<input type="radio" name="{name}" value="([^"]+)" aria-label="([^"]+)"', page))
    assert spoken[value] == words and len(set(spoken.values())) == len(spoken) > 11
    assert all(each[0].isupper() and "-" not in each for each in spoken.values())


def test_a_type_is_made_lands_on_its_fields_and_is_copied(ours: Tenant, admin: Client) -> None:
    response = admin.post(url(ours, "type_create"), {"name": "Site visit", "icon": "truck", "color": "teal"})
    row = ActivityType.objects.get(name="Site visit")
    assert response.headers["Location"] == url(ours, "type_page", row.public_id)
    assert "one click logs" in text(admin.get(response.headers["Location"]))
    response = admin.post(url(ours, "type_duplicate", row.public_id))
    copy = ActivityType.objects.get(name="Site visit (copy)")
    assert response.headers["Location"] == url(ours, "type_page", copy.public_id)
    assert (copy.icon, copy.color) == ("truck", "teal")
    response = admin.post(url(ours, "type_create"), {"name": "site VISIT"})
    assert response.status_code == 422
    assert "There is an activity type “site VISIT” already, perhaps an archived one." in text(response)


def test_properties_are_saved_and_admin_stays_in_a_restriction(ours: Tenant, admin: Client) -> None:
    roles = {role.slug: str(role.pk) for role in Role.objects.all()}
    address = url(ours, "type_page", ours.type_row.public_id)
    given = {
        "name": "Discovery", "description": "Why now?", "icon": "rocket", "color": "pink", "api_only": "on",
        "edit_roles": [roles["user"]], "view_roles": [roles["user"], roles["superuser"]],
    }  # fmt: skip
    admin.post(address, given)
    row = ActivityType.objects.get(pk=ours.type_row.pk)
    assert (row.name, row.description, row.icon, row.color, row.api_only) == (
        "Discovery",
        "Why now?",
        "rocket",
        "pink",
        True,
    )
    assert row.edit_roles == sorted([int(roles["admin"]), int(roles["user"])])
    assert row.view_roles == sorted([int(roles["admin"]), int(roles["superuser"]), int(roles["user"])])
    before = everything()
    assert admin.post(address, {**given, "icon": "skull"}).status_code == 422
    assert admin.post(address, {**given, "name": ""}).status_code == 422
    assert everything() == before


def test_starters_come_and_go(ours: Tenant, admin: Client) -> None:
    assert "7 starter types are here." in text(admin.post(url(ours, "starters"), follow=True))
    assert "Add the starter types" not in text(admin.get(url(ours, "types")))
    assert "7 unused starter types are gone." in text(admin.post(url(ours, "starters_remove"), follow=True))
    assert list(ActivityType.objects.filter(builtin="").values_list("name", flat=True)) == ["Qualifying call"]


# --- the field editor -------------------------------------------------------------------------------------------------
SETTINGS = {
    "text": {"required", "read_only", "default", "heading", "show_field"},
    "number": {"required", "read_only", "default", "heading", "show_field", "unit", "minimum", "maximum"},
    "choices": {"required", "read_only", "default", "heading", "show_field", "options", "multiple"},
    "user": {"required", "read_only", "default", "heading", "show_field", "multiple"},
    "contact": {"required", "read_only", "heading", "show_field", "multiple"},
    "hidden": set(),
}
EVERY = set().union(*SETTINGS.values())


@pytest.mark.parametrize("kind", SETTINGS)
def test_only_the_settings_of_the_kind_are_there_and_what_was_typed_stays(
    ours: Tenant, admin: Client, kind: str
) -> None:
    address = url(ours, "field_create", ours.type_row.public_id)
    typed = {"name": "Half", "kind": kind, "description": "so far", "unit": "km", "then": "settings"}
    before = everything()
    for headers in ({}, HTMX):
        response = admin.post(address, typed, headers=headers)
        page = text(response)
        shown = {name for name in EVERY if re.search(rf'<(input|select|textarea)[^>]*\sname="{name}"', page)}
        assert response.status_code == 200
        assert shown == SETTINGS[kind]
        assert 'value="Half"' in page
        assert "so far" in page
        assert ("<html" in page) == (not headers)
        assert "is-invalid" not in page
    assert everything() == before


def test_a_field_is_made_with_all_its_settings_and_shown_again(ours: Tenant, admin: Client) -> None:
    roles = {role.slug: str(role.pk) for role in Role.objects.all()}
    crm, kind = ours.use("CRM").field, ours.type_row.public_id
    given = {
        "name": "Budget", "kind": "number", "description": "A year", "required": "on", "unit": "EUR", "minimum": "1",
        "maximum": "5000.5", "default": "250", "heading": "Money", "show_field": crm.public_id,
        "show_values": [crm.options[0].public_id, crm.options[2].public_id], "edit_roles": [roles["user"]],
    }  # fmt: skip
    response = admin.post(url(ours, "field_create", kind), given)
    assert response.headers["Location"] == url(ours, "type_page", kind)
    use = ours.use("Budget")
    assert (use.field.unit, str(use.field.minimum), str(use.field.maximum)) == ("EUR", "1", "5000.5")
    assert (use.field.default, use.required, use.heading) == ("250", True, "Money")
    assert use.show_when == {"field": crm.id, "values": [crm.options[0].id, crm.options[2].id]}
    address = url(ours, "field_edit", kind, use.field.public_id)
    page = text(admin.get(address))
    for part in ('value="EUR"', 'value="5000.5"', 'value="250"', 'value="Money"', "A year"):
        assert part in page, part
    chosen = re.findall(r'<option value="([^"]+)" selected', page[page.index('id="field_rule"') :])
    assert chosen[:2] == given["show_values"]
    count = Event.objects.count()
    del given["kind"]
    assert admin.post(address, given).status_code == 302
    assert Event.objects.count() == count, "saved as it was shown: nothing changed"
    admin.post(address, {**given, "show_field": "", "default": "", "required": ""})
    use = ours.use("Budget")
    assert (use.show_when, use.field.default, use.required) == (None, None, False)


def test_several_values_with_a_default_go_round(ours: Tenant, admin: Client) -> None:
    kind = ours.type_row.public_id
    given = {"name": "Tools", "kind": "choices", "options": "Phone\nMail; post\nFax", "multiple": "on"}
    admin.post(url(ours, "field_create", kind), {**given, "default": ["Mail; post", "Fax"]})
    field = ours.use("Tools").field
    assert field.default == [field.options[1].id, field.options[2].id]
    address = url(ours, "field_edit", kind, field.public_id)
    page = text(admin.get(address))
    count = Event.objects.count()
    defaults = re.findall(
        r'<option value="([^"]+)" selected', page[page.index('id="field_default"') : page.index("field_rule")]
    )
    assert admin.post(address, {"name": "Tools", "default": defaults}).status_code == 302
    assert Event.objects.count() == count
    admin.post(address, {"name": "Tools", "default": defaults[:1]})
    assert ours.use("Tools").field.default == [field.options[1].id]
    assert ours.use("Tools").field.multiple, "cannot be turned off"


@pytest.mark.parametrize(
    ("given", "key", "sentence"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "crm"}, "name", "There is a field “crm” already."),
        ({"kind": "number", "minimum": "x"}, "minimum", "The minimum must be a number"),
        ({"kind": "number", "minimum": "9", "maximum": "1"}, "minimum", "The minimum is larger than the maximum."),
        ({"kind": "number", "default": "many"}, "default", "must be a number"),
        ({"kind": "choices", "options": "A\na"}, "options", "The option “a” is there twice."),
        ({"description": "x" * 281}, "description", "at most 280 characters"),
    ],
)  # fmt: skip
def test_errors_stand_at_their_fields(
    ours: Tenant, admin: Client, given: dict[str, str], key: str, sentence: str
) -> None:
    before = everything()
    given = {"name": "New", "kind": "text", **given}
    response = admin.post(url(ours, "field_create", ours.type_row.public_id), given)
    assert response.status_code == 422
    found = re.search(rf'id="id_{key}_errors">(.*?)</div>\s*</div>', text(response), re.DOTALL)
    assert found is not None
    assert sentence in found[1].replace("&quot;", '"')
    assert everything() == before


def test_a_rule_without_values_is_refused_at_its_place(ours: Tenant, admin: Client) -> None:
    given = {"name": "New", "kind": "text", "show_field": ours.fields["CRM"]}
    response = admin.post(url(ours, "field_create", ours.type_row.public_id), given)
    assert response.status_code == 422
    assert "Choose the values of CRM that show this field." in text(response)
    assert "New" not in names(ours)


def test_the_preview_follows_what_is_typed_and_writes_nothing(ours: Tenant, admin: Client) -> None:
    crm, kind = ours.use("CRM").field, ours.type_row.public_id
    address, before = url(ours, "field_preview", kind), everything()
    given = {
        "name": "Budget",
        "kind": "number",
        "unit": "EUR",
        "default": "250",
        "description": "A year",
        "heading": "Money",
    }
    page = text(admin.post(address, given, headers=HTMX))
    assert "<html" not in page
    for part in ("Budget (EUR)", 'value="250"', "A year", "Money", "Qualified"):
        assert part in page, part
    given |= {"default": "x", "show_field": crm.public_id, "show_values": crm.options[0].public_id}
    page = text(admin.post(address, given, headers=HTMX))
    assert "Budget (EUR) is hidden until its rule fits" in page
    page = text(admin.post(address, {**given, f"preview-{crm.public_id}": crm.options[0].public_id}, headers=HTMX))
    assert "is hidden until" not in page
    assert 'value="x"' not in page, "what does not validate is no default"
    page = text(admin.post(address, {"name": "Tool", "editing": crm.public_id, "required": "on"}, headers=HTMX))
    assert "Tool" in page
    assert ">CRM" not in page
    assert "HubSpot" in page
    assert everything() == before


def test_the_preview_follows_the_types_own_properties(ours: Tenant, admin: Client) -> None:
    address, before = url(ours, "field_preview", ours.type_row.public_id), everything()
    given = {"name": "Discovery  call", "description": "Ask first", "icon": "rocket", "color": "teal"}
    page = text(admin.post(address, given, headers=HTMX))
    for part in ("Discovery call</h2>", "Ask first", "#tabler-rocket", "tp-compose tp-color-teal", "Qualified"):
        assert part in page, part
    page = text(admin.post(address, {"name": " ", "icon": "no-icon", "color": "x"}, headers=HTMX))
    assert "Qualifying call</h2>" in page and "no-icon" not in page and "tp-color-x" not in page
    assert everything() == before
    assert "#type_properties" in text(admin.get(url(ours, "type_page", ours.type_row.public_id)))


def test_the_fifty_first_field_is_refused_at_every_door(ours: Tenant, admin: Client) -> None:
    while len(names(ours)) < 50:
        services.create_field(ours.admin, ours.type_row.fieldset, name=f"F{len(names(ours))}", kind="text")
    before, address = everything(), url(ours, "field_create", ours.type_row.public_id)
    page = text(admin.get(address))
    assert "There are 50 fields already, which is the most. Delete one first." in page
    assert "field_form" not in page
    response = admin.post(address, {"name": "One more", "kind": "text"})
    assert response.status_code == 402
    assert "There are 50 fields already; 50 is the most." in text(response)
    assert everything() == before


def test_a_field_is_deleted_after_its_count_and_name(ours: Tenant, admin: Client) -> None:
    kind, crm = ours.type_row.public_id, ours.fields["CRM"]
    page = text(admin.get(url(ours, "field_edit", kind, crm)))
    assert "<strong>3 activities</strong> hold a value." in page
    before = everything()
    response = admin.post(url(ours, "field_delete", kind, crm), {"confirm_name": "crm"})
    assert response.status_code == 422
    assert "Type “CRM” exactly to delete the field." in text(response)
    assert everything() == before
    admin.post(url(ours, "field_delete", kind, crm), {"confirm_name": "CRM"})
    assert "CRM" not in names(ours)


@pytest.mark.parametrize(("owner", "page"), [("lead", "lead_fields"), ("contact", "contact_fields")])
def test_leads_and_contacts_have_fields_by_the_same_pages(
    ours: Tenant, admin: Client, owner: str, page: str, django_assert_num_queries: Any
) -> None:
    for name in ("Region", "Size"):
        response = admin.post(url(ours, "field_create", owner), {"name": name, "kind": "choices", "options": "A\nB"})
        assert response.headers["Location"] == url(ours, page)
    assert "Region" in text(admin.get(url(ours, page)))
    with django_assert_num_queries(QUERIES_RECORD):
        admin.get(url(ours, page))
    fieldset = FieldSet.objects.get(owner=owner)
    fresh = Organization.objects.get(pk=ours.organization.pk)
    uses = catalog(fresh).uses(fieldset.pk)
    admin.post(url(ours, "field_order", owner), {"order": [uses[1].field.public_id]})
    fresh = Organization.objects.get(pk=ours.organization.pk)
    assert [use.field.name for use in catalog(fresh).uses(fieldset.pk)] == ["Size", "Region"]
    assert not FieldUse.unscoped.exclude(organization=ours.organization).filter(field__name="Region").exists()


# --- options and sharing ----------------------------------------------------------------------------------------------
def test_options_are_renamed_coloured_added_removed_and_restored(ours: Tenant, admin: Client) -> None:
    crm = ours.use("CRM").field
    hubspot, salesforce, none = (option.public_id for option in crm.options)
    address = url(ours, "field_options", ours.type_row.public_id, crm.public_id)
    given = {f"label-{hubspot}": "Hub", f"color-{hubspot}": "orange", "add": "Pipedrive\n\nNone", "gone": salesforce}
    response = admin.post(address, given, headers=HTMX)
    assert response.status_code == 200
    assert "fields-changed" in response.headers["HX-Trigger"]
    found = [(option.label, option.color, option.removed) for option in ours.use("CRM").field.options]
    assert sorted(found) == [
        ("Hub", "orange", False),
        ("None", "", False),
        ("Pipedrive", "", False),
        ("Salesforce", "", True),
    ]
    before = everything()
    response = admin.post(address, {f"label-{hubspot}": "none", "add": "More"}, headers=HTMX)
    assert response.status_code == 422
    assert "CRM has an option “none” already." in text(response)
    assert 'value="none"' in text(response), "what was typed is there"
    assert "More" in text(response)
    assert everything() == before
    response = admin.post(address, {"back": salesforce})
    assert response.headers["Location"].endswith("#options")
    assert not ours.use("CRM").field.option(crm.options[1].id).removed
    admin.post(url(ours, "option_order", ours.type_row.public_id, crm.public_id), {"order": [none]})
    assert ours.use("CRM").field.options[0].label == "None"


def test_two_options_are_merged_after_the_counts(ours: Tenant, admin: Client) -> None:
    crm = ours.use("CRM").field
    hubspot, salesforce, _ = (option.public_id for option in crm.options)
    address = url(ours, "option_merge", ours.type_row.public_id, crm.public_id)
    before = everything()
    page = text(admin.get(address, {"from": hubspot, "into": salesforce}))
    assert "<strong>2</strong> records hold <strong>HubSpot</strong>; 1 holds <strong>Salesforce</strong>" in page
    assert "Choose two different options." in text(admin.get(address, {"from": hubspot, "into": hubspot}))
    assert admin.post(address, {"from": hubspot, "into": hubspot}).status_code == 422
    assert admin.post(address, {"from": hubspot, "into": "opt_nonsense"}).status_code == 422
    assert everything() == before
    page = text(admin.post(address, {"from": hubspot, "into": salesforce}, follow=True))
    assert "HubSpot is now Salesforce, on 2 records." in page
    stored = {row.values[str(crm.id)] for row in Activity.objects.filter(type=ours.type_row)}
    assert stored == {crm.options[1].id}
    users = ours.fields["Users"]
    assert admin.get(url(ours, "option_merge", ours.type_row.public_id, users)).status_code == 404


def test_a_field_is_shared_used_elsewhere_and_taken_off(ours: Tenant, admin: Client) -> None:
    kind, users = ours.type_row.public_id, ours.fields["Users"]
    admin.post(url(ours, "field_share", kind, users))
    assert "Users (number)" in text(admin.get(url(ours, "field_attach", "lead")))
    response = admin.post(url(ours, "field_attach", "lead"), {"field": users, "required": "on"})
    assert response.headers["Location"] == url(ours, "lead_fields")
    page = text(admin.get(url(ours, "shared_fields")))
    assert "Qualifying call" in page
    assert "Leads" in page
    page = text(admin.get(url(ours, "field_edit", kind, users)))
    assert "One definition, 2 places." in page
    assert "<strong>3 activities</strong> hold a value." in page
    before = everything()
    page = text(admin.post(url(ours, "field_detach", kind, users), {"confirm_name": ""}, follow=True))
    assert "Type “Users” exactly to take it off." in page
    response = admin.post(url(ours, "shared_delete", users), {"confirm_name": "x"})
    assert response.status_code == 422
    assert everything() == before
    admin.post(url(ours, "field_detach", kind, users), {"confirm_name": "Users"}, follow=True)
    assert "Users" not in names(ours)
    admin.post(url(ours, "shared_delete", users), {"confirm_name": "Users"}, follow=True)
    assert "Users" not in text(admin.get(url(ours, "lead_fields")))


def test_an_archived_type_keeps_its_settings(ours: Tenant, admin: Client) -> None:
    archive_type(ours.admin, ours.type_row)
    page = text(admin.get(url(ours, "type_page", ours.type_row.public_id)))
    assert "This type is archived" in page
    assert "Unarchive" in page
