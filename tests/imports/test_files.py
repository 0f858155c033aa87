"""Files as people really have them: each bad one has its sentence, each odd one is read."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from crm.imports import sheets
from crm.imports.files import BadFile, inspect, read_rows
from crm.imports.sheets import xlsx_to_csv

BAD = [
    ("empty", b"", "The file is empty. Choose a file with a header line and at least one row."),
    ("only blank lines", b"\n\n  \n", "The file has no header line. The first line must name the columns."),
    ("no rows", b"id,name\n", "The file has a header line but no rows."),
    ("NUL", b"id,name\n1,a\x00b\n", "The file contains NUL bytes, so it is not text. Save the sheet as CSV (UTF-8) and choose it again."),
    ("zip", b"PK\x03\x04rest", "This is a zip or XLSX file with another name. Give it the ending .xlsx, or save it as CSV."),
    ("old excel", b"\xd0\xcf\x11\xe0rest", "This is not a CSV, TSV or XLSX file. Save the sheet as CSV (UTF-8) and choose it again."),
    ("quote that swallows rows", b'id,name\n1,"Acme\n2,b\n3,c\n', "A quotation mark in the last row (row 2) is never closed. Close it and try again."),
    ("unclosed quote", b'id,name\n1,"never closed\n', "A quotation mark in the last row (row 2) is never closed. Close it and try again."),
    (
        "many columns",
        ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n1\n",
        "The file has 10,000 columns; at most 500 fit. Remove the ones you do not need.",
    ),
    (
        "one endless line",
        b"a" * 8_100_000,
        "Line 1 is longer than 8,000,000 characters. The file is probably no table, or its lines do not end.",
    ),
    (
        "a cell that swallows the file",
        b'id,name\n1,"' + b"line\n" * 50_000 + b'"\n',
        "A cell in row 2 is longer than 200,000 characters, or a quotation mark there is never closed.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_file_is_refused_with_a_sentence(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(BadFile) as refusal:
        inspect(path)
    assert refusal.value.message == expected


ODD = [
    ("comma", "name,city\nMüller,Köln\n".encode(), "utf-8-sig", ","),
    ("byte order mark", b"\xef\xbb\xbf" + "name,city\nMüller,Köln\n".encode(), "utf-8-sig", ","),
    ("windows-1252, semicolon", "name;city\nMüller;Köln\n".encode("cp1252"), "cp1252", ";"),
    ("utf-16 with mark, tab", "name\tcity\nMüller\tKöln\n".encode("utf-16"), "utf-16", "\t"),
    ("utf-16 without mark, bar", "name|city\nMüller|Köln\n".encode("utf-16-le"), "utf-16-le", "|"),
    ("old mac line ends", "name,city\rMüller,Köln\r".encode(), "utf-8-sig", ","),
    ("blank lines", "name,city\n\nMüller,Köln\n,\n\n".encode(), "utf-8-sig", ","),
]


@pytest.mark.parametrize(("name", "content", "encoding", "delimiter"), ODD, ids=[row[0] for row in ODD])
def test_an_odd_file_is_read(tmp_path: Path, name: str, content: bytes, encoding: str, delimiter: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    table = inspect(path)
    assert (table.encoding, table.delimiter, table.headers, table.rows_total) == (
        encoding,
        delimiter,
        ["name", "city"],
        1,
    )
    rows = list(read_rows(path, table.encoding, table.delimiter, table.headers))
    assert [row.cells for row in rows] == [{"name": "Müller", "city": "Köln"}]


def test_ragged_rows_are_padded_or_explained(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("a,b,c\n1\n1,2,3,,\n1,2,3,4\n")
    rows = list(read_rows(path, "utf-8-sig", ",", ["a", "b", "c"]))
    assert rows[0].cells == {"a": "1", "b": "", "c": ""} and not rows[0].problem
    assert not rows[1].problem
    assert rows[2].problem == (
        "The row has 4 cells but the header has 3. Put cells that contain the delimiter in double quotes."
    )


def test_headers_that_repeat_or_are_empty_get_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("name,name,,name\nA,B,C,D\n")
    table = inspect(path)
    assert table.headers == ["name", "name (2)", "Column 3", "name (3)"]
    assert table.notes[0] == "The column “name” is there twice; the one in position 2 is called “name (2)” here."


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('n,text\n1,"two\nlines"\n2,b\n3,c\n')
    assert [row.number for row in read_rows(path, "utf-8-sig", ",", ["n", "text"], start=1)] == [3, 4]


def test_the_kind_of_a_field_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    rows = [f"yes,{n}.5,2024-01-{n:02},{'red' if n % 2 else 'blue'},0123{n},{'long ' * 50}" for n in range(1, 21)]
    path.write_text("\n".join(["flag,amount,day,colour,zip,story", *rows]))
    assert [column.guessed_kind for column in inspect(path).columns] == [
        "checkbox", "number", "date", "choices", "text", "textarea",
    ]  # fmt: skip


@pytest.mark.long
def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    with path.open("w") as file:
        file.write("a,b,c\n")
        for n in range(100_000):
            file.write(f"{n},some text that is not short,{n % 7}\n")
    tracemalloc.start()
    inspect(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


@pytest.mark.long
def test_a_gigabyte_in_one_line_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,")
        file.seek(250 * 1024 * 1024)
        file.write(b"x")
    # The hole reads as NUL bytes; the sentence is about those.
    tracemalloc.start()
    with pytest.raises(BadFile):
        inspect(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


# --- XLSX -------------------------------------------------------------------------------------------------------------
def test_a_sheet_becomes_csv(tmp_path: Path) -> None:
    from datetime import date, datetime

    book = Workbook()
    book.active.append(["name", "users", "on", "at", "paid"])
    book.active.append(["Acme", 25.0, date(2024, 1, 31), datetime(2024, 1, 31, 14, 30), True])
    book.save(tmp_path / "file.xlsx")
    assert xlsx_to_csv(tmp_path / "file.xlsx", tmp_path / "file.csv") == []
    table = inspect(tmp_path / "file.csv")
    row = next(read_rows(table.path, table.encoding, table.delimiter, table.headers))
    assert row.cells == {"name": "Acme", "users": "25", "on": "2024-01-31", "at": "2024-01-31T14:30:00", "paid": "yes"}


def test_what_is_on_other_sheets_is_told_to_be_left_out(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["name"])
    book.active.title = "Calls"
    book.create_sheet("Totals")
    book.save(tmp_path / "file.xlsx")
    told = ["Only the first sheet, “Calls”, is read; the workbook has 1 more."]
    assert xlsx_to_csv(tmp_path / "file.xlsx", tmp_path / "file.csv") == told


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_UNZIPPED", 1_000_000)
    bomb = _zip(tmp_path / "bomb.xlsx", {"xl/worksheets/sheet1.xml": b"0" * 5_000_000})
    assert bomb.stat().st_size < 10_000
    with pytest.raises(BadFile, match=r"The XLSX file unpacks to more than 1 MB. Save the sheet as CSV instead."):
        xlsx_to_csv(bomb, tmp_path / "out.csv")


def test_entities_are_refused(tmp_path: Path) -> None:
    evil = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><worksheet>&y;</worksheet>'
    path = _zip(tmp_path / "evil.xlsx", {"xl/worksheets/sheet1.xml": evil})
    with pytest.raises(BadFile, match="entity declarations"):
        xlsx_to_csv(path, tmp_path / "out.csv")


def test_a_broken_xlsx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.xlsx"
    path.write_bytes(io.BytesIO(b"not a zip").getvalue())
    with pytest.raises(BadFile, match=r"ends in \.xlsx but is not an XLSX file"):
        xlsx_to_csv(path, tmp_path / "out.csv")


def _workbook(path: Path, sheet: str, name: str = "xl/worksheets/sheet1.xml") -> Path:
    """Write a workbook whose first sheet holds this XML."""
    plain = path.with_suffix(".plain.xlsx")
    Workbook().save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in source.namelist():
            text = source.read(member)
            if member == "xl/worksheets/sheet1.xml":
                text = f'<worksheet xmlns="{SHEET}"><sheetData>{sheet}</sheetData></worksheet>'.encode()
            archive.writestr(
                name if member == "xl/worksheets/sheet1.xml" else member,
                text.replace(b"worksheets/sheet1.xml", name[3:].encode()),
            )
    return path


SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRANGE = "The XLSX file is built as no spreadsheet builds it, so it is not read. Save the sheet as CSV (UTF-8)."
BOMBS = [
    ("cells in a row", "<row>" + "<c/>" * 17_000 + "</row>", STRANGE),
    ("nested marks", "<a>" * 100 + "</a>" * 100, STRANGE),
    ("marks in a row", "<row><c>" + "<v/>" * 200_001 + "</c></row>", STRANGE),
    ("one endless mark", f'<row r="{"1" * 1_200_000}"/>', STRANGE),
    ("a text in a cell", f"<row><c><v>{'a' * 200_001}</v></c></row>", "A cell of the XLSX file is longer than 200,000 characters. Shorten it."),
    ("texts in a row", "<row>" + f"<c><v>{'a' * 199_000}</v></c>" * 41 + "</row>", "A row of the XLSX file is longer than 8,000,000 characters. Shorten it."),
    ("empty rows", "<row/>" * 1_000_002, "The file has more than 1,000,000 rows. Split it."),
    ("501 columns", f"<row>{'<c><v>1</v></c>' * 501}</row>", "The sheet has more than 500 columns. Remove the ones you do not need."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sheet", "expected"), BOMBS, ids=[row[0] for row in BOMBS])
def test_a_workbook_that_would_fill_the_memory_is_refused_before_it_is_built(
    tmp_path: Path, name: str, sheet: str, expected: str
) -> None:
    bomb = _workbook(tmp_path / "bomb.xlsx", sheet)
    tracemalloc.start()
    with pytest.raises(BadFile) as refusal:
        xlsx_to_csv(bomb, tmp_path / "out.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.message == expected and peak < 30_000_000


def test_a_part_with_another_name_is_looked_at_as_well(tmp_path: Path) -> None:
    bomb = _workbook(tmp_path / "bomb.xlsx", BOMBS[0][1], "xl/worksheets/picture.png")
    with pytest.raises(BadFile, match="as no spreadsheet builds it"):
        xlsx_to_csv(bomb, tmp_path / "out.csv")
