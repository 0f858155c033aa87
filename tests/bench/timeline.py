"""`python -m tests.bench.timeline [--activities 10000] [--runs 20]`: the page of a lead with very many activities.

Prints what the server's processor worked (a loaded machine cannot blur it; a database server's own work shows on the clock
only), the time on the clock and the number of queries: of the first screen (page and timeline), a later page, a filter by
words, and a permalink to the oldest card, beside those of a lead with ten activities. Ends with 1 when the first screen's
number of queries depends on the number of activities. SQLite in a temporary folder, or DATABASE_URL
(`scripts/postgres.py -- python -m tests.bench.timeline`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

SIZES = (10, 10_000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.timeline", description=__doc__)
    parser.add_argument("--activities", type=int, default=SIZES[1])
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
        import django

        django.setup()
        return measure(given.activities, given.runs)


def fill(organization: Any, actor: Any, sizes: tuple[int, ...]) -> list[tuple[str, str]]:
    """Make a lead per size, of a type with six fields, comments and pins among them; return (lead, oldest activity)."""
    from django.utils import timezone

    from activities.models import Activity
    from activities.queries import type_catalog
    from activities.services.bulk import Prepared, log_many
    from activities.services.comments import add_comment
    from activities.services.types import create_type
    from crm.customfields.catalog import catalog
    from crm.customfields.services import create_field
    from leads.services import create_lead

    row = create_type(actor, name="Bench call", icon="phone")
    for name, kind, more in (
        ("Topic", "text", {}), ("Story", "textarea", {}), ("Users", "number", {}), ("Met", "datetime", {}),
        ("Stage", "choices", {"options": ["New", "Warm", "Won"]}), ("Seller", "user", {}),
    ):  # fmt: skip
        create_field(actor, row.fieldset, name=name, kind=kind, **more)
    kind = type_catalog(organization).get(row.pk)
    assert kind is not None
    uses = {use.field.name: use.field for use in catalog(organization).uses(kind.fieldset_id)}
    now = timezone.now()
    found = []
    for size in sizes:
        lead = create_lead(actor, name=f"Lead of {size}", contacts=[{"name": "Pat"}])
        for start in range(0, size, 2000):
            log_many(
                actor,
                [
                    Prepared(
                        lead.pk, kind,
                        {
                            str(uses["Topic"].id): f"Topic {number}", str(uses["Story"].id): "Words about it. " * 8,
                            str(uses["Users"].id): str(number), str(uses["Met"].id): now.isoformat(),
                            str(uses["Stage"].id): uses["Stage"].options[number % 3].id, str(uses["Seller"].id): actor.user_id,
                        },
                        actor.user_id, actor.user_id, now - timedelta(hours=number), now - timedelta(hours=number),
                    )
                    for number in range(start, min(start + 2000, size))
                ],
            )  # fmt: skip
        rows = list(Activity.objects.filter(lead=lead, type=row).order_by("-activity_at"))
        for activity in rows[:5]:
            add_comment(actor, activity, "Seen, @Ada Admin.")
        found.append((lead.public_id, rows[-1].public_id))
    return found


def measure(activities: int, runs: int) -> int:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import setup_test_environment
    from django.urls import reverse

    from crm import events
    from crm.management.provision import provision_organization
    from crm.tenancy import scope

    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    setup_test_environment()
    settings.ALLOWED_HOSTS = ["*"]
    slug = f"bench-{os.getpid()}"
    actor = provision_organization(
        "Bench", slug, f"ada@{slug}.example", plan="unlimited", first_name="Ada", last_name="Admin"
    )
    sizes = (SIZES[0], activities)
    with scope(actor.organization), events.door("page"):
        leads = fill(actor.organization, actor, sizes)
    client = Client()
    client.force_login(actor.user)

    def ask(name: str, lead: str, **query: str) -> Any:
        headers = {} if name == "leads:page" else {"HTTP_HX_REQUEST": "true"}
        answer = client.get(reverse(name, args=[slug, lead]), query, **headers)
        assert answer.status_code == 200, answer.status_code
        return answer

    def cursor(lead: str) -> str:
        url = ask("activities:timeline", lead).context["more_url"]
        return url.partition("after=")[2].partition("&")[0]

    print(f"{connection.vendor}, {runs} runs: processor ms of the server (best), ms on the clock (median), queries\n")
    print(f"{'':34}" + "".join(f"{f'{size:,} activities':>26}" for size in sizes))
    cases: dict[str, Any] = {
        "lead page": lambda lead, _: ask("leads:page", lead),
        "timeline, first page": lambda lead, _: ask("activities:timeline", lead),
        "timeline, next page": lambda lead, _: ask("activities:timeline", lead, after=places[lead]),
        "timeline, by words": lambda lead, _: ask("activities:timeline", lead, words="topic 7"),
        "timeline, permalink to the oldest": lambda lead, oldest: ask("activities:timeline", lead, activity=oldest),
    }
    places = {lead: cursor(lead) for lead, _ in leads}
    wrong = 0
    for label, act in cases.items():
        cells, counts = [], []
        for lead, oldest in leads:
            act(lead, oldest)
            asked: list[str] = []

            def count(execute: Any, sql: str, params: Any, many: bool, context: Any, asked: list[str] = asked) -> Any:
                asked.append(sql)
                return execute(sql, params, many, context)

            with connection.execute_wrapper(count):
                act(lead, oldest)
            times, work = [], []
            for _ in range(runs):
                started, worked = time.perf_counter(), time.process_time()
                act(lead, oldest)
                times.append((time.perf_counter() - started) * 1000)
                work.append((time.process_time() - worked) * 1000)
            counts.append(len(asked))
            cells.append(f"{min(work):>7.1f} {statistics.median(times):>7.1f} {len(asked):>4}")
        # A lead with ten has no second page, and its oldest card is on the first.
        if label in ("lead page", "timeline, first page", "timeline, by words") and len(set(counts)) > 1:
            wrong = 1
        print(f"{label:34}" + "".join(f"{cell:>26}" for cell in cells))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
