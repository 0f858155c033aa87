"""Plans: the table, and a monthly counter that is right when many publish at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.test import Client
from django.utils.html import strip_tags

from activities.models import Activity, ActivityType
from activities.services.activities import delete_activity, log_activity, update_activity
from activities.services.drafts import save_draft
from activities.services.types import archive_type, create_type, unarchive_type
from crm.errors import PlanLimitReached
from crm.models import Event, UsageCounter
from crm.plans import PLANS, count_first_publishes, this_month, usage
from crm.tenancy import scope
from tests.factories import Tenant, make_tenant


@pytest.mark.parametrize(
    ("plan", "types", "activities"),
    [
        ("solo", 0, 0), ("essentials", 0, 0), ("base", 0, 0), ("startup", 5, 250), ("growth", 5, 10_000),
        ("professional", 5, 10_000), ("scale", 200, 50_000), ("enterprise", 200, 50_000), ("unlimited", None, None),
    ],
)  # fmt: skip
def test_the_table_is_the_specifications(plan: str, types: int | None, activities: int | None) -> None:
    assert (PLANS[plan].activity_types, PLANS[plan].monthly_activities) == (types, activities)


def on_plan(tenant: Tenant, plan: str, used: int = 0) -> None:
    tenant.organization.plan = plan
    tenant.organization.save(update_fields=["plan"])
    UsageCounter.unscoped.update_or_create(
        organization=tenant.organization, month=this_month(tenant.organization), defaults={"used": used}
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("plan", "used", "says", "silent"),
    [
        ("growth", 8_999, "8,999 of 10,000 published", "can be published"),
        ("growth", 9_000, "1,000 more activities can be published before", "used up"),
        ("startup", 249, "1 more activity can be published before", "used up"),
        ("startup", 250, "This month’s activities are used up.", "more activit"),
        ("startup", 3_000, "3,000 of 250 published", "more activit"),
        ("solo", 0, "This plan has no custom activities.", "used up"),
        ("unlimited", 3_000, "3,000 published for the first time, no limit", "used up"),
    ],
)
def test_the_page_tells_before_the_month_runs_out(plan: str, used: int, says: str, silent: str) -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, plan, used)
    browser = Client()
    browser.force_login(tenant.user.user)
    page = browser.get("/o/ours/settings/plan/").content.decode()
    text = " ".join(strip_tags(page.partition("<main")[2]).split())
    assert says in text and silent not in text
    assert "no room for another activity type" not in text


@pytest.mark.django_db
def test_the_page_tells_when_there_is_no_room_for_a_type() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup")
    with scope(tenant.organization):
        for number in range(5 - ActivityType.objects.filter(builtin="", archived_at=None).count()):
            create_type(tenant.admin, name=f"Type {number}")
    browser = Client()
    browser.force_login(tenant.user.user)
    assert "no room for another activity type" in browser.get("/o/ours/settings/plan/").content.decode()


@pytest.mark.django_db
def test_over_the_limit_nothing_is_published_and_the_draft_is_kept() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup", 249)
    with scope(tenant.organization):
        draft = save_draft(tenant.user, tenant.leads[0], tenant.call, {tenant.fields["Users"]: "7"})
        assert draft is not None
        log_activity(tenant.user, tenant.leads[0], tenant.call)
        before = Activity.objects.count(), Event.objects.count()
        for attempt in (
            lambda: log_activity(tenant.user, tenant.leads[0], tenant.call),
            lambda: update_activity(tenant.user, draft, status="published"),
        ):
            with pytest.raises(
                PlanLimitReached, match=r"allows 250 activities a month and 250 are used\. .*Drafts are kept"
            ):
                attempt()
        assert (Activity.objects.count(), Event.objects.count()) == before
        assert Activity.with_drafts.get(pk=draft.pk).draft_data == {tenant.fields["Users"]: "7"}
        update_activity(tenant.user, tenant.activities[0], custom={"Users": "8"})
        delete_activity(tenant.user, tenant.activities[0])
        assert usage(tenant.organization, 1).activities_used == 250


@pytest.mark.django_db
def test_a_plan_without_activities_does_not_promise_that_next_month_brings_some() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "base", 7)
    with scope(tenant.organization), pytest.raises(PlanLimitReached) as refused:
        count_first_publishes(tenant.organization)
    assert str(refused.value) == (
        "The Base plan allows 0 activities a month and 7 are used. Choose a larger plan in Settings > Plan. Drafts are kept."
    )
    with scope(tenant.organization), pytest.raises(PlanLimitReached) as full:
        create_type(tenant.admin, name="One more")
    assert "Archive one" not in str(full.value)


@pytest.mark.django_db
def test_the_month_is_the_calendar_month_in_the_organizations_zone() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup")
    tenant.organization.timezone = "America/New_York"
    with scope(tenant.organization):
        with time_machine.travel(datetime(2024, 3, 1, 3, tzinfo=UTC), tick=False):
            count_first_publishes(tenant.organization, 250)
            assert usage(tenant.organization, 1).resets_on.isoformat() == "2024-03-01"
            with pytest.raises(PlanLimitReached, match="from 1 March 2024"):
                count_first_publishes(tenant.organization)
        with time_machine.travel(datetime(2024, 3, 1, 6, tzinfo=UTC), tick=False):
            count_first_publishes(tenant.organization)
            assert usage(tenant.organization, 1).activities_used == 1


@pytest.mark.django_db
def test_many_that_do_not_all_fit_count_none() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup", 248)
    with pytest.raises(PlanLimitReached):
        count_first_publishes(tenant.organization, 3)
    assert usage(tenant.organization, 1).activities_used == 248


@pytest.mark.django_db
def test_types_are_limited_and_archived_ones_do_not_count() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup")
    with scope(tenant.organization):
        for number in range(4):
            create_type(tenant.admin, name=f"Type {number}")
        with pytest.raises(PlanLimitReached, match="allows 5 activity types and 5 are in use"):
            create_type(tenant.admin, name="One more")
        archive_type(tenant.admin, tenant.type_row)
        create_type(tenant.admin, name="One more")
        with pytest.raises(PlanLimitReached):
            unarchive_type(tenant.admin, tenant.type_row)
        assert tenant.call.archived


@pytest.mark.django_db(transaction=True)
def test_publishers_at_once_never_exceed_the_limit_together() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup", 246)
    kind = tenant.call
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def publish(number: int) -> None:
        try:
            with scope(tenant.organization):
                start.wait()
                log_activity(tenant.user, tenant.leads[number % 3], kind)
            outcomes.append("published")
        except PlanLimitReached:
            outcomes.append("refused")
        except Exception as problem:
            outcomes.append(repr(problem))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["published"] * 4 + ["refused"] * 4
    assert usage(tenant.organization, 1).activities_used == 250
    with scope(tenant.organization):
        assert Activity.objects.filter(type_id=kind.id).count() == 3 + 4


@pytest.mark.django_db(transaction=True)
def test_every_door_counts_a_first_publish_once_also_at_the_same_moment() -> None:
    """Four publish the same draft, others log one or take a draft back and publish it again: three first publishes."""
    tenant = make_tenant("ours")
    on_plan(tenant, "scale", 100)
    kind, users = tenant.call, tenant.fields["Users"]
    with scope(tenant.organization):
        draft = save_draft(tenant.user, tenant.leads[0], kind, {users: "7"})
        again = save_draft(tenant.user, tenant.leads[1], kind, {users: "8"})
    assert draft is not None
    assert again is not None

    def publish_again() -> None:
        published = update_activity(tenant.user, again, status="published")
        update_activity(tenant.user, update_activity(tenant.user, published, status="draft"), status="published")

    jobs = [lambda: update_activity(tenant.user, draft, status="published")] * 4
    jobs += [lambda: log_activity(tenant.user, tenant.leads[2], kind), publish_again]
    start = threading.Barrier(len(jobs))
    problems: list[str] = []

    def run(job: Any) -> None:
        try:
            with scope(tenant.organization):
                start.wait()
                job()
        except Exception as problem:
            problems.append(repr(problem))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert usage(tenant.organization, 1).activities_used == 103
    with scope(tenant.organization):
        about = Event.objects.filter(object_id=draft.pk, object_type="activity.custom_activity", action="published")
        assert about.count() == 1
        assert Activity.objects.filter(type_id=kind.id).count() == 3 + 3


@pytest.mark.django_db(transaction=True)
def test_types_made_or_brought_back_at_once_never_exceed_the_plan_together() -> None:
    tenant = make_tenant("ours")
    on_plan(tenant, "startup")
    with scope(tenant.organization):
        archived = [create_type(tenant.admin, name=f"Archived {number}") for number in range(3)]
        for row in archived:
            archive_type(tenant.admin, row)
        create_type(tenant.admin, name="Second")
    jobs = [lambda row=row: unarchive_type(tenant.admin, row) for row in archived]
    jobs += [lambda number=number: create_type(tenant.admin, name=f"New {number}") for number in range(3)]
    start = threading.Barrier(len(jobs))
    outcomes: list[str] = []

    def run(job: Any) -> None:
        try:
            with scope(tenant.organization):
                start.wait()
                job()
            outcomes.append("there")
        except PlanLimitReached:
            outcomes.append("refused")
        except Exception as problem:
            outcomes.append(repr(problem))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 3 + ["there"] * 3
    with scope(tenant.organization):
        assert ActivityType.objects.filter(builtin="", archived_at=None).count() == 5
