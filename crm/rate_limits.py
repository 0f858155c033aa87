"""How fast an API key may ask: so many requests a second on average, ten seconds' worth at once; three times that per organization.
Public forms count their answers the same way.

The counters are eight bytes per key in one file of DATA_DIR, shared by all processes of a machine and locked slot by slot:
some microseconds a request. In the database every read would become a write, which on SQLite would queue behind imports;
in a process's memory each worker would count for itself. Several machines each have their own file, so each has its own limit.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import threading
import time
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

SLOTS = 1 << 16
BURST_SECONDS = 10
ORGANIZATION_FACTOR = 3
_SLOT = struct.Struct("<d")
# A file lock belongs to the process; this one keeps its threads apart.
_threads = threading.Lock()


@dataclass(frozen=True)
class Allowance:
    """What is left. `wait`: seconds until the next request is let in; 0 when this one was. `of`: key or organization."""

    limit: int
    remaining: int
    reset: int
    wait: float
    of: str

    @property
    def header(self) -> str:
        """`RateLimit`, spaced as Close's client reads it."""
        return f"limit={self.limit}, remaining={self.remaining}, reset={self.reset}"


def take(key: str, organization: str) -> Allowance | None:
    """Count one request of a key; returns what is left, or None where the operator set no limit."""
    rate = settings.API_RATE_LIMIT
    if rate <= 0:
        return None
    now = time.time()
    mine = _take(_slot(key), now, rate, "key")
    if mine.wait:
        return mine
    ours = _take(SLOTS + _slot(organization), now, rate * ORGANIZATION_FACTOR, "organization")
    return ours if ours.wait else mine


def wait_for(name: str, most: int, seconds: int) -> float:
    """Count one of `most` in `seconds` under a name; returns for how many seconds there is no room, 0 when it was counted.

    All may come at once; after them room grows back evenly.
    """
    return _count(_file(settings.DATA_DIR / "form_limits"), _slot(name), most / seconds, seconds)[0]


def give_back(name: str, most: int, seconds: int) -> None:
    """Take back what `wait_for` counted."""
    _count(_file(settings.DATA_DIR / "form_limits"), _slot(name), most / seconds, seconds, -1)


def _slot(name: str) -> int:
    return zlib.crc32(name.encode()) % SLOTS


def _take(slot: int, now: float, rate: float, of: str) -> Allowance:
    span, limit = float(BURST_SECONDS), int(rate * BURST_SECONDS)
    wait, used = _count(_file(settings.DATA_DIR / "rate_limits"), slot, rate, span, now=now)
    return Allowance(limit, max(0, math.floor((span - used) * rate)), max(1, math.ceil(used)), wait, of)


def _count(
    file: int, slot: int, rate: float, span: float, number: int = 1, now: float | None = None
) -> tuple[float, float]:
    """Count at `rate` a second, `span` seconds' worth at once; returns the wait (0: counted) and the seconds that are used up.

    A slot keeps the moment at which everything taken so far would have been earned at the allowed rate.
    """
    now, place = time.time() if now is None else now, slot * _SLOT.size
    with _threads:
        fcntl.lockf(file, fcntl.LOCK_EX, _SLOT.size, place)
        try:
            kept = os.pread(file, _SLOT.size, place)
            earned = _SLOT.unpack(kept)[0] if len(kept) == _SLOT.size else 0.0
            # A clock that was set back must not lock anybody out.
            earned = max(now, min(earned, now + span))
            after = earned + number / rate
            # What fills the span to the brim still fits, whatever floats make of it.
            wait = max(0.0, after - now - span) if after - now - span > 1e-6 else 0.0
            if not wait:
                os.pwrite(file, _SLOT.pack(after), place)
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, _SLOT.size, place)
    return wait, (earned if wait else after) - now


@cache
def _file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
