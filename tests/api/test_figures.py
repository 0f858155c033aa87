"""Fields of leads and contacts that are worked out: whatever a search knows by name can be read, and reads as it is searched."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from activities.models import ActivityType
from activities.queries import type_catalog
from crm.customfields.catalog import touch_schema
from crm.tenancy import scope
from leads.search.figures import Figure
from leads.search.sources import LEAD, LEAD_COLUMNS
from tests.api.conftest import Api
from tests.factories import World

COUNTED = [column.name for column in LEAD_COLUMNS if column.asks == "number"]
NAMES = [*COUNTED, "last_activity_at", "last_activity_date", *(figure.name for figure in LEAD.figures)]


def filled(api: Api, world: World) -> None:
    """Acme: three calls, three emails, an SMS, a meeting, two tasks. Bluth: a call of nobody's and a note. Cyberdyne: nothing."""
    acme, bluth, _ = (lead.public_id for lead in world.ours.leads)
    other = world.ours.restricted.user.public_id
    calls: list[tuple[str, dict[str, Any]]] = [
        (acme, {"direction": "outbound", "duration": 10, "date_created": "2026-03-01T12:00:00+00:00"}),
        (acme, {"direction": "inbound", "duration": 5, "date_created": "2026-04-01T12:00:00+00:00"}),
        (acme, {"direction": "outbound", "duration": 60, "date_created": "2026-05-01T12:00:00.25+00:00", "user_id": other}),
        (bluth, {"date_created": "2026-02-01T12:00:00+00:00"}),
    ]  # fmt: skip
    for lead, given in calls:
        api.post("activity/call/", {"lead_id": lead, **given})
    for month, way in ((1, "outgoing"), (2, "incoming"), (3, "incoming")):
        api.post("activity/email/", {"lead_id": acme, "direction": way, "subject": "Hi", "status": "sent", "sender": "a@b.example",
                                     "date_created": f"2026-0{month}-02T08:00:00+00:00"})  # fmt: skip
    api.post("activity/sms/", {"lead_id": acme, "direction": "inbound", "text": "Yes", "status": "inbox"})
    api.post("activity/note/", {"lead_id": bluth, "note": "x"})
    api.post("task/", {"lead_id": acme, "text": "Call", "date": "2026-07-01"})
    api.post("task/", {"lead_id": acme, "text": "Ask"})
    done = api.post("task/", {"lead_id": bluth, "text": "Done", "date": "2026-06-01"})["id"]
    api.put(f"task/{done}/", {"is_complete": True})
    statuses = api.get("status/lead/")["data"]
    api.put(f"lead/{bluth}/", {"status_id": statuses[-1]["id"], "url": "https://bluth.example"})
    api.post("contact/", {"lead_id": acme, "name": "Gob", "emails": [{"email": "g@a.example"}, {"email": "h@a.example"}],
                          "phones": [{"phone": "+12025550143"}], "urls": [{"url": "https://gob.example"}]})  # fmt: skip
    api.put(f"lead/{acme}/", {"addresses": [{"city": "Paris"}]})


def is_value(name: str, value: Any) -> dict[str, Any]:
    """Return the search for leads of which a field has just this value."""
    known = LEAD.column(name)
    assert known is not None, name
    asked: dict[str, Any]
    if value is None:
        asked = {"type": "exists"}
    elif name.startswith("next_task"):
        asked = {"type": "moment_range", "gte": value, "lt": (date.fromisoformat(value) + timedelta(1)).isoformat()}
    elif known.asks == "moment":
        end = (datetime.fromisoformat(value) + timedelta(microseconds=1)).isoformat()
        asked = {"type": "moment_range", "gte": value, "lt": end}
    elif known.asks == "user":
        asked = {"type": "reference", "reference_type": "user", "object_ids": [value]}
    else:
        asked = {"type": "number_range", "gte": value, "lte": value}
    field = {"type": "regular_field", "object_type": "lead", "field_name": name}
    return {"type": "field_condition", "field": field, "condition": asked, "negate": value is None}


def found(api: Api, query: dict[str, Any], **more: Any) -> Any:
    listing = {"type": "object_type", "object_type": "lead"}
    return api.post("data/search/", {"query": {"type": "and", "queries": [listing, query]}, **more})["data"]


def test_what_can_be_searched_can_be_read_and_is_the_same(api: Api, world: World) -> None:
    filled(api, world)
    rows = {row["id"]: row for row in api.get("lead/?_fields=_all")["data"]}
    assert len(rows) == 3 and all(set(NAMES) <= set(row) for row in rows.values())
    for name in NAMES:
        for value in {row[name] for row in rows.values()}:
            same = {lead for lead, row in rows.items() if row[name] == value}
            assert {row["id"] for row in found(api, is_value(name, value))} == same, (name, value)


def test_what_they_are(api: Api, world: World) -> None:
    filled(api, world)
    acme, bluth, cyber = (api.get(f"lead/{lead.public_id}/?_fields=_all") for lead in world.ours.leads)
    day = "2026-0{}T12:00:00+00:00".format
    assert [(row["num_calls"], row["num_outgoing_calls"], row["num_received_calls"]) for row in (acme, bluth, cyber)] == [
        (3, 2, 1), (1, 0, 0), (0, 0, 0)]  # fmt: skip
    assert (acme["first_call_date"], acme["last_call_date"]) == (day("3-01"), "2026-05-01T12:00:00.250000+00:00")
    assert (acme["last_incoming_call_date"], bluth["last_incoming_call_date"]) == (day("4-01"), None)
    assert [row["last_call_duration"] for row in (acme, bluth, cyber)] == [60, None, None]
    own, other = world.ours.admin.user.public_id, world.ours.restricted.user.public_id
    assert [row["last_call_user_id"] for row in (acme, bluth, cyber)] == [other, own, None]
    assert [row["times_communicated"] for row in (acme, bluth, cyber)] == [7, 1, 0]
    assert (acme["num_sent_emails"], acme["num_received_emails"], acme["num_received_sms"]) == (1, 2, 1)
    assert (acme["num_tasks"], acme["num_incomplete_tasks"], bluth["num_completed_tasks"]) == (2, 2, 1)
    assert (acme["next_task_due_date"], bluth["next_task_due_date"]) == ("2026-07-01", None)
    assert (acme["num_email_addresses"], acme["num_phone_numbers"], acme["num_addresses"]) == (3, 2, 1)
    assert (acme["all_urls_count"], bluth["all_urls_count"], cyber["num_opportunities"]) == (1, 1, 0)
    assert bluth["last_lead_status_change_date"] and not acme["last_lead_status_change_date"]


@pytest.mark.parametrize("leads", [1, 5])
def test_they_cost_the_same_for_many_leads(api: Api, world: World, leads: int, django_assert_num_queries: Any) -> None:
    """The key, the page, the total, the facts, the directions, the last calls, the tasks, the leads' own numbers."""
    with scope(world.ours.organization):
        filled(api, world)
    for number in range(leads - 3 if leads > 3 else 0):
        api.post("lead/", {"name": f"More {number}"})
    asked = "num_calls,num_outgoing_calls,last_call_duration,num_tasks,num_email_addresses,last_activity_date"
    api.get(f"lead/?_limit={leads}&_fields={asked}")
    with django_assert_num_queries(8):
        rows = api.get(f"lead/?_limit={leads}&_fields={asked}")["data"]
    assert len(rows) == leads and set(rows[0]) == set(asked.split(","))


def test_only_what_is_asked_for_is_worked_out(api: Api, django_assert_num_queries: Any) -> None:
    for _ in range(2):  # the first use of a key is noted on it
        api.get("lead/?_fields=id,num_tasks")
    with django_assert_num_queries(4):
        row = api.get("lead/?_fields=id,num_tasks")["data"][0]
    assert set(row) == {"id", "num_tasks"}
    assert not set(NAMES) & set(api.get("lead/")["data"][0])


def test_a_search_gives_them_as_well(api: Api, world: World) -> None:
    filled(api, world)
    asked = {
        "lead": ["id", "num_outgoing_calls", "last_call_duration"],
        "contact": ["name", "emails_count", "urls_count"],
    }
    rows = found(api, is_value("num_outgoing_calls", 2), _fields=asked)
    assert rows == [
        {
            "__object_type": "lead",
            "id": world.ours.leads[0].public_id,
            "num_outgoing_calls": 2,
            "last_call_duration": 60,
        }
    ]
    query = {
        "type": "and",
        "queries": [{"type": "object_type", "object_type": "contact"}, {"type": "text", "value": "Gob"}],
    }
    (gob,) = api.post("data/search/", {"query": query, "_fields": asked})["data"]
    assert (gob["name"], gob["emails_count"], gob["urls_count"], "phones_count" in gob) == ("Gob", 2, 1, False)
    assert api.get(f"contact/{gob['id']}/?_fields=phones_count") == {"phones_count": 1}
    assert "phones_count" not in api.get(f"contact/{gob['id']}/")


def test_who_may_not_see_calls_reads_what_a_search_of_theirs_finds(api: Api, world: World) -> None:
    filled(api, world)
    with scope(world.ours.organization):
        call = type_catalog(world.ours.organization).builtin("call")
        assert call is not None
        may = [member.role_id for member in world.ours.members if member.role_id != world.ours.restricted.role_id]
        ActivityType.objects.filter(pk=call.id).update(view_roles=may)
        touch_schema(world.ours.organization)
    theirs = Api(world.ours.restricted)
    acme = theirs.get(f"lead/{world.ours.leads[0].public_id}/?_fields=_all")
    assert (acme["num_calls"], acme["num_outgoing_calls"], acme["last_call_date"]) == (0, 0, None)
    assert (acme["last_call_duration"], acme["times_communicated"], acme["num_emails"]) == (None, 4, 3)
    rows = {row["id"]: row for row in theirs.get("lead/?_fields=_all")["data"]}
    for name in (figure.name for figure in LEAD.figures if isinstance(figure, Figure)):
        for value in {row[name] for row in rows.values()}:
            same = {lead for lead, row in rows.items() if row[name] == value}
            assert {row["id"] for row in found(theirs, is_value(name, value))} == same, (name, value)


def test_another_organizations_leads_count_nothing_here(api: Api, world: World) -> None:
    filled(api, world)
    theirs = Api(world.theirs.admin)
    assert all(row["num_calls"] == 0 and row["num_tasks"] == 0 for row in theirs.get("lead/?_fields=_all")["data"])
