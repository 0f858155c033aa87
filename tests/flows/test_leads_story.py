"""A rep's day with leads, in a browser: a hint, in place, contacts, tasks, a merge, the old link, the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def new_lead(page: Any, name: str, email: str, **more: str) -> str:
    page.goto(re.sub(r"(/o/acme/).*", r"\1leads/new/", page.url))
    page.get_by_label("Name", exact=False).first.fill(name)
    page.get_by_label("Contact name").fill(more.get("contact", ""))
    page.get_by_label("Contact email").fill(email)
    page.get_by_role("button", name="Create lead").click()
    page.wait_for_url(re.compile(r"/leads/lead_\w+/"))
    return page.url


def expect(found: Callable[[], Any], wanted: Any = True, page: Any = None) -> None:
    """Wait until something is so: htmx answers when it answers."""
    for _ in range(50):
        if found() == wanted:
            return
        page.wait_for_timeout(100)
    assert found() == wanted


def test_a_day_with_leads(sign_in: Callable[..., Any], axe: Callable[[Any], list[str]]) -> None:
    page = sign_in()
    old = new_lead(page, "Veridian Ltd", "gavin@veridian.example", contact="Gavin")

    # A second one: the hint comes while typing, with links, and on submit as a question.
    page.goto(re.sub(r"leads/.*", "leads/new/", page.url))
    page.locator("#id_name").press_sequentially("Veridian Inc", delay=10)
    page.locator("#lead_twins .tp-notice").wait_for()
    assert "same name" in page.locator("#lead_twins").inner_text()
    page.locator("#id_contact_email").fill("gavin@veridian.example")
    expect(lambda: "same email" in page.locator("#lead_twins").inner_text(), page=page)
    assert axe(page) == []
    page.get_by_role("button", name="Create lead").click()
    page.get_by_label("It is another one: create it anyway").check()
    page.get_by_role("button", name="Create lead").click()
    page.wait_for_url(re.compile(r"/leads/lead_\w+/"))
    kept = page.url

    # In place, by keyboard alone: Escape cancels and gives the focus back, an error stands at the field.
    pencil = page.get_by_role("link", name="Edit Website")
    if not pencil.is_visible():  # fields of other stories may have a value: what is empty is folded away then
        page.locator(".tp-fold > summary", has_text="empty").click()
    pencil.focus()
    page.keyboard.press("Enter")
    field = page.locator("#part_url input[name=url]")
    field.wait_for()
    expect(lambda: page.evaluate("document.activeElement.name"), "url", page)
    page.keyboard.press("Escape")
    expect(lambda: page.evaluate("document.activeElement.getAttribute('aria-label')"), "Edit Website", page)
    page.keyboard.press("Enter")
    field.wait_for()
    field.fill("no address at all")
    page.keyboard.press("Enter")
    page.locator("#part_url [aria-invalid=true]").wait_for()
    assert "web address" in page.locator("#part_url").inner_text()
    assert axe(page) == []
    page.locator("#part_url input[name=url]").fill("veridian.example")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="veridian.example", exact=True).wait_for()
    expect(lambda: page.evaluate("document.activeElement.getAttribute('aria-label')"), "Edit Website", page)
    page.get_by_role("link", name="Edit the name").focus()
    page.keyboard.press("Enter")
    page.locator("#part-name").fill("Veridian Dynamics")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Veridian Dynamics").wait_for()

    # Somebody else saves the same part meanwhile: both versions are shown, and the choice counts.
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(kept)
        tab.locator("summary", has_text="empty").click()
        tab.get_by_role("link", name="Edit Description").click()
        tab.locator("#part-description").wait_for()
    other.locator("#part-description").fill("Theirs")
    other.locator("#part_description").get_by_role("button", name="Save").click()
    other.get_by_text("Theirs", exact=True).wait_for()
    other.close()
    page.locator("#part-description").fill("Mine")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Somebody else changed this while you were editing.").wait_for()
    assert "Theirs" in page.locator("#part_description dl").inner_text()
    assert page.locator("#part-description").input_value() == "Mine"
    assert axe(page) == []
    page.get_by_role("button", name="Keep mine").click()
    page.locator("#part_description").get_by_text("Mine", exact=True).wait_for()

    # A contact with two emails, one wrong at first; deleted and brought back.
    page.get_by_role("link", name="Add a contact").click()
    page.locator("#contact-new-name").fill("Linda")
    page.locator("#rows_emails_new input").fill("gavin@veridian.example")
    page.get_by_text("Another lead knows this email or phone already").wait_for()
    page.locator("#rows_emails_new input").fill("linda@veridian.example")
    page.get_by_role("button", name="Add email").click()
    expect(lambda: page.locator("#rows_emails_new input").count(), 2, page)
    page.locator("#rows_emails_new input").nth(1).fill("broken")
    page.get_by_role("button", name="Save contact").click()
    page.locator("#contact_new [aria-invalid=true]").wait_for()
    page.locator("#contact_new [aria-invalid=true]").fill("l@home.example")
    page.get_by_role("button", name="Save contact").click()
    page.get_by_role("link", name="Write to l@home.example").wait_for()
    page.get_by_role("link", name="Edit Linda").click()
    page.locator(".tp-contact-editing").get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete contact").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name="Write to l@home.example").wait_for()

    # A task, overdue, done from the list of one's own.
    page.locator("#lead_tasks").get_by_label("Task").fill("Send the offer")
    page.locator("#lead_tasks").get_by_label("Due").fill("2026-01-05")
    page.get_by_role("button", name="Add task").click()
    page.get_by_text("Overdue · 5 Jan 2026").wait_for()
    page.get_by_role("link", name="My tasks").click()
    page.wait_for_url("**/tasks/")
    page.get_by_text("Send the offer").wait_for()
    assert axe(page) == []
    page.get_by_role("button", name="Done: Send the offer").click()
    page.locator(".tp-task-done").wait_for()

    # The palette finds the contact; Enter is pressed before the answer is there.
    page.keyboard.press("Control+k")
    page.keyboard.type("linda", delay=5)
    page.keyboard.press("Enter")
    page.wait_for_url(kept)

    # The merge: found, previewed, done; the old link lands on the survivor.
    page.goto(old)
    page.get_by_text("Gavin", exact=True).first.wait_for()
    page.goto(kept)
    page.get_by_role("link", name="Merge another lead").click()
    page.get_by_role("searchbox", name="Which lead").fill("veridian ltd")
    page.get_by_role("link", name="Compare with Veridian Ltd").click()
    assert "become one contact" in page.locator("main").inner_text()
    assert axe(page) == []
    page.get_by_role("button", name="Merge the two leads").click()
    page.wait_for_url(kept)
    page.locator(".tp-system", has_text="Leads merged").wait_for()
    assert page.locator("#lead_contacts .tp-contact").count() == 2
    assert axe(page) == []
    page.goto(old)
    page.wait_for_url(kept)

    # The end, with the exact count and the name typed.
    page.get_by_role("link", name="Delete lead").click()
    page.get_by_role("button", name="Delete lead with 2 contacts and 1 task").click()
    page.locator("[aria-invalid=true]").wait_for()
    assert axe(page) == []
    page.get_by_label("Type Veridian Dynamics").fill("Veridian Dynamics")
    page.get_by_role("button", name="Delete lead with 2 contacts and 1 task").click()
    page.wait_for_url("**/leads/")
    page.get_by_text("Veridian Dynamics is deleted with 2 contacts and 1 task.").wait_for()


def test_statuses_are_sorted_and_edited_by_keyboard(
    sign_in: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    page = sign_in()
    page.goto(re.sub(r"/o/acme/.*", "/o/acme/settings/statuses/", page.url))
    names = lambda: page.locator(".tp-sortable .tp-status").all_inner_texts()  # noqa: E731
    first, second = names()[:2]
    page.get_by_role("button", name=f"Move {first} down").press("Enter")
    page.get_by_text("The order is saved.").wait_for()
    page.reload()
    assert names()[:2] == [second, first]
    page.get_by_role("button", name=f"Move {first} up").press("Enter")
    page.get_by_text("The order is saved.").wait_for()
    page.get_by_role("link", name=f"Edit {second}").press("Enter")
    page.locator(".tp-status-editing input[name=label]").fill("Not for us")
    assert axe(page) == []
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Edit Not for us").wait_for()
    expect(lambda: page.evaluate("document.activeElement.getAttribute('aria-label')"), "Edit Not for us", page)


@pytest.mark.looks
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_axe_finds_nothing(
    sign_in: Callable[..., Any], axe: Callable[[Any], list[str]], theme: str
) -> None:
    page = sign_in(viewport={"width": 390, "height": 800})
    page.context.add_cookies([{"name": "theme", "value": theme, "url": page.url}])
    page.evaluate(f"localStorage.setItem('touchpoint-theme', '{theme}')")
    lead = new_lead(page, f"Phone {theme}", f"p@{theme}.example", contact="Pat")
    base = re.sub(r"leads/.*", "", lead)
    for address in (
        lead, f"{lead}edit/", f"{lead}delete/", f"{lead}merge/", f"{lead}contacts/new/", f"{base}tasks/", f"{base}leads/new/",
        f"{base}settings/statuses/",
    ):  # fmt: skip
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert axe(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
