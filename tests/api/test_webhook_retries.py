"""When what failed is tried again: each delivery has its own growing wait, whatever was leased beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from crm import events
from crm.models import WebhookDelivery, WebhookSubscription
from crm.tenancy import scope
from crm.webhooks import courier
from leads.services import update_lead
from tests.api.conftest import Api
from tests.api.test_webhooks import Receiver, _fresh, deliver, listen, log, receiver
from tests.factories import World

__all__ = ["receiver"]


def waits() -> list[timedelta]:
    """Return for how long each waiting delivery is put off, oldest first, in whole seconds."""
    rows = WebhookDelivery.unscoped.filter(state="waiting").order_by("pk")
    return [timedelta(seconds=round((row.next_attempt_at - timezone.now()).total_seconds())) for row in rows]


def test_what_was_leased_beside_a_failure_waits_its_own_time(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url)
    log(world)
    log(world)
    WebhookDelivery.unscoped.update(attempts=2)
    receiver.statuses = [500]
    deliver()
    assert sorted(row.attempts for row in WebhookDelivery.unscoped.all()) == [2, 3]
    assert waits() == [courier.wait_after(3), courier.wait_after(2)]
    deliver()
    assert len(receiver.got) == 3 and not waits()


def test_updates_sent_as_one_wait_longer_each_time_they_fail(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url, [{"object_type": "lead", "action": "updated"}])
    actor, lead = _fresh(world.ours.user), world.ours.leads[0]
    with scope(actor.organization), events.door("page"):
        for name in ("One", "Two", "Three"):
            lead = update_lead(actor, lead, {"name": name})
    receiver.statuses = [500, 500, 500]
    for attempts in (1, 2, 3):
        deliver()
        assert waits() == [courier.wait_after(attempts)] * 3
    deliver()
    assert [event["data"]["name"] for event in receiver.events] == ["Three"] * 4
    assert WebhookDelivery.unscoped.get().attempts == 4


def test_a_turn_that_ends_early_gives_back_everything_it_leased(
    api: Api, world: World, receiver: Receiver, monkeypatch: Any
) -> None:
    listen(api, receiver.url)
    log(world)
    log(world)
    WebhookDelivery.unscoped.update(attempts=1)
    monkeypatch.setattr(courier, "SERVE_SECONDS", -1)
    deliver()
    monkeypatch.undo()
    assert receiver.got == [] and courier.deliver_due() == 2 and len(receiver.got) == 2
    assert WebhookSubscription.unscoped.get().failing_since is None
