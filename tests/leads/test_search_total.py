"""A page never waits for a large total: it says “more than”, and the exact number comes after it."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.factories import World


@pytest.fixture
def client(world: World) -> Client:
    found = Client()
    found.force_login(world.ours.admin.user)
    return found


def test_an_exact_total_stands_on_the_page(client: Client) -> None:
    page = client.get("/o/ours/leads/").content.decode()
    assert re.search(r'id="search-total" role="status">3<', page)


def test_a_large_total_comes_after_the_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leads.search.run.CAPPED", 2)
    page = client.get("/o/ours/leads/").content.decode()
    place = re.search(r'id="search-total" role="status" hx-get="([^"]+)" hx-trigger="load"[^>]*>([^<]+)<', page)
    assert place is not None and place[2] == "2+"
    answer = client.get(place[1].replace("&amp;", "&")).content.decode()
    assert re.search(r'role="status">3<', answer) and "hx-get" not in answer
    assert "Edit all 2+" in page


def test_the_total_of_a_broken_search_says_so(client: Client) -> None:
    answer = client.get("/o/ours/search/lead/total/", {"query": "{broken"})
    assert answer.status_code == 200 and ">many<" in answer.content.decode()
    assert client.get("/o/theirs/search/lead/total/").status_code == 404
