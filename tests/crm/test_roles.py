"""Roles: cloned, changed, deleted when unused; built-in ones fixed; nobody gives what they do not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from activities.services.types import update_type
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field, delete_field
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.members import change_member_role, deactivate_member
from crm.models import CustomField, Event, FieldSet, Membership, Role
from crm.permissions import DEFAULT_ROLES, PERM_WORDS, Perm, can_view_lead, has, permissions_of
from crm.roles import assignment_fields, clone_role, create_role, delete_role, role_for, update_role
from crm.teams import add_to_team, create_team
from crm.tenancy import scope
from leads.models import Lead
from leads.queries import visible_leads
from leads.services import update_lead
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def builtin(slug: str) -> Role:
    return Role.objects.get(slug=slug)


def owner_field(tenant: Tenant) -> CustomField:
    fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    return create_field(tenant.admin, fieldset, name="Owner", kind="user")


def test_a_clone_may_do_what_its_source_may(ours: Tenant) -> None:
    role = clone_role(ours.admin, builtin("superuser"), "  Team   lead ")
    assert role.name == "Team lead"
    assert permissions_of(role) == DEFAULT_ROLES["superuser"][1]
    event = Event.objects.get(object_type="role", object_id=role.pk)
    assert (event.action, event.after["name"]) == ("created", "Team lead")


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "super USER"])
def test_a_role_needs_a_name_of_its_own(ours: Tenant, name: str) -> None:
    before = Role.objects.count(), Event.objects.count()
    with pytest.raises(InvalidInput) as refused:
        clone_role(ours.admin, builtin("user"), name)
    assert set(refused.value.fields) == {"name"}
    assert (Role.objects.count(), Event.objects.count()) == before


def test_a_changed_role_counts_at_once_for_who_holds_it(ours: Tenant) -> None:
    role = clone_role(ours.admin, builtin("user"), "Exporter")
    change_member_role(ours.admin, ours.user, role)
    assert not has(ours.user, Perm.EXPORT)
    update_role(ours.admin, role, {"permissions": [*role.permissions, "export"]})
    ours.user.role.refresh_from_db()
    assert has(ours.user, Perm.EXPORT)
    event = Event.objects.filter(object_type="role").last()
    assert event.changed == ["permissions"]


def test_built_in_roles_are_fixed(ours: Tenant) -> None:
    before = list(Role.objects.order_by("pk").values())
    for slug in DEFAULT_ROLES:
        with pytest.raises(NotAllowed):
            update_role(ours.admin, builtin(slug), {"name": "Mine"})
        with pytest.raises(NotAllowed):
            delete_role(ours.admin, builtin(slug))
    assert list(Role.objects.order_by("pk").values()) == before


def test_a_role_that_is_held_or_restricted_to_stays(ours: Tenant) -> None:
    role = clone_role(ours.admin, builtin("user"), "Closer")
    change_member_role(ours.admin, ours.user, role)
    change_member_role(ours.admin, ours.restricted, role)
    with pytest.raises(InvalidInput, match="2 members hold it"):
        delete_role(ours.admin, role)
    change_member_role(ours.admin, ours.user, builtin("user"))
    deactivate_member(ours.admin, ours.restricted)
    update_type(ours.admin, ours.type_row, {"edit_roles": [role.pk]})
    with pytest.raises(InvalidInput, match="“Qualifying call” is restricted to it"):
        delete_role(ours.admin, role)
    update_type(ours.admin, ours.type_row, {"edit_roles": []})
    public_id = role.public_id
    delete_role(ours.admin, role)
    ours.restricted.refresh_from_db()
    assert ours.restricted.role.slug == "restricteduser"
    with pytest.raises(NotFound):
        role_for(ours.admin, public_id)


@pytest.mark.parametrize("role", ["superuser", "user", "restricted"])
def test_roles_are_for_those_who_manage_the_organization(ours: Tenant, role: str) -> None:
    custom = clone_role(ours.admin, builtin("user"), "Custom")
    actor = getattr(ours, role)
    before = list(Role.objects.order_by("pk").values()), Event.objects.count()
    for attempt in (
        lambda: clone_role(actor, builtin("admin"), "Mine"),
        lambda: update_role(actor, custom, {"permissions": [perm.value for perm in Perm]}),
        lambda: delete_role(actor, custom),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert (list(Role.objects.order_by("pk").values()), Event.objects.count()) == before


def test_nobody_gives_rights_they_do_not_have(ours: Tenant) -> None:
    office = create_role(ours.admin, name="Office", permissions=["manage_organization", "view_all_leads"])
    change_member_role(ours.admin, ours.user, office)
    office_worker = ours.user
    office_worker.refresh_from_db()
    before = list(Role.objects.order_by("pk").values())
    for attempt in (
        lambda: create_role(office_worker, name="All", permissions=[perm.value for perm in Perm]),
        lambda: update_role(office_worker, office, {"permissions": ["manage_organization", "export"]}),
        lambda: clone_role(office_worker, builtin("admin"), "Copy"),
        lambda: change_member_role(office_worker, office_worker, builtin("admin")),
        lambda: change_member_role(office_worker, ours.admin, office),
        lambda: deactivate_member(office_worker, ours.admin),
    ):
        with pytest.raises(NotAllowed, match="does not have these rights itself"):
            attempt()
    assert list(Role.objects.order_by("pk").values()) == before
    ours.admin.refresh_from_db()
    assert ours.admin.role.slug == "admin"
    assert ours.admin.removed_at is None


def test_unknown_permissions_and_fields_of_others_are_refused(ours: Tenant, world: World) -> None:
    with scope(world.theirs.organization), events.door("page"):
        theirs = owner_field(world.theirs)
    with pytest.raises(InvalidInput) as refused:
        create_role(ours.admin, name="Odd", permissions=["fly"], visibility_fields=[theirs.pk, 10**12])
    assert set(refused.value.fields) == {"permissions", "visibility_fields"}
    assert not Role.objects.filter(name="Odd").exists()


# --- visibility -------------------------------------------------------------------------------------------------------
def limited(tenant: Tenant, **more: Any) -> Role:
    field = owner_field(tenant)
    role = create_role(tenant.admin, name="Own leads", permissions=[], visibility_fields=[field.pk], **more)
    change_member_role(tenant.admin, tenant.user, role)
    tenant.user.refresh_from_db()
    update_lead(tenant.admin, tenant.leads[0], {"custom": {field.public_id: tenant.user.user.public_id}})
    update_lead(tenant.admin, tenant.leads[1], {"custom": {field.public_id: tenant.superuser.user.public_id}})
    return role


def names(actor: Any) -> list[str]:
    """Return the names of visible leads; the gate's answer about each single lead must agree."""
    visible = set(visible_leads(actor).values_list("name", flat=True))
    for lead in Lead.objects.all():
        assert bool(can_view_lead(actor, lead)) == (lead.name in visible), can_view_lead(actor, lead)
    return sorted(visible)


def test_a_limited_role_sees_its_own_leads_and_those_of_its_team(ours: Tenant) -> None:
    role = limited(ours)
    assert names(ours.user) == ["Acme"]
    team = create_team(ours.admin, "West")
    add_to_team(ours.admin, team, ours.user)
    assert names(ours.user) == ["Acme"]
    add_to_team(ours.admin, team, ours.superuser)
    assert names(ours.user) == ["Acme", "Bluth"]
    update_role(ours.admin, role, {"sees_unassigned": True})
    ours.user.role.refresh_from_db()
    assert names(ours.user) == ["Acme", "Bluth", "Cyberdyne"]
    assert "Sue Super, who is in a team of yours" in can_view_lead(ours.user, ours.leads[1]).reason
    assert names(ours.admin) == ["Acme", "Bluth", "Cyberdyne"]


def test_a_role_that_lost_its_fields_sees_nothing_rather_than_everything(ours: Tenant) -> None:
    role = limited(ours, sees_unassigned=True)
    assert names(ours.user) == ["Acme", "Cyberdyne"]
    update_role(ours.admin, role, {"visibility_fields": []})
    ours.user.role.refresh_from_db()
    assert names(ours.user) == []
    assert "no field says who a lead is assigned to" in can_view_lead(ours.user, ours.leads[0]).reason


def test_a_field_by_which_a_role_sees_leads_is_not_deleted(ours: Tenant) -> None:
    role = limited(ours, sees_unassigned=True)
    field = CustomField.objects.get(pk=role.visibility_fields[0])
    fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    for word in (field.name, None):
        with pytest.raises(InvalidInput) as refused:
            delete_field(ours.admin, fieldset, field, word)
        assert refused.value.fields == {
            "confirm_name": f"By {field.name}, the role Own leads sees the leads assigned to them. Choose another field there first."
        }
    field.refresh_from_db()
    assert field.deleted_at is None and names(ours.user) == ["Acme", "Cyberdyne"]
    update_role(ours.admin, role, {"visibility_fields": []})
    delete_field(ours.admin, fieldset, field, field.name)
    field.refresh_from_db()
    assert field.deleted_at is not None


def test_only_member_fields_of_leads_can_say_who_a_lead_is_assigned_to(ours: Tenant) -> None:
    fieldset = FieldSet.objects.get(owner=FieldSet.Owner.LEAD)
    other = create_field(ours.admin, fieldset, name="Region", kind="text")
    owner = owner_field(ours)
    assert [field.id for field in assignment_fields(ours.admin)] == [owner.pk]
    with pytest.raises(InvalidInput):
        create_role(ours.admin, name="Odd", visibility_fields=[other.pk])
    assert catalog(ours.organization).lead_uses


def test_every_permission_has_its_words() -> None:
    assert set(PERM_WORDS) == set(Perm)


# --- pages ------------------------------------------------------------------------------------------------------------
def signed_in(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def test_the_pages_clone_change_and_delete_a_role(world: World, django_assert_num_queries: Any) -> None:
    client = signed_in(world.ours)
    client.get("/o/ours/settings/roles/")
    with django_assert_num_queries(7):
        page = client.get("/o/ours/settings/roles/").content.decode()
    assert "Manage organization" in page
    answer = client.post("/o/ours/settings/roles/clone/", {"name": "Closer", "source": "user"})
    assert answer.status_code == 302
    role = Role.unscoped.get(name="Closer", organization=world.ours.organization)
    assert answer.headers["Location"].endswith(f"/settings/roles/{role.public_id}/")
    assert "Merge leads" in client.get(answer.headers["Location"]).content.decode()
    answer = client.post(answer.headers["Location"], {"name": "Closers", "permissions": ["export", "view_all_leads"]})
    assert answer.status_code == 302
    role.refresh_from_db()
    assert (role.name, role.permissions) == ("Closers", ["export", "view_all_leads"])
    refused = client.post(f"/o/ours/settings/roles/{role.public_id}/", {"name": "Admin"})
    assert refused.status_code == 422
    assert "There is a role named “Admin” already." in refused.content.decode()
    Membership.unscoped.filter(pk=world.ours.user.pk).update(role=role)
    refused = client.post(f"/o/ours/settings/roles/{role.public_id}/delete/")
    assert refused.status_code == 422 and "Closers cannot be deleted: 1 member holds it." in refused.content.decode()
    assert "Save the role" in refused.content.decode() and Role.unscoped.filter(pk=role.pk).exists()
    Membership.unscoped.filter(pk=world.ours.user.pk).update(
        role=Role.unscoped.get(slug="user", organization=world.ours.organization)
    )
    deleted = client.post(f"/o/ours/settings/roles/{role.public_id}/delete/", follow=True)
    assert "The role Closers is deleted." in deleted.content.decode()
    assert not Role.unscoped.filter(pk=role.pk).exists()


@pytest.mark.parametrize("role", ["superuser", "user", "restricted"])
def test_others_read_the_matrix_and_change_nothing(world: World, role: str) -> None:
    client = signed_in(world.ours, role)
    before = list(Role.unscoped.order_by("pk").values())
    page = client.get("/o/ours/settings/roles/")
    assert page.status_code == 200
    assert "Make a role" not in page.content.decode()
    assert client.post("/o/ours/settings/roles/clone/", {"name": "Mine", "source": "admin"}).status_code == 403
    assert list(Role.unscoped.order_by("pk").values()) == before


def test_a_role_of_another_organization_is_not_there(world: World) -> None:
    with scope(world.theirs.organization):
        theirs = clone_role(world.theirs.admin, builtin("user"), "Theirs")
    client = signed_in(world.ours)
    address = f"/o/ours/settings/roles/{theirs.public_id}/"
    missing = "/o/ours/settings/roles/role_0000000000000000/"
    assert client.get(address).status_code == client.get(missing).status_code == 404
    assert client.post(f"{address}delete/").status_code == 404
    theirs.refresh_from_db()
    assert theirs.name == "Theirs"
