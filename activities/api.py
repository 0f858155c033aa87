"""REST doors to activities of every kind, and to custom ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from ninja import Router

from activities.api_objects import MAX_LISTED, ActivityRow, activities_json, list_activities_of
from activities.builtin import BUILTINS
from activities.models import Activity
from activities.queries import TypeInfo, activity_for, type_catalog, visible_with_drafts
from activities.services.activities import delete_activity, log_activity, update_activity
from crm import ids
from crm.api import (
    Body,
    between,
    custom_given,
    empty_list,
    flag,
    listed,
    member_user,
    moment,
    numbers,
    ordered,
    shows,
    user_numbers,
)  # fmt: skip
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotFound
from crm.permissions import authorize, can_edit_type_activities, can_view_type
from leads.api import lead_given
from leads.models import Contact, Lead
from leads.search.cursors import decode_cursor, encode_cursor

router = Router(tags=["Custom activities"])
CUSTOM = {
    "id": "acti_S8F…", "_type": "CustomActivity", "custom_activity_type_id": "actitype_1h…", "status": "published",
    "lead_id": "lead_p7H…", "user_id": "user_SOw…", "date_created": "2026-03-15T20:58:02.118000+00:00",
    "activity_at": "2026-03-15T20:58:02.118000+00:00", "pinned": False, "custom.cf_iiD…": "Salesforce",
}  # fmt: skip


# --- lists ------------------------------------------------------------------------------------------------------------
_ORDERS = {name: name for name in ("date_created", "activity_at")}
LIST_QUERY = {
    "lead_id": "of these leads (ids, comma-joined)", "user_id": "attributed to these members or groups",
    "contact_id": "with these contacts", "date_created__gte": "also gt, lt, lte; and activity_at__…",
    "_skip": "from 0", "_limit": "at most 200",
    "_order_by": "date_created or, with lead_id, activity_at; with - for descending; another name leaves the order as it is",
    "_fields": "names of keys, comma-joined",
}  # fmt: skip


def activity_rows(request: HttpRequest, kinds: Iterable[TypeInfo] | None) -> tuple[QuerySet[Activity], list[str]]:
    """Return the activities a query string asks for, and their order."""
    rows = visible_with_drafts(request.actor)
    if kinds is not None:
        rows = rows.filter(type_id__in=[row.id for row in kinds])
    if (leads := listed(request, "lead_id")) is not None:
        rows = rows.filter(lead_id__in=numbers("lead", leads))
    if (named := listed(request, "id")) is not None:
        rows = rows.filter(pk__in=numbers("acti", named))
    if (contacts := listed(request, "contact_id")) is not None:
        rows = rows.filter(contact_id__in=numbers("cont", contacts))
    if (people := listed(request, "user_id")) is not None:
        rows = rows.filter(user_id__in=user_numbers(people))
    if (states := listed(request, "status")) is not None and set(states) & set(Activity.Status.values):
        rows = rows.filter(status__in=states)
    if (pinned := flag(request, "pinned")) is not None:
        rows = rows.filter(pinned_at__isnull=not pinned)
    if request.GET.get("provider_calendar_event_id"):
        rows = rows.none()  # meetings come from no calendar here
    if external := request.GET.get("external_id"):
        rows = rows.filter(external_id=external)
    rows = between(request, rows, "date_created", "activity_at", "date_updated")
    return rows, _order(request)


def _order(request: HttpRequest) -> list[str]:
    by_time = request.GET.get("_order_by", "").removeprefix("-") == "activity_at"
    if by_time and not request.GET.get("lead_id"):
        raise InvalidInput(fields={"_order_by": "Ordering by activity_at needs lead_id."})
    return ordered(request, _ORDERS, "-date_created")


def _types_named(request: HttpRequest, words: Iterable[str]) -> list[TypeInfo]:
    """Return the types that `_type` words mean: `Note`, `Custom`, `CustomActivity`, or an `actitype_…` id."""
    wanted = set(words)
    custom = bool(wanted & {"Custom", "CustomActivity"})
    return [
        row
        for row in type_catalog(request.organization).types
        if row.public_id in wanted or (custom if row.is_custom else BUILTINS[row.builtin].api_type in wanted)
    ]


@router.get("/activity/", summary="List activities of every kind", openapi_extra=shows(
    {"data": [CUSTOM], "has_more": False}, query={"_type": "Note, Call, Email, SMS, Meeting, Custom … or an actitype id", **LIST_QUERY}))  # fmt: skip
def list_activities(request: HttpRequest) -> Any:
    """Newest first. Drafts are listed to those who may see them; `status` filters. `thread_emails=only` finds nothing:
    emails come one by one."""
    if request.GET.get("thread_emails") == "only":
        return empty_list()
    words = listed(request, "_type")
    rows, order = activity_rows(request, None if words is None else _types_named(request, words))
    return list_activities_of(request, rows.order_by(*order))


@router.get("/activity/custom/", summary="List custom activities", openapi_extra=shows(
    {"data": [CUSTOM], "has_more": False, "cursor_next": None},
    query={"custom_activity_type_id": "of these types; works without lead_id too", "external_id": "yours",
           "_cursor": "empty for the first page, then `cursor_next`: pages of any depth at the same speed", **LIST_QUERY}))  # fmt: skip
def list_custom(request: HttpRequest) -> Any:
    """Newest first. Beyond Close: a type can be listed without a lead; page such lists with `_cursor`."""
    types = [row for row in type_catalog(request.organization).types if row.is_custom]
    if (named := listed(request, "custom_activity_type_id")) is not None:
        types = [row for row in types if row.public_id in named]
    rows, order = activity_rows(request, types)
    if "_cursor" not in request.GET:
        return list_activities_of(request, rows.order_by(*order))
    if request.GET.get("_order_by") or request.GET.get("_skip"):
        raise InvalidInput(fields={"_cursor": "A cursor has its own order: leave _order_by and _skip out."})
    return _cursor_page(request, rows, request.GET["_cursor"])


def _cursor_page(request: HttpRequest, rows: QuerySet[Activity], cursor: str) -> dict[str, Any]:
    from crm.api import window

    _, limit = window(request, MAX_LISTED)
    if cursor:
        try:
            at, pk = decode_cursor(cursor) or []
            at, pk = datetime.fromisoformat(at), int(pk)
        except (TypeError, ValueError):
            raise InvalidInput(fields={"_cursor": "The cursor is broken. Start from the first page."}) from None
        rows = rows.filter(Q(date_created__lt=at) | Q(date_created=at, pk__lt=pk))
    columns = rows.order_by("-date_created", "-pk").values_list(*ActivityRow._fields)
    found = list(map(ActivityRow._make, columns[: limit + 1]))
    page, more = found[:limit], len(found) > limit
    following = encode_cursor(page[-1].date_created.isoformat(), page[-1].pk) if more and page else None
    return {"data": activities_json(request, page), "has_more": more, "cursor_next": following}


# --- custom activities ------------------------------------------------------------------------------------------------
class CustomActivityBody(Body):
    lead_id: str | None = None
    custom_activity_type_id: str | None = None
    status: str | None = None
    contact_id: str | None = None
    user_id: str | None = None
    created_by_id: str | None = None
    activity_at: str | None = None
    date_created: str | None = None
    pinned: bool | None = None
    external_id: str | None = None
    revision: int | None = None


EXAMPLE = {
    "lead_id": "lead_p7H…",
    "custom_activity_type_id": "actitype_1h…",
    "custom.cf_iiD…": "Salesforce",
    "custom.cf_mqW…": 25,
}


@router.post("/activity/custom/", summary="Log a custom activity", openapi_extra=shows(CUSTOM, sends=EXAMPLE))
def create_custom(request: HttpRequest, body: CustomActivityBody) -> Any:
    """`status`: `published` (default) or `draft`; drafts need no required fields. With an `external_id` that is known, the
    activity is updated instead, so the same request may be sent twice."""
    given = body.given()
    known = _by_external_id(request, given)
    if known is not None:
        return _update_custom(request, known, given)
    lead = lead_given(request, given.get("lead_id"), whole=False)
    kind = _type_given(request, given.get("custom_activity_type_id"))
    status = _status_given(given) or str(Activity.Status.PUBLISHED)
    authorize(can_edit_type_activities(request.actor, kind))
    if kind.archived:
        raise InvalidInput(
            fields={
                "custom_activity_type_id": f"{kind.name} is archived. Existing activities stay; new ones cannot be logged."
            }
        )
    row = log_activity(
        request.actor, lead, kind, custom=_custom(request, kind, given), status=status,
        external_id=given.get("external_id"), **who_and_when(request, lead, given),
    )  # fmt: skip
    return activities_json(request, [row])[0]


def _by_external_id(request: HttpRequest, given: Mapping[str, Any]) -> Activity | None:
    external = _external_id(given)
    if not external:
        return None
    return visible_with_drafts(request.actor).select_related("lead").filter(external_id=external).first()


def _external_id(given: Mapping[str, Any]) -> str | None:
    external = given.get("external_id")
    if external and len(external) > 200:
        raise InvalidInput(fields={"external_id": "An external id has at most 200 characters."})
    return external or None


def _type_given(request: HttpRequest, type_id: Any) -> TypeInfo:
    if not type_id:
        raise InvalidInput(fields={"custom_activity_type_id": "This field is required."})
    kind = type_catalog(request.organization).by_public_id(type_id)
    if kind is None or not kind.is_custom or not can_view_type(request.actor, kind):
        raise InvalidInput(fields={"custom_activity_type_id": "There is no such activity type."})
    return kind


def _status_given(given: Mapping[str, Any]) -> str | None:
    status = given.get("status")
    if status is not None and status not in Activity.Status.values:
        raise InvalidInput(fields={"status": f"“{status[:40]}” is not a status. Use published or draft."})
    return status


def _custom(
    request: HttpRequest, kind: TypeInfo, given: Mapping[str, Any], row: Activity | None = None
) -> dict[str, Any]:
    """Return raw values by `cf_` id; a key that is no field of the type is named as it was sent."""
    uses = catalog(request.organization).uses(kind.fieldset_id)
    return custom_given(request, uses, given, row.values if row else None) or {}


def who_and_when(request: HttpRequest, lead: Lead, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user": member_user(request, given.get("user_id"), "user_id"),
        "created_by": member_user(request, given.get("created_by_id"), "created_by_id"),
        "contact": _contact_given(lead, given.get("contact_id")),
        "activity_at": moment(text, "activity_at", request.zone) if (text := given.get("activity_at")) else None,
        "date_created": moment(text, "date_created", request.zone) if (text := given.get("date_created")) else None,
        "pinned": bool(given.get("pinned")),
    }


def _contact_given(lead: Lead, contact_id: Any) -> Contact | None:
    if not contact_id:
        return None
    contact = Contact.objects.filter(pk=ids.decode("cont", contact_id), lead=lead).first()
    if contact is None:
        raise InvalidInput(fields={"contact_id": f"There is no such contact of {lead.name}."})
    return contact


def _custom_for(request: HttpRequest, activity_id: str) -> Activity:
    row = activity_for(request.actor, activity_id)
    if not type_catalog(request.organization).get(row.type_id).is_custom:
        raise NotFound("There is no such activity.")
    return row


@router.get("/activity/custom/{activity_id}/", summary="One custom activity", openapi_extra=shows(CUSTOM))
def get_custom(request: HttpRequest, activity_id: str) -> Any:
    return activities_json(request, [_custom_for(request, activity_id)])[0]


@router.put(
    "/activity/custom/{activity_id}/",
    summary="Change, publish or take back a custom activity",
    openapi_extra=shows(CUSTOM, sends={"status": "published", "custom.cf_iiD…": None}),
)
def update_custom(request: HttpRequest, activity_id: str, body: CustomActivityBody) -> Any:
    """Only what is sent changes; `null` clears. The type and the lead never change. An `external_id` that is taken: 409."""
    return _update_custom(request, _custom_for(request, activity_id), body.given())


def _update_custom(request: HttpRequest, row: Activity, given: Mapping[str, Any]) -> dict[str, Any]:
    kind = type_catalog(request.organization).get(row.type_id)
    status = _status_given(given)
    _same(given, "custom_activity_type_id", kind.public_id, "The type of an activity cannot be changed.")
    _same(given, "lead_id", ids.encode("lead", row.lead_id), "An activity cannot move to another lead.")
    if status == Activity.Status.PUBLISHED and row.is_draft and kind.archived:
        raise InvalidInput(fields={"status": f"{kind.name} is archived. Its drafts can be discarded, not published."})
    return update_from(request, kind, row, given, _custom(request, kind, given, row) or None, status)


def _same(given: Mapping[str, Any], key: str, value: str, sentence: str) -> None:
    if given.get(key) not in (None, value):
        raise InvalidInput(fields={key: sentence})


def update_from(
    request: HttpRequest, kind: TypeInfo, row: Activity, given: Mapping[str, Any], custom: dict[str, Any] | None,
    status: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    changes: dict[str, Any] = {}
    if "user_id" in given:
        changes["user"] = member_user(request, given["user_id"], "user_id")
    if "contact_id" in given:
        changes["contact"] = _contact_given(row.lead, given["contact_id"])
    if given.get("activity_at"):
        changes["activity_at"] = moment(given["activity_at"], "activity_at", request.zone)
    if "external_id" in given:
        changes["external_id"] = _external_id(given)
    if given.get("revision") is not None:
        changes["revision"] = given["revision"]
    row = update_activity(request.actor, row, custom=custom, status=status, pinned=given.get("pinned"), **changes)
    return activities_json(request, [row])[0]


@router.delete("/activity/custom/{activity_id}/", summary="Delete a custom activity", openapi_extra=shows({}))
def delete_custom(request: HttpRequest, activity_id: str) -> Any:
    delete_activity(request.actor, _custom_for(request, activity_id))
    return {}
