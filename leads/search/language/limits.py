"""How large a search may be, and how its mistakes are told."""

from __future__ import annotations

from crm.errors import InvalidInput

MAX_DEPTH = 12
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_TEXT = 500
MAX_VIEWS = 5  # how deep Smart Views may refer to each other
MODES = ("full_words", "phrase", "beginning_of_words", "exact_value")


def wrong(path: str, sentence: str) -> InvalidInput:
    return InvalidInput(fields={path: sentence})
