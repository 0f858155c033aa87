"""On-publish rules: they run once, at the first publish, as their owner, and never stand in its way."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from activities.models import Activity, PublishRule
from activities.queries import type_catalog
from activities.services.activities import log_activity, update_activity
from activities.services.bulk import Prepared, log_many
from activities.services.drafts import save_draft
from activities.services.rules import (
    MAX_ACTIONS,
    MAX_RULES_PER_TYPE,
    action_words,
    create_rule,
    delete_rule,
    rule_for,
    rules_for,
    update_rule,
)
from activities.services.types import update_type
from crm import events
from crm.customfields.services import create_field, delete_field, update_field
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.members import change_member_role, deactivate_member
from crm.models import CustomField, Event, FieldSet, Notification, Role
from crm.tenancy import scope
from leads.models import Lead, LeadStatus, Task
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def status(label: str = "Qualified") -> str:
    return LeadStatus.objects.get(label=label).public_id


def over_50(tenant: Tenant) -> dict[str, Any]:
    return {
        "type": "field_condition",
        "field": {"type": "custom_field", "custom_field_id": tenant.fields["Users"]},
        "condition": {"type": "number_range", "gt": "50"},
    }


def make(tenant: Tenant, *actions: dict[str, Any], actor: Any = None, **more: Any) -> PublishRule:
    given = {"name": "Hot lead", "actions": actions or [{"do": "set_status", "status_id": status()}], **more}
    return create_rule(actor or tenant.admin, tenant.type_row.public_id, **given)


def log(tenant: Tenant, lead: int = 0, users: str = "60", **more: Any) -> Activity:
    return log_activity(tenant.user, tenant.leads[lead], tenant.call, custom={"Users": users}, **more)


def label(tenant: Tenant, lead: int = 0) -> str:
    return Lead.objects.select_related("status").get(pk=tenant.leads[lead].pk).status.label


def error(rule: PublishRule) -> str:
    rule.refresh_from_db()
    return rule.last_error


def entries(slug: str = "rule") -> list[Activity]:
    kind = type_catalog(Lead.objects.first().organization).builtin(slug)
    assert kind
    return list(Activity.objects.filter(type_id=kind.id))


# --- what they do -----------------------------------------------------------------------------------------------------
def test_all_actions_follow_one_publish_as_the_owner(ours: Tenant) -> None:
    fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    tier = create_field(ours.admin, fieldset, name="Tier", kind="choices", options=["A", "B"])
    option = tier.options.get(label="A").public_id
    make(
        ours,
        {"do": "set_status", "status_id": status()},
        {"do": "set_field", "field_id": tier.public_id, "value": option},
        {"do": "task", "text": "Call back", "due_days": "3", "assignee": "publisher"},
        {"do": "notify", "text": "A hot one", "member": ours.superuser.public_id},
        condition=over_50(ours),
    )
    log(ours, users="50")
    assert label(ours) == "Potential"
    activity = log(ours, users="51")
    assert label(ours) == "Qualified"
    lead = Lead.objects.get(pk=ours.leads[0].pk)
    assert lead.values[str(tier.pk)] == tier.options.get(label="A").pk
    assert lead.updated_by_id == ours.admin.user_id
    task = Task.objects.get(text="Call back")
    assert (task.assigned_to_id, task.created_by_id) == (ours.user.user_id, ours.admin.user_id)
    assert task.due_date == datetime.datetime.now(ours.user.zone).date() + datetime.timedelta(days=3)
    told = Notification.objects.get(membership=ours.superuser)
    assert (told.kind, told.path) == ("rule", f"activities/{activity.public_id}/")
    assert told.text == "A hot one (Qualifying call on Acme)"
    (entry,) = entries()
    assert "Set the status to Qualified, set Tier, gave Uma User a task, notified Sue Super" in entry.values.values()
    assert Event.objects.filter(object_type="lead", door="system").exists()


def test_only_the_first_publish_sets_a_rule_off(ours: Tenant) -> None:
    make(ours, {"do": "task", "text": "Call back"})
    draft = log(ours, status="draft")
    assert not Task.objects.exists()
    activity = update_activity(ours.user, draft, status="published")
    assert Task.objects.count() == 1
    update_activity(ours.user, activity, custom={"Users": "70"})
    update_activity(ours.user, activity, status="draft")
    update_activity(ours.user, activity, status="published")
    assert Task.objects.count() == 1


def test_a_saved_draft_sets_it_off_when_it_is_published(ours: Tenant) -> None:
    make(ours, condition=over_50(ours))
    draft = save_draft(ours.user, ours.leads[1], ours.call, {ours.fields["Users"]: "99"})
    assert label(ours, 1) == "Potential"
    update_activity(ours.user, draft, status="published")
    assert label(ours, 1) == "Qualified"


def test_many_at_once_each_set_it_off(ours: Tenant) -> None:
    make(ours, {"do": "set_status", "status_id": status()}, condition=over_50(ours))
    now = datetime.datetime.now(datetime.UTC)
    field = str(ours.use("Users").field.id)
    rows = [
        Prepared(lead.pk, ours.call, {field: users}, ours.user.user_id, ours.user.user_id, now, now)
        for lead, users in zip(ours.leads, ("100", "10", "100"), strict=True)
    ]
    log_many(ours.user, rows)
    assert [label(ours, number) for number in range(3)] == ["Qualified", "Potential", "Qualified"]
    assert len(entries()) == 2


def test_built_in_kinds_set_rules_off_too(ours: Tenant) -> None:
    note = type_catalog(ours.organization).builtin("note")
    assert note
    create_rule(ours.admin, note.public_id, name="Noted", actions=[{"do": "set_status", "status_id": status()}])
    log_activity(ours.user, ours.leads[2], note, custom={"note": "Hello"})
    assert label(ours, 2) == "Qualified"


def test_system_entries_set_nothing_off(ours: Tenant) -> None:
    kind = type_catalog(ours.organization).builtin("status_change")
    assert kind
    with pytest.raises(InvalidInput, match="set off no rules"):
        create_rule(ours.admin, kind.public_id, name="Loop", actions=[{"do": "set_status", "status_id": status()}])


def test_two_rules_of_one_type_run_in_order(ours: Tenant) -> None:
    make(ours)
    make(ours, {"do": "set_status", "status_id": status("Customer")}, name="Later")
    log(ours)
    assert label(ours) == "Customer"
    assert len(entries("status_change")) == 2


def test_a_disabled_or_deleted_rule_does_nothing(ours: Tenant) -> None:
    rule = make(ours)
    update_rule(ours.admin, rule, {"enabled": False})
    log(ours)
    assert label(ours) == "Potential"
    update_rule(ours.admin, rule, {"enabled": True})
    delete_rule(ours.admin, rule)
    log(ours)
    assert label(ours) == "Potential"


def test_publishing_costs_no_query_where_there_are_no_rules(ours: Tenant, django_assert_num_queries: Any) -> None:
    from activities.services.rules import run_rules

    published = [(ours.activities[0].pk, ours.call.id)]
    run_rules(ours.user, published)
    with django_assert_num_queries(0):
        run_rules(ours.user, published)


# --- what goes wrong --------------------------------------------------------------------------------------------------
def test_a_rule_that_fails_is_undone_alone_and_says_so(ours: Tenant) -> None:
    failing = make(
        ours,
        {"do": "set_status", "status_id": status("Bad fit")},
        {"do": "notify", "text": "Look", "member": ours.superuser.public_id},
    )
    working = make(ours, {"do": "task", "text": "Call back"}, name="Works")
    deactivate_member(ours.admin, ours.superuser)
    activity = log(ours)
    assert Activity.objects.filter(pk=activity.pk).exists()
    assert label(ours) == "Potential"
    assert Task.objects.count() == 1
    assert error(failing) == "The member it names is no longer here."
    assert error(working) == ""
    assert len(entries()) == 1


def test_an_error_is_forgotten_once_the_rule_works_again(ours: Tenant) -> None:
    rule = make(ours, {"do": "set_status", "status_id": status()})
    PublishRule.objects.filter(pk=rule.pk).update(last_error="Once upon a time")
    log(ours)
    assert error(rule) == ""


@pytest.mark.parametrize("broken", [[{"do": "fly"}], [{"do": "set_status"}], [{}], ["x"]])
def test_a_rule_that_was_tampered_with_does_not_stop_a_publish(ours: Tenant, broken: list[Any]) -> None:
    rule = make(ours)
    PublishRule.objects.filter(pk=rule.pk).update(actions=broken)
    assert log(ours).pk
    assert error(rule)


def test_a_condition_on_a_field_that_is_gone_is_said(ours: Tenant) -> None:
    rule = make(ours, condition=over_50(ours))
    field = CustomField.objects.get(pk=ours.use("Users").field.id)
    delete_field(ours.admin, ours.type_row.fieldset, field, "Users")
    log_activity(ours.user, ours.leads[0], ours.call, custom={})
    assert label(ours) == "Potential"
    assert error(rule)


def test_the_owner_s_rights_count_as_they_are_now(ours: Tenant) -> None:
    rule = make(ours, actor=ours.superuser)
    change_member_role(ours.admin, ours.superuser, Role.objects.get(slug="user"))
    log(ours)
    assert label(ours) == "Potential"
    assert "does not include “manage customizations”" in error(rule)
    deactivate_member(ours.admin, ours.superuser)
    log(ours)
    assert error(rule) == "You are no longer a member of this organization."


def test_a_lead_field_the_owner_may_not_edit_stays(ours: Tenant) -> None:
    fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    secret = create_field(ours.admin, fieldset, name="Secret", kind="text")
    rule = make(ours, {"do": "set_field", "field_id": secret.public_id, "value": "x"}, actor=ours.superuser)
    update_field(ours.admin, fieldset, secret, {"edit_roles": [ours.admin.role_id]})
    log(ours)
    assert str(secret.pk) not in Lead.objects.get(pk=ours.leads[0].pk).values
    assert "Secret can be edited by other roles only" in error(rule)


def test_nobody_is_told_of_what_they_may_not_see(ours: Tenant) -> None:
    rule = make(ours, {"do": "notify", "text": "Look", "member": ours.restricted.public_id})
    update_type(ours.admin, ours.type_row, {"view_roles": [ours.user.role_id]})
    log(ours)
    assert not Notification.objects.filter(membership=ours.restricted).exists()
    assert "may not see this activity" in error(rule)


def test_who_saves_a_rule_last_owns_it(ours: Tenant) -> None:
    """Attack 9: a super user must not make an admin's rule do what they may not do themselves."""
    rule = make(ours)
    update_rule(ours.superuser, rule, {"actions": [{"do": "task", "text": "Mine"}]})
    rule.refresh_from_db()
    assert rule.owner_id == ours.superuser.pk


# --- who may, and with what -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["user", "restricted"])
def test_rules_are_for_those_who_manage_customizations(ours: Tenant, who: str) -> None:
    rule, actor = make(ours), getattr(ours, who)
    before = list(PublishRule.objects.values()), Event.objects.count()
    for attempt in (
        lambda: make(ours, actor=actor),
        lambda: update_rule(actor, rule, {"enabled": False}),
        lambda: delete_rule(actor, rule),
        lambda: rules_for(actor),
        lambda: rule_for(actor, rule.public_id),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert (list(PublishRule.objects.values()), Event.objects.count()) == before


def test_what_belongs_to_another_organization_is_refused(ours: Tenant, world: World) -> None:
    theirs = world.theirs
    with scope(theirs.organization):
        foreign_status, rule = status(), make(theirs)
        fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
        field = create_field(theirs.admin, fieldset, name="Theirs", kind="text").public_id
    before = PublishRule.objects.count()
    for action in (
        {"do": "set_status", "status_id": foreign_status},
        {"do": "set_field", "field_id": field, "value": "x"},
        {"do": "task", "text": "x", "assignee": theirs.user.public_id},
        {"do": "notify", "text": "x", "member": theirs.user.public_id},
    ):
        with pytest.raises(InvalidInput):
            make(ours, action)
    with pytest.raises(InvalidInput):
        make(ours, condition=over_50(theirs))
    with pytest.raises(NotFound):
        create_rule(ours.admin, theirs.type_row.public_id, name="x", actions=[{"do": "task", "text": "x"}])
    with pytest.raises(NotFound):
        rule_for(ours.admin, rule.public_id)
    assert PublishRule.objects.count() == before


@pytest.mark.parametrize(
    "actions",
    [
        [],
        [{"do": "task", "text": "x"}] * (MAX_ACTIONS + 1),
        [{"do": "fly"}],
        [{"do": "task", "text": "  "}],
        [{"do": "task", "text": "x" * 301}],
        [{"do": "task", "text": "x", "due_days": "-1"}],
        [{"do": "task", "text": "x", "due_days": "soon"}],
        [{"do": "task", "text": "x", "due_days": "9" * 30}],
        [{"do": "notify", "text": "x", "member": "memb_nobody"}],
        [{"do": "set_field", "field_id": "cf_nothing", "value": "x"}],
    ],
)
def test_actions_that_could_not_run_are_refused(ours: Tenant, actions: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput):
        create_rule(ours.admin, ours.type_row.public_id, name="Odd", actions=actions)
    assert not PublishRule.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_rule_needs_a_name(ours: Tenant, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(ours, name=name)
    assert set(refused.value.fields) == {"name"}


def test_a_type_has_a_bounded_number_of_rules(ours: Tenant) -> None:
    for number in range(MAX_RULES_PER_TYPE):
        make(ours, name=f"Rule {number}")
    with pytest.raises(InvalidInput, match=f"at most {MAX_RULES_PER_TYPE} rules"):
        make(ours, name="One more")


def test_a_rule_says_what_it_does(ours: Tenant) -> None:
    fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    tier = create_field(ours.admin, fieldset, name="Tier", kind="choices", options=["A", "B"])
    rule = make(
        ours,
        {"do": "set_status", "status_id": status()},
        {"do": "set_field", "field_id": tier.public_id, "value": tier.options.get(label="B").public_id},
        {"do": "task", "text": "Call", "due_days": 1, "assignee": ours.user.public_id},
        {"do": "notify", "text": "Look"},
    )
    assert action_words(ours.admin, rule) == [
        "set the lead’s status to Qualified",
        "set the lead’s Tier to “B”",
        "create the task “Call” due in 1 day for Uma User",
        "notify whoever logged the activity: “Look”",
    ]


# --- pages ------------------------------------------------------------------------------------------------------------
def signed_in(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def sent(tenant: Tenant, **more: str) -> dict[str, str]:
    """Return the form of a rule with one condition and two actions, as a browser sends it."""
    with scope(tenant.organization):
        users, qualified = tenant.fields["Users"], status()
    return {
        "type": tenant.type_row.public_id, "name": "Hot lead", "enabled": "1", "r-k": "group", "r-m": "all",
        "r.0-k": "condition", "r.0-f": users, "r.0-pf": users, "r.0-o": ">", "r.0-v": "50",
        "a0-do": "set_status", "a0-status_id": qualified,
        "a1-do": "task", "a1-text": "Call back", "a1-due_days": "2", "a1-assignee": "publisher", **more,
    }  # fmt: skip


def test_a_rule_is_made_read_changed_and_deleted_on_its_pages(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    base = "/o/ours/settings/rules/"
    answer = client.post(f"{base}new/", sent(ours, do="save"))
    assert (answer.status_code, answer.headers["Location"]) == (302, base)
    rule = PublishRule.unscoped.get()
    assert rule.condition["queries"][0]["condition"] == {"type": "number_range", "gt": "50"}
    ours.organization.refresh_from_db()
    with scope(ours.organization):
        log(ours)
        assert label(ours) == "Qualified"
    page = client.get(base).content.decode()
    assert "Hot lead" in page
    assert "Users &gt; 50" in page
    assert "Set the lead’s status to Qualified" in page
    address = f"{base}{rule.public_id}/"
    page = client.get(address).content.decode()
    assert 'value="50"' in page
    assert 'value="Call back"' in page
    client.post(address, sent(ours, do="save", **{"r.0-v": "70"}))
    rule.refresh_from_db()
    assert rule.condition["queries"][0]["condition"] == {"type": "number_range", "gt": "70"}
    client.post(f"{address}switch/", {"enabled": "0"})
    rule.refresh_from_db()
    assert not rule.enabled
    client.post(f"{address}delete/")
    assert not PublishRule.unscoped.exists()


def test_buttons_show_the_form_again_and_save_nothing(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    address = "/o/ours/settings/rules/new/"
    for do, there, gone in (
        ("action:remove:1", "Set the lead’s status", "Call back"),
        ("remove:r.0", "whatever it says", "r.0-v"),
        ("action:add", "What they read", "nothing"),
    ):
        given = sent(ours, do=do, action="notify")
        for answer in (client.post(address, given), client.get(address, given, headers={"HX-Request": "true"})):
            assert answer.status_code == 200
            shown = answer.content.decode()
            assert there in shown
            assert gone not in shown or do == "action:add"
    with scope(ours.organization):
        added = client.get(address, sent(ours, do="add:r", **{"r-add": f"field={ours.fields['CRM']}"}))
    assert "HubSpot" in added.content.decode()
    assert not PublishRule.unscoped.exists()


def test_what_is_wrong_is_said_where_it_is(world: World) -> None:
    ours, client = world.ours, signed_in(world.ours)
    wrong = {"name": "", "r.0-v": "many", "a1-due_days": "soon"}
    for key, sentence in (
        ("name", "A rule needs a name"),
        ("r.0-v", "many"),
        ("a1-due_days", "Days are a whole number"),
    ):
        answer = client.post("/o/ours/settings/rules/new/", sent(ours, do="save", **{key: wrong[key]}))
        assert answer.status_code == 422
        page = answer.content.decode()
        assert sentence in page
        assert "Call back" in page
    assert not PublishRule.unscoped.exists()


@pytest.mark.parametrize("who", ["user", "restricted"])
def test_the_pages_are_for_those_who_manage_customizations(world: World, who: str) -> None:
    with scope(world.ours.organization), events.door("page"):
        rule = make(world.ours)
    client = signed_in(world.ours, who)
    for address in ("", f"new/?type={world.ours.type_row.public_id}", f"{rule.public_id}/"):
        assert client.get(f"/o/ours/settings/rules/{address}").status_code == 403
    for part in ("switch/", "delete/", ""):
        assert client.post(f"/o/ours/settings/rules/{rule.public_id}/{part}", {"name": "x"}).status_code == 403
    rule.refresh_from_db()
    assert (rule.enabled, rule.name) == (True, "Hot lead")


def test_another_organizations_rule_is_not_there(world: World) -> None:
    with scope(world.theirs.organization), events.door("page"):
        rule = make(world.theirs)
    client = signed_in(world.ours)
    assert client.get(f"/o/ours/settings/rules/{rule.public_id}/").status_code == 404
    for part in ("switch/", "delete/"):
        assert client.post(f"/o/ours/settings/rules/{rule.public_id}/{part}").status_code == 404
    assert client.get(f"/o/ours/settings/rules/new/?type={world.theirs.type_row.public_id}").status_code == 404
    rule.refresh_from_db()
    assert rule.enabled
