"""Signing in through an OpenID Connect provider on a real socket: the way in, and what ends it."""

import re
import time
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import PersonalToken
from accounts.openid import provider as provider_client
from audit.models import Event
from tests.accounts.openid_provider import ANSWER, LOGIN, PASSWORD, START, begin, is_in, linked, said, sign_in
from tests.kit import steps

pytestmark = pytest.mark.django_db


# --- The way in -------------------------------------------------------------------------------------


def test_a_person_with_a_role_gets_an_account_and_comes_back_to_it(client, provider):
    wanted = reverse("admin:scraping_botconfig_changelist")

    first = sign_in(client, provider, next=wanted)

    person = User.objects.get()
    assert first.request["PATH_INFO"] == wanted
    assert (person.username, person.email, person.get_full_name()) == ("lin", "lin@example.org", "Lin Wu")
    assert (person.is_staff, person.is_superuser, person.has_usable_password()) == (True, False, False)
    assert [group.name for group in person.groups.all()] == ["Operators"]
    verbs = list(Event.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == [
        "person.openid_created",
        "person.openid_linked",
        "person.openid_roles",
        "person.signed_in",
    ]
    assert Event.objects.get(verb="person.signed_in").parameters == {"through": "Example ID"}
    other = Client()
    sign_in(other, provider)
    assert is_in(other)
    assert User.objects.count() == 1


def test_the_request_to_the_provider_has_state_nonce_and_pkce(client, provider):
    address = begin(client)

    assert address.startswith(f"{provider.issuer}/authorize?")
    assert "code_challenge_method=S256" in address
    assert "redirect_uri=http%3A%2F%2Ftestserver%2Fadmin%2Flogin%2Fopenid%2Fanswer%2F" in address
    first, second = (
        dict(re.findall(r"(state|nonce|code_challenge)=([\w-]{43})", one)) for one in (address, begin(client))
    )
    assert len({*first.values(), *second.values()}) == 6


def test_the_content_security_policy_is_that_of_every_page(client, provider):
    page = client.post(START)

    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    assert provider.issuer not in page.headers["Content-Security-Policy"]


def test_the_button_is_on_the_sign_in_page_only_with_a_provider(client, provider, settings):
    assert "Log in through Example ID" in client.get(LOGIN).content.decode()
    settings.OIDC_ISSUER = ""
    assert START not in client.get(LOGIN).content.decode()
    assert client.post(START).status_code == 404
    assert client.get(ANSWER).status_code == 404


def test_a_foreign_target_is_not_followed(client, provider):
    assert sign_in(client, provider, next="https://evil.example/").request["PATH_INFO"] == reverse(
        "admin:index"
    )


def test_the_way_cannot_be_begun_by_another_site(provider):
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(START).status_code == 403
    assert strict.get(START).status_code == 405


def test_groups_may_come_from_userinfo_or_from_inside_an_object(client, provider, settings):
    del provider.claims["groups"]
    provider.more = {"groups": ["viewers"], "email": "evil@example.org", "email_verified": True}
    sign_in(client, provider)
    assert User.objects.get().groups.get().name == "Viewers"
    assert User.objects.get().email == "lin@example.org"

    settings.OIDC_GROUPS_CLAIM = "realm_access.roles"
    provider.claims["realm_access"] = {"roles": ["operators", 7, None]}
    sign_in(Client(), provider)
    assert User.objects.get().groups.get().name == "Operators"


def test_a_client_may_send_its_secret_in_the_form(client, provider):
    provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}

    sign_in(client, provider)

    assert is_in(client)


def test_a_changed_key_of_the_provider_is_fetched(client, provider, monkeypatch):
    sign_in(client, provider)
    provider.kid = "two"
    monkeypatch.setattr(provider_client, "AGAIN_SECONDS", -1)

    other = Client()
    sign_in(other, provider)

    assert is_in(other)


def test_the_session_ends_after_the_hours_of_the_setting_however_much_it_is_used(client, provider, settings):
    settings.OIDC_SESSION_HOURS = 3
    with time_machine.travel(timezone.now()) as clock:
        sign_in(client, provider)
        for _hour in range(2):
            clock.shift(timedelta(minutes=80))
            assert client.get(reverse("admin:index")).status_code == 200

        clock.shift(timedelta(minutes=21))
        assert client.get(reverse("admin:index")).status_code == 302


# --- When the provider fails ------------------------------------------------------------------------


def test_a_provider_that_is_down_is_said_in_words(client, provider):
    provider.is_down = True

    page = client.post(START, follow=True)

    assert said(page) == "Example ID does not answer. Try again in a minute."
    assert page.request["PATH_INFO"] == LOGIN


def test_the_words_are_in_the_readers_language(client, provider):
    provider.is_down = True

    page = client.post(START, follow=True, headers={"accept-language": "zh-hans"})

    assert said(page) == "Example ID 没有响应。请一分钟后再试。"


def test_a_refusal_of_the_provider_is_said_in_words(client, provider):
    provider.refusal = "access_denied"
    assert "did not let you in" in said(sign_in(client, provider))

    provider.refusal = "server_error"
    page = sign_in(client, provider)
    assert "answered with an error" in said(page)
    assert "<b>x</b>" not in page.content.decode()


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": 'http://a/"><script>'},
        {"token_endpoint": "http://h:port"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_used_is_said_in_words(client, provider, document):
    provider.document = document

    assert "not set up correctly" in said(client.post(START, follow=True))


def test_addresses_without_encryption_are_refused_from_an_encrypted_issuer(settings):
    settings.OIDC_ISSUER = "https://id.example.org"

    with pytest.raises(provider_client.Refused, match="misconfigured"):
        provider_client._address("http://id.example.org/token")


# --- Passwords, second factors, tokens --------------------------------------------------------------


def test_a_second_factor_is_asked_for_only_if_the_setting_says_so(client, provider, settings):
    person = linked(provider)
    factor = Authenticator(user=person, type=Authenticator.Type.TOTP, data={})
    factor.save()
    sign_in(client, provider)
    assert is_in(client)

    settings.OIDC_SECOND_FACTOR = True
    other = Client()
    page = sign_in(other, provider)
    assert page.request["PATH_INFO"] == reverse("mfa_authenticate")
    assert not is_in(other)


def test_who_must_have_a_second_factor_has_that_of_the_provider(client, provider, settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = "everybody"
    person = steps.with_password(linked(provider), PASSWORD)

    sign_in(client, provider)
    assert is_in(client)

    # The mark of the provider does not pass to a sign-in with the password.
    other = Client()
    begin(other)
    other.post(LOGIN, {"login": person.username, "password": PASSWORD})
    assert other.get(reverse("admin:index")).headers["Location"] == reverse("mfa_index")


def test_a_password_gives_no_api_token_to_who_signs_in_through_the_provider(client, provider, settings):
    person = steps.with_password(linked(provider), PASSWORD)
    body = {"username": person.username, "password": PASSWORD}

    refused = client.post("/api/v1/token/", body, content_type="application/json")
    settings.OIDC_ISSUER = ""
    allowed = client.post("/api/v1/token/", body, content_type="application/json")

    assert (refused.status_code, refused.json()["type"].rsplit("#", 1)[-1]) == (401, "second-factor-required")
    assert allowed.status_code == 200


def test_without_a_password_the_api_does_not_say_that_there_is_an_account(client, provider):
    sign_in(client, provider)
    answers = [
        Client().post(
            "/api/v1/token/", {"username": name, "password": PASSWORD}, content_type="application/json"
        )
        for name in ("lin", "nobody")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json()["type"] == answers[1].json()["type"]


def test_a_token_without_a_password_needs_the_provider_to_ask_again(client, provider):
    sign_in(client, provider)
    page, token = reverse("admin:my_tokens"), {"name": "ci", "scopes": ["read"], "days": 7}
    assert "Log in through Example ID again" in client.get(page).content.decode()
    client.post(page, token)
    assert not PersonalToken.objects.exists()

    address = begin(client, again=1, next=page)
    assert "prompt=login" in address
    back = client.get(f"{ANSWER}?{provider.answer_to(address)}", follow=True)

    assert back.request["PATH_INFO"] == page
    client.post(page, token)
    assert PersonalToken.objects.get().name == "ci"


@pytest.mark.parametrize("claims", [{"sub": "f:2"}, {"auth_time": int(time.time()) - 3600}])
def test_somebody_else_and_an_old_answer_confirm_nothing(client, provider, claims):
    sign_in(client, provider)
    address = begin(client, again=1, next=reverse("admin:my_tokens"))
    provider.claims.update(claims)

    page = client.get(f"{ANSWER}?{provider.answer_to(address)}", follow=True)

    assert "did not confirm that it is you" in said(page)
    assert User.objects.count() == 1
    assert "Log in through Example ID again" in page.content.decode()
