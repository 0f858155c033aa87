"""Comments under an activity: a fragment below the card, a page without JavaScript."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from activities import queries
from activities.models import Activity
from activities.queries.comments import can_edit_comment, comment_for, deleted_comment
from activities.services import comments as commenting
from crm.access import member_page
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.htmx import render_page, toast, trigger
from crm.permissions import authorize


@member_page()
@require_http_methods(["GET", "POST"])
def comments(request: HttpRequest, activity_id: str) -> HttpResponse:
    """The comments under an activity. POST adds one."""
    activity = queries.activity_for(request.actor, activity_id)
    if request.method == "GET":
        return _comments(request, activity)
    text = request.POST.get("text", "")
    try:
        commenting.add_comment(request.actor, activity, text)
    except InvalidInput as error:
        return _comments(request, activity, typed=text, error=error.message, status=422)
    return _done(request, activity, "Your comment is there.")


@member_page()
@require_http_methods(["GET", "POST"])
def comment_edit(request: HttpRequest, comment_id: str) -> HttpResponse:
    """The form of one's own comment."""
    comment = comment_for(request.actor, comment_id)
    authorize(can_edit_comment(request.actor, comment))
    text = request.POST.get("text", comment.text)
    if request.method == "GET":
        return _comments(request, comment.activity, editing=comment_id, typed=text)
    try:
        commenting.edit_comment(request.actor, comment, text)
    except InvalidInput as error:
        return _comments(request, comment.activity, editing=comment_id, typed=text, error=error.message, status=422)
    return _done(request, comment.activity, "Saved.")


@member_page()
@require_POST
def comment_delete(request: HttpRequest, comment_id: str) -> HttpResponse:
    comment = comment_for(request.actor, comment_id)
    commenting.delete_comment(request.actor, comment)
    undo = reverse("activities:comment_restore", args=[request.organization.slug, comment_id])
    return _done(request, comment.activity, "The comment is deleted.", undo_url=undo)


@member_page()
@require_POST
def comment_restore(request: HttpRequest, comment_id: str) -> HttpResponse:
    """Undo a deletion: the latest one of this comment, by the member who did it."""
    comment = commenting.restore_comment(request.actor, deleted_comment(request.actor, comment_id))
    if request.htmx:
        return toast(trigger(HttpResponse(status=204), "timeline-changed"), "The comment is back.")
    return redirect(reverse("activities:comments", args=[request.organization.slug, comment.activity.public_id]))


@member_page()
@require_GET
def mentionable(request: HttpRequest) -> HttpResponse:
    """Whom @ can name: `{"results": [{"name", "email", "insert"}]}`, everybody who is a member now."""
    members = [ref for ref in Lookups(request.organization).members if not ref.former]
    named = [ref.name.casefold() for ref in members]
    # Two members of one name: the email says which is meant.
    results = [
        {
            "name": ref.name,
            "email": ref.email,
            "insert": ref.name if named.count(ref.name.casefold()) == 1 else ref.email,
        }
        for ref in members
    ]
    return JsonResponse({"results": results})


def _comments(
    request: HttpRequest, activity: Activity, *, editing: str = "", typed: str = "", error: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "card": queries.cards_of(request.actor, [activity])[0],
        "lead": activity.lead,
        "editing": editing,
        "typed": typed,
        "error": error,
        "is_open": True,
    }
    return render_page(request, "activities/comments.html", context, "activities/_comments.html", status=status)


def _done(request: HttpRequest, activity: Activity, words: str, undo_url: str = "") -> HttpResponse:
    if request.htmx:
        return toast(_comments(request, activity), words, undo_url=undo_url)
    address = reverse("activities:comments", args=[request.organization.slug, activity.public_id])
    return redirect(address)
