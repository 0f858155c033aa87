"""What newcomers stumbled over in the builder: never, counts, other words, periods, values that stay, conditions not finished."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from activities.services.activities import log_activity
from crm import events
from crm.customfields.services import create_field
from crm.models import FieldSet
from crm.tenancy import scope
from leads.search.counts import one_of
from leads.search.language import parse
from leads.search.sentences import sentence
from leads.search.synonyms import SYNONYMS
from leads.services import create_contact, create_lead, update_lead
from leads.services.smart_views import save_smart_view
from leads.views.state import encode_query
from tests.factories import PASSWORD, Tenant, World
from tests.leads.test_search_builder import both, built, custom, has, regular, round_trip

AGO = {"type": "moment_range", "before": {
    "type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {"days": 60}, "which_day_end": "start"}}  # fmt: skip
EXISTS = {"type": "exists"}


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def client(ours: Tenant) -> Client:
    found = Client()
    assert found.login(email=ours.admin.user.email, password=PASSWORD)
    return found


def leads_page(ours: Tenant) -> str:
    return reverse("leads:list", args=[ours.organization.slug])


def form(*conditions: tuple[str, str, list[str]], **more: Any) -> dict[str, Any]:
    """The builder's form with these conditions: field, operator, values."""
    data: dict[str, Any] = {"r-k": "group", "r-m": "all"}
    for number, (name, op, values) in enumerate(conditions):
        of = {"k": "condition", "f": name, "pf": name, "o": op, "po": op, "v": values}
        data |= {f"r.{number}-{key}": value for key, value in of.items()}
    return data | more


def names(page: Any) -> list[str]:
    return [row.name for row in page.context["rows"]]


# --- never ------------------------------------------------------------------------------------------------------------
def log_calls(ours: Tenant) -> None:
    """Acme was called 90 days ago, Bluth yesterday, Cyberdyne never."""
    from activities.queries import type_catalog

    call = type_catalog(ours.organization).builtin("call")
    assert call is not None
    for lead, days in ((ours.leads[0], 90), (ours.leads[1], 1)):
        log_activity(ours.admin, lead, call, activity_at=timezone.now() - timedelta(days=days))


@pytest.mark.parametrize("name", ["last_call_date", "last_communication_date"])
def test_long_ago_or_never_is_one_condition(ours: Tenant, client: Client, name: str) -> None:
    log_calls(ours)
    label = {"last_call_date": "Last call", "last_communication_date": "Last communication"}[name]
    page = client.get(leads_page(ours), form((name, "ago", ["60", "days"])))
    assert names(page) == ["Acme"] and page.context["sentence"] == f"Leads where {label} is more than 60 days ago"
    (shown,) = page.context["root"].children
    assert (shown.never.label, shown.never.selected) == ("or never", False)
    assert shown.left_out == "Leads where it never happened are left out." and shown.left_out in page.content.decode()

    page = client.get(leads_page(ours), form((name, "ago", ["60", "days", "empty:"])))
    assert names(page) == ["Acme", "Cyberdyne"]
    assert page.context["sentence"] == f"Leads where {label} is more than 60 days ago or never"
    again = client.get(page.context["state"].url())
    (shown,) = again.context["root"].children
    assert (shown.kind, shown.op, shown.values, shown.never.selected) == ("condition", "ago", ("60", "days"), True)
    assert again.context["sentence"] == page.context["sentence"] and names(again) == names(page)


def test_never_is_plain_in_the_tree_and_read_back_in_either_order(ours: Tenant) -> None:
    for name in ("last_call_date", "last_activity_at"):
        long_ago, never = regular("lead", name, AGO), regular("lead", name, EXISTS, negate=True)
        tree = both({"type": "or", "queries": [long_ago, never]})
        assert round_trip(ours, tree) == tree
        assert round_trip(ours, both({"type": "or", "queries": [never, long_ago]})) == tree
        assert sentence(parse(tree, ours.admin)).endswith("is more than 60 days ago or never")
    # Two fields, or a moment that is always there, are still a group.
    apart = both({"type": "or", "queries": [regular("lead", "last_call_date", AGO),
                                            regular("lead", "last_email_date", EXISTS, negate=True)]})  # fmt: skip
    assert round_trip(ours, apart) == apart


def test_never_is_offered_where_it_can_be(ours: Tenant, client: Client) -> None:
    renewal = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Renewal", kind="date").public_id
    update_lead(ours.admin, ours.leads[0], {"custom": {renewal: "2020-01-31"}})
    update_lead(ours.admin, ours.leads[1], {"custom": {renewal: "2999-01-31"}})
    for name, op, values, word in (
        (renewal, "before", ["2025-01-01"], "or empty"), (renewal, "past", [], "or empty"),
        ("last_activity_at", "before", ["2025-01-01"], "or never"), ("last_activity_at", "last", ["5", "days"], ""),
        ("date_created", "ago", ["5", "days"], ""), ("next_task_due_date", "past", [], "or empty"),
    ):  # fmt: skip
        (shown,) = client.get(leads_page(ours), form((name, op, values))).context["root"].children
        assert (shown.never.label if shown.never else "") == word, (name, op)
    for op, values in (("before", ["2025-01-01"]), ("past", [])):
        page = client.get(leads_page(ours), form((renewal, op, [*values, "empty:"])))
        assert names(page) == ["Acme", "Cyberdyne"], op
        assert page.context["sentence"].endswith("or empty")
        assert client.get(page.context["state"].url()).context["root"].children[0].never.selected
    # Where an operator or a field has no use for it, it goes.
    for name, op in (("last_activity_at", "last"), ("date_created", "ago")):
        page = client.get(leads_page(ours), form((name, op, ["60", "days", "empty:"])))
        assert page.context["state"].tree["queries"][1]["type"] == "field_condition"


# --- counts -----------------------------------------------------------------------------------------------------------
def number(**bounds: Any) -> dict[str, Any]:
    return {"type": "number_range", **bounds}


@pytest.mark.parametrize(
    ("name", "bounds", "words"),
    [
        ("num_email_addresses", {"gt": "0"}, "with an email address"),
        ("num_email_addresses", {"gte": 1}, "with an email address"),
        ("num_email_addresses", {"lte": "0"}, "with no email address"),
        ("num_email_addresses", {"gte": "1", "lte": "1"}, "with exactly 1 email address"),
        ("num_contacts", {"gte": "2"}, "with at least 2 contacts"),
        ("num_contacts", {"gt": "1"}, "with more than 1 contact"),
        ("num_contacts", {"gte": "2", "lte": "5"}, "with between 2 and 5 contacts"),
        ("num_addresses", {"lt": "3"}, "with fewer than 3 addresses"),
        ("num_addresses", {"gte": "1"}, "with an address"),
        ("num_sms", {"gte": "1"}, "with an SMS"),
        ("num_calls", {"lte": "2"}, "with at most 2 calls"),
        ("num_incomplete_tasks", {"lt": "1"}, "with no open task"),
        ("times_communicated", {"gte": "1"}, "with a communication"),
    ],
)  # fmt: skip
def test_numbers_of_things_are_said_as_people_say_them(ours: Tenant, name: str, bounds: Any, words: str) -> None:
    asked = regular("lead", name, number(**bounds))
    assert sentence(parse(both(asked), ours.admin)) == f"Leads {words}"
    turned = sentence(parse(both({**asked, "negate": True}), ours.admin))
    assert turned != f"Leads {words}" and turned.startswith("Leads with ")
    url = regular("lead", "url", EXISTS)
    either = sentence(parse(both({"type": "or", "queries": [asked, url]}), ours.admin))
    assert either == f"Leads where it has {words.removeprefix('with ')} or Website is not empty"


def test_a_count_is_asked_by_any_none_and_how_many(ours: Tenant, client: Client) -> None:
    create_contact(ours.admin, create_lead(ours.admin, name="Zed"), name="Zoe")
    page = client.get(leads_page(ours), form(("num_email_addresses", "some", [])))
    assert names(page) == ["Acme", "Bluth", "Cyberdyne"]
    (shown,) = page.context["root"].children
    (operators,) = shown.ops
    assert [one.label for one in operators.choices] == [
        "has any", "has none", "exactly", "at least", "at most", "more than", "fewer than", "not exactly", "between",
    ]  # fmt: skip
    listed = {choice.label for group in shown.names() if group.label == "Number of" for choice in group.choices}
    assert {"Email addresses", "Contacts", "Calls"} <= listed
    for op, values, expected in (
        ("zero", [], ["Zed"]), ("=", ["0"], ["Zed"]), ("≥", ["1"], ["Acme", "Bluth", "Cyberdyne"]), ("≥", ["2"], []),
        ("≠", ["1"], ["Zed"]), ("between", ["0", "0"], ["Zed"]),
    ):  # fmt: skip
        page = client.get(leads_page(ours), form(("num_email_addresses", op, values)))
        assert names(page) == expected, (op, values)
        again = client.get(page.context["state"].url())
        assert names(again) == expected and again.context["sentence"] == page.context["sentence"]
    new = built(ours, do="add:r", **{"r-add": "field=num_calls"})
    assert new["root"].children[0].op == "some" and new["tree"]["queries"][1]["condition"] == number(gte="1")


def test_trees_of_counts_keep_their_meaning(ours: Tenant) -> None:
    for bounds, negate, kept in (
        ({"gt": "0"}, False, {"gte": "1"}), ({"lt": "1"}, False, {"lte": "0"}), ({"gt": "0"}, True, {"lte": "0"}),
        ({"gte": "0", "lte": "0"}, True, {"gte": "1"}), ({"gte": "3"}, True, {"lt": "3"}), ({"gte": "3"}, False, {"gte": "3"}),
    ):  # fmt: skip
        asked = regular("lead", "num_contacts", number(**bounds), **({"negate": True} if negate else {}))
        assert round_trip(ours, both(asked)) == both(regular("lead", "num_contacts", number(**kept)))
    turned = regular("lead", "num_contacts", number(gte="2", lte="5"), negate=True)
    assert round_trip(ours, both(turned)) == both(turned)


def test_singulars() -> None:
    named = {"email addresses": "email address", "contacts": "contact", "opportunities": "opportunity", "SMS": "SMS",
             "sent emails": "sent email"}  # fmt: skip
    assert {several: one_of(several) for several in named} == named


# --- other words ------------------------------------------------------------------------------------------------------
def found_by(ours: Tenant, client: Client, text: str) -> tuple[list[str], list[str]]:
    page = client.get(leads_page(ours), {"r-find": text})
    listed = [choice for group in page.context["root"].add() for choice in group.choices]
    return [one.label for one in listed], [one.label for one in listed if one.selected]


@pytest.mark.parametrize("text", ["touch", "in touch", "contacted", "spoke", "last contact"])
def test_fields_are_found_by_other_words_without_scripts(ours: Tenant, client: Client, text: str) -> None:
    labels, chosen = found_by(ours, client, text)
    assert "Last communication" in labels and len(labels) < 20 and len(chosen) == 1


def test_an_entry_with_the_very_word_is_the_one_chosen(ours: Tenant, client: Client) -> None:
    labels, chosen = found_by(ours, client, "website")
    assert chosen == ["Website"] and {"Number of websites", "Contact's URL", "No URL of a contact"} < set(labels)
    assert found_by(ours, client, "touch")[1] == found_by(ours, client, "last contact")[1] == ["Last communication"]
    everything = len(found_by(ours, client, "")[0])
    assert everything > 50 and len(found_by(ours, client, "nonsense")[0]) == everything  # no dead end
    text = client.get(leads_page(ours)).content.decode()
    assert f'data-also="{SYNONYMS["last_communication_date"]}"' in text


@pytest.mark.parametrize(
    ("text", "entry", "words"),
    [
        ("has no email", "without=r:contact_email", "Leads with no email address"),
        ("without phone", "without=r:contact_phone", "Leads with no phone number"),
        ("never contacted", "without=r:activity", "Leads with no activity"),
        ("has an email", "block=r:contact_email", "Leads with at least one email address"),
    ],
)
def test_what_there_is_none_of_is_an_entry(ours: Tenant, client: Client, text: str, entry: str, words: str) -> None:
    page = client.get(leads_page(ours), {"r-find": text})
    listed = [choice.value for group in page.context["root"].add() for choice in group.choices]
    assert entry in listed
    added = client.get(leads_page(ours), {"r-m": "all", "r-add": entry, "do": "add:r"})
    assert added.context["sentence"] == words


def test_other_words_are_of_entries_that_there_are(ours: Tenant, client: Client) -> None:
    known: set[str] = set()
    for url_name in ("leads:list", "leads:contacts", "activities:list"):
        page = client.get(reverse(url_name, args=[ours.organization.slug]))
        text = page.content.decode()
        known |= {words for words in SYNONYMS.values() if f'data-also="{words}"' in text}
    block = form(**{"r.0-k": "block", "r.0-w": "r:task", "r.1-k": "block", "r.1-w": "r:address"})
    text = client.get(leads_page(ours), block).content.decode()
    known |= {words for words in SYNONYMS.values() if f'data-also="{words}"' in text}
    assert set(SYNONYMS.values()) - known == set()


# --- periods ----------------------------------------------------------------------------------------------------------
def test_this_year_is_an_entry_of_its_own(ours: Tenant, client: Client) -> None:
    page = client.get(leads_page(ours), form(("date_created", "period=this-year", [])))
    assert page.context["sentence"] == "Leads where Date created is this year" and page.context["total"] == 3
    (shown,) = page.context["root"].children
    assert (shown.op, shown.editor) == ("period", "") and 'value="period=this-year" selected' in page.content.decode()
    again = client.get(page.context["state"].url())
    assert [one.value for group in again.context["root"].children[0].ops for one in group.choices if one.selected] == [
        "period=this-year"
    ]
    listed = [one.label for group in shown.ops for one in group.choices]
    assert {"this quarter", "this month", "this week", "last year", "next year", "today"} <= set(listed)
    other = regular("lead", "date_created", {"type": "moment_range", **{
        side: {"type": "start_end_of_predefined_relative_period", "range": "last-7-days", "which": which}
        for side, which in (("on_or_after", "start"), ("before", "end"))}})  # fmt: skip
    assert round_trip(ours, both(other)) == both(other)
    page = client.get(leads_page(ours), {"query": encode_query(both(other))})
    assert 'value="period=last-7-days" selected>last 7 days' in page.content.decode()
    # And in the list that adds the date of an activity.
    block = {"r.0-k": "block", "r.0-w": f"t:{ours.type_row.public_id}", "r.0-add": "when=period=last-quarter"}
    (block_part,) = built(ours, do="add:r.0", **block)["root"].children
    assert (block_part.children[0].op, block_part.children[0].values) == ("period", ("last-quarter",))


# --- values that stay -------------------------------------------------------------------------------------------------
def changed(
    ours: Tenant, client: Client, before: tuple[str, str, list[str]], **now: str
) -> tuple[str, tuple[str, ...]]:
    data = form(before) | {f"r.0-{key}": value for key, value in now.items()}
    (shown,) = client.get(leads_page(ours), data).context["root"].children
    return shown.op, shown.values


def test_another_field_keeps_values_of_the_same_sort(ours: Tenant, client: Client) -> None:
    leads = FieldSet.objects.get(owner="lead")
    owner, size = (
        create_field(ours.admin, leads, name=name, kind=kind).public_id
        for name, kind in (("Owner", "user"), ("Size", "number"))
    )
    tier = create_field(ours.admin, leads, name="Tier", kind="choices", options=["A", "B"])
    option = tier.options.first().public_id
    me = ours.admin.user.public_id
    for before, field, kept in (
        (("created_by", "none", [me, "me"]), owner, ("none", (me, "me"))),
        (("date_created", "before", ["2026-01-31"]), "date_updated", ("before", ("2026-01-31",))),
        (("date_created", "ago", ["7", "weeks"]), "last_activity_at", ("ago", ("7", "weeks"))),
        ((size, "≥", ["7"]), "contacts_count", ("≥", ("7",))),
        ((size, "exists", []), "contacts_count", ("some", ())),
        (("name", "phrase", ["x y"]), "url", ("phrase", ("x y",))),
        (("name", "phrase", ["x y"]), "date_created", ("last", ("30", "days"))),
        (("created_by", "none", [me]), tier.public_id, ("any", ())),
        ((tier.public_id, "none", [option]), "source", ("none", ())),
    ):  # fmt: skip
        assert changed(ours, client, before, f=field) == kept, (before, field)


def test_another_operator_keeps_values_it_takes(ours: Tenant, client: Client) -> None:
    status = ours.leads[0].status.public_id
    for before, op, kept in (
        (("status_id", "any", [status]), "none", (status,)),
        (("contacts_count", "≥", ["7"]), "between", ("7", "")),
        (("date_created", "last", ["7", "weeks"]), "ago", ("7", "weeks")),
        (("date_created", "last", ["7", "weeks"]), "on", ("",)),
        (("date_created", "on", ["2026-01-31"]), "between", ("2026-01-31", "")),
        (("date_created", "on", ["2026-01-31"]), "period=this-year", ("this-year",)),
        (("date_created", "period=this-year", []), "last", ("30", "days")),
    ):  # fmt: skip
        assert changed(ours, client, before, o=op) == (op.partition("=")[0], kept), (before, op)


# --- conditions that are not finished ---------------------------------------------------------------------------------
def test_a_condition_without_a_value_stays_and_is_not_asked(ours: Tenant, client: Client) -> None:
    kind = ours.type_row.public_id
    data = form(("name", "words", ["acme"]), ("created_by", "none", []), ("contacts_count", "between", ["3", ""]),
                ("date_created", "ago", ["", "weeks"])) | {
        "r.4-k": "block", "r.4-w": f"t:{kind}", "r.4.0-k": "condition", "r.4.0-f": ours.fields["Users"],
        "r.4.0-pf": ours.fields["Users"], "r.4.0-o": "≤", "r.4.0-v": "", "r.5-k": "group", "r.5-m": "none"}  # fmt: skip
    page = client.get(leads_page(ours), data, headers={"HX-Request": "true", "HX-Target": "results"})
    assert names(page) == ["Acme"]
    assert page.context["sentence"] == "Leads where Name contains “acme” and with at least one Qualifying call"
    text = page.content.decode()
    assert text.count("Needs a value. Until then it is left out.") == 4
    address = page.headers["HX-Push-Url"]
    assert set(parse_qs(urlsplit(address).query)) == {"query", "builder"}
    again = client.get(address)
    assert again.status_code == 200 and names(again) == ["Acme"]
    assert again.context["sentence"] == page.context["sentence"]
    below = again.context["root"].below
    assert [(part.kind, part.op, part.values, part.waiting) for part in below] == [
        ("condition", "words", ("acme",), False), ("condition", "none", (), True), ("condition", "between", ("3", ""), True),
        ("condition", "ago", ("", "weeks"), True), ("block", "", (), False), ("condition", "≤", ("",), True), ("group", "", (), False),
    ]  # fmt: skip
    assert again.context["state"].url() == address
    # With the last of them gone, the address is the search alone.
    plain = client.get(leads_page(ours), form(("name", "words", ["acme"])))
    assert "builder" not in plain.context["state"].url()


def test_what_is_not_finished_is_in_no_view_export_or_bulk_change(ours: Tenant, client: Client) -> None:
    state = client.get(leads_page(ours), form(("name", "words", ["acme"]), ("created_by", "any", []))).context["state"]
    saved = client.post(reverse("leads:smart_view_save", args=[ours.organization.slug]), {
        "lists": "lead", "name": "Half", "state": state.query_string(), "sharing": "private"})  # fmt: skip
    opened = client.get(saved["Location"], follow=True)
    assert [part.waiting for part in opened.context["root"].children] == [False] and names(opened) == ["Acme"]
    assert not opened.context["view_is_changed"]
    export = client.get(reverse("leads:export", args=[ours.organization.slug, "lead"]), state.parameters())
    assert b"".join(export.streaming_content).decode("utf-8-sig").splitlines()[1].startswith("Acme")
    bulk = client.get(reverse("leads:bulk", args=[ours.organization.slug, "lead", "edit"]), state.parameters())
    assert bulk.status_code == 200


@pytest.mark.parametrize(
    "text", ["z.%%%", "z.eJw", "r-k=group", "r-m=all&r.0-k=raw&r.0-j={", "r-m=all" + "&a=1" * 2000, "\x00"]
)
def test_a_broken_form_in_the_address_is_passed_over(ours: Tenant, client: Client, text: str) -> None:
    view = save_smart_view(ours.admin, name="A", query=both(regular("lead", "name", {"type": "text", "value": "acme"})))
    for more in ({}, {"view": view.public_id}):
        page = client.get(leads_page(ours), {"builder": text, **more})
        assert page.status_code == 200


def test_blocks_keep_never_inside_a_block(ours: Tenant) -> None:
    due = {
        "type": "or",
        "queries": [regular("task", "due_date", AGO), regular("task", "due_date", EXISTS, negate=True)],
    }
    tree = both(has(due, of="task"))
    assert round_trip(ours, tree) == tree
    assert (
        sentence(parse(tree, ours.admin))
        == "Leads with at least one task where Due date is more than 60 days ago or empty"
    )
    users = ours.fields["Users"]
    plain = both(has({"type": "or", "queries": [custom(users, number(gt="5")), custom(users, EXISTS, negate=True)]}))
    assert round_trip(ours, plain)["queries"][1]["related_query"]["queries"][0]["type"] == "or"
