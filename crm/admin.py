"""The staff door: organizations, users and failed jobs, for operators.

Organizations and users are made by `create_organization` and `create_member`, which give them what they need, and stay.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django_q.models import Failure

from crm.models import Membership, Organization, User


class _Kept(admin.ModelAdmin):
    """Rows that are neither made nor deleted by hand."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Organization)
class OrganizationAdmin(_Kept):
    list_display = ("name", "slug", "plan", "timezone", "date_created")
    list_filter = ("plan",)
    search_fields = ("name", "slug")
    # Zone, week and currency are checked where its admins choose them.
    fields = ("name", "slug", "plan", "timezone", "date_created", "date_updated")
    readonly_fields = ("timezone", "date_created", "date_updated")


@admin.register(User)
class UserAdmin(_Kept):
    list_display = ("email", "first_name", "last_name", "organizations", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    list_per_page = 50
    search_fields = ("email", "first_name", "last_name")
    fields = (
        "email",
        "first_name",
        "last_name",
        "organizations",
        "is_active",
        "is_staff",
        "is_superuser",
        "last_login",
    )
    readonly_fields = ("organizations", "last_login")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows = Membership.unscoped.filter(removed_at=None).select_related("organization", "role")
        live = Prefetch("memberships", rows.order_by("organization__name"), to_attr="live_memberships")
        return super().get_queryset(request).prefetch_related(live)

    @admin.display(description="member of")
    def organizations(self, user: Any) -> str:
        return ", ".join(f"{row.organization} ({row.role.name})" for row in user.live_memberships) or "–"


@admin.register(Failure)
class FailedJobAdmin(_Kept):
    """Jobs that failed, with what they said. An interrupted one is taken up again by itself."""

    list_display = ("func", "started", "stopped", "attempt_count")
    search_fields = ("func",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Failure]:
        return super().get_queryset(request).filter(success=False)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
