"""What follows from an activity: facts per lead and type, and the lead's last activity. Only published ones count."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Max, Min

from activities.models import Activity, LeadActivityFact
from leads.models import Lead

BATCH = 500


def refresh_facts(lead_ids: Iterable[int], type_ids: Iterable[int] | None = None) -> None:
    """Make the facts of these leads (for these types, or all) agree with their published activities."""
    lead_ids = sorted(set(lead_ids))
    for start in range(0, len(lead_ids), BATCH):
        _refresh(lead_ids[start : start + BATCH], type_ids)


def _refresh(lead_ids: list[int], type_ids: Iterable[int] | None) -> None:
    _lock(lead_ids)
    facts = LeadActivityFact.objects.filter(lead_id__in=lead_ids)
    rows = Activity.objects.filter(lead_id__in=lead_ids)
    if type_ids is not None:
        type_ids = list(set(type_ids))
        facts, rows = facts.filter(type_id__in=type_ids), rows.filter(type_id__in=type_ids)
    facts.delete()
    found = rows.order_by().values("lead_id", "type_id").annotate(
        n=Count("pk"), first=Min("activity_at"), last=Max("activity_at")
    )  # fmt: skip
    LeadActivityFact.objects.bulk_create(
        LeadActivityFact(
            type_id=row["type_id"], lead_id=row["lead_id"], count=row["n"], first_at=row["first"], last_at=row["last"]
        )
        for row in found
    )
    latest = {
        row["lead_id"]: row["last"]
        for row in LeadActivityFact.objects.filter(lead_id__in=lead_ids).values("lead_id").annotate(last=Max("last_at"))
    }
    changed = []
    for lead in Lead.objects.filter(pk__in=lead_ids).only("pk", "last_activity_at", "organization_id"):
        if lead.last_activity_at != latest.get(lead.pk):
            lead.last_activity_at = latest.get(lead.pk)
            changed.append(lead)
    Lead.objects.bulk_update(changed, ["last_activity_at"], batch_size=500)


def add_to_facts(activity: Activity) -> None:
    """Count one activity that was just published; cheaper than `refresh_facts`. Locks the lead."""
    _lock([activity.lead_id])
    fact = LeadActivityFact.objects.filter(type_id=activity.type_id, lead_id=activity.lead_id).first()
    if fact is None:
        refresh_facts([activity.lead_id], [activity.type_id])
        return
    LeadActivityFact.objects.filter(type_id=activity.type_id, lead_id=activity.lead_id).update(
        count=fact.count + 1,
        first_at=min(fact.first_at, activity.activity_at),
        last_at=max(fact.last_at, activity.activity_at),
    )
    leads = Lead.objects.filter(pk=activity.lead_id)
    (leads.filter(last_activity_at=None) | leads.filter(last_activity_at__lt=activity.activity_at)).update(
        last_activity_at=activity.activity_at
    )


def _lock(lead_ids: list[int]) -> None:
    """Let nobody else count these leads until the transaction ends: two first activities at once would both insert a fact.

    Without the key, because inserting an activity holds a key share on its lead already.
    """
    list(Lead.objects.select_for_update(no_key=True).filter(pk__in=lead_ids).order_by("pk").values_list("pk"))
