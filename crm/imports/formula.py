"""Cells that a spreadsheet would run as a formula are quoted on the way out and unquoted on the way in."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A leading blank, byte order mark or full-width sign does not stop a spreadsheet; a plain number is harmless.
# A text that says “(clear)” is quoted as well, because such a cell empties a field.
_DANGEROUS = re.compile(r"'*(?:[\t\r\n]|[\s\ufeff]*[=+\-@|%＝＋－＠]|\s*\(clear\)\s*$)")
_ODD = re.compile("\x00[^0-9A-Za-z\x00]")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def neutralise(cell: str) -> str:
    """Return a cell that no spreadsheet runs. `restore` gives the original back, whatever it was."""
    if cell[:1].isalnum():  # no such cell is dangerous, and nearly all are such
        return cell
    if _DANGEROUS.match(cell) and not (cell.startswith("-") and _NUMBER.fullmatch(cell)):
        return f"'{cell}"
    return cell


def neutralise_all(cells: Sequence[str]) -> Sequence[str]:
    """Return many cells neutralised; where every one begins with a letter or digit, they are looked at in one go."""
    return list(map(neutralise, cells)) if _ODD.search("\x00" + "\x00".join(cells)) else cells


def restore(cell: str) -> str:
    """Return what `neutralise` was given; other cells stay as they are."""
    if cell.startswith("'") and _DANGEROUS.match(cell[1:]):
        return cell[1:]
    return cell
