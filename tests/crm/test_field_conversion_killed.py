"""`kill -9` of a real worker in the middle of a conversion: the field stays what it was, and the next worker ends it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.core.management import call_command

from crm import events, jobs
from crm.customfields.catalog import catalog
from crm.customfields.services import convert_field, create_field
from crm.customfields.values import index_rows_of, insert_index_many
from crm.models import CustomField, Event, FieldSet, Organization, ValueNumber
from crm.tenancy import scope
from leads.models import Lead, LeadStatus
from tests.factories import World
from tests.imports.test_durability import start_worker, wait_for

LEADS = 600
# Small chunks, and a pause before each is committed, so that there is a middle to be killed in.
PAUSING = """
import time
import django
django.setup()
from django.core.management import call_command
from crm.customfields.services import conversions
conversions.CHUNK = 100
real = conversions._convert
def slow(*given):
    found = real(*given)
    time.sleep(0.5)
    return found
conversions._convert = slow
call_command("worker")
"""


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_no_half_of_a_conversion(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Jobs of tests run where they are queued; here the worker finds the conversion that is not over.
    monkeypatch.setattr(jobs, "enqueue", lambda *given: None)
    ours, log = world.ours, tmp_path / "worker.log"
    with scope(ours.organization), events.door("api"), log.open("w") as output:
        field = create_field(ours.admin, FieldSet.objects.get(owner="lead"), name="Size", kind="text")
        status, key = LeadStatus.objects.order_by("position")[0], str(field.pk)
        leads = Lead.objects.bulk_create(
            Lead(organization=ours.organization, name=f"L{n}", name_fold=f"l{n}", search_text=f"l{n}", status=status,
                 created_by=ours.admin.user, updated_by=ours.admin.user, values={key: str(n) if n % 3 else f"about {n}"})
            for n in range(LEADS)
        )  # fmt: skip
        insert_index_many(index_rows_of(catalog(ours.organization), [(lead.pk, 0, lead.values) for lead in leads]))
        convert_field(ours.admin, FieldSet.objects.get(owner="lead"), field, "number", {})
        staged = CustomField.objects.get(replaces=field.pk)

        worker = start_worker(output, "-c", PAUSING)
        wait_for(lambda: CustomField.objects.get(pk=staged.pk).settings["converting"]["after"], 60, log)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        staged.refresh_from_db()
        done = staged.settings["converting"]["converted"] + staged.settings["converting"]["gone"]
        assert 0 < done < LEADS and staged.replaces == field.pk
        written = sum(str(staged.pk) in lead.values for lead in Lead.objects.all())
        assert (
            written
            == staged.settings["converting"]["converted"]
            == ValueNumber.objects.filter(field_id=staged.pk).count()
        )
        now = catalog(Organization.objects.get(pk=ours.organization.pk)).field_by_public_id(field.public_id)
        assert now is not None and (now.id, now.kind.slug, now.converting_to) == (field.pk, "text", "number")

        worker = start_worker(output)
        wait_for(lambda: not CustomField.objects.filter(replaces=field.pk).exists(), 90, log)
        wait_for(lambda: not any(key in values for values in Lead.objects.values_list("values", flat=True)), 90, log)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        expected = {lead.pk: {str(staged.pk): str(n)} if n % 3 else {} for n, lead in enumerate(leads)}
        assert dict(Lead.objects.filter(pk__in=expected).values_list("pk", "values")) == expected
        told = Event.objects.filter(object_type="custom_fields.lead", object_id=field.pk, action="updated")
        assert [row.meta for row in told] == [{"converted": 400, "gone": 200}]
        call_command("reindex", "--check")
