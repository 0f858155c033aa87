"""The OpenAPI document and a page made from it on the server: no CDN, no inline script or style."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from ninja import NinjaAPI

from crm.access import public_page
from crm.webhooks.catalogue import choices


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


def openapi(api: NinjaAPI) -> Callable[..., HttpResponseBase]:
    """Return the view of the OpenAPI 3.1 document."""

    @public_page
    def view(request: HttpRequest) -> HttpResponse:
        return JsonResponse(document(api))

    return view


def docs(api: NinjaAPI) -> Callable[..., HttpResponseBase]:
    """Return the view of the browsable documentation."""

    @public_page
    def view(request: HttpRequest) -> HttpResponse:
        shown = {"groups": groups(api), "subscribable": choices(), "base_url": f"{settings.BASE_URL}/api/v1/"}
        return render(request, "api/docs.html", shown)

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
        "TooFast": {
            "type": "object",
            "properties": {
                "error": {
                    "type": "object",
                    "properties": {
                        "message": {"type": "string"}, "rate_reset": {"type": "integer"}, "rate_limit": {"type": "integer"},
                        "rate_window": {"type": "integer"}, "rate_limit_type": {"type": "string"},
                    },
                },
                "rate_reset": {"type": "integer"},
            },
            "required": ["error", "rate_reset"],
        },
    }  # fmt: skip
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _keep_own_success(operation["responses"])
            _add_examples(operation, *EXAMPLES.get((method, path.removeprefix("/api/v1")), (None, None)))
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
    ("409", "Error", "Changed by somebody else in between, or an Idempotency-Key used twice"),
    ("413", "Error", "More than 10 MB at a time"),
    ("415", "Error", "The body is not JSON"),
    ("429", "TooFast", "Too many requests; `Retry-After` says how many seconds to wait"),
)


def _keep_own_success(responses: dict[str, Any]) -> None:
    """Drop the 200 that every endpoint starts with where it answers 201 or 204, and the body that a 204 has not."""
    if len([code for code in responses if code.startswith("2")]) > 1:
        responses.pop("200", None)
    if "204" in responses:
        responses["204"].pop("content", None)


def _add_examples(operation: dict[str, Any], answers: Any, sends: Any) -> None:
    """Fill in an example answer and body where the endpoint gives none itself."""
    status = next((code for code in operation["responses"] if code.startswith("2")), None)
    if answers is not None and status is not None:
        content = operation["responses"][status].setdefault("content", {}).setdefault("application/json", {})
        content.setdefault("example", answers)
    if sends is not None and "requestBody" in operation:
        operation["requestBody"]["content"].setdefault("application/json", {}).setdefault("example", sends)


def _page_of(row: Any) -> dict[str, Any]:
    return {"data": [row], "has_more": False}


_NOTHING = {"data": [], "has_more": False}
_ROLE = {"id": "user", "name": "User", "editable": False, "permissions": ["delete_own_activities", "view_all_leads"]}
_MEMBERSHIP = {"id": "memb_1…", "user_id": "user_8Q…", "user_email": "ann@example.com", "role_id": "user"}
_GROUP = {"id": "group_2b…", "name": "Sales", "organization_id": "orga_…"}
_STATUS = {"id": "stat_Hr…", "label": "Potential", "color": "blue"}
_TASK = {"id": "task_5c…", "lead_id": "lead_9f…", "text": "Call back", "date": "2026-12-01", "is_complete": False}
_VIEW = {
    "id": "save_3e…", "name": "Untouched", "type": "lead", "is_shared": False,
    "s_query": {"query": {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}},
}  # fmt: skip
_SCHEMA = {
    "object_type": "lead",
    "fields": [{"id": "cf_3W…", "name": "CRM", "type": "choices", "choices": ["HubSpot"]}],
}
_ORDER = {"fields": [{"id": "cf_9k…"}, {"id": "cf_3W…"}]}
_ABSENT = (
    "opportunity", "status/opportunity", "pipeline", "email_template", "sms_template", "sequence", "sequence_subscription",
    "send_as", "connected_account", "dialer", "phone_number", "integration_link", "custom_object_type",
    "custom_field/custom_object_type", "custom_field/opportunity", "outcome", "activity/emailthread",
    "activity/status_change/opportunity", "activity/whatsapp_message", "activity/form_submission",
    "user/availability",
)  # fmt: skip
# (method, path) → example answer, example body; for endpoints that give none where they are declared.
EXAMPLES: dict[tuple[str, str], tuple[Any, Any]] = {
    ("get", "/organization/{organization_id}/"): ({"id": "orga_…", "name": "Acme", "memberships": [_MEMBERSHIP]}, None),
    ("get", "/role/"): (_page_of(_ROLE), None),
    ("get", "/role/{role_id}/"): (_ROLE, None),
    ("post", "/role/"): (_ROLE, {"name": "Closer", "permissions": ["view_all_leads"]}),
    ("put", "/role/{role_id}/"): (_ROLE, {"permissions": ["view_all_leads", "export"]}),
    ("put", "/membership/{membership_id}/"): (_MEMBERSHIP, {"role_id": "superuser"}),
    ("get", "/group/"): (_page_of(_GROUP), None),
    ("post", "/group/"): (_GROUP, {"name": "Sales"}),
    ("get", "/group/{group_id}/"): (_GROUP, None),
    ("put", "/group/{group_id}/"): (_GROUP, {"name": "Sales"}),
    ("get", "/api_key/"): (_page_of({"id": "api_4d…", "name": "Website forms", "read_only": False}), None),
    ("get", "/status/lead/{status_id}/"): (_STATUS, None),
    ("put", "/status/lead/{status_id}/"): (_STATUS, {"label": "Warm"}),
    ("get", "/task/{task_id}/"): (_TASK, None),
    ("get", "/saved_search/"): (_page_of(_VIEW), None),
    ("post", "/saved_search/"): (_VIEW, {"name": "Untouched", "s_query": _VIEW["s_query"]}),
    ("get", "/saved_search/{view_id}/"): (_VIEW, None),
    ("put", "/saved_search/{view_id}/"): (_VIEW, {"name": "Untouched", "is_shared": True}),
    **{
        ("get", f"/custom_field_schema/{owner}/"): (_SCHEMA, None)
        for owner in ("lead", "contact", "activity/{type_id}")
    },
    **{
        ("put", f"/custom_field_schema/{owner}/"): (_SCHEMA, _ORDER)
        for owner in ("lead", "contact", "activity/{type_id}")
    },
    **{("get", f"/{path}/"): (_NOTHING, None) for path in _ABSENT},
}


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
