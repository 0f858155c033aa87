"""Activities across leads. The lists behind report numbers are this page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from activities.columns import records
from activities.filters import ActivityFilter
from crm.access import member_page
from leads.models import SmartView
from leads.views.kinds import ListKind
from leads.views.search import search_page

ACTIVITIES = ListKind(
    lists=SmartView.Lists.ACTIVITIES,
    source="activity",
    title="Activities",
    url_name="activities:list",
    icon="clipboard-check",
    empty="Activities are logged on the page of a lead.",
    columns=("type", "lead", "what", "user", "activity_at"),
    filters=ActivityFilter,
    records=lambda actor, source, numbers: records(actor, list(numbers)),
    page="activities/list.html",
    bulk=("edit", "delete"),
)


@member_page()
@require_GET
def activity_list(request: HttpRequest) -> HttpResponse:
    """Activities across leads as a search: filtered by type, member and days, or by anything the builder can say."""
    return search_page(request, ACTIVITIES)
