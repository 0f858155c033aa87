"""Result tables: the columns, the rows of a page, the links that sort and page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leads.models import Lead

PAGE = 50
COLUMNS = (
    ("name", "Lead"), ("status", "Status"), ("contacts", "Contacts"), ("last_activity_at", "Last activity"), ("date_created", "Created"),
)  # fmt: skip
SORTABLE = ("name", "last_activity_at", "date_created")


@dataclass(frozen=True)
class Column:
    """A head cell: `sort_url` empty when it cannot be sorted by; `order`: ascending, descending or empty."""

    label: str
    sort_url: str = ""
    order: str = ""


def rows_of(lead_ids: Any) -> list[Lead]:
    found = Lead.objects.select_related("status").in_bulk(list(lead_ids))
    return [found[pk] for pk in lead_ids if pk in found]


def url_with(data: Any, **changes: str) -> str:
    changed = data.copy()
    for key, value in changes.items():
        changed.pop(key, None)
        if value:
            changed[key] = value
    return f"?{changed.urlencode()}"


def columns_of(data: Any) -> list[Column]:
    current = data.get("sort", "") or "name"
    found = []
    for key, label in COLUMNS:
        if key not in SORTABLE:
            found.append(Column(label))
            continue
        order = "ascending" if current == key else "descending" if current == f"-{key}" else ""
        found.append(Column(label, url_with(data, sort=f"-{key}" if order == "ascending" else key, after=""), order))
    return found
