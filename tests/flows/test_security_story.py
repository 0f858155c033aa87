"""A new member comes in by a link, sets up a password, a second step and a passkey, and leaves; roles decide what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import override_settings

from tests.support.live_app import LiveApp

pytestmark = pytest.mark.browser
SECRET = "purple elephants dance"


def totp_code(secret: str) -> str:
    with override_settings(MFA_TOTP_DIGITS=6):
        return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def settings_page(live_app: LiveApp, name: str) -> str:
    return f"{live_app.url}/o/acme/settings/{name}/"


def confirm(page: Any) -> None:
    """Type the password where a page asks for it again."""
    if page.get_by_role("heading", name="Confirm it is you").is_visible():
        page.get_by_label("Password").fill(SECRET)
        page.get_by_role("button", name="Go on").click()


def sign_in_with_password(page: Any, live_app: LiveApp, email: str) -> None:
    page.goto(f"{live_app.url}/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=False).fill(SECRET)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_member_from_invitation_to_removal(
    live_app: LiveApp, sign_in: Callable[..., Any], browser: Any, axe: Callable[[Any], list[str]]
) -> None:
    admin = sign_in()
    admin.goto(settings_page(live_app, "members"))
    admin.get_by_label("Email").fill("mo@acme.example")
    admin.get_by_label("First name").fill("Mo")
    admin.get_by_label("Last name").fill("Ek")
    admin.get_by_role("button", name="Invite member").click()
    link = admin.locator(".tp-key code").inner_text()
    assert axe(admin) == []

    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/o/acme/**")
    page.goto(f"{live_app.url}/accounts/password/change/")
    page.wait_for_url("**/password/set/")
    assert "at least 10 characters" in page.locator("main").inner_text()
    assert "<ul" not in page.locator("main").inner_text()
    page.get_by_label("Password", exact=False).first.fill(SECRET)
    page.get_by_label("again", exact=False).fill(SECRET)
    page.get_by_role("button", name="Save the password").click()
    page.wait_for_url("**/o/acme/**")

    # The second step: an app's codes.
    page.goto(f"{live_app.url}/accounts/2fa/totp/activate/")
    confirm(page)
    page.get_by_role("heading", name="Turn on the authenticator app").wait_for()
    assert axe(page) == []
    secret = page.locator("main code").inner_text()
    page.get_by_label("code", exact=False).fill(totp_code(secret))
    page.get_by_role("button", name="Turn it on").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()

    # A passkey, made by a virtual authenticator.
    devices = context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                "isUserVerified": True, "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip
    page.goto(f"{live_app.url}/accounts/2fa/webauthn/add/")
    confirm(page)
    page.get_by_role("heading", name="Add a passkey").wait_for()
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(lambda url: "/webauthn/add" not in url)
    page.goto(f"{live_app.url}/accounts/2fa/webauthn/")
    assert page.locator("tbody tr").count() == 1
    assert axe(page) == []

    page.goto(f"{live_app.url}/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{live_app.url}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/o/acme/**")

    # Sessions: another browser is signed in with password and code, and is signed out from here.
    other = browser.new_context().new_page()
    sign_in_with_password(other, live_app, "mo@acme.example")
    other.get_by_role("heading", name="Enter your code").wait_for()
    other.get_by_label("code", exact=False).fill("000000")
    other.get_by_role("button", name="Sign in", exact=True).click()
    assert "Incorrect code" in other.locator("main").inner_text()
    page.goto(f"{live_app.url}/accounts/sessions/")
    assert "on Linux" in page.locator("main").inner_text()
    assert axe(page) == []

    # Removed: nothing of the organization is there any more.
    admin.goto(settings_page(live_app, "members"))
    admin.get_by_role("button", name="Remove Mo Ek").click()
    admin.get_by_role("dialog").get_by_role("button", name="Remove").click()
    admin.get_by_role("heading", name="Former members").wait_for()
    assert page.goto(f"{live_app.url}/o/acme/leads/").status == 404


def test_roles_and_teams_decide_and_a_page_says_why(
    live_app: LiveApp, sign_in: Callable[..., Any], axe: Callable[[Any], list[str]]
) -> None:
    live_app.manage("create_member", "rae@acme.example", "--organization", "acme", "--role", "user")
    admin = sign_in()
    admin.goto(settings_page(live_app, "roles"))
    admin.get_by_label("Name").fill("Looker")
    admin.get_by_role("button", name="Make the role").click()
    admin.get_by_role("heading", name="Looker").wait_for()
    admin.get_by_label("Delete leads", exact=False).uncheck()
    assert axe(admin) == []
    admin.get_by_role("button", name="Save the role").click()
    admin.get_by_role("link", name="Looker").wait_for()
    assert axe(admin) == []

    admin.goto(settings_page(live_app, "members"))
    admin.get_by_label("Role of rae@acme.example").select_option(label="Looker")
    admin.get_by_text("rae@acme.example is now Looker.").wait_for()

    admin.goto(settings_page(live_app, "teams"))
    admin.locator("#id_name").fill("West")
    admin.get_by_role("button", name="Create team").click()
    admin.get_by_label("Member to add to West").select_option(label="rae@acme.example")
    admin.get_by_role("button", name="Add").click()
    admin.get_by_role("button", name="Take rae@acme.example out of West").wait_for()
    assert axe(admin) == []

    admin.goto(f"{live_app.url}/o/acme/leads/new/")
    admin.get_by_label("Name", exact=False).first.fill("Explained Inc")
    admin.get_by_role("button", name="Create lead").click()
    admin.get_by_role("heading", name="Explained Inc").wait_for()
    lead = admin.url
    admin.goto(settings_page(live_app, "access"))
    admin.get_by_label("Member").select_option(label="rae@acme.example (Looker)")
    admin.get_by_label("Lead, activity", exact=False).fill(lead)
    admin.get_by_role("button", name="Explain").click()
    admin.get_by_text("does not include “delete leads”", exact=False).wait_for()
    assert axe(admin) == []
