"""Imports and exports by API key: multipart in, polled, failed rows, undo; and who gets in."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pytest

from activities import imports
from activities.models import Activity
from crm.models import Event, ImportRun
from crm.tenancy import scope
from leads.models import Lead
from tests.api.conftest import Api
from tests.factories import World

TEXT = "Company,When,Users,Nr\nAcme,2024-01-31T14:30,5,a-1\nNobody,,7,a-2\nBluth,,many,a-3\n"
MAPPING = {"Company": "lead_name", "When": "date_created", "Nr": "external_id"}


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def api(world: World) -> Api:
    return Api(world.ours.admin)


def send(
    api: Api, text: str = TEXT, target: str = "activities", status: int = 201, name: str = "calls.csv", **options: Any
) -> Any:
    file = io.BytesIO(text.encode())
    file.name = name
    answer = api.client.post(f"/api/v1/import/{target}/", {"file": file, **options})
    assert answer.status_code == status, answer.content.decode()
    return answer.json()


def work(world: World) -> None:
    run = ImportRun.unscoped.latest("pk")
    (imports.undo_work if "undo_by" in run.options else imports.work)(run.organization_id, run.pk)


def test_a_file_goes_in_is_polled_and_is_undone(world: World, api: Api) -> None:
    kind = world.ours.call.public_id
    mapping = json.dumps(MAPPING | {"Users": f"custom.{world.ours.fields['Users']}"})
    run = send(api, type_id=kind, mapping=mapping)
    assert run["status"] == "running" and run["rows_total"] == 3
    work(world)
    run = api.get(f"import/{run['id']}/")
    assert run["status"] == "done" and run["counts"] == {"create": 1, "update": 0, "skip": 0, "error": 2}
    (event,) = api.get("event/?object_type=import&action=completed")["data"]
    assert (event["object_id"], event["data"]["state"], event["previous_data"]) == (
        run["id"],
        "done",
        {"state": "running"},
    )
    with scope(world.ours.organization):
        made = Activity.objects.get(external_id="a-1")
        assert made.created_by_id == world.ours.admin.user_id and made.date_created.isoformat().startswith("2024-01-31")
    errors = api.get(f"import/{run['id']}/rows/?verdict=error")
    assert [row["row"] for row in errors["data"]] == [3, 4] and "There is no lead “Nobody”." in errors["data"][0][
        "error"
    ]
    made_row = api.get(f"import/{run['id']}/rows/?_limit=1")
    assert made_row["data"][0]["object_id"] == made.public_id and made_row["has_more"]
    answer = api.client.get(f"/api/v1/import/{run['id']}/failed_rows/")
    failed = b"".join(answer.streaming_content).decode()
    assert failed.startswith("\ufeffCompany,When,Users,Nr,error") and "a-2" in failed and "a-1" not in failed
    undone = api.delete(f"import/{run['id']}/")
    assert undone["status"] == "undoing"
    work(world)
    assert api.get(f"import/{run['id']}/")["status"] == "undone"
    with scope(world.ours.organization):
        assert not Activity.objects.filter(external_id="a-1").exists()
    assert [row["id"] for row in api.get("import/")["data"]] == [run["id"]]


def test_a_dry_run_writes_nothing_and_can_be_run_then(world: World, api: Api) -> None:
    run = send(
        api,
        type_id=world.ours.call.public_id,
        mapping=json.dumps(MAPPING | {"Users": ""}),
        dry_run="true",
        create_leads="true",
    )
    assert run["status"] == "checking" and run["dry_run"]
    work(world)
    assert api.get(f"import/{run['id']}/")["status"] == "checked"
    with scope(world.ours.organization):
        assert not Lead.objects.filter(name="Nobody").exists()
    assert api.post(f"import/{run['id']}/run/", {})["status"] == "running"
    assert api.post(f"import/{run['id']}/pause/", {})["status"] == "paused"
    assert api.post(f"import/{run['id']}/resume/", {})["status"] == "running"
    work(world)
    assert api.get(f"import/{run['id']}/")["counts"]["create"] == 3
    api.post(f"import/{run['id']}/cancel/", {}, status=409)
    api.post(f"import/{run['id']}/burn/", {}, status=400)


def test_a_column_that_is_only_like_another_is_left_out_and_told(world: World, api: Api) -> None:
    text = "custom_activity_type,lead_name,Pined,Date_Created\nQualifying call,Acme,yes,2024-01-31\n"
    run = send(api, text)
    assert (run["mapping"]["Pined"], run["mapping"]["Date_Created"]) == ("", "date_created")
    assert run["notes"] == ["“Pined”: did you mean “pinned”? It is left out."]
    assert send(api, text, mapping=json.dumps({"Pined": ""}))["notes"] == [], "it was left out on purpose"
    assert send(api, text, mapping=json.dumps({"Pined": "pinned"}))["notes"] == []


def test_leads_go_in(world: World, api: Api) -> None:
    run = send(api, "name,contact_email\nDelta,a@delta.example\nDelta,b@delta.example\n", "leads")
    work(world)
    assert api.get(f"import/{run['id']}/")["counts"] == {"create": 1, "update": 1, "skip": 0, "error": 0}
    lead = api.get("lead/?query=name:Delta&_fields=id")["data"][0]["id"]
    entries = api.get(f"activity/created/?lead_id={lead}")["data"]
    assert [(row["source"], row["import_id"]) for row in entries] == [("import", run["id"])]
    assert api.get(f"activity/created/{entries[0]['id']}/")["import_id"] == run["id"]
    by_hand = api.post("lead/", {"name": "Echo"})["id"]
    assert api.get(f"activity/created/?lead_id={by_hand}")["data"][0]["import_id"] is None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"mapping": "{"}, "mapping"),
        ({"mapping": '{"Nope": "lead_name"}'}, "mapping"),
        ({"mapping": '{"Company": "organization"}'}, "Company"),
        ({"zone": "Mars"}, "zone"),
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"owner": "x"}, "owner"),
        ({}, "type_id"),
    ],
)
def test_what_cannot_be_read_is_named(world: World, api: Api, options: dict[str, str], key: str) -> None:
    answer = send(api, status=400, **options)
    assert key in answer["field-errors"], answer


def test_a_bad_file_has_its_sentence(api: Api) -> None:
    assert (
        send(api, "", status=400)["error"]
        == "The file is empty. Choose a file with a header line and at least one row."
    )
    answer = api.client.post("/api/v1/import/activities/", {})
    assert answer.status_code == 400 and "multipart" in answer.json()["error"]
    assert not ImportRun.unscoped.exists()


def test_who_may_not_leaves_nothing(world: World) -> None:
    for member in (world.ours.user, world.ours.restricted):
        send(Api(member), status=403)
    send(Api(world.ours.admin, read_only=True), status=403)
    assert (
        Api(world.ours.admin).client.post("/api/v1/import/activities/", headers={"Authorization": ""}).status_code
        == 401
    )
    assert not ImportRun.unscoped.exists()
    run = send(Api(world.ours.admin), type_id=world.ours.call.public_id, mapping=json.dumps(MAPPING))
    for path in ("", "rows/", "failed_rows/"):
        Api(world.theirs.admin).get(f"import/{run['id']}/{path}", status=404)
        Api(world.ours.superuser).get(f"import/{run['id']}/{path}", status=404)
    Api(world.theirs.admin).delete(f"import/{run['id']}/", status=404)
    assert ImportRun.unscoped.get().state == "running"


# --- exports --------------------------------------------------------------------------------------------------------------
def fetch(api: Api, export: dict[str, Any], status: int = 200) -> bytes:
    answer = api.client.get("/" + export["download_url"].split("/", 3)[3], headers={"Authorization": ""})
    assert answer.status_code == status
    if not answer.streaming:
        return answer.content
    content = b"".join(answer.streaming_content)
    return gzip.decompress(content) if answer.headers.get("Content-Encoding") == "gzip" else content


def test_activities_come_out_by_type_or_all(world: World, api: Api) -> None:
    export = api.post("export/activities/", {"type": world.ours.call.public_id})
    assert export["status"] == "done" and export["n_docs"] == 3
    again = api.get(f"export/{export['id']}/")
    text = fetch(api, again).decode()
    assert text.startswith("\ufeffid,activity_type,") and text.count("\r\n") == 4
    whole = api.post("export/activities/", {})
    names = zipfile.ZipFile(io.BytesIO(fetch(api, whole))).namelist()
    assert "qualifying-call.csv" in names and "leads.csv" in names
    assert [row["id"] for row in api.get("export/")["data"]] == [whole["id"], export["id"]]


def test_types_whose_names_make_one_file_name_have_two_files(world: World, api: Api) -> None:
    for name in ("Leads", "日本", "東京"):
        api.post("custom_activity/", {"name": name}, status=201)
    names = zipfile.ZipFile(io.BytesIO(fetch(api, api.post("export/activities/", {})))).namelist()
    assert len(names) == len(set(names))
    assert {"leads.csv", "leads-2.csv", "activities.csv", "activities-2.csv"} <= set(names)


def test_leads_come_out_as_close_asks(world: World, api: Api) -> None:
    search = {"query": {"type": "and", "queries": [
        {"type": "object_type", "object_type": "lead"},
        {"type": "field_condition", "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"},
         "condition": {"type": "text", "mode": "phrase", "value": "Acme"}}]}}  # fmt: skip
    export = api.post(
        "export/lead/", {"format": "json", "type": "leads", "s_query": search, "include_activities": True}
    )
    found = json.loads(fetch(api, export))
    assert export["n_docs"] == 1 and [row["name"] for row in found] == ["Acme"] and len(found[0]["activities"]) == 1
    export = api.post("export/lead/", {"format": "csv", "query": "name:Bluth", "fields": ["id", "name"]})
    assert fetch(api, export).decode().splitlines()[1:] == [f"{world.ours.leads[1].public_id},Bluth"]
    export = api.post("export/lead/", {"format": "json", "results_limit": 2, "fields": ["name"]})
    assert json.loads(fetch(api, export)) == [{"name": "Acme"}, {"name": "Bluth"}]
    api.post("activity/call/", {"lead_id": world.ours.leads[0].public_id})
    export = api.post("export/lead/", {"format": "json", "query": "name:Acme", "fields": ["name", "num_calls"]})
    assert json.loads(fetch(api, export)) == [{"name": "Acme", "num_calls": 1}]
    export = api.post("export/lead/", {"format": "json", "query": "name:Acme", "include_smart_fields": True})
    (whole,) = json.loads(fetch(api, export))
    assert (whole["num_calls"], whole["num_notes"], whole["name"]) == (1, 0, "Acme")
    assert "format" in api.post("export/lead/", {"format": "pdf"}, status=400)["field-errors"]


def test_what_an_export_cannot_do_is_refused_when_it_is_asked_for(api: Api) -> None:
    tree = {"type": "match_all"}
    order = {"type": "regular_field", "object_type": "lead", "field_name": "last_communication_date"}
    known = {**order, "field_name": "name"}
    sort = [{"direction": "desc", "field": order}]
    for refused in ({"query": tree, "sort": sort}, {"query": {}}, {"sort": sort}):
        before = Event.unscoped.count()
        assert api.post("export/lead/", {"format": "json", "s_query": refused}, status=400)["field-errors"], refused
        assert Event.unscoped.count() == before
    for sort, first in ((5, "Acme"), ([{"field": 5}], "Acme"), ([{"direction": "desc", "field": known}], "Cyberdyne")):
        export = api.post(
            "export/lead/", {"format": "json", "s_query": {"query": tree, "sort": sort}, "fields": ["name"]}
        )
        assert json.loads(fetch(api, export))[0] == {"name": first}


def test_files_are_compressed_whatever_the_client_says(world: World, api: Api) -> None:
    """As Close's are: its clients unpack them, or have their library do it."""
    for path, body, kind in (
        ("export/lead/", {"format": "csv"}, "text/csv; charset=utf-8"),
        ("export/lead/", {"format": "json"}, "application/json"),
        ("export/activities/", {"type": world.ours.call.public_id}, "text/csv; charset=utf-8"),
    ):
        export = api.post(path, body)
        answer = api.client.get("/" + export["download_url"].split("/", 3)[3], headers={"Accept-Encoding": "identity"})
        assert (answer.headers["Content-Encoding"], answer.headers["Content-Type"]) == ("gzip", kind)
        assert gzip.decompress(b"".join(answer.streaming_content))


def test_opportunities_come_out_as_none(api: Api, world: World) -> None:
    export = api.post("export/opportunity/", {"format": "csv", "fields": ["id", "=value"], "send_done_email": False})
    assert (export["status"], export["n_docs"], api.get(f"export/{export['id']}/")["id"]) == ("done", 0, export["id"])
    assert fetch(api, export).decode() == "id,'=value\r\n"
    assert json.loads(fetch(api, api.post("export/opportunity/", {"format": "json"}))) == []
    assert "format" in api.post("export/opportunity/", {"format": "pdf"}, status=400)["field-errors"]
    Api(world.ours.user).post("export/opportunity/", {}, status=403)


def test_an_export_is_for_who_may_and_only_while_they_may(world: World, api: Api) -> None:
    Api(world.ours.user).post("export/activities/", {}, status=403)
    assert not Event.unscoped.filter(object_type="export").exists()
    export = api.post("export/activities/", {"type": world.ours.call.public_id})
    Api(world.theirs.admin).get(f"export/{export['id']}/", status=404)
    Api(world.ours.superuser).get(f"export/{export['id']}/", status=404)
    fetch(api, export | {"download_url": export["download_url"][:-5] + "abcd/"}, status=404)
    world.ours.admin.role = world.ours.user.role
    world.ours.admin.save(update_fields=["role"])
    fetch(api, export, status=403)
