"""A stranger fills in a public form on another site's page; a member finds the lead. No script is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser


def make_form(page: Any, live_app: LiveApp) -> str:
    page.goto(f"{live_app.url}/o/acme/settings/activities/new/")
    page.get_by_label("Name", exact=False).first.fill("Website request")
    page.locator("main").get_by_role("button", name="Create").first.click()
    page.wait_for_url("**/settings/activities/actitype_*/**")
    page.goto(f"{live_app.url}/o/acme/settings/forms/")
    page.get_by_label("New form for").select_option(label="Website request")
    page.get_by_role("button", name="New form").click()
    page.get_by_label("Title").fill("Talk to us")
    page.get_by_label("Other sites may show it in a frame").check()
    page.get_by_role("button", name="Save the form").click()
    page.get_by_role("heading", name="Its address").wait_for()
    address = page.locator(".tp-key code").first.inner_text()
    assert "<iframe" in page.locator(".tp-key code").nth(1).inner_text()
    return address


def fill(place: Any, email: str) -> None:
    place.get_by_label("Your name").fill("Stella Stranger")
    place.get_by_label("Your email").fill(email)
    place.get_by_label("Company").fill("Stranger Inc")


@pytest.fixture
def other_site() -> Iterator[Callable[[str], str]]:
    """Return a function that puts a page on a site of its own (another origin) and gives its address."""
    pages: list[bytes] = [b""]

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages[0])

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()

    def put(body: str) -> str:
        pages[0] = body.encode()
        return f"http://127.0.0.1:{server.server_port}/"

    yield put
    server.shutdown()
    server.server_close()


def test_a_stranger_becomes_a_lead(
    live_app: LiveApp,
    sign_in: Callable[..., Any],
    browser: Any,
    axe: Callable[[Any], list[str]],
    other_site: Callable[[str], str],
) -> None:
    admin = sign_in()
    address = make_form(admin, live_app)
    assert axe(admin) == []

    # Alone, on a phone, without JavaScript; the trap is not to be seen or reached.
    page = browser.new_context(viewport={"width": 360, "height": 800}, java_script_enabled=False).new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    fill(page, "not an address")
    page.wait_for_timeout(2100)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Something is missing").wait_for()
    assert page.get_by_label("Company").input_value() == "Stranger Inc"
    page.get_by_label("Your email").fill("stella@stranger.example")
    page.wait_for_timeout(2100)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/thanks/")

    # In a frame of another site.
    outer = browser.new_context().new_page()
    outer.goto(other_site(f'<h1>Our site</h1><iframe src="{address}?embed=1" width="500" height="700"></iframe>'))
    frame = outer.frame_locator("iframe")
    fill(frame, "stella@stranger.example")
    outer.wait_for_timeout(2100)
    frame.get_by_role("button", name="Send").click()
    frame.get_by_text("Thank you", exact=False).wait_for()

    visitor = browser.new_context().new_page()
    visitor.goto(address)
    assert axe(visitor) == []

    admin.goto(f"{live_app.url}/o/acme/leads/?q=stranger")
    assert admin.get_by_role("link", name="Stranger Inc").count() == 1
    admin.get_by_role("link", name="Stranger Inc").click()
    logged = admin.locator("article", has_text="Website request")
    logged.nth(1).wait_for()
    assert logged.count() == 2
