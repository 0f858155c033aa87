"""What a spreadsheet would run is quoted, and comes back unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.imports.formula import neutralise, restore

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
