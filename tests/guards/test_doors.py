"""Views and API functions parse and answer; services write. The source says so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITES = re.compile(
    r"\.(save|bulk_create|bulk_update|get_or_create|update_or_create)\(|\.objects\.create\(|\.unscoped\.create\("
)
DOORS = sorted(
    path
    for app in ("crm", "leads", "activities", "reporting")
    for path in (ROOT / app).rglob("*.py")
    if path.name.startswith(("views", "api")) and path.name not in ("api_keys.py",)
)


@pytest.mark.parametrize("path", DOORS, ids=lambda path: str(path.relative_to(ROOT)))
def test_doors_do_not_write(path: Path) -> None:
    found = [line.strip() for line in path.read_text().splitlines() if WRITES.search(line)]
    assert not found, f"Move these writes of {path.name} into a service: {found}"
