"""What must hold whatever is in the file: undo after import changes nothing, and neither does export before import."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from activities import exports, imports
from activities.models import Activity, LeadActivityFact
from activities.services.activities import log_activity
from crm import events
from crm.customfields.services import create_field
from crm.errors import InvalidInput
from crm.imports.files import csv_text
from crm.models import ImportRun
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.services import create_lead, update_lead
from tests.factories import Tenant, World

FEW = settings(
    max_examples=12, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
NASTY = [
    "=1+1",
    "'=x",
    "0123",
    "(clear)",
    "'(clear)",
    'a "q"; b',
    "שלום",
    "🎈",
    "two\nlines",
    "\ttab",
    "-5",
    "+1",
    "@me",
    "＝1",
    "N/A",
]
LONG = "long “text”, " * 7500  # a hundred thousand bytes


@pytest.fixture
def ours(world: World, settings: Any, tmp_path: Any) -> Iterator[Tenant]:
    settings.MEDIA_ROOT = tmp_path
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def import_text(tenant: Tenant, text: str, target: str = "activities", **options: Any) -> ImportRun:
    run = imports.start_run(tenant.admin, target, "file.csv", io.BytesIO(text.encode()))
    run = imports.run_now(tenant.admin, imports.set_mapping(tenant.admin, run, options), check=True)
    checked = dict(run.counts)
    run = imports.run_now(tenant.admin, run)
    assert run.state == "done" and run.counts == checked, "the check says what the run does"
    return run


def state() -> dict[str, Any]:
    """Everything a person can see of ours, and the index; not the marks of who touched it last."""
    fields = (
        "pk",
        "lead_id",
        "type_id",
        "values",
        "user_id",
        "contact_id",
        "activity_at",
        "external_id",
        "status",
        "date_created",
    )
    found: dict[str, Any] = {
        "activities": list(Activity.with_drafts.filter(type__system=False).order_by("pk").values_list(*fields)),
        "pinned": list(Activity.objects.exclude(pinned_at=None).values_list("pk", flat=True)),
        "leads": list(Lead.objects.order_by("pk").values(
            "pk", "name", "status_id", "description", "url", "addresses", "values", "contacts_count", "search_text")),
        "contacts": list(Contact.objects.order_by("pk").values("pk", "name", "title", "emails", "phones", "urls", "values")),
        "facts": sorted(LeadActivityFact.objects.filter(type_id__in=Activity.with_drafts.filter(type__system=False).values("type_id"))
                        .values_list("type_id", "lead_id", "count")),
    }  # fmt: skip
    # What the timeline tells of a change and of its undo stays there.
    system = set(Activity.objects.filter(type__system=True).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        for table in ("value_ref", "value_number", "value_moment", "value_text"):
            cursor.execute(f"SELECT field_id, lead_id, record_key, v FROM {table} ORDER BY 1, 2, 3, 4")
            found[table] = [row for row in cursor.fetchall() if row[2] not in system]
    return found


class Undone(Exception):
    """Leaves an example's transaction without keeping it."""


@contextmanager
def taken_back() -> Iterator[None]:
    """What an example writes is rolled back; it may end early by raising `Undone`."""
    with suppress(Undone), transaction.atomic():
        yield
        raise Undone


# --- undo ∘ import = identity -----------------------------------------------------------------------------------------------
CELLS = st.sampled_from(
    ["", "", "(clear)", "5", "12.50", "yes", "no way", "HubSpot", "Salesforce", "=1+1", "many words", "'x"]
)
ROWS = st.lists(
    st.tuples(st.integers(-1, 2), st.sampled_from(["Acme", "Bluth", "New one", "new ONE", ""]), CELLS, CELLS, CELLS, st.booleans()),
    min_size=1, max_size=12,
)  # fmt: skip


@FEW
@given(rows=ROWS)
@example(rows=[(0, "", "a", "", "5", False), (0, "", "b", "", "6", True), (0, "", "(clear)", "None", "", False)])
def test_undo_after_an_import_of_activities_changes_nothing(ours: Tenant, rows: list[Any]) -> None:
    header = [
        "id",
        "custom_activity_type",
        "lead_name",
        "custom.Qualified",
        "custom.CRM",
        "custom.Users",
        "pinned",
        "user",
    ]
    lines = [
        [ours.activities[n].public_id if n >= 0 else "", "", lead, a, b, c, "yes" if pinned else "", "user@ours.example" if pinned else ""]
        for n, lead, a, b, c, pinned in rows
    ]  # fmt: skip
    with taken_back():
        before = state()
        run = import_text(ours, csv_text([header, *lines]), type_id=ours.call.public_id, create_leads=True)
        undone = imports.undo_run(ours.admin, run)
        assert undone.message == "" and state() == before


LEAD_ROWS = st.lists(
    st.tuples(
        st.integers(-1, 2), st.sampled_from(["Acme", "Delta", "delta", "Eps"]), st.sampled_from(["", "Qualified", "Potential", "Nope"]),
        st.sampled_from(["", "Oslo", "(clear)"]), st.sampled_from(["", "Ann", "Bo", "Contact of Acme"]),
        st.sampled_from(["", "a@x.example", "a@x.example;b@x.example", "hello@acme.example", "(clear)"]),
    ),
    min_size=1, max_size=10,
)  # fmt: skip


@FEW
@given(rows=LEAD_ROWS, on_existing=st.sampled_from(["skip", "update", "create"]))
@example(
    rows=[(0, "Acme", "", "Oslo", "Ann", "a@x.example"), (0, "Acme", "", "(clear)", "Ann", "b@x.example")],
    on_existing="update",
)
@example(rows=[(0, "Acme", "", "Oslo", "", "(clear)")], on_existing="skip")  # refused after its lead was changed
def test_undo_after_an_import_of_leads_changes_nothing(ours: Tenant, rows: list[Any], on_existing: str) -> None:
    header = ["id", "name", "status", "city", "contact_name", "contact_emails"]
    lines = [[ours.leads[n].public_id if n >= 0 else "", *rest] for n, *rest in rows]
    with taken_back():
        before = state()
        run = import_text(ours, csv_text([header, *lines]), "leads", on_existing=on_existing)
        undone = imports.undo_run(ours.admin, run)
        assert undone.message == "" and state() == before


def test_what_somebody_changed_between_two_rows_is_kept(ours: Tenant) -> None:
    """The second row's undo brings back what the person typed; the first row finds it and leaves it alone."""
    from activities.services.activities import update_activity

    activity = ours.activities[0]
    line = "id,custom.Qualified\n{},{}\n"
    first = import_text(ours, line.format(activity.public_id, "first"))
    update_activity(ours.admin, activity, custom={"Qualified": "typed"})
    second = import_text(ours, line.format(activity.public_id, "second"))
    imports.undo_run(ours.admin, second)
    first = imports.undo_run(ours.admin, first)
    assert first.message == "1 record was changed after the import and is kept."
    assert Activity.objects.get(pk=activity.pk).values[str(ours.use("Qualified").field.id)] == "typed"


def test_a_lead_that_got_a_contact_by_hand_is_kept(ours: Tenant) -> None:
    from leads.services import create_contact

    run = import_text(ours, "name,contact_name\nDelta,Ann\nEps,Bo\n", "leads")
    create_contact(ours.user, Lead.objects.get(name="Delta"), name="By hand")
    run = imports.undo_run(ours.admin, run)
    assert run.message.startswith("1 record was changed")
    assert Lead.objects.filter(name="Delta").exists() and not Lead.objects.filter(name="Eps").exists()


# --- import ∘ export = identity -----------------------------------------------------------------------------------------------
@FEW
@given(
    line=TEXTS,
    story=TEXTS,
    hidden=TEXTS,
    labels=st.lists(st.sampled_from(["a;b", '"q"', "=z", "(clear)"]), unique=True),
)
@example(line=LONG[:10_000], story=LONG, hidden=LONG, labels=["a;b", '"q"', "=z", "(clear)"])
def test_an_export_imported_changes_nothing_and_makes_the_same_again(
    ours: Tenant, line: str, story: str, hidden: str, labels: list[str]
) -> None:
    with taken_back():
        fieldset = ours.type_row.fieldset
        named = {
            name: create_field(ours.admin, fieldset, name=name, kind=kind, **more).public_id
            for name, kind, more in (
                ("Line", "text", {}), ("Story", "textarea", {}), ("Secret", "hidden", {}), ("On", "date", {}), ("At", "datetime", {}),
                ("Labels", "choices", {"multiple": True, "options": ["a;b", '"q"', "=z", "(clear)"]}), ("Done", "checkbox", {}),
                ("Who", "user", {"multiple": True}), ("Person", "contact", {}), ("Site", "url", {}), ("Mail", "email", {}), ("Tel", "phone", {}),
            )
        }  # fmt: skip
        custom = {
            named["Line"]: line, named["Story"]: story, named["Secret"]: hidden, named["Labels"]: labels, named["On"]: "2024-02-29",
            named["At"]: "2024-02-29T10:00:00.000123+02:00", named["Done"]: "no", named["Who"]: ["user@ours.example", "admin@ours.example"],
            named["Person"]: "hello@acme.example", named["Site"]: "https://x.example/?a=1", named["Mail"]: "a@b.example", named["Tel"]: "+12025550143",
        }  # fmt: skip
        with events.door("api"):
            try:
                logged = log_activity(ours.admin, ours.leads[0], ours.call, custom=custom, external_id="one")
            except InvalidInput:
                raise Undone from None
            for text in NASTY:
                log_activity(ours.admin, ours.leads[0], ours.call, custom={"Line": text, "Story": text})
        before = state()
        text = "".join(exports.export_activities(ours.admin, ours.call))
        run = import_text(ours, text)
        assert set(run.counts) == {"skip"} and state() == before
        rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))
        fresh = [{key: cell for key, cell in row.items() if key not in ("id", "external_id")} for row in rows]
        again = csv_text([list(fresh[0]), *[list(row.values()) for row in fresh]])
        assert import_text(ours, again).counts == {"create": len(fresh)}
        made = list(Activity.objects.filter(pk__gt=max(row[0] for row in before["activities"])).order_by("pk"))
        assert [row.values for row in made] == [row[3] for row in before["activities"] if row[8] == "published"]
        assert logged.values in [row.values for row in made]


@FEW
@given(name=TEXTS, description=TEXTS, city=TEXTS, person=TEXTS, custom=TEXTS)
@example(name="=cmd|x", description="a\r\nb", city="(clear)", person="'=x", custom=LONG[:9_000])
def test_leads_exported_and_imported_are_the_same(
    ours: Tenant, name: str, description: str, city: str, person: str, custom: str
) -> None:
    with taken_back():
        from crm.models import FieldSet

        create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Note", kind="text")
        create_field(ours.admin, FieldSet.objects.get(owner="contact"), name="Note", kind="text")
        addresses = [
            {"label": "business", "city": city, "country": "NO"},
            {"label": "other", "address_1": "1; Main | Street"},
        ]
        try:
            lead = create_lead(
                ours.admin, name=name, description=description, addresses=addresses, custom={"Note": custom}, url="https://x.example",
                contacts=[
                    {"name": person or "P", "title": "Boss", "emails": [{"email": "p@x.example", "type": "home"}, "q@x.example"],
                     "phones": [{"phone": "+12025550143", "type": "mobile"}], "urls": ["https://p.example"], "custom": {"Note": custom}},
                    {"name": "Second"},
                ],
            )  # fmt: skip
            update_lead(ours.admin, ours.leads[1], {"description": NASTY[0]})
        except InvalidInput:
            raise Undone from None
        before = state()
        text = "".join(exports.export_leads(ours.admin))
        run = import_text(ours, text, "leads")
        assert set(run.counts) == {"skip"}, list(imports.verdicts_of(run).rows)
        assert state() == before and Lead.objects.get(pk=lead.pk).name == lead.name
