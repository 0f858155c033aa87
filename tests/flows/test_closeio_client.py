"""Close's own Python client, unmodified, against our server: what its users do must work unchanged."""

from __future__ import annotations

import pytest
from closeio_api import API, APIError, ValidationError

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser


@pytest.fixture
def client(live_app: LiveApp) -> API:
    """The client with an admin's key."""
    key = live_app.manage("create_api_key", "ann@acme.example", "--organization", "acme").strip().splitlines()[-1]
    return API(f"{live_app.url}/api/v1/", key)


def test_the_official_client_does_its_whole_job(client: API) -> None:
    me = client.get("me")
    organization = me["organizations"][0]["id"]
    assert me["memberships"][0]["role_id"] == "admin" and me["memberships"][0]["organization_id"] == organization

    lead = client.post(
        "lead",
        data={"name": "Closeio Company", "contacts": [{"name": "Gob", "emails": [{"email": "gob@bluth.example"}]}]},
    )
    client.put(f"lead/{lead['id']}", data={"description": "Banana stand"})
    found = client.get("lead", params={"query": 'name:"Closeio"', "_limit": 10, "_fields": "id,description"})
    assert found["data"] == [{"id": lead["id"], "description": "Banana stand"}] and found["total_results"] == 1
    contact = client.post("contact", data={"lead_id": lead["id"], "name": "Michael"})
    assert client.put(f"contact/{contact['id']}", data={"title": "President"})["title"] == "President"

    kind = client.post("custom_activity", data={"name": "API qualifying call", "description": "Fit?"})
    assert kind["id"].startswith("actitype_")
    choice = client.post(
        "custom_field/activity",
        data={
            "custom_activity_type_id": kind["id"],
            "name": "CRM",
            "type": "choices",
            "choices": ["HubSpot", "None"],
            "required": True,
        },
    )
    number = client.post(
        "custom_field/activity/", data={"custom_activity_type_id": kind["id"], "name": "Users", "type": "number"}
    )
    crm, users = f"custom.{choice['id']}", f"custom.{number['id']}"

    body = {"lead_id": lead["id"], "custom_activity_type_id": kind["id"]}
    with pytest.raises(ValidationError) as refused:
        client.post("activity/custom", data=body)
    assert refused.value.field_errors == {crm: "CRM is required."}
    draft = client.post("activity/custom", data={**body, "status": "draft", users: 60})
    assert draft["status"] == "draft"
    done = client.put(f"activity/custom/{draft['id']}", data={"status": "published", crm: "HubSpot"})
    assert (done["status"], done[crm], done[users]) == ("published", "HubSpot", 60)
    assert client.put(f"activity/custom/{done['id']}", data={users: 75.5})[users] == 75.5
    note = client.post("activity/note", data={"lead_id": lead["id"], "note": "Likes magic"})
    kinds = {row["_type"] for row in client.get("activity", params={"lead_id": lead["id"]})["data"]}
    assert {"Note", "CustomActivity", "Created"} <= kinds and note["note"] == "Likes magic"

    query = {
        "type": "and",
        "queries": [
            {"type": "object_type", "object_type": "lead"},
            {
                "type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity",
                "related_query": {
                    "type": "field_condition", "field": {"type": "custom_field", "custom_field_id": number["id"]},
                    "condition": {"type": "number_range", "gt": 50},
                },
            },
        ],
    }  # fmt: skip
    page = client.post("data/search", data={"query": query, "_fields": {"lead": ["display_name"]}, "_limit": 200})
    assert [row["display_name"] for row in page["data"]] == ["Closeio Company"]

    metric = f"custom_activities.created.{kind['id']}.count"
    report = client.post("report/activity", data={"type": "overview", "metrics": [metric], "relative_range": "today"})
    assert report["aggregations"]["totals"] == {metric: 1}

    assert client.delete(f"activity/custom/{done['id']}") == {}
    with pytest.raises(APIError) as gone:
        client.get(f"activity/custom/{done['id']}")
    assert gone.value.response.status_code == 404
    assert client.delete(f"custom_activity/{kind['id']}") == ""
    assert client.delete(f"lead/{lead['id']}") == {}


def test_a_wrong_key_is_an_api_error(client: API) -> None:
    with pytest.raises(APIError) as refused:
        API(client.base_url, "api_wrong.key").get("me")
    assert refused.value.response.json() == {"error": "Unauthorized"}
