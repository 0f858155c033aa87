"""Leads, their contacts, statuses and tasks, and saved searches."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from django.utils.timezone import now

from crm import ids
from crm.models import Membership, User
from crm.tenancy import TenantModel


class LeadStatus(TenantModel):
    """Where a lead stands. The first by position is the default of new leads."""

    label = models.CharField(max_length=100)
    color = models.CharField(max_length=20, blank=True)
    position = models.PositiveIntegerField(default=0)
    date_created = models.DateTimeField(default=now)

    class Meta:
        verbose_name_plural = "lead statuses"
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("label"), "organization", name="status_label_once"),
            models.UniqueConstraint(fields=["organization", "id"], name="status_in_organization"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def public_id(self) -> str:
        return ids.encode("stat", self.pk)


class Lead(TenantModel):
    """A company or customer. `values` holds custom fields as {"<field id>": stored value}; typed tables index them."""

    name = models.CharField(max_length=300)
    name_fold = models.CharField(max_length=300, editable=False, help_text="Folded name, for search and sorting")
    status = models.ForeignKey(LeadStatus, on_delete=models.PROTECT, related_name="leads", db_index=False)
    description = models.TextField(blank=True)
    url = models.CharField(max_length=500, blank=True)
    addresses = models.JSONField(default=list)
    values = models.JSONField(default=dict)
    # Words of the name, contacts, emails, phones and domains; one column serves the free-text box.
    search_text = models.TextField(blank=True, editable=False)
    contacts_count = models.PositiveIntegerField(default=0)
    last_activity_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    source = models.CharField(max_length=20, default="ui", help_text="ui, api, import, form")
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="lead_in_organization")]
        indexes: ClassVar = [
            models.Index(fields=["organization", "name_fold", "id"], name="lead_by_name"),
            # On PostgreSQL a twin with NULLS LAST exists (migration 0003); SQLite sorts empties last by itself.
            models.Index(fields=["organization", "-last_activity_at", "-id"], name="lead_by_activity"),
            models.Index(fields=["organization", "-date_created", "-id"], name="lead_by_created"),
            models.Index(fields=["organization", "-date_updated", "-id"], name="lead_by_updated"),
            models.Index(fields=["organization", "status", "name_fold", "id"], name="lead_by_status"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("lead", self.pk)


class Contact(TenantModel):
    """A person at exactly one lead. `emails`, `phones`, `urls`: lists of {"<email|phone|url>": text, "type": text}."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="contacts")
    name = models.CharField(max_length=300, blank=True)
    title = models.CharField(max_length=200, blank=True)
    emails = models.JSONField(default=list)
    phones = models.JSONField(default=list)
    urls = models.JSONField(default=list)
    values = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="contact_in_organization")]
        indexes: ClassVar = [models.Index(fields=["organization", "-date_created", "-id"], name="contact_by_created")]

    def __str__(self) -> str:
        return self.name or self.first("emails") or self.first("phones") or "Unnamed contact"

    @property
    def public_id(self) -> str:
        return ids.encode("cont", self.pk)

    def first(self, channel: str) -> str:
        """Return the first email, phone or url (`channel` in plural), or an empty text."""
        entries = getattr(self, channel)
        return entries[0].get(channel[:-1], "") if entries else ""


class ContactPoint(TenantModel):
    """One email, phone or url of a contact, normalised for look-ups (import, duplicates, search). An index, like the values."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="points")
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="points")
    channel = models.CharField(max_length=5, help_text="email, phone, url, name")
    value = models.CharField(max_length=320, help_text="Lower case; phones as digits with a leading +")
    kind = models.CharField(
        max_length=30, default="", blank=True, help_text="office, mobile …: folded, as the contact has it"
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["organization", "channel", "value", "lead"], name="contact_point_value")
        ]


class Task(TenantModel):
    """Something to do on a lead by a day."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="tasks")
    text = models.CharField(max_length=1000)
    due_date = models.DateField(null=True, blank=True)
    assigned_to = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    done_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="task_in_organization")]
        indexes: ClassVar = [
            models.Index(
                fields=["organization", "assigned_to", "due_date"], condition=models.Q(done_at=None), name="task_open"
            )
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def public_id(self) -> str:
        return ids.encode("task", self.pk)


class SmartView(TenantModel):
    """A saved search. `query` is the JSON tree of the search language; it is validated again as whoever opens it."""

    class Lists(models.TextChoices):
        LEADS = "lead", "Leads"
        CONTACTS = "contact", "Contacts"
        ACTIVITIES = "custom_activity", "Activities"

    lists = models.CharField(max_length=20, choices=Lists.choices, default=Lists.LEADS)
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=500, blank=True)
    query = models.JSONField()
    text = models.CharField(max_length=500, blank=True, help_text="Free-text words")
    columns = models.JSONField(default=list)
    sort = models.CharField(max_length=100, blank=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    shared = models.BooleanField(default=False, help_text="Everybody in the organization sees it")
    teams = models.JSONField(default=list, help_text="Ids of the teams that see it; ignored when shared")
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "id"], name="smart_view_in_organization")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return ids.encode("save", self.pk)


class MergedLead(TenantModel):
    """A lead that was merged into another; its old links lead there."""

    old_id = models.BigIntegerField()
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="merged")
    date_created = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "old_id"], name="merged_lead_once")]


class BulkAction(TenantModel):
    """One change to every lead (or activity) a search finds. The resume point is written with the rows before it."""

    class Kind(models.TextChoices):
        EDIT = "edit"
        DELETE = "delete"
        LOG = "log"

    class State(models.TextChoices):
        CREATED = "created"
        PROCESSING = "processing"
        PAUSED = "paused"
        DONE = "done"
        CANCELLED = "cancelled"
        ERROR = "error"

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    lists = models.CharField(max_length=20, choices=SmartView.Lists.choices, default=SmartView.Lists.LEADS)
    query = models.JSONField(help_text="Tree of the search language, validated again as the member when it runs")
    text = models.CharField(max_length=500, blank=True)
    sort = models.CharField(max_length=100, blank=True)
    results_limit = models.PositiveIntegerField(null=True)
    change = models.JSONField(
        default=dict, help_text="What is done, by kind: {status} | {field, value, operation} | {type, values}"
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.CREATED)
    n_objects = models.PositiveIntegerField(default=0)
    n_done = models.PositiveIntegerField(default=0)
    n_changed = models.PositiveIntegerField(default=0)
    last_id = models.BigIntegerField(default=0, help_text="The resume point: rows up to it are settled")
    refused = models.JSONField(default=list, help_text='[{"id", "name", "reason"}], the first thousand')
    n_refused = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "id"], name="bulk_action_in_organization")
        ]

    @property
    def public_id(self) -> str:
        prefixes = {"edit": "bulkedit", "delete": "bulkdelete", "log": "bulklog"}
        return ids.encode(prefixes[self.kind], self.pk)
