"""What a spreadsheet would run is quoted, and comes back unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.imports.files import columns_text, csv_text
from crm.imports.formula import neutralise, neutralise_all, restore

DANGEROUS = [
    "=1+1", "+12025550143", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|x", "%0a", " =1", "\ufeff=1", "＝1",
    "'=1+1", "''@x",
]  # fmt: skip


@pytest.mark.parametrize("cell", DANGEROUS)
def test_formulas_are_quoted(cell: str) -> None:
    assert neutralise(cell).startswith("'") and restore(neutralise(cell)) == cell


@pytest.mark.parametrize("cell", ["", "text", "-5", "-12.75", "1=1", "'tis", "O'Neil", "0123"])
def test_harmless_cells_stay(cell: str) -> None:
    assert neutralise(cell) == cell == restore(cell)


@given(st.text())
def test_what_goes_out_comes_back(cell: str) -> None:
    assert restore(neutralise(cell)) == cell


CELL = st.text(st.sampled_from("aZ0é=+-@|%＝'\" ;,\r\n\t\ufeff"), max_size=6) | st.just("(clear)")


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=8))
def test_columns_are_written_as_rows_are(rows: list[tuple[str, str, str]]) -> None:
    plain = csv_text([neutralise(cell) for cell in row] for row in rows)
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    assert columns_text(map(neutralise_all, columns)) == plain
