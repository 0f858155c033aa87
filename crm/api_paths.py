"""Path rules of the API: slashes never matter and never redirect; a POST may say it is another method (`api.md` 1.1)."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_PREFIX = "/api/v1/"
_PLURAL = re.compile(r"^/api/v1/custom_fields/")
_OVERRIDABLE = {"GET", "PUT", "DELETE"}


class ApiPathMiddleware:
    """Collapse repeated slashes, add the final one, and honour `X-HTTP-Method-Override` below `/api/v1/`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = re.sub(r"/{2,}", "/", request.path_info)
        if path.startswith(_PREFIX):
            if not path.endswith(("/", ".json")):
                path += "/"
            request.path_info = request.path = _PLURAL.sub("/api/v1/custom_field/", path)
            override = request.headers.get("X-HTTP-Method-Override", "").upper()
            if request.method == "POST" and override in _OVERRIDABLE:
                request.method = request.META["REQUEST_METHOD"] = override
        return self.get_response(request)
