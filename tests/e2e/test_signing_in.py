"""Signing in by a real browser: with an authenticator app, with a passkey of Chromium's virtual authenticator, and through
an OpenID Connect provider at another origin.
"""

import pytest
from allauth.mfa.models import Authenticator
from django.urls import reverse
from playwright.sync_api import expect

from tests.accounts.openid_provider import provider
from tests.accounts.test_second_factor import code_of
from tests.e2e.conftest import PASSWORD

__all__ = ["provider"]
pytestmark = pytest.mark.django_db(transaction=True)


def enter_password(page):
    page.goto(reverse("admin:login"))
    page.get_by_label("Username:").fill("lin")
    page.get_by_label("Password:").fill(PASSWORD)
    page.keyboard.press("Enter")


def begin(page, name):
    """Open a page that asks for the password again, and enter it."""
    expect(page.get_by_role("heading", name="Dashboard")).to_be_attached()
    page.goto(reverse(name))
    page.get_by_label("Password:").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


def log_out(page):
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log out")).to_have_count(0)


def test_an_authenticator_app(page, complaints, superuser):
    enter_password(page)
    begin(page, "mfa_activate_totp")
    secret = page.locator(".own-secret").inner_text()
    assert page.locator(".own-qr").evaluate("image => image.naturalWidth") > 0
    page.get_by_label("Code of the app").fill(code_of(secret))
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_text("The authenticator app is set up.")).to_be_visible()
    expect(page.locator(".own-codes li")).to_have_count(10)
    log_out(page)

    enter_password(page)
    # Another code than the one that set it up: each is valid once.
    page.get_by_label("Code of your authenticator app").fill(code_of(secret, later=1))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Dashboard")).to_be_attached()


@pytest.fixture
def authenticator(page):
    """A device of Chromium's that keeps passkeys and verifies its person."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    return session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey(page, complaints, superuser, authenticator):
    enter_password(page)
    begin(page, "mfa_add_webauthn")
    page.get_by_label("Name, by which you will know it").fill("My laptop")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("The passkey was added.")).to_be_visible()
    assert Authenticator.objects.get(type="webauthn").wrap().name == "My laptop"
    log_out(page)

    page.goto(reverse("admin:login"))
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_attached()
    log_out(page)

    enter_password(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_attached()


def test_through_a_provider(page, complaints, live_server, provider):
    page.goto(reverse("admin:my_tokens"))
    page.get_by_role("button", name="Log in through Example ID").click()

    expect(page.get_by_role("heading", name="My API tokens")).to_be_visible()
    assert provider.calls.count("/realms/main/token") == 1
    page.get_by_role("button", name="Log in through Example ID again").click()
    page.get_by_label("Name").fill("nightly")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_text("The token “nightly” was made.")).to_be_visible()
    log_out(page)


def test_what_a_provider_refuses_is_said_on_the_sign_in_page(page, complaints, live_server, provider):
    provider.claims["groups"] = []
    page.goto(reverse("admin:login"))
    page.get_by_role("button", name="Log in through Example ID").click()

    expect(page.get_by_text("none of your groups there has a role here")).to_be_visible()
    expect(page.get_by_label("Username:")).to_be_visible()
    expect(page.get_by_text("The passkey could not be used.")).to_be_hidden()
