"""Tasks: whose they are, who is told, the lists, undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Event, Membership, Notification, Role
from crm.tenancy import scope
from leads import services
from leads.models import Task
from leads.queries import seen_tasks, task_counts, task_for, tasks_of
from tests.factories import Tenant, World

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization):
        yield world.ours


def signed_in(member: Membership) -> Client:
    client = Client()
    client.force_login(member.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_the_assignee_is_told_once_and_nobody_tells_themselves(ours: Tenant) -> None:
    lead = ours.leads[0]
    services.create_task(ours.user, lead, "Mine")
    assert not Notification.objects.exists()
    task = services.create_task(ours.admin, lead, "Call back", assigned_to=ours.user.user)
    told = Notification.objects.get()
    assert (told.membership, told.kind, told.path) == (ours.user, "task", f"leads/{lead.public_id}/")
    assert "Call back" in told.text and "Acme" in told.text
    services.update_task(ours.admin, task, {"text": "Call back today"})
    assert Notification.objects.count() == 1
    services.update_task(ours.admin, task, {"assigned_to": ours.superuser.user})
    assert Notification.objects.get(membership=ours.superuser).kind == "task"


def test_a_member_who_does_not_see_the_lead_is_not_told_of_it(ours: Tenant) -> None:
    role = Role.objects.create(organization=ours.organization, name="Blind", permissions=[])
    ours.restricted.role = role
    ours.restricted.save(update_fields=["role"])
    services.create_task(ours.admin, ours.leads[0], "Secret", assigned_to=ours.restricted.user)
    assert not Notification.objects.exists()


def test_own_tasks_and_those_of_others(ours: Tenant) -> None:
    lead = ours.leads[0]
    theirs = services.create_task(ours.admin, lead, "Admin's")
    before = Event.objects.count()
    for refused in (
        lambda: services.update_task(ours.user, theirs, {"done": True}),
        lambda: services.update_task(ours.user, theirs, {"text": "x"}),
        lambda: services.delete_task(ours.user, theirs),
    ):
        with pytest.raises(NotAllowed, match="manage others’ tasks"):
            refused()
    theirs.refresh_from_db()
    assert (theirs.text, theirs.done_at, Event.objects.count()) == ("Admin's", None, before)
    given = services.create_task(ours.admin, lead, "For Uma", assigned_to=ours.user.user)
    services.update_task(ours.user, given, {"done": True})
    services.update_task(ours.superuser, theirs, {"done": True})
    assert Event.objects.filter(action="completed").count() == 2
    services.delete_task(ours.user, given)


def test_who_may_not_delete_own_tasks(ours: Tenant) -> None:
    ours.user.role = Role.objects.create(organization=ours.organization, name="Few", permissions=["view_all_leads"])
    ours.user.save(update_fields=["role"])
    task = services.create_task(ours.user, ours.leads[0], "Mine")
    with pytest.raises(NotAllowed, match="delete own tasks"):
        services.delete_task(ours.user, task)
    assert Task.objects.filter(pk=task.pk).exists()


def test_what_is_wrong_is_named(ours: Tenant) -> None:
    lead = ours.leads[0]
    task = services.create_task(ours.user, lead, " a  b ")
    assert task.text == "a b"
    for wrong in ("", " \x00 ", "x" * 1001):
        for refused in (
            lambda text=wrong: services.create_task(ours.user, lead, text),
            lambda text=wrong: services.update_task(ours.user, task, {"text": text}),
        ):
            with pytest.raises(InvalidInput) as error:
                refused()
            assert list(error.value.fields) == ["text"]
    ours.restricted.removed_at = timezone.now()
    ours.restricted.save(update_fields=["removed_at"])
    with pytest.raises(InvalidInput) as error:
        services.create_task(ours.user, lead, "x", assigned_to=ours.restricted.user)
    assert list(error.value.fields) == ["assigned_to"]
    assert Task.objects.count() == 1


def test_a_deleted_task_comes_back_as_it_was(ours: Tenant) -> None:
    lead, today = ours.leads[0], timezone.localdate()
    task = services.create_task(ours.admin, lead, "Call", due_date=today, assigned_to=ours.user.user)
    task = services.update_task(ours.user, task, {"done": True})
    event = services.delete_task(ours.user, task)
    with pytest.raises(NotAllowed):
        services.restore_task(ours.restricted, event)
    back = services.restore_task(ours.user, event)
    assert (back.pk, back.text, back.due_date, back.assigned_to_id, back.created_by_id, back.done_at, back.date_created) == (
        task.pk, task.text, today, ours.user.user_id, ours.admin.user_id, task.done_at, task.date_created,
    )  # fmt: skip


def test_theirs_is_not_there(ours: Tenant, world: World) -> None:
    with scope(world.theirs.organization):
        theirs = services.create_task(world.theirs.user, world.theirs.leads[0], "Theirs")
    with pytest.raises(NotFound):
        task_for(ours.admin, theirs.public_id)
    client = signed_in(ours.admin)
    for path in (f"tasks/{theirs.public_id}/", f"leads/{world.theirs.leads[0].public_id}/tasks/"):
        assert client.get(f"/o/ours/{path}").status_code == 404
    for path in ("done/", "delete/", ""):
        assert client.post(f"/o/ours/tasks/{theirs.public_id}/{path}", {"text": "Ours"}).status_code == 404
    theirs.refresh_from_db()
    assert (theirs.text, theirs.done_at) == ("Theirs", None)


def test_the_tabs_hold_every_task_once(ours: Tenant) -> None:
    lead, today = ours.leads[0], timezone.localdate()
    days = {"late": today - timedelta(days=1), "now": today, "soon": today + timedelta(days=1), "whenever": None}
    for name, due in days.items():
        services.create_task(ours.user, lead, name, due_date=due)
    done = services.create_task(ours.user, lead, "finished", due_date=days["late"])
    services.update_task(ours.user, done, {"done": True})
    services.create_task(ours.admin, lead, "not mine", due_date=today)
    found = {tab: [row.text for row in tasks_of(ours.user.user_id, tab, today)] for tab in ("overdue", "today", "upcoming", "done")}  # fmt: skip
    assert found == {"overdue": ["late"], "today": ["now"], "upcoming": ["soon", "whenever"], "done": ["finished"]}
    assert task_counts(ours.user, ours.user.user_id, today) == {"overdue": 1, "today": 1, "upcoming": 2, "done": 1}
    assert seen_tasks(ours.user, tasks_of(ours.user.user_id, "today", today)).count() == 1


# --- pages ------------------------------------------------------------------------------------------------------------
def test_my_tasks_take_a_constant_number_of_queries(ours: Tenant, django_assert_num_queries: Any) -> None:
    client, today = signed_in(ours.user), timezone.localdate()
    services.create_task(ours.user, ours.leads[0], "One", due_date=today)
    client.get("/o/ours/tasks/")
    with django_assert_num_queries(MY_TASKS_QUERIES):
        client.get("/o/ours/tasks/")
    for n in range(60):
        services.create_task(ours.user, ours.leads[n % 3], f"Task {n}", due_date=today)
    with django_assert_num_queries(MY_TASKS_QUERIES):
        page = text(client.get("/o/ours/tasks/"))
    assert "Task 48" in page and "Task 55" not in page and "page=2" in page
    assert "Task 55" in text(client.get("/o/ours/tasks/?tab=today&page=2"))


MY_TASKS_QUERIES = 8


def test_my_tasks_open_where_work_is_due(ours: Tenant) -> None:
    client, today = signed_in(ours.user), timezone.localdate()
    assert "Nothing is due today." in text(client.get("/o/ours/tasks/"))
    services.create_task(ours.user, ours.leads[0], "Late", due_date=today - timedelta(days=3))
    page = text(client.get("/o/ours/tasks/"))
    assert "Late" in page and "Overdue ·" in page
    assert client.get("/o/ours/tasks/?tab=nonsense&page=-9").status_code == 200


def test_only_those_who_manage_others_tasks_see_their_lists(ours: Tenant) -> None:
    services.create_task(ours.admin, ours.leads[0], "Admin's own", due_date=timezone.localdate())
    address = f"/o/ours/tasks/?member={ours.admin.user.public_id}"
    assert "Admin's own" not in text(signed_in(ours.user).get(address)).replace("&#x27;", "'")
    assert "Admin's own" in text(signed_in(ours.superuser).get(address)).replace("&#x27;", "'")


def test_a_task_from_the_leads_page(ours: Tenant) -> None:
    client, lead = signed_in(ours.user), ours.leads[0]
    here = f"/o/ours/leads/{lead.public_id}/tasks/"
    made = client.post(
        here, {"text": "Call", "due_date": "2026-01-31", "assigned_to": ours.admin.user.public_id}, headers=HTMX
    )
    assert made.status_code == 200 and 'id="lead_tasks"' in text(made) and "Overdue · 31 Jan 2026" in text(made)
    task = Task.objects.get()
    assert task.assigned_to == ours.admin.user
    for wrong in ({"text": ""}, {"text": "x", "due_date": "soon"}):
        refused = client.post(here, wrong, headers=HTMX)
        assert refused.status_code == 422 and "is-invalid" in text(refused)
    own = f"/o/ours/tasks/{task.public_id}/"
    assert "data-cancel" in text(client.get(own, headers=HTMX))
    saved = client.post(
        own, {"text": "Call now", "due_date": "", "assigned_to": ours.user.user.public_id}, headers=HTMX
    )
    assert "Call now" in text(saved) and "No date" in text(saved)
    ticked = text(client.post(own + "done/", headers=HTMX))
    assert 'aria-pressed="true"' in ticked and 'name="undone"' in ticked
    assert 'aria-pressed="false"' in text(client.post(own + "done/", {"undone": "1"}, headers=HTMX))
    gone = client.post(own + "delete/", headers=HTMX)
    assert gone.content == b"" and not Task.objects.exists()
    undo = json.loads(gone["HX-Trigger"])["toast"]["undo_url"]
    assert "tasks-changed" in client.post(undo, headers=HTMX)["HX-Trigger"]
    assert Task.objects.get().text == "Call now"


def test_tasks_without_javascript(ours: Tenant) -> None:
    client, lead = signed_in(ours.user), ours.leads[0]
    page = f"/o/ours/leads/{lead.public_id}/"
    assert client.post(page + "tasks/", {"text": "Call"}).headers["Location"] == page
    refused = client.post(page + "tasks/", {"text": ""})
    assert refused.status_code == 422 and "<html" in text(refused)
    task = Task.objects.get()
    assert "<html" in text(client.get(f"/o/ours/tasks/{task.public_id}/"))
    assert client.post(f"/o/ours/tasks/{task.public_id}/done/").headers["Location"] == page
    assert client.post(f"/o/ours/tasks/{task.public_id}/delete/").headers["Location"] == page
