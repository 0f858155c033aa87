"""History tells every change, and any earlier version comes back through the ordinary save."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from activities.models import Activity
from activities.queries import history
from activities.services.activities import delete_activity, log_activity, restore_activity, update_activity
from activities.services.versions import restore_version
from crm import events
from crm.customfields.services import create_field, update_field
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound
from crm.models import CustomField, Event, Role
from crm.tenancy import scope
from leads.models import Contact
from tests.factories import PASSWORD, Tenant, World, change_field


@pytest.fixture
def ours(world: World):
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def fresh(activity: Activity) -> Activity:
    return Activity.with_drafts.get(pk=activity.pk)


def _created(activity: Activity) -> str:
    return (
        Event.objects.filter(object_id=activity.pk, action="created", object_type="activity.custom_activity")
        .first()
        .public_id
    )


def test_any_earlier_version_comes_back_and_can_be_taken_back(ours: Tenant) -> None:
    activity = ours.activities[0]
    create_field(ours.admin, ours.type_row.fieldset, name="Met", kind="datetime")
    create_field(ours.admin, ours.type_row.fieldset, name="Seller", kind="user")
    contact = Contact.objects.get(lead=ours.leads[0])
    update_activity(
        ours.user, activity, contact=contact,
        custom={"Users": "0.1234567891", "Met": "2026-01-31T14:30:15Z", "Seller": ours.admin.user.public_id},
    )  # fmt: skip
    middle, values = history(ours.user, fresh(activity))[0].id, dict(fresh(activity).values)
    update_activity(
        ours.user, fresh(activity), contact=None, user=ours.admin.user,
        custom={"Users": "7", "Met": "", "Seller": "", "CRM": "Salesforce", "Next step": "Call"},
    )  # fmt: skip
    changes = history(ours.user, fresh(activity))
    assert [change.can_restore for change in changes[:2]] == [False, True]
    done = restore_version(ours.user, activity, middle, revision=fresh(activity).revision)
    back = fresh(activity)
    assert (back.values, back.contact, back.user, done.stayed) == (values, contact, ours.user.user, ())
    latest = history(ours.user, back)[0]
    assert ("CRM", "Salesforce", "HubSpot") in latest.fields
    assert ("Next step", "Call", "") in latest.fields
    restore_version(ours.user, back, changes[0].id, revision=back.revision)
    assert fresh(activity).values[str(ours.use("Users").field.id)] == "7"


def test_a_version_that_does_not_validate_any_more_is_refused_in_words(ours: Tenant) -> None:
    activity = ours.activities[0]
    update_activity(ours.user, activity, custom={"Next step": "Call"})
    change_field(ours, "Next step", {"required": True})
    before = (fresh(activity).values, Event.objects.count())
    with pytest.raises(InvalidInput, match="Next step is required"):
        restore_version(ours.user, activity, _created(activity), revision=fresh(activity).revision)
    assert (fresh(activity).values, Event.objects.count()) == before


def test_a_save_in_between_is_a_conflict(ours: Tenant) -> None:
    activity = ours.activities[0]
    update_activity(ours.user, activity, custom={"Users": "1"})
    seen = fresh(activity).revision
    update_activity(ours.admin, activity, custom={"Users": "2"})
    with pytest.raises(Conflict):
        restore_version(ours.user, activity, _created(activity), revision=seen)
    assert fresh(activity).values[str(ours.use("Users").field.id)] == "2"


def test_who_may_not_edit_may_not_restore(ours: Tenant, world: World) -> None:
    activity, version = ours.activities[0], _created(ours.activities[0])
    update_activity(ours.user, activity, custom={"Users": "1"})
    before = (fresh(activity).values, Event.objects.count())
    with pytest.raises(NotAllowed):
        restore_version(ours.restricted, activity, version, revision=None)
    assert not any(change.can_restore for change in history(ours.restricted, fresh(activity)))
    with pytest.raises(NotFound):
        restore_version(ours.user, activity, _created(ours.activities[1]), revision=None)
    with pytest.raises(NotFound):
        restore_version(ours.user, activity, "ev_forged", revision=None)
    with scope(world.theirs.organization), pytest.raises(NotFound):
        restore_version(world.theirs.admin, activity, version, revision=None)
    assert (fresh(activity).values, Event.objects.count()) == before


def test_what_the_actor_may_not_write_stays(ours: Tenant) -> None:
    activity = ours.activities[0]
    update_activity(ours.user, activity, custom={"Users": "1", "CRM": "None"})
    change_field(ours, "CRM", {"edit_roles": [Role.objects.get(slug="admin").pk]})
    change_field(ours, "Qualified", {"view_roles": [Role.objects.get(slug="admin").pk]})
    update_activity(ours.admin, activity, custom={"Qualified": "no"})
    done = restore_version(ours.user, activity, _created(activity), revision=None)
    held = fresh(activity).values
    assert done.stayed == ("CRM",)
    assert held[str(ours.use("Users").field.id)] == "25"
    assert held[str(ours.use("Qualified").field.id)] == "no"


def test_versions_survive_deletion_and_undo(ours: Tenant) -> None:
    activity = ours.activities[0]
    update_activity(ours.user, activity, custom={"Users": "1"})
    restore_activity(ours.user, delete_activity(ours.user, activity))
    restore_version(ours.user, activity, _created(activity), revision=None)
    assert fresh(activity).values[str(ours.use("Users").field.id)] == "25"


def test_a_field_that_is_gone_does_not_hinder(ours: Tenant) -> None:
    from crm.customfields.services import delete_field

    activity = ours.activities[0]
    update_activity(ours.user, activity, custom={"Users": "1", "CRM": "None"})
    delete_field(ours.admin, ours.type_row.fieldset, CustomField.objects.get(pk=ours.use("CRM").field.id), "CRM")
    restore_version(ours.user, activity, _created(activity), revision=None)
    assert fresh(activity).values[str(ours.use("Users").field.id)] == "25"


def test_a_draft_has_no_versions(ours: Tenant) -> None:
    with pytest.raises(Conflict):
        restore_version(ours.user, ours.draft, _created(ours.draft), revision=None)


# --- the page ---------------------------------------------------------------------------------------------------------
def test_the_page_restores_and_says_why_not(world: World) -> None:
    ours, activity = world.ours, world.ours.activities[0]
    with scope(ours.organization), events.door("api"):
        update_activity(ours.user, activity, custom={"Users": "1"})
        version, revision = _created(activity), fresh(activity).revision
    client = Client()
    assert client.login(email=ours.user.user.email, password=PASSWORD)
    page = reverse("activities:history", args=[ours.organization.slug, activity.public_id])
    shown = client.get(page).content.decode()
    assert "through the API" in shown and version in shown
    act = reverse("activities:restore_earlier", args=[ours.organization.slug, activity.public_id])
    assert client.post(act, {"version": version, "revision": revision + 7}).status_code == 409
    assert client.post(act, {"version": "ev_forged", "revision": revision}).status_code == 404
    assert client.post(act, {"version": version, "revision": revision}).status_code == 302
    with scope(ours.organization):
        assert fresh(activity).values[str(ours.use("Users").field.id)] == "25"
        CustomField.objects.get(pk=ours.use("Qualified").field.id)
        update_field(
            ours.admin, ours.type_row.fieldset, CustomField.objects.get(pk=ours.use("Next step").field.id), {"required": True}
        )  # fmt: skip
        with events.door("page"):
            update_activity(ours.user, activity, custom={"Users": "3", "Next step": "Go"})
        revision = fresh(activity).revision
    refused = client.post(act, {"version": version, "revision": revision}, HTTP_HX_REQUEST="true")
    assert refused.status_code == 422
    assert "Next step is required" in refused.content.decode()


@pytest.mark.parametrize("rows", [1, 12])
def test_history_takes_two_queries_and_the_catalogues(ours: Tenant, django_assert_num_queries, rows: int) -> None:
    activity = log_activity(ours.user, ours.leads[1], ours.call, custom={"Users": "0"})
    for number in range(rows):
        update_activity(ours.user, activity, custom={"Users": str(number + 1)})
    history(ours.user, fresh(activity))
    found = fresh(activity)
    with django_assert_num_queries(2):
        assert len(history(ours.user, found)) == rows + 2
