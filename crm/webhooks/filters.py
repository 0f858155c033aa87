"""Close's filters over events: `{"type": "field_accessor", "field": "data", "filter": {…}}` and its kin (`api.md` 2.23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm.errors import InvalidInput

MAX_DEPTH, MAX_NODES = 20, 200
_VALUED = {"equals", "not_equals", "contains"}
_PLAIN = {"is_null", "non_null"}
_LISTS = {"and", "or"}
_SINGLE = {"not", "any_array_value", "field_accessor"}
TYPES = (*sorted(_VALUED), *sorted(_PLAIN), *sorted(_LISTS), *sorted(_SINGLE))


def check_filter(node: Any) -> None:
    """Return when a filter is well formed and of bearable size; raise `InvalidInput` that names the spot otherwise."""
    _check(node, "extra_filter", 1, [0])


def _check(node: Any, where: str, depth: int, count: list[int]) -> None:
    count[0] += 1
    if depth > MAX_DEPTH or count[0] > MAX_NODES:
        raise InvalidInput(f"The filter is too large: at most {MAX_NODES} parts, {MAX_DEPTH} levels deep.")
    if not isinstance(node, Mapping):
        raise InvalidInput(f"{where} must be an object with a type.")
    kind = node.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise InvalidInput(f"{where}.type must be one of {', '.join(TYPES)}.")
    if kind in _VALUED and "value" not in node:
        raise InvalidInput(f"{where} ({kind}) needs a value.")
    if kind == "field_accessor" and not isinstance(node.get("field"), str):
        raise InvalidInput(f"{where}.field must be the name of a key.")
    if kind in _SINGLE:
        _check(node.get("filter"), f"{where}.filter", depth + 1, count)
    if kind in _LISTS:
        if not isinstance(node.get("filters"), list):
            raise InvalidInput(f"{where}.filters must be a list.")
        for number, part in enumerate(node["filters"]):
            _check(part, f"{where}.filters.{number}", depth + 1, count)


def matches(node: Mapping[str, Any] | None, value: Any) -> bool:
    """Does the value (an event, at the root) pass a checked filter? No filter lets everything pass."""
    if node is None:
        return True
    match node["type"]:
        case "equals":
            return _same(value, node["value"])
        case "not_equals":
            return not _same(value, node["value"])
        case "is_null":
            return value is None
        case "non_null":
            return value is not None
        case "contains":
            return _contains(value, node["value"])
        case "and":
            return all(matches(part, value) for part in node["filters"])
        case "or":
            return any(matches(part, value) for part in node["filters"])
        case "not":
            return not matches(node["filter"], value)
        case "any_array_value":
            return isinstance(value, list) and any(matches(node["filter"], item) for item in value)
        case _:
            return matches(node["filter"], value.get(node["field"]) if isinstance(value, Mapping) else None)


def _same(value: Any, wanted: Any) -> bool:
    # In JSON true is not 1.
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    return isinstance(value, list) and any(_same(item, wanted) for item in value)
