"""Only those schedules that a test creates, beside the seeded ones, which are off."""

import pytest
from django_celery_beat.models import PeriodicTask

from maintenance.scheduling import seeding


@pytest.fixture(autouse=True)
def only_what_a_test_schedules(db):
    seeding.seed()
    PeriodicTask.objects.all().update(enabled=False)
