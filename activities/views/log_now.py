"""A type with nothing to fill in is logged by one click."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from activities import queries
from activities.services.activities import log_activity
from crm.access import member_page
from crm.htmx import redirect_to, toast, trigger
from crm.permissions import authorize, can_log
from leads.queries import lead_for


@member_page()
@require_POST
def log_now(request: HttpRequest, lead_id: str, type_id: str) -> HttpResponse:
    """Log it and offer to undo. Where fields were added meanwhile, nothing is written and the form opens."""
    actor, slug = request.actor, request.organization.slug
    lead, kind = lead_for(actor, lead_id), queries.type_for(actor, type_id)
    authorize(can_log(actor, kind))
    if not queries.has_nothing_to_fill_in(actor, kind):
        return redirect_to(request, reverse("activities:form_new", args=[slug, lead.public_id, kind.public_id]))
    logged = log_activity(actor, lead, kind)
    words = f"{kind.name} logged."
    if request.htmx:
        undo = f"{reverse('activities:delete', args=[slug, logged.public_id])}?undo=1"
        return toast(trigger(HttpResponse(status=204), "timeline-changed"), words, undo_url=undo)
    messages.success(request, words)
    return redirect(f"{reverse('leads:page', args=[slug, lead.public_id])}#{logged.public_id}")
