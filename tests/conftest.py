"""What every test has: fresh in-process caches, and two identical organizations."""

from __future__ import annotations

import pytest

from tests.factories import World, make_world


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """Rolled-back rows must not live on in this process."""
    from django.core.cache import cache

    from activities.queries import forget_types
    from crm.customfields.catalog import forget_all

    forget_all()
    forget_types()
    cache.clear()
    return


@pytest.fixture
def world(db: None) -> World:
    return make_world()
