"""The history of an activity, and bringing an earlier version back."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from activities import queries
from activities.models import Activity
from activities.services import activities as logging
from activities.services.versions import restore_version
from crm.access import member_page
from crm.errors import Conflict, InvalidInput
from crm.htmx import render_page, toast, trigger


@member_page()
@require_GET
def history(request: HttpRequest, activity_id: str) -> HttpResponse:
    return _history(request, queries.activity_for(request.actor, activity_id))


@member_page()
@require_POST
def restore_earlier(request: HttpRequest, activity_id: str) -> HttpResponse:
    """Bring back the version after the event `version`, if nobody saved since (`revision`)."""
    activity = queries.activity_for(request.actor, activity_id)
    revision = request.POST.get("revision", "")
    try:
        done = restore_version(
            request.actor, activity, request.POST.get("version", ""), revision=int(revision) if revision.isdecimal() else 0
        )  # fmt: skip
    except (InvalidInput, Conflict) as error:
        refusal = "Somebody saved this activity after you opened its history. Look again." if isinstance(error, Conflict) else (
            f"That version cannot come back as it was. {error.message}"
        )  # fmt: skip
        fresh = queries.activity_for(request.actor, activity_id)
        return _history(request, fresh, refusal=refusal, status=error.status if error.status == 409 else 422)
    words = "The earlier version is back."
    if done.stayed:
        words += f" As it is now stayed: {', '.join(done.stayed)}."
    if request.htmx:
        return toast(trigger(HttpResponse(), "timeline-changed"), words)
    return redirect("activities:permalink", slug=request.organization.slug, activity_id=activity_id)


def _history(request: HttpRequest, activity: Activity, refusal: str = "", status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "activity": activity,
        "changes": queries.history(request.actor, activity),
        "type": logging.type_of(request.actor, activity),
        "refusal": refusal,
    }
    return render_page(request, "activities/history.html", context, "activities/_history.html", status=status)
