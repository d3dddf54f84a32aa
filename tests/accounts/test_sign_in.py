"""Signing in: limits by account and by address, one line of log, no accounts told apart."""

import logging

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.urls import reverse

from tests.kit import factories, steps

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:login")
PASSWORD = "right horse battery"


@pytest.fixture
def person():
    return steps.with_password(factories.user(username="lin"), PASSWORD)


def sign_in(client, name="lin", password=PASSWORD, address="127.0.0.1", **more):
    return client.post(PAGE, {"login": name, "password": password, **more}, REMOTE_ADDR=address)


def is_in(client):
    return client.get(reverse("admin:index")).status_code == 200


def test_the_right_password_leads_where_one_wanted_to_go(client, person):
    wanted = reverse("admin:scraping_botconfig_changelist")

    assert sign_in(client, next=wanted).url == wanted
    # The page itself says who is signed in.
    assert list(client.get(wanted).context["messages"]) == []


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_a_target_that_is_not_allowed_leads_to_the_dashboard(client, person, target):
    assert sign_in(client, next=target).url == reverse("admin:index")


def test_who_guesses_at_an_account_is_stopped_even_with_the_right_password(client, person):
    for number in range(5):
        assert sign_in(client, password=f"wrong {number}", address=f"10.0.0.{number}").status_code == 200

    stopped = sign_in(client, address="10.0.0.9")

    assert "wait five minutes" in stopped.content.decode()
    assert not is_in(client)


@pytest.mark.slow
def test_who_guesses_from_one_address_is_stopped_and_nobody_else(client, person):
    for number in range(20):
        sign_in(client, name=f"user{number}", password="wrong", address="10.0.0.1")

    assert "wait five minutes" in sign_in(client, address="10.0.0.1").content.decode()
    sign_in(client, address="10.0.0.2")
    assert is_in(client)


@pytest.mark.slow
def test_the_address_is_the_one_that_a_trusted_proxy_names(client, person, settings):
    settings.TRUSTED_PROXY_COUNT = settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(21):
        client.post(
            PAGE, {"login": f"user{number}", "password": "wrong"}, HTTP_X_FORWARDED_FOR="6.6.6.6, 10.0.0.1"
        )

    stopped = client.post(
        PAGE, {"login": "lin", "password": PASSWORD}, HTTP_X_FORWARDED_FOR="7.7.7.7, 10.0.0.1"
    )
    assert "wait five minutes" in stopped.content.decode()
    client.post(PAGE, {"login": "lin", "password": PASSWORD}, HTTP_X_FORWARDED_FOR="10.0.0.1, 10.0.0.2")
    assert is_in(client)


def test_a_wrong_password_no_account_no_staff_and_an_inactive_one_are_answered_alike(client, person):
    for name, fields in {"plain": {"is_staff": False}, "gone": {"is_active": False}}.items():
        factories.user(username=name, **fields).set_password(PASSWORD)
        user = User.objects.get(username=name)
        user.set_password(PASSWORD)
        user.save()

    answers = {
        text
        for name, password in (
            ("lin", "wrong"),
            ("nobody", PASSWORD),
            ("plain", PASSWORD),
            ("gone", PASSWORD),
        )
        for text in sign_in(client, name=name, password=password).context["form"].non_field_errors()
    }

    assert len(answers) == 1
    assert not is_in(client)


def test_every_name_costs_one_hash_of_a_password(client, person, monkeypatch):
    plain = steps.with_password(factories.user(username="plain", is_staff=False), PASSWORD)
    gone = steps.with_password(factories.user(username="gone", is_active=False), PASSWORD)
    hashes = []
    real = MD5PasswordHasher.encode

    def counted(hasher, password, salt):
        hashes.append(password)
        return real(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    work = {}
    for number, name in enumerate(("lin", "nobody", plain.username, gone.username)):
        hashes.clear()
        sign_in(client, name=name, password="wrong", address=f"10.0.1.{number}")
        work[name] = len(hashes)

    assert work == {"lin": 1, "nobody": 1, "plain": 1, "gone": 1}


def test_who_is_signed_in_and_no_longer_staff_is_told_so(client, person):
    client.force_login(person)
    User.objects.update(is_staff=False)

    answer = client.get(reverse("admin:index"), follow=True)

    assert answer.status_code == 403
    assert "Your account may not use the console." in answer.content.decode()


def test_every_attempt_is_one_line_with_account_address_and_path(client, person, caplog):
    caplog.set_level(logging.INFO, "accounts.sign_in")

    sign_in(client, password="wrong", address="10.0.0.7")
    sign_in(client, name="x\nforged line", password="wrong", address="10.0.0.7")
    sign_in(client, address="10.0.0.7")

    lines = [record.getMessage() for record in caplog.records if record.name == "accounts.sign_in"]
    assert lines == [
        "Sign-in failed: account 'lin', address 10.0.0.7, path /admin/login/",
        "Sign-in failed: account 'x\\nforged line', address 10.0.0.7, path /admin/login/",
        "Sign-in signed in: account 'lin', address 10.0.0.7, path /admin/login/",
    ]
    assert PASSWORD not in caplog.text


def test_a_refused_page_is_one_line_that_says_who(client, person, caplog):
    from console.logs import RefusalInOneLine

    client.force_login(person)
    caplog.handler.addFilter(RefusalInOneLine())

    client.get(reverse("admin:auth_user_changelist"), REMOTE_ADDR="10.0.0.7")

    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert record.getMessage() == (
        "Forbidden (Permission denied): /admin/auth/user/ (GET; account 'lin', address 10.0.0.7)"
    )
    assert record.exc_info is None


def test_counts_are_shared_by_all_web_processes(settings):
    """The real cache, not the one of the tests."""
    from console import settings as real

    settings.CACHES = real.CACHES
    from django.core.cache import caches

    caches["default"].set("count", 3)
    assert caches["default"].get("count") == 3
    caches["default"].clear()
