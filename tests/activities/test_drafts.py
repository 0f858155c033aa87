"""Drafts: kept as typed, private, guarded by a revision, and out of sight of everything that counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.models import Activity, LeadActivityFact
from activities.queries import activity_for, my_drafts, visible_activities, visible_with_drafts
from activities.queries.activities import count_my_drafts
from activities.services.activities import delete_activity, log_activity, update_activity
from activities.services.drafts import DraftConflict, discard_draft, save_draft
from activities.services.types import archive_type, update_type
from crm import events
from crm.customfields.values import TABLES
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound
from crm.models import Event, Role, UsageCounter
from crm.tenancy import scope
from leads.models import Contact
from tests.factories import Tenant, World, change_field


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def counted() -> tuple[object, ...]:
    """What drafts must never touch."""
    return (
        list(UsageCounter.unscoped.order_by("pk").values_list("used", flat=True)),
        list(LeadActivityFact.objects.order_by("lead_id", "type_id").values_list()),
        [model.objects.count() for model in TABLES.values()],
    )


def saved(tenant: Tenant, **typed: str) -> Activity:
    found = save_draft(
        tenant.user, tenant.leads[0], tenant.call, {tenant.fields[key]: text for key, text in typed.items()}
    )
    assert found is not None
    return found


def test_what_was_typed_is_kept_as_typed_and_counts_nowhere(ours: Tenant) -> None:
    before = counted()
    draft = saved(ours, Users="12.", Qualified="  maybe  ")
    draft.refresh_from_db()
    assert draft.draft_data == {ours.fields["Users"]: "12.", ours.fields["Qualified"]: "  maybe  "}
    assert draft.values == {}
    assert counted() == before
    assert not visible_activities(ours.user).filter(pk=draft.pk)


def test_an_untouched_form_leaves_nothing(ours: Tenant) -> None:
    before = Activity.unscoped.count(), Event.objects.count()
    assert save_draft(ours.user, ours.leads[0], ours.call, {ours.fields["Users"]: "", "contact": ""}) is None
    assert (Activity.unscoped.count(), Event.objects.count()) == before


def test_the_same_text_again_writes_nothing(ours: Tenant) -> None:
    draft = saved(ours, Users="12.")
    before = Event.objects.count()
    again = save_draft(ours.user, ours.leads[0], ours.call, dict(draft.draft_data or {}), draft=draft, revision=1)
    assert again is not None
    assert (again.revision, Event.objects.count()) == (1, before)


def test_two_tabs_lose_nothing(ours: Tenant) -> None:
    draft, key = saved(ours, Users="1"), ours.fields["Users"]
    save_draft(ours.user, ours.leads[0], ours.call, {key: "2"}, draft=draft, revision=1)
    with pytest.raises(DraftConflict) as conflict:
        save_draft(ours.user, ours.leads[0], ours.call, {key: "3"}, draft=draft, revision=1)
    assert conflict.value.theirs.draft_data == {key: "2"}
    assert conflict.value.theirs.revision == 2
    taken = save_draft(ours.user, ours.leads[0], ours.call, {key: "3"}, draft=draft, revision=2)
    assert taken is not None
    assert (taken.draft_data, taken.revision) == ({key: "3"}, 3)


def test_an_answer_that_got_lost_is_not_a_conflict(ours: Tenant) -> None:
    draft, typed = saved(ours, Users="1"), {ours.fields["Users"]: "2"}
    save_draft(ours.user, ours.leads[0], ours.call, typed, draft=draft, revision=1)
    again = save_draft(ours.user, ours.leads[0], ours.call, typed, draft=draft, revision=1)
    assert again is not None
    assert again.revision == 2


def test_many_saves_of_a_minute_are_one_event(ours: Tenant) -> None:
    draft = saved(ours, Users="1")
    for text in ("12", "123", "1234"):
        save_draft(ours.user, ours.leads[0], ours.call, {ours.fields["Users"]: text}, draft=draft)
    written = Event.objects.filter(object_id=draft.pk, object_type="activity.custom_activity")
    assert [row.after["draft_data"] for row in written] == [{ours.fields["Users"]: "1234"}]


def test_publishing_checks_everything_and_keeps_the_draft_when_it_is_wrong(ours: Tenant) -> None:
    change_field(ours, "Qualified", {"required": True})
    draft, before = saved(ours, Users="12.x"), counted()
    with pytest.raises(InvalidInput) as refused:
        update_activity(ours.user, draft, status="published", revision=1)
    assert set(refused.value.fields) == {f"custom.{ours.fields[key]}" for key in ("Users", "Qualified")}
    draft.refresh_from_db()
    assert (draft.status, draft.draft_data, counted()) == ("draft", {ours.fields["Users"]: "12.x"}, before)


def test_publishing_moves_what_was_typed_into_values_and_counts_once(ours: Tenant) -> None:
    draft, used = saved(ours, Users="12.50", CRM="HubSpot"), UsageCounter.objects.get().used
    published = update_activity(ours.user, draft, status="published", revision=1)
    published.refresh_from_db()
    assert published.draft_data is None
    assert published.values[str(ours.use("Users").field.id)] == "12.5"
    assert len(published.values) == 2
    assert sum(model.objects.filter(record_key=published.pk).count() for model in TABLES.values()) == 2
    assert UsageCounter.objects.get().used == used + 1
    assert LeadActivityFact.objects.get(lead_id=draft.lead_id, type_id=ours.call.id).count == 2
    actions = Event.objects.filter(object_id=draft.pk, object_type="activity.custom_activity").order_by("pk")
    assert [row.action for row in actions] == ["created", "updated", "published"]
    with pytest.raises(Conflict, match="published already"):
        save_draft(ours.user, ours.leads[0], ours.call, {ours.fields["Users"]: "1"}, draft=draft)


def test_drafts_are_private_to_their_author_and_to_those_who_manage_others(ours: Tenant, world: World) -> None:
    draft = ours.draft
    assert draft is not None
    assert activity_for(ours.user, draft.public_id) == draft
    assert activity_for(ours.superuser, draft.public_id) == draft
    for stranger in (ours.restricted, world.theirs.admin):
        with scope(stranger.organization), pytest.raises(NotFound):
            activity_for(stranger, draft.public_id)
    assert not visible_with_drafts(ours.restricted).filter(status="draft")
    assert (my_drafts(ours.user), my_drafts(ours.superuser)) == ([draft], [])
    for attempt in (
        lambda: save_draft(ours.restricted, ours.leads[0], ours.call, {ours.fields["Users"]: "9"}, draft=draft),
        lambda: update_activity(ours.restricted, draft, status="published"),
        lambda: discard_draft(ours.restricted, draft),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert Activity.with_drafts.get(pk=draft.pk).draft_data == {ours.fields["Users"]: "12."}


def test_whom_a_draft_is_attributed_to_does_not_see_it(ours: Tenant) -> None:
    draft = log_activity(ours.user, ours.leads[0], ours.call, status="draft", user=ours.restricted.user)
    before = Activity.with_drafts.get(pk=draft.pk).revision
    with pytest.raises(NotAllowed):
        update_activity(ours.restricted, draft, custom={"Users": "1"})
    with pytest.raises(NotAllowed):
        delete_activity(ours.restricted, draft)
    assert Activity.with_drafts.get(pk=draft.pk).revision == before


def test_a_draft_of_an_archived_type_is_discarded_not_published(ours: Tenant) -> None:
    draft = saved(ours, Users="1")
    archive_type(ours.admin, ours.type_row)
    with pytest.raises(NotAllowed, match="archived"):
        update_activity(ours.user, draft, status="published")
    with pytest.raises(NotAllowed, match="archived"):
        save_draft(ours.user, ours.leads[0], ours.call, {ours.fields["Users"]: "1"})
    assert Activity.with_drafts.get(pk=draft.pk).is_draft
    discard_draft(ours.user, draft)
    assert not Activity.unscoped.filter(pk=draft.pk)


def test_a_published_activity_is_not_discarded(ours: Tenant) -> None:
    with pytest.raises(Conflict):
        discard_draft(ours.user, ours.activities[0])
    assert Activity.objects.filter(pk=ours.activities[0].pk).exists()


def test_reading_a_draft_writes_nothing(ours: Tenant) -> None:
    draft = ours.draft
    assert draft is not None
    before = Activity.with_drafts.values_list("revision", "date_updated").get(pk=draft.pk), Event.objects.count()
    activity_for(ours.user, draft.public_id)
    my_drafts(ours.user)
    assert (
        Activity.with_drafts.values_list("revision", "date_updated").get(pk=draft.pk),
        Event.objects.count(),
    ) == before


def test_a_draft_published_later_happened_when_it_was_published(ours: Tenant) -> None:
    draft = saved(ours, Users="1")
    Activity.unscoped.filter(pk=draft.pk).update(
        activity_at=datetime(2024, 1, 1, tzinfo=UTC), date_created=datetime(2024, 1, 1, tzinfo=UTC)
    )
    published = update_activity(ours.user, draft, status="published")
    assert published.activity_at == published.published_at


def test_saves_of_one_form_that_overtake_each_other_make_one_draft(ours: Tenant) -> None:
    lead, field = ours.leads[1], ours.fields["Qualified"]

    def save(text: str, sequence: int, form: str = "aaaaaaaaaa", **more: Any) -> Activity:
        draft = save_draft(ours.user, lead, ours.call, {field: text}, form=form, sequence=sequence, **more)
        assert draft is not None
        return draft

    first = save("newer", 2)
    assert save("older", 1).pk == first.pk
    assert save("newest", 3).pk == first.pk
    fresh = Activity.with_drafts.get(pk=first.pk)
    assert fresh.draft_data[field] == "newest"
    assert save("another form", 1, form="bbbbbbbbbb").pk != first.pk
    with pytest.raises(DraftConflict):
        save("stale", 1, form="cccccccccc", draft=fresh, revision=fresh.revision - 1)
    assert save("from here again", 4, draft=fresh, revision=fresh.revision - 1).draft_data[field] == "from here again"


def test_a_form_mark_finds_only_ones_own_draft(ours: Tenant) -> None:
    mine = save_draft(
        ours.user, ours.leads[1], ours.call, {ours.fields["Qualified"]: "a"}, form="aaaaaaaaaa", sequence=1
    )
    theirs = save_draft(
        ours.admin, ours.leads[1], ours.call, {ours.fields["Qualified"]: "b"}, form="aaaaaaaaaa", sequence=1
    )
    assert mine is not None and theirs is not None and mine.pk != theirs.pk


def test_publishing_through_the_service_takes_over_what_the_draft_says_about_itself(ours: Tenant) -> None:
    contact = Contact.objects.get(lead=ours.leads[0])
    typed = {
        ours.fields["Users"]: "3", "activity_at": "2026-01-31T14:30", "contact": contact.public_id,
        "user": ours.admin.user.public_id,
    }  # fmt: skip
    draft = save_draft(ours.user, ours.leads[0], ours.call, typed)
    done = update_activity(ours.user, draft, status="published")
    assert (done.contact, done.user, done.activity_at.isoformat()) == (
        contact, ours.admin.user, "2026-01-31T14:30:00+00:00"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [("activity_at", "tomorrow", "not a date and time"), ("contact", "cont_x", "not at this lead"), ("user", "user_x", "not known")],
)  # fmt: skip
def test_what_a_draft_says_wrong_about_itself_is_named_and_kept(ours: Tenant, key: str, text: str, words: str) -> None:
    draft = save_draft(ours.user, ours.leads[0], ours.call, {ours.fields["Users"]: "3", key: text})
    before = Event.objects.count()
    with pytest.raises(InvalidInput, match=words):
        update_activity(ours.user, draft, status="published")
    fresh = Activity.with_drafts.get(pk=draft.pk)
    assert (fresh.is_draft, fresh.draft_data[key], Event.objects.count()) == (True, text, before)


def test_the_badge_counts_what_the_page_lists(ours: Tenant) -> None:
    save_draft(ours.user, ours.leads[1], ours.call, {ours.fields["Qualified"]: "a"})
    assert count_my_drafts(ours.user) == len(my_drafts(ours.user)) == 2
    update_type(ours.admin, ours.type_row, {"view_roles": [Role.objects.get(slug="admin").pk]})
    assert count_my_drafts(ours.user) == len(my_drafts(ours.user)) == 0
