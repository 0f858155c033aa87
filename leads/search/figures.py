"""Fields of a lead that are worked out from what belongs to it: numbers of records, first and last dates.

Such a field has no column. A condition on it is said by the records it stands for (*more than 2 calls*: has at least 3 calls;
*last call before May*: has a call, and none since May), so that the one compiler, its indexes and its rules about what a
member may see answer it. What it shows (`Reading`) is read from the same records, a few queries for a page of leads.
`settings.SEARCH_FIGURES` lists the fields of all apps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, Protocol

from django.db.models import Count as CountOf
from django.db.models import Min, Q

from crm.models import Membership
from leads.models import Task
from leads.search.language import (
    All,
    Condition,
    Count,
    Everything,
    Exists,
    MomentIn,
    Node,
    NumberIn,
    OneOf,
    Related,
    Where,
)
from leads.search.moments import Moment
from leads.search.sources import LEAD, TASK, Column, Source
from leads.search.sql import both, fill, value, values
from leads.search.statements import select_rows

NOTHING = Everything(negate=True)
Asked = Callable[[Membership, Condition], Node]
# What is known of leads, by their row id: values by keys of the loader's own.
Known = Mapping[int, Mapping[Any, Any]]


@dataclass(frozen=True)
class Reading:
    """Where a figure's values come from: `load` knows them for many leads at once, under `key`; `without`: of a lead without."""

    load: Callable[[Membership, Sequence[int]], Known]
    key: Any
    without: int | None = None

    def of(self, known: Known, lead_id: int) -> Any:
        """Return a number, a moment, the row id of a user, or None."""
        return known.get(lead_id, {}).get(self.key, self.without)


def nothing_known(actor: Membership, lead_ids: Sequence[int]) -> Known:
    return {}


NONE_KEPT = Reading(nothing_known, "", 0)


@dataclass(frozen=True)
class Figure(Column):
    """A field without a column: `asked` says a condition on it by the records it is worked out from.

    `offered`: the builder offers it. `shown`: the key of the column of
    results that shows the same, which it sorts by. `reading`: what it is for leads at hand.
    """

    sql: str = ""
    asked: Asked = lambda actor, condition: Everything()
    reading: Reading = NONE_KEPT
    offered: bool = False
    shown: Callable[[Membership], str] | None = None


class Records(Protocol):
    """The records a figure is about: `of(actor, …)` is the node *has such a record for which these hold*."""

    def __call__(self, actor: Membership, *more: Node, count: Count | None = None) -> Node: ...


def records_of(source: Source, *own: Node) -> Records:
    """Return the records of a source for which `own` holds."""

    def found(actor: Membership, *more: Node, count: Count | None = None) -> Node:
        return Related(LEAD, source, All((*own, *more)), count)

    return found


# --- what a condition on a figure asks of the records -------------------------------------------------------------------
def number_of(records: Records) -> Asked:
    """Return how a condition on the number of records is asked."""

    def asked(actor: Membership, condition: Condition) -> Node:
        if not isinstance(condition, NumberIn):
            return Everything()  # a number of records is never empty
        low, high = _whole(condition)
        if high is None:
            return _at_least(actor, records, low)
        if high < low:
            return NOTHING
        if high == 0:
            return _not(records(actor))
        if low == high:
            return records(actor, count=Count("eq", low))
        return All((_at_least(actor, records, low), records(actor, count=Count("lte", high))))

    return asked


def _not(node: Node) -> Node:
    """Return a node turned around; what asks for nothing because its records may not be seen is turned as well."""
    return replace(node, negate=not node.negate)


def _at_least(actor: Membership, records: Records, number: int) -> Node:
    if number < 1:
        return Everything()
    return records(actor) if number == 1 else records(actor, count=Count("gte", number))


def _whole(condition: NumberIn) -> tuple[int, int | None]:
    """Return the smallest and largest whole number, from 0 on, within the bounds; no largest: None."""
    low, high = 0, None
    for operator, bound in condition.bounds:
        if operator in (">", ">="):
            low = max(low, floor(bound) + 1 if operator == ">" else ceil(bound))
        else:
            top = ceil(bound) - 1 if operator == "<" else floor(bound)
            high = top if high is None else min(high, top)
    return low, high


def latest(records: Records, column: Column) -> Asked:
    """Return how a condition on the latest of the records' moments is asked. Every one of them has one."""

    def asked(actor: Membership, condition: Condition) -> Node:
        if not isinstance(condition, MomentIn):
            return records(actor)
        some = records(actor, *_since(column, condition.start))
        later = _not(records(actor, *_since(column, condition.before)))
        return some if condition.before is None else All((some, later))

    return asked


def earliest(records: Records, column: Column) -> Asked:
    """Return how a condition on the earliest of the records' moments is asked. Every one of them has one."""

    def asked(actor: Membership, condition: Condition) -> Node:
        if not isinstance(condition, MomentIn):
            return records(actor)
        some = records(actor, *_until(column, condition.before))
        sooner = _not(records(actor, *_until(column, condition.start)))
        return some if condition.start is None else All((some, sooner))

    return asked


def _since(column: Column, moment: Moment | None) -> Sequence[Node]:
    return [Where(column, MomentIn(moment, None))] if moment else []


def _until(column: Column, moment: Moment | None) -> Sequence[Node]:
    return [Where(column, MomentIn(None, moment))] if moment else []


def none_kept(actor: Membership, condition: Condition) -> Node:
    """Ask for the number of what is not kept here: always 0."""
    if not isinstance(condition, NumberIn):
        return Everything()
    low, high = _whole(condition)
    return Everything() if low == 0 and (high is None or high >= 0) else NOTHING


def named(
    names: str, label: str, asks: str, asked: Asked, reading: Reading, *, offered: bool = True, refers_to: str = "",
    shown: Callable[[Membership], str] | None = None,
) -> list[Figure]:  # fmt: skip
    """Return a figure under each of its names (space-joined); the builder offers the first at most."""
    return [
        Figure(
            name, label, asks, asked=asked, reading=reading, offered=offered and not i, refers_to=refers_to, shown=shown
        )
        for i, name in enumerate(names.split())
    ]


# --- tasks --------------------------------------------------------------------------------------------------------------
def _task(name: str) -> Column:
    found = TASK.column(name)
    assert found is not None, name
    return found


_TASKS = records_of(TASK)
_OPEN = records_of(TASK, Where(_task("is_complete"), OneOf((0,), ("no",))))
_DUE = records_of(
    TASK, Where(_task("is_complete"), OneOf((0,), ("no",))), Where(_task("due_date"), Exists())
)  # fmt: skip
_DONE = records_of(TASK, Where(_task("is_complete"), OneOf((1,), ("yes",))))


def _tasks(actor: Membership, lead_ids: Sequence[int]) -> Known:
    """Return by lead how many tasks there are, how many open and finished, and the day the next is due."""
    rows = (
        Task.objects.filter(lead_id__in=lead_ids)
        .values("lead_id")
        .annotate(all=CountOf("pk"), open=CountOf("pk", Q(done_at=None)), due=Min("due_date", filter=Q(done_at=None)))
    )
    return {row["lead_id"]: row | {"done": row["all"] - row["open"]} for row in rows}


def numbers_kept(actor: Membership, lead_ids: Sequence[int], columns: Sequence[Column]) -> dict[int, dict[str, int]]:
    """Return by lead the numbers that these columns of leads count: contacts, their emails, phones and websites, addresses."""
    if not lead_ids or not columns:
        return {}
    expressions = ", ".join(column.sql.replace("{row}", "r") for column in columns)
    where = both([fill("r.organization_id = {}", value(actor.organization_id)), fill("r.id IN {}", values(lead_ids))])
    rows = select_rows(fill(f"SELECT r.id, {expressions} FROM leads_lead r WHERE {{}}", where))
    return {row[0]: dict(zip((column.name for column in columns), row[1:], strict=True)) for row in rows}


LEADS = (
    *named("num_tasks", "Number of tasks", "number", number_of(_TASKS), Reading(_tasks, "all", 0)),
    *named("num_incomplete_tasks", "Number of open tasks", "number", number_of(_OPEN), Reading(_tasks, "open", 0),
           shown=lambda actor: "open_tasks"),
    *named("num_completed_tasks", "Number of finished tasks", "number", number_of(_DONE), Reading(_tasks, "done", 0)),
    *named("next_task_due_date next_task_date", "Next task due", "moment", earliest(_DUE, _task("due_date")),
           Reading(_tasks, "due")),
    *named("num_opportunities num_active_opportunities num_won_opportunities num_lost_opportunities",
           "Number of opportunities", "number", none_kept, NONE_KEPT, offered=False),
)  # fmt: skip
