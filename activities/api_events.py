"""Deleted activities as events show them: made again of what the log keeps."""

from __future__ import annotations

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
def _gone_activity(request: HttpRequest, gone: Event) -> dict[str, Any]:
    state = gone.before or {}
    if type_catalog(request.organization).get(state.get("type_id") or 0) is None:
        return {}
    moments = {
        key: datetime.fromisoformat(state[key]) if state[key] else None
        for key in ("date_created", "activity_at", "published_at", "pinned_at")
    }
    # What was typed into a draft and not saved as values was its author's alone: it is not told.
    activity = Activity(
        pk=gone.object_id, organization=request.organization, lead_id=gone.lead_id, date_updated=gone.date_created,
        values={key.removeprefix("custom."): value for key, value in state.items() if key.startswith("custom.")},
        **{key: state[key] for key in ("type_id", "status", "user_id", "contact_id", "created_by_id", "external_id")},
        **moments,
    )  # fmt: skip
    shown = activities_json(request, [activity])[0]
    return {key: value for key, value in shown.items() if key not in _UNTOLD}
