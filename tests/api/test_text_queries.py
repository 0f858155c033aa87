"""`GET /lead/?query=…` with what makes a careless reader stumble: long, deep, hidden, without a value."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from leads.models import Lead
from tests.api.conftest import Api
from tests.factories import World

pytestmark = pytest.mark.django_db


def listed(api: Api, query: str) -> list[str]:
    return [row["name"] for row in api.get(f"lead/?query={quote(query)}")["data"]]


def test_turned_around_any_number_of_times(api: Api) -> None:
    everybody = listed(api, "sort:name")
    assert listed(api, "sort:name " + "not " * 1200 + "Acme") == ["Acme"]
    assert listed(api, "sort:name " + "not " * 1201 + "Acme") == everybody[1:]
    assert listed(api, "sort:name " + "-" * 4001 + "Acme") == everybody[1:] == listed(api, "sort:name not --Acme")


def test_a_day_with_a_name_ends_as_any_other_does(api: Api) -> None:
    everybody = listed(api, "sort:name")
    for query in ("created <= today", "created >= today", "created > yesterday", "created:today"):
        assert listed(api, f"sort:name {query}") == everybody, query
    for query in ("created > today", "created < today", "created <= yesterday", "created:yesterday"):
        assert listed(api, query) == [], query


def test_many_values_are_looked_up_at_once(api: Api, django_assert_num_queries: Any) -> None:
    assert listed(api, "status in (Nobody, POTENTIAL)") == listed(api, "status:potential") != []
    with django_assert_num_queries(2):  # the key, the statuses
        api.get(f"lead/?query={quote('status in (' + 'Nobody,potential,' * 200 + ')')}", status=400)


def test_a_hidden_field_is_one_that_does_not_exist(world: World) -> None:
    admin, user = Api(world.ours.admin), Api(world.ours.user)
    field = admin.post("custom_field/lead/", {"name": "Secret", "type": "text", "viewable_with_roles": ["admin"]})
    admin.put(f"lead/{world.ours.leads[0].public_id}/", {f"custom.{field['id']}": "canary"})
    for query in ("custom.Secret:*", f"custom.{field['id']}:*"):
        assert listed(admin, query) == ["Acme"]
        assert user.get(f"lead/?query={quote(query)}") == user.get(f"lead/?query={quote('custom.Nope:*')}")


def test_leads_without_an_activity_come_last(api: Api, world: World) -> None:
    new = api.post("lead/", {"name": "New"})["id"]
    Lead.unscoped.filter(name="New").update(last_activity_at=None)
    for query in ("sort:last_activity", "sort:-last_activity"):
        assert api.get(f"lead/?query={query}")["data"][-1]["id"] == new


def test_what_a_form_left_empty_nobody_has(api: Api) -> None:
    for query in ('email:""', 'email_address:" "', 'phone:""', 'name=""', 'url:"" or company:""'):
        assert listed(api, query) == []
    assert api.get("contact/?query=" + quote('email:"" or phone:""'))["data"] == []
    # What changes leads, or is kept, is not guessed at.
    view = {"name": "Empty", "query": 'email:""'}
    assert "text to look for" in api.post("saved_search/", view, status=400)["error"]


@pytest.fixture
def bluth(api: Api, world: World) -> dict[str, str]:
    """A lead with everything a query may look for."""
    contact = {
        "name": "Gob Bluth", "title": "Magician", "emails": [{"email": "gob@bluth.example"}], "phones": [{"phone": "+16505550100"}],
    }  # fmt: skip
    place = {"address_1": "1 Main St", "city": "Newport", "state": "CA", "zipcode": "92660", "country": "US"}
    size = api.post("custom_field/lead/", {"name": "Size", "type": "number"})["id"]
    owner = api.post("custom_field/lead/", {"name": "Owner", "type": "user"})["id"]
    lead = api.post("lead/", {
        "name": "Banana Stand", "description": "Frozen", "contacts": [contact], "addresses": [place], f"custom.{size}": 12,
        f"custom.{owner}": world.ours.user.user.public_id,
    })  # fmt: skip
    api.post("activity/call/", {"lead_id": lead["id"], "direction": "outbound", "duration": 60})
    api.post("task/", {"lead_id": lead["id"], "text": "Call back", "due_date": "2020-01-31"})
    statuses = api.get("status/lead/")["data"]
    api.put(f"lead/{lead['id']}/", {"status_id": statuses[1]["id"]})
    return {"size": size, "owner": owner, "status": statuses[1]["label"], "day": lead["date_created"][:10], "minute": lead["date_created"][:16]}  # fmt: skip


def test_every_field_that_a_search_knows_is_a_key(api: Api, bluth: dict[str, str], world: World) -> None:
    ours = world.ours
    for query in (
        "city:Newport", "state:CA", "country:US", "zipcode:92660", 'address:"1 Main St"', "addresses:1", "address(city:Newport zip:92660)",
        "contact(name:Gob title:Magician)", "contact(email:gob@bluth.example)", "contact(phone:16505550100)", "contact_email:gob@bluth.example",
        "num_calls:1", "num_calls >= 1", "num_incomplete_tasks > 0", 'last_call_date > "1 hour ago"', "last_call_duration:60",
        "last_call_user_id:me", 'last_lead_status_change_date > "1 hour ago"', "source:api description:Frozen",
        "task(is_complete:false due < 2020-02-01)", 'lead_status_change(new_status:"{status}")', "next_task_due_date:2020-01-31",
        "custom.Size > 10 not custom.Size:13", 'custom.Owner:"{user}"', "custom.{owner}:{user_id}", "custom.Size:* name:banana",
    ):  # fmt: skip
        said = query.format(**bluth, user=ours.user.user.full_name, user_id=ours.user.user.public_id)
        assert listed(api, said) == ["Banana Stand"], said
    for query in (
        "num_calls:2",
        "city:Nowhere",
        "contact(title:Magician name:Buster)",
        "task(is_complete:true)",
        "custom.Owner:me",
    ):
        assert listed(api, query) == [], query
    everybody = listed(api, "sort:name")
    assert listed(api, f'sort:name created_by:"{ours.admin.user.full_name}" updated_by:me') == ["Banana Stand"]
    assert listed(api, "sort:name custom.Size:null") == [name for name in everybody if name != "Banana Stand"]
    assert listed(api, "created_by:nobody@nowhere.example") == []
    assert "compared with a number" in api.get("lead/?query=num_calls:many", status=400)["error"]


def test_digits_and_colons_without_quotes(api: Api, bluth: dict[str, str]) -> None:
    """Scripts look for phones by their digits, and write moments and addresses as they are."""
    for query in (
        "phone:16505550100", "phone_number:+16505550100", 'phone:"+1 650-555-0100"', "created:{day} city:Newport",
        "created >= {minute} city:Newport", "date_created>={day}T00:00:00Z city:Newport", "date_created>={day}T00:00:00.000+00:00 city:Newport",
    ):  # fmt: skip
        assert listed(api, query.format(**bluth)) == ["Banana Stand"], query
    api.post("lead/", {"name": "Sitwell", "url": "https://sitwell.example/house"})
    assert listed(api, "url:https://sitwell.example/house") == ["Sitwell"]
