"""The list of one's own sessions, and who may end them."""

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from accounts import devices, sessions
from accounts.models import LoginSession
from audit.models import Event
from tests.kit import factories

pytestmark = pytest.mark.django_db
HOME, MINE = reverse("admin:index"), reverse("admin:my_sessions")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.0 Mobile/15E148 Safari/604.1"
)


def browser_of(person, agent=FIREFOX):
    browser = Client(headers={"User-Agent": agent}, REMOTE_ADDR="10.0.0.7")
    browser.force_login(person)
    browser.get(HOME)
    return browser


def row_of(browser):
    return LoginSession.objects.get(session_id=browser.session.session_key)


def is_in(browser):
    return browser.get(HOME).status_code == 200


@pytest.fixture
def ada():
    return factories.user(username="ada")


def test_the_page_shows_where_one_is_logged_in(ada):
    here = browser_of(ada)
    browser_of(ada, IPHONE)
    browser_of(factories.user(), "curl/8.0")

    page = here.get(MINE).content.decode()

    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert "curl" not in page
    assert page.count("this browser") == 1
    assert here.session.session_key not in page


def test_the_other_one_is_ended_and_this_one_goes_on(ada):
    here, there = browser_of(ada), browser_of(ada)

    assert here.post(reverse("admin:session_end", args=[row_of(there).pk])).url == MINE

    assert (is_in(here), is_in(there)) == (True, False)
    assert Event.objects.get(verb="person.sessions_ended").actor == ada


def test_all_others_end_at_once(ada):
    here, *others = [browser_of(ada) for _number in range(3)]
    survivor = browser_of(factories.user())

    here.post(reverse("admin:my_sessions_end"))

    assert is_in(here)
    assert not any(is_in(other) for other in others)
    assert is_in(survivor)


def test_ending_this_one_logs_out(ada):
    here = browser_of(ada)

    assert here.post(reverse("admin:session_end", args=[row_of(here).pk])).url == reverse("admin:login")
    assert not is_in(here)


def test_ending_this_one_logs_out_when_its_use_is_noted_too(ada, monkeypatch):
    here = browser_of(ada)
    row = row_of(here)
    monkeypatch.setattr("accounts.session_middleware.KEPT_EVERY_SECONDS", 0)

    assert here.post(reverse("admin:session_end", args=[row.pk])).url == reverse("admin:login")
    assert not is_in(here)


@pytest.mark.parametrize("name", ["sessions_of", "sessions_of_end", "session_end"])
def test_those_of_somebody_else_are_answered_like_missing_ones(ada, name):
    other = browser_of(ada)
    here = browser_of(factories.operator())
    key = row_of(other).pk if name == "session_end" else ada.pk
    send = here.get if name == "sessions_of" else here.post

    answers = [send(reverse(f"admin:{name}", args=[one])) for one in (key, 999_999)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert is_in(other)
    with pytest.raises(PermissionDenied):
        sessions.end(row_of(other), by=factories.operator())
    with pytest.raises(PermissionDenied):
        sessions.of(ada, by=factories.operator())


def test_a_superuser_ends_those_of_others(ada, superuser, client):
    other = browser_of(ada)
    page = reverse("admin:sessions_of", args=[ada.pk])
    assert page in client.get(reverse("admin:auth_user_change", args=[ada.pk])).content.decode()
    assert "Firefox on Linux" in client.get(page).content.decode()

    assert client.post(reverse("admin:sessions_of_end", args=[ada.pk])).url == page

    assert not is_in(other)
    event = Event.objects.get(verb="person.sessions_ended")
    assert (event.actor, event.subject_name, event.parameters) == (superuser, "ada", {"sessions": 1})


def test_the_list_needs_few_queries(ada, django_assert_max_num_queries):
    here = browser_of(ada)
    for _number in range(20):
        browser_of(ada)
    with django_assert_max_num_queries(10):
        here.get(MINE)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        ("curl/8.0", "curl"),
        ("", "unknown device"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
    ],
)
def test_a_device_is_put_into_words(agent, words):
    assert devices.in_words(agent) == words
