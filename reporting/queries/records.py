"""The list behind a number: the same selection, as a search of the one query language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from crm.models import Membership
from leads.search.language import Query
from leads.search.run import Page, run
from leads.search.sentences import sentence
from reporting.metrics import Metric
from reporting.metrics.kinds import Measure, leads_with
from reporting.metrics.selections import Days
from reporting.queries.asked import Filters, Tuned, limited
from reporting.queries.overview import Holds, holding

PAGE = 50


@dataclass(frozen=True)
class Behind:
    """The records behind a number. `lists`: `lead` or `activity`; `when`: the moment the number goes by."""

    measure: Measure
    query: Query
    filters: Filters

    @property
    def lists(self) -> str:
        return self.query.source.family

    @property
    def when(self) -> str:
        return self.measure.selection.when

    @property
    def sentence(self) -> str:
        return sentence(self.query)

    def page(self, actor: Membership, cursor: str = "", limit: int = PAGE, count: str = "exact") -> Page:
        """Return one page of ids, newest first (leads by name), and the exact total."""
        sort = "name" if self.lists == "lead" else f"-{self.when}"
        return run(actor, self.query, sort=sort, limit=limit, cursor=cursor, count=count, tz=self.filters.period.zone)


def records_behind(
    actor: Membership,
    metric: Metric,
    filters: Filters,
    days: tuple[date, date] | None = None,
    part: int = 0,
    asked: Tuned | None = None,
    holds: tuple[Holds, str | tuple[str, ...]] | None = None,
) -> Behind:
    """Return the records behind a number: those of `days` (the whole period without), in the group that `holds` names.

    `part`: which of the metric's measures, the second being what it is divided by.
    """
    measure = limited(actor, metric, filters).measures[part]
    start, end = days or (filters.period.start, filters.period.end)
    selection = measure.selection.on(Days(start, end))
    if holds is not None and asked is not None and asked.split is not None:
        selection = selection.with_nodes(holding(asked.split, *holds))
    measure = replace(measure, selection=selection)
    query = leads_with(measure) if measure.lists_leads else measure.records.query()
    return Behind(measure, query, filters)
