"""`/report/statuses/lead/`: Close's lead status report, as the Ruby gem and others ask for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from activities.models import Activity
from crm.customfields.catalog import touch_schema
from crm.models import FieldUse
from crm.tenancy import scope
from leads.models import Lead
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(world: Any) -> Api:
    return Api(world.ours.admin)


@pytest.fixture
def moved(api: Api, world: Any) -> dict[str, str]:
    """Three leads of May that are alone in the organization: two moved in June, one of them back, and one is new in June."""
    with scope(world.ours.organization):
        Lead.objects.all().delete()
    names = {row["label"]: row["id"] for row in api.get("status/lead/")["data"]}
    first, second, third = list(names)[:3]
    told = {"first": names[first], "second": names[second], "third": names[third]}
    for name, made in (("stays", "05-01"), ("moves", "05-02"), ("returns", "05-03"), ("new", "06-10")):
        body = {"name": name, "status_id": told["first"], "date_created": f"2026-{made}T12:00:00+00:00"}
        told[name] = api.post("lead/", body)["id"]
    for lead, status, day in (
        ("moves", "second", "06-02"), ("moves", "third", "06-20"), ("moves", "first", "07-05"),
        ("returns", "second", "06-03"), ("returns", "first", "06-04"),
    ):  # fmt: skip
        api.put(f"lead/{told[lead]}/", {"status_id": told[status]})
        with scope(world.ours.organization):
            newest = Activity.objects.filter(type__builtin="status_change").order_by("-pk")[0]
            Activity.objects.filter(pk=newest.pk).update(
                activity_at=datetime.fromisoformat(f"2026-{day}T12:00:00+00:00")
            )
    return told


def overview(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["status_id"]: row for row in found["status_overview"]}


def test_a_month_tells_who_was_where_and_who_moved(api: Api, world: Any, moved: dict[str, str]) -> None:
    path = f"report/statuses/lead/{world.ours.organization.public_id}/"
    found = api.get(f"{path}?date_start=2026-06-01&date_end=2026-06-30")
    rows = overview(found)
    keys = ("started", "ended", "change", "change_percent", "gained", "lost", "entered", "left")
    numbers = {name: tuple(rows[moved[name]][key] for key in keys) for name in ("first", "second", "third")}
    assert numbers == {
        "first": (3, 3, 0, 0.0, 1, 1, 2, 2),
        "second": (0, 0, 0, None, 0, 0, 2, 2),
        "third": (0, 1, 1, None, 1, 0, 1, 0),
    }
    assert not any(row["status_is_deleted"] for row in rows.values()) and all(
        row["status_label"] for row in rows.values()
    )
    steps = [(row["from_status_id"], row["to_status_id"], row["count"]) for row in found["status_transitions"]]
    assert steps[0] == (moved["first"], moved["second"], 2) and len(steps) == 3
    (turn,) = found["status_transitions_summary"]
    assert (turn["from_status_id"], turn["to_status_id"], turn["count"]) == (moved["first"], moved["third"], 1)


def test_edges_of_days_and_leads_that_are_asked_for(api: Api, world: Any, moved: dict[str, str]) -> None:
    path = f"report/statuses/lead/{world.ours.organization.public_id}/"
    day = api.get(f"{path}?date_start=2026-06-03&date_end=2026-06-03")
    assert [row["count"] for row in day["status_transitions"]] == [1], "the last day is part of it"
    one = api.get(f"{path}?date_start=2026-06-01&query=moves")
    assert sum(row["ended"] for row in one["status_overview"]) == 1 and len(one["status_transitions"]) == 3
    tree = {
        "type": "and",
        "queries": [{"type": "object_type", "object_type": "lead"}, {"type": "id", "value": moved["new"]}],
    }
    view = api.post("saved_search/", {"name": "One", "s_query": {"query": tree}})["id"]
    seen = api.get(f"{path}?smart_view_id={view}")
    row = overview(seen)[moved["first"]]
    assert (row["ended"], row["entered"]) == (1, 1) and "started" not in row and "gained" not in row
    assert "smart_view_id" in api.get(f"{path}?smart_view_id={view}&query=x", status=400)["error"]
    api.get(f"{path}?date_start=soon", status=400)
    api.get("report/statuses/lead/orga_nonsense/", status=404)


def test_a_status_that_is_gone_keeps_its_name_and_other_leads_stay_unseen(
    api: Api, world: Any, moved: dict[str, str]
) -> None:
    path = f"report/statuses/lead/{world.ours.organization.public_id}/"
    api.delete(f"status/lead/{moved['third']}/")
    gone = overview(api.get(f"{path}?date_start=2026-06-01&date_end=2026-06-30"))[moved["third"]]
    assert gone["status_is_deleted"] is True and gone["status_label"] and gone["ended"] == 1
    theirs = Api(world.theirs.admin).get(f"report/statuses/lead/{world.theirs.organization.public_id}/")
    assert theirs["status_transitions"] == []


def test_days_end_where_the_clock_of_the_asker_says(api: Api, world: Any, moved: dict[str, str]) -> None:
    path = f"report/statuses/lead/{world.ours.organization.public_id}/?date_start=2026-10-25"
    with scope(world.ours.organization):
        world.ours.admin.user.timezone = "Europe/Berlin"
        world.ours.admin.user.save(update_fields=["timezone"])
        Activity.objects.filter(type__builtin="status_change").update(
            activity_at=datetime.fromisoformat("2026-10-25T23:30:00+01:00")
        )
    changes = [row["count"] for row in api.get(f"{path}&date_end=2026-10-25")["status_transitions"]]
    assert sum(changes) == 5, "the day on which the clocks are put back has 25 hours"
    assert api.get(f"{path}&date_end=9999-12-31") == api.get(path)


@pytest.mark.parametrize("hidden", ["new_status_id", "old_status_label"])
def test_who_may_not_see_what_a_change_says_is_told_none(
    api: Api, world: Any, moved: dict[str, str], hidden: str
) -> None:
    path = f"report/statuses/lead/{world.ours.organization.public_id}/"
    theirs = Api(world.ours.user)
    assert len(theirs.get(path)["status_transitions"]) == len(api.get(path)["status_transitions"]) > 0
    with scope(world.ours.organization):
        use = FieldUse.objects.filter(field__builtin=f"status_change.{hidden}")
        use.update(view_roles=[world.ours.admin.role_id])
        touch_schema(world.ours.organization)
    assert theirs.get(path)["status_transitions"] == [] and api.get(path)["status_transitions"]
