"""Make the search index, the facts per lead and type, and the last-activity dates agree with the records.

The records are the truth: nothing of them changes. Safe while people work, safe to repeat and to stop at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from activities.models import Activity
from activities.services.facts import refresh_facts
from crm.customfields.catalog import Catalog, catalog
from crm.customfields.values import TABLES, Rows, index_rows, insert_index_many
from crm.management.find import organization_named
from crm.models import CustomField, Organization
from crm.postgres import create_trigram_indexes
from crm.tenancy import scope
from leads.models import Contact, Lead
from reporting.models import DayNumbers

# An index row whose field or record is gone, or whose record is not published or moved to another lead.
ORPHANS = """
    NOT EXISTS (SELECT 1 FROM crm_customfield f WHERE f.id = {table}.field_id AND f.deleted_at IS NULL)
    OR (record_key > 0 AND NOT EXISTS (SELECT 1 FROM activities_activity a WHERE a.id = {table}.record_key
        AND a.lead_id = {table}.lead_id AND a.status = 'published'))
    OR (record_key = 0 AND NOT EXISTS (SELECT 1 FROM leads_lead l WHERE l.id = {table}.lead_id))
    OR (record_key < 0 AND NOT EXISTS (SELECT 1 FROM leads_contact c WHERE c.id = -{table}.record_key
        AND c.lead_id = {table}.lead_id))
"""


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", help="only the organization with this slug")
        parser.add_argument("--batch", type=int, default=500, help="leads per transaction")
        parser.add_argument("--check", action="store_true", help="change nothing; fail when the index is wrong")

    def handle(self, **given: Any) -> None:
        chosen = given["organization"]
        organizations = [organization_named(chosen)] if chosen else Organization.objects.order_by("pk")
        added = removed = 0
        for organization in organizations:
            with scope(organization):
                for more, fewer in reindex(organization, given["batch"], write=not given["check"]):
                    added, removed = added + more, removed + fewer
                if not given["check"]:
                    DayNumbers.objects.all().delete()  # they were counted from the index as it was
        if not chosen:
            removed += orphans(write=not given["check"])
        if given["check"] and (added or removed):
            raise CommandError(
                f"The search index lacks {added:,} rows and has {removed:,} too many. Run manage.py reindex."
            )
        if not given["check"]:
            create_trigram_indexes(connection)
        self.stdout.write(f"The search index is right: {added:,} rows added, {removed:,} removed.")


def reindex(organization: Organization, batch: int, *, write: bool = True) -> Iterator[tuple[int, int]]:
    """Yield (rows added, rows removed) for each batch of the organization's leads; one transaction a batch."""
    known = catalog(organization)
    fields = list(CustomField.objects.values_list("pk", flat=True))
    last = 0
    while lead_ids := list(Lead.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:batch]):
        with transaction.atomic():
            found = _reindex_leads(known, fields, lead_ids, write)
            if write:
                refresh_facts(lead_ids)
        yield found
        last = lead_ids[-1]


def _reindex_leads(known: Catalog, fields: list[int], lead_ids: list[int], write: bool) -> tuple[int, int]:
    """Compare and repair the rows of these leads. Locks their records, so that nobody writes them meanwhile."""
    wanted, keys = Rows(), set()
    sources = (
        (Lead.objects.filter(pk__in=lead_ids), lambda row: (row.pk, 0)),
        (Contact.objects.filter(lead_id__in=lead_ids), lambda row: (row.lead_id, -row.pk)),
        (Activity.objects.filter(lead_id__in=lead_ids), lambda row: (row.lead_id, row.pk)),
    )
    for records, place_of in sources:
        for record in records.order_by("pk").select_for_update(of=("self",)):
            place = place_of(record)
            keys.add(place)
            wanted.extend(index_rows(known, *place, record.values))
    missing, removed = Rows(), 0
    for name, model in TABLES.items():
        held = model.objects.filter(field_id__in=fields, lead_id__gte=lead_ids[0], lead_id__lte=lead_ids[-1])
        there = {_comparable(row): row for row in held.values_list("field_id", "lead_id", "record_key", "v").iterator()}
        right = {_comparable(row): row for row in wanted.by_table[name]}
        # A record that was made since we read is none of ours; rows of vanished ones are `orphans`.
        surplus = [row for mark, row in there.items() if mark not in right and (row[1], row[2]) in keys]
        missing.by_table[name] = [row for mark, row in right.items() if mark not in there]
        removed += len(surplus)
        if write:
            for field_id, lead_id, key, value in surplus:
                model.objects.filter(field_id=field_id, lead_id=lead_id, record_key=key, v=value).delete()
    if write:
        insert_index_many(missing)
    return len(missing), removed


def _comparable(row: tuple[int, int, int, Any]) -> tuple:
    """Return the row with its value as the database can keep it: SQLite's decimals are floats."""
    value = row[3]
    return (*row[:3], float(value) if connection.vendor == "sqlite" and hasattr(value, "as_tuple") else value)


def orphans(*, write: bool) -> int:
    """Remove index rows, and facts, without a record; returns how many index rows there are."""
    found = 0
    with transaction.atomic(), connection.cursor() as cursor:
        for name in (model._meta.db_table for model in TABLES.values()):
            condition = ORPHANS.format(table=name)
            cursor.execute(f"SELECT count(*) FROM {name} WHERE {condition}")
            found += cursor.fetchone()[0]
            if write:
                cursor.execute(f"DELETE FROM {name} WHERE {condition}")
        if write:
            cursor.execute(
                "DELETE FROM lead_activity_fact WHERE NOT EXISTS "
                "(SELECT 1 FROM leads_lead l WHERE l.id = lead_activity_fact.lead_id)"
            )
    return found
