"""`python -m tests.bench.reports [--leads 200000] [--activities 2000000] [--runs 9]`: report tiles beside hand-written SQL.

Needs PostgreSQL: DATABASE_URL, or the cluster of `python -m tests.bench`, which is used again. Milliseconds, warm, p50.
The SQL it is measured against is what one would write by hand for the same tables and the same answer: this period by
bucket, and the total of the one before. `first`: the first time, when nothing of it is kept (`reporting.kept`) and it is
kept then. `load` is the machine's when the line was measured: two cores are shared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reports", description=__doc__)
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--activities", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    if "DATABASE_URL" not in os.environ:
        kept = ROOT / "var" / f"bench-{given.leads}-{given.activities}"
        command = [sys.executable, str(ROOT / "scripts" / "postgres.py"), "--keep", str(kept), "--",
                   sys.executable, "-m", "tests.bench.reports", *sys.argv[1:]]  # fmt: skip
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return measure(given.leads, given.activities, given.runs)


def fetch(sql: str, params: Any = ()) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall()


class Table:
    """Prints one line per question: ours, by hand, and their ratio."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        print(f"\n{'question':52} {'first':>8} {'ours':>8} {'by hand':>8} {'ratio':>6} {'load':>6}")

    def line(self, name: str, ours: Callable[[], Any], by_hand: Callable[[], Any]) -> None:
        start = time.perf_counter()
        found = ours()
        first = (time.perf_counter() - start) * 1000
        expected = by_hand()
        mine, theirs = [], []
        for _ in range(self.runs):  # turn about: both see the same machine
            for times, ask in ((mine, ours), (theirs, by_hand)):
                start = time.perf_counter()
                ask()
                times.append((time.perf_counter() - start) * 1000)
        a, b = statistics.median(mine), statistics.median(theirs)
        note = "" if found == expected else f"   ! by hand: {expected}, ours: {found}"
        print(f"{name:52} {first:8.1f} {a:8.1f} {b:8.1f} {a / b:6.2f} {os.getloadavg()[0]:6.1f}{note}", flush=True)


def measure(leads: int, activities: int, runs: int) -> int:
    from django.utils import timezone

    from activities.models import Activity
    from crm.customfields.catalog import catalog
    from crm.models import Organization
    from crm.tenancy import scope
    from reporting.metrics import MetricCatalogue
    from reporting.metrics.catalogue import choice_field
    from reporting.models import DayNumbers
    from reporting.periods import Period
    from reporting.queries import Asked, Filters, comparison, series, tuned
    from tests.bench import world

    organization = Organization.objects.filter(slug=world.SLUG).first()
    if organization is None or not Activity.unscoped.filter(organization=organization).exists():
        world.prepare(leads, activities)
    from crm.models import Membership

    actor = Membership.unscoped.select_related("user", "organization", "role").get(
        organization__slug=world.SLUG, user__email=world.ADMIN
    )
    world.execute("VACUUM ANALYZE activities_activity")
    today = timezone.now().astimezone(actor.zone).date()
    with scope(actor.organization):
        DayNumbers.objects.all().delete()
        counts = dict(
            fetch("SELECT type_id, COUNT(*) FROM activities_activity WHERE organization_id = %s GROUP BY 1",
                  (actor.organization_id,))
        )  # fmt: skip
        known = MetricCatalogue(actor)
        kinds = sorted((row for row in known.custom if row.id in counts), key=lambda row: -counts[row.id])
        broad = kinds[0]
        fields = {use.field.kind.slug: use.field for use in catalog(actor.organization).uses(broad.fieldset_id)}
        number, choice = (
            fields["number"],
            next(use.field for use in known.uses(broad) if use.field.kind.has_options and not use.field.multiple),
        )
        option = choice.options[0]
        print(f"{sum(counts.values()):,} activities; the type measured has {counts[broad.id]:,}")
        table = Table(runs)
        start = f"custom_activities.created.{broad.public_id}"
        for days in (90, 365):
            period = Period(today - timedelta(days=days - 1), today, actor.zone)
            filters = Filters(period)
            ours: Callable[[str], Callable[[], Any]] = lambda key, filters=filters: (  # noqa: E731
                lambda: _whole(series(actor, tuned(actor, Asked(key), known).metric, filters).total)
            )
            hand = _ByHand(broad.id, period)
            table.line(f"created, {days} days", ours(f"{start}.count"), hand.created)
            table.line(
                f"different leads, {days} days", ours(f"custom_activities.leads.{broad.public_id}.count"), hand.leads
            )
            table.line(
                f"sum of a number, {days} days",
                ours(f"{start}.sum_{number.public_id}"),
                lambda h=hand: h.summed(number.id),
            )
            table.line(
                f"largest of a number, {days} days",
                ours(f"{start}.max_{number.public_id}"),
                lambda h=hand: h.summed(number.id, "MAX"),
            )
            table.line(
                f"median of a number, {days} days",
                ours(f"{start}.median_{number.public_id}"),
                lambda h=hand: h.median(number.id),
            )
            table.line(
                f"split by a choice, {days} days",
                lambda filters=filters: _whole(
                    series(
                        actor,
                        known.metric(f"{start}.count"),
                        filters,
                        split=choice_field(actor, (broad,), choice.public_id),
                    ).total
                ),
                lambda h=hand: h.split(choice.id),
            )
            table.line(
                f"a choice, {days} days",
                ours(f"{start}.count_{option.public_id}"),
                lambda h=hand: h.chosen(choice.id, option.id),
            )
            keys = [f"custom_activities.created.{kind.public_id}.count" for kind in kinds[:12]]
            table.line(
                f"overview of twelve tiles, {days} days",
                lambda filters=filters: sum(
                    _whole(series(actor, tuned(actor, Asked(key), known).metric, filters).total) for key in keys
                ),
                lambda period=period: sum(_ByHand(kind.id, period).created() for kind in kinds[:12]),
            )
            splits = [
                next((use.field for use in known.uses(kind) if use.field.kind.has_options), None) for kind in kinds[:12]
            ]
            table.line(
                f"twelve tiles, each split by a choice, {days} days",
                lambda filters=filters: sum(
                    _whole(
                        series(
                            actor,
                            known.metric(key),
                            filters,
                            split=choice_field(actor, (kind,), field.public_id) if field else None,
                        ).total
                    )
                    for key, kind, field in zip(keys, kinds, splits, strict=False)
                ),
                lambda period=period: sum(
                    _ByHand(kind.id, period).split(field.id) if field else _ByHand(kind.id, period).created()
                    for kind, field in zip(kinds, splits, strict=False)
                ),
            )
            metrics = [tuned(actor, Asked(key), known).metric for key in keys[:6]]
            table.line(
                f"comparison of six counts, {days} days",
                lambda filters=filters: sum(map(_whole, comparison(actor, metrics, filters).totals)),
                lambda period=period: sum(_ByHand(kind.id, period).by_member() for kind in kinds[:6]),
            )
    return 0


def _whole(value: Any) -> int:
    return int(value or 0)


class _ByHand:
    """One type over one period and the one before it, grouped by day where a chart needs it."""

    def __init__(self, type_id: int, period: Any) -> None:
        self.type_id, self.period = type_id, period
        self.start, self.after = period.moments
        self.before = period.previous.moments[0]

    def created(self) -> int:
        rows = fetch(
            "SELECT created_on, COUNT(*) FROM activities_activity WHERE type_id = %s AND status = 'published' "
            "AND created_on BETWEEN %s AND %s GROUP BY 1",
            (self.type_id, self.period.previous.start, self.period.end),
        )
        return sum(count for day, count in rows if day >= self.period.start)

    def by_member(self) -> int:
        rows = fetch(
            "SELECT created_by_id, COUNT(*) FROM activities_activity WHERE type_id = %s AND status = 'published' "
            "AND created_on BETWEEN %s AND %s GROUP BY 1",
            (self.type_id, self.period.start, self.period.end),
        )
        return sum(count for _, count in rows)

    def leads(self) -> int:
        fetch(
            "SELECT created_on, COUNT(DISTINCT lead_id) FROM activities_activity WHERE type_id = %s "
            "AND status = 'published' AND date_created >= %s AND date_created < %s GROUP BY 1",
            (self.type_id, self.start, self.after),
        )
        rows = fetch(
            "SELECT date_created >= %s, COUNT(DISTINCT lead_id) FROM activities_activity WHERE type_id = %s "
            "AND status = 'published' AND date_created >= %s AND date_created < %s GROUP BY 1",
            (self.start, self.type_id, self.before, self.after),
        )
        return int(dict(rows).get(True, 0))

    def split(self, field_id: int) -> int:
        fetch(
            "SELECT created_on, v.v, COUNT(*) FROM activities_activity a LEFT JOIN value_ref v ON v.field_id = %s "
            "AND v.lead_id = a.lead_id AND v.record_key = a.id WHERE type_id = %s AND status = 'published' "
            "AND date_created >= %s AND date_created < %s GROUP BY 1, 2",
            (field_id, self.type_id, self.start, self.after),
        )
        return self.created()

    def summed(self, field_id: int, how: str = "SUM") -> int:
        rows = fetch(
            f"SELECT created_on, {how}(v.v) FROM activities_activity a JOIN value_number v ON v.field_id = %s "
            "AND v.lead_id = a.lead_id AND v.record_key = a.id WHERE type_id = %s AND status = 'published' "
            "AND date_created >= %s AND date_created < %s GROUP BY 1",
            (field_id, self.type_id, self.before, self.after),
        )
        found = [total for day, total in rows if day >= self.period.start]
        return int(sum(found) if how == "SUM" else max(found))

    def median(self, field_id: int) -> int:
        middle = (
            "SELECT {}, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY v.v) FROM activities_activity a "
            "JOIN value_number v ON v.field_id = %s AND v.lead_id = a.lead_id AND v.record_key = a.id "
            "WHERE type_id = %s AND status = 'published' AND date_created >= %s AND date_created < %s GROUP BY 1"
        )
        month = "date_trunc('month', date_created AT TIME ZONE %s)"
        fetch(middle.format(month), (self.period.zone.key, field_id, self.type_id, self.start, self.after))
        rows = fetch(middle.format("date_created >= %s"), (self.start, field_id, self.type_id, self.before, self.after))
        return int(dict(rows)[True])

    def chosen(self, field_id: int, option_id: int) -> int:
        rows = fetch(
            "SELECT created_on, COUNT(*) FROM activities_activity a JOIN value_ref v ON v.field_id = %s AND v.v = %s "
            "AND v.lead_id = a.lead_id AND v.record_key = a.id WHERE type_id = %s AND status = 'published' "
            "AND date_created >= %s AND date_created < %s GROUP BY 1",
            (field_id, option_id, self.type_id, self.before, self.after),
        )
        return sum(count for day, count in rows if day >= self.period.start)


if __name__ == "__main__":
    sys.exit(main())
