"""Writing reports and their tiles."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from crm import events, ids
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Membership
from crm.permissions import Perm, authorize, has
from reporting.metrics import catalogue, metric_for
from reporting.models import Report, Tile
from reporting.queries import reports_for

MAX_TILES = 40


def default_metrics(actor: Membership, kind: str) -> list[str]:
    """Return the keys a report starts with: the organization's types, then calls and notes."""
    keys = [key for key in catalogue(actor) if key.startswith("custom_activities.created.") and key.endswith(".count")]
    keys = keys[:7] if kind == Report.Kind.OVERVIEW else keys[:4]
    return [*keys, "calls.all.all.count", "notes.created.all.count"]


def report_to_change(actor: Membership, kind: str) -> Report:
    """Return the report the actor sees, keeping the default one as their own when there is none yet."""
    if found := reports_for(actor, kind):
        return found[0]
    keys = default_metrics(actor, kind)
    with transaction.atomic():
        report = Report.objects.create(
            organization=actor.organization, kind=kind, name=Report.Kind(kind).label, owner=actor.user
        )
        Tile.unscoped.bulk_create(
            Tile(organization=actor.organization, report=report, metric=key, position=index)
            for index, key in enumerate(keys)
        )
        events.record(actor, "created", "report", report.pk, after={"name": report.name, "tiles": keys})
    return report


def add_tile(actor: Membership, report: Report, metric: str) -> Tile:
    """Add a metric at the end of a report. Raises `InvalidInput` for an unknown metric or a full report."""
    _authorize(actor, report)
    metric_for(actor, metric)
    with transaction.atomic():
        Report.objects.select_for_update().get(pk=report.pk)
        number = Tile.objects.filter(report=report).count()
        if number >= MAX_TILES:
            raise InvalidInput(f"A report holds at most {MAX_TILES} tiles. Remove one first.")
        tile = Tile.objects.create(organization=actor.organization, report=report, metric=metric, position=number)
        events.record(actor, "created", "tile", tile.pk, after={"metric": metric, "report": report.public_id})
    return tile


def remove_tile(actor: Membership, report: Report, public_id: str) -> None:
    """Take a tile off a report. Raises `NotFound`."""
    _authorize(actor, report)
    tile = Tile.objects.filter(report=report, pk=ids.decode("tile", public_id)).first()
    if tile is None:
        raise NotFound("There is no such tile.")
    with transaction.atomic():
        events.record(actor, "deleted", "tile", tile.pk, before={"metric": tile.metric, "report": report.public_id})
        tile.delete()


def reorder_tiles(actor: Membership, report: Report, order: Sequence[str]) -> None:
    """Put tiles in this order; tiles that are not named keep theirs, after the named ones."""
    _authorize(actor, report)
    with transaction.atomic():
        tiles = {tile.public_id: tile for tile in Tile.objects.filter(report=report).order_by("position", "pk")}
        named = [tiles.pop(public_id) for public_id in order if public_id in tiles]
        for position, tile in enumerate([*named, *tiles.values()]):
            tile.position = position
            tile.save(update_fields=["position"])
        report.date_updated = timezone.now()
        report.save(update_fields=["date_updated"])
        events.record(actor, "updated", "report", report.pk, changed=["order"], after={"order": list(order)})


def _authorize(actor: Membership, report: Report) -> None:
    """The owner changes a report; a shared one of somebody else needs *manage team reports*."""
    if report.owner_id == actor.user_id:
        return
    if not report.shared:
        raise NotAllowed("Only its owner can change a private report.")
    authorize(has(actor, Perm.MANAGE_TEAM_REPORTS))
