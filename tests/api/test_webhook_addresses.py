"""Where webhooks may go, and what they do there: attack 23, SSRF, in its many spellings."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from crm.errors import InvalidInput
from crm.webhooks import addresses, sending
from crm.webhooks.addresses import Refused, is_public, resolve
from crm.webhooks.filters import check_filter, matches
from tests.api.conftest import Api
from tests.api.test_webhooks import PUBLISHED, Receiver, receiver

__all__ = ["receiver"]

PRIVATE = [
    "http://127.0.0.1/", "http://localhost/", "http://localhost./", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/",
    "http://0/", "http://0.0.0.0/", "http://10.0.0.8/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://224.0.0.1/", "http://255.255.255.255/", "http://[::]/", "http://[::127.0.0.1]/",
]  # fmt: skip
MALFORMED = [
    "", "http://", "https:///x", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)",
    "http://user@example.com/", "http://user:word@127.0.0.1/", "http://example.com@127.0.0.1/", "http://exa mple.com/",
    "http://example.com/\r\nX-Evil: 1", "http://example.com:99999/", "http://example.com:0/", "//example.com/", "http://[::1/",
    "http://" + "a" * 2000 + ".com/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(Refused):
        resolve(url)


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        resolve(url)


@pytest.mark.parametrize("url", [*PRIVATE, *MALFORMED])
def test_they_are_refused_when_saved(api: Api, url: str) -> None:
    assert list(api.post("webhook/", {"url": url, "events": PUBLISHED}, status=400)["field-errors"]) == ["url"]


def test_public_addresses_pass() -> None:
    assert all(is_public(address) for address in ("93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"))


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the resolver answer these addresses, one list per question, the last one for ever; returns the questions."""
    asked: list[str] = []
    left = list(answers)

    def resolver(host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolver)
    return asked


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["93.184.215.14", "10.0.0.1"])
    with pytest.raises(Refused, match="private address"):
        resolve("https://example.com/")


def test_the_judged_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer is private, but nobody asks a second time."""
    asked = names(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    called: list[Any] = []

    def connect(address: Any, timeout: float) -> Any:
        called.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(sending.socket, "create_connection", connect)
    answer = sending.send("http://rebind.example/", b"{}", "00")
    assert called == [("93.184.215.14", 80)] and asked == ["rebind.example"] and not answer.delivered


def test_a_redirect_is_judged_anew(settings: Any, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    # The first host stands for a public one; where it leads is what counts.
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    for location in ("http://169.254.169.254/latest/", "http://10.0.0.1/", "file:///etc/passwd", "http://[fd00::1]/"):
        receiver.statuses, receiver.location = [307], location
        answer = sending.send(receiver.url, b"{}", "00")
        assert not answer.delivered and answer.status is None and answer.error, location
    receiver.statuses, receiver.location = [308], "/elsewhere"
    assert sending.send(receiver.url, b"{}", "00").delivered
    receiver.statuses, receiver.location = [302] * 9, receiver.url
    assert "redirects more than" in sending.send(receiver.url, b"{}", "00").error


def test_a_receiver_that_never_ends_is_cut_off(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, stop = server.getsockname()[1], threading.Event()

        def dribble() -> None:
            peer, _ = server.accept()
            with peer:
                while not stop.wait(0.1):
                    try:
                        peer.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=dribble, daemon=True)
        thread.start()
        started = time.monotonic()
        answer = sending.send(f"http://127.0.0.1:{port}/", b"{}", "00")
        stop.set()
        thread.join()
    assert not answer.delivered and time.monotonic() - started < 4


def test_filters() -> None:
    event = {
        "data": {"status": "won", "tags": ["a", "b"], "none": None, "rows": [{"x": 1}, {"x": 2}]},
        "changed_fields": ["x"],
    }

    def at(*path: str, test: dict[str, Any]) -> dict[str, Any]:
        for name in reversed(path):
            test = {"type": "field_accessor", "field": name, "filter": test}
        return test

    yes = [
        at("data", "status", test={"type": "equals", "value": "won"}), at("data", "status", test={"type": "contains", "value": "wo"}),
        at("data", "tags", test={"type": "contains", "value": "b"}), at("data", "none", test={"type": "is_null"}),
        at("data", "missing", test={"type": "is_null"}), at("data", "status", test={"type": "non_null"}),
        at("data", "status", "deeper", test={"type": "is_null"}), {"type": "not", "filter": at("data", test={"type": "is_null"})},
        at("data", "rows", test={"type": "any_array_value", "filter": at("x", test={"type": "equals", "value": 2})}),
        {"type": "and", "filters": []}, at("data", "status", test={"type": "not_equals", "value": "lost"}),
        {"type": "or", "filters": [{"type": "is_null"}, at("changed_fields", test={"type": "contains", "value": "x"})]},
    ]  # fmt: skip
    for node in yes:
        check_filter(node)
        assert matches(node, event), node
        assert not matches({"type": "not", "filter": node}, event)
    assert not matches({"type": "equals", "value": 1}, True)
    deep: dict[str, Any] = {"type": "is_null"}
    for _ in range(50):
        deep = {"type": "not", "filter": deep}
    for node in (
        None,
        [],
        "x",
        {"type": []},
        {"type": "equals"},
        {"type": "and"},
        {"type": "field_accessor", "filter": {"type": "is_null"}},
        deep,
    ):
        with pytest.raises(InvalidInput):
            check_filter(node)
