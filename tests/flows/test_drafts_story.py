"""What is typed is never lost: a closed tab, an ended session, a slow server, a type that changed in between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PRELUDE = """
from crm import events
from crm.models import CustomField, Membership, Organization
from crm.tenancy import scope
from crm.customfields.services import create_field, delete_field, update_field
from activities.models import Activity, ActivityType
from activities.services.types import archive_type, create_type
from leads.services import create_lead
organization = Organization.objects.get(slug="acme")
with scope(organization), events.door("page"):
    ann = Membership.objects.select_related("user", "organization", "role").get(user__email="ann@acme.example")
"""


def run(app: Any, code: str) -> str:
    """Run lines of code as the admin, inside the organization, and return the last line printed."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return app.manage("shell", "--verbosity", "0", "-c", PRELUDE + body).strip().splitlines()[-1]


NAMES = (
    "Closed tab", "Session", "Only looking", "Half a number", "Slow first", "Slow later", "Mine", "Untouched type", "Old habit",
    "Moving target", "Out of reach", "Second session", "Other member", "Edited", "Refused", "Quick", "Thrown",
)  # fmt: skip
SET_UP = f"""
for name in {NAMES!r}:
    kind = create_type(ann, name=name, icon="phone")
    create_field(ann, kind.fieldset, name="Users", kind="number")
    create_field(ann, kind.fieldset, name="Remarks", kind="textarea")
    create_field(ann, kind.fieldset, name="Outcome", kind="choices", options=["Good", "Bad"])
    print(create_lead(ann, name=f"{{name}} Ltd").public_id, end=" ")
"""


@pytest.fixture(scope="module")
def leads(live_app) -> dict[str, str]:
    """The address of a lead by the name of its type: a number, a text and choices."""
    made = run(live_app, SET_UP).split()
    return {name: f"{live_app.url}/o/acme/leads/{lead}/" for name, lead in zip(NAMES, made, strict=True)}


@pytest.fixture(scope="module")
def cookies(live_app, browser) -> Any:
    """One session for all stories: signing in is not what they are about."""
    context = browser.new_context()
    enter(context.new_page(), live_app)
    state = context.storage_state()
    context.close()
    return state


def enter(page: Any, app: Any, email: str = "ann@acme.example") -> None:
    page.goto(app.manage("sign_in_link", email).strip().splitlines()[-1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/o/**")


@pytest.fixture
def page(browser, cookies) -> Iterator[Any]:
    """A page of the signed-in admin; an error in its scripts fails the test."""
    problems: list[str] = []
    context = browser.new_context(
        viewport={"width": 1440, "height": 1000}, storage_state=cookies, reduced_motion="reduce"
    )
    context.set_default_timeout(60_000)
    opened = context.new_page()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert not problems, problems


def open_form(page: Any, lead: str, kind: str) -> Any:
    page.goto(lead)
    page.locator("#timeline-list").wait_for()
    page.get_by_role("button", name="New activity").click()
    page.locator(".tp-type-menu").get_by_role("link", name=kind, exact=True).click()
    form = page.locator("form[data-activity-form]")
    form.wait_for()
    return form


def saved(page: Any) -> None:
    page.get_by_text(re.compile(r"Saved as draft \d\d:\d\d")).wait_for()


def resume(page: Any, app: Any, words: str) -> Any:
    page.goto(f"{app.url}/o/acme/drafts/")
    page.get_by_role("link", name=words).click()
    form = page.locator("form[data-activity-form]")
    form.wait_for()
    return form


def test_closing_the_tab_while_typing_loses_nothing(live_app, page, leads) -> None:
    form = open_form(page, leads["Closed tab"], "Closed tab")
    form.get_by_label("Users").press_sequentially("12.")
    form.get_by_label("Remarks").fill("typed a moment before")
    other = page.context.new_page()
    page.close()
    other.wait_for_timeout(800)
    form = resume(other, live_app, "Closed tab on Closed tab Ltd")
    assert form.get_by_label("Users").input_value() == "12."
    assert form.get_by_label("Remarks").input_value() == "typed a moment before"


def test_an_ended_session_keeps_the_text_and_offers_it_after_signing_in(live_app, page, leads) -> None:
    lead = leads["Session"]
    form = open_form(page, lead, "Session")
    page.context.clear_cookies()
    form.get_by_label("Remarks").fill("typed without a session")
    page.get_by_text("Your session has ended. Your text is kept in this browser").wait_for()
    enter(page, live_app)
    form = open_form(page, lead, "Session")
    assert form.get_by_label("Remarks").input_value() == ""
    form.get_by_role("button", name="Take it").click()
    saved(page)
    assert form.get_by_label("Remarks").input_value() == "typed without a session"


def test_opening_and_restoring_a_draft_writes_nothing(live_app, page, leads) -> None:
    lead = leads["Only looking"]
    form = open_form(page, lead, "Only looking")
    form.get_by_label("Users").fill("7")
    saved(page)
    revision = form.get_attribute("data-revision")
    writes: list[str] = []
    page.on("request", lambda request: writes.append(request.url) if request.method == "POST" else None)
    form = resume(page, live_app, "Only looking on Only looking Ltd")
    form.get_by_label("Users").focus()
    form.get_by_label("Remarks").focus()
    page.goto(lead)
    page.locator("article.tp-card", has_text="Draft").get_by_role("button", name="More for this").click()
    page.get_by_role("link", name="Resume").click()
    page.locator("form[data-activity-form]").wait_for()
    page.wait_for_timeout(1500)
    page.locator("[data-close-form]").click()
    page.locator("form[data-activity-form]").wait_for(state="detached")
    assert not writes
    form = resume(page, live_app, "Only looking on Only looking Ltd")
    assert form.get_attribute("data-revision") == revision


def test_a_half_typed_number_survives_and_is_named_when_publishing(live_app, page, leads) -> None:
    lead = leads["Half a number"]
    form = open_form(page, lead, "Half a number")
    form.get_by_label("Users").press_sequentially("1,2")
    saved(page)
    form.get_by_label("Users").press("Control+Enter")
    page.get_by_text("must be a number").first.wait_for()
    form = page.locator("form[data-activity-form]")
    assert form.get_by_label("Users").input_value() == "1,2"
    form.get_by_label("Users").fill("12")
    form.get_by_role("button", name="Publish").click()
    page.locator("article.tp-card:not(.tp-draft)", has_text="12").wait_for()
    page.goto(f"{live_app.url}/o/acme/drafts/")
    assert page.get_by_role("link", name="Half a number on").count() == 0


@pytest.mark.parametrize("slow", ["the first save", "a later save"])
def test_publishing_while_a_slow_save_is_under_way_gives_one_activity(live_app, page, leads, slow: str) -> None:
    name = f"Slow {slow.split()[1]}"
    lead = leads[name]
    form = open_form(page, lead, name)
    if slow == "a later save":
        form.get_by_label("Users").fill("1")
        saved(page)
    held: list[Any] = []
    page.route("**/autosave/", lambda route: held.append(route))
    form.get_by_label("Remarks").fill("once")
    form.get_by_label("Remarks").blur()
    page.wait_for_timeout(300)
    assert held
    form.get_by_label("Remarks").press("Control+Enter")
    page.wait_for_timeout(300)
    held[0].continue_()
    page.unroute("**/autosave/")
    page.locator("article.tp-card", has_text="once").wait_for()
    page.goto(lead)
    page.locator("article.tp-card", has_text="once").wait_for()
    assert page.locator("article.tp-card").count() == 1
    assert page.locator("article.tp-card .tp-badge", has_text="Draft").count() == 0


def test_of_two_tabs_mine_can_be_kept(live_app, page, leads) -> None:
    form = open_form(page, leads["Mine"], "Mine")
    form.get_by_label("Remarks").fill("first")
    saved(page)
    other = page.context.new_page()
    mine = resume(other, live_app, "Mine on Mine Ltd")
    with page.expect_response("**/autosave/"):
        form.get_by_label("Remarks").fill("theirs")
    mine.get_by_label("Remarks").fill("mine")
    keep = other.get_by_role("button", name="Keep mine")
    keep.wait_for()
    with other.expect_response("**/autosave/") as answer:
        keep.click()
    assert answer.value.status == 200, answer.value.text()
    saved(other)
    form = resume(page, live_app, "Mine on Mine Ltd")
    assert form.get_by_label("Remarks").input_value() == "mine"


def test_an_untouched_form_of_a_custom_type_leaves_nothing(live_app, page, leads) -> None:
    form = open_form(page, leads["Untouched type"], "Untouched type")
    form.get_by_label("Users").focus()
    form.get_by_label("Remarks").focus()
    page.locator("[data-close-form]").click()
    assert run(live_app, 'print(Activity.with_drafts.filter(type__name="Untouched type").count())') == "0"


def test_a_draft_of_an_archived_type_is_kept_and_only_discarded(live_app, page, leads) -> None:
    form = open_form(page, leads["Old habit"], "Old habit")
    form.get_by_label("Remarks").fill("too late")
    saved(page)
    run(live_app, 'archive_type(ann, ActivityType.objects.get(name="Old habit"))\nprint("done")')
    form = resume(page, live_app, "Old habit on Old habit Ltd")
    form.get_by_role("button", name="Publish").click()
    page.get_by_text("Old habit is archived").first.wait_for()
    assert page.locator("form[data-activity-form]").get_by_label("Remarks").input_value() == "too late"
    page.get_by_role("button", name="Discard draft").click()
    page.locator("[data-confirm-yes]").click()
    page.locator("form[data-activity-form]").wait_for(state="detached")
    page.goto(f"{live_app.url}/o/acme/drafts/")
    assert page.get_by_role("link", name="Old habit on").count() == 0


def test_a_draft_survives_a_field_that_became_required_and_one_that_was_deleted(live_app, page, leads) -> None:
    lead = leads["Moving target"]
    form = open_form(page, lead, "Moving target")
    form.get_by_label("Users").fill("5")
    form.get_by_label("Remarks").fill("stays")
    saved(page)
    run(
        live_app,
        """
fields = ActivityType.objects.get(name="Moving target").fieldset
named = {row.name: row for row in CustomField.objects.filter(uses__fieldset=fields)}
update_field(ann, fields, named["Outcome"], {"required": True})
delete_field(ann, fields, named["Users"], "Users")
print("done")
""",
    )
    form = resume(page, live_app, "Moving target on Moving target Ltd")
    assert form.get_by_label("Users").count() == 0
    form.get_by_role("button", name="Publish").click()
    page.get_by_text("Outcome is required").first.wait_for()
    form = page.locator("form[data-activity-form]")
    assert form.get_by_label("Remarks").input_value() == "stays"
    form.locator("[data-number-keys]").select_option(label="Good")
    form.get_by_role("button", name="Publish").click()
    page.wait_for_url("**/leads/**")
    page.locator("article.tp-card", has_text="stays").wait_for()


def test_text_typed_out_of_reach_is_offered_where_its_draft_is_resumed_and_goes_back_by_itself(
    live_app, page, leads
) -> None:
    form = open_form(page, leads["Out of reach"], "Out of reach")
    form.get_by_label("Remarks").fill("first")
    saved(page)
    page.route("**/autosave/", lambda route: route.abort())
    form.get_by_label("Remarks").fill("first and second")
    page.get_by_text("The server cannot be reached. Your text is kept in this browser.").wait_for()
    other = page.context.new_page()
    other.goto(f"{live_app.url}/o/acme/drafts/")
    other.get_by_text("did not reach the server").wait_for()
    resumed = resume(other, live_app, "Out of reach on Out of reach Ltd")
    assert resumed.get_by_label("Remarks").input_value() == "first"
    resumed.get_by_role("button", name="Take it").click()
    assert resumed.get_by_label("Remarks").input_value() == "first and second"
    resumed.get_by_role("button", name="Put back what was there").click()
    assert resumed.get_by_label("Remarks").input_value() == "first"
    other.close()
    page.unroute("**/autosave/")
    saved(page)
    form = resume(page, live_app, "Out of reach on Out of reach Ltd")
    assert form.get_by_label("Remarks").input_value() == "first and second"
    assert page.locator("[data-draft-offer]").is_hidden()


def test_after_signing_in_in_another_tab_the_open_form_goes_on(live_app, page, leads) -> None:
    form = open_form(page, leads["Second session"], "Second session")
    page.context.clear_cookies()
    form.get_by_label("Remarks").fill("typed without a session")
    page.get_by_text("Your session has ended. Your text is kept in this browser").wait_for()
    other = page.context.new_page()
    enter(other, live_app)
    other.close()
    form.get_by_label("Remarks").press_sequentially(", and with one")
    saved(page)
    form.get_by_role("button", name="Publish").click()
    page.locator("article.tp-card", has_text="typed without a session, and with one").wait_for()


def test_what_one_member_typed_is_neither_saved_by_nor_shown_to_another(live_app, page, leads) -> None:
    form = open_form(page, leads["Other member"], "Other member")
    form.get_by_label("Remarks").fill("mine")
    saved(page)
    run(
        live_app,
        """
from crm.members import add_member
from crm.models import Role
add_member(ann, "bob@acme.example", Role.objects.get(name="Admin"), first_name="Bob", last_name="Baker")
print(1)
""",
    )
    other = page.context.new_page()
    other.context.clear_cookies()
    enter(other, live_app, "bob@acme.example")
    form.get_by_label("Remarks").fill("mine, once more")
    page.get_by_text("Bob Baker is signed in here now.").wait_for()
    form.get_by_label("Remarks").press("Control+Enter")
    page.locator("#toasts").get_by_text("Bob Baker is signed in here now.").wait_for()
    other.goto(leads["Other member"])
    other.locator("#timeline-list").wait_for()
    assert other.locator("[data-kept-here]").is_hidden()
    assert run(live_app, 'print(Activity.with_drafts.get(type__name="Other member").revision)') == "1"


def test_changes_of_a_published_activity_survive_a_closed_tab(page, leads) -> None:
    lead = leads["Edited"]
    form = open_form(page, lead, "Edited")
    form.get_by_label("Remarks").fill("published")
    form.get_by_role("button", name="Publish").click()

    def edit(tab: Any) -> Any:
        tab.locator("article.tp-card", has_text="published").get_by_role("button", name="More for this").click()
        tab.get_by_role("link", name="Edit", exact=True).click()
        opened = tab.locator("form[data-activity-form]")
        opened.wait_for()
        return opened

    form = edit(page)
    form.get_by_label("Remarks").fill("published, then changed")
    page.get_by_text("Not saved yet. Your changes are kept in this browser.").wait_for()
    other = page.context.new_page()
    page.close()
    other.goto(lead)
    other.get_by_text("Edited on Edited Ltd: changes typed").wait_for()
    other.get_by_role("link", name="Go on with it").click()
    form = other.locator("form[data-activity-form]")
    assert form.get_by_label("Remarks").input_value() == "published"
    form.get_by_role("button", name="Take it").click()
    form.get_by_role("button", name="Save", exact=True).click()
    other.locator("article.tp-card", has_text="published, then changed").wait_for()
    assert other.locator("[data-kept-here]").is_hidden()
    assert other.evaluate("Object.keys(localStorage).filter((key) => key.includes('draft'))") == []


def test_what_was_typed_just_before_a_refused_publishing_is_kept_too(live_app, page, leads) -> None:
    form = open_form(page, leads["Refused"], "Refused")
    form.get_by_label("Remarks").fill("typed fast")
    form.get_by_label("Users").fill("many")
    form.get_by_label("Users").press("Control+Enter")
    page.get_by_text("must be a number").first.wait_for()
    other = page.context.new_page()
    page.close()
    other.wait_for_timeout(500)
    form = resume(other, live_app, "Refused on Refused Ltd")
    assert form.get_by_label("Remarks").input_value() == "typed fast"
    assert form.get_by_label("Users").input_value() == "many"


def test_publishing_within_a_second_of_typing_leaves_no_draft_behind(live_app, page, leads) -> None:
    form = open_form(page, leads["Quick"], "Quick")
    saves: list[str] = []
    page.on("request", lambda request: saves.append(request.url) if request.url.endswith("/autosave/") else None)
    form.get_by_label("Remarks").fill("typed and gone")
    form.get_by_label("Remarks").press("Control+Enter")
    page.locator("article.tp-card", has_text="typed and gone").wait_for()
    page.wait_for_timeout(1500)
    assert saves == []
    assert run(live_app, 'print(Activity.with_drafts.filter(type__name="Quick").count())') == "1"


def test_a_draft_that_is_thrown_away_takes_along_what_is_kept_of_it(live_app, page, leads) -> None:
    form = open_form(page, leads["Thrown"], "Thrown")
    form.get_by_label("Remarks").fill("first")
    saved(page)
    form = resume(page, live_app, "Thrown on Thrown Ltd")
    page.route("**/autosave/", lambda route: route.abort())
    form.get_by_label("Remarks").fill("never mind")
    page.get_by_text("The server cannot be reached. Your text is kept in this browser.").wait_for()
    form.get_by_role("button", name="Discard draft").click()
    page.locator("[data-confirm-yes]").click()
    form.wait_for(state="detached")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('draft'))") == []
    page.goto(leads["Thrown"])
    page.locator("#timeline-list").wait_for()
    assert page.locator("[data-kept-here]").is_hidden()
