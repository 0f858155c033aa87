"""Whatever is sent, the answer is JSON and never a 500."""

from __future__ import annotations

from typing import Any

import pytest

from crm.api_docs import document
from tests.api.conftest import Api
from tests.factories import World

NASTY: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, "", " ", "x" * 5000, "\x00", "\ud800", "2026-13-45", "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+12:00", [], [None], [{}], [[1]], [{"email": {"a": 1}, "id": []}], {}, {"a": {"b": []}}, {"query": []},
]  # fmt: skip
QUERY = (
    "_limit=abc", "_skip=-1", "_limit=99999999999999999999", "lead_id=,", "_fields=,,", "_type=", "date_created__gt=9999-99-99",
    "date_created__gte=0001-01-01T00:00:00%2B14:00", "query=%00", "query=sort:", 'query="', "query=name:", "_cursor=%00", "_cursor=W10",
    "saved_search_id=x", "user_id=group_x", "_order_by=date", "status=nonsense", "id__in=acti_1,2",
)  # fmt: skip


def operations() -> list[tuple[str, str, list[str]]]:
    from crm.api_urls import api

    found = document(api)
    rows = []
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            rows.append(
                (method.upper(), path, list(found["components"]["schemas"].get(name, {}).get("properties", {})))
            )
    return rows


def filled(path: str, world: World, real: bool) -> str:
    ours = world.ours
    ids = {
        "{lead_id}": ours.leads[0].public_id, "{activity_id}": ours.activities[0].public_id, "{type_id}": ours.type_row.public_id,
        "{field_id}": ours.fields["CRM"], "{user_id}": ours.user.user.public_id, "{membership_id}": ours.restricted.public_id,
        "{organization_id}": ours.organization.public_id, "{role_id}": "admin",
    }  # fmt: skip
    for key, value in ids.items():
        path = path.replace(key, value if real else "x_%F0%9F%98%80")
    while "{" in path:
        path = path[: path.index("{")] + "task_1" + path[path.index("}") + 1 :]
    return path.removeprefix("/api/v1/")


def attempt(api: Api, method: str, path: str, body: Any = None) -> None:
    import json

    data = "" if body is None else json.dumps(body)
    found = api.client.generic(method, f"/api/v1/{path}", data, content_type="application/json")
    assert found.status_code < 500, (method, path, body, found.content[:300])
    if found.content:
        found.json()


def test_reads_survive_nasty_queries(api: Api, world: World) -> None:
    for method, path, _ in operations():
        if method == "GET":
            attempt(api, method, filled(path, world, real=False))
            for query in QUERY:
                attempt(api, method, f"{filled(path, world, real=True)}?{query}")


@pytest.mark.parametrize("turn", range(3))
def test_writes_survive_nasty_bodies(api: Api, world: World, turn: int) -> None:
    """Every key of every endpoint gets another nasty value in each turn."""
    users = f"custom.{world.ours.fields['Users']}"
    base = {"lead_id": world.ours.leads[0].public_id, "name": "N", "type": "text", "text": "t", "note": "n"}
    base |= {"custom_activity_type_id": world.ours.type_row.public_id, "title": "t"}
    number = turn
    for method, path, keys in operations():
        if method in ("POST", "PUT") and keys:
            for key in [*keys, users, "custom", f"{users}.add", "note_html", "duration", "_fields"]:
                number += 7
                attempt(api, method, filled(path, world, real=True), {**base, key: NASTY[number % len(NASTY)]})
            attempt(api, method, filled(path, world, real=True), NASTY[number % len(NASTY)])


def test_broken_characters_are_named(api: Api) -> None:
    for text in ("\ud800", "a\x00b"):
        found = api.post("lead/", {"name": text}, status=400)
        assert found["field-errors"] == {"name": "Remove the NUL or broken characters."}
