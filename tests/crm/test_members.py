"""Members: invited by mail, brought back, given roles, removed; the last admin stays; accounts are not taken over."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core import mail
from django.test import Client
from django.utils import timezone

from crm import accounts, events
from crm.api_keys import create_key
from crm.errors import Conflict, InvalidInput, NotAllowed
from crm.members import (
    add_member,
    change_member_role,
    deactivate_member,
    invite_again,
    member_for,
    members_of,
    sign_out_everywhere,
)
from crm.models import ApiKey, Event, Membership, Role, SignInLink, User
from crm.tenancy import scope
from tests.factories import PASSWORD, Tenant, World


@pytest.fixture
def ours(world: World) -> Iterator[Tenant]:
    with scope(world.ours.organization), events.door("page"):
        yield world.ours


def role(slug: str = "user") -> Role:
    return Role.objects.get(slug=slug)


def mailed_link() -> str:
    found = re.search(r"/sign-in/[\w-]+/", mail.outbox[-1].body)
    assert found
    return found.group()


def token(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def signed_in(member: Membership) -> Client:
    client = Client()
    answer = client.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def state() -> tuple[Any, ...]:
    return (
        list(Membership.unscoped.order_by("pk").values()),
        list(User.objects.order_by("pk").values("pk", "email", "password")),
        Event.unscoped.count(),
    )


# --- invitations ------------------------------------------------------------------------------------------------------
def test_somebody_new_gets_a_mail_and_a_link_that_may_be_shown(ours: Tenant) -> None:
    member = add_member(ours.admin, " Bo@New.example ", role(), first_name="Bo", last_name="Ek")
    shown, mailed = invite_again(ours.admin, member)
    assert mailed
    assert mail.outbox[-1].to == ["bo@new.example"]
    assert "Ada Admin invited you to Ours" in mail.outbox[-1].subject
    assert accounts.redeem_sign_in_link(token(shown)) == member.user
    assert accounts.redeem_sign_in_link(token(shown)) is None


def test_a_new_link_ends_the_ones_before(ours: Tenant) -> None:
    member = add_member(ours.admin, "bo@new.example", role())
    first, _ = invite_again(ours.admin, member)
    first_mailed = mailed_link()
    invite_again(ours.admin, member)
    assert accounts.redeem_sign_in_link(token(first)) is None
    assert accounts.redeem_sign_in_link(token(first_mailed)) is None
    assert accounts.redeem_sign_in_link(token(mailed_link())) == member.user


def test_a_link_expires(ours: Tenant) -> None:
    member = add_member(ours.admin, "bo@new.example", role())
    invite_again(ours.admin, member)
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert accounts.redeem_sign_in_link(token(mailed_link())) is None


@pytest.mark.parametrize("email", ["", "bo", "bo@", "bo example.com", "x" * 300 + "@example.com"])
def test_an_address_must_be_one(ours: Tenant, email: str) -> None:
    before = state()
    with pytest.raises(InvalidInput) as refused:
        add_member(ours.admin, email, role())
    assert set(refused.value.fields) == {"email"}
    assert state() == before


def test_a_member_is_not_invited_twice(ours: Tenant) -> None:
    before = state()
    with pytest.raises(InvalidInput, match="already a member"):
        add_member(ours.admin, ours.user.user.email.upper(), role())
    assert state() == before


def test_who_was_removed_comes_back_as_the_same_member(ours: Tenant) -> None:
    deactivate_member(ours.admin, ours.user)
    back = add_member(ours.admin, ours.user.user.email, role("restricteduser"))
    assert back.pk == ours.user.pk
    assert (back.removed_at, back.role.slug) == (None, "restricteduser")
    actions = Event.objects.filter(object_type="membership", object_id=back.pk).values_list("action", flat=True)
    assert list(actions) == ["deactivated", "activated"]


# --- nobody's account is taken over -----------------------------------------------------------------------------------
def test_the_link_of_an_account_in_use_is_never_shown(ours: Tenant) -> None:
    shown, mailed = invite_again(ours.admin, ours.user)
    assert (shown, mailed) == ("", True)


def test_an_account_of_another_organization_that_nobody_proved_is_not_let_in(ours: Tenant, world: World) -> None:
    stranger = world.theirs.user
    before = state()
    with pytest.raises(Conflict, match="never confirmed"):
        add_member(ours.admin, stranger.user.email, role("admin"))
    assert state() == before
    assert mail.outbox[-1].to == [stranger.user.email]
    assert "Ours" not in mail.outbox[-1].body + mail.outbox[-1].subject


def test_proving_an_account_throws_out_whoever_set_it_up_before(ours: Tenant, world: World) -> None:
    stranger = world.theirs.user
    browser = signed_in(stranger)
    assert browser.get("/o/theirs/leads/").status_code == 200
    Authenticator.objects.create(user=stranger.user, type="totp", data={"secret": "x"})
    leftover = accounts.make_sign_in_link(stranger.user)
    with pytest.raises(Conflict):
        add_member(ours.admin, stranger.user.email, role())
    answer = Client().post(mailed_link())
    assert answer.status_code == 302
    stranger.user.refresh_from_db()
    assert not stranger.user.has_usable_password()
    assert not Authenticator.objects.filter(user=stranger.user).exists()
    assert browser.get("/o/theirs/leads/").status_code == 302
    assert accounts.redeem_sign_in_link(token(leftover)) is None
    member = add_member(ours.admin, stranger.user.email, role())
    assert invite_again(ours.admin, member)[0] == ""


def test_a_proven_account_keeps_its_password_when_a_link_is_opened(ours: Tenant) -> None:
    invite_again(ours.admin, ours.user)
    accounts.redeem_sign_in_link(token(mailed_link()))
    ours.user.user.refresh_from_db()
    ours.user.user.set_password(PASSWORD)
    ours.user.user.save()
    invite_again(ours.admin, ours.user)
    accounts.redeem_sign_in_link(token(mailed_link()))
    ours.user.user.refresh_from_db()
    assert ours.user.user.check_password(PASSWORD)


def test_a_second_step_is_asked_after_a_link_too(ours: Tenant) -> None:
    link = accounts.make_sign_in_link(ours.user.user)
    Authenticator.objects.create(user=ours.user.user, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    client = Client()
    answer = client.post(f"/sign-in/{token(link)}/")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/o/ours/leads/").status_code == 302


def test_opening_a_link_does_not_use_it_up(ours: Tenant) -> None:
    link = accounts.make_sign_in_link(ours.user.user)
    for _ in range(2):
        assert Client().get(f"/sign-in/{token(link)}/").status_code == 200
    assert Client().post(f"/sign-in/{token(link)}/").status_code == 302
    assert Client().post(f"/sign-in/{token(link)}/").status_code == 410
    assert Client().post("/sign-in/nothing/").status_code == 410


def test_the_mailed_reset_link_is_built_from_the_base_url(ours: Tenant, settings: Any) -> None:
    """Attack 29: a poisoned Host header must not reach the mail."""
    settings.ALLOWED_HOSTS = ["*"]
    settings.BASE_URL = "https://crm.example.com"
    Client(headers={"host": "evil.example"}).post("/accounts/password/reset/", {"email": ours.user.user.email})
    assert "https://crm.example.com/accounts/password/reset/key/" in mail.outbox[-1].body
    assert "evil.example" not in mail.outbox[-1].body


def test_mails_about_passwords_say_what_to_do(ours: Tenant, settings: Any) -> None:
    browser = Client()
    browser.post("/accounts/password/reset/", {"email": ours.user.user.email})
    asked = mail.outbox[-1]
    assert asked.subject == "Choose a new password for Touchpoint"
    assert asked.body.startswith(f"Hello,\n\nSomebody asked for a new password for {ours.user.user.email}.")
    link = re.search(r"/accounts/password/reset/key/\S+", str(asked.body))
    assert link
    page = browser.get(link.group(), follow=True)
    chosen = {"password1": "a longer one, chosen now", "password2": "a longer one, chosen now"}
    browser.post(page.request["PATH_INFO"], chosen)
    told = mail.outbox[-1]
    assert told.to == [ours.user.user.email] and "Your account was changed:" in told.body
    assert "It was done from 127.0.0.1" in told.body and told.body.endswith(f"Touchpoint, {settings.BASE_URL}")
    browser.post("/accounts/password/reset/", {"email": "nobody@ours.example"})
    unknown = mail.outbox[-1]
    assert unknown.to == ["nobody@ours.example"] and "sign up" not in unknown.body.lower()
    assert "ask an admin of your organization to invite you" in unknown.body


# --- roles and removal ------------------------------------------------------------------------------------------------
def test_the_last_admin_keeps_the_role_and_stays(ours: Tenant) -> None:
    before = state()
    with pytest.raises(InvalidInput, match="Ada Admin is the last admin"):
        change_member_role(ours.admin, ours.admin, role())
    with pytest.raises(InvalidInput, match="Ada Admin is the last admin"):
        deactivate_member(ours.admin, ours.admin)
    assert state() == before
    change_member_role(ours.admin, ours.superuser, role("admin"))
    change_member_role(ours.admin, ours.admin, role())
    assert Membership.objects.get(pk=ours.admin.pk).role.slug == "user"


def test_removal_ends_keys_links_and_pages_at_once_and_keeps_the_rest(ours: Tenant) -> None:
    browser = signed_in(ours.user)
    assert browser.get("/o/ours/leads/").status_code == 200
    key, _ = create_key(ours.user, "Forms")
    link = accounts.make_sign_in_link(ours.user.user)
    deactivate_member(ours.admin, ours.user)
    assert browser.get("/o/ours/leads/").status_code == 404
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    assert accounts.redeem_sign_in_link(token(link)) is None
    ours.activities[0].refresh_from_db()
    assert ours.activities[0].created_by_id == ours.user.user_id
    former = [row for row in members_of(ours.organization, former=True) if row.removed_at]
    assert [row.user_id for row in former] == [ours.user.user_id]
    with pytest.raises(InvalidInput, match="former member"):
        change_member_role(ours.admin, Membership.objects.get(pk=ours.user.pk), role("admin"))


def test_signing_out_ends_every_browser(ours: Tenant) -> None:
    browsers = [signed_in(ours.user), signed_in(ours.user)]
    for browser in browsers:
        assert browser.get("/o/ours/leads/").status_code == 200
    assert sign_out_everywhere(ours.admin, ours.user) == 2
    for browser in browsers:
        assert browser.get("/o/ours/leads/").status_code == 302
    assert not UserSession.objects.filter(user=ours.user.user).exists()


def test_a_new_password_ends_every_session_but_the_one_it_was_chosen_in(ours: Tenant) -> None:
    here, elsewhere = signed_in(ours.user), signed_in(ours.user)
    chosen = {"password1": "a longer one, chosen now", "password2": "a longer one, chosen now"}
    here.post("/accounts/password/change/", {"oldpassword": PASSWORD, **chosen})
    assert here.get("/o/ours/leads/").status_code == 200
    assert elsewhere.get("/o/ours/leads/").status_code == 302
    assert here.get("/accounts/sessions/").status_code == 200
    assert UserSession.objects.get(user=ours.user.user).session_key == here.session.session_key


def test_the_first_password_leads_to_work(ours: Tenant) -> None:
    """Somebody who was invited chooses it on their way in."""
    link = accounts.make_sign_in_link(add_member(ours.admin, "new@ours.example", role()).user)
    browser = Client()
    browser.post(f"/sign-in/{token(link)}/")
    chosen = {"password1": "a longer one, chosen now", "password2": "a longer one, chosen now"}
    assert browser.post("/accounts/password/set/", chosen)["Location"] == "/"
    assert browser.get("/o/ours/leads/").status_code == 200


def test_visitors_behind_a_proxy_do_not_share_a_throttle(ours: Tenant, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    browser, path = Client(), "/accounts/login/"
    wrong = [{"login": f"x{number}@ours.example", "password": "wrong"} for number in range(40)]
    answers = [browser.post(path, given, headers={"x-forwarded-for": "9.9.9.9, 5.5.5.5"}) for given in wrong]
    assert "Try again in a few minutes." in answers[-1].content.decode()
    assert answers[0].status_code == 200 and answers[-1].status_code == 429, (
        "only the last address was seen by the proxy"
    )
    right = {"login": ours.user.user.email, "password": PASSWORD}
    assert browser.post(path, right, headers={"x-forwarded-for": "9.9.9.9, 6.6.6.6"}).status_code == 302


@pytest.mark.parametrize(("said", "proxies"), [("", "0"), ("0", "0"), ("1", "1"), ("2", "2"), ("on", "1")])
def test_the_operator_says_how_many_proxies_there_are(said: str, proxies: str, tmp_path: Path) -> None:
    code = "from crm import settings as s; print(s.ALLAUTH_TRUSTED_PROXY_COUNT, bool(s.SECURE_PROXY_SSL_HEADER))"
    given = {**os.environ, "DATA_DIR": str(tmp_path), "BEHIND_PROXY": said}
    printed = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True).stdout
    assert printed.split() == [proxies, str(proxies != "0")]


def test_an_admin_does_not_sign_people_out_of_other_organizations(ours: Tenant, world: World) -> None:
    Membership.unscoped.create(
        organization=world.theirs.organization, user=ours.user.user, role=world.theirs.user.role
    )  # fmt: skip
    browser = signed_in(ours.user)
    assert browser.get("/o/theirs/leads/").status_code == 200
    with pytest.raises(NotAllowed, match="belongs to other organizations"):
        sign_out_everywhere(ours.admin, ours.user)
    assert browser.get("/o/theirs/leads/").status_code == 200


@pytest.mark.parametrize("who", ["superuser", "user", "restricted"])
def test_members_are_managed_by_those_who_may(ours: Tenant, who: str) -> None:
    actor = getattr(ours, who)
    before, links = state(), SignInLink.objects.count()
    for attempt in (
        lambda: add_member(actor, "bo@new.example", role("restricteduser")),
        lambda: change_member_role(actor, actor, role("admin")),
        lambda: deactivate_member(actor, ours.admin),
        lambda: invite_again(actor, ours.admin),
        lambda: sign_out_everywhere(actor, ours.admin),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert (state(), SignInLink.objects.count()) == (before, links)
    assert mail.outbox == []


# --- pages ------------------------------------------------------------------------------------------------------------
def test_the_page_invites_and_lists_former_members_apart(world: World, django_assert_num_queries: Any) -> None:
    client = signed_in(world.ours.admin)
    with scope(world.ours.organization):
        deactivate_member(world.ours.admin, world.ours.restricted)
    client.get("/o/ours/settings/members/")
    with django_assert_num_queries(9):
        page = client.get("/o/ours/settings/members/").content.decode()
    assert page.index("Uma User") < page.index("Former members") < page.rindex("Rex Restricted")
    given = {"email": "bo@new.example", "first_name": "Bo", "last_name": "Ek", "role": "user"}
    page = client.post("/o/ours/settings/members/invite/", given).content.decode()
    assert "bo@new.example got a mail" in page
    assert "/sign-in/" in page
    again = client.post("/o/ours/settings/members/invite/", given)
    assert again.status_code == 422
    assert "already a member" in again.content.decode()


def test_a_refused_role_is_not_left_on_the_screen(world: World) -> None:
    client, admin = signed_in(world.ours.admin), world.ours.admin
    address, htmx = f"/o/ours/settings/members/{admin.public_id}/role/", {"HX-Request": "true"}
    before = state()
    refused = client.post(address, {"role": "user"}, headers=htmx)
    assert refused.status_code == 422 and "is the last admin" in refused.headers["HX-Trigger"]
    assert '<option value="admin" selected>' in refused.content.decode()
    assert state() == before
    address = f"/o/ours/settings/members/{world.ours.user.public_id}/role/"
    changed = client.post(address, {"role": "superuser"}, headers=htmx)
    assert changed.status_code == 200 and "is now Super User." in changed.headers["HX-Trigger"]
    assert '<option value="superuser" selected>' in changed.content.decode()
    world.ours.user.refresh_from_db()
    assert world.ours.user.role.slug == "superuser"


@pytest.mark.parametrize("part", ["role", "link", "sign-out", "remove"])
def test_a_member_of_another_organization_is_not_there(world: World, part: str) -> None:
    client, before = signed_in(world.ours.admin), state()
    theirs = world.theirs.user.public_id
    assert client.post(f"/o/ours/settings/members/{theirs}/{part}/", {"role": "admin"}).status_code == 404
    assert client.post(f"/o/ours/settings/members/memb_0/{part}/", {"role": "admin"}).status_code == 404
    assert state() == before
    assert mail.outbox == []


@pytest.mark.parametrize("who", ["superuser", "user", "restricted"])
@pytest.mark.parametrize("part", ["role", "link", "sign-out", "remove"])
def test_pages_refuse_what_services_refuse(world: World, who: str, part: str) -> None:
    client, before = signed_in(getattr(world.ours, who)), state()
    for htmx in ({}, {"HX-Request": "true"}):
        answer = client.post(
            f"/o/ours/settings/members/{world.ours.admin.public_id}/{part}/", {"role": "admin"}, headers=htmx
        )  # fmt: skip
        assert answer.status_code == 403
    assert state() == before


def test_a_mail_that_cannot_be_sent_is_said(ours: Tenant, settings: Any, monkeypatch: Any) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(accounts, "send_mail", refuse)
    member = add_member(ours.admin, "bo@new.example", role())
    shown, mailed = invite_again(ours.admin, member)
    assert shown
    assert not mailed
    assert member_for(ours.admin, member.public_id) == member
