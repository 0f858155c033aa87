"""Webhooks about tasks: finishing one makes an activity, opening it again takes that away; both are told."""

from __future__ import annotations

from crm.models import WebhookDelivery
from tests.api.conftest import Api
from tests.api.test_webhooks import Receiver, deliver, listen, receiver
from tests.factories import World

__all__ = ["receiver"]

WANTED = [{"object_type": "activity.task_completed", "action": action} for action in ("created", "deleted")]


def test_a_finished_task_is_told_and_so_is_opening_it_again(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url, WANTED)
    lead = world.ours.leads[0].public_id
    task = api.post("task/", {"lead_id": lead, "text": "Call back"})
    deliver()
    assert receiver.got == [], "an open task is no completion"

    api.put(f"task/{task['id']}/", {"is_complete": True})
    entry = api.get(f"activity/task_completed/?lead_id={lead}")["data"][0]
    deliver()
    (made,) = receiver.events
    assert (made["object_type"], made["action"]) == ("activity.task_completed", "created")
    assert (made["object_id"], made["lead_id"]) == (entry["id"], lead)
    assert made["data"]["_type"] == "TaskCompleted" and made["data"]["task_id"] == task["id"]
    assert made["data"]["task_text"] == "Call back" and not made["previous_data"]

    api.put(f"task/{task['id']}/", {"is_complete": False})
    deliver()
    gone = receiver.events[-1]
    assert (gone["action"], gone["object_id"], gone["data"]) == ("deleted", entry["id"], None)
    assert gone["previous_data"]["task_id"] == task["id"]

    # Done again is another entry.
    api.put(f"task/{task['id']}/", {"is_complete": True})
    deliver()
    again = receiver.events[-1]
    assert again["action"] == "created" and again["object_id"] != entry["id"]
    assert {row.state for row in WebhookDelivery.unscoped.all()} == {"delivered"}
