"""One file that holds everything: the database, the uploaded files and the secret key; and the way back.

A backup is a gzipped tar: `about.json` (version of the format, kind of database, when, applied migrations), the database
(`database.sqlite3` or `database.dump`, pg_dump's custom format), `secret_key` and `files/…`. It can be made while people work:
both databases give a consistent copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from crm.errors import InvalidInput

FORMAT = 1
NAMES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}


def make_backup(target: Path) -> Path:
    """Write a backup to `target`, readable by its owner alone, and return its path. A half-made file never has that name.

    Raises `InvalidInput` when pg_dump is missing or refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as place:
        folder = Path(place)
        copy = folder / NAMES[connection.vendor]
        {"sqlite": _copy_sqlite, "postgresql": _dump_postgres}[connection.vendor](copy)
        about = folder / "about.json"
        about.write_text(json.dumps(_about(), indent=2))
        unfinished = folder / "backup.tar.gz"
        with tarfile.open(unfinished, "w:gz", compresslevel=6) as archive:
            archive.add(about, about.name)
            archive.add(copy, copy.name)
            if (secret := settings.DATA_DIR / "secret_key").exists():
                archive.add(secret, "secret_key")
            if settings.MEDIA_ROOT.exists():
                archive.add(settings.MEDIA_ROOT, "files")
        unfinished.chmod(0o600)
        os.replace(unfinished, target)
    return target


def _about() -> dict[str, Any]:
    applied = sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())
    return {
        "format": FORMAT,
        "database": connection.vendor,
        "made": datetime.now(UTC).isoformat(),
        "migrations": applied,
    }


def read_about(source: Path) -> dict[str, Any]:
    """Return what a backup says of itself. Raises `InvalidInput` with the reason when this database cannot take it."""
    try:
        with tarfile.open(source) as archive:
            member = archive.extractfile("about.json")
            about = json.load(member) if member else {}
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {source}.") from None
    except (tarfile.TarError, KeyError, ValueError, OSError):
        raise InvalidInput(f"{source} is not a backup of Touchpoint.") from None
    if about.get("format") != FORMAT:
        raise InvalidInput(f"{source} was made by a newer Touchpoint. Upgrade first, then restore.")
    if about.get("database") != connection.vendor:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        raise InvalidInput(
            f"The backup is of {names.get(str(about.get('database')), 'another database')}, and DATABASE_URL names "
            f"{names[connection.vendor]}. Restore it where the same kind of database is configured."
        )
    return about


def restore_backup(source: Path) -> None:
    """Put database, files and secret key of a backup in place of what is there. Run `migrate` afterwards.

    The server and the worker must be stopped. Raises `InvalidInput` before anything is changed when the file is no good.
    """
    read_about(source)
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix=".restore-") as place:
        folder = Path(place)
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        {"sqlite": _restore_sqlite, "postgresql": _restore_postgres}[connection.vendor](
            folder / NAMES[connection.vendor]
        )
        shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)
        if (folder / "files").exists():
            shutil.move(folder / "files", settings.MEDIA_ROOT)
        if (folder / "secret_key").exists():
            os.replace(folder / "secret_key", settings.DATA_DIR / "secret_key")


def _copy_sqlite(target: Path) -> None:
    connection.ensure_connection()
    with sqlite3.connect(target) as copy:
        connection.connection.backup(copy)
    copy.close()


def _restore_sqlite(source: Path) -> None:
    connection.ensure_connection()
    with sqlite3.connect(source) as kept:
        kept.backup(connection.connection)
    kept.close()
    connection.close()


def _dump_postgres(target: Path) -> None:
    _postgres("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


# A newer version may have left tables that the backup does not know and that refer to those it brings back. Tables of other
# programs in the same database stay, whatever they are called: ours are owned by our role, begin with the name of an app whose
# migrations were applied, and are of our own apps or refer to a table of those.
OWN_APPS = ("crm", "leads", "activities", "reporting")
_FORGET_OURS = """
DO $forget$
DECLARE known record;
BEGIN
  IF to_regclass('django_migrations') IS NULL THEN RETURN; END IF;
  FOR known IN
    SELECT DISTINCT t.oid::regclass AS name FROM pg_class t JOIN django_migrations m ON starts_with(t.relname, m.app || '_')
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') AND t.relowner = current_user::regrole
      AND (m.app = ANY ('{OWN_APPS}') OR EXISTS (
        SELECT 1 FROM pg_constraint c JOIN pg_class o ON o.oid = c.confrelid
        WHERE c.conrelid = t.oid AND c.contype = 'f' AND split_part(o.relname, '_', 1) = ANY ('{OWN_APPS}')
      ))
  LOOP
    EXECUTE 'DROP TABLE IF EXISTS ' || known.name || ' CASCADE';
  END LOOP;
  FOR known IN
    SELECT DISTINCT f.oid::regprocedure AS name FROM pg_proc f JOIN django_migrations m ON starts_with(f.proname, m.app || '_')
    WHERE f.pronamespace = current_schema()::regnamespace AND f.proowner = current_user::regrole AND m.app = ANY ('{OWN_APPS}')
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')
  LOOP
    EXECUTE 'DROP FUNCTION IF EXISTS ' || known.name || ' CASCADE';
  END LOOP;
END
$forget$;
"""


def _restore_postgres(source: Path) -> None:
    connection.close()
    # Extensions and the schema belong to the server, whose role may not be ours: `migrate` adds what can be added.
    whole = _postgres("pg_restore", "--list", str(source)).splitlines()
    wanted, script, first = (source.with_suffix(suffix) for suffix in (".list", ".sql", ".first.sql"))
    wanted.write_text("\n".join(line for line in whole if not re.search(r" (EXTENSION|SCHEMA) ", line)))
    _postgres(
        "pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges", f"--use-list={wanted}",
        f"--file={script}", str(source),
    )  # fmt: skip
    first.write_text(_FORGET_OURS.replace("OWN_APPS", ",".join(OWN_APPS)))
    _postgres(
        "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
        f"--file={first}", f"--file={script}",
    )  # fmt: skip


def _postgres(program: str, *arguments: str) -> str:
    """Run one of PostgreSQL's programs on the configured database and return what it printed.

    The password travels in the environment.
    """
    database = settings.DATABASES["default"]
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    given = {variable: str(database[key]) for variable, key in names.items() if database.get(key)}
    try:
        done = subprocess.run(
            [program, *arguments], env={**os.environ, **given}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise InvalidInput(f"{program} is not installed. On Debian: apt-get install postgresql-client") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        # What is wrong stands in the first line that says so; the statement that failed comes after it.
        reason = next((line for line in said if re.search(r"error:", line, re.IGNORECASE)), said[-1])
        raise InvalidInput(f"{program} refused: {reason}")
    return done.stdout
