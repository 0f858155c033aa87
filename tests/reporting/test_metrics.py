"""Metrics, tiles and comparison: exact numbers, and the same records behind them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from activities.services.activities import delete_activity, log_activity
from activities.services.types import update_type
from crm.errors import InvalidInput
from crm.models import Organization, Role
from crm.tenancy import scope
from reporting.metrics import catalogue, metric_for
from reporting.queries import Filters, activity_report, comparison, period_from, records_behind, series
from reporting.services import add_tile, default_metrics, remove_tile, report_to_change


def key_of(tenant, verb: str = "created", tail: str = "count") -> str:
    return f"custom_activities.{verb}.{tenant.call.public_id}.{tail}"


def filters_of(tenant, **given) -> Filters:
    return Filters(period_from(tenant.admin, given or {"range": "last-30-days"}))


def test_created_counts_published_activities_of_one_organization(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        metric = metric_for(tenant.admin, key_of(tenant))
        found = series(tenant.admin, metric, filters_of(tenant))
        assert found.total == 3
        assert sum(bar.value for bar in found.bars) == 3
        assert len(found.bars) == 30
        assert found.bars[-1].value == 3


def test_the_number_equals_its_list(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        for metric in catalogue(tenant.admin).values():
            if metric.aggregate != "count":
                continue
            filters = filters_of(tenant)
            assert (
                series(tenant.admin, metric, filters).total == records_behind(tenant.admin, metric, filters).count()
            ), metric.key


def test_deleted_activities_leave(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        delete_activity(tenant.user, tenant.activities[0])
        metric = metric_for(tenant.admin, key_of(tenant))
        assert series(tenant.admin, metric, filters_of(tenant)).total == 2


def test_sum_and_average_of_a_number_field(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        users = tenant.fields["Users"]
        total = series(tenant.admin, metric_for(tenant.admin, key_of(tenant, tail=f"sum_{users}")), filters_of(tenant))
        mean = series(tenant.admin, metric_for(tenant.admin, key_of(tenant, tail=f"avg_{users}")), filters_of(tenant))
        assert total.total == Decimal(150)
        assert mean.total == Decimal(50)
        assert mean.bars[0].value is None


def test_unique_leads_are_not_added_up_over_days(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(
            tenant.user, tenant.leads[0], tenant.call, custom={"Qualified": "no"},
            date_created=timezone.now() - timedelta(days=2),
        )  # fmt: skip
        found = series(tenant.admin, metric_for(tenant.admin, key_of(tenant, "leads")), filters_of(tenant))
        assert found.total == 3
        assert sum(bar.value for bar in found.bars) == 4


def test_change_against_the_previous_equal_period(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        for _ in range(2):
            log_activity(
                tenant.user, tenant.leads[0], tenant.call, custom={}, date_created=timezone.now() - timedelta(days=40)
            )
        found = series(tenant.admin, metric_for(tenant.admin, key_of(tenant)), filters_of(tenant))
        assert (found.total, found.previous, found.change) == (3, 2, 50)


def test_comparison_has_a_row_per_member_and_totals(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(tenant.admin, tenant.leads[1], tenant.call, custom={})
        metrics = [metric_for(tenant.admin, key_of(tenant)), metric_for(tenant.admin, "leads.created.all.count")]
        table = comparison(tenant.admin, metrics, filters_of(tenant))
        cells = {row.member.user.first_name: row.cells for row in table.rows}
        assert cells == {"Ada": (1, 0), "Rex": (0, 0), "Sue": (0, 0), "Uma": (3, 3)}
        assert table.totals == (4, 3)


def test_a_restricted_type_is_no_metric_at_all(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        admin = Role.objects.get(slug="admin")
        key = key_of(tenant)
        update_type(tenant.admin, tenant.type_row, {"view_roles": [admin.pk]})
        tenant.user.organization = Organization.objects.get(pk=tenant.organization.pk)
        assert key not in catalogue(tenant.user)
        assert "custom_activities.created.all.count" not in catalogue(tenant.user)
        with pytest.raises(InvalidInput, match="There is no metric"):
            metric_for(tenant.user, key)
        assert key in catalogue(tenant.admin)


def test_days_follow_the_zone(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(
            tenant.user, tenant.leads[0], tenant.call, custom={}, date_created=datetime(2024, 3, 31, 23, 30, tzinfo=UTC)
        )
        metric = metric_for(tenant.admin, key_of(tenant))
        utc = Filters(period_from(tenant.admin, {"start": "2024-03-31", "end": "2024-03-31"}))
        assert series(tenant.admin, metric, utc).total == 1
        tenant.admin.user.timezone = "Europe/Berlin"  # 1:30 on the first of April there
        berlin = Filters(period_from(tenant.admin, {"start": "2024-04-01", "end": "2024-04-01"}))
        assert berlin.period.zone.key == "Europe/Berlin"
        assert series(tenant.admin, metric, berlin).total == 1
        assert (
            series(
                tenant.admin, metric, Filters(period_from(tenant.admin, {"start": "2024-03-31", "end": "2024-03-31"}))
            ).total
            == 0
        )


def test_api_report_has_zero_buckets_and_totals(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        report = activity_report(
            tenant.admin, "overview", [key_of(tenant)], today - timedelta(days=1), today + timedelta(days=1)
        )
        assert [row[key_of(tenant)] for row in report["data"]] == [0, 3]
        assert report["aggregations"]["totals"] == {key_of(tenant): 3}


def test_the_default_report_is_kept_by_the_first_change(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        keys = default_metrics(tenant.user, "overview")
        report = report_to_change(tenant.user, "overview")
        add_tile(tenant.user, report, "leads.created.all.count")
        assert [tile.metric for tile in report.tiles.order_by("position")] == [*keys, "leads.created.all.count"]
        remove_tile(tenant.user, report, report.tiles.order_by("position").first().public_id)
        assert report.tiles.count() == len(keys)
