"""The organization's own settings; with another zone, days are counted again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client

from activities.models import Activity
from activities.services.activities import log_activity
from activities.tasks import count_days_again
from crm import events
from crm.errors import InvalidInput, NotAllowed
from crm.models import Event, Organization
from crm.organization import update_organization
from crm.tenancy import scope
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def test_another_zone_moves_activities_to_the_right_day_and_no_others(ours: Tenant, world: World) -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    activity = log_activity(ours.user, ours.leads[0], ours.call, date_created=late)
    with scope(world.theirs.organization):
        theirs = log_activity(world.theirs.user, world.theirs.leads[0], world.theirs.call, date_created=late)
    update_organization(ours.admin, {"timezone": "Europe/Berlin"})
    for _ in range(2):
        count_days_again(ours.organization.pk)
        assert Activity.objects.get(pk=activity.pk).created_on == date(2026, 3, 2)
        assert Activity.unscoped.get(pk=theirs.pk).created_on == date(2026, 3, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", " "), ("name", "x" * 201), ("timezone", "Mars/Base"), ("week_starts_on", 7), ("currency", "EURO")],
)
def test_what_cannot_be_is_refused_at_its_field(ours: Tenant, key: str, value: Any) -> None:
    before = Organization.objects.values().get(pk=ours.organization.pk), Event.objects.count()
    with pytest.raises(InvalidInput) as refused:
        update_organization(ours.admin, {key: value})
    assert set(refused.value.fields) == {key}
    assert (Organization.objects.values().get(pk=ours.organization.pk), Event.objects.count()) == before


@pytest.mark.parametrize("who", ["superuser", "user", "restricted"])
def test_only_those_who_manage_the_organization_change_it(ours: Tenant, who: str) -> None:
    before = Organization.objects.values().get(pk=ours.organization.pk)
    with pytest.raises(NotAllowed):
        update_organization(getattr(ours, who), {"name": "Mine"})
    client = Client()
    client.login(email=getattr(ours, who).user.email, password=PASSWORD)
    assert client.post("/o/ours/settings/organization/", {"name": "Mine"}).status_code == 403
    assert Organization.objects.values().get(pk=ours.organization.pk) == before


def test_the_page_saves(world: World) -> None:
    client = Client()
    client.login(email=world.ours.admin.user.email, password=PASSWORD)
    given = {"name": "Ours Ltd", "timezone": "Asia/Tokyo", "week_starts_on": "6", "currency": "jpy"}
    assert client.post("/o/ours/settings/organization/", given).status_code == 302
    row = Organization.objects.get(pk=world.ours.organization.pk)
    assert (row.name, row.timezone, row.week_starts_on, row.currency) == ("Ours Ltd", "Asia/Tokyo", 6, "JPY")
    refused = client.post("/o/ours/settings/organization/", given | {"currency": "1"})
    assert refused.status_code == 422
    assert "three letters" in refused.content.decode()
