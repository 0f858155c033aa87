"""A real worker delivers what a real server wrote, and a power cut in the middle loses nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.long


class SlowReceiver(ThreadingHTTPServer):
    """Notes the activity of each event when its request arrives, and answers after `delay` seconds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Notes)
        self.begun: list[str] = []
        self.answered: list[str] = []
        self.delay = 0.0


class _Notes(BaseHTTPRequestHandler):
    server: SlowReceiver

    def do_POST(self) -> None:
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["event"]["object_id"]
        self.server.begun.append(name)
        time.sleep(self.server.delay)
        try:
            self.send_response(200)
            self.end_headers()
        except OSError:
            return
        self.server.answered.append(name)

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def slow_receiver() -> Iterator[SlowReceiver]:
    server = SlowReceiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_worker_that_is_killed_delivers_every_event_at_least_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, slow_receiver: SlowReceiver
) -> None:
    app = LiveApp(tmp_path)
    app.environment |= {"WEBHOOK_ALLOW_PRIVATE": "1", "WEBHOOK_LEASE_SECONDS": "3"}
    try:
        app.prepare()
        app.manage("create_organization", "Acme", "--slug", "acme", "--plan", "scale", "--admin", "ann@acme.example")
        app.start()
        key = app.manage("create_api_key", "ann@acme.example", "--organization", "acme").strip().splitlines()[-1]
        api = requests.Session()
        api.auth = (key, "")
        base = f"{app.url}/api/v1"
        hook = f"http://127.0.0.1:{slow_receiver.server_port}/"
        kind = api.post(f"{base}/custom_activity/", json={"name": "Ping"}).json()["id"]
        lead = api.post(f"{base}/lead/", json={"name": "Acme"}).json()["id"]
        wanted = [{"object_type": "activity.custom_activity", "action": "published"}]
        assert api.post(f"{base}/webhook/", json={"url": hook, "events": wanted}).status_code == 201
        slow_receiver.delay = 0.5
        body = {"lead_id": lead, "custom_activity_type_id": kind}
        made = [api.post(f"{base}/activity/custom/", json=body).json()["id"] for _ in range(6)]
        app.start_worker()
        _wait(lambda: len(slow_receiver.begun) >= 2, app)
        app.kill_worker()
        slow_receiver.delay = 0
        assert len(set(slow_receiver.answered)) < len(made), "the cut came too late to prove anything"
        app.start_worker()
        _wait(lambda: set(slow_receiver.answered) >= set(made), app)
        events = api.get(f"{base}/event/", params={"action": "published"}).json()["data"]
        assert {row["object_id"] for row in events} == set(made) == set(slow_receiver.begun)
    finally:
        app.stop()


def test_nothing_is_left_of_a_worker_whose_first_process_is_killed(tmp_path: Any) -> None:
    """What is left would report that there is a worker, while nobody sends what webhooks wait for."""
    app = LiveApp(tmp_path)
    try:
        app.prepare()
        app.start_worker()
        assert app.worker
        group = app.worker.pid
        _wait(lambda: len(_alive(group)) >= 4, app)
        os.kill(group, signal.SIGKILL)
        app.worker.wait()
        _wait(lambda: not _alive(group), app, 5)
    finally:
        app.stop()


def _alive(group: int) -> list[int]:
    """Return the processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def _wait(true: Any, app: LiveApp, seconds: int = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, app.log("worker")
        time.sleep(0.1)
