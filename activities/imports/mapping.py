"""How a file's columns are read: guessed from the headers and from earlier files, checked, and kept with the run."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import available_timezones

from activities.imports.runs import ERROR_COLUMN, RESOURCES, State, require_state, resource_of
from activities.queries import type_catalog
from activities.resources import LEAD_COLUMNS
from crm.customfields.catalog import catalog
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS
from crm.imports.resource import SIMILAR, Options, SettledResource
from crm.models import ImportRun, Membership
from crm.permissions import Perm, authorize, has

NEW_KINDS = ("text", "textarea", "number", "date", "datetime", "choices", "checkbox", "url", "email", "phone")
ON_EXISTING = {"skip": "Skip the row", "update": "Update it", "create": "Create another one"}
# What a person chose for a file and gets again with the next file of the same columns.
_REMEMBERED = (
    "type_id", "create_leads", "add_options", "empty_words", "day_first", "decimal_comma", "on_existing", "zone",
)  # fmt: skip
_LOOKED_BACK = 30


# --- guessing ---------------------------------------------------------------------------------------------------------
def guess_options(actor: Membership, run: ImportRun) -> dict[str, Any]:
    """Return mapping and other options: what an earlier file of the same columns had, else guesses from each header."""
    headers: list[str] = run.options["headers"]
    found: dict[str, Any] = {"remembered_from": "", "continues": []}
    seen: dict[str, str] = {}
    for earlier in _earlier_runs(actor, run):
        kept = earlier.options.get("mapping", {})
        alike = _columns(earlier.options.get("headers", ())) == _columns(headers)
        if alike and ERROR_COLUMN in headers:
            found["continues"].append(earlier.pk)
        if alike and not found["remembered_from"]:
            found |= {key: earlier.options[key] for key in _REMEMBERED if key in earlier.options}
            found["remembered_from"] = earlier.file_name
            seen |= kept
        for header, target in kept.items():
            if target:  # what was left out of another file need not be left out of this one
                seen.setdefault(header, target)
    if (order := _said_by(run.options, "day_first", "month_first")) is not None:
        found["day_first"] = order
    if (comma := _said_by(run.options, "commas", "points")) is not None:
        found["decimal_comma"] = comma
    probe = ImportRun(organization=run.organization, target=run.target, options=run.options | found)
    resource = resource_of(actor, probe)
    names = resource.field_names()
    offered = {*resource.columns, *names.values(), ""}
    known = catalog(actor.organization)
    remembered: dict[str, str] = {}
    for header in headers:
        target = seen.get(header)
        if target and (field := known.field_by_public_id(target.removeprefix("custom."))):
            target = names.get(f"custom.{field.name}", target)  # types may share the name by now
        # A field made from a column is a field of its own by now, found by its name.
        if target in offered and (not target or target not in remembered.values()):
            remembered[header] = target
    return found | {"mapping": resource.guesses_for(headers, remembered)}


def _columns(headers: Iterable[str]) -> set[str]:
    """Return a file's columns without the one that a file of failed rows adds."""
    return set(headers) - {ERROR_COLUMN}


def _earlier_runs(actor: Membership, run: ImportRun) -> list[ImportRun]:
    rows = ImportRun.objects.filter(membership=actor, target=run.target, options__has_key="chosen")
    return list(rows.exclude(pk=run.pk).order_by("-pk")[:_LOOKED_BACK])


def _said_by(options: Mapping[str, Any], this: str, other: str) -> bool | None:
    """Return whether the cells of all columns can only be read this way or only the other, None when they do not tell."""
    one = any(column.get(this) for column in options["columns"])
    another = any(column.get(other) for column in options["columns"])
    return None if one == another else one


# --- choosing ---------------------------------------------------------------------------------------------------------
def set_mapping(actor: Membership, run: ImportRun, given: Mapping[str, Any]) -> ImportRun:
    """Keep how columns are read, after checking it. Raises `InvalidInput` by header.

    `given`: mapping, type_id, create_leads, add_options, empty_words, day_first, decimal_comma, zone, on_existing.
    """
    authorize(has(actor, Perm.BULK_IMPORT))
    require_state(run, State.UPLOADED, State.CHECKED, State.CHECKING)
    options = dict(run.options) | {key: given[key] for key in Options.__dataclass_fields__ if key in given}
    headers = options["headers"]
    mapping = {header: options["mapping"].get(header, "") for header in headers}
    if unknown := sorted(set(options["mapping"]) - set(headers)):
        raise InvalidInput(fields={"mapping": f"The file has no column “{unknown[0][:100]}”."})
    if options["zone"] not in available_timezones():
        words = f"“{options['zone'][:60]}” is not a time zone. Use a name such as Europe/Berlin."
        raise InvalidInput(fields={"zone": words})
    probe = RESOURCES[run.target](actor, Options.of(options | {"mapping": mapping}))
    taken, errors = _check_targets(actor, probe, mapping)
    may_customize = has(actor, Perm.MANAGE_CUSTOMIZATIONS)
    if options.get("add_options") and not may_customize:
        errors["add_options"] = may_customize.reason
    if options.get("on_existing", "skip") not in ON_EXISTING:
        errors["on_existing"] = "Choose what happens to leads that are there already: skip, update or create."
    errors |= (_check_activities if run.target == "activities" else _check_leads)(actor, options, taken)
    if unclear := _unclear_date(actor, options, mapping):
        errors["day_first"] = (
            f"“{unclear}” can be {_both_ways(unclear)}. Choose how the dates of this file are written."
        )
    if number := _unclear_number(actor, options, mapping):
        whole, point = number.replace(",", ""), number.replace(",", ".")
        errors["decimal_comma"] = (
            f"“{number}” can be {whole} or {point}. Choose how the numbers of this file are written."
        )
    if errors:
        raise InvalidInput(fields=errors)
    options |= {"mapping": mapping, "chosen": True}
    options["new_options"] = {
        column["header"]: column["options"]
        for column in options["columns"]
        if mapping.get(column["header"]) == "new.choices"
    }
    run.options, run.state = options, State.UPLOADED
    run.save(update_fields=["options", "state"])
    return run


def note_near_misses(actor: Membership, run: ImportRun, asked: Iterable[str]) -> None:
    """Tell in the run's notes which columns are left out though their names are like others; not those `asked` about."""
    resource, mapping = resource_of(actor, run), run.options["mapping"]
    taken = set(mapping.values())
    hints = [resource.hint_for(header) for header in mapping if not mapping[header] and header not in asked]
    told = [hint.words for hint in hints if hint.rank == SIMILAR and hint.target not in taken]
    if told:
        run.options["notes"] = [*run.options.get("notes", []), *told]
        run.save(update_fields=["options"])


def _check_targets(
    actor: Membership, probe: SettledResource, mapping: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return target → header of what is mapped, and what is wrong by header."""
    allowed = {*probe.columns, *probe.field_names().values()}
    may_customize = has(actor, Perm.MANAGE_CUSTOMIZATIONS)
    taken: dict[str, str] = {}
    errors: dict[str, str] = {}
    for header, target in mapping.items():
        if not target:
            continue
        if target.startswith("new."):
            if not may_customize:
                errors[header] = may_customize.reason
            elif target.removeprefix("new.") not in NEW_KINDS:
                errors[header] = "Choose a kind for the new field."
            continue
        if target not in allowed:
            errors[header] = f"“{target}” is not a column that can be imported."
        elif target in taken:
            errors[header] = f"“{taken[target]}” goes there already. Choose another target, or leave one out."
        taken.setdefault(target, header)
    return taken, errors


def _check_activities(actor: Membership, options: Mapping[str, Any], taken: Mapping[str, str]) -> dict[str, str]:
    errors: dict[str, str] = {}
    chosen = type_catalog(actor.organization).by_public_id(options.get("type_id"))
    if options.get("type_id") and chosen is None:
        errors["type_id"] = "There is no such activity type."
    elif "id" not in taken:
        if "custom_activity_type" not in taken and chosen is None:
            errors["type_id"] = "Choose an activity type for the file, or map a column to it."
        if not set(LEAD_COLUMNS) & set(taken):
            errors["lead"] = "Map a column to the lead: its id, name, or an email or phone of a contact."
    makes_fields = any(target.startswith("new.") for target in options["mapping"].values())
    if makes_fields and (chosen is None or not chosen.is_custom):
        errors["type_id"] = "New fields need one custom activity type for the whole file. Choose it."
    return errors


def _check_leads(actor: Membership, options: Mapping[str, Any], taken: Mapping[str, str]) -> dict[str, str]:
    if "name" in taken or "id" in taken:
        return {}
    return {"lead": "Map a column to the lead's name, or to its id."}


def _unclear_date(actor: Membership, options: Mapping[str, Any], mapping: Mapping[str, str]) -> str:
    """Return a date of a mapped date column that reads two ways while nobody has said which; else an empty text."""
    if options.get("day_first") is not None:
        return ""
    for column in _columns_of(actor, "moment", options, mapping, ("date_created", "activity_at")):
        if column.get("unclear") or (column.get("day_first") and column.get("month_first")):
            return str(column["unclear"] or column["samples"][0])
    return ""


def _unclear_number(actor: Membership, options: Mapping[str, Any], mapping: Mapping[str, str]) -> str:
    """Return a number of a mapped number column that reads two ways while nobody has said which; else an empty text."""
    if options.get("decimal_comma") is not None:
        return ""
    columns = _columns_of(actor, "number", options, mapping)
    return next((str(column["unclear_number"]) for column in columns if column.get("unclear_number")), "")


def _columns_of(
    actor: Membership, storage: str, options: Mapping[str, Any], mapping: Mapping[str, str], own: tuple[str, ...] = ()
) -> list[Mapping[str, Any]]:
    """Return the columns that go to fields whose values are stored so, or to one of our `own` columns."""
    known = catalog(actor.organization)
    names = {f"custom.{field.name}": field for field in known.fields.values() if field.kind.storage == storage}
    found = []
    for column in options["columns"]:
        target = mapping.get(column["header"], "")
        field = known.field_by_public_id(target.rpartition("custom.")[2]) or names.get(target)
        kind = KINDS.get(target.removeprefix("new.")) if target.startswith("new.") else field.kind if field else None
        if target in own or (kind and kind.storage == storage):
            found.append(column)
    return found


def _both_ways(text: str) -> str:
    """`03/04/2024` → `3 April or 4 March`, without the year."""
    first, second = (int(part) for part in re.findall(r"\d+", text)[:2])
    if first > 12 or second > 12:
        return "written day first, and others month first"
    return f"{first} {calendar.month_name[second]} or {second} {calendar.month_name[first]}"
