"""Who gets which events, where. Members manage their own subscriptions, those who manage the organization all."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from crm import events, ids
from crm.errors import Conflict, InvalidInput, NotFound
from crm.models import Membership, Organization, WebhookDelivery, WebhookSubscription
from crm.notifications import notify
from crm.permissions import Perm, has
from crm.webhooks.addresses import Refused, check_url, resolve
from crm.webhooks.catalogue import clean_events

MAX_SUBSCRIPTIONS = 40
ACTIVE, PAUSED = WebhookSubscription.Status.ACTIVE, WebhookSubscription.Status.PAUSED
# What waits for a paused subscription: out of the courier's sight until it is resumed.
SHELVED = timedelta(days=36_500)
PAGE = 50


def subscriptions_for(actor: Membership) -> list[WebhookSubscription]:
    """Return the actor's subscriptions, or all for those who manage the organization; newest first, owner loaded."""
    latest = WebhookDelivery.objects.filter(subscription=OuterRef("pk"), state=WebhookDelivery.State.DELIVERED)
    rows = WebhookSubscription.objects.select_related("membership__user").order_by("-pk")
    rows = rows.annotate(last_delivered_at=Subquery(latest.order_by("-pk").values("delivered_at")[:1]))
    return list(rows if has(actor, Perm.MANAGE_ORGANIZATION) else rows.filter(membership=actor))


def subscription_for(actor: Membership, public_id: str) -> WebhookSubscription:
    """Return one the actor may manage; raises `NotFound`."""
    rows = WebhookSubscription.objects.select_related("membership__user").filter(pk=ids.decode("whsub", public_id))
    if not has(actor, Perm.MANAGE_ORGANIZATION):
        rows = rows.filter(membership=actor)
    if (row := rows.first()) is None:
        raise NotFound("There is no such webhook.")
    return row


def create_subscription(actor: Membership, url: str, wanted: Any, *, verify_ssl: bool = True) -> WebhookSubscription:
    """Send these events to this URL from now on, with the actor's rights. At most 40 per organization."""
    clean = clean_events(wanted)
    check_address(url)
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=actor.organization_id)
        if WebhookSubscription.objects.count() >= MAX_SUBSCRIPTIONS:
            raise InvalidInput(
                f"There are {MAX_SUBSCRIPTIONS} webhooks already, which is the most. Delete one that is not needed."
            )
        row = WebhookSubscription.objects.create(
            organization=actor.organization, membership=actor, url=url, events=clean, verify_ssl=verify_ssl,
            signature_key=secrets.token_hex(32),
        )  # fmt: skip
        _remember(actor)
        events.record(actor, "created", "webhook", row.pk, after=state(row))
    return row


def update_subscription(actor: Membership, row: WebhookSubscription, changes: Mapping[str, Any]) -> WebhookSubscription:
    """Change `url`, `events`, `verify_ssl` or `status` (`active`, `paused`) of a subscription."""
    if "url" in changes:
        check_address(changes["url"])
    if "events" in changes:
        changes = {**changes, "events": clean_events(changes["events"])}
    status = changes.get("status", row.status)
    if status not in WebhookSubscription.Status.values:
        raise InvalidInput(fields={"status": f"“{str(status)[:40]}” is not a status. Use active or paused."})
    with transaction.atomic():
        row = (
            WebhookSubscription.objects.select_for_update(of=("self",))
            .select_related("membership__user")
            .get(pk=row.pk)
        )
        before = state(row)
        for key in ("url", "events", "verify_ssl"):
            if key in changes:
                setattr(row, key, changes[key])
        if status != row.status:
            if status == ACTIVE:
                _require_owner(row)
            _switch(row, str(status), "")
        changed = events.diff(before, state(row))
        if not changed:
            return row
        row.date_updated = timezone.now()
        row.save(
            update_fields=["url", "events", "verify_ssl", "status", "failing_since", "pause_reason", "date_updated"]
        )
        _remember(actor)
        events.record(
            actor, "updated", "webhook", row.pk, changed=changed,
            before={key: before[key] for key in changed}, after={key: state(row)[key] for key in changed},
        )  # fmt: skip
    return row


def delete_subscription(actor: Membership, row: WebhookSubscription) -> None:
    """Stop a subscription and forget what waits for it."""
    with transaction.atomic():
        events.record(actor, "deleted", "webhook", row.pk, before=state(row))
        row.delete()
        _remember(actor)


def pause_failing(row: WebhookSubscription, reason: str) -> None:
    """Pause a subscription for a reason that its owner is told. Called by the courier."""
    with transaction.atomic():
        row = WebhookSubscription.objects.select_related("membership__user", "organization").get(pk=row.pk)
        if row.status == PAUSED:
            return
        _switch(row, PAUSED, reason)
        row.save(update_fields=["status", "failing_since", "pause_reason"])
        _remember(row.membership)
        events.record(
            row.membership, "updated", "webhook", row.pk, changed=["status"], before={"status": "active"},
            after={"status": "paused", "reason": reason},
        )  # fmt: skip
        notify(
            [row.membership],
            "job",
            f"The webhook to {row.url} is paused. {reason}",
            f"settings/webhooks/{row.public_id}/",
        )


def replay(actor: Membership, row: WebhookSubscription, delivery_id: str) -> WebhookDelivery:
    """Send an event again, at once, as a new delivery. Raises `NotFound`, or `Conflict` while the webhook is paused."""
    old = delivery_of(row, delivery_id)
    if row.status == PAUSED:
        raise Conflict("The webhook is paused. Resume it first.")
    return WebhookDelivery.objects.create(organization=actor.organization, subscription=row, event=old.event)


def delivery_of(row: WebhookSubscription, delivery_id: str) -> WebhookDelivery:
    """Return one delivery of a subscription, with its event; raises `NotFound`."""
    found = row.deliveries.select_related("event").filter(pk=ids.decode("whdel", delivery_id)).first()
    if found is None:
        raise NotFound("There is no such delivery. Deliveries are kept for 30 days.")
    return found


def deliveries_of(row: WebhookSubscription, cursor: str = "") -> tuple[list[WebhookDelivery], str]:
    """Return a page of a subscription's deliveries, newest first with their events, and the cursor of the next page."""
    rows = row.deliveries.select_related("event").order_by("-pk")
    if (before := ids.decode("whdel", cursor)) is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE + 1])
    page = found[:PAGE]
    return page, page[-1].public_id if len(found) > PAGE else ""


def state(row: WebhookSubscription) -> dict[str, Any]:
    """Return what the event log keeps of a subscription: never its key."""
    return {"url": row.url, "events": row.events, "verify_ssl": row.verify_ssl, "status": str(row.status)}


def check_address(url: Any) -> None:
    """Raise `InvalidInput` for a URL that may not be called. A name that cannot be looked up now may be there later."""
    try:
        check_url(url if isinstance(url, str) else "")
        resolve(url)
    except Refused as refused:
        if "could not be found" not in str(refused):
            raise InvalidInput(fields={"url": str(refused)}) from None


def _require_owner(row: WebhookSubscription) -> None:
    if row.membership.removed_at is not None or not row.membership.user.is_active:
        raise Conflict("Its owner is no longer a member. Make a new webhook instead: it sends what you may see.")


def _switch(row: WebhookSubscription, status: str, reason: str) -> None:
    row.status, row.failing_since, row.pause_reason = status, None, reason[:300]
    waiting = WebhookDelivery.objects.filter(subscription=row, state=WebhookDelivery.State.WAITING)
    due: datetime = timezone.now() + (SHELVED if status == PAUSED else timedelta(0))
    waiting.update(next_attempt_at=due)


def _remember(actor: Membership) -> None:
    """Note on the organization whether events have to be sent at all, so that those without webhooks ask nothing."""
    wanted = WebhookSubscription.objects.filter(status=ACTIVE).exists()
    Organization.objects.filter(pk=actor.organization_id).update(has_webhooks=wanted)
    actor.organization.has_webhooks = wanted
