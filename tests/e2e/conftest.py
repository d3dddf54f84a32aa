"""A real browser on a live server; a page that logs an error or breaks the CSP fails its test."""

import shutil

import pytest

from maintenance.scheduling import seeding
from tests.kit import factories, steps

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
    """A desk's screen."""
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def complaints(page):
    """What the browser logs as an error, CSP violations among it; a test may look before the end does."""
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
