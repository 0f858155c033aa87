"""What is in the columns of a file: the kind of field each would make, its distinct values, how its dates and numbers read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_OPTIONS_KEPT = 60
EMPTY_WORDS = ("n/a", "na")
_DAY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?:[ T,].*)?")
_FIRST_OF_NUMBERS = frozenset("0123456789+- ")
# 1.234,5 and 12,5 have a decimal comma, 1,234.5 and 12.5 a decimal point; 1,234 may be either.
_COMMA = re.compile(
    r"[+-]?(?:\d{1,3}(?:[.\u00a0\u202f ]\d{3})+,\d+|\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d{1,3}(?:\.\d{3}){2,})"
)
_POINT = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+\.\d+|\d+\.(?:\d{1,2}|\d{4,})|0\.\d+|\d{1,3}(?:,\d{3}){2,})")
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_SHAPES: dict[str, Any] = {
    "checkbox": lambda text: text.casefold() in ("yes", "no", "true", "false", "y", "n"),
    # A leading zero says that it is a code, not a number.
    "number": re.compile(
        r"-?(?:0|[1-9]\d{0,14})(?:[.,]\d{1,10})?|-?[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3})+(?:,\d+)?)"
    ).fullmatch,
    "date": re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}([/.-])\d{1,2}\1(?:\d{4}|\d{2})").fullmatch,
    "datetime": re.compile(r"(?:\d{4}-\d\d-\d\d|\d{1,2}([/.-])\d{1,2}\1\d{4})[T ]\d\d?:\d\d.*").fullmatch,
}


@dataclass
class Column:
    """What is in one column. `options`: its distinct values while there are few, else empty. `longest` in characters.

    `day_first` and `month_first`: how many of its dates cannot be read in the other order. `unclear`: the first date
    such as 03/04/2024 that can be read both ways. `commas` and `points`: how many of its numbers can only have a decimal
    comma, or only a decimal point. `unclear_number`: the first one such as 1,234 that can have either.
    """

    header: str
    filled: int = 0
    longest: int = 0
    samples: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    few: bool = True
    kinds: list[str] = field(default_factory=lambda: list(_SHAPES))
    day_first: int = 0
    month_first: int = 0
    unclear: str = ""
    commas: int = 0
    points: int = 0
    unclear_number: str = ""

    def __post_init__(self) -> None:
        self._seen: dict[str, None] = {}

    def look(self, cells: Sequence[str]) -> None:
        """Take cells into account, from top to bottom."""
        counted = Counter(cells)
        counted.pop("", None)
        if not self.few and not self.kinds and len(self.samples) == 3:
            # Long texts: what is left to be known of them is how many and how long.
            self.filled += sum(counted.values())
            self.longest = max(self.longest, max(map(len, counted), default=0))
            for cell in counted:
                if cell[0] in _FIRST_OF_NUMBERS and len(cell) < 30:
                    self._look_closer(cell.strip())
            return
        for cell, times in counted.items():
            self._look_at(cell, times)

    def _look_at(self, cell: str, times: int) -> None:
        text = cell.strip()
        if not text:
            return
        if text in self._seen:
            self.filled += times
            return
        if text.casefold() in EMPTY_WORDS:
            return
        self.filled += times
        if len(cell) > self.longest:
            self.longest = len(cell)
        if len(self.samples) < 3 and cell[:80] not in self.samples:
            self.samples.append(cell[:80])
        if self.few:
            self._seen[text] = None
            self.few = len(self._seen) <= _OPTIONS_KEPT and len(cell) <= 200
            if not self.few:
                self._seen = {}
        if self.kinds:
            self.kinds = [kind for kind in self.kinds if _SHAPES[kind](text)]
        if text[0] in _FIRST_OF_NUMBERS and len(text) < 30:
            self._look_closer(text)

    def _look_closer(self, text: str) -> None:
        """Look at how a date or number is written."""
        if text.isdecimal():
            return
        if (match := _DAY.fullmatch(text)) is not None:
            self._look_at_date(text, int(match[1]), int(match[2]))
        elif "," in text or "." in text:
            if _COMMA.fullmatch(text):
                self.commas += 1
            elif _POINT.fullmatch(text):
                self.points += 1
            elif not self.unclear_number and _EITHER.fullmatch(text):
                self.unclear_number = text

    def _look_at_date(self, text: str, first: int, second: int) -> None:
        if 12 < first <= 31 and second <= 12:
            self.day_first += 1
        elif 12 < second <= 31 and first <= 12:
            self.month_first += 1
        elif first <= 12 and second <= 12 and first != second and not self.unclear:
            self.unclear = text

    def finish(self) -> None:
        self.options = list(self._seen) if self.few else []

    @property
    def guessed_kind(self) -> str:
        """Return the kind of field this column would make."""
        if self.filled and self.kinds:
            return self.kinds[0]
        if self.few and self.filled >= 2 * len(self.options) > 0:
            return "choices"
        return "textarea" if self.longest > 200 else "text"
