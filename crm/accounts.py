"""Signing in: allauth's adapter, one-time links, sessions. Passwords are never made up by the product.

An account is *proven* once its owner opened a link that only their mailbox got. What an admin can see, such as the link
shown after an invitation, proves nothing; so an account whose link was shown belongs to one organization only.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.utils import perform_login
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from crm.models import Membership, Organization, SignInLink, User

logger = logging.getLogger("touchpoint.accounts")

LINK_LIFETIME = timedelta(hours=24)
MAILED = "m-"


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up by themselves: an organization is made by its operator, members by their admin."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return reverse("home")

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """After a first password, which people choose on their way in, go to work; after a change, stay."""
        first = request.resolver_match and request.resolver_match.url_name == "account_set_password"
        return reverse("home") if first else super().get_password_change_redirect_url(request)

    def set_password(self, user: User, password: str) -> None:
        """A new password ends all sessions but the one it was chosen in."""
        super().set_password(user, password)
        end_sessions(user, keep=self.request.session.session_key)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Name the site by our own settings: what a request says of its Host never reaches a mail."""
        site = SimpleNamespace(name=settings.SITE_NAME, domain=settings.BASE_URL)
        super().send_mail(template_prefix, email, {**context, "current_site": site})

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Build the mailed link from BASE_URL, whatever Host the request claims."""
        uid, _, secret = key.partition("-")
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": secret})
        return settings.BASE_URL + path


class SecondStepAdapter(DefaultMFAAdapter):
    """Passkeys and codes belong to the site of BASE_URL, whatever Host a request claims."""

    def _get_site_name(self) -> str:
        return settings.SITE_NAME

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": urlsplit(settings.BASE_URL).hostname or "localhost", "name": settings.SITE_NAME}


def client_address(request: HttpRequest) -> str:
    """Return the address a request came from, as allauth's throttles see it (proxies are trusted as settings say)."""
    return str(AccountAdapter(request).get_client_ip(request))


# --- links ------------------------------------------------------------------------------------------------------------
def make_sign_in_link(user: User, *, mailed: bool = False) -> str:
    """Return an absolute link that signs `user` in once within a day. Only its hash is stored.

    `mailed`: it will be sent to the user's address and shown to nobody, so opening it proves the account.
    """
    token = (MAILED if mailed else "") + secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, token_hash=_hash(token), expires_at=timezone.now() + LINK_LIFETIME)
    return settings.BASE_URL + reverse("sign_in_link", args=[token])


def reset_second_step(user: User) -> int:
    """Remove the user's authenticator app, keys and recovery codes, for somebody who lost them; returns how many there were."""
    return Authenticator.objects.filter(user=user).delete()[0]


def void_sign_in_links(user: User) -> None:
    """Let no link that was made for the user before work any more."""
    SignInLink.objects.filter(user=user, used_at=None).update(expires_at=timezone.now())


def redeem_sign_in_link(token: str) -> User | None:
    """Return the link's user and use the link up, or None when it is unknown, used, expired, or the user is inactive.

    A mailed link proves the account. When it is the first proof, whatever was set up before (password, second step,
    sessions) may be somebody else's and goes.
    """
    now = timezone.now()
    live = SignInLink.objects.filter(token_hash=_hash(token), used_at=None, expires_at__gt=now, user__is_active=True)
    link = live.select_related("user").first()
    with transaction.atomic():
        # The conditional update decides between two clicks at once.
        if link is None or not live.filter(pk=link.pk).update(used_at=now):
            return None
        if token.startswith(MAILED) and not is_proven(link.user):
            _prove(link.user)
    return link.user


def is_proven(user: User) -> bool:
    """Did the owner of the address show that the account is theirs?"""
    return EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True).exists()


def _prove(user: User) -> None:
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Authenticator.objects.filter(user=user).delete()
    end_sessions(user)
    void_sign_in_links(user)
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )  # fmt: skip


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# --- invitations ------------------------------------------------------------------------------------------------------
def may_show_link(user: User, organization: Organization) -> bool:
    """May an admin of the organization see a link that signs in as this user?

    Only while the account is empty: never signed in, no password, known to no other organization.
    """
    elsewhere = Membership.unscoped.filter(user=user).exclude(organization=organization)
    return user.last_login is None and not user.has_usable_password() and not elsewhere.exists()


def send_invitation(member: Membership, invited_by: Membership) -> bool:
    """Mail the member a sign-in link; earlier links stop working. Returns whether the mail could be handed over."""
    void_sign_in_links(member.user)
    context = {
        "organization": member.organization.name, "invited_by": invited_by.user.full_name,
        "link": make_sign_in_link(member.user, mailed=True),
    }  # fmt: skip
    return _mail(
        member.user, f"{invited_by.user.full_name} invited you to {member.organization.name}", "invitation", context
    )


def send_proof(user: User) -> bool:
    """Mail a user a sign-in link that proves their account. Names no organization."""
    return _mail(user, "Confirm your Touchpoint account", "proof", {"link": make_sign_in_link(user, mailed=True)})


def _mail(user: User, subject: str, template: str, context: dict[str, Any]) -> bool:
    try:
        send_mail(
            " ".join(subject.split()), render_to_string(f"account/email/{template}.txt", context), None, [user.email]
        )
    except OSError:
        logger.exception("A mail could not be sent")
        return False
    return True


# --- sessions ---------------------------------------------------------------------------------------------------------
def sign_in(request: HttpRequest, user: Any) -> HttpResponse:
    """Sign `user` in through allauth, whose second step is asked of those who set one up. Returns where to go on."""
    return perform_login(request, user, email_verification="none", redirect_url=reverse("home"))


def end_sessions(user: User, keep: str | None = None) -> int:
    """Sign the user out of every browser but the one whose session key is `keep`; returns of how many."""
    sessions = list(UserSession.objects.filter(user=user).exclude(session_key=keep or ""))
    for session in sessions:
        session.end()
    return len(sessions)
