"""What the list of activities says of each in one cell."""

from __future__ import annotations

from typing import Any

import pytest

from activities.columns import columns, records
from activities.models import Activity
from activities.queries import type_catalog
from activities.search import ACTIVITY
from activities.services.activities import log_activity
from activities.services.types import create_type
from crm import events
from crm.customfields.services import create_field
from crm.tenancy import scope
from leads.search.columns import Rows
from leads.services import update_lead
from tests.factories import Tenant, World


def said(tenant: Tenant, activity: Activity) -> str:
    (what,) = [column for column in columns(tenant.admin, ACTIVITY) if column.key == "what"]
    rows = Rows(tenant.admin, records(ACTIVITY, [activity.pk]))
    return what.load(rows)[activity.pk].text


@pytest.fixture
def ours(world: World) -> Any:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def test_ticks_numbers_and_days_go_by_their_name(ours: Tenant) -> None:
    row = create_type(ours.admin, name="Onboarding")
    for name, kind in (
        ("Kick-off held", "checkbox"),
        ("Data imported", "checkbox"),
        ("Seats", "number"),
        ("Live on", "date"),
    ):
        create_field(ours.admin, row.fieldset, name=name, kind=kind)
    kind = type_catalog(ours.organization).get(row.pk)
    assert kind is not None
    given = {"Kick-off held": True, "Data imported": False, "Seats": "12", "Live on": "2026-12-13"}
    activity = log_activity(ours.admin, ours.leads[0], kind, custom=given)
    assert said(ours, activity) == "Kick-off held · Seats: 12 · Live on: 13 Dec 2026"


def test_a_change_of_status_says_from_what_to_what(ours: Tenant) -> None:
    lead = ours.leads[0]
    before = lead.status.label
    update_lead(ours.admin, lead, {"status": "Customer"})
    changed = Activity.objects.get(type_id=type_catalog(ours.organization).builtin("status_change").id, lead=lead)  # type: ignore[union-attr]
    assert said(ours, changed) == f"{before} → Customer"


def test_a_new_lead_says_where_it_came_from(ours: Tenant) -> None:
    created = type_catalog(ours.organization).builtin("created")
    assert created is not None
    entry = Activity.objects.filter(type_id=created.id, lead=ours.leads[0]).first()
    assert entry is not None and said(ours, entry) == "by hand"
