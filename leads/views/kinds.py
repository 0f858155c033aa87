"""The lists that can be searched: leads and contacts here, activities in their own app (`settings.RESULT_LISTS`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from crm.errors import NotFound
from crm.models import Membership
from leads.filters import ContactFilter, LeadFilter
from leads.models import SmartView
from leads.search import columns
from leads.search.sources import Source, source_named


@dataclass(frozen=True)
class ListKind:
    """A page of search results. `lists`: the Smart Views that belong to it. `filters`: its simple filters."""

    lists: str
    source: str
    title: str
    url_name: str
    icon: str
    empty: str
    columns: tuple[str, ...]
    filters: Callable[[Any, Membership], Any]
    records: Callable[[Membership, Source, Sequence[int]], list[Any]]
    page: str
    bulk: tuple[str, ...] = ("edit", "log", "delete")

    def found(self, actor: Membership) -> Source:
        source = source_named(actor, self.source)
        assert source is not None, "a list names a source"
        return source


LEADS = ListKind(
    lists=SmartView.Lists.LEADS,
    source="lead",
    title="Leads",
    url_name="leads:list",
    icon="building",
    empty="A lead is a company or customer. Add the first one, or import a CSV in Settings.",
    columns=("name", "status", "contacts", "last_activity_at", "date_created"),
    filters=LeadFilter,
    records=lambda actor, source, numbers: columns.records(source, numbers),
    page="leads/list.html",
)
CONTACTS = ListKind(
    lists=SmartView.Lists.CONTACTS,
    source="contact",
    title="Contacts",
    url_name="leads:contacts",
    icon="users",
    empty="Contacts are added on the page of their lead.",
    columns=("name", "title", "lead", "email", "phone"),
    filters=ContactFilter,
    records=lambda actor, source, numbers: columns.records(source, numbers),
    page="leads/contacts.html",
    bulk=("edit", "delete"),
)


def kind_named(lists: str) -> ListKind:
    """Return the list of these Smart Views; raises `NotFound`."""
    for path in settings.RESULT_LISTS:
        kind: ListKind = import_string(path)
        if kind.lists == lists:
            return kind
    raise NotFound("There is no such list.")
