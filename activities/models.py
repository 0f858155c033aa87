"""Activity types and activities: built-in kinds, custom types and system entries share one table."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.timezone import now

from crm import ids
from crm.models import FieldSet, Membership, User
from crm.tenancy import TenantManager, TenantModel
from leads.models import Contact, Lead


class ActivityType(TenantModel):
    """A type of activity. Built-in kinds and system entries are rows as well, made with the organization from code."""

    fieldset = models.OneToOneField(FieldSet, on_delete=models.PROTECT, related_name="activity_type")
    name = models.CharField(max_length=100)
    name_fold = models.CharField(max_length=100, editable=False)
    description = models.TextField(blank=True)
    icon = models.CharField(max_length=40, default="clipboard-check")
    color = models.CharField(max_length=20, default="blue")
    position = models.PositiveIntegerField(default=0)
    builtin = models.CharField(max_length=30, blank=True, help_text="note, call, … for kinds declared in code")
    system = models.BooleanField(default=False, help_text="Written by the product only; read-only")
    starter = models.CharField(max_length=40, blank=True, help_text="Key of the starter type it came from")
    api_only = models.BooleanField(default=False)
    edit_roles = models.JSONField(default=list, help_text="Role ids; empty = every role")
    view_roles = models.JSONField(default=list, help_text="Role ids; empty = every role")
    archived_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name_fold"], name="type_name_once"),
            models.UniqueConstraint(fields=["organization", "id"], name="type_in_organization"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("actitype", self.pk)

    @property
    def is_custom(self) -> bool:
        return not self.builtin


class PublishedManager(TenantManager):
    """The default: published activities of the organization in scope. Drafts are out of sight unless asked for."""

    conditions: ClassVar = {"status": "published"}


class WithDraftsManager(TenantManager):
    """Published activities and drafts of the organization in scope. Who may see which draft is the caller's duty."""


class Activity(TenantModel):
    """Something that happened on a lead.

    `values`: {"<field id>": stored value}, the published truth. `draft_data`: what was typed, as typed; null once
    published. `date_created` = when it was recorded, `activity_at` = when it happened, `created_on` = the day of
    `date_created` in the organization's zone (reports). `revision` rises with every write and guards each save.
    """

    class Status(models.TextChoices):
        DRAFT = "draft"
        PUBLISHED = "published"

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="activities", db_index=False)
    type = models.ForeignKey(ActivityType, on_delete=models.PROTECT, related_name="activities", db_index=False)
    status = models.CharField(max_length=10, choices=Status.choices)
    user = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)
    activity_at = models.DateTimeField(default=now)
    published_at = models.DateTimeField(null=True)
    created_on = models.DateField()
    pinned_at = models.DateTimeField(null=True)
    external_id = models.CharField(max_length=200, null=True)  # noqa: DJ001 (null keeps the unique index small)
    revision = models.PositiveIntegerField(default=1)
    values = models.JSONField(default=dict)
    draft_data = models.JSONField(null=True)

    objects = PublishedManager()
    with_drafts = WithDraftsManager()
    unscoped = models.Manager()

    class Meta:
        verbose_name_plural = "activities"
        default_manager_name = "objects"
        base_manager_name = "unscoped"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "id"], name="activity_in_organization"),
            models.UniqueConstraint(
                fields=["organization", "external_id"],
                condition=models.Q(external_id__isnull=False),
                name="activity_external_id_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["lead", "-activity_at", "-id"], name="activity_timeline"),
            models.Index(fields=["type", "lead"], condition=models.Q(status="published"), name="activity_type_lead"),
            models.Index(
                fields=["type", "date_created", "created_by", "lead", "id"],
                condition=models.Q(status="published"),
                name="activity_type_report",
            ),
            models.Index(
                fields=["type", "created_on", "created_by"],
                condition=models.Q(status="published"),
                name="activity_type_day",
            ),
            models.Index(
                fields=["type", "activity_at", "user", "lead"],
                condition=models.Q(status="published"),
                name="activity_type_at",
            ),
            models.Index(
                fields=["type", "created_by", "date_updated", "lead"],
                condition=models.Q(status="published"),
                name="activity_type_by_updated",
            ),
            models.Index(
                fields=["organization", "-date_created", "-id"],
                condition=models.Q(status="published"),
                name="activity_by_created",
            ),
            models.Index(
                fields=["organization", "-activity_at", "-id"],
                condition=models.Q(status="published"),
                name="activity_by_at",
            ),
            models.Index(
                fields=["created_by", "organization"], condition=models.Q(status="draft"), name="activity_drafts"
            ),
        ]

    def __str__(self) -> str:
        return f"activity {self.pk}"

    @property
    def public_id(self) -> str:
        return ids.encode("acti", self.pk)

    @property
    def is_draft(self) -> bool:
        return self.status == self.Status.DRAFT


class LeadActivityFact(models.Model):
    """How many published activities of a type a lead has, and the first and last `activity_at`. Kept by the service.

    Answers "none of type", "last activity was" and all-time counts from one small index.
    """

    pk = models.CompositePrimaryKey("type_id", "lead_id")
    type_id = models.BigIntegerField()
    lead_id = models.BigIntegerField()
    count = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "lead_activity_fact"
        indexes: ClassVar = [models.Index(fields=["lead_id", "type_id"], name="lead_activity_fact_lead")]


class Comment(TenantModel):
    """A remark under an activity."""

    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.text[:60]

    @property
    def public_id(self) -> str:
        return ids.encode("comm", self.pk)


class PublishRule(TenantModel):
    """What happens when an activity of a type is published: set a lead's status or field, add a task, tell somebody."""

    type = models.ForeignKey(ActivityType, on_delete=models.CASCADE, related_name="rules")
    name = models.CharField(max_length=200)
    condition = models.JSONField(null=True, help_text="Tree of the search language over the activity; null = always")
    actions = models.JSONField(default=list, help_text='[{"do": "set_status" | "set_field" | "task" | "notify", …}]')
    enabled = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0)
    owner = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    last_error = models.CharField(max_length=500, blank=True)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("rule", self.pk)


class PublicForm(TenantModel):
    """A hosted page where a stranger fills in a type; the activity is published as the form's owner."""

    type = models.ForeignKey(ActivityType, on_delete=models.CASCADE, related_name="forms")
    owner = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    token = models.CharField(max_length=32, unique=True, help_text="The unguessable part of the page's address")
    title = models.CharField(max_length=200)
    intro = models.TextField(blank=True)
    thanks = models.TextField(blank=True)
    fields = models.JSONField(default=list, help_text="Ids of the fields asked, in order")
    enabled = models.BooleanField(default=True)
    embeddable = models.BooleanField(default=False, help_text="Other sites may show it in a frame")
    submissions = models.PositiveIntegerField(default=0)
    last_submission_at = models.DateTimeField(null=True)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.title

    @property
    def public_id(self) -> str:
        return ids.encode("form", self.pk)
