"""The Leads page: free text, filters, the builder, results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET

from crm.access import member_page
from crm.customfields.catalog import Use, catalog
from crm.customfields.lookups import Lookups
from crm.errors import InvalidInput
from crm.htmx import render_page
from crm.models import Membership
from crm.permissions import Perm, can_view_field, has
from leads.filters import LeadFilter
from leads.models import Lead
from leads.search.builder import OPERATORS, Builder, Row, query_tree, value_choices
from leads.search.language import parse
from leads.search.run import run
from leads.search.sentences import sentence
from leads.views.tables import PAGE, columns_of, rows_of, url_with


@dataclass(frozen=True)
class ConditionRow:
    """One row of the builder with what can be chosen in it."""

    row: Row
    operators: tuple[tuple[str, str], ...]
    choices: list[tuple[str, str]]
    input_type: str


def types_for(actor: Membership) -> list[Any]:
    """Return the activity types the actor sees. They belong to a higher app, which settings name."""
    return import_string(settings.SEARCHABLE_TYPES)(actor)


@member_page()
@require_GET
def lead_list(request: HttpRequest) -> HttpResponse:
    actor, data = request.actor, request.GET
    builder, text = Builder.read(data), data.get("q", "")
    filters = LeadFilter(data, queryset=Lead.objects.none())
    types = types_for(actor)
    chosen = next((kind for kind in types if kind.public_id == builder.type), None)
    uses = uses_for(actor, chosen)
    error = ""
    tree = query_tree([])
    try:
        if builder.type and chosen is None:
            raise InvalidInput("That activity type does not exist any more. Choose another one.")
        block = builder.tree(uses, chosen.object_type if chosen else "")
        tree = query_tree([*filters.conditions(), *block])
        query = parse(tree, actor)
        page = run(actor, query, sort=data.get("sort", ""), limit=PAGE, cursor=data.get("after", ""), text=text)
    except InvalidInput as refused:
        error = refused.message
        query = parse(query_tree([]), actor)
        page = run(actor, query, limit=PAGE)
    context = {
        "leads": rows_of(page.ids),
        "columns": columns_of(data),
        "total": page.total,
        "total_is_exact": page.total_is_exact,
        "is_first": not data.get("after"),
        "next_url": url_with(data, after=page.next_cursor) if page.next_cursor else "",
        "first_url": url_with(data, after="") if data.get("after") else "",
        "text": text,
        "sentence": sentence(query) if not error else "",
        "is_search": bool(builder.type or text or filters.conditions()),
        "builder_open": bool(builder.type) or data.get("builder") == "open",
        "filters": filters.form,
        "error": error,
        "types": types,
        "builder": builder,
        "chosen": chosen,
        "uses": uses,
        "conditions": [_condition(actor, uses, row) for row in (*builder.rows, Row())] if chosen else [],
        "may_share": bool(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS)),
        "query_string": data.urlencode(),
        "sort": data.get("sort", ""),
    }
    fragment = "leads/_results.html" if request.headers.get("HX-Target") == "results" else None
    return render_page(request, "leads/list.html", context, fragment, status=422 if error else 200)


def uses_for(actor: Membership, kind: Any) -> list[Use]:
    if kind is None:
        return []
    return [use for use in catalog(actor.organization).uses(kind.fieldset_id) if can_view_field(actor, use)]


def _condition(actor: Membership, uses: list[Use], row: Row) -> ConditionRow:
    field = next((use.field for use in uses if use.field.public_id == row.field), None)
    if field is None:
        return ConditionRow(row, OPERATORS["text"], [], "text")
    users = [(ref.public_id, ref.name) for ref in Lookups(actor.organization).members]
    kinds = {"number": "text", "moment": "date"}
    return ConditionRow(
        row, OPERATORS[field.kind.storage], value_choices(field, users), kinds.get(field.kind.storage, "text")
    )


@member_page()
@require_GET
def condition_row(request: HttpRequest) -> HttpResponse:
    """One row of the builder after its field was chosen: operators and values of that field's kind."""
    kind = next((row for row in types_for(request.actor) if row.public_id == request.GET.get("type")), None)
    uses = uses_for(request.actor, kind)
    fields = [name for name in request.GET.getlist("field") if name]
    row = _condition(request.actor, uses, Row(field=fields[-1] if fields else ""))
    return render(request, "leads/_condition.html", {"condition": row, "uses": uses, "chosen": kind})
