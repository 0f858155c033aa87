"""SQLite's planner is told how large tables are shaped: no plan hangs on what a young database happened to hold."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from crm.sqlite import FIGURES, index_columns, tell_planner

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def test_every_figure_is_of_an_index_that_exists_and_names_each_of_its_columns() -> None:
    with connection.cursor() as cursor:
        for table, (rows, indexes) in FIGURES.items():
            found = set(index_columns(cursor, table).values())
            assert found == set(indexes), table
            for columns, shared in indexes.items():
                assert len(shared) == len(columns.split()), (table, columns)
                assert rows >= shared[0] and list(shared) == sorted(shared, reverse=True), (table, columns)
        cursor.execute("SELECT tbl, COUNT(*) FROM sqlite_stat1 GROUP BY tbl")
        told = dict(cursor.fetchall())
    assert {table: told.get(table) for table in FIGURES} == {
        table: len(indexes) for table, (_, indexes) in FIGURES.items()
    }


def test_a_lead_at_hand_is_looked_up_by_itself_not_among_all_large_numbers() -> None:
    test = "SELECT 1 FROM value_number t WHERE t.field_id = 7 AND t.v > 10 AND t.lead_id = r.id LIMIT 1"
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN QUERY PLAN SELECT r.id FROM leads_lead r WHERE r.organization_id = 1 AND ({test}) IS NOT NULL"
        )
        plan = "\n".join(row[3] for row in cursor.fetchall())
    assert re.search(r"SEARCH t USING COVERING INDEX \S+ \(field_id=\? AND lead_id=\?\)", plan), plan


def test_telling_twice_changes_nothing() -> None:
    def told() -> list[tuple[str, str, str]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx")
            return [tuple(row) for row in cursor.fetchall() if row[0] in FIGURES]

    before = told()
    tell_planner(connection)
    assert told() == before and before
