"""The bell's list and the page of a member's notifications."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm import notifications as telling
from crm.access import member_page
from crm.htmx import render_page

IN_THE_BELL = 8


@member_page()
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    """The page, newest first; `after` goes on. The bell asks for `bell` and gets the latest few."""
    here = reverse("notifications", args=[request.organization.slug])
    if "bell" in request.GET and request.htmx:
        return render(request, "notifications/_bell.html", _bell(request))
    rows, cursor = telling.notifications_of(request.actor, request.GET.get("after", ""))
    context = {
        "notifications": rows,
        "next_url": f"{here}?after={cursor}" if cursor else "",
        "first_url": here if request.GET.get("after") else "",
    }
    return render_page(request, "notifications/list.html", context)


def _bell(request: HttpRequest) -> dict[str, Any]:
    rows, _ = telling.notifications_of(request.actor, limit=IN_THE_BELL)
    return {"notifications": rows, "list_url": reverse("notifications", args=[request.organization.slug])}


@member_page()
@require_POST
def notification_open(request: HttpRequest, notification_id: str) -> HttpResponse:
    """Mark it read and go where it leads."""
    found = telling.mark_read(request.actor, telling.notification_for(request.actor, notification_id))
    slug = request.organization.slug
    home = reverse("settings_home", args=[slug]).removesuffix("settings/")
    return redirect(f"{home}{found.path}" if found.path else reverse("notifications", args=[slug]))


@member_page()
@require_POST
def notification_mark(request: HttpRequest, notification_id: str) -> HttpResponse:
    """Mark one read (or, with `unread`, unread) without going there."""
    found = telling.notification_for(request.actor, notification_id)
    found = telling.mark_read(request.actor, found, "unread" not in request.POST)
    if request.htmx:
        count = telling.bell_text(request.actor)
        return render(request, "notifications/_marked.html", {"notification": found, "count": count})
    return redirect("notifications", slug=request.organization.slug)


@member_page()
@require_POST
def notifications_read(request: HttpRequest) -> HttpResponse:
    """Mark everything read."""
    telling.mark_all_read(request.actor)
    if request.htmx:
        return render(request, "notifications/_all_read.html", _bell(request) | {"count": ""})
    return redirect("notifications", slug=request.organization.slug)
