"""Activities across leads. The lists behind report numbers are this page."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from activities import queries
from crm import ids
from crm.access import member_page
from crm.customfields.catalog import catalog
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.htmx import render_page
from crm.models import Membership, ValueRef
from crm.permissions import can_view_field
from leads.search.cursors import encode_cursor

PAGE = 50


@member_page()
@require_GET
def activity_list(request: HttpRequest) -> HttpResponse:
    """Activities across leads, filtered by type, member and days. The lists behind report numbers are this page."""
    given = request.GET
    error = ""
    rows = queries.visible_activities(request.actor).select_related("lead")
    try:
        rows = _filtered(request, rows)
    except InvalidInput as refused:
        error = refused.message
    moment = "date_created" if given.get("by") == "date_created" else "activity_at"
    total = rows.count()
    place = queries.moment_and_id(given.get("after", ""))
    if place:
        at, pk = place
        rows = rows.filter(**{f"{moment}__lte": at}).exclude(**{moment: at, "pk__gte": pk})
    found = list(rows.order_by(f"-{moment}", "-pk")[: PAGE + 1])
    more = given.copy()
    if len(found) > PAGE:
        found = found[:PAGE]
        more["after"] = encode_cursor(getattr(found[-1], moment).isoformat(), found[-1].pk)
    first = given.copy()
    first.pop("after", None)
    context = {
        "cards": queries.cards_of(request.actor, found),
        "total": total,
        "error": error,
        "types": [row for row in queries.visible_types(request.actor) if not row.system],
        "members": Lookups(request.organization).members,
        "chosen_type": given.get("type", ""),
        "chosen_user": given.get("user", ""),
        "from": given.get("from", ""),
        "to": given.get("to", ""),
        "by": moment,
        "zone": given.get("zone", ""),
        "next_url": f"?{more.urlencode()}" if "after" in more and more["after"] != given.get("after") else "",
        "first_url": f"?{first.urlencode()}" if given.get("after") else "",
    }
    return render_page(request, "activities/list.html", context, status=422 if error else 200)


def _types_showing(actor: Membership, field_id: int) -> list[int]:
    """Return the types where the actor may see this field: a filter must not tell what a card would hide."""
    known = catalog(actor.organization)
    found = []
    for kind in queries.visible_types(actor):
        use = known.use(kind.fieldset_id, field_id)
        if use and can_view_field(actor, use):
            found.append(kind.id)
    return found


def _filtered(request: HttpRequest, rows: Any) -> Any:
    given = request.GET
    types = [value for value in given.get("type", "").split(",") if value]
    if types:
        rows = rows.filter(type_id__in=[ids.decode("actitype", value) or 0 for value in types])
    if given.get("user"):
        who = "created_by_id" if given.get("by") == "date_created" else "user_id"
        rows = rows.filter(**{who: ids.decode("user", given["user"]) or 0})
    moment = "date_created" if given.get("by") == "date_created" else "activity_at"
    try:
        zone = ZoneInfo(given["zone"]) if given.get("zone") else request.actor.zone
        if given.get("from"):
            rows = rows.filter(
                **{f"{moment}__gte": datetime.combine(date.fromisoformat(given["from"]), time.min, zone)}
            )
        if given.get("to"):
            after = date.fromisoformat(given["to"]) + timedelta(days=1)
            rows = rows.filter(**{f"{moment}__lt": datetime.combine(after, time.min, zone)})
    except (ValueError, ZoneInfoNotFoundError, OverflowError):
        raise InvalidInput(
            "A day is written as 2026-01-31, a zone as Europe/Berlin. All activities are shown."
        ) from None
    if given.get("option"):
        field, _, option = given["option"].partition(":")
        if field.isdigit() and option.isdigit():
            held = ValueRef.objects.filter(
                field_id=int(field), v=int(option), lead_id=OuterRef("lead_id"), record_key=OuterRef("pk")
            )
            rows = rows.filter(Exists(held), type_id__in=_types_showing(request.actor, int(field)))
    return rows
