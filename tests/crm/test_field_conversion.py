"""A field of leads or contacts gets another kind: what its values become, who may, and what is left when it stops midway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from crm import events, jobs, tasks
from crm.customfields import services
from crm.customfields.catalog import Field, catalog
from crm.customfields.lookups import Lookups
from crm.customfields.services import conversion_plans
from crm.customfields.services import conversions as module
from crm.errors import InvalidInput, NotAllowed
from crm.fieldkinds import KINDS
from crm.models import (
    CustomField,
    Event,
    FieldOption,
    FieldSet,
    FieldUse,
    Notification,
    Organization,
    ValueNumber,
    ValueText,
)
from crm.tasks import convert_field, purge_field
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.services import create_lead, delete_lead, merge_leads, update_contact, update_lead
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("api"):
        yield world.ours


@pytest.fixture
def fieldset(ours: Tenant) -> FieldSet:
    return FieldSet.objects.get(owner="lead")


def add(tenant: Tenant, fieldset: FieldSet, kind: str = "text", **more: Any) -> CustomField:
    return services.create_field(tenant.admin, fieldset, **{"name": "Size", "kind": kind, **more})


def give(tenant: Tenant, field: CustomField, *values: Any) -> None:
    for lead, value in zip(tenant.leads, values, strict=False):
        update_lead(tenant.admin, Lead.objects.get(pk=lead.pk), {"custom": {field.public_id: value}})


def field_of(tenant: Tenant, field: CustomField) -> Field:
    """Return the field as it is now, by the id that never changes."""
    found = catalog(Organization.objects.get(pk=tenant.organization.pk)).field_by_public_id(field.public_id)
    assert found is not None
    return found


def shown(tenant: Tenant, field: CustomField) -> list[Any]:
    now, lookups = field_of(tenant, field), Lookups(tenant.organization)
    held = [Lead.objects.get(pk=lead.pk).values.get(str(now.id)) for lead in tenant.leads]
    return [now.kind.to_api(value, now, lookups) for value in held]


def convert(tenant: Tenant, field: CustomField, kind: str, **changes: Any) -> None:
    services.convert_field(tenant.admin, FieldSet.objects.get(uses__field=field), field, kind, changes)


UMA = "uma@user"
MATRIX = [
    ("text", ["12.50", "many", " 1,234.5 "], "number", [12.5, None, 1234.5]),
    ("text", ["2024-01-31", "31.1.2024", "2024-02-30"], "date", ["2024-01-31", None, None]),
    ("text", ["2024-01-31T10:00:00+02:00", "soon", None], "datetime", ["2024-01-31T08:00:00+00:00", None, None]),
    ("text", ["Yes", "perhaps", "0"], "checkbox", [True, None, False]),
    ("text", ["a@b.example", "a", None], "email", ["a@b.example", None, None]),
    ("text", ["b", "A", "b"], "choices", ["b", "A", "b"]),
    ("text", ["Uma User", "user@ours.example", "Nobody"], "user", [UMA, UMA, None]),
    ("text", ["Contact of Acme", "Contact of Acme", None], "contact", ["Contact of Acme", None, None]),
    ("textarea", ["a\nb", "c", None], "text", ["a b", "c", None]),
    ("number", ["12.50", "1", "0"], "text", ["12.5", "1", "0"]),
    ("number", ["12.50", "1", "0"], "checkbox", [None, True, False]),
    ("number", ["2", "10", "2"], "choices", ["2", "10", "2"]),
    ("date", ["2024-01-31", None, None], "datetime", ["2024-01-31T00:00:00+00:00", None, None]),
    ("datetime", ["2024-01-31T23:30:00+00:00", None, None], "date", ["2024-01-31", None, None]),
    ("datetime", ["2024-01-31T23:30:00+00:00", None, None], "number", [None, None, None]),
    ("checkbox", [True, False, None], "text", ["yes", "no", None]),
    ("user", ["user@ours.example", None, None], "text", ["Uma User", None, None]),
    ("user", ["user@ours.example", None, None], "email", ["user@ours.example", None, None]),
    ("contact", ["Contact of Acme", None, None], "text", ["Contact of Acme", None, None]),
    ("url", ["https://a.example", None, None], "hidden", ["https://a.example", None, None]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values", "into", "expected"), MATRIX, ids=lambda part: part if isinstance(part, str) else ""
)
def test_values_become_what_the_new_kind_reads(
    ours: Tenant, fieldset: FieldSet, kind: str, values: list[Any], into: str, expected: list[Any]
) -> None:
    field = add(ours, fieldset, kind)
    give(ours, field, *values)
    contact = Contact.objects.get(lead=ours.leads[0])
    meant = {UMA: ours.user.user.public_id, **({"Contact of Acme": contact.public_id} if into == "contact" else {})}
    convert(ours, field, into)
    assert shown(ours, field) == [meant.get(value, value) if isinstance(value, str) else value for value in expected]
    now = field_of(ours, field)
    assert (now.kind.slug, now.name, now.converting_to, now.id != field.pk) == (into, "Size", "", True)
    event = Event.objects.order_by("-pk")[0]
    assert (event.object_type, event.object_id, event.action) == ("custom_fields.lead", field.pk, "updated")
    assert (event.before["kind"], event.after["kind"]) == (kind, into)
    left = sum(value is not None for value in expected)
    assert event.meta["converted"] == left and event.meta["gone"] == sum(value is not None for value in values) - left
    purge_field(field.pk)
    call_command("reindex", "--check")
    assert not any(str(field.pk) in lead.values for lead in Lead.objects.all())


def test_every_kind_may_become_every_other(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "2024-01-31", "12", "Uma User")
    for kind in [*KINDS, *reversed(KINDS)]:
        now = services.field_for(ours.admin, field.public_id)
        if kind != now.kind:
            convert(ours, now, kind)
            assert field_of(ours, field).kind.slug == kind
    assert CustomField.objects.filter(known_as=field.pk, deleted_at=None, replaces=None).count() == 1
    for gone in CustomField.objects.exclude(deleted_at=None):
        purge_field(gone.pk)
    call_command("reindex", "--check")


def test_choices_are_those_given_or_one_for_each_value(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset)
    give(ours, field, "north", "South ", "East")
    convert(ours, field, "choices", options=["North", "South"], multiple=True)
    assert shown(ours, field) == [["North"], ["South"], None]
    several = services.field_for(ours.admin, field.public_id)
    give(ours, several, ["North", "South"])
    convert(ours, several, "text")
    assert shown(ours, field) == ["North, South", "South", None]
    again = services.field_for(ours.admin, field.public_id)
    convert(ours, again, "choices")
    assert [option.label for option in field_of(ours, field).options] == ["North, South", "South"]
    assert shown(ours, field) == ["North, South", "South", None]


def test_the_place_stays_and_defaults_follow(ours: Tenant, fieldset: FieldSet) -> None:
    first = add(ours, fieldset, "number", name="Seats", settings={"unit": "seats", "minimum": "1"}, default="5")
    admin_role = ours.admin.role_id
    add(ours, fieldset, name="Why", show_when={"field": first.public_id, "values": ["5"]})
    services.update_field(
        ours.admin, fieldset, first, {"required": True, "heading": "Deal", "edit_roles": [admin_role]}
    )
    convert(ours, first, "text", description="In words")
    use, why = catalog(ours.organization).lead_uses
    assert (use.field.name, use.field.description, use.required, use.heading) == ("Seats", "In words", True, "Deal")
    assert (use.edit_roles, use.field.default, use.field.unit, use.field.minimum) == ((admin_role,), "5", "", None)
    assert why.show_when is None and why.field.name == "Why"
    assert not FieldUse.objects.filter(field=first).exists()


def test_contacts_have_fields_too(ours: Tenant) -> None:
    field = add(ours, FieldSet.objects.get(owner="contact"))
    one, two = Contact.objects.filter(lead__in=ours.leads[:2]).order_by("pk")
    for contact, value in ((one, "7"), (two, "seven")):
        update_contact(ours.admin, contact, {"custom": {field.public_id: value}})
    convert(ours, field, "number")
    now = field_of(ours, field)
    assert [Contact.objects.get(pk=row.pk).values.get(str(now.id)) for row in (one, two)] == ["7", None]
    found = list(ValueNumber.objects.filter(field_id=now.id).values_list("lead_id", "record_key", "v"))
    assert found == [(one.lead_id, -one.pk, 7)]


def test_what_is_refused_changes_nothing(ours: Tenant, fieldset: FieldSet, world: World) -> None:
    field = add(ours, fieldset)
    give(ours, field, *["x" * 201] * 2)
    shared = add(ours, fieldset, name="Shared", shared=True)
    of_calls = CustomField.objects.get(pk=ours.use("Users").field.id)

    def state() -> Any:
        rows = (CustomField, FieldOption, FieldUse, Event, ValueText)
        return [list(model.objects.order_by("pk").values()) for model in rows], list(Lead.objects.values("values"))

    before, version = state(), ours.organization.schema_version
    for row, kind, changes, key in (
        (shared, "number", {}, "kind"), (of_calls, "text", {}, "kind"), (field, "opportunity", {}, "kind"),
        (field, "number", {"multiple": True}, "multiple"), (field, "number", {"options": ["a"]}, "options"),
        (field, "choices", {}, "options"), (field, "choices", {"options": ["a", "A"]}, "options"),
        (field, "number", {"name": "Shared"}, "name"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            convert(ours, row, kind, **changes)
        assert list(refused.value.fields) == [key]
        field.refresh_from_db()
    with pytest.raises(NotAllowed):
        services.convert_field(ours.user, fieldset, field, "number", {})
    assert (state(), Organization.objects.get(pk=ours.organization.pk).schema_version) == (before, version)
    assert ours.organization.schema_version == version


def test_more_values_than_a_field_has_options(
    ours: Tenant, fieldset: FieldSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = add(ours, fieldset)
    give(ours, field, "a", "b", "c")
    monkeypatch.setattr(conversion_plans, "MAX_OPTIONS", 2)
    with pytest.raises(InvalidInput, match="more than 2 different values"):
        convert(ours, field, "choices")
    convert(ours, field, "choices", options=["a"])
    assert shown(ours, field) == ["a", None, None]


# --- many values: by a job ----------------------------------------------------------------------------------------------
@pytest.fixture
def job(ours: Tenant, fieldset: FieldSet, monkeypatch: pytest.MonkeyPatch) -> tuple[CustomField, list[tuple[Any, ...]]]:
    """A text field whose conversion into numbers is queued, one value a chunk."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr(module, "CHUNK", 1)
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "enqueue", lambda *told: sent.append(told))
    field = add(ours, fieldset)
    give(ours, field, "1", "two", "3")
    convert(ours, field, "number")
    return field, sent


def test_until_the_job_is_done_the_field_is_what_it_was(ours: Tenant, fieldset: FieldSet, job: Any) -> None:
    field, sent = job
    [(path, staged_pk)] = sent
    assert path == "crm.tasks.convert_field"
    staged = CustomField.objects.get(pk=staged_pk)
    assert [use.field.name for use in catalog(ours.organization).lead_uses] == ["Size"]
    for _ in range(2):
        assert module.convert_some(ours.admin, staged) is False
        now = field_of(ours, field)
        assert (now.id, now.kind.slug, now.converting_to) == (field.pk, "text", "number")
        assert shown(ours, field) == ["1", "two", "3"]
        call_command("reindex", "--check")
    # It takes no values and no changes meanwhile.
    with pytest.raises(InvalidInput, match="is being changed to number"):
        give(ours, field, "9")
    for refused in (
        lambda: convert(ours, field, "date"),
        lambda: services.update_field(ours.admin, fieldset, field, {"name": "x"}),
        lambda: services.share_field(ours.admin, field),
    ):
        with pytest.raises(InvalidInput, match="is being changed to number"):
            refused()
    convert_field(*sent[0][1:])
    assert shown(ours, field) == [1, None, 3]
    assert sent[1:] == [("crm.tasks.purge_field", field.pk)]
    event = Event.objects.order_by("-pk")[0]
    assert (event.meta["converted"], event.meta["gone"], event.changed) == (2, 1, ["kind"])
    # Sent twice, as after a crash: nothing more happens.
    count = Event.objects.count()
    convert_field(*sent[0][1:])
    purge_field(field.pk)
    assert (Event.objects.count(), shown(ours, field)) == (count, [1, None, 3])
    call_command("reindex", "--check")
    ours.organization.refresh_from_db()
    give(ours, services.field_for(ours.admin, field.public_id), "9")
    assert shown(ours, field) == [9, None, 3]


def test_a_job_takes_turns_and_is_taken_up_again(ours: Tenant, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    field, sent = job
    staged_pk = sent[0][1]
    moments = iter([0.0, 1.0, tasks.TURN_SECONDS + 1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(tasks.time, "monotonic", lambda: next(moments))
    tasks.convert_field(staged_pk)
    assert CustomField.objects.get(pk=staged_pk).settings["converting"]["after"] == [ours.leads[0].pk, 0]
    assert sent[1:] == [("crm.tasks.convert_field", staged_pk)]
    tasks.resume_conversions()
    assert sent[2:] == [("crm.tasks.convert_field", staged_pk)]
    tasks.convert_field(staged_pk)
    assert shown(ours, field) == [1, None, 3]
    tasks.resume_conversions()
    assert sent[3:] == [("crm.tasks.purge_field", field.pk)]


def test_a_chunk_that_fails_is_done_again(ours: Tenant, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    field, sent = job
    staged = CustomField.objects.get(pk=sent[0][1])
    module.convert_some(ours.admin, staged)
    real, calls = module.insert_index_many, []

    def fails(rows: Any) -> None:
        calls.append(rows)
        raise RuntimeError("the machine is gone")

    monkeypatch.setattr(module, "insert_index_many", fails)
    module.convert_some(ours.admin, staged)  # “two” has no row to be written
    with pytest.raises(RuntimeError):
        module.convert_some(ours.admin, staged)
    staged.refresh_from_db()
    assert staged.settings["converting"]["after"] == [ours.leads[1].pk, 0] and len(calls) == 1
    assert [str(staged.pk) in Lead.objects.get(pk=lead.pk).values for lead in ours.leads] == [True, False, False]
    monkeypatch.setattr(module, "insert_index_many", real)
    convert_field(*sent[0][1:])
    assert shown(ours, field) == [1, None, 3]


def test_records_that_came_and_went_meanwhile(ours: Tenant, job: Any) -> None:
    field, sent = job
    staged = CustomField.objects.get(pk=sent[0][1])
    for _ in range(3):
        module.convert_some(ours.admin, staged)
    # As an undo puts it back: behind the place the job has reached.
    row = Lead.objects.get(pk=ours.leads[0].pk)
    row.values[str(field.pk)] = "100"
    row.save(update_fields=["values"])
    ValueText.objects.filter(field_id=field.pk, lead_id=row.pk).update(v="100")
    update_lead(ours.admin, row, {"description": "back"})
    new = create_lead(ours.admin, name="New")
    delete_lead(ours.admin, Lead.objects.get(pk=ours.leads[2].pk))
    convert_field(*sent[0][1:])
    now = field_of(ours, field)
    assert Lead.objects.get(pk=row.pk).values[str(now.id)] == "100"
    assert str(now.id) not in Lead.objects.get(pk=new.pk).values
    assert list(ValueNumber.objects.filter(field_id=now.id).values_list("lead_id", "v")) == [(row.pk, 100)]


def test_leads_that_were_merged_meanwhile(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contacts take their converted values along, under the lead they are at."""
    monkeypatch.setattr(module, "AT_ONCE", 0)
    sent: list[tuple[Any, ...]] = []
    field = add(ours, FieldSet.objects.get(owner="contact"))
    contacts = [Contact.objects.get(lead=lead) for lead in ours.leads]
    for number, contact in enumerate(contacts, start=1):
        update_contact(ours.admin, contact, {"custom": {field.public_id: str(number)}})
    monkeypatch.setattr(jobs, "enqueue", lambda *told: sent.append(told))
    convert(ours, field, "number")
    staged = CustomField.objects.get(pk=sent[0][1])
    assert not module.convert_some(ours.admin, staged)
    keep, gone = (Lead.objects.get(pk=lead.pk) for lead in ours.leads[:2])
    merge_leads(ours.admin, gone, keep)
    convert_field(*sent[0][1:])
    now = field_of(ours, field)
    found = set(ValueNumber.objects.filter(field_id=now.id).values_list("lead_id", "record_key", "v"))
    assert found == {
        (Contact.objects.get(pk=row.pk).lead_id, -row.pk, number) for number, row in enumerate(contacts, 1)
    }
    assert {lead_id for lead_id, _, _ in found} == {keep.pk, ours.leads[2].pk}


def test_a_conversion_that_is_cancelled_leaves_all_as_it_was(
    ours: Tenant, fieldset: FieldSet, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    field, sent = job
    staged = CustomField.objects.get(pk=sent[0][1])
    places = [(model, list(model.objects.order_by("pk").values())) for model in (ValueNumber, ValueText)]
    values = list(Lead.objects.order_by("pk").values("values", "date_updated"))
    for _ in range(2):
        assert module.convert_some(ours.admin, staged) is False
    assert any(str(staged.pk) in lead.values for lead in Lead.objects.all())
    with pytest.raises(NotAllowed):
        services.cancel_conversion(ours.user, fieldset, field)
    assert field_of(ours, field).converting_to == "number"
    told = Event.objects.count()
    assert services.cancel_conversion(ours.admin, fieldset, field) is True
    assert sent[1:] == [("crm.tasks.purge_field", staged.pk)]
    # A chunk that a worker had in hand, and the job sent again as after a crash, change nothing.
    assert module.convert_some(ours.admin, staged) is True
    convert_field(staged.pk)
    purge_field(staged.pk)
    assert list(Lead.objects.order_by("pk").values("values", "date_updated")) == values
    assert [(model, list(model.objects.order_by("pk").values())) for model, _ in places] == places
    now = field_of(ours, field)
    assert (now.id, now.kind.slug, now.converting_to) == (field.pk, "text", "")
    assert Event.objects.count() == told, "nothing was changed, so there is nothing to tell"
    call_command("reindex", "--check")
    assert services.cancel_conversion(ours.admin, fieldset, field) is False
    ours.organization.refresh_from_db()
    give(ours, field, "free again")
    # It can begin again, and be done.
    convert(ours, field, "number")
    convert_field(*sent[-1][1:])
    assert shown(ours, field) == [None, None, 3]


def test_whoever_began_a_conversion_hears_that_somebody_else_stopped_it(
    ours: Tenant, fieldset: FieldSet, job: Any
) -> None:
    field, _ = job
    services.cancel_conversion(ours.superuser, fieldset, field)
    [told] = Notification.objects.all()
    assert (told.membership_id, told.text) == (
        ours.admin.pk,
        f"{ours.superuser.user.full_name} stopped the conversion of Size.",
    )
    assert told.path == f"settings/fields/lead/{field.public_id}/"


def test_a_field_that_is_deleted_meanwhile_is_not_brought_back(ours: Tenant, fieldset: FieldSet, job: Any) -> None:
    field, sent = job
    staged = CustomField.objects.get(pk=sent[0][1])
    module.convert_some(ours.admin, staged)
    services.delete_field(ours.admin, fieldset, field, None)
    convert_field(*sent[0][1:])
    assert catalog(Organization.objects.get(pk=ours.organization.pk)).lead_uses == ()
    for row in (field, staged):
        purge_field(row.pk)
        assert not any(str(row.pk) in lead.values for lead in Lead.objects.all())
    call_command("reindex", "--check")


def test_the_other_organization_keeps_its_field(ours: Tenant, fieldset: FieldSet, world: World) -> None:
    field = add(ours, fieldset)
    give(ours, field, "1")
    theirs = world.theirs
    with scope(theirs.organization):
        other = add(theirs, FieldSet.objects.get(owner="lead"))
        give(theirs, other, "1")
    convert(ours, field, "number")
    with scope(theirs.organization):
        assert (field_of(theirs, other).kind.slug, shown(theirs, other)) == ("text", ["1", None, None])
        assert not CustomField.objects.filter(known_as__isnull=False).exists()


def test_datetimes_become_days_of_the_members_zone(ours: Tenant, fieldset: FieldSet) -> None:
    field = add(ours, fieldset, "datetime")
    give(ours, field, "2024-01-31T23:30:00+00:00")
    ours.admin.user.timezone = "Europe/Berlin"
    with timezone.override(ours.admin.zone):
        convert(ours, field, "date")
    assert shown(ours, field) == ["2024-02-01", None, None]
