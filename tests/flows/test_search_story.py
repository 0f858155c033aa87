"""A sales manager's searches, built by somebody who has never seen the builder: ten of them, then one saved, reopened,
changed in bulk and exported.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser

SEED = """
import django; django.setup()
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from activities.queries import type_catalog
from activities.services.activities import log_activity
from activities.services.types import create_type
from crm import events
from crm.customfields.services import create_field
from crm.management.provision import join
from crm.members import deactivate_member
from crm.models import FieldSet, Membership, Role
from crm.tenancy import scope
from leads.services import create_contact, create_lead, create_task
ann = Membership.unscoped.select_related("user", "organization", "role").get(user__email="ann@acme.example")
with scope(ann.organization), events.door("page"), transaction.atomic():
    call, demo = create_type(ann, name="Sales Qualifying Call"), create_type(ann, name="Demo")
    visit = create_type(ann, name="Site visit")
    create_field(ann, call.fieldset, name="Qualified", kind="text")
    create_field(ann, call.fieldset, name="Users", kind="number")
    create_field(ann, call.fieldset, name="Current CRM", kind="choices", options=["HubSpot", "Salesforce"])
    create_field(ann, visit.fieldset, name="Topics", kind="choices", options=["Price", "Security"], multiple=True)
    create_field(ann, visit.fieldset, name="Met with", kind="contact")
    owner = create_field(ann, FieldSet.objects.get(owner="lead"), name="Owner", kind="user")
    bob = join(ann.organization, "bob@acme.example", Role.objects.get(slug="user"), first_name="Bob", last_name="Gone")
    now, kinds = timezone.now(), type_catalog(ann.organization)
    for n in range(60):
        given = {"status": "Customer"} if n >= 40 else {}
        if n % 6 == 0:
            given["addresses"] = [{"city": "Berlin", "country": "DE"}]
        lead = create_lead(ann, name=f"Company {n:02}", custom={owner.public_id: ann.user.email} if n % 2 == 0 else {}, **given)
        who = create_contact(ann, lead, name=f"Pat {n:02}", title="Head of Sales" if n % 4 == 0 else "Engineer",
                             emails=[{"email": f"pat{n}@company.example", "type": "office"}] if n % 4 < 2 else [])
        kinds = type_catalog(ann.organization)
        values = {"Qualified": "yes", "Users": str(40 + n), "Current CRM": ["HubSpot", "Salesforce", None][n % 3]}
        log_activity(ann, lead, kinds.by_name("Sales Qualifying Call"), custom=values, activity_at=now - timedelta(days=n))
        if n % 10 == 0:
            log_activity(ann, lead, kinds.by_name("Demo"), activity_at=now - timedelta(days=1))
        if n % 5 == 0:
            for days, topics in ((5, ["Security"]), (15, ["Price"] if n % 2 == 0 else ["Security"]), (200, ["Security"])):
                log_activity(bob, lead, kinds.by_name("Site visit"), activity_at=now - timedelta(days=days),
                             custom={"Topics": topics, "Met with": who.public_id})
        if n % 7 < 2:
            create_task(ann, lead, text="Call back", due_date=(now + timedelta(days=-3 if n % 7 == 0 else 10)).date(),
                        assigned_to=ann.user)
    deactivate_member(ann, bob)
"""
# Owner is Ann (even), the call at most 30 days ago (n ≤ 30), more than 50 users (n > 10), HubSpot or nothing, no demo.
HOT = [n for n in range(60) if n % 2 == 0 and 10 < n <= 30 and n % 3 != 1 and n % 10 != 0]


def companies(numbers: Any) -> list[str]:
    return [f"Company {n:02}" for n in numbers]


EXPECTED = companies(HOT)


@pytest.fixture(scope="module")
def story_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """An app with sixty companies, their calls, demos, visits and tasks, and a worker."""
    app = LiveApp(tmp_path_factory.mktemp("search"))
    try:
        app.prepare()
        app.manage("create_organization", "Acme", "--slug", "acme", "--plan", "scale", "--admin", "ann@acme.example")
        subprocess.run([sys.executable, "-c", SEED], env=app.environment, cwd=Path(__file__).parents[2], check=True)
        app.start()
        app.start_worker()
        yield app
    finally:
        app.stop()


@pytest.fixture
def page(story_app: LiveApp, browser: Any) -> Any:
    """The page of Ann, signed in; errors and blocked styles fail the test."""
    problems: list[str] = []
    context = browser.new_context(
        viewport={"width": 1440, "height": 1000}, accept_downloads=True, reduced_motion="reduce"
    )
    found = context.new_page()
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    found.goto(story_app.manage("sign_in_link", "ann@acme.example").strip().splitlines()[-1])
    found.get_by_role("button", name="Sign in").click()
    found.wait_for_url("**/o/**")
    yield found
    context.close()
    assert not problems, problems


def add(page: Any, path: str, name: str) -> None:
    """Choose an entry of an *Add* list by its words, which come at once: the list is drawn once, not for each letter."""
    page.locator(f"#add-{path} .ts-control").click()
    page.keyboard.insert_text(name)
    changed(page, lambda: page.keyboard.press("Enter"))


def changed(page: Any, act: Callable[[], Any]) -> None:
    """Do something that asks the server, and wait until its answer stands."""
    with page.expect_response(lambda response: "/?" in response.url):
        act()
    page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')")


def focus(page: Any, path: str) -> None:
    """Go to the list of values of a condition; a new condition is there already."""
    box = page.locator(f"#in-{path}-v-ts-control")
    box.wait_for()
    if not box.evaluate("box => box === document.activeElement"):
        box.click()


def pick(page: Any, path: str, *names: str) -> None:
    """Choose values of a condition by typing them."""
    focus(page, path)
    for name in names:
        page.keyboard.insert_text(name)
        changed(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.press("Escape")


def results(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("#results tbody td.tp-main-cell").all_inner_texts()]


class Builder:
    """What a person does in the builder, each deed counted: a click, a choice, a word typed."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base, self.deeds = page, base, 0

    def open(self, name: str) -> None:
        self.page.goto(f"{self.base}/{name}/")
        self.deeds, self.started = 0, time.monotonic()

    def add(self, path: str, name: str) -> None:
        self.deeds += 2
        add(self.page, path, name)

    def choose(self, selector: str, label: str) -> None:
        self.deeds += 1
        changed(self.page, lambda: self.page.locator(selector).select_option(label=label))

    def fill(self, path: str, text: str) -> None:
        self.deeds += 1
        self.page.locator(f"#in-{path}-v").fill(text)
        changed(self.page, lambda: self.page.keyboard.press("Tab"))

    def pick(self, path: str, *names: str) -> None:
        """Type values into the list that has the focus already, or click them."""
        self.deeds += 1 + len(names)
        pick(self.page, path, *names)

    def pick_found(self, path: str, words: str, name: str) -> None:
        """Type words into a list that searches on the server, and take what it finds."""
        self.deeds += 2
        focus(self.page, path)
        self.page.keyboard.type(words)
        changed(self.page, self.page.get_by_role("option", name=name).click)
        self.page.keyboard.press("Escape")

    def check(self, expected: list[str], sentence: str, deeds: int) -> None:
        """What stands in the table and above it; in under a minute, with no more deeds than it took when written down."""
        assert results(self.page) == expected
        assert self.page.locator(".tp-sentence").inner_text() == sentence
        assert time.monotonic() - self.started < 60 and self.deeds <= deeds, self.deeds


def test_ten_searches_of_a_sales_manager(page: Any, story_app: LiveApp, axe: Callable[[Any], list[str]]) -> None:
    build, today = Builder(page, f"{story_app.url}/o/acme"), datetime.now(UTC).date()

    # 1. Qualified in the last 30 days, more than 50 users, no demo since, current CRM is HubSpot or empty, owner is me.
    build.open("leads")
    build.add("r", "Sales Qualifying Call")
    build.add("r-0", "in the last")
    build.add("r-0", "Users")
    build.fill("r-0-1", "50")
    build.add("r-0", "Current CRM")
    build.pick("r-0-2", "HubSpot", "Empty")
    build.add("r", "Demo")
    build.choose("#in-r-1-h", "has none")
    build.add("r-1", "in the last")
    build.add("r", "Owner")
    build.pick("r-2", "Me")
    build.check(
        companies(HOT),
        "Leads where Owner is me, with at least one Sales Qualifying Call dated in the last 30 days where Users > 50 and "
        "Current CRM is HubSpot or empty and with no Demo dated in the last 30 days",
        21,
    )
    assert axe(page) == []
    page.locator("#save-view > summary").click()
    page.get_by_label("Name", exact=True).fill("Warm")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**view=save_*")

    # 2. Customers nobody has talked to for more than 50 days.
    build.open("leads")
    build.choose("#search-form [name=status]", "Customer")
    build.add("r", "Last activity")
    build.choose("#in-r-0-o", "more than … ago")
    build.fill("r-0", "50")
    build.check(
        companies(n for n in range(51, 60) if n % 5),
        "Leads where Last activity is more than 50 days ago and Status is Customer",
        5,
    )

    # 3. Visited at least twice within three weeks.
    build.open("leads")
    build.add("r", "Site visit")
    build.choose("#in-r-0-h", "has at least …")
    build.add("r-0", "in the last")
    build.choose("#in-r-0-0-v-2", "weeks")
    build.fill("r-0-0", "3")
    build.check(companies(range(0, 60, 5)), "Leads with at least 2 Site visits dated in the last 3 weeks", 7)

    # 4. The last thing that happened was a qualifying call with a Salesforce user.
    build.open("leads")
    build.add("r", "Last activity was")
    build.choose("#in-r-0-w", "Sales Qualifying Call")
    build.add("r-0", "Current CRM")
    build.pick("r-0-0", "Salesforce")
    build.check(
        companies(n for n in range(60) if n % 3 == 1 and n % 5),
        "Leads whose last activity was a Sales Qualifying Call where Current CRM is Salesforce",
        7,
    )

    # 5. Heads of something we can write to, and no demo ever.
    build.open("leads")
    build.add("r", "Contact")
    build.add("r-0", "Title")
    build.fill("r-0-0", "head")
    build.add("r", "Email address")
    build.add("r", "Demo")
    build.choose("#in-r-2-h", "has none")
    build.check(
        companies(n for n in range(60) if n % 4 == 0 and n % 10),
        "Leads with at least one contact where Title contains “head”, with at least one email address and with no Demo",
        10,
    )

    # 6. Tasks of mine that are overdue.
    build.open("leads")
    build.add("r", "Task")
    build.add("r-0", "Done")
    build.choose("#in-r-0-0-o", "is no")
    build.add("r-0", "Due date")
    build.choose("#in-r-0-1-o", "before")
    build.fill("r-0-1", f"{today}")
    build.add("r-0", "Assigned to")
    build.pick("r-0-2", "Me")
    build.check(
        companies(range(0, 60, 7)),
        f"Leads with at least one task where Done is no, Due date is before {today:%-d %b %Y} and Assigned to is me",
        13,
    )

    # 7. Site visits that were about something else than security: not “never about security”.
    build.open("leads")
    build.add("r", "Site visit: Topics")
    build.pick("r-0-0", "Security")
    build.choose("#in-r-0-h", "has one where not")
    build.check(companies(range(0, 60, 10)), "Leads with at least one Site visit where Topics is not Security", 5)

    # 8. In Berlin, or shown a demo this year.
    build.open("leads")
    build.add("r", "City")
    build.fill("r-0-0", "berlin")
    build.add("r", "Demo")
    build.choose("#in-r-m", "any of these holds")
    build.check(
        companies(n for n in range(60) if n % 6 == 0 or n % 10 == 0),
        "Leads with at least one address where City contains “berlin” or with at least one Demo",
        6,
    )

    # 9. Not in that view, and somebody met Pat there: found by name as one types.
    build.open("leads")
    build.add("r", "Site visit: Met with")
    build.pick_found("r-0-0", "pat 2", "Pat 20 · Company 20")
    build.add("r", "In another Smart View")
    build.choose("#in-r-1-o", "not in the Smart View")
    build.choose("#in-r-1-v", "Warm")
    build.check(
        ["Company 20"],
        "Leads where it is not in the Smart View “Warm” and with at least one Site visit where Met with is Pat 20",
        8,
    )

    # 10. Visits by members who have left, a long time ago: activities, across leads.
    build.open("activities")
    build.choose("#search-form [name=type]", "Site visit")
    build.add("r", "User")
    build.pick("r-0", "Any former member")
    build.add("r", "more than")
    build.fill("r-1", "100")
    leads = page.locator("#results tbody td[data-label=Lead]")
    assert sorted(leads.all_inner_texts()) == companies(range(0, 60, 5))
    assert build.deeds <= 8 and time.monotonic() - build.started < 60

    # By keyboard alone: f, words and Enter; Ctrl+Enter goes on inside. What was used lately stands on top.
    build.open("leads")
    page.keyboard.press("f")
    page.get_by_text("Lately used").wait_for()
    page.keyboard.type("visits at")
    page.get_by_text("Nothing matches.").wait_for()
    for _ in "s at":
        page.keyboard.press("Backspace")
    changed(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.press("Control+Enter")
    page.keyboard.type("more than")
    changed(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.type("100")
    changed(page, lambda: page.keyboard.press("Control+Enter"))
    page.keyboard.type("topics")
    changed(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.type("sec")
    changed(page, lambda: page.keyboard.press("Enter"))
    sentence = "Leads with at least one Site visit dated more than 100 days ago where Topics is Security"
    page.locator(".tp-sentence", has_text=sentence).wait_for()
    assert results(page) == companies(range(0, 60, 5))


def test_a_managers_search(page: Any, story_app: LiveApp, axe: Callable[[Any], list[str]], tmp_path: Path) -> None:
    base = f"{story_app.url}/o/acme"
    page.goto(f"{base}/leads/")
    started = time.monotonic()
    add(page, "r", "Sales Qualifying Call")
    add(page, "r-0", "Activity date")  # in the last 30 days, unless you say otherwise
    add(page, "r-0", "Qualified")
    page.keyboard.type("yes")
    changed(page, lambda: page.keyboard.press("Tab"))
    add(page, "r-0", "Users")
    changed(page, lambda: page.locator("#in-r-0-2-o").select_option(label=">"))
    page.locator("#in-r-0-2-v").fill("50")
    changed(page, lambda: page.keyboard.press("Tab"))
    add(page, "r-0", "Current CRM")
    pick(page, "r-0-3", "HubSpot", "Empty")
    add(page, "r", "Demo")
    changed(page, lambda: page.locator("#in-r-1-h").select_option(label="has none"))
    add(page, "r-1", "Activity date")
    add(page, "r", "Owner")
    pick(page, "r-2", "Me")
    took = time.monotonic() - started
    assert results(page) == EXPECTED
    assert page.locator("#search-head .tp-total").inner_text().startswith(str(len(EXPECTED)))
    assert page.locator(".tp-sentence").inner_text() == (
        "Leads where Owner is me, with at least one Sales Qualifying Call dated in the last 30 days where Qualified contains "
        "“yes”, Users > 50 and Current CRM is HubSpot or empty and with no Demo dated in the last 30 days"
    )
    assert axe(page) == []
    assert took < 60, f"a minute is too long: {took:.0f} s"

    # A mistake is named beside its condition, and mended there.
    page.locator("#in-r-0-2-v").fill("many")
    changed(page, lambda: page.keyboard.press("Tab"))
    assert page.locator("#error-r-0-2").inner_text() == "“many” is not a number."
    assert results(page) == [] and axe(page) == []
    page.locator("#in-r-0-2-v").fill("50")
    changed(page, lambda: page.keyboard.press("Tab"))
    assert page.locator("#error-r-0-2").inner_text() == "" and results(page) == EXPECTED

    # The address is the search; saved, it stands in the sidebar with its number and opens with the builder filled in.
    page.goto(page.url)
    assert results(page) == EXPECTED
    page.locator("#save-view > summary").click()
    page.get_by_label("Name", exact=True).fill("Hot")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**view=save_*")
    page.goto(f"{base}/leads/")
    link = page.locator("#sidebar-smart-views a", has_text="Hot")
    link.locator(".tp-count", has_text=str(len(EXPECTED))).wait_for()
    link.click()
    page.wait_for_url("**view=save_*")
    assert page.locator("#in-r-0-2-v").input_value() == "50" and results(page) == EXPECTED
    # Its conditions are folded away until somebody wants to change them, by mouse or by keyboard.
    assert page.locator("#builder").is_hidden() and page.locator("#search-text").is_visible()
    page.get_by_text("Edit search").click()
    assert page.locator("#in-r-0-2-v").is_visible() and axe(page) == []
    page.get_by_text("Edit search").click()
    assert page.locator("#builder").is_hidden()
    page.keyboard.press("f")
    page.locator("#add-r .ts-dropdown").wait_for()
    page.keyboard.press("Escape")

    # Every one of them becomes *Qualified*, in the background.
    page.locator("[data-select-all]").check()
    page.locator("[data-selection-bar]").get_by_role("button", name="Edit").click()
    page.get_by_label("What to change").select_option(label="Status")
    page.get_by_label("New status").select_option(label="Qualified")
    assert axe(page) == []
    page.get_by_role("button", name=f"Edit {len(EXPECTED)} leads").click()
    page.get_by_text(f"Done: {len(EXPECTED)} changed").wait_for(timeout=30_000)
    assert axe(page) == []

    # And the list goes out as CSV, with the columns shown.
    page.locator("#sidebar-smart-views a", has_text="Hot").click()
    page.wait_for_url("**view=save_*")
    page.locator("#search-menu > summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=f"Export {len(EXPECTED)} as CSV").click()
    download.value.save_as(tmp_path / "leads.csv")
    lines = (tmp_path / "leads.csv").read_text("utf-8-sig").splitlines()
    assert lines[0] == "Lead,Status,Contacts,Last activity,Created"
    assert [line.split(",")[:2] for line in lines[1:]] == [[name, "Qualified"] for name in EXPECTED]


def sent(page: Any, button: Any) -> None:
    """Press a button or link of a page without scripts, and wait for the page it leads to."""
    with page.expect_navigation():
        button.click()


def test_the_builder_works_without_javascript(story_app: LiveApp, browser: Any) -> None:
    app = story_app
    context = browser.new_context(viewport={"width": 390, "height": 900}, java_script_enabled=False)
    page = context.new_page()
    page.goto(app.manage("sign_in_link", "ann@acme.example").strip().splitlines()[-1])
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{app.url}/o/acme/leads/")
    page.locator("#add-r select").select_option(label="Demo")
    sent(page, page.locator("#add-r").get_by_role("button", name="Add"))
    assert page.locator("#results tbody tr").count() == 6
    page.locator("#add-r select").select_option(label="Name")
    sent(page, page.locator("#add-r").get_by_role("button", name="Add"))
    page.locator("#in-r-1-v").fill("company 10")
    sent(page, page.get_by_role("button", name="Search", exact=True))
    assert results(page) == ["Company 10"]
    sent(page, page.get_by_role("button", name="Remove: Name"))
    assert page.locator("#results tbody tr").count() == 6
    # Contacts are named in a text box; an example is a link.
    page.locator("#add-r select").select_option(label="Site visit: Met with")
    sent(page, page.locator("#add-r").get_by_role("button", name="Add"))
    page.locator("#in-r-1-0-v").fill("pat 10")
    sent(page, page.get_by_role("button", name="Search", exact=True))
    assert results(page) == ["Company 10"] and page.locator("#in-r-1-0-v").input_value() == "pat 10"
    sent(page, page.get_by_role("link", name="Clear"))
    page.locator("#examples > summary").click()
    sent(page, page.get_by_role("link", name="Leads where Last activity is not in the last 60 days"))
    assert "Nothing fits" in page.locator("#results").inner_text()
    context.close()


def test_what_is_typed_while_an_answer_is_on_its_way_stays(page: Any) -> None:
    page.goto(page.url.split("/o/")[0] + "/o/acme/leads/")
    add(page, "r", "Sales Qualifying Call")
    add(page, "r-0", "Users")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 800, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    for left_early in (False, True):
        with page.expect_response(lambda response: "/?" in response.url):
            page.locator("#in-r-0-0-o").select_option(label="≥" if left_early else ">")
            page.locator("#in-r-0-0-v").press_sequentially("1" if left_early else "9")
            if left_early:
                page.keyboard.press("Tab")
        page.wait_for_timeout(300)
        assert page.locator("#in-r-0-0-v").input_value() == ("91" if left_early else "9")
        page.locator(".tp-sentence", has_text="Users ≥ 91" if left_early else "Users > 9").wait_for()


def test_views_of_contacts_and_of_activities(page: Any) -> None:
    """Saved, counted beside their names, renamed, duplicated, taken off the sidebar and deleted, each without its records."""
    base = f"{page.url.split('/o/')[0]}/o/acme"
    sidebar = page.locator("#sidebar-smart-views a")

    def more(entry: str) -> None:
        page.locator("#search-menu > summary").click()
        page.locator("#search-menu").get_by_text(entry, exact=True).click()

    # One view stays pinned: a sidebar without any shows the first ones there are.
    page.goto(f"{base}/leads/?q=e")
    page.locator("#save-view > summary").click()
    page.get_by_label("Name", exact=True).fill("Stays where it is")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**view=save_*")
    for lists, field, value, name, number in (
        ("contacts", "Title", "head", "Heads", "15"),
        ("activities", "User", "Any former member", "By who left", "36"),
    ):
        page.goto(f"{base}/{lists}/")
        add(page, "r", field)
        if lists == "contacts":
            page.locator("#in-r-0-v").fill(value)
            changed(page, lambda: page.keyboard.press("Tab"))
        else:
            pick(page, "r-0", value)
        page.locator("#save-view > summary").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_url("**view=save_*")
        sidebar.filter(has_text=name).locator(".tp-count", has_text=number).wait_for()
        assert page.locator("#search-head .tp-total").inner_text().startswith(number)
        more("Rename, describe, share")
        page.get_by_label("Name", exact=True).fill(f"{name} now")
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_url("**view=save_*")
        more("Duplicate")  # its name is asked for at once
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("heading", name=f"{name} now (copy)").wait_for()
        assert results(page)  # the copy lists the same
        more("Delete view")
        page.get_by_role("button", name="Delete view").last.click()
        page.wait_for_url(lambda url: "view=" not in url)
        sidebar.filter(has_text=f"{name} now").click()
        page.get_by_role("heading", name=f"{name} now").wait_for()
        more("Take off the sidebar")
        page.locator("#search-menu", has_text="Pin to the sidebar").wait_for()
        page.wait_for_load_state("networkidle")
        assert sidebar.filter(has_text=name).count() == 0
