"""Every node, condition, moment and expression of the old text language that clients send (`spec/api.md` 2.18 and 2.8)."""

from __future__ import annotations

from typing import Any

import pytest

from crm import events
from crm.tenancy import scope
from leads.search import legacy
from tests.factories import Tenant, World
from tests.leads.test_search_language import column, names


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


PERIODS = [f"{which}-{unit}" for which in ("this", "last", "next") for unit in ("week", "month", "quarter", "year")]
OFFSET = {"years": 0, "months": 0, "weeks": 0, "days": 0, "hours": 2, "minutes": 0, "seconds": 0}


MOMENTS: list[Any] = [
    {"type": "now"}, {"type": "fixed_utc", "value": "2024-01-02T03:04:05+00:00"}, "2024-01-02T03:04:05Z",
    *({"type": "fixed_local_date", "value": "2026-02-18", "which": which} for which in ("start", "end")),
    *({"type": "start_end_of_predefined_relative_period", "range": name, "which": "start"}
      for name in ("today", "yesterday", "tomorrow", *PERIODS)),
    *({"type": "offset", "direction": direction, "moment": {"type": "now"}, "offset": OFFSET, "which_day_end": "start"}
      for direction in ("past", "future")),
]  # fmt: skip
EVERYBODY = ["Acme", "Bluth", "Cyberdyne"]


def test_every_moment_bounds_a_range(ours: Tenant) -> None:
    for moment in MOMENTS:
        found = [
            names(ours, column("date_created", {"type": "moment_range", side: moment}))
            for side in ("on_or_after", "before", "gte", "lt")
        ]
        assert sorted(found[0] + found[1]) == EVERYBODY and found[2:] == found[:2], moment


def test_what_shipped_clients_write(ours: Tenant) -> None:
    me = ours.admin.user.public_id
    for text, expected in {
        f'sms( date >= "2020-01-01" date < "2099-01-01" status:sent direction:outbound user:{me} )': [],
        'not sms( date >= "2020-01-01" )': EVERYBODY,
        "name:Acme ": ["Acme"],
        "(bluth) slice:1/1": ["Bluth"],
        'sort:-name name:"Acme"': ["Acme"],
        'status:"Potential" has:phone_numbers': EVERYBODY,
    }.items():
        assert names(ours, legacy.read(text, ours.admin).tree) == expected, text


def test_every_node_and_condition_finds_something(ours: Tenant) -> None:
    acme = ours.leads[0]
    maker = acme.created_by
    assert maker is not None
    asked: list[tuple[dict[str, Any], list[str]]] = [
        ({"type": "id", "value": acme.public_id}, ["Acme"]),
        ({"type": "text", "value": "hello@acme.example", "mode": "phrase"}, ["Acme"]),
        ({"type": "match_all"}, EVERYBODY),
        ({"type": "match_all", "negate": True}, []),
        ({"type": "and", "queries": []}, EVERYBODY),
        *((column("name", {"type": "text", "value": text, "mode": mode}), ["Cyberdyne"]) for text, mode in (
            ("cyberdyne", "full_words"), ("Cyberdyne", "phrase"), ("cyb", "beginning_of_words"), ("cyberdyne", "exact_value"))),
        (column("status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": [acme.status.public_id]}),
         EVERYBODY),
        (column("created_by", {"type": "reference", "reference_type": "user", "object_ids": [maker.public_id]}), EVERYBODY),
        (column("created_by", {"type": "current_user"}), EVERYBODY if maker == ours.admin.user else []),
        (column("contacts_count", {"type": "number_range", "gt": 0, "lte": 1}), EVERYBODY),
        *((column(name, {"type": "number_range", "gte": 1}), EVERYBODY)
          for name in ("num_phone_numbers", "num_email_addresses")),
        *((column(name, {"type": "number_range", "gte": 1}), []) for name in ("addresses_count", "all_urls_count")),
        *((column(name, {"type": "number_range", "lte": 0}), EVERYBODY) for name in ("addresses_count", "all_urls_count")),
        *(({"type": "has_related", "this_object_type": "lead", "related_object_type": "contact", "related_query": {
            "type": "field_condition", "field": {"type": "regular_field", "object_type": "contact", "field_name": name},
            "condition": {"type": "number_range", "gte": 1}}}, expected)
          for name, expected in (("emails_count", EVERYBODY), ("phones_count", EVERYBODY), ("urls_count", []))),
        (column("url", {"type": "exists"}), []),
        ({"type": "has_related", "this_object_type": "lead", "related_object_type": "contact_email", "related_query": {
            "type": "field_condition", "field": {"type": "regular_field", "object_type": "contact_email", "field_name": "email"},
            "condition": {"type": "text", "value": "hello@acme.example", "mode": "exact_value"}}}, ["Acme"]),
    ]  # fmt: skip
    for tree, expected in asked:
        assert names(ours, tree) == expected, tree
