"""`python -m tests.bench.reports [--leads 200000] [--activities 2000000] [--runs 9]`: report tiles beside hand-written SQL.

Needs PostgreSQL: DATABASE_URL, or the cluster of `python -m tests.bench`, which is used again. Milliseconds, warm, p50.
The SQL it is measured against is what one would write by hand for the same tables and the same answer: this period by
bucket, and the total of the one before. `first`: nothing of it is kept (`reporting.kept`), as somebody sees it who is
faster than the worker; `fill`: what the worker does once, in the background. `load` is the machine's when the line was
measured: two cores are shared. `--figures FILE` writes what was measured; `--than FILE` adds how many times slower than
there: what a ten times larger set costs. `--only WORDS` asks the questions alone that have these in their name.
"""

from __future__ import annotations

import argparse
import json
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
    parser.add_argument("--figures", type=Path, help="write what was measured to this file")
    parser.add_argument("--than", type=Path, help="the figures of a smaller set")
    parser.add_argument("--only", default="", help="the questions whose name has these words alone")
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
    than = json.loads(given.than.read_text()) if given.than else {}
    table = measure(given.leads, given.activities, Table(given.runs, than, given.only))
    if given.figures:
        given.figures.write_text(json.dumps(table.found))
    return 0


def fetch(sql: str, params: Any = ()) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall()


class Table:
    """Prints one line per question: ours, by hand, and their ratio. `than`: our milliseconds for a smaller set."""

    def __init__(self, runs: int, than: dict[str, float], only: str = "") -> None:
        self.runs, self.than, self.only = runs, than, only
        self.found: dict[str, float] = {}
        print(
            f"\n{'question':52} {'first':>8} {'fill':>8} {'ours':>8} {'by hand':>8} {'ratio':>6} {'growth':>6} {'load':>6}"
        )

    def line(
        self, name: str, ours: Callable[[], Any], by_hand: Callable[[], Any], fill: Callable[[], None] | None = None
    ) -> None:
        if self.only not in name:
            return
        start = time.perf_counter()
        found = ours()
        first, filled = (time.perf_counter() - start) * 1000, 0.0
        if fill is not None:
            start = time.perf_counter()
            fill()
            filled = (time.perf_counter() - start) * 1000
        expected = by_hand()
        mine, theirs = [], []
        for _ in range(self.runs):  # turn about: both see the same machine
            for times, ask in ((mine, ours), (theirs, by_hand)):
                start = time.perf_counter()
                again = ask()
                times.append((time.perf_counter() - start) * 1000)
                assert again == (found if ask is ours else expected), name
        a, b = statistics.median(mine), statistics.median(theirs)
        self.found[name] = a
        grown = f"{a / self.than[name]:6.2f}" if name in self.than else f"{'':6}"
        note = "" if found == expected else f"   ! by hand: {expected}, ours: {found}"
        load = os.getloadavg()[0]
        print(
            f"{name:52} {first:8.1f} {filled:8.1f} {a:8.1f} {b:8.1f} {a / b:6.2f} {grown} {load:6.1f}{note}", flush=True
        )


def measure(leads: int, activities: int, table: Table) -> Table:
    from django.utils import timezone

    from activities.models import Activity
    from crm.customfields.catalog import catalog
    from crm.models import Organization
    from crm.tenancy import scope
    from reporting.metrics import MetricCatalogue
    from reporting.models import DayNumbers
    from reporting.periods import Period
    from reporting.queries import Asked, Filters, comparison, tuned
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
        start, leads_of = f"custom_activities.created.{broad.public_id}", f"custom_activities.leads.{broad.public_id}"
        summed, mean = f"{start}.sum_{number.public_id}", f"{start}.avg_{number.public_id}"
        keys = [f"custom_activities.created.{kind.public_id}.count" for kind in kinds[:12]]
        splits = [
            next((use.field for use in known.uses(kind) if use.field.kind.has_options), None) for kind in kinds[:12]
        ]
        twelve = [Asked(key, split=field.public_id if field else "") for key, field in zip(keys, splits, strict=True)]
        for days in (90, 365):
            filters = Filters(Period(today - timedelta(days=days - 1), today, actor.zone))
            hand = _ByHand(broad.id, filters.period)
            asks = _Asks(actor, known, filters, f", {days} days", table)
            asks.tile("created", Asked(f"{start}.count"), hand.created)
            asks.tile("created, split by member", Asked(f"{start}.count", split="member"), hand.split_by_member)
            asks.tile(
                "split by a choice", Asked(f"{start}.count", split=choice.public_id), lambda h=hand: h.split(choice.id)
            )
            asks.tile(
                "a choice", Asked(f"{start}.count_{option.public_id}"), lambda h=hand: h.chosen(choice.id, option.id)
            )
            asks.tile("different leads", Asked(f"{leads_of}.count"), hand.leads)
            asks.tile(
                "different leads, split by a choice", Asked(f"{leads_of}.count", split=choice.public_id),
                lambda h=hand: h.leads(choice.id),
            )  # fmt: skip
            asks.tile(
                "different leads, split by member",
                Asked(f"{leads_of}.count", split="member"),
                lambda h=hand: h.leads(0),
            )
            asks.tile("sum of a number", Asked(summed), lambda h=hand: h.summed(number.id))
            asks.tile(
                "sum, split by a choice",
                Asked(summed, split=choice.public_id),
                lambda h=hand: h.summed(number.id, choice.id),
            )
            asks.tile("sum, split by member", Asked(summed, split="member"), lambda h=hand: h.summed(number.id, 0))
            asks.tile(
                "average, split by a choice", Asked(mean, split=choice.public_id),
                lambda h=hand: h.summed(number.id, choice.id, "AVG"),
            )  # fmt: skip
            asks.tile(
                "largest of a number",
                Asked(f"{start}.max_{number.public_id}"),
                lambda h=hand: h.summed(number.id, how="MAX"),
            )
            asks.tile(
                "median of a number", Asked(f"{start}.median_{number.public_id}"), lambda h=hand: h.median(number.id)
            )
            asks.tiles("overview of twelve tiles", [Asked(key) for key in keys], lambda h=hand: h.all_of(kinds[:12]))
            asks.tiles(
                "twelve tiles, each split by a choice", twelve,
                lambda h=hand: sum(
                    h.of(kind).split(field.id) if field else h.of(kind).created()
                    for kind, field in zip(kinds, splits, strict=False)
                ),
            )  # fmt: skip
            metrics = [tuned(actor, Asked(key), known).metric for key in keys[:6]]
            table.line(
                f"comparison of six counts, {days} days",
                lambda filters=filters: sum(map(_whole, comparison(actor, metrics, filters).totals)),
                lambda h=hand: sum(h.of(kind).by_member() for kind in kinds[:6]),
                lambda asks=asks: asks.fill([Asked(key) for key in keys[:6]], "comparison"),
            )
    return table


class _Asks:
    """Asks for tiles as the page does, has what is slow filled as the worker does, and asks again."""

    def __init__(self, actor: Any, known: Any, filters: Any, words: str, table: Table) -> None:
        self.actor, self.known, self.filters, self.words, self.table = actor, known, filters, words, table

    def tile(self, name: str, asked: Any, by_hand: Callable[[], Any]) -> None:
        self.tiles(name, [asked], by_hand)

    def tiles(self, name: str, asked: list[Any], by_hand: Callable[[], Any]) -> None:
        self.table.line(f"{name}{self.words}", lambda: sum(map(self._ask, asked)), by_hand, lambda: self.fill(asked))

    def _ask(self, asked: Any) -> int:
        from reporting.queries import tile_series, tuned

        return _whole(tile_series(self.actor, tuned(self.actor, asked, self.known), self.filters).total)

    def fill(self, asked: list[Any], kind: str = "overview") -> None:
        from reporting.filling import fill

        period = self.filters.period
        days = (period.previous.start.isoformat(), period.end.isoformat())
        for each in asked:
            fill(self.actor.pk, each.metric, each.options, [], *days, kind)


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

    def of(self, kind: Any) -> _ByHand:
        return _ByHand(kind.id, self.period)

    def all_of(self, kinds: list[Any]) -> int:
        return sum(self.of(kind).created() for kind in kinds)

    def by_member(self) -> int:
        rows = fetch(
            "SELECT created_by_id, COUNT(*) FROM activities_activity WHERE type_id = %s AND status = 'published' "
            "AND created_on BETWEEN %s AND %s GROUP BY 1",
            (self.type_id, self.period.start, self.period.end),
        )
        return sum(count for _, count in rows)

    def split_by_member(self) -> int:
        fetch(
            "SELECT created_on, created_by_id, COUNT(*) FROM activities_activity WHERE type_id = %s "
            "AND status = 'published' AND created_on BETWEEN %s AND %s GROUP BY 1, 2",
            (self.type_id, self.period.start, self.period.end),
        )
        return self.created()

    def _by(self, split: int | None) -> tuple[str, str, tuple[int, ...]]:
        """Return the column and the join of a split: by the choices of a field, by member (0), by nothing (None)."""
        if not split:
            return ("" if split is None else ", a.created_by_id"), "", ()
        join = "LEFT JOIN value_ref c ON c.field_id = %s AND c.lead_id = a.lead_id AND c.record_key = a.id "
        return ", c.v", join, (split,)

    def leads(self, split: int | None = None) -> int:
        """Different leads: of the bars, of the whole, and of both for each part of a split."""
        month = "date_trunc('month', a.date_created AT TIME ZONE %s)"
        statement = (
            "SELECT {}, COUNT(DISTINCT a.lead_id) FROM activities_activity a {}WHERE a.type_id = %s "
            "AND a.status = 'published' AND a.date_created >= %s AND a.date_created < %s GROUP BY {}"
        )
        here = (self.type_id, self.start, self.after)
        fetch(statement.format(month, "", "1"), (self.period.zone.key, *here))
        if split is not None:
            column, join, given = self._by(split)
            fetch(statement.format(month + column, join, "1, 2"), (self.period.zone.key, *given, *here))
            fetch(statement.format(column[2:], join, "1"), (*given, *here))
        rows = fetch(
            statement.format("a.date_created >= %s", "", "1"), (self.start, self.type_id, self.before, self.after)
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

    def summed(self, field_id: int, split: int | None = None, how: str = "SUM") -> int:
        columns = "SUM(v.v), COUNT(*)" if how == "AVG" else f"{how}(v.v), 1"
        statement = (
            f"SELECT created_on{{}}, {columns} FROM activities_activity a JOIN value_number v ON v.field_id = %s "
            "AND v.lead_id = a.lead_id AND v.record_key = a.id {}WHERE type_id = %s AND status = 'published' "
            "AND date_created >= %s AND date_created < %s GROUP BY 1{}"
        )
        rows = fetch(statement.format("", "", ""), (field_id, self.type_id, self.before, self.after))
        if split is not None:
            column, join, given = self._by(split)
            fetch(statement.format(column, join, ", 2"), (field_id, *given, self.type_id, self.start, self.after))
        found = [(total, count) for day, total, count in rows if day >= self.period.start]
        totals = [total for total, _ in found]
        whole = max(totals) if how == "MAX" else sum(totals)
        return int(round(whole / sum(count for _, count in found), 2) if how == "AVG" else whole)

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
