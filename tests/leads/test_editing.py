"""Two people edit one lead or contact at the same time: nothing is lost, and nobody is asked without need."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from crm.customfields.services import change_options, create_field
from crm.models import Event, FieldSet
from crm.tenancy import scope
from leads import services
from leads.models import Contact, Lead
from tests.factories import World
from tests.leads.test_pages import HTMX, at, fresh, signed_in, text


@pytest.fixture
def client(world: World) -> Client:
    return signed_in(world.ours.user)


def seen(response: Any) -> str:
    """Return what the form carries of the record it shows."""
    return html.unescape(re.search(r'name="seen" value="([^"]*)"', response.content.decode())[1])


def change(world: World, lead: Lead, **changes: Any) -> None:
    with scope(world.ours.organization):
        services.update_lead(world.ours.admin, lead, changes)


def test_a_part_that_both_changed_shows_both(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    path = at(lead, "parts/description/")
    mark = seen(client.get(path, headers=HTMX))
    change(world, lead, description="theirs")
    before = Event.unscoped.count()
    refused = client.post(path, {"description": "mine", "seen": mark}, headers=HTMX)
    assert refused.status_code == 409
    assert (refused["HX-Retarget"], refused["HX-Reswap"]) == ("#part_description", "outerHTML")
    shown = text(refused)
    assert "> mine</textarea>" in shown and "theirs</dd>" in shown and "Keep mine" in shown and "Keep theirs" in shown
    assert (fresh(lead).description, Event.unscoped.count()) == ("theirs", before)
    assert client.post(path, {"description": "mine", "seen": seen(refused)}, headers=HTMX).status_code == 200
    assert fresh(lead).description == "mine"


def test_other_parts_and_equal_changes_are_no_conflict(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    path = at(lead, "parts/description/")
    mark = seen(client.get(path))
    change(world, lead, url="acme.example", description="the same")
    assert client.post(path, {"description": "the same", "seen": mark}).status_code == 302
    # Opened, left as it was, and saved: what somebody else wrote meanwhile stays.
    mark = seen(client.get(path))
    change(world, lead, description="newer")
    assert client.post(path, {"description": "the same", "seen": mark}).status_code == 302
    assert (fresh(lead).description, fresh(lead).url) == ("newer", "https://acme.example")


def test_addresses_and_custom_fields_are_guarded_too(world: World, client: Client) -> None:
    lead, admin = world.ours.leads[0], world.ours.admin
    with scope(world.ours.organization):
        size = create_field(
            admin, FieldSet.objects.get(owner="lead"), name="Size", kind="number", settings={"unit": "m²"}
        )
    given = {"address_city": ["Bonn"]} | {
        f"address_{part}": [""] for part in ("label", "address_1", "address_2", "state", "zipcode", "country")
    }
    for key, mine, theirs, words in (
        ("addresses", given, {"addresses": [{"city": "Ulm"}]}, "Ulm"),
        (size.public_id, {size.public_id: "2"}, {"custom": {size.public_id: "3"}}, "3 m²"),
    ):
        mark = seen(client.get(at(lead, f"parts/{key}/")))
        change(world, lead, **theirs)
        refused = client.post(at(lead, f"parts/{key}/"), {**mine, "seen": mark}, headers=HTMX)
        assert refused.status_code == 409 and f"{words}</dd>" in text(refused)
    assert "3 m²</span>" in text(client.get(at(lead))), "the unit is shown once"


def test_the_whole_lead_is_asked_about_the_parts_both_changed_only(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    page = client.get(at(lead, "edit/"))
    mine = {
        "name": "Acme",
        "status": lead.status.public_id,
        "url": "mine.example",
        "description": "mine",
        "seen": seen(page),
    }
    change(world, lead, name="Acme Holding", url="theirs.example", description="theirs")
    refused = client.post(at(lead, "edit/"), mine)
    shown = text(refused)
    assert refused.status_code == 409 and "<html" in shown
    assert 'value="url"' in shown and 'value="description"' in shown and 'name="theirs" value="name"' not in shown
    mine["seen"] = seen(refused)
    mine["name"] = "Acme Holding"
    assert client.post(at(lead, "edit/"), mine | {"theirs": ["url"]}).status_code == 302
    now = fresh(lead)
    assert (now.name, now.url, now.description) == ("Acme Holding", "https://theirs.example", "mine")


def test_a_name_left_alone_stays_as_somebody_else_made_it(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    form = {"name": "Acme", "status": lead.status.public_id, "url": "", "description": "new"}
    form["seen"] = seen(client.get(at(lead, "edit/")))
    change(world, lead, name="Acme Holding")
    assert client.post(at(lead, "edit/"), form).status_code == 302
    assert (fresh(lead).name, fresh(lead).description) == ("Acme Holding", "new")
    with scope(world.ours.organization):
        assert "acme holding" in Lead.objects.get(pk=lead.pk).search_text


def test_contacts_are_guarded_too(world: World, client: Client) -> None:
    lead = world.ours.leads[0]
    contact = Contact.unscoped.filter(lead=lead)[0]
    path = f"/o/ours/contacts/{contact.public_id}/edit/"
    mark = seen(client.get(path, headers=HTMX))
    with scope(world.ours.organization):
        services.update_contact(world.ours.admin, contact, {"title": "Boss", "phones": ["+12025550100"]})
    mine = {"name": contact.name, "title": "Chief", "emails": ["hello@acme.example"], "emails_type": ["office"]}
    refused = client.post(path, mine | {"seen": mark}, headers=HTMX)
    assert refused.status_code == 409 and refused["HX-Retarget"] == f"#contact_{contact.public_id}"
    assert ">Boss<div" in text(refused) and 'value="Chief"' in text(refused)
    contact.refresh_from_db()
    assert contact.title == "Boss"
    again = mine | {"seen": mark, "theirs": ["title", "phones"]}
    assert client.post(path, again, headers=HTMX).status_code == 200
    contact.refresh_from_db()
    assert (contact.title, [row["phone"] for row in contact.phones]) == ("Boss", ["+12025550100"])


@pytest.mark.parametrize("nonsense", ["", "[1]", "{", '{"name": 5}', '{"custom.999": "x", "nothing": "y"}'])
def test_a_form_without_marks_writes_as_it_always_did(world: World, client: Client, nonsense: str) -> None:
    lead = world.ours.leads[0]
    change(world, lead, description="theirs")
    assert client.post(at(lead, "parts/description/"), {"description": "mine", "seen": nonsense}).status_code == 302
    assert fresh(lead).description == "mine"


def test_options_show_their_colours(world: World, client: Client) -> None:
    lead, admin = world.ours.leads[0], world.ours.admin
    with scope(world.ours.organization):
        made = []
        for owner in ("lead", "contact"):
            field = create_field(
                admin,
                FieldSet.objects.get(owner=owner),
                name="Mood",
                kind="choices",
                options=["Good", "Bad"],
                multiple=True,
            )
            change_options(admin, field, {field.options.get(label="Good").public_id: {"color": "green"}})
            made.append(field)
        services.update_lead(admin, lead, {"custom": {made[0].public_id: ["Good", "Bad"]}})
        services.update_contact(admin, Contact.objects.get(lead=lead), {"custom": {made[1].public_id: ["Good"]}})
    page = text(client.get(at(lead)))
    assert page.count('<span class="tp-badge tp-status tp-color-green">Good</span>') == 2
    assert '<span class="tp-badge tp-status tp-color-gray">Bad</span>' in page
