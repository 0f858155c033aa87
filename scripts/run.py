"""`make run`: database, demo data, web server and worker, and a one-time sign-in link. Ctrl-C ends all of it.

From the environment: PORT (8000), BIND (127.0.0.1), DATA_DIR (var/), and everything crm/settings.py reads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
SECONDS_TO_START = 60
SECONDS_TO_STOP = 15


class Stopped(BaseException):
    """Ctrl-C, SIGTERM, or the terminal went away."""


def stop_asked(signum: int, frame: object) -> None:
    raise Stopped


def port() -> int:
    given = os.environ.get("PORT") or "8000"
    if not given.isdecimal() or not 0 < int(given) < 65536:
        sys.exit(f"PORT must be a number from 1 to 65535; it is “{given}”.")
    return int(given)


def require_free_port(host: str, number: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except OSError:
        sys.exit(f"BIND must be an address of this machine, such as 127.0.0.1 or 0.0.0.0; it is “{host}”.")
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            sys.exit(f"Port {number} is for root only. Choose a higher one: PORT=8000 make run")
        except OSError as problem:
            if problem.errno == errno.EADDRNOTAVAIL:
                sys.exit(f"BIND must be an address of this machine, such as 127.0.0.1 or 0.0.0.0; it is “{host}”.")
            sys.exit(
                f"Port {number} of {host} cannot be used ({problem.strerror.lower()}); is another server running? "
                f"Choose another port: PORT={number + 1} make run"
            )


def begin(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "manage.py", *command], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(running: subprocess.Popen[str]) -> str:
    """Wait for a management command and return what it printed; when it failed, show what it said and stop."""
    try:
        printed, complaint = running.communicate()
    except Stopped:
        running.terminate()
        running.wait()
        raise
    if running.returncode:
        sys.exit(f"`{' '.join(running.args[1:])}` failed:\n{printed}{complaint}")
    return printed


def manage(*command: str) -> str:
    return finish(begin(*command))


def static_state() -> tuple[Path, str]:
    """Return where the state of the collected files is noted, and what it must say to spare us the work."""
    data_dir = Path(os.environ.get("DATA_DIR") or ROOT / "var").expanduser()
    target = Path(os.environ.get("STATIC_ROOT") or data_dir / "static")
    seen = hashlib.sha256((ROOT / "requirements" / "base.txt").read_bytes())
    for path in sorted((ROOT / "static").rglob("*")):
        status = path.stat()
        seen.update(f"{path.relative_to(ROOT)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return ROOT / target / ".collected", seen.hexdigest()


def prepare() -> None:
    """Bring database, static files and demo data up to date. Hashing and compressing files runs beside the rest."""
    stamp, state = static_state()
    collecting = None
    if not stamp.exists() or stamp.read_text() != state:
        collecting = begin("collectstatic", "--noinput", "--verbosity", "0")
    try:
        print("Preparing the database …", flush=True)
        manage("migrate", "--noinput", "--verbosity", "0")
        manage("createcachetable", "--verbosity", "0")
        manage("sync_builtins")
        print("Preparing the demo organization …", flush=True)
        print(manage("demo").strip(), flush=True)
        if collecting:
            print("Compressing static files …", flush=True)
            finish(collecting)
            stamp.write_text(state)
    finally:
        if collecting and collecting.poll() is None:
            collecting.kill()


def start(host: str, number: int) -> dict[str, subprocess.Popen[bytes]]:
    """Start web server and worker. Each gets a session of its own, so that Ctrl-C reaches it once, through us."""
    address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    web = [
        PYTHON, "-m", "gunicorn", "crm.wsgi:application", "--bind", address, "--workers", "2",
        "--worker-class", "gthread", "--threads", "4", "--log-level", "warning", "--graceful-timeout", "5",
        "--no-control-socket", "--worker-tmp-dir", "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp",
    ]  # fmt: skip
    commands = {"web server": web, "worker": [PYTHON, "manage.py", "worker"]}
    return {
        name: subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdin=subprocess.DEVNULL)
        for name, command in commands.items()
    }


def ended(children: dict[str, subprocess.Popen[bytes]]) -> str:
    """Return the name of a child that is no more, or nothing."""
    return next((name for name, child in children.items() if child.poll() is not None), "")


def wait_until_up(children: dict[str, subprocess.Popen[bytes]], host: str, number: int) -> bool:
    """Return whether the web server answers; False when a child ended or time is up."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"http://[{here}]:{number}/healthz" if ":" in here else f"http://{here}:{number}/healthz"
    request = urllib.request.Request(address, headers={"Host": f"localhost:{number}"})
    deadline = time.monotonic() + SECONDS_TO_START
    while not ended(children) and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except urllib.error.HTTPError as answer:
            # Up, but set to be called by another name only (ALLOWED_HOSTS).
            if answer.code == 400:
                return True
            time.sleep(0.2)
        except OSError:
            time.sleep(0.2)
    return False


def stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    """End the children and everything they started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for child in children.values():
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + SECONDS_TO_STOP
    for child in children.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def serve(host: str, number: int, children: dict[str, subprocess.Popen[bytes]]) -> int:
    """Serve until a child ends by itself. Ctrl-C leaves through Stopped."""
    children |= start(host, number)
    if wait_until_up(children, host, number):
        link = manage("sign_in_link", "--demo").strip().splitlines()[-1]
        print(
            f"\nTouchpoint is ready. Sign in once with\n\n    {link}\n\nCtrl-C ends it; the data stays.\n", flush=True
        )
        while not ended(children):
            time.sleep(0.2)
    if name := ended(children):
        print(f"The {name} ended by itself; everything else is stopped as well.", file=sys.stderr)
    else:
        print(f"The web server did not answer within {SECONDS_TO_START} seconds.", file=sys.stderr)
    return 1


def main() -> int:
    host, number = os.environ.get("BIND") or "127.0.0.1", port()
    os.environ["PORT"] = str(number)
    require_free_port(host, number)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop_asked)
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        prepare()
        return serve(host, number, children)
    except Stopped:
        print("\nStopping …", flush=True)
        return 0
    finally:
        stop(children)


if __name__ == "__main__":
    sys.exit(main())
