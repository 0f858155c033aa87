"""Phone numbers: one writing to keep and compare, one to read, and the country they belong to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import phonenumbers


@lru_cache(maxsize=4096)
def _parsed(text: str) -> phonenumbers.PhoneNumber | None:
    """Return an international number that may exist, without an extension; None for anything else."""
    if not text.lstrip().startswith("+"):
        return None
    try:
        parsed = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_possible_number(parsed) and not parsed.extension else None


def normal_phone(text: str) -> str:
    """Return an international number as E.164 (`+12025550143`); anything else as it was written."""
    parsed = _parsed(text)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) if parsed else text


def shown_phone(text: Any) -> Any:
    """Return an international number in groups (`+1 202-555-0143`); anything else, a number of JSON too, as it was written."""
    parsed = _parsed(text) if isinstance(text, str) else None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL) if parsed else text


def phone_country(text: str) -> str | None:
    """Return the ISO 3166 code of an international number's country (`US`); None where it says none."""
    parsed = _parsed(text)
    code = phonenumbers.region_code_for_number(parsed) if parsed else None
    return code if code and code.isalpha() else None
