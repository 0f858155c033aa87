"""Smart Views: saved, opened, renamed, shared, pinned, ordered, duplicated, deleted."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.access import member_page
from crm.errors import InvalidInput, TooMuch
from crm.htmx import asking_page, redirect_to, render_page, trigger
from crm.models import Membership, Team
from leads import queries
from leads.models import SmartView
from leads.search.language import parse
from leads.search.run import run
from leads.search.sentences import sentence
from leads.services import smart_views as services
from leads.views.kinds import kind_named
from leads.views.state import State, read_state

UNPINNED = 10


def view_url(view: SmartView, slug: str) -> str:
    return f"{reverse(kind_named(view.lists).url_name, args=[slug])}?view={view.public_id}"


@member_page()
@require_GET
def smart_views(request: HttpRequest) -> HttpResponse:
    """The sidebar's pinned views, in the member's order; without any, the first ones. Counts come after, each by itself."""
    slug = request.organization.slug
    views = _pinned(request.actor) or queries.smart_views_for(request.actor)[:UNPINNED]
    rows = [(view, view_url(view, slug)) for view in views]
    # The page that asks says where it is; all this decides is which line looks chosen. Reports have a `view` as well.
    page = urlsplit(asking_page(request))
    here = f"{page.path}?view={QueryDict(page.query).get('view', '')}"
    return render(request, "leads/_smart_views.html", {"rows": rows, "here": here})


def _pinned(actor: Membership) -> list[SmartView]:
    known = {view.public_id: view for view in queries.smart_views_for(actor)}
    return [known[one] for one in actor.pinned_views if one in known]


@member_page()
@require_GET
def smart_view_count(request: HttpRequest, view_id: str) -> HttpResponse:
    """How many records a view finds now, as text."""
    return HttpResponse(
        _count(request.actor, queries.smart_view_for(request.actor, view_id)), content_type="text/plain"
    )


def _count(actor: Membership, view: SmartView) -> str:
    try:
        page = run(actor, parse(view.query, actor, view.lists), limit=1, text=view.text)
    except (InvalidInput, TooMuch):
        return "!"
    return f"{page.total:,}{'' if page.total_is_exact else '+'}"


@member_page()
@require_GET
def smart_view_list(request: HttpRequest) -> HttpResponse:
    """Every view the member may open, with what it selects in words; the pinned ones first, to be put in order."""
    actor, slug = request.actor, request.organization.slug
    pinned = _pinned(actor)
    names = {view.pk for view in pinned}
    rest = [view for view in queries.smart_views_for(actor) if view.pk not in names]
    row = lambda view: {  # noqa: E731
        "view": view, "url": view_url(view, slug), "title": kind_named(view.lists).title,
        "sentence": _sentence(actor, view), "may_change": services.may_change(actor, view),
        "is_mine": view.owner_id == actor.user_id,
    }  # fmt: skip
    context = {"pinned": [row(view) for view in pinned], "rest": [row(view) for view in rest]}
    return render_page(request, "leads/smart_views.html", context)


def _sentence(actor: Membership, view: SmartView) -> str:
    try:
        return sentence(parse(view.query, actor, view.lists), view.text)
    except InvalidInput as refused:
        return f"Asks for something you cannot see or that is gone: {refused.message}"


@member_page()
@require_GET
def smart_view(request: HttpRequest, view_id: str) -> HttpResponse:
    """A view's lasting address: leads to its list, with the builder filled in."""
    return redirect(view_url(queries.smart_view_for(request.actor, view_id), request.organization.slug))


def _state(request: HttpRequest, lists: str) -> State:
    """Return the search that a form on a list's page carries along. Raises `InvalidInput` when it cannot run."""
    state = read_state(request.actor, kind_named(lists), QueryDict(request.POST.get("state", "")))
    if state.query is None:
        raise InvalidInput(state.error)
    return state


def _sharing(data: QueryDict) -> dict[str, Any]:
    chosen = data.get("sharing", "private")
    teams = [int(number) for number in data.getlist("team") if number.isdigit() and len(number) < 10]
    return {"shared": chosen == "all", "teams": teams if chosen == "teams" else []}


@member_page()
@require_POST
def smart_view_save(request: HttpRequest) -> HttpResponse:
    lists = request.POST.get("lists", SmartView.Lists.LEADS)
    state = _state(request, lists)
    view = services.save_smart_view(
        request.actor, name=request.POST.get("name", ""), description=request.POST.get("description", ""),
        query=state.whole, text=state.text, sort=state.sort, columns=state.columns, lists=lists,
        **_sharing(request.POST),
    )  # fmt: skip
    return redirect_to(request, view_url(view, request.organization.slug))


@member_page()
@require_POST
def smart_view_update(request: HttpRequest, view_id: str) -> HttpResponse:
    """Save what was changed in the builder into the view it started from."""
    view = queries.smart_view_for(request.actor, view_id)
    state = _state(request, view.lists)
    changes = {"query": state.whole, "text": state.text, "sort": state.sort, "columns": state.columns}
    view = services.update_smart_view(request.actor, view, changes)
    return redirect_to(request, view_url(view, request.organization.slug))


@member_page()
@require_http_methods(["GET", "POST"])
def smart_view_edit(request: HttpRequest, view_id: str) -> HttpResponse:
    """Name, description and who sees it."""
    actor = request.actor
    view = queries.smart_view_for(actor, view_id)
    errors: dict[str, str] = {}
    given = {"name": view.name, "description": view.description, "shared": view.shared, "teams": view.teams}
    if request.method == "POST":
        given = {
            "name": request.POST.get("name", ""), "description": request.POST.get("description", ""),
            **(_sharing(request.POST) if services.may_share(actor) else {}),
        }  # fmt: skip
        try:
            services.update_smart_view(actor, view, given)
            return redirect_to(request, view_url(view, request.organization.slug))
        except InvalidInput as refused:
            errors = refused.fields
    context = {
        "view": view, "given": given, "errors": errors, "view_url": view_url(view, request.organization.slug),
        "may_share": services.may_share(actor), "teams": list(Team.objects.order_by("name")),
    }  # fmt: skip
    return render_page(request, "leads/smart_view_edit.html", context, status=422 if errors else 200)


@member_page()
@require_POST
def smart_view_duplicate(request: HttpRequest, view_id: str) -> HttpResponse:
    copy = services.duplicate_smart_view(request.actor, queries.smart_view_for(request.actor, view_id))
    return redirect_to(request, reverse("leads:smart_view_edit", args=[request.organization.slug, copy.public_id]))


@member_page()
@require_POST
def smart_view_pin(request: HttpRequest, view_id: str) -> HttpResponse:
    """Pin a view to the member's sidebar, or take it off."""
    actor = request.actor
    view = queries.smart_view_for(actor, view_id)
    pinned = list(actor.pinned_views)
    if view.public_id in pinned:
        pinned.remove(view.public_id)
    else:
        pinned.append(view.public_id)
    services.set_pinned_views(actor, pinned)
    to_list = request.POST.get("next") == "list"
    address = reverse("leads:smart_view_list", args=[request.organization.slug])
    return redirect_to(request, address if to_list else view_url(view, request.organization.slug))


@member_page()
@require_POST
def smart_view_order(request: HttpRequest) -> HttpResponse:
    """Put the pinned views in order (`order`: their ids). `move`: `up:<id>` or `down:<id>`, for those without a mouse."""
    actor = request.actor
    order = [one for one in request.POST.getlist("order") if one in actor.pinned_views]
    order += [one for one in actor.pinned_views if one not in order]
    verb, _, moved = request.POST.get("move", "").partition(":")
    if moved in order and verb in ("up", "down"):
        place = order.index(moved) + (1 if verb == "down" else -1)
        order.remove(moved)
        order.insert(max(place, 0), moved)
    services.set_pinned_views(actor, order)
    if getattr(request, "htmx", None) or not verb:
        return trigger(HttpResponse(status=204), "smart-views-changed")
    return redirect_to(request, reverse("leads:smart_view_list", args=[request.organization.slug]))


@member_page()
@require_POST
def smart_view_delete(request: HttpRequest, view_id: str) -> HttpResponse:
    view = queries.smart_view_for(request.actor, view_id)
    services.delete_smart_view(request.actor, view)
    return redirect_to(request, reverse(kind_named(view.lists).url_name, args=[request.organization.slug]))
