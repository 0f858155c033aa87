"""Services for members, roles and their limits: who belongs to an organization and what they may do."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from crm import events, ids
from crm.errors import InvalidInput, NotFound
from crm.models import Membership, Organization, Role, User
from crm.permissions import Perm, authorize, has, permissions_of


def members_of(organization: Organization, *, former: bool = False) -> list[Membership]:
    """Return members by name with user and role; `former` adds those who were removed."""
    rows = Membership.objects.filter(organization=organization).select_related("user", "role")
    if not former:
        rows = rows.filter(removed_at=None)
    return sorted(rows, key=lambda row: (row.removed_at is not None, row.user.full_name.casefold()))


def member_for(actor: Membership, public_id: str) -> Membership:
    """Return a member of the actor's organization by `memb_` id; raises `NotFound`."""
    found = Membership.objects.select_related("user", "role", "organization").filter(pk=ids.decode("memb", public_id))
    if (member := found.first()) is None:
        raise NotFound("There is no such member.")
    return member


def role_for(actor: Membership, public_id: str) -> Role:
    """Return a role by its id: a slug for built-in roles, `role_…` for cloned ones; raises `NotFound`."""
    number = ids.decode("role", public_id)
    found = Role.objects.filter(pk=number) if number else Role.objects.filter(slug=public_id).exclude(slug="")
    if (role := found.first()) is None:
        raise NotFound("There is no such role.")
    return role


def add_member(actor: Membership, email: str, role: Role, *, first_name: str = "", last_name: str = "") -> Membership:
    """Make the person with this email a member; one who was removed comes back with everything they did.

    Raises `InvalidInput` for a bad address or a present member.
    """
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise InvalidInput(
            fields={"email": f"“{email}” is not an email address. Write it as name@company.com."}
        ) from None
    with transaction.atomic():
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            user = User.objects.create_user(email, first_name=first_name, last_name=last_name)
        member, created = Membership.objects.get_or_create(
            organization=actor.organization, user=user, defaults={"role": role}
        )
        if not created and member.removed_at is None:
            raise InvalidInput(fields={"email": f"{email} is already a member."})
        if not created:
            member.role, member.removed_at, member.date_updated = role, None, timezone.now()
            member.save(update_fields=["role", "removed_at", "date_updated"])
        events.record(actor, "activated", "membership", member.pk, after={"email": email, "role_id": role.public_id})
    return member


def change_member_role(actor: Membership, member: Membership, role: Role) -> None:
    """Give a member another role. The last admin keeps theirs."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        _lock(actor.organization)
        if role.slug != "admin":
            _require_another_admin(member, "give somebody else the role Admin first")
        before = member.role.public_id
        member.role, member.date_updated = role, timezone.now()
        member.save(update_fields=["role", "date_updated"])
        events.record(
            actor, "updated", "membership", member.pk,
            before={"role_id": before}, after={"role_id": role.public_id}, changed=["role_id"],
        )  # fmt: skip


def deactivate_member(actor: Membership, member: Membership) -> None:
    """Remove a member. Everything they did stays; their API keys stop at once. The last admin cannot be removed."""
    authorize(has(actor, Perm.MANAGE_ORGANIZATION))
    with transaction.atomic():
        _lock(actor.organization)
        _require_another_admin(member, "make somebody else an admin first")
        member.removed_at = member.date_updated = timezone.now()
        member.save(update_fields=["removed_at", "date_updated"])
        events.record(actor, "deactivated", "membership", member.pk, before={"email": member.user.email})


def _lock(organization: Organization) -> None:
    Organization.objects.select_for_update().get(pk=organization.pk)


def _require_another_admin(member: Membership, remedy: str) -> None:
    if Perm.MANAGE_ORGANIZATION not in permissions_of(member.role):
        return
    others = Membership.objects.filter(role__slug="admin", removed_at=None).exclude(pk=member.pk)
    if not others.exists():
        raise InvalidInput(f"{member.user.full_name} is the last admin: {remedy}.")
