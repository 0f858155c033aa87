"""A field as it would be with what is typed in the editor: for the live preview and the editor's own controls."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from crm.customfields.catalog import Catalog, Field, Option, Use
from crm.customfields.lookups import Lookups
from crm.fieldkinds import KINDS, FieldKind, InvalidValue, Number, many
from crm.models import FieldSet

NEW = "cf_new"
NUMBER = Number()


def sketch_use(
    known: Catalog, fieldset: FieldSet, typed: Mapping[str, Any], *, current: Use | None, lookups: Lookups, zone: ZoneInfo
) -> Use:  # fmt: skip
    """Return the use that `typed` describes; what does not validate yet is left as empty. Nothing is written.

    `typed`: name, kind, description, options (labels), multiple, unit, minimum, maximum, default, heading, required,
    read_only, show_field (cf_ id), show_values. The kind and the options of a field that is there are its own.
    """
    kind = current.field.kind if current else KINDS.get(str(typed.get("kind")), KINDS["text"])
    text = lambda key, limit: " ".join(str(typed.get(key) or "").split())[:limit]  # noqa: E731
    field = Field(
        id=current.field.id if current else -1,
        public_id=current.field.public_id if current else NEW,
        name=text("name", 200) or "New field",
        kind=kind,
        description=str(typed.get("description") or "").strip()[:280],
        multiple=bool(typed.get("multiple")) and kind.allows_multiple,
        shared=bool(current and current.field.shared),
        builtin="",
        unit=text("unit", 20) if "unit" in kind.settings else "",
        minimum=_bound(typed, "minimum", kind),
        maximum=_bound(typed, "maximum", kind),
        default=None,
        options=current.field.options if current else _options(typed, kind),
        fieldset_ids=(fieldset.pk,),
    )
    if "default" in kind.settings:
        with suppress(InvalidValue):
            field = replace(field, default=kind.clean(typed.get("default"), field, lookups, zone))
    return Use(
        field=field, fieldset_id=fieldset.pk, owner=fieldset.owner, position=current.position if current else 10**6,
        heading=text("heading", 200), required=bool(typed.get("required")), read_only=bool(typed.get("read_only")),
        edit_roles=(), view_roles=(), show_when=_rule(known, fieldset, typed, lookups, zone),
    )  # fmt: skip


def with_sketch(uses: tuple[Use, ...], sketch: Use) -> tuple[Use, ...]:
    """Return the uses of a form with the sketch in its field's place, or at the end."""
    if any(use.field.id == sketch.field.id for use in uses):
        return tuple(sketch if use.field.id == sketch.field.id else use for use in uses)
    return (*uses, sketch)


def _options(typed: Mapping[str, Any], kind: FieldKind) -> tuple[Option, ...]:
    if not kind.has_options:
        return ()
    labels = dict.fromkeys(str(label)[:200] for label in typed.get("options") or () if str(label).strip())
    # They have no ids yet: a label stands for itself.
    return tuple(Option(-number, label, label, "", number, False) for number, label in enumerate(labels, start=1))


def _bound(typed: Mapping[str, Any], key: str, kind: FieldKind) -> Decimal | None:
    raw = str(typed.get(key) or "").strip()
    if raw and key in kind.settings:
        with suppress(InvalidValue):
            return NUMBER.number(raw, key)
    return None


def _rule(
    known: Catalog, fieldset: FieldSet, typed: Mapping[str, Any], lookups: Lookups, zone: ZoneInfo
) -> dict[str, Any] | None:
    other = known.field_by_public_id(typed.get("show_field"))
    if other is None or known.use(fieldset.pk, other.id) is None:
        return None
    values: list[Any] = []
    for raw in typed.get("show_values") or ():
        with suppress(InvalidValue):
            values += many(other.kind.clean(raw, other, lookups, zone))
    return {"field": other.id, "values": values} if values else None
