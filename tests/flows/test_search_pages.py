"""The lists of leads, contacts and activities, their Smart Views and CSV, through the browser's requests."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from activities.models import Activity
from activities.services.activities import log_activity
from crm import events
from crm.customfields.services import create_field
from crm.models import FieldSet, Membership, Team
from crm.tenancy import scope
from leads.models import SmartView
from leads.services import delete_lead, update_lead
from leads.services.smart_views import save_smart_view
from leads.services.statuses import create_status
from leads.views.state import encode_query
from tests.factories import PASSWORD, Tenant, World

MORE = 4 if connection.vendor == "postgresql" else 0  # a time limit per search
LIST_QUERIES = {"leads:list": 11 + MORE, "leads:contacts": 10 + MORE, "activities:list": 11 + MORE}


def client_of(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def at(tenant: Tenant, name: str, *args: str) -> str:
    return reverse(name, args=[tenant.organization.slug, *args])


def names(response: Any) -> list[str]:
    return [row.name for row in response.context["rows"]]


def users_above(tenant: Tenant, number: str, **more: Any) -> dict[str, Any]:
    of = "activity.custom_activity"
    kind = {"type": "field_condition", "field": {"type": "regular_field", "object_type": of, "field_name": "custom_activity_type_id"},
            "condition": {"type": "term", "values": [tenant.type_row.public_id]}}  # fmt: skip
    users = {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": tenant.fields["Users"]},
             "condition": {"type": "number_range", "gt": number}}  # fmt: skip
    block = {"type": "has_related", "this_object_type": "lead", "related_object_type": of,
             "related_query": {"type": "and", "queries": [kind, users]}, **more}  # fmt: skip
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, block]}


# --- the lists --------------------------------------------------------------------------------------------------------
def test_the_list_holds_our_leads_only_and_sorts(world: World) -> None:
    client, address = client_of(world.ours), at(world.ours, "leads:list")
    response = client.get(address)
    assert names(response) == ["Acme", "Bluth", "Cyberdyne"] and response.context["total"] == 3
    assert names(client.get(address, {"sort": "-name"})) == ["Cyberdyne", "Bluth", "Acme"]
    assert names(client.get(address, {"q": "blu"})) == ["Bluth"]
    assert names(client.get(address, {"q": "hello@acme.example"})) == ["Acme"]
    assert "Nothing fits" in client.get(address, {"q": "nobody"}).content.decode()


def test_names_are_text_wherever_a_list_shows_them(world: World) -> None:
    hostile = "\"'><script>alert(1)</script>"
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        owner = FieldSet.objects.get(owner="lead")
        field = create_field(ours.admin, owner, name=hostile, kind="choices", options=[hostile])
        update_lead(ours.admin, ours.leads[0], {"name": hostile, "custom": {field.public_id: hostile}})
        create_status(ours.admin, hostile)
        option = field.options.get().public_id
    asked = {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": field.public_id},
             "condition": {"type": "term", "values": [option]}}  # fmt: skip
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, asked]}
    address = {"columns": f"name,{field.public_id}", "query": encode_query(tree)}
    page = client_of(ours).get(at(ours, "leads:list"), address)
    assert names(page) == [hostile]
    assert "<script>alert" not in page.content.decode() and "\"'>" not in page.content.decode()


def test_leads_are_found_by_their_activities(world: World) -> None:
    client, address, ours = client_of(world.ours), at(world.ours, "leads:list"), world.ours
    response = client.get(address, {"query": encode_query(users_above(ours, "25"))})
    assert names(response) == ["Bluth", "Cyberdyne"]
    assert "Users &gt; 25" in response.content.decode()
    assert names(client.get(address, {"query": encode_query(users_above(ours, "25", negate=True))})) == ["Acme"]
    assert names(client.get(address, {"query": encode_query(users_above(ours, "25", count={"gte": 2}))})) == []


def test_contacts_and_activities_are_searched_the_same_way(world: World) -> None:
    ours, client = world.ours, client_of(world.ours)
    assert names(client.get(at(ours, "leads:contacts"), {"q": "acme"})) == ["Contact of Acme"]
    rows = client.get(at(ours, "activities:list"), {"type": ours.type_row.public_id, "sort": ours.fields["Users"]})
    assert rows.context["total"] == 3
    labels = [head.label for head in rows.context["heads"]]
    assert labels == ["Type", "Lead", "Qualified", "CRM", "Users", "Next step", "User", "When"]
    assert [row.cells[1].cell.text for row in rows.context["rows"]] == ["Acme", "Bluth", "Cyberdyne"]
    # A view saved of it lists the same columns.
    data = {
        "lists": "custom_activity",
        "name": "Calls",
        "state": rows.context["state"].query_string(),
        "sharing": "private",
    }
    opened = client.get(client.post(at(ours, "leads:smart_view_save"), data)["Location"])
    assert [head.label for head in opened.context["heads"]] == labels and opened.context["total"] == 3
    empty = client.get(at(ours, "activities:list"), {"type": "actitype_nope"})
    assert empty.context["total"] == 0


def test_activities_of_mine_and_of_who_has_left_are_one_choice(world: World) -> None:
    ours, address = world.ours, at(world.ours, "activities:list")
    with scope(ours.organization):
        rows = Activity.objects.filter(type=ours.type_row, status="published")
        rows.update(user=ours.restricted.user)
        rows.filter(pk=rows[0].pk).update(user=ours.user.user)
    client, kind = client_of(ours, "user"), ours.type_row.public_id
    assert client.get(address, {"user": "me", "type": kind}).context["total"] == 1
    assert client.get(address, {"user": "former", "type": kind}).context["total"] == 0
    with scope(ours.organization):
        Membership.objects.filter(pk=ours.restricted.pk).update(removed_at=timezone.now())
    page = client.get(address, {"user": "former", "type": kind})
    assert page.context["total"] == 2 and "Any former member" in page.content.decode()
    assert "User is a former member" in page.context["sentence"]


@pytest.mark.parametrize("name", list(LIST_QUERIES))
@pytest.mark.parametrize("rows", [1, 3])
def test_the_lists_take_the_same_queries_for_any_number_of_rows(
    world: World, django_assert_num_queries: Any, rows: int, name: str
) -> None:
    ours, client, address = world.ours, client_of(world.ours), at(world.ours, name)
    with scope(ours.organization), events.door("page"):
        for lead in ours.leads[rows:]:
            delete_lead(ours.admin, lead)
    ask = {"type": ours.type_row.public_id} if name == "activities:list" else {}
    client.get(address, ask)
    with django_assert_num_queries(LIST_QUERIES[name]):
        assert len(client.get(address, ask).context["rows"]) == rows


# --- columns ----------------------------------------------------------------------------------------------------------
def test_columns_are_chosen_and_sorted_by_with_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        size = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Size", kind="number")
        owner = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Owner", kind="user")
        update_lead(
            ours.admin, ours.leads[0], {"custom": {size.public_id: "7.5", owner.public_id: ours.user.user.email}}
        )
        update_lead(
            ours.admin, ours.leads[2], {"custom": {size.public_id: "-3", owner.public_id: ours.admin.user.email}}
        )
        log_activity(ours.user, ours.leads[0], ours.call, custom={"Users": "900"})
    kind, users = ours.type_row.public_id, ours.fields["Users"]
    columns = [
        "name",
        size.public_id,
        owner.public_id,
        f"count:{kind}",
        f"last:{kind}:{users}",
        f"last:{kind}:activity_at",
    ]
    client, address = client_of(ours), at(ours, "leads:list")
    page = client.get(address, {"columns": ",".join(columns), "sort": size.public_id})
    assert names(page) == ["Cyberdyne", "Acme", "Bluth"]  # leads without a value come last
    shown = {row.name: [cell.cell.text for cell in row.cells] for row in page.context["rows"]}
    assert shown["Acme"][1:5] == ["7.5", "Uma User", "2", "900"] and shown["Bluth"][1:5] == ["", "", "1", "50"]
    for sort, expected in {
        f"-{size.public_id}": ["Acme", "Cyberdyne", "Bluth"], owner.public_id: ["Cyberdyne", "Acme", "Bluth"],
        f"-count:{kind}": ["Acme"], f"-last:{kind}:{users}": ["Acme", "Cyberdyne", "Bluth"],
        f"last:{kind}:{users}": ["Bluth", "Cyberdyne", "Acme"], f"-last:{kind}:activity_at": ["Acme", "Cyberdyne", "Bluth"],
        "status": ["Acme", "Bluth", "Cyberdyne"], "created_by": ["Acme", "Bluth", "Cyberdyne"],
        "-open_tasks": ["Cyberdyne", "Bluth", "Acme"], "description": ["Acme", "Bluth", "Cyberdyne"],
    }.items():  # fmt: skip
        whole = names(client.get(address, {"columns": ",".join(columns), "sort": sort}))
        assert whole[: len(expected)] == expected, sort
        monkeypatch.setattr("leads.views.search.PAGE", 1)
        page, paged = client.get(address, {"sort": sort}), []
        while True:
            paged += names(page)
            if not page.context["next_url"]:
                break
            page = client.get(page.context["next_url"])
        assert paged == whole, sort
        monkeypatch.undo()
    assert client.get(address, {"sort": "nonsense"}).status_code == 422


def test_a_hidden_field_is_no_column(world: World) -> None:
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        secret = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Secret", kind="number",
                              view_roles=[ours.admin.role_id])  # fmt: skip
        update_lead(ours.admin, ours.leads[0], {"custom": {secret.public_id: "1"}})
    ask = {"columns": f"name,{secret.public_id}", "sort": secret.public_id}
    assert client_of(ours).get(at(ours, "leads:list"), ask).context["heads"][1].label == "Secret"
    refused = client_of(ours, "user").get(at(ours, "leads:list"), ask)
    assert refused.status_code == 422 and "Secret" not in refused.content.decode()


def test_buttons_of_the_columns_panel(world: World) -> None:
    client, address = client_of(world.ours), at(world.ours, "leads:list")
    base = {"r-m": "all", "columns": ["name", "status", "url"]}
    keys = lambda page: [column.key for column in page.context["columns"]]  # noqa: E731
    assert keys(client.get(address, {**base, "do": "column-left:url"})) == ["name", "url", "status"]
    assert keys(client.get(address, {**base, "do": "column-remove:status"})) == ["name", "url"]
    assert keys(client.get(address, {**base, "do": "column-add:", "column": "email"})) == [
        "name",
        "status",
        "url",
        "email",
    ]
    assert client.get(address, {**base, "default-columns": "name,status,url"}).context["state"].columns == []


def test_the_csv_has_the_chosen_columns_and_only_what_was_found(world: World) -> None:
    ours = world.ours
    with scope(ours.organization), events.door("page"):
        update_lead(ours.admin, ours.leads[1], {"name": "=1+1 Bluth"})
    ask = {"columns": "name,contacts", "query": encode_query(users_above(ours, "25")), "sort": "-name"}
    address = at(ours, "leads:export", "lead")
    response = client_of(ours).get(address, ask)
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == [["Lead", "Contacts"], ["Cyberdyne", "1"], ["'=1+1 Bluth", "1"]]
    assert client_of(ours, "user").get(address, ask).status_code == 403
    assert client_of(world.theirs).get(address).status_code == 404
    activities = client_of(ours).get(at(ours, "leads:export", "custom_activity"), {"type": ours.type_row.public_id})
    assert b"".join(activities.streaming_content).decode().count("\n") == 4


# --- Smart Views ------------------------------------------------------------------------------------------------------
def test_a_search_is_saved_opened_changed_and_deleted(world: World) -> None:
    ours, client = world.ours, client_of(world.ours)
    page = client.get(
        at(ours, "leads:list"), {"query": encode_query(users_above(ours, "25")), "q": "b", "columns": "name,url"}
    )
    saved = client.post(at(ours, "leads:smart_view_save"), {
        "lists": "lead", "name": "Big", "description": "Many users", "state": page.context["state"].query_string(), "sharing": "all",
    })  # fmt: skip
    with scope(ours.organization):
        view = SmartView.objects.get()
    assert (view.text, view.columns, view.shared) == ("b", ["name", "url"], True)
    opened = client.get(saved["Location"])
    assert names(opened) == names(page) and not opened.context["view_is_changed"]
    changed = client.get(at(ours, "leads:list"), {**opened.context["state"].parameters(), "q": "blu"})
    assert changed.context["view_is_changed"]
    client.post(at(ours, "leads:smart_view_update", view.public_id), {"state": changed.context["state"].query_string()})
    client.post(
        at(ours, "leads:smart_view_edit", view.public_id), {"name": "Bigger", "description": "", "sharing": "private"}
    )
    view.refresh_from_db()
    assert (view.text, view.name, view.shared, view.query["type"]) == ("blu", "Bigger", False, "and")
    assert client.post(at(ours, "leads:smart_view_edit", view.public_id), {"name": " "}).status_code == 422
    client.post(at(ours, "leads:smart_view_duplicate", view.public_id))
    with scope(ours.organization):
        assert sorted(SmartView.objects.values_list("name", flat=True)) == ["Bigger", "Bigger (copy)"]
    client.post(at(ours, "leads:smart_view_delete", view.public_id))
    assert client.get(at(ours, "leads:smart_view", view.public_id)).status_code == 404


def test_views_are_pinned_ordered_and_counted(world: World) -> None:
    ours, client = world.ours, client_of(world.ours)
    with scope(ours.organization):
        views = [
            save_smart_view(ours.admin, name=name, query=users_above(ours, n)) for name, n in (("A", "25"), ("B", "60"))
        ]
    one, two = (view.public_id for view in views)
    assert client.get(at(ours, "leads:smart_view_count", one)).content == b"2"
    client.post(at(ours, "leads:smart_view_order"), {"order": [two, one]})
    sidebar = client.get(at(ours, "leads:smart_views")).content.decode()
    assert sidebar.index(">B<") < sidebar.index(">A<") and "aria-current" not in sidebar
    for page, current in (
        (at(ours, "leads:list") + f"?view={one}&sort=name", 1),
        (at(ours, "leads:list"), 0),
        (at(ours, "reporting:overview") + f"?view={one}", 0),  # limits the report, and is not open
        ("::?", 0),
        ("[", 0),
    ):
        opened = client.get(
            at(ours, "leads:smart_views"), headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}
        )
        assert opened.content.decode().count(f'?view={one}" aria-current="page"') == current
    client.post(at(ours, "leads:smart_view_order"), {"move": f"up:{one}"})
    client.post(at(ours, "leads:smart_view_pin", two))
    assert Membership.unscoped.get(pk=ours.admin.pk).pinned_views == [one]
    with scope(ours.organization):
        save_smart_view(ours.admin, name="C", query=users_above(ours, "25"), text="blu")
    listed = client.get(at(ours, "leads:smart_view_list")).content.decode()
    assert "where Users &gt; 25, with “blu” in the words" in listed


def test_views_are_seen_by_whom_they_are_shared_with(world: World) -> None:
    ours = world.ours
    with scope(ours.organization):
        team = Team.objects.create(organization=ours.organization, name="Sales")
        team.members.add(ours.user.user)
        private = save_smart_view(ours.admin, name="Private", query=users_above(ours, "1"))
        shared = save_smart_view(ours.admin, name="Teams", query=users_above(ours, "1"), teams=[team.pk])
    address = at(ours, "leads:smart_view", shared.public_id)
    assert client_of(ours, "user").get(address).status_code == 302
    assert client_of(ours, "restricted").get(address).status_code == 404
    assert client_of(ours, "user").get(at(ours, "leads:smart_view", private.public_id)).status_code == 404
    for name in ("smart_view_update", "smart_view_delete", "smart_view_edit"):
        refused = client_of(ours, "user").post(
            at(ours, f"leads:{name}", shared.public_id), {"name": "Mine", "state": ""}
        )
        assert refused.status_code == 403, name
    data = {"lists": "lead", "name": "x", "state": "q=a", "sharing": "all"}
    assert client_of(ours, "user").post(at(ours, "leads:smart_view_save"), data).status_code == 403
    with scope(ours.organization):
        assert sorted(SmartView.objects.values_list("name", flat=True)) == ["Private", "Teams"]
