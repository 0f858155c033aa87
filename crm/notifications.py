"""What a member should know: they were mentioned, assigned, or a job of theirs ended. Any service tells; pages show."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from crm import ids
from crm.errors import NotFound
from crm.models import Membership, Notification, User

PAGE = 30
# The bell says “99+” beyond: nobody needs the exact number, and counting stops there.
COUNTED = 100


def notify(
    recipients: Iterable[Membership], kind: str, text: str, path: str = "", by: User | None = None
) -> list[Notification]:
    """Tell each of these members once, in the caller's transaction; whoever did it (`by`) and former members are left out.

    `kind`: mention, comment, task, rule, job. `path`: where it leads, below /o/<slug>/ ("activities/acti_…/"). The caller
    has made sure that each recipient may see what the text says.
    """
    told: dict[int, Membership] = {}
    for member in recipients:
        if member.removed_at is None and (by is None or member.user_id != by.pk):
            told.setdefault(member.pk, member)
    return Notification.unscoped.bulk_create(
        Notification(
            organization_id=member.organization_id, membership=member, kind=kind, text=_short(text), path=path, by=by
        )
        for member in told.values()
    )  # fmt: skip


def _short(text: str) -> str:
    text = " ".join(text.replace("\x00", "").split())
    return text if len(text) <= 500 else f"{text[:499]}…"


def notifications_of(actor: Membership, cursor: str = "", limit: int = PAGE) -> tuple[list[Notification], str]:
    """Return a page of the actor's notifications, newest first, and the cursor of the next (empty at the end)."""
    rows = Notification.objects.filter(membership=actor).select_related("by").order_by("-pk")
    if before := ids.decode("note", cursor):
        rows = rows.filter(pk__lt=before)
    found = list(rows[: limit + 1])
    return found[:limit], found[limit - 1].public_id if len(found) > limit else ""


def unread_count(actor: Membership) -> int:
    """Return how many notifications the actor has not read, at most `COUNTED`. One query."""
    return len(Notification.objects.filter(membership=actor, read_at=None).values_list("pk")[:COUNTED])


def bell_text(actor: Membership) -> str:
    """Return what the bell shows: the number of unread notifications, “99+”, or nothing."""
    number = unread_count(actor)
    return "" if not number else str(number) if number < COUNTED else f"{COUNTED - 1}+"


def notification_for(actor: Membership, public_id: str) -> Notification:
    """Return one of the actor's own notifications; raises `NotFound`."""
    found = Notification.objects.filter(membership=actor, pk=ids.decode("note", public_id)).first()
    if found is None:
        raise NotFound("There is no such notification.")
    return found


def mark_read(actor: Membership, notification: Notification, read: bool = True) -> Notification:
    """Mark one of the actor's own notifications read, or unread again; raises `NotFound` for somebody else's."""
    with transaction.atomic():
        found = Notification.objects.select_for_update().filter(membership=actor, pk=notification.pk).first()
        if found is None:
            raise NotFound("There is no such notification.")
        if (found.read_at is not None) != read:
            found.read_at = timezone.now() if read else None
            found.save(update_fields=["read_at"])
    return found


def mark_all_read(actor: Membership) -> int:
    """Mark everything the actor has not read as read; return how many that were."""
    return Notification.objects.filter(membership=actor, read_at=None).update(read_at=timezone.now())
