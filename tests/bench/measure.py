"""The query families, ours and native: SQL beside SQL, and what the whole request takes.

*ours* is every statement the product sends for the answer (probes, page, total), sent again as it was and fetched; *native*
is hand-written SQL on native typed tables. Warm: searches were asked before, within a minute; where that spares ours a
statement, a line "first asked" is without it. *request* is what somebody waits for: the page or service call with all its
Python, templates and permission checks.
"""

from __future__ import annotations

import io
import json
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from activities.queries import TypeInfo, timeline
from activities.services.activities import log_activity
from activities.services.bulk import Prepared, log_many
from crm import events
from crm.customfields.catalog import Field, catalog
from crm.customfields.lookups import Lookups
from crm.models import UsageCounter
from crm.plans import this_month
from crm.tenancy import scope
from leads.models import Lead
from leads.search.estimates import forget_probes, probe_bound
from leads.search.language import parse
from leads.search.run import run
from reporting.metrics import metric_for
from reporting.periods import Period
from reporting.queries import Filters, series
from tests.bench.world import Bench, native, prepare

IMPORTED = 10_000


def fetch(sql: str, params: Any = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall()


class Native:
    """Hand-written SQL on the native tables, in the adaptive shape that suits it: probe, then narrow or broad."""

    def __init__(self, bench: Bench) -> None:
        self.organization = bench.actor.organization_id
        self.bound = probe_bound(bench.actor)

    def search(self, table: str, where: str, params: tuple[Any, ...]) -> int:
        found = fetch(f"SELECT lead_id FROM {table} n WHERE {where} LIMIT {self.bound + 1}", params)
        ids = {row[0] for row in found}
        if len(found) <= self.bound:
            fetch("SELECT id FROM leads_lead WHERE id = ANY(%s) AND organization_id = %s ORDER BY name_fold, id LIMIT 51",
                  (list(ids), self.organization))  # fmt: skip
            return len(ids)
        fetch(
            f"SELECT l.id FROM leads_lead l WHERE l.organization_id = %s AND (SELECT 1 FROM {table} n WHERE n.lead_id = l.id "
            f"AND {where} LIMIT 1) IS NOT NULL ORDER BY l.name_fold, l.id LIMIT 51",
            (self.organization, *params),
        )
        counted = fetch(
            f"SELECT COUNT(*) FROM (SELECT DISTINCT lead_id FROM (SELECT lead_id FROM {table} n WHERE {where} LIMIT 60001) c LIMIT 10001) d",
            params,
        )
        return min(int(counted[0][0]), 10_000)

    def none_of(self, table: str) -> int:
        fetch(
            f"SELECT l.id FROM leads_lead l WHERE l.organization_id = %s AND (SELECT 1 FROM {table} n WHERE n.lead_id = l.id "
            "LIMIT 1) IS NULL ORDER BY l.name_fold, l.id LIMIT 51", (self.organization,),
        )  # fmt: skip
        counted = fetch(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM leads_lead l WHERE l.organization_id = %s AND NOT EXISTS (SELECT 1 FROM {table} n "
            "WHERE n.lead_id = l.id) LIMIT 10001) c", (self.organization,),
        )  # fmt: skip
        return min(int(counted[0][0]), 10_000)

    def at_least(self, table: str, number: int, since: Any) -> int:
        ids = [row[0] for row in fetch(
            f"SELECT lead_id FROM {table} WHERE date_created >= %s GROUP BY lead_id HAVING COUNT(*) >= {number} LIMIT 10001", (since,)
        )]  # fmt: skip
        fetch("SELECT id FROM leads_lead WHERE id = ANY(%s) AND organization_id = %s ORDER BY name_fold, id LIMIT 51",
              (ids, self.organization))  # fmt: skip
        return min(len(ids), 10_000)


def condition(field: Field, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "field_condition",
        "field": {"type": "custom_field", "custom_field_id": field.public_id},
        "condition": given,
    }


def related(kind: TypeInfo, *queries: dict[str, Any], **more: Any) -> dict[str, Any]:
    of_type = {
        "type": "field_condition",
        "field": {
            "type": "regular_field",
            "object_type": "activity.custom_activity",
            "field_name": "custom_activity_type_id",
        },
        "condition": {"type": "term", "values": [kind.public_id]},
    }
    return {"type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity",
            "related_query": {"type": "and", "queries": [of_type, *queries]}, **more}  # fmt: skip


class Statements:
    """The statements a call sends, for sending them again."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.sent: list[tuple[str, Any]] = []
        with connection.execute_wrapper(self._note):
            self.answer = call()

    def _note(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            self.sent.append((sql, params))
        return execute(sql, params, many, context)

    def again(self) -> None:
        with connection.cursor() as cursor:
            for sql, params in self.sent:
                cursor.execute(sql, params)
                while cursor.nextset():
                    pass
                if cursor.description:
                    cursor.fetchall()


class Table:
    """Prints one line per family."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        print(
            f"\n{'family':44} {'found':>6} {'ours p50':>9} {'p95':>7} {'native p50':>11} {'p95':>7} {'ratio':>6}"
            f" {'request p50':>12} {'p95':>7}"
        )

    def line(
        self,
        name: str,
        ours: Callable[[], Any],
        limit: Callable[[], Any],
        request: Callable[[], Any] | None = None,
        runs: int = 0,
    ) -> None:
        """Measure statements against statements; `request`: the whole, else the call itself."""
        ours()
        sent = Statements(ours)
        found, expected = sent.answer, limit()
        mine, theirs, whole = self._times([sent.again, limit, request or ours], runs or self.runs)
        differs = isinstance(found, int) and isinstance(expected, int) and found != expected
        note = f"   ! native found {expected}" if differs else ""
        self._print(name, found, mine, theirs, whole, note)

    def call(self, name: str, ours: Callable[[], Any], limit: Callable[[], Any], runs: int = 0) -> None:
        """Measure a call against statements: for what cannot be sent twice."""
        ours()
        limit()
        mine, theirs = self._times([ours, limit], runs or self.runs)
        self._print(name, "", mine, theirs, None, "")

    def _print(self, name: str, found: Any, mine: Any, theirs: Any, whole: Any, note: str) -> None:
        shown = found if isinstance(found, int) else ""
        waited = f" {whole[0]:12.1f} {whole[1]:7.1f}" if whole else ""
        print(
            f"{name:44} {shown:>6} {mine[0]:9.2f} {mine[1]:7.2f} {theirs[0]:11.2f} {theirs[1]:7.2f} "
            f"{mine[0] / theirs[0] if theirs[0] else 0:6.2f}{waited}{note}",
            flush=True,
        )

    def _times(self, calls: list[Callable[[], Any]], runs: int) -> list[tuple[float, float]]:
        """Return median and 95th percentile of each, run in turn so that a busy machine slows all alike.

        Every other turn goes backwards, so that each comes as often after the others: what the one before left in the
        caches helps both sides alike.
        """
        found: list[list[float]] = [[] for _ in calls]
        for turn in range(runs):
            for call, times in list(zip(calls, found, strict=True))[:: -1 if turn % 2 else 1]:
                started = time.perf_counter()
                call()
                times.append((time.perf_counter() - started) * 1000)
        return [(statistics.median(times), sorted(times)[min(runs - 1, int(runs * 0.95))]) for times in found]


def undone(call: Callable[[], Any]) -> Callable[[], None]:
    """Return the call in a transaction that is rolled back: every statement is timed, the commit itself is not."""

    def work() -> None:
        with transaction.atomic():
            call()
            transaction.set_rollback(True)

    return work


def measure(leads: int, activities: int, runs: int) -> int:
    if connection.vendor != "postgresql":
        print("The bench compares with PostgreSQL tables. Leave DATABASE_URL unset, or name a PostgreSQL database.")
        return 2
    started = time.monotonic()
    call_command("migrate", verbosity=0)
    bench = prepare(leads, activities)
    print(f"{bench.leads:,} leads, {bench.activities:,} activities, {len(bench.types)} custom types "
          f"({bench.generated_by}; ready after {time.monotonic() - started:.0f} s)")  # fmt: skip
    with scope(bench.actor.organization), events.door("page", request_id="req_bench"):
        table = Table(runs)
        client = member_of(bench)
        _searches(bench, table, client)
        _reads(bench, table, client)
        _writes(bench, table, runs)
    return 0


def _first_asked(search: Callable[[], int]) -> int:
    forget_probes()
    return search()


def member_of(bench: Bench) -> Client:
    """Return a client that is signed in as the one who asks."""
    call_command("createcachetable", verbosity=0)
    settings.ALLOWED_HOSTS = ["*"]
    client = Client()
    client.force_login(bench.actor.user)
    return client


def page_of(client: Client, bench: Bench, name: str, *args: str, **given: str) -> Callable[[], None]:
    """Return a call that asks for a page as a browser does."""
    url = reverse(name, args=[bench.actor.organization.slug, *args])

    def ask() -> None:
        answer = client.get(url, given)
        assert answer.status_code == 200, (url, answer.status_code)

    return ask


def _searches(bench: Bench, table: Table, client: Client) -> None:
    actor, limit = bench.actor, Native(bench)
    common, rare = bench.types[0], bench.types[-1]

    def ours(tree: dict[str, Any]) -> Callable[[], int]:
        return lambda: run(actor, parse(tree, actor)).total or 0

    def page(tree: dict[str, Any]) -> Callable[[], None]:
        query = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, tree]}
        return page_of(client, bench, "leads:list", query=json.dumps(query))

    def both(name: str, kind: TypeInfo, tree: dict[str, Any], where: str, *params: Any) -> None:
        table.line(name, ours(tree), lambda: limit.search(native(kind), where, params), page(tree))

    for label, kind in (("common type", common), ("rare type", rare)):
        fields = bench.fields(kind)
        choice, number, text = fields.get("choices"), fields.get("number"), fields.get("text")
        if choice:
            first, last = choice.options[0], choice.options[-1]
            for word, option in (("first option", first), ("last option", last)):
                tree = related(kind, condition(choice, {"type": "term", "values": [option.public_id]}))
                both(f"choice, {label}, {word}", kind, tree, f"f{choice.id} = %s", option.id)
        several = fields.get("choices_many")
        if several:
            option = several.options[0]
            tree = related(kind, condition(several, {"type": "term", "values": [option.public_id]}))
            both(f"several choices, {label}", kind, tree, f"f{several.id} @> ARRAY[%s::bigint]", option.id)
        if number:
            low, middle, top = fetch(
                f"SELECT percentile_disc(0.2) WITHIN GROUP (ORDER BY f{number.id}), percentile_disc(0.5) WITHIN GROUP (ORDER BY f{number.id}), "
                f"percentile_disc(0.999) WITHIN GROUP (ORDER BY f{number.id}) FROM {native(kind)}"
            )[0]  # fmt: skip
            for word, bound in (("broad", low), ("rare", top)):
                tree = related(kind, condition(number, {"type": "number_range", "gte": str(bound)}))
                both(f"number range, {label}, {word}", kind, tree, f"f{number.id} >= %s", bound)
            if choice:
                option = choice.options[1]
                asked = condition(choice, {"type": "term", "values": [option.public_id]})
                for word, bound in (("broad", middle), ("rare", top)):
                    tree = related(kind, asked, condition(number, {"type": "number_range", "gte": str(bound)}))
                    where = f"f{choice.id} = %s AND f{number.id} >= %s"
                    both(f"two conditions, {label}, {word}", kind, tree, where, option.id, bound)
                    first = partial(_first_asked, ours(tree))
                    by_hand = partial(limit.search, native(kind), where, (option.id, bound))
                    table.line(f"two conditions, {label}, {word}, first asked", first, by_hand)
        if text:
            words = fetch(
                f"SELECT w, COUNT(*) FROM (SELECT f{text.id} AS t FROM {native(kind)} WHERE f{text.id} IS NOT NULL LIMIT 50000) s, "
                "regexp_split_to_table(t, '\\W+') w WHERE length(w) > 3 GROUP BY w ORDER BY 2, 1"
            )
            for wanted in dict.fromkeys([words[0][0], words[-1][0]]):
                tree = related(kind, condition(text, {"type": "text", "value": wanted, "mode": "full_words"}))
                both(
                    f"text contains “{wanted[:12]}”, {label}", kind, tree, f"f{text.id} ~ %s", rf"(^|\W){wanted}(\W|$)"
                )
        tree = related(kind, negate=True)
        table.line(f"none of type, {label}", ours(tree), lambda kind=kind: limit.none_of(native(kind)), page(tree))
        since = timezone.now() - timedelta(days=30)
        ago = {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {"days": 30}}
        recently = {
            "type": "field_condition",
            "field": {"type": "regular_field", "object_type": "activity.custom_activity", "field_name": "date_created"},
            "condition": {"type": "moment_range", "on_or_after": ago},
        }
        tree = related(kind, recently, count={"gte": 2})
        table.line(
            f"at least 2 in 30 days, {label}",
            ours(tree),
            lambda kind=kind, since=since: limit.at_least(native(kind), 2, since),
            page(tree),
        )
    everything = parse({"type": "match_all"}, actor)
    word = Lead.objects.order_by("-pk").values_list("name_fold", flat=True)[0].split()[-1]
    like = f"%{word}%"

    def free_text() -> int:
        found = "SELECT id FROM leads_lead WHERE organization_id = %s AND search_text LIKE %s LIMIT 10001"
        ids = [row[0] for row in fetch(found, (actor.organization_id, like))]
        fetch("SELECT id FROM leads_lead WHERE id = ANY(%s) ORDER BY name_fold, id LIMIT 51", (ids,))
        return min(len(ids), 10_000)

    words = page_of(client, bench, "leads:list", q=word)
    table.line("free text box", lambda: run(actor, everything, text=word).total, free_text, words)


def _reads(bench: Bench, table: Table, client: Client) -> None:
    actor, kind = bench.actor, bench.types[0]
    busiest = fetch(f"SELECT lead_id, COUNT(*) FROM {native(kind)} GROUP BY 1 ORDER BY 2 DESC LIMIT 1")[0][0]
    lead = Lead.objects.get(pk=busiest)
    union = " UNION ALL ".join(
        f"(SELECT n.id, n.activity_at, to_jsonb(n) FROM {native(row)} n WHERE lead_id = %s ORDER BY activity_at DESC LIMIT 30)"
        for row in bench.types
    )
    ordered = f"SELECT * FROM ({union}) u ORDER BY activity_at DESC LIMIT 30"
    table.line(
        "timeline of 30 cards",
        lambda: timeline(actor, lead),
        lambda: fetch(ordered, [busiest] * len(bench.types)),
        page_of(client, bench, "activities:timeline", lead.public_id),
    )
    metric = metric_for(actor, f"custom_activities.created.{kind.public_id}.count")
    today = timezone.now().astimezone(actor.zone).date()
    for days in (90, 365):
        filters = Filters(Period(today - timedelta(days=days - 1), today, actor.zone))
        both = (filters.period.previous.moments[0], filters.period.moments[1])
        table.line(
            f"Overview tile, {days} days and the ones before",
            lambda filters=filters: series(actor, metric, filters),
            lambda both=both: fetch(
                f"SELECT date_created::date, created_by_id, COUNT(*) FROM {native(kind)} WHERE date_created >= %s AND date_created < %s "
                "GROUP BY 1, 2", both,
            ),
        )  # fmt: skip


def _writes(bench: Bench, table: Table, runs: int) -> None:
    actor, kind = bench.actor, bench.types[0]
    sample = fetch(
        "SELECT lead_id, values FROM activities_activity WHERE type_id = %s AND status = 'published' LIMIT 1",
        (kind.id,),
    )[0]
    stored = sample[1] if isinstance(sample[1], dict) else json.loads(sample[1])
    lead = Lead.objects.get(pk=sample[0])
    custom = {}
    known, lookups = catalog(actor.organization), Lookups(actor.organization)
    for key, value in stored.items():
        field = known.fields[int(key)]
        custom[field.public_id] = field.kind.to_api(value, field, lookups)
    name = native(kind)
    columns = [
        row[0]
        for row in fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
            (name,),
        )
    ]
    others = ", ".join(columns[1:])
    one = f"INSERT INTO {name} SELECT -1, {others} FROM {name} WHERE lead_id = %s LIMIT 1"
    publish = partial(log_activity, actor, lead, kind, custom=custom)
    with transaction.atomic():
        sent = Statements(publish)
        event = next(given for sql, given in sent.sent if sql.startswith('INSERT INTO "crm_event"'))
        transaction.set_rollback(True)
    insert_event = next(sql for sql, _ in sent.sent if sql.startswith('INSERT INTO "crm_event"'))
    month = this_month(actor.organization)
    # A month's first publish makes its counter; what is measured is one of the others.
    UsageCounter.objects.get_or_create(organization=actor.organization, month=month)

    def by_hand() -> None:
        """The same work: the row, its event, the lead's last activity, the month's counter."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE crm_usagecounter SET used = used + 1 WHERE organization_id = %s AND month = %s",
                (actor.organization_id, month),
            )
            cursor.execute(one, (lead.pk,))
            cursor.execute("UPDATE leads_lead SET last_activity_at = now() WHERE id = %s", (lead.pk,))
            cursor.execute(insert_event, event)

    table.call("publish one activity (whole service)", undone(publish), undone(by_hand))
    table.call("publish one activity (its statements)", undone(_inserts(publish)), undone(by_hand))
    rows = fetch(
        f"SELECT lead_id, values FROM activities_activity WHERE type_id = {kind.id} AND status = 'published' ORDER BY id DESC LIMIT {IMPORTED}"
    )
    now = timezone.now()
    prepared = [
        Prepared(lead_id=row[0], kind=kind, values=row[1] if isinstance(row[1], dict) else json.loads(row[1]), user_id=actor.user_id,
                 created_by_id=actor.user_id, date_created=now, activity_at=now)
        for row in rows
    ]  # fmt: skip

    def chunks() -> None:
        for start in range(0, len(prepared), 1000):
            log_many(actor, prepared[start : start + 1000])

    tables = ("activities_activity", "value_ref", "value_number", "value_moment", "value_text", "crm_event")
    with transaction.atomic():
        last = {table: fetch(f"SELECT COALESCE(MAX(id), 0) FROM {table}")[0][0] for table in (tables[0], tables[-1])}
        chunks()
        new = {table: f"id > {number}" for table, number in last.items()}
        ours = {
            table: _copied(f"SELECT * FROM {table} WHERE {new.get(table, f'record_key > {last[tables[0]]}')}")
            for table in tables
        }
        transaction.set_rollback(True)
    natives = {name: _copied(f"SELECT -row_number() OVER (), {others} FROM {name} ORDER BY id DESC LIMIT {IMPORTED}")}
    for label, copies in (("COPY into our tables", ours), ("COPY into a native table", natives)):
        table.call(
            f"import {len(prepared):,}: {label}",
            undone(chunks),
            undone(lambda copies=copies: _copy_in(copies)),
            runs=min(3, runs),
        )


def _inserts(publish: Callable[[], Any]) -> Callable[[], None]:
    """Return a call that sends what a publish sends, with the ids it took: in a transaction that is rolled back."""
    with transaction.atomic():
        sent = Statements(publish)
        transaction.set_rollback(True)
    return sent.again


def _copied(select: str) -> str:
    text = io.StringIO()
    with connection.cursor() as cursor, cursor.copy(f"COPY ({select}) TO STDOUT") as copy:
        for block in copy:
            text.write(bytes(block).decode())
    return text.getvalue()


def _copy_in(copies: dict[str, str]) -> None:
    for name, text in copies.items():
        with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
            copy.write(text)
