"""The API itself: a NinjaAPI whose answers honour `_fields` and whose errors have Close's shapes."""

from __future__ import annotations

import logging
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from crm.api.answers import error_response, pick, refuse
from crm.api.door import KeyAuth, speaks
from crm.errors import TouchpointError
from crm.refusals import in_words

log = logging.getLogger("touchpoint.api")


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


def _broken(request: HttpRequest, error: Exception) -> Any:
    if isinstance(error, OperationalError) and (refused := in_words(error)):
        return error_response(refused)
    log.exception("%s %s failed (%s)", request.method, request.path, request.id, exc_info=error)
    return refuse(500, f"Something went wrong on our side. Tell the operator this request id: {request.id}.")
