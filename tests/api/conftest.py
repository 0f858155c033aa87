"""Clients of the API, one per member."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client

from crm.api_keys import create_key
from crm.models import Membership
from crm.tenancy import scope
from tests.factories import World


class Api:
    """Speaks JSON with one API key. `last` is the last response."""

    def __init__(self, actor: Membership, **key: Any) -> None:
        with scope(actor.organization):
            self.row, self.key = create_key(actor, "Tests", **key)
        token = base64.b64encode(f"{self.key}:".encode()).decode()
        self.client = Client(headers={"Authorization": f"Basic {token}"}, raise_request_exception=False)

    def call(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """Return the JSON answer; fails when the status is another one."""
        data = "" if body is None else json.dumps(body)
        found = self.client.generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )  # fmt: skip
        self.last = found
        assert found.status_code == status, (found.status_code, found.content.decode()[:600])
        return found.json() if found.content and "json" in found["Content-Type"] else found.content.decode()

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> Any:
        return self.call("POST", path, body, **more)

    def put(self, path: str, body: Any, **more: Any) -> Any:
        return self.call("PUT", path, body, **more)

    def delete(self, path: str, **more: Any) -> Any:
        return self.call("DELETE", path, **more)


@pytest.fixture
def api(world: World) -> Api:
    return Api(world.ours.admin)


@pytest.fixture
def user_api(world: World) -> Api:
    return Api(world.ours.user)
