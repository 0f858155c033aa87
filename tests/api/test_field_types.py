"""A field of leads or contacts changes its `type` (`spec/api.md` 2.15), and what named it goes on."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from activities.models import Activity
from activities.services.activities import log_activity
from activities.services.rules import create_rule
from crm import events, jobs
from crm.customfields.services import conversions, field_for
from crm.models import CustomField, Event, Organization
from crm.roles import create_role
from crm.tasks import convert_field
from crm.tenancy import scope
from tests.api.conftest import Api
from tests.factories import PASSWORD, World


def make(api: Api, owner: str = "lead", **more: Any) -> dict[str, Any]:
    return api.post(f"custom_field/{owner}/", {"name": "Size", "type": "text", **more})


def give(api: Api, world: World, field: dict[str, Any], *values: Any) -> None:
    for lead, value in zip(world.ours.leads, values, strict=False):
        api.put(f"lead/{lead.public_id}/", {f"custom.{field['id']}": value})


def held(api: Api, world: World, field: dict[str, Any]) -> list[Any]:
    return [api.get(f"lead/{lead.public_id}/").get(f"custom.{field['id']}") for lead in world.ours.leads]


def where(field: dict[str, Any], condition: dict[str, Any]) -> dict[str, Any]:
    named = {"type": "custom_field", "custom_field_id": field["id"]}
    found = {"type": "field_condition", "field": named, "condition": condition}
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, found]}


TEXT = {"type": "text", "mode": "full_words", "value": "12"}
NUMBER = {"type": "number_range", "gte": 12}


def test_the_id_stays_and_the_values_become_numbers(api: Api, world: World) -> None:
    field = make(api, description="Seats")
    give(api, world, field, "12", "many", "100")
    changed = api.put(f"custom_field/lead/{field['id']}/", {"type": "number", "name": "Seats"})
    assert changed == {
        **field, "type": "number", "name": "Seats", "date_updated": changed["date_updated"], "converting_to_type": None,
    }  # fmt: skip
    assert api.get(f"custom_field/lead/{field['id']}/") == changed
    assert [row["id"] for row in api.get("custom_field/lead/")["data"]] == [field["id"]]
    assert [row["id"] for row in api.get("custom_field_schema/lead/")["fields"]] == [field["id"]]
    assert held(api, world, field) == [12, None, 100]
    give(api, world, field, 13)
    assert held(api, world, field) == [13, None, 100]
    refused = api.put(f"lead/{world.ours.leads[0].public_id}/", {f"custom.{field['id']}": "many"}, status=400)
    assert list(refused["field-errors"]) == [f"custom.{field['id']}"]
    # Twice more, and back; then it goes as any field does.
    for kind, values in (("choices", ["13", None, "100"]), ("text", ["13", None, "100"]), ("number", [13, None, 100])):
        assert api.put(f"custom_field/lead/{field['id']}/", {"type": kind})["type"] == kind
        assert held(api, world, field) == values
    assert api.delete(f"custom_field/lead/{field['id']}/") == {}
    api.get(f"custom_field/lead/{field['id']}/", status=404)
    assert api.get("custom_field/lead/")["data"] == []


def test_the_log_tells_it_under_the_same_id(api: Api, world: World) -> None:
    field = make(api)
    give(api, world, field, "twelve")
    give(api, world, field, "dozen", "12")
    api.put(f"custom_field/lead/{field['id']}/", {"type": "number"})
    newest, *_, first = api.get(f"event/?object_type=custom_fields.lead&object_id={field['id']}")["data"]
    assert (first["action"], newest["action"], newest["data"]["id"], newest["data"]["type"]) == (
        "created", "updated", field["id"], "number",
    )  # fmt: skip
    assert (newest["meta"]["converted"], newest["meta"]["gone"]) == (1, 1)
    # What the log kept of the text is told of nobody as a number.
    lead = world.ours.leads[0].public_id
    give(api, world, field, 5)
    rows = api.get(f"event/?object_type=lead&object_id={lead}&action=updated")["data"]
    assert rows[0]["data"][f"custom.{field['id']}"] == 5
    assert "twelve" not in str(rows) and "dozen" not in str(rows)


def test_what_named_the_field_says_so_and_never_breaks(api: Api, world: World, client: Client) -> None:
    field = make(api)
    give(api, world, field, "12", "many", "100")
    query = where(field, TEXT)
    assert len(api.post("data/search/", {"query": query})["data"]) == 1
    view = api.post("saved_search/", {"name": "Twelve", "s_query": {"query": query}})
    tenant = world.ours
    with scope(tenant.organization), events.door("page"):
        tenant.organization.refresh_from_db()
        rule = create_rule(
            tenant.admin, tenant.type_row.public_id, name="Sets", actions=[{"do": "set_field", "field_id": field["id"], "value": "x"}]
        )  # fmt: skip
    api.put(f"custom_field/lead/{field['id']}/", {"type": "number"})
    refused = api.post("data/search/", {"query": query}, status=400)
    assert "Size" in str(refused)
    assert api.get(f"lead/?saved_search_id={view['id']}", status=400)["field-errors"]
    assert api.get(f"saved_search/{view['id']}/")["name"] == "Twelve"
    found = api.post("data/search/", {"query": where(field, NUMBER)})["data"]
    assert {row["id"] for row in found} == {lead.public_id for lead in (tenant.leads[0], tenant.leads[2])}
    # The page of the view says it where the condition is; others open as ever.
    client.login(username=tenant.admin.user.email, password=PASSWORD)
    page = client.get(f"/o/{tenant.organization.slug}/smart-views/{view['id']}/", follow=True)
    assert page.status_code == 422 and "Size cannot be asked “text”." in page.content.decode()
    for address in (f"smart-views/{view['id']}/count/", f"leads/{tenant.leads[0].public_id}/", "smart-views/all/"):
        assert client.get(f"/o/{tenant.organization.slug}/{address}", follow=True).status_code == 200
    # A rule that sets it to what is no number stops no publish, and says why.
    with scope(tenant.organization), events.door("api"):
        tenant.organization.refresh_from_db()
        row = log_activity(tenant.user, tenant.leads[1], tenant.call, custom={"Users": "60"})
        rule.refresh_from_db()
        assert row.status == Activity.Status.PUBLISHED and "must be a number" in rule.last_error
    assert held(api, world, field) == [12, None, 100]


def test_a_field_by_which_a_role_sees_leads_keeps_its_type(api: Api, world: World) -> None:
    tenant = world.ours
    field = make(api, type="user")
    give(api, world, field, tenant.user.user.public_id)
    with scope(tenant.organization), events.door("page"):
        tenant.organization.refresh_from_db()
        row = field_for(tenant.admin, field["id"])
        create_role(tenant.admin, name="Own leads", visibility_fields=[row.pk])
    refused = api.put(f"custom_field/lead/{field['id']}/", {"type": "text"}, status=400)
    assert refused["field-errors"] == {
        "type": "By Size, the role Own leads sees the leads assigned to them. Choose another field there first."
    }
    assert api.get(f"custom_field/lead/{field['id']}/")["type"] == "user"


def test_many_values_are_converted_by_a_job(
    api: Api, world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, "AT_ONCE", 1)
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "enqueue", lambda *job: sent.append(job))
    field = make(api)
    give(api, world, field, "12", "many", "100")
    answered = api.put(f"custom_field/lead/{field['id']}/", {"type": "number", "required": True})
    assert (answered["type"], answered["converting_to_type"], answered["required"]) == ("text", "number", True)
    [listed] = api.get("custom_field/lead/")["data"]
    assert listed == answered
    assert held(api, world, field) == ["12", "many", "100"]
    for body in ({"type": "date"}, {"name": "Other"}, {"choices": ["a"]}):
        refused = api.put(f"custom_field/lead/{field['id']}/", body, status=400)
        assert "is being changed to number" in str(refused)
    lead = world.ours.leads[0].public_id
    assert "is being changed to number" in str(api.put(f"lead/{lead}/", {f"custom.{field['id']}": "1"}, status=400))
    assert api.put(f"lead/{lead}/", {"description": "Other parts change"})["description"] == "Other parts change"
    client.login(username=world.ours.admin.user.email, password=PASSWORD)
    for address in (
        f"leads/{lead}/",
        f"leads/{lead}/edit/",
        "settings/fields/leads/",
        f"settings/fields/lead/{field['id']}/",
    ):
        assert client.get(f"/o/{world.ours.organization.slug}/{address}", follow=True).status_code == 200
    convert_field(*sent[0][1:])
    done = api.get(f"custom_field/lead/{field['id']}/")
    assert (done["type"], done["converting_to_type"], done["required"]) == ("number", None, True)
    assert held(api, world, field) == [12, None, 100]


def test_who_may_not_and_what_may_not(api: Api, user_api: Api, world: World) -> None:
    field, contact = make(api), make(api, "contact")
    shared = api.post("custom_field/shared/", {"name": "Everywhere", "type": "text"})
    api.post(f"custom_field/shared/{shared['id']}/association/", {"object_type": "lead"}, status=201)
    of_calls = world.ours.fields["Users"]

    def state() -> Any:
        with scope(world.ours.organization):
            return (
                list(CustomField.objects.order_by("pk").values()),
                Event.objects.count(),
                (Organization.objects.get(pk=world.ours.organization.pk).schema_version),
            )

    before = state()
    user_api.put(f"custom_field/lead/{field['id']}/", {"type": "number"}, status=403)
    Api(world.theirs.admin).put(f"custom_field/lead/{field['id']}/", {"type": "number"}, status=404)
    for path, body in (
        (f"shared/{shared['id']}", {"type": "number"}), (f"activity/{of_calls}", {"type": "text"}),
        (f"lead/{field['id']}", {"type": "rainbow"}), (f"lead/{field['id']}", {"type": "number", "choices": ["a"]}),
    ):  # fmt: skip
        refused = api.put(f"custom_field/{path}/", body, status=400)
        assert set(refused["field-errors"]) <= {"type", "choices"}
    assert state() == before
    # The same type is no change of type; a contact's field may change.
    assert api.put(f"custom_field/lead/{field['id']}/", {"type": "text"})["id"] == field["id"]
    assert api.put(f"custom_field/contact/{contact['id']}/", {"type": "date"})["type"] == "date"


def test_a_role_that_goes_by_members_keeps_naming_the_field(api: Api, world: World) -> None:
    field = make(api)
    give(api, world, field, world.ours.user.user.email)
    api.put(f"custom_field/lead/{field['id']}/", {"type": "user"})
    role = api.post("role/", {"name": "Own", "visibility_user_lcf_ids": [field["id"]]}, status=201)
    assert role["visibility_user_lcf_ids"] == [field["id"]]
    assert api.get(f"role/{role['id']}/")["visibility_user_lcf_ids"] == [field["id"]]


def test_a_field_that_became_shared_later_is_found_in_types(api: Api, world: World) -> None:
    """Reports and forms name fields by the id that stays."""
    field = make(api)
    api.put(f"custom_field/lead/{field['id']}/", {"type": "number"})
    from crm.customfields.services import field_for, share_field

    with scope(world.ours.organization), events.door("page"):
        world.ours.organization.refresh_from_db()
        share_field(world.ours.admin, field_for(world.ours.admin, field["id"]))
    type_id = world.ours.type_row.public_id
    body = {"object_type": "custom_activity_type", "custom_activity_type_id": type_id}
    api.post(f"custom_field/shared/{field['id']}/association/", body, status=201)
    lead = world.ours.leads[0].public_id
    made = api.post(
        "activity/custom/", {"lead_id": lead, "custom_activity_type_id": type_id, f"custom.{field['id']}": 7}
    )
    assert made[f"custom.{field['id']}"] == 7
    [told] = api.get(f"event/?object_type=custom_fields.activity&object_id={field['id']}")["data"]
    assert (told["action"], told["data"]["id"], told["data"]["type"]) == ("updated", field["id"], "number")
