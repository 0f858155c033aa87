"""Opaque texts for keyset paging."""

from __future__ import annotations

import base64
import json
from typing import Any


def encode_cursor(*parts: Any) -> str:
    """Return an opaque text that holds JSON-able parts."""
    return base64.urlsafe_b64encode(json.dumps(parts, default=str).encode()).decode().rstrip("=")


def decode_cursor(text: str) -> list[Any] | None:
    """Return the parts of a cursor, or None for anything that is not one."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    return parts if isinstance(parts, list) else None
