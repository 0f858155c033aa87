"""tap-closeio, the Singer tap for Close, unmodified: it syncs all its streams from our server.

Its singer-python pins packages older than ours, so it lives in an environment of its own, made from a lock file with hashes
(tests/flows/tap_closeio.txt) when the test first runs. Only the constant with Close's address is changed, by the launcher.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser
LOCK = Path(__file__).with_name("tap_closeio.txt")
LAUNCHER = "import sys, tap_closeio, tap_closeio.http as http; http.BASE_URL = sys.argv.pop(1); tap_closeio.main()"
STREAMS = {"custom_fields", "leads", "activities", "tasks", "users", "event_log"}


@pytest.fixture(scope="session")
def tap() -> Path:
    """The Python of an environment with the tap: made once, kept beside our own packages until the lock file changes.

    Packages come from wherever pip is told to take them; where it cannot reach any, the test fails and says so.
    """
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = Path(sys.prefix) / "tap-closeio" / digest
    folder.parent.mkdir(exist_ok=True)
    python, made = folder / "bin" / "python", folder / "made"
    with (folder.parent / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # runs side by side make it once
        if not made.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            done = subprocess.run(
                [python, "-m", "pip", "install", "-q", "--no-input", "--require-hashes", "-r", LOCK],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (
                f"tap-closeio could not be installed, so nothing is known about it. pip said:\n{done.stdout}{done.stderr}\n"
                "Let pip reach a package index or a folder of wheels (pip config, PIP_INDEX_URL, PIP_FIND_LINKS)."
            )
            made.touch()
    return python


def run(tap: Path, app: LiveApp, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [tap, "-c", LAUNCHER, f"{app.url}/api/v1", "--config", folder / "config.json", *arguments],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_all_streams_are_synced(live_app: LiveApp, tap: Path, tmp_path: Path) -> None:
    key = live_app.manage("create_api_key", "ann@acme.example", "--organization", "acme").strip().splitlines()[-1]
    api, base = requests.Session(), f"{live_app.url}/api/v1"
    api.auth = (key, "")

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        found = api.post(f"{base}/{path}/", json=body)
        assert found.ok, found.text
        return found.json()

    long_ago = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    field = post("custom_field/lead", {"name": "Industry of the tap", "type": "text"})
    kind = post("custom_activity", {"name": "Logged for the tap"})
    score = post("custom_field/activity", {"custom_activity_type_id": kind["id"], "name": "Score", "type": "number"})
    leads = [
        post("lead", {
            "name": f"Tap {number}", f"custom.{field['id']}": "Software",
            "contacts": [{"name": "Gob", "emails": [{"email": "gob@tap.example", "type": "office"}], "phones": [{"phone": "+12025550100", "type": "office"}]}],
            "addresses": [{"label": "business", "city": "Newport Beach", "country": "US"}],
        })
        for number in range(3)
    ]  # fmt: skip
    lead = leads[0]["id"]
    body = {"lead_id": lead, "custom_activity_type_id": kind["id"], f"custom.{score['id']}": 7.5}
    made = [post("activity/custom", body)["id"], post("activity/custom", {**body, "date_created": long_ago})["id"]]
    made.append(post("activity/note", {"lead_id": lead, "note": "Likes magic"})["id"])
    made.append(post("activity/call", {"lead_id": lead, "direction": "outbound", "duration": 61, "note": "x"})["id"])
    made.append(
        post("activity/email", {"lead_id": lead, "subject": "Hi", "status": "sent", "body_text": "Hello"})["id"]
    )
    made.append(post("activity/sms", {"lead_id": lead, "text": "Hi", "status": "sent"})["id"])
    meeting = {"title": "Demo", "starts_at": "2026-03-01T10:00:00+00:00", "ends_at": "2026-03-01T11:00:00+00:00"}
    made.append(post("activity/meeting", {"lead_id": lead, **meeting})["id"])
    task = post("task", {"lead_id": lead, "text": "Call back", "date": "2026-12-01"})["id"]

    config = {"start_date": (datetime.now(UTC) - timedelta(days=60)).strftime("%Y-%m-%dT00:00:00Z"), "api_key": key}
    (tmp_path / "config.json").write_text(json.dumps(config))
    catalog = json.loads(run(tap, live_app, tmp_path, "--discover"))
    assert {stream["tap_stream_id"] for stream in catalog["streams"]} == STREAMS
    for stream in catalog["streams"]:
        stream["schema"]["selected"] = True
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    state: dict[str, Any] = {}
    for line in run(tap, live_app, tmp_path, "--catalog", str(tmp_path / "catalog.json")).splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            rows[message["stream"]].append(message["record"])
        elif message["type"] == "STATE":
            state = message["value"]
    assert set(rows) == STREAMS == set(state["bookmarks"])
    assert {row["id"] for row in leads} <= {row["id"] for row in rows["leads"]}
    synced = next(row for row in rows["leads"] if row["id"] == lead)
    # The tap gathers custom fields in a list of its own.
    assert "Software" in json.dumps(synced) and synced["contacts"][0]["emails"][0]["email"] == "gob@tap.example"
    assert set(made) <= {row["id"] for row in rows["activities"]}
    assert {"CustomActivity", "Note", "Call", "Email", "SMS", "Meeting", "Created"} <= {
        row["_type"] for row in rows["activities"]
    }
    assert task in {row["id"] for row in rows["tasks"]}
    assert field["id"] in {row["id"] for row in rows["custom_fields"]}
    assert "ann@acme.example" in {row["email"] for row in rows["users"]}
    assert set(made) <= {row["object_id"] for row in rows["event_log"]}

    # A second run starts from where the first ended, and finds nothing of the past again.
    (tmp_path / "state.json").write_text(json.dumps(state))
    again = run(
        tap, live_app, tmp_path, "--catalog", str(tmp_path / "catalog.json"), "--state", str(tmp_path / "state.json")
    )
    found = [json.loads(line) for line in again.splitlines()]
    assert made[1] not in {row["record"]["id"] for row in found if row["type"] == "RECORD"}
