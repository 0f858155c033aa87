"""The main job, as a person does it: a type with fields, a lead, a draft, publishing, finding it, the numbers."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.browser


def make_type(page, base: str, name: str) -> None:
    page.goto(f"{base}/settings/activities/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create and add fields").click()
    page.wait_for_url("**/settings/activities/actitype_*/")


def add_field(page, name: str, kind: str, options: str = "", required: bool = False) -> None:
    page.get_by_role("link", name="Add field").click()
    page.get_by_label("Name").fill(name)
    page.locator("[name=kind]").select_option(kind)
    if options:
        page.locator("[name=options]").fill(options)
    if required:
        page.locator("[name=required]").check()
    page.get_by_role("button", name="Save field").click()
    page.wait_for_url("**/settings/activities/actitype_*/")


def make_lead(page, base: str, name: str) -> str:
    page.goto(f"{base}/leads/new/")
    page.locator("[name=name]").fill(name)
    page.get_by_role("button", name="Create lead").click()
    page.wait_for_url("**/leads/lead_*/")
    return page.url


def open_form(page, kind: str) -> None:
    page.locator(".tp-compose-menu").get_by_role("link", name=kind).first.click()
    page.locator("form[data-activity-form]").wait_for()


def control(page, label: str):
    return page.locator("form[data-activity-form]").get_by_label(label, exact=False).first


def add_condition(page, path: str, name: str) -> None:
    """Choose an entry of an *Add* list of the search builder by typing it."""
    page.locator(f"#add-{path} .ts-control").click()
    page.keyboard.type(name)
    with page.expect_response(lambda response: "do=add" in response.url):
        page.keyboard.press("Enter")
    page.locator("#search:not(.htmx-swapping):not(.htmx-settling)").wait_for()


def test_the_main_job(live_app, sign_in, axe) -> None:
    page = sign_in()
    base = f"{live_app.url}/o/acme"
    make_type(page, base, "Demo call")
    add_field(page, "Are they qualified?", "text", required=True)
    add_field(page, "Current CRM", "choices", "HubSpot\nSalesforce\nNone")
    add_field(page, "Users", "number")
    assert axe(page) == []
    lead_url = make_lead(page, base, "Northwind Labs")

    # Typing makes a draft; a half-typed number survives closing the page.
    open_form(page, "Demo call")
    control(page, "Users").type("12.")
    page.get_by_text(re.compile(r"Saved as draft \d\d:\d\d")).wait_for()
    page.goto(f"{base}/drafts/")
    assert page.locator(".tp-panel-list li", has_text="Northwind Labs").count() == 1
    page.get_by_role("link", name="Demo call on Northwind Labs").click()
    assert control(page, "Users").input_value() == "12."

    # Publishing shows every error at its field and keeps the input.
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("“Are they qualified?” is required.").first.wait_for()
    assert control(page, "Users").input_value() == "12."
    control(page, "Are they qualified?").fill("Yes, with a budget")
    control(page, "Current CRM").select_option(label="HubSpot")
    control(page, "Users").fill("48")
    page.get_by_role("button", name="Publish").click()
    page.wait_for_url(f"{lead_url}#acti_*")
    card = page.locator("article.tp-card", has_text="Demo call")
    card.wait_for()
    assert card.count() == 1
    assert "Yes, with a budget" in card.inner_text()
    assert "HubSpot" in card.inner_text()
    assert "Draft" not in card.inner_text()
    assert axe(page) == []

    # Found by a field of the activity, in words.
    page.goto(f"{base}/leads/")
    add_condition(page, "r", "Demo call")
    add_condition(page, "r-0", "Users")
    page.locator("#in-r-0-0-o").select_option(label=">")
    page.locator("#in-r-0-0-v").fill("40")
    page.locator("#in-r-0-0-v").press("Tab")
    page.locator(".tp-sentence", has_text="Users > 40").wait_for()
    assert page.locator("#results tbody tr").count() == 1
    assert axe(page) == []
    page.locator("#in-r-0-0-v").fill("50")
    page.locator("#in-r-0-0-v").press("Tab")
    page.get_by_text("Nothing fits").wait_for()

    # The numbers, each opening its list.
    page.goto(f"{base}/reports/overview/")
    tile = page.locator(".tp-tile", has_text="Demo call")
    tile.locator(".tp-figure a").first.wait_for()
    assert tile.locator(".tp-figure a").first.inner_text() == "1"
    tile.locator(".tp-figure a").first.click()
    page.wait_for_url("**/reports/records/?**")
    assert page.locator("tbody tr").count() == 1
    page.goto(f"{base}/reports/comparison/")
    assert page.locator("tfoot").inner_text().split()[0] == "Total"
    assert axe(page) == []


def test_an_untouched_form_leaves_nothing(live_app, sign_in) -> None:
    page = sign_in()
    base = f"{live_app.url}/o/acme"
    make_lead(page, base, "Untouched")
    before = page.locator("#nav-badge-drafts").count()
    open_form(page, "Note")
    page.locator("[data-close-form]").click()
    page.reload()
    assert page.locator("#nav-badge-drafts").count() == before
    assert page.locator("article.tp-card").count() == 0


def test_on_a_phone_the_line_about_the_draft_moves_no_button(live_app, sign_in) -> None:
    page = sign_in(viewport={"width": 390, "height": 844})
    make_lead(page, f"{live_app.url}/o/acme", "In the train")
    page.keyboard.press("n")
    page.keyboard.type("Note")
    page.keyboard.press("Enter")
    page.locator("form[data-activity-form] textarea").first.fill("said in a hurry")
    page.get_by_role("button", name="Publish").click()
    card = page.locator("article.tp-card", has_text="said in a hurry")
    card.get_by_role("button", name="More for this Note").click()
    card.get_by_role("link", name="Edit").click()
    save = page.get_by_role("button", name="Save", exact=True)
    save.wait_for()
    text = page.locator("form[data-activity-form] textarea").first

    def below() -> float:
        return save.bounding_box()["y"] - text.bounding_box()["y"]

    before = below()
    text.fill("said in the train")
    page.locator("[data-draft-line]", has_text=re.compile(r"\w")).wait_for()
    assert below() == before


def test_text_survives_a_server_that_dies(live_app, sign_in) -> None:
    page = sign_in()
    base = f"{live_app.url}/o/acme"
    lead = make_lead(page, base, "Power cut")
    open_form(page, "Note")
    live_app.kill_web()
    control(page, "Note").last.fill("typed while nobody listened")
    page.get_by_text("The server cannot be reached. Your text is kept in this browser.").wait_for()
    live_app.start()
    # In reach again, it goes there by itself.
    page.get_by_text(re.compile(r"Saved as draft")).wait_for()
    page.goto(lead)
    page.locator(".tp-draft article", has_text="typed while nobody listened").wait_for()
    assert page.locator("[data-kept-here]").is_hidden()


def test_two_tabs_keep_both_versions(live_app, sign_in) -> None:
    page = sign_in()
    base = f"{live_app.url}/o/acme"
    make_lead(page, base, "Two tabs")
    open_form(page, "Note")
    page.locator("form textarea").first.fill("first")
    page.get_by_text(re.compile(r"Saved as draft")).wait_for()
    page.goto(f"{base}/drafts/")
    address = page.get_by_role("link", name="Note on Two tabs").get_attribute("href")
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(f"{live_app.url}{address}")
    page.locator("form textarea").first.fill("from the first tab")
    page.get_by_text(re.compile(r"Saved as draft")).wait_for()
    other.locator("form textarea").first.fill("from the second tab")
    conflict = other.locator("[data-draft-conflict]")
    conflict.get_by_role("button", name="Keep mine").wait_for()
    assert "from the first tab" in conflict.inner_text()
    assert other.locator("form textarea").first.input_value() == "from the second tab"
    conflict.get_by_role("button", name="Take the other").click()
    assert other.locator("form textarea").first.input_value() == "from the first tab"


def test_publishing_while_a_save_is_under_way_gives_one_activity(live_app, sign_in) -> None:
    page = sign_in()
    base = f"{live_app.url}/o/acme"
    lead = make_lead(page, base, "Fast hands")
    open_form(page, "Note")
    note = page.locator("form textarea").first
    note.fill("quick")
    note.blur()
    note.press("Control+Enter")
    page.locator("article.tp-card", has_text="quick").wait_for()
    page.goto(lead)
    page.locator("article.tp-card", has_text="quick").wait_for()
    assert page.locator("article.tp-card").count() == 1
    page.goto(f"{base}/drafts/")
    assert page.get_by_role("link", name="Note on Fast hands").count() == 0


def test_deleting_can_be_undone(live_app, sign_in) -> None:
    page = sign_in()
    base = f"{live_app.url}/o/acme"
    make_lead(page, base, "Second thoughts")
    open_form(page, "Note")
    page.locator("form textarea").first.fill("keep me")
    page.get_by_role("button", name="Publish").click()
    card = page.locator("article.tp-card", has_text="keep me")
    card.wait_for()
    card.get_by_role("button", name="More for this Note").click()
    card.get_by_role("button", name="Delete").click()
    card.wait_for(state="detached")
    page.get_by_role("button", name="Undo").click()
    page.locator("article.tp-card", has_text="keep me").wait_for()
