"""Saved reports and tiles: who may do what, and that a refusal leaves everything as it was."""

from __future__ import annotations

from typing import Any

import pytest

from activities.services.types import update_type
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Event, Organization, Role
from crm.tenancy import scope
from reporting import services
from reporting.models import Report, Tile
from reporting.queries import Asked, asked_of, report_for, reports_for, tiles_of, visible_tiles
from tests.factories import change_field


def key_of(tenant: Any) -> str:
    return f"custom_activities.created.{tenant.call.public_id}.count"


def state() -> tuple[Any, ...]:
    """Everything a refusal must leave alone."""
    reports = list(Report.objects.order_by("pk").values_list("name", "shared", "filters", "date_updated"))
    tiles = list(Tile.objects.order_by("pk").values_list("metric", "name", "options", "position", "width"))
    return reports, tiles, Event.objects.count()


@pytest.fixture
def report(world: Any) -> Any:
    with scope(world.ours.organization):
        yield services.create_report(world.ours.superuser, "overview", "Team numbers")


def test_the_default_report_has_the_organizations_types_and_is_kept_by_the_first_change(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        keys = services.default_metrics(tenant.user, "overview")
        assert keys == [key_of(tenant), "calls.all.all.count", "notes.created.all.count", "leads.created.all.count"]
        assert Report.objects.count() == 0
        report = services.report_to_change(tenant.user, "overview")
        assert [row.metric for row in tiles_of(report)] == keys
        assert services.report_to_change(tenant.user, "overview") == report


def test_tiles_are_added_changed_copied_moved_resized_and_removed(world: Any, report: Report) -> None:
    tenant, actor = world.ours, world.ours.superuser
    first = services.add_tile(actor, report, Asked(key_of(tenant), "Calls", split="member"))
    second = services.add_tile(actor, report, "leads.created.all.count", 4)
    copy = services.duplicate_tile(actor, first)
    assert [row.pk for row in tiles_of(report)] == [first.pk, copy.pk, second.pk]
    assert asked_of(copy) == Asked(key_of(tenant), "Calls (copy)", split="member")
    services.reorder_tiles(actor, report, [second.public_id])
    assert [row.pk for row in tiles_of(report)] == [second.pk, first.pk, copy.pk]
    services.change_tile(actor, first, Asked(key_of(tenant), "Renamed", goal={"number": "5", "per": "week"}), 2)
    services.resize_tile(actor, copy, 3)
    services.remove_tile(actor, report, second.public_id)
    assert [(row.name, row.width) for row in tiles_of(report)] == [("Renamed", 2), ("Calls (copy)", 3)]
    actions = Event.objects.filter(object_type="tile").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["created", "created", "created", "updated", "updated", "deleted"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Asked("nonsense"), "There is no metric"),
        (Asked("leads.created.all.count", step="hour"), "day, week or month"),
        (Asked("leads.created.all.count", who="user"), "cannot be counted for"),
        (Asked("leads.created.all.count", split="cf_x"), "cannot be split"),
        (Asked("leads.created.all.count", goal={"number": "-3", "per": "week"}), "above 0"),
        (Asked("leads.created.all.count", goal={"number": "3", "per": "year"}), "Reach it"),
        (Asked("leads.created.all.count", filter={"type": "nonsense"}), "no kind of search node"),
        (Asked("leads.created.all.count", filter={"type": "object_type", "object_type": "contact"}), "filter those"),
    ],
)
def test_a_tile_that_cannot_be_is_refused(world: Any, report: Report, asked: Asked, sentence: str) -> None:
    before = state()
    with pytest.raises(InvalidInput, match=sentence):
        services.add_tile(world.ours.superuser, report, asked)
    assert state() == before


def test_a_full_report_takes_no_more(world: Any, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_TILES", 1)
    services.add_tile(world.ours.superuser, report, "leads.created.all.count")
    before = state()
    with pytest.raises(InvalidInput, match="at most 1 tiles"):
        services.add_tile(world.ours.superuser, report, "leads.created.all.count")
    assert state() == before


def test_a_private_report_is_its_owners(world: Any, report: Report) -> None:
    tenant = world.ours
    tile = services.add_tile(tenant.superuser, report, "leads.created.all.count")
    before = state()
    for actor in (tenant.admin, tenant.user, tenant.restricted):
        assert reports_for(actor, "overview") == []
        with pytest.raises(NotFound):
            report_for(actor, report.public_id)
        with pytest.raises(NotFound):
            services.tile_to_change(actor, tile.public_id)
        for change in _changes(actor, report, tile):
            with pytest.raises(NotAllowed):
                change()
    assert state() == before


def test_a_shared_report_is_seen_by_all_and_changed_by_those_who_manage_reports(world: Any, report: Report) -> None:
    tenant = world.ours
    tile = services.add_tile(tenant.superuser, report, "leads.created.all.count")
    services.share_report(tenant.superuser, report, True)
    before = state()
    for actor in (tenant.user, tenant.restricted):
        assert report_for(actor, report.public_id) == report
        for change in _changes(actor, report, tile):
            with pytest.raises(NotAllowed):
                change()
    assert state() == before
    services.rename_report(tenant.admin, report, "Everybody's numbers")
    copy = services.duplicate_report(tenant.user, report)
    assert (copy.owner_id, copy.shared, copy.name) == (tenant.user.user_id, False, "Everybody's numbers (copy)")
    with pytest.raises(NotAllowed):
        services.share_report(tenant.user, copy, True)


def _changes(actor: Any, report: Report, tile: Tile) -> list[Any]:
    return [
        lambda: services.rename_report(actor, report, "Mine now"),
        lambda: services.share_report(actor, report, False),
        lambda: services.keep_filters(actor, report, {"range": "today"}),
        lambda: services.delete_report(actor, report),
        lambda: services.add_tile(actor, report, "leads.created.all.count"),
        lambda: services.change_tile(actor, tile, Asked("notes.created.all.count"), 1),
        lambda: services.resize_tile(actor, tile, 2),
        lambda: services.duplicate_tile(actor, tile),
        lambda: services.remove_tile(actor, report, tile.public_id),
        lambda: services.reorder_tiles(actor, report, []),
    ]


def test_another_organizations_report_is_not_there(world: Any, report: Report) -> None:
    with scope(world.ours.organization):
        tile = services.add_tile(world.ours.superuser, report, "leads.created.all.count")
        services.share_report(world.ours.superuser, report, True)
    with scope(world.theirs.organization):
        with pytest.raises(NotFound):
            report_for(world.theirs.admin, report.public_id)
        with pytest.raises(NotFound):
            services.tile_to_change(world.theirs.admin, tile.public_id)
        with pytest.raises(NotFound):
            services.report_to_change(world.theirs.admin, "overview", report.public_id)


def test_tiles_about_what_a_member_may_not_see_are_left_out(world: Any, report: Report) -> None:
    tenant = world.ours
    services.add_tile(tenant.superuser, report, "leads.created.all.count")
    services.add_tile(tenant.superuser, report, Asked(key_of(tenant), "Secret calls"))
    services.add_tile(
        tenant.superuser, report, f"custom_activities.created.{tenant.call.public_id}.sum_{tenant.fields['Users']}"
    )
    services.share_report(tenant.superuser, report, True)
    admin = Role.objects.get(slug="admin")
    change_field(tenant, "Users", {"view_roles": [admin.pk]})
    tenant.user.organization = Organization.objects.get(pk=tenant.organization.pk)
    assert [asked.label for _, asked in visible_tiles(tenant.user, tiles_of(report))] == [
        "Leads created",
        "Secret calls",
    ]
    update_type(tenant.admin, tenant.type_row, {"view_roles": [admin.pk]})
    tenant.user.organization = Organization.objects.get(pk=tenant.organization.pk)
    assert [asked.label for _, asked in visible_tiles(tenant.user, tiles_of(report))] == ["Leads created"]
    copy = services.duplicate_report(tenant.user, report)
    assert [row.metric for row in tiles_of(copy)] == ["leads.created.all.count"]


def test_filters_are_kept_only_when_they_can_be_read(world: Any, report: Report) -> None:
    actor = world.ours.superuser
    services.keep_filters(actor, report, {"range": "this-week", "users": [actor.user.public_id], "step": "day"})
    assert report.filters == {"range": "this-week", "users": [actor.user.public_id]}
    before = state()
    for given in ({"range": "fortnight"}, {"users": ["user_nobody"]}, {"start": "31.1.2026", "end": "2026-02-01"}):
        with pytest.raises(InvalidInput):
            services.keep_filters(actor, report, given)
    with pytest.raises(NotFound):
        services.keep_filters(actor, report, {"view": "save_nowhere"})
    assert state() == before
