"""A worker that is killed at any row loses nothing and repeats nothing: a real file, a real process, `kill -9`."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from activities import imports
from activities.imports import chunks, runs
from activities.models import Activity, LeadActivityFact
from crm import events
from crm.imports.files import read_rows
from crm.imports.resource import Memory
from crm.models import Event, ImportRow, ImportRun, ValueNumber
from crm.tenancy import scope
from tests.factories import World

ROWS = 20_000
ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    host = given.get("HOST") or ""
    user = f"{given['USER']}:{given['PASSWORD']}" if given.get("PASSWORD") else given["USER"]
    if host.startswith("/"):
        return f"postgres://{user}@{host.replace('/', '%2F')}:{given.get('PORT') or 5432}/{given['NAME']}"
    return f"postgres://{user}@{host}:{given.get('PORT') or 5432}/{given['NAME']}"


def start_worker(log: Any, *program: str) -> subprocess.Popen:
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "crm.settings", "DATABASE_URL": database_url(), "SECRET_KEY": "tests-only",
        "DATA_DIR": str(django_settings.DATA_DIR),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *(program or ("manage.py", "worker"))],
        cwd=ROOT,
        env=env,
        start_new_session=True,
        stdout=log,
        stderr=log,
    )


def wait_for(condition: Any, seconds: float, log: Path) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"Nothing happened in {seconds} s. The worker said:\n{log.read_text()[-3000:]}"
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_loses_nothing_and_repeats_nothing(world: World, tmp_path: Path) -> None:
    ours = world.ours
    lines = ["custom_activity_type,lead_name,external_id,custom.Users,custom.Qualified"]
    # Every seventh row is refused, so that verdicts are counted too; some rows have no external id to lean on.
    lines += [
        f"Qualifying call,{('Acme', 'Bluth', 'Cyberdyne')[n % 3]},{f'k-{n}' if n % 2 else ''},{'x' if n % 7 == 0 else n},row {n}"
        for n in range(1, ROWS + 1)
    ]
    with scope(ours.organization), events.door("page"):
        before = Activity.objects.count()
        run = imports.start_run(ours.admin, "activities", "kill.csv", io.BytesIO("\n".join(lines).encode()))
        ImportRun.objects.filter(pk=run.pk).update(state="running")
        log = tmp_path / "worker.log"
        with log.open("w") as output:
            for part in (1, 2, 3):
                worker = start_worker(output)
                goal = ROWS * part // 5
                wait_for(lambda goal=goal: ImportRun.objects.get(pk=run.pk).rows_done > goal, 60, log)
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
                done = ImportRun.objects.get(pk=run.pk)
                assert done.state == "running"
                assert ImportRow.objects.filter(run=run).count() == done.rows_done, "verdicts and resume point differ"
            worker = start_worker(output)
            wait_for(lambda: ImportRun.objects.get(pk=run.pk).state == "done", 120, log)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=20) == 0, "SIGTERM ends a worker cleanly"
        run.refresh_from_db()
        refused = ROWS // 7
        assert run.counts == {"create": ROWS - refused, "error": refused} and run.rows_done == ROWS
        made = Activity.objects.filter(pk__gt=max(row.pk for row in ours.activities))
        users, qualified = str(ours.use("Users").field.id), str(ours.use("Qualified").field.id)
        held = Counter(values[qualified] for values in made.values_list("values", flat=True))
        assert held == Counter(f"row {n}" for n in range(1, ROWS + 1) if n % 7)
        assert Activity.objects.count() == before + ROWS - refused
        assert (
            ValueNumber.objects.filter(field_id=int(users), record_key__in=made.values("pk")).count() == ROWS - refused
        )
        assert (
            Event.objects.filter(object_type="activity.custom_activity", action="created", door="import").count()
            == ROWS - refused
        )
        assert (
            sum(LeadActivityFact.objects.filter(type_id=ours.type_row.pk).values_list("count", flat=True))
            == Activity.objects.filter(type_id=ours.type_row.pk).count()
        )


@pytest.mark.django_db(transaction=True)
def test_two_workers_on_one_run_take_turns(world: World) -> None:
    """The second worker finds the resume point moved and goes on from there."""
    ours = world.ours
    lines = ["custom_activity_type,lead_name,custom.Users"] + [f"Qualifying call,Acme,{n}" for n in range(40)]
    with scope(ours.organization), events.door("import"):
        before = Activity.objects.count()
        run = imports.start_run(ours.admin, "activities", "two.csv", io.BytesIO("\n".join(lines).encode()))
        ImportRun.objects.filter(pk=run.pk).update(state="running")
        stale = ImportRun.objects.get(pk=run.pk)
        rows = list(read_rows(runs.path_of(run), "utf-8-sig", ",", run.options["headers"]))
        chunks.settle(run.pk, rows[:10], 0, False, Memory())
        # This worker still believes that nothing is done.
        assert chunks.settle(stale.pk, rows[:10], 0, False, Memory()).rows_done == 10
        chunks.advance(stale, float("inf"))
        assert Activity.objects.count() == before + 40
        assert ImportRun.objects.get(pk=run.pk).counts == {"create": 40}
