"""`/report/activity/` as `spec/api.md` 2.19 has it, JSON and CSV."""

from __future__ import annotations

from typing import Any

import pytest

from crm.models import Team
from crm.tenancy import scope
from leads.services import save_smart_view
from tests.api.conftest import Api

CALLS = "calls.all.all.count"


@pytest.fixture
def api(world: Any) -> Api:
    return Api(world.ours.admin)


def key_of(tenant: Any) -> str:
    return f"custom_activities.created.{tenant.call.public_id}.count"


def test_the_catalogue_lists_what_the_member_may_see(world: Any, api: Api) -> None:
    rows = api.get("report/activity/metrics/")["data"]
    keys = {row["key"] for row in rows}
    assert {key_of(world.ours), "custom_activities.created.all.count", CALLS, "calls.outbound.all.avg_duration", "emails.sent.all.count",
            "sms.received.all.count", "leads.created.all.count", "emails.opened.all.count", "emails.sent.sequences.count",
            "emails.sent.manual_with_reply.count", "opportunities.created_for.all.count"} <= keys  # fmt: skip
    assert all(set(row) == {"id", "key", "label", "unit"} for row in rows)


def test_an_overview_has_a_row_per_bucket_and_totals(world: Any, api: Api) -> None:
    key = key_of(world.ours)
    found = api.post("report/activity/", {"type": "overview", "metrics": [key, CALLS], "relative_range": "this-month"})
    assert found["aggregations"] == {"totals": {key: 3, CALLS: 0}}
    assert sum(row[key] for row in found["data"]) == 3
    assert {len(row) for row in found["data"]} == {3}
    assert found["data"][0]["datetime"].endswith("-01T00:00:00+00:00")
    assert found["queries"] == {}


def test_a_comparison_has_a_row_per_member(world: Any, api: Api) -> None:
    key = key_of(world.ours)
    body = {"type": "comparison", "metrics": [key], "relative_range": "today"}
    found = api.post("report/activity/", body)
    assert {row["user_id"]: row[key] for row in found["data"]}[world.ours.user.user.public_id] == 3
    with scope(world.ours.organization):
        team = Team.objects.create(organization=world.ours.organization, name="Empty")
    nobody = api.post("report/activity/", {**body, "users": [team.public_id]})
    assert nobody["aggregations"]["totals"] == {key: 0}


def test_all_keys_that_programs_send_are_answered(world: Any, api: Api) -> None:
    """The keys of `spec/api.md` 2.19. What is not kept here is none, and does not spoil the report."""
    acme, bluth, cyberdyne = (lead.public_id for lead in world.ours.leads)
    api.post("activity/call/", {"lead_id": acme, "direction": "outbound", "duration": 60})
    api.post("activity/meeting/", {"lead_id": acme, "title": "Demo"})
    api.post("activity/sms/", {"lead_id": bluth, "direction": "outbound", "text": "Hello"})
    api.post("activity/call/", {"lead_id": cyberdyne, "direction": "inbound", "duration": 30})
    expected = {
        "calls.all.all.count": 2, "calls.all.all.sum_duration": 90, "calls.outbound.all.count": 1,
        "calls.outbound.all.sum_duration": 60, "calls.outbound.all.avg_duration": 60, "calls.inbound.all.count": 1,
        "calls.inbound.all.sum_duration": 30, "emails.sent.all.count": 0, "emails.sent.sequences.count": 0,
        "emails.sent.manual_with_reply.count": 0, "emails.opened.all.count": 0, "emails.received.all.count": 0,
        "sms.sent.all.count": 1, "sms.received.all.count": 0, "leads.created.all.count": 3,
        "leads.contacted.all.count": 2, "opportunities.created_for.all.count": 0,
    }  # fmt: skip
    body = {"type": "overview", "metrics": list(expected), "relative_range": "this-week"}
    assert api.post("report/activity/", body)["aggregations"]["totals"] == expected


def test_a_saved_search_limits_the_report(world: Any, api: Api) -> None:
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, {
        "type": "field_condition", "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"},
        "condition": {"type": "text", "mode": "full_words", "value": "Acme"}}]}  # fmt: skip
    with scope(world.ours.organization):
        view = save_smart_view(world.ours.admin, name="Acme only", query=tree)
    key = key_of(world.ours)
    body = {"type": "overview", "metrics": [key], "relative_range": "today",
            "query": {"type": "saved_search", "saved_search_id": view.public_id}}  # fmt: skip
    assert api.post("report/activity/", body)["aggregations"]["totals"] == {key: 1}
    Api(world.theirs.admin).post("report/activity/", {**body, "metrics": [CALLS]}, status=404)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "overview", "relative_range": "today"},
        {"type": "overview", "metrics": [], "relative_range": "today"},
        {"type": "overview", "metrics": [CALLS]},
        {"type": "overview", "metrics": [CALLS], "relative_range": "today", "datetime_range": {"start": "2026-01-01", "end": "2026-01-02"}},
        {"type": "overview", "metrics": [CALLS], "relative_range": "fortnight"},
        {"type": "pie", "metrics": [CALLS], "relative_range": "today"},
        {"type": "overview", "metrics": ["nonsense"], "relative_range": "today"},
    ],
)  # fmt: skip
def test_a_wrong_report_is_a_400(api: Api, body: dict) -> None:
    api.post("report/activity/", body, status=400)


def test_csv_when_asked_for(world: Any, api: Api) -> None:
    key = key_of(world.ours)
    for kind, first in (("overview", "datetime"), ("comparison", "user_id")):
        answer = api.post(
            "report/activity/",
            {"type": kind, "metrics": [key], "relative_range": "today"},
            Accept="text/csv",
        )
        lines = answer.splitlines()
        assert api.last["Content-Type"] == "text/csv; charset=utf-8"
        assert lines[0] == f"{first},{key}"
        assert lines[-1].endswith(",3") or kind == "comparison"


def test_the_callers_offset_moves_the_days(world: Any, api: Api) -> None:
    key = key_of(world.ours)
    body = {"type": "overview", "metrics": [key], "datetime_range": {"start": "2026-05-10", "end": "2026-05-12"}}
    answer = api.post("report/activity/", body, X_TZ_Offset="-5")
    assert [row["datetime"] for row in answer["data"]] == ["2026-05-10T00:00:00-05:00", "2026-05-11T00:00:00-05:00"]


def test_a_range_of_one_day_ends_with_it_when_clocks_change(world: Any, api: Api) -> None:
    """New York, 8 March 2026: 23 hours. 1 November: 25 hours."""
    world.ours.admin.user.timezone = "America/New_York"
    world.ours.admin.user.save(update_fields=["timezone"])
    lead = world.ours.leads[0].public_id
    for moment in ("2026-03-09T04:30:00+00:00", "2026-11-02T04:30:00+00:00"):
        api.post("activity/call/", {"lead_id": lead, "date_created": moment})
    for day, calls in (("2026-03-08", 0), ("2026-03-09", 1), ("2026-11-01", 1), ("2026-11-02", 0)):
        body = {"type": "overview", "metrics": [CALLS], "datetime_range": {"start": day, "end": day}}
        found = api.post("report/activity/", body)
        assert (found["aggregations"]["totals"], len(found["data"])) == ({CALLS: calls}, 1), day


def test_the_last_day_of_the_calendar_is_refused_in_words(api: Api) -> None:
    day = {"start": "9999-12-31", "end": "9999-12-31"}
    body = {"type": "overview", "metrics": [CALLS], "datetime_range": day}
    assert "datetime_range" in str(api.post("report/activity/", body, status=400)["field-errors"])
