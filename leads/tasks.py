"""Background jobs of leads: thin, idempotent."""

from __future__ import annotations

from django.utils import timezone

from crm.jobs import enqueue
from crm.models import Membership
from crm.tenancy import scope
from leads.models import BulkAction
from leads.services.bulk import RUNNING, run_bulk


def run_bulk_action(bulk_id: int) -> None:
    """Work on a bulk change for a turn, then queue the next one. Safe to repeat."""
    bulk = BulkAction.unscoped.filter(pk=bulk_id).first()
    if bulk is None:
        return
    with scope(bulk.organization_id):
        actor = Membership.objects.select_related("user", "role", "organization").get(pk=bulk.membership_id)
        with timezone.override(actor.zone):
            over = run_bulk(bulk, actor)
        if not over:
            enqueue("leads.tasks.run_bulk_action", bulk_id)


def resume_bulk() -> None:
    """Queue what a dead worker left, of every organization. A change that is in hand elsewhere takes turns, row by row once."""
    for bulk_id in BulkAction.unscoped.filter(state__in=RUNNING).order_by("pk").values_list("pk", flat=True):
        enqueue("leads.tasks.run_bulk_action", bulk_id)
