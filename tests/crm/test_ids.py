"""Public ids are what Sqids makes of one number, and lead back to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm import ids

NUMBERS = [*range(130), 61**2 - 1, 61**2, 62**3, 2**31, 2**62, 2**63 - 1]


@pytest.mark.parametrize("prefix", ["acti", "lead", "cf"])
def test_ids_are_those_of_sqids(prefix: str) -> None:
    for number in NUMBERS:
        assert ids.encode(prefix, number) == f"{prefix}_{ids._encoder(prefix).encode([number])}"
        assert ids.decode(prefix, ids.encode(prefix, number)) == number


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_every_number_has_its_id(number: int) -> None:
    made = ids.encode("opt", number)
    assert made == f"opt_{ids._encoder('opt').encode([number])}" and ids.decode("opt", made) == number


def test_what_is_no_row_has_none() -> None:
    for number in (-1, 2**63):
        with pytest.raises(ValueError, match="not the number of a row"):
            ids.encode("lead", number)
