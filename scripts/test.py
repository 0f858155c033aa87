"""`make test`: every check in turn, and one closing line. Parts: lint unit postgres browser (default: all)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CI = os.environ.get("CI", "").lower() == "true"
PARTS = ("lint", "unit", "postgres", "browser")


@dataclass
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def run(title: str, command: list[str], result: Result, **environment: str) -> bool:
    print(f"\n== {title}", flush=True)
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False)
    word = "ok" if done.returncode == 0 else "FAILED"
    result.notes.append(f"{word:7}{title} ({time.monotonic() - started:.0f} s)")
    return done.returncode == 0


def lint(result: Result) -> None:
    manage = [sys.executable, "manage.py"]
    checks = [
        ("ruff", [str(BIN / "ruff"), "check", "."]),
        ("format", [str(BIN / "ruff"), "format", "--check", "-q", "."]),
        ("import contracts", [str(BIN / "lint-imports")]),
        ("types", [str(BIN / "mypy")]),
        ("templates", [str(BIN / "djlint"), "templates", "--lint", "--quiet"]),
        ("migrations", [*manage, "makemigrations", "--check", "--dry-run"]),
        ("django check", [*manage, "check", "--fail-level", "WARNING"]),
    ]
    for title, command in checks:
        good = run(title, command, result, DJANGO_SETTINGS_MODULE="tests.settings")
        result.passed += good
        result.failed += not good


def pytest(title: str, arguments: list[str], result: Result, prefix: list[str] | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*(prefix or []), sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        good = run(title, command, result)
        if not report.exists():
            result.failed += 1
            return
        suite = next(ET.parse(report).getroot().iter("testsuite"))
        total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        result.passed += total - skipped - broken
        result.skipped += skipped
        result.failed += broken or (not good)


def main() -> int:
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        sys.exit(f"Unknown part {sorted(unknown)[0]}. Parts: {' '.join(PARTS)}")
    sys.path.insert(0, str(ROOT))
    from scripts.postgres import binaries
    from tests.support.chromium import find_chromium

    result = Result()
    on_postgres = [sys.executable, "scripts/postgres.py", "--"]
    if "lint" in chosen:
        lint(result)
    if "unit" in chosen:
        pytest("tests on SQLite", ["-n", "2", "--dist", "loadfile", "-m", "not browser"], result)
    if "postgres" in chosen:
        if binaries():
            pytest("tests on PostgreSQL", ["-n", "2", "--dist", "loadfile", "-m", "not browser"], result, on_postgres)
        else:
            result.missing.append("tests on PostgreSQL: no initdb found (Debian: apt-get install postgresql)")
    if "browser" in chosen:
        if find_chromium():
            pytest("browser on SQLite", ["-m", "browser"], result)
            if binaries():
                pytest("browser on PostgreSQL", ["-m", "browser"], result, on_postgres)
        else:
            result.missing.append("browser tests: no Chromium found (Debian: apt-get install chromium)")
    print("\n" + "\n".join(result.notes))
    for what in result.missing:
        print(f"NOT RUN {what}")
    result.failed += len(result.missing) if CI else 0
    print(f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
