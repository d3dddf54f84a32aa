"""Signing in with a second factor, and the pages on which people set theirs up."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from accounts import second_factor
from audit.models import Event
from tests.accounts.test_second_factor import code_of
from tests.kit import factories, steps

pytestmark = pytest.mark.django_db
PASSWORD = "right horse battery"
INDEX, LOGIN, HOME = reverse("mfa_index"), reverse("admin:login"), reverse("admin:index")
CODE, AGAIN = reverse("mfa_authenticate"), reverse("account_reauthenticate")


@pytest.fixture
def person():
    return steps.with_password(factories.user(username="lin"), PASSWORD)


@pytest.fixture
def secret(person):
    secret = generate_totp_secret()
    TOTP.activate(person, secret)
    RecoveryCodes.activate(person)
    return secret


@pytest.fixture
def signed_in(client, person):
    client.force_login(person)
    return client


def password(client):
    return client.post(LOGIN, {"login": "lin", "password": PASSWORD, "next": INDEX})


def is_in(client):
    return client.get(HOME).status_code == 200


def verbs():
    return list(Event.objects.order_by("pk").values_list("verb", flat=True))


def again(client, page):
    """Enter the password again, as the page asks."""
    asked = client.get(page)
    assert asked.url.startswith(AGAIN)
    assert client.post(asked.url, {"password": "wrong"}).status_code == 200
    return client.post(asked.url, {"password": PASSWORD, "next": page})


def test_the_password_alone_does_not_sign_in(client, person, secret):
    assert password(client).url == CODE
    assert not is_in(client)
    assert "person.signed_in" not in verbs()


def test_the_code_does_after_it(client, person, secret):
    password(client)
    assert client.get(CODE).status_code == 200

    assert client.post(CODE, {"code": code_of(secret)}).url == INDEX
    assert is_in(client)
    assert verbs()[-1] == "person.signed_in"


def test_a_recovery_code_does_too_and_a_wrong_one_is_an_event(client, person, secret):
    password(client)
    wrong = client.post(CODE, {"code": "12345678"})
    assert "This code is wrong" in wrong.content.decode()
    assert verbs()[-1] == "person.factor_failed"

    code = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()[0]
    client.post(CODE, {"code": code})
    assert is_in(client)


@pytest.mark.slow
def test_guesses_of_codes_are_limited(client, person, secret):
    password(client)
    for _number in range(5):
        client.post(CODE, {"code": "000000"})

    assert "wait five minutes" in client.post(CODE, {"code": code_of(secret)}).content.decode()
    assert not is_in(client)


def test_the_page_of_codes_is_for_who_has_entered_the_password(client):
    assert client.get(CODE).url == LOGIN


@pytest.mark.slow
def test_an_app_is_set_up_after_the_password_and_its_codes_are_shown(signed_in, person):
    page = reverse("mfa_activate_totp")
    assert again(signed_in, page).url == page
    form = signed_in.get(page)
    secret = form.context["form"].secret
    assert secret in form.content.decode()
    assert 'src="data:image/svg+xml;base64,' in form.content.decode()
    assert signed_in.post(page, {"code": "1"}).status_code == 200

    answer = signed_in.post(page, {"code": code_of(secret)}, follow=True)

    codes = Authenticator.objects.get(user=person, type="recovery_codes").wrap().get_unused_codes()
    assert len(codes) == 10
    assert all(code in answer.content.decode() for code in codes)
    assert second_factor.has(person)
    assert verbs()[-2:] == ["person.factor_added", "person.factor_renewed"]


@pytest.mark.parametrize(
    "name", ["mfa_deactivate_totp", "mfa_generate_recovery_codes", "mfa_view_recovery_codes"]
)
def test_what_weakens_a_factor_asks_for_the_password_again(signed_in, secret, name):
    assert signed_in.get(reverse(name)).url.startswith(AGAIN)
    if name != "mfa_view_recovery_codes":
        assert signed_in.post(reverse(name)).url.startswith(AGAIN)
    assert Authenticator.objects.count() == 2


def test_an_app_is_removed_with_the_recovery_codes(signed_in, person, secret):
    page = reverse("mfa_deactivate_totp")
    again(signed_in, page)

    assert signed_in.post(page).url == INDEX
    assert not Authenticator.objects.exists()
    assert "person.factor_removed" in verbs()


def test_new_recovery_codes_replace_the_old_ones(signed_in, person, secret):
    old = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
    page = reverse("mfa_generate_recovery_codes")
    again(signed_in, page)
    signed_in.post(page)

    assert not set(old) & set(Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes())
    assert "person.factor_renewed" in verbs()


# --- Who must have one ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_who_must_have_one_is_led_to_set_it_up_before_anything_else(signed_in, person, settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = "everybody"

    for page in (HOME, reverse("admin:search"), "/"):
        assert signed_in.get(page).url == INDEX, page
        assert signed_in.post(page).url == INDEX, page
    assert "must have a second factor" in signed_in.get(INDEX).content.decode()
    assert signed_in.get(reverse("admin:jsi18n")).status_code == 200
    TOTP.activate(person, generate_totp_secret())
    assert is_in(signed_in)


def test_who_need_not_have_one_is_not(signed_in, settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = "operators"

    assert is_in(signed_in)


def test_who_signs_in_through_a_provider_is_not_asked_for_a_second_one(signed_in, person, settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = "everybody"
    person.set_unusable_password()
    person.save()
    signed_in.force_login(person)

    assert is_in(signed_in)
    assert "asks for its own second factor" in signed_in.get(INDEX).content.decode()


def test_the_last_one_is_not_removed_if_it_is_required(signed_in, person, secret, settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = "everybody"
    page = reverse("mfa_deactivate_totp")

    answer = signed_in.post(page, follow=True)

    assert "set up another before you remove" in answer.content.decode()
    assert second_factor.has(person)


# --- Who has lost theirs ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_superuser_removes_the_factors_of_somebody_who_lost_them(person, secret, superuser, client):
    browser = type(client)()
    browser.force_login(person)
    assert is_in(browser)
    page = reverse("admin:auth_user_second_factor_reset", args=[person.pk])
    assert page in client.get(reverse("admin:auth_user_change", args=[person.pk])).content.decode()
    assert client.post(page, {"reason": " "}).status_code == 200

    client.post(page, {"reason": "lost the telephone, called back"})

    assert not second_factor.has(person)
    assert not is_in(browser)
    event = Event.objects.get(verb="person.factors_reset")
    assert (event.subject_name, event.reason) == ("lin", "lost the telephone, called back")
    assert event.before == {"factors": ["totp", "recovery_codes"]}


def test_nobody_else_does_and_nobody_removes_their_own(person, secret, client):
    boss = factories.superuser()
    for by in (factories.user("auth.change_user"), person):
        with pytest.raises(PermissionDenied):
            second_factor.reset(person, by=by, reason="x")
    with pytest.raises(PermissionDenied):
        second_factor.reset(boss, by=boss, reason="x")
    with pytest.raises(ValueError, match="reason"):
        second_factor.reset(person, by=boss, reason=" ")
    assert second_factor.has(person)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "account_reauthenticate"]
)
def test_who_may_not_use_the_console_sees_none_of_the_pages(client, name):
    client.force_login(steps.with_password(factories.user(is_staff=False), PASSWORD))

    assert client.get(reverse(name)).status_code == 403
