"""What SQLite's planner is told about the tables that grow.

SQLite counts rows only when it is asked to (`ANALYZE`), and what it counts in a young database misleads it in an old one: a
search by a broad range of numbers took 75 times as long without figures as with them (20,000 leads, 200,000 activities). So
it is given the figures of a database of that size, once and for all: plans are the same on the first day and in the tenth year.
The form of `sqlite_stat1` is SQLite's: https://www.sqlite.org/fileformat2.html#stat1tab, which also allows to write it.
"""

from __future__ import annotations

from typing import Any

# table → (rows, {columns of an index: rows that share the first column, the first two, …})
Figures = dict[str, tuple[int, dict[str, tuple[int, ...]]]]
FIGURES: Figures = {
    "leads_lead": (20_000, {
        "organization_id id": (20_000, 1),
        "organization_id name_fold id": (20_000, 1, 1),
        "organization_id status_id name_fold id": (20_000, 4_000, 1, 1),
        "organization_id date_created id": (20_000, 1, 1),
        "organization_id date_updated id": (20_000, 1, 1),
        "organization_id last_activity_at id": (20_000, 1, 1),
    }),
    "leads_contact": (40_000, {
        "organization_id id": (40_000, 1),
        "organization_id date_created id": (40_000, 1, 1),
        "lead_id": (2,),
    }),
    "leads_contactpoint": (80_000, {
        "organization_id channel value lead_id": (80_000, 27_000, 2, 1),
        "lead_id": (4,),
        "contact_id": (2,),
    }),
    "leads_task": (20_000, {
        "organization_id id": (20_000, 1),
        "organization_id assigned_to_id due_date": (5_000, 500, 5),
        "lead_id": (2,),
        "assigned_to_id": (2_000,),
    }),
    "activities_activity": (200_000, {
        "organization_id id": (200_000, 1),
        "lead_id activity_at id": (11, 1, 1),
        "type_id lead_id": (10_000, 2),
        "type_id date_created created_by_id lead_id id": (10_000, 1, 1, 1, 1),
        "type_id created_on created_by_id": (10_000, 14, 3),
        "type_id activity_at user_id lead_id": (10_000, 1, 1, 1),
        "type_id created_by_id date_updated lead_id": (10_000, 1_000, 1, 1),
        "organization_id date_created id": (200_000, 1, 1),
        "organization_id activity_at id": (200_000, 1, 1),
        "organization_id external_id": (100_000, 1),
        "created_by_id organization_id": (20, 20),
        "contact_id": (10,),
    }),
    "lead_activity_fact": (113_000, {"type_id lead_id": (5_600, 1), "lead_id type_id": (6, 1)}),
    "value_text": (400_000, {"field_id lead_id record_key": (10_000, 2, 1)}),
    "value_number": (400_000, {
        "field_id lead_id record_key v": (10_000, 2, 1, 1),
        "field_id v lead_id record_key": (10_000, 7, 1, 1),
    }),
    "value_moment": (400_000, {
        "field_id lead_id record_key v": (10_000, 2, 1, 1),
        "field_id v lead_id record_key": (10_000, 3, 1, 1),
    }),
    "value_ref": (950_000, {
        "field_id lead_id record_key v": (12_000, 3, 2, 1),
        "field_id v lead_id record_key": (12_000, 1_700, 2, 1),
    }),
    "crm_event": (500_000, {
        "organization_id date_created id": (500_000, 2, 1),
        "organization_id lead_id id": (500_000, 25, 1),
        "organization_id object_type object_id id": (500_000, 50_000, 2, 1),
    }),
    "crm_importrow": (100_000, {"run_id": (5_000,), "run_id number": (5_000, 1)}),
}  # fmt: skip


def tell_planner(connection: Any) -> None:
    """Write the figures into a SQLite database and have this connection read them; safe to repeat, nothing elsewhere.

    Other connections read them when they are opened. Tables and indexes that do not exist (yet) are passed over.
    """
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE crm_organization")  # makes the table of figures where there is none
        for table, (rows, indexes) in FIGURES.items():
            cursor.execute("DELETE FROM sqlite_stat1 WHERE tbl = %s", [table])
            for name, columns in index_columns(cursor, table).items():
                if shared := indexes.get(columns):
                    stat = " ".join(map(str, (rows, *shared)))
                    cursor.execute("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (%s, %s, %s)", [table, name, stat])
        cursor.execute("ANALYZE sqlite_schema")


def index_columns(cursor: Any, table: str) -> dict[str, str]:
    """Return the indexes of a table by name: their columns, joined by blanks."""
    cursor.execute("SELECT name FROM pragma_index_list(%s)", [table])
    names = [name for (name,) in cursor.fetchall()]
    found = {}
    for name in names:
        cursor.execute("SELECT name FROM pragma_index_info(%s) ORDER BY seqno", [name])
        found[name] = " ".join(column for (column,) in cursor.fetchall())
    return found
