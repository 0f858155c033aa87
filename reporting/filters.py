"""A tile's filter as rows of a form, turned into a tree of the search language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from crm.customfields.catalog import Field
from crm.errors import InvalidInput

MAX_ROWS = 5
_EMPTY = (("exists", "is not empty"), ("missing", "is empty"))
# where a kind keeps its values → operators as (key, words)
OPERATORS: dict[str, tuple[tuple[str, str], ...]] = {
    "text": (("contains", "contains"), ("is", "is exactly"), *_EMPTY),
    "number": (("=", "="), ("≠", "≠"), (">", ">"), ("≥", "≥"), ("<", "<"), ("≤", "≤"), *_EMPTY),
    "moment": (("on", "on"), ("after", "on or after"), ("before", "before"), *_EMPTY),
    "ref": (("any", "is"), ("none", "is not"), *_EMPTY),
}
_NEGATED = ("missing", "none", "≠")


@dataclass(frozen=True)
class FilterRow:
    """One condition as chosen, with what can be chosen in it."""

    field: str
    op: str
    value: str
    operators: tuple[tuple[str, str], ...]
    choices: tuple[tuple[str, str], ...]
    input_type: str


def shown_row(known: Mapping[str, Field], row: Mapping[str, str], members: Sequence[tuple[str, str]]) -> FilterRow:
    """Return a row ready for the form."""
    field = known.get(row.get("field", ""))
    operators = OPERATORS[field.kind.storage] if field else ()
    choices = tuple(value_choices(field, members)) if field else ()
    kind = "date" if field and field.kind.storage == "moment" else "text"
    return FilterRow(
        row.get("field", "") if field else "", row.get("op", ""), row.get("value", ""), operators, choices, kind
    )


def value_choices(field: Field, members: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Return (value, words) to choose from; nothing for values that are typed."""
    if field.kind.has_options:
        return [(option.public_id, option.words) for option in field.options]
    if field.kind.value_name == "boolean":
        return [("yes", "Yes"), ("no", "No")]
    return [("me", "Me"), *members] if field.kind.refers_to == "user" else []


def tree_of(known: Mapping[str, Field], rows: Sequence[Mapping[str, str]]) -> dict[str, Any] | None:
    """Return the tree in which all rows hold, None without rows. Raises `InvalidInput` naming the row's trouble."""
    parts = []
    for row in rows[:MAX_ROWS]:
        field = known.get(row["field"])
        if field is None:
            raise InvalidInput(fields={"filter": "The filter asks for a field that this number does not have."})
        parts.append(_condition(field, row))
    return {"type": "and", "queries": parts} if parts else None


def _condition(field: Field, row: Mapping[str, str]) -> dict[str, Any]:
    op, value = row.get("op", ""), row.get("value", "").strip()
    if op not in dict(OPERATORS[field.kind.storage]):
        op = OPERATORS[field.kind.storage][0][0]
    node: dict[str, Any] = {
        "type": "field_condition",
        "field": {"type": "custom_field", "custom_field_id": field.public_id},
        "negate": op in _NEGATED,
    }
    if op in ("exists", "missing"):
        return {**node, "condition": {"type": "exists"}}
    if not value:
        raise InvalidInput(fields={"filter": f"Say what {field.name} should be."})
    return {**node, "condition": _CONDITIONS[field.kind.storage](field, op, value)}


def _text(field: Field, op: str, value: str) -> dict[str, Any]:
    return {"type": "text", "value": value, "mode": "exact_value" if op == "is" else "beginning_of_words"}


def _number(field: Field, op: str, value: str) -> dict[str, Any]:
    try:
        number = Decimal(value.replace(",", "."))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InvalidInput(fields={"filter": f"“{value}” is not a number, and {field.name} is one."})
    bounds = {">": ("gt",), "≥": ("gte",), "<": ("lt",), "≤": ("lte",)}.get(op, ("gte", "lte"))
    return {"type": "number_range", **dict.fromkeys(bounds, float(number))}


def _moment(field: Field, op: str, value: str) -> dict[str, Any]:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise InvalidInput(fields={"filter": f"“{value}” is not a date. Write it as 2026-01-31."}) from None
    start = {"type": "fixed_local_date", "value": value, "which": "start"}
    end = {"type": "fixed_local_date", "value": value, "which": "end"}
    bounds = {"on": {"on_or_after": start, "before": end}, "after": {"on_or_after": start}, "before": {"before": start}}
    return {"type": "moment_range", **bounds[op]}


def _ref(field: Field, op: str, value: str) -> dict[str, Any]:
    if field.kind.value_name == "boolean":
        return {"type": "boolean", "value": value == "yes"}
    if field.kind.refers_to == "user" and value == "me":
        return {"type": "current_user"}
    if field.kind.refers_to:
        return {"type": "reference", "reference_type": field.kind.refers_to, "object_ids": [value]}
    return {"type": "term", "values": [value]}


_CONDITIONS = {"text": _text, "number": _number, "moment": _moment, "ref": _ref}
