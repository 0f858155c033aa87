"""Writing field definitions. Adding, renaming, reordering or deleting a field touches no record: never a rewrite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from crm import events, ids, jobs
from crm.customfields.catalog import Catalog, catalog, touch_schema
from crm.customfields.lookups import Lookups
from crm.customfields.values import TABLES
from crm.errors import InvalidInput, NotFound, PlanLimitReached
from crm.events import current_door
from crm.fieldkinds import KINDS, InvalidValue, Number, is_blank, many, plain, quoted
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Membership, Organization, Role
from crm.permissions import Perm, authorize, has
from crm.plans import MAX_FIELD_DESCRIPTION, MAX_FIELDS_PER_TYPE

MAX_OPTIONS = 1000
NUMBER = Number()


def field_for(actor: Membership, public_id: str) -> CustomField:
    """Return a field of the organization that is not deleted; raises `NotFound`."""
    found = CustomField.objects.filter(pk=ids.decode("cf", public_id), deleted_at=None).first()
    if found is None:
        raise NotFound("There is no such field.")
    return found


def use_for(fieldset: FieldSet, field: CustomField) -> FieldUse:
    """Return a field's use in a field set; raises `NotFound`."""
    found = FieldUse.objects.filter(fieldset=fieldset, field=field).first()
    if found is None:
        raise NotFound("There is no such field.")
    return found


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
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    labels = _labels(options)
    with schema_change(actor) as known:
        _require_room(known, fieldset)
        clean = _clean_definition(
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
        last = FieldUse.objects.filter(fieldset=fieldset).aggregate(last=Max("position"))["last"]
        FieldUse.objects.create(
            organization=actor.organization, fieldset=fieldset, field=field, heading=heading.strip(),
            position=0 if last is None else last + 1, required=required, read_only=read_only,
            edit_roles=_clean_roles("edit_roles", edit_roles), view_roles=_clean_roles("view_roles", view_roles),
            show_when=_clean_rule(actor, known, fieldset, None, show_when),
        )  # fmt: skip
        if not is_blank(default):
            _set_default(actor, field, default)
        events.record(
            actor, "created", f"custom_fields.{fieldset.owner}", field.pk,
            after={"name": field.name, "kind": kind, "required": required, "options": labels},
        )  # fmt: skip
    return field


def attach_field(
    actor: Membership, fieldset: FieldSet, field: CustomField, *, required: bool = False,
    edit_roles: Iterable[int] = (), view_roles: Iterable[int] = (),
) -> FieldUse:  # fmt: skip
    """Use a shared field in one more field set. The definition is common; each record keeps its own value."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    if not field.shared:
        raise InvalidInput(fields={"field": f"{field.name} is not a shared field."})
    with schema_change(actor) as known:
        _require_room(known, fieldset)
        names = {use.field.name.casefold() for use in known.uses(fieldset.pk)}
        if field.name.casefold() in names:
            raise InvalidInput(fields={"field": f"There is a field “{field.name}” already."})
        last = FieldUse.objects.filter(fieldset=fieldset).aggregate(last=Max("position"))["last"]
        use = FieldUse.objects.create(
            organization=actor.organization, fieldset=fieldset, field=field, required=required,
            position=0 if last is None else last + 1,
            edit_roles=_clean_roles("edit_roles", edit_roles), view_roles=_clean_roles("view_roles", view_roles),
        )  # fmt: skip
        events.record(
            actor, "updated", f"custom_fields.{fieldset.owner}", field.pk, changed=["fieldsets"],
            after={"attached": fieldset.pk},
        )  # fmt: skip
    return use


def update_field(actor: Membership, fieldset: FieldSet, field: CustomField, changes: Mapping[str, Any]) -> CustomField:
    """Change a field's definition or its use in `fieldset`. The kind never changes.

    `changes` may hold name, description, multiple, settings, default, required, heading, read_only, edit_roles,
    view_roles, show_when, options (labels: kept ones keep their id, missing ones are removed, new ones are added).
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    _require_own(field)
    if changes.get("kind", field.kind) != field.kind:
        raise InvalidInput(fields={"kind": "The kind of a field is fixed once it is made. Add a new field instead."})
    with schema_change(actor) as known:
        use = use_for(fieldset, field)
        before = _snapshot(field, use)
        multiple = changes.get("multiple", field.multiple)
        if field.multiple and not multiple:
            raise InvalidInput(
                fields={"multiple": "Records may hold several values already, so this cannot be turned off."}
            )
        clean = _clean_definition(
            known, fieldset, field=field, kind=field.kind, multiple=multiple,
            name=changes.get("name", field.name), description=changes.get("description", field.description),
            settings=changes.get("settings", field.settings), labels=changes.get("options"),
        )  # fmt: skip
        for name, value in clean.items():
            setattr(field, name, value)
        field.multiple, field.updated_by, field.date_updated = multiple, actor.user, timezone.now()
        field.save(update_fields=[*clean, "multiple", "updated_by", "date_updated"])
        if "options" in changes:
            _set_options(actor, field, changes["options"])
        for name in ("required", "heading", "read_only"):
            setattr(use, name, changes.get(name, getattr(use, name)))
        for name in ("edit_roles", "view_roles"):
            if name in changes:
                setattr(use, name, _clean_roles(name, changes[name]))
        if "show_when" in changes:
            use.show_when = _clean_rule(actor, known, fieldset, field, changes["show_when"])
        use.save(update_fields=["required", "heading", "read_only", "edit_roles", "view_roles", "show_when"])
        if "default" in changes:
            _set_default(actor, field, changes["default"])
        after = _snapshot(field, use)
        if changed := events.diff(before, after):
            events.record(
                actor, "updated", f"custom_fields.{fieldset.owner}", field.pk, changed=changed,
                before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
            )  # fmt: skip
    return field


def delete_field(actor: Membership, fieldset: FieldSet, field: CustomField, confirm_name: str | None) -> None:
    """Delete a field with its values. `confirm_name` must be its name (None from doors that confirm otherwise).

    It is gone for everybody at once; a job removes the values behind it.
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    _require_own(field)
    if confirm_name is not None and confirm_name.strip() != field.name:
        raise InvalidInput(fields={"confirm_name": f"Type “{field.name}” exactly to delete the field."})
    with schema_change(actor):
        use = use_for(fieldset, field)
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
            field.pk,
            before={"name": field.name, "kind": field.kind},
        )


def records_holding(field: CustomField) -> int:
    """Return how many records hold a value of the field."""
    rows = TABLES[KINDS[field.kind].storage].objects.filter(field_id=field.pk)
    return rows.values("lead_id", "record_key").distinct().count()


def reorder_fields(actor: Membership, fieldset: FieldSet, public_ids: Sequence[str]) -> None:
    """Put fields in this order; fields that are not named keep theirs, after the named ones."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
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


def add_options(actor: Membership, field: CustomField, labels: Iterable[str]) -> list[FieldOption]:
    """Add options that are not there yet, at the end; removed ones of the same label come back."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with schema_change(actor):
        kept = _offered(field)
        folded = {label.casefold() for label in kept}
        new = [label for label in dict.fromkeys(_labels(labels)) if label.casefold() not in folded]
        _set_options(actor, field, [*kept, *new])
        if new:
            _record_options(actor, field, before=None, after={"added": new})
        return list(FieldOption.objects.filter(field=field))


def rename_option(actor: Membership, field: CustomField, option_id: str, label: str) -> None:
    """Give an option another label; values keep pointing at it."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    option = _option(field, option_id)
    label = next(iter(_labels([label])), "")
    if not label:
        raise InvalidInput(fields={"label": "An option needs a label of at most 200 characters."})
    for problem in _option_problems([label]):
        raise InvalidInput(fields={"label": problem})
    with schema_change(actor):
        if FieldOption.objects.filter(field=field, label__iexact=label).exclude(pk=option.pk).exists():
            raise InvalidInput(fields={"label": f"{field.name} has an option “{label}” already."})
        before, option.label = option.label, label
        option.save(update_fields=["label"])
        _record_options(actor, field, before={"label": before}, after={"label": label})


def remove_option(actor: Membership, field: CustomField, option_id: str) -> None:
    """Stop offering an option. Records that hold it keep it; searches still find them."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    option = _option(field, option_id)
    if option.removed_at is None:
        with schema_change(actor):
            option.removed_at = timezone.now()
            option.save(update_fields=["removed_at"])
            _record_options(actor, field, before={"label": option.label}, after=None)


def reorder_options(actor: Membership, field: CustomField, option_ids: Sequence[str]) -> None:
    """Offer the options in this order; those that are not named follow in theirs."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with schema_change(actor):
        rows = {row.public_id: row for row in FieldOption.objects.filter(field=field).order_by("position", "pk")}
        named = [rows.pop(public_id) for public_id in dict.fromkeys(option_ids) if public_id in rows]
        for position, row in enumerate([*named, *rows.values()]):
            row.position = position
        FieldOption.objects.bulk_update([*named, *rows.values()], ["position"])
        _record_options(actor, field, before=None, after={"order": _offered(field)})


# --- parts ------------------------------------------------------------------------------------------------------------
@contextmanager
def schema_change(actor: Membership) -> Iterator[Catalog]:
    """One change to an organization's definitions: changes queue up behind each other, all of it holds or none.

    Yields the fields as they are now, also when somebody changed them since the actor was loaded. A refused change
    leaves the actor's organization as it was, so that nothing rolled back is shown.
    """
    organization = actor.organization
    before = organization.schema_version
    try:
        with transaction.atomic():
            now = Organization.objects.select_for_update().get(pk=organization.pk)
            organization.schema_version = now.schema_version
            yield catalog(organization)
            touch_schema(organization)
    except BaseException:
        organization.schema_version = before
        raise


def _option(field: CustomField, option_id: str) -> FieldOption:
    found = FieldOption.objects.filter(field=field, pk=ids.decode("opt", option_id)).first()
    if found is None:
        raise NotFound("There is no such option.")
    return found


def _offered(field: CustomField) -> list[str]:
    rows = FieldOption.objects.filter(field=field, removed_at=None).order_by("position", "pk")
    return list(rows.values_list("label", flat=True))


def _labels(raw: Iterable[Any]) -> list[str]:
    """Return option labels on one line each, blank ones left out."""
    found = (" ".join(str(label).split()) for label in raw)
    return [label for label in found if label]


def _record_options(
    actor: Membership, field: CustomField, *, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    owner = FieldSet.objects.filter(uses__field=field).order_by("pk").values_list("owner", flat=True).first()
    events.record(
        actor, "updated", f"custom_fields.{owner}", field.pk, changed=["options"], before=before, after=after
    )  # fmt: skip


def _clean_roles(key: str, role_ids: Iterable[int]) -> list[int]:
    """Return the roles of a restriction; Admin is always among them. None given: no restriction."""
    chosen = set(role_ids)
    if not chosen:
        return []
    slugs = dict(Role.objects.values_list("pk", "slug"))
    if unknown := chosen - slugs.keys():
        raise InvalidInput(fields={key: f"There is no role with the id {sorted(unknown, key=str)[0]}."})
    return sorted(chosen | {pk for pk, slug in slugs.items() if slug == "admin"})


def _require_room(known: Catalog, fieldset: FieldSet) -> None:
    number = len(known.uses(fieldset.pk))
    if number >= MAX_FIELDS_PER_TYPE:
        sentence = f"There are {number} fields already; {MAX_FIELDS_PER_TYPE} is the most. Delete one first."
        raise InvalidInput(sentence) if current_door() == "api" else PlanLimitReached(sentence)


def _require_own(field: CustomField) -> None:
    if field.builtin:
        raise InvalidInput(f"{field.name} ships with Touchpoint and cannot be changed.")


def _clean_definition(
    known: Catalog, fieldset: FieldSet, *, name: Any, kind: str, description: Any, multiple: bool,
    settings: Mapping[str, Any], labels: Sequence[str] | None, field: CustomField | None = None,
) -> dict[str, Any]:  # fmt: skip
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
        taken = {use.field.name.casefold() for use in known.uses(fieldset.pk) if not field or use.field.id != field.pk}
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
    for problem in _option_problems(labels or []):
        errors["options"] = problem
    unit = str(settings.get("unit") or "").replace("\x00", "").strip()[:20]
    clean_settings = {"unit": unit} if unit else {}
    for bound in ("minimum", "maximum"):
        value = settings.get(bound)
        if not is_blank(value):
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
    return {"name": name, "description": description, "settings": clean_settings}


def _option_problems(labels: Sequence[str]) -> list[str]:
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


def _set_options(actor: Membership, field: CustomField, labels: Sequence[str]) -> None:
    """Make the field's offered options these, in this order; ids of kept and returning labels stay."""
    labels = _labels(labels)
    for problem in _option_problems(labels):
        raise InvalidInput(fields={"options": problem})
    known = {row.label.casefold(): row for row in FieldOption.objects.filter(field=field)}
    for position, label in enumerate(labels):
        row = known.pop(label.casefold(), None)
        if row is None:
            FieldOption.objects.create(organization=actor.organization, field=field, label=label, position=position)
        elif (row.position, row.label, row.removed_at) != (position, label, None):
            row.position, row.label, row.removed_at = position, label, None
            row.save(update_fields=["position", "label", "removed_at"])
    for row in known.values():
        if row.removed_at is None:
            row.removed_at = timezone.now()
            row.save(update_fields=["removed_at"])


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
    if not values:
        raise InvalidInput(fields={"show_when": f"Choose the values of {other.name} that show this field."})
    return {"field": other.id, "values": values}


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
        "options": _offered(field),
        "default": field.default,
    }
