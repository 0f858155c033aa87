"""A search that names no object type finds leads, contacts and activities alike, as far as its conditions fit them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.factories import World

EVERYTHING = {"type": "match_all"}


def regular(name: str, condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "field_condition",
        "field": {"type": "regular_field", "field_name": name, **more},
        "condition": condition,
    }


def ask(api: Api, query: dict[str, Any], **more: Any) -> Any:
    return api.post("data/search/", {"query": query, **more})


def of_type(api: Api, name: str, query: dict[str, Any] | None = None) -> list[str]:
    listing = {"type": "object_type", "object_type": name}
    found = ask(api, {"type": "and", "queries": [listing, query or EVERYTHING]}, _limit=200)["data"]
    return [row["id"] for row in found]


def ids(answer: Any) -> list[str]:
    return [row["id"] for row in answer["data"]]


def test_leads_then_contacts_then_activities_come_back(api: Api) -> None:
    whole = ask(api, EVERYTHING, _limit=200, include_counts=True)
    expected = [of_type(api, name) for name in ("lead", "contact", "activity")]
    assert all(expected) and ids(whole) == [row for rows in expected for row in rows]
    assert whole["count"] == {"limited": len(ids(whole)), "total": len(ids(whole))} and whole["cursor"] is None
    assert all(set(row) == {"__object_type", "id"} for row in whole["data"])


def test_each_row_says_what_it_is_and_shows_the_keys_named_for_it(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    call = api.post("activity/call/", {"lead_id": lead, "duration": 60})["id"]
    note = api.post("activity/note/", {"lead_id": lead, "note": "Hello"})["id"]
    fields = {"lead": ["name"], "contact": ["lead_id"], "activity.call": ["duration"], "custom_activity": ["status"]}
    rows = {row["id"]: row for row in ask(api, EVERYTHING, _limit=200, _fields=fields)["data"]}
    assert rows[lead] == {"__object_type": "lead", "id": lead, "name": "Acme"}
    assert rows[call] == {"__object_type": "activity.call", "id": call, "duration": 60}
    assert rows[note] == {"__object_type": "activity.note", "id": note}
    custom = rows[world.ours.activities[0].public_id]
    assert custom["__object_type"] == "activity.custom_activity" and custom["status"] == "published"
    contact = next(row for row in rows.values() if row["__object_type"] == "contact")
    assert set(contact) == {"__object_type", "id", "lead_id"}


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pages_lead_through_all_of_them(api: Api, size: int) -> None:
    whole = ids(ask(api, EVERYTHING, _limit=200))
    walked: list[str] = []
    cursor, pages = None, 0
    while pages < 60:
        page = ask(api, EVERYTHING, _limit=size, cursor=cursor)
        walked += ids(page)
        cursor, pages = page["cursor"], pages + 1
        if cursor is None:
            break
    assert walked == whole and pages <= len(whole) // size + 3


def test_results_are_capped_over_all_of_them(api: Api, world: World) -> None:
    whole = ids(ask(api, EVERYTHING, _limit=200))
    number = len(world.ours.leads) + 1
    first = ask(api, EVERYTHING, results_limit=number, _limit=2, include_counts=True)
    assert first["count"] == {"limited": number, "total": len(whole)} and ids(first) == whole[:2]
    second = ask(api, EVERYTHING, results_limit=number, _limit=200, cursor=first["cursor"])
    assert ids(second) == whole[2:number] and second["cursor"] is None
    assert ask(api, EVERYTHING, _limit=0, include_counts=True)["count"]["total"] == len(whole)


def test_conditions_leave_what_they_do_not_fit(api: Api, world: World) -> None:
    gob = regular("title", {"type": "exists"}, object_type="contact")
    assert set(ids(ask(api, gob))) == set(of_type(api, "contact", gob))
    status = api.get("status/lead/")["data"][0]["id"]
    of_leads = regular("status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": [status]})
    assert ids(ask(api, of_leads)) == of_type(api, "lead", of_leads)
    api.post("activity/call/", {"lead_id": world.ours.leads[0].public_id, "duration": 60})
    long = regular("duration", {"type": "number_range", "gte": 60}, object_type="activity.call")
    assert ids(ask(api, long)) == of_type(api, "activity.call", long) != []
    kind = world.ours.call
    of_type_ = regular("custom_activity_type_id", {"type": "term", "values": [kind.public_id]})
    assert set(ids(ask(api, of_type_))) == {activity.public_id for activity in world.ours.activities}


def test_the_order_is_of_each_sort_of_record(api: Api) -> None:
    newest = [{"direction": "desc", "field": {"type": "regular_field", "field_name": "date_created"}}]
    expected: list[str] = []
    for name in ("lead", "contact", "activity"):
        listing = {"type": "object_type", "object_type": name}
        expected += ids(ask(api, listing, sort=newest, _limit=200))
    assert ids(ask(api, EVERYTHING, sort=newest, _limit=200)) == expected
    odd = [{"direction": "asc", "field": {"type": "regular_field", "field_name": "shoe_size"}}]
    refused = api.post("data/search/", {"query": EVERYTHING, "sort": odd}, status=400)
    assert "“shoe_size” cannot be sorted by" in refused["field-errors"]["sort"]


def test_what_fits_nothing_is_refused_and_so_is_a_cursor_of_something_else(api: Api) -> None:
    refused = api.post("data/search/", {"query": regular("shoe_size", {"type": "exists"})}, status=400)
    assert "is no field of leads" in refused["field-errors"]["query.field.field_name"]
    for cursor in ("5:task:abc", "5:lead:", "x:lead:abc", "lead", "5:contact:%%"):
        assert (
            "cursor" in api.post("data/search/", {"query": EVERYTHING, "cursor": cursor}, status=400)["field-errors"]
        ), cursor


def test_nobody_finds_more_than_they_may_see(world: World) -> None:
    for actor in (world.ours.restricted, world.theirs.admin):
        api = Api(actor)
        found = ids(ask(api, EVERYTHING, _limit=200))
        assert found == [row for name in ("lead", "contact", "activity") for row in of_type(api, name)]
        others = world.theirs if actor is world.ours.restricted else world.ours
        assert not set(found) & {lead.public_id for lead in others.leads}
