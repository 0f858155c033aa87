"""A tile whose field or type is gone is no riddle for whoever may change the report, and no hint for anybody else."""

from __future__ import annotations

import re

import pytest

from crm.customfields.services import delete_field
from crm.models import CustomField
from crm.tenancy import scope
from reporting import services
from reporting.models import Report, Tile
from reporting.queries import Asked
from tests.factories import World
from tests.reporting.test_pages import key_of, sign_in

SAID = re.compile("1 (tile|column) is not shown.")


@pytest.fixture(params=[Report.Kind.OVERVIEW, Report.Kind.COMPARISON])
def page(world: World, request: pytest.FixtureRequest) -> tuple[str, Report]:
    """A shared report of the admin's with two tiles; the field that the second one adds up is deleted."""
    ours = world.ours
    with scope(ours.organization):
        report = services.create_report(ours.admin, request.param, "Sales")
        services.share_report(ours.admin, report, True)
        users = ours.fields["Users"]
        services.add_tile(ours.admin, report, Asked(key_of(ours)))
        services.add_tile(ours.admin, report, Asked(key_of(ours, f"sum_{users}"), name="Seats sold"))
        field = CustomField.objects.get(pk=ours.use("Users").field.id)
        delete_field(ours.admin, ours.type_row.fieldset, field, None)
    return f"/o/ours/reports/{request.param}/?report={report.public_id}", report


def test_the_owner_is_told_and_takes_it_away(world: World, page: tuple[str, Report]) -> None:
    address, report = page
    client = sign_in(world.ours.admin)
    shown = " ".join(client.get(address).content.decode().split())
    assert SAID.search(shown) and "Seats sold" in shown
    with scope(world.ours.organization):
        lost = Tile.objects.get(report=report, name="Seats sold").public_id
    assert client.post(f"/o/ours/reports/tiles/{lost}/remove/").status_code == 302
    assert not SAID.search(client.get(address).content.decode())
    assert Tile.unscoped.filter(report=report).count() == 1


def test_others_see_nothing_of_it(world: World, page: tuple[str, Report]) -> None:
    shown = sign_in(world.ours.user).get(page[0]).content.decode()
    assert "not shown" not in shown and "Seats sold" not in shown


def test_who_may_change_a_report_of_somebody_else_sees_that_there_is_one_not_its_name(
    world: World, page: tuple[str, Report]
) -> None:
    shown = sign_in(world.ours.superuser).get(page[0]).content.decode()
    assert SAID.search(shown) and "Seats sold" not in shown
    assert {"overview": ">Tile 1<", "comparison": ">Column 1<"}[page[1].kind] in shown
