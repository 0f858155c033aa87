"""A live app and a browser for the stories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import FLAGS, find_chromium
from tests.support.live_app import LiveApp

FAILED = pytest.StashKey[bool]()
AXE = Path(__file__).resolve().parents[1] / "vendor" / "axe-core-4.14.1" / "axe.min.js"


@pytest.fixture(scope="module")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """Gunicorn on a fresh database with one organization, `acme`, and its admin ann@acme.example.

    Each file of stories has its own: what one changes (reports, views, settings) no other finds.
    """
    app = LiveApp(tmp_path_factory.mktemp("live"))
    app.prepare()
    app.manage("create_organization", "Acme", "--slug", "acme", "--plan", "scale", "--admin", "ann@acme.example")
    app.start()
    yield app
    app.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    # Playwright's sync API runs an event loop in this thread; Django must not mistake that for async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep how a test went, for the fixtures that end after it."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def sign_in(live_app: LiveApp, browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Return a function that gives a page of a signed-in member; errors in the page fail the test.

    When a test fails, what its pages showed last is printed.
    """
    contexts, problems = [], []

    def open_page(email: str = "ann@acme.example", **options: Any) -> Any:
        link = live_app.manage("sign_in_link", email).strip().splitlines()[-1]
        context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 1000}, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None,
        )
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/o/**")
        return page

    yield open_page
    for context in contexts:
        for page in context.pages if request.node.stash.get(FAILED, False) else ():
            print(f"\n--- {page.url}\n{page.locator('body').inner_text()[:4000]}")
            print(f"--- the focus: {page.evaluate('document.activeElement.outerHTML.slice(0, 300)')}")
        context.close()
    assert not problems, problems


@pytest.fixture
def axe() -> Callable[[Any], list[str]]:
    """Return a function that lists what axe finds on a page.

    Contrast and labels do not hang on the database: axe looks in the run on SQLite.
    """
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return lambda page: []

    def check(page: Any) -> list[str]:
        # Contrast is a matter of the page at rest: nothing on its way, nothing half faded in.
        for busy in (".htmx-request", ".htmx-settling", ".htmx-swapping", "[aria-busy=true]"):
            page.locator(busy).first.wait_for(state="detached")
        page.evaluate(
            """() => document.getAnimations().forEach((animation) => {
                 if (animation.effect.getComputedTiming().endTime !== Infinity) animation.finish();
               })"""
        )
        session = page.context.new_cdp_session(page)
        session.send("Runtime.evaluate", {"expression": AXE.read_text()})
        found = page.evaluate(
            "async () => (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})).violations"
        )
        return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found]

    return check
