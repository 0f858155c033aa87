"""Result tables: the head with its links that sort, the rows of a page, the panel that chooses columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.urls import reverse

from leads.search.columns import EMPTY, Cell, ResultColumn, Rows, public_id_of
from leads.search.sources import Source
from leads.views.choices import Choice, Choices
from leads.views.state import State

PAGE = 50
PAGES = {"lead": "leads:page", "contact": "leads:contact_edit", "activity": "activities:permalink"}


@dataclass(frozen=True)
class Head:
    """A head cell: `sort_url` empty when it cannot be sorted by; `order`: ascending, descending or empty."""

    label: str
    sort_url: str = ""
    order: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Shown:
    """A cell with the address it links to."""

    label: str
    cell: Cell
    url: str
    numeric: bool


@dataclass(frozen=True)
class Row:
    public_id: str
    name: str
    cells: tuple[Shown, ...]


@dataclass(frozen=True)
class Picked:
    """One column of the columns' panel."""

    key: str
    label: str
    is_first: bool
    is_last: bool


def heads(state: State, columns: Sequence[ResultColumn]) -> list[Head]:
    current = state.sort or state.source.default_sort
    found = []
    for column in columns:
        if column.sort is None or not column.sort.sorts:
            found.append(Head(column.label, numeric=column.numeric))
            continue
        order = "ascending" if current == column.key else "descending" if current == f"-{column.key}" else ""
        down = order == "ascending" or (not order and column.sort.asks in ("moment", "number"))
        url = state.url(sort=f"-{column.key}" if down else column.key)
        found.append(Head(column.label, url, order, column.numeric))
    return found


def table(state: State, columns: Sequence[ResultColumn], numbers: Sequence[int]) -> list[Row]:
    """Return the rows of a page, in order."""
    records = state.kind.records(state.actor, state.source, numbers)
    rows = Rows(state.actor, records, state.filters.lookups)
    cells = [column.load(rows) for column in columns]
    address = partial(_address, state.actor.organization.slug, {})
    return [_row(state.source, record, columns, cells, address) for record in records]


def _address(slug: str, known: dict[str, list[str]], page: str, public_id: str) -> str:
    """Return the address of a record's page; each kind of page is looked up once in `known`."""
    if page not in known:
        known[page] = reverse(PAGES[page], args=[slug, "PUBLIC_ID"]).split("PUBLIC_ID")
    return public_id.join(known[page])


def _row(
    source: Source,
    record: Any,
    columns: Sequence[ResultColumn],
    cells: Sequence[Mapping[int, Cell]],
    address: Callable[[str, str], str],
) -> Row:
    found = []
    for column, column_cells in zip(columns, cells, strict=True):
        cell = column_cells.get(record.pk, EMPTY)
        url = address(cell.page, cell.page_id) if cell.page else cell.href
        found.append(Shown(column.label, cell, url, column.numeric))
    name = next((one.cell.text for one in found if one.cell.page), "") or str(record)
    return Row(public_id_of(source, record.pk), name, tuple(found))


def picked(columns: Sequence[ResultColumn]) -> list[Picked]:
    last = len(columns) - 1
    return [Picked(column.key, column.label, not i, i == last) for i, column in enumerate(columns)]


def others(known: Mapping[str, ResultColumn], columns: Sequence[ResultColumn]) -> list[Choices]:
    """Return the columns that can be added, by group."""
    used = {column.key for column in columns}
    groups: dict[str, list[Choice]] = {}
    for column in known.values():
        if column.key not in used:
            groups.setdefault(column.group, []).append(Choice(column.key, column.label))
    return [Choices(label, tuple(choices)) for label, choices in groups.items()]
