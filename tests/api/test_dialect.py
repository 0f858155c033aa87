"""Close's dialect: keys, paths, errors in their exact shapes, paging, `_fields`, OpenAPI."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from crm.api_keys import revoke
from crm.models import ApiKey, Membership
from crm.tenancy import scope
from leads.models import Lead
from tests.api.conftest import Api
from tests.factories import World


def test_unauthorized_has_closes_exact_body(world: World) -> None:
    for headers in (
        {},
        {"Authorization": "Basic bm90aGluZzo="},
        {"Authorization": "Basic ***"},
        {"Authorization": "Bearer x"},
    ):
        found = Client(headers=headers).get("/api/v1/me/")
        assert (found.status_code, found.json()) == (401, {"error": "Unauthorized"})


def test_a_bearer_token_is_a_key_too(api: Api) -> None:
    found = Client(headers={"Authorization": f"Bearer {api.key}"}).get("/api/v1/me/")
    assert found.json()["email"] == "admin@ours.example"


def test_revoked_expired_and_former_members_keys_are_dead(world: World) -> None:
    actor = world.ours.user
    revoked, expired, former = Api(actor), Api(actor), Api(world.ours.restricted)
    with scope(actor.organization):
        revoke(actor, revoked.row.public_id)
        ApiKey.objects.filter(pk=expired.row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        Membership.objects.filter(pk=world.ours.restricted.pk).update(removed_at=timezone.now())
    for api, words in ((revoked, "was revoked on"), (expired, "expired on"), (former, "is no longer one")):
        sentence = api.get("me/", status=401)["error"]
        assert sentence.startswith("Unauthorized: ") and "“Tests”" in sentence and words in sentence
        guess = Client(headers={"Authorization": f"Bearer {api.row.prefix}.{'x' * 22}"}).get("/api/v1/me/")
        assert (guess.status_code, guess.json()) == (401, {"error": "Unauthorized"})


def test_a_read_only_key_reads_and_searches_but_writes_nothing(world: World) -> None:
    api = Api(world.ours.admin, read_only=True)
    api.get("lead/")
    api.post("data/search/", {"query": {"type": "object_type", "object_type": "lead"}})
    before = Lead.unscoped.count()
    assert "may only read" in api.post("lead/", {"name": "No"}, status=403)["error"]
    assert Lead.unscoped.count() == before


def test_slashes_never_matter_and_never_redirect(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    for path in ("lead", "lead/", "/lead/", "/lead//", f"lead/{lead}", f"lead//{lead}/", "custom_fields/lead/"):
        api.get(path)
    assert api.post("lead", {"name": "Without a slash"})["name"] == "Without a slash"
    assert api.post("lead//", {"name": "With two"})["name"] == "With two"
    assert api.client.get("/api//v1//me").status_code == 200


def test_a_post_may_be_a_get_in_disguise(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    found = api.post("activity/custom/", {"_params": {"lead_id": lead, "_limit": 1}}, X_HTTP_Method_Override="GET")
    assert [row["lead_id"] for row in found["data"]] == [lead]
    api.post(f"lead/{lead}/", {"name": "Renamed"}, X_HTTP_Method_Override="PUT")
    assert api.get(f"lead/{lead}/")["name"] == "Renamed"


def test_what_is_not_json_is_refused_in_words(api: Api) -> None:
    for raw in (b"{", b"[1,", b'{"name": NaN}', b"\xff"):
        found = api.client.post("/api/v1/lead/", raw, content_type="application/json")
        assert (found.status_code, found.json()) == (400, {"error": "The request contains invalid JSON."})
    found = api.client.post("/api/v1/lead/", {"name": "x"})
    assert found.status_code == 415 and "application/json" in found.json()["error"]
    assert api.post("lead/", [1], status=400)["error"] == "The request must be a JSON object."


def test_unknown_addresses_and_methods_answer_json(api: Api) -> None:
    assert "/api/v1/nothing/" in api.get("nothing/", status=404)["error"]
    assert "PATCH" in api.call("PATCH", "lead/", {}, status=405)["error"]
    assert api.last["Allow"]


def test_validation_errors_carry_both_shapes(api: Api) -> None:
    found = api.post("lead/", {"name": "x", "status": "Nope"}, status=400)
    assert set(found) == {"error", "errors", "field-errors"} and found["errors"] == []
    assert found["error"] == found["field-errors"]["status"]


def test_wrong_types_are_named(api: Api) -> None:
    found = api.post("contact/", {"emails": "a@b.c"}, status=400)
    assert list(found["field-errors"]) == ["emails"]


def test_paging(api: Api) -> None:
    found = api.get("lead/?_limit=2")
    assert (len(found["data"]), found["has_more"], found["total_results"]) == (2, True, 3)
    assert api.get("lead/?_limit=0")["total_results"] == 3
    assert len(api.get("lead/?_skip=2")["data"]) == 1
    body = api.get("lead/?_limit=201", status=400)
    assert body["field-errors"] == {"_limit": "Input should be less than or equal to 200"}
    assert "max_skip = 35000" in api.get("lead/?_skip=35001", status=400)["error"]


@pytest.mark.parametrize(
    ("path", "maximum"),
    [
        ("user/", 1000),
        ("custom_field/activity/", 1000),
        ("task/", 1000),
        ("saved_search/", 600),
        ("contact/", 100),
        ("activity/", 200),
        ("activity/meeting/", 200),
    ],
)
def test_each_list_has_its_maximum(api: Api, path: str, maximum: int) -> None:
    api.get(f"{path}?_limit={maximum}")
    api.get(f"{path}?_limit={maximum + 1}", status=400)


def test_lists_are_ordered_by_what_they_know_and_else_as_usual(api: Api, world: World) -> None:
    """At Close an order that it does not know is none, and its clients send some: a refusal would break them."""
    lead = world.ours.leads[0].public_id
    api.post("contact/", {"lead_id": lead, "name": "Aaron"})
    for path in (
        "lead/?",
        "contact/?",
        f"activity/?lead_id={lead}&",
        "activity/custom/?",
        "user/?",
        "task/?",
        "status/lead/?",
    ):
        usual = api.get(path)["data"]
        for order in ("shoe_size", "-shoe_size", "", "--date_created", "id,name"):
            assert api.get(f"{path}_order_by={order}")["data"] == usual, (path, order)
    for path, name in (("lead/?", "date_created"), ("lead/?", "date_updated"), ("lead/?", "name"), ("contact/?", "date_created"),
                       ("contact/?", "name"), ("activity/?", "date_created"), (f"activity/?lead_id={lead}&", "activity_at")):  # fmt: skip
        found = [row[name] for row in api.get(f"{path}_order_by={name}")["data"]]
        turned = [row[name] for row in api.get(f"{path}_order_by=-{name}")["data"]]
        assert found == sorted(found) and turned == found[::-1] and len(found) > 1, (path, name)
    assert "needs lead_id" in api.get("activity/?_order_by=-activity_at", status=400)["error"]


def test_fields_pick_keys(api: Api, world: World) -> None:
    lead = world.ours.leads[0].public_id
    assert set(api.get(f"lead/{lead}/?_fields=id,display_name")) == {"id", "display_name"}
    assert [set(row) for row in api.get("lead/?_fields=id")["data"]] == [{"id"}] * 3
    assert set(api.get("me/?_fields=id")) == {"id"}


def test_every_list_says_has_more(api: Api) -> None:
    lists = (
        "user/ role/ group/ lead/ contact/ status/lead/ task/ activity/ activity/custom/ activity/note/ activity/call/ "
        "activity/email/ activity/sms/ activity/meeting/ activity/created/ custom_activity/ custom_field/lead/ "
        "custom_field/contact/ custom_field/activity/ custom_field/shared/ saved_search/ api_key/ opportunity/ pipeline/ "
        "status/opportunity/ sequence/ webhook/ integration_link/ email_template/"
    )
    for path in lists.split():
        assert {"data", "has_more"} <= set(api.get(path)), path
    # Events have cursors alone: Airbyte's source pages by `_skip`, without end, where it finds has_more beside them.
    found = api.get("event/?_limit=1&_fields=id")
    assert set(found) == {"data", "cursor_next", "cursor_previous"} and [set(row) for row in found["data"]] == [{"id"}]


def test_timestamps_have_an_offset_and_types_have_none(api: Api) -> None:
    assert api.get("lead/")["data"][0]["date_created"].endswith("+00:00")
    stamp = api.get("custom_activity/")["data"][0]["date_created"]
    assert "+" not in stamp and "Z" not in stamp


def test_another_organizations_objects_are_not_there(api: Api, world: World) -> None:
    theirs = world.theirs
    activity = theirs.activities[0].public_id
    for path in (
        f"lead/{theirs.leads[0].public_id}/", f"activity/custom/{activity}/", f"custom_activity/{theirs.type_row.public_id}/",
        f"custom_field/activity/{theirs.fields['CRM']}/", f"user/{theirs.user.user.public_id}/", "lead/lead_nonsense/",
        f"organization/{theirs.organization.public_id}/",
    ):  # fmt: skip
        assert api.get(path, status=404)["error"].startswith("There is no such")
    api.put(f"activity/custom/{activity}/", {"pinned": True}, status=404)
    api.delete(f"activity/custom/{activity}/", status=404)


def test_every_endpoint_wants_a_key(world: World) -> None:
    open_doors = {"openapi", "api_docs", "export_file"}  # the last is opened by a signed, expiring token
    client = Client()
    walked = 0
    for route, name in _routes():
        if name in open_doors:
            continue
        path = "/" + route.replace("<str:", "<")
        while "<" in path:
            path = path[: path.index("<")] + "lead_x" + path[path.index(">") + 1 :]
        for method in ("GET", "POST", "PUT", "DELETE"):
            found = client.generic(method, path)
            assert found.status_code in (401, 405), (method, path, found.status_code)
        walked += 1
    assert walked > 60


def _routes() -> list[tuple[str, str]]:
    found = []

    def walk(resolver, prefix: str) -> None:
        for entry in resolver.url_patterns:
            route = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                if route.startswith("api/v1/") and entry.name not in ("api-root",):
                    found.append((route, entry.name))
            elif route.startswith("api/") or prefix == "":
                walk(entry, route) if route.startswith("api/") else None

    walk(get_resolver(), "")
    return found


def test_the_openapi_document_and_its_page(client: Client) -> None:
    found = client.get("/api/v1/openapi.json").json()
    assert found["openapi"].startswith("3.1") and "/api/v1/activity/custom/" in found["paths"]
    page = client.get("/api/v1/docs/")
    text = page.content.decode()
    assert page.status_code == 200 and "closeio_api" in text and 'id="quick-start"' in text
    assert (
        "style=" not in text and "cdn" not in text.lower() and "'unsafe-inline'" not in page["Content-Security-Policy"]
    )
