"""The search index of values: the only writer of the `value_*` tables.

`record_key`: the activity's id, 0 for the lead's own values, minus the contact's id (see `crm.models.ValueIndex`).
Call these inside the transaction that writes the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from django.db.models import Model

from crm.bulk import WORTH_IT, insert_few, insert_rows
from crm.customfields.catalog import Catalog, Field
from crm.models import ValueMoment, ValueNumber, ValueRef, ValueText

TABLES: dict[str, type[Model]] = {"ref": ValueRef, "number": ValueNumber, "moment": ValueMoment, "text": ValueText}
BATCH = 2000
_UNSEEN: Any = object()
_PLACE = itemgetter(0, 1)


@dataclass
class Rows:
    """Index rows by table, each (field id, lead id, record key, value)."""

    by_table: dict[str, list[tuple[int, int, int, Any]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def extend(self, other: Rows) -> None:
        for name, rows in other.by_table.items():
            self.by_table[name].extend(rows)

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.by_table.values())


def index_rows(catalog: Catalog, lead_id: int, record_key: int, values: Mapping[str, Any]) -> Rows:
    """Return the index rows of a record's stored values. Deleted fields have none."""
    rows = Rows()
    for field_id, stored in values.items():
        known = catalog.fields.get(int(field_id))
        if known is None or stored is None:
            continue
        table = rows.by_table[known.kind.storage]
        for value in known.kind.index(stored, known):
            table.append((known.id, lead_id, record_key, value))
    return rows


def index_rows_of(catalog: Catalog, records: Iterable[tuple[int, int, Mapping[str, Any]]]) -> Rows:
    """Return the index rows of many records, each (lead id, record key, stored values)."""
    # By field id: the field, its rows, and the index values of the stored values that came before.
    plans: dict[str, tuple[Field, list[tuple[int, int, int, Any]], dict[Any, list[Any]]] | None] = {}
    # In the order of the index, field by field.
    for lead_id, record_key, values in sorted(records, key=_PLACE):
        for field_id, stored in values.items():
            if field_id not in plans:
                known = catalog.fields.get(int(field_id))
                plans[field_id] = (known, [], {}) if known else None
            if (plan := plans[field_id]) is None or stored is None:
                continue
            found, own, indexed = plan
            if type(stored) is list:
                seen = found.kind.index(stored, found)
            elif (seen := indexed.get(stored, _UNSEEN)) is _UNSEEN:
                seen = indexed[stored] = found.kind.index(stored, found)
            for value in seen:
                own.append((found.id, lead_id, record_key, value))
    rows = Rows()
    for found, own, _ in sorted(filter(None, plans.values()), key=lambda plan: plan[0].id):
        rows.by_table[found.kind.storage] += own
    return rows


def insert_index_many(rows: Rows) -> None:
    """Insert index rows of records that have none yet, in index order."""
    for name, found in rows.by_table.items():
        if not found:
            continue
        model = TABLES[name]
        found.sort()
        insert = insert_rows if len(found) >= WORTH_IT else insert_few
        insert(model, ("field_id", "lead_id", "record_key", "v"), found)


def replace_index(
    lead_id: int, record_key: int, catalog: Catalog, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Make the index of one record agree with `new`; touches only fields whose value differs from `old`.

    `old` is what is indexed now: empty for a record that is new or was a draft, which costs no deletes then.
    """
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    gone: dict[str, list[int]] = {}
    for field_id in changed & set(old):
        known = catalog.fields.get(int(field_id))
        if known is not None:
            gone.setdefault(known.kind.storage, []).append(known.id)
    for name, field_ids in gone.items():
        TABLES[name].objects.filter(field_id__in=field_ids, lead_id=lead_id, record_key=record_key).delete()
    insert_index_many(index_rows(catalog, lead_id, record_key, {key: new[key] for key in changed & set(new)}))


def delete_index(lead_id: int, field_ids: Iterable[int], record_keys: Iterable[int] | None = None) -> None:
    """Remove index rows of these records of a lead (all of them when `record_keys` is None).

    `field_ids` are the fields the records may hold: the tables are ordered by field first.
    """
    field_ids = list(field_ids)
    for model in TABLES.values():
        rows = model.objects.filter(field_id__in=field_ids, lead_id=lead_id)
        if record_keys is not None:
            rows = rows.filter(record_key__in=list(record_keys))
        rows.delete()


def delete_index_many(catalog: Catalog, records: Iterable[tuple[int, int, Mapping[str, Any]]]) -> None:
    """Remove the index rows of many records, each (lead id, record key, stored values)."""
    for name, rows in index_rows_of(catalog, records).by_table.items():
        if not rows:
            continue
        fields, leads, keys = ({row[place] for row in rows} for place in range(3))
        TABLES[name].objects.filter(field_id__any=fields, lead_id__any=leads, record_key__any=keys).delete()


def move_lead(from_lead: int, to_lead: int, field_ids: Iterable[int]) -> None:
    """Give the contacts' and activities' rows of one lead to another; the first lead's own values go."""
    field_ids = list(field_ids)
    for model in TABLES.values():
        rows = model.objects.filter(field_id__in=field_ids, lead_id=from_lead)
        rows.filter(record_key=0).delete()
        found = list(rows.values_list("field_id", "record_key", "v"))
        rows.delete()
        model.objects.bulk_create(
            [model(field_id=f, lead_id=to_lead, record_key=key, v=v) for f, key, v in found], batch_size=BATCH
        )
