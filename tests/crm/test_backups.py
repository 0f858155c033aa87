"""A backup holds everything, and comes back whole; a wrong file changes nothing. On a real database of its own."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.long
# What `manage.py shell` does with a statement.
SQL = (
    "from django.db import connection as c; q = c.cursor(); q.execute({!r}); "
    "print(q.fetchall() if q.description else '')"
)


@pytest.fixture
def app(tmp_path: Path) -> LiveApp:
    found = LiveApp(tmp_path)
    found.prepare()
    found.manage("create_organization", "Acme", "--slug", "acme", "--admin", "ann@acme.example")
    (tmp_path / "files").mkdir(exist_ok=True)
    (tmp_path / "files" / "kept.csv").write_text("name\nAcme\n")
    return found


def test_what_was_backed_up_comes_back(app: LiveApp, tmp_path: Path) -> None:
    said = app.manage("backup", str(tmp_path / "one.tar.gz"))
    assert "one.tar.gz" in said and (tmp_path / "one.tar.gz").stat().st_mode & 0o777 == 0o600
    app.manage("create_organization", "Later", "--slug", "later", "--admin", "bob@later.example")
    (tmp_path / "files" / "kept.csv").unlink()
    with pytest.raises(AssertionError, match="holds 2 organizations"):
        app.manage("restore", str(tmp_path / "one.tar.gz"))
    assert "1 organization" in app.manage("restore", str(tmp_path / "one.tar.gz"), "--replace")
    assert (tmp_path / "files" / "kept.csv").read_text() == "name\nAcme\n"
    with pytest.raises(AssertionError, match="later"):
        app.manage("set_plan", "later", "growth")
    app.manage("set_plan", "acme", "growth")


def test_an_upgrade_makes_what_an_empty_place_needs(app: LiveApp, tmp_path: Path) -> None:
    """The README's way to begin: without static files each page would be an error."""
    if app.database_url.startswith("postgres"):
        app.manage("shell", "--no-imports", "-c", SQL.format("drop schema public cascade; create schema public"))
    else:
        Path(app.database_url.removeprefix("sqlite:///")).unlink()
    if app.commands:  # what runs commands has opened the database and read the settings
        app.commands.kill()
        app.commands.wait()
        app.commands = None
    app.environment["STATIC_ROOT"] = str(tmp_path / "static")
    said = app.manage("upgrade")
    assert "Restore it with" not in said and "Everything is well." in said
    app.manage("create_organization", "Acme", "--slug", "acme", "--admin", "ann@acme.example")
    app.start()
    with urllib.request.urlopen(f"{app.url}/accounts/login/") as page:
        assert page.status == 200


def test_a_backup_takes_the_place_of_what_a_newer_version_made(app: LiveApp, tmp_path: Path) -> None:
    """A newer version adds tables that refer to older ones. Tables of other programs in the database stay."""
    app.manage("backup", str(tmp_path / "one.tar.gz"))
    user = "user_id bigint references crm_user (id)"
    app.manage("shell", "--no-imports", "-c", SQL.format(f"create table crm_newer (id bigint primary key, {user})"))
    app.manage("shell", "--no-imports", "-c", SQL.format("insert into crm_newer select id, id from crm_user"))
    app.manage("shell", "--no-imports", "-c", SQL.format(f"create table account_newer (id bigint primary key, {user})"))
    for name in ("other_program", "account_book"):  # the second is called like tables of an app of ours
        app.manage("shell", "--no-imports", "-c", SQL.format(f"create table {name} (id bigint primary key)"))
    app.manage("restore", str(tmp_path / "one.tar.gz"), "--replace")
    for name in ("crm_newer", "account_newer"):
        with pytest.raises(AssertionError, match=name):
            app.manage("shell", "--no-imports", "-c", SQL.format(f"select count(*) from {name}"))
    if app.database_url.startswith("postgres"):  # on SQLite the file is the database
        for name in ("other_program", "account_book"):
            assert "[(0,)]" in app.manage("shell", "--no-imports", "-c", SQL.format(f"select count(*) from {name}"))
    app.manage("set_plan", "acme", "growth")


def test_a_file_that_is_no_backup_is_refused(app: LiveApp, tmp_path: Path) -> None:
    (tmp_path / "wrong.tar.gz").write_bytes(b"not a tar")
    with pytest.raises(AssertionError, match="is not a backup of Touchpoint"):
        app.manage("restore", str(tmp_path / "wrong.tar.gz"), "--replace")
    with pytest.raises(AssertionError, match="There is no file"):
        app.manage("restore", str(tmp_path / "absent.tar.gz"))
    app.manage("set_plan", "acme", "growth")
