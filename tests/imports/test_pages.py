"""Import & export in the browser's terms: upload, match, check, run, failed rows, undo, export; and who gets in."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from openpyxl import Workbook

from activities import imports
from activities.imports import upload as uploading
from activities.models import Activity
from activities.services.activities import update_activity
from crm import events
from crm.errors import Conflict
from crm.imports import files, receiving
from crm.models import ImportRun
from crm.tenancy import scope
from leads.services import create_lead
from tests.factories import Tenant, World

BASE = "/o/ours/settings/import/"
TEXT = "custom_activity_type,lead_name,external_id,custom.Users\nQualifying call,Acme,p-1,5\nQualifying call,Nobody,p-2,5\n"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def signed_in(member: Any) -> Client:
    client = Client()
    client.force_login(member.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def upload(client: Client, content: bytes, name: str = "calls.csv") -> Any:
    file = io.BytesIO(content)
    file.name = name
    return client.post(BASE + "upload/", {"file": file, "target": "activities"})


def work(tenant: Tenant) -> ImportRun:
    run = ImportRun.unscoped.latest("pk")
    imports.work(tenant.organization.pk, run.pk)
    run.refresh_from_db()
    return run


def test_the_whole_way(world: World) -> None:
    client = signed_in(world.ours.admin)
    assert "Upload" in client.get(BASE).content.decode()
    page = upload(client, TEXT.encode())
    mapping = client.get(page.headers["Location"])
    assert mapping.status_code == 200 and "custom_activity_type" in mapping.content.decode()
    run = ImportRun.unscoped.latest("pk")
    targets = {f"target_{n}": run.options["mapping"][header] for n, header in enumerate(run.options["headers"])}
    checking = client.post(page.headers["Location"], {"action": "check", **targets})
    assert checking.status_code == 302
    polled = client.get(checking.headers["Location"], headers={"HX-Request": "true"}).content.decode()
    assert polled.strip().startswith('<div id="run_part" hx-get=') and "<html" not in polled
    assert work(world.ours).state == "checked"
    checked = client.get(checking.headers["Location"]).content.decode()
    assert "Import 1 row<" in checked and "There is no lead “Nobody”." in checked
    result = client.post(f"{BASE}{run.public_id}/", {"action": "start"})
    assert work(world.ours).state == "done"
    done = client.get(result.headers["Location"]).content.decode()
    with scope(world.ours.organization):
        made = Activity.objects.get(external_id="p-1")
    link = f'<a href="/o/ours/activities/{made.public_id}/">Qualifying call · Acme</a>'
    assert "The import is done." in done and link in done
    failed = b"".join(client.get(f"{BASE}{run.public_id}/failed.csv").streaming_content).decode()
    assert "p-2" in failed and "p-1" not in failed
    client.post(f"{BASE}{run.public_id}/undo/")
    with scope(world.ours.organization):
        assert Activity.objects.filter(external_id="p-1").exists(), "a worker takes it back"
    imports.undo_work(world.ours.organization.pk, run.pk)
    with scope(world.ours.organization):
        assert not Activity.objects.filter(external_id="p-1").exists()
    assert made.public_id not in client.get(f"{BASE}{run.public_id}/").content.decode()


def test_what_an_undo_keeps_is_listed_and_leads_to_the_record(world: World) -> None:
    client, ours = signed_in(world.ours.admin), world.ours
    page = upload(client, TEXT.replace("Nobody", "Bluth").encode()).headers["Location"]
    run = ImportRun.unscoped.latest("pk")
    targets = {f"target_{n}": run.options["mapping"][header] for n, header in enumerate(run.options["headers"])}
    client.post(page, {"action": "check", **targets})
    work(ours)
    client.post(f"{BASE}{run.public_id}/", {"action": "start"})
    assert work(ours).counts == {"create": 2}
    with scope(ours.organization), events.door("page"):
        kept = Activity.objects.get(external_id="p-2")
        update_activity(ours.superuser, kept, custom={"Users": "6"})
    client.post(f"{BASE}{run.public_id}/undo/")
    imports.undo_work(ours.organization.pk, run.pk)
    shown = client.get(f"{BASE}{run.public_id}/?rows=kept").content.decode()
    assert "1 record was changed after the import and is kept." in shown
    assert f'<a href="/o/ours/activities/{kept.public_id}/">Qualifying call · Bluth</a>' in shown
    assert client.get(f"/o/ours/activities/{kept.public_id}/").headers["Location"].endswith(f"#{kept.public_id}")


def test_leads_that_a_row_may_mean_are_one_click_away(world: World) -> None:
    client, ours = signed_in(world.ours.admin), world.ours
    with scope(ours.organization), events.door("page"):
        twin = create_lead(ours.admin, name="Acme")
    page = upload(client, TEXT.replace("Nobody", "lead_nobody").encode()).headers["Location"]
    run = ImportRun.unscoped.latest("pk")
    targets = {f"target_{n}": run.options["mapping"][header] for n, header in enumerate(run.options["headers"])}
    client.post(page, {"action": "check", **targets})
    work(ours)
    shown = client.get(f"{BASE}{run.public_id}/check/").content.decode()
    for lead in (ours.leads[0], twin):
        assert f'Acme (<a href="/o/ours/leads/{lead.public_id}/">{lead.public_id}</a>)' in shown
    assert "There is no lead “lead_nobody”." in shown, "what is no id is no link"


def test_a_name_that_is_only_similar_is_offered_first_and_not_chosen(world: World) -> None:
    client = signed_in(world.ours.admin)
    page = upload(client, b"custom_activity_type,lead_name,Pined\nQualifying call,Acme,yes\n").headers["Location"]
    offered = '<option value="">Leave out</option>\n          <optgroup label="Similar"><option value="pinned">pinned</option></optgroup>'
    told = "“Pined”: did you mean “pinned”? It is left out."
    shown = client.get(page).content.decode()
    assert offered in shown and told in shown and '<option value="pinned" selected>' not in shown
    chosen = {"target_0": "custom_activity_type", "target_1": "lead_name", "target_2": "pinned"}
    shown = client.post(page, {"action": "refresh", **chosen}).content.decode()
    assert told not in shown and shown.count('<option value="pinned" selected>') == 1


def test_a_bad_file_comes_back_with_its_sentence(world: World) -> None:
    answer = upload(signed_in(world.ours.admin), b"")
    assert answer.status_code == 422 and not ImportRun.unscoped.exists()


def test_a_workbook_goes_in_as_it_is(world: World) -> None:
    book, content = Workbook(), io.BytesIO()
    book.active.append(["lead_name", "date_created", "external_id", "custom.Users"])
    book.active.append(["Acme", datetime(2024, 1, 31, 14, 30), 7, 12.0])
    book.save(content)
    client = signed_in(world.ours.admin)
    page = upload(client, content.getvalue(), "calls.XLSX").headers["Location"]
    assert "Delimiter" not in client.get(page).content.decode(), "a workbook says itself how it is read"
    reread = client.post(page, {"action": "reread", "encoding": "cp1252", "delimiter": ";"})
    assert reread.status_code == 422 and "A workbook says itself how it is read." in reread.content.decode()
    run = ImportRun.unscoped.latest("pk")
    targets = {f"target_{n}": run.options["mapping"][header] for n, header in enumerate(run.options["headers"])}
    client.post(page, {"action": "check", "type_id": world.ours.call.public_id, **targets})
    work(world.ours)
    client.post(f"{BASE}{run.public_id}/", {"action": "start"})
    assert work(world.ours).counts == {"create": 1}
    with scope(world.ours.organization):
        made = Activity.objects.get(external_id="7")
        assert made.values[str(world.ours.use("Users").field.id)] == "12" and made.lead.name == "Acme"


def test_what_is_too_large_falls_away_while_it_arrives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (files, receiving, uploading):
        monkeypatch.setattr(module, "MAX_BYTES", 200_000)
    kept = []
    handler = receiving.BoundedUploadHandler.receive_data_chunk
    monkeypatch.setattr(
        receiving.BoundedUploadHandler, "receive_data_chunk",
        lambda self, chunk, start: kept.append(handler(self, chunk, start)) or kept[-1],
    )  # fmt: skip
    answer = upload(signed_in(world.ours.admin), b"a,b\n" * 1_000_000)
    assert answer.status_code == 422 and "The file is larger than" in answer.content.decode()
    assert sum(map(len, filter(None, kept))) < 300_000 and kept[-1] is None
    assert not ImportRun.unscoped.exists()


def test_many_uploads_at_once_leave_room_for_others(world: World) -> None:
    ours, theirs = world.ours.organization.pk, world.theirs.organization.pk
    client = signed_in(world.ours.admin)
    told = "Other files are being read just now. Try again in a moment."
    with uploading._turn(ours), uploading._turn(ours):
        answer = upload(client, TEXT.encode())
        assert answer.status_code == 409 and told in answer.content.decode()
        with uploading._turn(theirs), pytest.raises(Conflict, match=told):
            uploading._turn(theirs).__enter__()
    assert not ImportRun.unscoped.exists()
    assert upload(client, TEXT.encode()).status_code == 302
    assert upload(client, b"").status_code != 409, "a refused file gives its turn back"
    assert upload(client, TEXT.encode()).status_code == 302 and not uploading._reading.total()


def test_a_mapping_that_cannot_work_comes_back_with_sentences(world: World) -> None:
    client = signed_in(world.ours.admin)
    page = upload(client, TEXT.encode())
    answer = client.post(page.headers["Location"], {"action": "check"})
    assert answer.status_code == 422
    assert "Choose an activity type for the file, or map a column to it." in answer.content.decode()


def test_an_export_streams_every_row_and_leads_too(world: World) -> None:
    client = signed_in(world.ours.superuser)
    text = b"".join(client.get(f"{BASE}export/{world.ours.call.public_id}.csv").streaming_content).decode()
    assert text.startswith("\ufeffid,activity_type,") and text.count("\r\n") == 4
    assert b"".join(client.get(BASE + "export/leads.csv").streaming_content).count(b"\r\n") == 4


@pytest.mark.parametrize(
    "path", ["export/leads.csv", "export/all.zip", "export/{type}.csv", "{run}/", "{run}/failed.csv"]
)
def test_only_those_who_may_get_in(world: World, path: str) -> None:
    upload(signed_in(world.ours.admin), TEXT.encode())
    run = ImportRun.unscoped.latest("pk")
    url = BASE + path.format(type=world.ours.call.public_id, run=run.public_id)
    assert Client().get(url).status_code == 302
    for member in (world.ours.user, world.ours.restricted):
        assert signed_in(member).get(url).status_code == 403
    assert signed_in(world.theirs.admin).get(url).status_code == 404
    assert signed_in(world.theirs.admin).get(url.replace("/ours/", "/theirs/")).status_code == (
        404 if "{" in path else 200
    )


def test_pages_cost_the_same_queries_however_much_they_list(world: World, django_assert_num_queries: Any) -> None:
    client = signed_in(world.ours.admin)
    upload(client, TEXT.encode())
    first = ImportRun.unscoped.latest("pk")
    client.get(BASE)
    home, matching, result = 7, 7, 9
    with django_assert_num_queries(home):
        client.get(BASE)
    for number in range(3):
        upload(client, TEXT.replace("p-", f"q{number}-").encode())
    run = ImportRun.unscoped.latest("pk")
    with django_assert_num_queries(home):
        client.get(BASE)
    for one in (first, run):
        with django_assert_num_queries(matching):
            client.get(f"{BASE}{one.public_id}/map/")
    # Rows that are about records name them: one statement more than rows that are about none yet.
    for one, rows, checked in ((first, TEXT, 8), (run, TEXT + "Qualifying call,Acme,p-9,5\n" * 3, 9)):
        page = upload(client, rows.encode())
        one = ImportRun.unscoped.latest("pk")
        targets = {f"target_{n}": one.options["mapping"][header] for n, header in enumerate(one.options["headers"])}
        checking = client.post(page.headers["Location"], {"action": "check", **targets}).headers["Location"]
        work(world.ours)
        with django_assert_num_queries(checked):
            client.get(checking)
        client.post(f"{BASE}{one.public_id}/", {"action": "start"})
        work(world.ours)
        with django_assert_num_queries(result):
            client.get(f"{BASE}{one.public_id}/")
