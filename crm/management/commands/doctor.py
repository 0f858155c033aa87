"""Say in sentences what is well and what is wrong with this installation. Ends with 1 when something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError
from django.utils import timezone

from activities.models import Activity, LeadActivityFact
from crm.customfields.catalog import catalog
from crm.customfields.values import TABLES, index_rows
from crm.jobs import last_sign_of_a_worker
from crm.models import ImportRun, Organization
from crm.tenancy import scope

SAMPLE = 200
Finding = tuple[bool, str]


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stopped", action="store_true", help="server and worker are stopped: do not miss them")

    def handle(self, **given: Any) -> None:
        wrong = 0
        for check in CHECKS:
            if given["stopped"] and check is worker:
                continue
            try:
                findings = list(check())
            except DatabaseError as error:
                said = str(error).splitlines()[0]
                if check is database:
                    self.stdout.write(
                        f"WRONG The database does not answer: “{said}”. Start it, or mend DATABASE_URL; what else may be "
                        "wrong cannot be seen without it."
                    )
                    sys.exit(1)
                findings = [(False, f"{(check.__doc__ or '').split('.')[0]}: the database said “{said}”.")]
            for well, sentence in findings:
                wrong += not well
                self.stdout.write(f"{'ok   ' if well else 'WRONG'} {sentence}")
        if wrong:
            self.stdout.write(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong.")
            sys.exit(1)
        self.stdout.write("Everything is well.")


def database() -> Iterator[Finding]:
    """Does the database answer, and as whom?"""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sqlite_version()")
            version = cursor.fetchone()[0]
            cursor.execute("PRAGMA journal_mode")
            mode = cursor.fetchone()[0]
            yield True, f"The database is SQLite {version} at {settings.DATABASES['default']['NAME']}."
            yield (
                mode == "wal",
                f"SQLite's journal mode is {mode}; readers and the writer need WAL to work side by side.",
            )
            return
        cursor.execute(
            "SELECT current_setting('server_version'), current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        version, role, superuser = cursor.fetchone()
        yield True, f"The database is PostgreSQL {version}, reached as {role}."
        yield (
            not superuser,
            f"The role {role} is {'a superuser: make one that is not, and put it into DATABASE_URL' if superuser else 'no superuser'}.",
        )


def migrations() -> Iterator[Finding]:
    """Are all migrations applied?"""
    executor = MigrationExecutor(connections["default"])
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        yield False, f"{len(waiting)} migrations wait. Run: manage.py migrate"
    else:
        yield True, "All migrations are applied."


def trigrams() -> Iterator[Finding]:
    """Can PostgreSQL search inside texts quickly?"""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
        if cursor.fetchone() is None:
            yield (
                False,
                "The extension pg_trgm is missing, so “contains” searches read every value. Run as a superuser: CREATE EXTENSION pg_trgm; then manage.py migrate",
            )
            return
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%gin_trgm_ops%'")
        yield True, f"pg_trgm is there, with {cursor.fetchone()[0]} indexes."


def cached() -> Iterator[Finding]:
    """Does the cache keep what it is given?"""
    try:
        cache.set("doctor", "well", 10)
        well = cache.get("doctor") == "well"
    except DatabaseError:
        well = False
    yield (
        well,
        "The cache keeps what it is given."
        if well
        else "The cache's table is missing. Run: manage.py createcachetable",
    )


def worker() -> Iterator[Finding]:
    """Is a worker running?"""
    seen, waiting = last_sign_of_a_worker()
    if seen:
        yield True, f"A worker is running; {waiting} jobs wait."
    else:
        yield not waiting, f"No worker is running and {waiting} jobs wait. Start one with: manage.py worker"
    stuck = ImportRun.unscoped.filter(
        state__in=(ImportRun.State.RUNNING, ImportRun.State.CHECKING),
        date_created__lt=timezone.now() - timedelta(hours=6),
    ).count()
    yield (
        not stuck,
        f"{stuck} imports run for more than six hours; restarting the worker takes them up again."
        if stuck
        else "No import is stuck.",
    )


def files() -> Iterator[Finding]:
    """Are static files collected, and can files be written?"""
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    yield (
        manifest.exists(),
        "Static files are collected."
        if manifest.exists()
        else "Static files are not collected. Run: manage.py collectstatic --noinput",
    )
    probe = Path(settings.DATA_DIR) / ".doctor"
    try:
        probe.write_text("")
        probe.unlink()
        yield True, f"Files can be written in {settings.DATA_DIR}."
    except OSError as error:
        yield False, f"Files cannot be written in {settings.DATA_DIR}: {error.strerror}. Let the server's user own it."


def index_agrees() -> Iterator[Finding]:
    """Does the search index agree with the records it was made from? Looks at a sample."""
    differing = looked = 0
    for organization in Organization.objects.order_by("pk")[:20]:
        with scope(organization):
            known = catalog(organization)
            for activity in Activity.objects.order_by("-pk")[:SAMPLE]:
                looked += 1
                wanted = index_rows(known, activity.lead_id, activity.pk, activity.values)
                fields = [int(key) for key in activity.values if int(key) in known.fields]
                for name, model in TABLES.items():
                    rows = model.objects.filter(field_id__in=fields, lead_id=activity.lead_id, record_key=activity.pk)
                    found = {(field_id, value) for field_id, value in rows.values_list("field_id", "v")}
                    if found != {(field_id, value) for field_id, _, _, value in wanted.by_table[name]}:
                        differing += 1
                        break
                if not LeadActivityFact.objects.filter(type_id=activity.type_id, lead_id=activity.lead_id).exists():
                    differing += 1
    if differing:
        yield False, f"The search index of {differing} of {looked} sampled activities differs from their values."
    else:
        yield True, f"The search index agrees with the values of {looked} sampled activities."


def debug() -> Iterator[Finding]:
    """Is the server safe to show?"""
    yield (
        not settings.DEBUG,
        "DEBUG is on: errors show code and settings. Unset it." if settings.DEBUG else "DEBUG is off.",
    )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    database, migrations, trigrams, cached, worker, files, index_agrees, debug,
)  # fmt: skip
