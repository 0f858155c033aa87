"""`kill -9` of a real worker in the middle of each bulk change: every row is changed exactly once, refused ones are listed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from activities.models import Activity
from activities.queries import type_catalog
from activities.services.bulk import Prepared, log_many
from activities.services.types import create_type
from crm import events
from crm.models import Event
from crm.tenancy import scope
from leads.models import BulkAction, Lead, LeadStatus
from leads.services import bulk as bulk_changes
from leads.services.bulk import Selection, start_bulk
from tests.factories import World
from tests.imports.test_durability import start_worker, wait_for

LEADS = 150
ALL = {"type": "object_type", "object_type": "lead"}
ACTIVITIES = {"type": "object_type", "object_type": "activity"}


def state(bulk: BulkAction) -> BulkAction:
    return BulkAction.objects.get(pk=bulk.pk)


# A real worker that pauses before it commits a chunk, so that there is a middle to be killed in.
PAUSING = """
import time
import django
django.setup()
from django.core.management import call_command
from leads.services import bulk
real = bulk._do_chunk
bulk._do_chunk = lambda *given: (real(*given), time.sleep(0.5))
call_command("worker")
"""


def kill_in_the_middle(bulk: BulkAction, log: Path, output: Any) -> None:
    """Start a worker, and end it once a chunk is done and the next one is in hand."""
    worker = start_worker(output, "-c", PAUSING)
    wait_for(lambda: state(bulk).n_done, 60, log)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    killed = state(bulk)
    assert killed.state == "processing" and 0 < killed.n_done < killed.n_objects


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_changes_every_row_exactly_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Jobs of tests run where they are queued; here the worker finds the changes that are not over.
    monkeypatch.setattr(bulk_changes, "enqueue", lambda *given: None)
    ours, log = world.ours, tmp_path / "worker.log"
    first, second = LeadStatus.unscoped.filter(organization=ours.organization).order_by("position")[:2]
    with scope(ours.organization), events.door("page"), log.open("w") as output:
        names = [f"Company {n:03}" for n in range(LEADS)]
        leads = Lead.objects.bulk_create(
            Lead(organization=ours.organization, name=name, name_fold=name.lower(), search_text=name.lower(), status=first,
                 created_by=ours.admin.user, updated_by=ours.admin.user)
            for name in names
        )  # fmt: skip
        bare = create_type(ours.admin, name="Bare")
        now, kinds = timezone.now(), type_catalog(ours.organization)
        kind, other = kinds.get(ours.type_row.pk), kinds.get(bare.pk)
        for start in range(0, LEADS, 100):  # every third activity is of a type without the field
            log_many(ours.admin, [
                Prepared(lead.pk, other if n % 3 == 0 else kind, {}, ours.admin.user_id, ours.admin.user_id, now, now)
                for n, lead in enumerate(leads[start : start + 100])
            ])  # fmt: skip
        every, calls = Lead.objects.count(), Activity.objects.filter(type_id=ours.call.id).count()
        activities = Activity.objects.count()
        lacking = Activity.objects.filter(type=bare).count()

        # A status, an activity logged, a field of one type for all activities, then everything goes.
        edit = start_bulk(ours.admin, "edit", Selection("lead", ALL), {"status": second.public_id})
        kill_in_the_middle(edit, log, output)
        logged = start_bulk(ours.admin, "log", Selection("lead", ALL), {"type": ours.call.public_id, "values": {}})
        kill_in_the_middle(logged, log, output)
        assert (state(edit).state, state(edit).n_done, state(edit).n_changed) == ("done", every, every)
        change = {"field": ours.fields["Users"], "operation": "replace", "value": "4711"}
        field = start_bulk(ours.admin, "edit", Selection("custom_activity", ACTIVITIES), change)
        kill_in_the_middle(field, log, output)
        assert (state(logged).state, state(logged).n_changed) == ("done", every)
        assert Activity.objects.filter(type_id=ours.call.id).count() == calls + every
        worker = start_worker(output)
        wait_for(lambda: state(field).state == "done", 90, log)
        made = Activity.objects.exclude(type__system=True).count()
        done = state(field)
        assert (done.n_done, done.n_changed, done.n_refused) == (made, made - lacking, lacking)
        assert len(done.refused) == lacking and all("no such field" in row["reason"] for row in done.refused)
        assert Activity.objects.filter(type__builtin="status_change").count() == every
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        delete = start_bulk(ours.superuser, "delete", Selection("lead", ALL), {})
        kill_in_the_middle(delete, log, output)
        left = Lead.objects.count()
        assert left == every - state(delete).n_changed > 0
        worker = start_worker(output)
        wait_for(lambda: state(delete).state == "done", 90, log)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        assert (state(delete).n_done, state(delete).n_changed, Lead.objects.count()) == (every, every, 0)

        # The event log says it, too: once each, in the door the change came through.
        for object_type, action, number in (("lead", "deleted", every), ("lead", "updated", every)):
            rows = Event.objects.filter(object_type=object_type, action=action)
            counted = Counter(rows.values_list("object_id", flat=True))
            assert len(counted) == number and set(counted.values()) == {1}, (object_type, action)
        assert activities and not Activity.objects.exists()
