"""Numbers of past days that are kept: what is written later is counted all the same. Elsewhere than on PostgreSQL nothing
is kept, and the same holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.utils import timezone

from activities.services.activities import delete_activity, log_activity, update_activity
from crm.customfields.services import merge_options
from crm.models import CustomField
from crm.tenancy import scope
from reporting import kept
from reporting.models import ChangedDay, DayNumbers
from reporting.periods import Period
from reporting.queries import Asked, Filters, Series, records_behind, series, tuned

POSTGRES = connection.vendor == "postgresql"
DAY = datetime(2024, 3, 14, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number is kept the first time it is counted."""
    monkeypatch.setattr(kept, "KEEP_AFTER_MS", -1)
    monkeypatch.setattr(kept, "MOST_AT_ONCE", 10_000)


def asked_of(tenant: Any) -> dict[str, Asked]:
    start, users, crm = (
        f"custom_activities.created.{tenant.call.public_id}",
        tenant.fields["Users"],
        tenant.fields["CRM"],
    )
    leads = f"custom_activities.leads.{tenant.call.public_id}"
    of_hub = {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": crm},
              "condition": {"type": "term", "values": ["HubSpot"]}}  # fmt: skip
    hub = next(row.public_id for row in tenant.use("CRM").field.options if row.label == "HubSpot")
    return {
        "count": Asked(f"{start}.count"),
        "split": Asked(f"{start}.count", split=crm),
        "member": Asked(f"{start}.count", split="member"),
        "choice": Asked(f"{start}.count_{hub}"),
        "share": Asked(f"{start}.share_{hub}"),
        "sum": Asked(f"{start}.sum_{users}"),
        "average": Asked(f"{start}.avg_{users}", split=crm),
        "largest": Asked(f"{start}.max_{users}"),
        "smallest": Asked(f"{start}.min_{users}"),
        "leads": Asked(f"{leads}.count", split=crm),
        "leads of a choice": Asked(f"{leads}.count", filter=of_hub),
        "median": Asked(f"{start}.median_{users}", split=crm),
    }


def filters() -> Filters:
    return Filters(Period(date(2024, 3, 1), date(2024, 4, 20), ZoneInfo("UTC")))


def numbers(tenant: Any) -> dict[str, Series]:
    """Return every number, and check that each count is as long as its list."""
    found = {}
    for name, asked in asked_of(tenant).items():
        known = tuned(tenant.admin, asked)
        found[name] = series(tenant.admin, known.metric, filters(), split=known.split)
        for part, measure in enumerate(known.metric.measures):
            if type(measure.aggregate).__name__ in ("Count", "CountLeads"):
                listed = records_behind(tenant.admin, known.metric, filters(), part=part).page(tenant.admin).total
                assert found[name].numbers[part] == listed, name
        for line in found[name].lines if name not in ("average", "median") else ():
            behind = records_behind(tenant.admin, known.metric, filters(), asked=known, holds=(line.holds, line.label))
            assert line.total == behind.page(tenant.admin).total, (name, line.label)
    return found


def totals(tenant: Any) -> dict[str, Decimal | None]:
    return {name: found.total for name, found in numbers(tenant).items()}


@pytest.fixture
def busy(world: Any) -> Any:
    tenant = world.ours
    with scope(tenant.organization):
        for number, crm in enumerate(("HubSpot", "Salesforce", "HubSpot", "")):
            log_activity(
                tenant.user, tenant.leads[0], tenant.call, custom={"CRM": crm, "Users": str(10 * number + 10)},
                date_created=DAY + timedelta(days=number * 9),
            )  # fmt: skip
        yield tenant


def test_a_kept_number_follows_every_write(busy: Any) -> None:
    expected = {"count": 4, "split": 4, "member": 4, "choice": 2, "share": 50, "sum": 100, "average": 25, "largest": 40,
                "smallest": 10, "leads": 1, "leads of a choice": 1, "median": 25}  # fmt: skip
    assert totals(busy) == expected
    assert totals(busy) == expected
    assert DayNumbers.objects.filter(day=DAY.date()).exists() == POSTGRES
    with_number = DayNumbers.objects.filter(day=DAY.date()).count()

    made = log_activity(
        busy.admin, busy.leads[1], busy.call, custom={"CRM": "HubSpot", "Users": "100"}, date_created=DAY
    )
    assert ChangedDay.objects.filter(day=DAY.date()).count() == POSTGRES
    assert totals(busy) == {**expected, "count": 5, "split": 5, "member": 5, "choice": 3, "share": 60, "sum": 200,
                            "average": 40, "largest": 100, "leads": 2, "leads of a choice": 2, "median": 30}  # fmt: skip
    assert DayNumbers.objects.filter(day=DAY.date()).count() == with_number
    assert not ChangedDay.objects.filter(day=DAY.date()).exists()

    update_activity(busy.admin, made, custom={"CRM": "Salesforce", "Users": "5"})
    assert totals(busy) == {**expected, "count": 5, "split": 5, "member": 5, "share": 40, "sum": 105, "average": 21,
                            "smallest": 5, "leads": 2, "median": 20}  # fmt: skip
    delete_activity(busy.admin, made)
    assert totals(busy) == expected


def test_a_kept_split_follows_a_merged_choice(busy: Any) -> None:
    numbers(busy)
    field = CustomField.objects.get(pk=busy.use("CRM").field.id)
    options = {row.label: row.public_id for row in busy.use("CRM").field.options}
    merge_options(busy.admin, field, options["Salesforce"], options["HubSpot"])
    assert {line.label: line.total for line in numbers(busy)["split"].lines} == {"HubSpot": 3, "No answer": 1}


def test_what_only_some_may_see_is_not_kept(busy: Any) -> None:
    known = tuned(busy.admin, asked_of(busy)["sum"])
    tree = {"type": "field_condition", "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"},
            "condition": {"type": "text", "mode": "full_words", "value": "Acme"}}  # fmt: skip
    series(busy.admin, known.metric, Filters(filters().period, (), tree))
    assert not DayNumbers.objects.exists()


def test_today_is_not_kept(busy: Any) -> None:
    today = timezone.now().date()
    period = Period(today - timedelta(days=3), today, filters().period.zone)
    known = tuned(busy.admin, asked_of(busy)["sum"])
    assert series(busy.admin, known.metric, Filters(period)).total == 150
    days = set(DayNumbers.objects.values_list("day", flat=True))
    assert today not in days
    assert (today - timedelta(days=1) in days) == POSTGRES


def test_numbers_asked_long_ago_make_room(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_NUMBERS", 2)
    numbers(busy)
    assert DayNumbers.objects.values("number").distinct().count() == 2 * POSTGRES


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_day_is_not_kept_while_somebody_writes_to_it(busy: Any) -> None:
    """One has written and not committed; another asks: nothing of that month is kept, and the write counts afterwards."""
    written, asked = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with scope(busy.organization), transaction.atomic():
                log_activity(busy.admin, busy.leads[0], busy.call, custom={"Users": "7"}, date_created=DAY)
                written.set()
                asked.wait(20)
        finally:
            connection.close()

    _while(write, written, lambda: totals(busy)["count"] == 4, asked)
    kept_days = set(DayNumbers.objects.values_list("day", flat=True))
    assert DAY.date() not in kept_days
    assert date(2024, 4, 10) in kept_days  # nobody wrote to April
    assert totals(busy)["count"] == 5


def _while(
    write: Callable[[], None], written: threading.Event, check: Callable[[], bool], asked: threading.Event
) -> None:
    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert written.wait(20)
        assert check()
    finally:
        asked.set()
        thread.join(20)
