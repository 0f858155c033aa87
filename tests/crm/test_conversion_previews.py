"""What a conversion would do: the numbers are those of the conversion itself, and nothing is written for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crm import events, jobs
from crm.customfields import services
from crm.customfields.services import conversion_plans, conversion_previews, conversions
from crm.customfields.services.conversion_previews import Preview
from crm.errors import Conflict, InvalidInput, NotAllowed
from crm.fieldkinds import KINDS
from crm.models import CustomField, Event, FieldOption, FieldSet, FieldUse, Notification, Role, ValueNumber, ValueText
from crm.permissions import Perm
from crm.roles import create_role, update_role
from crm.tasks import purge_field
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.services import create_lead, delete_contact, update_contact, update_lead
from leads.services.contacts import restore_contact
from tests.crm.test_field_conversion import MATRIX, add, convert, give, shown
from tests.factories import Tenant, World

QUERIES = 10


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("api"):
        yield world.ours


@pytest.fixture
def fieldset(ours: Tenant) -> FieldSet:
    return FieldSet.objects.get(owner="lead")


def preview(tenant: Tenant, field: CustomField, kind: str, **changes: Any) -> Preview:
    fieldset = FieldSet.objects.get(uses__field=field)
    return services.preview_conversion(tenant.admin, fieldset, field, kind, changes)


def everything() -> Any:
    tables = (CustomField, FieldOption, FieldUse, Event, ValueText, Notification)
    rows = [list(table.unscoped.order_by("pk").values()) for table in tables[:4]]
    return rows, ValueText.objects.count(), Notification.unscoped.count(), list(Lead.unscoped.values("values"))


@pytest.mark.parametrize(
    ("kind", "values", "into", "expected"), MATRIX, ids=lambda part: part if isinstance(part, str) else ""
)
def test_the_numbers_are_those_of_the_conversion(
    ours: Tenant, fieldset: FieldSet, kind: str, values: list[Any], into: str, expected: list[Any]
) -> None:
    field = add(ours, fieldset, kind)
    give(ours, field, *values)
    before = everything()
    found = preview(ours, field, into)
    assert everything() == before
    assert found.is_exact and found.holding == sum(value is not None for value in values)
    assert found.kept == sum(value is not None for value in expected) and found.lost == found.holding - found.kept
    convert(ours, field, into)
    meta = Event.objects.order_by("-pk")[0].meta
    assert (found.kept, found.lost) == (meta["converted"], meta["gone"])


def test_examples_say_what_becomes_of_values_and_why_others_go(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1,234.5", "12", "many")
    found = preview(ours, field, "number")
    first, second, third = ours.leads
    assert [(one.before, one.after, one.lead_name) for one in found.changed] == [
        ("1,234.5", "1,234.5", first.name), ("12", "12", second.name),
    ]  # fmt: skip
    [dropped] = found.dropped
    assert (dropped.before, dropped.after, dropped.lead_id) == ("many", "", third.public_id)
    assert "must be a number; “many” is not one" in dropped.reason
    day = add(ours, fieldset, "datetime", name="When")
    give(ours, day, "2024-01-31T23:30:00+00:00")
    [one] = preview(ours, day, "date").changed
    assert (one.before, one.after) == ("31 Jan 2024, 23:30", "31 Jan 2024")
    # Those that read otherwise come first.
    yes = add(ours, fieldset, name="Sure")
    give(ours, yes, "Yes", "1")
    assert [(one.before, one.after) for one in preview(ours, yes, "checkbox").changed] == [("1", "Yes"), ("Yes", "Yes")]


def test_options_are_made_of_values_or_listed(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "north", "South ", "East; north")
    made = preview(ours, field, "choices")
    assert (made.plan.labels, made.kept, made.lost) == (["East; north", "north", "South"], 3, 0)
    split = preview(ours, field, "choices", multiple=True)
    assert (split.plan.labels, split.kept, split.lost) == (["East", "north", "South"], 3, 0)
    assert [one.after for one in split.changed if ";" in one.before] == ["East, north"]
    listed = preview(ours, field, "choices", options=["North", "West"])
    assert (listed.plan.labels, listed.kept, listed.lost) == (["North", "West"], 1, 2)
    assert "is not an option of Size. Choose one of: North, West." in listed.dropped[0].reason
    convert(ours, field, "choices", multiple=True)
    again = services.field_for(ours.admin, field.public_id)
    back = preview(ours, again, "text")
    assert (back.kept, back.lost) == (3, 0)
    assert sorted(one.after for one in back.changed) == ["East, north", "South", "north"]
    assert back.settings == ("The list of options goes. Their labels stay as words on the records that hold them.",)
    # Several values in one: those with one of them go on.
    alone = preview(ours, again, "user")
    assert (alone.kept, alone.lost) == (0, 3)
    one = preview(ours, again, "number")
    assert "There are 2 values; Size would hold one." in [dropped.reason for dropped in one.dropped]


@pytest.mark.parametrize("owner", ["lead", "contact"])
def test_options_are_the_very_words_of_the_values(ours: Tenant, owner: str) -> None:
    """Texts that look like something else, and such that a database may take for equal."""
    field = add(ours, FieldSet.objects.get(owner=owner))
    values = ["1.50", "007", "true", "null", "[1]", '{"a": 1}', "cafe", "Café", "Cafe", "cafe", "1e5", "ß"]
    records = [*ours.leads]
    while len(records) < len(values):
        records.append(create_lead(ours.admin, name=f"More {len(records)}", contacts=[{"name": "Ann"}]))
    for lead, value in zip(records, values, strict=True):
        if owner == "lead":
            update_lead(ours.admin, Lead.objects.get(pk=lead.pk), {"custom": {field.public_id: value}})
        else:
            update_contact(ours.admin, Contact.objects.get(lead=lead), {"custom": {field.public_id: value}})
    found = preview(ours, field, "choices")
    assert (found.kept, found.lost) == (12, 0)
    assert {label.casefold() for label in found.plan.labels or ()} == {value.casefold() for value in values}
    # The usual spelling stays.
    assert len(found.plan.labels or ()) == 10 and "cafe" in (found.plan.labels or ())
    convert(ours, field, "choices")
    assert Event.objects.order_by("-pk")[0].meta == {"converted": 12, "gone": 0}


def test_options_of_members_and_contacts_are_their_names(ours: Tenant, fieldset: FieldSet) -> None:
    member = add(ours, fieldset, "user", name="Owners", multiple=True)
    give(ours, member, [ours.user.user.public_id, ours.admin.user.public_id], [ours.user.user.public_id])
    assert preview(ours, member, "choices").plan.labels == ["Ada Admin", "Uma User"]
    buyer = add(ours, fieldset, "contact", name="Buyer")
    give(ours, buyer, *[lead.contacts.first().public_id for lead in ours.leads[:2]])
    names = [str(lead.contacts.first()) for lead in ours.leads[:2]]
    assert preview(ours, buyer, "choices").plan.labels == sorted(set(names), key=str.casefold)
    sure = add(ours, fieldset, "checkbox", name="Sure")
    give(ours, sure, True, False, True)
    assert preview(ours, sure, "choices").plan.labels == ["no", "yes"]
    for field in (member, buyer, sure):
        assert preview(ours, field, "choices").lost == 0


def test_there_is_an_end_to_different_values(ours: Tenant, fieldset: FieldSet, monkeypatch: pytest.MonkeyPatch) -> None:
    field = add(ours, fieldset)
    give(ours, field, "a", "A", "a ; a")
    assert preview(ours, field, "choices", multiple=True).plan.labels in (["a"], ["A"])
    monkeypatch.setattr(conversion_plans, "MAX_DIFFERENT", 2)
    with pytest.raises(InvalidInput, match="more than 1,000 different values"):
        preview(ours, field, "choices", multiple=True)


def test_values_that_lose_a_part_are_told(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, "choices", options=["Uma User", "Nobody"], multiple=True)
    give(ours, field, ["Uma User", "Nobody"], ["Uma User"], ["Nobody"])
    found = preview(ours, field, "user")
    assert (found.kept, found.partly, found.lost) == (2, 1, 1)
    [some] = [one for one in found.changed if one.reason]
    assert (some.before, some.after, some.reason) == ("Uma User, Nobody", "Uma User", "Some of its values are dropped.")


def test_contacts_are_counted_and_named_by_their_lead(ours: Tenant) -> None:
    field = add(ours, FieldSet.objects.get(owner="contact"))
    one, two = Contact.objects.filter(lead__in=ours.leads[:2]).order_by("pk")
    for contact, value in ((one, "7"), (two, "seven")):
        update_contact(ours.admin, contact, {"custom": {field.public_id: value}})
    found = preview(ours, field, "number")
    assert (found.holding, found.kept, found.lost) == (2, 1, 1)
    assert found.dropped[0].lead_name == two.lead.name


def test_what_the_definition_loses_is_told(ours: Tenant, fieldset: FieldSet) -> None:
    settings = {"unit": "seats", "minimum": "1"}
    field = add(ours, fieldset, "number", name="Seats", settings=settings, default="5")
    add(ours, fieldset, name="Why", show_when={"field": field.public_id, "values": ["5"]})
    found = preview(ours, field, "date")
    assert found.settings == ("The default value “5 seats” goes.", "The unit and the minimum go.")
    [rule] = found.mentions
    assert (rule.what, rule.name, rule.effect) == ("Field", "Why", "loses its rule and is always shown.")
    assert "Nobody sees it on pages" in preview(ours, field, "hidden").settings[-1]
    assert preview(ours, field, "text").settings == (
        "The default value “5 seats” becomes “5”.", "The unit and the minimum go.",
    )  # fmt: skip


def test_many_values_are_looked_at_within_bounds(
    ours: Tenant, fieldset: FieldSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1", "two", "3")
    monkeypatch.setattr(conversion_previews, "LOOKED_AT", 2)
    monkeypatch.setattr(conversion_plans, "CHUNK", 1)
    found = preview(ours, field, "number")
    assert (found.holding, found.looked_at, found.kept, found.lost, found.is_exact) == (3, 2, 1, 1, False)
    options = preview(ours, field, "choices").plan
    assert (options.labels, options.labels_complete) == (["1", "two"], False)
    monkeypatch.setattr(conversion_previews, "LOOKED_AT", 3)
    assert preview(ours, field, "number").is_exact


def test_the_number_of_queries_does_not_hang_on_the_values(
    ours: Tenant, fieldset: FieldSet, django_assert_num_queries: Any
) -> None:
    field = add(ours, fieldset)
    for values in (["1"], ["1", "two", "3"]):
        give(ours, field, *values)
        preview(ours, field, "number")
        with django_assert_num_queries(QUERIES if "two" in values else QUERIES - 1):
            preview(ours, field, "number")


def test_who_may_not_change_fields_learns_nothing(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1")
    for member in (ours.user, ours.restricted):
        with pytest.raises(NotAllowed):
            services.preview_conversion(member, fieldset, field, "number", {})


def test_examples_are_of_leads_and_fields_the_member_sees(ours: Tenant, fieldset: FieldSet) -> None:
    owner = add(ours, fieldset, "user", name="Owner")
    field = add(ours, fieldset)
    give(ours, field, "one", "two", "3")
    give(ours, owner, ours.user.user.public_id)
    role = create_role(
        ours.admin, name="Editors", permissions=[Perm.MANAGE_CUSTOMIZATIONS], visibility_fields=[owner.pk]
    )
    ours.user.role = role
    ours.user.save(update_fields=["role"])
    ours.user.organization.refresh_from_db()
    found = services.preview_conversion(ours.user, fieldset, field, "number", {})
    assert (found.holding, found.lost) == (3, 2)
    assert [one.before for one in found.dropped] == ["one"] and found.changed == ()
    services.update_field(ours.admin, fieldset, field, {"view_roles": [ours.admin.role_id]})
    ours.user.organization.refresh_from_db()
    found = services.preview_conversion(ours.user, fieldset, field, "number", {})
    assert (found.lost, found.dropped, found.changed) == (2, (), ())


# --- changing, as agreed ------------------------------------------------------------------------------------------------
def test_more_than_was_agreed_is_not_dropped(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1", "two", "3")
    agreed = preview(ours, field, "number").lost
    update_lead(ours.admin, Lead.objects.get(pk=ours.leads[0].pk), {"custom": {field.public_id: "one"}})
    before = everything()
    with pytest.raises(Conflict, match="2 would be dropped now, not 1"):
        services.convert_field(ours.admin, fieldset, field, "number", {}, agreed)
    assert everything() == before
    assert services.convert_field(ours.admin, fieldset, field, "number", {}, 2) is True
    assert shown(ours, field) == [None, None, 3]


def test_a_field_that_decides_which_leads_a_role_sees_keeps_its_kind(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, "user", name="Owner")
    give(ours, field, ours.user.user.public_id)
    role = create_role(ours.admin, name="Own leads", visibility_fields=[field.pk], sees_unassigned=True)
    before = everything()
    for refused in (lambda: preview(ours, field, "text"), lambda: convert(ours, field, "text")):
        with pytest.raises(InvalidInput) as error:
            refused()
        assert error.value.fields == {
            "kind": "By Owner, the role Own leads sees the leads assigned to them. Choose another field there first."
        }
    assert everything() == before
    # A role that sees all leads does not hang on it.
    update_role(ours.admin, Role.objects.get(pk=role.pk), {"permissions": [Perm.VIEW_ALL_LEADS]})
    convert(ours, field, "text")
    assert shown(ours, field)[0] == "Uma User"


def test_a_role_cannot_be_tied_to_a_field_on_its_way(
    ours: Tenant, fieldset: FieldSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, "AT_ONCE", 0)
    monkeypatch.setattr(jobs, "enqueue", lambda *told: None)
    field = add(ours, fieldset, "user", name="Owner")
    give(ours, field, ours.user.user.public_id)
    convert(ours, field, "text")
    with pytest.raises(InvalidInput, match="Choose lead fields that hold members"):
        create_role(ours.admin, name="Own leads", visibility_fields=[field.pk])


def test_a_job_tells_how_far_it_is_and_when_it_is_done(
    ours: Tenant, fieldset: FieldSet, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(conversions, "AT_ONCE", 2)
    monkeypatch.setattr(conversions, "CHUNK", 1)
    monkeypatch.setattr(jobs, "enqueue", lambda *told: None)
    field = add(ours, fieldset)
    give(ours, field, "1", "two", "3")
    assert services.convert_field(ours.admin, fieldset, field, "number", {}) is False
    staged = CustomField.objects.get(replaces=field.pk)
    told = []
    for _ in range(3):
        [progress] = services.conversions_of([field.pk]).values()
        told.append((progress.kind, progress.done, progress.total, progress.percent))
        conversions.convert_some(ours.admin, staged)
    assert told == [(KINDS["number"], 0, 3, 0), (KINDS["number"], 1, 3, 33), (KINDS["number"], 2, 3, 66)]
    assert services.conversions_of([field.pk])[field.pk].percent == 99
    with pytest.raises(InvalidInput, match="is being changed to number"):
        preview(ours, field, "date")
    assert not Notification.objects.exists()
    assert conversions.convert_some(ours.admin, staged) is True
    with django_assert_num_queries(1):
        assert services.conversions_of([field.pk]) == {}
    [note] = Notification.objects.all()
    assert (note.membership, note.kind) == (ours.admin, "job")
    assert note.text == "The kind of Size is Number now: 2 values kept, 1 dropped."
    assert note.path == f"settings/fields/lead/{field.public_id}/"
    conversions.convert_some(ours.admin, staged)
    assert Notification.objects.count() == 1


def test_what_was_deleted_before_comes_back_without_the_value(ours: Tenant) -> None:
    field = add(ours, FieldSet.objects.get(owner="contact"))
    contact = Contact.objects.get(lead=ours.leads[0])
    update_contact(ours.admin, contact, {"custom": {field.public_id: "7"}})
    delete_contact(ours.admin, Contact.objects.get(pk=contact.pk))
    convert(ours, field, "number")
    purge_field(field.pk)
    gone = Event.objects.get(object_type="contact", object_id=contact.pk, action="deleted")
    ours.admin.organization.refresh_from_db()
    back = restore_contact(ours.admin, gone)
    now = services.field_for(ours.admin, field.public_id)
    assert Contact.objects.get(pk=back.pk).values.get(str(now.pk)) is None
    assert not ValueNumber.objects.filter(field_id=now.pk).exists()


def test_what_is_done_at_once_tells_nobody(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1")
    convert(ours, field, "number")
    assert not Notification.objects.exists()


def test_a_full_form_does_not_stand_in_the_way(ours: Tenant, fieldset: FieldSet) -> None:
    """A conversion adds no field: neither the plan nor the number of fields is asked."""
    first = add(ours, fieldset)
    for number in range(49 - FieldUse.objects.filter(fieldset=fieldset).count() + 1):
        add(ours, fieldset, name=f"Field {number}")
    give(ours, first, "1")
    convert(ours, first, "number")
    assert shown(ours, first)[0] == 1
