"""Imports as people do them: the real complaints file all the way round, and a messy spreadsheet that ends explained."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser
FILE = Path(__file__).resolve().parents[2] / "data" / "cfpb-complaints-2023.csv"
WAIT = 240_000
LONG = 40_000  # rows: some seconds of work
# Where the columns go; every other column becomes a field of the kind that fits it.
MEANINGS = {"Company": "lead_name", "Date received": "date_created", "Complaint ID": "external_id"}


@pytest.fixture
def app(own_live_app: LiveApp) -> LiveApp:
    own_live_app.start_worker()
    return own_live_app


@pytest.fixture
def page(app: LiveApp, browser: Any) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 1000}, accept_downloads=True, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(app.manage("sign_in_link", "ann@acme.example").strip().splitlines()[-1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/o/**")
    yield page
    context.close()
    assert not problems, problems


def make_type(app: LiveApp, name: str, *fields: tuple[str, str]) -> None:
    app.manage(
        "shell", "--verbosity", "0", "-c",
        "from crm.models import *; from crm.tenancy import scope; from crm import events\n"
        "from activities.services.types import create_type; from crm.customfields.services import create_field\n"
        "m = Membership.unscoped.get(user__email='ann@acme.example')\n"
        "with scope(m.organization), events.door('page'):\n"
        f"    row = create_type(m, name={name!r})\n"
        f"    [create_field(m, row.fieldset, name=n, kind=k) for n, k in {fields!r}]\n",
    )  # fmt: skip


def count_activities(app: LiveApp) -> int:
    """Return how many activities are there that came with an external id."""
    code = "from activities.models import Activity as A; print(A.unscoped.exclude(external_id=None).count())"
    return int(app.manage("shell", "--verbosity", "0", "-c", code).strip().splitlines()[-1])


def upload(page: Any, app: LiveApp, name: str, content: bytes) -> None:
    page.goto(f"{app.url}/o/acme/settings/import/")
    page.set_input_files("input[name=file]", {"name": name, "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="Match columns").wait_for()


def target(page: Any, header: str) -> Any:
    return page.get_by_label(f"Where {header} goes", exact=True)


def check(page: Any) -> None:
    page.get_by_role("button", name="Check every row").click()
    page.get_by_role("heading", name="Check the import").wait_for()
    page.get_by_text("This is what the import will do").wait_for(timeout=WAIT)


def run(page: Any) -> None:
    page.get_by_role("button", name="Import ", exact=False).last.click()
    page.get_by_text("The import is done.").wait_for(timeout=WAIT)


def tab(page: Any, label: str) -> int:
    return int(page.locator(".tp-tabs a", has_text=label).locator(".tp-count").inner_text().replace(",", ""))


def test_the_complaints_go_in_come_out_and_go_back_edited(app: LiveApp, page: Any) -> None:
    make_type(app, "Consumer complaint")
    upload(page, app, FILE.name, FILE.read_bytes())
    page.get_by_label("Activity type of the whole file").select_option(label="Consumer complaint")
    page.get_by_role("button", name="Show its fields").click()
    for select in page.locator("select[name^=target_]").all():
        header = select.get_attribute("aria-label").removeprefix("Where ").removesuffix(" goes")
        if header in MEANINGS:
            select.select_option(MEANINGS[header])
        else:
            fitting = select.locator("option", has_text="(fits)").first
            select.select_option(fitting.get_attribute("value"))
    page.get_by_label("Create leads that are missing").check()
    page.get_by_label("Add missing options").check()
    page.get_by_label("Words that mean empty").fill("N/A")
    check(page)
    assert (tab(page, "New"), tab(page, "Failed")) == (2067, 0)
    run(page)
    assert tab(page, "New") == 2067

    page.goto(f"{app.url}/o/acme/settings/import/")
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("link", name="Consumer complaint").last.click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2067 and {row["custom.Timely response?"] for row in rows} == {"yes", "no"}

    rows[0]["custom.Issue"] = "(clear)"
    rows[1]["custom.Consumer complaint narrative"] = 'She said: "=1+1"\nand left.'
    edited = io.StringIO()
    writer = csv.DictWriter(edited, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    upload(page, app, "edited.csv", edited.getvalue().encode())
    check(page)
    assert (tab(page, "New"), tab(page, "Changed"), tab(page, "Skipped"), tab(page, "Failed")) == (0, 2, 2065, 0)
    page.locator(".tp-tabs a", has_text="Changed").click()
    page.get_by_text("She said:").wait_for()
    run(page)

    page.goto(f"{app.url}/o/acme/settings/import/")
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("link", name="Consumer complaint").last.click()
    again = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert again[0]["custom.Issue"] == ""
    assert again[1]["custom.Consumer complaint narrative"] == 'She said: "=1+1"\nand left.'
    unchanged = ("date_updated", "updated_by")
    assert [{**row, **dict.fromkeys(unchanged)} for row in again[2:]] == [
        {**row, **dict.fromkeys(unchanged)} for row in rows[2:]
    ]


MESSY = (
    "Firma;Datum;Dauer;Ergebnis;Ergebnis;Kommentar\r\n"
    "Müller & Söhne;03/04/2024;1,234;gut;;erstes Gespräch\r\n"
    "\r\n"
    "Köhler GmbH;05/04/2024;zwanzig;gut;;\r\n"
    ";;;;;\r\n"
    "Café Zürich;07/04/2024;30;schlecht;;„vielleicht“\r\n"
    ";08/04/2024;5;gut;;ohne Firma\r\n"
).encode("cp1252")


def test_a_messy_spreadsheet_ends_with_everything_in_or_explained(app: LiveApp, page: Any, axe: Any) -> None:
    make_type(app, "Gespräch", ("Dauer", "number"), ("Ergebnis", "text"), ("Kommentar", "text"))
    upload(page, app, "gespräche.csv", MESSY)
    assert (
        page.get_by_label("Encoding").input_value() == "cp1252" and page.get_by_label("Delimiter").input_value() == ";"
    )
    page.get_by_text("Müller & Söhne").wait_for()
    page.get_by_text("The column “Ergebnis” is there twice").wait_for()
    assert axe(page) == []
    page.get_by_label("Activity type of the whole file").select_option(label="Gespräch")
    page.get_by_role("button", name="Show its fields").click()
    assert target(page, "Dauer").locator("option:checked").inner_text().startswith("Dauer"), "found by its name"
    target(page, "Firma").select_option("lead_name")
    target(page, "Datum").select_option("date_created")
    target(page, "Ergebnis (2)").select_option("")
    page.get_by_label("Create leads that are missing").check()
    page.get_by_role("button", name="Check every row").click()
    page.get_by_text("“03/04/2024” can be 3 April or 4 March.").wait_for()
    page.get_by_text("“1,234” can be 1234 or 1.234.").wait_for()
    assert target(page, "Firma").input_value() == "lead_name", "what was chosen is still there"
    page.get_by_label("A date such as 03/04/2024 is").select_option(label="3 April (day first)")
    page.get_by_label("A number such as 1,234 is").select_option("comma")
    check(page)
    assert axe(page) == []
    assert (tab(page, "New"), tab(page, "Failed")) == (2, 2)
    page.locator(".tp-tabs a", has_text="Failed").click()
    page.get_by_text("Dauer must be a number; “zwanzig” is not one.").wait_for()
    page.get_by_text("The row names no lead.").wait_for()
    run(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Failed rows as CSV").click()
    failed = Path(download.value.path()).read_text("utf-8-sig")
    assert failed.splitlines()[0] == "Firma;Datum;Dauer;Ergebnis;Ergebnis (2);Kommentar;error"
    mended = failed.replace("zwanzig", "20").replace("\n;08/04/2024", "\nKöhler GmbH;08/04/2024")
    upload(page, app, "failed.csv", mended.encode())
    assert target(page, "Firma").input_value() == "lead_name", "columns go where they went last time"
    page.get_by_text("Matched as in your import of gespräche.csv").wait_for()
    check(page)
    assert (tab(page, "New"), tab(page, "Failed")) == (2, 0)
    run(page)
    page.get_by_role("button", name="Undo the import").click()
    page.get_by_role("dialog").get_by_role("button", name="Undo the import").click()
    page.get_by_text("The import was undone.").wait_for(timeout=WAIT)
    assert axe(page) == []

    # A file so long that it is still being written when the buttons are pressed, however fast the machine.
    lines = "".join(f"Köhler GmbH;{number};n-{number}\r\n" for number in range(LONG))
    (app.folder / "long.csv").write_text(f"lead_name;Dauer;external_id\r\n{lines}", encoding="utf-8")
    page.goto(f"{app.url}/o/acme/settings/import/")
    page.set_input_files("input[name=file]", str(app.folder / "long.csv"))
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="Match columns").wait_for()
    page.get_by_label("Activity type of the whole file").select_option(label="Gespräch")
    page.get_by_role("button", name="Show its fields").click()
    page.get_by_label("Create leads that are missing").check()
    check(page)
    page.get_by_role("button", name=f"Import {LONG:,}").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("The import stopped after").wait_for(timeout=WAIT)
    assert tab(page, "New") < LONG
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("The import was cancelled after").wait_for(timeout=WAIT)
    written = tab(page, "New")
    assert written < LONG and written == count_activities(app), "what is written stays, once"
