"""An organization's fields, read once and kept in the process until its `schema_version` changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from threading import Lock
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from crm import ids
from crm.fieldkinds import KINDS, FieldKind
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Organization, new_version

_KEPT = 200
_cache: OrderedDict[tuple[int, str], Catalog] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class Option:
    """A choice. `label`: what the API and files call it; `spoken`: what people read where that differs (built-in fields)."""

    id: int
    public_id: str
    label: str
    color: str
    position: int
    removed: bool
    spoken: str = ""

    @property
    def words(self) -> str:
        """What people read."""
        return self.spoken or self.label

    @property
    def shown(self) -> str:
        """What people read, with a word about an option that was removed."""
        return f"{self.words} (removed)" if self.removed else self.words


@dataclass(frozen=True)
class Field:
    """A field's definition. `options`: all of them by position, removed ones included, merged ones not.

    `number`: of the public id; None for a field whose values are still being converted from another's. That other one's
    `converting_to` is the kind it is about to have.
    """

    id: int
    public_id: str
    name: str
    kind: FieldKind
    description: str
    multiple: bool
    shared: bool
    builtin: str
    unit: str
    minimum: Decimal | None
    maximum: Decimal | None
    default: Any
    options: tuple[Option, ...]
    fieldset_ids: tuple[int, ...]
    created_by_id: int | None = None
    updated_by_id: int | None = None
    date_created: Any = None
    date_updated: Any = None
    number: int | None = None
    converting_to: str = ""
    merged: Mapping[int, int] = field(default_factory=dict, repr=False, compare=False)
    merged_labels: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def subject(self) -> str:
        """The name as a sentence begins with it: “Are they qualified?” is quoted, since its own mark would end the sentence."""
        return self.name if self.name[-1:].isalnum() or self.name.endswith((")", "%")) else f"“{self.name}”"

    @cached_property
    def _by_id(self) -> dict[int, Option]:
        own = {option.id: option for option in self.options}
        return own | {old: own[new] for old, new in self.merged.items() if new in own}

    @cached_property
    def _by_label(self) -> dict[str, Option]:
        old = {label: option for label, pk in self.merged_labels.items() if (option := self._by_id.get(pk))}
        spoken = {option.words.casefold(): option for option in self.options}
        return spoken | old | {option.label.casefold(): option for option in self.options}

    def option(self, option_id: Any) -> Option | None:
        """Return an option by its row id, removed ones included; for one that was merged, what it was merged into."""
        return self._by_id.get(option_id)

    def find_option(self, raw: Any) -> Option | None:
        """Return an option by its `opt_` id, its label or words, ignoring case; merged ones lead to what they became."""
        text = str(raw).strip()
        number = ids.decode("opt", text)
        return self.option(number) if number else self._by_label.get(text.casefold())


@dataclass(frozen=True)
class Use:
    """A field in one field set. `owner`: lead, contact or activity."""

    field: Field
    fieldset_id: int
    owner: str
    position: int
    heading: str
    required: bool
    read_only: bool
    edit_roles: tuple[int, ...]
    view_roles: tuple[int, ...]
    show_when: Mapping[str, Any] | None


@dataclass(frozen=True)
class Catalog:
    """All fields of an organization that are not deleted."""

    organization_id: int
    fields: Mapping[int, Field]
    fieldsets: Mapping[int, tuple[Use, ...]]
    lead_fieldset_id: int | None
    contact_fieldset_id: int | None

    def uses(self, fieldset_id: int | None) -> tuple[Use, ...]:
        """Return the uses of a field set in display order."""
        return self.fieldsets.get(fieldset_id, ()) if fieldset_id is not None else ()

    @property
    def lead_uses(self) -> tuple[Use, ...]:
        return self.uses(self.lead_fieldset_id)

    @property
    def contact_uses(self) -> tuple[Use, ...]:
        return self.uses(self.contact_fieldset_id)

    def field_by_public_id(self, public_id: Any) -> Field | None:
        number = ids.decode("cf", public_id)
        return self._by_number.get(number) if number else None

    @cached_property
    def _by_number(self) -> dict[int, Field]:
        return {field.number: field for field in self.fields.values() if field.number is not None}

    def use(self, fieldset_id: int | None, field_id: int) -> Use | None:
        return next((use for use in self.uses(fieldset_id) if use.field.id == field_id), None)


def catalog(organization: Organization) -> Catalog:
    """Return the organization's fields; four queries when its schema changed since the last call, else none."""
    key = (organization.pk, organization.schema_version)
    with _lock:
        if found := _cache.get(key):
            _cache.move_to_end(key)
            return found
    found = _load(organization)
    with _lock:
        _cache[key] = found
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return found


def forget_all() -> None:
    """Drop everything kept in this process."""
    with _lock:
        _cache.clear()


def touch_schema(organization: Organization) -> None:
    """Give the organization a new schema version. Call it in the transaction of every change to fields, types or roles."""
    organization.schema_version = new_version()
    Organization.objects.filter(pk=organization.pk).update(schema_version=organization.schema_version)


def _decimal(settings: Mapping[str, Any], key: str) -> Decimal | None:
    value = settings.get(key)
    return None if value in (None, "") else Decimal(str(value))


def _load(organization: Organization) -> Catalog:
    sets = {row.pk: row.owner for row in FieldSet.unscoped.filter(organization=organization)}
    rows = list(CustomField.unscoped.filter(organization=organization, deleted_at=None))
    told: Mapping[str, Mapping[str, str]] = import_string(settings.OPTION_WORDS)
    words = {row.pk: told[row.builtin] for row in rows if row.builtin in told}
    options: dict[int, list[Option]] = {}
    for row in FieldOption.unscoped.filter(organization=organization).order_by("position", "pk"):
        spoken = words.get(row.field_id, {}).get(row.label, "")
        found = Option(row.pk, row.public_id, row.label, row.color, row.position, row.removed_at is not None, spoken)
        options.setdefault(row.field_id, []).append(found)
    uses = list(FieldUse.unscoped.filter(organization=organization).order_by("position", "pk"))
    sets_of: dict[int, list[int]] = {}
    for use in uses:
        sets_of.setdefault(use.field_id, []).append(use.fieldset_id)
    fields = {}
    converting = {row.replaces: row.kind for row in rows if row.replaces}
    for row in rows:
        merged = {int(old): new for old, new in row.settings.get("merged", {}).items()}
        every = options.get(row.pk, [])
        own = tuple(option for option in every if option.id not in merged)
        fields[row.pk] = Field(
            id=row.pk,
            public_id=row.public_id,
            name=row.name,
            kind=KINDS[row.kind],
            description=row.description,
            multiple=row.multiple,
            shared=row.shared,
            builtin=row.builtin,
            unit=row.settings.get("unit", ""),
            minimum=_decimal(row.settings, "minimum"),
            maximum=_decimal(row.settings, "maximum"),
            default=row.default,
            options=own,
            fieldset_ids=tuple(sets_of.get(row.pk, ())),
            created_by_id=row.created_by_id,
            updated_by_id=row.updated_by_id,
            date_created=row.date_created,
            date_updated=row.date_updated,
            number=None if row.replaces else row.number,
            converting_to=converting.get(row.pk, ""),
            merged=merged,
            merged_labels={option.label.casefold(): option.id for option in every if option.id in merged},
        )
    fieldsets: dict[int, list[Use]] = {pk: [] for pk in sets}
    there = {(use.fieldset_id, use.field_id) for use in uses if use.field_id in fields}
    for use in uses:
        if use.field_id in fields:
            # A rule about a field that is gone would hide this one for ever: it falls away with the field.
            rule = use.show_when if use.show_when and (use.fieldset_id, use.show_when["field"]) in there else None
            fieldsets[use.fieldset_id].append(
                Use(
                    field=fields[use.field_id],
                    fieldset_id=use.fieldset_id,
                    owner=sets[use.fieldset_id],
                    position=use.position,
                    heading=use.heading,
                    required=use.required,
                    read_only=use.read_only,
                    edit_roles=tuple(use.edit_roles),
                    view_roles=tuple(use.view_roles),
                    show_when=rule,
                )
            )
    by_owner = {owner: pk for pk, owner in sets.items() if owner != FieldSet.Owner.ACTIVITY}
    return Catalog(
        organization_id=organization.pk,
        fields=fields,
        fieldsets={pk: tuple(found) for pk, found in fieldsets.items()},
        lead_fieldset_id=by_owner.get(FieldSet.Owner.LEAD),
        contact_fieldset_id=by_owner.get(FieldSet.Owner.CONTACT),
    )
