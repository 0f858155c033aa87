"""What is typed into the forms of comments, contacts and leads stays in the browser until the server has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.test_drafts_story import enter, open_form, resume, run, saved

pytestmark = pytest.mark.browser

KEPT = "Object.keys(localStorage).filter((key) => key.includes('touchpoint:draft'))"
NAMES = ("Comment", "Contact", "Two tabs", "Discarded", "Deleted")
SET_UP = f"""
from activities.services.activities import log_activity
from activities.queries import type_catalog
for name in {NAMES!r}:
    row = create_type(ann, name=name, icon="phone")
    create_field(ann, row.fieldset, name="Remarks", kind="textarea")
    lead = create_lead(ann, name=f"{{name}} Ltd")
    if name in ("Comment", "Deleted"):
        organization.refresh_from_db()
        log_activity(ann, lead, type_catalog(organization).get(row.pk), custom={{"Remarks": "to talk about"}})
    print(lead.public_id, end=" ")
"""


@pytest.fixture(scope="module")
def leads(live_app) -> dict[str, str]:
    """The address of a lead by the name of its type, which has a text."""
    made = run(live_app, SET_UP).split()
    return {name: f"{live_app.url}/o/acme/leads/{lead}/" for name, lead in zip(NAMES, made, strict=True)}


@pytest.fixture
def page(live_app, browser) -> Iterator[Any]:
    """A page of the signed-in admin; an error in its scripts fails the test."""
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    opened = context.new_page()
    enter(opened, live_app)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert not problems, problems


def closed(page: Any) -> Any:
    """Close the tab and return another one of the same browser."""
    other = page.context.new_page()
    page.close()
    return other


def comment_on(page: Any, lead: str) -> Any:
    page.goto(lead)
    page.locator(".tp-comment-new summary").click()
    return page.get_by_label("Comment on this")


def test_a_comment_survives_a_closed_tab_and_goes_when_it_is_sent(page, leads) -> None:
    comment_on(page, leads["Comment"]).fill("Half a thought")
    page = closed(page)
    page.goto(leads["Comment"])
    page.locator("[data-kept-here]").get_by_text("Comment on Comment: text typed at").wait_for()
    page.get_by_role("link", name="Go on with it").click()
    page.wait_for_url("**/comments/*")
    assert page.get_by_label("Comment on this").input_value() == ""
    page.get_by_role("button", name="Take it").click()
    assert page.get_by_label("Comment on this").input_value() == "Half a thought"
    page.get_by_role("button", name="Comment", exact=True).click()
    page.locator(".tp-comments").get_by_text("Half a thought").wait_for()
    assert page.evaluate(KEPT) == []
    page.goto(leads["Comment"])
    page.locator(".tp-comments").get_by_text("Half a thought").wait_for()
    assert page.locator("[data-kept-here]").is_hidden()


def test_a_comment_on_what_was_deleted_can_still_be_read(live_app, page, leads) -> None:
    comment_on(page, leads["Deleted"]).fill("Do not lose this")
    page = closed(page)
    run(
        live_app,
        "from activities.services.activities import delete_activity\n"
        'delete_activity(ann, Activity.objects.get(type__name="Deleted"))\nprint(1)',
    )
    page.goto(leads["Deleted"])
    page.get_by_role("link", name="Go on with it").click()
    page.get_by_text("It is not there any more. What was typed: Do not lose this").wait_for()


def test_a_new_contact_out_of_reach_is_offered_with_all_its_emails(page, leads) -> None:
    page.goto(leads["Contact"])
    panel = page.locator("#lead_contacts")
    page.get_by_role("link", name="Add a contact").click()
    panel.get_by_label("Name", exact=True).fill("Bo Baker")
    panel.get_by_label("Email", exact=True).fill("bo@example.com")
    page.get_by_role("button", name="Add email").click()
    panel.get_by_label("Email", exact=True).nth(1).fill("bo@home.example")
    page.context.set_offline(True)
    page.get_by_role("button", name="Save contact").click()
    page.get_by_text("The server cannot be reached").wait_for()
    page.context.set_offline(False)
    page = closed(page)
    panel = page.locator("#lead_contacts")
    page.goto(leads["Contact"])
    page.locator("[data-kept-here]").get_by_text("New contact at Contact Ltd: text typed at").wait_for()
    page.get_by_role("link", name="Add a contact").click()
    panel.get_by_role("button", name="Take it").click()
    emails = panel.get_by_label("Email", exact=True)
    assert [emails.nth(n).input_value() for n in range(emails.count())] == ["bo@example.com", "bo@home.example"]
    page.get_by_role("button", name="Save contact").click()
    page.locator(".tp-contact", has_text="Bo Baker").get_by_text("bo@home.example").wait_for()
    assert page.evaluate(KEPT) == []
    # Whoever cancels throws away.
    page.get_by_role("link", name="Add a contact").click()
    panel.get_by_label("Name", exact=True).fill("Never mind")
    page.wait_for_timeout(600)
    assert len(page.evaluate(KEPT)) == 1
    page.get_by_role("link", name="Cancel").click()
    page.locator("#contact_new").wait_for(state="hidden")
    assert page.evaluate(KEPT) == []


def test_a_contact_saved_on_a_page_of_its_own_leaves_nothing_behind(page, leads) -> None:
    page.goto(leads["Contact"])
    panel = page.locator("#lead_contacts")
    page.get_by_role("link", name="Add a contact").click()
    panel.get_by_label("Name", exact=True).fill("Own Page")
    page = closed(page)
    page.goto(leads["Contact"])
    page.get_by_role("link", name="Go on with it").click()
    page.get_by_role("button", name="Take it").click()
    page.get_by_label("Email", exact=True).first.fill("no address")
    page.get_by_role("button", name="Save contact").click()
    page.locator(".is-invalid").wait_for()
    # Refused, the form has it, and nothing is offered.
    assert page.locator("[data-draft-offer]").is_hidden()
    page.get_by_label("Email", exact=True).first.fill("own@example.com")
    # Out of reach, it is kept, wherever one goes next.
    page.context.set_offline(True)
    page.get_by_role("button", name="Save contact").click()
    page.wait_for_timeout(600)
    page.context.set_offline(False)
    page.goto(leads["Contact"])
    page.get_by_role("link", name="Go on with it").click()
    page.get_by_role("button", name="Take it").click()
    page.get_by_role("button", name="Save contact").click()
    page.locator(".tp-contact", has_text="Own Page").wait_for()
    assert page.evaluate(KEPT) == []
    assert page.locator("[data-kept-here]").is_hidden()


def test_a_form_opened_after_a_refused_one_was_cancelled_keeps_nothing_while_it_is_empty(page, leads) -> None:
    page.goto(leads["Contact"])
    panel = page.locator("#lead_contacts")
    page.get_by_role("link", name="Add a contact").click()
    panel.get_by_label("Email", exact=True).fill("no address")
    page.get_by_role("button", name="Save contact").click()
    panel.locator(".is-invalid").wait_for()
    page.wait_for_timeout(600)
    page.get_by_role("link", name="Cancel").click()
    page.locator("#contact_new").wait_for(state="hidden")
    page.get_by_role("link", name="Add a contact").click()
    name = panel.get_by_label("Name", exact=True)
    name.press_sequentially("x")
    page.wait_for_timeout(600)
    assert len(page.evaluate(KEPT)) == 1
    name.press("Backspace")
    page.wait_for_timeout(600)
    assert page.evaluate(KEPT) == []


def test_a_new_lead_stays_while_the_server_is_out_of_reach_and_after(live_app, page) -> None:
    address = f"{live_app.url}/o/acme/leads/new/"
    page.goto(address)
    page.get_by_label("Description").fill("Met at the fair")
    page.get_by_role("button", name="Create lead").click()
    page.get_by_text("One thing needs your attention").wait_for()
    assert page.get_by_label("Description").input_value() == "Met at the fair"
    page.locator("#id_name").fill("Out of reach Inc")
    page.context.set_offline(True)
    page.get_by_role("button", name="Create lead").click()
    page.get_by_text("The server cannot be reached").wait_for()
    assert page.locator("#id_name").input_value() == "Out of reach Inc"
    page.context.set_offline(False)
    page = closed(page)
    page.goto(address)
    page.get_by_role("button", name="Take it").click()
    assert page.get_by_label("Description").input_value() == "Met at the fair"
    page.get_by_role("button", name="Create lead").click()
    page.get_by_role("heading", name="Out of reach Inc").wait_for()
    assert page.evaluate(KEPT) == []


def test_two_new_forms_out_of_reach_keep_a_text_each(live_app, page, leads) -> None:
    lead = leads["Two tabs"]
    tabs = [page, page.context.new_page()]
    forms = [open_form(tab, lead, "Two tabs") for tab in tabs]
    page.context.set_offline(True)
    for form, text in zip(forms, ("the first", "the second"), strict=True):
        form.get_by_label("Remarks").fill(text)
        form.get_by_text("The server cannot be reached. Your text is kept in this browser.").wait_for()
    tabs[0].close()
    page = closed(tabs[1])
    page.context.set_offline(False)
    page.goto(lead)
    page.locator("#timeline-list").wait_for()
    notices = page.locator("[data-kept-here] .tp-notice")
    assert notices.count() == 2
    found = set()
    for left in (1, 0):
        notices.first.get_by_role("link", name="Go on with it").click()
        form = page.locator("form[data-activity-form]")
        form.get_by_role("button", name="Take it").click()
        found.add(form.get_by_label("Remarks").input_value())
        saved(page)
        page.goto(lead)
        page.locator("#timeline-list").wait_for()
        assert notices.count() == left
    assert found == {"the first", "the second"}
    assert run(live_app, 'print(Activity.with_drafts.filter(type__name="Two tabs").count())') == "2"


def test_text_of_a_draft_that_was_discarded_elsewhere_goes_on_in_a_new_form(live_app, page, leads) -> None:
    form = open_form(page, leads["Discarded"], "Discarded")
    form.get_by_label("Remarks").fill("first")
    saved(page)
    form = resume(page, live_app, "Discarded on Discarded Ltd")
    page.route("**/autosave/", lambda route: route.abort())
    form.get_by_label("Remarks").fill("first and more")
    page.get_by_text("The server cannot be reached. Your text is kept in this browser.").wait_for()
    page = closed(page)
    run(
        live_app,
        "from activities.services.drafts import discard_draft\n"
        'discard_draft(ann, Activity.with_drafts.get(type__name="Discarded"))\nprint(1)',
    )
    page.goto(leads["Discarded"])
    page.get_by_role("link", name="Go on with it").click()
    page.wait_for_url("**/log/**")
    form = page.locator("form[data-activity-form]")
    form.get_by_role("button", name="Take it").click()
    saved(page)
    assert form.get_by_label("Remarks").input_value() == "first and more"
    assert page.evaluate(KEPT) == []
