"""A manager answers four questions in the browser: how many each, which share, which average, which leads."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

# Three reps, this week and the last: each call with its answer, its number of users and where the lead came from.
FILL = '''
from datetime import timedelta
from django.utils import timezone
from activities.queries import type_catalog
from activities.services.activities import log_activity
from activities.services.types import create_type
from crm.customfields.services import create_field
from crm.management.provision import join
from crm.models import Membership, Organization, Role
from crm.tenancy import scope
from leads.services import create_lead

organization = Organization.objects.get(slug="acme")
with scope(organization):
    ann = Membership.objects.select_related("user", "role", "organization").get(user__email="ann@acme.example")
    role = Role.objects.get(slug="user")
    reps = [join(organization, f"{name.lower()}@acme.example", role, first_name=name, last_name="Rep") for name in ("Rita", "Sol", "Tim")]
    row = create_type(ann, name="Reported call", icon="phone", color="blue")
    create_field(ann, row.fieldset, name="Qualified", kind="choices", options=["Yes", "No"])
    create_field(ann, row.fieldset, name="Source", kind="choices", options=["Fair", "Website"])
    create_field(ann, row.fieldset, name="Users", kind="number")
organization = Organization.objects.get(slug="acme")
with scope(organization):
    now = timezone.now()
    # The middle of the calendar week: never in the future of today's zone by more than the week itself.
    monday = (now - timedelta(days=now.weekday())).replace(hour=12)
    kind = type_catalog(organization).by_name("Reported call")
    number = 0
    for rep, this_week, last_week in ((reps[0], 4, 2), (reps[1], 3, 3), (reps[2], 1, 0)):
        rep.organization = organization
        for when, count in ((monday, this_week), (monday - timedelta(days=7), last_week)):
            for _ in range(count):
                number += 1
                lead = create_lead(rep, name=f"Prospect {number}")
                custom = {"Qualified": "Yes" if number % 2 else "No", "Source": "Fair" if number % 3 else "Website", "Users": str(number * 10)}
                log_activity(rep, lead, kind, custom=custom, date_created=when, activity_at=when)
'''  # fmt: skip


@pytest.fixture
def page(live_app: Any, sign_in: Any) -> Any:
    live_app.manage("shell", "-c", FILL) if "Reported call" not in live_app.manage("shell", "-c", KNOWN) else None
    return sign_in()


LAST_BAR = """(canvas) => {
  const chart = Chart.getChart(canvas);
  const part = chart.data.datasets.length - 1;
  const numbers = chart.data.datasets[part].data;
  const at = numbers.findLastIndex((number) => number);
  const place = chart.getDatasetMeta(part).data[at].getCenterPoint();
  const box = canvas.getBoundingClientRect();
  return { x: box.x + place.x, y: box.y + place.y, number: numbers[at], name: chart.data.datasets[part].label };
}"""
KNOWN = "from activities.models import ActivityType; print(list(ActivityType.unscoped.values_list('name', flat=True)))"


def open_report(page: Any, kind: str, query: str = "") -> None:
    page.goto(re.sub(r"/o/acme/.*", f"/o/acme/reports/{kind}/{query}", page.url))


def add_tile(page: Any, *, what: str, measure: str, name: str, split: str = "") -> None:
    page.get_by_role("link", name=re.compile("Add a (tile|column)")).click()
    with page.expect_response(re.compile(r"/tiles/new/\?")):  # the form is drawn again for what is counted
        page.get_by_label("What to count").select_option(label=what)
    page.wait_for_load_state("networkidle")
    page.locator("#editor:not(.htmx-swapping):not(.htmx-settling):not(.htmx-added)").wait_for()
    page.get_by_label("Number").select_option(label=measure)
    page.get_by_label("Name", exact=True).fill(name)
    if split:
        page.get_by_label("Split by").select_option(label=split)
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(lambda address: "/tiles/" not in address)


def total_of(page: Any) -> int:
    return int(page.locator("h1 .tp-total").inner_text().replace(",", ""))


def test_the_managers_four_questions(page: Any, axe: Any) -> None:
    # 1. How many qualifying calls did each rep log this week against last?
    open_report(page, "comparison")
    page.get_by_role("button", name="Make it mine").click()
    page.wait_for_url("**report=**")
    add_tile(page, what="Reported call", measure="Created", name="Reported calls")
    page.get_by_label("Range").select_option(label="This week")
    page.get_by_label("Against the period before").check()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**compare=1**")
    rita = page.get_by_role("row", name=re.compile("Rita Rep"))
    column = (
        page.locator("thead th")
        .all_inner_texts()
        .index(next(text for text in page.locator("thead th").all_inner_texts() if "Reported calls" in text))
    )
    cell = rita.locator("td").nth(column - 1)
    assert cell.locator(".tp-number").inner_text() == "4"
    assert cell.locator("small").inner_text().split() == ["2", "+100%"]
    assert axe(page) == []
    cell.locator(".tp-number").click()
    page.wait_for_url("**/records/**")
    assert total_of(page) == 4
    assert "Rita Rep" in page.locator(".tp-sentence").inner_text()
    assert axe(page) == []

    # 2. Which share was qualified?
    open_report(page, "overview")
    page.get_by_role("button", name="Make it mine").click()
    page.wait_for_url("**report=**")
    add_tile(page, what="Reported call", measure="Qualified Yes, share", name="Qualified share")
    add_tile(page, what="Reported call", measure="Average Users", name="Mean users", split="By Source")
    add_tile(page, what="Reported call", measure="Created", name="Calls by source", split="By Source")
    share = page.locator(".tp-tile", has=page.get_by_role("heading", name="Qualified share"))
    assert share.locator(".tp-figure > a").inner_text() == "53.8%"
    assert share.locator(".tp-compared").first.inner_text() == "7 of 13"

    # 3. What is the average number of users by source?
    users = page.locator(".tp-tile", has=page.get_by_role("heading", name="Mean users"))
    users.locator("[data-chart-toggle]").click()
    users.locator(".tp-chart-table").wait_for(state="visible")
    heads = users.locator("thead th").all_inner_texts()[1:]
    totals = users.locator("tfoot td").all_inner_texts()
    assert dict(zip(heads, totals, strict=True)) == {"Fair": "67.78", "Website": "75"}
    assert axe(page) == []

    # 4. Which leads are behind that bar? The part of the bar opens its list.
    split = page.locator(".tp-tile", has=page.get_by_role("heading", name="Calls by source"))
    split.locator("canvas").wait_for()
    assert "Prospect" not in page.content()
    split.scroll_into_view_if_needed()
    bar = page.evaluate(LAST_BAR, split.locator("canvas").element_handle())
    page.mouse.click(bar["x"], bar["y"])
    page.wait_for_url("**/reports/records/**")
    assert total_of(page) == bar["number"]
    assert bar["name"] == "Website"
    assert "Source is Website" in page.locator(".tp-sentence").inner_text()
    assert page.get_by_role("link", name=re.compile("Prospect")).count() == bar["number"]


def test_tiles_move_by_keyboard_and_mouse_resize_and_leave_as_picture(page: Any, tmp_path: Path) -> None:
    open_report(page, "overview")
    page.locator(
        "[data-bs-toggle=dropdown]", has_text=re.compile("Default report|Activity Overview|My report|Moves")
    ).first.click()
    page.get_by_label("New report").fill("Moves")
    page.get_by_role("button", name="Make", exact=True).click()
    page.wait_for_url("**report=**")
    add_tile(page, what="Reported call", measure="Created", name="One")
    add_tile(page, what="Reported call", measure="Leads", name="Two")
    second = page.locator(".tp-tile", has=page.get_by_role("heading", name="Two"))
    second.get_by_role("button", name="More about Two").focus()
    page.keyboard.press("Enter")
    up = second.get_by_role("button", name="Move earlier")
    up.focus()
    with page.expect_response(re.compile("/order/")) as moved:
        page.keyboard.press("Enter")
    assert moved.value.status == 204
    with page.expect_response(re.compile("/width/")) as resized:
        second.get_by_role("button", name="whole line").click()
    assert resized.value.status == 204
    assert "tp-tile-full" in (second.get_attribute("class") or "")
    with page.expect_download() as picture:
        second.get_by_role("button", name="Picture (PNG)").click()
    picture.value.save_as(tmp_path / "two.png")
    drawn = (tmp_path / "two.png").read_bytes()
    assert drawn[:8] == b"\x89PNG\r\n\x1a\n"
    # Wider by the edges, and higher by those and two lines: what is counted, and when.
    width, height = struct.unpack(">II", drawn[16:24])
    canvas = second.locator("canvas")
    assert width - canvas.evaluate("node => node.width") == 24
    assert height - canvas.evaluate("node => node.height") == 24 + 36
    page.reload()
    assert page.locator(".tp-tile-title").all_inner_texts() == ["Two", "One"]
    assert "tp-tile-full" in (page.locator(".tp-tile").first.get_attribute("class") or "")

    # By mouse: the second is taken by its handle and let go above the first.
    page.locator(".tp-figure").nth(1).wait_for()
    handle = page.locator(".tp-tile", has=page.get_by_role("heading", name="One")).locator("[data-handle]")
    handle.scroll_into_view_if_needed()
    taken, above = handle.bounding_box(), page.locator(".tp-tile").first.bounding_box()
    page.mouse.move(taken["x"] + taken["width"] / 2, taken["y"] + taken["height"] / 2)
    page.mouse.down()
    page.mouse.move(above["x"] + 60, above["y"] + above["height"] / 2, steps=12)
    page.mouse.move(above["x"] + 60, above["y"] + 8, steps=6)
    page.locator(".tp-tile:first-child .tp-tile-title", has_text="One").wait_for()
    with page.expect_response(re.compile("/order/")) as dropped:
        page.mouse.up()
    assert dropped.value.status == 204
    page.reload()
    assert page.locator(".tp-tile-title").all_inner_texts() == ["One", "Two"]


def test_a_tile_that_fails_offers_to_try_again(page: Any, axe: Any) -> None:
    failing = {"on": True}
    page.route(
        re.compile(r"/reports/tile/\?"),
        lambda route: route.fulfill(status=500, body="") if failing["on"] else route.continue_(),
    )
    open_report(page, "overview")
    notice = page.locator("[data-tile-failed]:visible").first
    notice.wait_for()
    assert page.locator(".tp-toast", has_text="went wrong").count() == 0, "the tile says it"
    assert axe(page) == []
    failing["on"] = False
    notice.get_by_role("button", name="Try again").click()
    page.locator(".tp-figure").first.wait_for()


@pytest.mark.looks
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reports_are_accessible_on_a_phone(sign_in: Any, axe: Any, scheme: str) -> None:
    page = sign_in(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for kind in ("overview", "comparison", "overview/tiles/new"):
        open_report(page, kind)
        page.wait_for_load_state("networkidle")
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
