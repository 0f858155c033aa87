"""Objects across apps: who renders which, and what an endpoint shows of itself in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest

Renderer = Callable[[HttpRequest, list[int]], dict[int, dict[str, Any]]]
_renderers: dict[str, Renderer] = {}


def renders(*object_types: str) -> Callable[[Renderer], Renderer]:
    """Register how `/data/search/` turns row ids of these object types into objects."""

    def decorate(function: Renderer) -> Renderer:
        _renderers.update(dict.fromkeys(object_types, function))
        return function

    return decorate


def renderer_of(object_type: str) -> Renderer | None:
    """Return the renderer of a type, or of its family (`activity.note` → `activity`)."""
    return _renderers.get(object_type) or _renderers.get(object_type.partition(".")[0])


# May the actor have seen a gone object of this kind, given its last stored state?
Gate = Callable[[HttpRequest, Mapping[str, Any]], bool]
_gates: dict[str, Gate] = {}


def gates(object_type: str) -> Callable[[Gate], Gate]:
    """Register who may see what the event log keeps of deleted objects of a family."""

    def decorate(function: Gate) -> Gate:
        _gates[object_type] = function
        return function

    return decorate


def gate_of(object_type: str) -> Gate | None:
    return _gates.get(object_type) or _gates.get(object_type.partition(".")[0])


def shows(
    example: Any, *, status: int = 200, sends: Any = None, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the OpenAPI parts an endpoint adds: an example answer, an example body, query parameters in words."""
    extra: dict[str, Any] = {
        "responses": {status: {"description": "Done", "content": {"application/json": {"example": example}}}}
    }
    if sends is not None:
        extra["requestBody"] = {"content": {"application/json": {"example": sends}}}
    if query:
        extra["parameters"] = [
            {"in": "query", "name": name, "required": False, "schema": {"type": "string"}, "description": words}
            for name, words in query.items()
        ]
    return extra
