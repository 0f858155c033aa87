"""Signing in: allauth's adapter and one-time links. Passwords are never made up by the product."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from crm.models import SignInLink, User

LINK_LIFETIME = timedelta(hours=24)


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up by themselves: an organization is made by its operator, members by their admin."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return reverse("home")


def make_sign_in_link(user: User) -> str:
    """Return an absolute link that signs `user` in once within a day. Only its hash is stored."""
    token = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, token_hash=_hash(token), expires_at=timezone.now() + LINK_LIFETIME)
    return settings.BASE_URL + reverse("sign_in_link", args=[token])


def redeem_sign_in_link(token: str) -> User | None:
    """Return the link's user and use the link up, or None when it is unknown, used, expired, or the user is inactive."""
    now = timezone.now()
    live = SignInLink.objects.filter(token_hash=_hash(token), used_at=None, expires_at__gt=now, user__is_active=True)
    link = live.select_related("user").first()
    # The conditional update decides between two clicks at once.
    return link.user if link and live.filter(pk=link.pk).update(used_at=now) else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def sign_in(request: HttpRequest, user: Any) -> None:
    """Start a session for `user` through allauth's own login, so that its records agree."""
    from django.contrib.auth import login

    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
