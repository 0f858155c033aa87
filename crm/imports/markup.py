"""A look at the XML of a workbook before a parser builds anything of it: what no spreadsheet writes goes no further.

A few kilobytes of zip can hold one row of a hundred million cells, or marks nested as deep. Read here piece by piece, such a
file costs no memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import IO
from xml.parsers import expat

from crm.imports.files import MAX_CELL, MAX_RECORD, MAX_ROWS, BadFile

_PIECE = 64 * 1024
_TOKEN = 1_000_000  # bytes of one mark with its attributes
_DEPTH = 60
_CELLS = 16_384  # columns that a spreadsheet knows
_IN_ROW = 200_000  # marks
_ELSEWHERE = 1_500_000
STRANGE = "The XLSX file is built as no spreadsheet builds it, so it is not read. Save the sheet as CSV (UTF-8)."


def check_markup(file: IO[bytes]) -> None:
    """Read XML from end to end. Raises `BadFile` for declarations of entities and for what would not fit in memory.

    What is no XML is looked at up to there: nobody reads it further.
    """
    look = _Look()
    with suppress(expat.ExpatError):
        while piece := file.read(_PIECE):
            look.quiet += len(piece)
            look.parser.Parse(piece)
            if look.quiet > _TOKEN:
                raise BadFile(STRANGE)
        look.parser.Parse(b"", True)


class _Look:
    """What was seen so far. `quiet`: bytes since the parser last told of something."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self.declared
        self.parser.StartElementHandler = self.opened
        self.parser.EndElementHandler = self.closed
        self.parser.CharacterDataHandler = self.told
        self.quiet = self.depth = self.elsewhere = self.rows = 0
        self.in_row = False
        self.marks = self.cells = self.text = self.row_text = 0

    def declared(self, *given: object) -> None:
        raise BadFile("The XLSX file contains entity declarations, which are not read. Save it again.")

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        self.quiet = self.text = 0
        self.depth += 1
        own = name.rpartition(":")[2]
        if own == "row":
            self.rows += 1
            self.in_row, self.marks, self.cells, self.row_text = True, 0, 0, 0
        if self.in_row:
            self.marks += 1
            self.cells += own == "c"
        else:
            self.elsewhere += 1
        if self.rows > MAX_ROWS + 1:
            raise BadFile(f"The file has more than {MAX_ROWS:,} rows. Split it.")
        if self.depth > _DEPTH or self.elsewhere > _ELSEWHERE or self.marks > _IN_ROW or self.cells > _CELLS:
            raise BadFile(STRANGE)

    def closed(self, name: str) -> None:
        self.quiet = self.text = 0
        self.depth -= 1
        if name.rpartition(":")[2] == "row":
            self.in_row = False

    def told(self, text: str) -> None:
        self.quiet = 0
        self.text += len(text)
        self.row_text += len(text)
        if self.text > MAX_CELL:
            raise BadFile(f"A cell of the XLSX file is longer than {MAX_CELL:,} characters. Shorten it.")
        if self.in_row and self.row_text > MAX_RECORD:
            raise BadFile(f"A row of the XLSX file is longer than {MAX_RECORD:,} characters. Shorten it.")
