"""The fields of one form, made again for another."""

from __future__ import annotations

from typing import Any

from crm import events
from crm.customfields.catalog import Use
from crm.customfields.services.changes import authorize_definitions, require_room, schema_change
from crm.fieldkinds import many
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Membership


def copy_fields(actor: Membership, source: FieldSet, target: FieldSet) -> int:
    """Give `target`, which has no fields yet, those of `source`: order, headings, restrictions, options, defaults, rules.

    Shared fields are used there as well; all others are new fields with ids of their own, and rules and defaults point
    at the new ones. Returns how many there are.
    """
    authorize_definitions(actor)
    with schema_change(actor) as known:
        require_room(known, target)
        uses = known.uses(source.pk)
        rows = [_copy_of(actor, use) for use in uses]
        new_ids = {use.field.id: row.pk for use, row in zip(uses, rows, strict=True)}
        options = {use.field.id: _copy_options(actor, use, row) for use, row in zip(uses, rows, strict=True)}
        for use, row in zip(uses, rows, strict=True):
            renamed = options[use.field.id]
            if renamed is not None and row.default is not None:
                row.default = _renamed(row.default, renamed)
                row.save(update_fields=["default"])
            rule = None
            if use.show_when and (values := _renamed(use.show_when["values"], options[use.show_when["field"]])):
                rule = {"field": new_ids[use.show_when["field"]], "values": values}
            FieldUse.objects.create(
                organization=actor.organization, fieldset=target, field=row, position=use.position,
                heading=use.heading, required=use.required, read_only=use.read_only,
                edit_roles=list(use.edit_roles), view_roles=list(use.view_roles), show_when=rule,
            )  # fmt: skip
            events.record(
                actor, "updated" if use.field.shared else "created", f"custom_fields.{target.owner}", row.number,
                changed=["fieldsets"] if use.field.shared else [],
                after={"attached": target.pk} if use.field.shared else {"name": row.name, "kind": row.kind},
                meta={"copied_from": use.field.public_id},
            )  # fmt: skip
    return len(rows)


def _copy_of(actor: Membership, use: Use) -> CustomField:
    """Return the field itself when it is shared, else a new row with the same definition."""
    row = CustomField.objects.get(pk=use.field.id)
    if use.field.shared:
        return row
    settings = {key: value for key, value in row.settings.items() if key != "merged"}
    return CustomField.objects.create(
        organization=actor.organization, name=row.name, kind=row.kind, description=row.description,
        multiple=row.multiple, settings=settings, default=row.default, created_by=actor.user, updated_by=actor.user,
    )  # fmt: skip


def _copy_options(actor: Membership, use: Use, row: CustomField) -> dict[int, int] | None:
    """Make the offered options again; returns new row ids by old ones, None where ids stay. Removed ones are left out."""
    if use.field.shared or not use.field.kind.has_options:
        return None
    offered = [option for option in use.field.options if not option.removed]
    made = FieldOption.objects.bulk_create(
        FieldOption(
            organization=actor.organization, field=row, label=option.label, color=option.color, position=position
        )
        for position, option in enumerate(offered)
    )  # fmt: skip
    return {option.id: new.pk for option, new in zip(offered, made, strict=True)}


def _renamed(stored: Any, renamed: dict[int, int] | None) -> Any:
    """Return a stored value with option ids replaced; options that were left out fall away."""
    if renamed is None:
        return stored
    found = [renamed[item] for item in many(stored) if item in renamed]
    return found if isinstance(stored, list) else (found[0] if found else None)
