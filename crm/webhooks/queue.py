"""Deliveries are written with their event, in its transaction: what was committed is delivered, what was not never was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

if TYPE_CHECKING:
    from crm.events import EventRow
    from crm.models import Event, Membership, WebhookSubscription

# How long an update waits for further ones of the same object, to be sent as one.
CONSOLIDATION = timedelta(seconds=3)
_WAITS = {"updated", "deleted"}


def interested(actor: Membership, rows: Sequence[EventRow]) -> list[WebhookSubscription]:
    """Return the live subscriptions that want one of these events. No query where the organization has none."""
    from crm.bulk import WORTH_IT
    from crm.models import Organization, WebhookSubscription

    expected = actor.organization.has_webhooks
    if not expected and len(rows) >= WORTH_IT:
        # Long jobs hold their organization as it was when they began.
        expected = Organization.objects.filter(pk=actor.organization_id, has_webhooks=True).exists()
    if not expected:
        return []
    happened = {(row.object_type, row.action) for row in rows}
    found = WebhookSubscription.unscoped.filter(
        organization_id=actor.organization_id, status=WebhookSubscription.Status.ACTIVE,
        membership__removed_at=None, membership__user__is_active=True,
    )  # fmt: skip
    return [row for row in found if happened & wanted_by(row)]


def wanted_by(subscription: WebhookSubscription) -> set[tuple[str, str]]:
    """Return the (object type, action) pairs of a subscription."""
    return {(row["object_type"], row["action"]) for row in subscription.events}


def put(subscriptions: Iterable[WebhookSubscription], events: Sequence[Event]) -> None:
    """Write a delivery of each event for each subscription that wants it. Filters are asked when it is sent."""
    from crm.models import WebhookDelivery

    now = timezone.now()
    rows = []
    for subscription in subscriptions:
        wanted = wanted_by(subscription)
        rows += [
            WebhookDelivery(
                organization_id=event.organization_id, subscription=subscription, event=event, date_created=now,
                next_attempt_at=now + CONSOLIDATION if event.action in _WAITS else now,
            )
            for event in events
            if (event.object_type, event.action) in wanted
        ]  # fmt: skip
    WebhookDelivery.unscoped.bulk_create(rows, batch_size=1000)
