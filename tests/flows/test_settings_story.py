"""An admin builds a type, restricts it, archives it and brings it back; members see what that means for them."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.browser

FIELDS = (
    ("Are they qualified?", "text", ""),
    ("What is their current CRM?", "choices", "HubSpot\nSalesforce\nSpreadsheet\nNone"),
    ("How many users do they anticipate having?", "number", ""),
    ("How did they hear about us?", "choices", "Search\nPartner\nEvent"),
    ("What is their sales process like?", "text", ""),
)


def join(app: Any, email: str, first: str, role: str) -> None:
    """Make a member, as accepting an invitation does."""
    code = (
        "from crm.management.provision import join\nfrom crm.models import Organization, Role\n"
        "from crm.tenancy import scope\n"
        f"o = Organization.objects.get(slug='acme')\n"
        f"with scope(o):\n    join(o, {email!r}, Role.objects.get(slug={role!r}), first_name={first!r}, last_name='Member')\n"
    )
    app.manage("shell", "-v", "0", "-c", code)


def make_lead(page: Any, base: str, name: str) -> str:
    page.goto(f"{base}/leads/new/")
    page.locator("[name=name]").first.fill(name)
    page.get_by_role("button", name="Create lead").click()
    page.wait_for_url("**/leads/lead_*/")
    return str(page.url)


def offered(page: Any, lead: str) -> list[str]:
    """Return what the menu of a lead's page offers."""
    page.goto(lead)
    return [entry.strip() for entry in page.locator(".tp-compose-menu a").all_inner_texts()]


def choose_in_search(page: Any, kind: str) -> None:
    """Add a block about a type to the search, as choosing it in the list does."""
    page.evaluate(
        """kind => {
            for (const box of document.querySelectorAll("select[name$='-add']")) {
                const found = Object.values(box.tomselect?.options ?? {}).find((option) => option.text.includes(kind));
                if (found) return box.tomselect.setValue(found.value);
            }
            throw new Error(`${kind} is not offered`);
        }""",
        kind,
    )


def test_a_type_from_its_first_field_to_its_return_from_the_archive(live_app, sign_in, axe) -> None:
    base = f"{live_app.url}/o/acme"
    join(live_app, "rep@acme.example", "Rita", "user")
    join(live_app, "other@acme.example", "Otto", "restricteduser")
    admin = sign_in()
    admin.goto(f"{base}/settings/activities/")
    assert axe(admin) == []
    admin.get_by_role("link", name="New Custom Activity").click()
    admin.get_by_label("Name").fill("Sales Qualifying Call")
    admin.get_by_role("radio", name="headset").check(force=True)
    admin.get_by_role("button", name="Create and add fields").click()
    admin.wait_for_url("**/settings/activities/actitype_*/")
    admin.get_by_text("one click logs").wait_for()
    settings = admin.url

    # Each field is seen in the preview before it is saved.
    admin.get_by_role("link", name="Add field").click()
    for number, (name, kind, options) in enumerate(FIELDS):
        admin.get_by_label("Name").fill(name)
        admin.locator("[name=kind]").select_option(kind)
        if options:
            admin.locator("[name=options]").fill(options)
        admin.locator("#preview").get_by_text(name, exact=True).wait_for()
        if options:
            admin.locator("#preview option", has_text=options.split("\n")[0]).wait_for(state="attached")
        last = number == len(FIELDS) - 1
        admin.get_by_role("button", name="Save field" if last else "Save and add another", exact=True).click()
        admin.get_by_text(f"{name} is on the form.").wait_for()
    admin.wait_for_url(settings)
    assert admin.locator("#fields li").count() == 5
    assert axe(admin) == []

    # The preview follows the type's own name, icon and colour before they are saved.
    preview, properties = admin.locator("#preview_panel"), admin.locator("#type_properties")
    properties.get_by_label("Name").fill("Discovery")
    preview.get_by_role("heading", name="Discovery").wait_for()
    properties.get_by_role("radio", name="teal").check(force=True)
    admin.locator("#preview_panel.tp-color-teal").wait_for()
    properties.get_by_label("Name").fill("Sales Qualifying Call")
    preview.get_by_role("heading", name="Sales Qualifying Call").wait_for()

    # Restricted to Users: Admin is always among them.
    admin.locator("[name=edit_roles]").get_by_label("User", exact=True).or_(
        admin.get_by_role("group", name="Restrict editing to").get_by_label("User", exact=True)
    ).check()
    admin.get_by_role("button", name="Save properties").click()
    admin.get_by_text("The properties are saved.").wait_for()
    admin.goto(f"{base}/settings/activities/")
    assert "Admin, User" in admin.locator(".tp-type-list li", has_text="Sales Qualifying Call").inner_text()

    # A rep logs it, by way of a draft.
    rep = sign_in("rep@acme.example")
    lead = make_lead(rep, base, "Northwind Traders")
    assert any("Sales Qualifying Call" in entry for entry in offered(rep, lead))
    rep.locator(".tp-compose-menu").get_by_role("link", name="Sales Qualifying Call").first.click()
    form = rep.locator("form[data-activity-form]")
    form.get_by_label("Are they qualified?").fill("Yes")
    rep.get_by_text(re.compile(r"Saved as draft \d\d:\d\d")).wait_for()
    form.get_by_label("What is their current CRM?").select_option(label="HubSpot")
    form.get_by_label("How many users do they anticipate having?").fill("40")
    form.get_by_role("button", name="Publish").click()
    card = rep.locator("article.tp-card", has_text="Sales Qualifying Call")
    card.get_by_text("HubSpot").wait_for()

    # Another role sees it and can neither log nor edit it.
    other = sign_in("other@acme.example")
    assert not any("Sales Qualifying Call" in entry for entry in offered(other, lead))
    seen = other.locator("article.tp-card", has_text="Sales Qualifying Call")
    assert "HubSpot" in seen.inner_text()
    assert seen.get_by_role("link", name="Edit").count() == 0
    assert other.goto(f"{base}/settings/activities/new/").status == 403

    # Archived: the rep cannot log it any more, and still sees and finds it.
    admin.goto(settings)
    admin.get_by_role("button", name="Archive", exact=True).click()
    admin.get_by_role("dialog").get_by_role("button", name="Archive").click()
    admin.get_by_text("Sales Qualifying Call is archived. Its activities stay.").wait_for()
    assert axe(admin) == []
    assert not any("Sales Qualifying Call" in entry for entry in offered(rep, lead))
    assert "HubSpot" in rep.locator("article.tp-card", has_text="Sales Qualifying Call").inner_text()
    kind = re.search(r"actitype_\w+", settings)[0]
    rep.goto(f"{base}/leads/?builder=open")
    choose_in_search(rep, "Sales Qualifying Call")
    rep.locator(".tp-sentence", has_text="Sales Qualifying Call").wait_for()
    rep.locator("tbody tr", has_text="Northwind Traders").wait_for()
    refused = rep.goto(f"{lead}log/{kind}/")
    assert refused.status == 403
    assert "is archived" in rep.locator("main").inner_text()

    # Unarchived from its tab.
    admin.goto(f"{base}/settings/activities/?tab=archived")
    admin.get_by_role("button", name="Unarchive Sales Qualifying Call").click()
    admin.get_by_text("Sales Qualifying Call can be logged again.").wait_for()
    assert any("Sales Qualifying Call" in entry for entry in offered(rep, lead))


def test_the_editor_by_keyboard_options_and_rules_in_the_preview(live_app, sign_in, axe) -> None:
    base = f"{live_app.url}/o/acme"
    page = sign_in()
    page.goto(f"{base}/settings/fields/lead/new/?kind=choices")
    page.get_by_label("Name").fill("Region")
    page.locator("[name=options]").fill("North\nSouth\nEast")
    page.get_by_label("Name").focus()
    page.locator("#field_default option", has_text="South").wait_for(state="attached")
    page.get_by_label("Default value").select_option(label="South")
    page.get_by_role("button", name="Save field").click()
    page.get_by_text("Region is on the form.").wait_for()
    assert axe(page) == []

    # A rule: the second field appears in the preview when the first one fits, and the countdown counts.
    page.get_by_role("link", name="Add field").click()
    page.get_by_label("Name").fill("Agent")
    page.get_by_label("Description").fill("x" * 30)
    page.get_by_text("250 characters left").wait_for()
    page.get_by_label("Show only when").select_option(label="Region")
    page.locator("#field_rule .ts-control").click()
    page.locator("#field_rule .ts-dropdown .option", has_text="East").click()
    page.locator("#preview").get_by_text("is hidden until its rule fits").wait_for()
    page.locator("#preview").get_by_label("Region").select_option(label="East")
    page.locator("#preview").get_by_label("Agent").wait_for()
    assert page.get_by_label("Name").input_value() == "Agent"
    assert axe(page) == []
    page.get_by_role("button", name="Save field").click()
    page.get_by_text("Agent is on the form.").wait_for()

    # Order by keyboard; it stays.
    rows = page.locator("#fields li .tp-two-lines a")
    before = rows.all_inner_texts()
    page.get_by_role("button", name=f"Move {before[-1]} up").focus()
    with page.expect_response(re.compile(r"/order/")):
        page.keyboard.press("Enter")
    page.reload()
    assert rows.all_inner_texts() == [*before[:-2], before[-1], before[-2]]

    # Options: colour, label, remove and restore, merge.
    page.get_by_role("link", name="Region", exact=True).click()
    page.get_by_label("Colour of North").select_option("teal")
    page.get_by_label("Label of South").fill("Deep South")
    # Saving the field alone would lose them: it asks.
    page.get_by_role("button", name="Save field").click()
    dialog = page.get_by_role("dialog", name="The options are not saved")
    assert axe(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Save options").click()
    page.locator("#preview option", has_text="Deep South").wait_for(state="attached")
    assert page.locator("#options").count() == 1
    page.get_by_role("button", name="Remove East").click()
    page.get_by_text("Removed (1)").click()
    page.get_by_role("button", name="Restore East").click()
    page.get_by_label("Label of East").wait_for()
    page.get_by_role("button", name="Move East up").focus()
    with page.expect_response(re.compile(r"/options/order/")), page.expect_response(re.compile(r"/preview/")):
        page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert axe(page) == []
    page.get_by_role("link", name="Merge two").click()
    page.get_by_label("Merge", exact=True).select_option(label="East")
    page.get_by_label("into", exact=True).select_option(label="North")
    page.get_by_role("button", name="See what would change").click()
    assert axe(page) == []
    page.get_by_role("button", name="Merge East into North").click()
    page.get_by_text("East is now North, on 0 records.").wait_for()
    assert page.locator("#options [name^=label-]").evaluate_all("boxes => boxes.map(box => box.value)") == [
        "North",
        "Deep South",
    ]

    # Shared with contacts.
    page.get_by_role("button", name="Make it shared").click()
    page.get_by_role("dialog").get_by_role("button", name="Share").click()
    page.get_by_text("One definition, 1 place.").wait_for()
    page.goto(f"{base}/settings/fields/shared/")
    page.get_by_text("Use it in one more place").click()
    page.get_by_role("link", name="Contacts").last.click()
    page.get_by_role("button", name="Use it here").click()
    page.get_by_text("Region is on the form.").wait_for()
    page.wait_for_timeout(400)  # what was swapped in has come to rest
    assert axe(page) == []


def test_without_javascript_and_on_a_phone(live_app, sign_in, axe) -> None:
    """The editor is plain forms: the settings of another kind come by a button, and nothing typed is lost."""
    base = f"{live_app.url}/o/acme"
    page = sign_in(viewport={"width": 390, "height": 844}, color_scheme="dark")
    state = page.context.storage_state()
    for address in (
        "settings/activities/",
        "settings/fields/leads/",
        "settings/fields/lead/new/?kind=choices",
        "settings/fields/shared/",
    ):
        page.goto(f"{base}/{address}")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), address
        assert axe(page) == [], address
    plain = page.context.browser.new_context(java_script_enabled=False, storage_state=state)
    try:
        page = plain.new_page()
        page.goto(f"{base}/settings/fields/contact/new/")
        page.get_by_label("Name").fill("Height")
        page.locator("[name=kind]").select_option("number")
        page.get_by_role("button", name="Show its settings").click()
        assert page.get_by_label("Name").input_value() == "Height"
        page.locator("[name=unit]").fill("cm")
        page.get_by_role("button", name="Save field").click()
        assert "Number in cm" in page.locator("#fields").inner_text()
    finally:
        plain.close()


def test_what_is_changed_while_the_settings_of_a_kind_are_fetched_stays(live_app, sign_in) -> None:
    """The form of a field is drawn anew when its kind is chosen; on a slow line one goes on meanwhile."""
    page = sign_in()
    page.goto(f"{live_app.url}/o/acme/settings/activities/new/")
    page.get_by_label("Name").fill("Slow line")
    page.get_by_role("button", name="Create and add fields").click()
    page.wait_for_url("**/settings/activities/actitype_*/")
    page.get_by_role("link", name="Add field").click()
    page.get_by_label("Name").fill("Budget")
    held: list[Any] = []
    page.route("**/new/", lambda route: held.append(route))
    page.locator("[name=kind]").select_option("number")
    page.locator("[name=required]").check()
    page.locator("[name=description]").fill("In euros, per year")
    page.get_by_label("Name").press("End")
    page.keyboard.type(" 2027")
    assert held, "the settings of the kind are on their way"
    held[0].continue_()
    page.locator("[name=unit]").wait_for()
    page.unroute("**/new/")
    assert page.get_by_label("Name").input_value() == "Budget 2027"
    assert page.locator("[name=required]").is_checked()
    assert page.locator("[name=description]").input_value() == "In euros, per year"
    page.get_by_role("button", name="Save field").click()
    page.wait_for_url("**/settings/activities/actitype_*/")
    assert "Budget 2027" in page.locator("main").inner_text()
    row = page.locator("li", has_text="Budget 2027").first
    assert "equired" in row.inner_text()
