"""A large organization to measure, and the hand-written native tables it is measured against.

`manage.py generate_data` fills the organization; each native table is filled from the same rows by SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Count

from activities.models import Activity
from activities.queries import TypeInfo, type_catalog
from crm import events
from crm.customfields.catalog import Field, catalog
from crm.management.provision import join, provision_organization
from crm.models import Membership, Organization, Role
from crm.tenancy import scope
from leads.models import Lead

SLUG = "bench"
ADMIN = "admin@bench.example"
TRIGRAMS = {
    "bench_value_text_trgm": "value_text USING gin (field_id, v gin_trgm_ops)",
    "bench_lead_name_trgm": "leads_lead USING gin (name_fold gin_trgm_ops)",
    "bench_lead_search_trgm": "leads_lead USING gin (search_text gin_trgm_ops)",
}
TYPE_OF_STORAGE = {"text": "text", "number": "numeric", "moment": "timestamptz", "ref": "bigint"}
READ_OF_STORAGE = {
    "text": "lower({0})",
    "number": "({0})::numeric",
    "moment": "({0})::timestamptz",
    "ref": "CASE {0} WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE ({0})::bigint END",
}


@dataclass
class Bench:
    """What is measured: the actor, the types by number of activities (most first), and their fields."""

    actor: Membership
    types: list[TypeInfo]
    counts: dict[int, int]
    leads: int
    activities: int
    generated_by: str

    def fields(self, kind: TypeInfo) -> dict[str, Field]:
        """The fields of a type by the kind they are of: the first of each."""
        found: dict[str, Field] = {}
        for use in catalog(self.actor.organization).uses(kind.fieldset_id):
            key = f"{use.field.kind.slug}{'_many' if use.field.multiple else ''}"
            found.setdefault(key, use.field)
        return found


def execute(sql: str, params: Any = ()) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)


def prepare(leads: int, activities: int) -> Bench:
    """Return the organization in the database at hand, filled unless an earlier run left it."""
    organization = Organization.objects.filter(slug=SLUG).first()
    how = "kept from an earlier run"
    if organization is None or not Activity.unscoped.filter(organization=organization).exists():
        organization = organization or _make_organization()
        call_command("generate_data", organization=SLUG, leads=leads, activities=activities)
        organization.refresh_from_db()
        how = "by generate_data"
    for name, where in TRIGRAMS.items():
        table, column = where.split(" ")[0], where.removesuffix(" gin_trgm_ops)").split(" ")[-1].lstrip("(")
        if not _has_trigram(table, column):
            print(f"  note: no trigram index on {table}.{column} in the migrations; the bench adds one", flush=True)
            execute(f"CREATE INDEX {name} ON {where}")
    actor = Membership.unscoped.select_related("user", "organization", "role").get(
        organization=organization, user__email=ADMIN
    )
    with scope(organization):
        rows = Activity.objects.order_by().values_list("type_id").annotate(number=Count("pk"))
        counts: dict[int, int] = dict(rows)
        known = type_catalog(organization)
        types = sorted((row for row in known.custom if row.id in counts), key=lambda row: -counts[row.id])
        bench = Bench(actor, types, counts, Lead.objects.count(), sum(counts.values()), how)
        for kind in bench.types:
            with transaction.atomic():  # all of a table or none: an interrupted run leaves nothing half made
                _native(bench, kind)
    execute("ANALYZE")
    return bench


def _make_organization() -> Organization:
    admin = provision_organization("Bench", SLUG, ADMIN, plan="unlimited", first_name="Ada", last_name="Bench")
    with scope(admin.organization), events.door("system"):
        role = Role.objects.get(slug="user")
        for number in range(9):
            join(admin.organization, f"member{number}@{SLUG}.example", role, first_name="Member", last_name=str(number))
    return admin.organization


def _has_trigram(table: str, column: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_indexes WHERE tablename = %s AND indexdef LIKE %s", [table, f"%{column} gin_trgm_ops%"]
        )
        return cursor.fetchone() is not None


# --- native tables ----------------------------------------------------------------------------------------------------
def native(kind: TypeInfo) -> str:
    return f"native_{kind.id}"


def _native(bench: Bench, kind: TypeInfo) -> None:
    """Make the table of a type, with typed columns and an index on each, filled from the same JSON."""
    table = native(kind)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [table])
        if cursor.fetchone()[0] is not None:
            return
    fields = [use.field for use in catalog(bench.actor.organization).uses(kind.fieldset_id)]
    columns, reads, indexes = [], [], []
    for field in fields:
        name = f"f{field.id}"
        sql_type = TYPE_OF_STORAGE[field.kind.storage]
        if field.multiple:
            columns.append(f"{name} {sql_type}[]")
            reads.append(
                f"CASE WHEN values ? '{field.id}' THEN ARRAY(SELECT x::{sql_type} FROM jsonb_array_elements_text(values->'{field.id}') x) END"
            )
            indexes.append(f"CREATE INDEX ON {table} USING gin ({name})")
        else:
            columns.append(f"{name} {sql_type}")
            reads.append(READ_OF_STORAGE[field.kind.storage].format(f"values->>'{field.id}'"))
            indexes.append(f"CREATE INDEX ON {table} USING gin ({name} gin_trgm_ops)" if sql_type == "text"
                           else f"CREATE INDEX ON {table} ({name}, lead_id)")  # fmt: skip
    own = (
        "id bigint PRIMARY KEY, lead_id bigint, created_by_id bigint, date_created timestamptz, activity_at timestamptz"
    )
    execute(f"CREATE TABLE {table} ({', '.join([own, *columns])})")
    execute(
        f"INSERT INTO {table} SELECT {', '.join(['id, lead_id, created_by_id, date_created, activity_at', *reads])} "
        f"FROM activities_activity WHERE type_id = {kind.id} AND status = 'published'"
    )
    for index in [*indexes, f"CREATE INDEX ON {table} (lead_id, activity_at DESC)",
                  f"CREATE INDEX ON {table} (date_created, created_by_id, lead_id)"]:  # fmt: skip
        execute(index)
