"""Past days are kept in the background: who asks first is answered rightly at once, and later ones fast."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from activities.services.activities import log_activity
from crm import jobs
from crm.tenancy import scope
from reporting import filling, kept, services, statements
from reporting.models import ChangedDay, DayNumbers, Report
from reporting.periods import Period
from reporting.queries import Asked, Filters, comparison, series, tile_series, tuned
from tests.reporting.test_pages import sign_in

POSTGRES = connection.vendor == "postgresql"
DAY = datetime(2024, 3, 14, 12, tzinfo=UTC)
FILTERS = Filters(Period(date(2024, 2, 1), date(2024, 6, 30), ZoneInfo("UTC")))


@pytest.fixture(autouse=True)
def everything_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEEP_AFTER_MS", -1)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The jobs that were handed to the queue."""
    found: list[Any] = []
    monkeypatch.setattr(filling, "enqueue", lambda *job: found.append(job))
    return found


@pytest.fixture
def busy(world: Any) -> Any:
    tenant = world.ours
    with scope(tenant.organization):
        for number, crm in enumerate(("HubSpot", "Salesforce", "HubSpot", "")):
            log_activity(
                tenant.user, tenant.leads[number % 2], tenant.call, custom={"CRM": crm, "Users": str(10 * number + 10)},
                date_created=DAY + timedelta(days=number * 19),
            )  # fmt: skip
        yield tenant


def asked_of(tenant: Any) -> dict[str, Asked]:
    crm, users, of = tenant.fields["CRM"], tenant.fields["Users"], tenant.call.public_id
    start = f"custom_activities.created.{of}"
    hub = next(row.public_id for row in tenant.use("CRM").field.options if row.label == "HubSpot")
    return {
        "sum by choice": Asked(f"{start}.sum_{users}", split=crm),
        "average by member": Asked(f"{start}.avg_{users}", split="member"),
        "leads": Asked(f"custom_activities.leads.{of}.count", split=crm),
        "median": Asked(f"{start}.median_{users}"),
        "share": Asked(f"{start}.share_{hub}"),
        "split": Asked(f"{start}.count", split=crm),
    }


TOTALS = {"sum by choice": 100, "average by member": 25, "leads": 2, "median": 25, "share": 50, "split": 4}


def totals(tenant: Any) -> dict[str, Any]:
    found = {}
    for name, asked in asked_of(tenant).items():
        with filling.watched(tenant.admin, [asked], FILTERS, Report.Kind.OVERVIEW):
            found[name] = tile_series(tenant.admin, tuned(tenant.admin, asked), FILTERS)
    assert {line.label: line.total for line in found["leads"].lines} == {"HubSpot": 1, "Salesforce": 1, "No answer": 1}
    return {name: each.total for name, each in found.items()}


def work(sent: list[Any]) -> None:
    for path, *given in sent:
        assert path == "reporting.filling.fill"
        filling.fill(*given)
    sent.clear()


def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **how: Any) -> Any:
        raise AssertionError("a number was counted that is kept")

    monkeypatch.setattr(statements, "_counted", refuse)


def test_who_asks_first_keeps_nothing_and_a_worker_does(
    busy: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert totals(busy) == TOTALS
    assert not DayNumbers.objects.exists()
    assert len(sent) == len(TOTALS) * POSTGRES
    assert totals(busy) == TOTALS
    assert len(sent) == len(TOTALS) * POSTGRES, "the same is not asked for twice"
    work(sent)
    kept_days = set(DayNumbers.objects.values_list("day", flat=True))
    assert (FILTERS.period.previous.start in kept_days and FILTERS.period.end in kept_days) == POSTGRES
    with monkeypatch.context() as strict:
        if POSTGRES:
            nothing_counted(strict)
        assert {name: totals_of(busy, name) for name in TOTALS} == TOTALS
    assert totals(busy) == TOTALS
    assert sent == []


def totals_of(tenant: Any, name: str) -> Any:
    return tile_series(tenant.admin, tuned(tenant.admin, asked_of(tenant)[name]), FILTERS).total


def test_what_is_written_while_days_are_filled_counts(busy: Any, sent: list[Any]) -> None:
    totals(busy)
    half = [job for job in sent if "median" in job[2]]
    work(half)
    log_activity(busy.user, busy.leads[0], busy.call, custom={"CRM": "HubSpot", "Users": "1000"}, date_created=DAY)
    assert totals_of(busy, "median") == 30
    assert totals_of(busy, "sum by choice") == 1100
    work(sent)
    assert {name: totals_of(busy, name) for name in ("median", "sum by choice")} == {
        "median": 30,
        "sum by choice": 1100,
    }


def test_members_side_by_side_are_filled_too(busy: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [asked_of(busy)[name] for name in ("leads", "median", "sum by choice")]
    metrics = [tuned(busy.admin, each).metric for each in asked]

    def table() -> Any:
        with filling.watched(busy.admin, asked, FILTERS, Report.Kind.COMPARISON):
            return comparison(busy.admin, metrics, FILTERS, previous=True)

    first = table()
    assert first.totals == (2, 25, 100)
    work(sent)
    if POSTGRES:
        nothing_counted(monkeypatch)
    assert table() == first


def test_fast_numbers_are_not_filled(busy: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEEP_AFTER_MS", 60_000)
    assert totals(busy) == TOTALS
    assert sent == []
    services.add_tile(busy.admin, services.create_report(busy.admin, "overview", "Mine"), asked_of(busy)["median"])
    work(sent)
    assert not DayNumbers.objects.exists()


def test_a_saved_tile_is_filled_before_it_is_asked_for(busy: Any, sent: list[Any]) -> None:
    report = services.create_report(busy.admin, "overview", "Mine")
    tile = services.add_tile(busy.admin, report, asked_of(busy)["median"])
    services.change_tile(busy.admin, tile, asked_of(busy)["sum by choice"], 2)
    services.change_tile(busy.admin, tile, asked_of(busy)["sum by choice"], 3)  # wider: the same number
    assert [job[2] for job in sent] == [asked_of(busy)[name].metric for name in ("median", "sum by choice")] * POSTGRES
    work(sent)
    today = timezone.now().date()
    days = set(DayNumbers.objects.values_list("day", flat=True))
    assert days == {today - timedelta(days=back) for back in range(1, filling.AHEAD_DAYS if POSTGRES else 1)}


def test_upkeep_counts_again_what_was_written_to(busy: Any, sent: list[Any]) -> None:
    report = services.create_report(busy.admin, "overview", "Mine")
    services.add_tile(busy.admin, report, asked_of(busy)["sum by choice"])
    filling.refresh()
    assert not DayNumbers.objects.exists(), "only what is kept is brought up to date"
    work(sent)
    recent = timezone.now() - timedelta(days=5)
    log_activity(busy.user, busy.leads[0], busy.call, custom={"CRM": "HubSpot", "Users": "7"}, date_created=recent)
    assert ChangedDay.objects.count() == POSTGRES
    filling.refresh()
    assert not ChangedDay.objects.exists()
    month = Filters(Period(recent.date(), recent.date(), ZoneInfo("UTC")))
    found = series(busy.admin, tuned(busy.admin, asked_of(busy)["sum by choice"]).metric, month)
    assert found.total == 7


def test_a_job_about_what_is_gone_does_nothing(busy: Any, sent: list[Any]) -> None:
    days = ["2024-01-01", "2024-12-31", "overview"]
    filling.fill(0, asked_of(busy)["median"].metric, {}, [], *days)
    filling.fill(busy.admin.pk, "custom_activities.created.gone.count", {}, [], *days)
    assert not DayNumbers.objects.exists()


def test_pages_and_api_have_what_they_ask_for_filled(busy: Any, sent: list[Any]) -> None:
    client = sign_in(busy.admin)
    median = asked_of(busy)["median"].metric
    days = "start=2024-02-01&end=2024-06-30"
    assert client.get(f"/o/ours/reports/tile/?metric={median}&{days}").status_code == 200
    report = services.create_report(busy.admin, "comparison", "Mine")
    services.add_tile(busy.admin, report, Asked(median))
    sent.clear()
    assert client.get(f"/o/ours/reports/comparison/?report={report.public_id}&{days}").status_code == 200
    assert [job[-1] for job in sent] == ["comparison"] * POSTGRES


def test_upkeep_is_queued_for_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(jobs, "enqueue", lambda *job: found.append(job))
    jobs.upkeep()
    assert found == [("reporting.filling.refresh",)]
