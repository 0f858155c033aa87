"""Fill an organization with many realistic, skewed leads and activities, for measuring. Bulk paths; no events, no plan counting."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from django.utils import timezone

from activities.models import Activity, ActivityType, LeadActivityFact
from activities.services.types import create_type
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field
from crm.errors import TouchpointError
from crm.fieldkinds import fold
from crm.management.find import organization_named
from crm.models import Membership, Organization, ValueMoment, ValueNumber, ValueRef, ValueText
from crm.postgres import create_trigram_indexes, drop_trigram_indexes
from crm.tenancy import scope
from leads.models import Lead, LeadStatus

CHUNK = 20_000
DAYS = 730
TYPES = (
    "Demo", "Discovery call", "Site visit", "Support ticket", "Invoice", "Renewal talk", "NPS answer", "Onboarding step",
    "Contract review", "Training", "Complaint", "Referral", "Inbound form", "Trial started", "Price quote", "Audit",
    "Delivery", "Payment reminder", "Upsell talk", "Farewell call",
)  # fmt: skip
OUTCOMES = ("Interested", "Follow up", "No answer", "Not now", "Won", "Lost", "Wrong number", "Escalated")
TOPICS = ("Price", "Security", "Integrations", "Support", "Reporting", "Import", "Mobile", "Contract")
WORDS = (
    "budget approved next quarter team needs import from spreadsheet asked about security review pricing discount legal "
    "contract renewal training mobile offline integration reporting dashboard slow champion left new manager decision "
    "compare competitor trial extended onboarding blocked data export api webhook question answered satisfied unhappy"
).split()
FIRST = "Amber Baltic Cedar Delta Ember Falcon Granite Harbor Iris Juniper Kestrel Lumen Maple Nordic Onyx Pioneer Quartz River Summit Tidal".split()
SECOND = "Analytics Bakery Capital Dental Energy Foods Grid Health Industries Journeys Kitchens Labs Media Networks Optics Partners Robotics Systems Travel Works".split()
LAST = ("Inc.", "LLC", "GmbH", "Ltd", "Co.", "Group", "AB", "SAS")
FIELDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Outcome", "choices", {"options": OUTCOMES}),
    ("Topics", "choices", {"options": TOPICS, "multiple": True}),
    ("Users", "number", {}),
    ("Amount", "number", {"settings": {"unit": "USD"}}),
    ("Due", "date", {}),
    ("Next contact", "datetime", {}),
    ("Summary", "text", {}),
    ("Notes", "textarea", {}),
    ("Owner", "user", {}),
    ("Confirmed", "checkbox", {}),
)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, help="its slug")
        parser.add_argument("--leads", type=int, required=True)
        parser.add_argument("--activities", type=int, required=True)
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, **given: Any) -> None:
        organization = organization_named(given["organization"])
        if given["leads"] < 1 or given["activities"] < 0:
            raise CommandError("Ask for at least one lead and no negative numbers.")
        started = time.monotonic()
        with scope(organization), events.door("system"):
            actor = Membership.objects.select_related("user", "organization", "role").filter(role__slug="admin").first()
            if actor is None:
                raise CommandError("The organization has no admin. Add one with create_member.")
            try:
                types = _types(actor)
            except TouchpointError as error:
                raise CommandError(f"{error.message} Or: manage.py set_plan {organization.slug} unlimited") from error
            maker = Maker(organization, actor, types, random.Random(given["seed"]))
            with _text_indexed_at_the_end(given["activities"]):
                maker.leads(given["leads"])
                self.stdout.write(f"{given['leads']:,} leads after {time.monotonic() - started:,.0f} s")
                for done in maker.activities(given["activities"]):
                    self.stdout.write(f"{done:,} activities after {time.monotonic() - started:,.0f} s")
                maker.facts()
        _analyze()
        self.stdout.write(f"Done after {time.monotonic() - started:,.0f} s.")


def _types(actor: Membership) -> list[ActivityType]:
    """Return the twenty types, made when they are not there yet."""
    found = []
    with transaction.atomic():
        for name in TYPES:
            row = ActivityType.objects.filter(name_fold=name.casefold()).first()
            if row is None:
                row = create_type(actor, name=name)
                for label, kind, more in FIELDS:
                    create_field(actor, row.fieldset, name=label, kind=kind, **more)
            found.append(row)
    return found


Index = dict[str, dict[int, list[tuple[Any, ...]]]]  # rows of the index of values, by table and field
ACTIVITY_COLUMNS = (
    "id", "organization_id", "lead_id", "type_id", "status", "user_id", "created_by_id", "updated_by_id", "date_created",
    "date_updated", "activity_at", "published_at", "created_on", "revision", "values",
)  # fmt: skip


class _Writer:
    """Writes a chunk while the next one is made. SQLite has one connection per thread and one writer: there it waits."""

    def __init__(self) -> None:
        self.pool = (
            ThreadPoolExecutor(1) if connection.vendor == "postgresql" and not connection.in_atomic_block else None
        )
        self.running: Future[None] | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *problem: object) -> None:
        try:
            self._wait()
        finally:
            if self.pool:
                self.pool.submit(lambda: connection.close()).result()  # the writer thread has its own
                self.pool.shutdown()

    def write(self, rows: list[tuple[Any, ...]], index: Index) -> None:
        """Write one chunk in one transaction; raises what went wrong with the chunk before."""
        self._wait()
        if self.pool is None:
            _write(rows, index)
        else:
            self.running = self.pool.submit(_write, rows, index)

    def _wait(self) -> None:
        running, self.running = self.running, None
        if running:
            running.result()


def _write(rows: list[tuple[Any, ...]], index: Index) -> None:
    with transaction.atomic():
        _insert(Activity._meta.db_table, ACTIVITY_COLUMNS, rows)
        for name, by_field in index.items():
            found = [row for field_id in sorted(by_field) for row in by_field[field_id]]
            _insert(_TABLES[name], ("field_id", "lead_id", "record_key", "v"), found)


@contextmanager
def _text_indexed_at_the_end(activities: int) -> Iterator[None]:
    """Where most texts will be ours, index all of them at once: several times faster than row by row."""
    table = ValueText._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT %s) c", [activities + 1])
        ours_are_most = cursor.fetchone()[0] < activities
    if not ours_are_most or activities < CHUNK or connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    drop_trigram_indexes(connection, [table])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET maintenance_work_mem = '512MB'")
        create_trigram_indexes(connection, [table])


class Maker:
    """Makes rows and hands them to the database in its fastest way, in index order within each chunk."""

    def __init__(
        self, organization: Organization, actor: Membership, types: Sequence[ActivityType], chance: random.Random
    ) -> None:
        self.organization, self.actor, self.types, self.chance = organization, actor, types, chance
        self.users = list(Membership.objects.filter(removed_at=None).order_by("pk").values_list("user_id", flat=True))
        self.now = timezone.now().replace(microsecond=0)
        known = catalog(actor.organization)
        self.fields = {row.pk: {use.field.name: use.field for use in known.uses(row.fieldset_id)} for row in self.types}
        self.first_lead = self.last_lead = 0

    def leads(self, number: int) -> None:
        """Insert leads; statuses are skewed to the first ones."""
        statuses = list(LeadStatus.objects.order_by("position").values_list("pk", flat=True))
        weights = [1 / (index + 1) for index in range(len(statuses))]
        self.first_lead = _next_id(Lead)
        self.last_lead = self.first_lead + number - 1
        columns = (
            "id", "organization_id", "name", "name_fold", "status_id", "description", "url", "addresses", "values",
            "search_text", "contacts_count", "created_by_id", "updated_by_id", "source", "date_created", "date_updated",
        )  # fmt: skip
        chance, now = self.chance, self.now
        for start in range(self.first_lead, self.last_lead + 1, CHUNK):
            rows = []
            for pk in range(start, min(start + CHUNK, self.last_lead + 1)):
                first, second = chance.choice(FIRST), chance.choice(SECOND)
                name = f"{first} {second} {chance.randint(1, 9999)} {chance.choice(LAST)}"
                host = f"{first}-{second}-{pk}.example".lower()
                made = _moment(now - timedelta(seconds=chance.randint(0, DAYS * 86_400)))
                rows.append(
                    (
                        pk, self.organization.pk, name, fold(name), chance.choices(statuses, weights)[0], "",
                        f"https://{host}", "[]", "{}", fold(f"{name} {host}"), 0, self.actor.user_id, self.actor.user_id,
                        "import", made, made,
                    )
                )  # fmt: skip
            with transaction.atomic():
                _insert(Lead._meta.db_table, columns, rows)
        _set_sequence(Lead)

    def activities(self, number: int) -> Iterable[int]:
        """Insert activities of ten values each, yielding how many are in now and then."""
        weights = [1 / (index + 1) for index in range(len(self.types))]
        spread, chance, pk = self.last_lead - self.first_lead + 1, self.chance, _next_id(Activity)
        user_weights = [1 / (index + 1) for index in range(len(self.users))]
        made, told = 0, 0
        with _Writer() as writer:
            while made < number:
                size = min(CHUNK, number - made)
                # Some leads have hundreds of activities, most a few.
                leads = sorted(self.first_lead + int(spread * chance.random() ** 2.2) for _ in range(size))
                types = chance.choices(self.types, weights, k=size)
                users = chance.choices(self.users, user_weights, k=size)
                rows: list[tuple[Any, ...]] = []
                index: Index = {name: {} for name in _TABLES}
                for lead, kind, user in zip(leads, types, users, strict=True):
                    at = self.now - timedelta(seconds=int(DAYS * 86_400 * chance.random() ** 1.3))
                    values = self._values(kind, lead, pk, at.date(), user, index)
                    moment = _moment(at)
                    rows.append(
                        (
                            pk, self.organization.pk, lead, kind.pk, "published", user, user, user, moment, moment,
                            moment, moment, at.date().isoformat(), 1, json.dumps(values),
                        )
                    )  # fmt: skip
                    pk += 1
                writer.write(rows, index)
                made += size
                if made - told >= CHUNK * 10 or made == number:
                    told = made
                    yield made
        _set_sequence(Activity)

    def _values(
        self, kind: ActivityType, lead: int, pk: int, day: date, user: int,
        index: Index,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the stored values of one activity, its index rows added to `index`."""
        chance, fields = self.chance, self.fields[kind.pk]
        values: dict[str, Any] = {}

        def keep(name: str, table: str, stored: Any, *indexed: Any) -> None:
            field_id = fields[name].id
            values[str(field_id)] = stored
            index[table].setdefault(field_id, []).extend((field_id, lead, pk, v) for v in indexed)

        outcome = fields["Outcome"].options[min(int(chance.expovariate(0.6)), len(OUTCOMES) - 1)].id
        topics = sorted(
            {fields["Topics"].options[int(len(TOPICS) * chance.random() ** 2)].id for _ in range(chance.randint(1, 3))}
        )
        amount = int(chance.lognormvariate(6.5, 1.2))
        due = day + timedelta(days=chance.randint(-10, 60))
        contact_at = datetime(
            due.year, due.month, due.day, chance.randint(7, 18), chance.choice((0, 15, 30, 45)), tzinfo=UTC
        )
        summary = " ".join(chance.choices(WORDS, k=5))
        notes = " ".join(chance.choices(WORDS, k=chance.randint(8, 25)))
        count = int(chance.lognormvariate(2.5, 1.1))
        confirmed = chance.random() < 0.7
        keep("Outcome", "ref", outcome, outcome)
        keep("Topics", "ref", topics, *topics)
        keep("Users", "number", str(count), count)
        keep("Amount", "number", str(amount), amount)
        keep("Due", "moment", due.isoformat(), _moment(datetime(due.year, due.month, due.day, tzinfo=UTC)))
        keep("Next contact", "moment", contact_at.isoformat(), _moment(contact_at))
        keep("Summary", "text", summary, summary)
        keep("Notes", "text", notes, notes)
        keep("Owner", "ref", user, user)
        keep("Confirmed", "ref", confirmed, int(confirmed))
        return values

    def facts(self) -> None:
        """Count activities per lead and type, and note each lead's last one."""
        facts, leads, activities = LeadActivityFact._meta.db_table, Lead._meta.db_table, Activity._meta.db_table
        ids = ", ".join(str(row.pk) for row in self.types)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {facts} WHERE type_id IN ({ids})")
            cursor.execute(
                f"INSERT INTO {facts} (type_id, lead_id, count, first_at, last_at) "
                f"SELECT type_id, lead_id, count(*), min(activity_at), max(activity_at) FROM {activities} "
                f"WHERE type_id IN ({ids}) AND status = 'published' GROUP BY type_id, lead_id"
            )
            cursor.execute(
                f"UPDATE {leads} SET last_activity_at = "
                f"(SELECT max(last_at) FROM {facts} WHERE {facts}.lead_id = {leads}.id) WHERE organization_id = %s",
                [self.organization.pk],
            )


_TABLES = {
    "ref": ValueRef._meta.db_table,
    "number": ValueNumber._meta.db_table,
    "moment": ValueMoment._meta.db_table,
    "text": ValueText._meta.db_table,
}


def _moment(at: datetime) -> str:
    """Return an instant as both databases keep it: SQLite without the zone, in UTC."""
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}+00" if connection.vendor == "postgresql" else text


def _insert(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows by COPY on PostgreSQL, executemany elsewhere. Texts hold no tabs, line ends or backslashes."""
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for start in range(0, len(rows), 2000):
                    copy.write("".join("\t".join(map(str, row)) + "\n" for row in rows[start : start + 2000]))
            return
        marks = ", ".join("?" * len(columns))
        cursor.cursor.connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def _next_id(model: type) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {model._meta.db_table}")
        return cursor.fetchone()[0] + 1


def _set_sequence(model: type) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            table = model._meta.db_table
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


def _analyze() -> None:
    """Give PostgreSQL's planner fresh figures and the visibility map that index-only scans need, as autovacuum does later."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE" if connection.in_atomic_block else "VACUUM (ANALYZE)")
