"""What newcomers stumbled over in the builder, in a browser: each of it as somebody does it who has never seen the page."""

# ruff: noqa: F811 (fixtures of the story of a sales manager)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.flows.test_search_story import add, changed, companies, page, pick, results, story_app  # noqa: F401
from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser
Axe = Callable[[Any], list[str]]


def choose(page: Any, selector: str, label: str) -> None:
    changed(page, lambda: page.locator(selector).select_option(label=label))


def sentence(page: Any) -> str:
    return str(page.locator(".tp-sentence").inner_text())


def total(page: Any) -> str:
    return str(page.locator("#search-total").inner_text()).split()[0]


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id"))


@pytest.fixture
def leads(page: Any, story_app: LiveApp) -> Any:
    page.goto(f"{story_app.url}/o/acme/leads/")
    return page


def test_who_was_never_called_comes_along_by_one_click(leads: Any, axe: Axe) -> None:
    add(leads, "r", "Last call")
    choose(leads, "#in-r-0-o", "more than … ago")
    left_out = leads.get_by_text("Leads where it never happened are left out.")
    assert left_out.is_visible() and total(leads) == "0"
    changed(leads, lambda: leads.get_by_label("or never").check())
    assert not left_out.is_visible() and total(leads) == "60"
    assert sentence(leads) == "Leads where Last call is more than 30 days ago or never"
    assert focused(leads) == "in-r-0-never" and axe(leads) == []
    leads.reload()
    assert leads.get_by_label("or never").is_checked() and leads.locator("#in-r-0-v").input_value() == "30"


def test_none_of_is_within_reach_while_one_chooses(leads: Any, axe: Axe) -> None:
    add(leads, "r", "Status")
    changed(leads, lambda: leads.get_by_role("button", name="is none of").click())
    assert axe(leads) == []  # with its list open
    leads.keyboard.type("cust")  # one is still in the list
    changed(leads, lambda: leads.keyboard.press("Enter"))
    assert sentence(leads) == "Leads where Status is not Customer" and total(leads) == "40"
    assert leads.locator("#in-r-0-o").input_value() == "none"
    # Turned afterwards, by keyboard, what was chosen stays, and so does the place one is at.
    leads.keyboard.press("Escape")
    leads.locator("#in-r-0-o").focus()
    changed(leads, lambda: leads.keyboard.press("ArrowUp"))
    assert sentence(leads) == "Leads where Status is Customer" and focused(leads) == "in-r-0-o"


def test_an_email_address_is_had_or_not(leads: Any) -> None:
    add(leads, "r", "number of email addresses")
    assert sentence(leads) == "Leads with an email address" and total(leads) == "30"
    choose(leads, "#in-r-0-o", "has none")
    assert sentence(leads) == "Leads with no email address" and total(leads) == "30"
    choose(leads, "#in-r-0-o", "at least")
    leads.locator("#in-r-0-v").fill("2")
    changed(leads, lambda: leads.keyboard.press("Tab"))
    assert sentence(leads) == "Leads with at least 2 email addresses" and total(leads) == "0"
    changed(leads, lambda: leads.get_by_role("button", name="Remove: Number of email addresses").click())
    add(leads, "r", "has no email")
    assert sentence(leads) == "Leads with no email address" and total(leads) == "30"


def test_fields_are_found_by_the_words_people_have(leads: Any, axe: Axe) -> None:
    box = leads.locator("#add-r .ts-control")
    box.click()
    for typed in ("touch", "in touch", "contacted", "spoke", "last contact"):
        leads.keyboard.insert_text(typed)
        found = leads.locator("#add-r .ts-dropdown .option")
        found.filter(has_text="Last communication").wait_for()
        assert leads.locator("#add-r .tp-also").first.is_visible()
        assert axe(leads) == []
        for _ in typed:
            leads.keyboard.press("Backspace")
    assert not leads.locator("#add-r .tp-also").first.is_visible()  # other words are shown to those who look for them
    leads.keyboard.insert_text("last contact")
    changed(leads, lambda: leads.keyboard.press("Enter"))
    assert sentence(leads) == "Leads where Last communication is in the last 30 days"


def test_this_year_takes_one_step(leads: Any) -> None:
    add(leads, "r", "Date created")
    choose(leads, "#in-r-0-o", "this year")
    assert sentence(leads) == "Leads where Date created is this year" and total(leads) == "60"
    add(leads, "r", "Site visit")
    add(leads, "r-1", "last year")
    assert sentence(leads).endswith("and with at least one Site visit dated last year")
    assert focused(leads) == "in-r-1-0-o"


def test_what_was_used_lately_comes_up_with_the_next_page(leads: Any) -> None:
    def top() -> list[str]:
        leads.locator("#add-r .ts-control").click()
        leads.locator("#add-r .ts-dropdown .option").first.wait_for()
        found = leads.locator("#add-r .ts-dropdown .option").all_inner_texts()[:8]
        leads.keyboard.press("Escape")
        return [str(text) for text in found]

    before = top()
    add(leads, "r", "Website")
    add(leads, "r", "Description")
    assert top() == before
    leads.reload()
    assert top()[:3] == ["Description", "Website", before[0]]
    add(leads, "r", "Status")
    assert top()[:3] == ["Description", "Website", before[0]]


def test_results_need_no_button(leads: Any) -> None:
    assert not leads.get_by_role("button", name="Search", exact=True).is_visible()
    leads.locator("#search-text").press_sequentially("company 07")
    leads.locator("#search-total", has_text="1").wait_for()
    leads.keyboard.press("Enter")
    leads.wait_for_load_state("networkidle")
    assert results(leads) == ["Company 07"] and focused(leads) == "search-text"


def test_another_field_keeps_what_was_chosen(leads: Any) -> None:
    add(leads, "r", "Created by")
    pick(leads, "r-0", "Me")
    leads.locator("#in-r-0-f").focus()
    choose(leads, "#in-r-0-f", "Owner")
    assert sentence(leads) == "Leads where Owner is me" and results(leads) == companies(range(0, 60, 2))[:50]
    assert focused(leads) == "in-r-0-f"
    add(leads, "r", "Date created")
    choose(leads, "#in-r-1-o", "more than … ago")
    leads.locator("#in-r-1-v").fill("7")
    changed(leads, lambda: leads.keyboard.press("Tab"))
    choose(leads, "#in-r-1-f", "Last activity")
    assert sentence(leads) == "Leads where Owner is me and Last activity is more than 7 days ago"


def test_a_condition_that_is_not_finished_is_still_there(leads: Any, story_app: LiveApp, axe: Axe) -> None:
    add(leads, "r", "Site visit")
    add(leads, "r-0", "Topics")
    add(leads, "r", "Name")
    waiting = leads.get_by_text("Needs a value. Until then it is left out.")
    assert waiting.count() == 2 and total(leads) == "12" and sentence(leads) == "Leads with at least one Site visit"
    assert axe(leads) == []
    leads.reload()
    assert waiting.count() == 2 and total(leads) == "12" and sentence(leads) == "Leads with at least one Site visit"
    leads.locator("#in-r-1-v").fill("company 05")
    changed(leads, lambda: leads.keyboard.press("Tab"))
    assert waiting.count() == 1 and results(leads) == ["Company 05"]
    pick(leads, "r-0-0", "Price")
    assert waiting.count() == 0 and "builder=" not in leads.url
    # Another page and back: the browser's own button brings it back as well.
    add(leads, "r", "Created by")
    leads.goto(f"{story_app.url}/o/acme/contacts/")
    leads.go_back()
    waiting.wait_for()


def test_a_mouse_at_rest_chooses_nothing(leads: Any) -> None:
    box = leads.locator("#add-r .ts-control")
    box.click()
    option = leads.locator("#add-r .ts-dropdown").get_by_role("option", name="Website", exact=True)
    option.hover()
    assert "active" in str(option.get_attribute("class"))  # one that moves does
    leads.keyboard.press("Escape")
    leads.keyboard.insert_text("number of")  # the list opens and changes below it
    first = leads.locator("#add-r .ts-dropdown .option").first
    assert "active" in str(first.get_attribute("class"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_show_all_of_it(leads: Any, axe: Axe, scheme: str) -> None:
    add(leads, "r", "Last call")
    choose(leads, "#in-r-0-o", "before")
    add(leads, "r", "number of contacts")
    choose(leads, "#in-r-1-o", "between")
    leads.locator("#in-r-1-v").fill("many")
    leads.locator("#in-r-1-v-2").fill("5")
    changed(leads, lambda: leads.keyboard.press("Tab"))
    leads.set_viewport_size({"width": 360, "height": 800})
    leads.emulate_media(color_scheme=scheme)
    # The filters are folded away on a phone, beside the free text; what they ask is said above.
    assert not leads.locator("#builder").is_visible() and leads.locator("#search-sentence").is_visible()
    leads.get_by_text("Filters", exact=True).click()
    add(leads, "r", "Created by")
    assert leads.get_by_role("button", name="is none of").is_visible()
    assert leads.evaluate("document.documentElement.scrollWidth") == 360
    assert axe(leads) == []
    leads.keyboard.press("Escape")
    leads.locator("#add-r .ts-control").click()
    leads.keyboard.insert_text("spoke")
    assert leads.evaluate("document.documentElement.scrollWidth") == 360 and axe(leads) == []


def test_the_list_is_searched_without_javascript(story_app: LiveApp, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 900}, java_script_enabled=False)
    page = context.new_page()
    page.goto(story_app.manage("sign_in_link", "ann@acme.example").strip().splitlines()[-1])
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{story_app.url}/o/acme/leads/")
    page.get_by_placeholder("Find in the list").fill("last contact")
    page.get_by_role("button", name="Find").click()
    assert page.locator("#add-r select").evaluate("list => list.selectedOptions[0].text") == "Last communication"
    page.get_by_role("button", name="Add").click()
    page.locator("#in-r-0-o").select_option(label="more than … ago")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_label("or never").check()
    page.get_by_role("button", name="Search", exact=True).click()
    assert sentence(page) == "Leads where Last communication is more than 30 days ago or never" and total(page) == "60"
    context.close()
