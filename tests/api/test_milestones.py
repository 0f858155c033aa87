"""Emails and SMS that are sent, meetings that are scheduled, started, completed and canceled: events of their own, and webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm.models import WebhookDelivery
from tests.api.conftest import Api
from tests.factories import World

ACTIONS = ("sent", "scheduled", "started", "completed", "canceled", "answered")


@pytest.fixture
def lead(world: World) -> str:
    return world.ours.leads[0].public_id


def told(api: Api, activity: dict[str, Any]) -> list[str]:
    """What the log tells of an activity besides that it was written, oldest first."""
    found = api.get(f"event/?object_id={activity['id']}")["data"]
    return [row["action"] for row in reversed(found) if row["action"] in ACTIONS]


def at(**ahead: float) -> str:
    return (timezone.now() + timedelta(**ahead)).isoformat()


@pytest.mark.parametrize("kind", ["email", "sms"])
def test_what_becomes_sent_is_sent_once(api: Api, lead: str, kind: str) -> None:
    text = {"lead_id": lead, "text": "Hi", "subject": "Hi", "sender": "ann@acme.example"}
    made = api.post(f"activity/{kind}/", {**text, "status": "draft"})
    path = f"activity/{kind}/{made['id']}/"
    api.put(path, {"text": "Hello", "subject": "Hello"})
    assert told(api, made) == []
    api.put(path, {"status": "outbox"})
    assert told(api, made) == []
    assert api.put(path, {"status": "sent"})["status"] == "sent"
    api.put(path, {"text": "Hello again", "subject": "Hello again"})
    assert told(api, made) == ["sent"]
    for status, expected in (("sent", ["sent"]), (None, ["sent"]), ("inbox", []), ("scheduled", [])):
        body = text if status is None else {**text, "status": status}
        assert told(api, api.post(f"activity/{kind}/", body)) == expected, status


def test_the_event_shows_what_was_sent(api: Api, lead: str) -> None:
    made = api.post(
        "activity/email/", {"lead_id": lead, "status": "sent", "subject": "Hi", "to": ["gob@bluth.example"]}
    )
    (event,) = api.get("event/?action=sent&object_type=activity.email")["data"]
    assert (event["object_id"], event["lead_id"], event["changed_fields"]) == (made["id"], lead, [])
    assert (event["data"]["subject"], event["data"]["status"], event["previous_data"]) == ("Hi", "sent", None)


def test_a_meeting_from_its_date_to_its_end(api: Api, lead: str) -> None:
    plan = {"lead_id": lead, "title": "Demo", "starts_at": at(days=1), "ends_at": at(days=1, hours=1)}
    made = api.post("activity/meeting/", plan)
    path = f"activity/meeting/{made['id']}/"
    assert (made["status"], told(api, made)) == ("upcoming", ["scheduled"])
    api.put(path, {"user_note_html": "<body><p>Bring bananas</p></body>"})
    assert told(api, made) == ["scheduled"]
    api.put(path, {"starts_at": at(days=2), "ends_at": at(days=2, hours=1)})
    assert told(api, made) == ["scheduled"] * 2
    for status in ("in-progress", "completed", "canceled", "declined-by-lead", "upcoming"):
        assert api.put(path, {"status": status})["status"] == status
    assert told(api, made) == ["scheduled", "scheduled", "started", "completed", "canceled", "scheduled"]


def test_a_meeting_follows_the_clock_but_time_is_no_event(api: Api, lead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begins = timezone.now() + timedelta(hours=1)
    plan = {
        "lead_id": lead,
        "title": "Demo",
        "starts_at": begins.isoformat(),
        "ends_at": (begins + timedelta(hours=1)).isoformat(),
    }
    made = api.post("activity/meeting/", plan)
    path = f"activity/meeting/{made['id']}/"
    for later, status in ((0.5, "upcoming"), (1.5, "in-progress"), (2.5, "completed")):
        moment = begins + timedelta(hours=later - 1)
        monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
        assert api.get(path)["status"] == status
        api.put(path, {"location": f"Room {later}"})
    monkeypatch.undo()
    assert told(api, made) == ["scheduled"]
    over = api.post("activity/meeting/", {"lead_id": lead, "title": "Over", "starts_at": at(hours=-2)})
    assert (over["status"], told(api, over)) == ("completed", ["completed"])
    assert told(api, api.post("activity/meeting/", {"lead_id": lead, "title": "Planned", "status": "draft"})) == []


def test_calls_and_notes_have_none(api: Api, lead: str) -> None:
    call = {"lead_id": lead, "direction": "outbound", "status": "in-progress", "disposition": "answered"}
    made = api.post("activity/call/", call)
    api.put(f"activity/call/{made['id']}/", {"status": "completed"})
    assert told(api, made) == []
    assert told(api, api.post("activity/note/", {"lead_id": lead, "note": "Hi"})) == []


def test_webhooks_get_them_and_what_only_close_has_is_taken(api: Api, lead: str) -> None:
    pairs = [
        ("activity.email", "sent"), ("activity.sms", "sent"), *(("activity.meeting", action) for action in ACTIONS[1:5]),
        ("activity.call", "completed"), ("activity.call", "answered"), ("lead_merge", "created"), ("task.missed_call", "created"),
        ("import", "reverted"), ("bulk_action.edit", "paused"),
    ]  # fmt: skip
    wanted = [{"object_type": object_type, "action": action} for object_type, action in pairs]
    # A node for n8n names the address so.
    made = api.post("webhook/", {"target_url": "https://hooks.example/close", "events": wanted}, status=201)
    assert made["url"] == "https://hooks.example/close" and made["events"] == wanted
    assert (
        api.put(f"webhook/{made['id']}/", {"target_url": "https://hooks.example/new"})["url"]
        == "https://hooks.example/new"
    )
    api.post("activity/email/", {"lead_id": lead, "status": "sent", "subject": "Hi"})
    api.post("activity/call/", {"lead_id": lead, "status": "completed"})
    api.post("activity/meeting/", {"lead_id": lead, "title": "Demo", "starts_at": at(days=1)})
    rows = WebhookDelivery.unscoped.select_related("event").order_by("pk")
    assert [(row.event.object_type, row.event.action) for row in rows] == [
        ("activity.email", "sent"),
        ("activity.meeting", "scheduled"),
    ]


def test_the_documentation_lists_them(client: Any) -> None:
    page = client.get("/api/v1/docs/").content.decode()
    assert "<code>activity.meeting</code> Meeting: " in page and "<code>scheduled</code>, <code>started</code>" in page
