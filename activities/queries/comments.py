"""Comments under an activity: who may read and write them, and who is mentioned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from activities.models import Activity, Comment
from activities.queries.activities import visible_activities
from activities.queries.types import TypeInfo, type_catalog
from crm import ids
from crm.customfields.lookups import Lookups, UserRef
from crm.errors import NotFound
from crm.models import Event, Membership
from crm.permissions import Decision, Perm, has, no, yes


# --- rights -----------------------------------------------------------------------------------------------------------
def can_comment(activity: Activity, kind: TypeInfo) -> Decision:
    """May those who see this activity comment on it?"""
    if kind.system:
        return no(f"{kind.name} entries are written by Touchpoint and take no comments.")
    if activity.is_draft:
        return no("A draft is yours alone. Publish it, then others can comment.")
    return yes("Whoever sees an activity may comment on it.")


def can_edit_comment(actor: Membership, comment: Comment) -> Decision:
    """May the actor change the text? Only whoever wrote it: nobody puts words into another's mouth."""
    return yes("You wrote it.") if comment.author_id == actor.user_id else no("Only its author can change a comment.")


def can_delete_comment(actor: Membership, comment: Comment) -> Decision:
    """May the actor delete it? Whoever wrote it, and who manages others' activities."""
    return yes("You wrote it.") if comment.author_id == actor.user_id else has(actor, Perm.MANAGE_OTHERS_ACTIVITIES)


# --- mentions ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Part:
    """A piece of a comment: plain text, or a mention of a member."""

    text: str
    is_mention: bool = False


class Mentions:
    """Finds `@Full Name` and `@email` of an organization's members in texts."""

    def __init__(self, lookups: Lookups) -> None:
        self._found: dict[str, list[UserRef]] = {}
        for ref in lookups.members:
            for text in {ref.name.casefold(), ref.email.casefold()}:
                self._found.setdefault(text, []).append(ref)
        # The longest first: “@Ann Lee” is not “@Ann” when both are members.
        names = sorted((re.escape(text) for text in self._found if text), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w@])@({'|'.join(names)})(?!\w)", re.IGNORECASE) if names else None

    def people(self, text: str) -> list[UserRef]:
        """Return who is mentioned, each once, former members left out."""
        told: dict[int, UserRef] = {}
        for match in self._pattern.finditer(text) if self._pattern else ():
            for ref in self._found.get(match.group(1).casefold(), ()):
                if not ref.former:
                    told[ref.id] = ref
        return list(told.values())

    def parts(self, text: str) -> tuple[Part, ...]:
        """Return the text in pieces, for display."""
        found, end = [], 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            if match.start() > end:
                found.append(Part(text[end : match.start()]))
            found.append(Part(match.group(), is_mention=True))
            end = match.end()
        if end < len(text):
            found.append(Part(text[end:]))
        return tuple(found)


# --- reading ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CommentCard:
    """A comment ready for display."""

    id: str
    comment: Comment
    author_name: str
    parts: tuple[Part, ...]
    is_edited: bool
    can_edit: bool
    can_delete: bool


def comment_for(actor: Membership, public_id: str) -> Comment:
    """Return a comment on an activity the actor sees, the activity and its lead loaded; raises `NotFound`."""
    rows = Comment.objects.select_related("activity", "activity__lead").filter(pk=ids.decode("comm", public_id))
    found = rows.filter(activity__in=visible_activities(actor)).first()
    if found is None:
        raise NotFound("There is no such comment.")
    return found


def deleted_comment(actor: Membership, public_id: str) -> Event:
    """Return the event of the latest deletion of a comment by the actor, to undo it; raises `NotFound`."""
    number = ids.decode("comm", public_id) or 0
    rows = Event.objects.filter(object_type="comment", object_id=number, action="deleted", user_id=actor.user_id)
    found = rows.order_by("-pk").first()
    if found is None:
        raise NotFound("There is nothing to bring back.")
    return found


def comment_cards(
    actor: Membership, activities: Iterable[Activity], lookups: Lookups
) -> dict[int, tuple[CommentCard, ...]]:
    """Return the comments of these activities, oldest first, by the activity's id. One query; members come with lookups."""
    numbers = [row.pk for row in activities]
    rows = list(Comment.objects.filter(activity_id__in=numbers).order_by("pk")) if numbers else []
    if not rows:
        return {}
    mentions = Mentions(lookups)
    found: dict[int, list[CommentCard]] = {}
    for row in rows:
        found.setdefault(row.activity_id, []).append(_card(actor, row, lookups, mentions))
    return {number: tuple(cards) for number, cards in found.items()}


def _card(actor: Membership, row: Comment, lookups: Lookups, mentions: Mentions) -> CommentCard:
    author = lookups.user(row.author_id)
    return CommentCard(
        id=row.public_id,
        comment=row,
        author_name=author.name if author else "",
        parts=mentions.parts(row.text),
        is_edited=row.date_updated != row.date_created,
        can_edit=bool(can_edit_comment(actor, row)),
        can_delete=bool(can_delete_comment(actor, row)),
    )


def readers(activity: Activity, members: Sequence[Membership]) -> list[Membership]:
    """Return those of these members who see the activity: nobody is told of what they may not read."""
    kind = type_catalog(activity.organization).get(activity.type_id)
    return [
        member for member in members if kind is not None and visible_activities(member).filter(pk=activity.pk).exists()
    ]
