"""Phone numbers as they are kept, and read, and their country."""

from __future__ import annotations

import pytest

from crm.phones import normal_phone, phone_country, shown_phone

NUMBERS = {
    "+1 (202) 555-0143": ("+12025550143", "+1 202-555-0143", "US"),
    "+442079460958": ("+442079460958", "+44 20 7946 0958", "GB"),
    "+49 30 901820": ("+4930901820", "+49 30 901820", "DE"),
    "+800 1234 5678": ("+80012345678", "+800 1234 5678", None),  # freephone of no country
    "202 555 0143": ("202 555 0143", "202 555 0143", None),
    "+1 202 555 0143 ext. 7": ("+1 202 555 0143 ext. 7", "+1 202 555 0143 ext. 7", None),
    "+1": ("+1", "+1", None),
    "": ("", "", None),
}


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_is_kept_read_and_placed(written: str) -> None:
    assert (normal_phone(written), shown_phone(written), phone_country(written)) == NUMBERS[written]


@pytest.mark.parametrize("kept", [None, 5, True, [], {"a": 1}])
def test_what_is_no_text_is_shown_as_it_is(kept: object) -> None:
    """Clients of the API keep what they like as a `local_phone`."""
    assert shown_phone(kept) is kept
