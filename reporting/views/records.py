"""The records behind a number, with the sentence that selects them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from activities.models import Activity
from activities.queries import cards_of
from crm.access import member_page
from crm.errors import InvalidInput, NotFound
from crm.htmx import render_page
from leads.models import Lead
from reporting.queries import filters_from, records_behind
from reporting.views.shown import days_text, given_of, holds_number, tile_of


@member_page()
@require_GET
def records(request: HttpRequest) -> HttpResponse:
    """Exactly the records that a number of a report counts: activities, or leads where different leads are counted."""
    error, context = "", {}
    try:
        context = _behind(request)
    except NotFound:
        error = "This number is limited by a Smart View that is not there for you."
    except InvalidInput as refused:
        error = refused.message
    return render_page(request, "reporting/records.html", {**context, "error": error}, status=422 if error else 200)


def _behind(request: HttpRequest) -> dict[str, Any]:
    asked = tile_of(request)
    filters = filters_from(request.actor, given_of(request))
    part = request.GET.get("part", "0")
    if part not in {str(number) for number in range(len(asked.metric.measures))}:
        raise InvalidInput("The address of this number is broken. Open it from the report again.")
    found = records_behind(
        request.actor, asked.metric, filters, part=int(part), asked=asked, holds=holds_number(request, asked)
    )
    page = found.page(request.actor, request.GET.get("after", ""))
    of_leads = found.lists == "lead"
    return {
        "label": asked.label,
        "color": asked.metric.color,
        "sentence": found.sentence,
        "total": page.total,
        "lists": found.lists,
        "when": found.when,
        "leads": _leads(page.ids) if of_leads else [],
        "cards": [] if of_leads else cards_of(request.actor, _activities(page.ids)),
        "days": days_text(filters.period.start, filters.period.end),
        "zone": filters.period.zone.key,
        "next_url": _address(request, page.next_cursor) if page.next_cursor else "",
        "first_url": _address(request, "") if request.GET.get("after") else "",
    }


def _leads(found: Sequence[int]) -> list[Lead]:
    rows = Lead.objects.select_related("status").in_bulk(found)
    return [rows[number] for number in found if number in rows]


def _activities(found: Sequence[int]) -> list[Activity]:
    rows = Activity.objects.select_related("lead").in_bulk(found)
    return [rows[number] for number in found if number in rows]


def _address(request: HttpRequest, cursor: str) -> str:
    pairs = [(key, value) for key, values in request.GET.lists() for value in values if key != "after"]
    return f"?{urlencode([*pairs, *([('after', cursor)] if cursor else [])])}"
