"""Services for roles: made by cloning, changed, deleted when nobody holds them. Built-in roles are fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from crm import events, ids
from crm.customfields.catalog import catalog, touch_schema
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import FieldUse, Membership, Organization, Role
from crm.permissions import Perm, authorize, can_grant, can_grant_permissions, has, permissions_of

MAX_ROLES = 200


def role_for(actor: Membership, public_id: str) -> Role:
    """Return a role by its id: a slug for built-in roles, `role_…` for cloned ones; raises `NotFound`."""
    number = ids.decode("role", public_id)
    found = Role.objects.filter(pk=number) if number else Role.objects.filter(slug=public_id).exclude(slug="")
    if (role := found.first()) is None:
        raise NotFound("There is no such role.")
    return role


def roles_with_counts(actor: Membership) -> list[Role]:
    """Return all roles, built-in ones first; each carries `holders`: how many present members hold it."""
    present = Count("memberships", filter=Q(memberships__removed_at=None))
    return list(Role.objects.annotate(holders=present).order_by("pk"))


def assignment_fields(actor: Membership) -> list[Any]:
    """Return the lead fields that can say who a lead is assigned to: those whose values are members, and stay so."""
    uses = catalog(actor.organization).lead_uses
    return [use.field for use in uses if use.field.kind.refers_to == "user" and not use.field.converting_to]


def clone_role(actor: Membership, source: Role, name: str) -> Role:
    """Make a custom role that may do what `source` may."""
    return create_role(
        actor, name=name, permissions=permissions_of(source), visibility_fields=source.visibility_fields,
        sees_unassigned=source.sees_unassigned,
    )  # fmt: skip


def create_role(
    actor: Membership,
    *,
    name: str,
    permissions: Iterable[str] = (),
    visibility_fields: Iterable[int] = (),
    sees_unassigned: bool = False,
) -> Role:
    """Make a custom role. `visibility_fields`: row ids of lead fields that hold members.

    Raises `InvalidInput` for a bad or taken name, an unknown permission or field; `NotAllowed` for rights the actor
    does not have.
    """
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        _lock(actor)
        if Role.objects.count() >= MAX_ROLES:
            raise InvalidInput(f"An organization has at most {MAX_ROLES} roles. Delete one that nobody holds.")
        clean = _clean(
            actor, None,
            {
                "name": name, "permissions": permissions, "visibility_fields": visibility_fields,
                "sees_unassigned": sees_unassigned,
            },
        )  # fmt: skip
        role = Role.objects.create(organization=actor.organization, **clean)
        touch_schema(actor.organization)
        events.record(actor, "created", "role", role.pk, after=role_state(role))
    return role


def update_role(actor: Membership, role: Role, changes: Mapping[str, Any]) -> Role:
    """Change a custom role: name, permissions, visibility_fields (row ids), sees_unassigned.

    It takes effect for everybody who holds it with their next request. Built-in roles raise `NotAllowed`.
    """
    _require_custom(role, "changed")
    authorize(can_grant(actor, role))
    with transaction.atomic():
        _lock(actor)
        role = Role.objects.select_for_update().get(pk=role.pk)
        before = role_state(role)
        for key, value in _clean(actor, role, changes).items():
            setattr(role, key, value)
        after = role_state(role)
        if not (changed := events.diff(before, after)):
            return role
        role.date_updated = timezone.now()
        role.save(update_fields=["name", "permissions", "visibility_fields", "sees_unassigned", "date_updated"])
        touch_schema(actor.organization)
        events.record(
            actor, "updated", "role", role.pk, changed=changed,
            before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
        )  # fmt: skip
    return role


def delete_role(actor: Membership, role: Role) -> None:
    """Delete a custom role that nobody holds or held and that nothing is restricted to; else `InvalidInput` says why."""
    _require_custom(role, "deleted")
    authorize(can_grant(actor, role))
    with transaction.atomic():
        _lock(actor)
        holders = Membership.objects.filter(role=role)
        present = holders.filter(removed_at=None).count()
        if present:
            who = "1 member holds it" if present == 1 else f"{present:,} members hold it"
            raise InvalidInput(f"{role.name} cannot be deleted: {who}. Give them another role first.")
        if restricted := _restricted_to(role):
            raise InvalidInput(
                f"{role.name} cannot be deleted: {', '.join(restricted)} {'is' if len(restricted) == 1 else 'are'} "
                "restricted to it. Take it out there first."
            )
        # Former members keep a role, so that they can come back; theirs becomes the one with the fewest rights.
        holders.update(role=Role.objects.get(slug="restricteduser"))
        before, number = role_state(role), role.pk
        role.delete()
        touch_schema(actor.organization)
        events.record(actor, "deleted", "role", number, before=before)


def role_state(role: Role) -> dict[str, Any]:
    """Return what the event log keeps of a role. JSON-able."""
    return {
        "name": role.name,
        "permissions": sorted(role.permissions),
        "visibility_fields": list(role.visibility_fields),
        "sees_unassigned": role.sees_unassigned,
    }


def _clean(actor: Membership, role: Role | None, given: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    if "name" in given:
        clean["name"] = " ".join(str(given["name"] or "").split())
        taken = Role.objects.filter(name__iexact=clean["name"]).exclude(pk=role.pk if role else None)
        if not clean["name"]:
            errors["name"] = "A role needs a name."
        elif len(clean["name"]) > 100:
            errors["name"] = "A role's name has at most 100 characters."
        elif taken.exists():
            errors["name"] = f"There is a role named “{clean['name']}” already."
    if "permissions" in given:
        wanted = {str(value) for value in given["permissions"]}
        if unknown := sorted(wanted - {perm.value for perm in Perm}):
            errors["permissions"] = f"There is no permission “{unknown[0]}”."
        clean["permissions"] = [perm.value for perm in Perm if perm.value in wanted]
    if "visibility_fields" in given:
        clean["visibility_fields"] = list(dict.fromkeys(given["visibility_fields"]))
        if set(clean["visibility_fields"]) - {field.id for field in assignment_fields(actor)}:
            errors["visibility_fields"] = "Choose lead fields that hold members."
    if "sees_unassigned" in given:
        clean["sees_unassigned"] = bool(given["sees_unassigned"])
    if errors:
        raise InvalidInput(fields=errors)
    if "permissions" in clean:
        authorize(can_grant_permissions(actor, frozenset(Perm(value) for value in clean["permissions"])))
    return clean


def _require_custom(role: Role, done: str) -> None:
    if role.slug:
        raise NotAllowed(f"{role.name} is a built-in role and cannot be {done}. Clone it and change the copy.")


def _restricted_to(role: Role) -> list[str]:
    """Return the names of the types and fields that list the role. They are few, so they are read, not asked."""
    types = apps.get_model("activities.ActivityType").objects.all()
    uses = FieldUse.objects.select_related("field").filter(field__deleted_at=None)
    found = [row.name for row in types if role.pk in (*row.edit_roles, *row.view_roles)]
    found += [row.field.name for row in uses if role.pk in (*row.edit_roles, *row.view_roles)]
    return [f"“{name}”" for name in dict.fromkeys(found)]


def _lock(actor: Membership) -> None:
    Organization.objects.select_for_update().get(pk=actor.organization_id)
