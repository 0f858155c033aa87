"""What only PostgreSQL has: composite foreign keys, trigram indexes, statistics targets. Other databases do without.

Migrations and `manage.py reindex` use these; each is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import DatabaseError, migrations, transaction

# (index, table, columns, extension needed besides pg_trgm): for searching text by any part of it. Of the indexes of one
# column the first that the server can make is made. Words that all fields share make trigrams alone unselective; with the
# field in front, a search reads the postings of its own field (six times faster on two million activities).
TRIGRAM_INDEXES = (
    ("value_text_field_trigram", "value_text", "field_id, v gin_trgm_ops", "btree_gin"),
    ("value_text_trigram", "value_text", "v gin_trgm_ops", ""),
    ("lead_name_trigram", "leads_lead", "name_fold gin_trgm_ops", ""),
    ("lead_search_trigram", "leads_lead", "search_text gin_trgm_ops", ""),
)


def tenant_foreign_keys(*keys: tuple[str, str, str]) -> migrations.RunPython:
    """Return the operation that ties rows to rows of the same organization: `(table, column, table referred to)`.

    Django checks and cascades by the single column; these make a row of another organization impossible, through
    whatever code it is written. Checked at commit, like Django's own, and satisfied when the column is null.
    """

    def name_of(table: str, column: str) -> str:
        return f"{table}_{column}_tenant_fk"

    def create(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            return
        for table, column, target in keys:
            schema_editor.execute(
                f"ALTER TABLE {table} ADD CONSTRAINT {name_of(table, column)} FOREIGN KEY (organization_id, {column}) "
                f"REFERENCES {target} (organization_id, id) DEFERRABLE INITIALLY DEFERRED"
            )

    def drop(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for table, column, _ in keys:
                schema_editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name_of(table, column)}")

    return migrations.RunPython(create, drop)


def trigram_indexes(*tables: str) -> migrations.RunPython:
    """Return the operation that makes the trigram indexes of these tables where the server offers `pg_trgm`."""

    return migrations.RunPython(
        lambda apps, schema_editor: create_trigram_indexes(schema_editor.connection, tables),
        lambda apps, schema_editor: drop_trigram_indexes(schema_editor.connection, tables),
    )


def drop_trigram_indexes(connection: Any, tables: Iterable[str]) -> None:
    """Remove the trigram indexes of these tables; text search is slower until they are made again."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for name, table, _, _ in TRIGRAM_INDEXES:
                if table in tables:
                    cursor.execute(f"DROP INDEX IF EXISTS {name}")


def create_trigram_indexes(connection: Any, tables: Iterable[str] | None = None, *, live: bool = False) -> bool:
    """Make the trigram indexes that are missing (of `tables`, or all); False where the server cannot.

    An extension may be absent, or the role may not be allowed to add it: search is then slower, never wrong. `live`:
    without locking out writers, which needs to be outside a transaction. An index that a better one replaces goes.
    """
    if connection.vendor != "postgresql" or not _has_extension(connection, "pg_trgm"):
        return False
    how = "CONCURRENTLY " if live else ""
    with connection.cursor() as cursor:
        # Asking first: CREATE INDEX IF NOT EXISTS locks the table even when there is nothing to do.
        cursor.execute("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()")
        there = {name for (name,) in cursor.fetchall()}
        made: set[str] = set()
        for name, table, columns, extension in TRIGRAM_INDEXES:
            text = f"{table} {columns.split()[-2]}"
            if tables is not None and table not in tables:
                continue
            if text in made:
                cursor.execute(f"DROP INDEX {how}IF EXISTS {name}")
            elif not extension or _has_extension(connection, extension):
                made.add(text)
                if name not in there:
                    cursor.execute(f"CREATE INDEX {how}IF NOT EXISTS {name} ON {table} USING gin ({columns})")
    return True


def _has_extension(connection: Any, name: str) -> bool:
    """Return whether an extension is there, added now if need be."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = %s", [name])
        if cursor.fetchone():
            return True
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
    except DatabaseError:
        return False
    return True


def statistics_target(target: int, column: str, *tables: str) -> migrations.RunPython:
    """Return the operation that makes the planner keep `target` frequent values of a column."""

    def apply(to: int) -> Any:
        def change(apps: Any, schema_editor: Any) -> None:
            if schema_editor.connection.vendor == "postgresql":
                for table in tables:
                    schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {to}")

        return change

    return migrations.RunPython(apply(target), apply(-1))
