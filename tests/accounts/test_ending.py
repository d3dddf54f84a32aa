"""Ending what lets a person in."""

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse

from accounts import ending
from accounts.models import LoginSession, PasswordResetToken, RefreshToken
from tests.kit import factories

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:index")


@pytest.fixture
def people(client_of):
    """Two people, each signed in with two browsers and with one token of each kind."""
    people = [factories.user(username=name) for name in ("ada", "bob")]
    for person in people:
        factories.refresh_token(user=person)
        factories.password_reset_token(user=person)
    return people


@pytest.fixture
def client_of(client):
    def signed_in(person):
        browser = type(client)()
        browser.force_login(person)
        assert browser.get(PAGE).status_code == 200
        return browser

    return signed_in


@pytest.mark.slow
def test_everything_of_one_person_ends_and_nothing_of_another(people, client_of):
    ada, bob = people
    browsers = [client_of(ada), client_of(ada)]
    survivor = client_of(bob)

    ended = ending.end_everything(ada)

    assert (ended.sessions, ended.refresh_tokens) == (2, 1)
    assert {browser.get(PAGE).status_code for browser in browsers} == {302}
    assert survivor.get(PAGE).status_code == 200
    assert list(RefreshToken.objects.filter(revoked_at=None).values_list("user", flat=True)) == [bob.pk]
    assert list(PasswordResetToken.objects.filter(used_at=None).values_list("user", flat=True)) == [bob.pk]
    assert [row.user for row in LoginSession.objects.all()] == [bob]


@pytest.mark.slow
def test_who_changes_their_own_password_keeps_this_session_and_what_was_made_by_name(
    people, client_of, monkeypatch
):
    monkeypatch.setitem(ending.OTHERS, "badges", lambda user, now: pytest.fail("it asks about them"))
    ada, _bob = people
    here, there = client_of(ada), client_of(ada)

    ended = ending.end_sign_ins(ada, but_session=here.session.session_key)

    assert (ended.sessions, ended.refresh_tokens) == (1, 1)
    assert (here.get(PAGE).status_code, there.get(PAGE).status_code) == (200, 302)


def test_other_kinds_of_access_end_too(people, monkeypatch):
    badges = {person.pk: 3 for person in people}
    monkeypatch.setitem(ending.OTHERS, "badges", lambda user, now: badges.pop(user.pk))

    assert ending.end_everything(people[0]).others == {"badges": 3, "personal_tokens": 0}
    assert list(badges) == [people[1].pk]


def test_an_ended_session_leaves_no_row(people, client_of):
    client_of(people[0])

    Session.objects.all().delete()
    assert not LoginSession.objects.exists()
