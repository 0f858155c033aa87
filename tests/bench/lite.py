"""`python -m tests.bench.lite [--leads 20000] [--activities 200000] [--runs 15]`: searches on SQLite beside hand-written SQL.

The query families of `tests.bench.measure`, and orders by columns, on a SQLite file that is kept in var/ and used again.
The other side is one native table per type with typed columns and an index on each. Every figure is milliseconds, warm.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SQL_TYPES = {"text": "TEXT", "number": "REAL", "moment": "TEXT", "ref": "INTEGER"}
READS = {
    "text": "lower({0})",
    "number": "CAST({0} AS REAL)",
    "moment": "{0}",
    "ref": "CASE WHEN {0} IN ('true', 1) THEN 1 WHEN {0} = 'false' THEN 0 ELSE CAST({0} AS INTEGER) END",
}


def native(kind: Any) -> str:
    return f"native_{kind.id}"


def fill_native(kind: Any, fields: list[Any]) -> None:
    """Make the table of a type from the same JSON; several values of a field are rows of a table beside it."""
    from tests.bench.measure import fetch

    table = native(kind)
    if fetch("SELECT 1 FROM sqlite_master WHERE name = %s", (table,)):
        return
    single = [field for field in fields if not field.multiple]
    columns = ["id INTEGER PRIMARY KEY", "lead_id INTEGER", "date_created TEXT"]
    reads = ["id", "lead_id", "date_created"]
    for field in single:
        columns.append(f"f{field.id} {SQL_TYPES[field.kind.storage]}")
        reads.append(READS[field.kind.storage].format(f"json_extract(\"values\", '$.{field.id}')"))
    rows = f"FROM activities_activity WHERE type_id = {kind.id} AND status = 'published'"
    run_sql(f"CREATE TABLE {table} ({', '.join(columns)})", f"INSERT INTO {table} SELECT {', '.join(reads)} {rows}")
    for field in fields:
        name = f"{table}_f{field.id}"
        if field.multiple:
            run_sql(
                f"CREATE TABLE {name} (v INTEGER, lead_id INTEGER, id INTEGER)",
                f"INSERT INTO {name} SELECT j.value, a.lead_id, a.id FROM activities_activity a, json_each(a.\"values\", '$.{field.id}') j "
                f"WHERE a.type_id = {kind.id} AND a.status = 'published'",
                f"CREATE INDEX {name}_v ON {name} (v, lead_id)",
                f"CREATE INDEX {name}_lead ON {name} (lead_id, v)",
            )
        elif field.kind.storage != "text":
            run_sql(f"CREATE INDEX {name} ON {table} (f{field.id}, lead_id)")
    run_sql(
        f"CREATE INDEX {table}_lead ON {table} (lead_id)",
        f"CREATE INDEX {table}_created ON {table} (date_created, lead_id)",
    )


def run_sql(*statements: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def lines(runs: int) -> Any:
    """Return the table that prints a line per family: statements against statements, and the whole call beside them."""
    from django.db import connection

    from tests.bench.measure import Statements, Table

    class Sent(Statements):
        def again(self) -> None:
            with connection.cursor() as cursor:
                for sql, params in self.sent:
                    cursor.execute(sql, params)
                    if cursor.description:
                        cursor.fetchall()

    class Lines(Table):
        def line(self, name: str, ours: Callable[[], Any], limit: Callable[[], Any], *args: Any, **more: Any) -> None:
            ours()
            sent = Sent(ours)
            expected = limit()
            mine, theirs, whole = self._times([sent.again, limit, ours], self.runs)
            note = "" if sent.answer == expected else f"   ! native found {expected}"
            self._print(name, sent.answer, mine, theirs, whole, note)

    return Lines(runs)


class Native:
    """Hand-written SQL in the adaptive shape: probe, then narrow or broad."""

    def __init__(self, actor: Any) -> None:
        from leads.search.estimates import probe_bound

        self.organization, self.bound = actor.organization_id, probe_bound(actor)

    def ordered(self, ids: Any) -> None:
        from tests.bench.measure import fetch

        fetch(f"SELECT id FROM leads_lead WHERE id IN ({', '.join(map(str, ids)) or 'NULL'}) AND organization_id = %s "
              "ORDER BY name_fold, id LIMIT 51", (self.organization,))  # fmt: skip

    def search(self, table: str, where: str, params: tuple[Any, ...]) -> int:
        from tests.bench.measure import fetch

        found = fetch(f"SELECT lead_id FROM {table} n WHERE {where} LIMIT {self.bound + 1}", params)
        ids = {row[0] for row in found}
        if len(found) <= self.bound:
            self.ordered(ids)
            return len(ids)
        fetch(
            f"SELECT l.id FROM leads_lead l WHERE l.organization_id = %s AND (SELECT 1 FROM {table} n WHERE n.lead_id = l.id "
            f"AND {where} LIMIT 1) IS NOT NULL ORDER BY l.name_fold, l.id LIMIT 51", (self.organization, *params),
        )  # fmt: skip
        counted = fetch(
            f"SELECT COUNT(*) FROM (SELECT DISTINCT lead_id FROM {table} n WHERE {where} LIMIT 10001) d", params
        )
        return min(int(counted[0][0]), 10_000)

    def none_of(self, table: str) -> int:
        from tests.bench.measure import fetch

        none = f"FROM leads_lead l WHERE l.organization_id = %s AND NOT EXISTS (SELECT 1 FROM {table} n WHERE n.lead_id = l.id)"
        fetch(f"SELECT l.id {none} ORDER BY l.name_fold, l.id LIMIT 51", (self.organization,))
        counted = fetch(f"SELECT COUNT(*) FROM (SELECT 1 {none} LIMIT 10001) c", (self.organization,))
        return min(int(counted[0][0]), 10_000)

    def at_least(self, table: str, number: int, since: str) -> int:
        from tests.bench.measure import fetch

        ids = [row[0] for row in fetch(
            f"SELECT lead_id FROM {table} WHERE date_created >= %s GROUP BY lead_id HAVING COUNT(*) >= {number} LIMIT 10001", (since,)
        )]  # fmt: skip
        self.ordered(ids)
        return min(len(ids), 10_000)

    def sorted(self, order: str) -> int:
        from tests.bench.measure import fetch

        found = fetch(
            f"SELECT l.id FROM leads_lead l WHERE l.organization_id = %s ORDER BY {order} LIMIT 51",
            (self.organization,),
        )
        fetch(
            "SELECT COUNT(*) FROM (SELECT 1 FROM leads_lead WHERE organization_id = %s LIMIT 10001) c",
            (self.organization,),
        )
        return len(found)


def measure(leads: int, activities: int, runs: int) -> None:
    from django.core.management import call_command
    from django.db.models import Count

    from activities.models import Activity
    from activities.queries import type_catalog
    from crm.customfields.catalog import catalog
    from crm.models import Membership, Organization
    from crm.tenancy import scope
    from leads.models import Lead
    from tests.bench import world

    call_command("migrate", verbosity=0)
    organization = Organization.objects.filter(slug=world.SLUG).first() or world._make_organization()
    if not Activity.unscoped.filter(organization=organization).exists():
        call_command("generate_data", organization=world.SLUG, leads=leads, activities=activities)
        organization.refresh_from_db()
    actor = Membership.unscoped.select_related("user", "organization", "role").get(
        organization=organization, user__email=world.ADMIN
    )
    with scope(organization):
        counts = dict(Activity.objects.order_by().values_list("type_id").annotate(number=Count("pk")))
        types = sorted(
            (row for row in type_catalog(organization).custom if row.id in counts), key=lambda row: -counts[row.id]
        )
        for kind in types:
            fill_native(kind, [use.field for use in catalog(organization).uses(kind.fieldset_id)])
            run_sql(f"ANALYZE {native(kind)}")  # ours has the figures that every installation has
        print(f"SQLite: {Lead.objects.count():,} leads, {sum(counts.values()):,} activities, {len(types)} custom types")
        table = lines(runs)
        bench = world.Bench(actor, types, counts, leads, activities, "")
        for label, kind in (("common type", types[0]), ("rare type", types[-1])):
            _families(bench, kind, label, table)
        _everything(bench, table)


def _families(bench: Any, kind: Any, label: str, table: Any) -> None:
    from django.db import connection
    from django.utils import timezone

    from leads.search.language import parse
    from leads.search.run import run
    from tests.bench.measure import condition, fetch, related

    actor, limit, mine = bench.actor, Native(bench.actor), native(kind)

    def ours(tree: dict[str, Any]) -> Callable[[], int]:
        return lambda: run(actor, parse(tree, actor)).total or 0

    def both(name: str, tree: dict[str, Any], where: str, *params: Any, of: str = mine) -> None:
        table.line(f"{name}, {label}", ours(tree), lambda: limit.search(of, where, params))

    fields = bench.fields(kind)
    choice, number, text, several = (fields.get(key) for key in ("choices", "number", "text", "choices_many"))
    for word, option in (("first option", choice.options[0]), ("last option", choice.options[-1])):
        tree = related(kind, condition(choice, {"type": "term", "values": [option.public_id]}))
        both(f"choice, {word}", tree, f"f{choice.id} = %s", option.id)
    option = several.options[0]
    tree = related(kind, condition(several, {"type": "term", "values": [option.public_id]}))
    both("several choices", tree, "v = %s", option.id, of=f"{mine}_f{several.id}")
    held = [row[0] for row in fetch(f"SELECT f{number.id} FROM {mine} WHERE f{number.id} IS NOT NULL ORDER BY 1")]
    bounds = {"broad": held[len(held) // 5], "rare": held[len(held) * 999 // 1000]}
    for word, bound in bounds.items():
        both(f"number range, {word}", related(kind, condition(number, {"type": "number_range", "gte": str(bound)})),
             f"f{number.id} >= %s", bound)  # fmt: skip
    option = choice.options[1]
    asked = condition(choice, {"type": "term", "values": [option.public_id]})
    for word, bound in (("broad", held[len(held) // 2]), ("rare", bounds["rare"])):
        tree = related(kind, asked, condition(number, {"type": "number_range", "gte": str(bound)}))
        both(f"two conditions, {word}", tree, f"f{choice.id} = %s AND f{number.id} >= %s", option.id, bound)
    words: dict[str, int] = {}
    for (line,) in fetch(f"SELECT f{text.id} FROM {mine} WHERE f{text.id} IS NOT NULL LIMIT 20000"):
        for word in set(line.split()):
            words[word] = words.get(word, 0) + (len(word) > 3)
    wanted = max(words, key=lambda word: words[word])
    tree = related(kind, condition(text, {"type": "text", "value": wanted, "mode": "full_words"}))
    both(f"text contains “{wanted[:12]}”", tree, f"' ' || f{text.id} || ' ' LIKE %s", f"% {wanted} %")
    table.line(f"none of type, {label}", ours(related(kind, negate=True)), lambda: limit.none_of(mine))
    since = connection.ops.adapt_datetimefield_value(timezone.now() - timedelta(days=30))
    ago = {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {"days": 30}}
    regular = {"type": "regular_field", "object_type": "activity.custom_activity", "field_name": "date_created"}
    recently = {"type": "field_condition", "field": regular, "condition": {"type": "moment_range", "on_or_after": ago}}
    tree = related(kind, recently, count={"gte": 2})
    table.line(f"at least 2 in 30 days, {label}", ours(tree), lambda: limit.at_least(mine, 2, str(since)))


def _everything(bench: Any, table: Any) -> None:
    """The free-text box, and every lead in the order of columns that are not its own."""
    from leads.models import Lead
    from leads.search.language import parse
    from leads.search.run import run
    from tests.bench.measure import fetch

    actor, limit = bench.actor, Native(bench.actor)
    everything = parse({"type": "match_all"}, actor)
    word = Lead.objects.order_by("-pk").values_list("name_fold", flat=True)[0].split()[-1]

    def free_text() -> int:
        found = "SELECT id FROM leads_lead WHERE organization_id = %s AND search_text LIKE %s LIMIT 10001"
        ids = [row[0] for row in fetch(found, (actor.organization_id, f"%{word}%"))]
        limit.ordered(ids)
        return min(len(ids), 10_000)

    table.line("free text box", lambda: run(actor, everything, text=word).total, free_text)
    kind = bench.types[0]
    number = bench.fields(kind)["number"]
    held = f"SELECT n.f{number.id} FROM {native(kind)} n WHERE n.lead_id = l.id AND n.f{number.id} IS NOT NULL"
    latest = f"({held} ORDER BY n.date_created DESC, n.id DESC LIMIT 1) DESC NULLS LAST, l.id DESC"
    counted = f"(SELECT COUNT(*) FROM {native(kind)} n WHERE n.lead_id = l.id) DESC, l.id DESC"
    orders = {
        "last activity": ("-last_activity_at", "l.last_activity_at DESC NULLS LAST, l.id DESC"),
        "created": ("-date_created", "l.date_created DESC, l.id DESC"),
        "number of activities of a type": (f"-count:{kind.public_id}", counted),
        "last value of a field": (f"-last:{kind.public_id}:{number.public_id}", latest),
    }
    for words, (sort, order) in orders.items():
        table.line(
            f"all leads by {words}",
            lambda sort=sort: len(run(actor, everything, sort=sort, limit=51).ids),
            lambda order=order: limit.sorted(order),
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lite", description=__doc__)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--activities", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    kept = ROOT / "var" / f"bench-lite-{given.leads}-{given.activities}"
    kept.mkdir(parents=True, exist_ok=True)
    os.environ |= {"DATABASE_URL": f"sqlite:///{kept}/bench.sqlite3", "DATA_DIR": str(kept)}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    measure(given.leads, given.activities, given.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
