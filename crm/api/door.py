"""Who asks, and in which words: the key, its actor's scope, the zone, the JSON body (`spec/api.md` 1.2, 1.3)."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja.security.base import AuthBase
from pydantic import BaseModel, ConfigDict

from crm import events, idempotency, rate_limits
from crm.api.answers import error_response, refuse
from crm.api_keys import find_key, why_refused
from crm.errors import InvalidInput, TouchpointError
from crm.models import ApiKey, Membership
from crm.tenancy import scope

READS_BY_POST = ("/api/v1/data/search/", "/api/v1/report/activity/")
TAKES_FILES = "/api/v1/import/"


class Body(BaseModel):
    """A JSON object. Unknown keys are kept (`custom.cf_…`) and otherwise ignored, as Close's clients expect."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    def given(self) -> dict[str, Any]:
        """Return what was sent, unknown keys included."""
        return self.model_dump(exclude_unset=True)


class KeyAuth(AuthBase):
    """An API key as the user name of HTTP Basic, or as a Bearer token. `speaks` has checked it already."""

    openapi_type = "http"

    def __init__(self, scheme: str) -> None:
        self.openapi_scheme = scheme
        super().__init__()

    def __call__(self, request: HttpRequest) -> Membership | None:
        return request.actor


def asking_as(actor: Membership) -> HttpRequest:
    """Return a request in which the actor asks, for renderers outside one. The caller opens the scope."""
    request = HttpRequest()
    request.method, request.path, request.id, request.api_key = "GET", "", "", None
    request.actor, request.organization, request.zone = actor, actor.organization, actor.zone
    return request


def _plain_key(request: HttpRequest) -> str:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


class Offset(tzinfo):
    """The fixed zone of an `X-TZ-Offset` header. `key` is its name, as a ZoneInfo has one."""

    def __init__(self, offset: timedelta) -> None:
        self.offset = offset
        minutes = int(offset.total_seconds() // 60)
        self.key = (
            f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "UTC"
        )

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return self.offset

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Offset) and other.offset == self.offset

    def __hash__(self) -> int:
        return hash(self.offset)

    def __reduce__(self) -> tuple[Any, ...]:
        return Offset, (self.offset,)


def _zone(request: HttpRequest, actor: Membership) -> Any:
    """Return the zone of `X-TZ-Offset` (hours, may be `-0.0` or `-2.5`), else the member's."""
    text = request.headers.get("X-TZ-Offset", "").strip()
    if not text:
        return actor.zone
    try:
        hours = float(text)
        if not -24 < hours < 24:
            raise ValueError
    except ValueError:
        raise InvalidInput(f"The header X-TZ-Offset must be hours such as -4 or 5.5; “{text[:20]}” is not.") from None
    return Offset(timedelta(minutes=round(hours * 60)))


def speaks(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Wrap one endpoint: the key's actor, the organization's scope, the API's door, the JSON body."""

    @wraps(run)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        key = find_key(plain := _plain_key(request))
        if key is None:
            response = refuse(401, why_refused(plain))
            response["WWW-Authenticate"] = 'Basic realm="Touchpoint API"'
            return response
        allowance = rate_limits.take(key.prefix, f"organization {key.organization_id}")
        if allowance is not None and allowance.wait:
            return _too_fast(allowance)
        response = _answered(request, key, run, kwargs)
        if allowance is not None:
            response["RateLimit"] = allowance.header
        response["Cache-Control"] = "private, no-store"
        response["Vary"] = "Authorization"
        return response

    return guarded


def _answered(
    request: HttpRequest, key: ApiKey, run: Callable[..., HttpResponse], kwargs: dict[str, Any]
) -> HttpResponse:
    actor = key.membership
    writes = request.method not in ("GET", "HEAD") and request.path not in READS_BY_POST
    if key.read_only and writes:
        return refuse(403, f"The API key “{key.name}” may only read. Use a key that may write.")
    request.actor, request.organization, request.api_key = actor, actor.organization, key
    if any("\x00" in text for values in request.GET.lists() for text in (values[0], *values[1])):
        return refuse(400, "The address contains a NUL character. Remove it.")
    if (refusal := _read_body(request)) is not None:
        return refusal
    try:
        request.zone = actor.zone_asked = _zone(request, actor)
    except InvalidInput as error:
        return error_response(error)
    where = {"request_method": request.method, "request_path": request.path}
    door = events.door("api", request_id=request.id, api_key_id=key.pk, meta=where)
    with scope(actor.organization), timezone.override(request.zone), door:
        return _run(request, run, kwargs, writes)


def _run(request: HttpRequest, run: Callable[..., HttpResponse], kwargs: dict[str, Any], writes: bool) -> HttpResponse:
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key or request.method != "POST" or not writes:
        return run(request, **kwargs)
    try:
        return idempotency.once(request, key, lambda: run(request, **kwargs))
    except TouchpointError as error:
        return error_response(error)


def _too_fast(allowance: rate_limits.Allowance) -> HttpResponse:
    """Answer 429 in a body that serves every client known (`api.md` 1.10)."""
    seconds = max(1, math.ceil(allowance.wait))
    words = f"Too many requests for one {allowance.of}. Wait {seconds} s."
    error = {
        "message": words, "rate_reset": seconds, "rate_limit": allowance.limit,
        "rate_window": rate_limits.BURST_SECONDS, "rate_limit_type": allowance.of,
    }  # fmt: skip
    response = JsonResponse({"error": error, "rate_reset": seconds}, status=429)
    response["Retry-After"] = str(seconds)
    response["RateLimit"] = f"limit={allowance.limit}, remaining=0, reset={seconds}"
    for name, value in (("Limit", allowance.limit), ("Remaining", 0), ("Reset", seconds)):
        response[f"X-Rate-Limit-{name}"] = str(value)
    return response


def _read_body(request: HttpRequest) -> HttpResponse | None:
    """Set `request.json` from the body; return a refusal for what is not JSON."""
    request.json = {}
    if request.content_type == "multipart/form-data" and request.path.startswith(TAKES_FILES):
        return None  # `request.FILES` reads it, without holding it in memory
    try:
        raw = request.body
    except RequestDataTooBig:
        return refuse(413, "The request is too large. Send at most 10 MB at a time.")
    if request.method not in ("POST", "PUT") or not raw.strip():
        return None
    if request.content_type != "application/json":
        return refuse(415, f"Send JSON with Content-Type: application/json, not {request.content_type or 'nothing'}.")
    try:
        request.json = json.loads(raw, parse_constant=_no_constant)
        broken = _broken_keys(request.json) if b"\\u" in raw else []
    except (ValueError, RecursionError):
        return refuse(400, "The request contains invalid JSON.")
    if broken:
        return error_response(InvalidInput(fields=dict.fromkeys(broken, "Remove the NUL or broken characters.")))
    return None


def _broken_keys(body: Any) -> list[str]:
    """Return the top-level keys whose text no database can keep: NUL characters and halves of surrogate pairs.

    Custom values are left to their field kinds, which say it by the field's name.
    """
    pairs = body.items() if isinstance(body, dict) else [("body", body)]
    return [
        key.encode("utf-8", "replace").decode()
        for key, value in pairs
        if _is_broken(key) or (not key.startswith("custom") and _is_broken(value))
    ]


def _is_broken(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, dict):
        return any(_is_broken(key) or _is_broken(item) for key, item in value.items())
    return isinstance(value, list) and any(_is_broken(item) for item in value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
