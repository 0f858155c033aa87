"""Writing reports and their tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm import events, ids
from crm.errors import InvalidInput, NotAllowed, NotFound
from crm.models import Membership
from crm.permissions import Perm, authorize, has
from reporting import filling
from reporting.metrics import MetricCatalogue
from reporting.metrics.catalogue import LEADS_CREATED
from reporting.models import Report, Tile
from reporting.queries import Asked, asked_of, filters_from, may_change, reports_for, tiles_of, tuned

MAX_TILES = 40
MAX_REPORTS = 100
MAX_NAME = 200
WIDTHS = (1, 2, 3, 4)
FILTERS = ("range", "start", "end", "zone", "users", "view", "rows", "compare", "hide_zero")


# --- what a new member sees -------------------------------------------------------------------------------------------
def default_tiles(actor: Membership, kind: str) -> list[Asked]:
    """Return the tiles a report starts with: each custom type with its first choice, then calls, notes and leads."""
    known = MetricCatalogue(actor)
    types = [row for row in known.custom if not row.archived][: 7 if kind == Report.Kind.OVERVIEW else 4]
    found = []
    for row in types:
        choice = next((use.field for use in known.uses(row) if use.field.kind.has_options), None)
        split = choice.public_id if choice and kind == Report.Kind.OVERVIEW else ""
        found.append(Asked(f"custom_activities.created.{row.public_id}.count", row.name, split=split))
    keys = ("calls.all.all.count", "notes.created.all.count", LEADS_CREATED)
    return [*found, *(Asked(key) for key in keys if known.metric(key))]


def default_metrics(actor: Membership, kind: str) -> list[str]:
    """Return the keys of the tiles a report starts with."""
    return [row.metric for row in default_tiles(actor, kind)]


def report_to_change(actor: Membership, kind: str, public_id: str = "") -> Report:
    """Return a report of this kind to change; without an id the first one, keeping the default as the actor's own.

    Raises `NotFound`, or `NotAllowed` for one the actor may only see.
    """
    found = reports_for(actor, kind)
    report = next((row for row in found if row.public_id == public_id), None) if public_id else next(iter(found), None)
    if public_id and report is None:
        raise NotFound("There is no such report.")
    if report is not None and (public_id or may_change(actor, report)):
        _authorize(actor, report)
        return report
    return _create(actor, kind, "My report" if report else str(Report.Kind(kind).label), default_tiles(actor, kind))


# --- reports ----------------------------------------------------------------------------------------------------------
def create_report(actor: Membership, kind: str, name: str) -> Report:
    """Make a private report without tiles. Raises `InvalidInput` for a missing or taken name."""
    return _create(actor, kind, _name(name), [])


def duplicate_report(actor: Membership, report: Report, name: str = "") -> Report:
    """Make a private copy of a report the actor sees: the tiles they see, and its filters."""
    from reporting.queries import visible_tiles

    tiles = visible_tiles(actor, tiles_of(report))
    with transaction.atomic():
        copy = _create(
            actor, report.kind, _name(name or f"{report.name[: MAX_NAME - 7]} (copy)"), [row.asked for _, row in tiles]
        )
        copy.filters = report.filters
        copy.save(update_fields=["filters"])
        for made, (tile, _) in zip(tiles_of(copy), tiles, strict=True):
            made.width = tile.width
            made.save(update_fields=["width"])
    return copy


def rename_report(actor: Membership, report: Report, name: str) -> None:
    """Give a report another name."""
    _authorize(actor, report)
    _change(actor, report, name=_name(name))


def share_report(actor: Membership, report: Report, shared: bool) -> None:
    """Show a report to every member, or to its owner alone. Needs *manage team reports*."""
    _authorize(actor, report)
    authorize(has(actor, Perm.MANAGE_TEAM_REPORTS))
    _change(actor, report, shared=shared)


def keep_filters(actor: Membership, report: Report, given: Mapping[str, Any]) -> None:
    """Keep range, members and Smart View with a report. Raises `InvalidInput` for what cannot be read."""
    _authorize(actor, report)
    filters_from(actor, given)
    _change(actor, report, filters={key: given[key] for key in FILTERS if given.get(key)})


def delete_report(actor: Membership, report: Report) -> None:
    """Delete a report with its tiles."""
    _authorize(actor, report)
    with transaction.atomic():
        before = {"name": report.name, "tiles": [row.metric for row in tiles_of(report)]}
        events.record(actor, "deleted", "report", report.pk, before=before)
        report.delete()


def _create(actor: Membership, kind: str, name: str, tiles: Sequence[Asked]) -> Report:
    if kind not in Report.Kind.values:
        raise NotFound("There is no such kind of report.")
    with transaction.atomic():
        if Report.objects.filter(owner=actor.user_id).count() >= MAX_REPORTS:
            raise InvalidInput(f"You have {MAX_REPORTS} reports. Delete one first.")
        report = Report.objects.create(organization=actor.organization, kind=kind, name=name, owner=actor.user)
        Tile.unscoped.bulk_create(
            Tile(
                organization=actor.organization, report=report, metric=row.metric, name=row.name, options=row.options,
                position=index,
            )
            for index, row in enumerate(tiles)
        )  # fmt: skip
        for row in tiles:
            filling.ahead(actor, row, kind)
        after = {"name": name, "kind": kind, "tiles": [row.metric for row in tiles]}
        events.record(actor, "created", "report", report.pk, after=after)
    return report


def _change(actor: Membership, report: Report, **changes: Any) -> None:
    with transaction.atomic():
        before = {key: getattr(report, key) for key in changes}
        if before == changes:
            return
        for key, value in changes.items():
            setattr(report, key, value)
        report.date_updated = timezone.now()
        report.save(update_fields=[*changes, "date_updated"])
        events.record(actor, "updated", "report", report.pk, before=before, after=changes, changed=sorted(changes))


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME:
        raise InvalidInput(fields={"name": f"Give the report a name of at most {MAX_NAME} characters."})
    return name


# --- tiles ------------------------------------------------------------------------------------------------------------
def add_tile(actor: Membership, report: Report, asked: Asked | str, width: int = 1) -> Tile:
    """Add a tile at the end of a report. Raises `InvalidInput` for what does not exist or a full report."""
    asked = Asked(asked) if isinstance(asked, str) else asked
    _authorize(actor, report)
    tuned(actor, asked)
    with transaction.atomic():
        number = _room(report)
        tile = Tile.objects.create(
            organization=actor.organization, report=report, metric=asked.metric, name=asked.name[:MAX_NAME],
            options=asked.options, width=_width(width), position=number,
        )  # fmt: skip
        filling.ahead(actor, asked, report.kind)
        events.record(actor, "created", "tile", tile.pk, after=_tile(tile))
    return tile


def change_tile(actor: Membership, tile: Tile, asked: Asked, width: int) -> None:
    """Make a tile show something else. Raises `InvalidInput`."""
    _authorize(actor, tile.report)
    tuned(actor, asked)
    with transaction.atomic():
        before = _tile(tile)
        tile.metric, tile.name, tile.options = asked.metric, asked.name[:MAX_NAME], asked.options
        tile.width = _width(width)
        tile.save(update_fields=["metric", "name", "options", "width"])
        after = _tile(tile)
        changed = events.diff(before, after)
        if changed:
            filling.ahead(actor, asked, tile.report.kind)
            events.record(actor, "updated", "tile", tile.pk, before=before, after=after, changed=changed)


def resize_tile(actor: Membership, tile: Tile, width: int) -> None:
    """Give a tile another width: 1 (a third) to 4 (the whole line)."""
    change_tile(actor, tile, asked_of(tile), width)


def duplicate_tile(actor: Membership, tile: Tile) -> Tile:
    """Put a copy of a tile right after it."""
    _authorize(actor, tile.report)
    asked = asked_of(tile)
    with transaction.atomic():
        copy = add_tile(
            actor, tile.report, replace(asked, name=f"{asked.name[:190]} (copy)" if asked.name else ""), tile.width
        )
        order = [row.public_id for row in tiles_of(tile.report) if row.pk != copy.pk]
        order.insert(order.index(tile.public_id) + 1, copy.public_id)
        reorder_tiles(actor, tile.report, order)
    return copy


def remove_tile(actor: Membership, report: Report, public_id: str) -> None:
    """Take a tile off a report. Raises `NotFound`."""
    _authorize(actor, report)
    tile = Tile.objects.filter(report=report, pk=ids.decode("tile", public_id)).first()
    if tile is None:
        raise NotFound("There is no such tile.")
    with transaction.atomic():
        events.record(actor, "deleted", "tile", tile.pk, before=_tile(tile))
        tile.delete()


def reorder_tiles(actor: Membership, report: Report, order: Sequence[str]) -> None:
    """Put tiles in this order; tiles that are not named keep theirs, after the named ones."""
    _authorize(actor, report)
    with transaction.atomic():
        tiles = {tile.public_id: tile for tile in tiles_of(report)}
        named = [tiles.pop(public_id) for public_id in order if public_id in tiles]
        for position, tile in enumerate([*named, *tiles.values()]):
            if tile.position != position:
                tile.position = position
                tile.save(update_fields=["position"])
        report.date_updated = timezone.now()
        report.save(update_fields=["date_updated"])
        events.record(actor, "updated", "report", report.pk, changed=["order"], after={"order": list(order)})


def tile_to_change(actor: Membership, public_id: str) -> Tile:
    """Return a tile of a report the actor may change; raises `NotFound` or `NotAllowed`."""
    tile = Tile.objects.select_related("report").filter(pk=ids.decode("tile", public_id)).first()
    if tile is None or (tile.report.owner_id != actor.user_id and not tile.report.shared):
        raise NotFound("There is no such tile.")
    _authorize(actor, tile.report)
    return tile


def _tile(tile: Tile) -> dict[str, Any]:
    return {
        "metric": tile.metric, "name": tile.name, "options": tile.options, "width": tile.width,
        "report": tile.report.public_id,
    }  # fmt: skip


def _room(report: Report) -> int:
    """Return the position of one tile more; the report is locked until the transaction ends."""
    Report.objects.select_for_update().get(pk=report.pk)
    number = Tile.objects.filter(report=report).count()
    if number >= MAX_TILES:
        raise InvalidInput(f"A report holds at most {MAX_TILES} tiles. Remove one first.")
    return number


def _width(width: int) -> int:
    if width not in WIDTHS:
        raise InvalidInput(fields={"width": "A tile is a third, half, two thirds or the whole of a line."})
    return width


def _authorize(actor: Membership, report: Report) -> None:
    """The owner changes a report; a shared one of somebody else needs *manage team reports*."""
    if report.owner_id == actor.user_id:
        return
    if not report.shared:
        raise NotAllowed("Only its owner can change a private report.")
    authorize(has(actor, Perm.MANAGE_TEAM_REPORTS))
