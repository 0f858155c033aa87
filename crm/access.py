"""Who is asking. Every URL states who may come in: `@member_page(…)`, `@public_page`, or the API's authentication."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers

from crm import events
from crm.errors import NotAllowed, NotFound, TouchpointError
from crm.htmx import toast
from crm.models import Membership
from crm.permissions import Perm, authorize, has
from crm.tenancy import scope

View = Callable[..., HttpResponseBase]


def zone_of(actor: Membership) -> ZoneInfo:
    """Return the zone the actor reads and types times in: their own, else the organization's."""
    return actor.zone


def membership_for(user: Any, slug: str) -> Membership | None:
    """Return the user's live membership of the organization with this slug, or None. One query."""
    return (
        Membership.unscoped.select_related("user", "organization", "role")
        .filter(user=user, organization__slug=slug, removed_at=None, user__is_active=True)
        .first()
    )


def member_page(perm: Perm | None = None) -> Callable[[View], View]:
    """The view is for members of the organization in its URL, with `perm` when given.

    The view runs in the organization's scope, the actor's time zone and the page door, with `request.actor` and
    `request.organization`. Anybody else gets the same 404 as for an organization that does not exist.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _sign_in_first(request)
            actor = membership_for(request.user, slug)
            if actor is None:
                raise Http404
            # A page that outlived its session, and somebody else signed in meanwhile: nothing is done in their name.
            if request.headers.get("X-Member", actor.user.public_id) != actor.user.public_id:
                return HttpResponse(
                    f"{actor.user.full_name} is signed in here now. What you typed is kept in this browser: sign in as "
                    "yourself in another tab, then go on here.",
                    status=401, content_type="text/plain; charset=utf-8",
                )  # fmt: skip
            request.actor = actor
            request.organization = actor.organization
            zone = zone_of(actor)
            with scope(actor.organization), timezone.override(zone), events.door("page", request_id=request.id):
                try:
                    if perm is not None:
                        authorize(has(actor, perm))
                    response = view(request, *args, **kwargs)
                except TouchpointError as error:
                    response = _refusal(request, error)
                if response.status_code == 405 and request.method == "GET":
                    response = _takes_forms_only(request, response)
            patch_cache_control(response, private=True, no_store=True)
            patch_vary_headers(response, ["HX-Request", "Cookie"])
            return response

        guarded.who = perm or "member"
        return guarded

    return decorate


def public_page(view: View) -> View:
    """The view is for anybody. It takes no organization and shows no tenant's data."""
    view.who = "public"
    return view


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    if getattr(request, "htmx", None) or request.headers.get("Accept") == "application/json":
        return HttpResponse(
            "Your session has ended. Your text is kept in this browser: sign in again in another tab, then go on here.",
            status=401, content_type="text/plain; charset=utf-8",
        )  # fmt: skip
    return redirect_to_login(request.get_full_path())


def _takes_forms_only(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """Say so where a browser opens the address a form was sent to: from its history, or after signing in again."""
    words = {"title": "There is nothing to see here", "reason": "This address only takes what a form sends."}
    page = render(request, "refused.html", words, status=405)
    page.headers["Allow"] = response.headers["Allow"]
    return page


def _refusal(request: HttpRequest, error: TouchpointError) -> HttpResponse:
    if isinstance(error, NotFound):
        raise Http404(error.message) from error
    status = {400: 422}.get(error.status, error.status)
    if getattr(request, "htmx", None):
        response = HttpResponse(status=status, headers={"HX-Reswap": "none"})
        return toast(response, error.message, "danger")
    template = "403.html" if isinstance(error, NotAllowed) else "refused.html"
    return render(request, template, {"reason": error.message}, status=status)
