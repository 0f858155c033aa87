"""Leads by Close's older query string: the language is read in `leads.search.legacy`, the search engine answers."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Mod

from crm.models import Membership
from leads.models import Lead
from leads.search.legacy import read
from leads.search.run import id_subquery, parse

_ORDER = {"name": "name_fold"}
_NULLABLE = ("last_activity_at",)


def legacy_leads(
    actor: Membership, rows: QuerySet[Lead], text: str, zone: ZoneInfo | None
) -> tuple[QuerySet[Lead], list[Any]]:
    """Return those of the leads that a text query selects, and the order it asks for (empty: none).

    Leads without an activity come last when the order is by the last one, as in every list.
    """
    asked = read(text, actor, zone, lists=True)
    sql, params = id_subquery(actor, parse(asked.tree, actor), "lead", tz=zone)
    found: Any = rows.filter(pk__in=RawSQL(sql, params))  # noqa: S611 (compiled SQL; values are parameters)
    if asked.part:
        k, n = asked.part
        found = found.annotate(slice_of=Mod("pk", n)).filter(slice_of=k - 1)
    bare = asked.sort.removeprefix("-")
    if not bare:
        return found, []
    column = F(_ORDER.get(bare, bare))
    if asked.sort.startswith("-"):
        return found, [column.desc(nulls_last=True) if bare in _NULLABLE else column.desc(), "-pk"]
    return found, [column.asc(nulls_last=True) if bare in _NULLABLE else column.asc(), "pk"]
