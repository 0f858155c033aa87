"""A record's values as a whole: rights, rules, required fields, and every problem at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crm import events
from crm.customfields.catalog import Use, catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.customfields.services import create_field, delete_field, remove_option, update_field
from crm.errors import InvalidInput
from crm.models import CustomField, FieldSet, Membership, Role
from crm.tenancy import scope
from tests.factories import Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization):
        yield world.ours


class Form:
    """The fields of contacts, empty in a new organization, with `clean` in few words."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.fieldset = FieldSet.objects.get(owner="contact")
        self.by_name: dict[str, CustomField] = {}

    def add(self, name: str, kind: str = "text", **more: Any) -> CustomField:
        self.by_name[name] = create_field(self.tenant.admin, self.fieldset, name=name, kind=kind, **more)
        return self.by_name[name]

    @property
    def uses(self) -> tuple[Use, ...]:
        return catalog(self.tenant.organization).contact_uses

    def clean(
        self, raw: dict[str, Any], *, actor: Membership | None = None, current: dict[str, Any] | None = None,
        require: bool = True, partial: bool = False, door: str = "page", **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Return cleaned values by field name."""
        names = {str(field.pk): name for name, field in self.by_name.items()}
        held = {str(self.by_name[name].pk): value for name, value in (current or {}).items()}
        with events.door(door):
            found = clean_values(
                actor or self.tenant.user, self.uses, {self.by_name[name].public_id: value for name, value in raw.items()},
                current=held, lookups=Lookups(self.tenant.organization), require=require, partial=partial, **more,
            )  # fmt: skip
        return {names[key]: value for key, value in found.items()}

    def problems(self, raw: dict[str, Any], **more: Any) -> dict[str, str]:
        """Return the sentences by field name."""
        with pytest.raises(InvalidInput) as caught:
            self.clean(raw, **more)
        names = {f"custom.{field.public_id}": name for name, field in self.by_name.items()}
        return {names[key]: sentence for key, sentence in caught.value.fields.items()}


@pytest.fixture
def form(ours: Tenant) -> Form:
    return Form(ours)


def test_all_problems_come_at_once(form: Form) -> None:
    form.add("Name", required=True)
    form.add("Size", "number")
    form.add("Mail", "email")
    assert form.problems({"Size": "big", "Mail": "x"}) == {
        "Name": "Name is required.",
        "Size": "Size must be a number; “big” is not one. Write it as 1234.5.",
        "Mail": "Mail must be an email address such as name@company.com.",
    }


def test_keys_of_problems_can_be_chosen(form: Form) -> None:
    form.add("Name", required=True)
    with pytest.raises(InvalidInput) as caught:
        form.clean({}, key=lambda use: f"column {use.field.name}")
    assert caught.value.fields == {"column Name": "Name is required."}


def test_required_is_for_publishing_only(form: Form) -> None:
    form.add("Name", required=True)
    form.add("Agreed", "checkbox", required=True)
    assert form.clean({}, require=False) == {}
    assert form.clean({"Name": "x", "Agreed": "no"}) == {"Name": "x", "Agreed": False}, "No is an answer"


@pytest.mark.parametrize(("partial", "left"), [(True, {"A": "1", "B": "2"}), (False, {"B": "2"})])
def test_absent_fields(form: Form, partial: bool, left: dict[str, str]) -> None:
    form.add("A")
    form.add("B")
    assert form.clean({"B": "2"}, current={"A": "1", "B": "1"}, partial=partial) == left


def test_an_empty_value_is_removed(form: Form) -> None:
    form.add("A")
    assert form.clean({"A": " "}, current={"A": "1"}, partial=True) == {}


def test_restricted_to_roles(form: Form) -> None:
    role = Role.objects.get(slug="superuser")
    form.add("Price", "number", edit_roles=[role.pk], required=True)
    assert form.problems({"Price": "2"})["Price"] == (
        "Price can be edited by other roles only. Your role is User."
    )  # fmt: skip
    assert form.clean({}) == {}, "nobody must fill in what they cannot"
    assert form.clean({"Price": "1"}, current={"Price": "1"}) == {"Price": "1"}, "sent back unchanged"
    assert form.clean({}, current={"Price": "1"}) == {"Price": "1"}, "kept, also where absent means empty"
    assert form.clean({"Price": "2"}, actor=form.tenant.superuser) == {"Price": "2"}
    assert form.clean({"Price": "2"}, actor=form.tenant.admin) == {"Price": "2"}, "Admin is always in the list"
    assert form.clean({"Price": "2"}, check_rights=False) == {"Price": "2"}


def test_what_one_cannot_see_one_cannot_write(form: Form) -> None:
    form.add("Secret", view_roles=[Role.objects.get(slug="admin").pk])
    assert form.problems({"Secret": "x"}) == {"Secret": "The field is visible to other roles only."}


@pytest.mark.parametrize("kind", ["text", "hidden"])
def test_read_only_and_hidden_fields_are_for_api_and_import(form: Form, kind: str) -> None:
    form.add("Source", kind, read_only=kind == "text", required=True)
    assert "through the API and imports" in form.problems({"Source": "x"})["Source"]
    assert form.clean({}, current={"Source": "kept"}) == {"Source": "kept"}
    assert form.clean({}) == {}, "not required on a page"
    for door in ("api", "import"):
        assert form.clean({"Source": "x"}, door=door) == {"Source": "x"}
        assert form.problems({}, door=door) == {"Source": "Source is required."}


class TestShownByRule:
    @pytest.fixture(autouse=True)
    def fields(self, form: Form) -> None:
        stage = form.add("Stage", "choices", options=["Won", "Lost"])
        reason = form.add(
            "Reason", required=True, show_when={"field": stage.public_id, "values": ["Lost"]}
        )  # fmt: skip
        form.add("Rival", show_when={"field": reason.public_id, "values": ["Price"]}, required=True)

    @pytest.mark.parametrize("door", ["page", "api", "import"])
    def test_hidden_is_neither_required_nor_stored(self, form: Form, door: str) -> None:
        won = form.clean({"Stage": "Won", "Reason": "Price", "Rival": "Acme"}, door=door)
        assert list(won) == ["Stage"]

    def test_shown_is_required(self, form: Form) -> None:
        assert form.problems({"Stage": "Lost"}) == {"Reason": "Reason is required."}
        assert form.problems({"Stage": "Lost", "Reason": "Price"}) == {"Rival": "Rival is required."}

    def test_changing_the_other_field_takes_the_value_along(self, form: Form) -> None:
        held = form.clean({"Stage": "Lost", "Reason": "Price", "Rival": "Acme"})
        assert list(form.clean({"Stage": "Won"}, current=held, partial=True)) == ["Stage"]

    def test_a_bad_value_of_a_hidden_field_is_no_problem(self, form: Form) -> None:
        assert list(form.clean({"Stage": "Won", "Reason": "a\x00b"})) == ["Stage"]

    def test_the_rule_goes_with_the_field_it_is_about(self, form: Form) -> None:
        delete_field(form.tenant.admin, form.fieldset, form.by_name.pop("Stage"), "Stage")
        assert form.clean({"Reason": "Size"}) == {"Reason": "Size"}


def test_a_removed_option_stays_but_is_not_taken_again(form: Form) -> None:
    field = form.add("Tags", "choices", options=["A", "B"], multiple=True)
    first, second = (option.id for option in form.uses[0].field.options)
    remove_option(form.tenant.admin, field, form.uses[0].field.options[0].public_id)
    assert form.clean({"Tags": ["A", "B"]}, current={"Tags": [first]}) == {"Tags": [first, second]}
    assert form.problems({"Tags": ["A", "B"]}, current={"Tags": [second]}) == {
        "Tags": "“A” was removed from Tags. Choose another option."
    }


def test_values_of_fields_elsewhere_stay(form: Form) -> None:
    form.add("A")
    with events.door("page"):
        found = clean_values(
            form.tenant.user, form.uses, {}, current={"999999": "x"}, lookups=Lookups(form.tenant.organization),
            require=True, partial=False,
        )  # fmt: skip
    assert found == {"999999": "x"}


def test_times_are_read_in_the_actors_zone_and_survive_an_edit_of_something_else(form: Form) -> None:
    form.add("When", "datetime")
    form.tenant.user.user.timezone = "Europe/Berlin"
    assert form.clean({"When": "2024-07-01T12:00"}) == {"When": "2024-07-01T10:00:00+00:00"}
    exact = "2024-07-01T10:00:00.123456+00:00"
    assert form.clean({"When": "2024-07-01T12:00"}, current={"When": exact}) == {"When": exact}
    assert form.clean({"When": "2024-07-01T12:01"}, current={"When": exact}) == {"When": "2024-07-01T10:01:00+00:00"}


def test_turning_several_on_keeps_single_values(form: Form) -> None:
    field = form.add("Who", "user")
    me = form.tenant.user.user
    update_field(form.tenant.admin, form.fieldset, field, {"multiple": True})
    assert form.clean({}, current={"Who": me.pk}, partial=True) == {"Who": me.pk}
    assert form.clean({"Who": [me.public_id]}, current={"Who": me.pk}) == {"Who": [me.pk]}


@pytest.mark.parametrize(
    ("name", "subject"),
    [("Users", "Users"), ("Are they qualified?", "“Are they qualified?”"), ("Share in %", "Share in %"),
     ("Size (m²)", "Size (m²)"), ("Wow!", "“Wow!”")],
)  # fmt: skip
def test_a_sentence_about_a_question_quotes_it(ours: Tenant, name: str, subject: str) -> None:
    form = Form(ours)
    form.add(name, "number", required=True)
    wrong = "must be a number; “many” is not one. Write it as 1234.5."
    assert list(form.problems({name: "many"}).values()) == [f"{subject} {wrong}"]
    assert list(form.problems({name: ""}).values()) == [f"{subject} is required."]
