"""The builder's form: rows of a query string to a JSON tree and back to widgets. Works without JavaScript.

One activity block a search, as `type`, `has` (`any`, `none`, `atleast`), `n`, `within` (days), `field`/`op`/`value` rows
(parallel lists). Deeper trees come from Smart Views and the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from crm.customfields.catalog import Field, Use
from crm.errors import InvalidInput

MAX_ROWS = 10

# kind's storage → operators as (key, words)
OPERATORS: dict[str, tuple[tuple[str, str], ...]] = {
    "text": (("contains", "contains"), ("phrase", "contains the phrase"), ("is", "is exactly"), ("exists", "is not empty"), ("missing", "is empty")),
    "number": (("=", "="), ("≠", "≠"), (">", ">"), ("≥", "≥"), ("<", "<"), ("≤", "≤"), ("exists", "is not empty"), ("missing", "is empty")),
    "moment": (("on", "on"), ("after", "on or after"), ("before", "before"), ("exists", "is not empty"), ("missing", "is empty")),
    "ref": (("any", "is"), ("none", "is not"), ("exists", "is not empty"), ("missing", "is empty")),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One condition as typed."""

    field: str = ""
    op: str = ""
    value: str = ""


@dataclass(frozen=True)
class Builder:
    """What the builder's form holds. `rows` are conditions on one and the same activity."""

    type: str = ""
    has: str = "any"
    n: str = "2"
    within: str = ""
    rows: tuple[Row, ...] = field(default_factory=tuple)

    @property
    def is_empty(self) -> bool:
        return not self.type

    @classmethod
    def read(cls, data: QueryDict) -> Builder:
        """Return the form's content from a query string."""
        fields, ops, values = data.getlist("field"), data.getlist("op"), data.getlist("value")
        rows = tuple(
            Row(name, ops[i] if i < len(ops) else "", values[i] if i < len(values) else "")
            for i, name in enumerate(fields[:MAX_ROWS])
            if name
        )
        return cls(data.get("type", ""), data.get("has", "any"), data.get("n", "2"), data.get("within", ""), rows)

    def tree(self, uses: Iterable[Use], object_type: str = "activity.custom_activity") -> list[dict[str, Any]]:
        """Return the block as a list of at most one node. `uses`: the chosen type's fields. Raises `InvalidInput`."""
        if self.is_empty:
            return []
        known = {use.field.public_id: use.field for use in uses}
        parts: list[dict[str, Any]] = [
            {
                "type": "field_condition",
                "field": {"type": "regular_field", "object_type": object_type, "field_name": "custom_activity_type_id"},
                "condition": {"type": "term", "values": [self.type]},
            }
        ]
        if self.within:
            if not self.within.isdigit() or not 0 < int(self.within) <= 36_500:
                raise InvalidInput(fields={"within": "Days are a whole number such as 30."})
            parts.append(_within(object_type, int(self.within)))
        for row in self.rows:
            if row.field not in known:
                raise InvalidInput(fields={"field": "That field does not belong to the chosen activity."})
            parts.append(_condition(known[row.field], row))
        node: dict[str, Any] = {
            "type": "has_related",
            "this_object_type": "lead",
            "related_object_type": object_type,
            "related_query": {"type": "and", "queries": parts},
        }
        if self.has == "none":
            node["negate"] = True
        elif self.has == "atleast":
            if not self.n.isdigit() or not 0 < int(self.n) <= 1_000_000:
                raise InvalidInput(fields={"n": "How many is a whole number such as 2."})
            node["count"] = {"gte": int(self.n)}
        return [node]


def _within(object_type: str, days: int) -> dict[str, Any]:
    return {
        "type": "field_condition",
        "field": {"type": "regular_field", "object_type": object_type, "field_name": "date_created"},
        "condition": {
            "type": "moment_range",
            "on_or_after": {
                "type": "offset",
                "direction": "past",
                "moment": {"type": "now"},
                "offset": {"days": days},
                "which_day_end": "start",
            },
        },
    }


def _condition(field_: Field, row: Row) -> dict[str, Any]:
    negate = row.op in ("missing", "none", "≠")
    node: dict[str, Any] = {
        "type": "field_condition",
        "field": {"type": "custom_field", "custom_field_id": field_.public_id},
        "negate": negate,
    }
    if row.op in ("exists", "missing"):
        return {**node, "condition": {"type": "exists"}}
    if not row.value.strip():
        raise InvalidInput(fields={"value": f"Say what {field_.name} should be."})
    return {**node, "condition": _CONDITIONS[field_.kind.storage](field_, row)}


def _text(field_: Field, row: Row) -> dict[str, Any]:
    modes = {"contains": "beginning_of_words", "phrase": "phrase", "is": "exact_value"}
    return {"type": "text", "value": row.value, "mode": modes.get(row.op, "beginning_of_words")}


def _number(field_: Field, row: Row) -> dict[str, Any]:
    try:
        value = float(row.value.replace(",", "."))
    except ValueError:
        raise InvalidInput(fields={"value": f"“{row.value}” is not a number, and {field_.name} is one."}) from None
    bounds = {
        "=": {"gte": value, "lte": value}, "≠": {"gte": value, "lte": value}, ">": {"gt": value}, "≥": {"gte": value},
        "<": {"lt": value}, "≤": {"lte": value},
    }  # fmt: skip
    return {"type": "number_range", **bounds.get(row.op, {"gte": value, "lte": value})}


def _moment(field_: Field, row: Row) -> dict[str, Any]:
    start = {"type": "fixed_local_date", "value": row.value, "which": "start"}
    end = {"type": "fixed_local_date", "value": row.value, "which": "end"}
    bounds = {"on": {"on_or_after": start, "before": end}, "after": {"on_or_after": start}, "before": {"before": start}}
    return {"type": "moment_range", **bounds.get(row.op, bounds["on"])}


def _ref(field_: Field, row: Row) -> dict[str, Any]:
    if field_.kind.value_name == "boolean":
        return {"type": "boolean", "value": row.value.strip().casefold() in ("yes", "true", "1")}
    if field_.kind.refers_to == "user" and row.value == "me":
        return {"type": "current_user"}
    if field_.kind.refers_to:
        return {"type": "reference", "reference_type": field_.kind.refers_to, "object_ids": [row.value]}
    return {"type": "term", "values": [row.value]}


_CONDITIONS = {"text": _text, "number": _number, "moment": _moment, "ref": _ref}


def value_choices(field_: Field, users: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (value, words) to choose from for fields that hold options, users or yes and no; empty for typed values."""
    if field_.kind.has_options:
        return [(option.public_id, option.label) for option in field_.options]
    if field_.kind.value_name == "boolean":
        return [("yes", "Yes"), ("no", "No")]
    if field_.kind.refers_to == "user":
        return [("me", "Me"), *users]
    return []


def query_tree(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tree of a lead search from its conditions."""
    return {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, *parts]}
