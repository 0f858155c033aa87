"""What is in the columns of a file: the kind of field each would make, its distinct values, and how its dates read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_OPTIONS_KEPT = 60
EMPTY_WORDS = ("n/a", "na")
_DAY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?:[ T,].*)?")
_SHAPES: dict[str, Any] = {
    "checkbox": lambda text: text.casefold() in ("yes", "no", "true", "false", "y", "n"),
    # A leading zero says that it is a code, not a number.
    "number": re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?").fullmatch,
    "date": re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}([/.-])\d{1,2}\1(?:\d{4}|\d{2})").fullmatch,
    "datetime": re.compile(r"(?:\d{4}-\d\d-\d\d|\d{1,2}([/.-])\d{1,2}\1\d{4})[T ]\d\d?:\d\d.*").fullmatch,
}


@dataclass
class Column:
    """What is in one column. `options`: its distinct values while there are few, else empty. `longest` in characters.

    `day_first` and `month_first`: how many of its dates cannot be read in the other order. `unclear`: the first date
    such as 03/04/2024 that can be read both ways.
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

    def __post_init__(self) -> None:
        self._seen: dict[str, None] = {}

    def look(self, cell: str) -> None:
        """Take one cell into account."""
        text = cell.strip()
        if not text:
            return
        if text in self._seen:
            self.filled += 1
            return
        if text.casefold() in EMPTY_WORDS:
            return
        self.filled += 1
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
        if text[0].isdigit() and len(text) < 30:
            self._look_at_date(text)

    def _look_at_date(self, text: str) -> None:
        if (match := _DAY.fullmatch(text)) is None:
            return
        first, second = int(match[1]), int(match[2])
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


def day_first_of(columns: list[Column]) -> bool | None:
    """Return how a file writes its dates when all its columns agree: day first, month first, or None when it is unclear."""
    days, months = any(column.day_first for column in columns), any(column.month_first for column in columns)
    return None if days == months else days
