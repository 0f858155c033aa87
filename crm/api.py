"""Close's dialect of REST, spoken in one place: keys, errors, paging, `_fields`, filters, timestamps (`spec/api.md` 1).

Endpoints live in each app's `api.py` as short functions that parse, call a service and return a dict. `CloseApi` wraps
every one of them: it finds the actor of the API key, opens the organization's scope, and turns refusals into JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.security.base import AuthBase
from pydantic import BaseModel, ConfigDict

from crm import events, ids
from crm.api_keys import find_key
from crm.customfields.catalog import Use
from crm.customfields.lookups import Lookups, UserRef
from crm.errors import InvalidInput, TouchpointError
from crm.fieldkinds import InvalidValue, many
from crm.models import Membership, Team, User
from crm.permissions import can_view_field
from crm.tenancy import scope

log = logging.getLogger("touchpoint.api")
MAX_PAGE = 100
READS_BY_POST = ("/api/v1/data/search/", "/api/v1/report/activity/")


class Body(BaseModel):
    """A JSON object. Unknown keys are kept (`custom.cf_…`) and otherwise ignored, as Close's clients expect."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    def given(self) -> dict[str, Any]:
        """Return what was sent, unknown keys included."""
        return self.model_dump(exclude_unset=True)


# --- who asks ---------------------------------------------------------------------------------------------------------
class KeyAuth(AuthBase):
    """An API key as the user name of HTTP Basic, or as a Bearer token. `speaks` has checked it already."""

    openapi_type = "http"

    def __init__(self, scheme: str) -> None:
        self.openapi_scheme = scheme
        super().__init__()

    def __call__(self, request: HttpRequest) -> Membership | None:
        return request.actor


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
        key = find_key(_plain_key(request))
        if key is None:
            response = refuse(401, "Unauthorized")
            response["WWW-Authenticate"] = 'Basic realm="Touchpoint API"'
            return response
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
            request.zone = _zone(request, actor)
        except InvalidInput as error:
            return error_response(error)
        door = events.door("api", request_id=request.id, api_key_id=key.pk)
        with scope(actor.organization), timezone.override(request.zone), door:
            response = run(request, **kwargs)
        response["Cache-Control"] = "private, no-store"
        response["Vary"] = "Authorization"
        return response

    return guarded


def _read_body(request: HttpRequest) -> HttpResponse | None:
    """Set `request.json` from the body; return a refusal for what is not JSON."""
    request.json = {}
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


# --- answers ----------------------------------------------------------------------------------------------------------
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


class _Parsed(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        return request.json


class CloseApi(NinjaAPI):
    """A NinjaAPI whose answers honour `_fields` and whose errors have Close's shapes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(parser=_Parsed(), auth=[KeyAuth("basic"), KeyAuth("bearer")], **settings)
        self.add_decorator(speaks, mode="view")
        self.add_exception_handler(TouchpointError, lambda request, error: error_response(error))
        self.add_exception_handler(ValidationError, lambda request, error: _invalid(error))
        self.add_exception_handler(HttpError, lambda request, error: refuse(error.status_code, str(error)))
        self.add_exception_handler(Http404, lambda request, error: refuse(404, "There is no such object."))
        self.add_exception_handler(Exception, _broken)

    def create_response(self, request: HttpRequest, data: Any, **more: Any) -> HttpResponse:
        return super().create_response(request, pick(data, request.GET.get("_fields", "")), **more)


def _invalid(error: ValidationError) -> JsonResponse:
    fields: dict[str, str] = {}
    general: list[str] = []
    for problem in error.errors:
        where = [str(part) for part in problem["loc"][2:]] or [str(part) for part in problem["loc"][1:]]
        words = "This field is required." if problem["type"] == "missing" else str(problem["msg"])
        if len(problem["loc"]) > 2 or problem["loc"][0] == "query":
            fields.setdefault(where[0], words if len(where) == 1 else f"{'.'.join(where[1:])}: {words}")
        else:
            general.append("The request must be a JSON object.")
    sentences = [*general, *(f"{key}: {words}" for key, words in fields.items())]
    return JsonResponse({"error": " ".join(sentences), "errors": general, "field-errors": fields}, status=400)


def _broken(request: HttpRequest, error: Exception) -> JsonResponse:
    log.exception("%s %s failed (%s)", request.method, request.path, request.id, exc_info=error)
    return refuse(500, f"Something went wrong on our side. Tell the operator this request id: {request.id}.")


def created(request: HttpRequest, data: dict[str, Any]) -> HttpResponse:
    """Answer 201 with the new object and where it lives."""
    response = JsonResponse(pick(data, request.GET.get("_fields", "")), status=201)
    response["Location"] = f"{request.path}{data['id']}/"
    return response


def no_content() -> HttpResponse:
    return HttpResponse(status=204)


def pick(data: Any, wanted: str) -> Any:
    """Return an object, or the objects of a list, with the top-level keys that `_fields` names."""
    keys = [key.strip() for key in wanted.split(",") if key.strip()]
    if not keys or "_all" in keys or not isinstance(data, dict):
        return data
    if isinstance(data.get("data"), list) and "has_more" in data:
        return {**data, "data": [pick(row, wanted) for row in data["data"]]}
    flat = "custom" in keys
    return {key: value for key, value in data.items() if key in keys or (flat and key.startswith("custom."))}


def stamp(moment: datetime | None) -> str | None:
    """`2021-07-13T11:39:05.012000+00:00`: never a `Z`, which Close's own scripts cannot read."""
    return moment.astimezone(UTC).isoformat() if moment else None


def naive_stamp(moment: datetime | None) -> str | None:
    """`2022-11-08T12:03:27.631229`: UTC without an offset, as Close writes types, roles and events."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() if moment else None


# --- lists ------------------------------------------------------------------------------------------------------------
def window(request: HttpRequest, maximum: int = MAX_PAGE, max_skip: int | None = None) -> tuple[int, int]:
    """Return `_skip` and `_limit`; raises `InvalidInput` for what is out of range."""
    limit = _whole(request, "_limit", min(100, maximum))
    if limit > maximum:
        raise InvalidInput(fields={"_limit": f"Input should be less than or equal to {maximum}"})
    skip = _whole(request, "_skip", 0)
    if max_skip is not None and skip > max_skip:
        # tap-closeio looks for “max_skip = ” and starts again from its bookmark.
        words = f"Input should be less than or equal to {max_skip}"
        raise InvalidInput(f"_skip is too large: max_skip = {max_skip}. Narrow the query.", fields={"_skip": words})
    return skip, limit


def _whole(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d{1,12}", text):
        raise InvalidInput(fields={name: "Input should be a whole number, 0 or more"})
    return int(text)


def listing(
    request: HttpRequest,
    rows: models.QuerySet | Sequence[Any],
    to_json: Callable[[list[Any]], Iterable[dict[str, Any]]],
    *,
    maximum: int = MAX_PAGE,
    max_skip: int | None = None,
    total: bool = False,
) -> dict[str, Any]:
    """Return one page of rows. `to_json` turns a page into objects at once, so that it can load what they need."""
    skip, limit = window(request, maximum, max_skip)
    found = list(rows[skip : skip + limit + 1])
    answer: dict[str, Any] = {"data": list(to_json(found[:limit])), "has_more": len(found) > limit}
    if total:
        answer["total_results"] = rows.count() if isinstance(rows, models.QuerySet) else len(rows)
    return answer


def empty_list(**more: Any) -> dict[str, Any]:
    return {"data": [], "has_more": False, **more}


# --- query strings ----------------------------------------------------------------------------------------------------
def listed(request: HttpRequest, name: str) -> list[str] | None:
    """Return the values of `name` and `name__in`, comma-joined or repeated; None when neither is there."""
    found = [*request.GET.getlist(name), *request.GET.getlist(f"{name}__in")]
    if not found:
        return None
    return [part.strip() for text in found for part in text.split(",") if part.strip()]


def numbers(prefix: str, public_ids: Iterable[str]) -> list[int]:
    """Return the row numbers of public ids; ids of nothing are left out."""
    return [number for number in (ids.decode(prefix, public_id) for public_id in public_ids) if number]


def user_numbers(public_ids: Iterable[str]) -> set[int]:
    """Return user row ids of user and group ids."""
    public_ids = list(public_ids)
    found = set(numbers("user", public_ids))
    if groups := numbers("group", public_ids):
        found.update(User.objects.filter(teams__in=Team.objects.filter(pk__in=groups)).values_list("pk", flat=True))
    return found


def flag(request: HttpRequest, name: str) -> bool | None:
    """Return a boolean of the query string: `True`, `true`, `1` …; None when absent."""
    text = request.GET.get(name, "").lower()
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text)


def moment(text: Any, name: str, zone: Any) -> datetime:
    """Return an aware instant of ISO text; a date is midnight, and no offset means the asker's zone."""
    # A plus sign of an offset arrives as a blank where a client did not escape it.
    shaped = re.sub(r" (\d\d:?\d\d)$", r"+\1", str(text).strip())
    try:
        found = datetime.fromisoformat(shaped)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            fields={name: f"“{str(text)[:40]}” is not a date. Write it as 2026-01-31T14:30:00+00:00."}
        ) from None


def day(text: Any, name: str) -> date | None:
    """Return a calendar day of ISO text; None for nothing."""
    if not text:
        return None
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        raise InvalidInput(fields={name: f"“{str(text)[:40]}” is not a date. Write it as 2026-01-31."}) from None


def between(request: HttpRequest, rows: models.QuerySet, *columns: str) -> models.QuerySet:
    """Apply `column__gt|gte|lt|lte` of the query string."""
    for column in columns:
        for end in ("gt", "gte", "lt", "lte"):
            name = f"{column}__{end}"
            if text := request.GET.get(name):
                rows = rows.filter(**{name: moment(text, name, request.zone)})
    return rows


# --- people and custom values -----------------------------------------------------------------------------------------
def lookups(request: HttpRequest) -> Lookups:
    """Return the request's look-ups of members and contacts, loaded once."""
    if not hasattr(request, "lookups"):
        request.lookups = Lookups(request.organization)
    return request.lookups


def name_of(request: HttpRequest, user_id: int | None) -> str | None:
    found: UserRef | None = lookups(request).user(user_id)
    return found.name if found else None


def user_id_of(number: int | None) -> str | None:
    return ids.encode("user", number) if number else None


def member_user(request: HttpRequest, text: Any, key: str) -> User | None:
    """Return the member (former ones too) that an id, email or name means; None for nothing. Raises `InvalidInput`."""
    if text in (None, ""):
        return None
    ref = lookups(request).find_user(str(text))
    if ref is None:
        raise InvalidInput(fields={key: f"“{str(text)[:60]}” is not a member of this organization."})
    return User.objects.get(pk=ref.id)


def custom_json(request: HttpRequest, uses: Iterable[Use], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat `custom.cf_…` keys of the fields that hold a value and that the actor may see."""
    found = {}
    for use in uses:
        stored = values.get(str(use.field.id))
        if stored is not None and can_view_field(request.actor, use):
            found[f"custom.{use.field.public_id}"] = use.field.kind.to_api(stored, use.field, lookups(request))
    return found


def custom_given(
    request: HttpRequest, uses: Sequence[Use], body: Mapping[str, Any], current: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return raw values by field id or name from a body; None when it holds none.

    Understood: `custom.cf_…` and `custom.<Field name>` keys, a `custom` object (by name), a `custom_fields` object (by
    id), and `custom.<…>.add` / `.remove` for fields with several values.
    """
    found: dict[str, Any] = {}
    known = {key: use for use in uses for key in (use.field.public_id, use.field.name)}
    for bag in ("custom", "custom_fields"):
        if isinstance(body.get(bag), Mapping):
            found |= {str(key).removeprefix("custom."): value for key, value in body[bag].items()}
    for key, value in body.items():
        if not key.startswith("custom."):
            continue
        name = key.removeprefix("custom.")
        bare, _, verb = name.rpartition(".")
        if name not in known and bare in known and verb in ("add", "remove"):
            use = known[bare]
            held = found.get(use.field.public_id, (current or {}).get(str(use.field.id)))
            found[use.field.public_id] = _changed_list(request, use, verb, held, value)
        else:
            found[name] = value
    return found or None


def _changed_list(request: HttpRequest, use: Use, verb: str, held: Any, value: Any) -> Any:
    field, key = use.field, f"custom.{use.field.public_id}"
    if not field.multiple:
        raise InvalidInput(fields={key: f"{field.name} holds one value: set it instead of “.{verb}”."})
    kept = [
        item if isinstance(item, str) else field.kind.to_api_one(item, field, lookups(request)) for item in many(held)
    ]
    try:
        cleaned = field.kind.clean(value, field, lookups(request), request.actor.zone)
    except InvalidValue as error:
        raise InvalidInput(fields={key: str(error)}) from None
    named = [field.kind.to_api_one(item, field, lookups(request)) for item in many(cleaned)]
    if verb == "add":
        return [*kept, *(item for item in named if item not in kept)]
    return [item for item in kept if item not in named]


# --- objects across apps ----------------------------------------------------------------------------------------------
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
