"""The staff door's frame: Django's admin for operators, entered as everybody enters."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse


class StaffSite(admin.AdminSite):
    """Lists only what our own `admin.py` modules register: keys, sessions and second steps are nobody's to read here."""

    site_header = site_title = "Touchpoint for operators"
    index_title = "Every organization of this installation"

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sign in where members do, with its limits on guessing and the second step; for members nothing is here."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise Http404
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("account_change_password")
