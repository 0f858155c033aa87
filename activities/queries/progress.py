"""How far emails, SMS and meetings are: what somebody said of it, else what follows from the way they went and the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_INBOUND = ("incoming", "inbound")
FOLLOWED = ("email", "sms", "meeting")


def progress_of(slug: str, found: Mapping[str, Any], happens: datetime, now: datetime) -> str:
    """Return the status of an activity of a kind in `FOLLOWED`, in the API's words: `sent`, `upcoming` …

    `found`: its `status` (empty: nobody said), `direction`, `starts_at`, `ends_at`, as the API shows them. `happens`: its
    `activity_at`, for a meeting without a start.
    """
    if said := found.get("status"):
        return str(said)
    if slug != "meeting":
        return "inbox" if found.get("direction") in _INBOUND else "sent"
    starts = _moment(found.get("starts_at")) or happens
    ends = _moment(found.get("ends_at")) or starts
    if now < starts:
        return "upcoming"
    return "in-progress" if now < ends else "completed"


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
