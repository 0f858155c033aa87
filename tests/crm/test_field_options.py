"""Options of a choices field: labels, colours, order, coming back, and two becoming one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from activities.models import Activity
from activities.services.activities import log_activity, update_activity
from activities.services.drafts import save_draft
from crm import events, jobs
from crm.customfields import services
from crm.customfields.catalog import catalog
from crm.customfields.services import options as module
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import CustomField, Event, FieldOption, FieldSet, FieldUse, ValueRef
from crm.tenancy import scope
from leads.services import update_lead
from tests.factories import Tenant, World, change_field


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def crm(ours: Tenant) -> CustomField:
    return CustomField.objects.get(pk=ours.use("CRM").field.id)


def ids_of(field: CustomField) -> dict[str, str]:
    return {row.label: row.public_id for row in FieldOption.objects.filter(field=field)}


def offered(tenant: Tenant, field: CustomField) -> list[tuple[str, str]]:
    options = catalog(tenant.organization).fields[field.pk].options
    return [(option.label, option.color) for option in options if not option.removed]


def test_labels_and_colours_change_together_and_may_be_swapped(ours: Tenant, crm: CustomField) -> None:
    was = ids_of(crm)
    services.change_options(
        ours.admin,
        crm,
        {was["HubSpot"]: {"label": " Salesforce ", "color": "orange"}, was["Salesforce"]: {"label": "HubSpot"}},
    )
    assert offered(ours, crm) == [("Salesforce", "orange"), ("HubSpot", ""), ("None", "")]
    event = Event.objects.filter(object_id=crm.pk).order_by("-pk")[0]
    assert event.before[was["HubSpot"]] == {"label": "HubSpot", "color": ""}
    count = Event.objects.count()
    services.change_options(ours.admin, crm, {was["None"]: {"label": "None"}})
    assert Event.objects.count() == count, "nothing changed, nothing recorded"


@pytest.mark.parametrize(
    ("label", "color", "sentence"),
    [
        ("", "", "needs a label"),
        ("x" * 201, "", "longer than 200"),
        ("hubspot", "", "has an option “hubspot” already"),
        ("None", "mauve", "“mauve” is not a colour of options"),
    ],
)
def test_a_refused_change_leaves_all_options(
    ours: Tenant, crm: CustomField, label: str, color: str, sentence: str
) -> None:
    was, before = ids_of(crm), list(FieldOption.objects.order_by("pk").values())
    changes = {was["None"]: {"label": label, "color": color}, was["Salesforce"]: {"label": "SF"}}
    with pytest.raises(InvalidInput) as caught:
        services.change_options(ours.admin, crm, changes)
    assert sentence in caught.value.fields[was["None"]]
    assert list(FieldOption.objects.order_by("pk").values()) == before


def test_a_removed_option_comes_back_at_the_end_under_its_id(ours: Tenant, crm: CustomField) -> None:
    was = ids_of(crm)
    services.remove_option(ours.admin, crm, was["HubSpot"])
    assert [label for label, _ in offered(ours, crm)] == ["Salesforce", "None"]
    services.restore_option(ours.admin, crm, was["HubSpot"])
    assert [label for label, _ in offered(ours, crm)] == ["Salesforce", "None", "HubSpot"]
    assert ids_of(crm) == was


def test_only_who_manages_customizations_merges(ours: Tenant, crm: CustomField) -> None:
    was, before = ids_of(crm), (Event.objects.count(), list(FieldOption.objects.values("pk", "removed_at")))
    for actor in (ours.user, ours.restricted):
        for write in (
            lambda actor=actor: services.merge_options(actor, crm, was["HubSpot"], was["None"]),
            lambda actor=actor: services.change_options(actor, crm, {was["HubSpot"]: {"label": "X"}}),
            lambda actor=actor: services.restore_option(actor, crm, was["HubSpot"]),
        ):
            with pytest.raises(NotAllowed):
                write()
    assert (Event.objects.count(), list(FieldOption.objects.values("pk", "removed_at"))) == before


def test_options_of_another_organization_are_not_there(ours: Tenant, world: World, crm: CustomField) -> None:
    theirs = FieldOption.unscoped.filter(organization=world.theirs.organization)[0].public_id
    mine = ids_of(crm)["None"]
    for pair in ((theirs, mine), (mine, theirs)):
        with pytest.raises(NotFound):
            services.merge_options(ours.admin, crm, *pair)
    assert crm.settings == {}


def test_two_options_become_one_everywhere(ours: Tenant, crm: CustomField) -> None:
    """Values of leads, contacts and activities, several at once, the default, rules, drafts and the index follow."""
    was = ids_of(crm)
    gone, kept = (FieldOption.objects.get(field=crm, label=label).pk for label in ("HubSpot", "Salesforce"))
    services.share_field(ours.admin, crm)
    services.attach_field(ours.admin, FieldSet.objects.get(owner="lead"), crm)
    change_field(ours, "CRM", {"multiple": True, "default": ["HubSpot", "None"]})
    rule = {"field": crm.public_id, "values": ["HubSpot", "Salesforce"]}
    ruled = services.create_field(ours.admin, ours.type_row.fieldset, name="Portal", kind="text", show_when=rule)
    lead, both = ours.leads[0], ours.activities[0]
    update_lead(ours.user, lead, {"custom": {crm.public_id: "HubSpot"}})
    update_activity(ours.user, both, custom={crm.public_id: ["Salesforce", "HubSpot", "None"]})
    draft = save_draft(ours.user, lead, ours.call, {crm.public_id: [was["HubSpot"], was["None"]]})
    assert draft is not None

    assert services.merge_options(ours.admin, crm, was["HubSpot"], was["Salesforce"]) == 3
    crm.refresh_from_db()
    none = FieldOption.objects.get(field=crm, label="None").pk
    key = str(crm.pk)
    for record in (lead, both, draft, ours.activities[1]):
        record.refresh_from_db()
    assert lead.values[key] == [kept]
    assert both.values[key] == [kept, none]
    assert ours.activities[1].values[key] == kept
    assert draft.draft_data[crm.public_id] == [was["Salesforce"], was["None"]]
    assert crm.default == [kept, none]
    assert FieldUse.objects.get(field=ruled).show_when == {"field": crm.pk, "values": [kept]}
    assert not ValueRef.objects.filter(field_id=crm.pk, v=gone).exists()
    assert ValueRef.objects.filter(field_id=crm.pk, v=kept).count() == 4
    call_command("reindex", "--check")
    assert [label for label, _ in offered(ours, crm)] == ["Salesforce", "None"]
    event = Event.objects.filter(object_id=crm.pk, object_type__startswith="custom_fields").order_by("-pk")[0]
    assert event.meta == {"from": was["HubSpot"], "into": was["Salesforce"], "records": 3}
    assert (event.before, event.after) == ({"merged": "HubSpot"}, {"into": "Salesforce"})

    # The old name and the old id still work, and mean the other one.
    for raw in ("hubspot", was["HubSpot"]):
        made = log_activity(ours.user, lead, ours.call, custom={crm.public_id: raw})
        assert made.values[key] == [kept]


def test_many_values_move_in_the_background_and_read_right_meanwhile(
    ours: Tenant, crm: CustomField, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MERGED_AT_ONCE", 1)
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "enqueue", lambda *job: sent.append(job))
    was = ids_of(crm)
    services.merge_options(ours.admin, crm, was["HubSpot"], was["None"])
    use, activity = ours.use("CRM"), ours.activities[0]
    stored = Activity.objects.get(pk=activity.pk).values[str(crm.pk)]
    assert use.field.kind.display(stored, use.field, None) == "None"  # type: ignore[arg-type]
    path, *args = sent[0]
    assert path == "crm.tasks.merge_option"
    from crm.tasks import merge_option

    merge_option(*args)
    merge_option(*args)
    call_command("reindex", "--check")
    assert Activity.objects.get(pk=activity.pk).values[str(crm.pk)] == args[2]


def test_who_chose_another_option_meanwhile_keeps_it(ours: Tenant, crm: CustomField) -> None:
    """The index row is old news when the job comes: the record decides."""
    was = ids_of(crm)
    gone, kept = (FieldOption.objects.get(field=crm, label=label).pk for label in ("HubSpot", "None"))
    services.merge_options(ours.admin, crm, was["Salesforce"], was["None"])
    update_activity(ours.user, ours.activities[0], custom={crm.public_id: "None"})
    ValueRef.objects.create(field_id=crm.pk, lead_id=ours.leads[0].pk, record_key=ours.activities[0].pk, v=gone)
    crm.refresh_from_db()
    services.move_merged_values(crm, gone, kept)
    call_command("reindex", "--check")


def test_merged_options_follow_each_other_and_may_come_back_by_their_label(ours: Tenant, crm: CustomField) -> None:
    was = ids_of(crm)
    services.merge_options(ours.admin, crm, was["HubSpot"], was["Salesforce"])
    crm.refresh_from_db()
    services.merge_options(ours.admin, crm, was["Salesforce"], was["None"])
    field = catalog(ours.organization).fields[crm.pk]
    assert field.find_option("HubSpot") == field.find_option(was["HubSpot"]) == field.find_option("None")
    crm.refresh_from_db()
    for write in (services.restore_option, services.remove_option):
        with pytest.raises(NotFound):
            write(ours.admin, crm, was["HubSpot"])
    services.update_field(ours.admin, ours.type_row.fieldset, crm, {"name": "Tool"})
    assert "merged" in CustomField.objects.get(pk=crm.pk).settings, "a change of the definition keeps them"
    services.add_options(ours.admin, crm, ["hubspot"])
    field = catalog(ours.organization).fields[crm.pk]
    assert [option.label for option in field.options] == ["None", "hubspot"]
    assert field.find_option(was["HubSpot"]).label == "hubspot"  # type: ignore[union-attr]


@pytest.mark.parametrize(("gone", "kept"), [("HubSpot", "HubSpot"), ("HubSpot", "None")])
def test_what_cannot_be_merged(ours: Tenant, crm: CustomField, gone: str, kept: str) -> None:
    was = ids_of(crm)
    services.remove_option(ours.admin, crm, was["None"])
    with pytest.raises(InvalidInput):
        services.merge_options(ours.admin, crm, was[gone], was[kept])
    assert CustomField.objects.get(pk=crm.pk).settings == {}


def test_a_field_without_options_takes_none(ours: Tenant) -> None:
    users = CustomField.objects.get(pk=ours.use("Users").field.id)
    with pytest.raises(InvalidInput, match="has no options"):
        services.add_options(ours.admin, users, ["A"])
