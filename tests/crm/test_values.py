"""The search index: a mirror of the records that can be made again from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction

from activities.models import Activity, LeadActivityFact
from activities.services.activities import update_activity
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field
from crm.customfields.values import TABLES, delete_index, index_rows, insert_index_many, move_lead, replace_index
from crm.models import FieldSet, ValueNumber, ValueRef, ValueText
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.services import update_contact, update_lead
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def everything() -> dict[str, set[tuple]]:
    """Return all index rows of both organizations by table."""
    return {
        name: set(model.objects.values_list("field_id", "lead_id", "record_key", "v")) for name, model in TABLES.items()
    }


def test_what_a_record_puts_into_the_index(ours: Tenant) -> None:
    lead, activity = ours.leads[0], ours.activities[0]
    here = {"lead_id": lead.pk, "record_key": activity.pk}
    number = ValueNumber.objects.get(field_id=ours.use("Users").field.id, **here)
    assert number.v == Decimal(25)
    assert ValueText.objects.get(field_id=ours.use("Qualified").field.id, **here).v == "yes"
    assert ValueRef.objects.get(field_id=ours.use("CRM").field.id, **here).v == ours.use("CRM").field.options[0].id
    assert ours.draft is not None
    assert not ValueNumber.objects.filter(record_key=ours.draft.pk).exists(), "drafts cannot be found"


def test_an_edit_touches_the_changed_fields_only(ours: Tenant, django_assert_num_queries: object) -> None:
    known, activity = catalog(ours.organization), ours.activities[0]
    old = activity.values
    users, qualified = str(ours.use("Users").field.id), str(ours.use("Qualified").field.id)
    with django_assert_num_queries(4):  # two tables: one delete and one insert each
        replace_index(activity.lead_id, activity.pk, known, old, old | {users: "7", qualified: "NÖ"})
    assert ValueNumber.objects.get(record_key=activity.pk).v == 7
    assert ValueText.objects.get(record_key=activity.pk).v == "no"
    with django_assert_num_queries(0):
        replace_index(activity.lead_id, activity.pk, known, old, dict(old))
    replace_index(activity.lead_id, activity.pk, known, {users: "7"}, {})
    assert not ValueNumber.objects.filter(record_key=activity.pk).exists()


def test_leads_contacts_and_activities_do_not_meet(ours: Tenant) -> None:
    """Records of different tables may have the same number."""
    for owner in ("lead", "contact"):
        create_field(ours.admin, FieldSet.objects.get(owner=owner), name="Rating", kind="number")
    lead, contact = ours.leads[0], ours.leads[0].contacts.get()
    known = catalog(ours.organization)
    update_lead(ours.user, lead, {"custom": {known.lead_uses[0].field.public_id: "1"}})
    update_contact(ours.user, contact, {"custom": {known.contact_uses[0].field.public_id: "2"}})
    assert ValueNumber.objects.get(field_id=known.lead_uses[0].field.id).record_key == 0
    assert ValueNumber.objects.get(field_id=known.contact_uses[0].field.id).record_key == -contact.pk
    call_command("reindex", "--check")


def test_long_text_is_cut_and_unknown_fields_are_left_out(ours: Tenant) -> None:
    known, field = catalog(ours.organization), ours.use("Next step").field
    rows = index_rows(known, 1, 1, {str(field.id): "ß" * 900, "999999": "x", str(ours.use("CRM").field.id): None})
    assert len(rows) == 1
    assert rows.by_table["text"] == [(field.id, 1, 1, "s" * 1000)]
    insert_index_many(rows)


def test_deleting_and_moving(ours: Tenant) -> None:
    known = catalog(ours.organization)
    first, second = ours.leads[0].pk, ours.leads[1].pk
    moving = {(field, key, v) for rows in everything().values() for field, lead, key, v in rows if lead == first}
    move_lead(first, second, known.fields)
    after = everything()
    assert not [row for rows in after.values() for row in rows if row[1] == first]
    assert moving <= {(row[0], row[2], row[3]) for rows in after.values() for row in rows if row[1] == second}
    delete_index(second, known.fields, [ours.activities[0].pk])
    keys = {row[2] for rows in everything().values() for row in rows if row[1] == second}
    assert ours.activities[0].pk not in keys
    assert ours.activities[1].pk in keys
    delete_index(second, known.fields)
    assert not [row for rows in everything().values() for row in rows if row[1] == second]


class TestReindex:
    def test_a_right_index_is_left_alone(self, ours: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
        before = everything()
        call_command("reindex", "--check")
        call_command("reindex")
        assert "0 rows added, 0 removed" in capsys.readouterr().out
        assert everything() == before
        assert len(before["number"]) == 6, "two organizations with three activities"

    def test_everything_comes_back_from_the_records(self, ours: Tenant) -> None:
        before, facts = (
            everything(),
            set(LeadActivityFact.objects.values_list("type_id", "lead_id", "count", "last_at")),
        )
        dates = dict(Lead.unscoped.values_list("pk", "last_activity_at"))
        for model in TABLES.values():
            model.objects.all().delete()
        LeadActivityFact.objects.all().delete()
        Lead.unscoped.update(last_activity_at=None)
        with pytest.raises(CommandError, match=f"lacks {sum(map(len, before.values()))} rows"):
            call_command("reindex", "--check")
        assert not any(everything().values()), "a check changes nothing"
        call_command("reindex", "--batch", "1")
        assert everything() == before
        assert set(LeadActivityFact.objects.values_list("type_id", "lead_id", "count", "last_at")) == facts
        assert dict(Lead.unscoped.values_list("pk", "last_activity_at")) == dates

    def test_wrong_and_orphaned_rows_go(self, ours: Tenant) -> None:
        before = everything()
        users, lead = ours.use("Users").field.id, ours.leads[0].pk
        activity, gone = ours.activities[0].pk, 10**9
        assert ours.draft is not None
        ValueNumber.objects.filter(record_key=activity).update(v=99)
        for place in (
            (users, lead, gone), (users, ours.leads[1].pk, activity), (gone, lead, activity), (users, gone, 0),
            (users, lead, -gone), (users, lead, ours.draft.pk),
        ):  # fmt: skip
            ValueNumber.objects.create(field_id=place[0], lead_id=place[1], record_key=place[2], v=1)
        with pytest.raises(CommandError, match="lacks 1 rows and has 7 too many"):
            call_command("reindex", "--check")
        call_command("reindex")
        assert everything() == before
        call_command("reindex", "--check")

    def test_one_organization_only(self, world: World, ours: Tenant) -> None:
        before = everything()
        ValueText.objects.all().delete()
        call_command("reindex", "--organization", "ours")
        assert everything()["text"] == {row for row in before["text"] if row[1] in {lead.pk for lead in ours.leads}}
        with pytest.raises(CommandError, match="There is no organization “nobody”"):
            call_command("reindex", "--organization", "nobody")


def test_the_index_follows_every_service(ours: Tenant) -> None:
    update_activity(ours.user, ours.activities[0], custom={ours.fields["Users"]: "31.25", ours.fields["CRM"]: ""})
    call_command("reindex", "--check")
    assert ValueNumber.objects.get(record_key=ours.activities[0].pk).v == Decimal("31.25")


@pytest.mark.postgresql
class TestPostgres:
    def test_a_row_cannot_point_into_another_organization(self, world: World) -> None:
        theirs = world.theirs.leads[0]
        wrong = (
            lambda: Activity.unscoped.filter(pk=world.ours.activities[0].pk).update(lead=theirs),
            lambda: Contact.unscoped.filter(lead=world.ours.leads[0]).update(lead=theirs),
            lambda: Lead.unscoped.filter(pk=world.ours.leads[0].pk).update(status=theirs.status_id),
        )
        for call in wrong:
            with transaction.atomic(), pytest.raises(IntegrityError, match="tenant_fk"):
                self.commit_like(call)

    @staticmethod
    def commit_like(call: Callable[[], object]) -> None:
        """Run a statement and what a commit would check, in a savepoint."""
        with transaction.atomic(), connection.cursor() as cursor:
            call()
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def test_indexes_and_statistics(self, db: None) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
            offered = cursor.fetchone()
            cursor.execute("SELECT indexname FROM pg_indexes WHERE indexname LIKE '%%_trigram'")
            found = {name for (name,) in cursor.fetchall()}
            cursor.execute(
                "SELECT count(*) FROM pg_attribute WHERE attname = 'field_id' AND attstattarget = 1000"
            )  # fmt: skip
            assert cursor.fetchone() == (4,)
        wanted = {"value_text_field_trigram", "lead_name_trigram", "lead_search_trigram"}
        assert found == (wanted if offered else set())
