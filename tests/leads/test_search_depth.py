"""Deeply nested searches: SQLite's parser has an end, and says so in a sentence instead of an error of the server."""

from __future__ import annotations

from typing import Any

import pytest

from crm.errors import InvalidInput
from crm.tenancy import scope
from leads.search.language import parse
from leads.search.run import count, run
from tests.api.conftest import Api
from tests.factories import World

CUSTOM = "activity.custom_activity"


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
    assert "nested too deeply for SQLite" in str(refused)
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
    assert "nested too deeply for SQLite" in str(api.get(f"lead/?saved_search_id={view}", status=400))
