"""Comments under activities: whoever sees one may write, authors change their own, those concerned are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from activities.models import Comment
from activities.queries import cards_of
from activities.queries.comments import Mentions
from activities.services.activities import delete_activity, log_activity, restore_activity
from activities.services.comments import LONGEST, add_comment, delete_comment, edit_comment
from activities.services.types import update_type
from crm import events
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Event, Membership, Notification, Role
from crm.tenancy import scope
from leads.services import delete_lead
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World):
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def counted() -> tuple[int, int, int]:
    return Comment.objects.count(), Notification.objects.count(), Event.objects.count()


def told(member: Membership) -> list[tuple[str, str]]:
    return [(row.kind, row.text) for row in Notification.objects.filter(membership=member).order_by("pk")]


# --- writing ----------------------------------------------------------------------------------------------------------
def test_whoever_sees_an_activity_may_comment(ours: Tenant) -> None:
    comment = add_comment(ours.restricted, ours.activities[0], "  Well\x00 done!\r\nGo on. ")
    assert comment.text == "Well done!\nGo on."
    event = Event.objects.latest("pk")
    assert (event.action, event.object_type, event.object_id) == ("created", "comment", comment.pk)
    assert (event.meta["activity_id"], event.after["text"]) == (ours.activities[0].pk, comment.text)
    [card] = cards_of(ours.restricted, [ours.activities[0]])
    assert [(c.author_name, c.can_edit, c.can_delete, c.is_edited) for c in card.comments] == [
        ("Rex Restricted", True, True, False)
    ]
    [card] = cards_of(ours.admin, [ours.activities[0]])
    assert [(c.can_edit, c.can_delete) for c in card.comments] == [(False, True)]


@pytest.mark.parametrize("text", ["", "  \n ", "\x00", "x" * (LONGEST + 1)])
def test_nothing_and_too_much_are_refused_in_words(ours: Tenant, text: str) -> None:
    before = counted()
    with pytest.raises(InvalidInput, match=r"Write something first|has room for"):
        add_comment(ours.user, ours.activities[0], text)
    assert counted() == before


def test_what_one_does_not_see_one_does_not_comment(ours: Tenant, world: World) -> None:
    update_type(ours.admin, ours.type_row, {"view_roles": [Role.objects.get(slug="admin").pk]})
    comment = add_comment(ours.admin, ours.activities[0], "Between us")
    before = counted()
    for act in (
        lambda: add_comment(ours.user, ours.activities[0], "Hello?"),
        lambda: edit_comment(ours.user, comment, "Hello?"),
        lambda: delete_comment(ours.user, comment),
    ):
        with pytest.raises(NotFound):
            act()
    with scope(world.theirs.organization):
        for act in (
            lambda: add_comment(world.theirs.admin, ours.activities[0], "Hello?"),
            lambda: edit_comment(world.theirs.admin, comment, "Hello?"),
            lambda: delete_comment(world.theirs.admin, comment),
        ):
            with pytest.raises(NotFound):
                act()
    assert counted() == before


def test_drafts_and_system_entries_take_no_comments(ours: Tenant) -> None:
    before = counted()
    with pytest.raises(NotAllowed, match="Publish it"):
        add_comment(ours.user, ours.draft, "To myself")
    with pytest.raises(NotFound):
        add_comment(ours.restricted, ours.draft, "To you")
    from activities.models import Activity

    created = Activity.objects.filter(lead=ours.leads[0], type__builtin="created").get()
    with pytest.raises(NotAllowed, match="written by Touchpoint"):
        add_comment(ours.user, created, "Hm")
    assert counted() == before


def test_one_changes_ones_own_only_and_deletes_others_by_right(ours: Tenant) -> None:
    comment = add_comment(ours.user, ours.activities[0], "First")
    before = counted()
    for member in (ours.restricted, ours.admin):
        with pytest.raises(NotAllowed, match="Only its author"):
            edit_comment(member, comment, "Mine now")
    with pytest.raises(NotAllowed, match="manage others’ activities"):
        delete_comment(ours.restricted, comment)
    assert counted() == before
    assert edit_comment(ours.user, comment, "First").date_updated == comment.date_updated
    assert counted() == before
    edit_comment(ours.user, comment, "Second")
    [card] = cards_of(ours.user, [ours.activities[0]])
    assert card.comments[0].is_edited
    event = Event.objects.latest("pk")
    assert (event.before["text"], event.after["text"], event.changed) == ("First", "Second", ["text"])
    assert delete_comment(ours.superuser, comment).before["text"] == "Second"
    assert Comment.objects.count() == 0


# --- mentions ---------------------------------------------------------------------------------------------------------
def test_mentions_are_found_by_name_and_email(ours: Tenant) -> None:
    mentions = Mentions(Lookups(ours.organization))
    found = lambda text: [ref.name for ref in mentions.people(text)]  # noqa: E731
    assert found("Hi @Ada Admin, and @uma user!") == ["Ada Admin", "Uma User"]
    assert found("@admin@ours.example: look") == ["Ada Admin"]
    assert found("write to admin@ours.example or @Ada Administrator") == []
    assert found("(@Ada Admin) @Ada Admin") == ["Ada Admin"]
    parts = mentions.parts("Hi @Ada Admin, <b>")
    assert [(part.text, part.is_mention) for part in parts] == [("Hi ", False), ("@Ada Admin", True), (", <b>", False)]


def test_those_mentioned_and_those_concerned_are_told_once(ours: Tenant) -> None:
    add_comment(ours.restricted, ours.activities[0], "@Ada Admin see this")
    [mention] = told(ours.admin)
    assert mention[0] == "mention"
    assert "Rex Restricted mentioned you under Qualifying call on Acme: @Ada Admin see this" in mention[1]
    assert [kind for kind, _ in told(ours.user)] == ["comment"]
    assert told(ours.restricted) == told(ours.superuser) == []
    add_comment(ours.admin, ours.activities[0], "Seen, @Uma User")
    assert [kind for kind, _ in told(ours.user)] == ["comment", "mention"]
    assert [kind for kind, _ in told(ours.restricted)] == ["comment"]
    path = Notification.objects.filter(membership=ours.user).first().path
    assert path == f"activities/{ours.activities[0].public_id}/"


def test_a_change_tells_only_who_is_newly_mentioned(ours: Tenant) -> None:
    comment = add_comment(ours.user, ours.activities[0], "@Ada Admin")
    edit_comment(ours.user, comment, "@Ada Admin and @Sue Super")
    assert (len(told(ours.admin)), len(told(ours.superuser))) == (1, 1)


def test_nobody_is_told_of_what_they_may_not_see(ours: Tenant) -> None:
    update_type(ours.admin, ours.type_row, {"view_roles": [Role.objects.get(slug="admin").pk]})
    add_comment(ours.admin, ours.activities[0], "@Uma User is not on this")
    assert told(ours.user) == []


# --- what becomes of them ---------------------------------------------------------------------------------------------
def test_undo_brings_them_back_and_a_deleted_lead_leaves_them_in_the_log(ours: Tenant) -> None:
    add_comment(ours.user, ours.activities[0], "Keep me")
    restore_activity(ours.user, delete_activity(ours.user, ours.activities[0]))
    [card] = cards_of(ours.user, [ours.activities[0]])
    assert [("".join(p.text for p in c.parts), c.is_edited) for c in card.comments] == [("Keep me", False)]
    delete_lead(ours.admin, ours.leads[0])
    event = Event.objects.filter(object_id=ours.activities[0].pk, action="deleted").latest("pk")
    assert [row["text"] for row in event.before["comments"]] == ["Keep me"]


# --- pages ------------------------------------------------------------------------------------------------------------
def client_of(tenant: Tenant, role: str = "user") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def at(tenant: Tenant, name: str, *args: Any) -> str:
    return reverse(f"activities:{name}", args=[tenant.organization.slug, *args])


def test_the_page_writes_changes_and_deletes_without_scripts(world: World) -> None:
    ours, activity = world.ours, world.ours.activities[0]
    client, page = client_of(ours, "restricted"), at(world.ours, "comments", activity.public_id)
    assert client.get(page).status_code == 200
    assert client.post(page, {"text": " "}).status_code == 422
    assert client.post(page, {"text": "<i>Good</i> @Ada Admin"})["Location"] == page
    shown = client.get(page).content.decode()
    assert "&lt;i&gt;Good&lt;/i&gt;" in shown and '<span class="tp-mention">@Ada Admin</span>' in shown
    with scope(ours.organization):
        comment = Comment.objects.get().public_id
    edit = at(ours, "comment_edit", comment)
    assert "&lt;i&gt;Good" in client.get(edit).content.decode()
    assert client.post(edit, {"text": ""}).status_code == 422
    assert client.post(edit, {"text": "Better"}, HTTP_HX_REQUEST="true").content.decode().strip().startswith("<div")
    assert client_of(ours).post(edit, {"text": "x"}).status_code == 403
    assert client_of(world.theirs).get(edit).status_code == 404
    assert client_of(world.theirs).post(at(world.theirs, "comment_delete", comment)).status_code == 404
    assert client_of(ours).post(at(ours, "comment_delete", comment)).status_code == 403
    assert client.post(at(ours, "comment_delete", comment))["Location"] == page
    with scope(ours.organization):
        assert Comment.objects.count() == 0


def test_a_deleted_comment_comes_back_once_for_who_deleted_it(world: World) -> None:
    ours, activity = world.ours, world.ours.activities[0]
    with scope(ours.organization):
        comment = add_comment(ours.user, activity, "Keep me, @Ada Admin")
    client, number = client_of(ours), Notification.unscoped.count()
    answer = client.post(at(ours, "comment_delete", comment.public_id), HTTP_HX_REQUEST="true")
    undo = json.loads(answer["HX-Trigger"])["toast"]["undo_url"]
    before = Event.unscoped.count()
    assert client_of(ours, "admin").post(undo).status_code == 404
    assert client_of(world.theirs).post(undo.replace("/ours/", "/theirs/")).status_code == 404
    assert (Comment.unscoped.count(), Event.unscoped.count()) == (0, before)
    back = client.post(undo, HTTP_HX_REQUEST="true")
    assert back.status_code == 204 and "timeline-changed" in back["HX-Trigger"]
    again = Comment.unscoped.get()
    assert (again.pk, again.text, again.author_id, again.date_created, again.date_updated) == (
        comment.pk, comment.text, comment.author_id, comment.date_created, comment.date_updated,
    )  # fmt: skip
    assert Notification.unscoped.count() == number, "nobody is told again"
    assert client.post(undo, HTTP_HX_REQUEST="true").status_code == 409
    with scope(ours.organization):
        delete_comment(ours.user, again)
        delete_activity(ours.user, activity)
    assert client.post(undo).status_code == 404
    with scope(ours.organization):
        restore_activity(ours.user, Event.objects.filter(object_id=activity.pk, action="deleted").latest("pk"))
    assert client.post(undo)["Location"] == at(ours, "comments", activity.public_id)


def test_the_picker_offers_members_of_this_organization(world: World) -> None:
    found = client_of(world.ours).get(at(world.ours, "mentionable")).json()["results"]
    assert [row["name"] for row in found] == ["Ada Admin", "Rex Restricted", "Sue Super", "Uma User"]
    assert all(row["email"].endswith("@ours.example") for row in found)


@pytest.mark.parametrize("rows", [1, 4])
def test_the_timeline_takes_one_query_for_all_comments(world: World, django_assert_num_queries, rows: int) -> None:
    ours, lead = world.ours, world.ours.leads[1]
    with scope(ours.organization), events.door("page"):
        for number in range(rows):
            activity = log_activity(ours.user, lead, ours.call, custom={"Qualified": str(number)})
            add_comment(ours.admin, activity, "Yes")
    client, address = client_of(ours), at(ours, "timeline", lead.public_id)
    client.get(address, HTTP_HX_REQUEST="true")
    with django_assert_num_queries(8):
        client.get(address, HTTP_HX_REQUEST="true")
