"""An admin gives fields of leads another kind: looks first, mends what would be lost, drops the rest, watches a long one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser

MANY = 900  # more than are converted while the person waits
SEED = f"""
from crm import events
from crm.customfields.catalog import catalog
from crm.customfields.services import create_field
from crm.customfields.values import index_rows_of, insert_index_many
from crm.models import FieldSet, Membership
from crm.tenancy import scope
from leads.models import Lead, LeadStatus
from leads.services import create_lead
from leads.services.smart_views import save_smart_view
member = Membership.unscoped.select_related("user", "role", "organization").get(user__email="ann@acme.example")
with scope(member.organization), events.door("page"):
    fields = FieldSet.objects.get(owner="lead")
    size = create_field(member, fields, name="Size", kind="text")
    region = create_field(member, fields, name="Region", kind="text")
    seats = create_field(member, fields, name="Seats", kind="text")
    for name, value, place in (("Acme Paper", "1,200.5", "North"), ("Globex", "about 40", "north"), ("Hooli", "n/a", "South")):
        create_lead(member, name=name, custom={{size.public_id: value, region.public_id: place}})
    asked = {{"type": "custom_field", "custom_field_id": size.public_id}}
    condition = {{"type": "field_condition", "field": asked, "condition": {{"type": "text", "value": "1"}}}}
    query = {{"type": "and", "queries": [{{"type": "object_type", "object_type": "lead"}}, condition]}}
    save_smart_view(member, name="Small ones", query=query)
    status = LeadStatus.objects.order_by("position")[0]
    leads = Lead.objects.bulk_create(
        Lead(organization=member.organization, name=f"L{{n}}", name_fold=f"l{{n}}", search_text=f"l{{n}}", status=status,
             created_by=member.user, updated_by=member.user, values={{str(seats.pk): str(n) if n % 9 else "many"}})
        for n in range({MANY})
    )
    known = catalog(member.organization)
    insert_index_many(index_rows_of(known, [(lead.pk, 0, lead.values) for lead in leads]))
"""


@pytest.fixture
def app(own_live_app: LiveApp) -> LiveApp:
    own_live_app.manage("shell", "--verbosity", "0", "-c", SEED)
    return own_live_app


@pytest.fixture
def open_page(app: LiveApp, browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a signed-in page; errors and blocked styles or scripts fail the test."""
    contexts: list[Any] = []
    problems: list[str] = []

    def opened(**options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 1000}, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(app.manage("sign_in_link", "ann@acme.example").strip().splitlines()[-1])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/o/**")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems, problems


def change_kind_of(page: Any, base: str, name: str) -> None:
    page.goto(f"{base}/settings/fields/leads/")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name="Change kind…").click()
    page.wait_for_url("**/convert/")


def test_a_field_gets_another_kind_after_a_look(app: LiveApp, open_page: Callable[..., Any], axe: Any) -> None:
    page, base = open_page(), f"{app.url}/o/acme"
    change_kind_of(page, base, "Size")
    assert axe(page) == []
    page.get_by_label("From Text to").focus()
    page.keyboard.type("Number")
    preview = page.locator("#convert_preview")
    preview.get_by_role("button", name="Change kind and drop 2 values").wait_for()
    # The focus stays where the work is.
    assert page.evaluate("document.activeElement.id") == "convert_kind"
    dropped = preview.get_by_role("region", name="Values that would be dropped")
    assert [line.split("\t")[0] for line in dropped.inner_text().splitlines() if "\t" in line][1:] == [
        "about 40",
        "n/a",
    ]
    assert "Small ones stops with a message" in preview.inner_text()
    assert axe(page) == []
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert axe(page) == []
    page.set_viewport_size({"width": 1440, "height": 1000})
    with page.expect_download() as download:
        preview.get_by_role("link", name="Export leads and contacts as CSV").click()
    assert "about 40" in download.value.path().read_text()

    # One of them is mended on its lead; the page that was open asks no more than was agreed.
    other = page.context.new_page()
    other.goto(f"{base}/leads/?q=globex")
    other.get_by_role("link", name="Globex").first.click()
    other.wait_for_url("**/leads/lead_*/")
    other.goto(f"{other.url}edit/")
    other.get_by_label("Size").fill("40")
    other.get_by_role("button", name="Save").first.click()
    other.wait_for_url("**/leads/lead_*/")
    page.get_by_label("From Text to").select_option("date")
    preview.get_by_role("button", name="Change kind and drop 3 values").wait_for()
    page.get_by_label("From Text to").select_option("number")
    preview.get_by_role("button", name="Change kind and drop 1 value").click()
    page.get_by_text("The kind of Size is Number now.").wait_for()
    assert page.locator("#field_form [name=unit]").count() == 1
    assert page.get_by_role("link", name="Change kind…").count() == 1
    other.reload()
    assert "40" in other.locator("main").inner_text()
    page.goto(f"{base}/smart-views/all/")
    assert "Size cannot be asked “text”" in page.locator("main").inner_text()


def test_values_become_options_and_words_again(app: LiveApp, open_page: Callable[..., Any], axe: Any) -> None:
    page, base = open_page(viewport={"width": 390, "height": 800}), f"{app.url}/o/acme"
    change_kind_of(page, base, "Region")
    page.get_by_label("From Text to").select_option("choices")
    page.get_by_label("Make one of each value there is (2)").wait_for()
    assert axe(page) == []
    # Who would rather write them begins with what there is.
    page.get_by_label("Only these, one a line").check()
    options = page.get_by_label("Options, one a line")
    options.wait_for()
    assert options.input_value() == "North\nSouth"
    options.fill("North")
    options.press("Tab")
    page.get_by_role("button", name="Change kind and drop 1 value").wait_for()
    assert axe(page) == []
    page.get_by_label("Make one of each value there is").check()
    page.get_by_role("button", name="Change kind to Choices").click()
    page.get_by_text("The kind of Region is Choices now.").wait_for()
    assert [box.input_value() for box in page.locator("#options [name^=label-]").all()] == ["North", "South"]
    page.get_by_role("link", name="Change kind…").click()
    page.get_by_label("From Choices to").select_option("text")
    page.get_by_text("Their labels stay as words").wait_for()
    page.get_by_role("button", name="Change kind to Text").click()
    page.get_by_text("The kind of Region is Text now.").wait_for()


def test_a_long_one_shows_how_far_it_is(app: LiveApp, open_page: Callable[..., Any], axe: Any) -> None:
    page, base = open_page(), f"{app.url}/o/acme"
    change_kind_of(page, base, "Seats")
    page.get_by_label("From Text to").select_option("number")
    page.get_by_role("button", name="Change kind and drop 100 values").click()
    page.get_by_text("Seats is being converted to Number in the background.").wait_for()
    line = page.locator("#fields li", has_text="Seats")
    line.get_by_text("Converting to Number… 0%").wait_for()
    assert axe(page) == []

    # Without JavaScript a reload says the same, and the field's page offers no form.
    plain = open_page(java_script_enabled=False)
    plain.goto(f"{base}/settings/fields/leads/")
    assert "Converting to Number… 0%" in plain.locator("#fields").inner_text()
    plain.get_by_role("link", name="Seats", exact=True).click()
    assert plain.locator("#field_form").count() == 0
    assert "It takes no new values and cannot be edited" in plain.locator("#field_converting").inner_text()

    own = page.context.new_page()
    own.goto(plain.url)
    own.locator("#field_converting").wait_for()
    assert axe(own) == []
    app.start_worker()
    page.get_by_text("The kind of Seats is Number now.").wait_for(timeout=60_000)
    assert "Number" in line.inner_text() and "Converting" not in line.inner_text()
    own.locator("#field_form").wait_for(timeout=60_000)
    plain.get_by_role("link", name="Look again").click()
    assert plain.locator("#field_form").count() == 1
    page.goto(f"{base}/notifications/")
    page.get_by_role("button", name="The kind of Seats is Number now: 800 values kept, 100 dropped.").click()
    page.wait_for_url(own.url)


def test_it_works_without_javascript(app: LiveApp, open_page: Callable[..., Any]) -> None:
    page, base = open_page(java_script_enabled=False), f"{app.url}/o/acme"
    change_kind_of(page, base, "Size")
    page.get_by_label("From Text to").select_option("choices")
    page.get_by_role("button", name="See what would change").click()
    page.get_by_label("Only these, one a line").check()
    page.get_by_role("button", name="See what would change").click()
    page.get_by_label("Options, one a line").fill("n/a\nabout 40")
    page.get_by_role("button", name="See what would change").click()
    page.get_by_role("button", name="Change kind and drop 1 value").click()
    assert "The kind of Size is Choices now." in page.locator("body").inner_text()
