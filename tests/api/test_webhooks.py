"""Webhooks: subscriptions over the API, what is sent with whose rights, signatures, retries, pauses and the log's page."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from activities.services.activities import log_activity, update_activity
from crm import events
from crm.bulk import WORTH_IT
from crm.models import Event, Membership, Notification, Organization, WebhookDelivery, WebhookSubscription
from crm.tenancy import scope
from crm.webhooks import courier
from crm.webhooks.subscriptions import MAX_SUBSCRIPTIONS
from leads.services import create_lead, update_lead
from tests.api.conftest import Api
from tests.factories import PASSWORD, World, change_field

PUBLISHED = [{"object_type": "activity.custom_activity", "action": "published"}]


class Receiver(HTTPServer):
    """Keeps what it is sent. `statuses`: what to answer first; then 200. `location`: where to redirect to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keeps)
        self.got: list[tuple[Any, bytes]] = []
        self.statuses: list[int] = []
        self.location = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body)["event"] for _, body in self.got]


class _Keeps(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers, body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def deliver(*, later: timedelta = timedelta(0)) -> int:
    """Send everything that waits, as if `later` had passed."""
    WebhookDelivery.unscoped.filter(state="waiting").update(
        next_attempt_at=timezone.now() - timedelta(seconds=1) + later
    )
    return courier.deliver_due()


def listen(api: Api, url: str, wanted: Any = PUBLISHED) -> dict[str, Any]:
    made = api.post("webhook/", {"url": url, "events": wanted}, status=201)
    _fresh(api.row.membership)
    return made


def _fresh(actor: Membership) -> Membership:
    actor.organization.refresh_from_db()
    return actor


def log(world: World, actor: Membership | None = None, **custom: Any) -> Any:
    actor = _fresh(actor or world.ours.user)
    with scope(actor.organization), events.door("page"):
        values = {"Qualified": "yes", "Users": "7"} | custom
        return log_activity(actor, world.ours.leads[0], world.ours.call, custom=values)


# --- subscriptions ----------------------------------------------------------------------------------------------------
def test_a_subscription_lives_its_life(api: Api, receiver: Receiver) -> None:
    made = listen(api, receiver.url)
    assert made["id"].startswith("whsub_") and len(bytes.fromhex(made["signature_key"])) == 32
    assert api.last["Location"] == f"/api/v1/webhook/{made['id']}/"
    shown = api.get(f"webhook/{made['id']}/")
    assert "signature_key" not in shown and shown["status"] == "active" and shown["verify_ssl"] is True
    assert api.put(f"webhook/{made['id']}/", {"status": "paused"})["status"] == "paused"
    assert not Organization.objects.get(slug="ours").has_webhooks
    assert api.put(f"webhook/{made['id']}/", {"status": "active", "verify_ssl": False})["verify_ssl"] is False
    assert [row["id"] for row in api.get("webhook/")["data"]] == [made["id"]]
    assert api.delete(f"webhook/{made['id']}/") == {}
    assert api.get("webhook/") == {"data": [], "has_more": False}
    assert not Organization.objects.get(slug="ours").has_webhooks


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"events": PUBLISHED}, "url"),
        ({"url": "https://example.com"}, "events"),
        ({"url": "https://example.com", "events": []}, "events"),
        ({"url": "https://example.com", "events": [{"object_type": "nothing", "action": "created"}]}, "events.0.object_type"),
        ({"url": "https://example.com", "events": [{"object_type": "lead", "action": "published"}]}, "events.0.action"),
        ({"url": "https://example.com", "events": [{**PUBLISHED[0], "extra_filter": {"type": "magic"}}]}, "events.0.extra_filter"),
        ({"url": "ftp://example.com", "events": PUBLISHED}, "url"),
        ({"url": "https://me:you@example.com/", "events": PUBLISHED}, "url"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(api: Api, body: dict[str, Any], key: str) -> None:
    assert list(api.post("webhook/", body, status=400)["field-errors"]) == [key]
    assert not WebhookSubscription.unscoped.exists()


def test_forty_is_the_most(api: Api, receiver: Receiver, world: World) -> None:
    WebhookSubscription.unscoped.bulk_create(
        WebhookSubscription(
            organization=world.ours.organization, membership=world.ours.admin, url=receiver.url, events=PUBLISHED,
            signature_key="00",
        )
        for _ in range(MAX_SUBSCRIPTIONS)
    )  # fmt: skip
    assert "40 webhooks" in api.post("webhook/", {"url": receiver.url, "events": PUBLISHED}, status=400)["error"]


def test_members_manage_their_own_and_admins_all(api: Api, user_api: Api, world: World, receiver: Receiver) -> None:
    mine, theirs = listen(user_api, receiver.url), listen(api, receiver.url)
    assert [row["id"] for row in user_api.get("webhook/")["data"]] == [mine["id"]]
    assert {row["id"] for row in api.get("webhook/")["data"]} == {mine["id"], theirs["id"]}
    before = list(WebhookSubscription.unscoped.order_by("pk").values())
    for stranger, there in ((user_api, theirs), (Api(world.theirs.admin), mine)):
        stranger.get(f"webhook/{there['id']}/", status=404)
        stranger.put(f"webhook/{there['id']}/", {"status": "paused"}, status=404)
        stranger.delete(f"webhook/{there['id']}/", status=404)
    assert list(WebhookSubscription.unscoped.order_by("pk").values()) == before


# --- delivery ---------------------------------------------------------------------------------------------------------
def test_a_published_activity_arrives_signed(api: Api, world: World, receiver: Receiver) -> None:
    made = listen(api, receiver.url)
    row = log(world)
    assert deliver() == 1
    headers, body = receiver.got[0]
    stamp = headers["close-sig-timestamp"]
    wanted = hmac.new(bytes.fromhex(made["signature_key"]), stamp.encode() + body, hashlib.sha256).hexdigest()
    assert headers["close-sig-hash"] == wanted and headers["Content-Type"] == "application/json"
    sent = json.loads(body)
    assert sent["subscription_id"] == made["id"]
    event, users = sent["event"], f"custom.{world.ours.fields['Users']}"
    assert (event["object_type"], event["action"]) == ("activity.custom_activity", "published")
    assert event["object_id"] == row.public_id and event["data"][users] == 7 and event["data"]["status"] == "published"
    delivery = WebhookDelivery.unscoped.get()
    assert (delivery.state, delivery.attempts, delivery.response_status) == ("delivered", 1, 200)
    assert deliver() == 0 and len(receiver.got) == 1


def test_nothing_is_asked_or_written_without_a_webhook(world: World, django_assert_num_queries: Any) -> None:
    actor = world.ours.user
    with scope(actor.organization), django_assert_num_queries(1):
        events.record(actor, "created", "lead", 1)
    assert not WebhookDelivery.unscoped.exists()


def test_the_bulk_path_delivers_as_well(api: Api, world: World, receiver: Receiver) -> None:
    stale = world.ours.user  # read before the webhook was made, as a long job's actor is
    listen(api, receiver.url, [{"object_type": "lead", "action": "created"}])
    rows = [events.EventRow("created", "lead", world.ours.leads[0].pk, world.ours.leads[0].pk) for _ in range(WORTH_IT)]
    with scope(stale.organization):
        stale.organization.has_webhooks = False
        events.record_many(stale, rows)
    assert WebhookDelivery.unscoped.count() == WORTH_IT


def test_a_rolled_back_change_is_not_delivered(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url)
    api.post("activity/custom/", {"lead_id": world.ours.leads[0].public_id, "custom_activity_type_id": world.ours.call.public_id, "custom.cf_nope": 1}, status=400)  # fmt: skip
    assert not WebhookDelivery.unscoped.exists()


def test_updates_within_seconds_are_one_event(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url, [{"object_type": "lead", "action": "updated"}])
    actor, lead = _fresh(world.ours.user), world.ours.leads[0]
    with scope(actor.organization), events.door("page"):
        for name in ("One", "Two", "Three"):
            lead = update_lead(actor, lead, {"name": name})
    waiting = WebhookDelivery.unscoped.filter(state="waiting")
    assert waiting.count() == 3 and all(row.next_attempt_at > timezone.now() for row in waiting)
    deliver()
    (event,) = receiver.events
    assert event["changed_fields"] == ["name"] and event["previous_data"] == {"name": "Acme"}
    assert event["data"]["name"] == "Three" and event["data"]["status_label"]
    assert WebhookDelivery.unscoped.count() == 1


def test_closes_n8n_filters(api: Api, world: World, receiver: Receiver) -> None:
    def field(name: str, test: dict[str, Any]) -> dict[str, Any]:
        return {"type": "field_accessor", "field": name, "filter": test}

    published = field("data", field("status", {"type": "equals", "value": "published"}))
    kind = field("data", field("custom_activity_type_id", {"type": "equals", "value": world.ours.call.public_id}))
    changed = field("changed_fields", {"type": "contains", "value": "status"})
    listen(api, receiver.url, [
        {"object_type": "activity.custom_activity", "action": "updated", "extra_filter": {"type": "and", "filters": [published, changed, kind]}},
        {"object_type": "activity.custom_activity", "action": "created", "extra_filter": published},
    ])  # fmt: skip
    actor = _fresh(world.ours.user)
    with scope(actor.organization), events.door("page"):
        draft = log_activity(actor, world.ours.leads[0], world.ours.call, custom={}, status="draft")
    deliver()
    assert receiver.got == []
    with scope(actor.organization), events.door("page"):
        draft = update_activity(actor, draft, status="published")
    deliver()
    (event,) = receiver.events
    assert "status" in event["changed_fields"] and event["previous_data"]["status"] == "draft"
    assert event["previous_data"]["last_published_at"] is None and event["data"]["last_published_at"]
    with scope(actor.organization), events.door("page"):
        update_activity(actor, draft, custom={"Users": "9"})
    deliver()
    assert len(receiver.got) == 1


def test_a_failure_is_tried_again_later(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url)
    receiver.statuses = [500, 503]
    log(world)
    deliver()
    row = WebhookDelivery.unscoped.get()
    assert (row.state, row.attempts, row.response_status) == ("waiting", 1, 500) and "500" in row.error
    assert timedelta(seconds=5) < row.next_attempt_at - timezone.now() <= courier.wait_after(1)
    assert WebhookSubscription.unscoped.get().failing_since
    assert courier.deliver_due() == 0
    deliver()
    deliver()
    row.refresh_from_db()
    assert (row.state, row.attempts, len(receiver.got)) == ("delivered", 3, 3)
    assert WebhookSubscription.unscoped.get().failing_since is None
    assert courier.wait_after(1) < courier.wait_after(2) < courier.wait_after(30) == timedelta(minutes=20)


def test_three_days_of_failures_pause_it_and_tell_the_owner(api: Api, world: World, receiver: Receiver) -> None:
    made = listen(api, receiver.url)
    WebhookSubscription.unscoped.update(failing_since=timezone.now() - timedelta(days=3, minutes=1))
    receiver.statuses = [500]
    log(world)
    deliver()
    shown = api.get(f"webhook/{made['id']}/")
    assert shown["status"] == "paused" and "three days" in shown["pause_reason"]
    note = Notification.unscoped.get(membership=world.ours.admin)
    assert "paused" in note.text and made["id"] in note.path
    log(world)
    assert WebhookDelivery.unscoped.count() == 1, "nothing new is queued while it is paused"
    assert courier.deliver_due() == 0
    api.put(f"webhook/{made['id']}/", {"status": "active"})
    assert courier.deliver_due() == 1 and len(receiver.got) == 2


def test_after_72_hours_a_delivery_is_given_up(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url)
    receiver.statuses = [500]
    log(world)
    WebhookDelivery.unscoped.update(date_created=timezone.now() - timedelta(hours=72))
    deliver()
    assert WebhookDelivery.unscoped.get().state == "failed"


def test_one_that_does_not_answer_does_not_hold_up_another(
    api: Api, world: World, receiver: Receiver, settings: Any
) -> None:
    good = listen(api, receiver.url)
    bad = listen(api, "http://127.0.0.1:9/")
    for _ in range(4):
        log(world)
    deliver()
    by = {row: WebhookDelivery.unscoped.filter(subscription__url=row) for row in (good["url"], bad["url"])}
    assert {row.state for row in by[good["url"]]} == {"delivered"} and len(receiver.got) == 4
    assert sorted(row.attempts for row in by[bad["url"]]) == [0, 0, 0, 1], "one answer is enough to know"
    assert all(row.next_attempt_at > timezone.now() for row in by[bad["url"]]) and courier.deliver_due() == 0


def test_logs_are_kept_for_thirty_days(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url)
    for days in (31, 29):
        log(world)
        deliver()
        WebhookDelivery.unscoped.filter(pk=WebhookDelivery.unscoped.latest("pk").pk).update(
            date_created=timezone.now() - timedelta(days=days)
        )
    assert courier.forget_old() == 1 and WebhookDelivery.unscoped.count() == 1


def test_what_floods_is_paused(api: Api, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    listen(api, receiver.url)
    log(world)
    courier.pause_flooded()
    assert WebhookSubscription.unscoped.get().status == "active"
    monkeypatch.setattr(courier, "MOST_WAITING", 0)
    courier.pause_flooded()
    assert WebhookSubscription.unscoped.get().status == "paused"


def test_a_dead_couriers_delivery_is_taken_up_when_its_lease_ends(api: Api, world: World, receiver: Receiver) -> None:
    listen(api, receiver.url)
    log(world)
    assert len(courier._lease()) == 1  # and then it died
    assert courier.deliver_due() == 0
    deliver()
    assert len(receiver.got) == 1


# --- rights -----------------------------------------------------------------------------------------------------------
def test_the_payload_holds_what_its_owner_may_see(user_api: Api, world: World, receiver: Receiver) -> None:
    listen(user_api, receiver.url)
    with scope(world.ours.organization):
        change_field(world.ours, "Qualified", {"view_roles": [world.ours.admin.role_id]})
        log(world, world.ours.admin, Qualified="canary")
    deliver()
    assert len(receiver.got) == 1 and b"canary" not in receiver.got[0][1]
    assert f"custom.{world.ours.fields['Users']}" in receiver.events[0]["data"]


def test_an_object_its_owner_cannot_see_is_not_sent(world: World, receiver: Receiver) -> None:
    api = Api(world.ours.restricted)
    listen(api, receiver.url, [{"object_type": "activity.custom_activity", "action": "created"}])
    actor = _fresh(world.ours.user)
    with scope(actor.organization), events.door("page"):
        log_activity(actor, world.ours.leads[0], world.ours.call, custom={"Users": "1"}, status="draft")
    deliver()
    assert receiver.got == [] and not WebhookDelivery.unscoped.exists()


def test_it_stops_when_its_owner_does(user_api: Api, world: World, receiver: Receiver) -> None:
    listen(user_api, receiver.url)
    log(world, world.ours.admin)
    Membership.unscoped.filter(pk=world.ours.user.pk).update(removed_at=timezone.now())
    deliver()
    assert receiver.got == []
    row = WebhookSubscription.unscoped.get()
    assert row.status == "paused" and "no longer a member" in row.pause_reason
    assert Api(world.ours.admin).put(f"webhook/{row.public_id}/", {"status": "active"}, status=409)


# --- the page ---------------------------------------------------------------------------------------------------------
def test_the_page_makes_edits_shows_replays_and_deletes(world: World, receiver: Receiver) -> None:
    browser = Client()
    assert (
        browser.login(email="user@ours.example", password=PASSWORD) or browser.force_login(world.ours.user.user) is None
    )
    home = "/o/ours/settings/webhooks/"
    assert "No webhooks yet" in browser.get(home).content.decode()
    assert browser.post(f"{home}new/", {"url": "ftp://x", "events": ["lead/created"]}).status_code == 422
    both = browser.post(f"{home}new/", {"url": "ftp://x"})
    assert both.status_code == 422
    assert "must start with https" in both.content.decode() and "Tick at least one" in both.content.decode()
    found = browser.post(
        f"{home}new/", {"url": receiver.url, "events": ["activity.custom_activity/published"], "verify_ssl": "on"}
    )
    row = WebhookSubscription.unscoped.get()
    assert row.signature_key in found.content.decode()
    page = f"{home}{row.public_id}/"
    assert row.signature_key not in browser.get(page).content.decode()
    log(world)
    deliver()
    text = browser.get(page).content.decode()
    assert "Custom activity published" in text and "delivered" in text
    delivery = WebhookDelivery.unscoped.get()
    assert browser.post(f"{page}deliveries/{delivery.public_id}/replay/").status_code == 302
    deliver()
    assert len(receiver.got) == 2 and receiver.events[0]["id"] == receiver.events[1]["id"]
    one = browser.get(f"{page}deliveries/{delivery.public_id}/")
    assert json.loads(one.context["body"]) == json.loads(receiver.got[0][1])
    assert receiver.events[0]["id"] in one.content.decode() and row.signature_key not in one.content.decode()
    browser.post(f"{page}edit/", {"url": receiver.url, "events": ["lead/merged", "lead/created"]})
    row.refresh_from_db()
    assert {event["action"] for event in row.events} == {"merged", "created"} and row.verify_ssl is False
    browser.post(f"{page}status/", {"status": "paused"})
    assert "Resume" in browser.get(page).content.decode()
    browser.post(f"{page}delete/")
    assert not WebhookSubscription.unscoped.exists()


def test_the_pages_of_others_are_not_there(world: World, receiver: Receiver) -> None:
    theirs = listen(Api(world.ours.admin), receiver.url)
    log(world)
    delivery = WebhookDelivery.unscoped.get()
    before = list(WebhookSubscription.unscoped.values()), WebhookDelivery.unscoped.count()
    for member, slug in ((world.ours.user, "ours"), (world.theirs.admin, "theirs")):
        browser = Client()
        browser.force_login(member.user)
        page = f"/o/{slug}/settings/webhooks/{theirs['id']}/"
        for part in ("", f"deliveries/{delivery.public_id}/"):
            assert browser.get(page + part).status_code == 404
        for part in ("edit/", "status/", "delete/", f"deliveries/{delivery.public_id}/replay/"):
            assert browser.post(page + part, {"status": "paused"}).status_code == 404
    assert (list(WebhookSubscription.unscoped.values()), WebhookDelivery.unscoped.count()) == before


def test_a_delivery_shows_whoever_keeps_webhooks_what_they_may_see_not_what_its_owner_may(
    world: World, receiver: Receiver
) -> None:
    listen(Api(world.ours.user), receiver.url)
    with scope(world.ours.organization):
        change_field(world.ours, "Qualified", {"view_roles": [world.ours.user.role_id]})
        log(world, world.ours.user, Qualified="canary")
        deliver()
        assert b"canary" in receiver.got[0][1]
        keeper = world.ours.superuser
        role = keeper.role
        role.pk, role.slug, role.name, role.permissions = None, "", "Keeper", ["manage_organization"]
        role.save()
        Membership.objects.filter(pk=keeper.pk).update(role=role)
    row, delivery = WebhookSubscription.unscoped.get(), WebhookDelivery.unscoped.get()
    for member, seen in ((world.ours.user, True), (keeper, False)):
        browser = Client()
        browser.force_login(member.user)
        page = browser.get(f"/o/ours/settings/webhooks/{row.public_id}/deliveries/{delivery.public_id}/")
        assert page.status_code == 200 and (b"canary" in page.content) is seen


def test_the_list_and_the_log_ask_the_same_whatever_their_length(
    world: World, receiver: Receiver, django_assert_num_queries: Any
) -> None:
    api, browser = Api(world.ours.admin), Client()
    browser.force_login(world.ours.admin.user)
    counts = []
    made = None
    for _ in range(2):
        made = listen(api, receiver.url)
        log(world)
        deliver()
        for path in ("", f"{made['id']}/"):
            with django_assert_num_queries(PAGE_QUERIES[path != ""]):
                browser.get(f"/o/ours/settings/webhooks/{path}")
        counts.append(WebhookDelivery.unscoped.count())
    assert counts[1] > counts[0]


PAGE_QUERIES = (7, 8)


def test_events_of_a_gone_object_are_sent(api: Api, world: World, receiver: Receiver) -> None:
    listen(
        api, receiver.url, [{"object_type": "lead", "action": "deleted"}, {"object_type": "lead", "action": "created"}]
    )
    actor = _fresh(world.ours.admin)
    with scope(actor.organization), events.door("page"):
        lead = create_lead(actor, name="Short-lived")
    api.delete(f"lead/{lead.public_id}/")
    deliver()
    deliver()
    first, second = receiver.events
    assert first["action"] == "created" and first["data"]["name"] == "Short-lived"
    assert second["action"] == "deleted" and second["data"] is None and second["previous_data"]["name"] == "Short-lived"
    assert Event.unscoped.filter(object_type="lead", action="deleted").count() == 1
