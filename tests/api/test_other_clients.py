"""Requests that clients of Close are known to send (`spec/api.md`), asked of our server through Django's test client.

No client runs here: paths and parameters were written down from what is documented and recorded of Airbyte's connector, the
npm package `close.io`, the Ruby gem and scripts, and only the keys that each of them reads are looked for. Close's own Python
client and tap-closeio run unmodified, against a live server, in tests/flows.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.conftest import Api

pytestmark = pytest.mark.django_db
READS: list[tuple[str, dict[str, Any], set[str]]] = [
    # Airbyte: no final slash, two slashes, its own text queries.
    ("me", {}, set()),
    ("lead", {"_skip": 0, "_limit": 100, "query": "sort:updated date_updated >= 2023-12-20T00:00:00+00:00"}, {"data", "has_more"}),
    ("/custom_field/lead/", {"_skip": 0, "_limit": 1000}, {"data", "has_more"}),
    ("activity/call", {"_limit": 100, "date_created__gte": "2021-07-13T11:39:05.012000+00:00"}, {"data", "has_more"}),
    ("event", {"date_updated__gte": "2026-01-01T00:00:00", "_limit": 50, "_cursor": ""}, {"data", "cursor_next"}),
    ("task", {"_type": "lead", "_order_by": "date_created", "date_created__gte": "2021-07-13T11:39:05"}, {"data", "has_more"}),
    # npm close.io: each option is a word of the query, joined with blanks.
    ("lead/", {"_limit": 5, "_skip": 0, "_fields": "id,name", "query": 'name:"Bluth" '}, {"data", "has_more", "total_results"}),
    ("contact/", {}, {"data", "has_more"}),
    # The gem: plural paths, and pages until `has_more` is false.
    ("custom_fields/lead/", {"_limit": 100, "_skip": 0}, {"data", "has_more"}),
    ("status/lead/", {"_limit": 100, "_skip": 0}, {"data", "has_more"}),
    # Scripts that fetch: a lead by email, pages with keys of their choice.
    ("lead/", {"_limit": 1, "query": "email:gob@bluth.example"}, {"data"}),
    ("lead/", {"query": "email_address:gob@bluth.example", "_fields": "id"}, {"data"}),
    ("lead/", {"_limit": 100, "_skip": 0, "_fields": "id,display_name,opportunities,custom,date_created"}, {"data", "has_more"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "params", "keys"), READS)
def test_the_requests_are_answered_with_the_keys_they_read(
    api: Api, path: str, params: dict[str, Any], keys: set[str]
) -> None:
    contact = {"name": "Gob", "emails": [{"email": "gob@bluth.example", "type": "office"}]}
    lead = api.post("lead/", {"name": "Bluth", "contacts": [contact]})["id"]
    answer = api.get(f"{path}?{urlencode(params)}" if params else path, accept="application/json")
    assert keys <= set(answer)
    if path.startswith("lead"):
        assert lead in {row["id"] for row in answer["data"]}
