"""Inserting rows past the ORM: thousands at once by COPY on PostgreSQL and executemany on SQLite, a few by one statement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import CharField, Lookup, Model, TextField
from django.db.models import Field as ModelField

WORTH_IT = 50  # below this one statement is as fast
_BATCH = 1000


@ModelField.register_lookup
class AnyOf(Lookup):  # type: ignore[type-arg]
    """`pk__any=[…]`: what `pk__in` says of thousands of plain values, as one parameter that costs nothing to compile.

    Texts are joined: PostgreSQL would look each of them up in an index of trigrams, a hundred times as slow.
    """

    lookup_name = "any"

    def get_prep_lookup(self) -> list[Any]:
        return list(self.rhs)

    def get_db_prep_lookup(self, value: Any, connection: Any) -> Any:
        return "%s", [value if connection.vendor == "postgresql" else json.dumps(value)]

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, given = self.process_lhs(compiler, connection)
        right, values = self.process_rhs(compiler, connection)
        if connection.vendor != "postgresql":
            any_of = f"IN (SELECT value FROM json_each({right}))"
        elif isinstance(self.lhs.output_field, CharField | TextField):
            any_of = f"IN (SELECT unnest({right}::text[]))"
        else:
            any_of = f"= ANY({right})"
        return f"{left} {any_of}", [*given, *values]


def insert_rows(model: type[Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of plain values, in the given order, in the caller's transaction.

    `columns` are database columns; the rest take their database default. Dicts and lists are written as JSON. Nothing
    is validated, so constraints are the database's to refuse.
    """
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(list(map(_json_text, row)))
            return
        marks = ", ".join(["%s"] * len(columns))
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", _adapted(rows))


def insert_few(
    model: type[Model], columns: Sequence[str], rows: Sequence[Sequence[Any]], *, returning: str = ""
) -> list[Any]:
    """Insert rows as `insert_rows` does, by one statement, and return the column `returning` of each.

    A tenth of what `bulk_create` takes: there is nothing to make objects of, and nothing to compile.
    """
    quote, found = connection.ops.quote_name, []
    names = ", ".join(map(quote, columns))
    mark = f"({', '.join(['%s'] * len(columns))})"
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            if connection.vendor == "postgresql":
                values = [_json_text(value) for row in batch for value in row]
            else:
                values = [value for row in _adapted(batch) for value in row]
            marks = ", ".join([mark] * len(batch))
            after = f" RETURNING {quote(returning)}" if returning else ""
            cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES {marks}{after}", values)
            if returning:
                found += [value for (value,) in cursor.fetchall()]
    return found


def next_ids(model: type[Model], number: int) -> list[int]:
    """Reserve ids for rows that will be inserted by `insert_rows` in the caller's transaction, rising."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, number]
            )
            return [pk for (pk,) in cursor.fetchall()]
        # One writer at a time: the highest id ever given, which AUTOINCREMENT keeps, cannot change before the rows are in.
        cursor.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [table])
        last = cursor.fetchone()[0]
        return list(range(last + 1, last + 1 + number))


def utc_text(moment: datetime) -> str:
    """Return a moment as the ORM writes it to SQLite, at a fifth of the cost."""
    if moment.tzinfo is not UTC and moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(" ")


_EMPTY: dict[type, str] = {dict: "{}", list: "[]"}
_ADAPT: dict[type, Callable[[Any], str]] = {datetime: utc_text, date: date.isoformat, Decimal: str}


# `json.dumps` makes this encoder anew for each call, which costs more than most rows.
_encode = json.encoder.c_make_encoder and json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)


def _dumped(value: Any) -> str:
    return "".join(_encode(value, 0)) if _encode else json.dumps(value)


def _json_text(value: Any) -> Any:
    """Return a dict or list as JSON text, anything else as it is."""
    kind = type(value)
    return value if kind not in _EMPTY else _dumped(value) if value else _EMPTY[kind]


def _adapted(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return rows as the ORM would write them to SQLite. Column by column: most hold nothing to be adapted."""
    columns: list[Iterable[Any]] = []
    for column in zip(*rows, strict=True):
        kinds = set(map(type, column))
        if not kinds.isdisjoint(_EMPTY):
            columns.append(map(_json_text, column))
        elif not kinds.isdisjoint(_ADAPT):
            # The same moment or number comes again and again.
            texts = {value: _ADAPT[type(value)](value) for value in set(column) if type(value) in _ADAPT}
            columns.append([texts.get(value, value) for value in column])
        else:
            columns.append(column)
    return list(zip(*columns, strict=True))
