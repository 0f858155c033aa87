"""Shared fields and their associations, schemas, the organization, comments, time zones: paragraph by paragraph of the reference."""

from __future__ import annotations

from typing import Any

import pytest

from crm.models import CustomField, FieldUse
from tests.api.conftest import Api
from tests.factories import World


def made(api: Api, **more: Any) -> dict[str, Any]:
    body = {"name": "Source", "type": "choices", "choices": ["Web", "Fair"], **more}
    return api.post("custom_field/shared/", body)


def test_a_shared_field_is_defined_used_in_places_and_deleted(api: Api, world: World) -> None:
    kind, other = world.ours.call.public_id, api.post("custom_activity/", {"name": "Other"}, status=201)["id"]
    field = made(api, id="cf_copied", associations=[{"object_type": "lead"}], date_created="2020-01-01")
    assert field["associations"] == [] and field["is_shared"] is True and field["choices"] == ["Web", "Fair"]
    path = f"custom_field/shared/{field['id']}"
    first = api.post(f"{path}/association/", {"object_type": "lead"}, status=201)
    assert first == {
        "object_type": "lead", "custom_activity_type_id": None, "custom_object_type_id": None, "editable_with_roles": [],
        "required": False,
    }  # fmt: skip
    second = api.post(f"{path}/association/", {
        "object_type": "custom_activity_type", "custom_activity_type_id": kind, "required": True, "editable_with_roles": ["user"],
    }, status=201)  # fmt: skip
    assert second["required"] is True and set(second["editable_with_roles"]) == {"admin", "user"}
    where = f"{path}/association/custom_activity_type/{kind}/"
    assert api.last["Location"] == f"/api/v1/{where}" and api.get(where) == second
    assert api.put(where, {"required": False, "editable_with_roles": []}) == second | {
        "required": False,
        "editable_with_roles": [],
    }
    assert api.get(f"{path}/")["associations"] == [first, api.get(where)]
    assert [row["id"] for row in api.get("custom_field/shared/")["data"]] == [field["id"]]
    in_type = api.get(f"custom_activity/{kind}/")["fields"][-1]
    assert (in_type["id"], in_type["is_shared"]) == (field["id"], True) and "choices" not in in_type
    schema = api.get(f"custom_field_schema/activity/{kind}/")["fields"][-1]
    assert schema["id"] == field["id"] and schema["choices"] == ["Web", "Fair"]
    assert field["id"] not in [row["id"] for row in api.get("custom_field/lead/")["data"]]
    lead = world.ours.leads[0].public_id
    assert api.put(f"lead/{lead}/", {f"custom.{field['id']}": "Web"})[f"custom.{field['id']}"] == "Web"
    api.get(f"{path}/association/custom_activity_type/{other}/", status=404)
    assert api.put(f"{path}/", {"name": "Origin", "choices": ["Web", "Call"]})["choices"] == ["Web", "Call"]
    assert api.delete(f"{path}/association/lead/", status=204) == ""
    assert f"custom.{field['id']}" not in api.get(f"lead/{lead}/")
    assert api.delete(f"{path}/") == {}
    api.get(f"{path}/", status=404)
    assert not FieldUse.unscoped.filter(field__name="Origin").exists()


def test_a_field_used_nowhere_can_be_changed_too(api: Api) -> None:
    field = made(api)
    assert api.put(f"custom_field/shared/{field['id']}/", {"description": "Where from", "choices": ["A"]})[
        "choices"
    ] == ["A"]
    assert api.put(f"custom_field/shared/{field['id']}/", {"type": "text"}, status=400)["field-errors"]["type"]


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({}, "object_type"),
        ({"object_type": "opportunity"}, "object_type"),
        ({"object_type": "custom_activity_type"}, "custom_activity_type_id"),
        ({"object_type": "custom_activity_type", "custom_activity_type_id": "actitype_nope"}, "custom_activity_type_id"),
        ({"object_type": "lead", "editable_with_roles": ["role_nope"]}, "editable_with_roles"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_association_is_named(api: Api, body: dict[str, Any], key: str) -> None:
    field = made(api)
    assert list(api.post(f"custom_field/shared/{field['id']}/association/", body, status=400)["field-errors"]) == [key]
    assert not FieldUse.unscoped.filter(field__name="Source", field__shared=True).exists()


def test_twice_in_one_place_is_refused(api: Api) -> None:
    field = made(api)
    api.post(f"custom_field/shared/{field['id']}/association/", {"object_type": "contact"}, status=201)
    api.post(f"custom_field/shared/{field['id']}/association/", {"object_type": "contact"}, status=400)


def test_who_may_not_changes_nothing(api: Api, user_api: Api, world: World) -> None:
    field = made(api)
    path = f"custom_field/shared/{field['id']}/"
    api.post(f"{path}association/", {"object_type": "lead"}, status=201)

    def state() -> list[Any]:
        return [list(CustomField.unscoped.order_by("pk").values()), list(FieldUse.unscoped.order_by("pk").values())]

    before = state()
    user_api.post("custom_field/shared/", {"name": "x", "type": "text"}, status=403)
    user_api.post(f"{path}association/", {"object_type": "contact"}, status=403)
    user_api.put(path, {"name": "x"}, status=403)
    user_api.put(f"{path}association/lead/", {"required": True}, status=403)
    user_api.delete(f"{path}association/lead/", status=403)
    user_api.delete(path, status=403)
    theirs = Api(world.theirs.admin)
    for method, where in (("GET", path), ("PUT", path), ("DELETE", path), ("GET", f"{path}association/lead/")):
        theirs.call(method, where, {} if method == "PUT" else None, status=404)
    assert state() == before


def test_a_schema_is_reordered_and_what_is_left_out_goes_to_the_end(api: Api, world: World) -> None:
    kind = world.ours.call.public_id
    rows = api.get(f"custom_field_schema/activity/{kind}/")
    assert rows["object_type"] == f"activity/{kind}" and [row["name"] for row in rows["fields"]] == [
        "Qualified",
        "CRM",
        "Users",
        "Next step",
    ]
    last, third = rows["fields"][3]["id"], rows["fields"][2]["id"]
    after = api.put(f"custom_field_schema/activity/{kind}/", {"fields": [{"id": last}, {"id": third}]})
    assert [row["name"] for row in after["fields"]] == ["Next step", "Users", "Qualified", "CRM"]
    for object_type in ("lead", "contact", "opportunity"):
        assert api.get(f"custom_field_schema/{object_type}/")["fields"] == []


# --- organization -----------------------------------------------------------------------------------------------------
def test_the_organization_is_renamed_and_its_statuses_ordered(api: Api, user_api: Api, world: World) -> None:
    path = f"organization/{world.ours.organization.public_id}/"
    statuses = [row["id"] for row in api.get(path)["lead_statuses"]]
    after = api.put(
        path, {"name": "New name", "currency": "EUR", "lead_statuses": [{"id": number} for number in statuses[::-1]]}
    )
    assert (after["name"], after["currency"]) == ("New name", "EUR")
    assert [row["id"] for row in after["lead_statuses"]] == statuses[::-1]
    assert set(api.get(f"{path}?_fields=lead_statuses,name")) == {"lead_statuses", "name"}
    assert list(api.put(path, {"currency": "nope"}, status=400)["field-errors"]) == ["currency"]
    user_api.put(path, {"name": "Mine"}, status=403)
    assert api.get(path)["name"] == "New name"
    api.put(f"organization/{world.theirs.organization.public_id}/", {"name": "x"}, status=404)


def test_the_organization_shows_lead_fields(api: Api, world: World) -> None:
    field = api.post("custom_field/lead/", {"name": "Industry", "type": "text"})
    path = f"organization/{world.ours.organization.public_id}/?_fields=lead_custom_fields"
    assert [row["id"] for row in api.get(path)["lead_custom_fields"]] == [field["id"]]


# --- comments ---------------------------------------------------------------------------------------------------------
def test_comments(api: Api, user_api: Api, world: World) -> None:
    activity = world.ours.activities[0].public_id
    found = user_api.post("comment/", {"object_id": activity, "body": "Nice, @Ada Admin"}, status=201)
    assert found["mentions"] == [world.ours.admin.user.public_id] and found["thread_id"] == activity
    assert user_api.last["Location"] == f"/api/v1/comment/{found['id']}/"
    assert (
        api.get(f"comment/?object_id={activity}")["data"]
        == [found]
        == api.get(f"comment_thread/{activity}/")["comments"]
    )
    assert api.get(f"comment_thread/?object_ids={activity}")["data"][0]["comments"] == [found]
    assert user_api.put(f"comment/{found['id']}/", {"body": "Nicer"})["body"] == "Nicer"
    api.put(f"comment/{found['id']}/", {"body": "Mine"}, status=403)
    Api(world.theirs.admin).get(f"comment/{found['id']}/", status=404)
    for body, key in (
        ({"body": "x"}, "object_id"),
        ({"object_id": activity}, "body"),
        ({"object_id": "acti_no", "body": "x"}, "object_id"),
    ):
        assert list(api.post("comment/", body, status=400)["field-errors"]) == [key]
    assert api.delete(f"comment/{found['id']}/", status=204) == ""
    api.get(f"comment/{found['id']}/", status=404)


# --- zones ------------------------------------------------------------------------------------------------------------
def test_a_time_without_offset_is_in_the_zone_asked_for(api: Api, world: World) -> None:
    kind = world.ours.call.public_id
    field = api.post("custom_field/activity/", {"custom_activity_type_id": kind, "name": "When", "type": "datetime"})[
        "id"
    ]
    body = {
        "lead_id": world.ours.leads[0].public_id,
        "custom_activity_type_id": kind,
        f"custom.{field}": "2026-03-15T09:00:00",
        "activity_at": "2026-03-15T09:00:00",
    }
    found = api.post("activity/custom/", body, X_TZ_Offset="-4")
    assert found[f"custom.{field}"] == "2026-03-15T13:00:00+00:00" == found["activity_at"]
    found = api.post("activity/custom/", body, X_TZ_Offset="-0.0")
    assert found[f"custom.{field}"] == "2026-03-15T09:00:00+00:00"
