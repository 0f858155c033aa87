"""Metrics: exact numbers, and the same records behind them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from activities.services.activities import delete_activity, log_activity
from activities.services.types import create_type, update_type
from crm.customfields.services import create_field
from crm.errors import InvalidInput
from crm.models import Organization, Role, Team
from crm.tenancy import scope
from leads.services import create_lead
from reporting.metrics import MetricCatalogue, catalogue, metric_for
from reporting.queries import (
    Asked,
    Filters,
    activity_report,
    comparison,
    period_from,
    records_behind,
    series,
    tuned,
)
from reporting.queries import (
    filters_of as dates_of,
)
from tests.factories import change_field


def key_of(tenant, verb: str = "created", tail: str = "count") -> str:
    return f"custom_activities.{verb}.{tenant.call.public_id}.{tail}"


def filters_of(tenant, **given) -> Filters:
    return Filters(period_from(tenant.admin, given or {"range": "last-30-days"}))


def option(tenant, label: str) -> str:
    return next(row.public_id for row in tenant.use("CRM").field.options if row.label == label)


def value(tenant, key: str, **given):
    return series(tenant.admin, metric_for(tenant.admin, key), filters_of(tenant, **given)).total


def test_created_counts_published_activities_of_one_organization(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        metric = metric_for(tenant.admin, key_of(tenant))
        found = series(tenant.admin, metric, filters_of(tenant))
        assert found.total == 3
        assert sum(bar.value for bar in found.bars) == 3
        assert len(found.bars) == 30
        assert found.bars[-1].value == 3


def test_every_number_equals_its_list(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        for metric in catalogue(tenant.admin).values():
            filters = filters_of(tenant)
            found = series(tenant.admin, metric, filters)
            for part, measure in enumerate(metric.measures):
                if type(measure.aggregate).__name__.startswith("Count"):
                    behind = records_behind(tenant.admin, metric, filters, part=part)
                    assert behind.page(tenant.admin).total == found.numbers[part], metric.key


def test_deleted_activities_leave(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        delete_activity(tenant.user, tenant.activities[0])
        assert value(tenant, key_of(tenant)) == 2


def test_a_number_field_in_five_ways(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        users = tenant.fields["Users"]
        log_activity(tenant.user, tenant.leads[0], tenant.call, custom={"Users": "300"})
        found = {
            word: value(tenant, key_of(tenant, tail=f"{word}_{users}"))
            for word in ("sum", "avg", "median", "min", "max")
        }
        assert found == {"sum": 450, "avg": Decimal("112.5"), "median": Decimal("62.5"), "min": 25, "max": 300}
        mean = series(tenant.admin, metric_for(tenant.admin, key_of(tenant, tail=f"avg_{users}")), filters_of(tenant))
        assert mean.bars[0].value is None


def test_a_choice_is_counted_and_shared(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        hub = option(tenant, "HubSpot")
        assert value(tenant, key_of(tenant, tail=f"count_{hub}")) == 2
        assert value(tenant, key_of(tenant, tail=f"share_{hub}")) == Decimal("66.7")
        assert value(tenant, key_of(tenant, tail=f"share_{hub}"), start="2020-01-01", end="2020-01-31") is None


def test_a_ratio_of_two_metrics(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(tenant.user, tenant.leads[0], tenant.call, custom={})
        assert value(tenant, f"ratio({key_of(tenant)},{key_of(tenant, 'leads')})") == Decimal("1.33")
        with pytest.raises(InvalidInput, match="There is no metric"):
            metric_for(tenant.admin, f"ratio(ratio(a,b),{key_of(tenant)})")


def test_conversion_and_days_between_on_the_same_lead(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        deal = create_type(tenant.admin, name="Deal won")
        won = next(
            row for row in catalogue(tenant.admin).values() if row.label == "Deal won, created"
        ).main.selection.types[0]
        soon, late = timezone.now() + timedelta(days=4), timezone.now() + timedelta(days=40)
        log_activity(tenant.user, tenant.leads[0], won, activity_at=soon)
        log_activity(tenant.user, tenant.leads[1], won, activity_at=late)
        key = f"{tenant.call.public_id}.{deal.public_id}"
        metric = metric_for(tenant.admin, f"conversion.{key}.30")
        found = series(tenant.admin, metric, filters_of(tenant))
        assert (found.numbers, found.total) == ((1, 3), Decimal("33.3"))
        behind = records_behind(tenant.admin, metric, filters_of(tenant))
        assert (behind.lists, behind.page(tenant.admin).ids) == ("lead", (tenant.leads[0].pk,))
        assert "Deal won follows on the same lead within 30 days" in behind.sentence
        assert value(tenant, f"conversion.{key}.60") == Decimal("66.7")
        assert value(tenant, f"days_between.{key}.30") == Decimal("4")
        assert value(tenant, f"days_between.{key}.60") == Decimal("22")


def test_status_changes(world) -> None:
    from leads.queries import statuses
    from leads.services import update_lead

    tenant = world.ours
    with scope(tenant.organization):
        target = statuses()[1]
        update_lead(tenant.user, tenant.leads[0], {"status": target.public_id})
        assert value(tenant, "status_changes.all.all.count") == 1
        assert value(tenant, f"status_changes.to.{target.public_id}.count") == 1
        assert value(tenant, f"status_changes.to.{statuses()[0].public_id}.count") == 0


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


def test_attribution_by_creator_user_and_a_user_field(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        setter = create_field(tenant.admin, tenant.type_row.fieldset, name="Setter", kind="user", multiple=True)
        log_activity(
            tenant.user, tenant.leads[0], tenant.call, user=tenant.superuser.user,
            custom={"Setter": [tenant.admin.user.public_id, tenant.restricted.user.public_id]},
        )  # fmt: skip

        def by(who: str) -> dict:
            asked = tuned(tenant.admin, Asked(key_of(tenant), who=who))
            table = comparison(tenant.admin, [asked.metric], filters_of(tenant), hide_zero=True)
            return {row.name.split()[0]: row.cells[0] for row in table.rows} | {"all": table.totals[0]}

        assert by("") == {"Uma": 4, "all": 4}
        assert by("user") == {"Uma": 3, "Sue": 1, "all": 4}
        assert by(setter.public_id) == {"Ada": 1, "Rex": 1, "all": 4}
        with pytest.raises(InvalidInput, match="counted for that field"):
            tuned(tenant.admin, Asked(key_of(tenant), who=tenant.fields["CRM"]))


def test_a_filter_is_a_search_of_the_one_language(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        tree = {
            "type": "field_condition",
            "field": {"type": "custom_field", "custom_field_id": tenant.fields["Users"]},
            "condition": {"type": "number_range", "gt": 30},
        }
        asked = tuned(tenant.admin, Asked(key_of(tenant), filter=tree))
        assert series(tenant.admin, asked.metric, filters_of(tenant)).total == 2
        sentence = records_behind(tenant.admin, asked.metric, filters_of(tenant)).sentence
        assert sentence.startswith("Qualifying calls created from ") and sentence.endswith(" where Users > 30")
        state = {
            "type": "field_condition",
            "field": {"type": "regular_field", "object_type": "activity", "field_name": "status"},
            "condition": {"type": "term", "values": ["draft"]},
        }
        with pytest.raises(InvalidInput, match="published activities only"):
            tuned(tenant.admin, Asked(key_of(tenant), filter=state))


def test_bars_split_by_choice_and_member(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(tenant.admin, tenant.leads[0], tenant.call, custom={})
        asked = tuned(tenant.admin, Asked(key_of(tenant), split=tenant.fields["CRM"]))
        found = series(tenant.admin, asked.metric, filters_of(tenant), "month", asked.split)
        assert [(line.label, line.total) for line in found.lines] == [
            ("HubSpot", 2),
            ("Salesforce", 1),
            ("No answer", 1),
        ]
        assert found.total == 4
        asked = tuned(tenant.admin, Asked(key_of(tenant), split="member"))
        found = series(tenant.admin, asked.metric, filters_of(tenant), "", asked.split)
        assert [(line.label, line.total) for line in found.lines] == [("Uma User", 3), ("Ada Admin", 1)]


def test_comparison_has_a_row_per_member_and_totals(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(tenant.admin, tenant.leads[1], tenant.call, custom={})
        metrics = [metric_for(tenant.admin, key_of(tenant)), metric_for(tenant.admin, "leads.created.all.count")]
        table = comparison(tenant.admin, metrics, filters_of(tenant))
        cells = {row.member.user.first_name: row.cells for row in table.rows}
        assert cells == {"Ada": (1, 0), "Rex": (0, 0), "Sue": (0, 0), "Uma": (3, 3)}
        assert table.totals == (4, 3)


def test_comparison_of_teams_counts_each_record_once(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        team = Team.objects.create(organization=tenant.organization, name="Sales")
        team.members.set([tenant.user.user, tenant.admin.user])
        log_activity(tenant.admin, tenant.leads[0], tenant.call, custom={})
        metrics = [metric_for(tenant.admin, key_of(tenant)), metric_for(tenant.admin, key_of(tenant, "leads"))]
        table = comparison(tenant.admin, metrics, filters_of(tenant), teams=True, previous=True)
        assert [(row.name, row.cells, row.previous) for row in table.rows] == [("Sales", (4, 3), (0, 0))]


def test_a_restricted_type_is_no_metric_at_all(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        admin = Role.objects.get(slug="admin")
        key = key_of(tenant)
        update_type(tenant.admin, tenant.type_row, {"view_roles": [admin.pk]})
        tenant.user.organization = Organization.objects.get(pk=tenant.organization.pk)
        assert key not in catalogue(tenant.user)
        assert "custom_activities.created.all.count" not in catalogue(tenant.user)
        for hidden in (
            key,
            f"ratio({key},leads.created.all.count)",
            f"conversion.{tenant.call.public_id}.{tenant.call.public_id}.3",
        ):
            with pytest.raises(InvalidInput, match="There is no metric"):
                metric_for(tenant.user, hidden)
        assert key in catalogue(tenant.admin)


def test_a_restricted_field_gives_neither_value_nor_hint(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        admin = Role.objects.get(slug="admin")
        users, crm, hub = tenant.fields["Users"], tenant.fields["CRM"], option(tenant, "HubSpot")
        for name in ("Users", "CRM"):
            change_field(tenant, name, {"view_roles": [admin.pk]})
        tenant.user.organization = Organization.objects.get(pk=tenant.organization.pk)
        keys = " ".join(catalogue(tenant.user))
        assert users not in keys
        assert hub not in keys
        tree = {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": users},
                "condition": {"type": "number_range", "gt": 30}}  # fmt: skip
        for asked in (
            Asked(key_of(tenant, tail=f"sum_{users}")),
            Asked(key_of(tenant, tail=f"share_{hub}")),
            Asked(key_of(tenant), split=crm),
            Asked(key_of(tenant), filter=tree),
        ):
            tuned(tenant.admin, asked)
            with pytest.raises(InvalidInput) as refused:
                tuned(tenant.user, asked)
            assert "HubSpot" not in refused.value.message
            assert "Users" not in refused.value.message


def test_leads_out_of_sight_are_not_counted(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        role = Role.objects.create(
            organization=tenant.organization,
            name="Own leads",
            permissions=[],
            visibility_fields=[],
            sees_unassigned=False,
        )
        tenant.user.role = role
        for metric in catalogue(tenant.user).values():
            found = series(tenant.user, metric, filters_of(tenant))
            assert not any(found.numbers), metric.key


def test_days_follow_the_zone(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(
            tenant.user, tenant.leads[0], tenant.call, custom={}, date_created=datetime(2024, 3, 31, 23, 30, tzinfo=UTC)
        )
        assert value(tenant, key_of(tenant), start="2024-03-31", end="2024-03-31") == 1
        tenant.admin.user.timezone = "Europe/Berlin"  # 1:30 on the first of April there
        assert filters_of(tenant).period.zone.key == "Europe/Berlin"
        assert value(tenant, key_of(tenant), start="2024-04-01", end="2024-04-01") == 1
        assert value(tenant, key_of(tenant), start="2024-03-31", end="2024-03-31") == 0


def test_api_report_has_zero_buckets_and_totals(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        days = dates_of(tenant.admin, today - timedelta(days=1), today + timedelta(days=1))
        report = activity_report(tenant.admin, "overview", [key_of(tenant)], days)
        assert [row[key_of(tenant)] for row in report["data"]] == [0, 3]
        assert report["aggregations"]["totals"] == {key_of(tenant): 3}


def test_a_lead_search_limits_the_whole_report(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        create_lead(tenant.user, name="Dunder")
        tree = {"type": "field_condition", "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"},
                "condition": {"type": "text", "mode": "full_words", "value": "Acme"}}  # fmt: skip
        limited = Filters(filters_of(tenant).period, (), tree)
        assert series(tenant.admin, metric_for(tenant.admin, key_of(tenant)), limited).total == 1
        assert series(tenant.admin, metric_for(tenant.admin, "leads.created.all.count"), limited).total == 1


def test_built_in_kinds_by_direction_and_outcome(world) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        types = MetricCatalogue(tenant.admin).types
        for slug, custom in (
            ("call", {"Direction": "outbound", "Disposition": "answered", "Duration": "60"}),
            ("call", {"Direction": "outbound", "Disposition": "no-answer", "Duration": "0"}),
            ("call", {"Direction": "inbound", "Disposition": "answered", "Duration": "30"}),
            ("email", {"Direction": "outgoing"}),
            *[("email", {"Direction": "incoming"})] * 2,
            *[("sms", {"Direction": "outbound", "Text": "Hello"})] * 3,
            ("sms", {"Direction": "inbound", "Text": "Hello"}),
            ("note", {"Note": "Called twice"}),
            ("meeting", {"Title": "Demo"}),
        ):
            log_activity(tenant.user, tenant.leads[0], types.builtin(slug), custom=custom)
        expected = {
            "calls.all.all.count": 3, "calls.outbound.all.count": 2, "calls.inbound.all.count": 1,
            "calls.all.answered.count": 2, "calls.outbound.answered.count": 1, "calls.outbound.answered.share": 50,
            "calls.inbound.no-answer.count": 0, "calls.all.no-answer.share": Decimal("33.3"),
            "calls.all.all.sum_duration": 90, "calls.outbound.all.sum_duration": 60, "calls.all.all.avg_duration": 30,
            "calls.all.all.median_duration": 30, "calls.all.all.min_duration": 0, "calls.all.all.max_duration": 60,
            "emails.sent.all.count": 1, "emails.received.all.count": 2, "sms.sent.all.count": 3, "sms.received.all.count": 1,
            "notes.created.all.count": 1, "meetings.created.all.count": 1, "leads.created.all.count": 3,
            "leads.contacted.all.count": 1,
        }  # fmt: skip
        assert set(expected) <= set(catalogue(tenant.admin))
        assert {key: value(tenant, key) for key in expected} == expected


def test_all_time_begins_with_what_happened_first(world) -> None:
    """What was recorded later than it happened counts on its own day."""
    tenant = world.ours
    with scope(tenant.organization):
        long_ago = timezone.now() - timedelta(days=3000)
        log_activity(tenant.user, tenant.leads[0], tenant.call, custom={}, activity_at=long_ago)
        assert period_from(tenant.admin, {"range": "all-time"}).start == long_ago.date()
        assert value(tenant, key_of(tenant, "occurred"), range="all-time") == 4
        assert value(tenant, key_of(tenant), range="all-time") == 4
