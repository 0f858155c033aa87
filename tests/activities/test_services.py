"""Logging, changing, publishing, deleting and bringing back activities."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from activities.models import Activity, Comment, LeadActivityFact
from activities.queries import activity_for, type_catalog, visible_activities, visible_with_drafts
from activities.services.activities import (
    delete_activity,
    log_activity,
    restore_activity,
    set_pinned,
    update_activity,
)
from activities.services.bulk import Prepared, log_many
from activities.services.facts import refresh_facts
from activities.services.types import archive_type, update_type
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.values import TABLES
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound
from crm.models import Event, Role, UsageCounter
from crm.tenancy import scope
from leads.models import Contact, Lead, LeadStatus
from leads.services import create_lead, delete_lead, update_lead
from tests.factories import Tenant, World, make_tenant


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page", request_id="req_test"):
        yield world.ours


def snapshot() -> tuple[object, ...]:
    """Everything an activity's write may touch."""
    return (
        list(Activity.unscoped.order_by("pk").values_list("pk", "revision", "values", "draft_data", "status")),
        Event.unscoped.count(),
        list(UsageCounter.unscoped.values_list("organization", "used")),
        list(LeadActivityFact.objects.order_by("lead_id", "type_id").values_list("lead_id", "type_id", "count")),
        [list(model.objects.order_by("field_id", "lead_id", "record_key").values_list()) for model in TABLES.values()],
    )


def indexed(activity: Activity) -> int:
    return sum(model.objects.filter(record_key=activity.pk).count() for model in TABLES.values())


def last_event(activity: Activity) -> Event:
    return Event.objects.filter(object_id=activity.pk, object_type__startswith="activity.").order_by("-pk")[0]


def test_logging_writes_values_index_facts_counter_and_events(ours: Tenant) -> None:
    lead, used = ours.leads[0], UsageCounter.objects.get().used
    at = datetime(2030, 1, 1, 12, tzinfo=UTC)
    activity = log_activity(
        ours.user, lead, ours.call, custom={"Users": "12.50", "Next step": "Demo\nMail"}, activity_at=at
    )
    activity.refresh_from_db()
    assert set(activity.values.values()) == {"12.5", "Demo\nMail"}
    assert indexed(activity) == 2
    fact = LeadActivityFact.objects.get(lead_id=lead.pk, type_id=ours.call.id)
    assert (fact.count, fact.last_at) == (2, at)
    assert Lead.objects.get(pk=lead.pk).last_activity_at == at
    assert UsageCounter.objects.get().used == used + 1
    written = Event.objects.filter(object_id=activity.pk, object_type="activity.custom_activity").order_by("pk")
    assert [row.action for row in written] == ["created", "published"]
    assert (written[0].door, written[0].request_id, written[0].lead_id) == ("page", "req_test", lead.pk)
    assert (activity.user, activity.created_by) == (ours.user.user, ours.user.user)


def test_the_day_of_a_report_is_the_day_in_the_organizations_zone(ours: Tenant) -> None:
    ours.organization.timezone = "Asia/Tokyo"
    late = datetime(2024, 1, 31, 20, tzinfo=UTC)
    activity = log_activity(ours.user, ours.leads[0], ours.call, date_created=late)
    assert activity.created_on.isoformat() == "2024-02-01"
    assert activity.activity_at == activity.date_created == late


def test_every_problem_is_named_at_once_and_nothing_is_written(ours: Tenant) -> None:
    before = snapshot()
    with pytest.raises(InvalidInput) as refused:
        log_activity(ours.user, ours.leads[0], ours.call, custom={"Users": "many", "CRM": "Nothing known"})
    assert set(refused.value.fields) == {f"custom.{ours.fields['Users']}", f"custom.{ours.fields['CRM']}"}
    with pytest.raises(InvalidInput) as refused:
        log_activity(ours.user, ours.leads[0], ours.call, custom={"cf_unknown": "1"})
    assert set(refused.value.fields) == {"custom.cf_unknown"}
    assert snapshot() == before


def test_a_contact_of_another_lead_is_refused(ours: Tenant) -> None:
    other = Contact.objects.get(lead=ours.leads[1])
    before = snapshot()
    with pytest.raises(InvalidInput, match="not a contact"):
        log_activity(ours.user, ours.leads[0], ours.call, contact=other)
    assert snapshot() == before


def test_an_external_id_is_taken_once_per_organization(ours: Tenant, world: World) -> None:
    log_activity(ours.user, ours.leads[0], ours.call, external_id="form-1")
    before = snapshot()
    with pytest.raises(Conflict, match="form-1"):
        log_activity(ours.user, ours.leads[1], ours.call, external_id="form-1")
    assert snapshot() == before
    with scope(world.theirs.organization):
        assert log_activity(world.theirs.user, world.theirs.leads[0], world.theirs.call, external_id="form-1")


def test_what_may_not_be_logged_leaves_the_database_unchanged(ours: Tenant) -> None:
    admin_role = Role.objects.get(slug="admin").pk
    system = type_catalog(ours.organization).builtin("created")
    assert system is not None
    update_type(ours.admin, ours.type_row, {"edit_roles": [admin_role]})
    before = snapshot()
    with pytest.raises(NotAllowed, match="other roles only"):
        log_activity(ours.user, ours.leads[0], ours.call)
    with pytest.raises(NotAllowed, match="written by Touchpoint"):
        log_activity(ours.admin, ours.leads[0], system)
    with pytest.raises(NotAllowed):
        update_activity(ours.user, ours.activities[0], custom={"Users": "1"})
    with pytest.raises(NotAllowed):
        delete_activity(ours.user, ours.activities[0])
    assert snapshot() == before
    update_type(ours.admin, ours.type_row, {"edit_roles": [], "api_only": True})
    before = snapshot()
    with pytest.raises(NotAllowed, match="API only"):
        log_activity(ours.admin, ours.leads[0], ours.call)
    assert snapshot() == before
    with events.door("api"):
        log_activity(ours.admin, ours.leads[0], ours.call)
    archive_type(ours.admin, ours.type_row)
    before = snapshot()
    with events.door("api"), pytest.raises(NotAllowed, match="archived"):
        log_activity(ours.admin, ours.leads[0], ours.call)
    assert snapshot() == before


def test_others_activities_are_for_those_who_manage_them(ours: Tenant) -> None:
    before = snapshot()
    with pytest.raises(NotAllowed, match="manage others’ activities"):
        update_activity(ours.restricted, ours.activities[0], custom={"Users": "1"})
    with pytest.raises(NotAllowed, match="manage others’ activities"):
        delete_activity(ours.restricted, ours.activities[0])
    assert snapshot() == before
    update_activity(ours.superuser, ours.activities[0], custom={"Users": "1"})


def test_an_edit_records_exactly_the_keys_that_differ_and_moves_the_index(ours: Tenant) -> None:
    activity, users = ours.activities[0], ours.use("Users").field.id
    changed = update_activity(ours.user, activity, custom={"Users": "99", "Qualified": "yes"}, revision=1)
    event = last_event(activity)
    assert event.changed == [f"custom.{users}"]
    assert (event.before, event.after) == ({f"custom.{users}": "25"}, {f"custom.{users}": "99"})
    assert changed.revision == 2
    assert [int(row.v) for row in TABLES["number"].objects.filter(field_id=users, record_key=activity.pk)] == [99]
    before = snapshot()
    assert update_activity(ours.user, activity, custom={"Users": "99.0"}).revision == 2
    assert snapshot() == before


def test_a_stale_revision_is_a_conflict(ours: Tenant) -> None:
    update_activity(ours.user, ours.activities[0], custom={"Users": "30"}, revision=1)
    before = snapshot()
    with pytest.raises(Conflict, match="Both versions"):
        update_activity(ours.user, ours.activities[0], custom={"Users": "40"}, revision=1)
    assert snapshot() == before


def test_moving_an_activity_in_time_moves_the_facts_and_the_leads_last_activity(ours: Tenant) -> None:
    lead, activity = ours.leads[0], ours.activities[0]
    future = datetime.now(UTC) + timedelta(days=3)
    update_activity(ours.user, activity, activity_at=future)
    assert LeadActivityFact.objects.get(lead_id=lead.pk, type_id=ours.call.id).last_at == future
    assert Lead.objects.get(pk=lead.pk).last_activity_at == future
    past = datetime(2020, 1, 1, tzinfo=UTC)
    update_activity(ours.user, activity, activity_at=past)
    assert Lead.objects.get(pk=lead.pk).last_activity_at == past


def test_taking_back_to_draft_leaves_counts_and_index_but_not_the_months_counter(ours: Tenant) -> None:
    activity, used = ours.activities[0], UsageCounter.objects.get().used
    update_activity(ours.user, activity, status="draft")
    assert not indexed(activity)
    assert not LeadActivityFact.objects.filter(lead_id=activity.lead_id, type_id=ours.call.id)
    assert not visible_activities(ours.user).filter(pk=activity.pk)
    update_activity(ours.user, activity, status="published")
    assert indexed(activity) == 3
    assert UsageCounter.objects.get().used == used
    assert LeadActivityFact.objects.get(lead_id=activity.lead_id, type_id=ours.call.id).count == 1


def test_deleted_and_brought_back_it_is_the_same(ours: Tenant) -> None:
    activity = ours.activities[0]
    Comment.objects.create(organization=ours.organization, activity=activity, author=ours.admin.user, text="Good call")
    state = snapshot()
    values, used = dict(activity.values), UsageCounter.objects.get().used
    event = delete_activity(ours.user, activity)
    assert event.before is not None
    assert event.before["comments"][0]["text"] == "Good call"
    assert not Activity.unscoped.filter(pk=activity.pk)
    assert not indexed(activity)
    assert not LeadActivityFact.objects.filter(lead_id=activity.lead_id, type_id=ours.call.id)
    assert UsageCounter.objects.get().used == used
    back = restore_activity(ours.user, event)
    assert (back.pk, back.values) == (activity.pk, values)
    assert [row.text for row in Comment.objects.filter(activity=back)] == ["Good call"]
    assert snapshot()[2:] == state[2:]
    with pytest.raises(Conflict, match="back already"):
        restore_activity(ours.user, event)


def test_bringing_back_asks_the_gate_again(ours: Tenant) -> None:
    event = delete_activity(ours.user, ours.activities[0])
    before = snapshot()
    with pytest.raises(NotAllowed):
        restore_activity(ours.restricted, event)
    update_type(ours.admin, ours.type_row, {"edit_roles": [Role.objects.get(slug="admin").pk]})
    with pytest.raises(NotAllowed):
        restore_activity(ours.user, event)
    assert snapshot()[0] == before[0]


def test_an_activity_whose_external_id_was_taken_meanwhile_does_not_come_back(ours: Tenant) -> None:
    event = delete_activity(ours.user, log_activity(ours.user, ours.leads[0], ours.call, external_id="x"))
    log_activity(ours.user, ours.leads[0], ours.call, external_id="x")
    with pytest.raises(Conflict, match="external id"):
        restore_activity(ours.user, event)


def test_pinning_is_a_change_like_any_other(ours: Tenant) -> None:
    assert set_pinned(ours.user, ours.activities[0], True).pinned_at
    assert last_event(ours.activities[0]).changed == ["pinned_at"]
    assert set_pinned(ours.user, ours.activities[0], False).pinned_at is None


def test_logging_many_equals_logging_each(ours: Tenant) -> None:
    now = datetime.now(UTC)
    users = str(ours.use("Users").field.id)
    used = UsageCounter.objects.get().used
    rows = [
        Prepared(lead.pk, ours.call, {users: str(number)}, ours.user.user_id, ours.user.user_id, now, now)
        for number, lead in enumerate(ours.leads)
    ]
    made = log_many(ours.user, rows)
    assert len(made) == 3
    found = Activity.objects.in_bulk(made)
    assert [found[number].lead_id for number in made] == [lead.pk for lead in ours.leads]
    assert all(indexed(row) == 1 for row in found.values())
    assert UsageCounter.objects.get().used == used + 3
    assert Event.objects.filter(object_id__in=made, action="created").count() == 3
    kept = sorted(LeadActivityFact.objects.values_list())
    refresh_facts([lead.pk for lead in ours.leads])
    assert sorted(LeadActivityFact.objects.values_list()) == kept


def test_a_built_in_kind_never_counts_against_the_month(ours: Tenant) -> None:
    used = UsageCounter.objects.get().used
    note = type_catalog(ours.organization).builtin("note")
    assert note is not None
    activity = log_activity(ours.user, ours.leads[0], note, custom={"note": "Hello"})
    assert UsageCounter.objects.get().used == used
    assert last_event(activity).object_type == "activity.note"


def test_theirs_and_hidden_types_are_not_there(ours: Tenant, world: World) -> None:
    with pytest.raises(NotFound):
        activity_for(ours.admin, world.theirs.activities[0].public_id)
    update_type(ours.admin, ours.type_row, {"view_roles": [Role.objects.get(slug="admin").pk]})
    with pytest.raises(NotFound):
        activity_for(ours.user, ours.activities[0].public_id)
    assert not visible_with_drafts(ours.user).filter(type_id=ours.call.id)
    assert activity_for(ours.admin, ours.activities[0].public_id) == ours.activities[0]


@pytest.mark.django_db(transaction=True)
def test_first_activities_logged_at_once_are_counted_once_each() -> None:
    tenant = make_tenant("ours")
    with scope(tenant.organization):
        note = type_catalog(tenant.organization).builtin("note")
    assert note is not None
    start, problems = threading.Barrier(4), []

    def log() -> None:
        try:
            with scope(tenant.organization), events.door("api"):
                start.wait()
                log_activity(tenant.user, tenant.leads[0], note, custom={"note": "At once"})
        except Exception as problem:
            problems.append(problem)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [], connection.vendor
    assert LeadActivityFact.objects.get(lead_id=tenant.leads[0].pk, type_id=note.id).count == 4


def test_a_lead_that_went_away_meanwhile_is_named(ours: Tenant) -> None:
    lead = Lead.objects.get(pk=ours.leads[2].pk)
    delete_lead(ours.admin, ours.leads[2])
    before = Activity.objects.count()
    with pytest.raises(NotFound, match="This lead is gone"), transaction.atomic():
        log_activity(ours.user, lead, ours.call, custom={"Qualified": "yes"})
    assert Activity.objects.count() == before


def test_entries_of_the_product_are_no_last_activity(ours: Tenant) -> None:
    lead = create_lead(ours.user, name="Quiet")
    assert LeadActivityFact.objects.filter(lead_id=lead.pk).exists()
    assert Lead.objects.get(pk=lead.pk).last_activity_at is None
    at = datetime(2024, 5, 1, 12, tzinfo=UTC)
    log_activity(ours.user, lead, ours.call, custom={"Qualified": "yes"}, activity_at=at)
    update_lead(ours.user, lead, {"status": LeadStatus.objects.order_by("-position")[0].public_id})
    assert Lead.objects.get(pk=lead.pk).last_activity_at == at
    refresh_facts([lead.pk])
    assert Lead.objects.get(pk=lead.pk).last_activity_at == at


@pytest.mark.parametrize("kept", ["junk", "[1]", '"text"'])
def test_an_email_with_anything_kept_beside_it_can_be_changed(ours: Tenant, kept: str) -> None:
    """Files of earlier days were not asked what they write there."""
    kind = type_catalog(ours.organization).builtin("email")
    assert kind is not None
    more = next(use for use in catalog(ours.organization).uses(kind.fieldset_id) if use.field.builtin == "email.more")
    email = log_activity(ours.admin, ours.leads[0], kind, custom={"subject": "Hi"})
    Activity.objects.filter(pk=email.pk).update(values=email.values | {str(more.field.id): kept})
    changed = update_activity(ours.admin, email, custom={"subject": "Hello"})
    assert "Hello" in changed.values.values() and changed.revision == email.revision + 1
