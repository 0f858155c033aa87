"""What a field of leads or contacts would be as another kind, and what each of its values would become. Nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db import connection
from django.db.models import Count, F, Func, Q, TextField, Value
from django.db.models.functions import Cast

from crm.customfields.catalog import Catalog, Field, Option
from crm.customfields.lookups import Lookups
from crm.customfields.services.changes import authorize_definitions, require_no_role_sees_by, require_own
from crm.customfields.services.definitions import clean_definition
from crm.customfields.services.options import MAX_OPTIONS, clean_labels, option_problems
from crm.customfields.values import TABLES
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, FieldKind, InvalidValue, many, split_several
from crm.models import CustomField, FieldSet, Membership

CHUNK = 2000
MAX_DIFFERENT = 20 * MAX_OPTIONS  # so many different values are looked at for options, which they may share
OWNERS = {FieldSet.Owner.LEAD: "leads.Lead", FieldSet.Owner.CONTACT: "leads.Contact"}
Place = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """A conversion that was found possible. `new`: the field as it would be; its options have no ids yet.

    `definition`: name, description and settings as they are stored. `labels`: the options, None for kinds without.
    `labels_complete`: every value was looked at for them.
    """

    old: Field
    new: Field
    definition: Mapping[str, Any]
    labels: Sequence[str] | None
    labels_complete: bool = True


def possible_kinds(fieldset: FieldSet, field: CustomField) -> list[FieldKind]:
    """Return the kinds a field may get: every other one, for fields of leads and contacts that nobody shares."""
    if fieldset.owner not in OWNERS or field.shared or field.builtin:
        return []
    return [kind for slug, kind in KINDS.items() if slug != field.kind]


def require_convertible(actor: Membership, fieldset: FieldSet, field: CustomField, kind: str) -> None:
    """Raise for a field whose kind is fixed or this one already, and for one that decides which leads a role sees."""
    authorize_definitions(actor)
    require_own(field)
    if not possible_kinds(fieldset, field):
        whose = "shared field" if field.shared else "field of activities"
        raise InvalidInput(fields={"kind": f"The kind of a {whose} is fixed once it is made. Add a new field instead."})
    if kind == field.kind:
        raise InvalidInput(fields={"kind": f"{field.name} is of this kind already. Choose another one."})
    require_no_role_sees_by(field, "kind")


def plan_conversion(
    actor: Membership, known: Catalog, fieldset: FieldSet, field: CustomField, kind: str, changes: Mapping[str, Any],
    most: int | None = None,
) -> Plan:  # fmt: skip
    """Return what the field would be. `changes`: multiple, settings, options (labels; none: one for each value).

    `most`: look at so many records for the options, at least. Raises `InvalidInput` naming what is wrong.
    """
    old = known.fields[field.pk]
    multiple = changes.get("multiple")
    if multiple is None:
        multiple = field.multiple and kind in KINDS and KINDS[kind].allows_multiple
    settings = changes.get("settings", {name: value for name, value in field.settings.items() if name != "merged"})
    if kind in KINDS:
        settings = {name: value for name, value in settings.items() if name in KINDS[kind].settings}
    labels, complete = changes.get("options"), True
    definition = clean_definition(
        known, fieldset, field=field, kind=kind, multiple=multiple, name=field.name, description=field.description,
        settings=settings, labels=labels,
    )  # fmt: skip
    definition["settings"].pop("merged", None)
    if KINDS[kind].has_options:
        if labels:
            labels = clean_labels(labels)
        else:
            labels, complete = labels_of(actor, fieldset, old, field, kind, multiple, most)
    else:
        labels = None
    stored = definition["settings"]
    minimum, maximum = (Decimal(stored[key]) if key in stored else None for key in ("minimum", "maximum"))
    new = replace(
        old, kind=KINDS[kind], multiple=multiple, unit=stored.get("unit", ""), minimum=minimum, maximum=maximum,
        options=tuple(Option(-number, label, label, "", number, False) for number, label in enumerate(labels or (), 1)),
        default=None, merged={}, merged_labels={},
    )  # fmt: skip
    return Plan(old, new, definition, labels, complete)


def labels_of(
    actor: Membership,
    fieldset: FieldSet,
    old: Field,
    row: CustomField,
    kind: str,
    multiple: bool,
    most: int | None = None,
) -> tuple[list[str], bool]:
    """Return an option for each value there is, in the order of the alphabet, and whether all values were looked at.

    Of spellings that differ in capitals only, the most used one stays.
    """
    found: dict[str, str] = {}
    lookups = Lookups(actor.organization)
    held, complete = different_values(fieldset, row, most)
    if old.kind.refers_to == "contact":
        lookups.preload_contacts(held)
    for item in held:
        words = old.kind.to_kind(item, old, lookups, KINDS[kind], actor.zone)
        for label in _several(words) if multiple and not old.multiple else [words]:
            if label := " ".join(label.split()):
                found.setdefault(label.casefold(), label)
    labels = sorted(found.values(), key=str.casefold)
    if len(labels) > MAX_OPTIONS or len(held) > MAX_DIFFERENT:
        words = f"There are more than {MAX_OPTIONS:,} different values; a field has at most so many options."
        raise InvalidInput(fields={"options": f"{words} Give the options that are to stay."})
    for problem in option_problems(labels):
        raise InvalidInput(fields={"options": f"{problem} Give the options that are to stay."})
    return labels, complete


def _several(words: str) -> list[str]:
    try:
        return split_several(words)
    except InvalidValue:
        return []  # too long for a list: it becomes nothing


# --- what a value becomes ---------------------------------------------------------------------------------------------
def became(stored: Any, old: Field, new: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
    """Return what a stored value is in the new kind, None where it is nothing there."""
    try:
        return read_as(stored, old, new, lookups, zone)
    except InvalidValue:
        return None


def read_as(stored: Any, old: Field, new: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
    """Return what a stored value is in the new kind; raises `InvalidValue` with the reason where it is nothing there."""
    words = [old.kind.to_kind(item, old, lookups, new.kind, zone) for item in many(stored)]
    if len(words) > 1 and not new.multiple and new.kind.storage == "text":
        words = [", ".join(words)]
    if new.multiple and old.multiple:
        found: list[Any] = []
        problem: InvalidValue | None = None
        for word in words:
            try:
                found += many(_clean(word, new, lookups, zone, one=True))
            except InvalidValue as error:
                problem = problem or error
        if problem and not found:
            raise problem
        return list(dict.fromkeys(found)) or None
    if len(words) > 1:
        raise InvalidValue(f"There are {len(words)} values; {new.name} would hold one.")
    return _clean(words[0], new, lookups, zone, one=False) if words else None


def _clean(words: str, new: Field, lookups: Lookups, zone: ZoneInfo, *, one: bool) -> Any:
    if new.kind.has_options:
        words = " ".join(words.split())
    return new.kind.clean([words] if one else words, new, lookups, zone)


# --- where values are -------------------------------------------------------------------------------------------------
def places(row: CustomField) -> Any:
    """Return where values of a field are, in the order of the index: (lead id, record key)."""
    rows = TABLES[KINDS[row.kind].storage].objects.filter(field_id=row.pk)
    return rows.order_by("lead_id", "record_key").values_list("lead_id", "record_key").distinct()


def beyond(found: Any, last: Sequence[int] | None) -> Any:
    """Return the places that come after this one."""
    if not last:
        return found
    return found.filter(Q(lead_id__gt=last[0]) | Q(lead_id=last[0], record_key__gt=last[1]))


def chunks(row: CustomField) -> Iterator[list[Place]]:
    """Yield the places of a field's values, so many at a time."""
    last: Place | None = None
    while found := list(beyond(places(row), last)[:CHUNK]):
        yield found
        if len(found) < CHUNK:
            return
        last = found[-1]


def records(found: Sequence[Place], *, lock: bool, field_id: int) -> Iterator[tuple[Place, Any, Any]]:
    """Yield each place with its record, None where it is gone, and what that holds of the field."""
    owner = "leads.Contact" if found and found[0][1] else "leads.Lead"
    rows = apps.get_model(owner).objects.filter(pk__in={_pk(place) for place in found}).only("pk", "values")
    by_pk = {record.pk: record for record in (rows.order_by("pk").select_for_update() if lock else rows)}
    for place in found:
        record = by_pk.get(_pk(place))
        yield place, record, record.values.get(str(field_id)) if record else None


def _pk(place: Place) -> int:
    return -place[1] or place[0]


def different_values(fieldset: FieldSet, row: CustomField, most: int | None = None) -> tuple[list[Any], bool]:
    """Return the different values that records hold (one of several each), and whether none of them was left out.

    Those that most records hold come first; one more than `MAX_DIFFERENT` at the most. `most`: of so many entries of the
    index. The database tells them apart, which takes a fraction of the time.
    """
    rows = TABLES[KINDS[row.kind].storage].objects.filter(field_id=row.pk).order_by("lead_id", "record_key")
    complete = most is None or not rows[most : most + 1].exists()
    if KINDS[row.kind].storage == "ref":  # the index holds the very numbers
        held = (
            rows.order_by("v").values_list("v", flat=True).distinct() if complete else rows.values_list("v", flat=True)
        )
        return list(dict.fromkeys(held[: MAX_DIFFERENT + 1 if complete else most])), complete
    owner = OWNERS[FieldSet.Owner(fieldset.owner)]
    number = -F("record_key") if owner == "leads.Contact" else F("lead_id")
    numbers = rows.annotate(number=number).values("number")
    found = apps.get_model(owner).objects.filter(
        pk__in=numbers if complete else numbers[:most], values__has_key=str(row.pk)
    )  # fmt: skip
    counted = found.order_by().values(text=_json_of(row.pk)).annotate(number=Count("pk")).order_by("-number", "text")
    return [json.loads(text) for text in counted.values_list("text", flat=True)[: MAX_DIFFERENT + 1]], complete


def _json_of(field_id: int) -> Any:
    """Return the JSON of a field's value: as such, a text is never taken for the number it may look like."""
    if connection.vendor == "postgresql":
        # Not KeyTransform, which takes digits for a place in a list.
        key = Cast(Value(str(field_id)), TextField())
        return Func(F("values"), key, template="(%(expressions)s)::text", arg_joiner=" -> ", output_field=TextField())
    held = Func(F("values"), Value(f'$."{field_id}"'), function="JSON_EXTRACT")
    return Func(held, function="JSON_QUOTE", output_field=TextField())
