"""How fast an API key may ask: so many requests a second on average, ten seconds' worth at once; three times that per organization.

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


def _slot(name: str) -> int:
    return zlib.crc32(name.encode()) % SLOTS


def _take(slot: int, now: float, rate: float, of: str) -> Allowance:
    """A slot keeps the moment at which everything taken so far would have been earned at the allowed rate."""
    span, limit = float(BURST_SECONDS), int(rate * BURST_SECONDS)
    file, place = _file(settings.DATA_DIR / "rate_limits"), slot * _SLOT.size
    with _threads:
        fcntl.lockf(file, fcntl.LOCK_EX, _SLOT.size, place)
        try:
            kept = os.pread(file, _SLOT.size, place)
            earned = _SLOT.unpack(kept)[0] if len(kept) == _SLOT.size else 0.0
            # A clock that was set back must not lock a key out.
            earned = max(now, min(earned, now + span))
            after = earned + 1 / rate
            wait = max(0.0, after - now - span)
            if not wait:
                os.pwrite(file, _SLOT.pack(after), place)
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, _SLOT.size, place)
    used = (earned if wait else after) - now
    return Allowance(limit, max(0, math.floor((span - used) * rate)), max(1, math.ceil(used)), wait, of)


@cache
def _file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
