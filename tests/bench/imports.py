"""`python -m tests.bench.imports [--rows 100000] [--leads 5000]`: import and export beside a raw load of the same rows.

The import reads a CSV of ten fields, finds leads by name, cleans, and writes activities, index, facts, events and verdicts.
The raw load puts the very same rows into the same tables, indexes in place: COPY on PostgreSQL, executemany on SQLite.
SQLite in a temporary folder, or DATABASE_URL (`scripts/postgres.py -- python -m tests.bench.imports`).
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FIELDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Topic", "text", {}), ("Story", "textarea", {}), ("Users", "number", {}), ("Amount", "number", {}),
    ("Closing", "date", {}), ("Called", "datetime", {}), ("Stage", "choices", {"options": ["New", "Warm", "Won", "Lost"]}),
    ("Products", "choices", {"multiple": True, "options": ["A", "B", "C", "D"]}), ("Owner", "user", {}),
    ("Done", "checkbox", {}),
)  # fmt: skip
WORDS = "budget renewal pilot pricing security contract migration report sync demo legal rollout".split()
TABLES = (
    "activities_activity",
    "value_ref",
    "value_number",
    "value_moment",
    "value_text",
    "crm_event",
    "crm_importrow",
)
SHIFT = 50_000_000


def write_file(path: Path, rows: int, leads: int, start: int) -> None:
    """Write a CSV of activities that look like a person's."""
    chance = random.Random(start)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(
            ["custom_activity_type", "lead_name", "date_created", "external_id", *(f"custom.{f[0]}" for f in FIELDS)]
        )
        for number in range(start, start + rows):
            words = [chance.choice(WORDS) for _ in range(8)]
            out.writerow([
                "Bench call", f"Company {chance.randrange(leads)}", f"2024-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}T10:00",
                f"n-{number}", " ".join(words[:3]), " ".join(words), chance.randrange(5000), f"{chance.random() * 900:.2f}",
                f"2025-0{chance.randint(1, 9)}-11", f"2024-0{chance.randint(1, 9)}-12T09:30", chance.choice(("New", "Warm", "Won")),
                chance.choice(("A", "A;B", "C")), "admin@bench.example", chance.choice(("yes", "no")),
            ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--leads", type=int, default=5_000)
    parser.add_argument("--profile", action="store_true", help="print where the import's time goes")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="touchpoint-bench-"))
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'bench.sqlite3'}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.MEDIA_ROOT = folder
    call_command("migrate", verbosity=0)
    measure(folder, given.rows, given.leads, given.profile)
    return 0


def measure(folder: Path, rows: int, leads: int, profile: bool) -> None:
    from django.db import connection

    from activities import exports
    from crm import events
    from crm.tenancy import scope

    actor, kind = prepare(leads)
    with scope(actor.organization), events.door("import"):
        warm = import_file(actor, folder, rows // 10 or 1, leads, 1)
        path = folder / "rows.csv"
        write_file(path, rows, leads, 1_000_000)
        check = seconds(lambda: check_import(actor, path))
        ours = seconds(lambda: run_import(actor, path), profile)
        raw = seconds(raw_load(max_ids()["activities_activity"] - rows))
        del warm
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        stored = len(TABLES)
        exported = [0]

        def export() -> None:
            exported[0] = sum(len(text) for text in exports.export_activities(actor, kind))

        out = seconds(export)
        total = rows + (rows // 10 or 1) + rows
        raw_out = seconds(lambda: raw_export(folder))
    print(f"{connection.vendor}, {rows:,} activities of {len(FIELDS)} fields, {leads:,} leads, {stored} tables")
    print(f"  import            {rows / ours:>10,.0f} rows/s   {ours:6.1f} s")
    print(f"  check (rolled back){rows / check:>9,.0f} rows/s   {check:6.1f} s")
    print(f"  raw load          {rows / raw:>10,.0f} rows/s   {raw:6.1f} s   import reaches {raw / ours:.2f} of it")
    print(f"  export            {total / out:>10,.0f} rows/s   {out:6.1f} s   {exported[0] / 1e6:.0f} MB")
    print(
        f"  raw read          {total / raw_out:>10,.0f} rows/s   {raw_out:6.1f} s   export reaches {raw_out / out:.2f} of it"
    )
    print(f"  peak memory after import {peak:,.0f} MB")


def seconds(work: Callable[[], Any], profile: bool = False) -> float:
    """Return how long something takes; with BENCH_CPU=1 the processor time of this process, for a busy machine."""
    clock = time.process_time if os.environ.get("BENCH_CPU") else time.perf_counter
    began = clock()
    if profile:
        import cProfile
        import pstats

        profiler = cProfile.Profile()
        profiler.runcall(work)
        pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(45)
    else:
        work()
    return clock() - began


def prepare(leads: int) -> tuple[Any, Any]:
    """Return an admin and a type with the ten fields, in an organization with so many leads."""
    from activities.queries import type_catalog
    from activities.services.types import create_type
    from crm import events
    from crm.customfields.services import create_field
    from crm.fieldkinds import fold
    from crm.management.provision import provision_organization
    from crm.tenancy import scope
    from leads.models import Lead
    from leads.queries import statuses

    actor = provision_organization("Bench", "bench", "admin@bench.example", plan="unlimited")
    with scope(actor.organization), events.door("system"):
        row = create_type(actor, name="Bench call")
        for name, field_kind, more in FIELDS:
            create_field(actor, row.fieldset, name=name, kind=field_kind, **more)
        status = statuses()[0]
        names = [f"Company {number}" for number in range(leads)]
        made = [Lead(organization=actor.organization, name=n, name_fold=fold(n), status=status) for n in names]
        Lead.objects.bulk_create(made, batch_size=2000)
        actor.organization.refresh_from_db()
        return actor, type_catalog(actor.organization).by_name("Bench call")


def import_file(actor: Any, folder: Path, rows: int, leads: int, start: int) -> Any:
    path = folder / f"rows-{start}.csv"
    write_file(path, rows, leads, start)
    return run_import(actor, path)


def run_import(actor: Any, path: Path) -> Any:
    """Import a file as the worker does, without a check before."""
    from activities import imports
    from activities.imports.chunks import advance
    from crm.models import ImportRun

    with path.open("rb") as content:
        run = imports.start_run(actor, "activities", path.name, content)
    run = imports.set_mapping(actor, run, {})
    ImportRun.objects.filter(pk=run.pk).update(state="running")
    advance(ImportRun.objects.get(pk=run.pk), float("inf"))
    run.refresh_from_db()
    assert run.state == "done" and set(run.counts) == {"create"}, (run.state, run.counts, run.message)
    return run


def check_import(actor: Any, path: Path) -> None:
    from activities import imports

    with path.open("rb") as content:
        run = imports.start_run(actor, "activities", path.name, content)
    imports.run_now(actor, imports.set_mapping(actor, run, {}), check=True)


# --- raw ------------------------------------------------------------------------------------------------------------------
def fetch(sql: str, params: Any = None) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def max_ids() -> dict[str, int]:
    return {table: fetch(f"SELECT max(id) FROM {table}")[0][0] for table in TABLES if not table.startswith("value_")}


def raw_load(after: int) -> Callable[[], None]:
    """Return the raw load of the rows of the activities above an id, their ids moved out of the way."""
    from django.db import connection

    postgres = connection.vendor == "postgresql"
    cast, quoted = "::text" if postgres else "", connection.ops.quote_name
    loads: list[tuple[str, list[str], list[tuple[Any, ...]]]] = []
    run = fetch("SELECT max(run_id) FROM crm_importrow WHERE verdict = 'create' AND object_id IS NOT NULL")[0][0]
    where = {
        "activities_activity": f"id > {after}", "crm_event": f"object_id > {after} AND object_type LIKE 'activity%%'",
        "crm_importrow": f"run_id = {run}",
    }  # fmt: skip
    for table in TABLES:
        with connection.cursor() as cursor:
            columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
        moved = {"id": f"id + {SHIFT}", "record_key": f"record_key + {SHIFT}", "number": f"number + {SHIFT}"}
        moved["external_id"] = "external_id || '-raw'"
        if table == "crm_event":
            moved["object_id"] = f"object_id + {SHIFT}"
        shown = [f"({moved.get(c, quoted(c))}){cast}" for c in columns]
        rows = fetch(
            f"SELECT {', '.join(shown)} FROM {table} WHERE {where.get(table, f'record_key > {after}')} ORDER BY 1"
        )
        loads.append((table, columns, rows))

    def load() -> None:
        from django.db import transaction

        with transaction.atomic(), connection.cursor() as cursor:
            for table, columns, rows in loads:
                names = ", ".join(f'"{name}"' for name in columns)
                if postgres:
                    with cursor.cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                        for row in rows:
                            copy.write_row(row)
                else:
                    cursor.cursor.executemany(
                        f"INSERT INTO {table} ({names}) VALUES ({','.join('?' * len(columns))})", rows
                    )

    return load


def raw_export(folder: Path) -> None:
    """Write the same activities as CSV with the database's own means: JSON as it is stored."""
    from django.db import connection

    sql = "SELECT a.*, l.name FROM activities_activity a JOIN leads_lead l ON l.id = a.lead_id ORDER BY a.id"
    with (folder / "raw.csv").open("wb") as file, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.cursor.copy(f"COPY ({sql}) TO STDOUT WITH (FORMAT csv)") as copy:
                for block in copy:
                    file.write(block)
            return
        cursor.execute(sql)
        for rows in _batches(cursor):
            file.write("\n".join(",".join(map(str, row)) for row in rows).encode())


def _batches(cursor: Any) -> Iterator[list[Any]]:
    while rows := cursor.fetchmany(2000):
        yield rows


if __name__ == "__main__":
    sys.exit(main())
