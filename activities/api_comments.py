"""REST door to comments under activities: `/comment/` and `/comment_thread/`, as Close names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from ninja import Router

from activities.models import Comment
from activities.queries import activity_for, visible_activities
from activities.queries.comments import Mentions, comment_for
from activities.services.comments import add_comment, delete_comment, edit_comment
from crm import ids
from crm.api import (
    Body,
    Wanted,
    created,
    listed,
    listing,
    lookups,
    no_content,
    numbers,
    renders,
    shows,
    stamp,
    user_id_of,
)
from crm.errors import InvalidInput, NotFound

router = Router(tags=["Comments"])
COMMENT = {
    "id": "comm_4f…", "thread_id": "acti_S8F…", "object_id": "acti_S8F…", "object_type": "activity", "body": "Nice, @Ann Lee",
    "mentions": ["user_SOw…"], "created_by": "user_8Q…", "date_created": "2026-03-15T20:58:02.118000+00:00",
}  # fmt: skip


class CommentBody(Body):
    object_id: str | None = None
    thread_id: str | None = None
    body: str | None = None


def comment_json(request: HttpRequest, row: Comment, mentions: Mentions) -> dict[str, Any]:
    """Return a comment. The thread of an activity has the activity's id."""
    activity_id = ids.encode("acti", row.activity_id)
    return {
        "id": row.public_id,
        "thread_id": activity_id,
        "object_type": "activity",
        "object_id": activity_id,
        "body": row.text,
        "mentions": [ids.encode("user", ref.id) for ref in mentions.people(row.text)],
        "organization_id": request.organization.public_id,
        "created_by": user_id_of(row.author_id),
        "updated_by": user_id_of(row.author_id),
        "date_created": stamp(row.date_created),
        "date_updated": stamp(row.date_updated),
    }


def _json(request: HttpRequest, rows: Iterable[Comment]) -> list[dict[str, Any]]:
    mentions = Mentions(lookups(request))
    return [comment_json(request, row, mentions) for row in rows]


@renders("comment")
def _render_comments(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    rows = list(Comment.objects.filter(pk__in=pks, activity__in=visible_activities(request.actor)))
    return dict(zip([row.pk for row in rows], _json(request, rows), strict=True))


@router.get("/comment/", summary="List comments", openapi_extra=shows(
    {"data": [COMMENT], "has_more": False}, query={"object_id": "under these activities", "thread_id": "the same"}))  # fmt: skip
def list_comments(request: HttpRequest) -> Any:
    """Newest first, under activities you see."""
    rows = Comment.objects.filter(activity__in=visible_activities(request.actor)).order_by("-pk")
    for name in ("object_id", "thread_id"):
        if (wanted := listed(request, name)) is not None:
            rows = rows.filter(activity_id__in=numbers("acti", wanted))
    return listing(request, rows, lambda page: _json(request, page))


@router.post("/comment/", summary="Comment on an activity", openapi_extra=shows(
    COMMENT, status=201, sends={"object_id": "acti_S8F…", "body": "Nice, @Ann Lee"}))  # fmt: skip
def create_comment(request: HttpRequest, body: CommentBody) -> Any:
    """Who is mentioned (`@Full Name` or `@email`) is told."""
    activity_id = body.object_id or body.thread_id
    if not activity_id:
        raise InvalidInput(fields={"object_id": "This field is required."})
    try:
        activity = activity_for(request.actor, activity_id)
    except NotFound as error:
        raise InvalidInput(fields={"object_id": error.message}) from None
    return created(request, _json(request, [add_comment(request.actor, activity, _text(body))])[0])


def _text(body: CommentBody) -> str:
    if not (body.body or "").strip():
        raise InvalidInput(fields={"body": "This field is required."})
    return body.body or ""


@router.get("/comment/{comment_id}/", summary="One comment", openapi_extra=shows(COMMENT))
def get_comment(request: HttpRequest, comment_id: str) -> Any:
    return _json(request, [comment_for(request.actor, comment_id)])[0]


@router.put("/comment/{comment_id}/", summary="Change a comment", openapi_extra=shows(COMMENT, sends={"body": "Nicer"}))
def update_comment(request: HttpRequest, comment_id: str, body: CommentBody) -> Any:
    """Only its author may."""
    return _json(request, [edit_comment(request.actor, comment_for(request.actor, comment_id), _text(body))])[0]


@router.delete(
    "/comment/{comment_id}/", summary="Delete a comment", openapi_extra={"responses": {204: {"description": "Gone"}}}
)
def remove_comment(request: HttpRequest, comment_id: str) -> Any:
    delete_comment(request.actor, comment_for(request.actor, comment_id))
    return no_content()


@router.get("/comment_thread/", summary="List threads of comments", openapi_extra=shows(
    {"data": [{"id": "acti_S8F…", "object_id": "acti_S8F…", "comments": [COMMENT]}], "has_more": False},
    query={"object_ids": "of these activities", "ids": "the same"}))  # fmt: skip
def list_threads(request: HttpRequest) -> Any:
    """One per activity with comments; name the activities."""
    wanted = [*(listed(request, "object_ids") or []), *(listed(request, "ids") or [])]
    rows = Comment.objects.filter(
        activity_id__in=numbers("acti", wanted), activity__in=visible_activities(request.actor)
    ).order_by("activity_id", "pk")
    threads: dict[str, list[dict[str, Any]]] = {}
    for row in _json(request, rows):
        threads.setdefault(row["thread_id"], []).append(row)
    found = [
        {"id": key, "object_type": "activity", "object_id": key, "comments": comments}
        for key, comments in threads.items()
    ]
    return listing(request, found, lambda page: page)


@router.get("/comment_thread/{thread_id}/", summary="One thread of comments", openapi_extra=shows(
    {"id": "acti_S8F…", "object_id": "acti_S8F…", "comments": [COMMENT]}))  # fmt: skip
def get_thread(request: HttpRequest, thread_id: str) -> Any:
    activity = activity_for(request.actor, thread_id)
    rows = Comment.objects.filter(activity=activity).order_by("pk")
    key = activity.public_id
    return {"id": key, "object_type": "activity", "object_id": key, "comments": _json(request, rows)}
