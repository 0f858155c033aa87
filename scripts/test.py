"""`make test`: every check in turn, and one closing line. Parts: lint unit long postgres browser (default: all).

What this machine cannot run is named at the end; with CI=true it counts as failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CI = os.environ.get("CI", "").lower() in ("1", "true")
PARTS = ("lint", "unit", "long", "postgres", "browser")
PROCESSES = os.environ.get("TEST_PROCESSES", "2")
ON_POSTGRES = [sys.executable, "scripts/postgres.py", "--"]

sys.path.insert(0, str(ROOT))
from scripts.postgres import binaries
from tests.support.chromium import find_chromium


@dataclass
class Result:
    """What came of all runs so far."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def run(title: str, command: list[str], result: Result, **environment: str) -> bool:
    print(f"\n== {title}", flush=True)
    started = time.monotonic()
    # A developer's own database is none of the tests' business; PostgreSQL comes from ON_POSTGRES.
    surroundings = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"} | environment
    done = subprocess.run(command, cwd=ROOT, env=surroundings, stdin=subprocess.DEVNULL, check=False)
    word = "ok" if done.returncode == 0 else "FAILED"
    result.notes.append(f"{word:7}{title} ({time.monotonic() - started:.0f} s)")
    return done.returncode == 0


def lint(result: Result) -> None:
    manage = [sys.executable, "manage.py"]
    checks = {
        "ruff": [str(BIN / "ruff"), "check", "."],
        "format": [str(BIN / "ruff"), "format", "--check", "-q", "."],
        "import contracts": [str(BIN / "lint-imports")],
        "types": [str(BIN / "mypy")],
        "templates": [str(BIN / "djlint"), "templates", "--lint", "--quiet"],
        "migrations": [*manage, "makemigrations", "--check", "--dry-run"],
        "django check": [*manage, "check", "--fail-level", "WARNING"],
    }
    # mypy leaves without cleaning up, so the folder that tests/settings.py wants is made and taken away here.
    with tempfile.TemporaryDirectory() as folder:
        for title, command in checks.items():
            good = run(title, command, result, DJANGO_SETTINGS_MODULE="tests.settings", TOUCHPOINT_TESTS=folder)
            result.passed += good
            result.failed += not good


def pytest(
    title: str, arguments: list[str], result: Result, prefix: list[str] | None = None, **environment: str
) -> None:
    """Run pytest and count its tests; a run that breaks off counts as one failure at least."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*(prefix or []), sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        good = run(title, command, result, **environment)
        if not report.exists():
            result.failed += 1
            return
        for suite in ET.parse(report).getroot().iter("testsuite"):
            total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
            broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            result.passed += max(0, total - skipped - broken)
            result.skipped += skipped
            result.failed += broken
            good = good or bool(broken)
        result.failed += not good


def summary(result: Result) -> int:
    print("\n" + "\n".join(result.notes))
    if result.missing:
        print("\n" + "!" * 100)
        for what in result.missing:
            print(f"NOT RUN: {what}")
        print("!" * 100)
        result.failed += len(result.missing) if CI else 0
    if result.skipped:
        print(f"{result.skipped} skipped (pytest -rs says why)")
    print(f"{result.passed} passed, {result.failed} failed", flush=True)
    return 1 if result.failed else 0


def main() -> int:
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := sorted(set(chosen) - set(PARTS)):
        sys.exit(f"Unknown part {unknown[0]}. Parts: {' '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    result = Result()
    # A file stays in one process: its tests share what the file sets up.
    parallel = ["-n", PROCESSES, "--dist", "loadfile", "--no-loadscope-reorder", "-m"]
    if "lint" in chosen:
        lint(result)
    # One folder for all runs: compressed static files are made once.
    with tempfile.TemporaryDirectory() as folder:
        tests(chosen, parallel, result, TOUCHPOINT_TESTS=folder)
    return summary(result)


def tests(chosen: list[str], parallel: list[str], result: Result, **shared: str) -> None:
    if "unit" in chosen:
        pytest("tests on SQLite", [*parallel, "not browser and not long"], result, **shared)
    if "long" in chosen:
        pytest("real processes and large files on SQLite", [*parallel, "long"], result, **shared)
    if "postgres" in chosen:
        if binaries():
            pytest("all of them on PostgreSQL", [*parallel, "not browser"], result, ON_POSTGRES, **shared)
        else:
            result.missing.append("tests on PostgreSQL: no initdb found. On Debian: apt-get install postgresql")
    if "browser" in chosen:
        if not find_chromium():
            result.missing.append(
                "browser tests: no Chromium found. On Debian: apt-get install chromium-headless-shell"
            )
        else:
            pytest("browser on SQLite", [*parallel, "browser"], result, **shared)
            if binaries():
                stories = [*parallel, "browser and not looks"]
                pytest("browser on PostgreSQL", stories, result, ON_POSTGRES, **shared)
            else:
                result.missing.append("browser tests on PostgreSQL: no initdb found")


if __name__ == "__main__":
    sys.exit(main())
