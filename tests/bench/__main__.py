"""`python -m tests.bench [--leads 200000] [--activities 2000000] [--runs 15]`: ours beside hand-written native tables.

Needs PostgreSQL: DATABASE_URL, or a cluster kept in var/bench-… and used again. Every figure is milliseconds, warm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--activities", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    if "DATABASE_URL" not in os.environ:
        kept = ROOT / "var" / f"bench-{given.leads}-{given.activities}"
        command = [
            sys.executable,
            str(ROOT / "scripts" / "postgres.py"),
            "--keep",
            str(kept),
            "--",
            sys.executable,
            "-m",
            "tests.bench",
            *sys.argv[1:],
        ]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from tests.bench.measure import measure

    return measure(given.leads, given.activities, given.runs)


if __name__ == "__main__":
    sys.exit(main())
