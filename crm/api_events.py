"""REST door to the event log (`spec/api.md` 2.22): what changed, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from crm import ids
from crm.api import between, custom_json, lookups, naive_stamp, numbers, shows, user_id_of, window
from crm.customfields.catalog import Use, catalog
from crm.errors import InvalidInput, NotFound
from crm.models import Event
from crm.permissions import Perm, can_view_field, has

router = Router(tags=["Events"])
MAX_PAGE = 50
KEPT = timedelta(days=30)
# Object types and the prefix of their ids; of `activity.note` the part before the dot counts.
PREFIXES = {
    "lead": "lead", "contact": "cont", "task": "task", "activity": "acti", "custom_activity_type": "actitype",
    "custom_fields": "cf", "status": "stat", "membership": "memb", "saved_search": "save", "api_key": "api",
}  # fmt: skip


def _prefix(object_type: str) -> str:
    return PREFIXES.get(object_type, PREFIXES.get(object_type.partition(".")[0], ""))


def event_json(request: HttpRequest, row: Event) -> dict[str, Any]:
    prefix = _prefix(row.object_type)
    return {
        "id": row.public_id,
        "action": row.action,
        "object_type": row.object_type,
        "object_id": ids.encode(prefix, row.object_id) if prefix else None,
        "lead_id": ids.encode("lead", row.lead_id) if row.lead_id else None,
        "user_id": user_id_of(row.user_id),
        "organization_id": request.organization.public_id,
        "request_id": row.request_id or None,
        "api_key_id": ids.encode("api", row.api_key_id) if row.api_key_id else None,
        "oauth_client_id": None,
        "oauth_scope": None,
        "changed_fields": list(_shown(request, dict.fromkeys(row.changed))),
        "previous_data": _shown(request, row.before),
        "data": _shown(request, row.after),
        "meta": {**row.meta, "door": row.door},
        "date_created": naive_stamp(row.date_created),
        "date_updated": naive_stamp(row.date_created),
    }


# How the log's row ids of people and things are called and written by the API.
_IDS = {
    "user_id": ("user_id", "user"), "created_by_id": ("created_by", "user"), "contact_id": ("contact_id", "cont"),
    "type_id": ("custom_activity_type_id", "actitype"),
}  # fmt: skip
_PRIVATE = {"draft_data", "edit_roles", "view_roles", "comments"}


def _shown(request: HttpRequest, state: Mapping[str, Any] | None) -> Any:
    """Return a stored state in the API's words, without the fields the actor may not see."""
    if state is None:
        return None
    uses = _uses(request)
    found: dict[str, Any] = {}
    for key, value in state.items():
        number = key.removeprefix("custom.")
        if key != number and number.isdecimal():
            use = uses.get(int(number))
            if use is not None and value is not None:
                found |= custom_json(request, [use], {number: value})
            elif use is not None:
                found[f"custom.{use.field.public_id}"] = None
        elif key in _IDS:
            name, prefix = _IDS[key]
            found[name] = ids.encode(prefix, value) if isinstance(value, int) else value
        elif key not in _PRIVATE:
            found[key] = value
    return found


def _uses(request: HttpRequest) -> dict[int, Use]:
    """Return one use per field that the actor may see wherever it is used."""
    if not hasattr(request, "event_uses"):
        lookups(request)
        every: dict[int, list[Use]] = {}
        for placed in catalog(request.organization).fieldsets.values():
            for use in placed:
                every.setdefault(use.field.id, []).append(use)
        request.event_uses = {
            number: uses[0] for number, uses in every.items() if all(can_view_field(request.actor, use) for use in uses)
        }
    return request.event_uses


def _visible(request: HttpRequest) -> QuerySet[Event]:
    rows = Event.objects.filter(date_created__gte=timezone.now() - KEPT)
    return rows if has(request.actor, Perm.MANAGE_ORGANIZATION) else rows.filter(user_id=request.actor.user_id)


@router.get("/event/", summary="List events", openapi_extra=shows(
    {"data": [{"id": "ev_…", "action": "created", "object_type": "lead"}], "cursor_next": None, "cursor_previous": None},
    query={"object_type": "such as activity.custom_activity", "action": "created, updated, deleted …", "object_id": "of one object",
           "lead_id": "of one lead", "user_id": "of one member", "request_id": "of one request", "_cursor": "`cursor_next` of the page before"}))  # fmt: skip
def list_events(request: HttpRequest) -> Any:
    """30 days, newest first, at most 50 a page. Without *manage organization* you see your own changes."""
    rows, given = _visible(request), request.GET
    for name in ("object_type", "action", "request_id"):
        if given.get(name):
            rows = rows.filter(**{name: given[name]})
    if given.get("object_id"):
        prefix = given["object_id"].partition("_")[0]
        rows = rows.filter(object_id__in=numbers(prefix, [given["object_id"]]) if prefix in ids.PREFIXES else [])
        rows = rows.filter(object_type__regex=_types_regex(prefix))
    if given.get("lead_id"):
        rows = rows.filter(lead_id__in=numbers("lead", [given["lead_id"]]))
    if given.get("user_id"):
        rows = rows.filter(user_id__in=numbers("user", [given["user_id"]]))
    rows = between(request, rows, "date_created")
    for end in ("gt", "gte", "lt", "lte"):
        if text := given.get(f"date_updated__{end}"):
            from crm.api import moment

            rows = rows.filter(**{f"date_created__{end}": moment(text, f"date_updated__{end}", request.zone)})
    if cursor := given.get("_cursor"):
        last = ids.decode("ev", cursor)
        if last is None:
            raise InvalidInput(fields={"_cursor": "The cursor is broken. Start from the first page."})
        rows = rows.filter(pk__lt=last)
    _, limit = window(request, maximum=1000)
    limit = min(limit, MAX_PAGE)
    found = list(rows.order_by("-pk")[: limit + 1])
    page, more = found[:limit], len(found) > limit
    return {
        "data": [event_json(request, row) for row in page],
        "has_more": more,
        "cursor_next": page[-1].public_id if more and page else None,
        "cursor_previous": None,
    }


def _types_regex(prefix: str) -> str:
    names = [name for name, known in PREFIXES.items() if known == prefix] or ["-"]
    return rf"^({'|'.join(names)})(\.|$)"


@router.get("/event/{event_id}/", summary="One event")
def get_event(request: HttpRequest, event_id: str) -> Any:
    row = _visible(request).filter(pk=ids.decode("ev", event_id)).first()
    if row is None:
        raise NotFound("There is no such event.")
    return event_json(request, row)
