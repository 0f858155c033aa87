"""`/saved_search/` and `/bulk_action/` (`spec/api.md` 2.17, 2.21)."""

from __future__ import annotations

from typing import Any

import pytest

from crm import ids
from crm.models import Team
from crm.tenancy import scope
from leads.models import BulkAction, Lead, LeadStatus
from leads.tasks import run_bulk_action
from tests.api.conftest import Api
from tests.factories import World
from tests.leads.test_pages import signed_in

LEADS = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}


def test_a_view_is_saved_listed_changed_and_deleted(api: Api, world: World) -> None:
    with scope(world.ours.organization):
        team = Team.objects.create(organization=world.ours.organization, name="Sales").public_id
    sort = [{"direction": "desc", "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"}}]
    made = api.post("saved_search/", {
        "name": "All", "s_query": {"query": LEADS, "sort": sort}, "is_shared": False, "shared_with": [team], "selected_fields": ["name", "url"],
    })  # fmt: skip
    assert made["s_query"] == {"query": LEADS, "results_limit": None, "sort": sort}
    assert (made["shared_with"], made["selected_fields"], made["type"]) == ([team], ["name", "url"], "lead")
    calls = {
        "name": "Calls",
        "type": "call",
        "s_query": {"query": {"type": "object_type", "object_type": "activity.call"}},
    }
    assert api.post("saved_search/", calls)["type"] == "call"
    assert [row["name"] for row in api.get("saved_search/")["data"]] == ["All"]
    assert [row["name"] for row in api.get("saved_search/?type__in=call,lead")["data"]] == ["All", "Calls"]
    changed = api.put(f"saved_search/{made['id']}/", {"name": "Everybody", "is_shared": True, "shared_with": []})
    assert (changed["name"], changed["is_shared"], changed["shared_with"]) == ("Everybody", True, [])
    assert changed["s_query"] == made["s_query"]
    legacy = api.post("saved_search/", {"name": "Old", "query": 'name:"Acme" sort:-updated'})
    assert api.get(f"lead/?saved_search_id={legacy['id']}")["data"][0]["name"] == "Acme"
    for wrong in ({"name": "x"}, {"s_query": {"query": LEADS}}, {"name": "x", "type": "opportunity", "s_query": {"query": LEADS}},
                  {"name": "x", "s_query": {"query": {"type": "rainbow"}}}, {"name": "x", "shared_with": ["nobody"], "s_query": {"query": LEADS}}):  # fmt: skip
        assert "error" in api.post("saved_search/", wrong, status=400) or api.last.status_code == 400
    assert api.delete(f"saved_search/{made['id']}/") == {}
    api.get(f"saved_search/{made['id']}/", status=404)


def finish(world: World, public_id: str) -> None:
    with scope(world.ours.organization):
        run_bulk_action(ids.decode(public_id.partition("_")[0], public_id))


def test_a_bulk_edit_runs_and_is_polled(api: Api, world: World) -> None:
    with scope(world.ours.organization):
        second = LeadStatus.objects.order_by("position")[1]
    made = api.post(
        "bulk_action/edit/", {"s_query": {"query": LEADS}, "type": "set_lead_status", "lead_status_id": second.public_id}
    )  # fmt: skip
    assert (made["status"], made["n_objects"], made["n_leads"]) == ("created", 3, 3)
    finish(world, made["id"])
    done = api.get(f"bulk_action/edit/{made['id']}/")
    assert (done["status"], done["n_objects_processed"], done["type"]) == ("done", 3, "set_lead_status")
    assert api.get("bulk_action/edit/")["data"][0]["id"] == made["id"] and api.get("bulk_action/delete/")["data"] == []
    with scope(world.ours.organization):
        assert Lead.objects.filter(status=second).count() == 3


def test_fields_of_activities_change_through_their_leads(api: Api, world: World) -> None:
    body = {
        "query": 'name:"Acme"',
        "type": "set_activity_custom_field",
        "custom_field_id": world.ours.fields["CRM"],
        "custom_field_value": "None",
    }
    made = api.post("bulk_action/edit/", body)
    finish(world, made["id"])
    assert api.get(f"bulk_action/edit/{made['id']}/")["n_objects_changed"] == 1


def test_a_bulk_delete_takes_what_the_limit_says(api: Api, world: World) -> None:
    made = api.post(
        "bulk_action/delete/", {"s_query": {"query": LEADS, "results_limit": 1}, "bulk_object_type": "lead"}
    )
    finish(world, made["id"])
    assert api.get(f"bulk_action/delete/{made['id']}/")["status"] == "done"
    with scope(world.ours.organization):
        assert list(Lead.objects.order_by("name").values_list("name", flat=True)) == ["Bluth", "Cyberdyne"]
    with scope(world.theirs.organization):
        assert Lead.objects.count() == 3


@pytest.mark.parametrize("body", [
    {}, {"s_query": {"query": {"type": "nonsense"}}}, {"s_query": {"query": LEADS}, "type": "set_moon"},
    {"s_query": {"query": LEADS}, "type": "set_lead_status", "lead_status_id": "stat_no"},
    {"s_query": {"query": LEADS}, "type": "set_custom_field", "custom_field_id": "cf_no", "custom_field_value": 1},
    {"s_query": {"query": LEADS}, "type": "set_lead_status", "results_limit": -1},
])  # fmt: skip
def test_bodies_that_cannot_be_done_write_nothing(api: Api, world: World, body: dict[str, Any]) -> None:
    api.post("bulk_action/edit/", body, status=400)
    with scope(world.ours.organization):
        assert not BulkAction.objects.exists()


def test_members_pin_their_views_and_those_who_manage_pin_for_others(api: Api, user_api: Api, world: World) -> None:
    one, two = (api.post("saved_search/", {"name": name, "s_query": {"query": LEADS}})["id"] for name in "AB")
    mine = f"membership/{world.ours.admin.public_id}/pinned_views/"
    assert api.put(mine, {"saved_view_ids": [two, one]}) == {"saved_view_ids": [two, one]} == api.get(mine)
    named = api.put(mine, {"saved_view_ids": [one, "save_x"]}, status=400)
    assert list(named["field-errors"]) == ["saved_view_ids"]
    user_api.put(mine, {"saved_view_ids": []}, status=403)
    user_api.get(mine, status=403)
    assert api.get(mine)["saved_view_ids"] == [two, one]
    theirs = f"membership/{world.ours.user.public_id}/pinned_views/"
    # A private view of another's cannot be pinned by one who may not open it.
    api.put(theirs, {"saved_view_ids": [one]}, status=400)
    api.put(f"saved_search/{one}/", {"is_shared": True})
    assert api.put(theirs, {"saved_view_ids": [one]}) == user_api.get(theirs)
    api.get(f"membership/{world.theirs.user.public_id}/pinned_views/", status=404)


def test_a_view_whose_order_only_close_has_opens_in_the_usual_one(api: Api, world: World) -> None:
    order = {"type": "regular_field", "object_type": "lead", "field_name": "last_communication_date"}
    search = {"query": LEADS, "sort": [{"direction": "asc", "field": order}]}
    made = api.post("saved_search/", {"name": "Oldest first", "s_query": search})
    assert made["s_query"]["sort"] == []
    assert api.put(f"saved_search/{made['id']}/", {"s_query": search})["s_query"]["sort"] == []
    page = signed_in(world.ours.admin).get(f"/o/ours/leads/?view={made['id']}")
    assert page.status_code == 200 and "Acme" in page.content.decode()
    assert "cannot be sorted by" in api.post("data/search/", {**search}, status=400)["error"]
