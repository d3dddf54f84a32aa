"""The web server of production, and those who call it: people with sessions, programs with tokens."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

PORT = 18765
# So many, each from an address of its own, that none reaches the limit of a minute.
TOKENS = 200


@contextmanager
def callers(scope: str = "read") -> Iterator[list[str]]:
    """Make a superuser with tokens of a scope; yield the tokens; delete both."""
    from django.contrib.auth.models import User

    from accounts.models import PersonalToken, Scope

    user, _is_new = User.objects.get_or_create(username="bench-load", is_superuser=True, is_staff=True)
    try:
        yield [
            PersonalToken.make(
                user=user, lifetime=timedelta(hours=1), name=f"load {number}", scopes=[Scope(scope).value]
            )[1]
            for number in range(TOKENS)
        ]
    finally:
        PersonalToken.objects.filter(user=user).delete()
        user.delete()


@contextmanager
def web_server(log: Path) -> Iterator[psutil.Process]:
    """Run the web server of production until the block ends; its access log goes to a file."""
    from console.local import processes

    with log.open("w") as stream:
        server = subprocess.Popen(
            [
                f"{Path(sys.executable).parent}/{processes.web()[0]}",
                *processes.web(host="127.0.0.1", port=PORT)[1:],
            ],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "ALLOWED_HOSTS": "127.0.0.1",
                "TRUSTED_PROXY_COUNT": "1",
                "LOG_LEVEL": "ERROR",
            },
        )
        try:
            for _ in range(300):
                try:
                    urlopen(f"http://127.0.0.1:{PORT}/livez").close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                raise RuntimeError(f"The web server did not answer within 30 s:\n{log.read_text()[-2000:]}")
            yield psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


def fetch(address: str, headers: dict[str, str]) -> tuple[int, str]:
    """Read an address on a new connection; return the status and the text."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.request("GET", address, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


@contextmanager
def signed_in(*, people: int, sessions: int) -> Iterator[list[str]]:
    """Add superusers and sessions, spread evenly over them; yield a cookie for each session; delete them all."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User

    store = import_module(settings.SESSION_ENGINE).SessionStore
    users = [
        User.objects.get_or_create(username=f"bench-person-{number}", is_superuser=True, is_staff=True)[0]
        for number in range(people)
    ]
    cookies = []
    try:
        for number in range(sessions):
            user = users[number % people]
            session = store()
            session[SESSION_KEY] = str(user.pk)
            session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
            session[HASH_SESSION_KEY] = user.get_session_auth_hash()
            session.create()
            cookies.append(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
        yield cookies
    finally:
        for cookie in cookies:
            store(cookie.partition("=")[2]).delete()
        for user in users:
            user.delete()


@contextmanager
def running_run() -> Iterator[int]:
    """Add a run that seems to run; yield its key; delete it."""
    from database import clock
    from maintenance.models import JobRun

    now = clock.now()
    times = {"queued_at": now, "started_at": now, "heartbeat_at": now}
    run: Any = JobRun.objects.create(
        job="auto_scraping", status="running", trigger="command", worker="bench", **times
    )
    try:
        yield run.pk
    finally:
        run.delete()
