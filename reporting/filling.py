"""Numbers of past days are kept in the background, so that nobody waits for them (`reporting.kept`; PostgreSQL).

A number that was slow because its days are not kept is filled once it was asked for, a tile once it is saved. What was
written to since is counted again every hour, and after imports and upgrades (`crm.jobs.upkeep`). Until then, and without a
worker, every number is counted afresh: slower, and just as right.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from crm.errors import TouchpointError
from crm.jobs import enqueue
from crm.models import Membership
from crm.tenancy import scope
from reporting import kept
from reporting.metrics.selections import Days, Place
from reporting.models import DayNumbers, Report, Tile
from reporting.periods import Period
from reporting.queries import Asked, Filters, asked_of, tuned
from reporting.queries.asked import limited, users_from
from reporting.statements import keep

AHEAD_DAYS = 730  # of a saved tile: a year, and the one before it to compare with
AGAIN_SECONDS = 600  # the same is not asked for twice within
UPKEEP_SECONDS = 120


@contextmanager
def watched(actor: Membership, asked: Sequence[Asked], filters: Filters, kind: str) -> Iterator[None]:
    """Numbers that are asked for inside, and are slow because their days are not kept, are filled afterwards."""
    with kept.watched() as slow:
        yield
    if slow:
        period = filters.period
        for each in asked:
            later(actor, each, filters.user_ids, Days(period.previous.start, period.end), kind)


def ahead(actor: Membership, asked: Asked, kind: str) -> None:
    """Fill the days of a tile that was saved, before anybody asks for them."""
    today = timezone.now().astimezone(ZoneInfo(actor.organization.timezone)).date()
    later(actor, asked, (), Days(today - timedelta(days=AHEAD_DAYS - 1), today), kind)


def later(actor: Membership, asked: Asked, user_ids: Sequence[int], days: Days, kind: str) -> None:
    """Have a worker fill these days of a metric."""
    if connection.vendor != "postgresql":
        return
    given = [asked.metric, asked.options, list(user_ids), days.start.isoformat(), days.end.isoformat(), kind]
    name = hashlib.sha256(json.dumps([actor.organization_id, *given], sort_keys=True).encode()).hexdigest()
    if cache.add(f"reporting-fill-{name}", True, AGAIN_SECONDS):
        enqueue("reporting.filling.fill", actor.pk, *given)


def fill(
    membership_id: int, metric: str, options: dict, user_ids: list[int], start: str, end: str, kind: str
) -> None:  # fmt: skip
    """The job of `later`. Safe to repeat: what is kept is left alone."""
    actor = Membership.unscoped.select_related("user", "organization", "role").filter(pk=membership_id).first()
    if actor is not None:
        with scope(actor.organization_id):
            days = Days(date.fromisoformat(start), date.fromisoformat(end))
            # About what is gone meanwhile, nothing can be kept.
            with suppress(TouchpointError):
                _fill(actor, Asked.read(metric, "", options), tuple(user_ids), days, kind)


def refresh() -> None:
    """Bring what is kept of saved tiles up to date, in all organizations, for as long as a turn lasts. Safe to repeat."""
    if connection.vendor != "postgresql":
        return
    over = time.monotonic() + UPKEEP_SECONDS
    for organization_id in DayNumbers.unscoped.order_by().values_list("organization_id", flat=True).distinct():
        with scope(organization_id):
            members = Membership.objects.select_related("user", "organization", "role").filter(removed_at=None)
            actor = members.filter(role__slug="admin").order_by("pk").first()
            if actor is None:
                continue
            today = timezone.now().astimezone(ZoneInfo(actor.organization.timezone)).date()
            days, done = Days(today - timedelta(days=AHEAD_DAYS - 1), today), set[str]()
            for tile in Tile.objects.select_related("report").order_by("-pk"):
                named = json.dumps([tile.metric, tile.options, tile.report.kind, tile.report.filters.get("users")])
                if named in done or time.monotonic() > over:
                    continue
                done.add(named)
                _refresh(actor, tile, days)


def _refresh(actor: Membership, tile: Tile, days: Days) -> None:
    with suppress(TouchpointError):  # about what is gone, or not for this member
        users = users_from(tile.report.filters.get("users") or ())
        _fill(actor, asked_of(tile), users, days, tile.report.kind, known=True)


def _fill(
    actor: Membership, asked: Asked, user_ids: tuple[int, ...], days: Days, kind: str, *, known: bool = False
) -> None:  # fmt: skip
    zone = ZoneInfo(actor.organization.timezone)
    found = tuned(actor, asked)
    period = Period(days.start, days.end, zone, actor.organization.week_starts_on)
    for measure in limited(actor, found.metric, Filters(period, user_ids)).measures:
        measure = replace(measure, selection=measure.selection.on(days))
        groups: list[list[Place]] = [[measure.selection.place]] if kind == Report.Kind.COMPARISON else [[]]
        if kind == Report.Kind.OVERVIEW and found.split is not None:
            groups.append([found.split])
        if kind == Report.Kind.COMPARISON and not measure.aggregate.folds:
            groups.append([])
        for places in groups:
            keep(actor, measure, zone, places, known=known)
