"""The database's clock is set back by an hour while a scheduler runs."""

import contextlib
import os
import time
from datetime import timedelta

import pytest
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from tests.chaos.servers import clock_shows, make_clock_movable, move_clock, own_broker, own_postgres
from tests.chaos.services import beat, supervised_worker
from tests.kit.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no clock of its own"),
]

FULL = os.environ.get("CHAOS") == "full"
TIMES, AFTERWARDS_SECONDS = (10, 20) if FULL else (2, 4)
EVERY = timedelta(seconds=1)


def slots_of(task):
    return set(JobRun.objects.filter(schedule=task).values_list("scheduled_for", flat=True))


def test_the_clock_is_set_back_again_and_again(settings):
    noticed = []
    with contextlib.ExitStack() as services:
        services.enter_context(own_broker(settings))
        services.enter_context(own_postgres())
        make_clock_movable()
        PeriodicTask.objects.all().delete()
        services.enter_context(supervised_worker(HEARTBEAT_SECONDS="1"))
        for _ in range(2):
            services.enter_context(beat())
        interval = IntervalSchedule.objects.create(every=EVERY.seconds, period="seconds")
        task = PeriodicTask.objects.create(name="often", task="maintenance.cleanup_tokens", interval=interval)
        wait_until(lambda: len(slots_of(task)) >= 2, timeout=60)
        for hours in range(1, TIMES + 1):
            move_clock(timedelta(hours=-hours))
            set_back_at, began, before = clock_shows(), time.monotonic(), slots_of(task)
            wait_until(lambda: slots_of(task) - before, timeout=90, every=0.05)  # noqa: B023
            noticed.append(time.monotonic() - began)
            time.sleep(AFTERWARDS_SECONDS)  # the schedule must fire in real time
            until = clock_shows() - timedelta(seconds=2)
            first = ScheduleControl.objects.get(pk=task.pk).effective_from
            assert first - set_back_at < EVERY, "slots before the tick that noticed have no row"
            expected = {first + n * EVERY for n in range(1, (until - first) // EVERY + 1)}
            wait_until(lambda: expected <= slots_of(task), timeout=20)  # noqa: B023
        task.enabled = False
        task.save()
        wait_until(lambda: not JobRun.objects.open().exists(), timeout=60)
        # Purges correctly refuse to run while the clocks disagree.
        ended = set(JobRun.objects.exclude(error__contains="clock").values_list("status", flat=True))

    print(f"\nclock set back by an hour {TIMES} times: the next slot ran after {max(noticed):.1f} s at most")  # noqa: T201
    assert max(noticed) < 5
    assert ended <= {"succeeded", "skipped"}
