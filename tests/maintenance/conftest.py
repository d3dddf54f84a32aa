"""A Reddit to scrape, failures of the outside world, and a scheduler under a clock that stands at noon."""

import pytest
import time_machine
from django_celery_beat.models import PeriodicTask

from console.celery import app
from maintenance.ledger import publishing
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from scraping.sandbox import SandboxReddit
from tests.maintenance.scheduling.windows import NOON


@pytest.fixture
def no_broker(monkeypatch):
    """A broker that is down: every connection goes to a port where no process listens."""
    monkeypatch.setattr(publishing, "_publisher", publishing.Publisher("redis://127.0.0.1:1/0"))


@pytest.fixture
def reddit(settings):
    """A synthetic Reddit, used by the environment's app."""
    with SandboxReddit(rate_limit=1_000_000) as server:
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_USER_AGENT = "tests:sandbox:1 (by /u/tests)"
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = server.url
        yield server


@pytest.fixture
def only_what_a_test_schedules(db):
    PeriodicTask.objects.all().delete()


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def scheduler():
    scheduler = LeasedDatabaseScheduler(app=app, lazy=True)
    yield scheduler
    scheduler.close()
