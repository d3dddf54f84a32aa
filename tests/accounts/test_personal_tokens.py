"""Personal API tokens: made and revoked on a page, shown once, and ended with what else lets a person in."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import ending, personal_tokens
from accounts.models import PersonalToken, hash_secret
from audit.models import Event
from tests.api.calls import Api
from tests.kit import factories
from tests.kit.steps import ran, with_password

pytestmark = pytest.mark.django_db
PAGE, PASSWORD = reverse("admin:my_tokens"), "correct horse battery"
FORM = {"name": "nightly", "scopes": ["read", "run"], "days": "30", "password": PASSWORD}
SECRET = re.compile(r"mct_[A-Za-z0-9_-]{43}")


@pytest.fixture
def ada(client):
    user = with_password(factories.superuser(username="ada"), PASSWORD)
    client.force_login(user)
    return user


def made(user, *scopes, **about):
    return personal_tokens.make(
        user, by=user, **{"name": "x", "scopes": scopes or ["read"], "days": 7, **about}
    )


def test_a_token_is_made_on_the_page_and_shown_once(client, ada, caplog):
    page = client.post(PAGE, FORM)

    secret = SECRET.search(page.content.decode())[0]
    token = PersonalToken.objects.get()
    assert token.secret_hash == hash_secret(secret)
    assert (token.name, token.scopes, token.user) == ("nightly", ["read", "run"], ada)
    assert timedelta(days=29, hours=23) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert not SECRET.search(client.get(PAGE).content.decode())
    assert "no-store" in page["Cache-Control"]
    assert Api(secret).get("runs/").status_code == 200
    event = Event.objects.get(verb="personal_token.made")
    assert (event.actor, event.subject_name, event.after["scopes"]) == (ada, "nightly", ["read", "run"])
    assert secret not in caplog.text + str(list(Event.objects.values()))


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"scopes": []},
        {"scopes": ["all"]},
        {"days": "366"},
        {"name": " "},
        {"name": "taken"},
    ],
)
def test_what_cannot_be_used_makes_no_token(client, ada, change):
    taken, _secret = made(ada, name="taken")

    page = client.post(PAGE, {**FORM, **change})

    assert "errorlist" in page.content.decode()
    assert list(PersonalToken.objects.all()) == [taken]


def test_wrong_passwords_are_limited(client, ada):
    for _ in range(5):
        client.post(PAGE, {**FORM, "password": "wrong"})

    client.post(PAGE, FORM)

    assert not PersonalToken.objects.exists()


def test_a_revoked_token_is_worth_nothing_and_the_others_stay(client, ada):
    (token, secret), (_other, kept) = made(ada, name="a"), made(ada, name="b")

    client.post(reverse("admin:token_revoke", args=[token.pk]))

    assert [Api(one).get("runs/").status_code for one in (secret, kept)] == [401, 200]
    assert Event.objects.filter(verb="personal_token.revoked", actor=ada).count() == 1
    assert "“a” was revoked" in client.get(PAGE).content.decode()


def test_somebody_elses_token_is_as_missing_as_none(client):
    token, secret = made(factories.superuser())
    client.force_login(factories.user())

    for address in (reverse("admin:token_revoke", args=[token.pk]), reverse("admin:token_revoke", args=[9])):
        assert client.post(address).status_code == 404
    assert client.get(reverse("admin:tokens_of", args=[token.user.pk])).status_code == 404
    assert Api(secret).get("runs/").status_code == 200


def test_a_superuser_sees_and_revokes_those_of_others(client, ada):
    token, secret = made(factories.superuser(), name="theirs")

    assert "theirs" in client.get(reverse("admin:tokens_of", args=[token.user.pk])).content.decode()
    client.post(reverse("admin:token_revoke", args=[token.pk]))

    assert Api(secret).get("runs/").status_code == 401


def test_tokens_end_with_everything_but_not_with_the_own_password():
    user, other = factories.superuser(), factories.superuser()
    secret, survivor = made(user)[1], made(other)[1]

    ending.end_sign_ins(user)
    assert Api(secret).get("runs/").status_code == 200
    assert ending.end_everything(user).others == {"personal_tokens": 1}

    assert [Api(one).get("runs/").status_code for one in (secret, survivor)] == [401, 200]


@pytest.mark.parametrize("too", [True, False])
def test_who_changes_the_password_is_asked_about_the_tokens(client, ada, too):
    _token, secret = made(ada)
    page = reverse("admin:password_change")
    assert 'name="end_tokens"' in client.get(page).content.decode()
    new = {"old_password": PASSWORD, "new_password1": "another long one", "new_password2": "another long one"}

    answer = client.post(page, {**new, **({"end_tokens": "yes"} if too else {})})

    assert answer.status_code == 302
    assert Api(secret).get("runs/").status_code == (401 if too else 200)
    PersonalToken.objects.all().delete()
    assert 'name="end_tokens"' not in client.get(page).content.decode()


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_a_person_who_may_not_use_the_console_has_no_token(change):
    user = factories.superuser()
    _token, secret = made(user)

    type(user).objects.filter(pk=user.pk).update(**change)

    assert Api(secret).get("runs/").status_code == 401


def test_the_last_use_is_written_once_a_minute(django_assert_num_queries):
    token, secret = made(factories.superuser())
    api = Api(secret)
    api.get("jobs/")
    token.refresh_from_db()
    first = token.used_at
    assert token.used_from == "127.0.0.1"

    api.get("jobs/")
    token.refresh_from_db()
    assert token.used_at == first

    PersonalToken.objects.update(used_at=first - timedelta(seconds=61))
    api.get("jobs/")
    token.refresh_from_db()
    assert token.used_at >= first


@pytest.mark.parametrize("told", ["203.0.113.7:52114", "unknown", "fe80::1%eth0", ""])
def test_a_proxy_that_names_no_plain_address_keeps_nobody_out(settings, told):
    settings.TRUSTED_PROXY_COUNT = 1
    token, secret = made(factories.superuser())

    answer = Api(secret).get("jobs/", **{"X-Forwarded-For": told})

    token.refresh_from_db()
    assert (answer.status_code, token.used_at is None) == (200, False)
    assert token.used_from == {"fe80::1%eth0": "fe80::1", "": "127.0.0.1"}.get(told)


def test_a_person_who_must_set_up_a_second_factor_cannot_use_tokens(settings):
    settings.SECOND_FACTOR_REQUIRED_FOR = "everybody"
    _token, secret = made(with_password(factories.superuser(), PASSWORD))

    answer = Api(secret).get("runs/")

    assert (answer.status_code, answer.json()["type"]) == (403, "/api/docs#second-factor-required")


def test_a_token_that_was_found_somewhere_is_revoked_by_itself():
    user = factories.superuser()
    (_token, secret), (_other, kept) = made(user, name="a"), made(user, name="b")

    assert Api().post("token/revoke/", {"token": secret}).status_code == 200
    assert [Api(one).get("runs/").status_code for one in (secret, kept)] == [401, 200]


@pytest.mark.django_db(transaction=True)
def test_cleanup_deletes_dead_tokens():
    live, dead = factories.personal_token(), factories.personal_token(revoked_at=timezone.now())
    factories.personal_token(expires_at=timezone.now() - timedelta(seconds=1))

    assert ran("cleanup_tokens").counts["accounts.PersonalToken"] == 2

    assert list(PersonalToken.objects.all()) == [live]
    assert dead.pk != live.pk
