"""Custom activities, types and fields over the API."""

from __future__ import annotations

import pytest

from activities.models import Activity
from activities.services.types import archive_type, update_type
from crm import events
from crm.models import Event, Organization
from crm.tenancy import scope
from tests.api.conftest import Api
from tests.factories import World, make_tenant


@pytest.fixture
def body(world: World) -> dict:
    return {"lead_id": world.ours.leads[0].public_id, "custom_activity_type_id": world.ours.type_row.public_id}


def cf(world: World, name: str) -> str:
    return f"custom.{world.ours.fields[name]}"


def test_create_answers_the_object_and_keeps_flat_keys(api: Api, world: World, body: dict) -> None:
    found = api.post(
        "activity/custom/",
        {**body, cf(world, "Users"): 12.5, cf(world, "CRM"): "HubSpot", cf(world, "Next step"): "a\nb"},
    )
    assert found["_type"] == "CustomActivity" and found["status"] == "published" and found["published_at"]
    assert (found[cf(world, "Users")], found[cf(world, "CRM")]) == (12.5, "HubSpot")
    assert found["user_id"] == found["created_by"] == world.ours.admin.user.public_id
    assert api.get(f"activity/custom/{found['id']}/") == found


def test_values_may_come_as_custom_fields(api: Api, world: World, body: dict) -> None:
    found = api.post("activity/custom/", {**body, "custom_fields": {world.ours.fields["Users"]: "7"}})
    assert found[cf(world, "Users")] == 7


@pytest.mark.parametrize("missing", ["lead_id", "custom_activity_type_id"])
def test_lead_and_type_are_required(api: Api, body: dict, missing: str) -> None:
    found = api.post("activity/custom/", {k: v for k, v in body.items() if k != missing}, status=400)
    assert found["field-errors"] == {missing: "This field is required."}


def test_foreign_lead_and_type_are_errors_of_their_keys(api: Api, world: World, body: dict) -> None:
    found = api.post("activity/custom/", {**body, "lead_id": world.theirs.leads[0].public_id}, status=400)
    assert found["field-errors"] == {"lead_id": "There is no such lead."}
    found = api.post(
        "activity/custom/", {**body, "custom_activity_type_id": world.theirs.type_row.public_id}, status=400
    )
    assert list(found["field-errors"]) == ["custom_activity_type_id"]


def test_all_bad_values_are_named_at_once_and_nothing_is_written(api: Api, world: World, body: dict) -> None:
    before = Activity.unscoped.count()
    found = api.post(
        "activity/custom/", {**body, cf(world, "Users"): "many", cf(world, "CRM"): "Lotus Notes"}, status=400
    )
    assert set(found["field-errors"]) == {cf(world, "Users"), cf(world, "CRM")}
    found = api.post("activity/custom/", {**body, "custom.cf_unknown": 1}, status=400)
    assert list(found["field-errors"]) == ["custom.cf_unknown"]
    found = api.post("activity/custom/", {**body, "status": "done"}, status=400)
    assert list(found["field-errors"]) == ["status"]
    found = api.post("activity/custom/", {**body, cf(world, "Qualified"): ["a", "b"]}, status=400)
    assert list(found["field-errors"]) == [cf(world, "Qualified")]
    assert Activity.unscoped.count() == before


def test_drafts_publish_and_go_back(api: Api, world: World, body: dict) -> None:
    field = api.get(f"custom_field/activity/{world.ours.fields['Qualified']}/")
    api.put(f"custom_field/activity/{field['id']}/", {"required": True})
    draft = api.post("activity/custom/", {**body, "status": "draft"})
    assert draft["status"] == "draft" and draft["published_at"] is None
    found = api.put(f"activity/custom/{draft['id']}/", {"status": "published"}, status=400)
    assert found["field-errors"] == {cf(world, "Qualified"): "Qualified is required."}
    found = api.put(f"activity/custom/{draft['id']}/", {"status": "published", cf(world, "Qualified"): "yes"})
    assert found["status"] == "published"
    assert api.put(f"activity/custom/{draft['id']}/", {"status": "draft"})["status"] == "draft"


def test_null_clears_and_the_rest_stays(api: Api, world: World) -> None:
    activity = world.ours.activities[0].public_id
    found = api.put(f"activity/custom/{activity}/", {cf(world, "Users"): None})
    assert cf(world, "Users") not in found and found[cf(world, "CRM")] == "HubSpot"


def test_type_and_lead_never_change(api: Api, world: World) -> None:
    activity = world.ours.activities[0].public_id
    other = api.post("custom_activity/", {"name": "Other"}, status=201)["id"]
    found = api.put(f"activity/custom/{activity}/", {"custom_activity_type_id": other}, status=400)
    assert list(found["field-errors"]) == ["custom_activity_type_id"]
    found = api.put(f"activity/custom/{activity}/", {"lead_id": world.ours.leads[1].public_id}, status=400)
    assert list(found["field-errors"]) == ["lead_id"]


def test_delete_is_200_with_an_empty_object(api: Api, world: World) -> None:
    activity = world.ours.activities[0].public_id
    assert api.delete(f"activity/custom/{activity}/") == {}
    api.get(f"activity/custom/{activity}/", status=404)


def test_restricted_types_refuse_others_and_change_nothing(api: Api, user_api: Api, world: World, body: dict) -> None:
    api.put(f"custom_activity/{body['custom_activity_type_id']}/", {"editable_with_roles": ["superuser"]})
    activity = world.ours.activities[0].public_id
    before = user_api.get(f"activity/custom/{activity}/")
    assert "other roles" in user_api.post("activity/custom/", body, status=403)["error"]
    user_api.put(f"activity/custom/{activity}/", {cf(world, "Users"): 1}, status=403)
    user_api.delete(f"activity/custom/{activity}/", status=403)
    assert user_api.get(f"activity/custom/{activity}/") == before


def test_hidden_types_are_not_there_for_others(world: World, user_api: Api, body: dict) -> None:
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        update_type(ours.admin, ours.type_row, {"view_roles": [ours.admin.role_id]})
    user_api.get(f"activity/custom/{ours.activities[0].public_id}/", status=404)
    user_api.get(f"custom_activity/{ours.type_row.public_id}/", status=404)
    assert user_api.get("activity/custom/")["data"] == []
    assert user_api.get("custom_field/activity/")["data"] == []
    user_api.post("activity/custom/", body, status=400)


def test_archived_types_take_nothing_new(api: Api, world: World, body: dict) -> None:
    draft = api.post("activity/custom/", {**body, "status": "draft"})["id"]
    with scope(world.ours.organization), events.door("page"):
        archive_type(world.ours.admin, world.ours.type_row)
    found = api.post("activity/custom/", body, status=400)
    assert "archived" in found["field-errors"]["custom_activity_type_id"]
    api.put(f"activity/custom/{draft}/", {"status": "published"}, status=400)
    api.get(f"activity/custom/{world.ours.activities[0].public_id}/")


def test_the_plan_answers_402(api: Api, world: World, body: dict) -> None:
    Organization.objects.filter(pk=world.ours.organization.pk).update(plan="solo")
    assert "plan" in api.post("activity/custom/", body, status=402)["error"]
    assert "plan" in api.post("custom_activity/", {"name": "One more"}, status=402)["error"]
    api.post("activity/custom/", {**body, "status": "draft"})


def test_an_external_id_updates_instead_of_doubling(api: Api, world: World, body: dict) -> None:
    first = api.post("activity/custom/", {**body, "external_id": "inv-1", cf(world, "Users"): 1})
    second = api.post("activity/custom/", {**body, "external_id": "inv-1", cf(world, "Users"): 2})
    assert (second["id"], second[cf(world, "Users")]) == (first["id"], 2)
    assert [row["id"] for row in api.get("activity/custom/?external_id=inv-1")["data"]] == [first["id"]]


def test_history_may_be_written_with_past_dates_and_other_members(api: Api, world: World, body: dict) -> None:
    other = world.ours.user.user.public_id
    found = api.post(
        "activity/custom/", {**body, "date_created": "2020-01-02T03:04:05Z", "user_id": other, "created_by_id": other}
    )
    assert found["date_created"] == found["activity_at"] == "2020-01-02T03:04:05+00:00"
    assert found["user_id"] == found["created_by"] == other
    api.post("activity/custom/", {**body, "user_id": world.theirs.user.user.public_id}, status=400)
    api.post("activity/custom/", {**body, "contact_id": "cont_nobody"}, status=400)


def test_lists_filter_and_walk_by_cursor(api: Api, world: World, body: dict) -> None:
    type_id = body["custom_activity_type_id"]
    assert len(api.get(f"activity/custom/?lead_id={body['lead_id']}&custom_activity_type_id={type_id}")["data"]) == 2
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(f"activity/custom/?custom_activity_type_id={type_id}&_limit=2&_cursor={cursor}")
        seen += [row["id"] for row in page["data"]]
        cursor = page["cursor_next"]
    assert len(seen) == len(set(seen)) == 4
    api.get("activity/custom/?_cursor=broken", status=400)
    assert len(api.get("activity/custom/?status=draft")["data"]) == 1
    assert api.get("activity/?_type=Custom&date_created__gt=2100-01-01")["data"] == []
    assert {row["_type"] for row in api.get(f"activity/?_type__in=Created,{type_id}")["data"]} == {
        "Created",
        "CustomActivity",
    }
    api.get("activity/?_order_by=-activity_at", status=400)
    api.get(f"activity/?_order_by=-activity_at&lead_id={body['lead_id']}")
    api.get("activity/?date_created__gt=yesterdayish", status=400)


def test_drafts_of_others_are_private(world: World, body: dict) -> None:
    restricted, admin = Api(world.ours.restricted), Api(world.ours.admin)
    draft = world.ours.draft.public_id
    restricted.get(f"activity/custom/{draft}/", status=404)
    found = admin.get(f"activity/custom/{draft}/")
    assert (found["status"], found[cf(world, "Users")]) == ("draft", 12)  # “12.” was typed


def test_pin(api: Api, world: World) -> None:
    activity = world.ours.activities[0].public_id
    found = api.put(f"activity/custom/{activity}/", {"pinned": True})
    assert found["pinned"] is True and found["pinned_at"]


# --- built-in kinds ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "given", "shown"),
    [
        ("note", {"note": "Hello\nthere"}, {"_type": "Note", "note": "Hello\nthere", "note_html": "<body><p>Hello</p><p>there</p></body>"}),
        ("note", {"note_html": "<body><p>Hi &amp; bye</p></body>"}, {"note": "Hi & bye"}),
        ("call", {"direction": "inbound", "duration": 60, "remote_phone": "+12025550143"}, {"_type": "Call", "duration": 60, "phone": "+12025550143"}),
        ("email", {"direction": "outgoing", "subject": "Hi", "to": ["a@b.co", "c@d.co"]}, {"_type": "Email", "status": "sent", "to": ["a@b.co", "c@d.co"]}),
        ("sms", {"text": "Hi", "direction": "outbound"}, {"_type": "SMS", "status": "sent"}),
        ("meeting", {"title": "Kick-off", "starts_at": "2026-01-02T10:00:00Z", "ends_at": "2026-01-02T11:00:00Z"}, {"duration": 3600}),
    ],
)  # fmt: skip
def test_built_in_kinds(api: Api, world: World, path: str, given: dict, shown: dict) -> None:
    found = api.post(f"activity/{path}/", {"lead_id": world.ours.leads[0].public_id, **given})
    assert {key: found[key] for key in shown} == shown
    assert api.get(f"activity/{path}/{found['id']}/") == found
    api.get(f"activity/custom/{found['id']}/", status=404)
    assert api.delete(f"activity/{path}/{found['id']}/") == {}


def test_a_note_needs_a_text_and_says_so_under_its_key(api: Api, world: World) -> None:
    found = api.post("activity/note/", {"lead_id": world.ours.leads[0].public_id}, status=400)
    assert list(found["field-errors"]) == ["note"]


def test_system_entries_can_only_be_read(api: Api, world: World) -> None:
    entry = api.get("activity/created/")["data"][0]
    assert entry["_type"] == "Created"
    api.delete(f"activity/created/{entry['id']}/", status=405)


# --- types and fields -------------------------------------------------------------------------------------------------
def test_types_answer_201_and_204(api: Api) -> None:
    made = api.post(
        "custom_activity/",
        {"name": "Demo", "id": "actitype_foreign", "fields": [{"id": "cf_x"}], "created_by": "user_x"},
        status=201,
    )
    assert api.last["Location"] == f"/api/v1/custom_activity/{made['id']}/"
    assert made["fields"] == [] and made["is_archived"] is False
    assert api.post("custom_activity/", {"name": "demo"}, status=400)["field-errors"]["name"]
    assert api.put(f"custom_activity/{made['id']}/", {"is_archived": True})["is_archived"] is True
    assert api.delete(f"custom_activity/{made['id']}/", status=204) == ""
    api.get(f"custom_activity/{made['id']}/", status=404)


def test_types_need_the_permission(user_api: Api) -> None:
    assert "manage customizations" in user_api.post("custom_activity/", {"name": "No"}, status=403)["error"]


def test_fields_of_a_type(api: Api, body: dict) -> None:
    type_id = body["custom_activity_type_id"]
    made = api.post(
        "custom_field/activity/",
        {
            "custom_activity_type_id": type_id,
            "name": "Stage",
            "type": "choices",
            "choices": ["A", "B"],
            "accepts_multiple_values": True,
        },
    )
    assert (made["type"], made["choices"], made["accepts_multiple_values"]) == ("choices", ["A", "B"], True)
    found = api.put(f"custom_field/activity/{made['id']}/", {"type": "text"}, status=400)
    assert list(found["field-errors"]) == ["type"]
    api.put(f"custom_field/activity/{made['id']}/", {"custom_activity_type_id": "actitype_other"}, status=400)
    key = f"custom.{made['id']}"
    activity = api.post("activity/custom/", {**body, key: ["A"]})
    assert api.put(f"activity/custom/{activity['id']}/", {f"{key}.add": ["B"]})[key] == ["A", "B"]
    assert api.put(f"activity/custom/{activity['id']}/", {f"{key}.remove": ["A"]})[key] == ["B"]
    assert "choices" not in api.get(f"custom_activity/{type_id}/")["fields"][0]
    order = [row["id"] for row in api.get(f"custom_field_schema/activity/{type_id}/")["fields"]]
    flipped = api.put(
        f"custom_field_schema/activity/{type_id}/", {"fields": [{"id": name} for name in reversed(order)]}
    )
    assert [row["id"] for row in flipped["fields"]] == order[::-1]
    assert api.delete(f"custom_field/activity/{made['id']}/") == {}
    assert key not in api.get(f"activity/custom/{activity['id']}/")


def test_field_errors_speak_the_apis_words(api: Api, body: dict) -> None:
    type_id = body["custom_activity_type_id"]
    found = api.post(
        "custom_field/activity/", {"custom_activity_type_id": type_id, "name": "X", "type": "rainbow"}, status=400
    )
    assert list(found["field-errors"]) == ["type"]
    found = api.post("custom_field/activity/", {"name": "X", "type": "text"}, status=400)
    assert list(found["field-errors"]) == ["custom_activity_type_id"]


def test_fifty_fields_are_the_most(db: None) -> None:
    api = Api(make_tenant("many").admin)
    type_id = api.post("custom_activity/", {"name": "Wide"}, status=201)["id"]
    for number in range(50):
        api.post("custom_field/activity/", {"custom_activity_type_id": type_id, "name": f"F{number}", "type": "text"})
    api.post("custom_field/activity/", {"custom_activity_type_id": type_id, "name": "F51", "type": "text"}, status=400)


def test_a_taken_external_id_is_refused_on_change_and_a_free_one_kept(api: Api, world: World, body: dict) -> None:
    first = api.post("activity/custom/", {**body, "external_id": "one"})
    second = api.post("activity/custom/", {**body, cf(world, "Users"): 1})
    api.put(f"activity/custom/{second['id']}/", {"external_id": "one"}, status=409)
    api.put(f"activity/custom/{second['id']}/", {"external_id": "x" * 201}, status=400)
    assert api.get(f"activity/custom/{second['id']}/")["external_id"] is None
    changed = api.put(f"activity/custom/{second['id']}/", {"external_id": "two"})
    assert (changed["external_id"], changed[cf(world, "Users")]) == ("two", 1)
    assert api.post("activity/custom/", {**body, "external_id": "two"})["id"] == second["id"]
    assert api.put(f"activity/custom/{first['id']}/", {"external_id": None})["external_id"] is None


def test_a_change_of_status_is_logged_and_deleted_without_changing_the_lead(
    api: Api, user_api: Api, world: World
) -> None:
    lead = api.post("lead/", {"name": "History"})
    old, new = (row["id"] for row in api.get("status/lead/")["data"][:2])
    path, when = "activity/status_change/lead/", "2024-03-01T10:00:00+00:00"
    made = api.post(
        path, {"lead_id": lead["id"], "old_status_id": old, "new_status_id": new, "date_created": when}
    )  # fmt: skip
    assert (made["_type"], made["old_status_id"], made["new_status_id"]) == ("LeadStatusChange", old, new)
    assert made["new_status_label"] and made["date_created"] == made["activity_at"] == when
    assert api.get(f"{path}{made['id']}/") == made
    assert api.get(f"lead/{lead['id']}/")["status_id"] == lead["status_id"]
    gone = api.post(path, {"lead_id": lead["id"], "old_status_label": "Cold", "new_status_id": new})
    assert (gone["old_status_id"], gone["old_status_label"]) == (None, "Cold")
    for wrong in ({"old_status_id": "stat_x"}, {"old_status_id": new}, {}, {"old_status_label": "y" * 201}):
        refused = api.post(path, {"lead_id": lead["id"], "new_status_id": new, **wrong}, status=400)
        assert any(key.endswith("_status_id") for key in refused["field-errors"])
    user_api.delete(f"{path}{made['id']}/", status=403)
    assert len(api.get(f"{path}?lead_id={lead['id']}")["data"]) == 2
    assert api.delete(f"{path}{made['id']}/") == {}
    api.get(f"{path}{made['id']}/", status=404)
    assert api.get("activity/?thread_emails=only")["data"] == [] != api.get("activity/?thread_emails=true")["data"]
    # What is a note is not taken off through this door.
    note = api.post("activity/note/", {"lead_id": lead["id"], "note": "x"})
    api.delete(f"{path}{note['id']}/", status=404)


def test_a_finished_task_is_an_entry_of_its_lead(api: Api, user_api: Api, world: World) -> None:
    lead, other = (api.post("lead/", {"name": name})["id"] for name in ("Acme Tasks", "Other"))
    path, me = "activity/task_completed/", api.get("me/")
    task = api.post("task/", {"lead_id": lead, "text": "Call back", "_type": "lead"})
    assert api.get(f"{path}?lead_id={lead}") == {"data": [], "has_more": False}
    api.put(f"task/{task['id']}/", {"is_complete": True})
    [entry] = api.get(f"{path}?lead_id={lead}")["data"]
    assert (entry["_type"], entry["lead_id"], entry["user_id"]) == ("TaskCompleted", lead, me["id"])
    assert (entry["task_id"], entry["task_text"]) == (task["id"], "Call back")
    assert (entry["task_assigned_to"], entry["task_assigned_to_name"]) == (
        me["id"],
        f"{me['first_name']} {me['last_name']}",
    )
    assert api.get(f"{path}{entry['id']}/") == entry
    assert api.get(f"activity/?lead_id={lead}&_type=TaskCompleted")["data"] == [entry]
    assert [row["_type"] for row in api.get(f"activity/?lead_id={lead}")["data"]] == ["TaskCompleted", "Created"]
    [told] = api.get(f"event/?object_type=activity.task_completed&lead_id={lead}")["data"]
    assert (told["action"], told["object_id"], told["data"]["task_text"]) == ("created", entry["id"], "Call back")
    query = {"type": "and", "queries": [{"type": "object_type", "object_type": "activity.task_completed"}]}
    assert [row["id"] for row in api.post("data/search/", {"query": query})["data"]] == [entry["id"]]
    # Finished is finished: saying so again writes nothing. A task that is made finished has its entry too.
    api.put(f"task/{task['id']}/", {"is_complete": True, "text": "Call back!"})
    api.post("task/", {"lead_id": other, "text": "Done long ago", "is_complete": True})
    assert [row["task_text"] for row in api.get(path)["data"]] == ["Done long ago", "Call back"]
    page = api.get(f"{path}?_limit=1&_skip=1&_fields=task_text")
    assert page == {"data": [{"task_text": "Call back"}], "has_more": False}


def test_the_entry_of_a_finished_task_goes_by_right_and_when_it_is_open_again(
    api: Api, user_api: Api, world: World
) -> None:
    lead, path = api.post("lead/", {"name": "Acme Tasks"})["id"], "activity/task_completed/"
    task = api.post("task/", {"lead_id": lead, "text": "Call back", "is_complete": True})
    [entry] = api.get(f"{path}?lead_id={lead}")["data"]
    with scope(world.ours.organization):
        before = Event.objects.count()
    user_api.delete(f"{path}{entry['id']}/", status=403)
    Api(world.theirs.admin).delete(f"{path}{entry['id']}/", status=404)
    Api(world.theirs.admin).get(f"{path}{entry['id']}/", status=404)
    assert Api(world.theirs.admin).get(path)["data"] == []
    api.call("PUT", f"{path}{entry['id']}/", {"task_text": "x"}, status=405)
    note = api.post("activity/note/", {"lead_id": lead, "note": "x"})
    api.delete(f"{path}{note['id']}/", status=404)
    with scope(world.ours.organization):
        assert Event.objects.count() == before + 1
    assert api.delete(f"{path}{entry['id']}/") == {}
    api.delete(f"{path}{entry['id']}/", status=404)
    assert api.get(f"{path}?lead_id={lead}")["data"] == []
    assert api.get(f"task/{task['id']}/")["is_complete"] is True
    events = api.get(f"event/?object_type=activity.task_completed&object_id={entry['id']}")["data"]
    assert [row["action"] for row in events] == ["deleted", "created"]
    # Open again: what said it was finished goes, that of another task stays.
    api.put(f"task/{task['id']}/", {"is_complete": False})
    api.put(f"task/{task['id']}/", {"is_complete": True})
    kept = api.post("task/", {"lead_id": lead, "text": "Write", "is_complete": True})
    assert [row["task_id"] for row in api.get(f"{path}?lead_id={lead}")["data"]] == [kept["id"], task["id"]]
    api.put(f"task/{task['id']}/", {"is_complete": False})
    assert [row["task_id"] for row in api.get(f"{path}?lead_id={lead}")["data"]] == [kept["id"]]


def test_a_hidden_field_keeps_anything(api: Api, world: World) -> None:
    ours = world.ours
    field = api.post(
        "custom_field/activity/", {"custom_activity_type_id": ours.call.public_id, "name": "Ours", "type": "hidden"}
    )
    key = f"custom.{field['id']}"
    body = {"lead_id": ours.leads[0].public_id, "custom_activity_type_id": ours.call.public_id, "status": "draft"}
    for given, kept in (
        ("a", "a"),
        (7, "7"),
        (True, "true"),
        ({"é": [1, None]}, '{"é": [1, null]}'),
        ([1, "b"], '[1, "b"]'),
    ):
        assert api.post("activity/custom/", {**body, key: given})[key] == kept
