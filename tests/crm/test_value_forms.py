"""The form of custom fields: what it offers, and that typed input passes through untouched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.http import QueryDict

from crm import events
from crm.customfields.catalog import Use, catalog
from crm.customfields.forms import value_form
from crm.customfields.lookups import Lookups
from crm.customfields.services import create_field, remove_option
from crm.models import CustomField, FieldSet, Role
from crm.tenancy import scope
from tests.factories import Tenant, World
from tests.samples import SAMPLES


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


@pytest.fixture
def fields(ours: Tenant) -> dict[str, CustomField]:
    """One field of each kind on contacts."""
    fieldset = FieldSet.objects.get(owner="contact")
    return {
        kind: create_field(ours.admin, fieldset, name=kind, kind=kind, options=sample.options, settings=sample.settings)
        for kind, sample in SAMPLES.items()
    }


def uses(tenant: Tenant) -> tuple[Use, ...]:
    return catalog(tenant.organization).contact_uses


def test_every_kind_but_hidden_is_on_the_form(ours: Tenant, fields: dict[str, CustomField]) -> None:
    form = value_form(uses(ours), actor=ours.user, lookups=Lookups(ours.organization, ours.leads[0].pk))
    assert list(form.fields) == [field.public_id for kind, field in fields.items() if kind != "hidden"]
    assert form.fields[fields["number"].public_id].label == "number (kg)"
    html = form.as_p()
    assert "Contact of Acme" in html
    assert "Uma User" in html
    assert "Contact of Bluth" not in html
    assert "style=" not in html


def test_what_was_typed_is_shown_and_returned_as_typed(ours: Tenant, fields: dict[str, CustomField]) -> None:
    number, hidden = fields["number"].public_id, fields["hidden"].public_id
    lookups = Lookups(ours.organization)
    draft = value_form(uses(ours), actor=ours.user, lookups=lookups, raw={number: "12."})
    assert 'value="12."' in str(draft[number])
    sent = value_form(uses(ours), actor=ours.user, lookups=lookups, data=QueryDict(f"{number}=1x&{hidden}=smuggled"))
    assert sent.raw()[number] == "1x"
    assert hidden not in sent.raw()
    sent.add_errors({f"custom.{number}": "Not a number.", "elsewhere": "On top."})
    assert sent.errors == {number: ["Not a number."], "__all__": ["On top."]}
    assert 'value="1x"' in str(sent[number])


def test_defaults_are_for_new_records_only(ours: Tenant) -> None:
    field = create_field(ours.admin, FieldSet.objects.get(owner="contact"), name="Size", kind="number", default="5")
    lookups = Lookups(ours.organization)
    new = value_form(uses(ours), actor=ours.user, lookups=lookups)
    old = value_form(uses(ours), actor=ours.user, lookups=lookups, initial={})
    assert (new[field.public_id].initial, old[field.public_id].initial) == ("5", None)


def test_rights(ours: Tenant) -> None:
    fieldset, admin = FieldSet.objects.get(owner="contact"), Role.objects.get(slug="admin").pk
    unseen = create_field(ours.admin, fieldset, name="Unseen", kind="text", view_roles=[admin])
    fixed = create_field(ours.admin, fieldset, name="Fixed", kind="text", edit_roles=[admin])
    written = create_field(ours.admin, fieldset, name="Written", kind="text", read_only=True)
    form = value_form(
        uses(ours), actor=ours.user, lookups=Lookups(ours.organization), data=QueryDict(f"{fixed.public_id}=x")
    )
    assert {name: field.disabled for name, field in form.fields.items()} == {
        fixed.public_id: True,
        written.public_id: True,
    }
    assert form.raw() == {}
    theirs = value_form(uses(ours), actor=ours.admin, lookups=Lookups(ours.organization))
    assert {name: field.disabled for name, field in theirs.fields.items()} == {
        unseen.public_id: False, fixed.public_id: False, written.public_id: True,
    }  # fmt: skip


def test_a_removed_option_is_offered_to_who_holds_it(ours: Tenant) -> None:
    field = create_field(
        ours.admin, FieldSet.objects.get(owner="contact"), name="CRM", kind="choices", options=["A", "B"]
    )
    option = catalog(ours.organization).fields[field.pk].options[0]
    remove_option(ours.admin, field, option.public_id)
    form = value_form(
        uses(ours), actor=ours.user, lookups=Lookups(ours.organization), initial={str(field.pk): option.id}
    )
    assert "A (removed)" in str(form[field.public_id])
    assert f'value="{option.public_id}" selected' in str(form[field.public_id])
    new = value_form(uses(ours), actor=ours.user, lookups=Lookups(ours.organization))
    assert "A (removed)" not in str(new[field.public_id])
    assert ">B<" in str(new[field.public_id])
