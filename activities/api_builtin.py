"""REST doors to notes, calls, emails, SMS and meetings, and to system entries, of which only changes of
status can be written; those and finished tasks can be taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from activities.api import LIST_QUERY, activity_rows, update_from, who_and_when
from activities.api_objects import activities_json, list_activities_of
from activities.api_shapes import MORE, check_body, direction_of, more_given, plain_text
from activities.builtin import BUILTINS
from activities.models import Activity
from activities.queries import TypeInfo, activity_for, type_catalog
from activities.services.activities import delete_activity, log_activity
from activities.services.status_entries import delete_entry, log_status_change
from crm.api import (
    Body,
    moment,
    shows,
)  # fmt: skip
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput, NotFound
from leads.api import lead_given
from leads.queries import statuses

router = Router(tags=["Notes, calls, emails, SMS, meetings"])


class ActivityBody(Body):
    lead_id: str | None = None
    contact_id: str | None = None
    user_id: str | None = None
    created_by_id: str | None = None
    activity_at: str | None = None
    date_created: str | None = None
    pinned: bool | None = None


# Keys of Close's that mean one of our fields: (their key, our key, how to read it).
_ALIASES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("note_html", "note", lambda value: plain_text(str(value))),
    ("user_note_html", "note", lambda value: plain_text(str(value))),
    ("body_html", "body_text", lambda value: plain_text(str(value))),
    ("remote_phone", "phone", lambda value: value),
    ("to", "to", lambda value: ", ".join(map(str, value)) if isinstance(value, list) else value),
)
PATHS = {"status_change": "status_change/lead"}


def _builtin_given(
    request: HttpRequest, kind: TypeInfo, given: Mapping[str, Any], row: Activity | None = None
) -> dict[str, Any]:
    """Return raw values by `cf_` id of the built-in fields that a body holds; `row` is what it changes."""
    uses = {
        use.field.builtin.partition(".")[2]: use.field for use in catalog(request.organization).uses(kind.fieldset_id)
    }
    known = {key: field.public_id for key, field in uses.items()}
    held = {key: row.values.get(str(uses[key].id)) if row and key in uses else None for key in (MORE, "sender")}
    check_body(kind.builtin, given, held["sender"])
    found = {known[key]: value for key, value in given.items() if key in known and key != MORE}
    if MORE in known and (more := more_given(request, kind.builtin, given, held[MORE])) is not None:
        found[known[MORE]] = more
    for theirs, ours, read in _ALIASES:
        if given.get(theirs) is not None and ours in known:
            found[known[ours]] = read(given[theirs])
    return found


def _kind(request: HttpRequest, slug: str) -> TypeInfo:
    kind = type_catalog(request.organization).builtin(slug)
    if kind is None:
        raise NotFound("There is no such kind of activity.")
    return kind


def _one(request: HttpRequest, kind: TypeInfo, activity_id: str) -> Activity:
    row = activity_for(request.actor, activity_id)
    if row.type_id != kind.id:
        raise NotFound("There is no such activity.")
    return row


def _serve(slug: str) -> None:
    """Add the endpoints of one built-in kind; system entries can only be read."""
    declared = BUILTINS[slug]
    path, name, example = (
        f"/activity/{PATHS.get(slug, slug)}/",
        declared.name,
        {"id": "acti_…", "_type": declared.api_type},
    )
    fields = {field.key: next(iter(field.options)) if field.options else f"({field.kind})" for field in declared.fields}

    @router.get(path, operation_id=f"list_{slug}", summary=f"List: {name}", openapi_extra=shows(
        {"data": [{**example, **fields}], "has_more": False}, query=LIST_QUERY))  # fmt: skip
    def list_kind(request: HttpRequest) -> Any:
        rows, order = activity_rows(request, [_kind(request, slug)])
        return list_activities_of(request, rows.order_by(*order))

    @router.get(
        path + "{activity_id}/",
        operation_id=f"get_{slug}",
        summary=f"One: {name}",
        openapi_extra=shows({**example, **fields}),
    )
    def get_kind(request: HttpRequest, activity_id: str) -> Any:
        return activities_json(request, [_one(request, _kind(request, slug), activity_id)])[0]

    if declared.system:
        return

    @router.post(
        path,
        operation_id=f"create_{slug}",
        summary=f"Log: {name}",
        description=f"Without `activity_at`, it happens when `{declared.starts}` says." if declared.starts else None,
        openapi_extra=shows({**example, **fields}, sends={"lead_id": "lead_…", **fields}),
    )
    def create_kind(request: HttpRequest, body: ActivityBody) -> Any:
        given, kind = body.given(), _kind(request, slug)
        lead = lead_given(request, given.get("lead_id"), whole=False)
        status = Activity.Status.DRAFT if given.get("status") == "draft" else Activity.Status.PUBLISHED
        with _named_by_key(request, kind):
            row = log_activity(
                request.actor, lead, kind, status=status,
                custom=_builtin_given(request, kind, direction_of(slug, given) | given),
                **who_and_when(request, lead, given),
            )  # fmt: skip
        return activities_json(request, [row])[0]

    @router.put(
        path + "{activity_id}/",
        operation_id=f"update_{slug}",
        summary=f"Change: {name}",
        openapi_extra=shows({**example, **fields}, sends=fields),
    )
    def update_kind(request: HttpRequest, activity_id: str, body: ActivityBody) -> Any:
        kind, given = _kind(request, slug), body.given()
        row = _one(request, kind, activity_id)
        status = None
        if said := given.get("status"):
            status = Activity.Status.DRAFT if said == "draft" else Activity.Status.PUBLISHED
        with _named_by_key(request, kind):
            return update_from(request, kind, row, given, _builtin_given(request, kind, given, row) or None, status)

    @router.delete(
        path + "{activity_id}/", operation_id=f"delete_{slug}", summary=f"Delete: {name}", openapi_extra=shows({})
    )
    def delete_kind(request: HttpRequest, activity_id: str) -> Any:
        delete_activity(request.actor, _one(request, _kind(request, slug), activity_id))
        return {}


# --- changes of a lead's status: written by the product, and by those who bring history along ---------------------------
class StatusChangeBody(Body):
    lead_id: str | None = None
    old_status_id: str | None = None
    old_status_label: str | None = None
    new_status_id: str | None = None
    new_status_label: str | None = None
    date_created: str | None = None
    activity_at: str | None = None


_CHANGE = {
    "id": "acti_…", "_type": "LeadStatusChange", "lead_id": "lead_…", "old_status_id": "stat_1…", "old_status_label": "Potential",
    "new_status_id": "stat_2…", "new_status_label": "Qualified",
}  # fmt: skip


@router.post("/activity/status_change/lead/", operation_id="create_status_change", summary="Log: Status changed", openapi_extra=shows(
    _CHANGE, sends={"lead_id": "lead_…", "old_status_id": "stat_1…", "new_status_id": "stat_2…", "date_created": "2024-03-01T10:00:00+00:00"}))  # fmt: skip
def create_status_change(request: HttpRequest, body: StatusChangeBody) -> Any:
    """Only logs it: the lead's status stays as it is. A status that is gone is told by its label."""
    given = body.given()
    lead = lead_given(request, given.get("lead_id"), whole=False)
    at = given.get("date_created") or given.get("activity_at")
    entry = log_status_change(
        request.actor, lead, old=_status_given(given, "old"), new=_status_given(given, "new"),
        at=moment(at, "date_created", request.zone) if at else None,
    )  # fmt: skip
    return activities_json(request, [entry])[0]


def _status_given(given: Mapping[str, Any], side: str) -> tuple[str, str]:
    """Return id and label of the status a body names on one side."""
    public_id, label = given.get(f"{side}_status_id"), " ".join((given.get(f"{side}_status_label") or "").split())
    if public_id:
        known = {row.public_id: row.label for row in statuses()}
        if public_id not in known:
            raise InvalidInput(fields={f"{side}_status_id": f"“{public_id[:60]}” is not a lead status."})
        return public_id, known[public_id]
    if not 0 < len(label) <= 200:
        words = "Name the status: an id, or a label of at most 200 characters."
        raise InvalidInput(fields={f"{side}_status_id": words})
    return "", label


@router.delete(
    "/activity/status_change/lead/{activity_id}/",
    operation_id="delete_status_change",
    summary="Delete: Status changed",
    openapi_extra=shows({}),
)
def remove_status_change(request: HttpRequest, activity_id: str) -> Any:
    """The entry goes, the lead's status stays."""
    delete_entry(request.actor, _one(request, _kind(request, "status_change"), activity_id))
    return {}


@router.delete(
    "/activity/task_completed/{activity_id}/",
    operation_id="delete_task_completed",
    summary="Delete: Task completed",
    openapi_extra=shows({}),
)
def remove_task_completed(request: HttpRequest, activity_id: str) -> Any:
    """The entry goes, the task stays, finished."""
    delete_entry(request.actor, _one(request, _kind(request, "task_completed"), activity_id))
    return {}


class _named_by_key:
    """Inside, errors of built-in fields are named by their API key (`note`) instead of `custom.cf_…`."""

    def __init__(self, request: HttpRequest, kind: TypeInfo) -> None:
        self.names = {
            f"custom.{use.field.public_id}": use.field.builtin.partition(".")[2]
            for use in catalog(request.organization).uses(kind.fieldset_id)
        }

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, InvalidInput) and error.fields:
            raise InvalidInput(
                fields={self.names.get(key, key): words for key, words in error.fields.items()}
            ) from error


for _slug in BUILTINS:
    _serve(_slug)
