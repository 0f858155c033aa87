"""Notifications: told once, read by their owner only, listed by cursor, counted with one query."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.errors import NotFound
from crm.models import Notification
from crm.notifications import (
    COUNTED,
    bell_text,
    mark_all_read,
    mark_read,
    notifications_of,
    notify,
    unread_count,
)
from crm.tenancy import scope
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World):
    with scope(world.ours.organization):
        yield world.ours


def client_of(tenant: Tenant, role: str = "user") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def at(tenant: Tenant, name: str, *args: str) -> str:
    return reverse(name, args=[tenant.organization.slug, *args])


def test_each_recipient_is_told_once_and_never_by_themselves(ours: Tenant) -> None:
    made = notify([ours.user, ours.user, ours.admin], "task", "Call\x00 Acme\nback", "drafts/", ours.admin.user)
    assert [(row.membership_id, row.text, row.kind) for row in made] == [(ours.user.pk, "Call Acme back", "task")]
    assert len(notify([ours.user], "job", "x" * 900)[0].text) == 500


def test_former_members_are_told_nothing(ours: Tenant) -> None:
    ours.user.removed_at = ours.user.date_created
    assert notify([ours.user], "job", "Done") == []


def test_the_list_goes_on_by_cursor(ours: Tenant) -> None:
    for number in range(5):
        notify([ours.user], "job", f"Job {number}")
    first, cursor = notifications_of(ours.user, limit=3)
    second, end = notifications_of(ours.user, cursor, limit=3)
    assert [row.text for row in (*first, *second)] == [f"Job {number}" for number in (4, 3, 2, 1, 0)]
    assert end == ""
    assert len(notifications_of(ours.user, "note_forged")[0]) == 5


def test_the_bell_counts_with_one_query_and_stops_at_a_hundred(ours: Tenant) -> None:
    assert bell_text(ours.user) == ""
    for number in range(COUNTED + 20):
        notify([ours.user], "job", str(number))
    with CaptureQueriesContext(connection) as captured:
        assert unread_count(ours.user) == COUNTED
    assert len(captured) == 1
    assert bell_text(ours.user) == "99+"
    assert mark_all_read(ours.user) == COUNTED + 20
    assert bell_text(ours.user) == ""


def test_nobody_marks_what_is_not_theirs(ours: Tenant, world: World) -> None:
    [row] = notify([ours.user], "job", "Done")
    for member in (ours.admin, world.theirs.user):
        with pytest.raises(NotFound), scope(member.organization):
            mark_read(member, row)
    row.refresh_from_db()
    assert row.read_at is None
    with scope(ours.organization):
        assert mark_read(ours.user, row).read_at is not None
        assert mark_read(ours.user, row, read=False).read_at is None


@pytest.mark.parametrize("rows", [1, 20])
def test_the_page_takes_the_same_queries_for_any_number(world: World, django_assert_num_queries, rows: int) -> None:
    ours = world.ours
    with scope(ours.organization):
        for number in range(rows):
            notify([ours.user], "job", f"Job {number}", by=ours.admin.user)
    client, address = client_of(ours), at(ours, "notifications")
    client.get(address)
    with django_assert_num_queries(7):
        assert len(client.get(address).context["notifications"]) == rows


def test_opening_marks_it_read_and_leads_there(world: World) -> None:
    ours = world.ours
    with scope(ours.organization):
        [row] = notify([ours.user], "mention", "Look", "drafts/", ours.admin.user)
    client = client_of(ours)
    bell = client.get(at(ours, "notifications"), {"bell": ""}, HTTP_HX_REQUEST="true").content.decode()
    assert "Look" in bell and "<html" not in bell
    assert client.post(at(ours, "notification_open", row.public_id))["Location"] == at(ours, "activities:drafts")
    assert Notification.unscoped.get(pk=row.pk).read_at is not None
    marked = client.post(
        at(ours, "notification_mark", row.public_id), {"unread": "1"}, HTTP_HX_REQUEST="true"
    ).content.decode()
    assert 'id="bell-count" hx-swap-oob="true">1<' in marked
    assert client.post(at(ours, "notifications_read")).status_code == 302
    assert "Mark unread" in client.get(at(ours, "notifications")).content.decode()


def test_somebody_elses_notification_is_not_there(world: World) -> None:
    ours = world.ours
    with scope(ours.organization):
        [row] = notify([ours.user], "job", "Done")
    for tenant, role in ((ours, "admin"), (world.theirs, "user")):
        assert client_of(tenant, role).post(at(tenant, "notification_open", row.public_id)).status_code == 404
    assert Notification.unscoped.get(pk=row.pk).read_at is None
