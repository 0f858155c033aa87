"""Deeply nested searches: SQLite's parser has an end, and says so in a sentence instead of an error of the server."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from crm import ids
from crm.errors import InvalidInput
from crm.models import Event
from crm.tenancy import scope
from leads.models import BulkAction, Lead
from leads.search.language import parse
from leads.search.run import count, run
from leads.tasks import run_bulk_action
from tests.api.conftest import Api
from tests.factories import World
from tests.leads.test_pages import signed_in

CUSTOM = "activity.custom_activity"


SENTENCE = "nested too deeply for SQLite"


def nested(levels: int) -> dict[str, Any]:
    """Return leads with an activity of a lead with an activity … `levels` times there and back, the last with a call."""
    found: dict[str, Any] = {
        "type": "field_condition", "field": {"type": "regular_field", "object_type": "lead", "field_name": "last_call_duration"},
        "condition": {"type": "number_range", "gt": 2},
    }  # fmt: skip
    for _ in range(levels):
        for this, other in ((CUSTOM, "lead"), ("lead", CUSTOM)):
            found = {
                "type": "has_related",
                "this_object_type": this,
                "related_object_type": other,
                "related_query": found,
            }
    return found


def test_six_blocks_in_each_other_are_answered(world: World) -> None:
    api = Api(world.ours.admin)
    lead = world.ours.leads[0].public_id
    api.post("activity/call/", {"lead_id": lead, "duration": 60})
    for levels in (0, 1, 2, 3):
        assert [row["id"] for row in api.post("data/search/", {"query": nested(levels)})["data"]] == [lead], levels


@pytest.mark.sqlite
def test_what_sqlite_cannot_read_is_said(world: World) -> None:
    refused = Api(world.ours.admin).post("data/search/", {"query": nested(5)}, status=400)
    assert SENTENCE in str(refused)
    with scope(world.ours.organization):
        query = parse(nested(5), world.ours.admin)
        for ask in (run, count):
            with pytest.raises(InvalidInput, match="Take out a level"):
                ask(world.ours.admin, query)


def test_deeper_than_any_database_goes(world: World) -> None:
    with scope(world.ours.organization), pytest.raises(InvalidInput, match="more than 12 levels"):
        parse(nested(7), world.ours.admin)


@pytest.mark.sqlite
def test_a_list_by_a_view_that_sqlite_cannot_read_says_so(world: World) -> None:
    api = Api(world.ours.admin)
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, nested(4)]}
    view = api.post("saved_search/", {"name": "Deep", "s_query": {"query": tree}})["id"]
    assert SENTENCE in str(api.get(f"lead/?saved_search_id={view}", status=400))


@pytest.mark.sqlite
def test_ticked_rows_of_a_list_that_sqlite_cannot_read_say_so(world: World) -> None:
    """The list itself can be read: with the rows' ids around it, it cannot."""
    lead = world.ours.leads[0].public_id
    query = urlencode({"query": json.dumps(nested(2))})
    page = signed_in(world.ours.admin).get(f"/o/ours/leads/?{query}")
    assert page.status_code == 200
    for kind in ("edit", "delete"):
        page = signed_in(world.ours.admin).get(f"/o/ours/search/lead/bulk/{kind}/?{query}&id={lead}")
        assert page.status_code == 422 and SENTENCE in page.content.decode(), kind


@pytest.mark.sqlite
def test_a_job_that_sqlite_cannot_do_ends_and_says_why(world: World) -> None:
    actor, api = world.ours.admin, Api(world.ours.admin)
    before = Lead.unscoped.count()
    with scope(world.ours.organization):
        bulk = BulkAction.objects.create(
            organization=actor.organization, membership=actor, kind="delete", lists="lead", query=nested(5), n_objects=1
        )
        run_bulk_action(bulk.pk)
    shown = api.get(f"bulk_action/delete/{bulk.public_id}/")
    assert shown["status"] == "error" and SENTENCE in shown["message"]
    assert Lead.unscoped.count() == before


@pytest.mark.sqlite
@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_that_sqlite_cannot_read_says_so_instead_of_an_empty_file(world: World, form: str) -> None:
    api = Api(world.ours.admin)
    whole = api.post("export/lead/", {"format": form, "type": "leads", "s_query": {"query": nested(1)}})
    with scope(world.ours.organization):
        event = Event.objects.get(pk=ids.decode("exp", whole["id"]))
        event.after = {**(event.after or {}), "tree": nested(5)}
        event.save(update_fields=["after"])
    refused = api.client.get(whole["download_url"][whole["download_url"].index("/api/") :])
    assert refused.status_code == 400 and SENTENCE in refused.json()["error"]
