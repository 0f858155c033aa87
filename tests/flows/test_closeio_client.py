"""Close's own Python client, unmodified, against our server: what its users do must work unchanged."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from closeio_api import API, APIError, ValidationError

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser


@pytest.fixture
def client(live_app: LiveApp) -> API:
    """The client with an admin's key."""
    key = live_app.manage("create_api_key", "ann@acme.example", "--organization", "acme").strip().splitlines()[-1]
    return API(f"{live_app.url}/api/v1/", key)


@pytest.fixture
def lead(client: API) -> dict[str, Any]:
    contact = {"name": "Gob", "emails": [{"email": "gob@bluth.example", "type": "office"}]}
    return client.post("lead", data={"name": "Closeio Company", "contacts": [contact]})


def unique(client: API, name: str) -> str:
    """A name nobody has yet: the organization is shared by the tests of a run."""
    taken = {row["name"] for row in client.get("custom_activity")["data"]}
    return next(text for number in range(100) if (text := f"{name} {number}") not in taken)


def test_long_addresses_are_understood(client: API, lead: dict[str, Any]) -> None:
    """Scripts ask with hundreds of ids in the address; the longest go through POST."""
    many = ",".join([lead["id"]] * 220)
    logged = client.post("activity/note", data={"lead_id": lead["id"], "note": "Hi"})
    found = client.get("activity/note", params={"lead_id__in": many, "_fields": "id"})
    assert len(many) > 4500 and [row["id"] for row in found["data"]] == [logged["id"]]
    more = json.dumps({"_params": {"lead_id__in": ",".join([lead["id"]] * 2000), "_fields": "id"}})
    override = {"x-http-method-override": "GET", "Content-Type": "application/json"}
    answer = client.session.post(f"{client.base_url}activity/note/", data=more, headers=override)
    assert len(more) > 40_000 and answer.json()["data"] == [{"id": logged["id"]}]


def test_a_custom_activitys_whole_life(client: API) -> None:
    me = client.get("me")
    organization = me["organizations"][0]["id"]
    assert me["memberships"][0]["role_id"] == "admin" and me["memberships"][0]["organization_id"] == organization

    lead = client.post(
        "lead",
        data={"name": "Closeio Company", "contacts": [{"name": "Gob", "emails": [{"email": "gob@bluth.example"}]}]},
    )
    client.put(f"lead/{lead['id']}", data={"description": "Banana stand"})
    kind = client.post("custom_activity", data={"name": unique(client, "API qualifying call"), "description": "Fit?"})
    assert kind["id"].startswith("actitype_")
    choices = {"custom_activity_type_id": kind["id"], "name": "CRM", "type": "choices", "choices": ["HubSpot", "None"]}
    choice = client.post("custom_field/activity", data={**choices, "required": True})
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
    back = client.put(f"activity/custom/{done['id']}", data={"status": "draft", crm: None})
    assert back["status"] == "draft" and crm not in back
    client.put(f"activity/custom/{done['id']}", data={"status": "published", crm: "None"})
    listed = client.get("activity/custom", params={"lead_id": lead["id"], "custom_activity_type_id": kind["id"]})
    assert [row["id"] for row in listed["data"]] == [done["id"]]

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
    assert metric in {row["key"] for row in client.get("report/activity/metrics")["data"]}

    schema = client.get(f"custom_field_schema/activity/{kind['id']}")
    order = [{"id": row["id"]} for row in schema["fields"]][::-1]
    assert [row["id"] for row in client.put(f"custom_field_schema/activity/{kind['id']}", data={"fields": order})["fields"]] == [row["id"] for row in order]  # fmt: skip

    assert client.delete(f"activity/custom/{done['id']}") == {}
    with pytest.raises(APIError) as gone:
        client.get(f"activity/custom/{done['id']}")
    assert gone.value.response.status_code == 404
    assert client.delete(f"custom_field/activity/{number['id']}") == {}
    assert client.put(f"custom_activity/{kind['id']}", data={"is_archived": True})["is_archived"] is True
    assert client.delete(f"custom_activity/{kind['id']}") == ""
    assert client.delete(f"lead/{lead['id']}") == {}


def test_leads_and_contacts(client: API, lead: dict[str, Any]) -> None:
    found = client.get("lead", params={"query": 'name:"Closeio"', "_limit": 10, "_fields": "id,display_name"})
    assert {"id": lead["id"], "display_name": "Closeio Company"} in found["data"] and found["total_results"] >= 1
    contact = client.post("contact", data={"lead_id": lead["id"], "name": "Michael"})
    assert client.put(f"contact/{contact['id']}", data={"title": "President"})["title"] == "President"
    assert {row["name"] for row in client.get("contact", params={"lead_id": lead["id"]})["data"]} == {"Gob", "Michael"}
    assert client.delete(f"contact/{contact['id']}") == {}
    alone = client.post("contact", data={"name": "No lead yet"})
    assert client.get(f"lead/{alone['lead_id']}")["name"] == "No lead yet"
    field = client.post("custom_field/contact", data={"name": f"Hobby {alone['id']}", "type": "text"})
    assert (
        client.put(f"contact/{alone['id']}", data={f"custom.{field['id']}": "Magic"})[f"custom.{field['id']}"]
        == "Magic"
    )
    assert client.delete(f"custom_field/contact/{field['id']}") == {}
    assert client.post("lead/merge", data={"source": alone["lead_id"], "destination": lead["id"]}) == {}
    assert "No lead yet" in {row["name"] for row in client.get(f"lead/{lead['id']}")["contacts"]}


@pytest.mark.parametrize(
    ("path", "body", "change"),
    [
        ("note", {"note": "Likes magic"}, {"note": "Hates magic"}),
        ("call", {"direction": "outbound", "duration": 61, "note": "Long"}, {"duration": 62}),
        ("email", {"subject": "Hi", "status": "sent", "body_text": "Hello", "to": ["gob@bluth.example"]}, {"subject": "Ho"}),
        ("sms", {"text": "Hi", "status": "sent"}, {"text": "Ho"}),
        ("meeting", {"title": "Demo", "starts_at": "2026-03-01T10:00:00+00:00", "ends_at": "2026-03-01T11:00:00+00:00"}, {"title": "Dinner"}),
    ],
)  # fmt: skip
def test_other_activities(
    client: API, lead: dict[str, Any], path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    made = client.post(f"activity/{path}", data={"lead_id": lead["id"], **body})
    after = client.put(f"activity/{path}/{made['id']}", data=change)
    assert {key: after[key] for key in change} == change
    assert client.get(f"activity/{path}/{made['id']}")["id"] == made["id"]
    assert [row["id"] for row in client.get(f"activity/{path}", params={"lead_id": lead["id"]})["data"]] == [made["id"]]
    found = client.get("activity", params={"lead_id": lead["id"], "_type__in": f"{made['_type']},Created"})["data"]
    assert {row["_type"] for row in found} == {made["_type"], "Created"}
    assert client.delete(f"activity/{path}/{made['id']}") == {}


def test_statuses_tasks_views_and_changes_of_status(client: API, lead: dict[str, Any]) -> None:
    status = client.post("status/lead", data={"label": f"For {lead['id']}"})
    moved = client.put(f"lead/{lead['id']}", data={"status_id": status["id"]})
    assert moved["status_label"] == status["label"]
    changes = client.get("activity/status_change/lead", params={"lead_id": lead["id"]})["data"]
    assert changes[0]["new_status_id"] == status["id"]
    with pytest.raises(APIError):
        client.delete(f"status/lead/{status['id']}")
    client.put(f"lead/{lead['id']}", data={"status_id": changes[0]["old_status_id"]})
    assert client.delete(f"status/lead/{status['id']}") == {}
    task = client.post("task", data={"lead_id": lead["id"], "text": "Call back", "date": "2026-12-01"})
    assert client.put(f"task/{task['id']}", data={"is_complete": True})["is_complete"] is True
    assert task["id"] in {
        row["id"] for row in client.get("task", params={"lead_id": lead["id"], "_limit": 1000})["data"]
    }
    assert client.delete(f"task/{task['id']}") == {}
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
    view = client.post("saved_search", data={"name": "From the client", "s_query": {"query": tree}})
    assert view["id"] in {row["id"] for row in client.get("saved_search", params={"_limit": 600})["data"]}
    assert client.get("lead", params={"saved_search_id": view["id"], "_limit": 1})["data"]
    assert client.delete(f"saved_search/{view['id']}") == {}


def test_people(client: API) -> None:
    me = client.get("me")
    organization = client.get(f"organization/{me['organizations'][0]['id']}")
    for key in (
        "memberships",
        "inactive_memberships",
        "lead_statuses",
        "opportunity_statuses",
        "pipelines",
        "lead_custom_fields",
    ):
        assert isinstance(organization[key], list), key
    assert client.put(f"organization/{organization['id']}", data={"currency": "EUR"})["currency"] == "EUR"
    assert me["id"] in {row["id"] for row in client.get("user", params={"_limit": 1000})["data"]}
    assert client.get(f"user/{me['id']}")["email"] == "ann@acme.example"
    assert {"admin", "superuser", "user", "restricteduser"} <= {row["id"] for row in client.get("role")["data"]}
    assert client.get("api_key")["data"][0]["organization_id"] == organization["id"]


def test_shared_fields(client: API, lead: dict[str, Any]) -> None:
    field = client.post("custom_field/shared", data={"name": f"Shared {lead['id']}", "type": "text"})
    client.post(f"custom_field/shared/{field['id']}/association", data={"object_type": "lead"})
    assert client.put(f"lead/{lead['id']}", data={f"custom.{field['id']}": "x"})[f"custom.{field['id']}"] == "x"
    assert client.delete(f"custom_field/shared/{field['id']}/association/lead") == ""
    assert client.delete(f"custom_field/shared/{field['id']}") == {}


def test_events_and_webhooks(client: API, lead: dict[str, Any]) -> None:
    events = client.get("event", params={"lead_id": lead["id"], "_cursor": ""})
    assert "created" in {row["action"] for row in events["data"]} and "cursor_next" in events
    made = client.post(
        "webhook", data={"url": "https://example.com/hook", "events": [{"object_type": "lead", "action": "updated"}]}
    )
    assert len(made["signature_key"]) == 64
    assert client.put(f"webhook/{made['id']}", data={"status": "paused"})["status"] == "paused"
    assert made["id"] in {row["id"] for row in client.get("webhook")["data"]}
    assert client.delete(f"webhook/{made['id']}") == {}


def test_what_closes_scripts_index_is_always_there(client: API) -> None:
    for path in (
        "role", "webhook", "saved_search", "sequence", "email_template", "sms_template", "integration_link",
        "custom_field/shared", "custom_field/activity", "opportunity", "pipeline", "status/opportunity", "group",
        "send_as", "connected_account", "dialer", "phone_number", "custom_object_type", "outcome",
    ):  # fmt: skip
        assert client.get(path)["has_more"] in (True, False), path
    # Close's clone script posts what it read elsewhere, ids and dates included.
    kind = client.post("custom_activity", data={"name": unique(client, "Original")})
    copied = client.post("custom_activity//", data={**kind, "name": unique(client, "Copy")})
    assert copied["id"] != kind["id"] and copied["fields"] == []
    for row in (kind, copied):
        client.delete(f"custom_activity/{row['id']}")


def test_a_very_long_filter_goes_as_a_post_in_disguise(client: API, lead: dict[str, Any]) -> None:
    found = client.post(
        "activity", data={"_params": {"lead_id": lead["id"], "_limit": 1}}, headers={"x-http-method-override": "GET"}
    )
    assert found["data"][0]["lead_id"] == lead["id"]


def test_errors_are_those_of_the_client(client: API) -> None:
    with pytest.raises(APIError) as refused:
        API(client.base_url, "api_wrong.key").get("me")
    assert refused.value.response.json() == {"error": "Unauthorized"}
    with pytest.raises(ValidationError) as invalid:
        client.get("lead", params={"_limit": 201})
    assert invalid.value.field_errors == {"_limit": "Input should be less than or equal to 200"}
    assert invalid.value.errors == []


def test_it_waits_when_told_to_slow_down() -> None:
    """Our 429, given to the client by a server of three lines: it sleeps for what our header says, and asks again."""
    from crm.api.door import _too_fast
    from crm.rate_limits import Allowance

    refusal = _too_fast(Allowance(limit=10, remaining=0, reset=1, wait=0.4, of="key"))
    answers: list[int] = []

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.append(200 if answers else 429)
            self.send_response(answers[-1])
            if answers[-1] == 429:
                for name, value in refusal.items():
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(refusal.content if answers[-1] == 429 else json.dumps({"ok": True}).encode())

        def log_message(self, *args: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert API(f"http://127.0.0.1:{server.server_port}/", "k").get("me") == {"ok": True}
        server.shutdown()
    assert answers == [429, 200]
