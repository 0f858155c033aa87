"""Built-in options and times: people read words, the API and files keep theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from activities.builtin import BUILTINS
from activities.models import Activity
from activities.queries import TypeInfo, cards_of, type_catalog
from activities.services.activities import log_activity
from crm import events
from crm.customfields.catalog import Use, catalog
from crm.fieldkinds import time_words
from crm.tenancy import scope
from leads.search.language import parse
from leads.search.sentences import sentence
from reporting.metrics.catalogue import metric_for
from tests.factories import Tenant, World

OURS = "/o/ours/"


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def client(ours: Tenant) -> Client:
    client = Client()
    client.force_login(ours.admin.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def builtin(tenant: Tenant, slug: str) -> TypeInfo:
    found = type_catalog(tenant.organization).builtin(slug)
    assert found is not None
    return found


def call(tenant: Tenant, **custom: str) -> Activity:
    return log_activity(tenant.admin, tenant.leads[0], builtin(tenant, "call"), custom=custom)


def test_every_built_in_option_has_words() -> None:
    for declared in BUILTINS.values():
        for given in declared.fields:
            assert all(words[0].isupper() and "-" not in words for words in given.options.values()), given.key


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ("0", "0 s"), ("45", "45 s"), ("60", "1 min"), ("374", "6 min 14 s"), ("3600", "1 h"), ("5400.5", "1 h 30 min 0.5 s"),
        ("3600007", "1,000 h 7 s"), ("-61", "-1 min 1 s"),
    ],
)  # fmt: skip
def test_seconds_are_told_exactly(seconds: str, words: str) -> None:
    assert time_words(Decimal(seconds)) == words


def test_a_card_says_it_in_words(ours: Tenant, client: Client) -> None:
    held = call(ours, direction="outbound", disposition="no-answer", duration="374")
    (card,) = cards_of(ours.admin, [held])
    assert [(value.label, value.text) for value in card.values] == [
        ("Disposition", "No answer"),
        ("Duration", "6 min 14 s"),
    ]
    assert card.direction == "Outbound"
    page = client.get(f"{OURS}leads/{ours.leads[0].public_id}/timeline/").content.decode()
    assert "Call, outbound</h3>" in page and "no-answer" not in page and "374 s" not in page


def test_the_form_offers_words_and_takes_them_from_files(ours: Tenant, client: Client) -> None:
    kind = builtin(ours, "call")
    page = client.get(f"{OURS}leads/{ours.leads[0].public_id}/log/{kind.public_id}/").content.decode()
    assert ">Voicemail left</option>" in page and "vm-left" not in page
    # Whoever reads “Voicemail left” may write it; what is stored is the same.
    spoken, written = call(ours, disposition="voicemail left"), call(ours, disposition="vm-left")
    assert spoken.values == written.values != {}


def test_a_list_says_words_and_its_file_keeps_its_own(ours: Tenant, client: Client) -> None:
    call(ours, direction="inbound", disposition="vm-left", duration="374")
    fields = {row.field.builtin: row.field.public_id for row in ours_uses(ours)}
    columns = "&".join(
        f"columns={key}" for key in ("type", "what", fields["call.disposition"], fields["call.duration"])
    )
    asked = f"?type={builtin(ours, 'call').public_id}&{columns}"
    page = client.get(f"{OURS}activities/{asked}").content.decode()
    assert "Inbound · Voicemail left · Duration: 6 min 14 s" in page and "vm-left" not in page
    answer = client.get(reverse("leads:export", args=["ours", "custom_activity"]) + asked)
    file = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert "Call,inbound · vm-left · Duration: 374 s,vm-left,374 s" in file


def test_searches_are_told_in_words(ours: Tenant) -> None:
    of_calls = {
        use.field.builtin: {"type": "custom_field", "custom_field_id": use.field.public_id} for use in ours_uses(ours)
    }
    left = {"field": of_calls["call.disposition"], "condition": {"type": "term", "values": ["vm-left", "Busy"]}}
    longer = {"field": of_calls["call.duration"], "condition": {"type": "number_range", "gt": 300}}
    wanted = [{"type": "field_condition", **asked} for asked in (left, longer)]
    query = parse({"type": "and", "queries": wanted}, ours.admin, "activity")
    assert sentence(query).endswith("where Disposition is Voicemail left or Busy and Duration > 5 min")


def test_numbers_are_named_in_words_and_the_api_and_files_keep_theirs(ours: Tenant, client: Client) -> None:
    call(ours, disposition="no-answer")
    call(ours)
    disposition = ours_use(ours, "call.disposition").field
    (option,) = [row for row in disposition.options if row.label == "no-answer"]
    for key, label, told in (
        ("calls.all.no-answer.share", "Calls, no answer, share", "Calls, no-answer, share"),
        (f"activities.created.{builtin(ours, 'call').public_id}.count_{option.public_id}", "Call, Disposition No answer",
         "Call, Disposition no-answer"),
    ):  # fmt: skip
        assert (metric_for(ours.admin, key).label, metric_for(ours.admin, key).written) == (label, told)
    tile = f"{OURS}reports/tile.csv?metric=calls.all.all.count&range=today&o={quote(json.dumps({'split': disposition.public_id}))}"
    # A call without a disposition is not one that nobody answered.
    assert {"No answer", "Empty"} <= set(
        re.findall(r"<t[hd][^>]*>([^<]+)<", client.get(tile.replace(".csv", "/")).content.decode())
    )
    assert client.get(tile).content.decode("utf-8-sig").startswith("from,to,time zone,no-answer,No answer\r\n")


def ours_uses(tenant: Tenant) -> Sequence[Use]:
    return catalog(tenant.organization).uses(builtin(tenant, "call").fieldset_id)


def ours_use(tenant: Tenant, key: str) -> Use:
    return next(use for use in ours_uses(tenant) if use.field.builtin == key)
