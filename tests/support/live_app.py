"""The real thing for tests: gunicorn and a worker on a fresh database of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]


class LiveApp:
    """A running Touchpoint with its own DATA_DIR and database. `url` has no final slash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.environment = {
            **os.environ,
            "DATA_DIR": str(folder), "PORT": str(self.port), "BASE_URL": self.url, "SECRET_KEY": "live",
            "DJANGO_SETTINGS_MODULE": "crm.settings", "DATABASE_URL": self._database(folder), "STATIC_ROOT": str(_static()),
        }  # fmt: skip
        self.web: subprocess.Popen | None = None
        self.worker: subprocess.Popen | None = None

    def _database(self, folder: Path) -> str:
        url = os.environ.get("DATABASE_URL", "")
        if not url.startswith("postgres"):
            return f"sqlite:///{folder / 'live.sqlite3'}"
        name = f"live_{self.port}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"{url.rpartition('/')[0]}/{name}"

    def manage(self, *command: str) -> str:
        """Run a management command on this app's database and return what it printed; fails loudly."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def prepare(self) -> None:
        self.manage("migrate", "--noinput", "--verbosity", "0")
        self.manage("createcachetable", "--verbosity", "0")
        if not any(_static().glob("staticfiles.json")):
            self.manage("collectstatic", "--noinput", "--verbosity", "0")

    def start(self) -> None:
        self.web = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "gunicorn"), "crm.wsgi:application", "--bind", f"127.0.0.1:{self.port}",
                "--worker-class", "gthread", "--threads", "4", "--log-level", "warning", "--graceful-timeout", "2",
            ],
            cwd=ROOT, env=self.environment, start_new_session=True,
        )  # fmt: skip
        for _ in range(150):
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not come up")

    def start_worker(self) -> None:
        self.worker = subprocess.Popen(
            [sys.executable, "manage.py", "worker"], cwd=ROOT, env=self.environment, start_new_session=True
        )

    def kill_web(self) -> None:
        """End the server at once, as a power cut would."""
        if self.web:
            os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()

    def kill_worker(self) -> None:
        if self.worker:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()

    def stop(self) -> None:
        for child in (self.web, self.worker):
            if child and child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _static() -> Path:
    """Hashed static files are made once for all live apps of a test run."""
    return Path(os.environ["DATA_DIR"]) / "live-static"
