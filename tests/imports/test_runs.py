"""Import runs: check, run, repeat, resume, undo; who may, and what a denial leaves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from activities import exports, imports
from activities.models import Activity
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field
from crm.errors import InvalidInput, NotAllowed
from crm.fieldkinds import KINDS
from crm.imports.files import csv_text
from crm.models import CustomField, Event, FieldOption, ImportRow, ImportRun, Organization, UsageCounter, ValueRef
from crm.tenancy import scope
from leads.models import Contact, Lead
from tests.factories import Tenant, World


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def upload(
    tenant: Tenant, text: str, target: str = "activities", actor: Any = None, name: str = "file.csv"
) -> ImportRun:
    return imports.start_run(actor or tenant.admin, target, name, io.BytesIO(text.encode()))


def check(tenant: Tenant, run: ImportRun, **options: Any) -> ImportRun:
    actor = run.membership
    run = imports.set_mapping(actor, run, options)
    return imports.run_now(actor, run, check=True)


def import_text(tenant: Tenant, text: str, target: str = "activities", actor: Any = None, **options: Any) -> ImportRun:
    run = check(tenant, upload(tenant, text, target, actor), **options)
    assert run.state == "checked", run.message
    return imports.run_now(run.membership, run)


def errors_of(run: ImportRun) -> list[str]:
    return list(ImportRow.objects.filter(run=run, verdict="error").order_by("number").values_list("error", flat=True))


def everything() -> dict[str, int]:
    """How many rows each table of ours holds."""
    tables = [
        name
        for name in connection.introspection.table_names()
        if not name.startswith(("sqlite", "django_", "crm_import"))
    ]
    counts = {}
    with connection.cursor() as cursor:
        for name in tables:
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            counts[name] = cursor.fetchone()[0]
    return counts


FILE = """custom_activity_type,lead_name,user,date_created,external_id,custom.Qualified,custom.CRM,custom.Users
Qualifying call,Acme,user@ours.example,2024-01-31T14:30,x-1,yes,HubSpot,12
qualifying CALL,Bluth,,2024-02-01,x-2,,Salesforce,
"""


def test_rows_become_activities(ours: Tenant) -> None:
    run = import_text(ours, FILE)
    assert (run.state, run.counts, run.rows_done) == ("done", {"create": 2}, 2)
    first = Activity.objects.get(external_id="x-1")
    assert first.user_id == ours.user.user_id and first.created_by_id == ours.admin.user_id
    assert first.activity_at == first.date_created and first.date_created.isoformat().startswith("2024-01-31T14:30")
    assert first.values[str(ours.use("Users").field.id)] == "12"
    assert ValueRef.objects.filter(record_key=first.pk).count() == 1
    second = Activity.objects.get(external_id="x-2")
    assert second.user_id == ours.admin.user_id
    actions = Event.objects.filter(object_id=first.pk, object_type="activity.custom_activity").values_list(
        "action", "door"
    )
    assert ("created", "import") in actions and ("published", "import") in actions


def test_a_meeting_from_a_file_happens_when_it_starts_unless_the_file_says_when(ours: Tenant) -> None:
    head = "custom_activity_type,lead_name,external_id,date_created,custom.Title,custom.Starts\n"
    rows = "Meeting,Acme,m-1,,Demo,2031-03-10T14:30Z\nMeeting,Acme,m-2,2031-03-01T09:00Z,Demo,2031-03-10T14:30Z\n"
    assert import_text(ours, head + rows).counts == {"create": 2}
    first, second = Activity.objects.filter(external_id__in=["m-1", "m-2"]).order_by("external_id")
    assert first.activity_at.isoformat() == "2031-03-10T14:30:00+00:00" and first.date_created.year < 2031
    assert second.activity_at.isoformat() == second.date_created.isoformat() == "2031-03-01T09:00:00+00:00"


def test_a_check_writes_nothing_but_verdicts(ours: Tenant) -> None:
    run = upload(ours, FILE.replace("Acme", "New company") + ",,,,,,,\n")
    before = everything()
    run = check(ours, run, create_leads=True)
    after = everything()
    # What remains is the note that the import exists and was asked for.
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {}
    assert run.counts == {"create": 2}


def test_a_second_run_creates_nothing_twice(ours: Tenant) -> None:
    import_text(ours, FILE)
    before = Activity.objects.count()
    run = import_text(ours, FILE)
    assert run.counts == {"skip": 2} and Activity.objects.count() == before


BAD_ROWS = [
    ("Nothing,Acme,,,,,,", "custom_activity_type: There is no activity type “Nothing”."),
    (",Acme,,,,,,", "custom_activity_type: The row names no activity type."),
    ("Qualifying call,Nobody,,,,,,", "lead_name: There is no lead “Nobody”."),
    ("Qualifying call,,,,,,,", "The row names no lead. Fill in lead_id, lead_name, lead_email or lead_phone."),
    ("Qualifying call,Acme,ghost@x.example,,,,,", "user: “ghost@x.example” is not a member. Use an email, an exact name or an id."),
    ("Qualifying call,Acme,,31.13.2024,,,,", "date_created: “31.13.2024” is not a date. Write it as 2024-01-31 or 2024-01-31T14:30."),
    ("Qualifying call,Acme,,,,,Zoho,", "custom.CRM: “Zoho” is not an option of CRM. Choose one of: HubSpot, Salesforce, None."),
    (
        "Qualifying call,Acme,,,,,,many",
        "custom.Users: Users must be a number; “many” is not one. Write it as 1234.5.",
    ),
    ("Note,Acme,,,,,HubSpot,", "custom.CRM: Note has no such field."),
    ("Lead created,Acme,,,,,,", "Lead created entries are written by Touchpoint and cannot be changed."),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), BAD_ROWS, ids=[str(n) for n in range(len(BAD_ROWS))])
def test_a_bad_row_is_explained_and_the_others_go_in(ours: Tenant, row: str, expected: str) -> None:
    run = import_text(ours, FILE + row + "\n")
    assert run.counts == {"create": 2, "error": 1}
    assert errors_of(run) == [expected]


def test_an_ambiguous_lead_lists_the_candidates(ours: Tenant) -> None:
    from leads.services import create_lead

    twin = create_lead(ours.admin, name="Acme")
    run = import_text(ours, FILE)
    assert errors_of(run) == [
        f"lead_name: “Acme” fits 2 leads: Acme ({ours.leads[0].public_id}), Acme ({twin.public_id}). Use lead_id."
    ]


def test_leads_are_found_by_email_and_phone(ours: Tenant) -> None:
    run = import_text(
        ours,
        "custom_activity_type,lead_email,lead_phone\nQualifying call,HELLO@acme.example,\nQualifying call,,+1 202 555 0102\n",
    )
    assert run.counts == {"create": 2}
    assert list(Activity.objects.order_by("-pk").values_list("lead__name", flat=True)[:2]) == ["Bluth", "Acme"]


def test_failed_rows_come_back_as_a_file_that_imports(ours: Tenant) -> None:
    run = import_text(ours, FILE + "Qualifying call,Nobody,,,x-3,,,5\n")
    text = "".join(imports.failed_rows(run))
    assert text.splitlines()[0].lstrip("\ufeff").endswith(",error") and "x-3" in text
    again = import_text(ours, text, create_leads=True)
    assert again.counts == {"create": 1} and Activity.objects.filter(external_id="x-3").exists()


def test_columns_that_are_kept_by_touchpoint_are_never_assigned(ours: Tenant) -> None:
    text = "custom_activity_type,lead_name,created_by,status,organization,Ｉd\nQualifying call,Acme,user@ours.example,draft,2,1\n"
    run = upload(ours, text)
    assert [run.options["mapping"][name] for name in ("created_by", "status", "organization", "Ｉd")] == [
        "",
        "",
        "",
        "",
    ]
    with pytest.raises(InvalidInput):
        imports.set_mapping(ours.admin, run, {"mapping": run.options["mapping"] | {"status": "created_by"}})
    run = import_text(ours, text)
    made = Activity.objects.latest("pk")
    assert made.status == "published" and made.created_by_id == ours.admin.user_id


def test_a_near_miss_is_named(ours: Tenant) -> None:
    run = upload(ours, "custom_activity_type,lead_name,Date_Created\nQualifying call,Acme,2024-01-01\n")
    resource = imports.resource_of(ours.admin, run)
    assert resource.hint_for("Date_Created")[:2] == ("date_created", "“Date_Created”: did you mean “date_created”?")


def test_fields_are_made_from_columns_and_options_added(ours: Tenant) -> None:
    text = "Company,Colour,Score\n" + "".join(f"Acme,{'red' if n % 2 else 'blue'},{n}\n" for n in range(6))
    run = upload(ours, text)
    run = check(
        ours, run, type_id=ours.call.public_id, create_leads=True,
        mapping={"Company": "lead_name", "Colour": "new.choices", "Score": "new.number"},
    )  # fmt: skip
    assert run.counts == {"create": 6} and not CustomField.objects.filter(name="Colour").exists()
    run = imports.run_now(ours.admin, run)
    assert run.counts == {"create": 6}
    assert set(FieldOption.objects.filter(field__name="Colour").values_list("label", flat=True)) == {"red", "blue"}
    assert CustomField.objects.filter(name="Score").count() == 1


def test_missing_options_are_added_when_asked(ours: Tenant) -> None:
    text = FILE + "Qualifying call,Acme,,,,,Zoho,\n"
    assert import_text(ours, text, add_options=True).counts == {"create": 3}
    assert FieldOption.objects.filter(field__name="CRM", label="Zoho").exists()


def test_dates_with_slashes_are_read_in_the_order_that_was_chosen(ours: Tenant) -> None:
    text = "custom_activity_type,lead_name,date_created,external_id\nQualifying call,Acme,03/04/2024,d\n"
    import_text(ours, text, day_first=True)
    assert Activity.objects.get(external_id="d").date_created.date().isoformat() == "2024-04-03"


# --- update and round trip ----------------------------------------------------------------------------------------------
def exported(tenant: Tenant) -> str:
    return "".join(exports.export_activities(tenant.admin, tenant.call))


def test_an_export_imported_again_changes_nothing(ours: Tenant) -> None:
    before = list(Activity.objects.order_by("pk").values())
    run = import_text(ours, exported(ours))
    assert run.counts == {"skip": 3}
    assert list(Activity.objects.order_by("pk").values()) == before


def test_an_edited_export_updates_and_can_be_undone(ours: Tenant) -> None:
    before = {row.pk: row.values for row in Activity.objects.all()}
    text = exported(ours).replace(",Salesforce,", ",None,").replace(",yes,HubSpot,25", ",(clear),,26")
    run = import_text(ours, text)
    assert run.counts == {"skip": 1, "update": 2}
    edited = Activity.objects.get(pk=ours.activities[0].pk)
    assert str(ours.use("Qualified").field.id) not in edited.values
    assert edited.values[str(ours.use("Users").field.id)] == "26"
    assert edited.values[str(ours.use("CRM").field.id)] == before[edited.pk][str(ours.use("CRM").field.id)]
    imports.undo_run(ours.admin, run)
    assert {row.pk: row.values for row in Activity.objects.all()} == before


def test_an_update_tells_what_it_leaves_alone(ours: Tenant) -> None:
    activity, before = ours.activities[0], Activity.objects.values().get(pk=ours.activities[0].pk)
    columns = "id,lead_name,date_created,external_id,custom.Users"
    run = import_text(ours, f"{columns}\n{activity.public_id},Bluth,2020-01-01,other,26\n")
    told = (
        "lead_name was left as it is: the lead of an activity cannot change. "
        "date_created was left as it is: activity_at says when an activity happened. "
        "external_id was left as it is: it is given once, when an activity is made."
    )
    assert run.counts == {"update": 1} and ImportRow.objects.get(run=run).error == told
    again = import_text(ours, f"{columns}\n{activity.public_id},Bluth,,,26\n")
    assert ImportRow.objects.get(run=again).error == f"Nothing differs. {told[:67]}"
    after = Activity.objects.values().get(pk=activity.pk)
    kept = ("lead_id", "date_created", "external_id")
    assert [after[name] for name in kept] == [before[name] for name in kept]


NASTY = ['"quoted"', "=1+1", "+12025550143", "0123", "tab\tin", "émoji 🎈", "שלום", "a;b", "'=x", "-5", "@me"]


def test_nasty_text_of_every_kind_survives_the_round_trip(ours: Tenant) -> None:
    fieldset = ours.type_row.fieldset
    samples: dict[str, tuple[Any, dict[str, Any]]] = {
        "text": ("=1+1", {}), "textarea": ("two\nlines, \"q\"\n\n=x", {}), "number": ("-12.50", {}),
        "date": ("2024-02-29", {}), "datetime": ("2024-02-29T10:00:00+02:00", {}),
        "choices": (["a;b", '"q"', "=z"], {"multiple": True, "options": ["a;b", '"q"', "=z"]}),
        "user": (["user@ours.example", "admin@ours.example"], {"multiple": True}),
        "contact": ("hello@acme.example", {}), "checkbox": ("no", {}), "url": ("https://x.example/?a=1", {}),
        "email": ("a@b.example", {}), "phone": ("+12025550143", {}), "hidden": ("@secret", {}),
    }  # fmt: skip
    assert set(samples) == set(KINDS), "a kind is missing here"
    made = {}
    for kind, (value, more) in samples.items():
        made[create_field(ours.admin, fieldset, name=f"Field {kind}", kind=kind, **more).public_id] = value
    from activities.services.activities import log_activity

    with events.door("api"):
        logged = log_activity(ours.admin, ours.leads[0], ours.call, custom=made, external_id="nasty")
        for text in NASTY:
            log_activity(ours.admin, ours.leads[0], ours.call, custom={"Qualified": text})
    before = list(Activity.objects.order_by("pk").values())
    text = exported(ours)
    assert import_text(ours, text).counts == {"skip": 3 + 1 + len(NASTY)}
    assert list(Activity.objects.order_by("pk").values()) == before
    # As new rows they hold the same values.
    header, *rows = __import__("csv").reader(io.StringIO(text.lstrip("\ufeff")))
    keep = [n for n, name in enumerate(header) if name not in ("id", "external_id")]
    fresh = csv_text([[header[n] for n in keep], *[[row[n] for n in keep] for row in rows if row[15] == "nasty"]])
    assert import_text(ours, fresh).counts == {"create": 1}
    assert Activity.objects.latest("pk").values == logged.values


def test_undo_takes_back_what_a_run_created_and_keeps_what_was_edited_since(ours: Tenant) -> None:
    from activities.services.activities import update_activity

    before = everything()
    run = import_text(ours, FILE.replace("Bluth", "Brand new"), create_leads=True)
    edited = Activity.objects.get(external_id="x-1")
    update_activity(ours.admin, edited, custom={"Qualified": "edited"})
    run = imports.undo_run(ours.admin, run)
    assert run.message == "1 record was changed after the import and is kept."
    assert list(Activity.objects.exclude(external_id=None).values_list("external_id", flat=True)) == ["x-1"]
    assert not Lead.objects.filter(name="Brand new").exists()
    assert everything()["leads_lead"] == before["leads_lead"]


# --- limits, rights, tenants ----------------------------------------------------------------------------------------------
def test_a_monthly_limit_stops_the_run_at_the_last_row_that_fits(ours: Tenant) -> None:
    text = "custom_activity_type,lead_name,external_id\n" + "".join(f"Qualifying call,Acme,l-{n}\n" for n in range(40))
    run = check(ours, upload(ours, text))
    Organization.objects.filter(pk=ours.organization.pk).update(plan="startup")
    UsageCounter.objects.update(used=250 - 13)
    run = imports.run_now(ours.admin, run)
    assert run.state == "paused" and run.rows_done == 13 and "allows 250 activities a month" in run.message
    assert Activity.objects.filter(external_id__startswith="l-").count() == 13
    Organization.objects.filter(pk=ours.organization.pk).update(plan="unlimited")
    run = imports.run_now(ours.admin, run)
    assert run.state == "done" and run.counts == {"create": 40}
    assert Activity.objects.filter(external_id__startswith="l-").count() == 40


def test_without_the_right_nothing_is_kept(ours: Tenant) -> None:
    before = everything()
    for actor in (ours.user, ours.restricted):
        with pytest.raises(NotAllowed):
            upload(ours, FILE, actor=actor)
        with pytest.raises(NotAllowed):
            list(exports.export_activities(actor, ours.call))
    assert everything() == before and not ImportRun.objects.exists()


def test_a_right_taken_away_stops_the_run(ours: Tenant) -> None:
    run = check(ours, upload(ours, FILE, actor=ours.superuser))
    imports.begin_run(ours.superuser, run)
    ours.superuser.role = ours.user.role
    ours.superuser.save(update_fields=["role"])
    before = Activity.objects.count()
    imports.work(ours.organization.pk, run.pk)
    run.refresh_from_db()
    assert run.state == "failed" and "does not include “bulk import”" in run.message
    assert Activity.objects.count() == before


def test_another_organizations_ids_are_not_there(world: World) -> None:
    with scope(world.theirs.organization):
        lead, activity = Lead.objects.first(), Activity.objects.first()
    with scope(world.ours.organization), events.door("page"):
        ours = world.ours
        run = import_text(ours, f"custom_activity_type,lead_id\nQualifying call,{lead.public_id}\n")
        assert errors_of(run) == [f"lead_id: There is no lead “{lead.public_id}”."]
        run = import_text(ours, f"id,custom.Qualified\n{activity.public_id},stolen\n")
        assert errors_of(run) == [f"id: There is no activity “{activity.public_id}”."]
        assert world.theirs.organization.name not in exported(ours)
        text = exported(ours)
        assert text.count("Acme") == 1
    activity_after = Activity.unscoped.get(pk=activity.pk)
    assert activity_after.values == activity.values


def test_a_run_of_somebody_else_is_not_there(ours: Tenant, world: World) -> None:
    from crm.errors import NotFound

    run = upload(ours, FILE)
    with pytest.raises(NotFound):
        imports.run_for(ours.superuser, run.public_id)
    with scope(world.theirs.organization), pytest.raises(NotFound):
        imports.run_for(world.theirs.admin, run.public_id)


# --- leads ----------------------------------------------------------------------------------------------------------------
LEADS = """name,status,url,city,contact_name,contact_email,contact_phone
Delta Ltd,Qualified,delta.example,Oslo,Ann,ann@delta.example,+4722334455
Delta Ltd,,,,Bob,bob@delta.example;bobby@delta.example,
Acme,,,,Zed,,
"""


def test_a_lead_tells_the_file_it_came_from(ours: Tenant) -> None:
    run = import_text(ours, "name\nStark Industries\nAcme\n", "leads")
    entry = Activity.objects.get(type__builtin="import")
    assert entry.lead.name == "Stark Industries" and list(entry.values.values()) == ["file.csv"]
    made = Event.objects.get(action="created", object_type="lead", object_id=entry.lead_id)
    assert made.meta == {"import_id": run.public_id, "file_name": "file.csv"}
    imports.undo_run(run.membership, run)
    assert not Activity.objects.filter(type__builtin="import").exists()


def test_rows_of_one_name_become_one_lead_with_contacts(ours: Tenant) -> None:
    run = import_text(ours, LEADS, "leads")
    assert run.counts == {"create": 1, "update": 1, "skip": 1}
    lead = Lead.objects.get(name="Delta Ltd")
    assert lead.status.label == "Qualified" and lead.addresses[0]["city"] == "Oslo" and lead.contacts_count == 2
    assert Contact.objects.get(name="Bob").emails[1]["email"] == "bobby@delta.example"
    assert not Contact.objects.filter(name="Zed").exists()
    imports.undo_run(ours.admin, run)
    assert not Lead.objects.filter(name="Delta Ltd").exists()


def test_exported_leads_change_nothing_and_update_by_id(ours: Tenant) -> None:
    text = "".join(exports.export_leads(ours.admin))
    assert import_text(ours, text, "leads").counts == {"skip": 3}
    run = import_text(ours, text.replace("Bluth", "Bluth Company", 1), "leads")
    assert run.counts == {"skip": 2, "update": 1}
    assert Lead.objects.filter(name="Bluth Company").count() == 1


@pytest.mark.parametrize(("cell", "counts"), [
    ("junk", {"error": 1}), ("[1]", {"error": 1}), ("[" * 9000, {"error": 1}), ('{"status": "sent"}', {"create": 1}),
])  # fmt: skip
def test_what_clients_keep_beside_an_email_is_read_as_it_is_exported(
    ours: Tenant, cell: str, counts: dict[str, int]
) -> None:
    before = Activity.objects.count()
    rows = [["custom_activity_type", "lead_name", "custom.Subject", "custom.More"], ["Email", "Acme", "Hi", cell]]
    run = import_text(ours, csv_text(rows))
    assert (run.counts, Activity.objects.count() - before) == (counts, counts.get("create", 0))
    if counts != {"create": 1}:
        assert "More must be a JSON object, as Touchpoint exports it." in errors_of(run)[0]


# --- the resource itself ----------------------------------------------------------------------------------------------------
def test_the_resource_answers_django_import_export(ours: Tenant) -> None:
    import tablib

    from activities.resources import ActivityResource

    before = Activity.objects.count()
    data = tablib.Dataset().load(FILE + "Nothing,Acme,,,,,,\n", format="csv")
    with events.door("import"):
        result = ActivityResource(ours.admin).import_data(data, dry_run=True)
    assert result.totals["new"] == 2 and result.totals["invalid"] == 1 and Activity.objects.count() == before
    with events.door("import"):
        ActivityResource(ours.admin).import_data(data)
    assert Activity.objects.count() == before + 2
    assert catalog(ours.organization)


def test_a_row_cleaner_says_what_clean_values_says(ours: Tenant) -> None:
    """Every sample of every kind, twice: as new and as remembered."""
    from zoneinfo import ZoneInfo

    from crm.customfields.cleaning import clean_values
    from crm.customfields.lookups import Lookups
    from crm.imports.cleaning import RowCleaner
    from tests.samples import SAMPLES

    def answer(work: Any) -> Any:
        try:
            return work()
        except InvalidInput as error:
            return error.fields

    for kind in SAMPLES:
        create_field(ours.admin, ours.type_row.fieldset, name=f"S {kind}", kind=kind)
    with events.door("import"):
        uses = catalog(Organization.objects.get(pk=ours.organization.pk)).uses(ours.type_row.fieldset_id)
        lead, zone = ours.leads[0].pk, ZoneInfo("Europe/Berlin")
        cleaner = RowCleaner(ours.admin, uses, Lookups(ours.organization), zone)
        assert cleaner.ordinary
        for use in uses:
            sample = SAMPLES.get(use.field.kind.slug)
            texts = [good.csv for good in sample.good] + [raw for raw, _ in sample.bad] if sample else []
            for text in [*map(str, texts), None]:
                raw = {use.field.public_id: text}
                lookups = Lookups(ours.organization, lead)
                plain = answer(lambda: clean_values(
                    ours.admin, uses, raw, current={}, lookups=lookups, require=True, partial=True, zone=zone))  # fmt: skip
                assert answer(lambda: cleaner.clean(raw, lead)) == plain
                cells = {} if text is None else {f"custom.{use.field.name}": text}
                refused = any(key.startswith("custom.") for key in plain)
                for _ in range(2):
                    assert cleaner.clean_quickly(cells, lead) == (None if refused else plain)
