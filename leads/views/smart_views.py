"""Smart Views."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm.access import member_page
from crm.errors import InvalidInput
from crm.htmx import redirect_to, render_page
from crm.permissions import Perm, has
from leads import queries, services
from leads.filters import LeadFilter
from leads.models import Lead, SmartView
from leads.search.builder import Builder, query_tree
from leads.search.language import parse
from leads.search.run import run
from leads.search.sentences import sentence
from leads.views.search import types_for, uses_for
from leads.views.tables import PAGE, columns_of, rows_of, url_with


@member_page()
@require_GET
def smart_views(request: HttpRequest) -> HttpResponse:
    """The sidebar's list with counts; loaded after the page, so that it slows nothing."""
    rows = []
    for view in queries.smart_views_for(request.actor, SmartView.Lists.LEADS)[:20]:
        try:
            page = run(request.actor, parse(view.query, request.actor), limit=1, text=view.text)
            count = f"{page.total:,}{'' if page.total_is_exact else '+'}"
        except InvalidInput:
            count = "!"
        rows.append((view, reverse("leads:smart_view", args=[request.organization.slug, view.public_id]), count))
    return render(request, "leads/_smart_views.html", {"rows": rows})


@member_page()
@require_GET
def smart_view(request: HttpRequest, view_id: str) -> HttpResponse:
    actor = request.actor
    view = queries.smart_view_for(actor, view_id)
    error = ""
    try:
        query = parse(view.query, actor)
        page = run(
            actor, query, sort=request.GET.get("sort", view.sort), limit=PAGE, cursor=request.GET.get("after", ""),
            text=view.text,
        )  # fmt: skip
        words = sentence(query)
    except InvalidInput as refused:
        error, words = f"This Smart View asks for something you cannot see or that is gone. {refused.message}", ""
        page = None
    context = {
        "view": view,
        "leads": rows_of(page.ids) if page else [],
        "columns": columns_of(request.GET),
        "total": page.total if page else 0,
        "total_is_exact": page.total_is_exact if page else True,
        "is_first": not request.GET.get("after"),
        "next_url": url_with(request.GET, after=page.next_cursor) if page and page.next_cursor else "",
        "first_url": url_with(request.GET, after="") if request.GET.get("after") else "",
        "sentence": words,
        "error": error,
        "is_search": True,
        "may_delete": view.owner_id == actor.user_id or bool(has(actor, Perm.MANAGE_TEAM_SMART_VIEWS)),
    }
    return render_page(request, "leads/smart_view.html", context)


@member_page()
@require_POST
def smart_view_save(request: HttpRequest) -> HttpResponse:
    actor = request.actor
    data = QueryDict(request.POST.get("query_string", ""))
    builder = Builder.read(data)
    chosen = next((kind for kind in types_for(actor) if kind.public_id == builder.type), None)
    filters = LeadFilter(data, queryset=Lead.objects.none())
    block = builder.tree(uses_for(actor, chosen), chosen.object_type if chosen else "")
    tree = query_tree([*filters.conditions(), *block])
    parse(tree, actor)
    view = services.save_smart_view(
        actor, name=request.POST.get("name", ""), query=tree, text=data.get("q", ""), sort=data.get("sort", ""),
        shared=bool(request.POST.get("shared")),
    )  # fmt: skip
    return redirect_to(request, reverse("leads:smart_view", args=[request.organization.slug, view.public_id]))


@member_page()
@require_POST
def smart_view_delete(request: HttpRequest, view_id: str) -> HttpResponse:
    services.delete_smart_view(request.actor, queries.smart_view_for(request.actor, view_id))
    return redirect_to(request, reverse("leads:list", args=[request.organization.slug]))
