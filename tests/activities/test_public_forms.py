"""Public forms: what strangers send becomes activities, and nothing of ours becomes visible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from activities.forms_public import PER_ADDRESS
from activities.models import Activity, Comment, PublicForm
from activities.services.public_forms import (
    create_form,
    delete_form,
    form_for,
    forms_for,
    give_new_address,
    update_form,
)
from activities.services.rules import create_rule
from activities.services.types import archive_type, update_type
from crm import events
from crm.customfields.services import create_field, update_field
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.members import deactivate_member
from crm.models import CustomField, Event, Notification, Organization
from crm.tenancy import scope
from leads.models import Contact, Lead, Task
from tests.factories import PASSWORD, Tenant, World, change_field


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def make(tenant: Tenant, actor: Any = None, **more: Any) -> PublicForm:
    fields = [tenant.fields[name] for name in ("CRM", "Users")]
    given = {"title": "Talk to us", "thanks": "Thank you!", "fields": fields, "enabled": True, **more}
    return create_form(actor or tenant.admin, tenant.type_row.public_id, given)


def send(tenant: Tenant, form: PublicForm, client: Client | None = None, later: int = 30, **given: Any) -> Any:
    """Open the page, wait, and send it. Returns the answer."""
    client = client or Client()
    page = client.get(f"/f/{form.token}/")
    assert page.status_code == 200, page.content
    stamp = re.search(r'name="stamp" value="([^"]+)"', page.content.decode())
    assert stamp
    fields = tenant.fields
    sent = {
        "name": "Bo Ek", "email": "bo@new.example", "company": "Newco", "website": "", "stamp": stamp[1],
        fields["CRM"]: "HubSpot", fields["Users"]: "12", **given,
    }  # fmt: skip
    with time_machine.travel(timezone.now() + timedelta(seconds=later)):
        return client.post(f"/f/{form.token}/", sent)


def state() -> tuple[int, ...]:
    return (
        Lead.unscoped.count(), Contact.unscoped.count(), Activity.unscoped.count(), Event.unscoped.count(),
    )  # fmt: skip


# --- what comes in ----------------------------------------------------------------------------------------------------
def test_a_stranger_becomes_a_lead_with_a_contact_and_an_activity(ours: Tenant) -> None:
    form = make(ours)
    answer = send(ours, form)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/f/{form.token}/thanks/")
    assert "Thank you!" in Client().get(answer.headers["Location"]).content.decode()
    lead = Lead.objects.get(name="Newco")
    assert (lead.source, lead.created_by_id) == ("form", ours.admin.user_id)
    contact = lead.contacts.get()
    assert (contact.name, contact.emails[0]["email"]) == ("Bo Ek", "bo@new.example")
    kind = ours.call
    activity = Activity.objects.get(lead=lead, type_id=kind.id)
    assert (activity.contact_id, activity.created_by_id) == (contact.pk, ours.admin.user_id)
    assert activity.values[str(ours.use("Users").field.id)] == "12"
    assert Event.objects.filter(door="form", object_id=activity.pk, action="published").exists()
    form.refresh_from_db()
    assert form.submissions == 1
    assert form.last_submission_at


def test_who_is_known_by_email_gets_the_activity_on_their_lead_unchanged(ours: Tenant) -> None:
    form = make(ours)
    before = Lead.objects.count(), list(Contact.objects.order_by("pk").values("name", "emails"))
    known = send(ours, form, email="HELLO@acme.example", name="Somebody Else", company="Other")
    new = send(ours, form, email="new@new.example")
    # Nothing in the two answers tells which address was known.
    assert (known.status_code, known.headers["Location"], known.content) == (
        new.status_code, new.headers["Location"], new.content,
    )  # fmt: skip
    acme = ours.leads[0]
    assert Activity.objects.filter(lead=acme, type_id=ours.call.id).count() == 2
    assert Lead.objects.count() == before[0] + 1
    assert list(Contact.objects.order_by("pk").values("name", "emails"))[: len(before[1])] == before[1]


def test_what_a_known_person_calls_themselves_is_kept_beside_the_activity(ours: Tenant) -> None:
    form = make(ours)
    send(ours, form, email="hello@acme.example", name="@Ada Admin", company="ACME")
    (comment,) = Comment.objects.all()
    assert (comment.text, comment.author_id) == ("Filled in as: Ada Admin", ours.admin.user_id)
    assert comment.activity.lead_id == ours.leads[0].pk and not Notification.objects.exists()
    send(ours, form, email="hello@acme.example", name="Contact of Acme", company="")
    send(ours, form, email="new@new.example", name="New", company="Newer")
    assert Comment.objects.count() == 1


def test_the_same_address_twice_makes_one_lead(ours: Tenant) -> None:
    form = make(ours)
    send(ours, form)
    send(ours, form, email="BO@new.example")
    assert Lead.objects.filter(name="Newco").count() == 1
    assert Activity.objects.filter(lead__name="Newco", type_id=ours.call.id).count() == 2


def test_rules_of_the_type_run(ours: Tenant) -> None:
    create_rule(
        ours.admin, ours.type_row.public_id, name="Call", actions=[{"do": "task", "text": "Call the stranger"}]
    )  # fmt: skip
    form = make(ours)
    form.owner.organization.refresh_from_db()
    send(ours, form)
    assert Task.objects.get().lead.name == "Newco"


def test_over_the_plan_s_limit_the_answer_waits_as_a_draft(ours: Tenant) -> None:
    Organization.objects.filter(pk=ours.organization.pk).update(plan="solo")
    form = make(ours)
    answer = send(ours, form)
    assert answer.status_code == 302
    draft = Activity.with_drafts.get(lead__name="Newco", type_id=ours.call.id)
    assert draft.is_draft
    assert "waits as a draft" in Notification.objects.get(membership=ours.admin).text


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("email", "bo", "valid email"),
        ("email", "", "required"),
        ("name", "   ", "required"),
        ("name", "x" * 201, "at most 200"),
    ],
)
def test_a_visitor_says_who_they_are(ours: Tenant, key: str, value: str, sentence: str) -> None:
    form = make(ours)
    before = state()
    answer = send(ours, form, **{key: value})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert sentence in page
    assert 'value="12"' in page
    assert state() == before


def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(ours: Tenant) -> None:
    change_field(ours, "CRM", {"required": True})
    form = make(ours)
    before = state()
    answer = send(ours, form, **{ours.fields["Users"]: "-5", ours.fields["CRM"]: ""})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "CRM is required." in page
    assert 'value="-5"' in page
    assert "Newco" in page
    assert state() == before


def test_questions_follow_the_answers_with_and_without_scripts(ours: Tenant) -> None:
    """What a rule hides is not asked; the button without scripts and HTMX with them draw the questions anew, sending nothing."""
    crm = ours.fields["CRM"]
    made = create_field(
        ours.admin, ours.type_row.fieldset, name="Which HubSpot plan?", kind="text", heading="About HubSpot",
        show_when={"field": crm, "values": ["HubSpot"]},
    )  # fmt: skip
    plan = made.public_id
    with pytest.raises(InvalidInput) as refused:
        make(ours, fields=[plan])
    assert "CRM must be asked too" in refused.value.fields["fields"]
    form = make(ours, fields=[crm, plan])
    client, path = Client(), f"/f/{form.token}/"
    page = client.get(path).content.decode()
    assert f'name="{plan}"' not in page and "About HubSpot" not in page
    assert 'hx-trigger="change from:[data-decides]"' in page and 'name="look"' in page
    option = re.search(r'<option value="([^"]+)">HubSpot</option>', page)
    assert option
    chosen = option[1]
    typed = {"look": "1", "name": "Bo", "email": "bo@new.example", crm: chosen}
    whole = client.post(path, typed).content.decode()
    assert f'name="{plan}"' in whole and "About HubSpot" in whole and 'value="bo@new.example"' in whole
    part = client.post(path, typed, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="questions"') and f'name="{plan}"' in part and "<html" not in part
    other = client.post(path, {**typed, crm: ""}, headers={"HX-Request": "true"}).content.decode()
    assert f'name="{plan}"' not in other
    assert not Lead.objects.filter(source="form").exists()
    assert send(ours, form, **{crm: chosen, plan: "Starter"}).status_code == 302
    assert Activity.objects.latest("pk").values[str(made.pk)] == "Starter"
    # A rule about a field that is asked no more: nothing would ever show the other one.
    update_form(ours.admin, form, {"fields": [crm, plan]})
    PublicForm.objects.filter(pk=form.pk).update(fields=[made.pk])
    assert f'name="{plan}"' not in client.get(path).content.decode()


def test_fields_that_were_not_asked_cannot_be_written(ours: Tenant) -> None:
    form = make(ours, fields=[ours.fields["CRM"]])
    send(ours, form, **{ours.fields["Qualified"]: "injected", ours.fields["Users"]: "99"})
    activity = Activity.objects.get(lead__name="Newco", type_id=ours.call.id)
    assert set(activity.values) == {str(ours.use("CRM").field.id)}


def test_too_much_text_is_refused(ours: Tenant) -> None:
    form = make(ours, fields=[ours.fields["Next step"]])
    before = state()
    assert send(ours, form, **{ours.fields["Next step"]: "x" * 10_001}).status_code == 422
    assert state() == before


def test_the_trap_catches_machines_without_telling_them(ours: Tenant) -> None:
    form = make(ours)
    before = state()
    answer = send(ours, form, website="https://spam.example")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/f/{form.token}/thanks/")
    assert state() == before


@pytest.mark.parametrize("later", [0, 1, 25 * 3600])
def test_too_quick_and_too_late_are_asked_again(ours: Tenant, later: int) -> None:
    form = make(ours)
    before = state()
    answer = send(ours, form, later=later)
    assert answer.status_code == 422
    assert "send it again" in answer.content.decode()
    assert state() == before


@pytest.mark.parametrize("stamp", ["", "x", "MQ:1abc:def"])
def test_a_forged_stamp_is_refused(ours: Tenant, stamp: str) -> None:
    form = make(ours)
    before = state()
    assert send(ours, form, stamp=stamp).status_code == 422
    assert state() == before


def test_a_stamp_is_good_for_its_own_form_only(ours: Tenant) -> None:
    one, other = make(ours), make(ours)
    stamp = re.search(r'name="stamp" value="([^"]+)"', Client().get(f"/f/{one.token}/").content.decode())
    assert stamp
    before = state()
    assert send(ours, other, stamp=stamp[1]).status_code == 422
    assert state() == before


def test_one_address_cannot_flood_a_form(ours: Tenant) -> None:
    form = make(ours)
    most = PER_ADDRESS[0][1]
    for number in range(most):
        assert send(ours, form, email=f"bo{number}@new.example", later=3).status_code == 302
    before = state()
    answer = send(ours, form, email="one.more@new.example", later=3)
    assert answer.status_code == 429
    assert "Newco" in answer.content.decode()
    assert state() == before
    other = Client(REMOTE_ADDR="203.0.113.7")
    assert send(ours, form, client=other, later=3).status_code == 302


# --- closed -----------------------------------------------------------------------------------------------------------
def close_by_switch(tenant: Tenant, form: PublicForm) -> None:
    update_form(tenant.admin, form, {"enabled": False})


def close_by_archive(tenant: Tenant, form: PublicForm) -> None:
    archive_type(tenant.admin, tenant.type_row)


def close_by_removing_the_owner(tenant: Tenant, form: PublicForm) -> None:
    PublicForm.objects.filter(pk=form.pk).update(owner=tenant.superuser)
    deactivate_member(tenant.admin, tenant.superuser)


def close_by_restricting_the_type(tenant: Tenant, form: PublicForm) -> None:
    PublicForm.objects.filter(pk=form.pk).update(owner=tenant.superuser)
    update_type(tenant.admin, tenant.type_row, {"edit_roles": [tenant.user.role_id]})


@pytest.mark.parametrize(
    "close", [close_by_switch, close_by_archive, close_by_removing_the_owner, close_by_restricting_the_type]
)
def test_a_closed_form_says_so_politely_and_takes_nothing(ours: Tenant, close: Any) -> None:
    form = make(ours)
    close(ours, form)
    before = state()
    for answer in (Client().get(f"/f/{form.token}/"), Client().post(f"/f/{form.token}/", {"name": "Bo"})):
        assert answer.status_code == 410
        page = answer.content.decode()
        assert "This form is closed" in page
        assert "HubSpot" not in page
        assert "archived" not in page
    assert state() == before


def test_a_field_that_became_required_and_is_not_asked_closes_it(ours: Tenant) -> None:
    form = make(ours)
    create_field(ours.admin, ours.type_row.fieldset, name="Budget", kind="number", required=True)
    before = state()
    answer = send(ours, form)
    assert answer.status_code == 410
    assert "Budget" not in answer.content.decode()
    assert state() == before


def test_a_field_that_was_restricted_or_deleted_is_asked_no_more(ours: Tenant) -> None:
    form = make(ours, actor=ours.superuser)
    row = CustomField.objects.get(pk=ours.use("CRM").field.id)
    update_field(ours.admin, ours.type_row.fieldset, row, {"view_roles": [ours.admin.role_id]})
    page = Client().get(f"/f/{form.token}/").content.decode()
    assert "HubSpot" not in page
    assert "Users" in page


def test_a_form_that_is_not_there_is_a_404(ours: Tenant) -> None:
    form = make(ours)
    old = form.token
    give_new_address(ours.admin, form)
    for token in (old, "x", "a" * 200, "../admin"):
        assert Client().get(f"/f/{token}/").status_code == 404
        assert Client().get(f"/f/{token}/thanks/").status_code == 404
    delete_form(ours.admin, form)
    assert Client().get(f"/f/{form.token}/").status_code == 404


# --- nothing leaks ----------------------------------------------------------------------------------------------------
def test_the_page_names_no_member_lead_or_field_that_is_not_asked(ours: Tenant) -> None:
    create_field(ours.admin, ours.type_row.fieldset, name="Closer", kind="user")
    form = make(ours, fields=[ours.fields["CRM"]])
    page = Client().get(f"/f/{form.token}/").content.decode()
    for secret in ("Ada Admin", "Uma User", "admin@ours.example", "Acme", "Next step", "Qualified", "Closer"):
        assert secret not in page
    assert "Ours" in page


def test_only_an_embeddable_form_may_be_framed(ours: Tenant) -> None:
    form = make(ours)
    answer = Client().get(f"/f/{form.token}/")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    update_form(ours.admin, form, {"embeddable": True})
    for address in (f"/f/{form.token}/?embed=1", f"/f/{form.token}/thanks/?embed=1"):
        answer = Client().get(address)
        assert "X-Frame-Options" not in answer.headers
        assert "frame-ancestors *" in answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "sessionid" not in answer.cookies


def test_it_works_without_a_csrf_cookie_as_a_frame_has_none(ours: Tenant) -> None:
    assert send(ours, make(ours), client=Client(enforce_csrf_checks=True)).status_code == 302


def test_what_strangers_type_is_text(ours: Tenant) -> None:
    form = make(ours, title="<b>Hi</b>", intro="<img src=x>")
    page = Client().get(f"/f/{form.token}/").content.decode()
    assert "<b>Hi</b>" not in page
    assert "<img src=x>" not in page
    send(ours, form, company="<script>alert(1)</script>", name="<i>Bo</i>")
    lead = Lead.objects.get(source="form")
    client = signed_in(ours)
    shown = client.get(f"/o/ours/leads/{lead.public_id}/").content.decode()
    assert "<script>alert(1)" not in shown
    assert "<i>Bo</i>" not in shown


# --- members ----------------------------------------------------------------------------------------------------------
def signed_in(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def test_a_form_is_made_changed_previewed_and_deleted_on_its_pages(world: World) -> None:
    ours, client, base = world.ours, signed_in(world.ours), "/o/ours/settings/forms/"
    with scope(ours.organization):
        crm, users = ours.fields["CRM"], ours.fields["Users"]
    given = {
        "type": ours.type_row.public_id, "title": "Talk to us", "enabled": "on", "embeddable": "on",
        f"ask_{crm}": "on", f"place_{crm}": "2", f"ask_{users}": "on", f"place_{users}": "1",
    }  # fmt: skip
    assert "Questions" in client.get(f"{base}new/?type={ours.type_row.public_id}").content.decode()
    answer = client.post(f"{base}new/", given)
    form = PublicForm.unscoped.get()
    assert answer.headers["Location"] == f"{base}{form.public_id}/"
    with scope(ours.organization):
        assert form.fields == [ours.use("Users").field.id, ours.use("CRM").field.id]
    page = client.get(f"{base}{form.public_id}/").content.decode()
    assert f"/f/{form.token}/?embed=1" in page
    assert "&lt;iframe" in page
    preview = client.get(f"{base}{form.public_id}/preview/").content.decode()
    assert "This is a preview" in preview
    assert "HubSpot" in preview
    refused = client.post(f"{base}{form.public_id}/", given | {"title": ""})
    assert refused.status_code == 422
    assert "Talk to us" in client.get(base).content.decode()
    client.post(f"{base}{form.public_id}/address/")
    token = form.token
    form.refresh_from_db()
    assert form.token != token
    client.post(f"{base}{form.public_id}/delete/")
    assert not PublicForm.unscoped.exists()


def test_a_required_field_must_be_asked(ours: Tenant) -> None:
    change_field(ours, "Next step", {"required": True})
    with pytest.raises(InvalidInput, match="Next step must be asked"):
        make(ours)
    assert not PublicForm.objects.exists()


def test_members_are_not_asked_of_strangers(ours: Tenant) -> None:
    closer = create_field(ours.admin, ours.type_row.fieldset, name="Closer", kind="user")
    hidden = create_field(ours.admin, ours.type_row.fieldset, name="Campaign", kind="hidden")
    for field in (closer, hidden):
        with pytest.raises(InvalidInput, match="cannot be asked"):
            make(ours, fields=[field.public_id])


@pytest.mark.parametrize("who", ["user", "restricted"])
def test_forms_are_for_those_who_manage_customizations(ours: Tenant, who: str) -> None:
    form, actor = make(ours), getattr(ours, who)
    before = list(PublicForm.objects.values()), Event.objects.count()
    for attempt in (
        lambda: make(ours, actor=actor),
        lambda: update_form(actor, form, {"enabled": False}),
        lambda: give_new_address(actor, form),
        lambda: delete_form(actor, form),
        lambda: forms_for(actor),
        lambda: form_for(actor, form.public_id),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert (list(PublicForm.objects.values()), Event.objects.count()) == before
    client = signed_in(ours, who)
    for address in ("", f"{form.public_id}/", f"{form.public_id}/preview/"):
        assert client.get(f"/o/ours/settings/forms/{address}").status_code == 403


def test_another_organizations_form_and_fields_are_not_there(ours: Tenant, world: World) -> None:
    with scope(world.theirs.organization):
        theirs, foreign = make(world.theirs), world.theirs.fields["CRM"]
    client = signed_in(ours)
    assert client.get(f"/o/ours/settings/forms/{theirs.public_id}/").status_code == 404
    for part in ("address/", "delete/"):
        assert client.post(f"/o/ours/settings/forms/{theirs.public_id}/{part}").status_code == 404
    with pytest.raises(InvalidInput):
        make(ours, fields=[foreign])
    with pytest.raises(NotFound):
        create_form(ours.admin, world.theirs.type_row.public_id, {"title": "x", "fields": []})
    with scope(world.theirs.organization):
        assert PublicForm.objects.get(pk=theirs.pk).token == theirs.token


def test_the_list_has_one_number_of_queries(ours: Tenant, django_assert_num_queries: Any) -> None:
    client = signed_in(ours)
    make(ours)
    client.get("/o/ours/settings/forms/")
    with django_assert_num_queries(7):
        client.get("/o/ours/settings/forms/")
    make(ours)
    make(ours)
    with django_assert_num_queries(7):
        client.get("/o/ours/settings/forms/")
