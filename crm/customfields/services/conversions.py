"""Giving a field of leads or contacts another kind.

A value is never read as what it was not written as: a new row takes the field's place under the same public id, with what
the values become. The old row goes like a deleted field's, so the log, undo and saved searches meet what they know already.
Few values are converted at once; many by a job, chunk by chunk, while the field shows the kind it is about to have and
takes no new values. Then the places change in one transaction: nobody sees some values of one kind and some of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from crm import events, jobs
from crm.customfields.catalog import Field, catalog, touch_schema
from crm.customfields.lookups import Lookups
from crm.customfields.services.changes import (
    authorize_definitions,
    require_own,
    schema_change,
    use_for,
)
from crm.customfields.services.definitions import clean_definition, update_field
from crm.customfields.services.options import MAX_OPTIONS, clean_labels, offered, option_problems
from crm.customfields.values import TABLES, index_rows, insert_index_many
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, InvalidValue, is_blank, many, split_several
from crm.models import CustomField, Event, FieldOption, FieldSet, FieldUse, Membership

AT_ONCE = 500  # so many records are converted while the person waits; more go to a job
CHUNK = 2000
# Events are numbered when they are written and seen when they are committed: so many may have come late.
LATE_EVENTS = 1000
LEADS_AT_ONCE = 500
OF_THE_KIND = {"options", "multiple", "settings", "default"}
OWNERS = {FieldSet.Owner.LEAD: "leads.Lead", FieldSet.Owner.CONTACT: "leads.Contact"}
Place = tuple[int, int]


def convert_field(
    actor: Membership, fieldset: FieldSet, field: CustomField, kind: str, changes: Mapping[str, Any]
) -> None:
    """Give a field of leads or contacts another kind, and make other changes (as `update_field` takes them) with it.

    Values become what the new kind reads in their words; those it cannot read go. Without options given, a choices field
    gets one for each value. Raises `InvalidInput` for fields of activities and shared ones, and naming what is wrong.
    """
    authorize_definitions(actor)
    require_own(field)
    if fieldset.owner not in OWNERS or field.shared:
        whose = "shared field" if field.shared else "field of activities"
        raise InvalidInput(fields={"kind": f"The kind of a {whose} is fixed once it is made. Add a new field instead."})
    with schema_change(actor, field):
        use_for(fieldset, field)
        if rest := {name: value for name, value in changes.items() if name not in OF_THE_KIND}:
            update_field(actor, fieldset, field, rest)
        staged = _stage(actor, fieldset, field, kind, changes)
        touch_schema(actor.organization)
        if len(_places(field)[: AT_ONCE + 1]) > AT_ONCE:
            jobs.enqueue("crm.tasks.convert_field", staged.pk)
        else:
            while not convert_some(actor, staged):
                pass


def _stage(
    actor: Membership, fieldset: FieldSet, field: CustomField, kind: str, changes: Mapping[str, Any]
) -> CustomField:
    """Make the row that takes the field's place, with its options. Nothing uses it yet."""
    known = catalog(actor.organization)
    multiple = changes.get("multiple")
    if multiple is None:
        multiple = field.multiple and kind in KINDS and KINDS[kind].allows_multiple
    settings = changes.get("settings", {name: value for name, value in field.settings.items() if name != "merged"})
    if kind in KINDS:
        settings = {name: value for name, value in settings.items() if name in KINDS[kind].settings}
    labels = changes.get("options")
    clean = clean_definition(
        known, fieldset, field=field, kind=kind, multiple=multiple, name=field.name, description=field.description,
        settings=settings, labels=labels,
    )  # fmt: skip
    clean["settings"].pop("merged", None)
    if KINDS[kind].has_options:
        labels = clean_labels(labels) if labels else _labels_of(actor, known.fields[field.pk], kind, multiple)
    staged = CustomField.objects.create(
        organization=actor.organization, kind=kind, multiple=multiple, replaces=field.pk, known_as=field.number,
        created_by=field.created_by, date_created=field.date_created, updated_by=actor.user,
        # It has the name once it has the place.
        **{**clean, "name": f"{field.name[:170]} (being converted)"},
    )  # fmt: skip
    staged.settings["converting"] = {
        "by": actor.pk,
        "after": None,
        "event": Event.objects.aggregate(last=Max("pk"))["last"] or 0,
    }
    staged.save(update_fields=["settings"])
    FieldOption.objects.bulk_create(
        FieldOption(organization=actor.organization, field=staged, label=label, position=index)
        for index, label in enumerate(labels or ())
    )
    return staged


def _labels_of(actor: Membership, old: Field, kind: str, multiple: bool) -> list[str]:
    """Return an option for each value there is, in the order of the alphabet."""
    found: dict[str, str] = {}
    row = CustomField.objects.get(pk=old.id)
    lookups = Lookups(actor.organization)
    for places in _chunks(row):
        held = [stored for _, _, stored in _records(places, lock=False, field_id=old.id)]
        if old.kind.refers_to == "contact":
            lookups.preload_contacts({item for stored in held for item in many(stored)})
        for stored in held:
            for item in many(stored):
                words = old.kind.to_kind(item, old, lookups, KINDS[kind], actor.zone)
                for label in split_several(words) if multiple and not old.multiple else [words]:
                    if label := " ".join(label.split()):
                        found.setdefault(label.casefold(), label)
        if len(found) > MAX_OPTIONS:
            break
    labels = sorted(found.values(), key=str.casefold)
    if len(labels) > MAX_OPTIONS:
        words = f"There are more than {MAX_OPTIONS:,} different values; a field has at most so many options."
        raise InvalidInput(fields={"options": f"{words} Give the options that are to stay."})
    for problem in option_problems(labels):
        raise InvalidInput(fields={"options": f"{problem} Give the options that are to stay."})
    return labels


# --- converting -------------------------------------------------------------------------------------------------------
@transaction.atomic
def convert_some(actor: Membership, staged: CustomField) -> bool:
    """Convert the next values, or give the field its place when none are left; returns whether it is over.

    A chunk is written with how far it came, under the lock of the row: it is safe to repeat, and two workers take turns.
    """
    found = CustomField.objects.select_for_update().filter(pk=staged.pk, deleted_at=None).first()
    if found is None or found.replaces is None:
        return True
    staged = found
    old = CustomField.objects.filter(pk=staged.replaces).first()
    if old is None or old.deleted_at is not None:
        # The field was deleted meanwhile.
        staged.deleted_at = timezone.now()
        staged.save(update_fields=["deleted_at"])
        jobs.enqueue("crm.tasks.purge_field", staged.pk)
        return True
    state = staged.settings["converting"]
    places = list(_after(_places(old), state["after"])[:CHUNK])
    if not places:
        _take_place(actor, old, staged)
        return True
    converted, gone = _convert(actor, old, staged, places)
    state |= {
        "after": list(places[-1]), "converted": state.get("converted", 0) + converted, "gone": state.get("gone", 0) + gone,
    }  # fmt: skip
    staged.save(update_fields=["settings"])
    return False


def _convert(actor: Membership, old_row: CustomField, staged: CustomField, places: Sequence[Place]) -> tuple[int, int]:
    """Write what the values at these places become; returns how many became something, and how many did not."""
    actor.organization.refresh_from_db(fields=["schema_version"])
    known = catalog(actor.organization)
    old, new = known.fields[old_row.pk], known.fields[staged.pk]
    lookups = Lookups(actor.organization)
    if "contact" in (old.kind.refers_to, new.kind.refers_to):
        lookups.preload_leads({lead_id for lead_id, _ in places})
    key, converted, gone, records = str(new.id), 0, 0, []
    for place, record, stored in _records(places, lock=True, field_id=old.id):
        if record is None:
            continue
        value = became(stored, old, new, lookups.at(place[0]), actor.zone)
        record.values.pop(key, None)
        if value is not None:
            record.values[key] = value
            converted += 1
        elif stored is not None:
            gone += 1
        records.append((place, record))
    if not records:
        return 0, 0
    rows = [record for _, record in records]
    type(rows[0]).objects.bulk_update(rows, ["values"], batch_size=500)
    leads, keys = {lead_id for lead_id, _ in places}, {record_key for _, record_key in places}
    for model in TABLES.values():
        model.objects.filter(field_id=new.id, lead_id__in=leads, record_key__in=keys).delete()
    index = None
    for (lead_id, record_key), record in records:
        if key in record.values:
            found = index_rows(known, lead_id, record_key, {key: record.values[key]})
            index = index or found
            if index is not found:
                index.extend(found)
    if index is not None:
        insert_index_many(index)
    return converted, gone


def became(stored: Any, old: Field, new: Field, lookups: Lookups, zone: ZoneInfo) -> Any:
    """Return what a stored value is in the new kind, None where it is nothing there."""
    words = [old.kind.to_kind(item, old, lookups, new.kind, zone) for item in many(stored)]
    if len(words) > 1 and not new.multiple and new.kind.storage == "text":
        words = [", ".join(words)]
    if new.multiple and old.multiple:
        found = [value for word in words for value in many(_clean(word, new, lookups, zone, one=True))]
        return list(dict.fromkeys(found)) or None
    return _clean(words[0], new, lookups, zone, one=False) if len(words) == 1 else None


def _clean(words: str, new: Field, lookups: Lookups, zone: ZoneInfo, *, one: bool) -> Any:
    if new.kind.has_options:
        words = " ".join(words.split())
    try:
        return new.kind.clean([words] if one else words, new, lookups, zone)
    except InvalidValue:
        return None


def _take_place(actor: Membership, old: CustomField, staged: CustomField) -> None:
    """Put the new row where the old one is used, after looking again at the leads something happened to meanwhile."""
    with schema_change(actor):
        state = staged.settings.pop("converting")
        touched = sorted(_touched(state["event"] - LATE_EVENTS))
        for start in range(0, len(touched), LEADS_AT_ONCE):
            leads = touched[start : start + LEADS_AT_ONCE]
            there, done = (list(_places(row).filter(lead_id__in=leads)) for row in (old, staged))
            _drop(staged, sorted(set(done) - set(there)))
            if there:
                _convert(actor, old, staged, there)
        lookups, known = Lookups(actor.organization), catalog(actor.organization)
        fieldset = FieldSet.objects.get(uses__field=old)
        if not is_blank(old.default):
            staged.default = became(old.default, known.fields[old.pk], known.fields[staged.pk], lookups, actor.zone)
        staged.name, staged.description, staged.replaces = old.name, old.description, None
        staged.updated_by, staged.date_updated = actor.user, timezone.now()
        staged.save()
        FieldUse.objects.filter(field=old).update(field=staged)
        for use in FieldUse.objects.filter(fieldset=fieldset).exclude(show_when=None):
            if use.show_when and use.show_when["field"] == old.pk:
                use.show_when = None
                use.save(update_fields=["show_when"])
        old.deleted_at = timezone.now()
        old.save(update_fields=["deleted_at"])
        jobs.enqueue("crm.tasks.purge_field", old.pk)
        before: dict[str, Any] = {"kind": old.kind, "multiple": old.multiple, "options": offered(old)}
        after: dict[str, Any] = {"kind": staged.kind, "multiple": staged.multiple, "options": offered(staged)}
        changed = events.diff(before, after)
        events.record(
            actor, "updated", f"custom_fields.{fieldset.owner}", staged.number, changed=changed,
            before={key: before[key] for key in changed}, after={key: after[key] for key in changed},
            meta={"converted": state.get("converted", 0), "gone": state.get("gone", 0)},
        )  # fmt: skip


def _touched(since: int) -> set[int]:
    """Return the leads that something happened to since this event, those that are gone included."""
    rows = Event.objects.filter(pk__gt=since, object_type__in=("lead", "contact")).order_by()
    own = rows.filter(object_type="lead").values_list("object_id", flat=True)
    return {number for number in rows.values_list("lead_id", flat=True).distinct().union(own) if number}


def _drop(staged: CustomField, places: Sequence[Place]) -> None:
    """Forget what was converted at places that hold no value any more."""
    key = str(staged.pk)
    for place, record, _ in _records(places, lock=True, field_id=staged.pk):
        TABLES[KINDS[staged.kind].storage].objects.filter(
            field_id=staged.pk, lead_id=place[0], record_key=place[1]
        ).delete()
        if record is not None and record.values.pop(key, None) is not None:
            record.save(update_fields=["values"])


# --- where values are -------------------------------------------------------------------------------------------------
def _places(row: CustomField) -> Any:
    """Return where values of a field are, in the order of the index: (lead id, record key)."""
    rows = TABLES[KINDS[row.kind].storage].objects.filter(field_id=row.pk)
    return rows.order_by("lead_id", "record_key").values_list("lead_id", "record_key").distinct()


def _after(places: Any, last: Sequence[int] | None) -> Any:
    if not last:
        return places
    return places.filter(Q(lead_id__gt=last[0]) | Q(lead_id=last[0], record_key__gt=last[1]))


def _chunks(row: CustomField) -> Iterator[list[Place]]:
    last: Place | None = None
    while found := list(_after(_places(row), last)[:CHUNK]):
        yield found
        last = found[-1]


def _records(places: Sequence[Place], *, lock: bool, field_id: int) -> Iterator[tuple[Place, Any, Any]]:
    """Yield each place with its record, None where it is gone, and what that holds of the field."""
    owner = "leads.Contact" if places and places[0][1] else "leads.Lead"
    rows = apps.get_model(owner).objects.filter(pk__in={_pk(place) for place in places}).only("pk", "values")
    by_pk = {record.pk: record for record in (rows.order_by("pk").select_for_update() if lock else rows)}
    for place in places:
        record = by_pk.get(_pk(place))
        yield place, record, record.values.get(str(field_id)) if record else None


def _pk(place: Place) -> int:
    return -place[1] or place[0]
