"""Which saved searches use a field, and what becomes of them when it gets another kind or goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from crm.customfields.catalog import Field
from crm.customfields.mentions import Mention
from crm.models import Membership
from leads.models import SmartView
from leads.queries import smart_views_for
from leads.search.sources import ASKS, asks_of


def conditions_on(tree: Any, public_id: str) -> Iterator[str]:
    """Yield the types of the conditions that a tree of the search language puts on a field."""
    if isinstance(tree, Mapping):
        asked = tree.get("field")
        if isinstance(asked, Mapping) and asked.get("custom_field_id") == public_id:
            condition = tree.get("condition")
            yield str(condition.get("type")) if isinstance(condition, Mapping) else ""
        for part in tree.values():
            yield from conditions_on(part, public_id)
    elif isinstance(tree, list):
        for part in tree:
            yield from conditions_on(part, public_id)


def fits(condition: str, new: Field | None) -> bool:
    """Return whether a condition on the field as it was can be asked of it as it will be; of a field that is gone none can.

    Options and records that a condition names by id are others in any other kind.
    """
    return new is not None and condition not in ("term", "reference") and condition in ASKS[asks_of(new.kind)]


def mentions(actor: Membership, old: Field, new: Field | None) -> Iterator[Mention]:
    """Yield the Smart Views that use the field: by name those the actor may open, of the others the number."""
    rows = SmartView.objects.annotate(tree=Cast("query", TextField()), shown=Cast("columns", TextField()))
    used = Q(tree__contains=old.public_id) | Q(shown__contains=old.public_id) | Q(sort__contains=old.public_id)
    found = {row.pk: row for row in rows.filter(used).order_by("name", "pk")}
    if not found:
        return
    seen = {view.pk for view in smart_views_for(actor)}
    others = {True: 0, False: 0}
    for pk, view in found.items():
        asked = list(conditions_on(view.query, old.public_id))
        sorts = view.sort.endswith(old.public_id)
        if not asked and not sorts and not any(column.endswith(old.public_id) for column in view.columns):
            continue
        stops = not all(fits(condition, new) for condition in asked)
        stops = stops or (sorts and new is not None and new.kind.hidden)
        if pk in seen:
            yield Mention(
                "Smart View", view.name, effect(stops, bool(asked), old, new), f"smart-views/{view.public_id}/", stops
            )
        else:
            others[stops] += 1
    for stops, number in others.items():
        if number:
            what = "Smart View of somebody else" if number == 1 else "Smart Views of others"
            yield Mention(f"{number:,} {what}", "", effect(stops, True, old, new, several=number > 1), "", stops)


def effect(stops: bool, asked: bool, old: Field, new: Field | None, *, several: bool = False) -> str:
    """Return what becomes of something that asks the field, or only shows it."""
    s = "" if several else "s"
    if stops:
        done = "changed" if new else "taken out"
        return f"stop{s} with a message until the condition on {old.name} is {done}, and so does what is built on it."
    if new is None:
        return f"leave{s} it out."
    if asked:
        return f"go{'' if several else 'es'} on and read{s} the new values."
    return "leaves the column out." if new.kind.hidden else "shows the new values."
