"""What a merge of two leads does to their activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from activities.models import Activity, LeadActivityFact
from activities.queries import type_catalog
from activities.services.facts import refresh_facts
from crm import ids
from crm.customfields.catalog import catalog
from crm.customfields.values import replace_index
from crm.models import Membership, ValueRef
from leads.models import Lead
from leads.services.merging import repoint

BATCH = 1000


def lock_activities_of(lead_ids: Iterable[int]) -> None:
    """Lock the activities of these leads, in the order of their ids."""
    rows = Activity.with_drafts.select_for_update(no_key=True).filter(lead_id__in=list(lead_ids)).order_by("pk")
    list(rows.values_list("pk"))


def move_activities(actor: Membership, source: Lead, destination: Lead, replaced: Mapping[int, int]) -> None:
    """Give the activities of `source`, drafts included, to `destination`. The caller moves the index afterwards.

    `replaced`: contacts that became another one, old id → new id; in contact fields, drafts and as the activity's contact.
    """
    for old, new in replaced.items():
        Activity.with_drafts.filter(contact_id=old).update(contact_id=new)
    if replaced:
        _repoint_values(actor, source, replaced)
        _repoint_drafts(source, replaced)
    Activity.with_drafts.filter(lead=source).update(lead=destination)
    LeadActivityFact.objects.filter(lead_id=source.pk).delete()
    refresh_facts([destination.pk])


def _repoint_values(actor: Membership, source: Lead, replaced: Mapping[int, int]) -> None:
    known, types = catalog(actor.organization), type_catalog(actor.organization)
    fields = [info.id for info in known.fields.values() if info.kind.refers_to == "contact"]
    # Drafts have no index rows: their values, if any, are found by reading them.
    named = ValueRef.objects.filter(field_id__in=fields, lead_id=source.pk, v__in=list(replaced), record_key__gt=0)
    rows = Activity.with_drafts.filter(lead=source)
    held = rows.filter(pk__in=set(named.values_list("record_key", flat=True)))
    for activity in [*held, *rows.filter(status=Activity.Status.DRAFT)]:
        kind = types.get(activity.type_id)
        if kind is None:
            continue
        values = repoint(activity.values, known.uses(kind.fieldset_id), replaced)
        if values == activity.values:
            continue
        if not activity.is_draft:
            replace_index(source.pk, activity.pk, known, activity.values, values)
        activity.values = values
        activity.save(update_fields=["values"])


def _repoint_drafts(source: Lead, replaced: Mapping[int, int]) -> None:
    """Replace the contacts chosen in drafts. What was typed holds their public ids."""
    names = {ids.encode("cont", old): ids.encode("cont", new) for old, new in replaced.items()}
    changed = []
    for draft in Activity.with_drafts.filter(lead=source, draft_data__isnull=False):
        data = _replace(draft.draft_data, names)
        if data != draft.draft_data:
            draft.draft_data = data
            changed.append(draft)
    Activity.with_drafts.bulk_update(changed, ["draft_data"], batch_size=BATCH)


def _replace(data: Any, names: Mapping[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _replace(value, names) for key, value in data.items()}
    if isinstance(data, list):
        found = [_replace(value, names) for value in data]
        # Two contacts that became one are chosen once.
        return list(dict.fromkeys(found)) if found != data and all(isinstance(one, str) for one in found) else found
    return names.get(data, data) if isinstance(data, str) else data
