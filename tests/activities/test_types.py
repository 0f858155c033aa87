"""Activity types: names, restrictions, archive, delete, duplicate, starters and built-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from activities.builtin import BUILTINS
from activities.models import Activity, ActivityType, LeadActivityFact
from activities.queries import active_types, type_catalog, type_for
from activities.services.activities import log_activity
from activities.services.types import (
    archive_type,
    create_type,
    custom_type_for,
    delete_type,
    duplicate_type,
    install_builtins,
    install_starters,
    remove_starters,
    reorder_types,
    unarchive_type,
    update_type,
)
from activities.starters import STARTERS
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import change_options, create_field, remove_option, reorder_fields
from crm.customfields.values import TABLES
from crm.errors import InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.models import CustomField, Event, FieldSet, Role
from crm.tenancy import scope
from leads.models import Lead
from tests.factories import Tenant, World, change_field


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def test_a_new_type_stands_in_the_menu_at_once_and_needs_no_fields(ours: Tenant) -> None:
    row = create_type(ours.admin, name="  Site   visit ")
    assert row.name == "Site visit"
    offered = active_types(ours.user)
    assert offered[-1].id == row.pk
    assert log_activity(ours.user, ours.leads[0], offered[-1]).values == {}
    event = Event.objects.get(object_type="custom_activity_type", object_id=row.pk)
    assert event.action == "created"


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "qualifying CALL", "Note"])
def test_a_name_is_needed_and_taken_once_archived_ones_included(ours: Tenant, name: str) -> None:
    archive_type(ours.admin, ours.type_row)
    before = ActivityType.objects.count(), FieldSet.objects.count(), Event.objects.count()
    with pytest.raises(InvalidInput) as refused:
        create_type(ours.admin, name=name)
    assert set(refused.value.fields) == {"name"}
    assert (ActivityType.objects.count(), FieldSet.objects.count(), Event.objects.count()) == before


WRITES: list[Callable[[Tenant, Any], Any]] = [
    lambda tenant, actor: create_type(actor, name="New"),
    lambda tenant, actor: update_type(actor, tenant.type_row, {"name": "New"}),
    lambda tenant, actor: archive_type(actor, tenant.type_row),
    lambda tenant, actor: unarchive_type(actor, tenant.type_row),
    lambda tenant, actor: delete_type(actor, tenant.type_row, "Qualifying call"),
    lambda tenant, actor: duplicate_type(actor, tenant.type_row),
    lambda tenant, actor: reorder_types(actor, []),
    lambda tenant, actor: install_starters(actor),
    lambda tenant, actor: remove_starters(actor),
]


@pytest.mark.parametrize("write", WRITES)
def test_only_those_who_manage_customizations_write(ours: Tenant, write: Callable[[Tenant, Any], Any]) -> None:
    before = list(ActivityType.unscoped.order_by("pk").values()), Event.unscoped.count(), Activity.unscoped.count()
    for actor in (ours.user, ours.restricted):
        with pytest.raises(NotAllowed, match="manage customizations"):
            write(ours, actor)
    after = list(ActivityType.unscoped.order_by("pk").values()), Event.unscoped.count(), Activity.unscoped.count()
    assert after == before


def test_admin_is_always_in_a_restriction(ours: Tenant) -> None:
    roles = {row.slug: row.pk for row in Role.objects.all()}
    row = update_type(ours.admin, ours.type_row, {"edit_roles": [roles["user"]]})
    assert set(row.edit_roles) == {roles["admin"], roles["user"]}
    offered = lambda actor: ours.call in active_types(actor)  # noqa: E731
    assert [offered(actor) for actor in ours.members] == [True, False, True, False]
    assert type_for(ours.restricted, ours.call.public_id) == ours.call
    with pytest.raises(InvalidInput):
        update_type(ours.admin, ours.type_row, {"edit_roles": [10**9]})


def test_a_role_of_the_other_organization_is_unknown(ours: Tenant, world: World) -> None:
    foreign = Role.unscoped.filter(organization=world.theirs.organization)[0].pk
    with pytest.raises(InvalidInput):
        update_type(ours.admin, ours.type_row, {"view_roles": [foreign]})


def test_a_change_records_the_keys_that_differ(ours: Tenant) -> None:
    update_type(ours.admin, ours.type_row, {"name": "Discovery call", "icon": "phone"})
    event = Event.objects.filter(object_type="custom_activity_type", object_id=ours.type_row.pk).order_by("-pk")[0]
    assert (event.action, event.changed) == ("updated", ["name"])
    assert type_catalog(ours.organization).by_name("DISCOVERY CALL") is not None
    before = Event.objects.count()
    update_type(ours.admin, ours.type_row, {"name": "Discovery call"})
    assert Event.objects.count() == before


def test_archived_types_leave_the_menu_and_keep_their_activities(ours: Tenant) -> None:
    archive_type(ours.admin, ours.type_row)
    assert ours.call.archived
    assert ours.call not in active_types(ours.admin)
    assert Activity.objects.filter(type=ours.type_row).count() == 3
    unarchive_type(ours.admin, ours.type_row)
    assert ours.call in active_types(ours.admin)


def test_deleting_asks_for_the_name_and_takes_everything(ours: Tenant, world: World) -> None:
    with pytest.raises(InvalidInput, match="4 activities"):
        delete_type(ours.admin, ours.type_row, "Qualifying")
    assert Activity.objects.filter(type=ours.type_row).count() == 3
    fields = list(CustomField.objects.filter(uses__fieldset=ours.type_row.fieldset).values_list("pk", flat=True))
    pk = ours.type_row.pk
    assert delete_type(ours.admin, ours.type_row, "Qualifying call") == 4
    assert not ActivityType.objects.filter(pk=pk)
    assert not Activity.unscoped.filter(type_id=pk)
    assert not LeadActivityFact.objects.filter(type_id=pk)
    assert not CustomField.objects.filter(pk__in=fields)
    assert not any(model.objects.filter(field_id__in=fields).exists() for model in TABLES.values())
    for lead in Lead.objects.all():
        assert lead.last_activity_at is None
    with scope(world.theirs.organization):
        assert Activity.objects.filter(type=world.theirs.type_row).count() == 3


def test_a_copy_has_the_same_fields_with_ids_of_its_own(ours: Tenant) -> None:
    copy = duplicate_type(ours.admin, ours.type_row)
    again = duplicate_type(ours.admin, ours.type_row)
    assert (copy.name, again.name) == ("Qualifying call (copy)", "Qualifying call (copy 2)")
    known = catalog(ours.organization)
    shape = lambda row: [  # noqa: E731
        (use.field.name, use.field.kind.slug, use.field.minimum, [option.label for option in use.field.options])
        for use in known.uses(row.fieldset_id)
    ]
    assert shape(copy) == shape(ours.type_row)
    assert not {use.field.id for use in known.uses(copy.fieldset_id)} & {
        use.field.id for use in known.uses(ours.type_row.fieldset_id)
    }


def test_the_menu_follows_the_admins_order(ours: Tenant) -> None:
    first, second = create_type(ours.admin, name="First"), create_type(ours.admin, name="Second")
    reorder_types(ours.admin, [second.public_id, first.public_id, "actitype_nonsense"])
    assert [row.name for row in type_catalog(ours.organization).custom] == ["Second", "First", "Qualifying call"]


def test_starters_come_with_one_click_and_go_with_one(ours: Tenant) -> None:
    made = install_starters(ours.admin)
    assert [row.name for row in made] == [
        "Sales Qualifying Call", "Customer Onboarding Checklist", "Intercom ticket", "Stripe invoice", "NPS Feedback",
        "Inbound Form", "Connected on LinkedIn",
    ]  # fmt: skip
    uses = catalog(ours.organization).uses(made[0].fieldset_id)
    assert [(use.field.kind.slug, use.field.name) for use in uses] == [
        ("text", "Are they qualified?"),
        ("choices", "What is their current CRM?"),
        ("number", "How many users do they anticipate having?"),
        ("choices", "How did they hear about us?"),
        ("textarea", "What is their sales process like?"),
    ]
    assert install_starters(ours.admin) == []
    kind = type_catalog(ours.organization).get(made[-1].pk)
    assert kind is not None
    log_activity(ours.user, ours.leads[0], kind)
    assert remove_starters(ours.admin) == len(STARTERS) - 1
    assert {row.name for row in type_catalog(ours.organization).custom} == {"Qualifying call", "Connected on LinkedIn"}


def test_starters_that_do_not_all_fit_the_plan_leave_none(ours: Tenant) -> None:
    ours.organization.plan = "startup"
    ours.organization.save(update_fields=["plan"])
    before = ActivityType.objects.count()
    with pytest.raises(PlanLimitReached, match="allows 5 activity types"):
        install_starters(ours.admin)
    assert ActivityType.objects.count() == before


def test_built_ins_are_there_once_and_are_no_custom_types(ours: Tenant) -> None:
    rows = ActivityType.objects.exclude(builtin="")
    assert {row.builtin for row in rows} == set(BUILTINS)
    fields = CustomField.objects.count()
    install_builtins(ours.organization)
    assert (rows.count(), CustomField.objects.count()) == (len(BUILTINS), fields)
    for row in rows:
        with pytest.raises(NotFound):
            custom_type_for(ours.admin, row.public_id)


def test_theirs_is_not_there(ours: Tenant, world: World) -> None:
    for fetch in (type_for, custom_type_for):
        with pytest.raises(NotFound):
            fetch(ours.admin, world.theirs.type_row.public_id)


def test_a_copy_keeps_defaults_rules_options_headings_restrictions_and_order(ours: Tenant) -> None:
    roles = {row.slug: row.pk for row in Role.objects.all()}
    fieldset, crm = ours.type_row.fieldset, ours.use("CRM")
    hubspot, salesforce = (option.public_id for option in crm.field.options[:2])
    row = CustomField.objects.get(pk=crm.field.id)
    change_options(ours.admin, row, {hubspot: {"color": "orange"}})
    remove_option(ours.admin, row, salesforce)
    change_field(ours, "CRM", {"default": "None", "heading": "Tools", "description": "Today's"})
    create_field(
        ours.admin, fieldset, name="Portal", kind="text", required=True, view_roles=[roles["user"]],
        show_when={"field": crm.field.public_id, "values": ["HubSpot"]},
    )  # fmt: skip
    create_field(ours.admin, fieldset, name="Partners", kind="user", multiple=True, read_only=True)
    shared = create_field(ours.admin, fieldset, name="Budget", kind="number", shared=True, settings={"unit": "€"})
    reorder_fields(ours.admin, fieldset, [shared.public_id])

    copy = duplicate_type(ours.admin, update_type(ours.admin, ours.type_row, {"edit_roles": [roles["user"]]}))
    known = catalog(ours.organization)
    old, new = known.uses(fieldset.pk), known.uses(copy.fieldset_id)
    assert copy.edit_roles == sorted({roles["admin"], roles["user"]})
    for key in ("heading", "required", "read_only", "edit_roles", "view_roles", "position"):
        assert [getattr(use, key) for use in new] == [getattr(use, key) for use in old], key
    for key in ("name", "kind", "description", "multiple", "unit", "minimum", "maximum"):
        assert [getattr(use.field, key) for use in new] == [getattr(use.field, key) for use in old], key
    assert new[0].field.name == "Budget"
    assert new[0].field.id == shared.pk, "shared, not copied"
    by_name = {use.field.name: use for use in new}
    theirs = by_name["CRM"].field
    assert [(option.label, option.color) for option in theirs.options] == [("HubSpot", "orange"), ("None", "")]
    assert theirs.id != crm.field.id
    assert theirs.default == theirs.options[1].id
    assert by_name["Portal"].show_when == {"field": theirs.id, "values": [theirs.options[0].id]}
    log = log_activity(ours.admin, ours.leads[0], type_of_row(ours, copy), custom={"CRM": "HubSpot", "Portal": "p"})
    assert log.values[str(by_name["Portal"].field.id)] == "p"


def test_a_type_with_fifty_fields_is_copied_whole_and_long_names_fit(ours: Tenant) -> None:
    row = create_type(ours.admin, name="N" * 100)
    for number in range(50):
        create_field(ours.admin, row.fieldset, name=f"F{number}", kind="text")
    copy, again = duplicate_type(ours.admin, row), duplicate_type(ours.admin, row)
    assert (copy.name, again.name) == ("N" * 93 + " (copy)", "N" * 91 + " (copy 2)")
    assert len(catalog(ours.organization).uses(again.fieldset_id)) == 50


def test_a_copy_that_does_not_fit_the_plan_leaves_nothing(ours: Tenant) -> None:
    ours.organization.plan = "base"
    ours.organization.save(update_fields=["plan"])
    before = ActivityType.objects.count(), CustomField.objects.count(), Event.objects.count()
    with pytest.raises(PlanLimitReached):
        duplicate_type(ours.admin, ours.type_row)
    assert (ActivityType.objects.count(), CustomField.objects.count(), Event.objects.count()) == before


def test_a_deleted_type_is_one_event_with_its_count(ours: Tenant) -> None:
    before = Event.objects.count()
    pk = ours.type_row.pk
    delete_type(ours.admin, ours.type_row, "Qualifying call")
    assert Event.objects.count() == before + 1
    event = Event.objects.get(object_type="custom_activity_type", object_id=pk, action="deleted")
    assert event.meta == {"activities": 4}


def test_a_hidden_type_is_not_there_for_those_who_manage_types_either(ours: Tenant) -> None:
    roles = {row.slug: row.pk for row in Role.objects.all()}
    update_type(ours.admin, ours.type_row, {"view_roles": [roles["user"]]})
    with pytest.raises(NotFound):
        custom_type_for(ours.superuser, ours.type_row.public_id)
    assert custom_type_for(ours.admin, ours.type_row.public_id).pk == ours.type_row.pk


def type_of_row(tenant: Tenant, row: ActivityType) -> Any:
    found = type_catalog(tenant.organization).get(row.pk)
    assert found is not None
    return found
