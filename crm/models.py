"""Tables of the foundation: organizations, people, roles, custom fields and their search index, events, imports."""

from __future__ import annotations

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower, Now
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
        return f"{self.first_name} {self.last_name}".strip() or self.email

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

    @property
    def zone(self) -> ZoneInfo:
        """The zone the member reads and types times in: their own, else the organization's."""
        return ZoneInfo(self.user.timezone or self.organization.timezone)

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


# --- custom fields ----------------------------------------------------------------------------------------------------
class FieldSet(TenantModel):
    """The fields of all leads, of all contacts, or of one activity type."""

    class Owner(models.TextChoices):
        LEAD = "lead"
        CONTACT = "contact"
        ACTIVITY = "activity"

    owner = models.CharField(max_length=10, choices=Owner.choices)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "organization",
                "owner",
                condition=~models.Q(owner="activity"),
                name="fieldset_one_for_leads_and_contacts",
            ),
            models.UniqueConstraint(fields=["organization", "id"], name="fieldset_in_organization"),
        ]


class CustomField(TenantModel):
    """A typed field. `id` is born once and never changes; `name` may at any time; `kind` never does."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    description = models.CharField(max_length=280, blank=True)
    multiple = models.BooleanField(default=False)
    shared = models.BooleanField(default=False)
    builtin = models.CharField(
        max_length=40, blank=True, help_text="Key of a field declared in code, e.g. call.duration"
    )
    settings = models.JSONField(default=dict, help_text="By kind: unit, minimum, maximum")
    default = models.JSONField(null=True, help_text="A cleaned value, as stored in a record")
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True, help_text="Gone at once for everybody; a job removes the values")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="field_in_organization")]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("cf", self.pk)


class FieldUse(TenantModel):
    """One field in one field set. Required, order and restrictions belong to the use, not to the field."""

    fieldset = models.ForeignKey(FieldSet, on_delete=models.CASCADE, related_name="uses")
    field = models.ForeignKey(CustomField, on_delete=models.CASCADE, related_name="uses")
    position = models.PositiveIntegerField(default=0)
    heading = models.CharField(max_length=200, blank=True, help_text="A section heading shown above the field")
    required = models.BooleanField(default=False)
    read_only = models.BooleanField(default=False, help_text="Written by API and import only")
    edit_roles = models.JSONField(default=list, help_text="Role ids; empty = every role")
    view_roles = models.JSONField(default=list, help_text="Role ids; empty = every role")
    show_when = models.JSONField(null=True, help_text='{"field": id, "values": [stored values]}')

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["fieldset", "field"], name="field_once_in_set")]


class FieldOption(TenantModel):
    """A choice of a field. Removed options stay on old values and stay searchable."""

    field = models.ForeignKey(CustomField, on_delete=models.CASCADE, related_name="options")
    label = models.CharField(max_length=200)
    color = models.CharField(max_length=20, blank=True)
    position = models.PositiveIntegerField(default=0)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("field", Lower("label"), name="option_label_once")]

    def __str__(self) -> str:
        return self.label

    @property
    def public_id(self) -> str:
        return ids.encode("opt", self.pk)


class ValueIndex(models.Model):
    """A search index over the JSON of records: rebuilt from it at any time, never the truth.

    `record_key` says whose value it is within the lead: the activity's id (> 0), 0 for the lead's own value,
    minus the contact's id (< 0) for a contact's. One table and one compiler serve all three, and shared fields stay
    apart. There are no foreign keys: rows are written and removed by `crm.customfields.values` alone.
    """

    field_id = models.BigIntegerField()
    lead_id = models.BigIntegerField()
    record_key = models.BigIntegerField()

    class Meta:
        abstract = True


class ValueRef(ValueIndex):
    """Option ids, user ids, contact ids, and 1 or 0 for a checkbox."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key", "v")
    v = models.BigIntegerField()

    class Meta:
        db_table = "value_ref"
        indexes: ClassVar = [models.Index(fields=["field_id", "v", "lead_id", "record_key"], name="value_ref_v")]


class ValueNumber(ValueIndex):
    """Numbers, for comparing and adding. The exact figure is the JSON's."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key", "v")
    v = models.DecimalField(max_digits=28, decimal_places=10)

    class Meta:
        db_table = "value_number"
        indexes: ClassVar = [models.Index(fields=["field_id", "v", "lead_id", "record_key"], name="value_number_v")]


class ValueMoment(ValueIndex):
    """Instants; calendar dates as midnight UTC."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key", "v")
    v = models.DateTimeField()

    class Meta:
        db_table = "value_moment"
        indexes: ClassVar = [models.Index(fields=["field_id", "v", "lead_id", "record_key"], name="value_moment_v")]


class ValueText(ValueIndex):
    """Text, folded (case and accents) and cut to 1,000 characters. A trigram index exists where PostgreSQL offers it."""

    pk = models.CompositePrimaryKey("field_id", "lead_id", "record_key")
    v = models.CharField(max_length=1000)

    class Meta:
        db_table = "value_text"


# --- what happened ----------------------------------------------------------------------------------------------------
class Event(TenantModel):
    """One change to one object. Written in the transaction of the change; feeds history, undo, webhooks and audit.

    `changed` lists the keys that differ; `before` and `after` hold their stored values (the whole object for
    created and deleted). `object_type` uses the API's names (`activity.custom_activity`, `lead`, …).
    """

    action = models.CharField(max_length=20)
    object_type = models.CharField(max_length=50)
    object_id = models.BigIntegerField()
    lead_id = models.BigIntegerField(null=True)
    user = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    api_key_id = models.BigIntegerField(null=True)
    door = models.CharField(max_length=10, help_text="page, api, import, system")
    request_id = models.CharField(max_length=40, blank=True)
    changed = models.JSONField(default=list)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    meta = models.JSONField(default=dict)
    date_created = models.DateTimeField(default=now, db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["organization", "object_type", "object_id", "id"], name="event_of_object"),
            models.Index(fields=["organization", "lead_id", "id"], name="event_of_lead"),
            models.Index(fields=["organization", "date_created", "id"], name="event_by_time"),
        ]

    @property
    def public_id(self) -> str:
        return ids.encode("ev", self.pk)


class ImportRun(TenantModel):
    """A CSV import from upload to undo. The resume point is written in the same transaction as the rows before it."""

    class State(models.TextChoices):
        UPLOADED = "uploaded"
        CHECKING = "checking"
        CHECKED = "checked"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"
        UNDONE = "undone"

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    target = models.CharField(max_length=12, help_text="activities, leads")
    state = models.CharField(max_length=12, choices=State.choices, default=State.UPLOADED)
    file_name = models.CharField(max_length=255)
    file_path = models.CharField(max_length=255, help_text="Below MEDIA_ROOT")
    options = models.JSONField(
        default=dict, help_text="encoding, delimiter, mapping, defaults, zone, add_missing_options"
    )
    rows_total = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0, help_text="The resume point: rows before it are settled")
    counts = models.JSONField(default=dict, help_text="created, updated, skipped, failed")
    message = models.TextField(blank=True)
    date_created = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "id"], name="import_run_in_organization")
        ]
        indexes: ClassVar = [models.Index(fields=["organization", "-date_created"], name="import_run_list")]

    @property
    def public_id(self) -> str:
        return ids.encode("imp", self.pk)


class ImportRow(TenantModel):
    """What became of one row of an import; kept for failed rows, and for written ones to undo."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField(help_text="1 = the first row after the header")
    verdict = models.CharField(max_length=10, help_text="create, update, skip, error")
    object_type = models.CharField(max_length=20, blank=True)
    object_id = models.BigIntegerField(null=True)
    error = models.TextField(blank=True)
    cells = models.JSONField(null=True, help_text="The original cells of a failed row")
    before = models.JSONField(null=True, help_text="Overwritten values of an update")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "number"], name="import_row_once")]
