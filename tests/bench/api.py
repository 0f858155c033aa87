"""`python -m tests.bench.api [--seconds 5]`: requests per second of the API, beside bare Django views doing the same SQL by hand.

Two gunicorn workers, four clients at once. The bare views (tests/bench/bare.py) run in as many processes, behind no middleware,
and are written for just these requests: the same key, the same rows of the same tables, the same answer, which is compared
first. The ratio says what a product costs beside that: any type, rights, rules, limits, errors. SQLite in a temporary folder,
or DATABASE_URL. Prints; asserts only that both answer the same.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.support.live_app import ROOT, LiveApp

CLIENTS, LEADS = 4, 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    seconds = parser.parse_args().seconds
    os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="touchpoint-bench-"))
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as folder:
        app = LiveApp(Path(folder))
        app.environment |= {"API_RATE_LIMIT": "0", "GUNICORN_CMD_ARGS": "--workers 2"}
        try:
            app.prepare()
            app.manage("create_organization", "Bench", "--slug", "acme", "--admin", "ann@acme.example")
            key = app.manage("create_api_key", "ann@acme.example", "--organization", "acme").strip().splitlines()[-1]
            app.start()
            bare = _start_bare(app)
            try:
                _measure(app, key, bare[1], seconds)
            finally:
                bare[0].terminate()
        finally:
            app.stop()
    return 0


def _start_bare(app: LiveApp) -> tuple[subprocess.Popen[bytes], int]:
    """Serve the hand-written views on a port of their own, with the same workers on the same database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "tests.bench.bare:application", "--bind", f"127.0.0.1:{port}", "--worker-class",
        "gthread", "--threads", "4", "--log-level", "warning", "--no-control-socket",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=app.environment, stdin=subprocess.DEVNULL)
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.connect()
            connection.close()
            return process, port
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the bare views did not come up")


def _measure(app: LiveApp, key: str, bare: int, seconds: float) -> None:
    ask = _asker(app.port, {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}, "/api/v1")
    plain = _asker(bare, {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}, "")
    kind = ask("POST", "/custom_activity/", {"name": "Bench"})["id"]
    fields = []
    for name, of, more in (
        ("A", "text", {}), ("B", "number", {}), ("C", "date", {}), ("D", "choices", {"choices": ["x", "y"]}), ("E", "text", {}),
    ):  # fmt: skip
        fields.append(
            ask("POST", "/custom_field/activity/", {"custom_activity_type_id": kind, "name": name, "type": of, **more})[
                "id"
            ]
        )
    values = dict(zip((f"custom.{field}" for field in fields), ("hello", 42, "2026-03-01", "x", "world"), strict=True))
    leads = [ask("POST", "/lead/", {"name": f"Lead {number}"})["id"] for number in range(LEADS)]
    for number in range(LEADS):
        ask("POST", "/activity/custom/", {"lead_id": leads[number], "custom_activity_type_id": kind, **values})
    bodies = [{"lead_id": lead, "custom_activity_type_id": kind, **values} for lead in leads]
    search = {
        "query": {"type": "and", "queries": [
            {"type": "object_type", "object_type": "lead"},
            {"type": "has_related", "this_object_type": "lead", "related_object_type": "activity.custom_activity", "related_query": {
                "type": "field_condition", "field": {"type": "custom_field", "custom_field_id": fields[1]}, "condition": {"type": "number_range", "gt": 10}}},
        ]}, "_fields": {"lead": ["id", "display_name"]}, "_limit": 100,
    }  # fmt: skip
    # One body after the other is sent: activities come to all leads, as they do in life.
    table: list[tuple[str, tuple[str, str], tuple[str, str], list[Any]]] = [
        ("create an activity with five fields", ("POST", "/activity/custom/"), ("POST", "/create"), bodies),
        ("list 100 activities", ("GET", "/activity/custom/?_limit=100"), ("GET", "/list"), [None]),
        ("search page: leads by a number", ("POST", "/data/search/"), ("POST", "/search"), [search]),
    ]
    print(f"{CLIENTS} clients, 2 workers, {seconds:g} s each, {app.database_url.partition(':')[0]}")
    print(f"{'':38}{'Touchpoint':>12}{'by hand':>12}{'ratio':>8}   requests/s")
    for words, ours, theirs, sent in table:
        assert _shape(ask(*ours, sent[0])) == _shape(plain(*theirs, sent[0])), f"{words}: the answers differ"
    for words, ours, theirs, sent in table:
        turns = cycle(sent)
        mine = _rate(lambda o=ours, t=turns: ask(*o, next(t)), seconds)
        hand = _rate(lambda o=theirs, t=turns: plain(*o, next(t)), seconds)
        print(f"{words:38}{mine:12.0f}{hand:12.0f}{mine / hand:8.2f}")


def _asker(port: int, headers: dict[str, str], base: str) -> Callable[[str, str, Any], Any]:
    """Return a function that asks over one kept connection per thread."""
    kept = threading.local()

    def ask(method: str, path: str, body: Any) -> Any:
        if not hasattr(kept, "connection"):
            kept.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        sent = None if body is None else json.dumps(body)
        try:
            kept.connection.request(method, base + path, sent, {**headers, "Content-Type": "application/json"})
            answer = kept.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            del kept.connection
            return ask(method, path, body)
        assert answer.status in (200, 201), (answer.status, text[:500])
        return json.loads(text)

    return ask


def _shape(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what differs from row to row and from cursor to cursor."""
    fleeting = ("id", "external_id", "published_at", "last_published_at", "date_created", "date_updated", "activity_at")
    if "data" in answer:
        return {**answer, "cursor": bool(answer.get("cursor"))}
    return {key: None if key in fleeting else value for key, value in answer.items()}


def _rate(once: Callable[[], Any], seconds: float) -> float:
    """Return requests per second of `CLIENTS` threads, after half a second of warming up."""
    done, begin, end = [0] * CLIENTS, time.monotonic() + 0.5, time.monotonic() + 0.5 + seconds

    def work(number: int) -> None:
        while (now := time.monotonic()) < end:
            once()
            done[number] += now >= begin

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


if __name__ == "__main__":
    sys.exit(main())
