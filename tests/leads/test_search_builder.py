"""The builder: forms to trees and back, errors beside their conditions, and the pages that show them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from activities.services.activities import log_activity
from crm import events
from crm.customfields.catalog import catalog
from crm.members import deactivate_member
from crm.models import Team
from crm.tenancy import scope
from leads.models import Lead, SmartView
from leads.search.builder import Group, Writer, apply, number_paths
from leads.search.forms import from_form, settle
from leads.search.language import parse
from leads.search.named import ids_named
from leads.search.reading import from_tree
from leads.search.sources import source_named
from leads.services import create_contact
from leads.services.smart_views import save_smart_view
from leads.views.state import decode_query, encode_query, object_types, types_for
from tests.api.conftest import Api
from tests.factories import PASSWORD, Tenant, World

CUSTOM = "activity.custom_activity"


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def client_of(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def at(tenant: Tenant, name: str, *args: str) -> str:
    return reverse(name, args=[tenant.organization.slug, *args])


def round_trip(tenant: Tenant, tree: dict[str, Any], lists: str = "lead") -> dict[str, Any]:
    types = object_types(types_for(tenant.admin))
    source = source_named(tenant.admin, lists)
    assert source is not None
    root = from_tree(tree, tenant.admin, source, types)
    return Writer(tenant.admin, types).query(root, source)


def regular(of: str, name: str, condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": of, "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition, **more}


def custom(public_id: str, condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    field = {"type": "custom_field", "custom_field_id": public_id}
    return {"type": "field_condition", "field": field, "condition": condition, **more}


def of_type(tenant: Tenant, of: str = CUSTOM) -> dict[str, Any]:
    return regular(of, "custom_activity_type_id", {"type": "term", "values": [tenant.type_row.public_id]})


def has(*queries: dict[str, Any], of: str = CUSTOM, **more: Any) -> dict[str, Any]:
    return {"type": "has_related", "this_object_type": "lead", "related_object_type": of,
            "related_query": {"type": "and", "queries": list(queries)} if queries else {"type": "match_all"}, **more}  # fmt: skip


def both(*queries: dict[str, Any]) -> dict[str, Any]:
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, *queries]}


AGO = {
    "type": "offset",
    "direction": "past",
    "moment": {"type": "now"},
    "offset": {"days": 30},
    "which_day_end": "start",
}


def field_id(tenant: Tenant, name: str) -> str:
    return str(tenant.use(name).field.public_id)


def trees(tenant: Tenant) -> list[dict[str, Any]]:
    users, crm = field_id(tenant, "Users"), field_id(tenant, "CRM")
    hubspot = next(o for o in tenant.use("CRM").field.options if o.label == "HubSpot").public_id
    more_than_50 = custom(users, {"type": "number_range", "gt": "50"})
    recent = {"type": "moment_range", "on_or_after": AGO, "before": {"type": "now"}}
    or_empty = {"type": "or", "queries": [custom(crm, {"type": "term", "values": [hubspot]}),
                                          custom(crm, {"type": "exists"}, negate=True)]}  # fmt: skip
    someone = {"type": "reference", "reference_type": "user", "object_ids": [tenant.user.user.public_id]}
    mine = {"type": "or", "queries": [regular("lead", "created_by", {"type": "current_user"}),
                                      regular("lead", "created_by", someone)]}  # fmt: skip
    return [
        both(),
        both(has(of_type(tenant), regular(CUSTOM, "activity_at", recent), more_than_50, or_empty)),
        both(has(of_type(tenant), more_than_50, negate=True)),
        both(has(of_type(tenant), {"type": "and", "queries": [more_than_50], "negate": True})),
        both(has(of_type(tenant), count={"gte": 2}), has(count={"eq": 0}, of="contact")),
        both(has(of_type(tenant, "activity.last"), of="activity.last")),
        both(has(of_type(tenant, "activity.last"), of="activity.last", negate=True)),
        both(mine, {"type": "text", "value": "red", "mode": "phrase", "negate": True}),
        both({"type": "or", "queries": [regular("lead", "name", {"type": "text", "value": "x", "mode": "exact_value"}),
              {"type": "and", "queries": [regular("lead", "url", {"type": "exists"}),
               {"type": "or", "negate": True, "queries": [regular("lead", "source", {"type": "term", "values": ["api"]}),
                regular("lead", "contacts_count", {"type": "number_range", "gte": "1", "lte": "3"})]}]}]}),
        both(has(regular("task", "is_complete", {"type": "boolean", "value": False}), of="task")),
    ]  # fmt: skip


def test_trees_survive_the_builder(ours: Tenant) -> None:
    for tree in trees(ours):
        assert round_trip(ours, tree) == tree
        assert parse(round_trip(ours, tree), ours.admin) == parse(tree, ours.admin)
        assert decode_query(encode_query(tree)) == tree


def test_what_the_builder_has_no_words_for_is_kept(ours: Tenant) -> None:
    odd = regular(
        "lead",
        "date_created",
        {"type": "moment_range", "on_or_after": {"type": "fixed_utc", "value": "2026-01-31T14:30:00+00:00"}},
    )
    tree = both(odd, has(count={"lte": 1}, negate=True, of="contact"))
    assert round_trip(ours, tree) == both(odd, has(of="contact", count={"gte": 2}))
    page = client_of(ours).get(at(ours, "leads:list"), {"query": encode_query(tree)})
    assert page.status_code == 200 and "Date created is since 31 Jan 2026" in page.content.decode()


def form_of(**inputs: Any) -> QueryDict:
    data = QueryDict(mutable=True)
    for key, value in inputs.items():
        data.setlist(key.replace("__", "."), value if isinstance(value, list) else [value])
    return data


def test_buttons_add_move_wrap_and_remove(ours: Tenant) -> None:
    data = QueryDict(mutable=True)
    data.update({"r-m": "all", "r-add": f"block=t:{ours.type_row.public_id}"})
    root = from_form(data)
    apply(root, "add:r", data)
    apply(root, "wrap:r.0", data)
    data["r-add"] = "field=url"
    apply(root, "add:r", data)
    assert [type(part).__name__ for part in root.children] == ["Group", "Condition"]
    apply(root, "up:r.1", data)
    number_paths(root)
    inside = root.children[0]
    assert isinstance(inside, Group) and [part.path for part in inside.children] == ["r.0.0", "r.0.1"]
    apply(root, "up:r.0.1", data)
    apply(root, "up:r.0.0", data)
    assert [type(part).__name__ for part in root.children] == ["Condition", "Group"]
    apply(root, "remove:r.1", data)
    apply(root, "remove:r.99", data)
    apply(root, "nonsense:r", data)
    assert len(root.children) == 1
    source = source_named(ours.admin, "lead")
    settle(root, ours.admin, source, {})
    assert root.children[0].op == "words"  # type: ignore[attr-defined]


def test_a_plain_form_adds_a_condition_and_searches(ours: Tenant) -> None:
    """Without JavaScript: each button is a submit button of one GET form."""
    client, address = client_of(ours), at(ours, "leads:list")
    page = client.get(address, {"r-k": "group", "r-m": "all", "r-add": "field=name", "do": "add:r"})
    assert page.status_code == 200 and 'name="r.0-v"' in page.content.decode()
    assert page.context["total"] == 3
    page = client.get(address, {"r-k": "group", "r-m": "all", "r.0-k": "condition", "r.0-f": "name", "r.0-pf": "name",
                                "r.0-o": "starts", "r.0-v": "acme"})  # fmt: skip
    assert page.context["total"] == 1 and "has words starting with “acme”" in page.content.decode()


def test_errors_stand_beside_their_condition(ours: Tenant) -> None:
    client, address = client_of(ours), at(ours, "leads:list")
    data = {"r-k": "group", "r-m": "all", "r.0-k": "condition", "r.0-f": "contacts_count", "r.0-pf": "contacts_count",
            "r.0-o": ">", "r.0-v": "many"}  # fmt: skip
    page = client.get(address, data)
    assert page.status_code == 422
    assert '<p class="tp-rule-error tp-danger" id="error-r-0">“many” is not a number.</p>' in page.content.decode()
    assert page.context["rows"] == []
    part = client.get(address, data, headers={"HX-Request": "true", "HX-Target": "results"}).content.decode()
    assert 'id="error-r-0" hx-swap-oob="true">“many” is not a number.' in part


def test_clear_is_there_once_there_is_something_to_clear(ours: Tenant) -> None:
    client, address = client_of(ours), at(ours, "leads:list")
    clear = f'<a class="btn btn-ghost" href="{address}">Clear</a>'
    assert clear not in client.get(address).content.decode()
    for data in ({"q": "acme"}, {"sort": "-name"}, {"columns": ["name"]}, {"query": "broken"}):
        assert clear in client.get(address, data).content.decode(), data
    headers = {"HX-Request": "true", "HX-Target": "results"}
    found = client.get(address, {"q": "acme"}, headers=headers).content.decode()
    assert f'<span id="search-clear" hx-swap-oob="true">{clear}' in found
    assert '<span id="search-clear" hx-swap-oob="true"></span>' in client.get(address, headers=headers).content.decode()


def test_each_change_has_an_address_that_opens_the_same_search(ours: Tenant) -> None:
    client, address = client_of(ours), at(ours, "leads:list")
    data = {"r-k": "group", "r-m": "all", "r.0-k": "block", "r.0-w": f"t:{ours.type_row.public_id}", "r.0-h": "some",
            "r.0-m": "all", "r.0.0-k": "condition", "r.0.0-f": field_id(ours, "Users"), "r.0.0-pf": field_id(ours, "Users"),
            "r.0.0-o": ">", "r.0.0-v": "50", "sort": "-name", "columns": ["name", "status"]}  # fmt: skip
    answer = client.get(address, data, headers={"HX-Request": "true", "HX-Target": "results"})
    pushed = answer.headers["HX-Push-Url"]
    again = client.get(pushed)
    assert again.context["total"] == answer.context["total"]
    assert again.context["sentence"] == answer.context["sentence"]
    assert "r-m" not in parse_qs(urlsplit(pushed).query)
    assert again.context["state"].columns == ["name", "status"] and again.context["state"].sort == "-name"


def test_a_saved_view_opens_the_builder_filled(ours: Tenant) -> None:
    tree = trees(ours)[1]
    view = save_smart_view(ours.admin, name="Qualified", query=tree, columns=["name", "contacts"], sort="-name")
    page = client_of(ours).get(at(ours, "leads:smart_view", view.public_id), follow=True)
    assert page.status_code == 200
    text = page.content.decode()
    assert "<h1>Qualified" in text and 'name="r.0.1-v" value="50"' in text
    assert page.context["state"].columns == ["name", "contacts"] and not page.context["view_is_changed"]


def test_a_view_in_the_order_of_a_field_that_is_hidden_or_gone_still_opens(ours: Tenant) -> None:
    field = Api(ours.admin).post(
        "custom_field/lead/", {"name": "Size", "type": "number", "viewable_with_roles": ["admin"]}
    )["id"]
    tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
    view = save_smart_view(ours.admin, name="By size", query=tree, sort=f"-{field}", shared=True)
    address = f"{at(ours, 'leads:list')}?view={view.public_id}"
    for role in ("admin", "user"):
        answer = client_of(ours, role).get(address)
        assert answer.status_code == 200 and "Acme" in answer.content.decode()
        assert answer.context["view_is_changed"] is False
    Api(ours.admin).call("DELETE", f"custom_field/lead/{field}/")
    assert client_of(ours).get(address).status_code == 200


def test_a_broken_address_says_so(ours: Tenant) -> None:
    client, address = client_of(ours), at(ours, "leads:list")
    for query in ("{", "z.%%%", "[]", json.dumps({"type": "object_type", "object_type": "contact"})):
        page = client.get(address, {"query": query})
        assert page.status_code in (200, 422), query
        assert b"Traceback" not in page.content
    assert SmartView.objects.count() == 0


# --- short ways -------------------------------------------------------------------------------------------------------
def built(tenant: Tenant, **form: str) -> dict[str, Any]:
    given = QueryDict(mutable=True)
    given.update({"r-k": "group", "r-m": "all", **form})
    types = object_types(types_for(tenant.admin))
    source = source_named(tenant.admin, "lead")
    assert source is not None
    root = from_form(given)
    apply(root, given["do"], given)
    settle(root, tenant.admin, source, types)
    number_paths(root)
    return {"root": root, "tree": Writer(tenant.admin, types).query(root, source)}


def test_a_field_of_a_type_and_a_date_are_one_entry_of_the_list_each(ours: Tenant) -> None:
    kind, users = ours.type_row.public_id, ours.fields["Users"]
    (block,) = built(ours, do="add:r", **{"r-add": f"in=t:{kind}:{users}"})["root"].children
    assert (block.what, block.children[0].name, block.children[0].op) == (f"t:{kind}", users, ">")
    assert block.children[0].is_new and not block.is_new  # the number is typed next
    form = {"r.0-k": "block", "r.0-w": f"t:{kind}", "r.0-pw": f"t:{kind}", "r.0-h": "none"}
    found = built(ours, do="add:r.0", **form, **{"r.0-add": "when=last"})["tree"]["queries"][1]
    asked = found["related_query"]["queries"][1]
    assert found["negate"] and asked["field"]["field_name"] == "activity_at"
    assert asked["condition"]["on_or_after"]["offset"] == {"days": 30}
    for broken in ("in=", "in=t:x", "when=", "when=nonsense", "in=r:nope:cf_x", "field="):
        built(ours, do="add:r", **{"r-add": broken})


def test_an_empty_builder_offers_searches_that_can_be_made(ours: Tenant) -> None:
    for name, words in (("leads:list", "Leads where Last activity is not in the last 60 days"), ("leads:contacts", "Contacts with no email"),
                        ("activities:list", "User is a former member")):  # fmt: skip
        page = client_of(ours).get(at(ours, name))
        found = page.context["examples"]
        assert len(found) >= 4 and any(words in text for text, _ in found), found
        for text, address in found:
            opened = client_of(ours).get(address)
            assert opened.status_code == 200 and opened.context["sentence"] == text and not opened.context["examples"]
    assert len(client_of(ours, "restricted").get(at(ours, "leads:list")).context["examples"]) >= 3


def test_contacts_and_leads_are_picked_by_name(ours: Tenant, world: World) -> None:
    address = at(ours, "leads:pick", "contact")
    found = client_of(ours).get(address, {"q": "contact of blu"}).json()["results"]
    assert [one["text"] for one in found] == ["Contact of Bluth · Bluth"]
    leads = client_of(ours).get(at(ours, "leads:pick", "lead"), {"q": "cyber"}).json()["results"]
    assert [one["text"] for one in leads] == ["Cyberdyne"]
    assert client_of(ours).get(at(ours, "leads:pick", "user")).status_code == 404
    assert client_of(world.theirs).get(address).status_code == 404

    field = {"type": "regular_field", "object_type": CUSTOM, "field_name": "contact_id"}
    condition = {"type": "reference", "reference_type": "contact", "object_ids": [found[0]["value"]]}
    query = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, {
        "type": "has_related", "this_object_type": "lead", "related_object_type": CUSTOM,
        "related_query": {"type": "field_condition", "field": field, "condition": condition}}]}  # fmt: skip
    page = client_of(ours).get(at(ours, "leads:list"), {"query": encode_query(query)})
    shown = page.context["root"].children[0].children[0]
    assert (shown.editor, shown.values, shown.pick_url) == ("records", ("Contact of Bluth", ""), address)
    assert json.loads(shown.picked) == [[found[0]["value"], "Contact of Bluth · Bluth"]]
    create_contact(ours.admin, ours.leads[0], name="Contact of Bluth")  # a namesake: the lead tells them apart
    page = client_of(ours).get(at(ours, "leads:list"), {"query": encode_query(query)})
    assert page.context["root"].children[0].children[0].values == ("Contact of Bluth · Bluth", "")
    assert ids_named(ours.admin, "contact", "contact of bluth · bluth") == [found[0]["value"]]
    assert json.dumps(condition) in json.dumps(round_trip(ours, query))


def test_members_teams_and_who_has_left_are_choices_of_user_conditions(ours: Tenant, world: World) -> None:
    team = Team.objects.create(organization=ours.organization, name="Sales")
    team.members.set([ours.admin.user, ours.superuser.user])
    Team.objects.create(organization=world.theirs.organization, name="Foreign")
    make = {"r-m": "all", "r.0-k": "condition", "r.0-f": "created_by", "r.0-pf": "created_by", "r.0-o": "any"}
    Lead.objects.update(created_by=ours.admin.user)
    Lead.objects.filter(pk=ours.leads[0].pk).update(created_by=ours.user.user)
    deactivate_member(ours.admin, ours.user)
    client, address = client_of(ours), at(ours, "leads:list")
    page = client.get(address, make)
    (shown,) = page.context["root"].children
    assert [choice.label for choice in shown.options] == [
        "Me", "Team Sales", "Ada Admin", "Rex Restricted", "Sue Super", "Any former member", "Uma User (former member)",
        "Empty",
    ]  # fmt: skip
    left = ours.user.user.public_id
    for chosen, sentence, expected in (
        (["me"], "Leads where Created by is me", ["Bluth", "Cyberdyne"]),
        ([team.public_id], "Leads where Created by is a member of Sales", ["Bluth", "Cyberdyne"]),
        (["former"], "Leads where Created by is a former member", ["Acme"]),
        ([left], "Leads where Created by is Uma User (former member)", ["Acme"]),
        (["former", "me"], "Leads where Created by is me or a former member", ["Acme", "Bluth", "Cyberdyne"]),
    ):  # fmt: skip
        page = client.get(address, {**make, "r.0-v": chosen})
        assert [row.name for row in page.context["rows"]] == expected, chosen
        assert page.context["sentence"] == sentence
        # The address opens with the same choices.
        again = client.get(page.context["state"].url())
        assert sorted(again.context["root"].children[0].values) == sorted(chosen)
    turned = client.get(address, {**make, "r.0-o": "none", "r.0-v": [team.public_id, "former"]})
    assert turned.context["sentence"] == "Leads where Created by is not a former member or a member of Sales"
    assert turned.context["total"] == 0


def test_empty_is_one_of_the_values(ours: Tenant) -> None:
    log_activity(ours.admin, ours.leads[2], ours.call, custom={"Users": "1"})
    crm = ours.fields["CRM"]
    field = next(f for f in catalog(ours.organization).fields.values() if f.public_id == crm)
    hubspot = field.options[0]
    client, address = client_of(ours), at(ours, "leads:list")
    make = {"r-m": "all", "r.0-k": "block", "r.0-w": f"t:{ours.type_row.public_id}", "r.0-0-k": "x",
            "r.0.0-k": "condition", "r.0.0-f": crm, "r.0.0-pf": crm}  # fmt: skip
    for op, chosen, words in (
        ("any", [hubspot.public_id, "empty:"], f"CRM is {hubspot.label} or empty"),
        ("none", [hubspot.public_id, "empty:"], f"CRM is not {hubspot.label} or empty"),
        ("any", ["empty:"], "CRM is empty"),
        ("none", ["empty:"], "CRM is not empty"),
    ):
        page = client.get(address, {**make, "r.0.0-o": op, "r.0.0-v": chosen})
        assert page.context["sentence"] == f"Leads with at least one Qualifying call where {words}"
        again = client.get(page.context["state"].url())
        assert names_of(again) == names_of(page)
        (shown,) = again.context["root"].children[0].children
        assert (
            shown.values == tuple(chosen) if len(chosen) > 1 else shown.op == {"any": "missing", "none": "exists"}[op]
        )
    every = {
        op: names_of(client.get(address, {**make, "r.0.0-o": op, "r.0.0-v": [hubspot.public_id, "empty:"]}))
        for op in ("any", "none")
    }
    with_option = names_of(client.get(address, {**make, "r.0.0-o": "any", "r.0.0-v": [hubspot.public_id]}))
    assert every["any"] == sorted({*with_option, "Cyberdyne"}) and "Cyberdyne" not in with_option
    assert set(every["none"]) == {"Acme", "Bluth", "Cyberdyne"} - set(with_option)


def names_of(page: Any) -> list[str]:
    return [row.name for row in page.context["rows"]]


def test_what_built_in_kinds_keep_for_the_api_is_not_offered(ours: Tenant) -> None:
    page = client_of(ours).get(at(ours, "activities:list"))
    offered = [choice.label for group in page.context["root"].add() for choice in group.choices]
    assert "Disposition" in offered and "Users" in offered and "more than … days ago" in offered
    assert not {"More", "From id", "To id"} & set(offered)
