"""Per-request context: a request id, the organization of signed-in people, the API's path rules."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import get_random_string

from crm.api_paths import ApiPathMiddleware

__all__ = ["ApiPathMiddleware", "OrganizationMiddleware", "RequestContextMiddleware"]

Handler = Callable[[HttpRequest], HttpResponse]


class RequestContextMiddleware:
    """Give each request an id; it is on every event the request writes and in the answer's headers."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.id = f"req_{get_random_string(22)}"
        response = self.get_response(request)
        response.headers.setdefault("X-Request-Id", request.id)
        return response


class OrganizationMiddleware:
    """Start every request without an actor; `@member_page` sets one."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = None
        request.organization = None
        return self.get_response(request)
