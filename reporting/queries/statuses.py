"""How leads moved between statuses in a period, told by the entries that changes of status leave (`spec/api.md` 2.19).

The statuses leads have now are taken back, change by change, to the end of the period and on to its start.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.expressions import RawSQL

from activities.queries import type_catalog, visible_activities
from crm import ids
from crm.customfields.catalog import catalog
from crm.models import Membership
from crm.permissions import can_view_field
from leads.queries import statuses, visible_leads
from leads.search.run import id_subquery, parse


@dataclass(frozen=True)
class Move:
    """One change of a lead's status, by the ids of the statuses; empty where the entry does not tell."""

    lead: int
    at: datetime
    old: str
    new: str


def status_report(
    actor: Membership, start: datetime | None, end: datetime | None, tree: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return Close's lead status report over the leads the actor sees, or those of them that `tree` selects.

    Without `start` there is nothing to compare with: no `started`, `change`, `gained` and `lost`. Leads that are gone do
    not count, nor do changes the actor may not see. A lead that was made in the period entered its first status.
    """
    leads = visible_leads(actor)
    if tree is not None:
        sql, params = id_subquery(actor, parse(tree, actor), "lead")
        leads = leads.filter(pk__in=RawSQL(sql, params))  # noqa: S611 (compiled SQL; values are parameters)
    held: dict[int, str] = {}
    made: dict[int, datetime] = {}
    for number, row, at in leads.values_list("pk", "status_id", "date_created").iterator():
        held[number], made[number] = ids.encode("stat", row), at
    labels = {row.public_id: row.label for row in statuses()}
    names, moves = dict(labels), []
    for move in _moves_backwards(actor, start, held, names):
        if end is None or move.at < end:
            moves.append(move)
        elif move.old:
            held[move.lead] = move.old
    ended = {lead: status for lead, status in held.items() if end is None or made[lead] < end}
    held.update({move.lead: move.old for move in moves if move.old})
    started = {lead: status for lead, status in held.items() if start is not None and made[lead] < start}

    entered, left = defaultdict(set), defaultdict(set)
    for move in moves:
        entered[move.new].add(move.lead)
        left[move.old].add(move.lead)
    for lead in ended.keys() - started.keys():
        entered[held[lead]].add(lead)
    overview = []
    for status in dict.fromkeys((*labels, *entered, *left)):
        if status:
            counts = {"entered": len(entered[status]), "left": len(left[status])}
            shown = {**_named("", status, names, labels), **counts, **_ends(status, started, ended, start)}
            overview.append({**shown, "_queries": {}, "_leads_page_urls": {}})
    turns = Counter((old, ended[lead]) for lead, old in started.items() if lead in ended and ended[lead] != old)
    return {
        "status_overview": overview,
        "status_transitions": _transitions(Counter((move.old, move.new) for move in moves), names, labels),
        "status_transitions_summary": _transitions(turns, names, labels),
    }


def _moves_backwards(
    actor: Membership, start: datetime | None, leads: Mapping[int, Any], names: dict[str, str]
) -> Iterator[Move]:
    """Yield the changes of these leads since `start` that the actor may see, newest first.

    Labels of statuses that are gone are put into `names`.
    """
    kind = type_catalog(actor.organization).builtin("status_change")
    if kind is None:
        return
    uses = [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_view_field(actor, use)]
    key = {use.field.builtin: str(use.field.id) for use in uses}
    ids_of, labels_of = (
        [key.get(f"status_change.{which}_status_{part}") for which in ("old", "new")] for part in ("id", "label")
    )
    if not all((*ids_of, *labels_of)):
        return
    rows = visible_activities(actor).filter(type_id=kind.id).order_by("-activity_at", "-pk")
    if start is not None:
        rows = rows.filter(activity_at__gte=start)
    for lead, at, values in rows.values_list("lead_id", "activity_at", "values").iterator():
        if lead in leads:
            told = [values.get(number) or "" for number in ids_of]
            for status, label in zip(told, labels_of, strict=True):
                names.setdefault(status, values.get(label) or "")
            yield Move(lead, at, *told)


def _ends(status: str, started: Mapping[int, str], ended: Mapping[int, str], start: datetime | None) -> dict[str, Any]:
    now = {lead for lead, held in ended.items() if held == status}
    if start is None:
        return {"ended": len(now)}
    then = {lead for lead, held in started.items() if held == status}
    change = len(now) - len(then)
    return {
        "started": len(then), "ended": len(now), "change": change, "gained": len(now - then), "lost": len(then - now),
        "change_percent": round(100 * change / len(then), 2) if then else None,
    }  # fmt: skip


def _named(prefix: str, status: str, names: Mapping[str, str], kept: Iterable[str]) -> dict[str, Any]:
    return {
        f"{prefix}status_id": status or None,
        f"{prefix}status_label": names.get(status) or None,
        f"{prefix}status_is_deleted": bool(status) and status not in kept,
    }


def _transitions(
    counted: Counter[tuple[str, str]], names: Mapping[str, str], kept: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return how often leads went from one status to another, the commonest first."""
    return [
        {**_named("from_", old, names, kept), **_named("to_", new, names, kept), "count": number, "_query": "", "_leads_page_url": ""}
        for (old, new), number in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]  # fmt: skip
