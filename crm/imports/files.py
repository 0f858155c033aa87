"""Reading uploaded tables: any usual encoding and delimiter, XLSX too, in bounded memory, with a sentence for what is wrong.

An XLSX file is turned into a UTF-8 CSV file when it arrives, so that everything after reads one format.
"""

from __future__ import annotations

import codecs
import csv
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from crm.errors import InvalidInput

MAX_BYTES = 300 * 1024 * 1024
MAX_ROWS = 1_000_000
MAX_COLUMNS = 500
MAX_CELL = 200_000
MAX_LINE = 1_000_000
MAX_UNZIPPED = 400 * 1024 * 1024
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
_OPTIONS_KEPT = 60


class BadFile(InvalidInput):
    """The file cannot be read as a table; the message says why and what to do."""


@dataclass
class Column:
    """What is in one column. `options`: its distinct values while there are few, else empty. `longest` in characters."""

    header: str
    filled: int = 0
    longest: int = 0
    samples: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    few: bool = True
    kinds: set[str] = field(default_factory=lambda: {"checkbox", "number", "date", "datetime"})

    def look(self, cell: str) -> None:
        """Take one cell into account."""
        if not cell.strip() or cell.strip().casefold() in ("n/a", "na"):
            return
        self.filled += 1
        self.longest = max(self.longest, len(cell))
        if len(self.samples) < 3 and cell[:80] not in self.samples:
            self.samples.append(cell[:80])
        if self.few and cell.strip() not in self._seen:
            self._seen[cell.strip()] = None
            self.few = len(self._seen) <= _OPTIONS_KEPT and len(cell) <= 200
        for kind in list(self.kinds):
            if not _SHAPES[kind](cell.strip()):
                self.kinds.discard(kind)

    def __post_init__(self) -> None:
        self._seen: dict[str, None] = {}

    def finish(self) -> None:
        self.options = list(self._seen) if self.few else []

    @property
    def guessed_kind(self) -> str:
        """Return the kind of field this column would make."""
        for kind in ("checkbox", "number", "date", "datetime"):
            if self.filled and kind in self.kinds:
                return kind
        if self.few and self.filled >= 2 * len(self.options) > 0:
            return "choices"
        return "textarea" if self.longest > 200 else "text"


def _is_date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text) or re.fullmatch(r"\d{1,2}[/.]\d{1,2}[/.]\d{4}", text))


_SHAPES: dict[str, Any] = {
    "checkbox": lambda text: text.casefold() in ("yes", "no", "true", "false", "y", "n"),
    # A leading zero says that it is a code, not a number.
    "number": lambda text: bool(re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d{1,10})?", text)),
    "date": _is_date,
    "datetime": lambda text: bool(re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", text)),
}


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
    if encoding == "cp1252":
        notes.append("The file is not UTF-8; it was read as Windows-1252. Check accents below.")
    delimiter = delimiter or _detect_delimiter(path, encoding)
    rows = _records(path, encoding, delimiter)
    try:
        first = next(rows)
    except StopIteration:
        raise BadFile("The file has no header line. The first line must name the columns.") from None
    headers = _headers(first, notes)
    columns = [Column(header) for header in headers]
    total = 0
    for cells in rows:
        total += 1
        if total > MAX_ROWS:
            raise BadFile(f"The file has more than {MAX_ROWS:,} rows. Split it.")
        for column, cell in zip(columns, cells, strict=False):
            column.look(cell)
    if not total:
        raise BadFile("The file has a header line but no rows.")
    for column in columns:
        column.finish()
    return Table(path, encoding, delimiter, columns, total, notes)


def read_rows(path: Path, encoding: str, delimiter: str, headers: list[str], start: int = 0) -> Iterator[Row]:
    """Yield the rows after the first `start` ones. Memory stays bounded whatever the size of the file."""
    rows = _records(path, encoding, delimiter)
    next(rows, None)
    for number, cells in enumerate(rows, start=1):
        if number <= start:
            continue
        problem = ""
        if len(cells) > len(headers) and any(cell.strip() for cell in cells[len(headers) :]):
            problem = (
                f"The row has {len(cells)} cells but the header has {len(headers)}. "
                "Put cells that contain the delimiter in double quotes."
            )
        padded = [*cells[: len(headers)], *[""] * (len(headers) - len(cells))]
        yield Row(number, dict(zip(headers, padded, strict=True)), problem)


@dataclass
class Row:
    """One row of a file. `number`: 1 is the first row after the header. `problem`: why it cannot be read, or empty."""

    number: int
    cells: dict[str, str]
    problem: str = ""


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
        name = " ".join(cell.split())[:200] or f"Column {position}"
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


def _detect_delimiter(path: Path, encoding: str) -> str:
    lines = []
    for line in _lines(path, encoding):
        lines.append(line)
        if len(lines) == 30:
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


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[list[str]]:
    """Yield rows as lists of cells, empty lines left out."""
    if delimiter not in DELIMITERS:
        raise BadFile("The delimiter must be a comma, semicolon, tab or vertical bar.")
    # The limit is global to the csv module and the same for every reader here.
    csv.field_size_limit(MAX_CELL)
    quotes = _Quotes(_lines(path, encoding))
    reader = csv.reader(quotes, delimiter=delimiter)
    number = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                number += 1
                if len(cells) > MAX_COLUMNS and number > 1:
                    cells = [*cells[:MAX_COLUMNS], *[cell for cell in cells[MAX_COLUMNS:] if cell.strip()][:1]]
                yield cells
    except csv.Error as error:
        if "field larger" in str(error):
            raise BadFile(
                f"A cell after row {max(number - 1, 0):,} is longer than {MAX_CELL:,} characters, "
                "or a quotation mark there is never closed."
            ) from None
        raise BadFile(f"Row {number:,} cannot be read as CSV: {error}.") from None
    if quotes.open_at_end(delimiter):
        raise BadFile(
            f"A quotation mark in the last row (row {max(number - 1, 0):,}) is never closed. Close it and try again."
        )


class _Quotes:
    """Passes lines on and remembers those of the row that is being read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.last = ""

    def __iter__(self) -> _Quotes:
        return self

    def __next__(self) -> str:
        self.last = next(self.lines)
        return self.last

    def open_at_end(self, delimiter: str) -> bool:
        """Return whether the last line ends inside quotes: the reader had to stop where it was."""
        try:
            list(csv.reader([self.last], delimiter=delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                return False
            # `… "` alone may close a cell that began on an earlier line; an odd quote at the very end does.
            return not self.last.rstrip("\r\n").endswith('"')
        return False


# --- XLSX -------------------------------------------------------------------------------------------------------------
def xlsx_to_csv(source: Path, target: Path) -> None:
    """Write the first sheet of an XLSX file as UTF-8 CSV. Raises `BadFile` for what is too large, broken or dangerous."""
    _check_zip(source)
    from openpyxl import load_workbook

    try:
        book = load_workbook(source, read_only=True, data_only=True, keep_links=False)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                for number, cells in enumerate(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS + 1)):
                    if number > MAX_ROWS:
                        raise BadFile(f"The file has more than {MAX_ROWS:,} rows. Split it.")
                    texts = [_cell_text(cell) for cell in cells]
                    if len(texts) > MAX_COLUMNS and texts[-1]:
                        raise BadFile(
                            f"The sheet has more than {MAX_COLUMNS} columns. Remove the ones you do not need."
                        )
                    writer.writerow(texts)
        finally:
            book.close()
    except BadFile:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise BadFile("The XLSX file cannot be read. Save it again in your spreadsheet, or as CSV (UTF-8).") from error


def _check_zip(source: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > 5_000 or sum(member.file_size for member in members) > MAX_UNZIPPED:
                raise BadFile(
                    f"The XLSX file unpacks to more than {MAX_UNZIPPED / 1e6:,.0f} MB. Save the sheet as CSV instead."
                )
            for member in members:
                if member.filename.endswith((".xml", ".rels")):
                    with archive.open(member) as file:
                        if re.search(rb"<!(DOCTYPE|ENTITY)", file.read(_SAMPLE), re.I):
                            raise BadFile(
                                "The XLSX file contains entity declarations, which are not read. Save it again."
                            )
    except zipfile.BadZipFile:
        raise BadFile("The file ends in .xlsx but is not an XLSX file. Save it again, or as CSV (UTF-8).") from None


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time.min else value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).replace("\x00", "")


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Return rows as CSV text."""
    import io

    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
