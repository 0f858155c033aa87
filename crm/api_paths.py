"""Path rules of the API: slashes never matter and never redirect; a POST may say it is another method (`api.md` 1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict

_PREFIX = "/api/v1/"
_PLURAL = re.compile(r"^/api/v1/custom_fields/")
# Old scripts ask for `api_key/<the key itself>/`: logs and messages have no use for the secret half of it.
_SECRET = re.compile(r"(api_[0-9A-Za-z]{22}\.)[0-9A-Za-z]+")
_OVERRIDABLE = {"GET", "PUT", "DELETE"}
_SENTENCES = {
    400: "The request could not be read.",
    404: "There is nothing at {path}. GET /api/v1/openapi.json lists every address.",
    405: "{path} does not accept {method}.",
    500: "Something went wrong on our side.",
}


class ApiPathMiddleware:
    """Collapse repeated slashes, add the final one, honour `X-HTTP-Method-Override`, and answer errors in JSON below `/api/v1/`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = re.sub(r"/{2,}", "/", request.path_info)
        if not f"{path}/".startswith(_PREFIX):
            return self.get_response(request)
        if not path.endswith(("/", ".json")):
            path += "/"
        request.path_info = _PLURAL.sub("/api/v1/custom_field/", path)
        request.path = _SECRET.sub(r"\1***", request.path_info)
        override = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and override in _OVERRIDABLE:
            if override == "GET" and not _take_params(request):
                return JsonResponse({"error": "The request contains invalid JSON."}, status=400)
            request.method = request.META["REQUEST_METHOD"] = override
        return _in_json(request, self.get_response(request))


def _take_params(request: HttpRequest) -> bool:
    """Make the `_params` of a tunnelled GET its query string; False when the body is not JSON."""
    if not request.body.strip():
        return True
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return False
    params = body.get("_params") if isinstance(body, Mapping) else None
    if isinstance(params, Mapping):
        query = QueryDict(mutable=True)
        query.update(request.GET)
        for name, value in params.items():
            query.setlist(str(name), [str(item) for item in value] if isinstance(value, list) else [str(value)])
        request.GET = query
    return True


def _in_json(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return an error that Django answered itself (no such URL, method not allowed) as JSON, its headers kept."""
    if response.status_code < 400 or response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    sentence = _SENTENCES.get(response.status_code, "The request was refused.")
    answer = JsonResponse(
        {"error": sentence.format(path=request.path, method=request.method)}, status=response.status_code
    )
    for name in ("Allow", "X-Request-Id"):
        if name in response.headers:
            answer[name] = response.headers[name]
    return answer
