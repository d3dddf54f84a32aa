"""The list of signed-in browsers, and the end of sessions that nobody uses."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import LoginSession
from audit.models import Event
from tests.kit import factories

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:index")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@pytest.fixture
def browser():
    browser = Client(headers={"User-Agent": FIREFOX}, REMOTE_ADDR="10.0.0.7")
    browser.force_login(factories.user(username="ada"))
    return browser


def test_a_browser_is_listed_once(browser):
    for _number in range(3):
        browser.get(PAGE)

    row = LoginSession.objects.get()
    assert (row.user.username, row.address, row.user_agent) == ("ada", "10.0.0.7", FIREFOX)
    assert row.session_id == browser.session.session_key


def test_who_is_not_signed_in_is_not_listed(client):
    client.get(reverse("admin:login"))

    assert not LoginSession.objects.exists()


@pytest.mark.slow
def test_the_last_use_is_kept_by_the_minute(browser, time_machine):
    browser.get(PAGE)
    begin = LoginSession.objects.get().used_at
    time_machine.shift(30)
    browser.get(PAGE)
    assert LoginSession.objects.get().used_at == begin
    time_machine.shift(31)
    browser.get(PAGE, REMOTE_ADDR="10.0.0.8")

    row = LoginSession.objects.get()
    assert row.used_at > begin
    assert row.address == "10.0.0.8"


@pytest.fixture
def time_machine(browser):
    """Moves the last use into the past, which is simpler than a clock."""

    class Machine:
        def shift(self, seconds):
            session = browser.session
            session["used_at"] -= seconds
            session.save()

    return Machine()


def test_a_session_ends_that_nobody_used(browser, time_machine, settings):
    settings.SESSION_IDLE_MINUTES = 10
    browser.get(PAGE)
    time_machine.shift(601)

    answer = browser.get(PAGE, follow=True)

    assert answer.redirect_chain[0][0].startswith(reverse("admin:login"))
    assert "because you did not use the console" in answer.content.decode()
    assert not LoginSession.objects.exists()
    assert Event.objects.filter(verb="person.session_expired", actor_name="ada").exists()


@pytest.mark.slow
def test_a_session_that_is_used_goes_on(browser, time_machine, settings):
    settings.SESSION_IDLE_MINUTES = 10
    for _number in range(3):
        assert browser.get(PAGE).status_code == 200
        time_machine.shift(590)


@pytest.mark.slow
@pytest.mark.parametrize("header", [{"HX-Request": "true"}, {"Sec-Fetch-Mode": "cors"}])
def test_a_page_that_refreshes_itself_does_not_keep_the_session(browser, time_machine, settings, header):
    settings.SESSION_IDLE_MINUTES = 10
    browser.get(PAGE)
    for _number in range(2):
        time_machine.shift(310)
        browser.get(reverse("admin:dashboard_live"), headers=header)

    assert browser.get(PAGE).status_code == 302


def test_without_a_limit_only_the_cookie_ends_it(browser, time_machine, settings):
    settings.SESSION_IDLE_MINUTES = 0
    browser.get(PAGE)
    time_machine.shift(1_000_000)

    assert browser.get(PAGE).status_code == 200
    assert timezone.now() < Session.objects.get().expire_date
