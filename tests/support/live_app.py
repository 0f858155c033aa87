"""The real thing for tests: gunicorn and a worker on a fresh database of their own, SQLite or PostgreSQL as DATABASE_URL says.

app = LiveApp(tmp_path)
app.prepare()                 a migrated, empty database: a copy of one that is made once per test run
app.manage("create_organization", …)
app.start(); app.start_worker()
app.kill_web(); app.start()   a power cut, and up again on the same data and address
app.stop()
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class LiveApp:
    """A running Touchpoint with its own DATA_DIR and database. `url` has no final slash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.database_url = _place(folder / "live.sqlite3", f"live_{self.port}")
        self.environment = {
            **os.environ,
            "DATA_DIR": str(folder), "PORT": str(self.port), "BASE_URL": self.url, "SECRET_KEY": "live",
            "DJANGO_SETTINGS_MODULE": "crm.settings", "DATABASE_URL": self.database_url, "STATIC_ROOT": str(_static()),
        }  # fmt: skip
        self.web: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        self.commands: subprocess.Popen[str] | None = None

    def manage(self, *command: str) -> str:
        """Run a management command on this app's database and return what it printed; fails loudly.

        All commands of an app run in one process of its own.
        """
        if self.commands is None:
            self.commands = subprocess.Popen(
                [sys.executable, "-m", "tests.support.commands"], cwd=ROOT, env=self.environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        assert self.commands.stdin and self.commands.stdout
        self.commands.stdin.write(json.dumps(command) + "\n")
        self.commands.stdin.flush()
        answer = self.commands.stdout.readline()
        assert answer, f"manage.py {command[0]} ended its process"
        code, printed, problems = json.loads(answer)
        assert code == 0, f"manage.py {' '.join(command)} failed:\n{printed}\n{problems}"
        return str(printed)

    def prepare(self) -> None:
        """Make the database, migrated and empty, in place of one that was there."""
        template = _template(self.environment)
        if template.startswith("sqlite"):
            shutil.copyfile(template.removeprefix("sqlite:///"), self.database_url.removeprefix("sqlite:///"))
        else:
            _sql(
                f'DROP DATABASE IF EXISTS "{_name(self.database_url)}"',
                f'CREATE DATABASE "{_name(self.database_url)}" TEMPLATE "{_name(template)}"',
            )

    def start(self) -> None:
        """Start the web server and return once it answers."""
        command = [
            sys.executable, "-m", "gunicorn", "crm.wsgi:application", "--bind", f"127.0.0.1:{self.port}",
            "--worker-class", "gthread", "--threads", "4", "--log-level", "warning", "--graceful-timeout", "2",
            "--no-control-socket",
        ]  # fmt: skip
        self.web = self._spawn("web", command)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.web.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not come up:\n{self.log('web')}")

    def start_worker(self) -> None:
        self.worker = self._spawn("worker", [sys.executable, "manage.py", "worker"])

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environment, start_new_session=True, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def log(self, name: str) -> str:
        """Return the end of what `web` or `worker` printed."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def kill_web(self) -> None:
        """End the server at once, as a power cut would."""
        self.web = _kill(self.web)

    def kill_worker(self) -> None:
        """End the worker at once, as a power cut would."""
        self.worker = _kill(self.worker)

    def stop(self) -> None:
        """End everything and, on PostgreSQL, drop the database."""
        self.kill_web()
        self.kill_worker()
        self.commands = _kill(self.commands)
        if self.database_url.startswith("postgres"):
            _sql(f'DROP DATABASE IF EXISTS "{_name(self.database_url)}" WITH (FORCE)')


def _manage(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"manage.py {' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _kill(process: subprocess.Popen[bytes] | subprocess.Popen[str] | None) -> None:
    """End a process and all it started, and wait for it. Its children outlive a leader that ended by itself."""
    if process:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _static() -> Path:
    """Return the folder of hashed static files; all live apps of a test run share it, and those of a benchmark."""
    import tests.settings  # noqa: F401 (makes the folder when no test run did)

    return Path(os.environ["TOUCHPOINT_TESTS"]) / "live-static"


def _collect_static(environment: dict[str, str]) -> None:
    """Collect and compress static files, unless the other database's run did. Compressing takes longest."""
    done = _static().with_name("live-static.done")
    if not done.exists():
        _manage(environment, "collectstatic", "--noinput", "--verbosity", "0")
        done.touch()


def _place(file: Path, name: str) -> str:
    """Return the address of a database: a file on SQLite, a name beside the tests' own on PostgreSQL."""
    url = os.environ.get("DATABASE_URL", "")
    return f"{url.rpartition('/')[0]}/{name}" if url.startswith("postgres") else f"sqlite:///{file}"


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _sql(*statements: str) -> None:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _template(environment: dict[str, str]) -> str:
    """Return the address of a migrated, empty database that nobody uses, with static files collected; made once per run."""
    folder = Path(os.environ["TOUCHPOINT_TESTS"])
    with (folder / "live-template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        url = _place(folder / "live-template.sqlite3", "live_template")
        if not _exists(url):
            making = f"{url}_making"
            if url.startswith("postgres"):
                _sql(f'DROP DATABASE IF EXISTS "{_name(making)}"', f'CREATE DATABASE "{_name(making)}"')
            elsewhere = environment | {"DATABASE_URL": making}
            # Compressing needs no database; it runs beside the migrations.
            with ThreadPoolExecutor(1) as beside:
                collecting = beside.submit(_collect_static, elsewhere)
                _manage(elsewhere, "migrate", "--noinput", "--verbosity", "0")
                _manage(elsewhere, "createcachetable", "--verbosity", "0")
                collecting.result()
            # Its name says that it is whole.
            if url.startswith("postgres"):
                _sql(f'ALTER DATABASE "{_name(making)}" RENAME TO "{_name(url)}"')
            else:
                Path(making.removeprefix("sqlite:///")).rename(url.removeprefix("sqlite:///"))
    return url


def _exists(url: str) -> bool:
    if not url.startswith("postgres"):
        return Path(url.removeprefix("sqlite:///")).exists()
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_name(url)])
        return found.fetchone() is not None
