"""What is asked: the filters of a whole report, and the metric of a tile with its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Min
from django.utils import timezone

from activities.queries import visible_activities
from crm import ids
from crm.errors import InvalidInput
from crm.models import Membership, Team
from leads.queries import smart_view_for
from leads.search.language import CustomValue
from leads.search.sources import Column
from reporting.goals import Goal, read_goal
from reporting.metrics import Metric, MetricCatalogue, metric_for
from reporting.metrics.catalogue import choice_field, user_field
from reporting.metrics.kinds import Measured
from reporting.metrics.selections import Place, Selection, filter_nodes, lead_nodes, member_labels
from reporting.periods import STEPS, Period, check_year, relative_period

WIDTHS = ("third", "half", "wide", "full")


@dataclass(frozen=True)
class Filters:
    """What a whole report is limited to. `user_ids`: empty = everybody. `leads`: a search of leads, or None."""

    period: Period
    user_ids: tuple[int, ...] = ()
    leads: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Asked:
    """A tile as it is stored and as an address carries it.

    `who`: empty (the metric's own), `user`, or a user field's id. `split`: empty, `member`, or a choice field's id.
    `filter`: a tree of the search language over the records measured. `goal`: {"number": "20", "per": "week"}.
    """

    metric: str
    name: str = ""
    who: str = ""
    split: str = ""
    step: str = ""
    filter: Mapping[str, Any] | None = None
    rows: tuple[Mapping[str, str], ...] = ()
    goal: Mapping[str, Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The parts that a tile's `options` keep: those that are not empty."""
        kept = {"who": self.who, "split": self.split, "step": self.step, "filter": self.filter, "goal": self.goal}
        return {key: value for key, value in {**kept, "rows": list(self.rows)}.items() if value}

    @classmethod
    def read(cls, metric: str, name: str, options: Any) -> Asked:
        """Return what stored or sent options say; anything that is not of their shape is an `InvalidInput`."""
        options = options if isinstance(options, Mapping) else {}
        text = {key: options.get(key) or "" for key in ("who", "split", "step")}
        filter_, goal, rows = options.get("filter") or None, options.get("goal") or None, options.get("rows") or []
        shaped = isinstance(filter_, Mapping | None) and isinstance(goal, Mapping | None) and isinstance(rows, list)
        if not shaped or not all(isinstance(value, str) for value in text.values()):
            raise InvalidInput("The options of this tile cannot be read. Edit the tile.")
        kept = tuple(row for row in rows if isinstance(row, Mapping))
        return cls(metric, name, filter=filter_, rows=kept, goal=goal, **text)


@dataclass(frozen=True)
class Tuned:
    """A metric with a tile's options, checked as the actor. `split`: what its bars are split by."""

    metric: Metric
    asked: Asked
    split: Place | None = None
    split_name: str = ""
    goal: Goal | None = None
    label: str = field(default="")

    @property
    def written(self) -> str:
        """The name in files: of built-in options the words that files have."""
        return self.asked.name or self.metric.written

    @property
    def stacks(self) -> bool:
        return isinstance(self.metric, Measured) and self.metric.adds_up


def tuned(actor: Membership, asked: Asked, known: MetricCatalogue | None = None) -> Tuned:
    """Return the metric with its options. Raises `InvalidInput` for what does not exist for the actor."""
    metric = metric_for(actor, asked.metric, known)
    if asked.step and asked.step not in STEPS:
        raise InvalidInput(fields={"step": "Draw bars by day, week or month."})
    if asked.who:
        metric = metric.counted_for(_who(actor, metric, asked.who))
    if asked.filter:
        metric = metric.narrowed(
            lambda selection: selection.with_nodes(*filter_nodes(actor, selection.source, asked.filter))
        )
    split, name = _split(actor, metric, asked.split)
    return Tuned(metric, asked, split, name, read_goal(asked.goal), asked.name or metric.label)


def _who(actor: Membership, metric: Metric, who: str) -> Place:
    selection = metric.main.selection
    same = all(measure.selection.types == selection.types for measure in metric.measures)
    found: Place | None = None
    if who in ("user", "created_by"):
        found = selection.source.column("user_id" if who == "user" else "created_by")
    elif same:
        found = user_field(actor, selection.types, who)
    if found is None:
        raise InvalidInput(fields={"who": "This number cannot be counted for that field. Choose another one."})
    return found


def _split(actor: Membership, metric: Metric, split: str) -> tuple[Place | None, str]:
    if not split:
        return None, ""
    selection = metric.main.selection
    if split == "member":
        return selection.place, "member"
    found = choice_field(actor, selection.types, split)
    if found is None or not isinstance(metric, Measured):
        raise InvalidInput(fields={"split": "This number cannot be split by that. Choose another field."})
    return found, found.field.name


def limited(actor: Membership, metric: Metric, filters: Filters) -> Metric:
    """Return the metric limited to the report's members and leads, not yet to its days."""
    names = member_labels(actor, filters.user_ids) if filters.user_ids else ()

    def narrow(selection: Selection) -> Selection:
        selection = selection.with_nodes(*lead_nodes(actor, selection.source, filters.leads))
        return selection.among(selection.place, filters.user_ids, names) if filters.user_ids else selection

    return metric.narrowed(narrow)


def holds_several(place: Place) -> bool:
    """Return whether one record may be in several groups of this place."""
    return isinstance(place, CustomValue) and place.field.multiple


def is_column(place: Place) -> bool:
    return isinstance(place, Column)


# --- filters from a query string or a stored report -------------------------------------------------------------------
def filters_from(actor: Membership, given: Mapping[str, Any], *, zone: ZoneInfo | None = None) -> Filters:
    """Return the filters of a report: `range` or `start` and `end`, `zone`, `users` (users and teams), `view` (a Smart View).

    Raises `InvalidInput` naming what cannot be read.
    """
    zone = zone or zone_from(given.get("zone"))
    return Filters(
        period_from(actor, given, zone=zone), users_from(given.get("users") or ()), leads_from(actor, given.get("view"))
    )


def zone_from(name: Any) -> ZoneInfo | None:
    """Return the zone that days are days in; None (the actor's own) where none is named. Raises `InvalidInput`."""
    try:
        return ZoneInfo(str(name)) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(fields={"zone": f"There is no time zone “{name}”. Choose one from the list."}) from None


def users_from(public_ids: Any) -> tuple[int, ...]:
    """Return the row ids of users and of the members of teams. Raises `InvalidInput` for an id of neither."""
    found: set[int] = set()
    for public_id in public_ids:
        if number := ids.decode("user", public_id):
            found.add(number)
        elif (number := ids.decode("group", public_id)) and (team := Team.objects.filter(pk=number).first()):
            found.update(team.members.values_list("pk", flat=True) or (0,))
        else:
            raise InvalidInput(f"“{public_id}” is no member and no team. Choose from the list.")
    return tuple(sorted(found))


def leads_from(actor: Membership, public_id: Any) -> Mapping[str, Any] | None:
    """Return the search of a Smart View of leads. Raises `NotFound`, or `InvalidInput` for one that lists others."""
    if not public_id:
        return None
    view = smart_view_for(actor, str(public_id))
    if view.lists != "lead":
        raise InvalidInput("A report is limited by a Smart View of leads. Choose one of those.")
    return view.query


def period_from(actor: Membership, given: Any, *, zone: ZoneInfo | None = None) -> Period:
    """Return the period a query string or JSON body asks for: `start` and `end` days (without `end`: until today, or that
    day alone when it is to come), or a `range` name."""
    zone = zone or actor.zone
    week_start = actor.organization.week_starts_on
    today = timezone.now().astimezone(zone).date()
    if given.get("start"):
        start = _day("start", given["start"])
        return Period(start, _day("end", given["end"]) if given.get("end") else max(start, today), zone, week_start)
    if given.get("end"):
        raise InvalidInput(fields={"start": "Choose the first day too: a range has a start and an end."})
    name = given.get("range") or "last-30-days"
    first = None
    if name == "all-time":
        oldest = visible_activities(actor).aggregate(recorded=Min("date_created"), happened=Min("activity_at"))
        first = min((found.astimezone(zone).date() for found in oldest.values() if found), default=today)
        first = max(first, today.replace(year=today.year - 29, day=1))
    return relative_period(name, today, zone, week_start, first)


def _day(name: str, text: Any) -> date:
    try:
        found = date.fromisoformat(str(text)[:10])
    except ValueError:
        raise InvalidInput(fields={name: f"“{text or ''}” is not a date. Write it as 2026-01-31."}) from None
    check_year(name, found.year)
    return found
