"""The event log over the API: whole objects as they were, rapid updates as one, rights, filters, cursors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import events
from crm.models import Event
from crm.tenancy import scope
from leads.services import create_lead, create_task, delete_lead, delete_task
from tests.api.conftest import Api
from tests.factories import World, change_field


def apart(**where: Any) -> None:
    """Make events that happened in one test lie half a minute apart, the newest now."""
    rows = list(Event.unscoped.filter(**where).order_by("-pk"))
    for number, row in enumerate(rows):
        Event.unscoped.filter(pk=row.pk).update(date_created=timezone.now() - timedelta(seconds=30 * number))


def test_a_change_is_an_event_in_the_apis_words(api: Api, world: World) -> None:
    activity, key = world.ours.activities[0].public_id, f"custom.{world.ours.fields['Users']}"
    api.put(f"activity/custom/{activity}/", {key: 30})
    found = api.get(f"event/?object_id={activity}&action=updated")["data"]
    assert len(found) == 1
    event = found[0]
    assert (event["object_type"], event["changed_fields"]) == ("activity.custom_activity", [key])
    assert event["previous_data"] == {key: 25}
    whole = api.get(f"activity/custom/{activity}/")
    assert {name: value for name, value in event["data"].items() if name != "date_updated"} == {
        name: value for name, value in whole.items() if name != "date_updated"
    }
    meta = event["meta"]
    assert (meta["door"], meta["request_method"], meta["request_path"]) == (
        "api",
        "PUT",
        f"/api/v1/activity/custom/{activity}/",
    )
    assert event["api_key_id"] == api.row.public_id and event["request_id"].startswith("req_")
    assert api.get(f"event/{event['id']}/") == event


def test_data_is_the_object_as_it_was_then(api: Api) -> None:
    lead = api.post("lead/", {"name": "First"})["id"]
    api.put(f"lead/{lead}/", {"name": "Second"})
    api.put(f"lead/{lead}/", {"name": "Third", "description": "d"})
    api.delete(f"lead/{lead}/")
    apart(object_type="lead")
    gone, third, second, first = api.get(f"event/?object_id={lead}")["data"]
    assert [row["action"] for row in (first, second, third, gone)] == ["created", "updated", "updated", "deleted"]
    assert [row["data"]["name"] for row in (first, second, third)] == ["First", "Second", "Third"]
    assert third["previous_data"] == {"name": "Second", "description": ""} and second["data"]["description"] == ""
    assert gone["data"] is None and gone["previous_data"]["name"] == "Third" and gone["previous_data"]["id"] == lead
    assert first["changed_fields"] == [] and first["previous_data"] is None


def test_rapid_updates_are_one_event(api: Api) -> None:
    lead = api.post("lead/", {"name": "A"})["id"]
    for name in ("B", "C", "D"):
        api.put(f"lead/{lead}/", {"name": name})
    api.put(f"lead/{lead}/", {"description": "x"})
    Event.unscoped.filter(object_type="lead", action="updated").update(date_created=timezone.now())
    (event,) = api.get(f"event/?object_id={lead}&action=updated")["data"]
    assert event["previous_data"] == {"name": "A", "description": ""} and event["data"]["name"] == "D"
    assert event["changed_fields"] == ["description", "name"]
    parts = Event.unscoped.filter(object_type="lead", action="updated").order_by("pk")
    assert len(parts) == 4, "the log itself keeps each step"
    assert api.get(f"event/{parts[0].public_id}/") == event


def test_a_completed_task_says_what_changed(api: Api, world: World) -> None:
    task = api.post("task/", {"lead_id": world.ours.leads[0].public_id, "text": "Call back"})["id"]
    api.put(f"task/{task}/", {"is_complete": True})
    (event,) = api.get(f"event/?object_id={task}&action=completed")["data"]
    assert event["changed_fields"] == ["is_complete"] and event["previous_data"] == {"is_complete": False}


def test_what_was_changed_back_is_no_change(api: Api) -> None:
    lead = api.post("lead/", {"name": "A"})["id"]
    api.put(f"lead/{lead}/", {"name": "B"})
    api.put(f"lead/{lead}/", {"name": "A"})
    Event.unscoped.filter(object_type="lead", action="updated").update(date_created=timezone.now())
    (event,) = api.get(f"event/?object_id={lead}&action=updated")["data"]
    assert event["changed_fields"] == [] and event["previous_data"] == {}


def test_events_page_by_cursor_and_an_empty_cursor_is_the_start(api: Api) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(f"event/?_limit=7&_cursor={cursor}")
        seen += [row["id"] for row in page["data"]]
        cursor = page["cursor_next"]
    assert len(seen) == len(set(seen)) > 14
    assert len(api.get("event/?_limit=100")["data"]) <= 50
    api.get("event/?_cursor=broken", status=400)


def test_thirty_days_are_kept(api: Api) -> None:
    event = api.get("event/?_limit=1")["data"][0]["id"]
    Event.unscoped.update(date_created=timezone.now() - timedelta(days=31))
    assert api.get("event/")["data"] == []
    api.get(f"event/{event}/", status=404)


@pytest.mark.parametrize(
    "query",
    [
        "object_type=activity.custom_activity&action=created", "object_id={acti}", "object_id={acti}&action=created",
        "object_type=activity.custom_activity&object_id={acti}", "lead_id={lead}", "lead_id={lead}&user_id={user}",
        "lead_id={lead}&user_id={user}&object_type=lead&action=created", "user_id={user}&object_type=contact&action=created",
        "user_id={user}&object_id={acti}", "request_id=req_fixture", "date_updated__gte=2020-01-01", "object_type__in=lead,contact",
    ],
)  # fmt: skip
def test_filters_mix(api: Api, world: World, query: str) -> None:
    ours = world.ours
    text = query.format(
        acti=ours.activities[0].public_id, lead=ours.leads[0].public_id, user=ours.user.user.public_id
    )  # fmt: skip
    found = api.get(f"event/?{text}")["data"]
    assert found
    for row in found:
        for pair in text.split("&"):
            name, _, value = pair.partition("=")
            if "__" not in name:
                assert row[name] == value
    assert (
        api.get("event/?object_id=lead_nonsense")["data"] == [] == api.get("event/?date_updated__lt=2020-01-01")["data"]
    )


def test_hidden_fields_types_drafts_and_leads_leave_no_trace(world: World) -> None:
    ours = world.ours
    admin, user, restricted = Api(ours.admin), Api(ours.user), Api(ours.restricted)
    with scope(ours.organization):
        change_field(ours, "Qualified", {"view_roles": [ours.admin.role_id]})
    lead = ours.leads[0].public_id
    body = {"lead_id": lead, "custom_activity_type_id": ours.call.public_id}
    made = admin.post("activity/custom/", {**body, f"custom.{ours.fields['Qualified']}": "canary"})
    draft = user.post("activity/custom/", {**body, "status": "draft", f"custom.{ours.fields['Users']}": 4})
    admin.put(f"activity/custom/{made['id']}/", {f"custom.{ours.fields['Qualified']}": "canary 2"})
    admin.delete(f"activity/custom/{made['id']}/")
    for api in (user, restricted):
        assert "canary" not in str(api.get("event/")) and api.get(f"event/?object_id={made['id']}")["data"]
        (updated,) = api.get(f"event/?object_id={made['id']}&action=updated")["data"]
        assert updated["changed_fields"] == []
    assert "canary 2" in str(admin.get("event/"))
    assert (
        user.get(f"event/?object_id={draft['id']}")["data"]
        and not restricted.get(f"event/?object_id={draft['id']}")["data"]
    )
    user.delete(f"activity/custom/{draft['id']}/")
    assert not restricted.get(f"event/?object_id={draft['id']}")["data"]
    admin.put(f"custom_activity/{ours.call.public_id}/", {"viewable_with_roles": ["admin"]})
    assert not user.get("event/?object_type=activity.custom_activity")["data"]
    assert admin.get("event/?object_type=activity.custom_activity")["data"]


def test_after_an_hour_only_those_who_manage_the_organization_see_the_data(api: Api, user_api: Api) -> None:
    lead = api.post("lead/", {"name": "Old"})["id"]
    assert user_api.get(f"event/?object_id={lead}")["data"][0]["data"]["name"] == "Old"
    Event.unscoped.filter(object_type="lead").update(date_created=timezone.now() - timedelta(minutes=61))
    (event,) = user_api.get(f"event/?object_id={lead}")["data"]
    assert event["data"] is None and event["previous_data"] is None and event["lead_id"] == lead
    assert api.get(f"event/?object_id={lead}")["data"][0]["data"]["name"] == "Old"


def test_keys_and_webhooks_of_others_are_for_those_who_manage_the_organization(api: Api, user_api: Api) -> None:
    assert user_api.get("event/?object_type=api_key")["data"][0]["object_id"] == user_api.row.public_id
    assert len(user_api.get("event/?object_type=api_key")["data"]) == 1
    assert len(api.get("event/?object_type=api_key")["data"]) == 2


def test_other_organizations_events_are_not_there(world: World) -> None:
    theirs, ours = Api(world.theirs.admin), Api(world.ours.admin)
    ours.get(f"event/{theirs.get('event/')['data'][0]['id']}/", status=404)


def test_what_happens_to_other_things_shows_the_whole_thing(api: Api, user_api: Api, world: World) -> None:
    """A task, a Smart View, a status, a group and a member: `data` is what their own address answers."""
    lead = world.ours.leads[0].public_id
    task = api.post("task/", {"lead_id": lead, "text": "Call"})
    query = {"query": {"type": "object_type", "object_type": "lead"}}
    view = api.post("saved_search/", {"name": "All", "s_query": query})
    status = api.post("status/lead/", {"label": "Parked"})
    group = api.post("group/", {"name": "West"}, status=201)
    member = world.ours.user.public_id
    changes = {
        f"task/{task['id']}": ({"text": "Write"}, "text", "Call"),
        f"saved_search/{view['id']}": ({"name": "Everything"}, "name", "All"),
        f"status/lead/{status['id']}": ({"label": "Waiting"}, "label", "Parked"),
        f"group/{group['id']}": ({"name": "East"}, "name", "West"),
        f"membership/{member}": ({"role_id": "superuser"}, "role_id", "user"),
    }
    for path, (change, key, before) in changes.items():
        now = api.put(f"{path}/", change)
        newest = api.get(f"event/?object_id={now['id']}&action=updated")["data"][0]
        assert (newest["object_id"], newest["changed_fields"]) == (now["id"], [key])
        assert (newest["previous_data"], newest["data"][key]) == ({key: before}, change[key])
        # Whatever the address answers the event shows too.
        assert set(now) <= set(newest["data"])
    api.post(f"group/{group['id']}/member/", {"user_id": world.ours.user.user.public_id}, status=201)
    filled = api.get(f"event/?object_id={group['id']}&action=updated")["data"][0]
    assert filled["data"]["members"] == [{"user_id": world.ours.user.user.public_id}]
    # A private view is nobody else's, there or gone.
    assert user_api.get(f"event/?object_id={view['id']}")["data"] == []
    api.delete(f"saved_search/{view['id']}/")
    gone = api.get(f"event/?object_id={view['id']}&action=deleted")["data"][0]
    assert gone["data"] is None and gone["previous_data"]["s_query"]["query"] == query["query"]
    assert user_api.get(f"event/?object_id={view['id']}")["data"] == []


def test_a_new_order_names_none_of_the_ordered(api: Api) -> None:
    made = [api.post("custom_field/lead/", {"name": name, "type": "text"})["id"] for name in ("P", "Q")]
    api.put("custom_field_schema/lead/", {"fields": [{"id": made[1]}, {"id": made[0]}]})
    ordered = api.get("event/?object_type=custom_fields.lead")["data"][0]
    assert (ordered["action"], ordered["object_id"]) == ("updated", None)
    assert ordered["data"]["order"][:2] == [made[1], made[0]]


@pytest.mark.parametrize("number", [1, 5])
def test_many_ends_cost_no_more_than_one(api: Api, world: World, number: int, django_assert_num_queries: Any) -> None:
    with scope(world.ours.organization), events.door("import", meta={"import_id": "imp_1"}):
        for place in range(number):
            stays, goes = (
                create_lead(world.ours.admin, name=f"{name} {place}", source="import") for name in ("Stays", "Goes")
            )
            delete_task(world.ours.admin, create_task(world.ours.admin, stays, text="Call"))
            delete_lead(world.ours.admin, goes)
    api.get("event/")
    with django_assert_num_queries(6):
        tasks = api.get("event/?action=deleted&object_type=task.lead")["data"]
    assert {row["previous_data"]["lead_name"] for row in tasks} == {f"Stays {place}" for place in range(number)}
    with django_assert_num_queries(5):
        entries = api.get("event/?action=deleted&object_type=activity.created")["data"]
    assert [row["previous_data"]["import_id"] for row in entries] == ["imp_1"] * number
