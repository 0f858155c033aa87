"""Statements of searches: sent with a clock that stops what takes too long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from crm.errors import InvalidInput
from crm.refusals import refused_in_words
from leads.search.sql import Sql

_timeout: ContextVar[str] = ContextVar("timeout", default="")


def select_rows(sql: Sql, *, bounded: bool = False) -> list[Any]:
    """Return what a statement selects. `bounded`: it reads few rows whatever is asked, so no clock need watch it."""
    limit = "" if bounded else _timeout.get()
    with connection.cursor() as cursor:
        cursor.execute(limit + sql.text, sql.params)
        if limit:
            cursor.nextset()
        return cursor.fetchall()


@contextmanager
def limited() -> Iterator[None]:
    """Statements inside are stopped after `SEARCH_STATEMENT_TIMEOUT_MS`; raises `TooMuch` then."""
    milliseconds = int(settings.SEARCH_STATEMENT_TIMEOUT_MS)
    try:
        with refused_in_words():
            if connection.vendor == "postgresql" and not connection.in_atomic_block:
                # Sent in front of each statement: the two are one transaction, without a way there and back of its own.
                token = _timeout.set(f"SET LOCAL statement_timeout = {milliseconds}; ")
                try:
                    yield
                finally:
                    _timeout.reset(token)
            elif connection.vendor == "postgresql":
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SET LOCAL statement_timeout = %s", [milliseconds])
                    yield
                    cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            else:
                connection.ensure_connection()
                end = time.monotonic() + milliseconds / 1000
                connection.connection.set_progress_handler(lambda: int(time.monotonic() > end), 50_000)
                try:
                    yield
                finally:
                    connection.connection.set_progress_handler(None, 0)
    except OverflowError as error:
        raise InvalidInput("A date of this search leads out of the calendar.") from error
