"""Idempotency-Key, rate limits, and what a key may do."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from activities.models import Activity
from crm import rate_limits
from crm.models import ApiKey, IdempotencyKey
from leads.models import Lead
from tests.api.conftest import Api
from tests.factories import World, make_world


def test_the_same_request_twice_happens_once_and_is_answered_the_same(api: Api) -> None:
    before = Lead.unscoped.count()
    first = api.post("lead/", {"name": "Once"}, Idempotency_Key="a")
    assert "Idempotency-Replayed" not in api.last
    assert api.post("lead/", {"name": "Once"}, Idempotency_Key="a") == first
    assert api.last["Idempotency-Replayed"] == "true" and Lead.unscoped.count() == before + 1
    assert api.post("lead/", {"name": "Once"}, Idempotency_Key="b")["id"] != first["id"]


def test_a_201_with_its_location_comes_back_as_it_was(api: Api) -> None:
    first = api.post("custom_activity/", {"name": "Once"}, status=201, Idempotency_Key="a")
    where = api.last["Location"]
    assert api.post("custom_activity/", {"name": "Once"}, status=201, Idempotency_Key="a") == first
    assert api.last["Location"] == where


def test_another_request_with_the_same_key_is_a_conflict(api: Api) -> None:
    api.post("lead/", {"name": "Once"}, Idempotency_Key="a")
    before = Lead.unscoped.count()
    for path, body in (
        ("lead/", {"name": "Other"}),
        ("contact/", {"name": "Once"}),
        ("lead/?_fields=id", {"name": "Once"}),
    ):
        assert "another request" in api.post(path, body, status=409, Idempotency_Key="a")["error"]
    assert Lead.unscoped.count() == before


def test_each_api_key_has_its_own_keys(api: Api, user_api: Api) -> None:
    first = api.post("lead/", {"name": "Once"}, Idempotency_Key="a")
    assert user_api.post("lead/", {"name": "Once"}, Idempotency_Key="a")["id"] != first["id"]


def test_a_refusal_is_not_kept(api: Api, world: World) -> None:
    body = {
        "lead_id": world.ours.leads[0].public_id,
        "custom_activity_type_id": world.ours.call.public_id,
        "status": "nope",
    }
    api.post("activity/custom/", body, status=400, Idempotency_Key="a")
    assert not IdempotencyKey.unscoped.exists()
    before = Activity.unscoped.count()
    api.post("activity/custom/", body | {"status": "draft"}, Idempotency_Key="a")
    assert Activity.unscoped.count() == before + 1


def test_keys_are_forgotten_after_a_day_and_are_no_novels(api: Api) -> None:
    first = api.post("lead/", {"name": "Once"}, Idempotency_Key="a")
    IdempotencyKey.unscoped.update(date_created=timezone.now() - timedelta(hours=25))
    assert api.post("lead/", {"name": "Once"}, Idempotency_Key="a")["id"] != first["id"]
    api.post("lead/", {"name": "Once"}, status=400, Idempotency_Key="a" * 256)


def test_reads_by_post_and_puts_do_not_care(api: Api, world: World) -> None:
    body = {"query": {"type": "object_type", "object_type": "lead"}}
    api.post("data/search/", body, Idempotency_Key="a")
    api.put(f"lead/{world.ours.leads[0].public_id}/", {"name": "x"}, Idempotency_Key="a")
    assert not IdempotencyKey.unscoped.exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one() -> None:
    api = Api(make_world().ours.admin)
    before, answers, gate = Lead.unscoped.count(), [], threading.Barrier(4)

    def send() -> None:
        gate.wait()
        try:
            found = api.client.post("/api/v1/lead/", {"name": "Once"}, content_type="application/json", headers={"Idempotency-Key": "a"})  # fmt: skip
            answers.append((found.status_code, found.json().get("id")))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Lead.unscoped.count() == before + 1
    assert len({number for status, number in answers if status == 200}) == 1 and {s for s, _ in answers} <= {200, 409}


@pytest.fixture
def counted_anew(settings: Any) -> None:
    """Organizations of rolled-back tests had the same numbers."""
    with (settings.DATA_DIR / "rate_limits").open("wb"):
        pass


# --- rate limits ------------------------------------------------------------------------------------------------------
def test_refusals_say_what_is_left_and_are_kept_nowhere(api: Api, settings: Any, counted_anew: None) -> None:
    settings.API_RATE_LIMIT = 0.5
    api.call("POST", "lead/", status=400, X_TZ_Offset="noon")
    assert api.last["RateLimit"].startswith("limit=5, remaining=4, reset=")
    assert (api.last["Cache-Control"], api.last["Vary"]) == ("private, no-store", "Authorization")


def test_too_fast_is_a_429_that_every_client_reads(api: Api, user_api: Api, settings: Any, counted_anew: None) -> None:
    settings.API_RATE_LIMIT = 0.5  # five at once, then one every two seconds
    for left in (4, 3, 2, 1, 0):
        api.get("status/lead/")
        assert api.last["RateLimit"].startswith(f"limit=5, remaining={left}, reset=")
    body = api.get("status/lead/", status=429)
    assert body["rate_reset"] == body["error"]["rate_reset"] and 1 <= body["rate_reset"] <= 2
    assert set(body["error"]) == {"message", "rate_reset", "rate_limit", "rate_window", "rate_limit_type"}
    assert api.last["Retry-After"] == str(body["rate_reset"]) and api.last["X-Rate-Limit-Remaining"] == "0"
    assert f"limit=5, remaining=0, reset={body['rate_reset']}" == api.last["RateLimit"]
    before = Lead.unscoped.count()
    api.post("lead/", {"name": "x"}, status=429)
    assert Lead.unscoped.count() == before
    user_api.get("status/lead/")


def test_an_organization_has_three_times_what_a_key_has(world: World, settings: Any, counted_anew: None) -> None:
    settings.API_RATE_LIMIT = 0.2  # two at once per key, six per organization
    for _ in range(3):
        key = Api(world.ours.admin)
        key.get("status/lead/")
        key.get("status/lead/")
    fourth = Api(world.ours.user)
    assert fourth.get("status/lead/", status=429)["error"]["rate_limit_type"] == "organization"
    Api(world.theirs.admin).get("status/lead/")


def test_what_was_taken_comes_back_with_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch, counted_anew: None
) -> None:
    settings.API_RATE_LIMIT = 1
    now = [1_000_000.0]
    monkeypatch.setattr(rate_limits.time, "time", lambda: now[0])
    assert [rate_limits.take("k", "o").wait > 0 for _ in range(11)] == [False] * 10 + [True]  # type: ignore[union-attr]
    now[0] += 1
    assert [rate_limits.take("k", "o").wait > 0 for _ in range(2)] == [False, True]  # type: ignore[union-attr]
    now[0] -= 10_000
    assert rate_limits.take("another", "o2") is not None
    settings.API_RATE_LIMIT = 0
    assert rate_limits.take("k", "o") is None


# --- keys -------------------------------------------------------------------------------------------------------------
def test_a_use_is_noted(api: Api) -> None:
    api.get("me/")
    assert ApiKey.unscoped.get(pk=api.row.pk).last_used_at


def test_rights_follow_the_creator_live(world: World) -> None:
    api = Api(world.ours.superuser)
    api.post("custom_activity/", {"name": "Mine"}, status=201)
    type(world.ours.superuser).unscoped.filter(pk=world.ours.superuser.pk).update(role=world.ours.user.role)
    assert "manage customizations" in api.post("custom_activity/", {"name": "Theirs"}, status=403)["error"]


def test_the_page_makes_shows_once_and_revokes(world: World) -> None:
    browser = Client()
    browser.force_login(world.ours.user.user)
    page = "/o/ours/settings/api-keys/"
    late = browser.post(f"{page}new/", {"name": "Late", "expires_at": "2020-01-01T00:00"})
    assert late.status_code == 422 and "expired already" in late.content.decode()
    made = browser.post(f"{page}new/", {"name": "Forms", "read_only": "on"}).content.decode()
    row = ApiKey.unscoped.get(name="Forms")
    plain = made.split('id="new-api-key">')[1].split("<")[0]
    assert plain.startswith(row.prefix) and row.read_only
    assert Client(headers={"Authorization": f"Bearer {plain}"}).get("/api/v1/me/").status_code == 200
    again = browser.get(page).content.decode()
    assert plain not in again and "Read only" in again
    strangers = Client()
    strangers.force_login(world.theirs.admin.user)
    assert strangers.post(f"/o/theirs/settings/api-keys/{row.public_id}/revoke/").status_code == 404
    row.refresh_from_db()
    assert row.revoked_at is None
    browser.post(f"{page}{row.public_id}/revoke/")
    assert Client(headers={"Authorization": f"Bearer {plain}"}).get("/api/v1/me/").status_code == 401
    assert "Revoked" in browser.get(page).content.decode()
