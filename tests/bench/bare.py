# ruff: noqa: E402  (settings come first; the SQL is composed of our own names)
"""The same three things by hand: SQL in Django views, behind no middleware, for tests/bench/api.py to compare with."""

from __future__ import annotations

import json
import os
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

from activities.models import Activity, LeadActivityFact
from crm.models import Event, UsageCounter, ValueMoment, ValueNumber, ValueRef, ValueText
from leads.models import Lead


@cache
def sample() -> tuple[int, int, list[int], list[tuple[str, Any, Any]]]:
    """Return an activity that the API logged, its lead, its events and its index rows: what is inserted are copies of them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT a.id, a.lead_id FROM activities_activity a JOIN activities_activitytype t ON t.id = a.type_id WHERE t.builtin = '' ORDER BY a.id LIMIT 1")  # fmt: skip
        number, lead = cursor.fetchone()
        cursor.execute(
            "SELECT id FROM crm_event WHERE object_type = 'activity.custom_activity' AND object_id = %s ORDER BY id LIMIT 2",
            [number],
        )
        events = [row[0] for row in cursor.fetchall()]
        index = []
        for model in (ValueText, ValueNumber, ValueMoment, ValueRef):
            table = model._meta.db_table
            cursor.execute(f"SELECT field_id, v FROM {table} WHERE lead_id = %s AND record_key = %s", [lead, number])
            index += [(table, field, v) for field, v in cursor.fetchall()]
        return number, lead, events, index


@cache
def columns(model: Any, *without: str) -> str:
    names = [field.column for field in model._meta.concrete_fields if field.column not in ("id", *without)]
    return ", ".join(f'"{name}"' for name in names)


def create(request: HttpRequest) -> JsonResponse:
    """Insert what the API inserts for one activity: its row, its index, the facts, the month's counter, its two events."""
    json.loads(request.body)
    number, lead, events, index = sample()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {UsageCounter._meta.db_table} SET used = used + 1")
        names = columns(Activity)
        cursor.execute(f"INSERT INTO activities_activity ({names}) SELECT {names} FROM activities_activity WHERE id = %s RETURNING id", [number])  # fmt: skip
        new = cursor.fetchone()[0]
        for table, field, v in index:
            cursor.execute(f"INSERT INTO {table} (field_id, lead_id, record_key, v) VALUES (%s, %s, %s, %s)", [field, lead, new, v])  # fmt: skip
        cursor.execute(f"UPDATE {LeadActivityFact._meta.db_table} SET count = count + 1 WHERE lead_id = %s", [lead])
        cursor.execute(
            f"UPDATE {Lead._meta.db_table} SET last_activity_at = %s WHERE id = %s", ["2026-03-01 00:00:00+00:00", lead]
        )
        names = columns(Event)
        for event in events:
            cursor.execute(f"INSERT INTO crm_event ({names}) SELECT {names} FROM crm_event WHERE id = %s", [event])
        cursor.execute("SELECT id, lead_id, user_id, status, date_created, activity_at, \"values\" FROM activities_activity WHERE id = %s", [new])  # fmt: skip
        return JsonResponse(_row(cursor.fetchone()))


def _row(row: Any) -> dict[str, Any]:
    values = json.loads(row[6]) if isinstance(row[6], str) else row[6]
    shown = {
        "id": row[0],
        "lead_id": row[1],
        "user_id": row[2],
        "status": row[3],
        "date_created": row[4],
        "activity_at": row[5],
    }
    return shown | {f"custom.{key}": value for key, value in values.items()}


def listed(request: HttpRequest) -> JsonResponse:
    """Select the newest hundred custom activities."""
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT a.id, a.lead_id, a.user_id, a.status, a.date_created, a.activity_at, a."values" FROM activities_activity a'
            " JOIN activities_activitytype t ON t.id = a.type_id WHERE t.builtin = '' ORDER BY a.date_created DESC, a.id DESC LIMIT 101"
        )
        rows = cursor.fetchall()
    return JsonResponse({"data": [_row(row) for row in rows[:100]], "has_more": len(rows) > 100})


def search(request: HttpRequest) -> JsonResponse:
    """Select the newest hundred leads that have an activity with a number above ten."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, name FROM leads_lead WHERE id IN (SELECT lead_id FROM value_number WHERE v > 10 AND record_key > 0)"
            " ORDER BY date_created DESC, id DESC LIMIT 100"
        )
        return JsonResponse({"data": [{"id": row[0], "display_name": row[1]} for row in cursor.fetchall()]})


urlpatterns = [path("create", create), path("list", listed), path("search", search)]
