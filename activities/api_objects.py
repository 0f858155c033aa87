"""Activities as the REST API shows them: custom ones with flat keys, built-in kinds with Close's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.http import HttpRequest

from activities.api_shapes import shaped
from activities.builtin import BUILTINS
from activities.models import Activity
from activities.queries import TypeInfo, type_catalog, visible_with_drafts
from crm import ids
from crm.api import (
    Wanted,
    custom_json,
    gates,
    listing,
    lookups,
    name_of,
    renders,
    stamp,
    user_id_of,
    wanted_keys,
)  # fmt: skip
from crm.customfields.catalog import Use, catalog
from crm.fieldkinds import InvalidValue, is_blank
from crm.models import Event
from crm.permissions import Perm, can_view_field, can_view_type, has

MAX_LISTED = 200


class ActivityRow(NamedTuple):
    """What lists read of an activity: its columns, without the cost of a model's object. Fields are named as the model's."""

    pk: int
    lead_id: int
    type_id: int
    contact_id: int | None
    user_id: int | None
    created_by_id: int | None
    updated_by_id: int | None
    date_created: datetime
    date_updated: datetime
    activity_at: datetime
    published_at: datetime | None
    pinned_at: datetime | None
    external_id: str | None
    status: str
    values: dict[str, Any]
    draft_data: dict[str, Any] | None

    @property
    def public_id(self) -> str:
        return ids.encode("acti", self.pk)

    @property
    def is_draft(self) -> bool:
        return self.status == Activity.Status.DRAFT


def list_activities_of(request: HttpRequest, rows: QuerySet[Activity]) -> dict[str, Any]:
    """Return the page of these activities that the query string asks for."""
    columns = rows.values_list(*ActivityRow._fields)
    return listing(
        request, columns, lambda page: activities_json(request, map(ActivityRow._make, page)), maximum=MAX_LISTED
    )


def activities_json(request: HttpRequest, rows: Iterable[Activity | ActivityRow]) -> list[dict[str, Any]]:
    """Return activities of any type; members are loaded once for all of them."""
    types, fields = type_catalog(request.organization), catalog(request.organization)
    own, rows = request.organization.public_id, list(rows)
    found = []
    for row in rows:
        kind = types.get(row.type_id)
        found.append(_activity_json(request, row, kind, fields.uses(kind.fieldset_id), own))
    _name_imports(rows, found)
    return found


def _name_imports(rows: Sequence[Activity | ActivityRow], shown: Sequence[dict[str, Any]]) -> None:
    """Say from which import a lead came where its first entry is shown: the event of its making knows."""
    made = {
        row.lead_id: entry
        for row, entry in zip(rows, shown, strict=True)
        if entry["_type"] == "Created" and entry.get("source") == "import"
    }
    if made:
        told = Event.objects.filter(object_type="lead", action="created", object_id__in=list(made))
        for lead_id, meta in told.values_list("object_id", "meta"):
            made[lead_id]["import_id"] = meta.get("import_id")


def _activity_json(
    request: HttpRequest, row: Activity | ActivityRow, kind: TypeInfo, uses: Sequence[Use], organization_id: str
) -> dict[str, Any]:
    values = row.values if row.draft_data is None else _with_typed(request, uses, row)
    custom = kind.is_custom
    common: dict[str, Any] = {
        "id": row.public_id,
        "_type": "CustomActivity" if custom else BUILTINS[kind.builtin].api_type,
        "lead_id": ids.encode("lead", row.lead_id),
        "contact_id": ids.encode("cont", row.contact_id) if row.contact_id else None,
        "user_id": user_id_of(row.user_id),
        "user_name": name_of(request, row.user_id),
        "users": [],
        "organization_id": organization_id,
        "created_by": user_id_of(row.created_by_id),
        "created_by_name": name_of(request, row.created_by_id),
        "updated_by": user_id_of(row.updated_by_id),
        "updated_by_name": name_of(request, row.updated_by_id),
        "date_created": stamp(row.date_created),
        "date_updated": stamp(row.date_updated),
        "activity_at": stamp(row.activity_at),
        "pinned": row.pinned_at is not None,
        "pinned_at": stamp(row.pinned_at),
        "external_id": row.external_id,
        "published_at": stamp(row.published_at),
    }
    if not custom:
        return common | _builtin_json(request, kind, uses, row, values)
    common["custom_activity_type_id"] = kind.public_id
    common["status"] = str(row.status)
    common["last_published_at"] = common["published_at"]
    common.update(custom_json(request, uses, values))
    return common


def _with_typed(request: HttpRequest, uses: Iterable[Use], row: Activity | ActivityRow) -> dict[str, Any]:
    """Return a draft's values with the part of what was typed in the page that is valid."""
    found, typed = dict(row.values), row.draft_data or {}
    at = lookups(request).at(row.lead_id)
    for use in uses:
        raw = typed.get(use.field.public_id)
        if is_blank(raw):
            continue
        try:
            found[str(use.field.id)] = use.field.kind.clean(raw, use.field, at, request.actor.zone)
        except InvalidValue:
            continue
    return found


def _builtin_json(
    request: HttpRequest, kind: TypeInfo, uses: Sequence[Use], row: Activity | ActivityRow, values: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for use in uses:
        key = use.field.builtin.partition(".")[2]
        shown = values.get(str(use.field.id)) if can_view_field(request.actor, use) else None
        found[key] = use.field.kind.to_api(shown, use.field, lookups(request))
    return shaped(kind.builtin, found, row, wanted_keys(request))


@gates("activity")
def _may_have_seen(request: HttpRequest, gone: Event) -> bool:
    """A deleted activity: its type still decides, and a draft was its author's alone."""
    state = gone.before or {}
    kind = type_catalog(request.organization).get(state.get("type_id") or 0)
    if kind is None or not can_view_type(request.actor, kind):
        return False
    if state.get("status") != Activity.Status.DRAFT:
        return True
    return state.get("created_by_id") == request.actor.user_id or bool(
        has(request.actor, Perm.MANAGE_OTHERS_ACTIVITIES)
    )


@renders("activity", "activity.custom_activity")
def _render_activities(request: HttpRequest, pks: list[int], wanted: Wanted) -> dict[int, dict[str, Any]]:
    rows = list(visible_with_drafts(request.actor).filter(pk__in=pks))
    return dict(zip([row.pk for row in rows], activities_json(request, rows), strict=True))
