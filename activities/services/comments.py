"""Comments under activities: written, changed, deleted, and those concerned told."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from activities.models import Activity, Comment
from activities.queries.activities import visible_activities
from activities.queries.comments import (
    Mentions,
    can_comment,
    can_delete_comment,
    can_edit_comment,
    readers,
)
from activities.services.activities import comment_state, type_of
from crm import events
from crm.customfields.lookups import Lookups
from crm.errors import Conflict, InvalidInput, NotFound
from crm.models import Event, Membership
from crm.notifications import notify
from crm.permissions import authorize

LONGEST = 10_000
MENTIONED = 50


def add_comment(actor: Membership, activity: Activity, text: str) -> Comment:
    """Write a comment and tell those it mentions, and those the activity or its other comments belong to.

    Whoever sees the activity may. Raises `InvalidInput` for an empty or too long text, `NotAllowed` for drafts and system
    entries, `NotFound` for an activity the actor does not see.
    """
    text = _checked(text)
    with transaction.atomic():
        activity = _seen(actor, activity)
        authorize(can_comment(activity, type_of(actor, activity)))
        now = timezone.now()
        comment = Comment.objects.create(
            organization=actor.organization, activity=activity, author=actor.user, text=text, date_created=now,
            date_updated=now,
        )  # fmt: skip
        events.record(
            actor,
            "created",
            "comment",
            comment.pk,
            lead_id=activity.lead_id,
            after=comment_state(comment),
            meta=_where(activity),
        )
        _tell(actor, activity, comment, mentioned_before=set(), others=True)
    return comment


def edit_comment(actor: Membership, comment: Comment, text: str) -> Comment:
    """Change one's own comment; who is mentioned in it now and was not before is told."""
    text = _checked(text)
    with transaction.atomic():
        comment, activity = _locked(actor, comment)
        authorize(can_edit_comment(actor, comment))
        if comment.text == text:
            return comment
        before = comment_state(comment)
        known = {ref.id for ref in Mentions(Lookups(actor.organization)).people(comment.text)}
        comment.text, comment.date_updated = text, timezone.now()
        comment.save(update_fields=["text", "date_updated"])
        events.record(
            actor, "updated", "comment", comment.pk, lead_id=activity.lead_id, changed=["text"], before=before,
            after=comment_state(comment), meta=_where(activity),
        )  # fmt: skip
        _tell(actor, activity, comment, mentioned_before=known, others=False)
    return comment


def delete_comment(actor: Membership, comment: Comment) -> Event:
    """Delete one's own comment, or another's with *manage others' activities*. The event keeps it."""
    with transaction.atomic():
        comment, activity = _locked(actor, comment)
        authorize(can_delete_comment(actor, comment))
        event = events.record(
            actor, "deleted", "comment", comment.pk, lead_id=activity.lead_id, before=comment_state(comment),
            meta=_where(activity),
        )  # fmt: skip
        comment.delete()
    return event


def restore_comment(actor: Membership, event: Event) -> Comment:
    """Bring a deleted comment back with its id and times (undo); nobody is told again. Raises `NotFound` or `Conflict`."""
    state = event.before or {}
    if (event.action, event.object_type) != ("deleted", "comment"):
        raise NotFound("There is nothing to bring back.")
    with transaction.atomic():
        rows = Activity.objects.select_for_update(of=("self",)).select_related("lead")
        activity = rows.filter(pk=event.meta.get("activity_id")).first()
        if activity is None or not visible_activities(actor).filter(pk=activity.pk).exists():
            raise NotFound("The activity of this comment is gone, so it cannot come back.")
        if Comment.objects.filter(pk=event.object_id).exists():
            raise Conflict("This comment is back already.")
        comment = Comment(
            pk=event.object_id, organization=actor.organization, activity=activity, author_id=state["author_id"],
            text=state["text"], date_created=datetime.fromisoformat(state["date_created"]),
            date_updated=datetime.fromisoformat(state["date_updated"]),
        )  # fmt: skip
        authorize(can_delete_comment(actor, comment))
        comment.save(force_insert=True)
        events.record(
            actor, "created", "comment", comment.pk, lead_id=activity.lead_id, after=comment_state(comment),
            meta={**_where(activity), "restored_from": event.public_id},
        )  # fmt: skip
    return comment


# --- parts ------------------------------------------------------------------------------------------------------------
def _checked(text: str) -> str:
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not text:
        raise InvalidInput(fields={"text": "Write something first."})
    if len(text) > LONGEST:
        raise InvalidInput(fields={"text": f"A comment has room for {LONGEST:,} characters; this has {len(text):,}."})
    return text


def _seen(actor: Membership, activity: Activity) -> Activity:
    # Drafts that the actor sees are found too, so that the refusal can say what to do.
    rows = Activity.with_drafts.select_related("lead").filter(pk=activity.pk)
    found = rows.first()
    if found is None or not (
        found.created_by_id == actor.user_id
        if found.is_draft
        else visible_activities(actor).filter(pk=activity.pk).exists()
    ):
        raise NotFound("There is no such activity.")
    return found


def _locked(actor: Membership, comment: Comment) -> tuple[Comment, Activity]:
    found = (
        Comment.objects.select_for_update(of=("self",))
        .select_related("activity", "activity__lead")
        .filter(pk=comment.pk)
    ).first()
    if found is None or not visible_activities(actor).filter(pk=found.activity_id).exists():
        raise NotFound("There is no such comment.")
    return found, found.activity


def _where(activity: Activity) -> dict[str, int]:
    return {"activity_id": activity.pk}


def _tell(actor: Membership, activity: Activity, comment: Comment, *, mentioned_before: set[int], others: bool) -> None:
    """Tell who is mentioned, and (once) those the activity or an earlier comment belongs to; only readers of it."""
    people = Mentions(Lookups(actor.organization)).people(comment.text)
    mentioned = {ref.id for ref in people[:MENTIONED]} - mentioned_before - {actor.user_id}
    concerned: set[int] = set()
    if others:
        authors = Comment.objects.filter(activity=activity).values_list("author_id", flat=True).distinct()
        concerned = {number for number in (activity.user_id, activity.created_by_id, *authors) if number}
        concerned -= {actor.user_id, *mentioned}
    if not mentioned and not concerned:
        return
    members = Membership.objects.select_related("user", "organization", "role").filter(
        user_id__in=mentioned | concerned, removed_at=None, user__is_active=True
    )
    told = readers(activity, list(members))
    kind, lead, by = type_of(actor, activity), activity.lead, actor.user
    words = " ".join(comment.text.split())
    excerpt = words if len(words) <= 120 else f"{words[:119]}…"
    path = f"activities/{activity.public_id}/"
    notify(
        [member for member in told if member.user_id in mentioned], "mention",
        f"{by.full_name} mentioned you under {kind.name} on {lead.name}: {excerpt}", path, by,
    )  # fmt: skip
    notify(
        [member for member in told if member.user_id in concerned], "comment",
        f"{by.full_name} commented on {kind.name} on {lead.name}: {excerpt}", path, by,
    )  # fmt: skip
