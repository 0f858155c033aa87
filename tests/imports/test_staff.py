"""The staff admin: an operator imports and exports as a chosen member, with that member's rights and no more."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.test import Client

from activities.models import Activity
from crm.models import Event, Membership, User
from crm.tenancy import scope
from leads.models import Contact, Lead
from tests.factories import World

GOOD = "custom_activity_type,lead_name,external_id,custom.Users\nQualifying call,Acme,s-1,5\n"


@pytest.fixture
def staff(world: World) -> Client:
    return signed_in(is_staff=True, is_superuser=True)


def signed_in(**more: Any) -> Client:
    user = User.objects.create_user(email="ops@example.com", password="x")
    User.objects.filter(pk=user.pk).update(**more)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk), backend="django.contrib.auth.backends.ModelBackend")
    return client


def upload(client: Client, model: str, text: str, member: Membership) -> Any:
    file = io.BytesIO(text.encode())
    file.name = "file.csv"
    return client.post(
        f"/staff/{model}/import/", {"import_file": file, "format": "0", "resource": "0", "member": member.pk}
    )


def confirm(client: Client, model: str, page: Any) -> Any:
    form = page.context["confirm_form"]
    return client.post(f"/staff/{model}/process_import/", {name: form.initial.get(name, "") for name in form.fields})


@pytest.fixture(autouse=True)
def admin_signs_in_by_model(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]


def test_activities_go_in_as_a_member(world: World, staff: Client) -> None:
    ours = world.ours
    form = staff.get("/staff/activities/activity/import/").content.decode()
    assert "This importer will import" not in form and "The columns are those of Settings" in form
    assert "CSV or TSV of at most 5 MB" in form and "Larger files and XLSX go through Settings" in form
    page = upload(staff, "activities/activity", GOOD, ours.superuser)
    assert page.status_code == 200 and "created" in page.content.decode()
    with scope(ours.organization):
        assert not Activity.objects.filter(external_id="s-1").exists(), "a preview writes nothing"
    assert confirm(staff, "activities/activity", page).status_code == 302
    with scope(ours.organization):
        made = Activity.objects.get(external_id="s-1")
        assert made.created_by_id == ours.superuser.user_id
        assert Event.objects.filter(object_id=made.pk, user=ours.superuser.user, door="import").exists()
    with scope(world.theirs.organization):
        assert not Activity.objects.filter(external_id="s-1").exists()
    assert staff.get("/staff/activities/activity/").status_code == 200


@pytest.mark.parametrize("model", ["leads/lead", "leads/contact"])
def test_leads_and_contacts_go_in_as_a_member(world: World, staff: Client, model: str) -> None:
    page = upload(
        staff, model, "name,contact_name,contact_emails\nDelta,Ann,a@delta.example\nDelta,Bo,\n", world.ours.admin
    )
    confirm(staff, model, page)
    with scope(world.ours.organization):
        assert Contact.objects.filter(lead__name="Delta").count() == 2
    assert staff.get(f"/staff/{model}/").status_code == 200


def test_a_bad_row_is_named_and_nothing_is_written(world: World, staff: Client) -> None:
    page = upload(staff, "activities/activity", GOOD + "Qualifying call,Nobody,s-2,\n", world.ours.admin)
    assert "There is no lead “Nobody”." in page.content.decode() and "confirm_form" not in page.context
    assert [row.number for row in page.context["result"].invalid_rows] == [3], "the header is row 1"
    with scope(world.ours.organization):
        assert not Activity.objects.filter(external_id="s-1").exists()


def test_the_members_rights_hold(world: World, staff: Client) -> None:
    for member in (world.ours.user, world.ours.restricted):
        page = upload(staff, "activities/activity", GOOD, member)
        assert "does not include “bulk import”" in page.content.decode() and "confirm_form" not in page.context
        answer = staff.post("/staff/leads/lead/export/", {"member": member.pk})
        assert "does not include “export”" in answer.content.decode()
    # A confirm that names another member than the checked one is checked again.
    page = upload(staff, "activities/activity", GOOD, world.ours.admin)
    form = page.context["confirm_form"].initial | {"member": world.ours.user.pk}
    assert staff.post("/staff/activities/activity/process_import/", form).status_code == 200
    with scope(world.ours.organization):
        assert not Activity.objects.filter(external_id="s-1").exists()


def test_exports_are_what_the_member_gets(world: World, staff: Client) -> None:
    answer = staff.post("/staff/leads/lead/export/", {"member": world.ours.admin.pk})
    text = b"".join(answer.streaming_content).decode()
    assert text.count("\r\n") == 4 and world.ours.leads[0].public_id in text
    with scope(world.theirs.organization):
        assert not any(row.public_id in text for row in Lead.objects.all())
    answer = staff.post("/staff/activities/activity/export/", {"member": world.ours.admin.pk})
    assert b"".join(answer.streaming_content).startswith(b"PK")
    assert staff.get("/staff/activities/activity/export/").status_code == 200


def test_only_operators_get_in(world: World) -> None:
    client = signed_in(is_staff=True)
    for model in ("activities/activity", "leads/lead", "leads/contact"):
        assert client.get(f"/staff/{model}/import/").status_code == 403
        assert client.get(f"/staff/{model}/export/").status_code == 403
        assert Client().get(f"/staff/{model}/import/").status_code == 302
    assert upload(client, "activities/activity", GOOD, world.ours.admin).status_code == 403
