"""The timeline of a lead, and links to one of its cards."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from activities import queries
from activities.queries import TimelineFilters
from crm.access import member_page
from crm.customfields.lookups import Lookups
from crm.htmx import render_page
from crm.permissions import Perm, has
from leads.queries import lead_for


@member_page()
@require_GET
def timeline(request: HttpRequest, lead_id: str) -> HttpResponse:
    """One page of a lead's timeline: the whole list at first, more rows with a cursor."""
    lead = lead_for(request.actor, lead_id)
    given = request.GET
    filters = TimelineFilters(
        type_ids=tuple(value for value in given.getlist("type") if value),
        user_id=given.get("by", ""),
        text=given.get("words", ""),
    )
    lookups = Lookups(request.organization)
    page = queries.timeline(
        request.actor, lead, filters, given.get("after", ""), focus=given.get("activity", ""), lookups=lookups
    )
    here = reverse("activities:timeline", args=[request.organization.slug, lead.public_id])
    more = _without(given, "activity")
    more["after"] = page.next_cursor
    context = {
        "lead": lead,
        "page": page,
        "types": queries.visible_types(request.actor),
        "members": lookups.members,
        "filters": filters,
        "focus": given.get("activity", ""),
        "timeline_url": here,
        "plain_url": reverse("leads:page", args=[request.organization.slug, lead.public_id]),
        "current_url": f"{here}?{_without(given, 'activity', 'after').urlencode()}",
        "more_url": f"{here}?{more.urlencode()}" if page.next_cursor else "",
        "is_filtered": bool(filters.type_ids or filters.user_id or filters.text),
        "may_bulk_delete": bool(has(request.actor, Perm.BULK_DELETE)),
    }
    if given.get("after"):
        return render_page(request, "activities/timeline.html", context, "activities/_more.html")
    # The filters ask for the rows only, so that they keep the focus; both fragments hold the same rows.
    only_rows = request.headers.get("HX-Target") == "timeline-list"
    fragment = "activities/_filtered.html" if only_rows else "activities/_timeline.html"
    response = render_page(request, "activities/timeline.html", context, fragment)
    if "words" in given:
        # The filters were sent: the lead page's own address keeps them.
        kept = given.copy()
        for key in [key for key, values in kept.lists() if not any(values)]:
            kept.pop(key)
        page_url = reverse("leads:page", args=[request.organization.slug, lead.public_id])
        response["HX-Replace-Url"] = f"{page_url}?{kept.urlencode()}" if kept else page_url
    return response


def _without(given: QueryDict, *keys: str) -> QueryDict:
    """Return a copy of a query string without these keys."""
    kept = given.copy()
    for key in keys:
        kept.pop(key, None)
    return kept


@member_page()
@require_GET
def permalink(request: HttpRequest, activity_id: str) -> HttpResponse:
    """Open the lead at this card."""
    activity = queries.activity_for(request.actor, activity_id)
    page = reverse("leads:page", args=[request.organization.slug, activity.lead.public_id])
    return redirect(f"{page}?activity={activity.public_id}#{activity.public_id}")
