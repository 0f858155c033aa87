"""`Idempotency-Key`: a POST that is sent twice happens once, and is answered the same twice.

The key is claimed, the work done and the answer kept in one transaction. So a crash leaves nothing behind, and a second
request that comes while the first is at work waits for the claim and then gets the first one's answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from crm.errors import Conflict, InvalidInput
from crm.models import ApiKey, IdempotencyKey

KEPT = timedelta(days=1)
MAX_KEY = 255
SWEPT_AT_ONCE = 200


class _NotDone(Exception):
    """The request was refused: nothing is kept, and the same key may be sent again."""


def once(request: HttpRequest, key: str, run: Callable[[], HttpResponse]) -> HttpResponse:
    """Return what `run` answers, or what it answered before to the same request with the same key.

    Raises `Conflict` when the key was used with another request. Refusals are not kept: mend the request and send it again.
    """
    if len(key) > MAX_KEY or not key.isprintable():
        raise InvalidInput(f"An Idempotency-Key is a text of at most {MAX_KEY} printable characters.")
    api_key, print_of = request.api_key, fingerprint(request)
    _sweep()
    answered: list[HttpResponse] = []
    try:
        with transaction.atomic():
            try:
                with transaction.atomic():
                    row = IdempotencyKey.objects.create(
                        organization_id=api_key.organization_id, api_key=api_key, key=key, fingerprint=print_of
                    )
            except IntegrityError:
                return _again(api_key, key, print_of)
            response = run()
            answered.append(response)
            if not 200 <= response.status_code < 300:
                raise _NotDone
            row.status, row.body, row.headers = response.status_code, _json(response), _headers(response)
            row.save(update_fields=["status", "body", "headers"])
    except _NotDone:
        pass
    return answered[0]


def fingerprint(request: HttpRequest) -> str:
    """Return what tells one request from another: method, address with its query, body."""
    parts = (str(request.method), request.get_full_path(), "")
    return hashlib.sha256("\n".join(parts).encode() + request.body).hexdigest()


def _again(api_key: ApiKey, key: str, print_of: str) -> HttpResponse:
    row = IdempotencyKey.objects.filter(api_key=api_key, key=key).first()
    if row is None or row.status is None:
        raise Conflict("Another request with this Idempotency-Key is at work. Try again in a moment.")
    if row.fingerprint != print_of:
        raise Conflict("This Idempotency-Key was used with another request. Use a new key for each thing to do.")
    body = b"" if row.body is None else json.dumps(row.body).encode()
    response = HttpResponse(body, status=row.status, content_type="application/json; charset=utf-8")
    for name, value in row.headers.items():
        response[name] = value
    response["Idempotency-Replayed"] = "true"
    return response


def _json(response: HttpResponse) -> Any:
    return json.loads(response.content) if response.content else None


def _headers(response: HttpResponse) -> dict[str, str]:
    return {"Location": response["Location"]} if "Location" in response else {}


def _sweep() -> None:
    """Forget keys of more than a day ago, a few at a time."""
    old = IdempotencyKey.objects.filter(date_created__lt=timezone.now() - KEPT).order_by("date_created")
    if numbers := list(old.values_list("pk", flat=True)[:SWEPT_AT_ONCE]):
        IdempotencyKey.objects.filter(pk__in=numbers).delete()
