"""`make run`: database, demo data, web server and worker, and a one-time sign-in link. Ctrl-C ends all of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("PORT", "8000"))
BIND = os.environ.get("BIND", "127.0.0.1")
PYTHON = sys.executable


def manage(*command: str, quiet: bool = True) -> str:
    """Run a management command; on failure show what it said and stop."""
    done = subprocess.run(
        [PYTHON, "manage.py", *command], cwd=ROOT, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"`manage.py {command[0]}` failed:\n{done.stdout}{done.stderr or ''}")
    return done.stdout


def require_free_port() -> None:
    with socket.socket() as probe:
        if probe.connect_ex((BIND, PORT)) == 0:
            sys.exit(f"Port {PORT} is taken. Choose another: PORT={PORT + 1} make run")


def start() -> list[subprocess.Popen]:
    web = [
        str(Path(PYTHON).parent / "gunicorn"), "crm.wsgi:application", "--bind", f"{BIND}:{PORT}", "--workers", "2",
        "--worker-class", "gthread", "--threads", "4", "--log-level", "warning", "--graceful-timeout", "5",
        "--worker-tmp-dir", "/dev/shm" if os.path.isdir("/dev/shm") else "/tmp",
    ]  # fmt: skip
    # Own groups: Ctrl-C reaches this process alone, and it passes the word on once.
    return [
        subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        for command in (web, [PYTHON, "manage.py", "worker"])
    ]


def wait_until_up(children: list[subprocess.Popen]) -> None:
    for _ in range(150):
        if any(child.poll() is not None for child in children):
            return
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{PORT}/healthz", headers={"Host": "localhost"})
            with urllib.request.urlopen(request, timeout=2):
                return
        except OSError:
            time.sleep(0.2)


def stop(children: list[subprocess.Popen]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + 15
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


def main() -> int:
    require_free_port()
    print("Preparing the database …", flush=True)
    manage("migrate", "--noinput", "--verbosity", "0")
    manage("createcachetable", "--verbosity", "0")
    manage("collectstatic", "--noinput", "--verbosity", "0")
    print("Preparing the demo organization …", flush=True)
    manage("demo")
    children = start()
    asked_to_stop = False

    def end(signum: int, frame: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    wait_until_up(children)
    link = manage("sign_in_link", "--demo").strip().splitlines()[-1]
    print(f"\nTouchpoint is ready. Sign in once with\n\n    {link}\n\nCtrl-C ends it; the data stays.\n", flush=True)
    while not asked_to_stop and all(child.poll() is None for child in children):
        time.sleep(0.2)
    stop(children)
    if asked_to_stop:
        return 0
    print("The server or the worker ended by itself; the other was stopped.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
