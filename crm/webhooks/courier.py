"""Takes deliveries that are due, sends them, tries again later, and pauses what fails for days.

Each delivery is leased before it is sent: a courier that dies leaves it behind, and the next one takes it when the lease
is over. So every event arrives at least once; a receiver tells repetitions by `event.id`.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min, Q
from django.utils import timezone

from crm import events
from crm.api.door import asking_as
from crm.api.event_objects import event_json
from crm.models import Event, Membership, WebhookDelivery, WebhookSubscription
from crm.tenancy import scope
from crm.webhooks.filters import matches
from crm.webhooks.sending import Answer, send
from crm.webhooks.subscriptions import ACTIVE, SHELVED, pause_failing

log = logging.getLogger("touchpoint.webhooks")
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(minutes=20)
GIVE_UP = timedelta(hours=72)
PAUSE_AFTER = timedelta(days=3)
MOST_WAITING = 100_000
LOG_KEPT, FORGET_AT_ONCE = timedelta(days=30), 1000
BATCH, THREADS = 50, 8
# How long one subscription is served before others get their turn; shorter than the lease, by more than one slow answer.
SERVE_SECONDS = 60
# Updates of one object that wait and are at most this far apart are sent as one.
MERGED_WITHIN = timedelta(seconds=60)
WAITING, DELIVERED, FAILED = (
    WebhookDelivery.State.WAITING,
    WebhookDelivery.State.DELIVERED,
    WebhookDelivery.State.FAILED,
)


def wait_after(attempts: int) -> timedelta:
    """Return how long to wait after this many failed attempts: 10 s, 20 s, 40 s … at most 20 minutes."""
    return min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)


def deliver_due() -> int:
    """Send what is due now; returns how many deliveries were taken. Slow receivers do not hold up others."""
    taken = _lease()
    if not taken:
        return 0
    queues: dict[int, list[WebhookDelivery]] = defaultdict(list)
    for row in taken:
        queues[row.subscription_id].append(row)
    if len(queues) == 1 or connection.in_atomic_block:
        for rows in queues.values():
            _serve(rows)
        return len(taken)
    with ThreadPoolExecutor(min(THREADS, len(queues))) as pool:
        list(pool.map(_serve_in_thread, queues.values()))
    return len(taken)


def pause_flooded() -> None:
    """Pause subscriptions for which too many deliveries wait."""
    waiting = WebhookDelivery.unscoped.filter(state=WAITING, subscription__status=ACTIVE)
    flooded = waiting.values("subscription_id").annotate(n=Count("pk")).filter(n__gt=MOST_WAITING).order_by()
    for row in WebhookSubscription.unscoped.filter(pk__in=[found["subscription_id"] for found in flooded]):
        with scope(row.organization_id):
            pause_failing(row, f"More than {MOST_WAITING:,} events wait for it.")


def forget_old() -> int:
    """Take the oldest settled deliveries out of the logs, some at a time; returns how many."""
    oldest = WebhookDelivery.unscoped.exclude(state=WAITING).order_by("pk")[:FORGET_AT_ONCE]
    limit = timezone.now() - LOG_KEPT
    old = [row.pk for row in oldest.only("pk", "date_created") if row.date_created < limit]
    WebhookDelivery.unscoped.filter(pk__in=old).delete()
    return len(old)


def _lease() -> list[WebhookDelivery]:
    """Take due deliveries, from each subscription its share. Nobody else takes them while the lease lasts."""
    now = timezone.now()
    due = WebhookDelivery.unscoped.filter(state=WAITING, next_attempt_at__lte=now)
    waiting = due.values("subscription_id").annotate(since=Min("next_attempt_at")).order_by("since")[:BATCH]
    numbers = [found["subscription_id"] for found in waiting]
    until = now + timedelta(seconds=settings.WEBHOOK_LEASE_SECONDS)
    taken = []
    for number in numbers:
        oldest = due.filter(subscription_id=number).order_by("next_attempt_at", "pk")
        for row in oldest[: max(1, BATCH // len(numbers))]:
            mine = WebhookDelivery.unscoped.filter(pk=row.pk, state=WAITING, next_attempt_at=row.next_attempt_at)
            if mine.update(next_attempt_at=until):
                taken.append(row)
    return taken


def _serve_in_thread(rows: list[WebhookDelivery]) -> None:
    try:
        _serve(rows)
    finally:
        connection.close()


def _serve(rows: Sequence[WebhookDelivery]) -> None:
    """Send the deliveries of one subscription, in order. After one that fails the others wait as well."""
    subscription = (
        WebhookSubscription.unscoped.select_related("membership__user", "membership__role", "membership__organization")
        .filter(pk=rows[0].subscription_id)
        .first()
    )
    if subscription is None:
        return
    numbers = [row.pk for row in rows]
    with scope(subscription.organization_id), events.door("system"):
        end = time.monotonic() + SERVE_SECONDS
        try:
            for number in numbers:
                if time.monotonic() > end:
                    # The lease must not run out under what is still to be sent.
                    WebhookDelivery.objects.filter(pk__in=numbers, state=WAITING).update(next_attempt_at=timezone.now())
                    return
                row = WebhookDelivery.objects.select_related("event").filter(pk=number, state=WAITING).first()
                if row is not None and not _deliver(subscription, row):
                    _hold(subscription, numbers)
                    return
        except Exception:
            # The lease ends by itself; the others of the batch must not suffer.
            log.exception("deliveries of webhook %s failed", subscription.public_id)


def _hold(subscription: WebhookSubscription, numbers: Sequence[int]) -> None:
    """After a failure nothing else is tried for a while: one answer is enough to know that nobody is there.

    What failed before and was leased with it waits as long again as it did, and not until the lease is over.
    """
    if not WebhookSubscription.objects.filter(pk=subscription.pk, status=ACTIVE).exists():
        return  # what waits was put out of sight when it was paused
    now = timezone.now()
    rows = WebhookDelivery.objects.filter(subscription=subscription, state=WAITING)
    leased = rows.filter(pk__in=numbers, attempts__gt=0)
    for attempts in set(leased.values_list("attempts", flat=True)):
        leased.filter(attempts=attempts).update(next_attempt_at=now + wait_after(attempts))
    untried = rows.filter(attempts=0)
    untried.filter(Q(pk__in=numbers) | Q(next_attempt_at__lte=now)).update(next_attempt_at=now + FIRST_WAIT)


def _deliver(subscription: WebhookSubscription, row: WebhookDelivery) -> bool:
    """Send one delivery, with the updates it consolidates; returns whether to go on with the subscription."""
    owner = subscription.membership
    if subscription.status != ACTIVE:
        waiting = WebhookDelivery.objects.filter(subscription=subscription, state=WAITING)
        waiting.update(next_attempt_at=timezone.now() + SHELVED)
        return False
    if owner.removed_at is not None or not owner.user.is_active:
        pause_failing(
            subscription, f"{owner.user.full_name} is no longer a member, so nothing is sent with their rights."
        )
        return False
    group = _consolidated(subscription, row)
    body = payload(subscription, owner, [each.event for each in group])
    if body is None:
        WebhookDelivery.objects.filter(pk__in=[each.pk for each in group]).delete()
        return True
    answer = send(
        subscription.url,
        body,
        subscription.signature_key,
        verify_ssl=subscription.verify_ssl,
        delivery_id=row.public_id,
    )
    _settle(subscription, group, answer)
    return answer.delivered


def _consolidated(subscription: WebhookSubscription, row: WebhookDelivery) -> list[WebhookDelivery]:
    """Return the waiting deliveries that are sent as one with this one, oldest first."""
    first = row.event
    if first.action != "updated":
        return [row]
    same = WebhookDelivery.objects.select_related("event").filter(
        subscription=subscription, state=WAITING, event__action="updated", event__object_type=first.object_type,
        event__object_id=first.object_id, event__user_id=first.user_id,
        event__date_created__gte=first.date_created - MERGED_WITHIN, event__date_created__lte=first.date_created + MERGED_WITHIN,
    )  # fmt: skip
    found = {each.event_id: each for each in same.order_by("-pk")}
    return sorted(found.values(), key=lambda each: each.event_id) or [row]


def payload(subscription: WebhookSubscription, owner: Membership, group: Sequence[Event]) -> bytes | None:
    """Return what is sent of these events, seen with the owner's rights; None when no filter lets it pass."""
    shown = event_json(asking_as(owner), group, whole=True)
    if shown is None or not _passes(subscription, shown):
        return None
    return json.dumps({"event": shown, "subscription_id": subscription.public_id}, ensure_ascii=False).encode()


def _passes(subscription: WebhookSubscription, shown: dict[str, Any]) -> bool:
    kind = (shown["object_type"], shown["action"])
    return any(
        matches(wanted.get("extra_filter"), shown)
        for wanted in subscription.events
        if (wanted["object_type"], wanted["action"]) == kind
    )


def _settle(subscription: WebhookSubscription, group: Sequence[WebhookDelivery], answer: Answer) -> None:
    """Write down what came of a delivery: one row of the log, whatever it consolidated."""
    row, now = group[-1], timezone.now()
    row.attempts += 1
    row.response_status, row.error, row.duration_ms = answer.status, answer.error, answer.milliseconds
    with transaction.atomic():
        if answer.delivered:
            row.state, row.delivered_at = DELIVERED, now
            WebhookDelivery.objects.filter(pk__in=[each.pk for each in group[:-1]]).delete()
            if subscription.failing_since is not None:
                WebhookSubscription.objects.filter(pk=subscription.pk).update(failing_since=None)
        else:
            row.next_attempt_at = now + wait_after(row.attempts)
            if row.next_attempt_at - row.date_created > GIVE_UP:
                row.state = FAILED
            others = WebhookDelivery.objects.filter(pk__in=[each.pk for each in group[:-1]])
            others.update(next_attempt_at=row.next_attempt_at, attempts=row.attempts, state=row.state)
        row.save(
            update_fields=[
                "attempts", "response_status", "error", "duration_ms", "state", "delivered_at", "next_attempt_at",
            ]
        )  # fmt: skip
        if not answer.delivered:
            _note_failure(subscription, now)


def _note_failure(subscription: WebhookSubscription, now: datetime) -> None:
    if subscription.failing_since is None:
        subscription.failing_since = now
        WebhookSubscription.objects.filter(pk=subscription.pk, failing_since=None).update(failing_since=now)
    elif now - subscription.failing_since >= PAUSE_AFTER:
        pause_failing(subscription, "Every delivery failed for three days. Mend the address, then resume it.")
