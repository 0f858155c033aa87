"""Leads, contacts, tasks, search and reports over the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from tests.api.conftest import Api
from tests.factories import World


def test_a_lead_with_everything(api: Api) -> None:
    field = api.post(
        "custom_field/lead/",
        {"name": "Industry", "type": "choices", "choices": ["Software", "Retail"], "accepts_multiple_values": True},
    )
    key = f"custom.{field['id']}"
    lead = api.post("lead/", {
        "name": "Wayne", "status": "Potential", "url": "wayne.example", "custom.Industry": ["Software"], "unknown": 1,
        "addresses": [{"city": "Gotham", "country": "US"}],
        "contacts": [{"name": "Bruce", "emails": [{"email": "Bruce@Wayne.example", "type": "office"}], "phones": [{"phone": "+1 202 555 0143"}]}],
    })  # fmt: skip
    assert (lead["display_name"], lead["status_label"], lead["custom"]) == (
        "Wayne",
        "Potential",
        {"Industry": ["Software"]},
    )
    assert lead[key] == ["Software"] and len(lead["contacts"]) == len(lead["contact_ids"]) == 1
    changed = api.put(f"lead/{lead['id']}/", {f"{key}.add": ["Retail"], "description": "Rich"})
    assert changed[key] == ["Software", "Retail"] and changed["name"] == "Wayne" and changed["description"] == "Rich"
    assert key not in api.put(f"lead/{lead['id']}/", {key: None})
    assert set(api.get(f"lead/{lead['id']}/?_fields=custom")) == {"custom"}
    assert api.delete(f"lead/{lead['id']}/") == {}
    api.get(f"lead/{lead['id']}/", status=404)


def test_unknown_fields_of_leads_are_named(api: Api) -> None:
    found = api.post("lead/", {"name": "x", "custom.Nothing": 1}, status=400)
    assert list(found["field-errors"]) == ["custom.Nothing"]


def test_all_keys_of_a_lead_are_optional(api: Api) -> None:
    assert api.post("lead/", {})["display_name"] == "Untitled lead"
    assert api.post("lead/", {"contacts": [{"name": "Solo"}]})["display_name"] == "Solo"


def test_changing_the_status_is_on_the_timeline(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    other = api.get("status/lead/")["data"][1]
    assert api.put(f"lead/{lead}/", {"status_id": other["id"]})["status_label"] == other["label"]
    entry = api.get(f"activity/status_change/lead/?lead_id={lead}")["data"][0]
    assert entry["new_status_id"] == other["id"] and entry["_type"] == "LeadStatusChange"
    events = api.get(f"event/?object_type=activity.lead_status_change&lead_id={lead}")["data"]
    assert [(row["action"], row["object_id"], row["data"]["new_status_id"]) for row in events] == [
        ("created", entry["id"], other["id"])
    ]


def test_the_text_queries_of_old_clients(api: Api) -> None:
    def names(query: str) -> list[str]:

        return [row["name"] for row in api.get(f"lead/?query={quote(query)}")["data"]]

    assert names('name:"Acme"') == ["Acme"]
    assert names('date_updated>="2020-01-01T00:00" sort:name') == ["Acme", "Bluth", "Cyberdyne"]
    assert names("sort:-name date_updated >= 2020-01-01T00:00:00+00:00") == ["Cyberdyne", "Bluth", "Acme"]
    assert names('email_address:"hello@bluth.example" sort:created') == ["Bluth"]
    assert names('not name:"Acme" sort:name') == ["Bluth", "Cyberdyne"]
    assert names("cyber") == ["Cyberdyne"]
    assert names("calls:0 sort:name") == ["Acme", "Bluth", "Cyberdyne"] and names("has:calls") == []
    assert names("(acme or bluth) not email_address:hello@acme.example") == ["Bluth"]
    assert names("-acme -bluth") == ["Cyberdyne"] and names('contacts > 0 name:"Acme"') == ["Acme"]
    assert sorted(names("slice:1/2") + names("slice:2/2")) == ["Acme", "Bluth", "Cyberdyne"]
    api.get("lead/?query=nonsense:0", status=400)


def test_contacts(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    made = api.post(
        "contact/", {"lead_id": lead, "name": "Pepper", "emails": [{"email": "p@acme.example", "type": "office"}]}
    )
    assert made["lead_id"] == lead and made["emails"][0]["is_unsubscribed"] is False
    assert api.put(f"contact/{made['id']}/", {"title": "CEO"})["title"] == "CEO"
    assert len(api.get(f"contact/?lead_id={lead}")["data"]) == 2
    assert api.delete(f"contact/{made['id']}/") == {}
    alone = api.post("contact/", {"name": "Tony"})
    assert api.get(f"lead/{alone['lead_id']}/")["name"] == "Tony"
    api.post("contact/", {"lead_id": world.theirs.leads[0].public_id, "name": "x"}, status=400)


def test_tasks(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    task = api.post("task/", {"lead_id": lead, "text": "Call", "date": "2026-12-01"})
    assert (task["date"], task["is_complete"], task["assigned_to"]) == (
        "2026-12-01",
        False,
        world.ours.admin.user.public_id,
    )
    assert api.put(f"task/{task['id']}/", {"is_complete": True})["is_complete"] is True
    assert api.get("task/?is_complete=False")["data"] == []
    api.put(f"task/{task['id']}/", {"text": ""}, status=400)
    assert api.delete(f"task/{task['id']}/") == {}


@pytest.mark.parametrize("asked", ["is_complete=perhaps", "is_complete=%20", "is_complete=2"])
def test_a_filter_that_cannot_be_read_does_not_select_all_tasks(api: Api, world: World, asked: str) -> None:
    api.post("task/", {"lead_id": world.ours.leads[0].public_id, "text": "Call"})
    api.put(f"task/?{asked}", {"is_complete": True}, status=400)
    assert [row["is_complete"] for row in api.get("task/")["data"]] == [False]


def test_a_key_in_an_address_is_in_no_log_and_no_answer(
    api: Api, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    other = Api(world.theirs.admin)
    assert api.get(f"api_key/{api.key}/")["id"] == api.row.public_id
    for path in (f"api_key/{other.key}/", f"api_key//{other.key}", f"api_keys/{other.key}/"):
        assert other.key not in str(api.get(path, status=404))
    Client().get(f"/api/v1/api_key/{other.key}/")
    assert other.row.prefix in caplog.text and other.key.partition(".")[2] not in caplog.text


def test_statuses(api: Api, user_api: Api) -> None:
    made = api.post("status/lead/", {"label": "Paused"})
    assert api.put(f"status/lead/{made['id']}/", {"label": "On hold"})["label"] == "On hold"
    user_api.post("status/lead/", {"label": "No"}, status=403)
    assert api.delete(f"status/lead/{made['id']}/") == {}
    used = api.get("lead/")["data"][0]["status_id"]
    api.delete(f"status/lead/{used}/", status=400)


def test_me_and_people(api: Api, world: World) -> None:
    me = api.get("me/")
    assert me["organizations"][0]["name"] == "Ours" and me["memberships"][0]["role_id"] == "admin"
    organization = me["organizations"][0]
    assert len(organization["memberships"]) == 4 and organization["lead_statuses"]
    assert set(api.get(f"organization/{organization['id']}/?_fields=lead_statuses")) == {"lead_statuses"}
    assert {row["email"].split("@")[1] for row in api.get("user/")["data"]} == {"ours.example"}
    assert [row["id"] for row in api.get("role/")["data"]][:1] == ["admin"]
    assert api.get("api_key/")["data"][0]["organization_id"] == organization["id"]
    member = next(row for row in organization["memberships"] if row["role_id"] == "user")
    assert api.put(f"membership/{member['id']}/", {"role_id": "superuser"})["role_id"] == "superuser"


def tree(world: World, *conditions: dict) -> dict:
    kind = {"type": "regular_field", "object_type": "activity.custom_activity", "field_name": "custom_activity_type_id"}
    inner = [
        {
            "type": "field_condition",
            "field": kind,
            "condition": {"type": "term", "values": [world.ours.type_row.public_id]},
        }
    ]
    related = {
        "type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity",
        "related_query": {"type": "and", "queries": [*inner, *conditions]},
    }  # fmt: skip
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, related]}


def test_search_leads_by_their_activities(api: Api, world: World) -> None:
    users = {"type": "custom_field", "custom_field_id": world.ours.fields["Users"]}
    more = {"type": "field_condition", "field": users, "condition": {"type": "number_range", "gt": 40}}
    found = api.post("data/search/", {"query": tree(world, more), "include_counts": True, "limit": 5})
    assert {row["id"] for row in found["data"]} == {lead.public_id for lead in world.ours.leads[1:]}
    assert [set(row) for row in found["data"]] == [{"__object_type", "id"}] * 2
    assert (found["count"], found["cursor"]) == ({"limited": 2, "total": 2}, None)
    named = api.post("data/search/", {"query": tree(world, more), "_fields": {"lead": ["id", "display_name"]}})
    assert {row["display_name"] for row in named["data"]} == {"Bluth", "Cyberdyne"}


def test_search_pages_and_limits(api: Api, world: World) -> None:
    seen, cursor = [], None
    for _ in range(5):
        page = api.post("data/search/", {"query": tree(world), "_limit": 1, "cursor": cursor})
        seen += [row["id"] for row in page["data"]]
        if (cursor := page["cursor"]) is None:
            break
    assert len(seen) == len(set(seen)) == 3
    found = api.post("data/search/", {"query": tree(world), "results_limit": 2, "include_counts": True})
    assert (len(found["data"]), found["count"], found["cursor"]) == (2, {"limited": 2, "total": 3}, None)
    assert api.post("data/search/", {"query": tree(world), "results_limit": 0})["data"] == []
    api.post("data/search/", {"query": tree(world), "_limit": 201}, status=400)
    api.post("data/search/", {"query": tree(world), "cursor": "nonsense"}, status=400)
    assert api.post("data/search/", {}, status=400)["field-errors"] == {"query": "This field is required."}
    assert "error" in api.post("data/search/", {"query": {"type": "rainbow"}}, status=400)


def test_what_is_not_kept_is_searched_and_not_found(api: Api) -> None:
    query = {"type": "and", "queries": [{"type": "object_type", "object_type": "opportunity"}, {"type": "odd"}]}
    assert api.post("data/search/", {"query": query}) == {"data": [], "cursor": None}
    counted = {"data": [], "cursor": None, "count": {"limited": 0, "total": 0}}
    assert api.post("data/search/", {"query": query, "include_counts": True}) == counted


def test_search_activities_with_their_keys(api: Api, world: World) -> None:
    query = {"type": "object_type", "object_type": "activity.custom_activity"}
    key = f"custom.{world.ours.fields['Users']}"
    found = api.post("data/search/", {"query": query, "_fields": {"activity.custom_activity": ["id", "lead_id", key]}})
    assert sorted(row[key] for row in found["data"] if key in row) == [25, 50, 75]


def test_smart_views(api: Api, world: World) -> None:
    made = api.post("saved_search/", {"name": "Qualified", "s_query": {"query": tree(world)}, "is_shared": True})
    assert api.get("saved_search/")["data"][0]["s_query"]["query"] == tree(world)
    assert api.get(f"lead/?saved_search_id={made['id']}")["total_results"] == 3
    assert api.delete(f"saved_search/{made['id']}/") == {}


def test_reports(api: Api, world: World) -> None:
    key = f"custom_activities.created.{world.ours.type_row.public_id}.count"
    assert key in {row["key"] for row in api.get("report/activity/metrics/")["data"]}
    body = {"type": "overview", "metrics": [key], "relative_range": "last-month"}
    assert api.post("report/activity/", body)["aggregations"]["totals"] == {key: 0}
    today = api.post("report/activity/", {**body, "relative_range": "today"}, X_TZ_Offset="-0.0")
    assert today["aggregations"]["totals"] == {key: 3} and sum(row[key] for row in today["data"]) == 3
    table = api.post("report/activity/", {**body, "type": "comparison", "relative_range": "today"}, X_TZ_Offset="-2.5")
    assert {row["user_id"]: row[key] for row in table["data"]}[world.ours.user.user.public_id] == 3
    text = api.post("report/activity/", {**body, "relative_range": "today"}, Accept="text/csv")
    assert text.splitlines()[0] == f"datetime,{key}"
    api.post("report/activity/", {"type": "overview", "relative_range": "today"}, status=400)
    api.post("report/activity/", {**body, "datetime_range": {"start": "2026-01-01", "end": "2026-02-01"}}, status=400)
    api.post("report/activity/", {**body, "metrics": ["nothing"]}, status=400)


def test_who_made_a_lead_and_when_may_be_said(api: Api, world: World) -> None:
    uma = world.ours.user.user
    lead = api.post("lead/", {"name": "Old", "date_created": "2020-02-03T04:05:06+00:00", "created_by": uma.public_id})
    assert (lead["created_by"], lead["date_created"][:10], lead["updated_by"]) == (
        uma.public_id, "2020-02-03", world.ours.admin.user.public_id,
    )  # fmt: skip
    stranger = world.theirs.user.user.public_id
    refused = api.post("lead/", {"name": "Old", "created_by": stranger}, status=400)
    assert list(refused["field-errors"]) == ["created_by"]


def test_an_unknown_status_is_the_error_of_the_key_sent(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    for key in ("status_id", "status"):
        for refused in (
            api.post("lead/", {"name": "x", key: "stat_nonsense"}, status=400),
            api.put(f"lead/{lead}/", {key: "stat_nonsense"}, status=400),
        ):
            assert list(refused["field-errors"]) == [key]


def test_merging_leads(api: Api, world: World) -> None:
    source, destination = (lead.public_id for lead in world.ours.leads[:2])
    assert api.post("lead/merge/", {"source": source, "destination": destination}) == {}
    api.get(f"lead/{source}/", status=404)
    assert destination in api.last.content.decode()
    kept = api.get(f"lead/{destination}/")
    assert [contact["name"] for contact in kept["contacts"]] == ["Contact of Acme", "Contact of Bluth"]
    entry = api.get(f"activity/lead_merge/?lead_id={destination}")["data"][0]
    assert (entry["_type"], entry["source_lead_id"], entry["destination_lead_id"]) == ("LeadMerge", source, destination)
    event = api.get("event/?object_type=lead&action=merged")["data"][0]
    assert event["meta"]["merge_source_lead_id"] == source
    assert event["meta"]["merge_destination_lead_id"] == destination
    gone = api.get(f"event/?object_type=lead&action=deleted&object_id={source}")["data"]
    assert [row["previous_data"]["name"] for row in gone] == ["Acme"]


def test_what_is_wrong_with_a_merge_is_named(api: Api, world: World) -> None:
    ours, theirs = world.ours.leads[0].public_id, world.theirs.leads[0].public_id
    for body, key in (
        ({"source": ours}, "destination"),
        ({"source": ours, "destination": theirs}, "destination"),
        ({"source": "lead_x", "destination": ours}, "source"),
        ({"source": ours, "destination": ours}, "source"),
    ):
        assert list(api.post("lead/merge/", body, status=400)["field-errors"]) == [key]


def test_merging_needs_the_permission(world: World) -> None:
    api = Api(world.ours.restricted)
    source, destination = (lead.public_id for lead in world.ours.leads[:2])
    api.post("lead/merge/", {"source": source, "destination": destination}, status=403)
    assert api.get(f"lead/{source}/")["name"] == "Acme"


def test_everything_is_asked_for_with_all_and_counted_only_then(api: Api) -> None:
    lead = api.post("lead/", {"name": "Counted", "contacts": [{"name": "Gob"}]})["id"]
    for when in ("2024-01-01T10:00:00+00:00", "2024-02-01T10:00:00+00:00"):
        api.post("activity/call/", {"lead_id": lead, "direction": "outbound", "date_created": when})
    api.post("activity/note/", {"lead_id": lead, "note": "x"})
    whole = api.get(f"lead/{lead}/?_fields=_all")
    assert (whole["num_calls"], whole["num_notes"], whole["num_sms"], whole["num_contacts"]) == (2, 1, 0, 1)
    assert (whole["first_call_date"], whole["last_call_date"]) == (
        "2024-01-01T10:00:00+00:00",
        "2024-02-01T10:00:00+00:00",
    )
    assert whole["times_communicated"] == 2 and whole["last_communication_date"] == whole["last_call_date"]
    assert whole["last_sms_date"] is None and whole["name"] == "Counted"
    assert "num_calls" not in api.get(f"lead/{lead}/")
    assert api.get(f"lead/{lead}/?_fields=name,num_calls") == {"name": "Counted", "num_calls": 2}
    listed = api.get("lead/?_fields=_all")["data"]
    assert {row["num_calls"] for row in listed if row["id"] == lead} == {2}


def test_only_the_keys_asked_for_are_loaded(api: Api, world: World, django_assert_num_queries: Any) -> None:
    """The key, the page, the total: no contacts, tasks, statuses or members for two names."""
    for _ in range(2):  # the first use of a key is noted on it
        api.get("lead/?_fields=id,name")
    with django_assert_num_queries(3):
        answer = api.get("lead/?_fields=id,name")
    assert all(set(row) == {"id", "name"} for row in answer["data"]) and answer["total_results"] == len(answer["data"])
    shown = api.get("lead/?_fields=id,status_label,contacts,custom")["data"][0]
    assert {"id", "status_label", "contacts", "custom"} <= set(shown) and shown["status_label"]


def test_leads_are_not_changed_by_a_query_that_names_a_field_which_does_not_exist(api: Api) -> None:
    """Of a field that is not there no lead has a value: to list those without one is harmless, to delete them is not."""
    query = 'not "custom.Tpyo":*'
    assert len(api.get(f"lead/?query={quote(query)}")["data"]) == 3
    for path, more in (("delete", {}), ("edit", {"type": "set_lead_status", "lead_status_id": "stat_x"})):
        refused = api.post(f"bulk_action/{path}/", {"query": query, **more}, status=400)
        assert "no custom field “custom.Tpyo”" in str(refused) or "no custom field “Tpyo”" in str(refused)
    assert len(api.get("lead/")["data"]) == 3
