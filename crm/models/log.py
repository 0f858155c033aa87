"""What happened: events, notifications, and the runs of imports."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.timezone import now

from crm import ids
from crm.models.organizations import Membership, User
from crm.tenancy import TenantModel


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
    number = models.PositiveIntegerField(help_text="As a spreadsheet shows it: the header is row 1")
    verdict = models.CharField(max_length=10, help_text="create, update, skip, error")
    object_type = models.CharField(max_length=20, blank=True)
    object_id = models.BigIntegerField(null=True)
    error = models.TextField(blank=True)
    cells = models.JSONField(null=True, help_text="The original cells of a failed row")
    before = models.JSONField(null=True, help_text="Overwritten values of an update")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "number"], name="import_row_once")]


class Notification(TenantModel):
    """Something a member should know: they were mentioned, assigned, or a job of theirs ended."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="notifications", db_index=False)
    kind = models.CharField(max_length=20, help_text="mention, comment, task, rule, job")
    text = models.CharField(max_length=500)
    path = models.CharField(max_length=500, blank=True, help_text="Below /o/<slug>/; empty: leads nowhere")
    by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    read_at = models.DateTimeField(null=True)
    date_created = models.DateTimeField(default=now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["membership", "-id"], name="notification_list"),
            models.Index(fields=["membership"], condition=models.Q(read_at=None), name="notification_unread"),
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def public_id(self) -> str:
        return ids.encode("note", self.pk)
