"""Rows of leads: one lead of several rows, how its name is written, and failed rows that go in later as they were meant."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from activities import imports
from activities.imports import chunks
from crm import events
from crm.models import ImportRow, ImportRun
from crm.tenancy import scope
from leads.models import Contact, Lead
from leads.services import create_lead
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World, settings: Any, tmp_path: Any) -> Iterator[Tenant]:
    settings.MEDIA_ROOT = tmp_path
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def check(tenant: Tenant, text: str, **options: Any) -> ImportRun:
    run = imports.start_run(tenant.admin, "leads", "leads.csv", io.BytesIO(text.encode()))
    return imports.run_now(tenant.admin, imports.set_mapping(tenant.admin, run, options), check=True)


def import_text(tenant: Tenant, text: str, **options: Any) -> ImportRun:
    checked = check(tenant, text, **options)
    done = imports.run_now(tenant.admin, ImportRun.objects.get(pk=checked.pk))
    assert done.counts == checked.counts, "the check says what the run does"
    return done


def told(run: ImportRun) -> list[tuple[int, str, str]]:
    return list(ImportRow.objects.filter(run=run).order_by("number").values_list("number", "verdict", "error"))


def test_the_first_spelling_of_a_name_stays(ours: Tenant) -> None:
    run = import_text(ours, "name,contact_name\nDelta Corp,Ann\nDELTA CORP,Bo\ndelta  corp,Cy\n")
    assert run.counts == {"create": 1, "update": 2}
    lead = Lead.objects.get(name_fold="delta corp")
    assert (lead.name, lead.contacts_count) == ("Delta Corp", 3)


def test_a_name_that_finds_a_lead_does_not_rename_it_and_an_id_does(ours: Tenant) -> None:
    acme = ours.leads[0]
    run = import_text(ours, "name,description\nACME,Anvils\nACME,Anvils\n", on_existing="update")
    acme.refresh_from_db()
    assert (run.counts, acme.name, acme.description) == ({"update": 1, "skip": 1}, "Acme", "Anvils")
    import_text(ours, f"id,name\n{acme.public_id},ACME\n")
    acme.refresh_from_db()
    assert acme.name == "ACME"


def test_a_name_of_several_leads_is_skipped_when_asked_and_else_refused(ours: Tenant) -> None:
    acme, twin = ours.leads[0], create_lead(ours.admin, name="ACME")
    text = "name,contact_name\nAcme,Bo\n"
    those = f"Acme ({acme.public_id}), ACME ({twin.public_id})"
    how = "To add the row’s contact to one of them, give the row its id."
    assert told(check(ours, text)) == [(2, "skip", f"There are 2 leads “Acme” already: {those}. {how}")]
    refused = [(2, "error", f"name: “Acme” fits 2 leads: {those}. Use id.")]
    assert told(check(ours, text, on_existing="update")) == refused


ROWS = (
    'name;status;contact_name;contact_emails\nDelta;Qualified;Ann;ann@d.example\n\ndelta;;"Bo\nB";no address\nEps;;;\n'
)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(ours: Tenant) -> None:
    """The header is row 1, an empty line is a row, a cell of two lines makes one row."""
    run = check(ours, ROWS)
    wrong = "contact_emails: “no address”: The email must be an email address such as name@company.com."
    assert told(run) == [(2, "create", ""), (4, "error", wrong), (5, "create", "")]


@pytest.mark.parametrize("on_existing", ["skip", "update", "create"])
def test_a_failed_row_joins_the_lead_that_its_run_made(ours: Tenant, on_existing: str) -> None:
    """Two leads of the name are there already: the row belongs to the third, which the run has made."""
    if on_existing == "create":
        create_lead(ours.admin, name="DELTA")
    run = import_text(ours, ROWS, on_existing=on_existing)
    assert run.counts == {"create": 2, "error": 1}
    made = Lead.objects.get(name="Delta")
    failed = "".join(imports.failed_rows(run))
    assert failed.splitlines()[0] == "\ufeffname;status;contact_name;contact_emails;error", "as the file was written"
    # It fails once more for another reason: its file has one column of reasons, and goes in after all.
    again = import_text(ours, failed.replace("no address", "still none"))
    assert again.counts == {"error": 1}
    failed = "".join(imports.failed_rows(again))
    assert failed.count("error") == 1 and "still none" in failed
    last = import_text(ours, failed.replace("still none", "bo@d.example"))
    assert last.options["continues"] == [again.pk, run.pk]
    assert last.counts == {"update": 1}
    made.refresh_from_db()
    assert (made.contacts_count, made.name, made.status.label) == (2, "Delta", "Qualified")
    assert Lead.objects.filter(name_fold="delta").count() == (2 if on_existing == "create" else 1)
    imports.undo_run(ours.admin, last)
    assert list(Contact.objects.filter(lead=made).values_list("name", flat=True)) == ["Ann"]


def test_failed_rows_of_a_check_join_the_leads_that_the_import_makes_later(ours: Tenant) -> None:
    checked = check(ours, ROWS)
    failed = "".join(imports.failed_rows(checked)).replace("no address", "bo@d.example")
    mended = imports.start_run(ours.admin, "leads", "failed.csv", io.BytesIO(failed.encode()))
    imports.run_now(ours.admin, ImportRun.objects.get(pk=checked.pk))
    mended = imports.run_now(ours.admin, imports.set_mapping(ours.admin, mended, {}), check=True)
    assert imports.run_now(ours.admin, mended).counts == {"update": 1}
    assert Lead.objects.get(name="Delta").contacts_count == 2


def test_a_file_that_is_not_of_failed_rows_leaves_leads_alone(ours: Tenant) -> None:
    import_text(ours, ROWS)
    again = import_text(ours, ROWS.replace("no address", "bo@d.example"))
    assert again.counts == {"skip": 3} and again.options["continues"] == []


def test_what_another_member_imported_is_not_continued(ours: Tenant) -> None:
    failed = "".join(imports.failed_rows(import_text(ours, ROWS))).replace("no address", "bo@d.example")
    run = imports.start_run(ours.superuser, "leads", "failed.csv", io.BytesIO(failed.encode()))
    assert run.options["continues"] == []
    run = imports.run_now(ours.superuser, imports.set_mapping(ours.superuser, run, {}), check=True)
    assert run.counts == {"skip": 1}


def test_a_lead_that_an_undo_took_back_is_made_anew(ours: Tenant) -> None:
    run = import_text(ours, ROWS)
    imports.undo_run(ours.admin, run)
    failed = "".join(imports.failed_rows(run)).replace("no address", "bo@d.example")
    assert import_text(ours, failed).counts == {"create": 1}


def test_continued_leads_are_found_in_one_statement_a_chunk(ours: Tenant) -> None:
    text = "name,contact_name,contact_emails\n" + "".join(
        f"Delta {n},Ann,a{n}@d.example\nDelta {n},Bo,no\n" for n in range(5)
    )
    failed = "".join(imports.failed_rows(import_text(ours, text))).replace(",no,", ",b@d.example,")
    run = check(ours, failed)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        imports.run_now(ours.admin, run)
    asked = [query["sql"] for query in queries if "crm_importrow" in query["sql"] and "SELECT" in query["sql"]]
    assert len([sql for sql in asked if "object_id" in sql and "object_type" in sql]) == 1


def test_a_refused_contact_is_named_by_its_column(ours: Tenant) -> None:
    rows = "Firm,Mail,Web,Who,Job\nDelta,,,,CEO\nEps,nothing,,,\nAcme,nothing,,,\n,,,Ann,\n"
    columns = {"Firm": "name", "Mail": "contact_emails", "Web": "url", "Who": "contact_name", "Job": "contact_title"}
    run = check(ours, rows, mapping=columns, on_existing="update")
    wrong = "Mail: “nothing”: The email must be an email address such as name@company.com."
    assert [error for _, _, error in told(run)] == [
        "Who: A contact needs a name, an email or a phone number.", wrong, wrong,
        "Firm: The row names no lead. Fill in name, or id.",
    ]  # fmt: skip


def test_a_check_names_the_lead_of_each_change_and_points_to_none_that_is_gone(ours: Tenant) -> None:
    run = check(
        ours, "name,contact_name,contact_emails\nDelta,Ann,\ndelta,Bo,\nDelta,Cy,no\nAcme,Di,\n", on_existing="update"
    )
    rows = ImportRow.objects.filter(run=run).order_by("number")
    assert [row.object_id for row in rows] == [None, None, None, ours.leads[0].pk]
    assert [(row.before or {}).get("label") for row in rows] == ["Delta", "Delta", "Delta", "Acme"]


def test_a_row_of_too_many_cells_comes_back_whole(ours: Tenant) -> None:
    run = import_text(ours, "name,description\nDelta, Inc,Anvils,and more\n")
    failed = "".join(imports.failed_rows(run)).splitlines()
    assert failed[1].startswith('Delta," Inc,Anvils,and more",The row has 4 cells but the header has 2.')


@pytest.mark.parametrize(
    ("target", "text", "counts"),
    [
        (
            "leads",
            "name,contact_name,contact_emails\nDelta,Ann,\nEps,Di,\nDELTA,Bo,\nFee,Cy,no\nFee,Di,\nFee,Ed,\n",
            {"create": 2, "update": 1, "error": 3},
        ),
        (
            "activities",
            "custom_activity_type,lead_name,external_id\n"
            + "".join(f"Qualifying call,Acme,{n % 3}\n" for n in range(6)),
            {"create": 3, "skip": 3},
        ),
    ],
)
def test_a_check_that_hands_over_knows_what_its_earlier_jobs_would_have_made(
    ours: Tenant, monkeypatch: pytest.MonkeyPatch, target: str, text: str, counts: dict[str, int]
) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 2)
    run = imports.start_run(ours.admin, target, "rows.csv", io.BytesIO(text.encode()))
    imports.begin_check(ours.admin, imports.set_mapping(ours.admin, run, {}))
    while not chunks.advance(ImportRun.objects.get(pk=run.pk), 0):  # its time is up after each chunk
        continue
    checked = ImportRun.objects.get(pk=run.pk)
    rows = told(checked)
    assert (checked.state, checked.counts) == ("checked", counts)
    imports.run_now(ours.admin, checked)
    assert told(checked) == rows


@pytest.mark.parametrize("checking", [True, False])
@pytest.mark.parametrize("size", [1, 2])
def test_a_worker_that_was_overtaken_knows_the_leads_of_the_faster_one(
    ours: Tenant, monkeypatch: pytest.MonkeyPatch, checking: bool, size: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 1)
    rows = io.BytesIO(b"name,contact_name\nDelta,Ann\nDelta,Bo\nDelta,Cy\n")
    run = imports.set_mapping(ours.admin, imports.start_run(ours.admin, "leads", "rows.csv", rows), {})
    imports.begin_check(ours.admin, run) if checking else imports.begin_run(ours.admin, run, unchecked=True)
    slow = ImportRun.objects.get(pk=run.pk)
    for _ in range(size):
        chunks.advance(ImportRun.objects.get(pk=run.pk), 0)  # its time is up after each chunk
    chunks.advance(slow, float("inf"))
    done = ImportRun.objects.get(pk=run.pk)
    assert done.counts == {"create": 1, "update": 2} and done.rows_done == 3
    assert Contact.objects.filter(lead__name="Delta").count() == (0 if checking else 3)


@pytest.mark.parametrize("checking", [True, False])
def test_rows_wait_for_the_same_failed_ones_however_a_run_is_cut_into_jobs(
    ours: Tenant, monkeypatch: pytest.MonkeyPatch, checking: bool
) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 1)
    text = "name,id,contact_emails\nDelta,lead_x,\nDelta,,\nEps,,,too many\nEps,,\nFee,,no\nFEE,,\n"
    for deadline in (0, float("inf")):  # after each chunk its time is up, or never
        Lead.objects.filter(name__in=["Delta", "Eps"]).delete()
        run = imports.start_run(ours.admin, "leads", "rows.csv", io.BytesIO(text.encode()))
        run = imports.set_mapping(ours.admin, run, {})
        imports.begin_check(ours.admin, run) if checking else imports.begin_run(ours.admin, run, unchecked=True)
        while not chunks.advance(ImportRun.objects.get(pk=run.pk), deadline):
            continue
        verdicts = [(number, verdict) for number, verdict, _ in told(run)]
        assert verdicts == [(2, "error"), (3, "create"), (4, "error"), (5, "create"), (6, "error"), (7, "error")]
        assert told(run)[-1][2] == "name: Row 6 of the same lead failed. Mend that one; this row is fine."
