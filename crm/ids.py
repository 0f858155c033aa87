"""Public ids: `lead_8Xk…`. A prefix says what it names, the rest hides the row number and can be turned back into it.

No second column and no second index are needed: the number is recovered from the text. Each prefix has its own alphabet,
so the same number looks different for a lead and for a contact. This is opacity, not a secret: authorization never
depends on an id being hard to guess.
"""

from __future__ import annotations

import random
from functools import cache, lru_cache
from string import ascii_letters, digits

from sqids import Sqids

PREFIXES = frozenset(
    [
        "orga",
        "user",
        "memb",
        "role",
        "group",
        "lead",
        "cont",
        "stat",
        "task",
        "acti",
        "actitype",
        "cf",
        "opt",
        "save",
        "ev",
        "req",
        "whsub",
        "api",
        "report",
        "tile",
        "imp",
        "exp",
        "bulkedit",
        "bulkdelete",
        "comm",
        "bulklog",
        "note",
        "whdel",
        "rule",
        "form",
    ]
)
_LARGEST = 2**63 - 1
_LENGTH = 16


@cache
def _encoder(prefix: str) -> Sqids:
    if prefix not in PREFIXES:
        raise ValueError(f"Add {prefix!r} to crm.ids.PREFIXES.")
    alphabet = list(digits + ascii_letters)
    random.Random(f"touchpoint:{prefix}").shuffle(alphabet)
    return Sqids("".join(alphabet), min_length=_LENGTH, blocklist=set())


@cache
def _parts(prefix: str, rest: int) -> tuple[str, str, str]:
    """Return what Sqids makes ids of for numbers with this rest by 62: the first character, the digits, what fills up."""
    encoder = _encoder(prefix)
    letters: str = vars(encoder)["_Sqids__alphabet"]
    short = encoder.encode([rest])
    turned = letters.index(short[0])
    digits = (letters[turned:] + letters[:turned])[::-1][1:]
    return f"{prefix}_{short[0]}", digits, short[2 if rest < len(digits) else 3 :]


@lru_cache(maxsize=100_000)
def encode(prefix: str, number: int) -> str:
    """Return the public id of row `number`. `encode("lead", 1)` → `lead_` + 16 base62 characters.

    What Sqids returns for one number, put together from parts: files hold millions of ids, and it shuffles for each.
    """
    if not 0 <= number <= _LARGEST:
        raise ValueError(f"{number} is not the number of a row.")
    head, digits, filling = _parts(prefix, number % 62)
    text = ""
    while True:
        number, digit = divmod(number, 61)
        text = digits[digit] + text
        if not number:
            return f"{head}{text}{filling[: max(0, _LENGTH - 1 - len(text))]}"


def decode(prefix: str, public_id: object) -> int | None:
    """Return the row number, or None for anything that `encode(prefix, …)` could not have produced."""
    if not isinstance(public_id, str) or len(public_id) > 64:
        return None
    found, _, body = public_id.partition("_")
    if found != prefix or not body or not body.isascii() or not body.isalnum():
        return None
    numbers = _encoder(prefix).decode(body)
    if len(numbers) != 1 or numbers[0] > _LARGEST or encode(prefix, numbers[0]) != public_id:
        return None
    return numbers[0]
