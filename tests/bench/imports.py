"""`python -m tests.bench.imports [--rows 100000] [--leads 5000] [--repeat 1]`: imports and exports beside the bare database.

**Import** reads a CSV of ten fields, finds leads by name, cleans, and writes activities, their search index, events,
verdicts, facts and the resume point, some thousand rows a transaction. **Raw load** puts the very same rows of the same
tables (facts left out), ready made in memory, into the same tables with the same indexes in place: COPY on PostgreSQL,
executemany on SQLite, one transaction. What "per stored row" means: both store the same rows.

**Export** writes the file of the product. **Raw export** has the database write a file of the same columns with the same
content: COPY of a SELECT that turns each JSON value into its column (labels of options, emails of members) on PostgreSQL; the
same SELECT through csv.writer on SQLite, which has no COPY. Ids are bare numbers there, and formulas stay formulas.

Imports and exports run in a process of their own, as in a worker; its peak memory is printed. With `--repeat` each is
measured that often in turns with its raw counterpart, and the best of each counts. Beside seconds of the clock stand
seconds of the processor, our process's and the database server's together: those tell on a busy machine too.
SQLite in a temporary folder, or DATABASE_URL (`scripts/postgres.py -- python -m tests.bench.imports`).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="measure the check before the import as well")
    parser.add_argument("--child", nargs=2, metavar=("WORK", "OF"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = Path(os.environ.setdefault("BENCH_FOLDER", tempfile.mkdtemp(prefix="touchpoint-bench-")))
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'bench.sqlite3'}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.MEDIA_ROOT = folder
    if given.child:
        print(json.dumps(child(*given.child)))
        return 0
    call_command("migrate", verbosity=0)
    measure(folder, given)
    return 0


def measure(folder: Path, given: argparse.Namespace) -> None:
    from django.db import connection

    from crm import events
    from crm.tenancy import scope

    rows = given.rows
    actor, kind = prepare(given.leads)
    best: dict[str, float] = {}
    work: dict[str, float] = {}
    peak: dict[str, float] = {}

    def note(name: str, took: tuple[float, float], memory: float = 0) -> None:
        best[name] = min(took[0], best.get(name, took[0]))
        work[name] = min(took[1], work.get(name, took[1]))
        peak[name] = max(memory, peak.get(name, 0))

    with scope(actor.organization), events.door("import"):
        load_raw: Callable[[], None]
        for turn in range(given.repeat + 1):
            number = rows if turn else rows // 10 or 1
            path = folder / f"rows-{turn}.csv"
            write_file(path, number, given.leads, 10_000_000 * (turn + 1))
            if given.check and turn:
                note("check", seconds(lambda path=path: check_import(actor, path)))
            done = in_child("import", str(path))
            load_raw, remove_raw = raw_load(done["run"])
            raw = seconds(load_raw)
            remove_raw()
            if turn:  # the first one warms up
                note("import", done["seconds"], done["peak"])
                note("raw load", raw)
        total = fetch("SELECT count(*) FROM activities_activity WHERE type_id = %s", [kind.id])[0][0]
        for _ in range(given.repeat):
            done = in_child("export", kind.public_id)
            note("export", done["seconds"], done["peak"])
            note("raw export", seconds(lambda: raw_export(actor, kind, folder / "raw.csv")))
    print(
        f"{connection.vendor}, {rows:,} activities of {len(FIELDS)} fields, {given.leads:,} leads, {len(TABLES)} tables"
    )
    for name, number in (
        ("check", rows),
        ("import", rows),
        ("raw load", rows),
        ("export", total),
        ("raw export", total),
    ):
        if name in best:
            memory = f"   peak memory {peak[name]:,.0f} MB" if peak[name] else ""
            print(
                f"  {name:<12}{number / best[name]:>10,.0f} rows/s {best[name]:8.1f} s, processor {work[name]:.1f} s{memory}"
            )
    for name in ("import", "export"):
        raw = "raw load" if name == "import" else "raw export"
        print(
            f"  {name} reaches {best[raw] / best[name]:.2f} of the {raw}, {work[raw] / work[name]:.2f} by the processor's time"
        )


def in_child(work: str, of: str) -> dict[str, Any]:
    """Do an import or export in a process of its own and return what it tells: seconds, peak memory in MB, run."""
    command = [sys.executable, "-m", "tests.bench.imports", "--child", work, of]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def child(work: str, of: str) -> dict[str, Any]:
    from activities import exports
    from activities.queries import type_catalog
    from crm import events
    from crm.models import Membership
    from crm.tenancy import scope

    actor = Membership.unscoped.select_related("user", "organization", "role").get(organization__slug="bench")
    found: dict[str, Any] = {}
    with scope(actor.organization), events.door("import"):

        def act() -> None:
            if work == "import":
                found["run"] = run_import(actor, Path(of)).pk
                return
            kind = type_catalog(actor.organization).by_public_id(of)
            assert kind is not None
            with (Path(os.environ["BENCH_FOLDER"]) / "out.csv").open("wb") as file:
                for text in exports.export_activities(actor, kind):
                    file.write(text.encode())

        took = seconds(act)
    return found | {"seconds": took, "peak": peak_memory()}


def peak_memory() -> float:
    """Return this process's peak memory in MB. `getrusage` alone would count what its parent held when it was forked."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Return how long something takes by the clock, and by the processor: this process and its server's together."""
    server = server_time()
    began, busy = time.perf_counter(), time.process_time() + server()
    work()
    return time.perf_counter() - began, time.process_time() + server() - busy


def server_time() -> Callable[[], float]:
    """Return what tells the processor time of the server process of our connection; 0 for SQLite, or where none is told."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return lambda: 0.0
    stat = Path(f"/proc/{fetch('SELECT pg_backend_pid()')[0][0]}/stat")
    if not stat.exists():
        return lambda: 0.0
    ticks = os.sysconf("SC_CLK_TCK")
    return lambda: sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) / ticks


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


def raw_load(run: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return the raw load of the rows that a run wrote, their ids moved out of the way, and what removes them again."""
    from django.db import connection, transaction

    postgres = connection.vendor == "postgresql"
    cast, quoted = "::text" if postgres else "", connection.ops.quote_name
    first, last = fetch("SELECT min(object_id), max(object_id) FROM crm_importrow WHERE run_id = %s", [run])[0]
    within = dict.fromkeys(TABLES, f"record_key BETWEEN {first} AND {last}")
    within |= {
        "activities_activity": f"id BETWEEN {first} AND {last}",
        "crm_event": f"object_id BETWEEN {first} AND {last} AND object_type LIKE 'activity%%'",
        "crm_importrow": f"run_id = {run}",
    }
    loads: list[tuple[str, list[str], list[tuple[Any, ...]]]] = []
    for table in TABLES:
        with connection.cursor() as cursor:
            columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
        moved = {"id": f"id + {SHIFT}", "record_key": f"record_key + {SHIFT}", "number": f"number + {SHIFT}"}
        moved["external_id"] = "external_id || '-raw'"
        if table == "crm_event":
            moved["object_id"] = f"object_id + {SHIFT}"
        shown = [f"({moved.get(c, quoted(c))}){cast}" for c in columns]
        loads.append(
            (table, columns, fetch(f"SELECT {', '.join(shown)} FROM {table} WHERE {within[table]} ORDER BY 1"))
        )

    def load() -> None:
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

    def remove() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for table in reversed(TABLES):
                column = "record_key" if table.startswith("value_") else "number" if table == "crm_importrow" else "id"
                cursor.execute(f"DELETE FROM {table} WHERE {column} > {SHIFT}")
                if not postgres:
                    cursor.execute(f"UPDATE sqlite_sequence SET seq = seq - {SHIFT} WHERE seq > {SHIFT}")

    return load, remove


_LABELS = "(SELECT {together}(o.label, ';') FROM {each} e JOIN crm_fieldoption o ON o.id = {value})"
_EMAIL = "(SELECT u.email FROM crm_user u WHERE u.id = {number})"


def raw_export(actor: Any, kind: Any, path: Path) -> None:
    """Write a type's activities as CSV with the database's own means, column for column what the product's export holds."""
    from django.db import connection

    from crm.customfields.catalog import catalog

    postgres = connection.vendor == "postgresql"
    columns = [
        "a.id", "'Bench call'", "a.status", "a.lead_id", "l.name", "a.contact_id", "c.name", "u.email", "u.first_name",
        "author.email", "a.date_created", "editor.email", "a.date_updated", "a.activity_at",
        "CASE WHEN a.pinned_at IS NULL THEN 'no' ELSE 'yes' END", "a.external_id",
    ]  # fmt: skip
    for use in catalog(actor.organization).uses(kind.fieldset_id):
        value = f"a.\"values\" ->> '{use.field.id}'"
        number = f"({value})::bigint" if postgres else f"({value})"
        if use.field.multiple:
            each = f"jsonb_array_elements_text(a.\"values\" -> '{use.field.id}')" if postgres else f"json_each({value})"
            together = "string_agg" if postgres else "group_concat"
            columns.append(_LABELS.format(together=together, each=each, value="e::bigint" if postgres else "e.value"))
        elif use.field.kind.has_options:
            columns.append(f"(SELECT o.label FROM crm_fieldoption o WHERE o.id = {number})")
        elif use.field.kind.refers_to:
            columns.append(_EMAIL.format(number=number))
        elif use.field.kind.value_name == "boolean":
            columns.append(f"CASE WHEN {value} IN ('true', '1') THEN 'yes' ELSE 'no' END")
        else:
            columns.append(value)
    sql = (
        f"SELECT {', '.join(columns)} FROM activities_activity a JOIN leads_lead l ON l.id = a.lead_id "
        "LEFT JOIN leads_contact c ON c.id = a.contact_id LEFT JOIN crm_user u ON u.id = a.user_id "
        "LEFT JOIN crm_user author ON author.id = a.created_by_id LEFT JOIN crm_user editor ON editor.id = a.updated_by_id "
        f"WHERE a.organization_id = {actor.organization_id} AND a.type_id = {kind.id} AND a.status = 'published' ORDER BY a.id"
    )
    with connection.cursor() as cursor, path.open("w", newline="", encoding="utf-8") as file:
        if postgres:
            with cursor.cursor.copy(f"COPY ({sql}) TO STDOUT WITH (FORMAT csv)") as copy:
                for block in copy:
                    file.buffer.write(block)
            return
        out = csv.writer(file)
        cursor.cursor.execute(sql)
        while rows := cursor.cursor.fetchmany(2000):
            out.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
