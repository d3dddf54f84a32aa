"""A real browser on a live server; a page that logs an error or breaks the CSP fails its test."""

import shutil
import threading
import traceback

import pytest
from django.core.signals import got_request_exception

from maintenance.scheduling import seeding
from tests.e2e.reading import axe_source
from tests.kit import factories, steps
from tests.kit.waiting import wait_until

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "a long enough password"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's Chromium, quiet."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        pytest.skip("no Chromium on the PATH")
    return {**browser_type_launch_args, "executable_path": browser, "args": FLAGS}


@pytest.fixture(scope="session")
def base_url(live_server):
    """Addresses are relative to the live server."""
    return live_server.url


@pytest.fixture
def browser_context_args(browser_context_args):
    """The size of a desktop screen."""
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}}


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core."""
    return axe_source()


def is_serving(server):
    """Whether a thread of the live server still has a connection of a browser."""
    targets = (getattr(thread, "_target", None) for thread in threading.enumerate())
    return any(getattr(target, "__self__", None) is server for target in targets)


@pytest.fixture(autouse=True)
def served(live_server):
    """After the test, wait until the server has answered all that the closed pages had asked.

    Else a request of this test would meet the next one's database and settings. It could even leave the next one a
    storage of static files made by the settings between the two, and then every page of the next test fails.
    """
    yield
    wait_until(lambda: not is_serving(live_server.thread.httpd), timeout=30)


@pytest.fixture
def server_errors():
    """The tracebacks of requests that the live server answered with 500; checked at the end of each test."""
    found = []

    def note(sender, request=None, **_signal):
        found.append(f"{request and request.get_full_path()}\n{traceback.format_exc()}")

    got_request_exception.connect(note)
    yield found
    got_request_exception.disconnect(note)
    assert not found, "the server failed:\n" + "\n".join(found)


@pytest.fixture
def complaints(server_errors, page):
    """The errors that the browser logs, CSP violations included; checked at the end of each test."""
    found = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


@pytest.fixture
def superuser(live_server):
    """Somebody who may do everything, and the seeded schedules."""
    user = steps.with_password(factories.superuser(username="lin"), PASSWORD)
    seeding.seed()
    return user


@pytest.fixture
def signed_in(page, complaints, client, live_server, superuser):
    """A page whose session is the superuser's."""
    client.force_login(superuser)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    return page
