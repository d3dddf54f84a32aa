"""A forgotten password by API: the same service as on the page."""

from datetime import timedelta

import pytest

from accounts import password_reset
from accounts.models import PasswordResetToken
from tests.api.calls import Api, signed_in
from tests.kit import factories

pytestmark = pytest.mark.django_db
NEW = "a quite new passphrase"


@pytest.fixture
def asked(monkeypatch):
    """What the service was asked for; it mails in a thread of its own."""
    calls = []
    monkeypatch.setattr(password_reset, "ask", lambda **about: calls.append(about))
    return calls


def test_known_and_unknown_names_get_the_same_answer(asked):
    factories.user(username="lin", email="lin@example.org")

    answers = [Api().post("password-reset/", {"login": name}) for name in ("lin", "nobody")]

    assert [(one.status_code, one.json()) for one in answers] == [(202, answers[0].json())] * 2
    assert [(one["login"], one["address"]) for one in asked] == [
        ("lin", "127.0.0.1"),
        ("nobody", "127.0.0.1"),
    ]


def test_too_many_requests_are_told_when_to_come_back(monkeypatch):
    def refuse(**_about):
        raise password_reset.TooManyResets

    monkeypatch.setattr(password_reset, "ask", refuse)

    answer = Api().post("password-reset/", {"login": "lin"})

    assert (answer.status_code, answer["Retry-After"]) == (429, "3600")


def test_a_code_sets_the_password_once_and_ends_the_tokens():
    user = factories.user(username="lin", email="lin@example.org")
    told = signed_in(user).json()
    _token, code = PasswordResetToken.issue(user=user, lifetime=timedelta(hours=1))

    weak = Api().post("password-reset/confirm/", {"code": code, "password": "12345"})
    first = Api().post("password-reset/confirm/", {"code": code, "password": NEW})
    again = Api().post("password-reset/confirm/", {"code": code, "password": NEW})

    assert (weak.status_code, first.status_code, again.status_code) == (422, 204, 401)
    user.refresh_from_db()
    assert user.check_password(NEW)
    assert Api(told["access"]).get("jobs/").status_code == 401
