"""What happens to emails, SMS and meetings besides being written down: sent, scheduled, started, completed, canceled.

Each is an event of its own, beside `created` or `updated`, as `spec/api.md` 2.22 has them. Somebody has to say so: that time
goes by is no event. Imports tell of none, and calls have none: those that are logged here were made elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from activities.queries import TypeInfo
from activities.queries.progress import FOLLOWED, progress_of
from crm.customfields.catalog import Catalog
from crm.customfields.lookups import Lookups
from crm.fieldkinds import json_object
from crm.models import Membership

_OF_STATUS = {
    "sent": "sent",
    "upcoming": "scheduled",
    "in-progress": "started",
    "completed": "completed",
    "canceled": "canceled",
}
_KEYS = ("direction", "starts_at", "ends_at", "more")


def milestones(
    actor: Membership, known: Catalog, kind: TypeInfo, now: datetime,
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, happens: tuple[datetime, datetime],
) -> list[str]:  # fmt: skip
    """Return the actions of the events to record for a change of stored values.

    None stands for what was not there, or is a draft. `happens`: `activity_at` before and after. What moves a meeting that
    lies ahead schedules it anew.
    """
    if kind.builtin not in FOLLOWED or after is None:
        return []
    was = _said(actor, known, kind, before) if before is not None else {}
    became = _said(actor, known, kind, after)
    # Both at the same time of the clock, so that what differs was said and did not just pass.
    old = progress_of(kind.builtin, was, happens[0], now) if before is not None else ""
    new = progress_of(kind.builtin, became, happens[1], now)
    moved = (was.get("starts_at"), happens[0]) != (became.get("starts_at"), happens[1])
    if new == old and not (new == "upcoming" and moved):
        return []
    return [_OF_STATUS[new]] if new in _OF_STATUS else []


def _said(actor: Membership, known: Catalog, kind: TypeInfo, values: Mapping[str, Any]) -> dict[str, Any]:
    lookups = Lookups(actor.organization)
    found = {
        key: use.field.kind.to_api(values.get(str(use.field.id)), use.field, lookups)
        for use in known.uses(kind.fieldset_id)
        if (key := use.field.builtin.partition(".")[2]) in _KEYS
    }
    return {**found, "status": json_object(found.pop("more", None) or "").get("status")}
