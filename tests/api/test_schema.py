"""The OpenAPI document: an example for every endpoint, and schemathesis over all of them: no 5xx, no undocumented status."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crm.api_docs import document
from crm.api_urls import api as whole_api
from tests.api.conftest import Api
from tests.factories import World

EXAMPLES = 6


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document(whole_api)["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_endpoint_shows_what_it_answers_and_takes() -> None:
    bare = []
    for method, path, operation in operations():
        fine = [code for code in operation["responses"] if code.startswith("2")]
        answers = [
            part.get("example")
            for code in fine
            for kind, part in operation["responses"][code].get("content", {"": {"example": ""}}).items()
            if kind in ("", "application/json")
        ]
        if "204" not in fine and not any(answer is not None for answer in answers):
            bare.append(f"{method} {path}: an answer")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None and "example" not in body:
            bare.append(f"{method} {path}: a body")
    assert not bare, "Give openapi_extra=shows(…), or a row of crm.api_docs.EXAMPLES:\n  " + "\n  ".join(bare)


def test_each_endpoint_documents_the_one_success_it_has(client: Any) -> None:
    successes = {
        (method, path): [code for code in operation["responses"] if code.startswith("2")]
        for method, path, operation in operations()
    }
    assert all(len(codes) == 1 for codes in successes.values()), successes
    assert successes["post", "/api/v1/webhook/"] == ["201"]
    assert successes["delete", "/api/v1/custom_activity/{type_id}/"] == ["204"]
    page = client.get("/api/v1/docs/").content.decode()
    assert "signature_key&quot;: &quot;9f86d0" in page and "Answer, 204, without a body" in page


def test_operation_ids_and_descriptions() -> None:
    found = operations()
    assert len({operation["operationId"] for _, _, operation in found}) == len(found) > 130
    assert all(operation.get("summary") for _, _, operation in found)


def real_ids(world: World) -> dict[str, str]:
    """Ids of things that are there, by the name of the path parameter or body key."""
    ours = world.ours
    lead, activity, kind = ours.leads[0].public_id, ours.activities[0].public_id, ours.call.public_id
    return {
        "lead_id": lead, "activity_id": activity, "type_id": kind, "custom_activity_type_id": kind, "object_id": activity,
        "field_id": ours.fields["CRM"], "user_id": ours.user.user.public_id, "thread_id": activity, "role_id": "user",
        "organization_id": ours.organization.public_id, "membership_id": ours.user.public_id,
    }  # fmt: skip


def check(api: Api, case: Any) -> None:
    """Send what schemathesis made through Django's client, so that it stays in the test's transaction."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    kind = sent.headers.get("Content-Type", "application/json")
    answer = api.client.generic(str(sent.method), sent.path_url, body, content_type=kind)
    documented = case.operation.definition.raw["responses"]
    said = f"{sent.method} {sent.path_url} {body[:300]!r} → {answer.status_code} {answer.content[:300]!r}"
    assert answer.status_code < 500, said
    assert str(answer.status_code) in documented, f"not documented: {said}"
    if content := documented[str(answer.status_code)].get("content"):
        assert answer["Content-Type"].partition(";")[0] in content, (
            f"{answer['Content-Type']} is not documented: {said}"
        )


# One test per family, so that a failure names it and each has a world of its own.
TAGS = sorted({(operation.get("tags") or ["Other"])[0] for _, _, operation in operations()})


@pytest.mark.parametrize("tag", TAGS)
def test_nothing_breaks_and_nothing_is_undocumented(world: World, tag: str) -> None:
    api = Api(world.ours.admin)
    schema: Any = schemathesis.openapi.from_dict(copy.deepcopy(document(whole_api)))
    ids, broken = real_ids(world), []
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.definition.raw.get("tags") or ["Other"])[0] != tag:
            continue

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(), real=st.booleans())
        def send(case: Any, real: bool) -> None:
            if real:
                case.path_parameters = {key: ids.get(key, value) for key, value in (case.path_parameters or {}).items()}
                if isinstance(case.body, dict):
                    case.body |= {key: ids[key] for key in case.body if key in ids}
            check(api, case)

        try:
            send()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            parts = getattr(error, "exceptions", [error])
            broken.append(f"{operation.label}: {'; '.join(str(part)[:600] for part in parts)}")
    assert not broken, "\n\n".join(broken)
