"""The property the reports stand on: whatever is asked, by whomever, a number and the list behind it agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.models import Activity
from activities.services.activities import log_activity
from activities.services.types import create_type
from crm.customfields.services import create_field
from crm.models import FieldSet, Role, Team
from crm.tenancy import scope
from leads.services import update_lead
from reporting import kept
from reporting.metrics import MetricCatalogue
from reporting.periods import Period
from reporting.queries import Asked, Filters, comparison, records_behind, series, tuned
from reporting.queries.asked import users_from
from reporting.queries.overview import Series

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "America/Santiago")
# Moments around both changes of the clocks, midnights and the end of a year.
MOMENTS = [
    datetime(2024, 3, 31, 0, 30, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
    datetime(2024, 3, 30, 23, 15, tzinfo=UTC),
    datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
    datetime(2024, 10, 27, 22, 30, tzinfo=UTC),
    datetime(2024, 10, 27, 23, 0, tzinfo=UTC),
    datetime(2024, 11, 3, 5, 30, tzinfo=UTC),
    datetime(2024, 12, 31, 22, 59, 59, tzinfo=UTC),
    datetime(2024, 12, 31, 23, 0, tzinfo=UTC),
    datetime(2025, 1, 1, 0, 0, tzinfo=UTC),
    datetime(2025, 1, 1, 4, 59, 59, 999999, tzinfo=UTC),
]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL every number that may be kept is, the first time it is counted."""
    monkeypatch.setattr(kept, "KEEP_AFTER_MS", -1)
    monkeypatch.setattr(kept, "MOST_AT_ONCE", 10_000)


@pytest.fixture
def busy(world: Any) -> Any:
    """Our tenant with two types, a user field, a member who sees some leads, and activities at awkward moments."""
    tenant = world.ours
    with scope(tenant.organization):
        create_field(tenant.admin, tenant.type_row.fieldset, name="Setter", kind="user", multiple=True)
        create_type(tenant.admin, name="Deal won")
        won = MetricCatalogue(tenant.admin).types.by_name("Deal won")
        owner = create_field(
            tenant.admin,
            FieldSet.objects.get(owner="lead"),
            name="Owner",
            kind="user",
        )
        update_lead(tenant.user, tenant.leads[0], {"custom": {owner.public_id: tenant.restricted.user.public_id}})
        tenant.restricted.role = Role.objects.create(
            organization=tenant.organization, name="Own leads", permissions=[], visibility_fields=[owner.pk]
        )
        for name, members in (
            ("Sales", (tenant.user, tenant.admin)),
            ("Support", (tenant.admin, tenant.superuser)),
            ("New", ()),
        ):
            Team.objects.create(organization=tenant.organization, name=name).members.set(row.user for row in members)
        for number, moment in enumerate(MOMENTS):
            who = (tenant.user, tenant.admin, tenant.superuser)[number % 3]
            setter = [tenant.user.user.public_id, tenant.admin.user.public_id][: number % 3]
            custom = {"CRM": ("HubSpot", "Salesforce", "")[number % 3], "Users": str(number * 7), "Setter": setter}
            log_activity(
                who, tenant.leads[number % 3], tenant.call, custom=custom, date_created=moment,
                activity_at=moment - timedelta(hours=number), user=tenant.user.user if number % 2 else None,
            )  # fmt: skip
            log_activity(
                who, tenant.leads[number % 2], won, date_created=moment, activity_at=moment + timedelta(days=number)
            )
        yield tenant


def _filters(tenant: Any) -> list[Any]:
    field = lambda name: {"type": "custom_field", "custom_field_id": tenant.fields[name]}  # noqa: E731
    users = {"type": "field_condition", "field": field("Users"), "condition": {"type": "number_range", "gte": 20}}
    crm = {"type": "field_condition", "field": field("CRM"), "condition": {"type": "term", "values": ["HubSpot"]}}
    return [
        None, users, {**crm, "negate": True}, {"type": "or", "queries": [users, crm]},
        {"type": "has_related", "this_object_type": "activity", "related_object_type": "lead",
         "related_query": {"type": "field_condition", "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"},
                           "condition": {"type": "text", "mode": "full_words", "value": "Acme"}}},
    ]  # fmt: skip


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_number_is_the_length_of_its_list(busy: Any, data: st.DataObject) -> None:
    viewer = data.draw(st.sampled_from([busy.admin, busy.user, busy.restricted]), "viewer")
    known = MetricCatalogue(viewer)
    call, won = busy.call.public_id, known.types.by_name("Deal won").public_id
    keys = [*known.all_keys(), f"conversion.{call}.{won}.5", f"conversion.{won}.{won}.30",
            f"ratio(custom_activities.created.{call}.count,custom_activities.leads.{won}.count)"]  # fmt: skip
    key = data.draw(st.sampled_from(keys), "metric")
    about_call = call in key and key.startswith("custom_activities")
    asked = tuned(
        viewer,
        Asked(
            key,
            who=data.draw(st.sampled_from(["", "user", busy.fields["Setter"]]), "who") if about_call else "",
            split=data.draw(st.sampled_from(["", "member", busy.fields["CRM"]]), "split")
            if about_call and ".share_" not in key
            else "",
            filter=data.draw(st.sampled_from(_filters(busy)), "filter") if about_call else None,
        ),
        known,
    )
    zone = ZoneInfo(data.draw(st.sampled_from(ZONES), "zone"))
    start = data.draw(st.dates(datetime(2024, 3, 29).date(), datetime(2025, 1, 3).date()), "start")
    end = start + timedelta(days=data.draw(st.integers(0, 300), "days"))
    users = data.draw(st.sampled_from([(), (busy.user.user_id,), (busy.user.user_id, busy.admin.user_id)]), "users")
    leads = data.draw(st.sampled_from([None, {"type": "match_all"}]), "leads")
    filters = Filters(Period(start, end, zone, data.draw(st.sampled_from([0, 6]), "week")), users, leads)
    step = data.draw(st.sampled_from(["day", "week", "month"]), "step")
    found = series(viewer, asked.metric, filters, step, asked.split)

    def listed(**given: Any) -> int | None:
        return records_behind(viewer, asked.metric, filters, asked=asked, **given).page(viewer).total

    for part, measure in enumerate(asked.metric.measures):
        if type(measure.aggregate).__name__ in ("Count", "CountLeads"):
            assert found.numbers[part] == listed(part=part)
            previous = filters.period.previous
            assert found.previous_numbers[part] == listed(part=part, days=(previous.start, previous.end))
    if type(asked.metric.aggregate).__name__ in ("Count", "CountLeads") and len(asked.metric.measures) == 1:
        _check_bars(found, listed, asked)
        _check_rows(viewer, asked, filters)


def _check_bars(found: Series, listed: Any, asked: Any) -> None:
    filled = [place for place, bar in enumerate(found.bars) if bar.value][:3]
    for place in [0, *filled]:
        bar = found.bars[place]
        assert bar.value == listed(days=(bar.start, bar.end))
        for line in found.lines:
            assert line.values[place] == listed(days=(bar.start, bar.end), holds=(line.holds, line.label))
    for line in found.lines:
        assert line.total == listed(holds=(line.holds, line.label))


def _check_rows(viewer: Any, asked: Any, filters: Filters) -> None:
    table = comparison(viewer, [asked.metric], filters, previous=True)
    for row in table.rows:
        own = Filters(filters.period, (row.member.user_id,), filters.leads)
        assert row.cells[0] == records_behind(viewer, asked.metric, own).page(viewer).total
    assert table.totals[0] == records_behind(viewer, asked.metric, filters).page(viewer).total
    for row in comparison(viewer, [asked.metric], filters, teams=True).rows:
        own = Filters(filters.period, users_from(row.users), filters.leads)
        assert row.cells[0] == records_behind(viewer, asked.metric, own).page(viewer).total


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_measured_numbers_are_those_of_the_list(busy: Any, data: st.DataObject) -> None:
    """Sum, average, median, smallest and largest, worked out again from the records of the list."""
    from decimal import Decimal
    from statistics import median

    field = busy.fields["Users"]
    number = str(busy.use("Users").field.id)
    zone = ZoneInfo(data.draw(st.sampled_from(ZONES), "zone"))
    start = data.draw(st.dates(datetime(2024, 3, 29).date(), datetime(2025, 1, 3).date()), "start")
    filters = Filters(Period(start, start + timedelta(days=data.draw(st.integers(0, 300), "days")), zone))
    words = {
        "sum": sum, "min": min, "max": max,
        "median": lambda held: Decimal(median(held)).quantize(Decimal("0.01")),
        "avg": lambda held: (sum(held) / len(held)).quantize(Decimal("0.01")),
    }  # fmt: skip
    for word, work_out in words.items():
        metric = tuned(busy.admin, Asked(f"custom_activities.created.{busy.call.public_id}.{word}_{field}")).metric
        ids = records_behind(busy.admin, metric, filters).page(busy.admin).ids
        held = [Decimal(str(row.values[number])) for row in Activity.objects.filter(pk__in=ids)]
        expected = work_out(held) if held else (Decimal(0) if word == "sum" else None)
        assert series(busy.admin, metric, filters).total == expected, word


def test_every_day_of_a_year_is_counted_once_in_every_zone(busy: Any) -> None:
    """Bars by day, week and month add up to the same, across both changes of the clocks and the end of the year."""
    key = f"custom_activities.created.{busy.call.public_id}.count"
    for name in ZONES:
        period = Period(datetime(2024, 3, 1).date(), datetime(2025, 1, 31).date(), ZoneInfo(name))
        for step in ("day", "week", "month"):
            found = series(busy.admin, tuned(busy.admin, Asked(key)).metric, Filters(period), step)
            assert sum(bar.value for bar in found.bars) == found.total == len(MOMENTS), (name, step)


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Europe/Berlin", MOMENTS[2], "2024-03-31"),  # 0:15 on the day that has 23 hours
        ("Europe/Berlin", MOMENTS[4], "2024-10-27"),  # 23:30 on the day that has 25 hours
        ("Europe/Berlin", MOMENTS[5], "2024-10-28"),  # its midnight
        ("Europe/Berlin", MOMENTS[8], "2025-01-01"),
        ("America/New_York", MOMENTS[10], "2024-12-31"),
        ("Pacific/Auckland", MOMENTS[7], "2025-01-01"),
    ],
)
def test_a_moment_falls_on_its_local_day(busy: Any, zone: str, moment: datetime, day: str) -> None:
    key = f"custom_activities.created.{busy.call.public_id}.count"
    wanted = datetime.fromisoformat(day).date()
    period = Period(wanted - timedelta(days=3), wanted + timedelta(days=3), ZoneInfo(zone))
    found = series(busy.admin, tuned(busy.admin, Asked(key)).metric, Filters(period), "day")
    same_day = sum(each.astimezone(ZoneInfo(zone)).date() == wanted for each in MOMENTS)
    assert moment.astimezone(ZoneInfo(zone)).date() == wanted
    assert next(bar.value for bar in found.bars if bar.start == wanted) == same_day


@pytest.mark.parametrize(("week_start", "first"), [(0, "2024-12-30"), (6, "2024-12-29")])
def test_weeks_begin_where_the_organization_says(busy: Any, week_start: int, first: str) -> None:
    period = Period(datetime(2024, 12, 1).date(), datetime(2025, 1, 31).date(), ZoneInfo("UTC"), week_start)
    key = f"custom_activities.created.{busy.call.public_id}.count"
    found = series(busy.admin, tuned(busy.admin, Asked(key)).metric, Filters(period), "week")
    week = next(bar for bar in found.bars if bar.start.isoformat() == first)
    assert week.value == 4  # two on the last day of December and two on the first of January, one week


def test_the_smaller_parts_of_a_bar_are_one_part_with_its_own_list(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar is as high as its number, whatever it is split by; what is left together opens together."""
    from reporting.queries import overview

    monkeypatch.setattr(overview, "MOST_STACKED", 2)
    key = f"custom_activities.created.{busy.call.public_id}"
    filters = Filters(Period(datetime(2024, 3, 1).date(), datetime(2025, 1, 31).date(), ZoneInfo("Europe/Berlin")))
    for asked in (
        Asked(f"{key}.count", split=busy.fields["CRM"]),
        Asked(f"{key}.count", split="member"),
        Asked(f"{key}.sum_{busy.fields['Users']}", split=busy.fields["CRM"]),
    ):
        known = tuned(busy.admin, asked)
        found = series(busy.admin, known.metric, filters, "month", known.split)
        assert [line.label for line in found.lines[1:]] == ["2 others"]
        assert found.left_out == 0
        assert sum(line.total for line in found.lines) == found.total
        for place, bar in enumerate(found.bars):
            assert sum(line.values[place] for line in found.lines) == bar.value
        if asked.metric.endswith(".count"):
            for line in found.lines:
                behind = records_behind(busy.admin, known.metric, filters, asked=known, holds=(line.holds, line.label))
                assert behind.page(busy.admin).total == line.total
    several = tuned(busy.admin, Asked(f"{key}.count", who=busy.fields["Setter"], split="member"))
    found = series(busy.admin, several.metric, filters, "month", several.split)
    assert (len(found.lines), found.left_out) == (2, 1), "a record may be in several: parts cannot be put together"
