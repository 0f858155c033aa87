"""The way in: home, one-time links, the health check, the first page of the settings, help."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from crm import accounts
from crm.access import member_page, public_page
from crm.htmx import render_page
from crm.models import Membership


@public_page
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a member to their organization; tell those who have none."""
    first = (
        Membership.unscoped.filter(user=request.user, removed_at=None)
        .select_related("organization")
        .order_by("organization__name")
        .first()
    )
    if first is None:
        return render(request, "home_without_organization.html", {})
    return redirect("leads:list", slug=first.organization.slug)


@public_page
@require_GET
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@public_page
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link. Opening it shows one button, so that mail scanners and previews do not use it up."""
    if request.method == "GET":
        return render(request, "sign_in_link.html", {"token": token})
    user = accounts.redeem_sign_in_link(token)
    if user is None:
        return render(request, "sign_in_link.html", {"token": "", "used": True}, status=410)
    if not user.has_usable_password():
        messages.info(request, "You have no password yet. Choose one under Your account, in the menu at the top right.")
    return accounts.sign_in(request, user)


@member_page()
@require_GET
def settings_home(request: HttpRequest) -> HttpResponse:
    return redirect("activities:types", slug=request.organization.slug)


@member_page()
@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    return render_page(request, "help.html", {})
