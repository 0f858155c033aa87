"""What is known of leads by their activities: numbers, first and last dates, the last call. `activities.figures` names them.

Published activities of the kinds the actor may see; leads without any have no entry. Each loader is one query for all leads
given, whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Max, Min, OuterRef, Subquery, Window
from django.db.models.functions import RowNumber

from activities.models import Activity, LeadActivityFact
from activities.queries.types import TypeInfo, type_catalog
from crm.customfields.catalog import Field, catalog
from crm.models import Membership, ValueRef
from crm.permissions import can_view_field, can_view_type
from leads.search.figures import Known

SPOKEN = ("call", "email", "sms", "meeting")
DIRECTED = {"call": ("outbound", "inbound"), "email": ("outgoing", "incoming"), "sms": ("outbound", "inbound")}


def _seen(actor: Membership) -> dict[str, TypeInfo]:
    """Return the built-in kinds the actor may see, by their slug."""
    return {
        row.builtin: row for row in type_catalog(actor.organization).types if row.builtin and can_view_type(actor, row)
    }


def _field(actor: Membership, kind: TypeInfo, key: str) -> Field | None:
    """Return a built-in kind's field by the API's name, if the actor may see it."""
    for use in catalog(actor.organization).uses(kind.fieldset_id):
        if use.field.builtin == f"{kind.builtin}.{key}":
            return use.field if can_view_field(actor, use) else None
    return None


def counted(actor: Membership, lead_ids: Sequence[int]) -> Known:
    """Return by lead `(kind, "count" | "first" | "last")`; the kind `spoken` is calls, emails, SMS and meetings together."""
    kinds = {row.id: slug for slug, row in _seen(actor).items()}
    found: dict[int, dict[Any, Any]] = {}
    for fact in LeadActivityFact.objects.filter(lead_id__in=lead_ids, type_id__in=kinds, count__gt=0):
        slug, known = kinds[fact.type_id], found.setdefault(fact.lead_id, {})
        for kind in (slug, "spoken") if slug in SPOKEN else (slug,):
            known[kind, "count"] = known.get((kind, "count"), 0) + fact.count
            known[kind, "first"] = min(known.get((kind, "first"), fact.first_at), fact.first_at)
            known[kind, "last"] = max(known.get((kind, "last"), fact.last_at), fact.last_at)
    return found


def directed(actor: Membership, lead_ids: Sequence[int]) -> Known:
    """Return by lead `(kind, direction, "count" | "first" | "last")` of calls, emails and SMS."""
    kinds = {kind.id: kind for slug, kind in _seen(actor).items() if slug in DIRECTED}
    fields = [field for kind in kinds.values() if (field := _field(actor, kind, "direction"))]
    if not fields:
        return {}
    ways = {option.id: (field.builtin.partition(".")[0], option.label) for field in fields for option in field.options}
    held = ValueRef.objects.filter(
        field_id__in=[field.id for field in fields], lead_id=OuterRef("lead_id"), record_key=OuterRef("pk")
    )
    rows = (
        Activity.objects.filter(lead_id__in=lead_ids, type_id__in=kinds)
        .values("lead_id", way=Subquery(held.values("v")[:1]))
        .annotate(count=Count("pk"), first=Min("activity_at"), last=Max("activity_at"))
        .order_by()
    )
    found: dict[int, dict[Any, Any]] = {}
    for row in rows:
        if named := ways.get(row["way"]):
            found.setdefault(row["lead_id"], {}).update({(*named, key): row[key] for key in ("count", "first", "last")})
    return found


def last_calls(actor: Membership, lead_ids: Sequence[int]) -> Known:
    """Return by lead the `duration` (seconds, or None) and the `user` (row id, or None) of its last call."""
    kind = _seen(actor).get("call")
    if kind is None:
        return {}
    field = _field(actor, kind, "duration")
    newest = Window(RowNumber(), partition_by=F("lead_id"), order_by=[F("activity_at").desc(), F("id").desc()])
    calls = Activity.objects.filter(lead_id__in=lead_ids, type_id=kind.id).annotate(newest=newest).filter(newest=1)
    return {
        lead_id: {"duration": Decimal(held) if (held := field and values.get(str(field.id))) else None, "user": user_id}
        for lead_id, values, user_id in calls.values_list("lead_id", "values", "user_id")
    }
