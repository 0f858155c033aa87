"""Deleted activities as events show them: made again of what the log keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from activities.api_objects import activities_json
from activities.models import Activity
from activities.queries import type_catalog
from crm.api import rebuilds
from crm.models import Event

# Not known of what is gone.
_UNTOLD = frozenset(("updated_by", "updated_by_name", "date_updated"))


@rebuilds("activity")
def _gone_activities(request: HttpRequest, gone: Sequence[Event]) -> dict[int, dict[str, Any]]:
    types = type_catalog(request.organization)
    told = [row for row in gone if types.get((row.before or {}).get("type_id") or 0) is not None]
    shown = activities_json(request, [_gone_activity(request, row) for row in told])
    return {
        row.pk: {key: value for key, value in keys.items() if key not in _UNTOLD}
        for row, keys in zip(told, shown, strict=True)
    }


def _gone_activity(request: HttpRequest, gone: Event) -> Activity:
    state = gone.before or {}
    moments = {
        key: datetime.fromisoformat(state[key]) if state[key] else None
        for key in ("date_created", "activity_at", "published_at", "pinned_at")
    }
    # What was typed into a draft and not saved as values was its author's alone: it is not told.
    return Activity(
        pk=gone.object_id, organization=request.organization, lead_id=gone.lead_id, date_updated=gone.date_created,
        values={key.removeprefix("custom."): value for key, value in state.items() if key.startswith("custom.")},
        **{key: state[key] for key in ("type_id", "status", "user_id", "contact_id", "created_by_id", "external_id")},
        **moments,
    )  # fmt: skip
