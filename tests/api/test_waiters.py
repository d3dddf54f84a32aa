"""Callers who wait for their runs, against the web server of production: the console goes on answering."""

import threading
import time
from datetime import timedelta
from http.client import HTTPConnection

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import PersonalToken, Scope
from console.local import processes
from maintenance.models import JobRun
from tests.chaos.services import Service
from tests.console.test_web_worker import answers, free_port
from tests.kit import factories
from tests.kit.waiting import wait_until

CALLERS, PROCESSES = 20, 2
# The page takes a tenth of a second; a machine that runs other tests too is slower. A held thread would last a minute.
PATIENCE_SECONDS = 10


@pytest.fixture
def port(transactional_db, broker):
    number = free_port()
    command = processes.web(host="127.0.0.1", port=number)
    folder = {"VAR_DIR": str(settings.VAR_DIR), "READ_DOT_ENV": "false", "ALLOWED_HOSTS": "127.0.0.1"}
    with Service(command, TRUSTED_PROXY_COUNT="1", DEBUG="true", **folder):
        wait_until(lambda: answers(number), timeout=60)
        yield number


def send(port, method, path, **headers):
    connection = HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.slow
def test_twenty_callers_who_ask_to_wait_hold_one_thread_of_each_process(port):
    user = factories.superuser()
    lifetime = timedelta(hours=1)
    _row, token = PersonalToken.make(user=user, lifetime=lifetime, name="x", scopes=[Scope.RUN.value])
    browser = Client()
    browser.force_login(user)
    cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
    statuses = []

    def scrape(bot):
        path = f"/api/v1/bot-configs/{bot.pk}/scrape-now"
        statuses.append(send(port, "POST", path, Authorization=f"Bearer {token}", Prefer="wait=60"))

    callers = [
        threading.Thread(target=scrape, args=(factories.bot_config(owner=user),)) for _ in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    wait_until(lambda: len(statuses) >= CALLERS - PROCESSES, timeout=40)
    wait_until(lambda: JobRun.objects.queued().count() == CALLERS, timeout=10)
    began = time.monotonic()
    pages = [send(port, "GET", "/admin/my-sessions/", Cookie=cookie) for _ in range(8)]
    took = time.monotonic() - began
    waiting = sum(caller.is_alive() for caller in callers)
    for run in JobRun.objects.queued():
        run.cancel_queued(message="")
    for caller in callers:
        caller.join(30)

    assert pages == [200] * 8
    assert took < PATIENCE_SECONDS
    assert 1 <= waiting <= PROCESSES
    assert sorted(statuses) == [200] * waiting + [202] * (CALLERS - waiting)
