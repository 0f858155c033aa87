"""Reading uploaded tables: any usual encoding and delimiter, XLSX too, in bounded memory, with a sentence for what is wrong.

An XLSX file is turned into a UTF-8 CSV file when it arrives, so that everything after reads one format.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path

from crm.errors import InvalidInput
from crm.imports.columns import Column

MAX_BYTES = 300_000_000
MAX_ROWS = 1_000_000
MAX_COLUMNS = 500
MAX_CELL = 200_000
# Fifty text areas filled to the brim fit in a row; nothing larger is ever held in memory.
MAX_LINE = MAX_RECORD = 8_000_000
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
ENCODINGS = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 (little endian)",
    "utf-16-be": "UTF-16 (big endian)",
    "cp1252": "Windows-1252",
    "latin-1": "Latin-1",
}
_SAMPLE = 64 * 1024
_BLOCK_ROWS = 500
BLOCK_SIZE = 4_000_000  # characters that are held at once, give or take a row
_QUOTED_CHARS = '",\r\n'
_QUOTED = re.compile(f"[{_QUOTED_CHARS}]")
# Some spreadsheets tell the delimiter in a line before the header.
_SAID = re.compile(r"\ufeff?sep=([,;\t|])\s*$", re.IGNORECASE)


class BadFile(InvalidInput):
    """The file cannot be read as a table; the message says why and what to do."""


@dataclass
class Table:
    """An uploaded file that can be read. `rows_total` leaves out empty lines. `notes`: what the reader should know."""

    path: Path
    encoding: str
    delimiter: str
    columns: list[Column]
    rows_total: int
    notes: list[str] = field(default_factory=list)

    @property
    def headers(self) -> list[str]:
        return [column.header for column in self.columns]


def inspect(path: Path, *, encoding: str = "", delimiter: str = "") -> Table:
    """Read a file once from end to end and return what is in it. Raises `BadFile` with a sentence."""
    size = path.stat().st_size
    if size == 0:
        raise BadFile("The file is empty. Choose a file with a header line and at least one row.")
    if size > MAX_BYTES:
        raise BadFile(f"The file is {size / 1e6:,.0f} MB large; at most {MAX_BYTES / 1e6:,.0f} MB fit. Split it.")
    notes: list[str] = []
    encoding = encoding or detect_encoding(path)
    if encoding in ("cp1252", "latin-1"):
        notes.append(f"The file is not UTF-8; it was read as {ENCODINGS[encoding]}. Check accents below.")
    delimiter = delimiter or detect_delimiter(path, encoding)
    rows = _records(path, encoding, delimiter)
    try:
        _, first = next(rows)
    except StopIteration:
        raise BadFile("The file has no header line. The first line must name the columns.") from None
    headers = _headers(first, notes)
    columns = [Column(header) for header in headers]
    total = 0
    for block in _blocks(rows):
        total += len(block)
        if total > MAX_ROWS:
            raise BadFile(f"The file has more than {MAX_ROWS:,} rows. Split it.")
        # Rows that are too short lack their last cells; what is beyond the header is told row by row.
        for column, cells in zip(columns, zip_longest(*block, fillvalue=""), strict=False):
            column.look(cells)
    if not total:
        raise BadFile("The file has a header line but no rows.")
    for column in columns:
        column.finish()
    return Table(path, encoding, delimiter, columns, total, notes)


def read_rows(path: Path, encoding: str, delimiter: str, headers: list[str], start: int = 0) -> Iterator[Row]:
    """Yield the rows after the first `start` ones. Memory stays bounded whatever the size of the file."""
    rows = _records(path, encoding, delimiter)
    next(rows, None)
    width = len(headers)
    for number, cells in islice(rows, start, None):
        problem = ""
        if len(cells) > width:
            if any(cell.strip() for cell in cells[width:]):
                problem = (
                    f"The row has {len(cells)} cells but the header has {width}. "
                    "Put cells that contain the delimiter in double quotes."
                )
            # What is too much stays in the last cell, so that a file of failed rows loses nothing.
            cells = [*cells[: width - 1], delimiter.join(cells[width - 1 :])] if problem else cells[:width]
        elif len(cells) < width:
            cells = cells + [""] * (width - len(cells))
        yield Row(number, headers, cells, problem)


@dataclass(slots=True)
class Row:
    """One row of a file. `number`: as a spreadsheet shows it. `problem`: why it cannot be read, or empty.

    `headers` and `texts` go together, one by one.
    """

    number: int
    headers: Sequence[str]
    texts: Sequence[str]
    problem: str = ""

    @property
    def cells(self) -> dict[str, str]:
        return dict(zip(self.headers, self.texts, strict=True))


def _blocks(rows: Iterator[tuple[int, list[str]]]) -> Iterator[list[list[str]]]:
    """Yield the cells of rows together, as many rows as fit well in memory."""
    block: list[list[str]] = []
    size = 0
    for _, cells in rows:
        block.append(cells)
        size += sum(map(len, cells))
        if len(block) == _BLOCK_ROWS or size > BLOCK_SIZE:
            yield block
            block, size = [], 0
    if block:
        yield block


def _headers(cells: list[str], notes: list[str]) -> list[str]:
    while cells and not cells[-1].strip():
        cells.pop()
    if len(cells) > MAX_COLUMNS:
        raise BadFile(
            f"The file has {len(cells):,} columns; at most {MAX_COLUMNS} fit. Remove the ones you do not need."
        )
    if not cells:
        raise BadFile("The header line is empty. The first line must name the columns.")
    headers: list[str] = []
    for position, cell in enumerate(cells, start=1):
        name = " ".join(cell.split())[:300] or f"Column {position}"
        if name in headers:
            again = next(f"{name} ({n})" for n in range(2, MAX_COLUMNS + 2) if f"{name} ({n})" not in headers)
            notes.append(
                f"The column “{name}” is there twice; the one in position {position} is called “{again}” here."
            )
            name = again
        headers.append(name)
    return headers


# --- text -------------------------------------------------------------------------------------------------------------
def detect_encoding(path: Path) -> str:
    """Return the encoding of a text file. Raises `BadFile` for what is no text."""
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(b"PK\x03\x04"):
        raise BadFile("This is a zip or XLSX file with another name. Give it the ending .xlsx, or save it as CSV.")
    if head.startswith((b"%PDF", b"\xd0\xcf\x11\xe0")):
        raise BadFile("This is not a CSV, TSV or XLSX file. Save the sheet as CSV (UTF-8) and choose it again.")
    if b"\x00" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if odd > len(head) // 4 and even * 10 < odd:
            return "utf-16-le"
        if even > len(head) // 4 and odd * 10 < even:
            return "utf-16-be"
        raise BadFile(
            "The file contains NUL bytes, so it is not text. Save the sheet as CSV (UTF-8) and choose it again."
        )
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(1024 * 1024):
                if b"\x00" in chunk:
                    raise BadFile(
                        "The file contains NUL bytes, so it is not text. Save the sheet as CSV (UTF-8) and choose it again."
                    )
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            # Five bytes have no meaning in Windows-1252; Latin-1 takes any.
            return "latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", head) else "cp1252"
    return "utf-8-sig"


def detect_delimiter(path: Path, encoding: str) -> str:
    """Return the delimiter that cuts the first lines into the same number of cells most often."""
    lines: list[str] = []
    for line in _lines(path, encoding):
        if not lines and (said := _SAID.match(line)):
            return said[1]
        lines.append(line)
        if len(lines) == 30 or sum(map(len, lines)) > _SAMPLE:
            break
    best, best_score = ",", (0, 0)
    for delimiter in DELIMITERS:
        try:
            counts = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
        except csv.Error:
            continue
        if counts and counts[0] > 1:
            score = (sum(count == counts[0] for count in counts[:20]), counts[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield lines with their ends; a line that would not fit in memory is refused, never read whole."""
    number = 0
    try:
        with path.open(encoding=encoding, newline="") as file:
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) >= MAX_LINE and not line.endswith(("\n", "\r")):
                    raise BadFile(
                        f"Line {number:,} is longer than {MAX_LINE:,} characters. "
                        "The file is probably no table, or its lines do not end."
                    )
                if "\x00" in line:
                    raise BadFile(f"Line {number:,} contains a NUL character. Remove it and choose the file again.")
                yield line
    except UnicodeError:
        name = ENCODINGS.get(encoding, encoding)
        raise BadFile(
            f"The file is not {name} after line {number:,}. Choose another encoding, or save it as UTF-8."
        ) from None
    except LookupError:
        raise BadFile(f"“{encoding}” is not an encoding. Use one of: {', '.join(ENCODINGS.values())}.") from None


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with their numbers, as lists of cells; empty ones are counted and left out.

    A row has the number that a spreadsheet shows beside it: a header in the first line is row 1, and a cell of several
    lines makes one row.
    """
    if delimiter not in DELIMITERS:
        raise BadFile("The delimiter must be a comma, semicolon, tab or vertical bar.")
    # The limit is global to the csv module and the same for every reader here.
    csv.field_size_limit(MAX_CELL)
    quotes = _Quotes(_lines(path, encoding))
    reader = csv.reader(quotes, delimiter=delimiter)
    number, begun = 0, False
    try:
        for cells in reader:
            quotes.ended = True
            number += 1
            # Most rows have a first cell; a line that tells the delimiter comes before any header.
            if (cells and cells[0].strip()) or any(cell.strip() for cell in cells):
                if begun:
                    if len(cells) > MAX_COLUMNS:
                        cells = [*cells[:MAX_COLUMNS], *[cell for cell in cells[MAX_COLUMNS:] if cell.strip()][:1]]
                elif _SAID.match(quotes.first):
                    number -= 1  # spreadsheets do not show that line
                    continue
                begun = True
                yield number, cells
    except _TooLong:
        raise BadFile(
            f"Row {number + 1:,} is longer than {MAX_RECORD:,} characters, or a quotation mark there is never closed."
        ) from None
    except csv.Error as error:
        if "field larger" in str(error):
            raise BadFile(
                f"A cell in row {number + 1:,} is longer than {MAX_CELL:,} characters, "
                "or a quotation mark there is never closed."
            ) from None
        raise BadFile(f"Row {number + 1:,} cannot be read as CSV: {error}.") from None
    if quotes.open_at_end(delimiter):
        raise BadFile(f"A quotation mark in the last row (row {number:,}) is never closed. Close it and try again.")


class _TooLong(Exception):
    """A row goes on for more lines than fit in memory."""


class _Quotes:
    """Passes lines on and holds those of the row that is being read. `ended`: the next line begins a row."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.first = ""
        self.rest = io.StringIO(newline="")  # many short lines are larger one by one
        self.size = 0
        self.ended = True

    def __iter__(self) -> _Quotes:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        if self.ended:
            if self.size > len(self.first):
                self.rest = io.StringIO(newline="")
            self.first, self.size, self.ended = line, len(line), False
            return line
        self.rest.write(line)
        self.size += len(line)
        if self.size > MAX_RECORD:
            raise _TooLong
        return line

    def open_at_end(self, delimiter: str) -> bool:
        """Return whether the last row ends inside quotes: the reader had to stop where it was."""
        try:
            list(
                csv.reader(io.StringIO(self.first + self.rest.getvalue(), newline=""), delimiter=delimiter, strict=True)
            )
        except csv.Error as error:
            return "unexpected end of data" in str(error)
        return False


def csv_text(rows: Iterable[Iterable[str]], delimiter: str = ",") -> str:
    """Return rows as CSV text."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    return buffer.getvalue()


def columns_text(columns: Iterable[Sequence[str]]) -> str:
    """Return rows as `csv_text` does, given column by column: most columns hold nothing that must be quoted."""
    ready = []
    for cells in columns:
        together = "".join(cells)
        if any(char in together for char in _QUOTED_CHARS):
            quoted = {cell: f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in set(cells) if _QUOTED.search(cell)}
            cells = [quoted.get(cell, cell) for cell in cells]
        ready.append(cells)
    return "".join(f"{line}\r\n" for line in map(",".join, zip(*ready, strict=True)))
