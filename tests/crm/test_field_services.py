"""Defining fields: who may, within which limits, and that no record is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from activities.services.activities import update_activity
from crm import events, ids
from crm.customfields import services
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.models import CustomField, Event, FieldOption, FieldSet, FieldUse, Organization, Role, ValueNumber, ValueText
from crm.plans import MAX_FIELDS_PER_TYPE
from crm.tenancy import scope
from leads.services import update_lead
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def fieldset(ours: Tenant) -> FieldSet:
    return FieldSet.objects.get(owner="lead")


def add(tenant: Tenant, fieldset: FieldSet, name: str = "Size", kind: str = "text", **more: Any) -> CustomField:
    return services.create_field(tenant.admin, fieldset, name=name, kind=kind, **more)


def names(tenant: Tenant) -> list[str]:
    return [use.field.name for use in catalog(tenant.organization).lead_uses]


def refused(call: Any, *args: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        call(*args, **more)
    return caught.value.fields


def test_a_new_field_comes_last_and_is_seen_at_once(ours: Tenant, fieldset: FieldSet) -> None:
    before = ours.organization.schema_version
    add(
        ours,
        fieldset,
        "  Company   size ",
        "number",
        settings={"unit": " people ", "minimum": "1", "maximum": " 10.50 "},
    )
    add(ours, fieldset, "Region", "choices", options=["North", " ", "South"], default="South", required=True)
    assert ours.organization.schema_version != before
    size, region = catalog(ours.organization).lead_uses
    assert (size.field.name, size.field.unit, str(size.field.maximum)) == ("Company size", "people", "10.5")
    assert [option.label for option in region.field.options] == ["North", "South"]
    assert region.field.default == region.field.options[1].id
    assert region.required
    assert not FieldSet.unscoped.exclude(organization=ours.organization).filter(uses__field__name="Region").exists()
    event = Event.objects.filter(object_type="custom_fields.lead").last()
    assert event is not None
    assert (event.action, event.object_id, event.after["name"]) == ("created", region.field.id, "Region")


@pytest.mark.parametrize("who", ["user", "restricted"])
def test_only_who_manages_customizations(ours: Tenant, fieldset: FieldSet, who: str) -> None:
    field, actor = add(ours, fieldset, kind="choices", options=["A"]), getattr(ours, who)
    option = FieldOption.objects.get(field=field).public_id
    before = Event.objects.count()
    for call in (
        lambda: services.create_field(actor, fieldset, name="X", kind="text"),
        lambda: services.update_field(actor, fieldset, field, {"name": "X"}),
        lambda: services.delete_field(actor, fieldset, field, field.name),
        lambda: services.reorder_fields(actor, fieldset, [field.public_id]),
        lambda: services.add_options(actor, field, ["B"]),
        lambda: services.rename_option(actor, field, option, "B"),
        lambda: services.remove_option(actor, field, option),
        lambda: services.reorder_options(actor, field, [option]),
    ):
        with pytest.raises(NotAllowed, match="manage customizations"):
            call()
    assert Event.objects.count() == before
    assert names(ours) == ["Size"]
    assert list(FieldOption.objects.filter(field=field).values_list("label", "removed_at")) == [("A", None)]


@pytest.mark.parametrize(
    ("given", "key", "sentence"),
    [
        ({"name": " "}, "name", "A field needs a name."),
        ({"name": "size"}, "name", "There is a field “size” already. Choose another name."),
        ({"name": "n" * 201}, "name", "The name is 201 characters long; at most 200 fit."),
        ({"name": "a\x00"}, "name", "The name contains a NUL character. Remove it."),
        ({"kind": "colour"}, "kind", "“colour” is not a kind of field."),
        ({"description": "d" * 281}, "description", "The description is 281 characters long; at most 280 fit."),
        ({"multiple": True}, "multiple", "A text field holds one value."),
        ({"options": ["A"]}, "options", "A text field has no options."),
        ({"kind": "choices", "options": ["A", "a "]}, "options", "The option “a” is there twice."),
        ({"kind": "choices", "options": ["x" * 201]}, "options", "is longer than 200 characters."),
        ({"kind": "choices", "options": ["A\x00"]}, "options", "contains a NUL character."),
        (
            {"kind": "number", "settings": {"minimum": "nan"}},
            "minimum",
            "The minimum must be a number; “nan” is not one.",
        ),
        ({"kind": "number", "settings": {"minimum": 2, "maximum": 1}}, "minimum", "larger than the maximum"),
        ({"kind": "number", "default": "x"}, "default", "must be a number"),
        ({"kind": "choices", "options": ["A"], "default": "B"}, "default", "“B” is not an option"),
        ({"edit_roles": [0]}, "edit_roles", "There is no role with the id 0."),
        ({"show_when": {"field": "cf_x", "values": ["1"]}}, "show_when", "must depend on another field"),
    ],
)
def test_what_is_refused_leaves_nothing(ours: Tenant, fieldset: FieldSet, given: dict, key: str, sentence: str) -> None:
    add(ours, fieldset)
    before = (ours.organization.schema_version, Event.objects.count())
    errors = refused(add, ours, fieldset, **{"name": "New", **given})
    assert sentence in errors[key]
    assert (ours.organization.schema_version, Event.objects.count()) == before
    assert names(ours) == ["Size"], "not even in this process's memory"
    assert CustomField.objects.filter(uses__fieldset=fieldset).count() == 1


def test_roles_of_another_organization_are_unknown(world: World, ours: Tenant, fieldset: FieldSet) -> None:
    theirs = Role.unscoped.get(organization=world.theirs.organization, slug="user").pk
    assert "no role" in refused(add, ours, fieldset, view_roles=[theirs])["view_roles"]


def test_admin_is_always_among_the_roles(ours: Tenant, fieldset: FieldSet) -> None:
    roles = {role.slug: role.pk for role in Role.objects.all()}
    field = add(ours, fieldset, edit_roles=[roles["user"]])
    assert set(FieldUse.objects.get(field=field).edit_roles) == {roles["user"], roles["admin"]}
    services.update_field(ours.admin, fieldset, field, {"edit_roles": []})
    assert FieldUse.objects.get(field=field).edit_roles == []


@pytest.mark.parametrize(("door", "error"), [("page", PlanLimitReached), ("api", InvalidInput)])
def test_fifty_fields(ours: Tenant, fieldset: FieldSet, door: str, error: type) -> None:
    fields = CustomField.objects.bulk_create(
        CustomField(organization=ours.organization, name=f"F{n}", kind="text") for n in range(MAX_FIELDS_PER_TYPE)
    )
    FieldUse.objects.bulk_create(
        FieldUse(organization=ours.organization, fieldset=fieldset, field=field, position=n)
        for n, field in enumerate(fields)
    )
    # Somebody else's change: the actor's own copy of the organization is older, and still the limit holds.
    Organization.objects.filter(pk=ours.organization.pk).update(schema_version="changed")
    with events.door(door), pytest.raises(error, match="There are 50 fields already; 50 is the most"):
        add(ours, fieldset)
    with events.door(door):
        services.delete_field(ours.admin, fieldset, fields[0], "F0")
        add(ours, fieldset)


def test_the_kind_is_fixed_and_several_cannot_be_taken_back(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, kind="user")
    assert (
        "fixed once it is made" in refused(services.update_field, ours.admin, fieldset, field, {"kind": "text"})["kind"]
    )
    services.update_field(ours.admin, fieldset, field, {"multiple": True, "kind": "user"})
    assert (
        "cannot be turned off"
        in refused(services.update_field, ours.admin, fieldset, field, {"multiple": False})["multiple"]
    )


def test_an_update_records_what_changed(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    services.update_field(ours.admin, fieldset, field, {"name": "Head count", "required": True, "description": ""})
    event = Event.objects.last()
    assert event is not None
    assert event.changed == ["name", "required"]
    assert (event.before, event.after) == (
        {"name": "Size", "required": False}, {"name": "Head count", "required": True}
    )  # fmt: skip
    assert names(ours) == ["Head count"]
    count = Event.objects.count()
    services.update_field(ours.admin, fieldset, field, {"name": "Head count"})
    assert Event.objects.count() == count, "nothing changed, nothing recorded"


def test_options_keep_their_ids(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, kind="choices", options=["A", "B", "C"])
    first = {row.label: row.pk for row in FieldOption.objects.filter(field=field)}
    services.update_field(ours.admin, fieldset, field, {"options": ["C", "a", "D"]})
    options = catalog(ours.organization).fields[field.pk].options
    assert [option.label for option in options if not option.removed] == ["C", "a", "D"]
    assert [option.label for option in options if option.removed] == ["B"]
    assert {option.label.upper(): option.id for option in options}.items() >= first.items()
    services.add_options(ours.admin, field, ["b", "C", "E"])
    options = catalog(ours.organization).fields[field.pk].options
    assert [option.label for option in options] == ["C", "a", "D", "b", "E"], "B is back, under its old id"
    assert next(option.id for option in options if option.label == "b") == first["B"]


def test_single_options(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, kind="choices", options=["A", "B", "C"])
    a, b, c = (row.public_id for row in FieldOption.objects.filter(field=field).order_by("position"))
    services.rename_option(ours.admin, field, a, " Alpha ")
    assert "already" in refused(services.rename_option, ours.admin, field, b, "alpha")["label"]
    services.reorder_options(ours.admin, field, [c, a])
    services.remove_option(ours.admin, field, b)
    found = catalog(ours.organization).fields[field.pk].options
    assert [(option.label, option.removed) for option in found] == [("C", False), ("Alpha", False), ("B", True)]
    with pytest.raises(NotFound):
        services.remove_option(ours.admin, field, ids.encode("opt", 10**9))


def test_reordering(ours: Tenant, fieldset: FieldSet) -> None:
    fields = {name: add(ours, fieldset, name).public_id for name in "ABC"}
    services.reorder_fields(ours.admin, fieldset, [fields["C"], "cf_unknown", fields["A"], fields["C"]])
    assert names(ours) == ["C", "A", "B"]


def test_a_field_is_deleted_by_its_name(ours: Tenant, django_capture_on_commit_callbacks: Any) -> None:
    field = CustomField.objects.get(pk=ours.use("Qualified").field.id)
    fieldset = ours.type_row.fieldset
    assert services.records_holding(field) == 3
    sentence = refused(services.delete_field, ours.admin, fieldset, field, "qualified")["confirm_name"]
    assert sentence == "Type “Qualified” exactly to delete the field."
    assert "Qualified" in ours.fields
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_field(ours.admin, fieldset, field, " Qualified ")
    assert "Qualified" not in ours.fields, "gone at once"
    assert not ValueText.objects.filter(field_id=field.pk).exists(), "the job removed the values"
    for activity in ours.activities:
        activity.refresh_from_db()
        assert str(field.pk) not in activity.values
        assert len(activity.values) == 2
    with pytest.raises(NotFound):
        services.field_for(ours.admin, field.public_id)


def test_their_fields_are_not_there(world: World, ours: Tenant) -> None:
    theirs = world.theirs.fields["Qualified"]
    with pytest.raises(NotFound):
        services.field_for(ours.admin, theirs)


def test_builtin_fields_stay_as_they_are(ours: Tenant) -> None:
    field = CustomField.objects.exclude(builtin="").first()
    assert field is not None
    fieldset = FieldSet.objects.get(uses__field=field)
    for call in (
        lambda: services.update_field(ours.admin, fieldset, field, {"name": "X"}),
        lambda: services.delete_field(ours.admin, fieldset, field, field.name),
    ):
        with pytest.raises(InvalidInput, match="ships with Touchpoint"):
            call()


def test_defining_a_field_costs_the_same_however_many_records_there_are(
    ours: Tenant, django_assert_max_num_queries: Any
) -> None:
    fieldset = ours.type_row.fieldset
    with django_assert_max_num_queries(20):
        field = add(ours, fieldset, "Extra", "choices", options=["A", "B"])
    with django_assert_max_num_queries(24):
        services.update_field(ours.admin, fieldset, field, {"name": "More", "options": ["B", "C"]})
    revisions = [activity.revision for activity in ours.activities]
    for activity in ours.activities:
        activity.refresh_from_db()
    assert [activity.revision for activity in ours.activities] == revisions


def test_a_shared_field_is_one_definition_with_values_of_its_own(
    ours: Tenant, fieldset: FieldSet, django_capture_on_commit_callbacks: Any
) -> None:
    field, here = add(ours, fieldset, "Budget", "number", shared=True), ours.type_row.fieldset
    services.attach_field(ours.admin, here, field, required=True)
    lead, activity = ours.leads[0], ours.activities[0]
    update_lead(ours.user, lead, {"custom": {field.public_id: "1"}})
    update_activity(ours.user, activity, custom={field.public_id: "2"})
    assert services.records_holding(field) == 2
    assert [use.required for use in catalog(ours.organization).lead_uses] == [False]
    assert "already" in refused(services.attach_field, ours.admin, here, field)["field"]
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_field(ours.admin, here, field, None)
    lead.refresh_from_db()
    activity.refresh_from_db()
    assert (lead.values, str(field.pk) in activity.values) == ({str(field.pk): "1"}, False)
    assert list(ValueNumber.objects.filter(field_id=field.pk).values_list("record_key", "v")) == [(0, 1)]
    call_command("reindex", "--check")
    own = add(ours, fieldset, "Own")
    assert "not a shared field" in refused(services.attach_field, ours.admin, here, own)["field"]
