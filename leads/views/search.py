"""Lists as searches: free text, simple filters, the builder, results. One page for leads, contacts and activities."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.htmx import render_page
from crm.imports.files import csv_text
from crm.imports.formula import neutralise
from crm.models import Membership, Team
from crm.permissions import Perm, has
from crm.tenancy import scope
from leads.models import Lead
from leads.search.columns import EMPTY, ResultColumn, Rows, offered
from leads.search.examples import examples
from leads.search.run import MAX_LIMIT, Page, run
from leads.search.sentences import sentence
from leads.services.smart_views import may_change, may_share
from leads.views.first_steps import Step, first_steps
from leads.views.kinds import CONTACTS, LEADS, ListKind, kind_named
from leads.views.painting import Painter
from leads.views.state import State, encode_query, read_state
from leads.views.tables import PAGE, heads, others, picked, table


@member_page()
@require_GET
def lead_list(request: HttpRequest) -> HttpResponse:
    return search_page(request, LEADS)


@member_page()
@require_GET
def contact_list(request: HttpRequest) -> HttpResponse:
    return search_page(request, CONTACTS)


def search_page(request: HttpRequest, kind: ListKind) -> HttpResponse:
    """Answer with a list's page; htmx gets the whole search, or only the results and what says something about them."""
    state = read_state(request.actor, kind, request.GET)
    known = offered(state.actor, state.source)
    columns = state.shown_columns(known)
    after = "" if request.GET.get("do") else request.GET.get("after", "")
    page = state.page(after, PAGE)
    painter = Painter(
        state.actor, kind.lists, state.types, state.view.public_id if state.view else "", state.filters.lookups,
        request.GET,
    )  # fmt: skip
    root = painter.root(state.root, state.source)
    only_results = request.headers.get("HX-Target") == "results"
    context = {
        **words_of(state),
        "state": state,
        "kind": kind,
        "rows": table(state, columns, page.ids) if page else [],
        "heads": heads(state, columns),
        "columns": columns,
        "picked": picked(columns),
        "more_columns": [] if only_results else others(known, columns),
        "total": page.total if page else None,
        # Beyond ten thousand the first page does not wait: the exact number comes after it.
        "total_url": "" if page is None or page.total_is_exact else _total_url(state),
        "next_url": state.url(after=page.next_cursor) if page and page.next_cursor else "",
        "first_url": state.url() if after else "",
        "root": root,
        "parts": root.below,
        "oob": only_results,
        "filters": state.filters.form,
        "error": state.error,
        "is_search": state.is_search,
        "examples": [] if only_results else _examples(state),
        "first_steps": _first_steps(state, page),
        "columns_open": request.GET.get("do", "").startswith("column-"),
        **rights_of(state),
    }
    fragment = "leads/_results.html" if only_results else "leads/_search.html"
    response = render_page(request, kind.page, context, fragment, status=422 if state.error else 200)
    if getattr(request, "htmx", None) and not request.htmx.history_restore_request:
        response["HX-Push-Url"] = state.url(after=after) if after else state.url()
    return response


def _examples(state: State) -> list[tuple[str, str]]:
    """Return searches to start from, in words and with their addresses, while nothing is asked yet."""
    if state.is_search or state.view or state.root.children or state.error:
        return []
    found = examples(state.actor, state.source, state.types)
    return [(one.words, f"{state.list_url}?{urlencode({'query': encode_query(one.tree)})}") for one in found]


def _first_steps(state: State, page: Page | None) -> list[Step]:
    """Return how to begin, while there is no lead at all, not even one that the actor does not see."""
    nothing = page is not None and not page.ids and not state.is_search and not state.view
    if not nothing or state.kind is not LEADS or Lead.objects.exists():
        return []
    return first_steps(state.actor, state.types)


def _total_url(state: State) -> str:
    found = reverse("leads:search_total", args=[state.actor.organization.slug, state.kind.lists])
    return f"{found}?{state.query_string()}"


@member_page()
@require_GET
def search_total(request: HttpRequest, lists: str) -> HttpResponse:
    """The exact number of what a search finds, for a page that shows “10,000+”."""
    state = read_state(request.actor, kind_named(lists), request.GET)
    return render(request, "leads/_search_total.html", {"kind": state.kind, "total": state.total(), "total_url": ""})


def words_of(state: State) -> dict[str, Any]:
    """Return what says in words what is searched."""
    if state.query is None:
        return {"sentence": ""}
    return {"sentence": sentence(state.query, state.text)}


def rights_of(state: State) -> dict[str, Any]:
    actor, view = state.actor, state.view
    can_be_saved = not state.error and (state.is_search or view is not None)
    return {
        "may_export": bool(has(actor, Perm.EXPORT)),
        "may_bulk_edit": bool(has(actor, Perm.BULK_EDIT)),
        "may_bulk_delete": bool(has(actor, Perm.BULK_DELETE)),
        "may_share": may_share(actor),
        "teams": list(Team.objects.order_by("name")) if can_be_saved and may_share(actor) else [],
        "may_change_view": view is not None and may_change(actor, view),
        "view_is_changed": state.is_changed,
        "view_is_pinned": view is not None and view.public_id in actor.pinned_views,
    }


# --- CSV --------------------------------------------------------------------------------------------------------------
@member_page(Perm.EXPORT)
@require_GET
def export(request: HttpRequest, lists: str) -> Any:
    """Everything a search finds as CSV, with the columns shown, in their order."""
    state = read_state(request.actor, kind_named(lists), request.GET)
    columns = state.shown_columns(offered(state.actor, state.source))
    if state.query is None:
        return search_page(request, state.kind)
    name = f"{state.kind.title.lower()}-{timezone.localdate():%Y-%m-%d}.csv"
    lines = _lines(state, columns)
    # The first rows before the answer begins: what refuses the search can still be told.
    first = list(islice(lines, 2))
    response = StreamingHttpResponse(chain(first, lines), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _lines(state: State, columns: list[ResultColumn]) -> Iterator[str]:
    """Yield the file a thousand rows at a time. Rights are read again for each; when they are gone, the file ends."""
    assert state.query is not None, "the caller asked"
    yield "\ufeff" + csv_text([[neutralise(column.label) for column in columns]])
    cursor, actor = "", state.actor
    zone = timezone.get_current_timezone()
    while True:
        with scope(actor.organization), timezone.override(zone):
            fresh = Membership.objects.select_related("user", "role", "organization").filter(pk=actor.pk).first()
            if fresh is None or not has(fresh, Perm.EXPORT):
                return
            page = run(
                fresh, state.query, sort=state.sort, limit=MAX_LIMIT, cursor=cursor, text=state.text, count="no",
                tz=state.filters.zone,
            )  # fmt: skip
            rows = Rows(fresh, state.kind.records(fresh, state.source, page.ids))
            cells = [column.load(rows) for column in columns]
            text = csv_text(
                [[neutralise(found.get(record.pk, EMPTY).csv) for found in cells] for record in rows.records]
            )
        if page.ids:
            yield text
        cursor = page.next_cursor
        if not cursor:
            return
