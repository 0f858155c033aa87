"""My drafts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from activities import queries
from activities.services import drafts as drafting
from crm.access import member_page
from crm.htmx import render_page, toast


@member_page()
@require_GET
def drafts(request: HttpRequest) -> HttpResponse:
    cards = queries.cards_of(request.actor, queries.my_drafts(request.actor))
    return render_page(request, "activities/drafts.html", {"cards": cards})


@member_page()
@require_POST
def discard(request: HttpRequest, activity_id: str) -> HttpResponse:
    draft = queries.activity_for(request.actor, activity_id)
    drafting.discard_draft(request.actor, draft)
    if request.htmx:
        return toast(HttpResponse(), "The draft is thrown away.")
    return redirect("activities:drafts", slug=request.organization.slug)
