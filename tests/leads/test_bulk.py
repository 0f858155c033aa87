"""Bulk changes: exact numbers, row by row through the services, refusals listed, resumable, cancellable, denied without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from activities.models import Activity
from crm import events
from crm.customfields.services import create_field
from crm.errors import InvalidInput, NotAllowed
from crm.models import Event, FieldSet
from crm.tenancy import scope
from leads.models import BulkAction, Contact, Lead, LeadStatus
from leads.services import bulk as services
from leads.services import bulk_changes, update_lead
from leads.services.bulk import Selection, cancel_bulk, how_many, run_bulk, start_bulk
from leads.tasks import run_bulk_action
from tests.factories import PASSWORD, Tenant, World

LEADS = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def status(label: str) -> LeadStatus:
    return LeadStatus.objects.get(label=label)


def with_status(label: str) -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": "lead", "field_name": "status_id"}
    condition = {"type": "term", "values": [status(label).public_id]}
    return {
        **LEADS,
        "queries": [*LEADS["queries"], {"type": "field_condition", "field": field, "condition": condition}],
    }  # type: ignore[misc]


def finish(bulk: BulkAction) -> BulkAction:
    run_bulk_action(bulk.pk)
    bulk.refresh_from_db()
    return bulk


def test_a_status_is_set_on_everything_a_search_finds(ours: Tenant, world: World) -> None:
    first, second = (row.label for row in LeadStatus.objects.order_by("position")[:2])
    update_lead(ours.admin, ours.leads[0], {"status": second})
    selection = Selection("lead", with_status(first))
    assert how_many(ours.admin, selection) == 2
    bulk = start_bulk(ours.admin, "edit", selection, {"status": status(second).public_id}, expected=2)
    bulk = finish(bulk)
    assert (bulk.state, bulk.n_objects, bulk.n_done, bulk.n_changed, bulk.n_refused) == ("done", 2, 2, 2, 0)
    assert set(Lead.objects.values_list("status__label", flat=True)) == {second}
    assert Event.objects.filter(object_type="lead", action="updated").count() == 3
    assert Event.objects.filter(object_type="bulk_action.edit").count() == 2
    with scope(world.theirs.organization):
        assert set(Lead.objects.values_list("status__label", flat=True)) == {first}


def test_ticked_rows_only(ours: Tenant) -> None:
    second = LeadStatus.objects.order_by("position")[1]
    chosen = Selection("lead", LEADS, only=(ours.leads[0].pk, ours.leads[2].pk, 999_999))
    assert how_many(ours.admin, chosen) == 2
    bulk = finish(start_bulk(ours.admin, "edit", chosen, {"status": second.public_id}))
    assert bulk.n_changed == 2 and Lead.objects.filter(status=second).count() == 2


def test_a_limit_takes_the_first_by_the_sort(ours: Tenant) -> None:
    second = LeadStatus.objects.order_by("position")[1]
    selection = Selection("lead", LEADS, sort="-name", limit=1)
    bulk = finish(start_bulk(ours.admin, "edit", selection, {"status": second.public_id}))
    assert bulk.n_objects == 1
    assert list(Lead.objects.filter(status=second).values_list("name", flat=True)) == ["Cyberdyne"]


def test_fields_are_replaced_added_to_and_emptied(ours: Tenant) -> None:
    lead_set = FieldSet.objects.get(owner="lead")
    field = create_field(ours.admin, lead_set, name="Tags", kind="choices", options=["A", "B"], multiple=True)
    change = {"field": field.public_id, "operation": "replace", "value": ["A"]}
    finish(start_bulk(ours.admin, "edit", Selection("lead", LEADS), change))
    bulk = finish(
        start_bulk(ours.admin, "edit", Selection("lead", LEADS), {**change, "operation": "add", "value": ["B"]})
    )
    assert bulk.n_changed == 3
    assert {len(lead.values[str(field.pk)]) for lead in Lead.objects.all()} == {2}
    again = finish(
        start_bulk(ours.admin, "edit", Selection("lead", LEADS), {**change, "operation": "add", "value": ["B"]})
    )
    assert (again.n_done, again.n_changed) == (3, 0)
    finish(start_bulk(ours.admin, "edit", Selection("lead", LEADS), {**change, "operation": "clear"}))
    assert not any(lead.values for lead in Lead.objects.all())


def test_parts_are_given_and_emptied(ours: Tenant) -> None:
    leads, contacts = Selection("lead", LEADS), Selection("contact", {"type": "object_type", "object_type": "contact"})
    bulk = finish(start_bulk(ours.admin, "edit", leads, {"part": "url", "value": "https://example.com"}))
    assert bulk.n_changed == 3 and set(Lead.objects.values_list("url", flat=True)) == {"https://example.com"}
    bulk = finish(start_bulk(ours.admin, "edit", leads, {"part": "url", "value": None}))
    assert bulk.message == "Website is emptied" and set(Lead.objects.values_list("url", flat=True)) == {""}
    finish(start_bulk(ours.admin, "edit", contacts, {"part": "title", "value": "Head of Sales"}))
    assert set(Contact.objects.values_list("title", flat=True)) == {"Head of Sales"}
    activities = Selection("custom_activity", {"type": "object_type", "object_type": "activity.custom_activity"})
    somebody = ours.superuser.user
    bulk = finish(start_bulk(ours.admin, "edit", activities, {"part": "user", "value": somebody.public_id}))
    assert bulk.n_changed == 3 and set(Activity.objects.filter(type=ours.type_row).values_list("user", flat=True)) == {
        somebody.pk
    }
    wrong: list[tuple[Selection, dict[str, Any]]] = [
        (leads, {"part": "name", "value": "x"}), (leads, {"part": "url", "value": "no address"}),
        (leads, {"part": "url", "value": " "}), (activities, {"part": "user", "value": "user_nope"}),
    ]  # fmt: skip
    for selection, change in wrong:
        with pytest.raises(InvalidInput):
            start_bulk(ours.admin, "edit", selection, change)
    page = client_of(ours).get(reverse("leads:bulk", args=["ours", "custom_activity", "edit"]), {"what": "part:user"})
    assert "Sue Super" in page.content.decode()
    refused = client_of(ours).post(
        reverse("leads:bulk", args=["ours", "lead", "edit"]), {"state": "", "what": "part:url", "value": "no address"}
    )
    assert refused.status_code == 422 and "new-value-error" in refused.content.decode()


def test_an_activity_is_logged_on_many_leads(ours: Tenant) -> None:
    before = Activity.objects.count()
    change = {"type": ours.call.public_id, "values": {ours.fields["Users"]: "7"}}
    bulk = finish(start_bulk(ours.admin, "log", Selection("lead", LEADS), change))
    assert bulk.n_changed == 3 and Activity.objects.count() == before + 3
    assert bulk.message == "Qualifying call is logged"


def test_refused_rows_are_listed_with_their_reason(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Super users may delete in bulk; a lead that goes meanwhile, or that a service refuses, does not stop the others."""
    real = bulk_changes.delete_lead

    def refuse_one(actor: Any, lead: Lead) -> None:
        if lead.name == "Bluth":
            raise NotAllowed("This one stays.")
        real(actor, lead)

    monkeypatch.setattr(bulk_changes, "delete_lead", refuse_one)
    bulk = finish(start_bulk(ours.superuser, "delete", Selection("lead", LEADS), {}))
    assert (bulk.state, bulk.n_done, bulk.n_changed, bulk.n_refused) == ("done", 3, 2, 1)
    assert bulk.refused == [{"id": ours.leads[1].public_id, "name": "Bluth", "reason": "This one stays."}]
    assert list(Lead.objects.values_list("name", flat=True)) == ["Bluth"]


def test_contacts_and_activities_change_in_bulk_too(ours: Tenant) -> None:
    tree = {"type": "object_type", "object_type": "contact"}
    finish(start_bulk(ours.admin, "delete", Selection("contact", tree), {}))
    assert Contact.objects.count() == 0
    custom = {"type": "object_type", "object_type": "activity.custom_activity"}
    change = {"field": ours.fields["CRM"], "operation": "replace", "value": "None"}
    bulk = finish(start_bulk(ours.admin, "edit", Selection("custom_activity", custom), change))
    assert bulk.n_changed == 3
    bulk = finish(start_bulk(ours.admin, "delete", Selection("custom_activity", custom), {}))
    assert bulk.n_changed == 3 and Activity.objects.filter(type=ours.type_row).count() == 0


def test_a_killed_worker_goes_on_after_the_last_chunk(ours: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "CHUNK", 1)
    bulk = start_bulk(ours.admin, "log", Selection("lead", LEADS), {"type": ours.call.public_id, "values": {}})
    before = Activity.objects.count()
    real, seen = services._do_chunk, []

    def die_on_the_second(*given: Any) -> None:
        real(*given)
        seen.append(given)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(services, "_do_chunk", die_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_bulk(bulk, ours.admin)
    bulk.refresh_from_db()
    assert (bulk.n_done, Activity.objects.count()) == (1, before + 1)  # the second chunk was rolled back whole
    monkeypatch.setattr(services, "_do_chunk", real)
    bulk = finish(bulk)
    assert (bulk.state, bulk.n_done, Activity.objects.count()) == ("done", 3, before + 3)
    assert finish(bulk).n_done == 3 and Activity.objects.count() == before + 3  # once over, running again does nothing


def test_a_cancelled_change_stops(ours: Tenant) -> None:
    second = LeadStatus.objects.order_by("position")[1]
    bulk = start_bulk(ours.admin, "edit", Selection("lead", LEADS), {"status": second.public_id})
    cancel_bulk(ours.admin, bulk)
    assert finish(bulk).state == "cancelled" and not Lead.objects.filter(status=second).exists()


def test_losing_the_right_stops_a_change(ours: Tenant) -> None:
    second = LeadStatus.objects.order_by("position")[1]
    bulk = start_bulk(ours.superuser, "edit", Selection("lead", LEADS), {"status": second.public_id})
    ours.superuser.role = ours.user.role
    ours.superuser.save()
    bulk = finish(bulk)
    assert bulk.state == "error" and "no longer" in bulk.change["problem"]
    assert not Lead.objects.filter(status=second).exists()


def test_what_cannot_be_done_is_refused_and_nothing_is_written(ours: Tenant, world: World) -> None:
    second = LeadStatus.objects.order_by("position")[1].public_id
    leads = Selection("lead", LEADS)
    for actor in (ours.user, ours.restricted):
        for kind, change in (("edit", {"status": second}), ("delete", {}), ("log", {"type": ours.call.public_id})):
            with pytest.raises(NotAllowed):
                start_bulk(actor, kind, leads, change)
    wrong: list[dict[str, Any]] = [
        {"status": "stat_nope"}, {"field": "cf_nope", "value": "x"}, {"status": None},
        {"field": world.theirs.fields["CRM"], "value": "HubSpot"},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(InvalidInput):
            start_bulk(ours.admin, "edit", leads, change)
    with pytest.raises(InvalidInput, match="finds 3 by now, not 5"):
        start_bulk(ours.admin, "edit", leads, {"status": second}, expected=5)
    assert not BulkAction.objects.exists() and not Event.objects.filter(object_type__startswith="bulk_action").exists()


# --- pages ------------------------------------------------------------------------------------------------------------
def client_of(tenant: Tenant, role: str = "admin") -> Client:
    client = Client()
    assert client.login(email=getattr(tenant, role).user.email, password=PASSWORD)
    return client


def test_from_the_list_to_the_result(ours: Tenant) -> None:
    client, slug = client_of(ours), ours.organization.slug
    address = reverse("leads:bulk", args=[slug, "lead", "edit"])
    page = client.get(address, {"q": "acme", "what": "status"})
    assert page.status_code == 200 and page.context["number"] == 1
    second = LeadStatus.objects.order_by("position")[1]
    form = {"state": page.context["state"], "what": "status", "status": second.public_id, "expected": "1"}
    assert client.post(address, {**form, "expected": "9"}).status_code == 422
    started = client.post(address, form)
    assert started.status_code == 302
    bulk = BulkAction.objects.get()
    assert client.get(started["Location"]).status_code == 200
    finish(bulk)
    done = client.get(started["Location"], headers={"HX-Request": "true"}).content.decode()
    assert "Done: 1 changed" in done and "every 1s" not in done
    assert client.get(reverse("leads:bulk_list", args=[slug])).status_code == 200
    assert Lead.objects.get(status=second).name == "Acme"


def test_others_do_not_see_a_change(ours: Tenant, world: World) -> None:
    second = LeadStatus.objects.order_by("position")[1]
    bulk = start_bulk(ours.admin, "edit", Selection("lead", LEADS), {"status": second.public_id})
    address = reverse("leads:bulk_page", args=[ours.organization.slug, bulk.public_id])
    assert client_of(ours, "user").get(address).status_code == 404
    assert client_of(ours, "user").post(f"{address}cancel/").status_code == 404
    assert client_of(world.theirs).get(address.replace("/o/ours/", "/o/theirs/")).status_code == 404
    assert client_of(ours, "user").get(reverse("leads:bulk", args=["ours", "lead", "delete"])).status_code == 403
    bulk.refresh_from_db()
    assert bulk.state == "created"
