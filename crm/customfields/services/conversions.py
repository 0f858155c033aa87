"""Giving a field of leads or contacts another kind.

A value is never read as what it was not written as: a new row takes the field's place under the same public id, with what
the values become. The old row goes like a deleted field's, so the log, undo and saved searches meet what they know already.
Few values are converted at once; many by a job, chunk by chunk, while the field shows the kind it is about to have and
takes no new values. Then the places change in one transaction: nobody sees some values of one kind and some of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from crm import events, jobs
from crm.customfields.catalog import catalog, touch_schema
from crm.customfields.lookups import Lookups
from crm.customfields.services.changes import authorize_definitions, schema_change, use_for
from crm.customfields.services.conversion_plans import (
    Place,
    became,
    beyond,
    places,
    plan_conversion,
    records,
    require_convertible,
)
from crm.customfields.services.conversion_previews import preview_conversion
from crm.customfields.services.definitions import records_holding, update_field
from crm.customfields.services.options import offered
from crm.customfields.values import TABLES, index_rows, insert_index_many
from crm.errors import Conflict
from crm.fieldkinds import KINDS, is_blank
from crm.models import CustomField, Event, FieldOption, FieldSet, FieldUse, Membership
from crm.notifications import notify

AT_ONCE = 500  # so many records are converted while the person waits; more go to a job
CHUNK = 2000
# Events are numbered when they are written and seen when they are committed: so many may have come late.
LATE_EVENTS = 1000
LEADS_AT_ONCE = 500
OF_THE_KIND = {"options", "multiple", "settings", "default"}


def convert_field(
    actor: Membership, fieldset: FieldSet, field: CustomField, kind: str, changes: Mapping[str, Any],
    agreed: int | None = None,
) -> bool:  # fmt: skip
    """Give a field of leads or contacts another kind, and make other changes (as `update_field` takes them) with it.

    Values become what the new kind reads in their words; those it cannot read go. Without options given, a choices field
    gets one for each value. `agreed`: how many values the person was told are lost. Returns whether it is done; a job does
    the rest. Raises `InvalidInput` for fields of activities and shared ones, for one that decides which leads a role sees,
    and naming what is wrong; `Conflict` when more would be lost than was agreed.
    """
    authorize_definitions(actor)
    with schema_change(actor, field):
        require_convertible(actor, fieldset, field, kind)
        use_for(fieldset, field)
        if agreed is not None:
            _require_agreed(actor, fieldset, field, kind, changes, agreed)
        if rest := {name: value for name, value in changes.items() if name not in OF_THE_KIND}:
            update_field(actor, fieldset, field, rest)
        staged = _stage(actor, fieldset, field, kind, changes)
        touch_schema(actor.organization)
        at_once = len(places(field)[: AT_ONCE + 1]) <= AT_ONCE
        if at_once:
            while not convert_some(actor, staged):
                pass
        else:
            staged.settings["converting"] |= {"total": records_holding(field), "job": True}
            staged.save(update_fields=["settings"])
            jobs.enqueue("crm.tasks.convert_field", staged.pk)
    return at_once


@transaction.atomic
def cancel_conversion(actor: Membership, fieldset: FieldSet, field: CustomField) -> bool:
    """Stop a conversion: the field stays what it is with the values it has. Returns False when none is going on (any more).

    The old values are never written to before the places change, so only what was converted so far goes, as a deleted
    field's values do. Whoever began it hears of it when somebody else stops it.
    """
    authorize_definitions(actor)
    use_for(fieldset, field)
    # The worker takes this lock for each chunk: it has the last word, or finds the row gone.
    staged = CustomField.objects.select_for_update().filter(replaces=field.pk, deleted_at=None).first()
    if staged is None:
        return False
    with schema_change(actor):
        _give_up(staged)
        begun_by = Membership.objects.filter(pk=staged.settings["converting"]["by"])
        path = f"settings/fields/{fieldset.owner}/{field.public_id}/"
        notify(begun_by, "job", f"{actor.user.full_name} stopped the conversion of {field.name}.", path, by=actor.user)
    return True


def _give_up(staged: CustomField) -> None:
    """Take away the row that was to have the field's place, with the values it holds so far."""
    staged.deleted_at = timezone.now()
    staged.save(update_fields=["deleted_at"])
    jobs.enqueue("crm.tasks.purge_field", staged.pk)


def _require_agreed(
    actor: Membership, fieldset: FieldSet, field: CustomField, kind: str, changes: Mapping[str, Any], agreed: int
) -> None:
    lost = preview_conversion(actor, fieldset, field, kind, changes).lost
    if lost > agreed:
        raise Conflict(
            f"Meanwhile {field.name} has other values: {lost:,} would be dropped now, not {agreed:,}. Nothing was changed. "
            "Look again before you go on."
        )


def _stage(
    actor: Membership, fieldset: FieldSet, field: CustomField, kind: str, changes: Mapping[str, Any]
) -> CustomField:
    """Make the row that takes the field's place, with its options. Nothing uses it yet."""
    plan = plan_conversion(actor, catalog(actor.organization), fieldset, field, kind, changes)
    staged = CustomField.objects.create(
        organization=actor.organization, kind=kind, multiple=plan.new.multiple, replaces=field.pk, known_as=field.number,
        created_by=field.created_by, date_created=field.date_created, updated_by=actor.user,
        # It has the name once it has the place.
        **{**plan.definition, "name": f"{field.name[:170]} (being converted)"},
    )  # fmt: skip
    staged.settings["converting"] = {
        "by": actor.pk,
        "after": None,
        "event": Event.objects.aggregate(last=Max("pk"))["last"] or 0,
    }
    staged.save(update_fields=["settings"])
    FieldOption.objects.bulk_create(
        FieldOption(organization=actor.organization, field=staged, label=label, position=index)
        for index, label in enumerate(plan.labels or ())
    )
    return staged


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
        _give_up(staged)  # the field was deleted meanwhile
        return True
    state = staged.settings["converting"]
    chunk = list(beyond(places(old), state["after"])[:CHUNK])
    if not chunk:
        _take_place(actor, old, staged)
        return True
    converted, gone = _convert(actor, old, staged, chunk)
    state |= {
        "after": list(chunk[-1]), "converted": state.get("converted", 0) + converted, "gone": state.get("gone", 0) + gone,
    }  # fmt: skip
    staged.save(update_fields=["settings"])
    return False


def _convert(actor: Membership, old_row: CustomField, staged: CustomField, chunk: Sequence[Place]) -> tuple[int, int]:
    """Write what the values at these places become; returns how many became something, and how many did not."""
    actor.organization.refresh_from_db(fields=["schema_version"])
    known = catalog(actor.organization)
    old, new = known.fields[old_row.pk], known.fields[staged.pk]
    lookups = Lookups(actor.organization)
    if "contact" in (old.kind.refers_to, new.kind.refers_to):
        lookups.preload_leads({lead_id for lead_id, _ in chunk})
    key, converted, gone, written = str(new.id), 0, 0, []
    for place, record, stored in records(chunk, lock=True, field_id=old.id):
        if record is None:
            continue
        value = became(stored, old, new, lookups.at(place[0]), actor.zone)
        record.values.pop(key, None)
        if value is not None:
            record.values[key] = value
            converted += 1
        elif stored is not None:
            gone += 1
        written.append((place, record))
    if not written:
        return 0, 0
    rows = [record for _, record in written]
    type(rows[0]).objects.bulk_update(rows, ["values"], batch_size=500)
    leads, keys = {lead_id for lead_id, _ in chunk}, {record_key for _, record_key in chunk}
    for model in TABLES.values():
        model.objects.filter(field_id=new.id, lead_id__in=leads, record_key__in=keys).delete()
    index = None
    for (lead_id, record_key), record in written:
        if key in record.values:
            found = index_rows(known, lead_id, record_key, {key: record.values[key]})
            index = index or found
            if index is not found:
                index.extend(found)
    if index is not None:
        insert_index_many(index)
    return converted, gone


def _take_place(actor: Membership, old: CustomField, staged: CustomField) -> None:
    """Put the new row where the old one is used, after looking again at the leads something happened to meanwhile."""
    with schema_change(actor):
        state = staged.settings.pop("converting")
        touched = sorted(_touched(state["event"] - LATE_EVENTS))
        for start in range(0, len(touched), LEADS_AT_ONCE):
            leads = touched[start : start + LEADS_AT_ONCE]
            there, done = (list(places(row).filter(lead_id__in=leads)) for row in (old, staged))
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
        if state.get("job"):
            path = f"settings/fields/{fieldset.owner}/{staged.public_id}/"
            notify([actor], "job", done_words(staged.name, staged.kind, state), path)


def done_words(name: str, kind: str, state: Mapping[str, Any]) -> str:
    """Return what came of a conversion, in a sentence."""
    kept, gone = state.get("converted", 0), state.get("gone", 0)
    what = f"{kept:,} value{'' if kept == 1 else 's'} kept, {gone:,} dropped"
    return f"The kind of {name} is {KINDS[kind].label} now: {what}."


def _touched(since: int) -> set[int]:
    """Return the leads that something happened to since this event, those that are gone included."""
    rows = Event.objects.filter(pk__gt=since, object_type__in=("lead", "contact")).order_by()
    own = rows.filter(object_type="lead").values_list("object_id", flat=True)
    return {number for number in rows.values_list("lead_id", flat=True).distinct().union(own) if number}


def _drop(staged: CustomField, found: Sequence[Place]) -> None:
    """Forget what was converted at places that hold no value any more."""
    key = str(staged.pk)
    for place, record, _ in records(found, lock=True, field_id=staged.pk):
        TABLES[KINDS[staged.kind].storage].objects.filter(
            field_id=staged.pk, lead_id=place[0], record_key=place[1]
        ).delete()
        if record is not None and record.values.pop(key, None) is not None:
            record.save(update_fields=["values"])
