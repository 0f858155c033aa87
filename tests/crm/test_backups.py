"""A backup holds everything, and comes back whole; a wrong file changes nothing. On a real database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.long


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


def test_a_file_that_is_no_backup_is_refused(app: LiveApp, tmp_path: Path) -> None:
    (tmp_path / "wrong.tar.gz").write_bytes(b"not a tar")
    with pytest.raises(AssertionError, match="is not a backup of Touchpoint"):
        app.manage("restore", str(tmp_path / "wrong.tar.gz"), "--replace")
    with pytest.raises(AssertionError, match="There is no file"):
        app.manage("restore", str(tmp_path / "absent.tar.gz"))
    app.manage("set_plan", "acme", "growth")
