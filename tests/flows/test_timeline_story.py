"""The timeline as a person uses it: comments, history, several at once, number keys, links to a card, all by keyboard."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.flows.test_drafts_story import cookies, page, run

__all__ = ["cookies", "page"]  # fixtures

pytestmark = pytest.mark.browser

SET_UP = """
from datetime import timedelta
from django.utils import timezone
from activities.queries import type_catalog
from activities.services.activities import log_activity, update_activity
from activities.services.comments import add_comment
from crm.management.provision import join
from crm.models import Role
ann.user.first_name, ann.user.last_name = "Ann", "Admin"
ann.user.save()
bo = join(organization, "bo@acme.example", Role.objects.get(slug="restricteduser"), first_name="Bo", last_name="Baker")
bo.organization = organization = ann.organization
kind = create_type(ann, name="Story call", icon="phone")
create_type(ann, name="Story fair", icon="flag")
ruled = create_type(ann, name="Story rule", icon="target")
tool = create_field(ann, ruled.fieldset, name="Which tool", kind="choices", options=["Ours", "Another"])
why = create_field(ann, ruled.fieldset, name="Why not ours", kind="text", heading="Reasons", required=True)
update_field(ann, ruled.fieldset, why, {"show_when": {"field": tool.public_id, "values": [tool.options.get(label="Another").public_id]}})
create_field(ann, kind.fieldset, name="Outcome", kind="choices", options=["Interested", "Call back", "No fit"])
create_field(ann, kind.fieldset, name="Remarks", kind="textarea")
leads = [create_lead(ann, name=name) for name in ("Story One", "Story Two", "Story Three")]
call, now = type_catalog(organization).get(kind.pk), timezone.now()
oldest = log_activity(ann, leads[0], call, custom={"Remarks": "the very first"}, activity_at=now - timedelta(days=90))
for number in range(40):
    log_activity(ann, leads[0], call, custom={"Remarks": f"call {number}"}, activity_at=now - timedelta(days=number + 1))
changed = log_activity(ann, leads[0], call, custom={"Remarks": "as it was", "Outcome": "Interested"})
update_activity(ann, changed, custom={"Remarks": "as it is"})
add_comment(bo, changed, "Looks good, @Ann Admin")
print(leads[0].public_id, oldest.public_id)
"""


@pytest.fixture(scope="module")
def story(live_app) -> tuple[str, str]:
    """The address of the lead, and the id of its oldest activity."""
    lead, oldest = run(live_app, SET_UP).split()
    return f"{live_app.url}/o/acme/leads/{lead}/", oldest


def opened(page: Any, address: str) -> None:
    page.goto(address)
    page.locator("#timeline-list").wait_for()


def test_comments_mentions_and_the_bell(live_app, page, sign_in, story) -> None:
    opened(page, story[0])
    bell = page.get_by_role("button", name="Notifications")
    assert "1" in bell.inner_text()
    bell.click()
    page.locator("#bell").get_by_role("button", name=re.compile("^Unread: Bo Baker mentioned you")).click()
    card = page.locator("article.tp-found", has_text="Looks good")
    card.wait_for()
    assert page.locator("#bell-count").is_hidden()
    card.locator(".tp-comment-new summary").click()
    box = card.get_by_label("Comment on this Story call")
    box.press_sequentially("Thanks @b")
    page.locator(".tp-mention-list [role=option]", has_text="Bo Baker").wait_for()
    box.press("ArrowDown")
    box.press("ArrowUp")
    box.press("Enter")
    assert box.input_value() == "Thanks @Bo Baker "
    box.press("Control+Enter")
    card.locator(".tp-mention", has_text="@Bo Baker").wait_for()
    card.get_by_role("link", name="Edit your comment").click()
    card.get_by_label("Your comment").fill("Thank you, @Bo Baker")
    card.get_by_role("button", name="Save").click()
    card.get_by_text("edited").wait_for()
    card.get_by_role("button", name=re.compile("Delete the comment of Ann")).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete comment").click()
    page.get_by_text("The comment is deleted.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("The comment is back.").wait_for()
    page.locator("article.tp-card", has_text="Thank you").wait_for()
    other = sign_in("bo@acme.example")
    opened(other, story[0])
    assert "1" in other.get_by_role("button", name="Notifications").inner_text()
    mine = other.locator("article.tp-card", has_text="Thank you")
    mine.get_by_role("button", name="More for this").click()
    assert "does not include “manage others’ activities”" in mine.locator(".tp-missing", has_text="Edit").inner_text()


def test_an_earlier_version_comes_back(page, story) -> None:
    opened(page, story[0])
    card = page.locator("article.tp-card", has_text="Looks good")
    card.get_by_role("button", name="More for this").click()
    card.get_by_role("link", name="History").click()
    card.get_by_role("button", name="Restore the version of").click()
    page.locator("article.tp-card dd", has_text="as it was").wait_for()
    page.get_by_text("The earlier version is back.").wait_for()


def test_logging_by_keyboard_on_several_leads(page, story) -> None:
    opened(page, story[0])
    page.keyboard.press("n")
    page.locator("[data-filter-menu]").press_sequentially("story")
    page.keyboard.press("Enter")
    form = page.locator("form[data-activity-form]")
    form.wait_for()
    form.locator(".tp-number-keys").wait_for()
    outcome = form.get_by_label("Outcome").first
    outcome.focus()
    page.keyboard.press("2")
    assert outcome.locator("option:checked").inner_text() == "Call back"
    remarks = form.get_by_label("Remarks")
    height = remarks.bounding_box()["height"]
    remarks.press_sequentially("3 tries\n" * 6)
    assert remarks.bounding_box()["height"] > height
    remarks.press("Alt+3")
    assert outcome.locator("option:checked").inner_text() == "No fit"
    assert remarks.input_value().startswith("3 tries")
    form.get_by_text("When, contact, attributed to, other leads").click()
    picker = form.get_by_role("combobox", name="Log on other leads too")
    picker.press_sequentially("Story T")
    page.locator(".ts-dropdown .option", has_text="Story Two").click()
    picker.press_sequentially("Story Th")
    page.locator(".ts-dropdown .option", has_text="Story Three").click()
    remarks.press("Control+Enter")
    page.get_by_text("Story call published on 3 leads: Story One, Story Three, Story Two.").wait_for()


def test_a_field_comes_and_goes_with_what_it_depends_on(page, story) -> None:
    opened(page, story[0])
    page.keyboard.press("n")
    page.locator("[data-filter-menu]").press_sequentially("story rule")
    page.keyboard.press("Enter")
    form = page.locator("form[data-activity-form]")
    tool, why = form.get_by_label("Which tool"), form.get_by_label("Why not ours")
    tool.wait_for()
    why.wait_for(state="hidden")
    form.get_by_role("heading", name="Reasons").wait_for(state="hidden")
    tool.focus()
    tool.select_option(label="Another")
    why.wait_for()
    form.get_by_role("heading", name="Reasons").wait_for()
    assert tool.evaluate("control => control === document.activeElement")
    why.fill("Price")
    tool.select_option(label="Ours")
    why.wait_for(state="hidden")
    tool.select_option(label="Another")
    why.wait_for()
    assert why.input_value() == "Price"
    why.press("Control+Enter")
    card = page.locator("article.tp-card", has=page.get_by_role("heading", name="Story rule"))
    card.get_by_text("Price").wait_for()


def test_a_type_without_fields_is_logged_by_one_key_and_taken_back(page, story) -> None:
    opened(page, story[0])
    page.keyboard.press("n")
    page.locator("[data-filter-menu]").press_sequentially("story f")
    page.keyboard.press("Enter")
    page.get_by_text("Story fair logged.").wait_for()
    card = page.locator("article.tp-card", has=page.get_by_role("heading", name="Story fair"))
    card.wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back.").wait_for()
    card.wait_for(state="detached")


def test_enter_takes_the_name_that_is_typed_and_the_focus_follows_the_work(page, story) -> None:
    opened(page, story[0])
    page.keyboard.press("n")
    page.locator("[data-filter-menu]").press_sequentially("call")
    assert page.locator(".tp-type-menu .dropdown-item:visible").count() > 1
    page.keyboard.press("Enter")
    form = page.get_by_role("region", name="Call", exact=True).locator("form")
    form.get_by_label("Note").fill("by keyboard alone")
    page.keyboard.press("Control+Enter")
    card = page.locator("article.tp-card", has_text="by keyboard alone")
    card.wait_for()
    page.wait_for_function("document.activeElement.matches('article.tp-found')")
    assert page.evaluate("document.activeElement.id") == card.get_attribute("id")
    card.get_by_role("button", name="More for this Call").click()
    card.get_by_role("button", name="Delete").click()
    page.get_by_text("Call deleted.").wait_for()
    page.wait_for_function("document.activeElement.matches('[data-bs-toggle=dropdown]')")
    assert page.evaluate("document.activeElement.closest('li').matches(':first-child')")


def test_selected_cards_go_after_the_count_and_come_back(page, story) -> None:
    opened(page, story[0])
    for words in ("call 3", "call 4"):
        page.locator("article.tp-card").filter(has=page.locator(f"dd:text-is('{words}')")).locator(
            "[data-select]"
        ).check()
    bar = page.locator("#timeline [data-selection-bar]")
    assert bar.locator("[data-selection-count]").inner_text() == "2"
    bar.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 2 activities").click()
    page.get_by_text("2 activities deleted.").wait_for()
    page.locator("dd:text-is('call 3')").wait_for(state="detached")
    bar.wait_for(state="hidden")
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("2 activities are back.").wait_for()
    page.locator("dd:text-is('call 3')").wait_for()


def test_filters_stay_in_the_address_and_a_link_opens_its_card_anyway(live_app, page, story) -> None:
    opened(page, story[0])
    assert page.locator("dd:text-is('the very first')").count() == 0
    page.locator("#timeline-words").press_sequentially("call 7")
    page.locator("dd:text-is('call 8')").wait_for(state="detached")
    assert page.evaluate("document.activeElement.id") == "timeline-words"
    page.locator(".tp-filter-menu > summary").click()
    page.get_by_role("checkbox", name="Note", exact=True).check()
    page.get_by_text("No activity fits these filters.").wait_for()
    assert "1 kind" in page.locator(".tp-filter-menu > summary").inner_text()
    assert "words=call+7" in page.url and "type=actitype_" in page.url
    page.reload()
    page.get_by_text("No activity fits these filters.").wait_for()
    page.goto(f"{page.url}&activity={story[1]}")
    page.locator(f"article.tp-found#{story[1]}").wait_for()
    page.goto(f"{live_app.url}/o/acme/activities/{story[1]}/")
    page.locator(f"article.tp-found#{story[1]}").wait_for()
    assert page.evaluate("document.activeElement.id") == story[1]


@pytest.mark.looks
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(live_app, page, axe, story, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    opened(page, story[0])
    card = page.locator("article.tp-card", has_text="Looks good")
    card.get_by_role("button", name="More for this").click()
    card.get_by_role("link", name="History").click()
    card.locator(".tp-history").wait_for()
    card.locator(".tp-comment-new summary").click()
    card.get_by_label("Comment on this").press_sequentially("@")
    page.locator(".tp-mention-list").wait_for()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == theme
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.locator(".tp-filter-menu > summary").click()
    assert axe(page) == []
    page.get_by_role("button", name="New activity").click()
    page.locator(".tp-type-menu").get_by_role("link", name="Story call").click()
    page.locator(".tp-number-keys").wait_for()
    page.get_by_text("When, contact, attributed to, other leads").click()
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for path in ("drafts/", "notifications/"):
        page.goto(f"{live_app.url}/o/acme/{path}")
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Notifications").click()
    page.locator("#bell").wait_for()
    page.wait_for_timeout(300)
    assert axe(page) == []
