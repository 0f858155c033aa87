"""The options of a choices field. Their ids are born once: renaming keeps values, removing keeps them readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.db import transaction
from django.utils import timezone

from crm import events, ids, jobs
from crm.customfields.services.changes import authorize_definitions, schema_change
from crm.errors import InvalidInput, NotFound
from crm.fieldkinds import KINDS, many, quoted
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Membership, ValueRef

MAX_OPTIONS = 1000
MERGED_AT_ONCE = 500  # so many values are moved while the person waits; more go to a job
CHUNK = 2000
COLORS = (
    "blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan", "gray",
)  # fmt: skip


def add_options(actor: Membership, field: CustomField, labels: Iterable[str]) -> list[FieldOption]:
    """Add options that are not there yet, at the end; removed ones of the same label come back."""
    authorize_definitions(actor)
    with schema_change(actor, field):
        kept = offered(field)
        folded = {label.casefold() for label in kept}
        new = [label for label in dict.fromkeys(clean_labels(labels)) if label.casefold() not in folded]
        set_options(actor, field, [*kept, *new])
        if new:
            _record(actor, field, before=None, after={"added": new})
        return list(FieldOption.objects.filter(field=field))


def rename_option(actor: Membership, field: CustomField, option_id: str, label: str) -> None:
    """Give an option another label; values keep pointing at it."""
    change_options(actor, field, {option_id: {"label": label}})


def change_options(actor: Membership, field: CustomField, changes: Mapping[str, Mapping[str, str]]) -> None:
    """Give options other labels or colours: `{opt_ id: {"label", "color"}}`. All of them change, or none.

    Labels may be swapped. Raises `InvalidInput` whose `fields` are named by the option's id, and by `label` for one.
    """
    authorize_definitions(actor)
    with schema_change(actor, field):
        rows = {row.public_id: row for row in FieldOption.objects.filter(field=field)}
        if unknown := changes.keys() - rows.keys():
            raise NotFound(f"There is no option {sorted(unknown)[0]}.")
        before, after = {}, {}
        for option_id, given in changes.items():
            row = rows[option_id]
            was = {"label": row.label, "color": row.color}
            row.label = " ".join(str(given.get("label", row.label)).split())
            row.color = given.get("color", row.color)
            now = {"label": row.label, "color": row.color}
            if now != was:
                before[option_id], after[option_id] = was, now
        _check_changes(field, rows, after)
        # The database compares labels one by one, so a swap passes through names nobody has.
        for option_id in after:
            FieldOption.objects.filter(pk=rows[option_id].pk).update(label=f"\x01{rows[option_id].pk}")
        for option_id in after:
            rows[option_id].save(update_fields=["label", "color"])
        if after:
            _record(actor, field, before=before, after=after)


def _check_changes(field: CustomField, rows: Mapping[str, FieldOption], changed: Mapping[str, Any]) -> None:
    errors: dict[str, str] = {}
    holders: dict[str, set[str]] = {}
    for option_id, row in rows.items():
        holders.setdefault(row.label.casefold(), set()).add(option_id)
    for option_id in changed:
        row = rows[option_id]
        problems = option_problems([row.label]) if row.label else ["An option needs a label of at most 200 characters."]
        if row.color and row.color not in COLORS:
            problems.append(f"{quoted(row.color)} is not a colour of options.")
        if len(holders[row.label.casefold()]) > 1:
            problems.append(f"{field.name} has an option “{row.label}” already.")
        if problems:
            errors[option_id] = problems[0]
    if errors and len(changed) == 1:
        raise InvalidInput(fields={"label": errors.popitem()[1]})
    if errors:
        raise InvalidInput(fields=errors)


def remove_option(actor: Membership, field: CustomField, option_id: str) -> None:
    """Stop offering an option. Records that hold it keep it; searches still find them."""
    authorize_definitions(actor)
    option = _option(field, option_id)
    if option.removed_at is None:
        with schema_change(actor, field):
            option.removed_at = timezone.now()
            option.save(update_fields=["removed_at"])
            _record(actor, field, before={"label": option.label}, after=None)


def restore_option(actor: Membership, field: CustomField, option_id: str) -> None:
    """Offer a removed option again, at the end. One that was merged into another stays away."""
    authorize_definitions(actor)
    option = _option(field, option_id)
    if option.removed_at is not None:
        with schema_change(actor, field):
            set_options(actor, field, [*offered(field), option.label])
            _record(actor, field, before=None, after={"restored": option.label})


def reorder_options(actor: Membership, field: CustomField, option_ids: Sequence[str]) -> None:
    """Offer the options in this order; those that are not named follow in theirs."""
    authorize_definitions(actor)
    with schema_change(actor, field):
        rows = {row.public_id: row for row in FieldOption.objects.filter(field=field).order_by("position", "pk")}
        named = [rows.pop(public_id) for public_id in dict.fromkeys(option_ids) if public_id in rows]
        for position, row in enumerate([*named, *rows.values()]):
            row.position = position
        FieldOption.objects.bulk_update([*named, *rows.values()], ["position"])
        _record(actor, field, before=None, after={"order": offered(field)})


# --- merging ----------------------------------------------------------------------------------------------------------
def merge_options(actor: Membership, field: CustomField, from_id: str, into_id: str) -> int:
    """Make one option of two: what held the first holds the second. Returns how many published records held the first.

    Everybody reads the second label at once, whatever is still stored. Up to `MERGED_AT_ONCE` values move in the same
    transaction, more in a job. Defaults, rules and drafts follow. It cannot be undone.
    """
    authorize_definitions(actor)
    gone, kept = _option(field, from_id), _option(field, into_id)
    if gone.pk == kept.pk:
        raise InvalidInput(fields={"into": "Choose two different options."})
    if kept.removed_at is not None:
        raise InvalidInput(fields={"into": f"“{kept.label}” is removed. Restore it first."})
    with schema_change(actor, field):
        field = CustomField.objects.get(pk=field.pk)
        merged = {old: kept.pk if new == gone.pk else new for old, new in field.settings.get("merged", {}).items()}
        field.settings = {**field.settings, "merged": {**merged, str(gone.pk): kept.pk}}
        field.default = _merged(field.default, gone.pk, kept.pk)
        field.save(update_fields=["settings", "default"])
        gone.removed_at = gone.removed_at or timezone.now()
        gone.save(update_fields=["removed_at"])
        for use in FieldUse.objects.exclude(show_when=None):
            rule = use.show_when or {}
            if rule["field"] == field.pk and gone.pk in rule["values"]:
                use.show_when = {**rule, "values": _merged(rule["values"], gone.pk, kept.pk)}
                use.save(update_fields=["show_when"])
        number = ValueRef.objects.filter(field_id=field.pk, v=gone.pk).count()
        if number <= MERGED_AT_ONCE:
            move_merged_values(field, gone.pk, kept.pk)
        else:
            jobs.enqueue("crm.tasks.merge_option", field.pk, gone.pk, kept.pk)
        _record(
            actor, field, before={"merged": gone.label}, after={"into": kept.label},
            meta={"from": gone.public_id, "into": kept.public_id, "records": number},
        )  # fmt: skip
    return number


def move_merged_values(field: CustomField, from_pk: int, into_pk: int) -> None:
    """Put the second option in the place of the first in all records, drafts and the index. Safe to repeat."""
    rows = ValueRef.objects.filter(field_id=field.pk, v=from_pk)
    while found := list(rows.values_list("lead_id", "record_key")[:CHUNK]):
        with transaction.atomic():
            _move(field, found, from_pk, into_pk)
    _move_drafts(field, from_pk, into_pk)


def _move(field: CustomField, places: list[tuple[int, int]], from_pk: int, into_pk: int) -> None:
    key = str(field.pk)
    ours: dict[str, dict[int, tuple[int, int]]] = {"activities.Activity": {}, "leads.Lead": {}, "leads.Contact": {}}
    for lead_id, record_key in places:
        owner = "activities.Activity" if record_key > 0 else "leads.Contact" if record_key else "leads.Lead"
        ours[owner][abs(record_key) or lead_id] = (lead_id, record_key)
    moved: list[tuple[int, int]] = []
    for label, by_pk in ours.items():
        model = apps.get_model(label)
        rows = model.objects.filter(pk__in=by_pk).select_for_update().only("pk", "values").order_by("pk")
        # Somebody may have chosen another option meanwhile: what the locked record holds decides.
        records = [row for row in rows if from_pk in many(row.values.get(key))]
        for record in records:
            record.values[key] = _merged(record.values[key], from_pk, into_pk)
        model.objects.bulk_update(records, ["values"], batch_size=500)
        moved += [by_pk[record.pk] for record in records]
    by_lead: dict[int, list[int]] = {}
    for lead_id, record_key in places:
        by_lead.setdefault(lead_id, []).append(record_key)
    for lead_id, keys in by_lead.items():
        ValueRef.objects.filter(field_id=field.pk, lead_id=lead_id, record_key__in=keys, v=from_pk).delete()
    # A record that held both has its row for the second already.
    ValueRef.objects.bulk_create(
        [ValueRef(field_id=field.pk, lead_id=lead_id, record_key=record_key, v=into_pk) for lead_id, record_key in moved],
        ignore_conflicts=True, batch_size=CHUNK,
    )  # fmt: skip


def _move_drafts(field: CustomField, from_pk: int, into_pk: int) -> None:
    """Drafts have no index rows: those of the types that use the field are looked through."""
    old, new = ids.encode("opt", from_pk), ids.encode("opt", into_pk)
    fieldsets = list(FieldUse.objects.filter(field=field).values_list("fieldset_id", flat=True))
    activities = apps.get_model("activities.Activity").with_drafts
    with transaction.atomic():
        drafts = activities.filter(status="draft", type__fieldset_id__in=fieldsets).select_for_update(of=("self",))
        for draft in drafts.only("pk", "values", "draft_data"):
            typed = draft.draft_data or {}
            values, raw = draft.values.get(str(field.pk)), typed.get(field.public_id)
            if from_pk not in many(values) and old not in many(raw):
                continue
            if values is not None:
                draft.values[str(field.pk)] = _merged(values, from_pk, into_pk)
            if raw is not None:
                draft.draft_data = {**typed, field.public_id: _merged(raw, old, new)}
            draft.save(update_fields=["values", "draft_data"])


def _merged(stored: Any, old: Any, new: Any) -> Any:
    """Return a value with `old` replaced by `new`, once."""
    if isinstance(stored, list):
        return list(dict.fromkeys(new if item == old else item for item in stored))
    return new if stored == old else stored


# --- parts ------------------------------------------------------------------------------------------------------------
def _option(field: CustomField, option_id: str) -> FieldOption:
    found = FieldOption.objects.filter(field=field, pk=ids.decode("opt", option_id)).first()
    if found is None or str(found.pk) in field.settings.get("merged", {}):
        raise NotFound("There is no such option.")
    return found


def offered(field: CustomField) -> list[str]:
    """Return the labels of the options that are not removed, in order."""
    rows = FieldOption.objects.filter(field=field, removed_at=None).order_by("position", "pk")
    return list(rows.values_list("label", flat=True))


def clean_labels(raw: Iterable[Any]) -> list[str]:
    """Return option labels on one line each, blank ones left out."""
    found = (" ".join(str(label).split()) for label in raw)
    return [label for label in found if label]


def option_problems(labels: Sequence[str]) -> list[str]:
    """Return the first problem of a list of labels, if there is one."""
    problems = []
    if len(labels) > MAX_OPTIONS:
        problems.append(f"There are {len(labels):,} options; at most {MAX_OPTIONS:,} fit.")
    seen: set[str] = set()
    for label in labels:
        if len(label) > 200:
            problems.append(f"The option “{label[:40]}…” is longer than 200 characters.")
        if "\x00" in label:
            problems.append(f"The option {quoted(label)} contains a NUL character. Remove it.")
        if label.casefold() in seen:
            problems.append(f"The option “{label}” is there twice.")
        seen.add(label.casefold())
    return problems[:1]


def set_options(actor: Membership, field: CustomField, labels: Sequence[str]) -> None:
    """Make the field's offered options these, in this order; ids of kept and returning labels stay."""
    labels = clean_labels(labels)
    for problem in option_problems(labels):
        raise InvalidInput(fields={"options": problem})
    if labels and not KINDS[field.kind].has_options:
        raise InvalidInput(fields={"options": f"A {KINDS[field.kind].label.lower()} field has no options."})
    known = {row.label.casefold(): row for row in FieldOption.objects.filter(field=field)}
    back: list[int] = []
    for position, label in enumerate(labels):
        row = known.pop(label.casefold(), None)
        if row is None:
            FieldOption.objects.create(organization=actor.organization, field=field, label=label, position=position)
        elif (row.position, row.label, row.removed_at) != (position, label, None):
            back += [row.pk] if row.removed_at else []
            row.position, row.label, row.removed_at = position, label, None
            row.save(update_fields=["position", "label", "removed_at"])
    for row in known.values():
        if row.removed_at is None:
            row.removed_at = timezone.now()
            row.save(update_fields=["removed_at"])
    _part_again(field, back)


def _part_again(field: CustomField, back: Sequence[int]) -> None:
    """An option that comes back under its label is one of its own again, no other name of what it was merged into."""
    merged = field.settings.get("merged", {})
    if returning := [pk for pk in back if str(pk) in merged]:
        left = {old: new for old, new in merged.items() if int(old) not in returning}
        field.settings = {**field.settings, "merged": left}
        field.save(update_fields=["settings"])


def _record(
    actor: Membership, field: CustomField, *, before: dict[str, Any] | None, after: dict[str, Any] | None,
    meta: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    owner = FieldSet.objects.filter(uses__field=field).order_by("pk").values_list("owner", flat=True).first()
    events.record(
        actor, "updated", f"custom_fields.{owner}", field.number, changed=["options"], before=before, after=after, meta=meta
    )  # fmt: skip
