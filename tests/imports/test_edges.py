"""Edges of a run: what is asked before, plan limits, two at once, deletes in between, stops and starts, huge files."""

from __future__ import annotations

import io
import resource
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activities import imports
from activities.imports import chunks, undo
from activities.models import Activity
from crm import events
from crm.errors import Conflict, InvalidInput
from crm.imports import sheets
from crm.imports.files import BadFile, inspect
from crm.imports.resource import Memory
from crm.imports.sheets import xlsx_to_csv
from crm.models import ImportRow, ImportRun, Organization, UsageCounter
from crm.tenancy import scope
from leads.models import Lead
from leads.services import create_lead, delete_lead
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World, settings: Any, tmp_path: Any) -> Iterator[Tenant]:
    settings.MEDIA_ROOT = tmp_path
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def upload(tenant: Tenant, text: str, target: str = "activities") -> ImportRun:
    return imports.start_run(tenant.admin, target, "file.csv", io.BytesIO(text.encode()))


def check(tenant: Tenant, text: str, target: str = "activities", **options: Any) -> ImportRun:
    run = imports.set_mapping(tenant.admin, upload(tenant, text, target), options)
    return imports.run_now(tenant.admin, run, check=True)


def lines(number: int, lead: str = "Acme") -> str:
    rows = "".join(f"Qualifying call,{lead},e-{n}\n" for n in range(number))
    return f"custom_activity_type,lead_name,external_id\n{rows}"


# --- before -----------------------------------------------------------------------------------------------------------
def test_the_order_of_day_and_month_is_asked_when_a_date_reads_two_ways(ours: Tenant) -> None:
    text = "custom_activity_type,lead_name,date_created\nQualifying call,Acme,03/04/2024\n"
    run = upload(ours, text)
    with pytest.raises(InvalidInput) as refusal:
        imports.set_mapping(ours.admin, run, {})
    assert refusal.value.fields == {
        "day_first": "“03/04/2024” can be 3 April or 4 March. Choose how the dates of this file are written."
    }
    assert imports.set_mapping(ours.admin, run, {"day_first": False}).options["day_first"] is False
    # A column that is left out is not asked about, and a thirteenth month answers by itself.
    imports.set_mapping(ours.admin, upload(ours, text), {"mapping": run.options["mapping"] | {"date_created": ""}})
    run = upload(ours, text + "Qualifying call,Acme,13/04/2024\n")
    assert run.options["day_first"] is True
    run = imports.run_now(ours.admin, imports.set_mapping(ours.admin, run, {}), check=True)
    assert run.counts == {"create": 2}


def test_how_numbers_are_written_is_asked_when_one_reads_two_ways(ours: Tenant) -> None:
    start = "custom_activity_type;lead_name;external_id;custom.Users\nQualifying call;Acme;d-1;1,234\n"
    run = upload(ours, start)
    with pytest.raises(InvalidInput) as refusal:
        imports.set_mapping(ours.admin, run, {})
    assert refusal.value.fields == {
        "decimal_comma": "“1,234” can be 1234 or 1.234. Choose how the numbers of this file are written."
    }
    users = str(ours.use("Users").field.id)

    def imported(text: str, **options: Any) -> list[Any]:
        run = imports.set_mapping(ours.admin, upload(ours, text), options)
        imports.run_now(ours.admin, run, check=True)
        done = imports.run_now(ours.admin, ImportRun.objects.get(pk=run.pk))
        found = list(
            Activity.objects.filter(external_id__startswith="d-").order_by("pk").values_list("values", flat=True)
        )
        imports.undo_run(ours.admin, done)
        return [values[users] for values in found]

    assert imported(start, decimal_comma=False) == ["1234"]
    assert imported(start, decimal_comma=True) == ["1.234"]
    # A second number tells for all of them; a point in a file of commas parts thousands.
    more = (
        start + "Qualifying call;Acme;d-2;12,5\nQualifying call;Acme;d-3;1.234.567,89\nQualifying call;Acme;d-4;7.000\n"
    )
    assert imported(more) == ["1.234", "12.5", "1234567.89", "7000"]
    assert imported(start + "Qualifying call;Acme;d-2;12.5\n") == ["1234", "12.5"]


@pytest.mark.parametrize(
    ("cell", "iso"),
    [
        ("3/4/2024 2:30 PM", "2024-04-03T14:30"),
        ("03.04.24", "2024-04-03T00:00"),
        ("03-04-2024 12:05 am", "2024-04-03T00:05"),
    ],
)
def test_times_of_spreadsheets_are_read(ours: Tenant, cell: str, iso: str) -> None:
    run = check(
        ours,
        f"custom_activity_type,lead_name,date_created,external_id\nQualifying call,Acme,{cell},t\n",
        day_first=True,
    )
    imports.run_now(ours.admin, run)
    assert Activity.objects.get(external_id="t").date_created.isoformat().startswith(iso)


def test_a_file_of_the_same_columns_is_matched_as_the_last_one(ours: Tenant) -> None:
    first = upload(ours, "Company,Score\nAcme,5\n")
    mapping = {"Company": "lead_name", "Score": f"custom.{ours.fields['Users']}"}
    imports.set_mapping(ours.admin, first, {"mapping": mapping, "type_id": ours.call.public_id, "create_leads": True})
    again = upload(ours, "Score,Company,error\n7,Bluth,\n")
    assert again.options["mapping"] == mapping | {"error": ""} and again.options["remembered_from"] == "file.csv"
    assert again.options["type_id"] == ours.call.public_id and again.options["create_leads"]
    other = imports.start_run(ours.superuser, "activities", "x.csv", io.BytesIO(b"Company,Score\nAcme,5\n"))
    assert other.options["remembered_from"] == "", "what one member chose is not another's"


def test_a_line_that_tells_the_delimiter_is_no_header(ours: Tenant) -> None:
    run = upload(ours, "sep=;\nlead_name;external_id\nAcme;1\n")
    assert run.options["headers"] == ["lead_name", "external_id"] and run.rows_total == 1


# --- limits -----------------------------------------------------------------------------------------------------------
def test_a_check_foretells_what_the_plan_will_refuse(ours: Tenant) -> None:
    Organization.objects.filter(pk=ours.organization.pk).update(plan="startup")
    UsageCounter.objects.update(used=240)
    run = check(ours, lines(30))
    assert run.state == "checked" and run.counts == {"create": 30}
    assert run.message.startswith("The Startup plan has room for 10 more activities this month and the file holds 30.")
    assert UsageCounter.objects.get().used == 240, "a check counts nothing"
    run = imports.run_now(ours.admin, run)
    assert (run.state, run.rows_done) == ("paused", 10) and imports.can_resume(run)


def test_a_plan_without_activities_lets_a_check_end(ours: Tenant) -> None:
    Organization.objects.filter(pk=ours.organization.pk).update(plan="solo")
    run = check(ours, lines(3))
    assert run.state == "checked" and "room for 0 more" in run.message


# --- in between -------------------------------------------------------------------------------------------------------
def test_a_lead_deleted_after_the_check_is_a_failed_row(ours: Tenant) -> None:
    run = check(ours, lines(2) + lines(1, "Bluth").splitlines()[1].replace("e-0", "e-9"))
    delete_lead(ours.admin, ours.leads[1])
    run = imports.run_now(ours.admin, run)
    assert run.counts == {"create": 2, "error": 1}


def test_two_imports_at_once_make_a_lead_once(ours: Tenant) -> None:
    runs = []
    for _ in range(2):
        run = check(ours, "name,contact_name\nDelta,Ann\nEps,Bo\n", "leads")
        assert run.counts == {"create": 2}
        imports.begin_run(ours.admin, run)
        runs.append(run)
    for run in runs:
        chunks.advance(ImportRun.objects.get(pk=run.pk), float("inf"))
    assert Lead.objects.filter(name__in=("Delta", "Eps")).count() == 2
    assert ImportRun.objects.get(pk=runs[1].pk).counts == {"skip": 2}


def test_rows_of_one_name_in_two_chunks_become_one_lead(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 1)
    run = check(ours, "name,contact_name\nDelta,Ann\nDelta,Bo\n", "leads")
    assert run.counts == {"create": 1, "update": 1}, "the check says what the run does"
    imports.begin_run(ours.admin, run)
    chunks.advance(ImportRun.objects.get(pk=run.pk), 0)  # its time is up after the first chunk
    chunks.advance(ImportRun.objects.get(pk=run.pk), 0)
    assert ImportRun.objects.get(pk=run.pk).counts == {"create": 1, "update": 1}
    assert Lead.objects.get(name="Delta").contacts_count == 2


def test_a_lead_whose_first_row_failed_waits_for_it(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failed rows, mended, must find no lead that lacks what its first row says."""
    monkeypatch.setattr(chunks, "CHUNK", 1)
    text = "name,status,contact_name,contact_emails\nDelta,Qualified,Ann,{}\nEps,,,\n Delta,,Bo,bo@d.example\n"
    run = check(ours, text.format("no address"), "leads")
    assert run.counts == {"error": 2, "create": 1}, "the check says what the run does"
    imports.begin_run(ours.admin, run)
    for _ in range(3):
        chunks.advance(ImportRun.objects.get(pk=run.pk), 0)  # its time is up after each chunk
    done = ImportRun.objects.get(pk=run.pk)
    assert done.counts == {"error": 2, "create": 1} and done.state == ImportRun.State.DONE
    failed = "".join(imports.failed_rows(run))
    assert "Row 2 of the same lead failed." in failed and not Lead.objects.filter(name__iexact="delta").exists()
    again = check(ours, failed.replace("no address", "ann@d.example"), "leads")
    assert again.counts == {"create": 1, "update": 1}
    imports.begin_run(ours.admin, again)
    chunks.advance(ImportRun.objects.get(pk=again.pk), time.monotonic() + 60)
    lead = Lead.objects.get(name="Delta")
    assert lead.status.label == "Qualified" and lead.contacts_count == 2


def test_a_contact_of_a_lead_that_is_there_is_not_lost_in_silence(ours: Tenant) -> None:
    run = check(ours, "name,contact_name\nDelta,Ann\n", "leads")
    imports.begin_run(ours.admin, run)
    chunks.advance(ImportRun.objects.get(pk=run.pk), time.monotonic() + 60)
    again = check(ours, "name,contact_name\nDelta,Bo\n", "leads")
    assert again.counts == {"skip": 1}
    assert "choose to update such leads" in again.rows.get().error


def test_a_run_that_broke_says_so_and_goes_on(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    run = check(ours, lines(5))
    imports.begin_run(ours.admin, run)
    with monkeypatch.context() as broken:
        broken.setattr(chunks, "settle", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            imports.work(run.organization_id, run.pk)
    run.refresh_from_db()
    assert run.state == "failed" and run.message.startswith("Something went wrong on our side.")
    assert imports.can_resume(run)
    assert imports.run_now(ours.admin, run).counts == {"create": 5}


def test_a_cancelled_run_keeps_no_file(ours: Tenant, django_capture_on_commit_callbacks: Any, tmp_path: Path) -> None:
    run = check(ours, lines(2))
    assert len(list(tmp_path.rglob("*.csv"))) == 1
    with django_capture_on_commit_callbacks(execute=True):
        imports.cancel_run(ours.admin, run)
    assert not list(tmp_path.rglob("*.csv"))
    imports.work(run.organization_id, run.pk)  # a job that was under way
    run.refresh_from_db()
    assert run.state == "cancelled" and not imports.can_resume(run)


def test_a_run_is_not_checked_again_once_it_wrote(ours: Tenant) -> None:
    run = imports.run_now(ours.admin, check(ours, lines(1)))
    for act in (imports.begin_check, imports.begin_run, imports.pause_run, imports.cancel_run):
        with pytest.raises(Conflict):
            act(ours.admin, run)
    assert Activity.objects.filter(external_id="e-0").count() == 1


def test_an_undo_hands_over_and_ends(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    run = imports.run_now(ours.admin, check(ours, lines(5)))
    monkeypatch.setattr(undo, "BATCH", 2)
    monkeypatch.setattr(undo, "SECONDS_A_JOB", -1)
    imports.begin_undo(ours.admin, run)
    assert not imports.can_undo(run), "once is enough"
    for left in (3, 1, 0):
        imports.undo_work(run.organization_id, run.pk)
        assert imports.rows_to_undo(run) == left
    imports.undo_work(run.organization_id, run.pk)
    run.refresh_from_db()
    assert run.state == "undone" and not Activity.objects.filter(external_id__startswith="e-").exists()


def test_verdicts_are_paged_both_ways(ours: Tenant) -> None:
    run = check(ours, lines(7) + "Qualifying call,Nobody,x\n")
    first = imports.verdicts_of(run, limit=3)
    second = imports.verdicts_of(run, after=first.next or 0, limit=3)
    third = imports.verdicts_of(run, after=second.next or 0, limit=3)
    assert [row.number for page in (first, second, third) for row in page.rows] == list(range(2, 10))
    assert (first.previous, second.previous, third.previous, third.next) == (None, 0, 4, None)
    assert [row.number for row in imports.verdicts_of(run, "error").rows] == [9]


def test_a_chunk_tried_again_starts_from_what_was_known_before_it(ours: Tenant) -> None:
    memory = Memory(new_externals={"a"}, new_leads={"x": 1})
    memory.begin()
    assert memory.made_lead("x") is None and not memory.new_externals
    memory.new_leads["x"] = 1
    memory.keep(rolled_back=True)
    assert memory.made_lead("x") == 0


# --- contacts ---------------------------------------------------------------------------------------------------------
def test_a_contact_is_changed_by_its_id_and_comes_back(ours: Tenant) -> None:
    lead, contact = ours.leads[0], ours.leads[0].contacts.get()
    run = check(
        ours, f"id,contact_id,contact_title,contact_emails\n{lead.public_id},{contact.public_id},CEO,(clear)\n", "leads"
    )
    changes = ImportRow.objects.get(run=run).before["changes"]
    assert ["contact title", "", "CEO"] in [list(row) for row in changes]
    run = imports.run_now(ours.admin, run)
    contact.refresh_from_db()
    assert contact.title == "CEO" and contact.emails == []
    imports.undo_run(ours.admin, run)
    contact.refresh_from_db()
    assert contact.title == "" and contact.emails[0]["email"] == "hello@acme.example"
    bad = check(ours, f"id,contact_id,contact_title\n{ours.leads[1].public_id},{contact.public_id},CEO\n", "leads")
    assert "The lead has no contact" in ImportRow.objects.get(run=bad).error


# --- huge -------------------------------------------------------------------------------------------------------------
class Endless:
    """A file of so many bytes that is never held anywhere."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return b"a" * size


def bounded(act: Any, megabytes: int, seconds: float) -> str:
    """Return the sentence an act refuses with; fails when it takes too much memory or time."""
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(BadFile) as refusal:
        act()
    peak, took = tracemalloc.get_traced_memory()[1] / 1e6, time.process_time() - began
    tracemalloc.stop()
    print(
        f"{refusal.value.message}  {peak:.0f} MB, {took:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB in all"
    )
    assert peak < megabytes and took < seconds
    return refusal.value.message


@pytest.mark.long
def test_a_gigabyte_in_one_line(ours: Tenant, tmp_path: Path) -> None:
    told = bounded(lambda: imports.start_run(ours.admin, "activities", "big.csv", Endless(1 << 30)), 20, 60)
    assert told == "The file is larger than 300 MB. Split it."
    assert not list(tmp_path.rglob("*.csv")), "nothing of it is kept"
    told = bounded(lambda: imports.start_run(ours.admin, "activities", "big.csv", Endless(200 << 20)), 60, 60)
    assert told.startswith("Line 1 is longer than 8,000,000 characters.")


@pytest.mark.long
def test_five_million_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n")
        for _ in range(50):
            file.write(b"1,2\n" * 100_000)
    assert bounded(lambda: inspect(path), 20, 120) == "The file has more than 1,000,000 rows. Split it."


@pytest.mark.long
def test_a_row_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("wb") as file:
        file.write(b'a,b\n1,"')
        for _ in range(200):
            file.write(b'x\n","' * 10_000)
    assert "is longer than 8,000,000 characters" in bounded(lambda: inspect(path), 120, 60)


def test_an_xlsx_with_too_much_text_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_SHARED_TEXTS", 1_000_000)
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b"0" * 5_000_000)
    assert "too much text" in bounded(lambda: xlsx_to_csv(bomb, tmp_path / "out.csv"), 10, 20)


def test_entities_in_utf_16_are_refused(tmp_path: Path) -> None:
    evil = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY y "z">]><worksheet>&y;</worksheet>'.encode(
        "utf-16"
    )
    path = tmp_path / "evil.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", evil)
    with pytest.raises(BadFile, match="entity declarations"):
        xlsx_to_csv(path, tmp_path / "out.csv")


def test_templates_import_as_they_are(ours: Tenant) -> None:
    from activities import exports

    create_lead(ours.admin, name="Example Company")
    run = check(ours, exports.template_of(ours.admin, ours.call), create_leads=True)
    assert run.counts == {"create": 2}, list(ImportRow.objects.filter(run=run).values_list("error", flat=True))
    run = check(ours, exports.template_of_leads(ours.admin), "leads", on_existing="create")
    assert run.counts == {"create": 2, "update": 1}, list(
        ImportRow.objects.filter(run=run).values_list("error", flat=True)
    )


def test_a_chunk_of_long_texts_has_fewer_rows(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, plain = [], chunks.settle

    def settle(run_id: int, chunk: list[Any], *rest: Any) -> ImportRun | None:
        sizes.append(len(chunk))
        return plain(run_id, chunk, *rest)

    monkeypatch.setattr(chunks, "settle", settle)
    monkeypatch.setattr(chunks, "BLOCK_SIZE", 60)
    run = imports.run_now(ours.admin, check(ours, lines(8)))
    assert run.counts == {"create": 8} and max(sizes) == 3
    assert [row.number for row in imports.verdicts_of(run).rows] == list(range(2, 10))
