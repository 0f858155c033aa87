"""The history of an activity."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from activities import queries
from activities.services import activities as logging
from crm.access import member_page
from crm.htmx import render_page


@member_page()
@require_GET
def history(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    return render_page(
        request, "activities/history.html",
        {"activity": activity, "changes": queries.history(request.actor, activity), "type": logging.type_of(request.actor, activity)},
        "activities/_history.html",
    )  # fmt: skip
