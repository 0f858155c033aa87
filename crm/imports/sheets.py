"""XLSX files, turned into CSV when they arrive: checked first, so that no zip bomb is unpacked."""

from __future__ import annotations

import csv
import zipfile
import zlib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from crm.imports.files import MAX_COLUMNS, MAX_ROWS, BadFile
from crm.imports.markup import check_markup

MAX_UNZIPPED = 400_000_000
# The texts of all cells are one part of the file that must be in memory while it is read.
MAX_SHARED_TEXTS = 30_000_000
_LOOKED_AT = 4096
_BEFORE_MARKUP = b"\xef\xbb\xbf\xff\xfe \t\r\n"


def xlsx_to_csv(source: Path, target: Path) -> list[str]:
    """Write the first sheet of an XLSX file as UTF-8 CSV and return what the reader should know of the others.

    Raises `BadFile` for what is too large, broken or dangerous.
    """
    _check_zip(source)
    from openpyxl import load_workbook

    try:
        # Opened here: of a path the ending would count, and uploads are kept under a name of ours.
        with source.open("rb") as opened, target.open("w", newline="", encoding="utf-8") as file:
            book = load_workbook(opened, read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()
            writer = csv.writer(file)
            for number, cells in enumerate(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS + 1)):
                if number > MAX_ROWS:
                    raise BadFile(f"The file has more than {MAX_ROWS:,} rows. Split it.")
                texts = [_cell_text(cell) for cell in cells]
                if len(texts) > MAX_COLUMNS and texts[-1]:
                    raise BadFile(f"The sheet has more than {MAX_COLUMNS} columns. Remove the ones you do not need.")
                writer.writerow(texts)
            others = len(book.worksheets) - 1
            book.close()
            return (
                [f"Only the first sheet, “{sheet.title}”, is read; the workbook has {others} more."] if others else []
            )
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
                if member.filename.endswith("sharedStrings.xml") and member.file_size > MAX_SHARED_TEXTS:
                    raise BadFile("The XLSX file holds too much text to be unpacked. Save the sheet as CSV instead.")
                # By its content: a part may have any name, and pictures are none of ours.
                with archive.open(member) as file:
                    is_markup = file.read(_LOOKED_AT).replace(b"\x00", b"").lstrip(_BEFORE_MARKUP).startswith(b"<")
                if is_markup:
                    with archive.open(member) as file:
                        check_markup(file)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
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
