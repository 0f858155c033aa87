"""REST door to the event log (`spec/api.md` 2.22): what changed, newest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from crm import ids
from crm.api import between, listed, moment, numbers, shows, window
from crm.api.event_objects import PREFIXES, events_json, head_of
from crm.errors import InvalidInput, NotFound
from crm.models import Event

router = Router(tags=["Events"])
MAX_PAGE = 50
KEPT = timedelta(days=30)
# How often a page is filled up when the actor may not see what was found.
REFILLS = 5
EVENT = {
    "id": "ev_5e0g…", "action": "updated", "object_type": "activity.custom_activity", "object_id": "acti_S8F…",
    "lead_id": "lead_p7H…", "user_id": "user_SOw…", "changed_fields": ["status"], "previous_data": {"status": "draft"},
    "data": {"id": "acti_S8F…", "status": "published"}, "request_id": "req_4S2L…", "date_created": "2026-04-07T10:01:14.670000",
    "date_updated": "2026-04-07T10:01:14.670000",
}  # fmt: skip


_BACK = "to_"


def _kept() -> QuerySet[Event]:
    return Event.objects.filter(date_created__gte=timezone.now() - KEPT)


@router.get("/event/", summary="List events", openapi_extra=shows(
    {"data": [EVENT], "cursor_next": None, "cursor_previous": None},
    query={"object_type": "such as activity.custom_activity", "action": "created, updated, deleted, published, merged …",
           "object_id": "of one object", "lead_id": "of one lead", "user_id": "of one member", "request_id": "of one request",
           "date_updated__gte": "also gt, lt, lte", "_limit": "at most 50 come", "_cursor": "`cursor_next` of the page before; empty: from the start"}))  # fmt: skip
def list_events(request: HttpRequest) -> Any:
    """30 days, newest first, of the objects you may see. Updates of one object by one member within ten seconds are one event.
    Without *manage organization*, `data` and `previous_data` are shown for an hour."""
    rows = _asked(request, _kept())
    _, limit = window(request, maximum=1000)
    limit = min(limit, MAX_PAGE)
    shown: list[dict[str, Any]] = []
    last, back = _cursor(request)
    if back:
        return _page_before(request, rows, last, limit)
    first, more = last, True
    for _ in range(REFILLS):
        page = rows if last is None else rows.filter(pk__lt=last)
        found = list(page.order_by("-pk")[: limit - len(shown) + 1])
        more = len(found) > limit - len(shown)
        found = found[: limit - len(shown)]
        if found:
            last = found[-1].pk
            shown += events_json(request, found)
        if not more or len(shown) >= limit:
            break
    following = ids.encode("ev", last) if more and last is not None else None
    previous = _BACK + ids.encode("ev", first) if first is not None else None
    # No `has_more`: a client that finds it asks for the next page by `_skip`, which events have not.
    return {"data": shown, "cursor_next": following, "cursor_previous": previous}


def _page_before(request: HttpRequest, rows: QuerySet[Event], after: int | None, limit: int) -> dict[str, Any]:
    """Return the page whose last event is `after`, which is where the page after it began."""
    found = list(rows.filter(pk__gte=after).order_by("pk")[: limit + 1])
    page = found[:limit][::-1]
    previous = _BACK + ids.encode("ev", found[limit].pk) if len(found) > limit else None
    following = page[-1].public_id if page else None
    return {"data": events_json(request, page), "cursor_next": following, "cursor_previous": previous}


def _cursor(request: HttpRequest) -> tuple[int | None, bool]:
    """Return the event a cursor names, and whether the page lies before it."""
    text = request.GET.get("_cursor")
    if not text:
        return None, False
    last = ids.decode("ev", text.removeprefix(_BACK))
    if last is None:
        raise InvalidInput(fields={"_cursor": "The cursor is broken. Start from the first page."})
    return last, text.startswith(_BACK)


def _asked(request: HttpRequest, rows: QuerySet[Event]) -> QuerySet[Event]:
    """Apply the filters of the query string; they may be combined freely."""
    for name in ("object_type", "action", "request_id"):
        if (wanted := listed(request, name)) is not None:
            rows = rows.filter(**{f"{name}__in": wanted})
    if (objects := listed(request, "object_id")) is not None:
        about = Q(pk=None)
        for public_id in objects:
            prefix = public_id.partition("_")[0]
            for number in numbers(prefix, [public_id]) if prefix in ids.PREFIXES else []:
                about |= Q(object_id=number, object_type__regex=_types_regex(prefix))
        rows = rows.filter(about)
    if (leads := listed(request, "lead_id")) is not None:
        rows = rows.filter(lead_id__in=numbers("lead", leads))
    if (people := listed(request, "user_id")) is not None:
        rows = rows.filter(user_id__in=numbers("user", people))
    for end in ("gt", "gte", "lt", "lte"):
        if text := request.GET.get(f"date_updated__{end}"):
            rows = rows.filter(**{f"date_created__{end}": moment(text, f"date_updated__{end}", request.zone)})
    return between(request, rows, "date_created")


def _types_regex(prefix: str) -> str:
    names = [name for name, known in PREFIXES.items() if known == prefix] or ["-"]
    return rf"^({'|'.join(names)})(\.|$)"


@router.get("/event/{event_id}/", summary="One event", openapi_extra=shows(EVENT))
def get_event(request: HttpRequest, event_id: str) -> Any:
    row = _kept().filter(pk=ids.decode("ev", event_id)).first()
    shown = events_json(request, [head_of(row)]) if row is not None else []
    if not shown:
        raise NotFound("There is no such event.")
    return shown[0]
