"""The event log over the API."""

from __future__ import annotations

from tests.api.conftest import Api
from tests.factories import World


def test_a_change_is_an_event_in_the_apis_words(api: Api, world: World) -> None:
    activity, key = world.ours.activities[0].public_id, f"custom.{world.ours.fields['Users']}"
    api.put(f"activity/custom/{activity}/", {key: 30})
    found = api.get(f"event/?object_id={activity}&action=updated")["data"]
    assert len(found) == 1
    event = found[0]
    assert (event["object_type"], event["changed_fields"]) == ("activity.custom_activity", [key])
    assert (event["previous_data"], event["data"]) == ({key: 25}, {key: 30})
    assert (
        event["meta"]["door"] == "api"
        and event["api_key_id"] == api.row.public_id
        and event["request_id"].startswith("req_")
    )
    assert api.get(f"event/{event['id']}/") == event


def test_events_page_by_cursor_and_an_empty_cursor_is_the_start(api: Api) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(f"event/?_limit=7&_cursor={cursor}")
        seen += [row["id"] for row in page["data"]]
        cursor = page["cursor_next"]
    assert len(seen) == len(set(seen)) > 14
    assert len(api.get("event/?_limit=100")["data"]) <= 50
    api.get("event/?_cursor=broken", status=400)


def test_members_see_their_own_changes_only(world: World) -> None:
    found = Api(world.ours.restricted).get("event/")["data"]
    assert {row["user_id"] for row in found} <= {world.ours.restricted.user.public_id}


def test_other_organizations_events_are_not_there(world: World) -> None:
    theirs, ours = Api(world.theirs.admin), Api(world.ours.admin)
    ours.get(f"event/{theirs.get('event/')['data'][0]['id']}/", status=404)
