"""Merging two leads: nothing is lost, nobody else is touched, and at once is as good as one after the other."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.db.models import Max, Min

from activities.models import Activity, Comment, LeadActivityFact
from activities.services.activities import log_activity
from activities.services.drafts import save_draft
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field, update_field
from crm.customfields.values import TABLES, index_rows
from crm.errors import InvalidInput, NotAllowed, NotFound, TouchpointError
from crm.models import Event, FieldSet, Organization
from crm.tenancy import scope
from leads import services
from leads.models import Contact, ContactPoint, Lead, MergedLead, Task
from leads.queries import lead_for, survivor_of
from leads.search.language import parse
from leads.search.run import run
from tests.factories import Tenant, World, make_tenant


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization):
        yield world.ours


def fresh(tenant: Tenant) -> Organization:
    return Organization.objects.get(pk=tenant.organization.pk)


def index_of(lead_id: int) -> Counter[tuple[Any, ...]]:
    """Return the index rows of a lead's contacts and activities (not of its own values)."""
    return Counter(
        (name, *row)
        for name, model in TABLES.items()
        for row in model.objects.filter(lead_id=lead_id)
        .exclude(record_key=0)
        .values_list("field_id", "record_key", "v")
    )


def check_indexes(tenant: Tenant, lead: Lead) -> None:
    """The index, the facts, the points, the count and the search text say what the records say."""
    known = catalog(fresh(tenant))
    lead.refresh_from_db()
    expected: Counter[tuple[Any, ...]] = Counter()
    records = [(0, lead.values)]
    records += [(-row.pk, row.values) for row in Contact.objects.filter(lead=lead)]
    records += [(row.pk, row.values) for row in Activity.objects.filter(lead=lead)]
    for key, values in records:
        for name, rows in index_rows(known, lead.pk, key, values).by_table.items():
            expected.update((name, row[0], row[2], str(row[3])) for row in rows)
    found = Counter(
        (name, row[0], row[1], str(row[2].normalize() if name == "number" else row[2]))
        for name, model in TABLES.items()
        for row in model.objects.filter(lead_id=lead.pk).values_list("field_id", "record_key", "v")
    )
    normal: Counter[tuple[Any, ...]] = Counter()
    for (name, field, key, value), n in expected.items():
        normal[name, field, key, str(Decimal(value).normalize()) if name == "number" else value] += n
    assert found == normal
    for fact in LeadActivityFact.objects.filter(lead_id=lead.pk):
        rows = Activity.objects.filter(lead=lead, type_id=fact.type_id)
        limits = rows.aggregate(first=Min("activity_at"), last=Max("activity_at"))
        assert (fact.count, fact.first_at, fact.last_at) == (rows.count(), limits["first"], limits["last"])
    types = set(Activity.objects.filter(lead=lead).values_list("type_id", flat=True))
    assert set(LeadActivityFact.objects.filter(lead_id=lead.pk).values_list("type_id", flat=True)) == types
    assert (
        lead.last_activity_at
        == Activity.objects.filter(lead=lead, type__system=False).aggregate(last=Max("activity_at"))["last"]
    )
    contacts = list(Contact.objects.filter(lead=lead).order_by("pk"))
    assert lead.contacts_count == len(contacts)
    assert lead.search_text == services.search_text(lead, contacts)
    points = Counter((row.contact_id, row.channel, row.value) for contact in contacts for row in services.contact_points(contact))  # fmt: skip
    assert Counter(ContactPoint.objects.filter(lead=lead).values_list("contact_id", "channel", "value")) == points


def nothing_left_of(lead_id: int) -> None:
    assert not Lead.objects.filter(pk=lead_id).exists()
    assert not Activity.with_drafts.filter(lead_id=lead_id).exists()
    assert not Contact.objects.filter(lead_id=lead_id).exists()
    assert not LeadActivityFact.objects.filter(lead_id=lead_id).exists()
    assert not any(model.objects.filter(lead_id=lead_id).exists() for model in TABLES.values())


# --- one of each ------------------------------------------------------------------------------------------------------
def test_a_merge_moves_fills_joins_and_tells(ours: Tenant) -> None:
    leads_fields, contact_fields = FieldSet.objects.get(owner="lead"), FieldSet.objects.get(owner="contact")
    industry = create_field(ours.admin, leads_fields, name="Industry", kind="text")
    size = create_field(ours.admin, leads_fields, name="Size", kind="number")
    mood = create_field(ours.admin, contact_fields, name="Mood", kind="text")
    spoke = create_field(ours.admin, ours.type_row.fieldset, name="Spoke with", kind="contact", multiple=True)
    keep = services.create_lead(
        ours.user, name="Stark Industries", description="Arms", custom={industry.public_id: "Defence"},
        addresses=[{"city": "New York"}],
        contacts=[{"name": "Tony", "emails": ["tony@stark.example"], "phones": ["+12025550111"]}],
    )  # fmt: skip
    gone = services.create_lead(
        ours.user, name="Stark Ind.", description="Suits", url="stark.example",
        custom={industry.public_id: "Weapons", size.public_id: "12"}, addresses=[{"city": "New York"}, {"city": "Malibu"}],
        contacts=[
            {"name": "T. Stark", "title": "CEO", "emails": ["TONY@stark.example", "ceo@stark.example"],
             "phones": ["+1 202 555 0111", "+12025550112"], "custom": {mood.public_id: "Fine"}},
            {"name": "Pepper", "emails": ["pepper@stark.example"]},
        ],
    )  # fmt: skip
    tony, other_tony, pepper = Contact.objects.filter(lead__in=(keep, gone)).order_by("pk")
    call = log_activity(
        ours.user, gone, ours.call, contact=other_tony,
        custom={"Users": "7", spoke.public_id: [other_tony.public_id, pepper.public_id]},
    )  # fmt: skip
    Comment.objects.create(organization=ours.organization, activity=call, author=ours.user.user, text="Well done")
    draft = save_draft(
        ours.user, gone, ours.call, {spoke.public_id: [other_tony.public_id], ours.fields["Users"]: "12."}
    )
    task = services.create_task(ours.user, gone, "Send the offer")
    earlier = set(Event.objects.filter(lead_id=gone.pk).values_list("pk", flat=True))
    gone_id = gone.pk

    survivor = services.merge_leads(ours.user, gone, keep)

    assert survivor.pk == keep.pk
    nothing_left_of(gone_id)
    keep.refresh_from_db()
    assert (keep.name, keep.url, keep.description) == ("Stark Industries", "https://stark.example", "Arms\n\nSuits")
    assert [row["city"] for row in keep.addresses] == ["New York", "Malibu"]
    assert keep.values == {str(industry.pk): "Defence", str(size.pk): "12"}
    tony.refresh_from_db()
    assert list(Contact.objects.filter(lead=keep).order_by("pk")) == [tony, pepper]
    assert (tony.name, tony.title, tony.values) == ("Tony", "CEO", {str(mood.pk): "Fine"})
    assert [entry["email"] for entry in tony.emails] == ["tony@stark.example", "ceo@stark.example"]
    assert [entry["phone"] for entry in tony.phones] == ["+12025550111", "+12025550112"]
    call.refresh_from_db()
    assert (call.lead_id, call.contact_id, call.comments.count()) == (keep.pk, tony.pk, 1)
    assert call.values[str(spoke.pk)] == [tony.pk, pepper.pk]
    held = Activity.with_drafts.get(pk=draft.pk)
    assert held.lead_id == keep.pk
    assert held.draft_data[spoke.public_id] == [tony.public_id]
    assert held.draft_data[ours.fields["Users"]] == "12."
    task.refresh_from_db()
    assert task.lead_id == keep.pk
    check_indexes(ours, keep)
    entry = Activity.objects.get(lead=keep, type__builtin="lead_merge")
    told = " ".join(map(str, entry.values.values()))
    assert "Stark Ind." in told
    assert "Industry: Weapons" in told
    assert "Tony: Name: T. Stark" in told
    assert earlier <= set(Event.objects.filter(lead_id=keep.pk).values_list("pk", flat=True))
    merged = Event.objects.get(action="merged")
    assert (merged.object_type, merged.object_id) == ("lead", keep.pk)
    assert merged.meta == {"merge_source_lead_id": gone.public_id, "merge_destination_lead_id": keep.public_id}
    assert merged.changed == ["addresses", f"custom.{size.pk}", "description", "url"]
    deleted = Event.objects.get(action="deleted", object_type="lead")
    assert (deleted.object_id, deleted.before["name"]) == (gone_id, "Stark Ind.")
    joined = Event.objects.get(action="deleted", object_type="contact")
    assert (joined.before["title"], joined.meta["merged_into"]) == ("CEO", tony.public_id)


def test_where_several_values_are_taken_both_stay(ours: Tenant) -> None:
    made = [
        create_field(
            ours.admin,
            FieldSet.objects.get(owner=owner),
            name="Tags",
            kind="choices",
            options=["A", "B", "C"],
            multiple=True,
        )
        for owner in ("lead", "contact")
    ]
    tags = lambda *labels: {made[0].public_id: list(labels)}  # noqa: E731
    keep = services.create_lead(ours.user, name="Stark Industries", custom=tags("B", "A"), contacts=[
        {"name": "Tony", "emails": ["tony@stark.example"], "custom": {made[1].public_id: ["A"]}},
    ])  # fmt: skip
    gone = services.create_lead(ours.user, name="Stark Ind.", custom=tags("C", "A"), contacts=[
        {"name": "Tony", "emails": ["tony@stark.example"], "custom": {made[1].public_id: ["C"]}},
    ])  # fmt: skip
    plan = services.plan_merge(ours.user, gone, keep)
    assert (plan.filled, plan.differences) == (["Tags"], [])
    survivor = services.merge_leads(ours.user, gone, keep)
    labels = lambda record, field: [  # noqa: E731
        field.options.get(pk=pk).label for pk in record.values[str(field.pk)]
    ]
    assert labels(survivor, made[0]) == ["B", "A", "C"]
    assert labels(Contact.objects.get(lead=keep), made[1]) == ["A", "C"]
    check_indexes(ours, survivor)


def test_values_that_only_some_roles_see_are_not_written_into_the_entry(ours: Tenant) -> None:
    secret = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Margin", kind="number")
    keep = services.create_lead(ours.admin, name="One", custom={secret.public_id: "1"})
    gone = services.create_lead(ours.admin, name="Two", custom={secret.public_id: "4711"})
    update_field(ours.admin, FieldSet.objects.get(owner="lead"), secret, {"view_roles": [ours.admin.role_id]})
    plan = services.plan_merge(ours.user, gone, keep)
    assert [row.label for row in plan.visible_differences(ours.admin)] == ["Margin"]
    assert plan.visible_differences(ours.user) == []
    services.merge_leads(ours.user, gone, keep)
    entry = Activity.objects.get(lead=keep, type__builtin="lead_merge")
    assert "4711" not in str(entry.values)
    assert Event.objects.get(action="deleted", object_type="lead").before[f"custom.{secret.pk}"] == "4711"


def test_old_ids_lead_to_the_last_survivor(ours: Tenant, world: World) -> None:
    first, second, third = ours.leads
    old = first.public_id
    services.merge_leads(ours.user, first, second)
    middle = second.public_id
    services.merge_leads(ours.user, Lead.objects.get(pk=second.pk), third)
    assert survivor_of(ours.user, old) == third
    assert survivor_of(ours.user, middle) == third
    assert survivor_of(ours.user, "lead_nonsense") is None
    with scope(world.theirs.organization):
        assert survivor_of(world.theirs.user, old) is None
    with pytest.raises(NotFound):
        lead_for(ours.user, old)


def test_the_plan_is_what_happens_and_writes_nothing(ours: Tenant) -> None:
    source, destination = ours.leads[0], ours.leads[1]
    before = Event.objects.count(), Activity.with_drafts.count()
    plan = services.plan_merge(ours.user, source, destination)
    assert ([contact.name for contact in plan.moved_contacts], plan.joined_contacts) == (["Contact of Acme"], [])
    assert (Event.objects.count(), Activity.with_drafts.count()) == before


# --- refusals ---------------------------------------------------------------------------------------------------------
def everything(tenant: Tenant) -> tuple[Any, ...]:
    return (
        list(Lead.objects.order_by("pk").values_list("pk", "name", "date_updated")),
        list(Contact.objects.order_by("pk").values_list("pk", "lead_id")),
        list(Activity.with_drafts.order_by("pk").values_list("pk", "lead_id")),
        Event.objects.count(),
        MergedLead.objects.count(),
    )


def test_who_may_not_merge_merges_nothing(ours: Tenant) -> None:
    before = everything(ours)
    for refused in (services.merge_leads, services.plan_merge):
        with pytest.raises(NotAllowed, match="merge leads"):
            refused(ours.restricted, ours.leads[0], ours.leads[1])
    assert everything(ours) == before


def test_a_lead_is_not_merged_into_itself(ours: Tenant) -> None:
    before = everything(ours)
    with pytest.raises(InvalidInput, match="itself"):
        services.merge_leads(ours.user, ours.leads[0], ours.leads[0])
    assert everything(ours) == before


def test_theirs_is_gone_for_us(ours: Tenant, world: World) -> None:
    before = everything(ours)
    for pair in ((world.theirs.leads[0], ours.leads[0]), (ours.leads[0], world.theirs.leads[0])):
        with pytest.raises(NotFound):
            services.merge_leads(ours.admin, *pair)
    assert everything(ours) == before
    with scope(world.theirs.organization):
        assert Lead.objects.count() == 3


# --- by chance --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_whatever_the_two_leads_hold(ours: Tenant, seed: int) -> None:
    chance = random.Random(seed)
    own = FieldSet.objects.get(owner="lead")
    fields = [
        create_field(ours.admin, own, name="A", kind="text"),
        create_field(ours.admin, own, name="B", kind="choices", options=["x", "y", "z"], multiple=True),
        create_field(ours.admin, own, name="C", kind="date"),
    ]
    guest = create_field(ours.admin, FieldSet.objects.get(owner="contact"), name="D", kind="text")
    spoke = create_field(ours.admin, ours.type_row.fieldset, name="Spoke with", kind="contact")
    emails = [f"p{n}@x.example" for n in range(5)]
    samples = {
        fields[0].pk: ["red", "blue"],
        fields[1].pk: [["x"], ["y", "z"]],
        fields[2].pk: ["2026-01-02", "2026-03-04"],
    }
    pair = []
    for name in ("Keep", "Gone"):
        custom = {row.public_id: chance.choice(samples[row.pk]) for row in fields if chance.random() < 0.6}
        lead = services.create_lead(
            ours.user, name=name, description=chance.choice(["", "words", f"words of {name}"]), custom=custom,
            addresses=[{"city": chance.choice("abc")} for _ in range(chance.randrange(3))],
            contacts=[
                {"name": f"{name} {n}", "emails": chance.sample(emails, chance.randrange(4)), "phones": [f"+120255501{chance.randrange(10, 20)}"],
                 "custom": {guest.public_id: chance.choice("uvw")} if chance.random() < 0.5 else {}}
                for n in range(chance.randrange(4))
            ],
        )  # fmt: skip
        people = list(Contact.objects.filter(lead=lead))
        for n in range(chance.randrange(5)):
            person = chance.choice(people) if people else None
            custom = {"Users": str(n), **({spoke.public_id: person.public_id} if person else {})}
            log_activity(ours.user, lead, ours.call, contact=person, custom=custom)
        for n in range(chance.randrange(3)):
            services.create_task(ours.user, lead, f"{name} task {n}")
        if chance.random() < 0.5:
            save_draft(ours.user, lead, ours.call, {ours.fields["Users"]: "1."})
        pair.append(lead)
    keep, gone = pair
    both = (keep.pk, gone.pk)
    ids_of = lambda rows: set(rows.filter(lead_id__in=both).values_list("pk", flat=True))  # noqa: E731
    activities, drafts = ids_of(Activity.objects), ids_of(Activity.with_drafts)
    tasks = ids_of(Task.objects)
    points = set(ContactPoint.objects.filter(lead_id__in=both).values_list("channel", "value"))
    names = set(Contact.objects.filter(lead_id__in=both).values_list("name", flat=True))
    words = {lead.description for lead in pair}
    cities = {row["city"] for lead in pair for row in lead.addresses}
    given = [(key, value) for lead in pair for key, value in lead.values.items()]
    numbers = dict(index_of(keep.pk)) | dict(index_of(gone.pk))
    numbers = {key: n for key, n in numbers.items() if key[0] == "number"}
    theirs = Lead.objects.exclude(pk__in=both).order_by("pk").values_list("pk", "date_updated", "search_text")
    others = list(theirs)

    plan = services.plan_merge(ours.user, gone, keep)
    services.merge_leads(ours.user, gone, keep)

    nothing_left_of(both[1])
    keep.refresh_from_db()
    assert activities < set(Activity.objects.filter(lead=keep).values_list("pk", flat=True))
    assert drafts < set(Activity.with_drafts.filter(lead=keep).values_list("pk", flat=True))
    assert tasks == set(Task.objects.filter(lead=keep).values_list("pk", flat=True))
    assert points == set(ContactPoint.objects.filter(lead=keep).values_list("channel", "value"))
    assert all(text in keep.description for text in words)
    assert cities == {row["city"] for row in keep.addresses}
    assert numbers.items() <= dict(index_of(keep.pk)).items()
    entry = str(Activity.objects.get(lead=keep, type__builtin="lead_merge").values)
    log = str(list(Event.objects.filter(lead_id__in=both).values_list("before", "meta")))
    for name in names:
        assert Contact.objects.filter(lead=keep, name=name).exists() or (name in entry and name in log)
    labels = {row.label for row in plan.differences}
    for key, value in given:
        field = next(row for row in fields if str(row.pk) == key)
        kept = keep.values[key]
        assert set(value) <= set(kept) if field.multiple else kept == value or field.name in labels
    for activity in Activity.objects.filter(lead=keep):
        assert activity.contact is None or activity.contact.lead_id == keep.pk
        named = activity.values.get(str(spoke.pk))
        assert named is None or Contact.objects.get(pk=named).lead_id == keep.pk
    check_indexes(ours, keep)
    assert list(theirs) == others


def test_search_finds_the_survivor_by_what_came_over(ours: Tenant) -> None:
    source, destination = ours.leads[2], ours.leads[0]
    services.merge_leads(ours.user, source, destination)
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
    assert run(ours.user, parse(tree, ours.user), limit=10, text="cyberdyne.example").ids == (destination.pk,)


# --- at once ----------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(3))
def test_merges_at_once_leave_one_survivor_and_everything_under_it(round_: int) -> None:
    tenant = make_tenant("ours")
    with scope(tenant.organization):
        published = set(Activity.objects.values_list("pk", flat=True))
        contacts = Contact.objects.count()
    one, two, three = tenant.leads

    def attempt(pair: tuple[Lead, Lead] | Lead) -> str:
        try:
            with scope(tenant.organization):
                if isinstance(pair, Lead):
                    log_activity(tenant.user, pair, tenant.call, custom={"Users": "1"})
                else:
                    services.merge_leads(tenant.user, *pair)
            return "done"
        except TouchpointError as error:
            return type(error).__name__
        finally:
            connections.close_all()

    jobs = [(one, two), (two, one), (two, three), (three, two)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, jobs))
    assert set(results) <= {"done", "NotFound"}, results
    with scope(tenant.organization):
        left = list(Lead.objects.all())
        assert len(left) == 3 - results.count("done")
        assert published <= set(Activity.objects.values_list("pk", flat=True))
        assert Contact.objects.count() == contacts
        assert MergedLead.objects.count() == results.count("done")
        for lead in left:
            check_indexes(tenant, lead)
        for lead in (one, two, three):
            assert lead in left or survivor_of(tenant.user, lead.public_id) in left


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_logging_while_merging_loses_nothing_and_never_waits_forever() -> None:
    tenant = make_tenant("ours")
    source, destination = tenant.leads[0], tenant.leads[1]
    logged: list[int] = []
    failed: list[str] = []

    def log(_n: int) -> None:
        try:
            with scope(tenant.organization):
                logged.append(log_activity(tenant.user, source, tenant.call, custom={"Users": "1"}).pk)
        except Exception as error:
            failed.append(type(error).__name__)
        finally:
            connections.close_all()

    def merge(_n: int) -> None:
        try:
            with scope(tenant.organization):
                services.merge_leads(tenant.user, source, destination)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        jobs = (
            [pool.submit(log, n) for n in range(6)] + [pool.submit(merge, 0)] + [pool.submit(log, n) for n in range(6)]
        )
        for job in jobs:
            job.result()
    assert set(failed) <= {"IntegrityError", "NotFound"}, failed
    with scope(tenant.organization):
        assert set(logged) <= set(Activity.objects.filter(lead=destination).values_list("pk", flat=True))
        check_indexes(tenant, destination)
