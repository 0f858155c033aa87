"""What uses a field is told before the field is deleted, and it turns out as told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from activities.models import PublicForm, PublishRule
from activities.services.public_forms import create_form, opened
from activities.services.rules import create_rule
from activities.services.types import update_type
from crm import events
from crm.customfields import services
from crm.customfields.catalog import catalog
from crm.customfields.mentions import Mention, mentions
from crm.errors import InvalidInput
from crm.models import CustomField, Membership, Organization
from crm.tenancy import scope
from leads.models import SmartView
from leads.search.language import parse
from leads.services import smart_views
from leads.views.kinds import kind_named
from reporting.models import Report, Tile
from reporting.queries import visible_tiles
from tests.activities.test_mentions import publish
from tests.factories import PASSWORD, Tenant, World

ALL: dict[str, Any] = {"type": "and", "queries": []}


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def field(ours: Tenant) -> CustomField:
    return services.create_field(
        ours.admin, ours.type_row.fieldset, name="Region", kind="choices", options=["North", "South"]
    )


def told(tenant: Tenant, field: CustomField) -> list[Mention]:
    known = catalog(Organization.objects.get(pk=tenant.organization.pk)).field_by_public_id(field.public_id)
    assert known is not None
    return list(mentions(tenant.admin, known, None))


def gone(tenant: Tenant, field: CustomField) -> Membership:
    services.delete_field(tenant.admin, tenant.type_row.fieldset, field, None)
    return Membership.objects.get(pk=tenant.admin.pk)


def asks(field: CustomField, of: str = "activity.custom_activity") -> dict[str, Any]:
    custom = {"type": "custom_field", "custom_field_id": field.public_id}
    found = {"type": "field_condition", "field": custom, "condition": {"type": "term", "values": ["North"]}}
    if of != "lead":
        return found
    return {"type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity", "related_query": found}  # fmt: skip


def test_nothing_is_told_of_a_field_that_nothing_uses(ours: Tenant, field: CustomField) -> None:
    smart_views.save_smart_view(ours.admin, name="Other", query=ALL)
    assert told(ours, field) == []


def test_smart_views_stop_or_leave_it_out(ours: Tenant, field: CustomField) -> None:
    column = f"last:{ours.call.public_id}:{field.public_id}"
    smart_views.save_smart_view(ours.admin, name="Asks", query=asks(field, "lead"))
    smart_views.save_smart_view(ours.admin, name="Lists", query=asks(field), lists="custom_activity")
    smart_views.save_smart_view(ours.admin, name="Shows", query=ALL, columns=["name", column])
    smart_views.save_smart_view(ours.admin, name="Sorts", query=ALL, sort=f"-{column}")
    smart_views.save_smart_view(ours.superuser, name="Private", query=asks(field, "lead"))
    found = told(ours, field)
    stops = "stops with a message until the condition on Region is taken out, and so does what is built on it."
    assert [(one.name, one.effect, one.stops) for one in found] == [
        ("Asks", stops, True), ("Lists", stops, True), ("Shows", "leaves it out.", False), ("Sorts", "leaves it out.", False),
        ("", stops, True),
    ]  # fmt: skip
    assert found[-1].what == "1 Smart View of somebody else"
    actor = gone(ours, field)
    client = Client()
    client.login(email=actor.user.email, password=PASSWORD)
    for mention in found[:-1]:
        view = SmartView.objects.get(name=mention.name)
        refused = False
        try:
            parse(view.query, actor, kind_named(view.lists).source)
        except InvalidInput:
            refused = True
        assert refused is mention.stops, mention.name
        page = "activities" if view.lists == "custom_activity" else "leads"
        assert client.get(f"/o/ours/{page}/?view={view.public_id}").status_code == (422 if refused else 200), (
            mention.name
        )


def test_rules_fail_and_say_so(ours: Tenant, field: CustomField) -> None:
    note = {"do": "notify", "text": "Look", "member": ours.admin.public_id}
    rule = create_rule(ours.admin, ours.type_row.public_id, name="North only", condition=asks(field), actions=[note])
    [mention] = told(ours, field)
    assert (mention.what, mention.name, mention.stops) == ("On-publish rule", "North only", True)
    assert mention.path == f"settings/rules/{rule.public_id}/"
    gone(ours, field)
    publish(ours)
    assert PublishRule.objects.get(pk=rule.pk).last_error


def test_public_forms_ask_for_it_no_more(ours: Tenant, field: CustomField) -> None:
    given = {
        "title": "Talk to us",
        "fields": [ours.fields["CRM"], ours.fields["Users"], field.public_id],
        "enabled": True,
    }
    form = create_form(ours.admin, ours.type_row.public_id, given)
    create_form(ours.admin, ours.type_row.public_id, {**given, "title": "Others", "fields": given["fields"][:2]})
    [mention] = told(ours, field)
    assert (mention.what, mention.name, mention.path) == (
        "Public form",
        "Talk to us",
        f"settings/forms/{form.public_id}/",
    )
    assert (mention.effect, mention.stops) == ("asks for it no more.", False)
    update_type(ours.admin, ours.type_row, {"view_roles": [ours.admin.role_id]})
    known = catalog(Organization.objects.get(pk=ours.organization.pk)).field_by_public_id(field.public_id)
    assert known is not None
    [mention] = mentions(ours.superuser, known, None)
    assert (mention.what, mention.name, mention.path) == ("1 public form", "", "")
    gone(ours, field)
    asked = opened(PublicForm.objects.select_related("owner").get(pk=form.pk))
    assert asked is not None and [use.field.name for use in asked.uses] == ["CRM", "Users"]


@pytest.mark.parametrize("options", [{}, {"split": "{id}"}, {"filter": "asks"}, {"who": "{id}"}])
def test_tiles_leave_the_report(ours: Tenant, field: CustomField, options: dict[str, Any]) -> None:
    kind = ours.type_row.public_id
    if "who" in options:
        field = services.create_field(ours.admin, ours.type_row.fieldset, name="Closer", kind="user")
    metric = f"custom_activities.created.{kind}.count"
    if not options:
        field = services.create_field(ours.admin, ours.type_row.fieldset, name="Price", kind="number")
        metric = f"custom_activities.created.{kind}.sum_{field.public_id}"
    made = {key: asks(field) if value == "asks" else value.format(id=field.public_id) for key, value in options.items()}
    report = Report.objects.create(organization=ours.organization, kind="overview", name="R", owner=ours.admin.user)
    tiles = [Tile.objects.create(organization=ours.organization, report=report, metric=metric, options=made)]
    assert len(visible_tiles(ours.admin, tiles)) == 1
    [mention] = told(ours, field)
    assert (mention.what, mention.effect, mention.stops) == ("Tile", "is left out of the report.", True)
    assert visible_tiles(gone(ours, field), tiles) == []


def test_fields_with_a_rule_about_it_are_always_shown(ours: Tenant, field: CustomField) -> None:
    shown = {"field": field.public_id, "values": ["North"]}
    ruled = services.create_field(ours.admin, ours.type_row.fieldset, name="Dock", kind="text", show_when=shown)
    [mention] = told(ours, field)
    assert (mention.what, mention.name, mention.effect) == ("Field", "Dock", "loses its rule and is always shown.")
    actor = gone(ours, field)
    use = catalog(actor.organization).use(ours.type_row.fieldset_id, ruled.pk)
    assert use is not None and use.show_when is None


def test_the_editor_tells_it_where_the_field_is_deleted(ours: Tenant, field: CustomField) -> None:
    view = smart_views.save_smart_view(ours.admin, name="Northern", query=asks(field, "lead"))
    client = Client()
    client.login(email=ours.admin.user.email, password=PASSWORD)
    page = client.get(f"/o/ours/settings/fields/{ours.call.public_id}/{field.public_id}/").content.decode()
    assert f'<a href="/o/ours/smart-views/{view.public_id}/">Northern</a> stops with a message' in page
