"""What uses a field of leads or contacts, and whether it goes on once the field has another kind: as it then turns out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from activities.models import PublishRule
from activities.queries_mentions import mentions as in_rules
from activities.services.activities import log_activity
from activities.services.rules import create_rule, update_rule
from crm import events
from crm.customfields import services
from crm.customfields.catalog import Field, catalog
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS
from crm.models import CustomField, FieldSet, Organization
from crm.tenancy import scope
from leads.models import Lead, SmartView
from leads.queries_mentions import mentions as in_views
from leads.search.language import parse
from leads.services import smart_views
from reporting.models import Report, Tile
from reporting.queries import visible_tiles
from reporting.queries.mentions import mentions as in_tiles
from tests.crm.test_field_conversion import add, convert, give, shown
from tests.factories import Tenant, World

ASKED = {
    "text": {"type": "text", "value": "a"},
    "textarea": {"type": "text", "value": "a"},
    "number": {"type": "number_range", "gte": 2},
    "date": {"type": "moment_range", "before": {"type": "fixed_local_date", "value": "2024-01-31", "which": "start"}},
    "datetime": {"type": "moment_range", "before": {"type": "fixed_local_date", "value": "2024-01-31", "which": "start"}},
    "checkbox": {"type": "boolean", "value": True},
    "user": {"type": "current_user"},
    "email": {"type": "text", "value": "a"},
    "url": {"type": "text", "value": "a"},
    "phone": {"type": "text", "value": "a"},
    "hidden": {"type": "text", "value": "a"},
}  # fmt: skip


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("api"):
        yield world.ours


@pytest.fixture
def fieldset(ours: Tenant) -> FieldSet:
    return FieldSet.objects.get(owner="lead")


def search(field: CustomField, condition: dict[str, Any]) -> dict[str, Any]:
    asked = {"type": "custom_field", "custom_field_id": field.public_id}
    return {"type": "and", "queries": [
        {"type": "object_type", "object_type": "lead"},
        {"type": "or", "queries": [{"type": "field_condition", "field": asked, "condition": condition}]},
    ]}  # fmt: skip


def planned(tenant: Tenant, field: CustomField, kind: str, **changes: Any) -> tuple[Field, Field]:
    plan = services.preview_conversion(tenant.admin, FieldSet.objects.get(uses__field=field), field, kind, changes).plan
    return plan.old, plan.new


def runs(tenant: Tenant, view: SmartView) -> bool:
    actor = type(tenant.admin).objects.get(pk=tenant.admin.pk)
    try:
        parse(view.query, actor, view.lists)
    except InvalidInput:
        return False
    return True


def publish(tenant: Tenant) -> None:
    """Log a call on the first lead, as a member whose organization is loaded now."""
    member = type(tenant.admin).objects.get(pk=tenant.admin.pk)
    log_activity(member, Lead.objects.get(pk=tenant.leads[0].pk), tenant.call, custom={"Users": 3})


@pytest.mark.parametrize("kind", KINDS)
def test_a_smart_view_goes_on_or_stops_as_told(ours: Tenant, fieldset: FieldSet, kind: str) -> None:
    more = {"options": ["A"]} if kind == "choices" else {}
    contact = ours.leads[0].contacts.first()
    named = {
        "choices": {"type": "term", "values": ["A"]},
        "contact": {"type": "reference", "reference_type": "contact", "object_ids": [contact.public_id]},
    }
    told, happened = {}, {}
    for into in [slug for slug in KINDS if slug != kind]:
        field = add(ours, fieldset, kind, **more)
        condition = ASKED.get(kind) or named[kind]
        view = smart_views.save_smart_view(ours.admin, name="View", query=search(field, condition), pin=False)
        [mention] = in_views(ours.admin, *planned(ours, field, into))
        convert(ours, field, into, **({"options": ["B"]} if into == "choices" else {}))
        told[into], happened[into] = not mention.stops, runs(ours, view)
        view.delete()
        services.delete_field(ours.admin, fieldset, services.field_for(ours.admin, field.public_id), None)
    assert told == happened
    assert set(happened.values()) == (
        {False} if kind in ("choices", "user", "contact", "number", "checkbox") else {True, False}
    )


def test_views_are_named_to_those_who_may_open_them(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    exists = search(field, {"type": "exists"})
    smart_views.save_smart_view(ours.admin, name="Mine", query=search(field, ASKED["text"]))
    smart_views.save_smart_view(ours.superuser, name="Theirs", query=search(field, ASKED["text"]))
    smart_views.save_smart_view(ours.superuser, name="Also theirs", query=exists)
    smart_views.save_smart_view(ours.superuser, name="Ours", query=exists, shared=True)
    smart_views.save_smart_view(
        ours.admin, name="Table", query={"type": "and", "queries": []}, columns=[field.public_id]
    )
    smart_views.save_smart_view(ours.admin, name="Other", query={"type": "and", "queries": []})
    found = [(one.what, one.name, one.stops) for one in in_views(ours.admin, *planned(ours, field, "number"))]
    assert found == [
        ("Smart View", "Mine", True), ("Smart View", "Ours", False), ("Smart View", "Table", False),
        ("1 Smart View of somebody else", "", True), ("1 Smart View of somebody else", "", False),
    ]  # fmt: skip
    told = {one.name: one.effect for one in in_views(ours.admin, *planned(ours, field, "hidden"))}
    assert told["Table"] == "leaves the column out."


# --- rules --------------------------------------------------------------------------------------------------------------
def test_a_rule_that_names_an_option_says_so_and_writes_no_id(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, "choices", options=["North", "South"])
    options = catalog(Organization.objects.get(pk=ours.organization.pk)).field_by_public_id(field.public_id).options
    set_field = {"do": "set_field", "field_id": field.public_id, "value": options[0].public_id}
    rule = create_rule(ours.admin, ours.type_row.public_id, name="Region", actions=[set_field])
    [mention] = in_rules(ours.admin, *planned(ours, field, "text"))
    assert (mention.name, mention.stops) == ("Region", True)
    assert mention.path == f"settings/rules/{rule.public_id}/"
    convert(ours, field, "text")
    publish(ours)
    rule = PublishRule.objects.get(pk=rule.pk)
    assert rule.last_error.startswith("Size is a text field now. Choose again what to set it to.")
    assert shown(ours, field) == [None, None, None]
    update_rule(ours.admin, rule, {"actions": [{**set_field, "value": "North"}]})
    publish(ours)
    assert shown(ours, field)[0] == "North"
    [mention] = in_rules(ours.admin, *planned(ours, services.field_for(ours.admin, field.public_id), "choices"))
    assert (mention.stops, mention.effect) == (False, "goes on and sets Size as before.")


@pytest.mark.parametrize(
    ("value", "into", "stops"), [("12", "number", False), ("many", "number", True), ("", "number", False)]
)
def test_a_rule_goes_on_where_its_value_is_one_of_the_new_kind(
    ours: Tenant, fieldset: FieldSet, value: str, into: str, stops: bool
) -> None:
    field = add(ours, fieldset)
    set_field = {"do": "set_field", "field_id": field.public_id, "value": value}
    rule = create_rule(ours.admin, ours.type_row.public_id, name="Size", actions=[set_field])
    [mention] = in_rules(ours.admin, *planned(ours, field, into))
    assert mention.stops is stops
    convert(ours, field, into)
    publish(ours)
    assert bool(PublishRule.objects.get(pk=rule.pk).last_error) is stops


def test_a_rule_asks_the_lead_of_its_activity(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    [_, inner] = search(field, ASKED["text"])["queries"]
    of_lead = {
        "type": "has_related",
        "this_object_type": "activity",
        "related_object_type": "lead",
        "related_query": inner,
    }
    note = {"do": "notify", "text": "Look", "member": ours.admin.public_id}
    rule = create_rule(ours.admin, ours.type_row.public_id, name="Big", condition=of_lead, actions=[note])
    [mention] = in_rules(ours.admin, *planned(ours, field, "number"))
    assert mention.stops
    convert(ours, field, "number")
    publish(ours)
    assert PublishRule.objects.get(pk=rule.pk).last_error


# --- reports ------------------------------------------------------------------------------------------------------------
def test_a_tile_whose_filter_asks_the_field_leaves_the_report(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1")
    [_, inner] = search(field, ASKED["text"])["queries"]
    of_lead = {
        "type": "has_related",
        "this_object_type": "activity",
        "related_object_type": "lead",
        "related_query": inner,
    }
    metric = f"custom_activities.created.{ours.type_row.public_id}.count"
    rows = []
    for owner, shared in ((ours.admin, False), (ours.superuser, True), (ours.superuser, False)):
        report = Report.objects.create(
            organization=ours.organization, kind="overview", name=f"R{len(rows)}", owner=owner.user, shared=shared
        )
        options = {"filter": of_lead}
        rows.append(Tile.objects.create(organization=ours.organization, report=report, metric=metric, options=options))
    assert len(visible_tiles(ours.admin, rows)) == 3
    found = list(in_tiles(ours.admin, *planned(ours, field, "number")))
    assert [(one.what, one.effect, one.stops) for one in found] == [
        ("Tile", "is left out of the report.", True), ("Tile", "is left out of the report.", True),
        ("1 tile in reports you cannot see", "is left out.", True),
    ]  # fmt: skip
    assert found[1].name.endswith(" in R1") and found[0].path == f"reports/overview/?report={rows[0].report.public_id}"
    assert [one.stops for one in in_tiles(ours.admin, *planned(ours, field, "textarea"))] == [False, False]
    convert(ours, field, "number")
    actor = type(ours.admin).objects.get(pk=ours.admin.pk)
    assert visible_tiles(actor, rows) == []
