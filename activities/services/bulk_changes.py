"""Bulk changes of activities, and logging one activity on many leads (`leads.services.bulk` runs them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from activities.models import Activity
from activities.queries import TypeInfo, type_catalog, visible_activities, visible_types
from activities.services.activities import delete_activity, log_activity, raw_by_id, update_activity
from crm.customfields.catalog import Use, catalog
from crm.customfields.cleaning import clean_values
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput, NotFound
from crm.models import Membership
from crm.permissions import authorize, can_log
from leads.queries import visible_leads
from leads.services.bulk import Change, Part
from leads.services.bulk_changes import check_field, check_part, member_named, new_value, use_named

PARTS = (Part("user", "User", "member"),)


def _type(actor: Membership, public_id: Any) -> TypeInfo:
    kind = type_catalog(actor.organization).by_public_id(public_id)
    if kind is None or kind not in visible_types(actor):
        raise InvalidInput(fields={"type": "Choose an activity type."})
    return kind


def _check_log(actor: Membership, change: Mapping[str, Any]) -> str:
    kind = _type(actor, change.get("type"))
    authorize(can_log(actor, kind))
    known = catalog(actor.organization)
    # Contacts belong to one lead, so they cannot be the same on many.
    raw = raw_by_id(known, kind, change.get("values") or {})
    clean_values(
        actor, known.uses(kind.fieldset_id), raw, current={}, lookups=Lookups(actor.organization), require=True,
        partial=True,
    )  # fmt: skip
    return f"{kind.name} is logged"


def _log(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    lead = visible_leads(actor).filter(pk=number).first()
    if lead is None:
        raise NotFound("The lead is gone.")
    log_activity(actor, lead, _type(actor, change["type"]), custom=change.get("values") or {})
    return True


def _uses(actor: Membership) -> Sequence[Use]:
    known = catalog(actor.organization)
    return [use for kind in visible_types(actor) if not kind.system for use in known.uses(kind.fieldset_id)]


def _check_edit(actor: Membership, change: Mapping[str, Any]) -> str:
    if "part" in change:
        return check_part(actor, PARTS, change)
    return check_field(actor, _uses(actor), change)


def _activity(actor: Membership, number: int) -> Activity:
    found = visible_activities(actor).filter(pk=number).first()
    if found is None:
        raise NotFound("The activity is gone.")
    return found


def _edit(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    activity = _activity(actor, number)
    if "part" in change:
        changed = update_activity(actor, activity, user=member_named(actor, change.get("value")))
        return bool(changed.revision != activity.revision)
    kind = type_catalog(actor.organization).get(activity.type_id)
    uses = catalog(actor.organization).uses(kind.fieldset_id) if kind else ()
    if not any(use.field.public_id == change["field"] for use in uses):
        raise InvalidInput(f"{kind.name if kind else 'Its type'} has no such field.")
    use = use_named(actor, uses, change["field"])
    value = new_value(actor, use, activity.values.get(str(use.field.id)), change)
    changed = update_activity(actor, activity, custom={use.field.public_id: value})
    return bool(changed.revision != activity.revision)


def _delete(actor: Membership, number: int, change: Mapping[str, Any]) -> bool:
    delete_activity(actor, _activity(actor, number))
    return True


CHANGES: dict[tuple[str, str], Change] = {
    ("lead", "log"): Change(_check_log, _log),
    ("custom_activity", "edit"): Change(_check_edit, _edit, PARTS),
    ("custom_activity", "delete"): Change(lambda actor, change: "Deleted", _delete),
}
