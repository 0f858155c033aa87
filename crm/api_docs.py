"""The OpenAPI document and a page made from it on the server: no CDN, no inline script or style."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from ninja import NinjaAPI

from crm.access import public_page


@dataclass(frozen=True)
class Endpoint:
    """One method of one address. `sends` and `answers`: example JSON, or an empty text."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[tuple[str, str], ...]
    sends: str
    answers: str
    status: str


@dataclass(frozen=True)
class Group:
    name: str
    anchor: str
    endpoints: tuple[Endpoint, ...]


def openapi(api: NinjaAPI) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of the OpenAPI 3.1 document."""

    @public_page
    def view(request: HttpRequest) -> HttpResponse:
        return JsonResponse(document(api))

    return view


def docs(api: NinjaAPI) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of the browsable documentation."""

    @public_page
    def view(request: HttpRequest) -> HttpResponse:
        return render(request, "api/docs.html", {"groups": groups(api), "base_url": f"{settings.BASE_URL}/api/v1/"})

    return view


@cache
def document(api: NinjaAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the error answers every endpoint shares."""
    found = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    found["servers"] = [{"url": settings.BASE_URL}]
    sentence = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {
        "Error": sentence,
        "ValidationError": {
            "type": "object",
            "properties": {
                "error": {"type": "string"},
                "errors": {"type": "array", "items": {"type": "string"}},
                "field-errors": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["error"],
        },
    }
    for methods in found["paths"].values():
        for operation in methods.values():
            for status, name, words in _ERRORS:
                operation["responses"].setdefault(
                    status,
                    {
                        "description": words,
                        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
                    },
                )
    return found


_ERRORS = (
    ("400", "ValidationError", "What was sent cannot be accepted; `field-errors` names each part"),
    ("401", "Error", "No key, a wrong, expired or revoked one"),
    ("402", "Error", "A limit of the plan was reached"),
    ("403", "Error", "Not allowed; the sentence says why"),
    ("404", "Error", "Not there, or not yours"),
    ("409", "Error", "Changed by somebody else in between"),
)


@cache
def groups(api: NinjaAPI) -> tuple[Group, ...]:
    """Return the endpoints by tag, ready for the page."""
    found: dict[str, list[Endpoint]] = {}
    for path, methods in document(api)["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["Other"])[0]
            found.setdefault(tag, []).append(_endpoint(path, method, operation))
    return tuple(
        Group(name, name.lower().replace(" ", "-").replace(",", ""), tuple(rows)) for name, rows in found.items()
    )


def _endpoint(path: str, method: str, operation: dict[str, Any]) -> Endpoint:
    status = next((code for code in operation["responses"] if code.startswith("2")), "200")
    return Endpoint(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=tuple(
            (row["name"], row.get("description", "")) for row in operation.get("parameters", []) if row["in"] == "query"
        ),
        sends=_example(operation.get("requestBody", {})),
        answers=_example(operation["responses"][status]),
        status=status,
    )


def _example(part: dict[str, Any]) -> str:
    example = part.get("content", {}).get("application/json", {}).get("example")
    return "" if example is None else json.dumps(example, indent=2, ensure_ascii=False)
