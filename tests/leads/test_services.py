"""Leads, contacts and statuses: what a write leaves behind, and what a refusal does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from activities.models import Activity, LeadActivityFact
from activities.services.activities import log_activity
from crm.customfields.services import create_field
from crm.customfields.values import TABLES
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Event, FieldSet
from crm.tenancy import scope
from leads import services
from leads.models import Contact, ContactPoint, Lead, LeadStatus
from leads.queries import contact_for, duplicates, lead_for, search_words, statuses, visible_leads
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization):
        yield world.ours


def index_rows_of(lead: Lead) -> int:
    return sum(model.objects.filter(lead_id=lead.pk).count() for model in TABLES.values())


def last_event() -> Event:
    return Event.objects.order_by("-pk")[0]


def test_a_new_lead_has_the_first_status_its_contacts_and_a_timeline_entry(ours: Tenant) -> None:
    lead = services.create_lead(
        ours.user, name="  Dünder   Mifflin ", url="dunder.example",
        contacts=[{"name": "Pam", "emails": ["Pam@Dunder.example"], "phones": ["+1 (202) 555-0199"]}],
    )  # fmt: skip
    lead.refresh_from_db()
    assert lead.status == statuses()[0]
    assert lead.contacts_count == 1
    assert lead.last_activity_at is None
    assert {(row.channel, row.value) for row in ContactPoint.objects.filter(lead=lead)} >= {
        ("email", "pam@dunder.example"),
        ("phone", "+12025550199"),
    }
    for words in ("dunder", "PAM", "pam@dunder.example", "2025550199"):
        assert list(Lead.objects.filter(search_words(words))) == [lead], words
    entry = Activity.objects.select_related("type").get(lead=lead)
    assert entry.type.builtin == "created"
    actions = list(Event.objects.filter(lead_id=lead.pk).order_by("pk").values_list("action", "object_type"))
    assert actions == [("created", "contact"), ("created", "lead")]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"name": "   "}, "name"),
        ({"name": "x" * 301}, "name"),
        ({"name": "A\x00B"}, "name"),
        ({"name": "A", "url": "not a url"}, "url"),
        ({"name": "A", "status": "Nonsense"}, "status"),
        ({"name": "A", "custom": {"cf_nope": "1"}}, "custom.cf_nope"),
        ({"name": "A", "contacts": [{"name": "P", "emails": ["broken"]}]}, "emails"),
        ({"name": "A", "contacts": [{"title": "CEO"}]}, "name"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(ours: Tenant, given: dict[str, Any], key: str) -> None:
    before = Lead.objects.count(), Contact.objects.count(), Event.objects.count()
    with pytest.raises(InvalidInput) as refused:
        services.create_lead(ours.user, **given)
    assert key in refused.value.fields
    assert (Lead.objects.count(), Contact.objects.count(), Event.objects.count()) == before


def test_custom_values_are_kept_and_indexed_and_follow_changes(ours: Tenant) -> None:
    size = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Size", kind="number")
    lead = services.create_lead(ours.user, name="Stark", custom={size.public_id: "12.50"})
    rows = TABLES["number"].objects.filter(field_id=size.pk, lead_id=lead.pk, record_key=0)
    assert [str(row.v.normalize()) for row in rows] == ["12.5"]
    services.update_lead(ours.user, lead, {"custom": {size.public_id: 7}})
    assert [int(row.v) for row in rows.all()] == [7]
    assert last_event().changed == [f"custom.{size.pk}"]
    services.update_lead(ours.user, lead, {"custom": {size.public_id: ""}})
    assert not rows.all()


def test_an_update_records_exactly_the_keys_that_differ(ours: Tenant) -> None:
    lead = ours.leads[0]
    services.update_lead(ours.user, lead, {"name": "Acme", "description": "Anvils"})
    event = last_event()
    assert (event.action, event.object_type, event.object_id) == ("updated", "lead", lead.pk)
    assert event.changed == ["description"]
    assert (event.before, event.after) == ({"description": ""}, {"description": "Anvils"})
    before = Event.objects.count()
    services.update_lead(ours.user, lead, {"name": "Acme", "description": "Anvils"})
    assert Event.objects.count() == before


def test_a_change_of_status_stands_on_the_timeline(ours: Tenant) -> None:
    lead, target = ours.leads[0], statuses()[2]
    services.update_lead(ours.user, lead, {"status": target.label.upper()})
    entry = Activity.objects.get(lead=lead, type__builtin="status_change")
    assert target.label in entry.values.values()
    services.update_lead(ours.user, lead, {"status": target.public_id})
    assert Activity.objects.filter(lead=lead, type__builtin="status_change").count() == 1


def test_contacts_keep_the_count_the_search_text_and_the_points(ours: Tenant) -> None:
    lead = ours.leads[0]
    contact = services.create_contact(ours.user, lead, name="Wile", emails=["wile@acme.example"])
    assert Lead.objects.get(pk=lead.pk).contacts_count == 2
    services.update_contact(ours.user, contact, {"emails": ["coyote@acme.example"]})
    assert last_event().changed == ["emails"]
    assert list(ContactPoint.objects.filter(contact=contact, channel="email").values_list("value", flat=True)) == [
        "coyote@acme.example"
    ]
    assert "wile@" not in Lead.objects.get(pk=lead.pk).search_text
    services.delete_contact(ours.user, contact)
    fresh = Lead.objects.get(pk=lead.pk)
    assert (fresh.contacts_count, "coyote" in fresh.search_text) == (1, False)
    assert not ContactPoint.objects.filter(value="coyote@acme.example")


def test_deleting_a_lead_takes_everything_under_it_and_records_each(ours: Tenant, world: World) -> None:
    lead = ours.leads[0]
    services.create_task(ours.user, lead, "Call back")
    assert index_rows_of(lead)
    doomed = set(Activity.with_drafts.filter(lead=lead).values_list("pk", flat=True))
    services.delete_lead(ours.user, lead)
    assert not Lead.objects.filter(pk=lead.pk)
    assert not Activity.with_drafts.filter(lead_id=lead.pk)
    assert not Contact.objects.filter(lead_id=lead.pk)
    assert not index_rows_of(lead)
    assert not LeadActivityFact.objects.filter(lead_id=lead.pk)
    gone = Event.objects.filter(lead_id=lead.pk, action="deleted")
    assert {row.object_id for row in gone if row.object_type.startswith("activity.")} == doomed
    assert all(row.before for row in gone)
    assert {"contact", "task.lead", "lead"} <= {row.object_type for row in gone}
    with scope(world.theirs.organization):
        assert Lead.objects.count() == 3
        assert index_rows_of(world.theirs.leads[0])


def test_who_may_not_delete_leads_deletes_nothing(ours: Tenant) -> None:
    before = Event.objects.count()
    with pytest.raises(NotAllowed, match="delete leads"):
        services.delete_lead(ours.restricted, ours.leads[0])
    assert Lead.objects.count() == 3
    assert Event.objects.count() == before


def test_theirs_is_not_there(ours: Tenant, world: World) -> None:
    for fetch in (
        lambda: lead_for(ours.admin, world.theirs.leads[0].public_id),
        lambda: lead_for(ours.admin, "lead_nonsense"),
        lambda: contact_for(ours.admin, Contact.unscoped.filter(lead=world.theirs.leads[0])[0].public_id),
    ):
        with pytest.raises(NotFound):
            fetch()
    assert visible_leads(ours.admin).count() == 3


def test_duplicates_are_found_by_name_email_and_phone_of_this_organization_only(ours: Tenant) -> None:
    acme = ours.leads[0]
    assert duplicates(ours.user, name="ACME") == [acme]
    assert duplicates(ours.user, email="Hello@Acme.example") == [acme]
    assert duplicates(ours.user, phone="+1 202 555 0101") == [acme]
    assert duplicates(ours.user) == []


def test_statuses_are_managed_by_those_who_may(ours: Tenant) -> None:
    before = LeadStatus.objects.count()
    for refused in (
        lambda: services.create_status(ours.user, "New"),
        lambda: services.update_status(ours.user, statuses()[0], "Other"),
        lambda: services.delete_status(ours.user, statuses()[-1]),
        lambda: services.reorder_statuses(ours.user, []),
    ):
        with pytest.raises(NotAllowed):
            refused()
    assert LeadStatus.objects.count() == before
    added = services.create_status(ours.admin, " In  talks ", "blue")
    assert (added.label, statuses()[-1]) == ("In talks", added)
    with pytest.raises(InvalidInput, match="already"):
        services.create_status(ours.admin, "in TALKS")
    services.reorder_statuses(ours.admin, [added.public_id])
    assert statuses()[0] == added
    assert services.create_lead(ours.user, name="Next").status == added
    with pytest.raises(InvalidInput, match="1 lead has the status"):
        services.delete_status(ours.admin, added)
    with pytest.raises(InvalidInput, match="no colour"):
        services.update_status(ours.admin, added, "In talks", "puce")
    assert LeadStatus.objects.get(pk=added.pk).color == "blue"


def test_a_status_goes_when_its_leads_have_another_one(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = statuses()[:2]
    with pytest.raises(InvalidInput, match="3 leads have"):
        services.delete_status(ours.admin, first)
    monkeypatch.setattr("leads.services.statuses.MOVED_AT_ONCE", 2)
    with pytest.raises(InvalidInput, match="in bulk"):
        services.delete_status(ours.admin, first, second)
    monkeypatch.undo()
    assert set(Lead.objects.values_list("status_id", flat=True)) == {first.pk}
    assert services.delete_status(ours.admin, first, second) == 3
    assert set(Lead.objects.values_list("status_id", flat=True)) == {second.pk}
    assert Activity.objects.filter(type__builtin="status_change").count() == 3
    assert not LeadStatus.objects.filter(pk=first.pk)
    for status in statuses()[1:]:
        services.delete_status(ours.admin, status)
    with pytest.raises(InvalidInput, match="last status"):
        services.delete_status(ours.admin, statuses()[0])


def test_a_lead_that_only_has_activities_counts_its_last_one(ours: Tenant) -> None:
    lead = ours.leads[1]
    latest = log_activity(ours.user, lead, ours.call)
    assert Lead.objects.get(pk=lead.pk).last_activity_at == latest.activity_at
