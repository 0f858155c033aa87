"""A meeting happens when it starts, unless somebody said otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client

from activities.models import Activity, LeadActivityFact
from activities.queries import TypeInfo, type_catalog
from activities.services.activities import log_activity, update_activity
from activities.services.drafts import save_draft
from crm import events
from crm.customfields.catalog import catalog
from crm.tenancy import scope
from tests.factories import Tenant, World

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
START, LATER, OTHER = (datetime(2026, 3, day, 14, 30, tzinfo=UTC) for day in (10, 11, 20))


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"), time_machine.travel(NOW, tick=False):
        yield world.ours


def meeting_kind(tenant: Tenant) -> TypeInfo:
    found = type_catalog(tenant.organization).builtin("meeting")
    assert found is not None
    return found


def field_id(tenant: Tenant, key: str) -> str:
    uses = catalog(tenant.organization).uses(meeting_kind(tenant).fieldset_id)
    return next(use.field.public_id for use in uses if use.field.builtin == f"meeting.{key}")


def meeting(tenant: Tenant, starts: datetime | None = None, **more: Any) -> Activity:
    custom = {"title": "Demo"} | ({"starts_at": starts.isoformat()} if starts else {})
    return log_activity(tenant.user, tenant.leads[0], meeting_kind(tenant), custom=custom, **more)


def test_a_meeting_happens_when_it_starts(ours: Tenant) -> None:
    assert meeting(ours, START).activity_at == START
    assert meeting(ours, START, activity_at=OTHER).activity_at == OTHER
    # What was brought along from elsewhere was recorded then, and takes place when it starts.
    assert meeting(ours, START, date_created=OTHER).activity_at == START
    assert meeting(ours).activity_at == NOW
    fact = LeadActivityFact.objects.get(lead_id=ours.leads[0].pk, type_id=meeting_kind(ours).id)
    assert (fact.first_at, fact.last_at, fact.count) == (NOW, OTHER, 4)


def test_a_meeting_that_is_moved_takes_its_day_along(ours: Tenant) -> None:
    moved = {"starts_at": LATER.isoformat()}
    assert update_activity(ours.user, meeting(ours, START), custom=moved).activity_at == LATER
    assert update_activity(ours.user, meeting(ours), custom=moved).activity_at == LATER
    assert update_activity(ours.user, meeting(ours, START), custom=moved, activity_at=OTHER).activity_at == OTHER
    # Somebody said when: that stays.
    assert update_activity(ours.user, meeting(ours, START, activity_at=OTHER), custom=moved).activity_at == OTHER
    assert update_activity(ours.user, meeting(ours, START), custom={"starts_at": ""}).activity_at == START
    assert update_activity(ours.user, meeting(ours, START), custom={"title": "Kick-off"}).activity_at == START
    fact = LeadActivityFact.objects.get(lead_id=ours.leads[0].pk, type_id=meeting_kind(ours).id)
    assert (fact.first_at, fact.last_at) == (START, OTHER)


@pytest.mark.parametrize(("typed", "then"), [("", START), ("2026-03-20T14:30", OTHER)])
def test_a_draft_that_is_published_happens_when_it_starts(ours: Tenant, typed: str, then: datetime) -> None:
    raw = {field_id(ours, "title"): "Demo", field_id(ours, "starts_at"): "2026-03-10T14:30", "activity_at": typed}
    draft = save_draft(ours.user, ours.leads[0], meeting_kind(ours), raw)
    assert draft is not None
    with time_machine.travel(LATER, tick=False):
        assert update_activity(ours.user, draft, status="published").activity_at == then


@pytest.mark.parametrize(("typed", "then"), [(None, LATER), ("2026-03-20T14:30", OTHER)])
def test_the_form_says_so_and_an_untouched_box_does_not_hold_it(
    ours: Tenant, typed: str | None, then: datetime
) -> None:
    client, held = Client(), meeting(ours, START)
    client.force_login(ours.user.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    address = f"/o/ours/activities/{held.public_id}/edit/"
    page = client.get(address).content.decode()
    assert "Left empty, it is what Starts says." in page and 'value="2026-03-10T14:30"' in page
    sent = {
        field_id(ours, "title"): "Demo", field_id(ours, "starts_at"): "2026-03-11T14:30",
        "activity_at": typed or "2026-03-10T14:30", "user": ours.user.user.public_id, "revision": str(held.revision),
    }  # fmt: skip
    assert client.post(address, sent).status_code == 302
    assert Activity.objects.get(pk=held.pk).activity_at == then


@pytest.mark.parametrize(("starts", "then"), [("2026-03-10T14:30", START), ("2026-03-11T14:30", LATER), ("", OTHER)])
def test_a_box_that_was_emptied_takes_back_what_somebody_said(ours: Tenant, starts: str, then: datetime) -> None:
    client, held = Client(), meeting(ours, START, activity_at=OTHER)
    client.force_login(ours.user.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    sent = {
        field_id(ours, "title"): "Demo", field_id(ours, "starts_at"): starts, "activity_at": "",
        "user": ours.user.user.public_id, "revision": str(held.revision),
    }  # fmt: skip
    assert client.post(f"/o/ours/activities/{held.public_id}/edit/", sent).status_code == 302
    assert Activity.objects.get(pk=held.pk).activity_at == then
