"""One activity on several leads, several activities gone and back: all or nothing, each authorized."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from activities.models import Activity
from activities.queries import type_catalog
from activities.services.activities import log_activity
from activities.services.comments import add_comment
from activities.services.drafts import save_draft
from activities.services.several import delete_activities, log_on_leads, restore_deleted
from activities.services.types import update_type
from crm import events
from crm.customfields.services import create_field
from crm.errors import InvalidInput, NotAllowed, NotFound, PlanLimitReached
from crm.models import Event, Role
from crm.tenancy import scope
from leads.models import Contact, Lead
from tests.factories import PASSWORD, Tenant, World, change_field


@pytest.fixture
def ours(world: World):
    with scope(world.ours.organization), events.door("page", request_id="req_test"):
        yield world.ours


def counted() -> tuple[int, int]:
    return Activity.with_drafts.count(), Event.objects.count()


def others(tenant: Tenant) -> list[int]:
    return [lead.pk for lead in tenant.leads[1:]]


# --- on several leads -------------------------------------------------------------------------------------------------
def test_each_lead_gets_its_own_and_people_stay_at_theirs(ours: Tenant) -> None:
    create_field(ours.admin, ours.type_row.fieldset, name="Who", kind="contact")
    contact = Contact.objects.get(lead=ours.leads[0])
    logged = log_on_leads(
        ours.user, ours.leads[0], ours.call, [*others(ours), ours.leads[0].pk, ours.leads[1].pk],
        custom={ours.fields["Users"]: "9", ours.fields["Who"]: contact.public_id}, contact=contact, user=ours.admin.user,
    )  # fmt: skip
    assert [row.lead_id for row in logged] == [lead.pk for lead in ours.leads]
    users, who = (str(ours.use(name).field.id) for name in ("Users", "Who"))
    assert {row.values[users] for row in logged} == {"9"}
    assert [who in row.values for row in logged] == [True, False, False]
    assert [row.contact_id for row in logged] == [contact.pk, None, None]
    assert {row.activity_at for row in logged} == {logged[0].activity_at}
    assert {row.user_id for row in logged} == {ours.admin.user_id}


def test_a_draft_becomes_the_first_of_them(ours: Tenant) -> None:
    draft = save_draft(ours.user, ours.leads[0], ours.call, {ours.fields["Users"]: "4", "also": ["x"]})
    logged = log_on_leads(
        ours.user, ours.leads[0], ours.call, others(ours), custom={ours.fields["Users"]: "4"}, draft=draft
    )
    assert logged[0].pk == draft.pk
    assert [row.status for row in logged] == ["published"] * 3


def test_one_wrong_lead_and_nothing_is_written(ours: Tenant, world: World) -> None:
    before = counted()
    with pytest.raises(NotFound, match="Choose again"):
        log_on_leads(
            ours.user, ours.leads[0], ours.call, [ours.leads[1].pk, world.theirs.leads[0].pk], custom={}
        )  # fmt: skip
    with pytest.raises(InvalidInput, match="100 more leads"):
        log_on_leads(ours.user, ours.leads[0], ours.call, range(10_000, 10_101), custom={})
    assert counted() == before
    create_field(ours.admin, ours.type_row.fieldset, name="Who", kind="contact")
    change_field(ours, "Who", {"required": True})
    contact, before = Contact.objects.get(lead=ours.leads[0]), counted()
    with pytest.raises(InvalidInput, match="On Bluth: Who is required"):
        log_on_leads(
            ours.user, ours.leads[0], ours.call, others(ours), custom={ours.fields["Who"]: contact.public_id}
        )  # fmt: skip
    assert counted() == before


def test_rights_and_limits_hold_for_all_of_them(ours: Tenant) -> None:
    update_type(ours.admin, ours.type_row, {"edit_roles": [Role.objects.get(slug="admin").pk]})
    before = counted()
    with pytest.raises(NotAllowed):
        log_on_leads(ours.user, ours.leads[0], ours.call, others(ours), custom={})
    assert counted() == before
    ours.organization.plan = "solo"
    ours.organization.save(update_fields=["plan"])
    with pytest.raises(PlanLimitReached):
        log_on_leads(ours.admin, ours.leads[0], ours.call, others(ours), custom={})
    assert counted() == before


# --- several gone and back --------------------------------------------------------------------------------------------
def test_several_go_with_one_request_and_come_back_with_it(ours: Tenant) -> None:
    add_comment(ours.user, ours.activities[0], "Well")
    rows = [*ours.activities]
    assert len(delete_activities(ours.admin, rows)) == 3
    assert not Activity.objects.filter(pk__in=[row.pk for row in rows]).exists()
    with pytest.raises(NotFound):
        restore_deleted(ours.user, "req_test")
    assert len(restore_deleted(ours.admin, "req_test")) == 3
    assert restore_deleted(ours.admin, "req_test") == []
    assert Activity.objects.get(pk=rows[0].pk).comments.count() == 1
    with pytest.raises(NotFound):
        restore_deleted(ours.admin, "")


def test_deleting_several_needs_the_right_and_the_right_for_each(ours: Tenant, world: World) -> None:
    update_type(ours.admin, ours.type_row, {"edit_roles": [Role.objects.get(slug="admin").pk]})
    note = type_catalog(ours.organization).builtin("note")
    assert note is not None
    free = log_activity(ours.superuser, ours.leads[0], note, custom={"note": "Mine"})
    before = counted()
    with pytest.raises(NotAllowed, match="bulk delete"):
        delete_activities(ours.user, ours.activities)
    with pytest.raises(NotAllowed, match="1 of 2 cannot be deleted"):
        delete_activities(ours.superuser, [free, ours.activities[0]])
    with scope(world.theirs.organization), pytest.raises(NotFound):
        delete_activities(world.theirs.admin, ours.activities)
    assert counted() == before


# --- pages ------------------------------------------------------------------------------------------------------------
def client_of(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def at(tenant: Tenant, name: str, *args: Any) -> str:
    return reverse(f"activities:{name}", args=[tenant.organization.slug, *args])


def test_the_form_logs_on_several_and_says_where(world: World) -> None:
    ours, client = world.ours, client_of(world.ours)
    form = at(ours, "form_new", ours.leads[0].public_id, ours.type_row.public_id)
    page = client.post(
        form,
        {
            ours.fields["Users"]: "3",
            "user": ours.admin.user.public_id,
            "also": [lead.public_id for lead in (*ours.leads[1:], world.theirs.leads[0])],
        },
        follow=True,
    )
    assert "Qualifying call published on 3 leads: Acme, Bluth, Cyberdyne." in page.content.decode()
    with scope(ours.organization):
        assert Activity.objects.filter(type=ours.type_row).count() == 6
    with scope(world.theirs.organization):
        assert Activity.objects.filter(type=world.theirs.type_row).count() == 3
    wrong = client.post(form, {ours.fields["Users"]: "x", "also": [ours.leads[1].public_id]})
    assert wrong.status_code == 422
    assert f'<option value="{ours.leads[1].public_id}" selected>Bluth</option>' in wrong.content.decode()


def test_other_leads_are_kept_in_the_draft(world: World) -> None:
    ours, client = world.ours, client_of(world.ours)
    saved = client.post(
        at(ours, "autosave", ours.leads[0].public_id, ours.type_row.public_id),
        {"user": ours.admin.user.public_id, ours.fields["Users"]: "3", "also": [ours.leads[2].public_id]},
    ).json()
    assert "selected>Cyberdyne</option>" in client.get(saved["action"]).content.decode()


def test_the_picker_finds_leads_the_member_sees(world: World) -> None:
    found = client_of(world.ours).get(at(world.ours, "lead_choices"), {"q": "blu"}).json()["results"]
    assert found == [{"value": world.ours.leads[1].public_id, "text": "Bluth"}]
    assert len(client_of(world.ours).get(at(world.ours, "lead_choices")).json()["results"]) == 3


def test_selected_cards_are_deleted_after_the_count_is_confirmed(world: World) -> None:
    ours, lead = world.ours, world.ours.leads[0]
    with scope(ours.organization), events.door("page"):
        extra = log_activity(ours.user, lead, ours.call, custom={})
    address = at(ours, "delete_selected", lead.public_id)
    chosen = {"activity": [ours.activities[0].public_id, extra.public_id, ours.activities[1].public_id]}
    client = client_of(ours)
    asked = client.post(address, chosen, HTTP_HX_REQUEST="true").content.decode()
    assert "Delete 2 activities of Acme?" in asked and "2 × Qualifying call" in asked
    assert client.post(address, {**chosen, "confirmed": "3"}).status_code == 200
    assert client.post(address, {}).status_code == 422
    assert client_of(ours, "user").post(address, {**chosen, "confirmed": "2"}).status_code == 403
    assert client_of(world.theirs).post(at(world.theirs, "delete_selected", lead.public_id), chosen).status_code == 404
    with scope(ours.organization):
        assert Activity.objects.filter(type=ours.type_row).count() == 4
    done = client.post(address, {**chosen, "confirmed": "2"}, HTTP_HX_REQUEST="true")
    with scope(ours.organization):
        assert Activity.objects.filter(type=ours.type_row).count() == 2
        request_id = Event.objects.filter(action="deleted").latest("pk").request_id
    assert at(ours, "restore_deleted", request_id) in done["HX-Trigger"]
    assert client.post(at(ours, "restore_deleted", request_id), HTTP_HX_REQUEST="true").status_code == 204
    with scope(ours.organization):
        assert Activity.objects.filter(type=ours.type_row).count() == 4
        assert Lead.objects.count() == 3
