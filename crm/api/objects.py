"""Objects across apps: who renders which, and what an endpoint shows of itself in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

if TYPE_CHECKING:
    from crm.models import Event

# The keys that are asked for; None: all.
Wanted = AbstractSet[str] | None
# Row ids → the objects the actor may see, by row id.
Renderer = Callable[[HttpRequest, list[int], Wanted], dict[int, dict[str, Any]]]
_renderers: dict[str, Renderer] = {}


def renders(*object_types: str) -> Callable[[Renderer], Renderer]:
    """Register how searches and events turn row ids of these object types into objects; more keys than wanted may come."""

    def decorate(function: Renderer) -> Renderer:
        _renderers.update(dict.fromkeys(object_types, function))
        return function

    return decorate


def renderer_of(object_type: str) -> Renderer | None:
    """Return the renderer of a type, or of its family (`activity.note` → `activity`)."""
    return _renderers.get(object_type) or _renderers.get(object_type.partition(".")[0])


# May the actor have seen a gone object of this kind, given the event of its end, which keeps its last state?
Gate = Callable[[HttpRequest, "Event"], bool]
_gates: dict[str, Gate] = {}


def gates(object_type: str) -> Callable[[Gate], Gate]:
    """Register who may see what the event log keeps of deleted objects of a family."""

    def decorate(function: Gate) -> Gate:
        _gates[object_type] = function
        return function

    return decorate


def gate_of(object_type: str) -> Gate | None:
    return _gates.get(object_type) or _gates.get(object_type.partition(".")[0])


# What gone objects looked like in the API's answers, by the row id of the event of their end, which keeps the last state.
Rebuilder = Callable[[HttpRequest, "Sequence[Event]"], dict[int, dict[str, Any]]]
_rebuilders: dict[str, Rebuilder] = {}


def rebuilds(object_type: str) -> Callable[[Rebuilder], Rebuilder]:
    """Register who shows the deleted objects of a family, many at once. Keys that the log does not tell of are left out."""

    def decorate(function: Rebuilder) -> Rebuilder:
        _rebuilders[object_type] = function
        return function

    return decorate


def rebuilder_of(object_type: str) -> Rebuilder | None:
    return _rebuilders.get(object_type) or _rebuilders.get(object_type.partition(".")[0])


# Brings the keys of an object that follow from others in line with these, after a change of it was taken back.
Settler = Callable[[HttpRequest, dict[str, Any]], dict[str, Any]]
_settlers: dict[str, Settler] = {}


def settles(object_type: str) -> Callable[[Settler], Settler]:
    """Register how the keys of a family that are made of others are made again: the label of a status, a display name."""

    def decorate(function: Settler) -> Settler:
        _settlers[object_type] = function
        return function

    return decorate


def settled(request: HttpRequest, object_type: str, shown: dict[str, Any]) -> dict[str, Any]:
    settle = _settlers.get(object_type) or _settlers.get(object_type.partition(".")[0])
    return settle(request, shown) if settle else shown


# What the event log keeps of an object, in the API's words. A part of a state has a part of the keys.
Wording = Callable[[HttpRequest, Mapping[str, Any]], dict[str, Any]]
_wordings: dict[str, Wording] = {}


def words(object_type: str) -> Callable[[Wording], Wording]:
    """Register how a family's stored states are said; values may be None where only the keys are asked for."""

    def decorate(function: Wording) -> Wording:
        _wordings[object_type] = function
        return function

    return decorate


def in_words(request: HttpRequest, object_type: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
    say = _wordings.get(object_type) or _wordings.get(object_type.partition(".")[0])
    return say(request, state) if say else state


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
