"""What integrators use: webhook subscriptions, their deliveries, and idempotency keys."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.timezone import now

from crm import ids
from crm.models.log import Event
from crm.models.organizations import ApiKey, Membership
from crm.tenancy import TenantModel


class WebhookSubscription(TenantModel):
    """Where events are sent. Payloads are built with the owner's rights, and stop when the owner is removed."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    url = models.CharField(max_length=2000)
    events = models.JSONField(help_text='[{"object_type", "action", "extra_filter"?}]')
    verify_ssl = models.BooleanField(default=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    # Needed in the clear to sign with; shown once, when the subscription is made.
    signature_key = models.CharField(max_length=64)
    failing_since = models.DateTimeField(null=True)
    pause_reason = models.CharField(max_length=300, blank=True)
    date_created = models.DateTimeField(default=now)
    date_updated = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "id"], name="webhook_in_organization")]

    def __str__(self) -> str:
        return self.url

    @property
    def public_id(self) -> str:
        return ids.encode("whsub", self.pk)


class WebhookDelivery(TenantModel):
    """One event on its way to one subscription. Written in the transaction of the event, so that none is lost."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    subscription = models.ForeignKey(
        WebhookSubscription, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="+", db_index=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=now)
    response_status = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    duration_ms = models.PositiveIntegerField(null=True)
    date_created = models.DateTimeField(default=now)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["subscription", "-id"], name="delivery_log"),
            models.Index(
                fields=["next_attempt_at", "id"], condition=models.Q(state="waiting"), name="delivery_waiting"
            ),
        ]

    @property
    def public_id(self) -> str:
        return ids.encode("whdel", self.pk)


class IdempotencyKey(TenantModel):
    """What a POST with an `Idempotency-Key` answered, so that repeating it does nothing twice. Kept for a day."""

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body")
    status = models.PositiveIntegerField(null=True, help_text="Null while the first request is being answered")
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    date_created = models.DateTimeField(default=now, db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["api_key", "key"], name="idempotency_key_once")]
