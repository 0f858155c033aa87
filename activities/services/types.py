"""Writing activity types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from activities.builtin import BUILTINS, Builtin
from activities.models import Activity, ActivityType, LeadActivityFact
from activities.services.facts import refresh_facts
from activities.starters import STARTERS
from crm import events, ids
from crm.customfields.catalog import catalog, touch_schema
from crm.customfields.services import copy_fields, create_field
from crm.customfields.values import TABLES
from crm.errors import InvalidInput, NotFound
from crm.models import CustomField, FieldOption, FieldSet, FieldUse, Membership, Organization, Role
from crm.permissions import Perm, authorize, can_view_type, has
from crm.plans import require_room_for_type

COLORS = ("blue", "azure", "indigo", "purple", "pink", "red", "orange", "yellow", "lime", "green", "teal", "cyan")
# Each with its name to people.
ICONS = {
    "clipboard-check": "Clipboard", "checklist": "Checklist", "phone": "Phone", "mail": "Envelope", "message": "Speech bubble",
    "calendar": "Calendar", "note": "Sticky note", "ticket": "Ticket", "receipt": "Receipt", "star": "Star", "forms": "Form",
    "brand-linkedin": "LinkedIn", "users": "People", "user": "Person", "building": "Building", "flag": "Flag",
    "rocket": "Rocket", "target": "Target", "heart": "Heart", "gift": "Gift", "bug": "Bug", "headset": "Headset",
    "tool": "Wrench", "truck": "Truck", "camera": "Camera", "file-text": "Document", "briefcase": "Briefcase",
    "bolt": "Lightning", "map-pin": "Map pin", "world": "Globe",
}  # fmt: skip


def custom_type_for(actor: Membership, public_id: str) -> ActivityType:
    """Return a custom type's row for its settings page, archived ones included; raises `NotFound`, also for one hidden from the actor."""
    rows = ActivityType.objects.select_related("fieldset").filter(builtin="", pk=ids.decode("actitype", public_id))
    found = rows.first()
    if found is None or not can_view_type(actor, found):
        raise NotFound("There is no such activity type.")
    return found


def create_type(
    actor: Membership,
    *,
    name: str,
    description: str = "",
    icon: str = "clipboard-check",
    color: str = "blue",
    api_only: bool = False,
    edit_roles: Iterable[int] = (),
    view_roles: Iterable[int] = (),
    starter: str = "",
) -> ActivityType:
    """Create a custom type without fields. Raises `InvalidInput` for a bad or taken name, `PlanLimitReached`."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
        clean = _clean(actor, {"name": name, "description": description, "icon": icon, "color": color})
        require_room_for_type(organization, _in_use())
        fieldset = FieldSet.objects.create(organization=organization, owner=FieldSet.Owner.ACTIVITY)
        last = ActivityType.objects.filter(builtin="").aggregate(last=Max("position"))["last"]
        row = ActivityType.objects.create(
            organization=organization, fieldset=fieldset, position=0 if last is None else last + 1, api_only=api_only,
            edit_roles=_with_admin(edit_roles), view_roles=_with_admin(view_roles), starter=starter,
            created_by=actor.user, updated_by=actor.user, **clean,
        )  # fmt: skip
        touch_schema(actor.organization)
        events.record(actor, "created", "custom_activity_type", row.pk, after=type_state(row))
    return row


def update_type(actor: Membership, row: ActivityType, changes: Mapping[str, Any]) -> ActivityType:
    """Change a type's properties: name, description, icon, color, api_only, edit_roles, view_roles (role row ids)."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        row = ActivityType.objects.select_for_update().select_related("fieldset").get(pk=row.pk)
        before = type_state(row)
        given = {key: changes[key] for key in ("name", "description", "icon", "color") if key in changes}
        for key, value in _clean(actor, given, row).items():
            setattr(row, key, value)
        if "api_only" in changes:
            row.api_only = bool(changes["api_only"])
        for key in ("edit_roles", "view_roles"):
            if key in changes:
                setattr(row, key, _with_admin(changes[key]))
        _save(actor, row, before)
    return row


def archive_type(actor: Membership, row: ActivityType) -> None:
    """Archive a type: no new activities; existing ones stay visible, searchable and reportable."""
    _set_archived(actor, row, True)


def unarchive_type(actor: Membership, row: ActivityType) -> None:
    """Bring a type back. Raises `PlanLimitReached` when it would exceed the plan."""
    _set_archived(actor, row, False)


def _set_archived(actor: Membership, row: ActivityType, archived: bool) -> None:
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
        row.refresh_from_db()
        if archived == (row.archived_at is not None):
            return
        if not archived:
            require_room_for_type(organization, _in_use())
        before = type_state(row)
        row.archived_at = timezone.now() if archived else None
        _save(actor, row, before)


def delete_type(actor: Membership, row: ActivityType, confirm_name: str | None) -> int:
    """Delete a type with its activities and drafts; returns how many activities went.

    With activities, `confirm_name` must be the type's name (None from doors that confirm otherwise).
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=actor.organization_id)
        activities = Activity.with_drafts.filter(type=row)
        number = activities.count()
        if number and confirm_name is not None and confirm_name.strip() != row.name:
            raise InvalidInput(
                fields={"confirm_name": f"Type “{row.name}” exactly to delete it with its {number:,} activities."}
            )
        events.record(
            actor, "deleted", "custom_activity_type", row.pk, before=type_state(row), meta={"activities": number}
        )
        known = catalog(actor.organization)
        own = [use.field.id for use in known.uses(row.fieldset_id) if not use.field.shared]
        leads = list(LeadActivityFact.objects.filter(type_id=row.pk).values_list("lead_id", flat=True))
        shared = [use.field.id for use in known.uses(row.fieldset_id) if use.field.shared]
        gone = activities.values("pk")
        for model in TABLES.values():
            model.objects.filter(field_id__in=own).delete()
            if shared:
                model.objects.filter(field_id__in=shared, record_key__in=gone).delete()
        activities.delete()
        LeadActivityFact.objects.filter(type_id=row.pk).delete()
        refresh_facts(leads)
        fieldset = row.fieldset
        row.delete()
        FieldUse.objects.filter(fieldset=fieldset).delete()
        CustomField.objects.filter(pk__in=own).delete()
        fieldset.delete()
        touch_schema(actor.organization)
    return number


def duplicate_type(actor: Membership, row: ActivityType) -> ActivityType:
    """Make a type with the same properties and fields under the next free name. Raises `PlanLimitReached`.

    Fields are new ones with the same options, defaults, rules, headings, restrictions and order; shared ones are shared.
    """
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        number, ending = 1, " (copy)"
        while ActivityType.objects.filter(
            name_fold=(name := row.name[: 100 - len(ending)] + ending).casefold()
        ).exists():
            number, ending = number + 1, f" (copy {number + 1})"
        copy = create_type(
            actor, name=name, description=row.description, icon=row.icon, color=row.color, api_only=row.api_only,
            edit_roles=row.edit_roles, view_roles=row.view_roles,
        )  # fmt: skip
        copy_fields(actor, row.fieldset, copy.fieldset)
    return copy


def reorder_types(actor: Membership, order: Sequence[str]) -> None:
    """Put custom types in this order in the menu; types that are not named keep theirs, after the named ones."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    with transaction.atomic():
        rows = {row.public_id: row for row in ActivityType.objects.filter(builtin="").order_by("position", "pk")}
        named = [rows.pop(public_id) for public_id in dict.fromkeys(order) if public_id in rows]
        for position, row in enumerate([*named, *rows.values()]):
            if row.position != position:
                row.position = position
                row.save(update_fields=["position"])
        touch_schema(actor.organization)
        events.record(actor, "updated", "custom_activity_type", 0, changed=["order"], after={"order": list(order)})


def install_starters(actor: Membership) -> list[ActivityType]:
    """Add the starter types that are not there yet, by name. Raises `PlanLimitReached` when they do not all fit."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    made = []
    with transaction.atomic():
        for starter in STARTERS:
            if ActivityType.objects.filter(name_fold=starter.name.casefold()).exists():
                continue
            row = create_type(
                actor, name=starter.name, description=starter.description, icon=starter.icon, color=starter.color,
                starter=starter.key,
            )  # fmt: skip
            for field in starter.fields:
                create_field(
                    actor, row.fieldset, name=field.name, kind=field.kind, options=field.options, **dict(field.more)
                )
            made.append(row)
    return made


def missing_starters() -> int:
    """Return how many starter types are not there, by name."""
    names = [starter.name.casefold() for starter in STARTERS]
    return len(names) - ActivityType.objects.filter(name_fold__in=names).count()


def remove_starters(actor: Membership) -> int:
    """Delete the starter types that nobody has used; returns how many went."""
    authorize(has(actor, Perm.MANAGE_CUSTOMIZATIONS))
    removed = 0
    with transaction.atomic():
        for row in ActivityType.objects.exclude(starter="").select_related("fieldset"):
            if not Activity.with_drafts.filter(type=row).exists():
                delete_type(actor, row, None)
                removed += 1
    return removed


def install_builtins(organization: Organization) -> None:
    """Give an organization the built-in kinds and system entries, and what was added to them since. Safe to repeat."""
    with transaction.atomic():
        for position, declared in enumerate(BUILTINS.values()):
            row = ActivityType.objects.filter(builtin=declared.slug).select_related("fieldset").first()
            if row is None:
                fieldset = FieldSet.objects.create(organization=organization, owner=FieldSet.Owner.ACTIVITY)
                row = ActivityType.objects.create(
                    organization=organization, fieldset=fieldset, name=declared.name, position=position,
                    name_fold=declared.name.casefold(), icon=declared.icon, color=declared.color,
                    builtin=declared.slug, system=declared.system,
                )  # fmt: skip
            _install_fields(organization, row, declared)
        touch_schema(organization)


def _install_fields(organization: Organization, row: ActivityType, declared: Builtin) -> None:
    present = set(CustomField.objects.filter(uses__fieldset=row.fieldset).values_list("builtin", flat=True))
    for position, given in enumerate(declared.fields):
        key = f"{declared.slug}.{given.key}"
        if key in present:
            continue
        field = CustomField.objects.create(
            organization=organization, name=given.name, kind=given.kind, builtin=key, settings=given.settings
        )
        FieldUse.objects.create(
            organization=organization, fieldset=row.fieldset, field=field, position=position, required=given.required
        )
        FieldOption.unscoped.bulk_create(
            FieldOption(organization=organization, field=field, label=label, position=index)
            for index, label in enumerate(given.options)
        )


# --- parts ------------------------------------------------------------------------------------------------------------
def require_room(actor: Membership) -> None:
    """Raise `PlanLimitReached` when the plan has no room for one more type now. Reads only; creating asks again."""
    require_room_for_type(actor.organization, _in_use())


def _in_use() -> int:
    return ActivityType.objects.filter(builtin="", archived_at=None).count()


def _with_admin(roles: Iterable[int]) -> list[int]:
    """Return the roles of a restriction; Admin is always among them. None given: no restriction."""
    chosen = set(roles)
    if not chosen:
        return []
    known = set(Role.objects.values_list("pk", flat=True))
    if unknown := chosen - known:
        raise InvalidInput(fields={"edit_roles": f"There is no role with the id {sorted(unknown)[0]}."})
    return sorted(chosen | {Role.objects.get(slug="admin").pk})


def _clean(actor: Membership, given: Mapping[str, Any], row: ActivityType | None = None) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    errors: dict[str, str] = {}
    if "name" in given:
        name = " ".join(str(given["name"] or "").replace("\x00", "").split())
        taken = ActivityType.objects.filter(name_fold=name.casefold())
        if not name:
            errors["name"] = "An activity type needs a name."
        elif len(name) > 100:
            errors["name"] = f"The name is {len(name)} characters long; at most 100 fit."
        elif (taken.exclude(pk=row.pk) if row else taken).exists():
            errors["name"] = (
                f"There is an activity type “{name}” already, perhaps an archived one. Choose another name."
            )
        clean |= {"name": name, "name_fold": name.casefold()}
    if "description" in given:
        clean["description"] = str(given["description"] or "").strip()[:2000]
    for key, allowed in (("icon", ICONS), ("color", COLORS)):
        if key in given:
            if given[key] not in allowed:
                errors[key] = f"“{given[key]}” is not offered as {key}."
            clean[key] = given[key]
    if errors:
        raise InvalidInput(fields=errors)
    return clean


def _save(actor: Membership, row: ActivityType, before: dict[str, Any]) -> None:
    after = type_state(row)
    changed = events.diff(before, after)
    if not changed:
        return
    row.updated_by, row.date_updated = actor.user, timezone.now()
    row.save(
        update_fields=[
            "name", "name_fold", "description", "icon", "color", "api_only", "edit_roles", "view_roles", "archived_at",
            "updated_by", "date_updated",
        ]
    )  # fmt: skip
    touch_schema(actor.organization)
    events.record(
        actor, "updated", "custom_activity_type", row.pk, changed=changed,
        before={key: before.get(key) for key in changed}, after={key: after.get(key) for key in changed},
    )  # fmt: skip


def type_state(row: ActivityType) -> dict[str, Any]:
    """Return what the event log keeps of a type."""
    return {
        "name": row.name,
        "description": row.description,
        "icon": row.icon,
        "color": row.color,
        "api_only": row.api_only,
        "edit_roles": row.edit_roles,
        "view_roles": row.view_roles,
        "is_archived": row.archived_at is not None,
    }
