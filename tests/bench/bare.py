# ruff: noqa: E402  (settings come first; the SQL is composed of our own names)
"""The same three things by hand, for tests/bench/api.py to compare with: SQL in Django views, behind no middleware.

They do what a careful person would write for just these requests: find the key by its hash, check the body, read and write
the same rows of the same tables, answer the same keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

import django
from django.conf import settings

django.setup()
settings.MIDDLEWARE = []
settings.ROOT_URLCONF = "tests.bench.bare"

from django.core.handlers.wsgi import WSGIHandler

application = WSGIHandler()

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils.crypto import get_random_string

from crm import ids


def _ask(sql: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


def _who(request: HttpRequest) -> dict[str, Any]:
    """Return whose key it is, if it is one that lives."""
    plain = b64decode(request.headers["Authorization"].partition(" ")[2]).decode().partition(":")[0]
    prefix, _, secret = plain.partition(".")
    row = _ask(
        "SELECT k.id, k.secret_hash, k.expires_at, k.read_only, m.removed_at, u.is_active, u.id, u.first_name, u.last_name, u.email, m.organization_id"
        " FROM crm_apikey k JOIN crm_membership m ON m.id = k.membership_id JOIN crm_user u ON u.id = m.user_id"
        " JOIN crm_organization o ON o.id = m.organization_id JOIN crm_role r ON r.id = m.role_id"
        " WHERE k.prefix = %s AND k.revoked_at IS NULL",
        prefix,
    )
    assert row and hmac.compare_digest(row[1], hashlib.sha256(secret.encode()).hexdigest())
    assert not row[2] and not row[3] and not row[4] and row[5]
    return {"key": row[0], "user": row[6], "name": f"{row[7]} {row[8]}".strip() or row[9], "organization": row[10]}


@cache
def _kind() -> dict[str, Any]:
    """Return the type that is logged: its fields by key, and the choices by label."""
    number = _ask("SELECT id, fieldset_id FROM activities_activitytype WHERE builtin = '' ORDER BY id LIMIT 1")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT f.id, f.kind FROM crm_customfield f JOIN crm_fielduse u ON u.field_id = f.id WHERE u.fieldset_id = %s ORDER BY u.position, u.id",
            [number[1]],
        )
        fields = [(row[0], row[1], f"custom.{ids.encode('cf', row[0])}") for row in cursor.fetchall()]
        cursor.execute("SELECT label, id FROM crm_fieldoption WHERE field_id IN (SELECT field_id FROM crm_fielduse WHERE fieldset_id = %s)", [number[1]])  # fmt: skip
        options = dict(cursor.fetchall())
    labels = {option: label for label, option in options.items()}
    return {"id": number[0], "fields": fields, "options": options, "labels": labels}


def _stored(kind: str, value: Any) -> tuple[str, Any, Any]:
    """Return the table of a value's index row, what it holds, and what the activity holds."""
    if kind == "number":
        return "value_number", Decimal(value), str(value)
    if kind == "date":
        return "value_moment", _moment(datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)), value
    if kind == "choices":
        return "value_ref", (option := _kind()["options"][value]), option
    assert isinstance(value, str)
    return "value_text", value, value


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _insert(table: str, names: str, *rows: tuple[Any, ...], after: str = "") -> Any:
    marks = ", ".join(f"({', '.join(['%s'] * len(row))})" for row in rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) VALUES {marks} {after}", [value for row in rows for value in row]
        )
        return cursor.fetchone()[0] if after.startswith("RETURNING") else None


def create(request: HttpRequest) -> JsonResponse:
    """Log an activity: its row, its index rows, the lead's facts, the month's counter, its two events."""
    who, body, kind, now = _who(request), json.loads(request.body), _kind(), datetime.now(UTC)
    at, organization = _moment(now), who["organization"]
    lead = _ask("SELECT id, name FROM leads_lead WHERE organization_id = %s AND id = %s", organization, ids.decode("lead", body["lead_id"]))[0]  # fmt: skip
    assert ids.decode("actitype", body["custom_activity_type_id"]) == kind["id"]
    stored = [(pk, _stored(of, body[key])) for pk, of, key in kind["fields"] if key in body]
    values = {str(pk): held for pk, (_, _, held) in stored}
    least, most = ("LEAST", "GREATEST") if connection.vendor == "postgresql" else ("min", "max")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE crm_usagecounter SET used = used + 1 WHERE organization_id = %s AND month = %s", [organization, now.date().replace(day=1).isoformat()])  # fmt: skip
        new = _insert(
            "activities_activity",
            'organization_id, lead_id, type_id, status, user_id, created_by_id, updated_by_id, date_created, date_updated, activity_at, published_at, created_on, revision, "values"',
            (
                organization, lead, kind["id"], "published", who["user"], who["user"], who["user"], at, at, at, at,
                now.date().isoformat(), 1, json.dumps(values),
            ),
            after="RETURNING id",
        )  # fmt: skip
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for pk, (table, indexed, _) in stored:
            rows.setdefault(table, []).append((pk, lead, new, indexed))
        for table, found in rows.items():
            _insert(table, "field_id, lead_id, record_key, v", *found)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE leads_lead SET last_activity_at = {most}(COALESCE(last_activity_at, %s), %s) WHERE organization_id = %s AND id = %s", [at, at, organization, lead])  # fmt: skip
        _insert(
            "lead_activity_fact", "type_id, lead_id, count, first_at, last_at", (kind["id"], lead, 1, at, at),
            after="ON CONFLICT (type_id, lead_id) DO UPDATE SET count = lead_activity_fact.count + excluded.count,"
            f" first_at = {least}(lead_activity_fact.first_at, excluded.first_at), last_at = {most}(lead_activity_fact.last_at, excluded.last_at)",
        )  # fmt: skip
        state = {
            "type_id": kind["id"], "status": "published", "user_id": who["user"], "contact_id": None, "activity_at": now.isoformat(),
            "published_at": now.isoformat(), "date_created": now.isoformat(), "created_by_id": who["user"], "pinned_at": None,
            "external_id": None, "draft_data": None, **{f"custom.{pk}": value for pk, value in values.items()},
        }  # fmt: skip
        event = (
            "activity.custom_activity",
            new,
            lead,
            who["user"],
            who["key"],
            "api",
            f"req_{get_random_string(22)}",
            "[]",
        )
        meta = json.dumps({"request_method": request.method, "request_path": request.path})
        _insert(
            "crm_event",
            "organization_id, action, object_type, object_id, lead_id, user_id, api_key_id, door, request_id, changed, after, meta, date_created",
            (organization, "created", *event, json.dumps(state), meta, at),
            (organization, "published", *event, None, meta, at),
        )
    row = (new, lead, None, who["user"], who["user"], who["user"], now, now, now, None, None, now, "published", values)
    return JsonResponse(_json(row, who))


def _stamp(moment: datetime | None) -> str | None:
    return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _json(row: Any, who: dict[str, Any]) -> dict[str, Any]:
    kind = _kind()
    said = {"choices": kind["labels"].get, "number": lambda text: float(text) if "." in text else int(text)}
    values = json.loads(row[13]) if isinstance(row[13], str) else row[13]
    names = {who["user"]: who["name"]}
    shown = {
        "id": ids.encode("acti", row[0]),
        "_type": "CustomActivity",
        "lead_id": ids.encode("lead", row[1]),
        "contact_id": row[2] and ids.encode("cont", row[2]),
        "user_id": ids.encode("user", row[3]),
        "user_name": names.get(row[3]),
        "users": [],
        "organization_id": ids.encode("orga", who["organization"]),
        "created_by": ids.encode("user", row[4]),
        "created_by_name": names.get(row[4]),
        "updated_by": ids.encode("user", row[5]),
        "updated_by_name": names.get(row[5]),
        "date_created": _stamp(row[6]),
        "date_updated": _stamp(row[7]),
        "activity_at": _stamp(row[8]),
        "pinned": row[9] is not None,
        "pinned_at": _stamp(row[9]),
        "external_id": row[10],
        "published_at": _stamp(row[11]),
        "custom_activity_type_id": ids.encode("actitype", kind["id"]),
        "status": row[12],
        "last_published_at": _stamp(row[11]),
    }
    for pk, of, key in kind["fields"]:
        if (value := values.get(str(pk))) is not None:
            shown[key] = said[of](value) if of in said else value
    return shown


def listed(request: HttpRequest) -> JsonResponse:
    """Select the newest hundred custom activities."""
    who = _who(request)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, lead_id, contact_id, user_id, created_by_id, updated_by_id, date_created, date_updated, activity_at, pinned_at,"
            ' external_id, published_at, status, "values" FROM activities_activity WHERE organization_id = %s AND type_id = %s'
            " ORDER BY date_created DESC, id DESC LIMIT 101",
            [who["organization"], _kind()["id"]],
        )
        rows = cursor.fetchall()
    return JsonResponse({"data": [_json(row, who) for row in rows[:100]], "has_more": len(rows) > 100})


def search(request: HttpRequest) -> JsonResponse:
    """Select the first hundred leads by name that have an activity with a number above ten."""
    who, body = _who(request), json.loads(request.body)
    limit = body["_limit"]
    number = next(pk for pk, of, _ in _kind()["fields"] if of == "number")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, name, name_fold FROM leads_lead WHERE organization_id = %s AND id IN"
            " (SELECT lead_id FROM value_number WHERE field_id = %s AND v > %s AND record_key > 0) ORDER BY name_fold, id LIMIT %s",
            [who["organization"], number, 10, limit + 1],
        )
        rows = cursor.fetchall()
    more = len(rows) > limit
    cursor_next = b64encode(json.dumps(rows[limit - 1][::2]).encode()).decode() if more else None
    data = [{"__object_type": "lead", "id": ids.encode("lead", row[0]), "display_name": row[1]} for row in rows[:limit]]
    return JsonResponse({"data": data, "cursor": cursor_next})


urlpatterns = [path("create", create), path("list", listed), path("search", search)]
