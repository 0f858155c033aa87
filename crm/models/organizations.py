"""Organizations, the people in them, their roles, teams and keys."""

from __future__ import annotations

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import get_random_string
from django.utils.timezone import now

from crm import ids
from crm.plans import DEFAULT_PLAN, PLANS
from crm.tenancy import TenantModel


def new_version() -> str:
    """A token that is never used twice; caches keyed by it cannot serve what a rolled-back transaction wrote."""
    return get_random_string(16)


class Organization(models.Model):
    """A tenant. `schema_version` changes whenever a type, field, option, role or status does."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=60, unique=True)
    plan = models.CharField(
        max_length=20, default=DEFAULT_PLAN, choices=[(key, plan.name) for key, plan in PLANS.items()]
    )
    timezone = models.CharField(max_length=64, default="UTC")
    week_starts_on = models.PositiveSmallIntegerField(default=0, help_text="0 = Monday … 6 = Sunday")
    currency = models.CharField(max_length=3, default="USD")
    schema_version = models.CharField(max_length=16, default=new_version)
    # Whether a webhook is active, so that writing an event costs nothing where none is.
    has_webhooks = models.BooleanField(default=False, db_default=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("orga", self.pk)


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        user = self.model(email=self.normalize_email(email).strip().lower(), **extra)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


def full_name(first: str, last: str, email: str) -> str:
    """Return how a person is called: by their name, else by their email."""
    return f"{first} {last}".strip() or email


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in by email. What they may do is decided by their membership, never here."""

    email = models.EmailField(unique=True)
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    timezone = models.CharField(max_length=64, blank=True, help_text="Empty: the organization's zone")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        return full_name(self.first_name, self.last_name, self.email)

    @property
    def public_id(self) -> str:
        return ids.encode("user", self.pk)


class Role(TenantModel):
    """What a member may do. Built-in roles take their permissions from code (`crm.permissions`), cloned ones from this row."""

    slug = models.CharField(max_length=40, blank=True, help_text="Set on built-in roles")
    name = models.CharField(max_length=100)
    permissions = models.JSONField(default=list)
    # Without view_all_leads: a lead is visible when one of these user fields holds the member or a team mate.
    visibility_fields = models.JSONField(default=list, help_text="Ids of lead custom fields of kind user")
    sees_unassigned = models.BooleanField(default=False, help_text="Leads with nobody in those fields are visible")
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), "organization", name="role_name_once"),
            models.UniqueConstraint(fields=["organization", "id"], name="role_in_organization"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        """Built-in roles have plain ids (`admin`), as Close's do."""
        return self.slug or ids.encode("role", self.pk)


class Membership(TenantModel):
    """A user in an organization with a role: the *actor* of every service. A removed one keeps everything it did."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="memberships")
    pinned_views = models.JSONField(default=list)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
            models.UniqueConstraint(fields=["organization", "id"], name="membership_in_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"

    # The zone that the current request says (`X-TZ-Offset`); never stored.
    zone_asked: Any = None

    @property
    def zone(self) -> Any:
        """The zone the member reads and types times in: what the request says, else their own, else the organization's."""
        return self.zone_asked or ZoneInfo(self.user.timezone or self.organization.timezone)

    @property
    def public_id(self) -> str:
        return ids.encode("memb", self.pk)


class Team(TenantModel):
    """A named set of members (Close: group)."""

    name = models.CharField(max_length=100)
    members = models.ManyToManyField(User, related_name="teams", blank=True)
    date_created = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), "organization", name="team_name_once"),
            models.UniqueConstraint(fields=["organization", "id"], name="team_in_organization"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("group", self.pk)


class ApiKey(TenantModel):
    """An API key: shown once, kept as a hash. It acts with its creator's rights, live."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=32, unique=True, help_text="The part before the dot; finds the row")
    secret_hash = models.CharField(max_length=64, help_text="SHA-256 of the part after the dot (128 bits of entropy)")
    read_only = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    date_created = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def public_id(self) -> str:
        return ids.encode("api", self.pk)


class SignInLink(models.Model):
    """A link that signs one user in, once. Only its hash is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    token_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    date_created = models.DateTimeField(default=now)


class UsageCounter(TenantModel):
    """First publishes of custom activities in one calendar month of the organization's zone. Never goes down."""

    month = models.DateField(help_text="First day of the month")
    used = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "month"], name="usage_month_once")]
