"""The pages of reports: what they show, how many queries they take, whom they refuse."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from activities.queries import type_for
from activities.services.activities import log_activity
from activities.services.types import create_type, update_type
from crm.models import Membership, Role, Team
from crm.tenancy import scope
from leads.services import save_smart_view
from reporting import services
from reporting.models import Report, Tile
from reporting.queries import Asked, tiles_of
from reporting.views.shown import change_text

OURS = "/o/ours/reports/"
# There each grouped statement and each search has a time limit: a savepoint, two settings, its release.
POSTGRES = connection.vendor == "postgresql"


def key_of(tenant: Any, tail: str = "count") -> str:
    return f"custom_activities.created.{tenant.call.public_id}.{tail}"


def sign_in(member: Membership) -> Client:
    client = Client()
    client.force_login(member.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def report(world: Any) -> Any:
    """The admin's overview with three tiles."""
    tenant = world.ours
    with scope(tenant.organization):
        found = services.create_report(tenant.admin, "overview", "Numbers")
        services.add_tile(tenant.admin, found, Asked(key_of(tenant), "Calls"))
        services.add_tile(tenant.admin, found, Asked(key_of(tenant), "By CRM", split=tenant.fields["CRM"]), 2)
        services.add_tile(tenant.admin, found, "leads.created.all.count")
    return found


def test_the_overview_frames_each_tile(world: Any, report: Report, django_assert_num_queries: Any) -> None:
    client = sign_in(world.ours.admin)
    client.get(f"{OURS}overview/")
    with django_assert_num_queries(12):
        page = client.get(f"{OURS}overview/")
    text = page.content.decode()
    assert page.status_code == 200
    assert text.count("data-tile-body") == 3
    assert "days in UTC" in text
    assert "Numbers" in text


def test_one_tile_takes_the_same_queries_whatever_it_holds(world: Any, django_assert_num_queries: Any) -> None:
    client = sign_in(world.ours.admin)
    address = f"{OURS}tile/?metric={key_of(world.ours)}"
    client.get(address)
    with django_assert_num_queries(4 + 4 * POSTGRES):
        text = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert '<a href="/o/ours/reports/records/?metric=custom_activities' in text
    assert text.count('<tr><th scope="row"') == 30


def test_more_days_from_one_to_another_are_no_good_news(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        deal = create_type(tenant.admin, name="Deal won")
        kind = type_for(tenant.admin, deal.public_id)
        for lead, began, days in ((tenant.leads[0], 40, 2), (tenant.leads[1], 10, 5)):
            since = timezone.now() - timedelta(days=began)
            log_activity(tenant.user, lead, tenant.call, activity_at=since, custom={})
            log_activity(tenant.user, lead, kind, activity_at=since + timedelta(days=days))
    metric = f"days_between.{tenant.call.public_id}.{deal.public_id}.30"
    client = sign_in(tenant.admin)
    slower = client.get(f"{OURS}tile/", {"metric": metric}, headers={"HX-Request": "true"}).content.decode()
    assert '<span class="tp-change">' in slower and "+150%" in slower
    more = client.get(
        f"{OURS}tile/", {"metric": key_of(tenant).replace("created", "occurred")}, headers={"HX-Request": "true"}
    ).content.decode()
    assert '<span class="tp-change tp-up">' in more


def test_each_number_of_a_tile_opens_a_list_as_long_as_it_says(world: Any) -> None:
    tenant = world.ours
    client = sign_in(tenant.admin)
    options = json.dumps({"split": tenant.fields["CRM"]})
    for given in (
        {"metric": key_of(tenant)},
        {"metric": key_of(tenant), "o": options},
        {"metric": key_of(tenant, "count").replace("created", "leads")},
        {"metric": f"ratio({key_of(tenant)},leads.created.all.count)"},
        {"metric": "leads.created.all.count", "range": "today"},
    ):
        text = client.get(f"{OURS}tile/", given, headers={"HX-Request": "true"}).content.decode()
        links = re.findall(r'<a href="([^"]+)"[^>]*>([\d,]+)</a>', text)
        assert links
        for address, number in [link for link in links if link[1] != "0"] + links[-2:]:
            if "ratio" in given["metric"] and "part" not in address:
                continue
            page = client.get(address.replace("&amp;", "&")).content.decode()
            assert f'role="status">{number}</span>' in page, address


def test_no_share_of_something_is_a_number_and_nothing_of_nothing_is_not(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        none = next(
            row.public_id for row in tenant.use("CRM").field.options if row.label not in ("HubSpot", "Salesforce")
        )
    client, given = sign_in(tenant.admin), {"metric": key_of(tenant, f"share_{none}"), "range": "today"}
    shown = client.get(f"{OURS}tile/", given, headers={"HX-Request": "true"}).content.decode()
    assert "<canvas" in shown
    assert ">0%</a>" in shown
    long_ago = {**given, "range": "", "start": "2001-01-01", "end": "2001-01-31"}
    shown = client.get(f"{OURS}tile/", long_ago, headers={"HX-Request": "true"}).content.decode()
    assert "Nothing in 1–31 Jan 2001" in shown


def test_the_list_behind_a_number_has_its_sentence(world: Any, django_assert_num_queries: Any) -> None:
    client = sign_in(world.ours.admin)
    address = f"{OURS}records/?metric={key_of(world.ours)}&start=2026-01-01&end=2027-12-31&zone=Europe/Berlin"
    client.get(address)
    with django_assert_num_queries(10 + 4 * POSTGRES):
        text = client.get(address).content.decode()
    assert "Qualifying calls created from 1 Jan 2026 to 31 Dec 2027" in text
    assert "days in Europe/Berlin" in text
    assert "Acme" in text


@pytest.mark.parametrize(
    "query",
    [
        "metric=nonsense", "metric=leads.created.all.count&part=7", "metric=leads.created.all.count&holds=opt_x",
        "metric=leads.created.all.count&o={", "metric=leads.created.all.count&zone=Mars/Olympus",
        "metric=leads.created.all.count&users=nobody", "metric=leads.created.all.count&view=save_x",
        "metric=leads.created.all.count&start=9999-12-31&end=9999-12-31", "metric=leads.created.all.count&o=[1]&range=x",
        "metric=leads.created.all.count&after=zzz", "metric=leads.created.all.count&zone=../../etc/passwd",
    ],
)  # fmt: skip
def test_a_broken_address_says_so(world: Any, query: str) -> None:
    client = sign_in(world.ours.admin)
    assert client.get(f"{OURS}records/?{query}").status_code == 422
    assert client.get(f"{OURS}tile/?{query}").status_code in (200, 422)


def test_a_tile_the_member_may_not_see_has_neither_value_nor_hint(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        admin = Role.objects.get(slug="admin")
        shared = services.create_report(tenant.admin, "overview", "All numbers")
        services.add_tile(tenant.admin, shared, Asked(key_of(tenant), "Secret tile"))
        services.share_report(tenant.admin, shared, True)
        key = key_of(tenant)
        update_type(tenant.admin, tenant.type_row, {"view_roles": [admin.pk]})
    client = sign_in(tenant.user)
    assert "Secret tile" not in client.get(f"{OURS}overview/?report={shared.public_id}").content.decode()
    for address in (f"{OURS}tile/?metric={key}", f"{OURS}records/?metric={key}"):
        page = client.get(address)
        assert page.status_code == 422
        assert "Qualifying" not in page.content.decode()
    assert "Secret tile" in sign_in(tenant.admin).get(f"{OURS}overview/?report={shared.public_id}").content.decode()


def test_comparison_shows_members_teams_and_the_period_before(world: Any, django_assert_num_queries: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        team = Team.objects.create(organization=tenant.organization, name="Sales")
        team.members.add(tenant.user.user)
        log_activity(tenant.admin, tenant.leads[0], tenant.call)
        tenant.restricted.removed_at = tenant.restricted.date_created
        tenant.restricted.save(update_fields=["removed_at"])
    client = sign_in(tenant.admin)
    client.get(f"{OURS}comparison/")
    with django_assert_num_queries(16 + 4 * 4 * POSTGRES):
        text = client.get(f"{OURS}comparison/?range=today&compare=1").content.decode()
    assert "Uma User" in text
    assert "Rex Restricted" not in text  # a former member without a number
    by_teams = client.get(f"{OURS}comparison/?rows=teams").content.decode()
    assert "Sales" in by_teams
    assert "Uma User" not in by_teams.split("<tbody>")[1]
    first = client.get(f"{OURS}comparison/?sort=0&hide_zero=1").content.decode().split("<tbody>")[1]
    assert first.index("Uma User") < first.index("Ada Admin")
    assert "Sue Super" not in first


def test_a_table_leaves_as_it_is_sorted(world: Any) -> None:
    client = sign_in(world.ours.admin)
    names = ("Ada Admin", "Sue Super", "Uma User", "Rex Restricted")
    for sort in ("0", "-0", "-name"):
        page = client.get(f"{OURS}comparison/?range=today&sort={sort}").content.decode()
        rows = page.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
        shown = [next(name for name in names if name in row) for row in rows]
        address = re.search(r"comparison\.csv\?[^\"]*", page)
        assert address
        lines = client.get(f"/o/ours/reports/{html.unescape(address.group())}").content.decode().splitlines()
        assert len(shown) > 2 and [line.split(",")[0] for line in lines[1:-1]] == shown, sort


def test_a_range_may_have_its_first_day_only(world: Any) -> None:
    """Somebody chose the first day and left the other field empty."""
    client = sign_in(world.ours.admin)
    with time_machine.travel(datetime(2026, 3, 9, 12, tzinfo=UTC)):
        assert "1–9 Mar 2026" in client.get(f"{OURS}overview/?start=2026-03-01&end=").content.decode()
        assert "1 Apr 2026" in client.get(f"{OURS}overview/?start=2026-04-01&end=").content.decode(), "still to come"
    refused = client.get(f"{OURS}overview/?start=&end=2026-03-01")
    assert refused.status_code == 422 and "Choose the first day too" in refused.content.decode()


def test_a_former_member_with_a_number_is_marked(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        tenant.user.removed_at = tenant.user.date_created
        tenant.user.save(update_fields=["removed_at"])
    text = sign_in(tenant.admin).get(f"{OURS}comparison/").content.decode()
    assert re.search(r"Uma User</span>\s*<span class=\"tp-badge\">Former member", text)


def test_csv_is_for_those_who_export_and_neutralised(world: Any, report: Report) -> None:
    tenant = world.ours
    tile = f"{OURS}tile.csv?metric={key_of(tenant)}&range=today&name==cmd()"
    for address in (tile, f"{OURS}comparison.csv?compare=1"):
        assert sign_in(tenant.user).get(address).status_code == 403
        assert sign_in(tenant.admin).get(address)["Content-Type"] == "text/csv; charset=utf-8"
    lines = sign_in(tenant.admin).get(tile).content.decode().splitlines()
    assert lines[0] == "from,to,time zone,'=cmd()"
    assert lines[-1] == "Total,,UTC,3"
    table = sign_in(tenant.admin).get(f"{OURS}comparison.csv?range=today").content.decode().splitlines()
    assert table[0].startswith("member,email,Qualifying call,")
    assert table[-1] == "Total,,3,0,0,3"


def test_a_tile_is_made_edited_and_removed_without_javascript(world: Any, report: Report) -> None:
    tenant = world.ours
    client = sign_in(tenant.admin)
    new = f"{OURS}overview/tiles/new/"
    page = client.get(new, {"report": report.public_id, "what": tenant.call.public_id}).content.decode()
    assert "Average Users" in page
    users = tenant.fields["Users"]
    sent = {
        "report": report.public_id, "what": tenant.call.public_id, "measure": key_of(tenant, f"avg_{users}"), "name": "Mean users",
        "who": "user", "split": "", "step": "week", "width": "3", "goal": "40", "goal_per": "week", "save": "1",
        "field": [users, ""], "op": [">", ""], "value": ["10", ""],
    }  # fmt: skip
    answer = client.post(new, sent)
    assert answer.status_code == 302
    with scope(tenant.organization):
        tile = tiles_of(report)[-1]
        assert (tile.name, tile.width, tile.options["who"], tile.options["goal"]) == (
            "Mean users",
            3,
            "user",
            {"number": "40", "per": "week"},
        )
        assert tile.options["filter"]["queries"][0]["condition"] == {"type": "number_range", "gt": 10.0}
    edit = f"{OURS}tiles/{tile.public_id}/edit/"
    shown = client.get(edit).content.decode()
    assert 'value="Mean users"' in shown
    assert 'value="10"' in shown
    wrong = client.post(edit, {**sent, "value": ["many", ""]})
    assert wrong.status_code == 422
    assert "“many” is not a number" in wrong.content.decode()
    ratio = {
        "what": "ratio",
        "top": key_of(tenant),
        "bottom": "leads.created.all.count",
        "name": "",
        "width": "1",
        "save": "1",
    }
    assert client.post(edit, ratio).status_code == 302
    days = {
        "what": "conversion",
        "first": tenant.call.public_id,
        "then": tenant.call.public_id,
        "days": "0",
        "save": "1",
    }
    assert client.post(edit, days).status_code == 422
    assert client.post(edit, {**days, "days": "14"}).status_code == 302
    for action, given in (("width", {"width": "4"}), ("duplicate", {}), ("remove", {})):
        assert client.post(f"{OURS}tiles/{tile.public_id}/{action}/", given).status_code == 302
    with scope(tenant.organization):
        assert [row.width for row in tiles_of(report)] == [1, 2, 1, 4]
        assert not Tile.objects.filter(pk=tile.pk).exists()


def test_tiles_are_reordered(world: Any, report: Report) -> None:
    client = sign_in(world.ours.admin)
    with scope(world.ours.organization):
        order = [row.public_id for row in tiles_of(report)][::-1]
    answer = client.post(f"{OURS}overview/order/?report={report.public_id}", {"order": order})
    assert answer.status_code == 204
    with scope(world.ours.organization):
        assert [row.public_id for row in tiles_of(report)] == order


def test_columns_change_places(world: Any) -> None:
    tenant = world.ours
    client = sign_in(tenant.admin)
    client.post(f"{OURS}comparison/keep/")
    with scope(tenant.organization):
        made = Report.objects.get()
        first = [row.public_id for row in tiles_of(made)]
    address = f"{OURS}comparison/?report={made.public_id}"
    page = client.get(address).content.decode()
    buttons = re.findall(r'formaction="([^"]*order/[^"]*)" name="columns" value="([^"]*)">.*?(Move \w+)<', page)
    words = [word for _, _, word in buttons]
    assert words == ["Move right", *["Move left", "Move right"] * (len(first) - 2), "Move left"]
    answer = client.post(html.unescape(buttons[0][0]), {"columns": buttons[0][1]})
    assert answer.status_code == 302 and answer["Location"].endswith(f"comparison/?report={made.public_id}")
    with scope(tenant.organization):
        assert [row.public_id for row in tiles_of(made)] == [first[1], first[0], *first[2:]]
    assert "Move left" not in sign_in(tenant.user).get(f"{OURS}comparison/").content.decode(), "the default report"


def test_reports_are_made_named_shared_copied_and_deleted(world: Any) -> None:
    tenant = world.ours
    client = sign_in(tenant.admin)
    assert client.post(f"{OURS}comparison/new/", {"name": "Team"}).status_code == 302
    with scope(tenant.organization):
        made = Report.objects.get()
    start = f"{OURS}saved/{made.public_id}/"
    assert client.post(f"{start}rename/", {"name": "Sales team"}).status_code == 302
    assert client.post(f"{start}rename/", {"name": " "}).status_code == 422
    assert client.post(f"{start}share/", {"shared": "1"}).status_code == 302
    assert client.post(f"{start}filters/?range=this-week&compare=1").status_code == 302
    other = sign_in(tenant.user)
    assert "Sales team" in other.get(f"{OURS}comparison/").content.decode()
    assert other.post(f"{start}rename/", {"name": "Mine"}).status_code == 403
    assert other.post(f"{start}duplicate/").status_code == 302
    assert sign_in(world.theirs.admin).post(f"{start}rename/", {"name": "Mine"}).status_code == 404
    assert client.post(f"{start}delete/").status_code == 302
    with scope(tenant.organization):
        assert [(row.name, row.owner_id, row.filters) for row in Report.objects.all()] == [
            ("Sales team (copy)", tenant.user.user_id, {"range": "this-week", "compare": "1"})
        ]


def test_a_report_limited_by_a_smart_view_that_is_not_theirs_shows_nothing(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        tree = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
        view = save_smart_view(tenant.admin, name="Private view", query=tree)
        shared = services.create_report(tenant.admin, "overview", "Limited")
        services.add_tile(tenant.admin, shared, Asked(key_of(tenant), "Calls here"))
        services.keep_filters(tenant.admin, shared, {"view": view.public_id})
        services.share_report(tenant.admin, shared, True)
    assert "Calls here" in sign_in(tenant.admin).get(f"{OURS}overview/?report={shared.public_id}").content.decode()
    page = sign_in(tenant.user).get(f"{OURS}overview/?report={shared.public_id}")
    assert page.status_code == 422
    assert "Calls here" not in page.content.decode()
    assert "Private view" not in page.content.decode()


def test_every_address_is_for_members(world: Any, report: Report) -> None:
    for name, args in (
        ("overview", ()),
        ("comparison", ()),
        ("tile", ()),
        ("records", ()),
        ("new_tile", ("overview",)),
    ):
        address = reverse(f"reporting:{name}", args=["ours", *args])
        assert Client().get(address).status_code == 302
        assert sign_in(world.theirs.admin).get(address).status_code == 404


def test_days_are_days_in_the_chosen_zone_and_its_lists_agree(world: Any, report: Report) -> None:
    """Half past eleven in the evening of UTC is the next day in Berlin; the zone is printed, kept, and in every list."""
    tenant = world.ours
    client = sign_in(tenant.admin)
    with scope(tenant.organization):
        moment = datetime(2024, 3, 14, 23, 30, tzinfo=UTC)
        log_activity(tenant.user, tenant.leads[0], tenant.call, custom={}, date_created=moment)
    days = "start=2024-03-14&end=2024-03-14"
    for zone, number in (("", 1), ("UTC", 1), ("Europe/Berlin", 0), ("America/New_York", 1)):
        page = client.get(f"{OURS}tile/?metric={key_of(tenant)}&{days}&zone={zone}").content.decode()
        total = re.search(r'tp-figure"><a href="([^"]+)">([^<]+)<', page)
        assert total and total[2] == str(number), zone
        behind = client.get(html.unescape(total[1])).content.decode()
        assert f">{number}<" in re.search(r"<h1>.*?</h1>", behind, re.DOTALL)[0]
        assert f"days in {zone or 'UTC'}" in behind
    shown = client.get(f"{OURS}overview/?report={report.public_id}&{days}&zone=Europe/Berlin").content.decode()
    assert "days in Europe/Berlin" in shown
    assert '<option value="Europe/Berlin" selected>days in Europe/Berlin</option>' in shown
    assert "zone=Europe%2FBerlin" in shown
    assert client.post(f"{OURS}saved/{report.public_id}/filters/?{days}&zone=Europe/Berlin").status_code == 302
    assert "days in Europe/Berlin" in client.get(f"{OURS}overview/?report={report.public_id}").content.decode()
    table = client.get(f"{OURS}comparison/?{days}&zone=Europe/Berlin").content.decode()
    assert "days in Europe/Berlin" in table
    for address in ("overview/?zone=Mars/Olympus", "comparison/?zone=Mars/Olympus"):
        refused = client.get(OURS + address)
        assert refused.status_code == 422
        assert "There is no time zone “Mars/Olympus”. Choose one from the list." in refused.content.decode()


def test_a_tile_of_leads_contacted_stays_one_when_it_is_edited(world: Any, report: Report) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        tile = services.add_tile(tenant.admin, report, Asked("leads.contacted.all.count", "Reached"))
    client = sign_in(tenant.admin)
    address = f"{OURS}tiles/{tile.public_id}/edit/"
    assert (
        '<option value="leads.contacted.all.count" selected>Leads contacted</option>'
        in client.get(address).content.decode()
    )
    sent = {"save": "1", "what": "leads", "measure": "leads.contacted.all.count", "name": "Reached", "width": "2"}
    assert client.post(address, sent).status_code == 302
    tile.refresh_from_db()
    assert (tile.metric, tile.name, tile.width) == ("leads.contacted.all.count", "Reached", 2)


def test_the_others_of_a_split_open_their_list(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from reporting.queries import overview

    monkeypatch.setattr(overview, "MOST_STACKED", 2)
    tenant = world.ours
    with scope(tenant.organization):
        for crm in ("Salesforce", "HubSpot", "HubSpot", "HubSpot", "HubSpot", ""):
            log_activity(tenant.user, tenant.leads[0], tenant.call, custom={"CRM": crm})
    client = sign_in(tenant.admin)
    options = json.dumps({"split": tenant.fields["CRM"]})
    page = client.get(f"{OURS}tile/", {"metric": key_of(tenant), "o": options}).content.decode()
    found = re.search(r"<tfoot>.*</tfoot>", page, re.DOTALL)[0]
    links = re.findall(r'href="([^"]+)">(\d+)<', found)
    assert "2 others" in page
    for address, number in links:
        behind = client.get(html.unescape(address))
        assert f">{number}<" in re.search(r"<h1>.*?</h1>", behind.content.decode(), re.DOTALL)[0]
    assert "not:opt_" in html.unescape(links[-1][0]).replace("%3A", ":")
    broken = html.unescape(links[-1][0]).replace("opt_", "opt_x")
    assert client.get(broken).status_code == 422


@pytest.mark.parametrize(
    ("change", "unit", "words"),
    [(25, "", "+25%"), (-25, "s", "-25%"), (0, "", "0%"), (0, "%", "0 points"), (1, "%", "+1 point"), (-3, "%", "-3 points"),
     (900, "", "+900%"), (205000, "", "×2,051")],
)  # fmt: skip
def test_changes_in_words(change: int, unit: str, words: str) -> None:
    assert change_text(change, unit) == words


def test_bars_of_all_time_begin_with_the_first_record(world: Any) -> None:
    """One type's oldest record is years before another's first: its bars begin where it does, at least twelve of them."""
    tenant = world.ours
    with scope(tenant.organization):
        log_activity(
            tenant.user, tenant.leads[0], tenant.call, custom={"CRM": "HubSpot"}, date_created=datetime(2016, 3, 14, 12, tzinfo=UTC)
        )  # fmt: skip
    client = sign_in(tenant.admin)

    def shown(metric: str) -> tuple[list[str], str, bool]:
        page = client.get(
            f"{OURS}tile/?metric={metric}&range=all-time", headers={"HX-Request": "true"}
        ).content.decode()
        total = re.search(r'tp-figure"><a href="[^"]+">([^<]+)<', page)
        return re.findall(r'<th scope="row" data-label="([^"]+)"', page), total[1] if total else "", "before:" in page

    old, total, compared = shown(key_of(tenant))
    assert (old[0], total, compared) == ("Mar 2016", "4", False)
    new, total, compared = shown("leads.created.all.count")
    assert (len(new), new[-1], total, compared) == (12, old[-1], "3", False)


def test_a_team_of_a_report_for_some_members_opens_their_records_alone(world: Any) -> None:
    tenant = world.ours
    with scope(tenant.organization):
        sales = Team.objects.create(organization=tenant.organization, name="Sales")
        sales.members.set([tenant.user.user, tenant.admin.user])
        Team.objects.create(organization=tenant.organization, name="Support").members.set([tenant.superuser.user])
        log_activity(tenant.admin, tenant.leads[0], tenant.call, custom={})
    client = sign_in(tenant.admin)

    def table(users: str) -> dict[str, tuple[str, str]]:
        page = client.get(f"{OURS}comparison/?rows=teams{users}").content.decode().split("<tbody>")[1]
        found = re.findall(r'</svg> (\w+)</span>.*?<a class="tp-number" href="([^"]+)">([^<]+)<', page, re.DOTALL)
        return {name: (number, html.unescape(address)) for name, address, number in found}

    assert {name: number for name, (number, _) in table("").items()} == {"Sales": "4", "Support": "0"}
    some = table(f"&users={tenant.admin.user.public_id}")
    assert {name: number for name, (number, _) in some.items()} == {"Sales": "1"}
    assert 'role="status">1</span>' in client.get(some["Sales"][1]).content.decode()
    none = client.get(f"{OURS}comparison/?rows=teams&users={tenant.restricted.user.public_id}").content.decode()
    assert "None of the chosen members is in a team." in none
