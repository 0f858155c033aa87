"""`python -m tests.bench.bad_files [--only NAME]`: what bad files cost a running server, and what it says to each.

Makes each file in a temporary folder (a line of a gigabyte, five million rows, ten thousand columns, an XLSX that unpacks to
gigabytes …), sends it by API key to a gunicorn of its own, and prints the sentence of the answer, how long it took, the
peak memory of the server's processes while it worked, and what is left on its disk afterwards. A file as people have it
comes first, to compare with. The server keeps the memory it was given, so each file meets a server that was started for it.
SQLite in a temporary folder, or DATABASE_URL.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import sys
import tempfile
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.live_app import LiveApp

MB = 1_000_000
BLOCK = 1 << 20
SHEET = '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
HEADER = b"name,url,description\n"
ROW = b"Acme,acme.example,some words\n"


# --- files ----------------------------------------------------------------------------------------------------------------
def repeated(path: Path, size: int, start: bytes, part: bytes, end: bytes = b"") -> None:
    """Write `start`, then `part` again and again until the file has this size, then `end`."""
    block = part * max(1, BLOCK // len(part))
    with path.open("wb") as file:
        file.write(start)
        for _ in range(size // len(block)):
            file.write(block)
        file.write(part * (size % len(block) // len(part)) + end)


def zipped(path: Path, sizes: dict[str, int], start: bytes = b"", part: bytes = b" ") -> None:
    """Write a zip whose members unpack to these sizes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, size in sizes.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(start)
                block = part * max(1, BLOCK // len(part))
                for _ in range(size // len(block)):
                    member.write(block)


def workbook(path: Path, rows: int, columns: int) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append([f"column {number}" for number in range(columns)])
    for number in range(rows):
        sheet.append([number] * columns)
    book.save(path)


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "good, 100,000 rows": ("csv", lambda path: repeated(path, 100_000 * len(ROW), HEADER, ROW)),
    "a line of 1 GB": ("csv", lambda path: repeated(path, 1000 * MB, b"", b"a")),
    "a line of 290 MB": ("csv", lambda path: repeated(path, 290 * MB, b"", b"a")),
    "a cell of 290 MB in lines": ("csv", lambda path: repeated(path, 290 * MB, b'a,b\n1,"', b"some line\n")),
    "a row of 290 MB in cells": ("csv", lambda path: repeated(path, 290 * MB, b'a,b\n1,"', b'x\n","')),
    "5,000,000 rows": ("csv", lambda path: repeated(path, 5 * MB * len(ROW), HEADER, ROW)),
    "5,000,000 empty rows": ("csv", lambda path: repeated(path, 5 * MB, b"a,b\n1,2\n", b"\n")),
    "300 MB of commas": ("csv", lambda path: repeated(path, 290 * MB, b"a,b\n", b",")),
    "10,000 columns": ("csv", lambda path: repeated(path, 0, ",".join(map(str, range(10_000))).encode(), b"-", b"\n1,2\n")),
    "NUL bytes": ("csv", lambda path: repeated(path, 250 * MB, b"a,b\n1,2\n", b"\x00")),
    "random bytes": ("csv", lambda path: repeated(path, 250 * MB, os.urandom(4096), os.urandom(65_536))),
    "UTF-16, 290 MB, one line": ("csv", lambda path: repeated(path, 290 * MB, b"\xff\xfe", "ab".encode("utf-16-le"))),
    "XLSX: 5 GB in a sheet": ("xlsx", lambda path: zipped(path, {"xl/worksheets/sheet1.xml": 5000 * MB})),
    "XLSX: 390 MB of texts": ("xlsx", lambda path: zipped(path, {"xl/sharedStrings.xml": 390 * MB})),
    "XLSX: 390 MB in one cell": ("xlsx", lambda path: sheet_bomb(path, '<row r="1"><c r="A1" t="inlineStr"><is><t>', b"a")),
    "XLSX: 390 MB of cells in a row": ("xlsx", lambda path: sheet_bomb(path, '<row r="1">', b"<c><v>1</v></c>")),
    "XLSX: 390 MB of nested marks": ("xlsx", lambda path: sheet_bomb(path, "", b"<a>")),
    "XLSX: 390 MB of empty rows": ("xlsx", lambda path: sheet_bomb(path, "", b"<row/>")),
    "XLSX: 10,000 columns": ("xlsx", lambda path: workbook(path, 3, 10_000)),
    "no XLSX": ("xlsx", lambda path: repeated(path, 200 * MB, b"PK\x03\x04", b"abc")),
}  # fmt: skip


def sheet_bomb(path: Path, start: str, part: bytes) -> None:
    """Write a workbook whose only sheet unpacks to 390 MB of one thing."""
    book = path.with_suffix(".plain.xlsx")
    workbook(book, 1, 2)
    block = part * (BLOCK // len(part))
    with zipfile.ZipFile(book) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in plain.infolist():
            if member.filename != "xl/worksheets/sheet1.xml":
                archive.writestr(member, plain.read(member))
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write((SHEET + start).encode())
            for _ in range(390 * MB // len(block)):
                sheet.write(block)
    book.unlink()


# --- sending --------------------------------------------------------------------------------------------------------------
def send(app: LiveApp, key: str, path: Path) -> str:
    """Send a file as a program does and return what the answer says."""
    head = f'--bad\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'.encode()
    tail = b"\r\n--bad--\r\n"

    def body() -> Iterator[bytes]:
        yield head
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
        yield tail

    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=900)
    headers = {
        "Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}",
        "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        "Content-Type": "multipart/form-data; boundary=bad",
    }
    connection.request("POST", "/api/v1/import/leads/", body(), headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return f"{answer.status} {found.get('error') or found.get('status')}"


def processes(app: LiveApp) -> list[Path]:
    """Return the places in /proc of the server's processes."""
    assert app.web is not None
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if app.web.pid in (parent, int(place.name)):
                found.append(place)
    return found


def peak_memory(app: LiveApp) -> float:
    """Return the most memory that one of the server's processes has held, in MB."""
    statuses = [(place / "status").read_text() for place in processes(app)]
    return max(int(text.partition("VmHWM:")[2].split()[0]) for text in statuses) / 1024


def processor_time(app: LiveApp) -> float:
    stats = [(place / "stat").read_text().rpartition(")")[2].split() for place in processes(app)]
    return sum(int(ticks) for stat in stats for ticks in stat[11:13]) / os.sysconf("SC_CLK_TCK")


def kept(app: LiveApp) -> float:
    """Return how much the server has on its disk of files that were sent, in MB."""
    places = [app.folder / "files", Path(app.environment["TMPDIR"])]
    return sum(file.stat().st_size for place in places for file in place.rglob("*") if file.is_file()) / MB


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bad_files", description=__doc__)
    parser.add_argument("--only", default="", help="files whose name holds this")
    wanted = parser.parse_args().only
    os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="touchpoint-bench-"))
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as folder:
        app = LiveApp(Path(folder))
        (Path(folder) / "tmp").mkdir()
        app.environment["TMPDIR"] = f"{folder}/tmp"
        try:
            app.prepare()
            app.manage("create_organization", "Bench", "--slug", "acme", "--admin", "ann@acme.example")
            key = app.manage("create_api_key", "ann@acme.example", "--organization", "acme").strip().splitlines()[-1]
            for name, (ending, make) in FILES.items():
                if wanted not in name:
                    continue
                path = Path(folder) / f"file.{ending}"
                make(path)
                app.start()
                idle, began, busy = peak_memory(app), time.perf_counter(), processor_time(app)
                told = send(app, key, path)
                took, busy = time.perf_counter() - began, processor_time(app) - busy
                print(
                    f"{name:32}{path.stat().st_size / MB:8,.1f} MB {took:7.1f} s (processor {busy:5.1f} s) "
                    f"memory {idle:4.0f} → {peak_memory(app):4.0f} MB, kept {kept(app):6.1f} MB\n    {told}",
                    flush=True,
                )
                app.kill_web()
                path.unlink()
        finally:
            app.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
