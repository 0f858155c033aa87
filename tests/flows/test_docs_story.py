"""A newcomer copies every line of the API's documentation, in order; each works as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser
KEY = "api_…"


@pytest.fixture
def worker(live_app: LiveApp) -> Iterator[None]:
    live_app.start_worker()
    yield
    live_app.kill_worker()


def copied(live_app: LiveApp) -> list[str]:
    """Return what the buttons beside the code put into the clipboard."""
    page = requests.get(f"{live_app.url}/api/v1/docs/", timeout=30).text
    return [unescape(text) for text in re.findall(r'<div class="tp-code">.*?data-copy="([^"]*)"', page, re.S)]


def run(folder: Path, key: str, *command: str) -> str:
    environment = {**os.environ, "TOUCHPOINT_KEY": key}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_quick_start_works_as_printed(live_app: LiveApp, worker: None, tmp_path: Path) -> None:
    live_app.manage("create_organization", "Docs", "--slug", "docs", "--plan", "scale", "--admin", "dora@docs.example")
    key = live_app.manage("create_api_key", "dora@docs.example", "--organization", "docs").strip().splitlines()[-1]
    api = requests.Session()
    api.auth = (key, "")
    base = f"{live_app.url}/api/v1/"
    kind = api.post(f"{base}custom_activity/", json={"name": "Hello"}).json()["id"]
    field = {"custom_activity_type_id": kind, "name": "Words", "type": "text"}
    words = api.post(f"{base}custom_field/activity/", json=field).json()["id"]

    blocks = copied(live_app)
    assert len(blocks) == 7 and blocks[0].startswith(f"export TOUCHPOINT_KEY={KEY}")
    shell = [block for block in blocks[1:] if "curl" in block]
    scripts = [block for block in blocks if "import os" in block]
    assert (len(shell), len(scripts)) == (3, 2) and not any(KEY in block for block in (*shell, *scripts))

    first = blocks[0].replace(KEY, key)
    # Twice the same call with one Idempotency-Key; then files, the import undone once it is through.
    poll = f"until curl -s -u $TOUCHPOINT_KEY: {base}import/$IMPORT/ | grep -q '\"done\"'; do sleep .2; done"
    files = shell[2].replace("# How far it is", f"{poll}\n# How far it is")
    printed = run(tmp_path, "", "bash", "-e", "-c", "\n".join([first, shell[0], shell[1], shell[1], files]))
    assert '"email": "dora@docs.example"' in printed and '"error": "' not in printed
    assert len(set(re.findall(r'"id": "(acti_\w+)"', printed))) == 2, "the second of three was sent again"
    assert '"rows_done": 2' in printed and re.search(r'"status": "(undoing|undone)"', printed)
    assert (tmp_path / "failed.csv").read_text("utf-8-sig").startswith("Company,Nr,error")
    assert (tmp_path / "activities.zip").read_bytes().startswith(b"PK")

    for script in scripts:
        number, status = run(tmp_path, key, sys.executable, "-c", script).split()
        assert status == "published" and number.startswith("acti_")
        logged = api.get(f"{base}activity/custom/{number}/").json()
        assert logged["custom_activity_type_id"] == kind
        assert logged.get(f"custom.{words}") == ("Hello" if "requests" in script else None)


def test_the_documentation_needs_nothing_from_elsewhere(live_app: LiveApp) -> None:
    page = requests.get(f"{live_app.url}/api/v1/docs/", timeout=30).text
    fetched = re.findall(r'<(?:script|link|img|use)[^>]*(?:src|href)="([^"]+)"', page)
    assert fetched and all(address.startswith("/static/") for address in fetched)
    words = re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", page[page.index("<main") :], flags=re.S)
    assert "<code>_order_by</code>" in page and "`" not in words
    assert "?." not in words
