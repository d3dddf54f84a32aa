"""Tokens: issued, rotated, stolen, revoked, cleaned."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.utils import timezone

from accounts import ending
from accounts.models import ApiToken, RefreshToken, hash_secret
from audit.models import Event
from tests.api.calls import PASSWORD, Api, signed_in
from tests.kit import factories
from tests.kit.steps import ran, with_password

pytestmark = pytest.mark.django_db


def test_a_name_and_a_password_give_tokens_that_are_stored_as_hashes_only():
    told = signed_in(factories.superuser()).json()

    assert Api(told["access"]).get("runs/").status_code == 200
    assert told["expires_in"] == 900
    stored = ApiToken.objects.get().secret_hash, RefreshToken.objects.get().secret_hash
    assert stored == (hash_secret(told["access"]), hash_secret(told["refresh"]))


@pytest.mark.parametrize("fault", ["password", "name", "inactive", "no staff"])
def test_all_refused_sign_ins_get_the_same_answer(fault):
    user = with_password(
        factories.user(username="lin", is_active=fault != "inactive", is_staff=fault != "no staff"), PASSWORD
    )
    name = "nobody" if fault == "name" else user.username
    password = "wrong" if fault == "password" else PASSWORD

    answer = Api().post("token/", {"username": name, "password": password})

    told = answer.json()
    assert (answer.status_code, told["type"]) == (401, "/api/docs#invalid-credentials")
    assert not ApiToken.objects.exists()


def test_five_failures_of_an_account_throttle_it_even_with_the_right_password():
    user = with_password(factories.superuser(), PASSWORD)
    for _ in range(5):
        Api().post("token/", {"username": user.username, "password": "wrong"})

    answer = signed_in(user)

    assert (answer.status_code, answer["Retry-After"]) == (429, "300")
    assert answer.json()["type"] == "/api/docs#throttled"


def test_a_person_with_a_second_factor_must_send_its_code():
    user = factories.superuser()
    Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data={})

    answer = signed_in(user)

    assert (answer.status_code, answer.json()["type"]) == (401, "/api/docs#second-factor-required")
    wrong = {"username": user.username, "password": PASSWORD, "otp": "000000"}
    assert Api().post("token/", wrong).json()["type"] == "/api/docs#invalid-credentials"


def test_tokens_wait_until_a_second_factor_that_came_to_be_required_is_set_up(settings):
    user = factories.superuser()
    api = Api(signed_in(user).json()["access"])
    assert api.get("runs/").status_code == 200

    settings.SECOND_FACTOR_REQUIRED_FOR = "everybody"
    answer = api.get("runs/")
    assert (answer.status_code, answer.json()["type"]) == (403, "/api/docs#second-factor-required")
    assert answer.json()["detail"].startswith("Set up a second factor first")  # there is no code to send

    Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data={})
    assert api.get("runs/").status_code == 200


def test_a_refresh_token_is_used_up():
    first = signed_in(factories.superuser()).json()

    second = Api().post("token/refresh/", {"refresh": first["refresh"]})

    assert second.status_code == 200
    assert Api(second.json()["access"]).get("runs/").status_code == 200


def test_reuse_of_a_refresh_token_ends_its_sign_in_only_and_is_an_event():
    user = factories.superuser()
    first, other = signed_in(user).json(), signed_in(user).json()
    second = Api().post("token/refresh/", {"refresh": first["refresh"]}).json()

    again = Api().post("token/refresh/", {"refresh": first["refresh"]})

    assert (again.status_code, again.json()["type"]) == (401, "/api/docs#invalid-token")
    assert Api(second["access"]).get("runs/").status_code == 401
    assert Api().post("token/refresh/", {"refresh": second["refresh"]}).status_code == 401
    assert Api(other["access"]).get("runs/").status_code == 200
    assert Event.objects.filter(verb="token.reused", actor=user).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_callers_that_rotate_a_token_at_once_one_wins_and_the_other_ends_the_sign_in():
    user = factories.superuser()
    told, other = signed_in(user).json(), signed_in(user).json()
    both, answers = threading.Barrier(2), []

    def call():
        both.wait(10)
        answers.append(Api().post("token/refresh/", {"refresh": told["refresh"]}))
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lost, won = sorted(answers, key=lambda one: -one.status_code)
    assert (won.status_code, lost.status_code) == (200, 401)
    assert lost.json()["type"] == "/api/docs#invalid-token"
    assert Api(won.json()["access"]).get("runs/").status_code == 401
    assert Api().post("token/refresh/", {"refresh": won.json()["refresh"]}).status_code == 401
    assert Api(other["access"]).get("runs/").status_code == 200
    assert Event.objects.filter(verb="token.reused", actor=user).count() >= 1


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_revoking_one_token_ends_its_sign_in_at_once(kind):
    user = factories.superuser()
    told, other = signed_in(user).json(), signed_in(user).json()

    answer = Api().post("token/revoke/", {"token": told[kind]})

    assert (answer.status_code, answer.json()) == (200, {"all": False})
    assert Api(told["access"]).get("runs/").status_code == 401
    assert Api().post("token/refresh/", {"refresh": told["refresh"]}).status_code == 401
    assert Api(other["access"]).get("runs/").status_code == 200


def test_revoking_all_ends_every_sign_in_of_the_caller_and_of_nobody_else():
    user, somebody = factories.superuser(), factories.superuser()
    told, other = signed_in(user).json(), signed_in(user).json()
    survivor = signed_in(somebody).json()

    assert Api().post("token/revoke/", {"all": True}).status_code == 401
    assert Api(told["access"]).post("token/revoke/", {"all": True}).json() == {"all": True}

    assert [Api(one["access"]).get("runs/").status_code for one in (told, other, survivor)] == [401, 401, 200]


def test_an_expired_token_and_that_of_a_deactivated_person_are_refused():
    user = factories.superuser()
    told = signed_in(user).json()
    late = timezone.now() - timedelta(seconds=1)
    _token, old = ApiToken.issue_in(uuid4(), user=user, lifetime=timedelta(minutes=1))
    ApiToken.objects.filter(secret_hash=hash_secret(old)).update(
        created_at=late - timedelta(minutes=2), expires_at=late
    )
    assert Api(old).get("runs/").status_code == 401

    user.is_active = False
    user.save()

    assert Api(told["access"]).get("runs/").status_code == 401
    assert Api().post("token/refresh/", {"refresh": told["refresh"]}).status_code == 401


def test_a_changed_password_ends_the_tokens():
    user = factories.superuser()
    told = signed_in(user).json()

    ending.end_sign_ins(user)

    assert Api(told["access"]).get("runs/").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_cleanup_deletes_the_tokens_that_the_api_issued_once_they_are_dead():
    dead, live = signed_in(factories.superuser()).json(), signed_in(factories.superuser()).json()
    Api().post("token/revoke/", {"token": dead["refresh"]})

    run = ran("cleanup_tokens")

    assert {name: number for name, number in run.counts.items() if number} == {
        "accounts.ApiToken": 1,
        "accounts.RefreshToken": 1,
    }
    assert Api(live["access"]).get("runs/").status_code == 200
    assert RefreshToken.objects.get().secret_hash == hash_secret(live["refresh"])


@pytest.mark.slow
def test_no_secret_is_in_an_answer_a_log_or_an_event(caplog):
    user = factories.superuser()
    told = signed_in(user).json()
    planted = "planted-secret-4711"

    answers = [
        Api().post("token/", {"username": planted, "password": planted + "p" * 5000}),
        Api().post("token/", {"username": "x", "password": planted}),
        Api().post("token/refresh/", {"refresh": planted}),
        Api(planted).get("runs/"),
    ]

    assert planted + "p" not in "".join(one.content.decode() for one in answers)
    assert all(planted not in one.content.decode() for one in answers)
    events = str(list(Event.objects.values_list("parameters", "after", "subject_name")))
    for secret in (told["access"], told["refresh"], planted + "p", PASSWORD):
        assert secret not in caplog.text + events
