"""Services for members: who belongs to an organization and with which role.

Nobody gives, takes or touches a role with rights they do not have themselves, and the last admin stays.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import transaction
from django.utils import timezone

from crm import accounts, events, ids
from crm.errors import Conflict, InvalidInput, NotAllowed, NotFound
from crm.models import ApiKey, Membership, Organization, Role, User
from crm.permissions import Perm, authorize, can_grant, permissions_of
from crm.roles import role_for

__all__ = [
    "add_member", "change_member_role", "deactivate_member", "invite_again", "member_for", "member_of_user", "members_of",
    "role_for", "sign_out_everywhere",
]  # fmt: skip


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


def member_of_user(actor: Membership, user_id: str) -> Membership:
    """Return the member behind a `user_` id; raises `NotFound`."""
    found = Membership.objects.select_related("user", "role", "organization").filter(user=ids.decode("user", user_id))
    if (member := found.first()) is None:
        raise NotFound("There is no such user.")
    return member


def add_member(actor: Membership, email: str, role: Role, *, first_name: str = "", last_name: str = "") -> Membership:
    """Make the person with this email a member; one who was removed comes back with everything they did.

    Raises `InvalidInput` for a bad address or a present member; `Conflict` when the address has an account elsewhere
    that its owner never proved (a mail asks them to, and nothing else happens).
    """
    authorize(can_grant(actor, role))
    email = email.strip().lower()
    try:
        validate_email(email)
        MaxLengthValidator(254)(email)
    except ValidationError:
        raise InvalidInput(
            fields={"email": f"“{email[:80]}” is not an email address. Write it as name@company.com."}
        ) from None
    user = User.objects.filter(email__iexact=email).first()
    if user and not accounts.is_proven(user) and _known_elsewhere(actor, user):
        # Whoever invited them first has seen a link to that account: they must not get into this organization by it.
        accounts.send_proof(user)
        raise Conflict(
            f"{email} has an account here that was never confirmed. We sent a mail to that address: "
            "invite it again once the link in it has been opened."
        )
    with transaction.atomic():
        if user is None:
            user = User.objects.create_user(email, first_name=first_name.strip(), last_name=last_name.strip())
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


def invite_again(actor: Membership, member: Membership) -> tuple[str, bool]:
    """Mail the member a new sign-in link. Returns a link to show (empty where only the mail may carry it), and whether the mail went out."""
    authorize(can_grant(actor, member.role))
    _require_present(member)
    mailed = accounts.send_invitation(member, actor)
    shown = accounts.make_sign_in_link(member.user) if accounts.may_show_link(member.user, actor.organization) else ""
    return shown, mailed


def change_member_role(actor: Membership, member: Membership, role: Role) -> None:
    """Give a member another role. The last admin keeps theirs."""
    authorize(can_grant(actor, role))
    authorize(can_grant(actor, member.role))
    _require_present(member)
    with transaction.atomic():
        _lock(actor.organization)
        member.refresh_from_db(fields=["role", "removed_at"])
        if member.role_id == role.pk:
            return
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
    """Remove a member. Everything they did stays; their API keys and sign-in links stop at once.

    The last admin cannot be removed.
    """
    authorize(can_grant(actor, member.role))
    with transaction.atomic():
        _lock(actor.organization)
        member.refresh_from_db(fields=["role", "removed_at"])
        if member.removed_at is not None:
            return
        _require_another_admin(member, "make somebody else an admin first")
        member.removed_at = member.date_updated = timezone.now()
        member.save(update_fields=["removed_at", "date_updated"])
        accounts.void_sign_in_links(member.user)
        ApiKey.objects.filter(membership=member, revoked_at=None).update(revoked_at=timezone.now())
        events.record(actor, "deactivated", "membership", member.pk, before={"email": member.user.email})


def sign_out_everywhere(actor: Membership, member: Membership) -> int:
    """Sign a member out of every browser; returns of how many. For an account that is known here only, or one's own."""
    if member.user_id != actor.user_id:
        authorize(can_grant(actor, member.role))
        _require_present(member)
        if _known_elsewhere(actor, member.user):
            raise NotAllowed(
                f"{member.user.full_name} belongs to other organizations too, so only they can sign themselves out "
                "everywhere: under Your account > Sessions. Removing them here works at once."
            )
    events.record(actor, "updated", "membership", member.pk, changed=["sessions"], meta={"signed_out": True})
    return accounts.end_sessions(member.user)


def _known_elsewhere(actor: Membership, user: User) -> bool:
    return Membership.unscoped.filter(user=user).exclude(organization=actor.organization).exists()


def _require_present(member: Membership) -> None:
    if member.removed_at is not None:
        raise InvalidInput(f"{member.user.full_name} is a former member. Invite them again to bring them back.")


def _lock(organization: Organization) -> None:
    Organization.objects.select_for_update().get(pk=organization.pk)


def _require_another_admin(member: Membership, remedy: str) -> None:
    if Perm.MANAGE_ORGANIZATION not in permissions_of(member.role):
        return
    others = Membership.objects.filter(role__slug="admin", removed_at=None).exclude(pk=member.pk)
    if not others.exists():
        raise InvalidInput(f"{member.user.full_name} is the last admin: {remedy}.")
