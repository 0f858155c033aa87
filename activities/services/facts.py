"""What follows from an activity: facts per lead and type, and the lead's last activity. Only published ones count.

Entries of the product (lead created, status changed …) have facts, and are no lead's last activity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min

from activities.models import Activity, ActivityType, LeadActivityFact
from crm.bulk import utc_text
from crm.errors import NotFound
from crm.tenancy import current_organization_id
from leads.models import Lead

BATCH = 500


def refresh_facts(lead_ids: Iterable[int], type_ids: Iterable[int] | None = None) -> None:
    """Make the facts of these leads (for these types, or all) agree with their published activities."""
    lead_ids = sorted(set(lead_ids))
    for start in range(0, len(lead_ids), BATCH):
        _refresh(lead_ids[start : start + BATCH], type_ids)


def _refresh(lead_ids: list[int], type_ids: Iterable[int] | None) -> None:
    _lock(lead_ids)
    facts = LeadActivityFact.objects.filter(lead_id__in=lead_ids)
    rows = Activity.objects.filter(lead_id__in=lead_ids)
    if type_ids is not None:
        type_ids = list(set(type_ids))
        facts, rows = facts.filter(type_id__in=type_ids), rows.filter(type_id__in=type_ids)
    facts.delete()
    found = rows.order_by().values("lead_id", "type_id").annotate(
        n=Count("pk"), first=Min("activity_at"), last=Max("activity_at")
    )  # fmt: skip
    LeadActivityFact.objects.bulk_create(
        LeadActivityFact(
            type_id=row["type_id"], lead_id=row["lead_id"], count=row["n"], first_at=row["first"], last_at=row["last"]
        )
        for row in found
    )
    own = LeadActivityFact.objects.filter(lead_id__in=lead_ids).exclude(
        type_id__in=ActivityType.objects.filter(system=True).values("pk")
    )
    latest = {row["lead_id"]: row["last"] for row in own.values("lead_id").annotate(last=Max("last_at"))}
    changed = []
    for lead in Lead.objects.filter(pk__in=lead_ids).only("pk", "last_activity_at", "organization_id"):
        if lead.last_activity_at != latest.get(lead.pk):
            lead.last_activity_at = latest.get(lead.pk)
            changed.append(lead)
    Lead.objects.bulk_update(changed, ["last_activity_at"], batch_size=500)


def count_published(rows: Iterable[tuple[int, int, datetime]], *, system: bool = False, locked: bool = False) -> None:
    """Count activities that were just published, each (type id, lead id, activity_at). Locks their leads.

    Adds to what is there, which is cheaper than `refresh_facts`: three statements, however many rows. Raises `NotFound`
    when a lead went away since it was read. `system`: they are entries of the product, which nobody counts as a lead's
    last activity. `locked`: the caller made the leads, or holds them, in this transaction.
    """
    facts: dict[tuple[int, int], tuple[int, datetime, datetime]] = {}
    latest: dict[int, datetime] = {}
    for type_id, lead_id, at in rows:
        count, first, last = facts.get((type_id, lead_id), (0, at, at))
        facts[type_id, lead_id] = (count + 1, min(first, at), max(last, at))
        latest[lead_id] = max(latest.get(lead_id, at), at)
    if not facts:
        return
    alone = next(iter(latest.items())) if len(latest) == 1 and not system and not locked else None
    # The one lead is locked by its own update; several are locked in order first.
    if not locked and (_touch(*alone) if alone else _lock(list(latest))) < len(latest):
        raise NotFound("This lead is gone: it was deleted, or merged into another one.")
    least, most = ("LEAST", "GREATEST") if connection.vendor == "postgresql" else ("min", "max")
    _write_rows(
        "INSERT INTO lead_activity_fact (type_id, lead_id, count, first_at, last_at) {rows} "
        "ON CONFLICT (type_id, lead_id) DO UPDATE SET count = lead_activity_fact.count + excluded.count, "
        f"first_at = {least}(lead_activity_fact.first_at, excluded.first_at), "
        f"last_at = {most}(lead_activity_fact.last_at, excluded.last_at)",
        ("bigint", "bigint", "integer", "timestamptz", "timestamptz"),
        [(*key, *found) for key, found in sorted(facts.items())],
    )
    if system or alone:
        return
    leads = Lead._meta.db_table
    if connection.vendor != "postgresql":
        # One by one by its key: SQLite would read all leads to join them.
        rows_of_leads = [(text := utc_text(at), lead_id, text) for lead_id, at in sorted(latest.items())]
        with connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {leads} SET last_activity_at = %s "
                "WHERE id = %s AND (last_activity_at IS NULL OR last_activity_at < %s)",
                rows_of_leads,
            )
        return
    _write_rows(
        f"WITH news (id, at) AS ({{rows}}) UPDATE {leads} SET last_activity_at = news.at FROM news "
        f"WHERE {leads}.id = news.id AND ({leads}.last_activity_at IS NULL OR {leads}.last_activity_at < news.at)",
        ("bigint", "timestamptz"),
        sorted(latest.items()),
    )


def _write_rows(sql: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement whose `{rows}` are these rows: a SELECT from arrays on PostgreSQL, one by one on SQLite."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{name}[]" for name in types)
            cursor.execute(
                sql.replace("{rows}", f"SELECT * FROM unnest({arrays})"),
                [list(column) for column in zip(*rows, strict=True)],
            )
            return
        # Not a SELECT: SQLite would keep a journal for each statement, and look through that of the whole savepoint.
        marks = ", ".join(["%s"] * len(types))
        texts = {v: utc_text(v) for v in {v for row in rows for v in row if isinstance(v, datetime)}}
        cursor.executemany(
            sql.replace("{rows}", f"VALUES ({marks})"),
            [[texts.get(value, value) for value in row] for row in rows],
        )


def _touch(lead_id: int, at: datetime) -> int:
    """Move a lead's last activity on to `at`, unless it is later already. Returns how many leads that were: 1 or 0."""
    moment = connection.ops.adapt_datetimefield_value(at)
    with connection.cursor() as cursor:
        # By hand: each publish pays for it, and compiling costs ten times as much.
        cursor.execute(
            f"UPDATE {Lead._meta.db_table} SET last_activity_at = CASE WHEN last_activity_at > %s THEN last_activity_at ELSE %s END "
            "WHERE organization_id = %s AND id = %s",
            [moment, moment, current_organization_id(), lead_id],
        )
        return int(cursor.rowcount)


def _lock(lead_ids: list[int]) -> int:
    """Return how many of these leads are there; nobody else counts them until the transaction ends.

    Two first activities at once would both insert a fact. Without the key, because inserting an activity holds a key share on its lead already.
    """
    return len(Lead.objects.select_for_update(no_key=True).filter(pk__any=lead_ids).order_by("pk").values_list("pk"))
