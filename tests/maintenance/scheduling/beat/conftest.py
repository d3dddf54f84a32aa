"""A scheduler, and only those schedules that a test creates."""

import pytest
from django_celery_beat.models import PeriodicTask

from console.celery import app
from maintenance.scheduling import seeding
from maintenance.scheduling.beat import LeasedDatabaseScheduler


@pytest.fixture(autouse=True)
def only_what_a_test_schedules(db):
    seeding.seed()
    PeriodicTask.objects.all().update(enabled=False)


@pytest.fixture
def scheduler():
    scheduler = LeasedDatabaseScheduler(app=app, lazy=True)
    yield scheduler
    scheduler.close()
