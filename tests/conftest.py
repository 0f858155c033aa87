"""What every test has: fresh in-process caches, and two identical organizations. The environment is set in tests/settings.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import World, make_world
from tests.support.live_app import LiveApp


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the database of this run has nothing of. Long files come first, so that none is waited for at the end."""
    from django.db import connection

    items.sort(key=lambda item: -item.path.stat().st_size)
    other = "sqlite" if connection.vendor == "postgresql" else "postgresql"
    out = [item for item in items if item.get_closest_marker(other)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if not item.get_closest_marker(other)]


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """Rolled-back rows must not live on in this process."""
    from django.core.cache import cache

    from activities.queries import forget_types
    from crm.customfields.catalog import forget_all
    from leads.search.estimates import forget_estimates

    forget_estimates()
    forget_all()
    forget_types()
    cache.clear()


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def own_live_app(tmp_path: Path) -> Iterator[LiveApp]:
    """A live app of this test's own, with an organization `acme` and its admin ann@acme.example: it may be killed.

    The web server is up; call `start_worker()` for a worker. Tests that only visit use `live_app` of tests/flows instead.
    """
    app = LiveApp(tmp_path)
    try:
        app.prepare()
        app.manage("create_organization", "Acme", "--slug", "acme", "--plan", "scale", "--admin", "ann@acme.example")
        app.start()
        yield app
    finally:
        app.stop()
