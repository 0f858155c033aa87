"""How many rows are written at once: few enough that nobody waits long for the database."""

from __future__ import annotations

import time

from django.db import connection

FIRST = 250
SECONDS = 2.0  # that one transaction takes; SQLite lets nobody else write meanwhile
# SQLite's waiting writers look ten times a second whether it is their turn. Between two chunks they must find it free.
BREATH = 0.12


class Pace:
    """Finds the number of rows that are written in about `SECONDS`: `size`, at most `most`."""

    def __init__(self, most: int, first: int = FIRST) -> None:
        self.most, self.size = most, min(first, most)
        self.busy = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """Take into account how long so many rows took."""
        self.busy += seconds
        if rows:
            fitting = int(rows * SECONDS / max(seconds, 0.001))
            self.size = max(1, min(self.most, self.size * 4, fitting))

    def shrink(self) -> None:
        """Write fewer at once from now on."""
        self.most = self.size = max(1, self.size // 4)

    def breathe(self) -> None:
        """Let others write when they could not for a while."""
        if connection.vendor == "sqlite" and self.busy >= SECONDS:
            time.sleep(BREATH)
            self.busy = 0.0
