"""Fields and their place in a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils import timezone

from crm import events, jobs
from crm.customfields.catalog import Catalog, catalog, touch_schema
from crm.customfields.lookups import Lookups
from crm.customfields.services.changes import (
    authorize_definitions,
    clean_roles,
    next_position,
    require_no_role_sees_by,
    require_own,
    require_room,
    schema_change,
    use_for,
)
from crm.customfields.services.options import clean_labels, offered, option_problems, set_options
from crm.customfields.values import TABLES
from crm.errors import InvalidInput
from crm.fieldkinds import KINDS, InvalidValue, Number, is_blank, many, plain
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Membership
from crm.plans import MAX_FIELD_DESCRIPTION

NUMBER = Number()


def create_field(
    actor: Membership,
    fieldset: FieldSet,
    *,
    name: str,
    kind: str,
    description: str = "",
    required: bool = False,
    multiple: bool = False,
    options: Iterable[str] = (),
    settings: Mapping[str, Any] | None = None,
    default: Any = None,
    heading: str = "",
    read_only: bool = False,
    edit_roles: Iterable[int] = (),
    view_roles: Iterable[int] = (),
    show_when: Mapping[str, Any] | None = None,
    shared: bool = False,
) -> CustomField:
    """Add a field at the end of a field set. Raises `InvalidInput` naming each part, `PlanLimitReached` at 50 fields."""
    authorize_definitions(actor)
    labels = clean_labels(options)
    with schema_change(actor) as known:
        require_room(known, fieldset)
        clean = clean_definition(
            known, fieldset, name=name, kind=kind, description=description, multiple=multiple,
            settings=settings or {}, labels=labels,
        )  # fmt: skip
        field = CustomField.objects.create(
            organization=actor.organization, kind=kind, multiple=multiple, shared=shared,
            created_by=actor.user, updated_by=actor.user, **clean,
        )  # fmt: skip
        FieldOption.unscoped.bulk_create(
            FieldOption(organization=actor.organization, field=field, label=label, position=index)
            for index, label in enumerate(labels)
        )
        FieldUse.objects.create(
            organization=actor.organization, fieldset=fieldset, field=field, heading=heading.strip(),
            position=next_position(fieldset), required=required, read_only=read_only,
            edit_roles=clean_roles("edit_roles", edit_roles), view_roles=clean_roles("view_roles", view_roles),
            show_when=_clean_rule(actor, known, fieldset, None, show_when),
        )  # fmt: skip
        if not is_blank(default):
            _set_default(actor, field, default)
        events.record(
            actor, "created", f"custom_fields.{fieldset.owner}", field.pk,
            after={"name": field.name, "kind": kind, "required": required, "options": labels},
        )  # fmt: skip
    return field


def update_field(actor: Membership, fieldset: FieldSet, field: CustomField, changes: Mapping[str, Any]) -> CustomField:
    """Change a field's definition or its use in `fieldset`. The kind stays; see `convert_field`.

    `changes` may hold name, description, multiple, settings, default, required, heading, read_only, edit_roles,
    view_roles, show_when, options (labels: kept ones keep their id, missing ones are removed, new ones are added).
    """
    authorize_definitions(actor)
    require_own(field)
    if changes.get("kind", field.kind) != field.kind:
        raise InvalidInput(fields={"kind": "The kind of a field is fixed once it is made. Add a new field instead."})
    with schema_change(actor, field) as known:
        use = use_for(fieldset, field)
        before = _snapshot(field, use)
        multiple = changes.get("multiple", field.multiple)
        if field.multiple and not multiple:
            raise InvalidInput(
                fields={"multiple": "Records may hold several values already, so this cannot be turned off."}
            )
        clean = clean_definition(
            known, fieldset, field=field, kind=field.kind, multiple=multiple,
            name=changes.get("name", field.name), description=changes.get("description", field.description),
            settings=changes.get("settings", field.settings), labels=changes.get("options"),
        )  # fmt: skip
        for name, value in clean.items():
            setattr(field, name, value)
        field.multiple, field.updated_by, field.date_updated = multiple, actor.user, timezone.now()
        field.save(update_fields=[*clean, "multiple", "updated_by", "date_updated"])
        if "options" in changes:
            set_options(actor, field, changes["options"])
        for name in ("required", "heading", "read_only"):
            setattr(use, name, changes.get(name, getattr(use, name)))
        for name in ("edit_roles", "view_roles"):
            if name in changes:
                setattr(use, name, clean_roles(name, changes[name]))
        if "show_when" in changes:
            use.show_when = _clean_rule(actor, known, fieldset, field, changes["show_when"])
        use.save(update_fields=["required", "heading", "read_only", "edit_roles", "view_roles", "show_when"])
        if "default" in changes:
            _set_default(actor, field, changes["default"])
        after = _snapshot(field, use)
        if changed := events.diff(before, after):
            events.record(
                actor, "updated", f"custom_fields.{fieldset.owner}", field.number, changed=changed,
                before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
            )  # fmt: skip
    return field


def delete_field(actor: Membership, fieldset: FieldSet, field: CustomField, confirm_name: str | None) -> None:
    """Delete a field with its values. `confirm_name` must be its name (None from doors that confirm otherwise).

    It is gone for everybody at once; a job removes the values behind it. Raises `InvalidInput` for a lead's field by which a
    role sees its leads.
    """
    authorize_definitions(actor)
    require_own(field)
    if fieldset.owner == FieldSet.Owner.LEAD:
        require_no_role_sees_by(field, "confirm_name")
    if confirm_name is not None and confirm_name.strip() != field.name:
        raise InvalidInput(fields={"confirm_name": f"Type “{field.name}” exactly to delete the field."})
    with schema_change(actor):
        use = use_for(fieldset, field)
        _pass_heading_on(use)
        if field.shared and FieldUse.objects.filter(field=field).count() > 1:
            use.delete()
            jobs.enqueue("crm.tasks.purge_use", field.pk, fieldset.pk)
        else:
            field.deleted_at = timezone.now()
            field.save(update_fields=["deleted_at"])
            jobs.enqueue("crm.tasks.purge_field", field.pk)
        events.record(
            actor,
            "deleted",
            f"custom_fields.{fieldset.owner}",
            field.number,
            before={"name": field.name, "kind": field.kind},
        )


def _pass_heading_on(use: FieldUse) -> None:
    """A section keeps its heading when its first field goes."""
    if use.heading:
        after = FieldUse.objects.filter(fieldset=use.fieldset_id, position__gt=use.position, field__deleted_at=None)
        following = after.order_by("position", "pk").first()
        if following and not following.heading:
            following.heading = use.heading
            following.save(update_fields=["heading"])


def records_holding(field: CustomField) -> int:
    """Return how many records hold a value of the field."""
    rows = TABLES[KINDS[field.kind].storage].objects.filter(field_id=field.pk)
    return rows.values("lead_id", "record_key").distinct().count()


def reorder_fields(actor: Membership, fieldset: FieldSet, public_ids: Sequence[str]) -> None:
    """Put fields in this order; fields that are not named keep theirs, after the named ones."""
    authorize_definitions(actor)
    with schema_change(actor):
        uses = {
            use.field.public_id: use
            for use in FieldUse.objects.filter(fieldset=fieldset).select_related("field").order_by("position", "pk")
        }
        named = [uses.pop(public_id) for public_id in dict.fromkeys(public_ids) if public_id in uses]
        for position, use in enumerate([*named, *uses.values()]):
            if use.position != position:
                use.position = position
                use.save(update_fields=["position"])
        events.record(
            actor, "updated", f"custom_fields.{fieldset.owner}", fieldset.pk,
            changed=["order"], after={"order": list(public_ids)},
        )  # fmt: skip


# --- parts ------------------------------------------------------------------------------------------------------------
def clean_definition(
    known: Catalog, fieldset: FieldSet, *, name: Any, kind: str, description: Any, multiple: bool,
    settings: Mapping[str, Any], labels: Sequence[str] | None, field: CustomField | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return name, description and settings as they are stored. Raises `InvalidInput` naming each part."""
    errors: dict[str, str] = {}
    name = " ".join(str(name or "").split())
    if kind not in KINDS:
        errors["kind"] = f"“{kind}” is not a kind of field. Use one of: {', '.join(KINDS)}."
        raise InvalidInput(fields=errors)
    if not name:
        errors["name"] = "A field needs a name."
    elif len(name) > 200:
        errors["name"] = f"The name is {len(name)} characters long; at most 200 fit."
    elif "\x00" in name:
        errors["name"] = "The name contains a NUL character. Remove it."
    else:
        places = {fieldset.pk, *(known.fields[field.pk].fieldset_ids if field and field.pk in known.fields else ())}
        taken = {
            use.field.name.casefold()
            for place in places
            for use in known.uses(place)
            if not field or use.field.id != field.pk
        }
        if name.casefold() in taken:
            errors["name"] = f"There is a field “{name}” already. Choose another name."
    description = str(description or "").replace("\x00", "").strip()
    if len(description) > MAX_FIELD_DESCRIPTION:
        errors["description"] = (
            f"The description is {len(description)} characters long; at most {MAX_FIELD_DESCRIPTION} fit."
        )
    if multiple and not KINDS[kind].allows_multiple:
        errors["multiple"] = f"A {KINDS[kind].label.lower()} field holds one value."
    if labels is not None and labels and not KINDS[kind].has_options:
        errors["options"] = f"A {KINDS[kind].label.lower()} field has no options."
    for problem in option_problems(labels or []):
        errors["options"] = problem
    unit = str(settings.get("unit") or "").replace("\x00", "").strip()[:20]
    clean_settings: dict[str, Any] = {"unit": unit} if unit else {}
    for part in ("unit", "minimum", "maximum"):
        if part not in KINDS[kind].settings and not is_blank(settings.get(part)):
            errors[part] = f"A {KINDS[kind].label.lower()} field has no {part}."
    for bound in ("minimum", "maximum"):
        value = settings.get(bound)
        if not is_blank(value) and bound not in errors:
            try:
                clean_settings[bound] = plain(NUMBER.number(value, f"The {bound}"))
            except InvalidValue as error:
                errors[bound] = str(error)
    if {"minimum", "maximum"} <= clean_settings.keys() and Decimal(clean_settings["minimum"]) > Decimal(
        clean_settings["maximum"]
    ):
        errors["minimum"] = "The minimum is larger than the maximum."
    if errors:
        raise InvalidInput(fields=errors)
    if field and "merged" in field.settings:
        clean_settings["merged"] = field.settings["merged"]
    return {"name": name, "description": description, "settings": clean_settings}


def _set_default(actor: Membership, field: CustomField, default: Any) -> None:
    touch_schema(actor.organization)  # the field as it was just written
    known = catalog(actor.organization).fields[field.pk]
    try:
        field.default = known.kind.clean(default, known, Lookups(actor.organization), actor.zone)
    except InvalidValue as error:
        raise InvalidInput(fields={"default": str(error)}) from None
    field.save(update_fields=["default"])


def _clean_rule(
    actor: Membership, known: Catalog, fieldset: FieldSet, field: CustomField | None, rule: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return a stored show-when rule from `{"field": cf_ id, "values": [raw, …]}`."""
    if not rule or not rule.get("field"):
        return None
    other = known.field_by_public_id(rule["field"])
    if other is None or known.use(fieldset.pk, other.id) is None or (field and other.id == field.pk):
        raise InvalidInput(fields={"show_when": "The rule must depend on another field of the same form."})
    values: list[Any] = []
    for raw in rule.get("values") or []:
        try:
            values.extend(many(other.kind.clean(raw, other, Lookups(actor.organization), actor.zone)))
        except InvalidValue as error:
            raise InvalidInput(fields={"show_when": str(error)}) from None
    if field and _depends_on(known, fieldset, other.id, field.pk):
        raise InvalidInput(
            fields={"show_when": f"{other.name} is itself shown by a rule about {field.name}. Choose another field."}
        )
    if not values:
        raise InvalidInput(fields={"show_when": f"Choose the values of {other.name} that show this field."})
    return {"field": other.id, "values": values}


def _depends_on(known: Catalog, fieldset: FieldSet, field_id: int, wanted: int) -> bool:
    """Return whether a field is shown by rules that lead to `wanted`."""
    seen: set[int] = set()
    while field_id not in seen:
        seen.add(field_id)
        use = known.use(fieldset.pk, field_id)
        if use is None or not use.show_when:
            return False
        field_id = use.show_when["field"]
        if field_id == wanted:
            return True
    return False


def _snapshot(field: CustomField, use: FieldUse) -> dict[str, Any]:
    return {
        "name": field.name,
        "description": field.description,
        "multiple": field.multiple,
        "settings": field.settings,
        "required": use.required,
        "heading": use.heading,
        "read_only": use.read_only,
        "edit_roles": use.edit_roles,
        "view_roles": use.view_roles,
        "show_when": use.show_when,
        "options": offered(field),
        "default": field.default,
    }
