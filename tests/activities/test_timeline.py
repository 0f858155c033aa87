"""The timeline of a lead: order, paging, filters, who sees what, and a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from activities.queries import Card, TimelineFilters, cards_of, history, timeline, type_catalog
from activities.services.activities import delete_activity, log_activity, set_pinned, update_activity
from activities.services.drafts import save_draft
from activities.services.types import update_type
from crm import events
from crm.customfields.services import change_options, create_field
from crm.models import Role
from crm.tenancy import scope
from leads.models import Contact
from tests.factories import Tenant, World, change_field

START = datetime(2024, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def log_days(tenant: Tenant, number: int, **more: Any) -> list[str]:
    """Log on the second lead, one a day; return the ids, newest first."""
    made = [
        log_activity(
            tenant.user, tenant.leads[1], tenant.call, custom={"Users": str(day)}, activity_at=START + timedelta(days=day), **more
        )
        for day in range(number)
    ]  # fmt: skip
    return [row.public_id for row in reversed(made)]


def card_of(cards: tuple[Card, ...], public_id: str) -> Card:
    return next(card for card in cards if card.id == public_id)


def test_pages_are_newest_first_and_complete(ours: Tenant) -> None:
    ids = log_days(ours, 7)
    seen, cursor, pages = [], "", 0
    while True:
        page = timeline(ours.user, ours.leads[1], cursor=cursor, limit=3)
        seen += [card.id for card in page.cards]
        cursor, pages = page.next_cursor, pages + 1
        if not cursor:
            break
    assert pages == 3
    assert len(seen) == len(set(seen)) == 9
    assert seen[2:] == ids
    assert {card.type.name for card in timeline(ours.user, ours.leads[1]).cards} == {"Qualifying call", "Lead created"}


def test_same_moment_entries_are_neither_lost_nor_repeated(ours: Tenant) -> None:
    for _ in range(5):
        log_activity(ours.user, ours.leads[1], ours.call, activity_at=START)
    filters = TimelineFilters(type_ids=(ours.call.public_id,))
    first = timeline(ours.user, ours.leads[1], filters, limit=2)
    second = timeline(ours.user, ours.leads[1], filters, first.next_cursor, limit=2)
    third = timeline(ours.user, ours.leads[1], filters, second.next_cursor, limit=2)
    ids = [card.id for page in (first, second, third) for card in page.cards]
    assert len(ids) == len(set(ids)) == 6


def test_pinned_ones_stand_on_top_once(ours: Tenant) -> None:
    ids = log_days(ours, 5)
    set_pinned(ours.user, ours.activities[1], True)
    for filters in (None, TimelineFilters(type_ids=(ours.call.public_id,))):
        page = timeline(ours.user, ours.leads[1], filters, limit=2)
        assert [card.id for card in page.pinned] == [ours.activities[1].public_id]
        seen, cursor = [card.id for card in page.cards], page.next_cursor
        while cursor:
            page = timeline(ours.user, ours.leads[1], filters, cursor, limit=2)
            assert page.pinned == ()
            seen, cursor = seen + [card.id for card in page.cards], page.next_cursor
        assert ours.activities[1].public_id not in seen
        assert [public_id for public_id in seen if public_id in ids] == ids


def test_filters_by_type_user_text_and_without_system_entries(ours: Tenant) -> None:
    lead = ours.leads[1]
    note = type_catalog(ours.organization).builtin("note")
    assert note is not None
    written = log_activity(ours.admin, lead, note, custom={"note": "Ordered a Café crème"})

    def ids(**filters: Any) -> set[str]:
        return {card.id for card in timeline(ours.user, lead, TimelineFilters(**filters)).cards}

    assert ids(type_ids=(note.public_id,)) == {written.public_id}
    assert ids(user_id=ours.admin.user.public_id) == {written.public_id}
    assert ids(text="cafe CREME") == {written.public_id}
    assert ids(text="cafe tea") == set()
    assert ids(with_system=False) == {written.public_id, ours.activities[1].public_id}
    assert ids(type_ids=("actitype_nonsense",)) == set()


def test_a_permalink_finds_what_paging_hides(ours: Tenant) -> None:
    oldest = log_days(ours, 5)[-1]
    page = timeline(ours.user, ours.leads[1], focus=oldest, limit=2)
    assert page.focused is not None
    assert page.focused.id == oldest
    assert timeline(ours.user, ours.leads[1], focus=page.cards[0].id, limit=2).focused is None
    elsewhere = ours.activities[0].public_id
    assert timeline(ours.user, ours.leads[1], focus=elsewhere).focused is None


def test_a_card_is_ready_for_display(ours: Tenant) -> None:
    contact = Contact.objects.get(lead=ours.leads[0])
    future = datetime.now(UTC) + timedelta(days=1)
    update_activity(ours.user, ours.activities[0], contact=contact, activity_at=future)
    card = card_of(timeline(ours.user, ours.leads[0]).cards, ours.activities[0].public_id)
    assert [(value.label, value.text) for value in card.values] == [
        ("Qualified", "yes"),
        ("CRM", "HubSpot"),
        ("Users", "25"),
    ]
    assert card.empty_labels == ("Next step",)
    assert (card.user_name, card.created_by_name, card.contact_name) == ("Uma User", "Uma User", str(contact))
    assert (card.is_future, card.is_draft, card.can_edit, card.can_delete) == (True, False, True, True)
    system = next(row for row in timeline(ours.admin, ours.leads[0]).cards if row.type.system)
    assert (system.can_edit, system.can_delete) == (False, False)
    assert not card_of(timeline(ours.restricted, ours.leads[0]).cards, card.id).can_edit


def test_drafts_show_what_was_typed_to_their_author_only(ours: Tenant) -> None:
    draft = ours.draft
    assert draft is not None
    card = card_of(timeline(ours.user, ours.leads[0]).cards, draft.public_id)
    assert card.is_draft
    assert [(value.label, value.text) for value in card.values] == [("Users", "12.")]
    assert draft.public_id not in {row.id for row in timeline(ours.restricted, ours.leads[0]).cards}


def test_hidden_types_and_fields_are_nowhere(ours: Tenant) -> None:
    admin_role = Role.objects.get(slug="admin").pk
    change_field(ours, "Qualified", {"view_roles": [admin_role]})
    card = card_of(timeline(ours.user, ours.leads[0]).cards, ours.activities[0].public_id)
    assert "Qualified" not in {value.label for value in card.values} | set(card.empty_labels)
    assert timeline(ours.user, ours.leads[0], TimelineFilters(text="yes")).cards == ()
    assert len(timeline(ours.admin, ours.leads[0], TimelineFilters(text="yes")).cards) == 1
    update_type(ours.admin, ours.type_row, {"view_roles": [admin_role]})
    page = timeline(ours.user, ours.leads[0], focus=ours.activities[0].public_id)
    assert {row.type.name for row in page.cards} == {"Lead created"}
    assert page.focused is None


def test_the_number_of_queries_is_the_same_at_one_and_at_many(ours: Tenant) -> None:
    create_field(ours.admin, ours.type_row.fieldset, name="Who", kind="contact")
    create_field(ours.admin, ours.type_row.fieldset, name="Seller", kind="user")
    lead = ours.leads[1]
    contact = Contact.objects.get(lead=lead)

    def log() -> None:
        log_activity(
            ours.user,
            lead,
            ours.call,
            custom={"Who": contact.public_id, "Seller": ours.admin.user.public_id},
            contact=contact,
        )

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            timeline(ours.user, lead)
        return len(captured)

    log()
    queries()
    one = queries()
    for _ in range(6):
        log()
    assert queries() == one <= 5


def test_history_tells_who_changed_what_through_which_door(ours: Tenant) -> None:
    activity = ours.activities[0]
    with events.door("api"):
        update_activity(ours.admin, activity, custom={"Users": "99", "CRM": "Salesforce"})
    latest = history(ours.user, activity)[0]
    assert (latest.who, latest.door, latest.action) == ("Ada Admin", "api", "updated")
    assert set(latest.fields) == {("Users", "25", "99"), ("CRM", "HubSpot", "Salesforce")}
    change_field(ours, "CRM", {"view_roles": [Role.objects.get(slug="admin").pk]})
    assert {name for change in history(ours.user, activity) for name, *_ in change.fields}.isdisjoint({"CRM"})


def test_what_is_deleted_leaves_the_timeline(ours: Tenant) -> None:
    delete_activity(ours.user, ours.activities[0])
    assert ours.activities[0].public_id not in {card.id for card in timeline(ours.user, ours.leads[0]).cards}


def test_choices_show_their_colours_in_drafts_too(ours: Tenant) -> None:
    field = create_field(
        ours.admin, ours.type_row.fieldset, name="Verdict", kind="choices", options=["Hot", "Cold"], multiple=True
    )
    options = {option.label: option.public_id for option in field.options.all()}
    change_options(ours.admin, field, {options["Hot"]: {"color": "red"}})
    published = log_activity(ours.user, ours.leads[0], ours.call, custom={field.public_id: ["Hot", "Cold"]})
    draft = save_draft(ours.user, ours.leads[0], ours.call, {field.public_id: [options["Hot"]]})
    strange = save_draft(ours.user, ours.leads[0], ours.call, {field.public_id: [options["Hot"], "opt_gone"]})
    shown = {
        card.id: {value.label: value for value in card.values}
        for card in cards_of(ours.user, [published, draft, strange])
    }
    assert shown[published.public_id]["Verdict"].chips == (("Hot", "red"), ("Cold", ""))
    assert shown[draft.public_id]["Verdict"].chips == (("Hot", "red"),)
    assert (shown[strange.public_id]["Verdict"].chips, shown[strange.public_id]["Verdict"].text) == (
        (),
        "Hot, opt_gone",
    )


def test_long_cards_fold_and_sections_keep_their_headings(ours: Tenant) -> None:
    fieldset = ours.type_row.fieldset
    made = [
        create_field(ours.admin, fieldset, name=f"Step {n}", kind="text", heading="Playbook" if n == 0 else "") for n in range(20)
    ]  # fmt: skip
    short = log_activity(ours.user, ours.leads[0], ours.call, custom={"Qualified": "yes", made[3].public_id: "done"})
    long = log_activity(ours.user, ours.leads[0], ours.call, custom={row.public_id: "done" for row in made})
    few, many = cards_of(ours.user, [short, long])
    assert [(value.label, value.heading) for value in few.values] == [("Qualified", ""), ("Step 3", "Playbook")]
    assert (few.first_values, few.folded_values) == (few.values, ())
    assert (len(many.first_values), len(many.folded_values)) == (12, 8)
    assert many.first_values + many.folded_values == many.values


def test_a_lead_says_how_it_came_to_be(ours: Tenant) -> None:
    [entry] = [card for card in timeline(ours.user, ours.leads[2]).cards if card.type.builtin == "created"]
    assert [(value.label, value.text) for value in entry.values] == [("Source", "by hand")]
