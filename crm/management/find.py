"""Finding rows by the words an operator types; a miss ends the command with a sentence."""

from __future__ import annotations

from django.core.management.base import CommandError

from crm.models import Membership, Organization, Role


def organization_named(slug: str) -> Organization:
    """Return the organization with this slug."""
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Organization.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no organization “{slug}”. There are: {known}.")
    return found


def role_named(organization: Organization, text: str) -> Role:
    """Return a role by its slug or name."""
    roles = list(Role.unscoped.filter(organization=organization))
    for role in roles:
        if text in (role.slug, role.name):
            return role
    raise CommandError(f"There is no role “{text}”. There are: {', '.join(role.slug or role.name for role in roles)}.")


def member_named(organization: Organization, email: str) -> Membership:
    """Return a present member by email."""
    rows = Membership.unscoped.select_related("user", "organization", "role")
    found = rows.filter(organization=organization, user__email__iexact=email, removed_at=None).first()
    if found is None:
        raise CommandError(f"{email} is not a member of {organization.name}. Add them with create_member.")
    return found
