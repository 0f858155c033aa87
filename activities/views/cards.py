"""What can be done to a card: pin, delete, bring back."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from activities import queries
from activities.services import activities as logging
from crm import ids
from crm.access import member_page
from crm.errors import NotFound
from crm.htmx import toast, trigger
from crm.models import Event


@member_page()
@require_POST
def pin(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    pinned = logging.set_pinned(request.actor, activity, activity.pinned_at is None)
    if request.htmx:
        response = trigger(HttpResponse(status=204), "timeline-changed")
        return toast(response, "Pinned to the top." if pinned.pinned_at else "No longer pinned.")
    return redirect("activities:permalink", slug=request.organization.slug, activity_id=activity_id)


@member_page()
@require_POST
def delete(request: HttpRequest, activity_id: str) -> HttpResponse:
    activity = queries.activity_for(request.actor, activity_id)
    lead_id, name = activity.lead.public_id, logging.type_of(request.actor, activity).name
    logging.delete_activity(request.actor, activity)
    undo = reverse("activities:restore", args=[request.organization.slug, activity_id])
    if request.htmx and "undo" in request.GET:
        # Asked by a message, not by the card: the card is still there.
        return toast(trigger(HttpResponse(status=204), "timeline-changed"), "Taken back.")
    if request.htmx:
        return toast(HttpResponse(), f"{name} deleted.", undo_url=undo)
    return redirect("leads:page", slug=request.organization.slug, lead_id=lead_id)


@member_page()
@require_POST
def restore(request: HttpRequest, activity_id: str) -> HttpResponse:
    """Undo a deletion: the latest one of this activity, by the member who did it."""
    found = (
        Event.objects.filter(
            object_id=ids.decode("acti", activity_id) or 0, action="deleted", user_id=request.actor.user_id,
            object_type__in={kind.event_type for kind in queries.type_catalog(request.organization).types},
        )
        .order_by("-pk")
        .first()
    )  # fmt: skip
    if found is None:
        raise NotFound("There is nothing to bring back.")
    logging.restore_activity(request.actor, found)
    if request.htmx:
        return toast(trigger(HttpResponse(status=204), "timeline-changed"), "It is back.")
    return redirect("activities:permalink", slug=request.organization.slug, activity_id=activity_id)
