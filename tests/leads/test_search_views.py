"""Searches inside searches (`saved_search`), former members, the older text language, and the API of Smart Views and bulk actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from crm import events
from crm.errors import InvalidInput, NotAllowed
from crm.models import Event, Membership, Team
from crm.tenancy import scope
from leads.models import BulkAction, SmartView
from leads.search.language import MAX_VIEWS, parse
from leads.search.legacy import read
from leads.search.run import run
from leads.search.sentences import sentence
from leads.services.smart_views import delete_smart_view, save_smart_view, set_pinned_views, update_smart_view
from tests.factories import Tenant, World

ALL = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def named(text: str, **more: Any) -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": "lead", "field_name": "name"}
    return {"type": "field_condition", "field": field, "condition": {"type": "text", "value": text}, **more}


def both(*queries: dict[str, Any]) -> dict[str, Any]:
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, *queries]}


def inside(view: SmartView, **more: Any) -> dict[str, Any]:
    return {"type": "saved_search", "saved_search_id": view.public_id, **more}


def found(actor: Membership, tree: dict[str, Any]) -> list[str]:
    from leads.models import Lead

    page = run(actor, parse(tree, actor), sort="name")
    rows = Lead.objects.in_bulk(page.ids)
    return [rows[pk].name for pk in page.ids]


# --- in another Smart View --------------------------------------------------------------------------------------------
def test_a_search_goes_on_from_a_view_and_its_words(ours: Tenant) -> None:
    view = save_smart_view(ours.admin, name="No Acme", query=both(named("acme", negate=True)), text="c")
    assert found(ours.admin, both(inside(view))) == ["Bluth", "Cyberdyne"]
    assert found(ours.admin, both(inside(view, negate=True))) == ["Acme"]
    assert found(ours.admin, both({"type": "or", "queries": [inside(view), named("acme")]})) == [
        "Acme",
        "Bluth",
        "Cyberdyne",
    ]
    assert sentence(parse(both(inside(view)), ours.admin)) == "Leads in the Smart View “No Acme”"
    assert sentence(parse(both(inside(view, negate=True), named("b")), ours.admin)) == (
        "Leads where it is not in the Smart View “No Acme” and Name has words starting with “b”"
    )


def test_views_that_lead_back_to_themselves_are_refused(ours: Tenant) -> None:
    one = save_smart_view(ours.admin, name="One", query=ALL)
    two = save_smart_view(ours.admin, name="Two", query=both(inside(one)))
    with pytest.raises(InvalidInput, match="refers to itself"):
        update_smart_view(ours.admin, one, {"query": both(inside(two))})
    SmartView.objects.filter(pk=one.pk).update(query=both(inside(two)))
    with pytest.raises(InvalidInput, match="refers to itself"):
        parse(both(inside(one)), ours.admin)
    chain = save_smart_view(ours.admin, name="0", query=ALL)
    for number in range(MAX_VIEWS - 1):
        chain = save_smart_view(ours.admin, name=str(number + 1), query=both(inside(chain)))
    last = save_smart_view(ours.admin, name="last", query=both(inside(chain)))
    with pytest.raises(InvalidInput, match=f"more than {MAX_VIEWS} deep"):
        save_smart_view(ours.admin, name="too deep", query=both(inside(last)))


def test_a_view_is_read_as_whoever_asks(ours: Tenant, world: World) -> None:
    private = save_smart_view(ours.admin, name="Mine", query=ALL)
    contacts = save_smart_view(
        ours.admin, name="People", lists="contact", query={"type": "object_type", "object_type": "contact"}
    )
    for actor, view, words in (
        (ours.user, private, "gone, or not shared"), (world.theirs.admin, private, "gone, or not shared"), (ours.admin, contacts, "does not list leads"),
    ):  # fmt: skip
        with scope(actor.organization_id), pytest.raises(InvalidInput, match=words) as refused:
            parse(both(inside(view)), actor)
        assert list(refused.value.fields) == ["query.queries[1].saved_search_id"]


def test_former_members(ours: Tenant) -> None:
    field = {"type": "regular_field", "object_type": "lead", "field_name": "created_by"}
    tree = both({"type": "field_condition", "field": field, "condition": {"type": "former_user"}})
    assert found(ours.admin, tree) == []
    Membership.objects.filter(pk=ours.user.pk).update(removed_at=timezone.now())
    assert found(ours.admin, tree) == ["Acme", "Bluth", "Cyberdyne"]
    assert sentence(parse(tree, ours.admin)) == "Leads where Created by is a former member"


# --- services ---------------------------------------------------------------------------------------------------------
def test_only_who_may_changes_shares_or_deletes_a_view(ours: Tenant) -> None:
    team = Team.objects.create(organization=ours.organization, name="Sales")
    view = save_smart_view(ours.admin, name="View", query=ALL, shared=True)
    before = Event.objects.count()
    refused: list[Any] = [
        lambda: save_smart_view(ours.user, name="x", query=ALL, shared=True),
        lambda: save_smart_view(ours.user, name="x", query=ALL, teams=[team.pk]),
        lambda: update_smart_view(ours.user, view, {"name": "x"}),
        lambda: delete_smart_view(ours.user, view),
    ]
    for act in refused:
        with pytest.raises(NotAllowed):
            act()
    mine = save_smart_view(ours.user, name="Mine", query=ALL)
    with pytest.raises(NotAllowed):
        update_smart_view(ours.user, mine, {"shared": True})
    for wrong in (
        {"name": " "},
        {"query": {"type": "nonsense"}},
        {"query": {"type": "object_type", "object_type": "contact"}},
    ):
        with pytest.raises(InvalidInput):
            update_smart_view(ours.admin, view, wrong)
    assert SmartView.objects.count() == 2 and Event.objects.count() == before + 1
    view.refresh_from_db()
    assert (view.name, view.query, view.shared) == ("View", ALL, True)
    assert set_pinned_views(ours.user, [view.public_id, "save_nope", view.public_id]) == [view.public_id]


# --- the older text language ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme", ["Acme"]),
        ("acme or bluth", ["Acme", "Bluth"]),
        ("not (acme or bluth)", ["Cyberdyne"]),
        ("-acme -bluth", ["Cyberdyne"]),
        ('company:"Acme" sort:created', ["Acme"]),
        ("contacts:1 contacts < 2", ["Acme", "Bluth", "Cyberdyne"]),
        ("contacts > 1", []),
        ("opportunities:0 calls:0", ["Acme", "Bluth", "Cyberdyne"]),
        ("times_communicated:0", ["Acme", "Bluth", "Cyberdyne"]),
        ("times_communicated > 0", []),
        ("has:custom_activities not has:calls", ["Acme", "Bluth", "Cyberdyne"]),
        ('email_address:"hello@acme.example"', ["Acme"]),
        ("phone_number:+12025550102", ["Bluth"]),
        ('date_created > "7 days ago" name:acme', ["Acme"]),
        ("date_updated>=2020-01-01T00:00:00 00:00 bluth", ["Bluth"]),
        ("date_created:today name:bluth", ["Bluth"]),
        ('call( date >= "2020-01-01" date < "2020-02-01")', []),
        ("status:nothing", []),
        ("*", ["Acme", "Bluth", "Cyberdyne"]),
    ],
)
def test_the_older_text_language(ours: Tenant, text: str, expected: list[str]) -> None:
    assert found(ours.admin, read(text, ours.admin).tree) == expected


def test_slices_and_sorts_of_the_older_language(ours: Tenant) -> None:
    asked = read("(acme or bluth) slice:2/3 sort:-name", ours.admin)
    assert (asked.part, asked.sort) == ((2, 3), "-name")
    for wrong in (
        "(acme",
        "acme)",
        "sort:nothing",
        "slice:4/3",
        "color:red",
        "has:wings",
        "date_created:soon",
        "a" * 6000,
    ):
        with pytest.raises(InvalidInput):
            read(wrong, ours.admin)


def test_custom_fields_in_the_older_language(ours: Tenant) -> None:
    from crm.customfields.services import create_field
    from crm.models import FieldSet
    from leads.services import update_lead

    size = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Team Size", kind="number")
    update_lead(ours.admin, ours.leads[0], {"custom": {size.public_id: 12}})
    assert found(ours.admin, read('"custom.Team Size" > 10', ours.admin).tree) == ["Acme"]
    assert found(ours.admin, read("custom.team_size:12", ours.admin).tree) == ["Acme"]
    assert found(ours.admin, read('not "custom.Team Size":*', ours.admin).tree) == ["Bluth", "Cyberdyne"]
    assert BulkAction.objects.count() == 0
