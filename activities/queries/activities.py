"""Which activities an actor may see."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from activities.models import Activity
from activities.queries.types import TypeInfo, type_catalog
from crm import ids
from crm.errors import NotFound
from crm.models import Membership
from crm.permissions import (
    Perm,
    can_view_type,
    has,
    visible_lead_filter,
)
from leads.models import Lead


def visible_activities(actor: Membership) -> QuerySet[Activity]:
    """Return published activities the actor may see: by type and by lead."""
    return _visible(actor, Activity.objects.all())


def visible_with_drafts(actor: Membership) -> QuerySet[Activity]:
    """Return what `visible_activities` returns, and the drafts the actor may see."""
    found = _visible(actor, Activity.with_drafts.all())
    if has(actor, Perm.MANAGE_OTHERS_ACTIVITIES):
        return found
    return found.filter(Q(status=Activity.Status.PUBLISHED) | Q(created_by=actor.user_id))


def _visible(actor: Membership, found: QuerySet[Activity]) -> QuerySet[Activity]:
    hidden = [row.id for row in type_catalog(actor.organization).types if not can_view_type(actor, row)]
    if hidden:
        found = found.exclude(type_id__in=hidden)
    visible = visible_lead_filter(actor, "lead_id")
    return found if visible is None else found.filter(visible)


def activity_for(actor: Membership, public_id: str, *, drafts: bool = True) -> Activity:
    """Return an activity the actor may see, its lead and users loaded; raises `NotFound`. `drafts`: theirs too."""
    rows = visible_with_drafts(actor) if drafts else visible_activities(actor)
    found = rows.select_related("lead", "contact").filter(pk=ids.decode("acti", public_id)).first()
    if found is None:
        raise NotFound("There is no such activity.")
    return found


def my_drafts(actor: Membership) -> list[Activity]:
    """Return the actor's own drafts, latest first, with their leads."""
    return list(_own_drafts(actor).select_related("lead").order_by("-date_updated", "-pk")[:500])


def my_draft_on(actor: Membership, lead: Lead, kind: TypeInfo) -> Activity | None:
    """Return the actor's own draft of this type on this lead, the latest of several."""
    return _own_drafts(actor).filter(lead=lead, type_id=kind.id).order_by("-date_updated", "-pk").first()


def count_my_drafts(actor: Membership) -> int:
    """Return how many drafts `my_drafts` lists: none of a type or a lead the actor may not see."""
    return _own_drafts(actor).count()


def _own_drafts(actor: Membership) -> QuerySet[Activity]:
    return _visible(actor, Activity.with_drafts.filter(status=Activity.Status.DRAFT, created_by=actor.user_id))
