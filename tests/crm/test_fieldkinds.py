"""Each kind, at each door: the same input gives the same value, and the same sentence when it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from crm import ids
from crm.customfields.catalog import Field, Option
from crm.customfields.lookups import Lookups
from crm.fieldkinds import KINDS, InvalidValue, fold, is_blank, join_several, plain, split_several
from crm.tenancy import scope
from tests.factories import World
from tests.samples import CONTACT, OPTION, SAMPLES, USER, Good, missing_kinds

BERLIN = ZoneInfo("Europe/Berlin")


def make_field(kind: str, *, multiple: bool = False) -> Field:
    """Return a field named Sample, as a catalog would hold it, with the options and settings of the kind's sample."""
    sample = SAMPLES[kind]
    options = tuple(
        Option(number, ids.encode("opt", number), label, "", number, False)
        for number, label in enumerate(sample.options, start=1)
    )
    bounds = {
        name: Decimal(sample.settings[name]) if name in sample.settings else None for name in ("minimum", "maximum")
    }
    return Field(
        id=1, public_id="cf_1", name="Sample", kind=KINDS[kind], description="", multiple=multiple, shared=False,
        builtin="", unit=sample.settings.get("unit", ""), default=None, options=options, fieldset_ids=(1,),
        **bounds,
    )  # fmt: skip


@pytest.fixture
def people(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """Lookups of our first lead, and what the samples' placeholders stand for. Two organizations only where kinds ask."""
    words = {"{option}": ids.encode("opt", 1)}
    with timezone.override(BERLIN):
        if not KINDS[request.node.callspec.params["kind"]].refers_to:
            yield SimpleNamespace(lookups=None, stored={OPTION: 1}, words=words)
            return
        world: World = request.getfixturevalue("world")
        with scope(world.theirs.organization):
            their_contact = world.theirs.leads[0].contacts.get()
        with scope(world.ours.organization):
            contact = world.ours.leads[0].contacts.get()
            words |= {
                "{user}": world.ours.user.user.public_id, "{contact}": contact.public_id,
                "{their_user}": world.theirs.user.user.public_id, "{their_contact}": their_contact.public_id,
            }  # fmt: skip
            yield SimpleNamespace(
                lookups=Lookups(world.ours.organization, world.ours.leads[0].pk), words=words,
                stored={OPTION: 1, USER: world.ours.user.user_id, CONTACT: contact.pk},
            )  # fmt: skip


def filled(raw: Any, people: SimpleNamespace) -> Any:
    """Return raw input with its placeholders replaced."""
    if isinstance(raw, list):
        return [filled(item, people) for item in raw]
    return people.words.get(raw, raw) if isinstance(raw, str) else raw


def test_every_kind_has_a_sample() -> None:
    assert not missing_kinds(), (
        f"Add an entry for {', '.join(missing_kinds())} to tests/samples.py: good values of each door with what is "
        "stored and shown, and bad values with their sentences."
    )
    assert set(SAMPLES) == set(KINDS), f"Remove {set(SAMPLES) - set(KINDS)} from tests/samples.py: no such kinds."


@pytest.mark.parametrize("door", ["form", "api", "csv"])
@pytest.mark.parametrize(("kind", "good"), [(kind, good) for kind in SAMPLES for good in SAMPLES[kind].good])
def test_good_values(people: SimpleNamespace, kind: str, good: Good, door: str) -> None:
    field = make_field(kind)
    stored = field.kind.clean(filled(getattr(good, door), people), field, people.lookups, BERLIN)
    wanted = people.stored.get(good.stored, good.stored)
    assert (stored, type(stored)) == (wanted, type(wanted))
    assert field.kind.to_api(stored, field, people.lookups) == filled(good.api_value, people)
    assert field.kind.to_csv(stored, field, people.lookups) == filled(good.csv_text, people)
    assert field.kind.display(stored, field, people.lookups) == good.display


@pytest.mark.parametrize(("kind", "good"), [(kind, good) for kind in SAMPLES for good in SAMPLES[kind].good])
def test_what_is_shown_and_exported_comes_back_unchanged(people: SimpleNamespace, kind: str, good: Good) -> None:
    field = make_field(kind)
    stored = field.kind.clean(filled(good.api, people), field, people.lookups, BERLIN)
    for raw in (
        field.kind.to_csv(stored, field, people.lookups),
        field.kind.to_api(stored, field, people.lookups),
        field.kind.initial(stored, field, people.lookups, BERLIN),
    ):
        assert field.kind.clean(raw, field, people.lookups, BERLIN) == stored


@pytest.mark.parametrize(("kind", "raw", "sentence"), [(kind, *bad) for kind in SAMPLES for bad in SAMPLES[kind].bad])
def test_bad_values(people: SimpleNamespace, kind: str, raw: Any, sentence: str | None) -> None:
    field = make_field(kind)
    if sentence is None:
        field.kind.clean(raw, field, people.lookups, BERLIN)
        return
    with pytest.raises(InvalidValue) as caught:
        field.kind.clean(filled(raw, people), field, people.lookups, BERLIN)
    assert sentence in str(caught.value)
    assert "Sample" in str(caught.value)
    str(caught.value).encode()  # can be sent
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize("raw", [None, "", "  \n", [], [""], [None, " "]])
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("multiple", [False, True])
def test_empty_is_none(kind: str, raw: Any, multiple: bool) -> None:
    field = make_field(kind, multiple=multiple)
    assert is_blank(raw)
    assert field.kind.clean(raw, field, None, BERLIN) is None
    assert field.kind.to_api(None, field, None) is None
    assert field.kind.to_csv(None, field, None) == ""
    assert field.kind.display(None, field, None) == ""
    assert field.kind.index(None, field) == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_kind_says_where_it_is_indexed(people: SimpleNamespace, kind: str) -> None:
    field = make_field(kind)
    stored = field.kind.clean(filled(SAMPLES[kind].good[0].api, people), field, people.lookups, BERLIN)
    wanted = {"text": str, "number": Decimal, "moment": datetime, "ref": int}[field.kind.storage]
    (value,) = field.kind.index(stored, field)
    assert isinstance(value, wanted)


def test_several_choices() -> None:
    field = make_field("choices", multiple=True)
    clean = lambda raw: field.kind.clean(raw, field, None, BERLIN)  # noqa: E731
    assert clean("None;HubSpot; hubspot") == [3, 1], "order is kept, repeats go"
    assert clean(["None", ids.encode("opt", 1)]) == [3, 1]
    assert clean("A; B") == [2], "an option may hold a semicolon"
    assert clean('HubSpot;"A; B"') == [1, 2]
    assert field.kind.to_csv([1, 2], field, None) == 'HubSpot;"A; B"'
    assert field.kind.to_api(1, field, None) == ["HubSpot"], "a value from before the field held several"
    assert field.kind.index([3, 1], field) == [3, 1]
    with pytest.raises(InvalidValue, match="“Pipedrive” is not an option"):
        clean(["HubSpot", "Pipedrive"])


def test_a_removed_option_is_shown_as_removed() -> None:
    field = make_field("choices")
    gone = replace(field.options[0], removed=True)
    field = replace(field, options=(gone, *field.options[1:]))
    assert field.kind.display(1, field, None) == "HubSpot (removed)"
    assert field.kind.to_api(1, field, None) == "HubSpot"


def test_the_second_of_two_equal_hours_survives_an_edit() -> None:
    """02:30 happens twice in Berlin on 27 October 2024; the box cannot tell them apart."""
    field, second = make_field("datetime"), "2024-10-27T01:30:00+00:00"
    shown = field.kind.initial(second, field, None, BERLIN)
    assert shown == "2024-10-27T02:30"
    assert field.kind.clean(shown, field, None, BERLIN) == "2024-10-27T00:30:00+00:00", "newly typed: the first"
    assert field.kind.is_as_shown(shown, second, field, None, BERLIN)
    assert not field.kind.is_as_shown("2024-10-27T02:31", second, field, None, BERLIN)


def test_days_are_indexed_as_midnight_utc() -> None:
    field = make_field("date")
    assert field.kind.index("0001-01-01", field) == [datetime(1, 1, 1, tzinfo=UTC)]


def test_links() -> None:
    assert KINDS["url"].href("https://example.com", None) == "https://example.com"
    assert KINDS["url"].href("javascript:alert(1)", None) == "", "also for what an older version let in"
    assert KINDS["email"].href("a@example.com", None) == "mailto:a@example.com"
    assert KINDS["phone"].href("+1 202", None) == "tel:+1202"
    assert KINDS["text"].href("https://example.com", None) == ""


@given(st.text())
def test_fold_settles_at_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [("  Café  Zürich ", "cafe zurich"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("Acme™", "acmetm"), ("İ", "i"), ("ﬁn", "fin")],
)  # fmt: skip
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(str.strip), min_size=1
    )
)
def test_several_values_in_one_cell_come_back(values: list[str]) -> None:
    assert split_several(join_several(values)) == values


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**17), max_value=10**17))
def test_numbers_are_exact(number: Decimal) -> None:
    field = replace(make_field("number"), minimum=None, maximum=None)
    stored = field.kind.clean(str(number), field, None, BERLIN)
    assert Decimal(stored) == number
    assert stored == plain(number)
    assert field.kind.index(stored, field) == [number]


@given(
    st.one_of(
        st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
    )
)
def test_nothing_but_a_sentence_is_raised(raw: Any) -> None:
    for kind in set(KINDS) - {"user", "contact"}:
        field = make_field(kind, multiple=KINDS[kind].allows_multiple)
        try:
            stored = field.kind.clean(raw, field, None, BERLIN)
        except InvalidValue:
            continue
        field.kind.index(stored, field)
        field.kind.display(stored, field, None)
        field.kind.initial(stored, field, None, BERLIN)
