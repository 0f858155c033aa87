"""What every signed-in page's frame shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.module_loading import import_string

from crm.notifications import bell_text


@dataclass(frozen=True)
class NavItem:
    key: str
    label: str
    icon: str
    url: str
    badge: int = 0
    active: bool = False


@dataclass(frozen=True)
class OrganizationLink:
    name: str
    url: str
    current: bool


@dataclass(frozen=True)
class MemberLabel:
    full_name: str
    initials: str
    email: str
    role_name: str


class Shell:
    """The frame of one member's page. Links are made when the template asks, so fragments pay nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self.organization = request.organization
        self._slug = request.organization.slug
        theme = request.COOKIES.get("theme", "auto")
        self.theme = theme if theme in ("light", "dark", "auto") else "auto"

    @property
    def member(self) -> MemberLabel:
        user = self._request.actor.user
        initials = "".join(word[0] for word in user.full_name.split()[:2]).upper()
        return MemberLabel(user.full_name, initials, user.email, self._request.actor.role.name)

    @property
    def member_id(self) -> str:
        """The `user_` id of who this page belongs to; its requests say it, see `crm.access`."""
        return str(self._request.actor.user.public_id)

    @property
    def organizations(self) -> list[OrganizationLink]:
        from crm.models import Organization

        rows = Organization.objects.filter(memberships__user=self._request.user, memberships__removed_at=None).order_by(
            "name"
        )
        return [
            OrganizationLink(row.name, reverse("leads:list", args=[row.slug]), row.pk == self.organization.pk)
            for row in rows
        ]

    @cached_property
    def nav(self) -> list[NavItem]:
        here = self._request.path
        items = [
            ("leads", "Leads", "building", "leads:list"),
            ("contacts", "Contacts", "users", "leads:contacts"),
            ("activities", "Activities", "clipboard-check", "activities:list"),
            ("tasks", "My tasks", "list-check", "leads:my_tasks"),
            ("reports", "Reports", "chart-bar", "reporting:overview"),
            ("drafts", "My drafts", "edit", "activities:drafts"),
        ]
        found = []
        for key, label, icon, name in items:
            url = reverse(name, args=[self._slug])
            section = url.rsplit("/", 2)[0] + "/" if key == "reports" else url
            badge = self._drafts if key == "drafts" else 0
            found.append(NavItem(key, label, icon, url, badge, here.startswith(section)))
        return found

    @property
    def _drafts(self) -> int:
        """How many drafts the member finds under *My drafts*. A higher app counts them, so it is asked for by name."""
        return import_string(settings.DRAFTS_COUNT)(self._request.actor)

    @property
    def notifications_url(self) -> str:
        return f"{reverse('notifications', args=[self._slug])}?bell"

    @cached_property
    def notifications_count(self) -> str:
        """What the bell shows. One query, asked by whole pages only."""
        return bell_text(self._request.actor)

    @property
    def settings_url(self) -> str:
        return reverse("settings_home", args=[self._slug])

    @property
    def smart_views_url(self) -> str:
        return reverse("leads:smart_views", args=[self._slug])

    @property
    def smart_view_list_url(self) -> str:
        return reverse("leads:smart_view_list", args=[self._slug])

    @property
    def palette_url(self) -> str:
        return reverse("leads:palette", args=[self._slug])

    @property
    def account_url(self) -> str:
        return reverse("account_change_password")

    @property
    def sign_out_url(self) -> str:
        return reverse("account_logout")


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `shell` on member pages, nothing elsewhere."""
    return {"shell": Shell(request)} if getattr(request, "actor", None) else {}
