"""An admin makes a rule; a rep publishes; the lead's status changes by itself. Works by keyboard and without JavaScript too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser


def make_type(page: Any, live_app: LiveApp, name: str) -> None:
    page.goto(f"{live_app.url}/o/acme/settings/activities/new/")
    page.get_by_label("Name", exact=False).first.fill(name)
    page.locator("main").get_by_role("button", name="Create").first.click()
    page.wait_for_url("**/settings/activities/actitype_*/**")


@pytest.mark.parametrize("scripted", [True, False], ids=["with scripts", "without scripts"])
def test_a_rule_changes_the_status(
    live_app: LiveApp, sign_in: Callable[..., Any], axe: Callable[[Any], list[str]], scripted: bool
) -> None:
    name = f"Hot call {scripted}"
    page = sign_in(java_script_enabled=scripted)
    make_type(page, live_app, name)
    page.goto(f"{live_app.url}/o/acme/settings/rules/")
    page.get_by_label("New rule for").select_option(label=name)
    page.get_by_role("button", name="New rule").click()
    page.get_by_label("Name", exact=False).first.fill(f"Qualify {scripted}")
    page.get_by_label("What to do").select_option(label="Set the lead’s status")
    page.get_by_role("button", name="Add", exact=True).last.click()
    page.get_by_label("Status", exact=True).select_option(label="Qualified")
    assert page.get_by_label("Name", exact=False).first.input_value() == f"Qualify {scripted}"
    page.get_by_label("What to do").select_option(label="Create a task")
    page.get_by_role("button", name="Add", exact=True).last.click()
    page.get_by_label("Task", exact=True).fill("Call again")
    assert page.get_by_label("Status", exact=True).locator("option:checked").inner_text() == "Qualified"
    if scripted:
        assert axe(page) == []
    page.get_by_role("button", name="Save the rule").click()
    page.wait_for_url("**/settings/rules/")
    shown = page.locator("main").inner_text()
    assert "Set the lead’s status to Qualified" in shown
    assert "Create the task “Call again” for whoever logged the activity" in shown

    page.goto(f"{live_app.url}/o/acme/leads/new/")
    page.get_by_label("Name", exact=False).first.fill(f"Ruled {scripted}")
    page.get_by_role("button", name="Create lead").click()
    page.get_by_role("heading", name=f"Ruled {scripted}").wait_for()
    lead = page.url.split("?")[0]
    kind = live_app.manage(
        "shell", "-c",
        f"from activities.models import ActivityType as T; print(T.unscoped.get(name='{name}').public_id)",
    ).strip().splitlines()[-1]  # fmt: skip
    page.goto(f"{lead}log/{kind}/")
    page.get_by_role("button", name="Publish").first.click()
    # Without scripts the timeline is a page of its own.
    page.wait_for_url(f"{lead}#acti_*" if scripted else f"{lead}timeline/?activity=acti_*")
    page.get_by_text("Set the status to Qualified", exact=False).first.wait_for()
    page.goto(lead)
    page.get_by_text("Call again").first.wait_for()
