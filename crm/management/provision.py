"""Making an organization: wiring that knows every app, used by commands and tests."""

from __future__ import annotations

from django.db import transaction

from activities.services.types import install_builtins
from crm.errors import InvalidInput
from crm.models import FieldSet, Membership, Organization, Role, User
from crm.permissions import DEFAULT_ROLES
from crm.plans import DEFAULT_PLAN, PLANS
from crm.tenancy import scope
from leads.models import LeadStatus

STATUSES = (
    ("Potential", "blue"),
    ("Bad fit", "red"),
    ("Qualified", "green"),
    ("Customer", "teal"),
    ("Canceled", "orange"),
)


def provision_organization(
    name: str,
    slug: str,
    admin_email: str,
    *,
    plan: str = DEFAULT_PLAN,
    first_name: str = "",
    last_name: str = "",
    timezone: str = "UTC",
) -> Membership:
    """Create an organization with roles, statuses, built-in kinds and its first admin; returns the admin's membership.

    Raises `InvalidInput` for a taken slug or an unknown plan; then nothing is left behind.
    """
    if plan not in PLANS:
        raise InvalidInput(fields={"plan": f"“{plan}” is not a plan. Use one of: {', '.join(PLANS)}."})
    if Organization.objects.filter(slug=slug).exists():
        raise InvalidInput(fields={"slug": f"There is an organization with the slug “{slug}” already."})
    with transaction.atomic():
        organization = Organization.objects.create(name=name, slug=slug, plan=plan, timezone=timezone)
        with scope(organization):
            roles = {
                key: Role.objects.create(organization=organization, slug=key, name=role_name)
                for key, (role_name, _) in DEFAULT_ROLES.items()
            }
            for owner in (FieldSet.Owner.LEAD, FieldSet.Owner.CONTACT):
                FieldSet.objects.create(organization=organization, owner=owner)
            for position, (label, color) in enumerate(STATUSES):
                LeadStatus.objects.create(organization=organization, label=label, color=color, position=position)
            install_builtins(organization)
            return join(organization, admin_email, roles["admin"], first_name=first_name, last_name=last_name)


def join(
    organization: Organization, email: str, role: Role, *, first_name: str = "", last_name: str = ""
) -> Membership:
    """Make the person with this email a member, without anybody asking: for operators and the first admin."""
    email = email.strip().lower()
    user = User.objects.filter(email__iexact=email).first()
    if user is None:
        user = User.objects.create_user(email, first_name=first_name, last_name=last_name)
    member, _ = Membership.unscoped.update_or_create(
        organization=organization, user=user, defaults={"role": role, "removed_at": None}
    )
    return Membership.unscoped.select_related("user", "organization", "role").get(pk=member.pk)
