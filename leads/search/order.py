"""By what results are sorted, and where a page begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from crm.errors import InvalidInput
from crm.models import Membership
from leads.search.columns import sort_column
from leads.search.cursors import decode_cursor
from leads.search.language import Query
from leads.search.sources import Column


@dataclass(frozen=True)
class Sort:
    """A column and a direction. `name`: as it is asked for, with `-` for descending."""

    name: str
    column: Column
    descending: bool

    @property
    def order(self) -> str:
        return "DESC" if self.descending else "ASC"


def sort_names(query: Query) -> list[str]:
    """Return the columns a search's results can be sorted by."""
    return [column.name for column in query.source.columns if column.sorts]


def sort_by(actor: Membership, query: Query, given: str | Sequence[Mapping[str, Any]]) -> Sort:
    """Return the order asked for, else the usual one. Raises `InvalidInput` for what cannot be sorted by."""
    if not isinstance(given, str):
        first = given[0] if given else {}
        field = first.get("field") if isinstance(first, Mapping) else None
        name = str(field.get("custom_field_id") or field.get("field_name")) if isinstance(field, Mapping) else ""
        given = f"-{name}" if name and first.get("direction") == "desc" else name
    name = given or query.source.default_sort
    bare = name.removeprefix("-")
    column = sort_column(actor, query.source, bare)
    if column is None:
        raise InvalidInput(
            fields={"sort": f"“{bare}” cannot be sorted by. Use one of: {', '.join(sort_names(query))}."}
        )
    return Sort(name, column, name.startswith("-"))


def last_seen(sort: Sort, cursor: str) -> tuple[Any, int] | None:
    """Return the sort value and id of the last row seen. Raises `InvalidInput` for anything that is not our cursor."""
    if not cursor:
        return None
    parts = decode_cursor(cursor)
    if parts is None or len(parts) != 3 or parts[0] != sort.name or type(parts[2]) is not int:
        raise InvalidInput(fields={"cursor": "The cursor belongs to another search. Start from the first page."})
    last = parts[1]
    try:
        if last is not None and sort.column.asks == "moment":
            found = datetime.fromisoformat(last)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            last = connection.ops.adapt_datetimefield_value(found)
        elif last is not None and sort.column.asks == "number":
            number = Decimal(str(last))
            if isinstance(last, bool) or not number.is_finite():
                raise ValueError
            last = number if connection.vendor == "postgresql" else float(number)
        elif not isinstance(last, str | None):
            raise ValueError
    except (TypeError, ValueError, ArithmeticError):
        raise InvalidInput(fields={"cursor": "The cursor is broken. Start from the first page."}) from None
    return last, parts[2]


def as_json(last: Any) -> Any:
    """Return a sort value as a cursor carries it."""
    return last.isoformat() if isinstance(last, datetime) else last
