"""Shared fields: one definition, values and rules of each place its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from activities.services.activities import update_activity
from crm import events
from crm.customfields import services
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.models import CustomField, Event, FieldSet, FieldUse, Role, ValueNumber
from crm.plans import MAX_FIELDS_PER_TYPE
from crm.tenancy import scope
from leads.services import update_lead
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def leads(ours: Tenant) -> FieldSet:
    return FieldSet.objects.get(owner="lead")


@pytest.fixture
def users(ours: Tenant) -> CustomField:
    """The field *Users* of the type, a number held by three activities."""
    return CustomField.objects.get(pk=ours.use("Users").field.id)


def test_a_field_becomes_shared_with_its_values_and_rules_of_each_place(
    ours: Tenant, leads: FieldSet, users: CustomField
) -> None:
    roles = {role.slug: role.pk for role in Role.objects.all()}
    services.share_field(ours.admin, users)
    services.share_field(ours.admin, users)
    events_about = Event.objects.filter(object_id=users.pk, object_type__startswith="custom_fields", action="updated")
    assert [event.changed for event in events_about] == [["shared"]]
    services.attach_field(ours.admin, leads, users, required=True, edit_roles=[roles["superuser"]])
    known = catalog(ours.organization)
    here, there = known.use(ours.type_row.fieldset_id, users.pk), known.use(leads.pk, users.pk)
    assert here is not None
    assert there is not None
    assert (here.required, there.required) == (False, True)
    assert (here.edit_roles, set(there.edit_roles)) == ((), {roles["admin"], roles["superuser"]})
    assert services.records_holding(users) == 3, "values stay"


def test_taking_it_off_one_place_counts_and_leaves_the_others(
    ours: Tenant, leads: FieldSet, users: CustomField, django_capture_on_commit_callbacks: Any
) -> None:
    services.share_field(ours.admin, users)
    services.attach_field(ours.admin, leads, users)
    update_lead(ours.user, ours.leads[0], {"custom": {users.public_id: "7"}})
    assert services.records_holding_in(leads, users) == 1
    assert services.records_holding_in(ours.type_row.fieldset, users) == 3
    with pytest.raises(InvalidInput, match="Type “Users” exactly"):
        services.detach_field(ours.admin, ours.type_row.fieldset, users, "users")
    assert services.records_holding_in(ours.type_row.fieldset, users) == 3
    with django_capture_on_commit_callbacks(execute=True):
        assert services.detach_field(ours.admin, ours.type_row.fieldset, users, "Users") == 3
    assert list(ValueNumber.objects.filter(field_id=users.pk).values_list("record_key", "v")) == [(0, 7)]
    ours.activities[0].refresh_from_db()
    assert str(users.pk) not in ours.activities[0].values
    call_command("reindex", "--check")
    event = Event.objects.order_by("-pk")[0]
    assert (event.changed, event.meta) == (["fieldsets"], {"records": 3})


def test_without_a_place_the_definition_stays_until_it_is_deleted(
    ours: Tenant, users: CustomField, django_capture_on_commit_callbacks: Any
) -> None:
    services.share_field(ours.admin, users)
    with django_capture_on_commit_callbacks(execute=True):
        services.detach_field(ours.admin, ours.type_row.fieldset, users, "Users")
    assert catalog(ours.organization).fields[users.pk].fieldset_ids == ()
    services.attach_field(ours.admin, ours.type_row.fieldset, users)
    update_activity(ours.user, ours.activities[0], custom={users.public_id: "8"})
    with pytest.raises(InvalidInput, match="exactly to delete the field everywhere"):
        services.delete_shared_field(ours.admin, users, "")
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_shared_field(ours.admin, users, "Users")
    assert users.pk not in catalog(ours.organization).fields
    assert not ValueNumber.objects.filter(field_id=users.pk).exists()


def test_denials_leave_everything(ours: Tenant, world: World, leads: FieldSet, users: CustomField) -> None:
    services.share_field(ours.admin, users)
    here = ours.type_row.fieldset
    state = lambda: (  # noqa: E731
        Event.unscoped.count(), list(FieldUse.unscoped.order_by("pk").values()), list(CustomField.unscoped.order_by("pk").values())
    )  # fmt: skip
    before = state()
    other = CustomField.objects.get(pk=ours.use("CRM").field.id)
    for actor in (ours.user, ours.restricted):
        for write in (
            lambda actor=actor: services.share_field(actor, other),
            lambda actor=actor: services.attach_field(actor, leads, users),
            lambda actor=actor: services.detach_field(actor, here, users, "Users"),
            lambda actor=actor: services.delete_shared_field(actor, users, "Users"),
            lambda actor=actor: services.copy_fields(actor, here, leads),
        ):
            with pytest.raises(NotAllowed, match="manage customizations"):
                write()
    for refused in (
        lambda: services.detach_field(ours.admin, here, other, "CRM"),
        lambda: services.delete_shared_field(ours.admin, other, "CRM"),
        lambda: services.attach_field(ours.admin, here, users),
        lambda: services.attach_field(ours.admin, leads, other),
    ):
        with pytest.raises(InvalidInput):
            refused()
    with pytest.raises(NotFound):
        services.detach_field(ours.admin, leads, users, "Users")
    assert state() == before


def test_a_new_name_must_be_free_in_every_place(ours: Tenant, leads: FieldSet, users: CustomField) -> None:
    services.share_field(ours.admin, users)
    services.attach_field(ours.admin, leads, users)
    services.create_field(ours.admin, leads, name="Seats", kind="number")
    with pytest.raises(InvalidInput, match="There is a field “seats” already"):
        services.update_field(ours.admin, ours.type_row.fieldset, users, {"name": "seats"})


def test_a_full_form_takes_no_shared_field_either(ours: Tenant, leads: FieldSet, users: CustomField) -> None:
    services.share_field(ours.admin, users)
    for number in range(MAX_FIELDS_PER_TYPE):
        services.create_field(ours.admin, leads, name=f"F{number}", kind="text")
    with pytest.raises(PlanLimitReached, match="50 is the most"):
        services.attach_field(ours.admin, leads, users)
    with events.door("api"), pytest.raises(InvalidInput, match="50 is the most"):
        services.attach_field(ours.admin, leads, users)


def test_rules_may_not_go_in_circles(ours: Tenant) -> None:
    fieldset = ours.type_row.fieldset
    crm, qualified = ours.use("CRM").field, ours.use("Qualified").field
    row = lambda field: CustomField.objects.get(pk=field.id)  # noqa: E731
    services.update_field(
        ours.admin, fieldset, row(qualified), {"show_when": {"field": crm.public_id, "values": ["HubSpot"]}}
    )
    for field in (crm, qualified):
        with pytest.raises(InvalidInput) as caught:
            services.update_field(
                ours.admin, fieldset, row(field), {"show_when": {"field": qualified.public_id, "values": ["yes"]}}
            )
        assert "show_when" in caught.value.fields


def test_a_section_keeps_its_heading_when_its_first_field_goes(ours: Tenant) -> None:
    fieldset = ours.type_row.fieldset
    row = CustomField.objects.get(pk=ours.use("CRM").field.id)
    services.update_field(ours.admin, fieldset, row, {"heading": "Tools"})
    services.delete_field(ours.admin, fieldset, row, "CRM")
    assert ours.use("Users").heading == "Tools"


@pytest.mark.parametrize("part", ["unit", "minimum", "maximum"])
def test_a_kind_takes_only_its_own_settings(ours: Tenant, leads: FieldSet, part: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.create_field(ours.admin, leads, name="Word", kind="text", settings={part: "1"})
    assert caught.value.fields == {part: f"A text field has no {part}."}
