"""A forgotten password: a mail to who is meant, equal work for who is not, and an end of everything that lets in."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from accounts import afterwards, password_reset
from accounts.models import PasswordResetToken, RefreshToken, hash_secret
from accounts.password_reset import ResetRefused, TooManyResets
from audit.models import Event
from tests.kit import factories, steps

pytestmark = pytest.mark.django_db
ASK, SENT, CONFIRM = (reverse(f"password_reset{part}") for part in ("", "_sent", "_confirm"))
OLD, NEW = "right horse battery", "brand new staple"
LINK = "https://console.example.org/admin/password-reset/confirm/"


@pytest.fixture
def later(monkeypatch):
    """What was put off until after the answer; ``later()`` does it."""

    class Later:
        def __init__(self):
            self.queue = []

        def run(self, function, *arguments, **options):
            self.queue.append((function, arguments, options))

        def __call__(self):
            while self.queue:
                function, arguments, options = self.queue.pop(0)
                function(*arguments, **options)

    later = Later()
    monkeypatch.setattr(afterwards, "run", later.run)
    return later


@pytest.fixture
def person(settings):
    settings.HELP_CONTACT = "the desk, 4711"
    return steps.with_password(factories.user(username="lin", email="lin@example.org"), OLD)


def ask(later, login="lin", address="10.0.0.1"):
    password_reset.ask(login=login, address=address, link=LINK)
    later()


def secret_in(message):
    return re.search(r"#(\S+)", message.body)[1]


def verbs():
    return list(Event.objects.order_by("pk").values_list("verb", flat=True))


@pytest.mark.parametrize("login", ["lin", "LIN", " lin@example.org", "Lin@Example.ORG"])
def test_the_person_meant_gets_a_mail_with_a_link_the_code_and_who_to_ask(person, later, login):
    if login == "LIN":
        User.objects.filter(pk=person.pk).update(email="LIN")  # a name is compared exactly, an address is not
    ask(later, login.strip())

    (message,) = mail.outbox
    assert message.recipients() == [str(User.objects.get().email)]
    assert f"{LINK}#{secret_in(message)}" in message.body
    assert "account lin" in message.body
    assert "the desk, 4711" in message.body


def test_the_mail_is_in_the_language_of_who_asks(person, later):
    with translation.override("zh-hans"):
        ask(later)

    assert re.search(r"[\u4e00-\u9fff]", str(mail.outbox[0].subject))
    assert "密码" in mail.outbox[0].body


def test_the_database_holds_only_the_hash(person, later):
    ask(later)

    token = PasswordResetToken.objects.get()
    assert token.secret_hash == hash_secret(secret_in(mail.outbox[0]))
    assert token.expires_at - token.created_at == timedelta(hours=1)


@pytest.mark.parametrize(
    "fields",
    [{"is_active": False}, {"is_staff": False}, {"email": ""}, {"password": hashers.make_password(None)}],
)
def test_who_could_not_sign_in_with_it_gets_no_mail(person, later, fields):
    User.objects.update(**fields)

    ask(later)

    assert mail.outbox == []
    assert verbs() == ["person.reset_asked"]


def test_an_address_that_only_looks_the_same_gets_no_mail(person, later):
    User.objects.update(email="mike@example.org")

    ask(later, "mıke@example.org")
    ask(later, "mike@example.org.")

    assert mail.outbox == []


def test_each_account_of_an_address_gets_a_mail(person, later):
    steps.with_password(factories.user(username="lin2", email="LIN@example.org"), OLD)

    ask(later, "lin@example.org")

    assert sorted(re.findall(r"account (\w+)", "".join(str(m.body) for m in mail.outbox))) == ["lin", "lin2"]


def work_of(client, later, login, monkeypatch, address):
    """What the request does: status, target, queries by shape, password hashes, functions put off."""
    hashes = []
    real = hashers.make_password

    def counted(*arguments, **options):
        hashes.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(hashers, "make_password", counted)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.post(ASK, {"login": login}, REMOTE_ADDR=address)
    shapes = [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries]
    put_off = [(function, sorted(options)) for function, _arguments, options in later.queue]
    later.queue.clear()
    return answer.status_code, answer.get("Location"), shapes, len(hashes), put_off, answer.content


def test_a_known_and_an_unknown_name_cost_the_same_and_are_answered_alike(
    person, client, later, monkeypatch, settings
):
    # The counters of the deployment, in the database.
    from console.settings import CACHES

    settings.CACHES = CACHES
    client.get(ASK)
    known, unknown = (
        work_of(client, later, login, monkeypatch, address)
        for login, address in (("lin", "10.0.0.1"), ("nobody", "10.0.0.2"))
    )

    assert known == unknown
    status, target, queries, hashes, put_off, _content = known
    assert (status, target, hashes) == (302, SENT, 0)
    assert put_off == [(password_reset.mail_secrets, ["address", "language", "link"])]
    assert queries
    assert mail.outbox == []
    cache.clear()


def test_the_fourth_request_for_a_name_within_an_hour_is_refused_known_or_not(person, later):
    for login in ("lin", "nobody"):
        for number in range(3):
            ask(later, login, address=f"10.0.{len(login)}.{number}")
        with pytest.raises(TooManyResets):
            ask(later, login, address="10.9.9.9")

    assert len(mail.outbox) == 3
    assert verbs().count("person.reset_refused") == 2


def test_an_account_gets_no_more_mails_by_its_other_name(person, later):
    for login in ("lin", "lin@example.org"):
        for _number in range(3):
            ask(later, login)

    assert len(mail.outbox) == 3


def test_a_client_address_is_refused_after_twenty_requests(person, later):
    for number in range(20):
        ask(later, f"user{number}")
    with pytest.raises(TooManyResets):
        ask(later)

    ask(later, address="10.0.0.2")
    assert len(mail.outbox) == 1


# --- The new password -------------------------------------------------------------------------------------------


@pytest.fixture
def secret(person, later):
    ask(later)
    return secret_in(mail.outbox.pop())


def confirm(secret, password=NEW, address="10.0.0.1"):
    return password_reset.confirm(secret=secret, password=password, address=address)


def test_the_new_password_signs_in_and_everything_else_of_the_person_ends(person, secret, later, client):
    client.force_login(person)
    client.get(reverse("admin:index"))
    survivor = factories.refresh_token()
    factories.refresh_token(user=person)
    factories.password_reset_token(user=person)

    assert confirm(secret) == person
    later()

    assert User.objects.get(pk=person.pk).check_password(NEW)
    assert client.get(reverse("admin:index")).status_code == 302
    assert list(RefreshToken.objects.filter(revoked_at=None)) == [survivor]
    assert not PasswordResetToken.objects.filter(user=person, used_at=None).exists()
    assert verbs() == ["person.reset_asked", "person.reset_done"]
    assert "just set anew" in mail.outbox[0].body


def test_a_secret_works_once(person, secret, later):
    confirm(secret)

    with pytest.raises(ResetRefused):
        confirm(secret, "another new staple")
    assert User.objects.get(pk=person.pk).check_password(NEW)
    assert verbs()[-1] == "person.reset_refused"


@pytest.mark.parametrize(("age", "is_valid"), [(timedelta(minutes=59), True), (timedelta(minutes=61), False)])
def test_a_secret_works_for_an_hour(person, secret, later, age, is_valid):
    begin = timezone.now() - age
    PasswordResetToken.objects.update(created_at=begin, expires_at=begin + timedelta(hours=1))

    if is_valid:
        confirm(secret)
    else:
        with pytest.raises(ResetRefused):
            confirm(secret)
    assert User.objects.get(pk=person.pk).check_password(NEW) == is_valid


@pytest.mark.parametrize("wrong", ["", "x", "lin", "'; --"])
def test_a_wrong_secret_is_refused(person, secret, wrong):
    with pytest.raises(ResetRefused):
        confirm(wrong)


def test_a_person_who_was_deactivated_since_is_refused(person, secret):
    User.objects.update(is_active=False)

    with pytest.raises(ResetRefused):
        confirm(secret)


def test_a_weak_password_is_refused_and_the_secret_stays_usable(person, secret, later):
    with pytest.raises(ValidationError):
        confirm(secret, "lin@example")

    assert confirm(secret)


def test_guesses_of_one_client_address_are_limited(person, secret):
    for _number in range(20):
        with pytest.raises(ResetRefused):
            confirm("guess", address="10.0.0.9")
    with pytest.raises(TooManyResets):
        confirm(secret, address="10.0.0.9")

    assert confirm(secret, address="10.0.0.8")


def test_a_second_factor_stays(person, secret, later):
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    from accounts import second_factor

    TOTP.activate(person, generate_totp_secret())

    confirm(secret)
    assert second_factor.has(person)


def test_a_mail_server_that_fails_is_logged_without_the_secret(person, later, monkeypatch, caplog):
    def fail(*_args, **_options):
        raise ConnectionRefusedError("no mail server")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", fail)
    ask(later)

    assert "No mail about a password could be sent" in caplog.text
    assert "lin@example.org" not in caplog.text


# --- The pages ------------------------------------------------------------------------------------------------------


def test_from_the_sign_in_page_to_a_new_password(person, client, later):
    assert ASK in client.get(reverse("admin:login")).content.decode()
    assert client.post(ASK, {"login": "lin"}).url == SENT
    assert "the desk, 4711" in client.get(SENT).content.decode()
    later()
    (message,) = mail.outbox
    assert "http://testserver/admin/password-reset/confirm/#" in message.body

    page = client.post(CONFIRM, {"code": secret_in(message), "password": NEW, "again": NEW}, follow=True)

    assert page.redirect_chain[0][0] == reverse("admin:login")
    assert "Your password was changed" in page.content.decode()
    assert client.login(username="lin", password=NEW)


def test_the_link_in_the_mail_is_at_the_address_of_the_settings(person, client, later, settings):
    settings.CONSOLE_URL = "https://console.example.org/"

    client.post(ASK, {"login": "lin"})
    later()
    assert LINK in mail.outbox[0].body


@pytest.mark.parametrize(
    ("values", "status", "text"),
    [
        ({}, 200, "wrong, was used"),
        ({"again": "another"}, 200, "The two passwords differ"),
        ({"code": ""}, 200, "This field is required"),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field(person, client, values, status, text):
    answer = client.post(CONFIRM, {"code": "x", "password": NEW, "again": NEW, **values})

    assert answer.status_code == status
    assert text in answer.content.decode()
    assert NEW not in answer.content.decode()


def test_too_many_requests_answer_429(person, client, later):
    for _number in range(3):
        client.post(ASK, {"login": "lin"})

    assert client.post(ASK, {"login": "lin"}).status_code == 429


# --- Who changes the password of an account, or deactivates it, ends its sessions --------------------------------------


@pytest.fixture
def signed_in(person, client):
    browser = type(client)()
    browser.force_login(person)
    browser.get(reverse("admin:index"))
    factories.refresh_token(user=person)
    return browser


def test_a_password_set_by_an_administrator_ends_everything(signed_in, person, superuser, client):
    page = reverse("admin:auth_user_password_change", args=[person.pk])
    client.post(page, {"password1": NEW, "password2": NEW, "usable_password": "true"})

    assert User.objects.get(pk=person.pk).check_password(NEW)
    assert signed_in.get(reverse("admin:index")).status_code == 302
    assert not RefreshToken.objects.filter(user=person, revoked_at=None).exists()


def test_a_deactivation_ends_everything_for_good(signed_in, person, superuser, client):
    page = reverse("admin:auth_user_change", args=[person.pk])
    values = {"username": "lin", "email": "lin@example.org", "is_staff": "on"}
    for activity in ({}, {"is_active": "on"}):
        assert client.post(page, {**values, **activity}).status_code == 302

    assert User.objects.get(pk=person.pk).is_active
    assert signed_in.get(reverse("admin:index")).status_code == 302
    assert not RefreshToken.objects.filter(user=person, revoked_at=None).exists()


def test_who_changes_their_own_password_stays_signed_in_here_only(signed_in, person, client):
    client.force_login(person)
    answer = client.post(
        reverse("admin:password_change"),
        {"old_password": OLD, "new_password1": NEW, "new_password2": NEW},
    )

    assert answer.status_code == 302
    assert client.get(reverse("admin:index")).status_code == 200
    assert signed_in.get(reverse("admin:index")).status_code == 302
    assert not RefreshToken.objects.filter(user=person, revoked_at=None).exists()
