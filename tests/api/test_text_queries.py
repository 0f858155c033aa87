"""`GET /lead/?query=…` with what makes a careless reader stumble: long, deep, hidden, without a value."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from leads.models import Lead
from tests.api.conftest import Api
from tests.factories import World

pytestmark = pytest.mark.django_db


def listed(api: Api, query: str) -> list[str]:
    return [row["name"] for row in api.get(f"lead/?query={quote(query)}")["data"]]


def test_turned_around_any_number_of_times(api: Api) -> None:
    everybody = listed(api, "sort:name")
    assert listed(api, "sort:name " + "not " * 1200 + "Acme") == ["Acme"]
    assert listed(api, "sort:name " + "not " * 1201 + "Acme") == everybody[1:]
    assert listed(api, "sort:name " + "-" * 4001 + "Acme") == everybody[1:] == listed(api, "sort:name not --Acme")


def test_many_values_are_looked_up_at_once(api: Api, django_assert_num_queries: Any) -> None:
    assert listed(api, "status in (Nobody, POTENTIAL)") == listed(api, "status:potential") != []
    with django_assert_num_queries(2):  # the key, the statuses
        api.get(f"lead/?query={quote('status in (' + 'Nobody,potential,' * 200 + ')')}", status=400)


def test_a_hidden_field_is_one_that_does_not_exist(world: World) -> None:
    admin, user = Api(world.ours.admin), Api(world.ours.user)
    field = admin.post("custom_field/lead/", {"name": "Secret", "type": "text", "viewable_with_roles": ["admin"]})
    admin.put(f"lead/{world.ours.leads[0].public_id}/", {f"custom.{field['id']}": "canary"})
    for query in ("custom.Secret:*", f"custom.{field['id']}:*"):
        assert listed(admin, query) == ["Acme"]
        assert user.get(f"lead/?query={quote(query)}") == user.get(f"lead/?query={quote('custom.Nope:*')}")


def test_leads_without_an_activity_come_last(api: Api, world: World) -> None:
    new = api.post("lead/", {"name": "New"})["id"]
    Lead.unscoped.filter(name="New").update(last_activity_at=None)
    for query in ("sort:last_activity", "sort:-last_activity"):
        assert api.get(f"lead/?query={query}")["data"][-1]["id"] == new
