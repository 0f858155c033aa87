"""The API's answers: refusals in Close's shapes, `_fields`, timestamps, what a new object answers (`spec/api.md` 1.5, 1.7, 1.9)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from crm.errors import TouchpointError


def refuse(status: int, sentence: str, **more: Any) -> JsonResponse:
    return JsonResponse({"error": sentence, **more}, status=status)


def error_response(error: TouchpointError) -> JsonResponse:
    """Return a refusal in Close's shapes: validation failures carry `error`, `errors` and `field-errors` together."""
    if error.status != 400:
        return refuse(error.status, error.message)
    return JsonResponse(
        {"error": error.message, "errors": [] if error.fields else [error.message], "field-errors": error.fields},
        status=400,
    )


def created(request: HttpRequest, data: dict[str, Any]) -> HttpResponse:
    """Answer 201 with the new object and where it lives."""
    response = JsonResponse(pick(data, request.GET.get("_fields", "")), status=201)
    response["Location"] = f"{request.path}{data['id']}/"
    return response


def no_content() -> HttpResponse:
    return HttpResponse(status=204)


def keys_named(wanted: str) -> frozenset[str] | None:
    """Return the keys of a comma-joined `_fields`; None when it asks for all."""
    keys = frozenset(key.strip() for key in wanted.split(",") if key.strip())
    return None if not keys or "_all" in keys else keys


def wanted_keys(request: HttpRequest) -> frozenset[str] | None:
    """Return the keys that `_fields` of the query string asks for; None when it asks for all."""
    return keys_named(request.GET.get("_fields", ""))


def pick(data: Any, wanted: str) -> Any:
    """Return an object, or the objects of a list, with the top-level keys that `_fields` names."""
    keys = keys_named(wanted)
    if keys is None or not isinstance(data, dict):
        return data
    if isinstance(data.get("data"), list) and ("has_more" in data or "cursor_next" in data):
        return {**data, "data": [picked(row, keys) for row in data["data"]]}
    return picked(data, keys)


def picked(row: Any, keys: frozenset[str] | None) -> Any:
    """Return an object with these of its keys; None: with all."""
    if keys is None or not isinstance(row, dict):
        return row
    flat = "custom" in keys
    return {key: value for key, value in row.items() if key in keys or (flat and key.startswith("custom."))}


def stamp(moment: datetime | None) -> str | None:
    """`2021-07-13T11:39:05.012000+00:00`: never a `Z`, which Close's own scripts cannot read."""
    if moment is None:
        return None
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()


def naive_stamp(moment: datetime | None) -> str | None:
    """`2022-11-08T12:03:27.631229`: UTC without an offset, as Close writes types, roles and events."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() if moment else None
