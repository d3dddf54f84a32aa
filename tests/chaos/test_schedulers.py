"""Several schedulers, of which the leader is killed or frozen repeatedly: every slot has exactly one row."""

import itertools
import os
import signal
import time
from collections import defaultdict
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import jobs
from maintenance.scheduling.scheduler_health import scheduler_health
from maintenance.scheduling.timing import Timing
from tests.chaos.services import beat, worker
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

# `make chaos` is the long version: five minutes, with a kill or a freeze of 15 seconds every 20 seconds.
FULL = os.environ.get("CHAOS") == "full"
SECONDS, EVERY, FROZEN = (300, 20, 15) if FULL else (32, 14, 8)
SCHEDULES = 20


@pytest.fixture
def schedules_every_few_seconds():
    PeriodicTask.objects.all().delete()
    slugs = itertools.cycle(job.slug for job in jobs() if job.crontab and "scrap" not in job.slug)
    return [
        PeriodicTask.objects.create(
            name=f"s{number}",
            task=f"maintenance.{next(slugs)}",
            kwargs="{}",
            interval=IntervalSchedule.objects.get_or_create(every=2 + number % 4, period="seconds")[0],
        )
        for number in range(SCHEDULES)
    ]


def leader():
    """The pid of the scheduler that holds the lease."""
    holder = scheduler_health().leader
    return int(holder.split(":")[1]) if holder else None


def wait_for_another(pid):
    """Wait until another scheduler leads; return how long it took."""
    began = time.monotonic()
    wait_until(lambda: leader() not in (None, pid), timeout=4 * settings.BEAT_LEASE_SECONDS, every=0.05)
    return time.monotonic() - began


def assert_every_slot_has_its_row(tasks, *, until):
    slots = defaultdict(list)
    for schedule_id, slot in JobRun.objects.filter(trigger="schedule").values_list(
        "schedule_id", "scheduled_for"
    ):
        slots[schedule_id].append(slot)
    for task in tasks:
        every = timedelta(seconds=task.interval.every)
        seen = sorted(slots[task.pk])
        assert len(seen) == len(set(seen)), "a slot ran twice"
        first = ScheduleControl.objects.get(pk=task.pk).effective_from + every
        expected = [first + n * every for n in range((until - first) // every + 1)]
        # Each row is for one slot; a missed one may count several, but only after an outage of a minute.
        assert set(expected) <= set(seen), f"{task.name}: {sorted(set(expected) - set(seen))}"
    assert not JobRun.objects.filter(status="missed").exists()


def test_the_leader_is_killed_again_and_again(schedules_every_few_seconds):
    beats = [beat() for _ in range(3)]
    takeovers = []
    with worker(), worker(hostname="second"):
        try:
            wait_until(leader, timeout=20)
            for _ in range(SECONDS // EVERY):
                time.sleep(EVERY)  # the schedules must fire in real time: there is no condition to wait for
                pid = wait_until(leader, timeout=20)
                (victim,) = (service for service in beats if service.process.pid == pid)
                victim.kill()
                takeovers.append(wait_for_another(pid))
                beats.remove(victim)
                beats.append(beat())
            until = timezone.now() - timedelta(seconds=2)
            wait_until(
                lambda: not ScheduleControl.objects.filter(next_slot_at__lt=until).exists(), timeout=20
            )
        finally:
            for service in beats:
                service.kill()

    assert max(takeovers) < 2 * settings.BEAT_LEASE_SECONDS, takeovers
    assert_every_slot_has_its_row(schedules_every_few_seconds, until=until)
    assert not JobRun.objects.filter(trigger="retry").exists()


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="on SQLite a frozen writer holds the only lock there is"
)
def test_the_leader_freezes_again_and_again_and_wakes_as_a_zombie(schedules_every_few_seconds):
    beats = [beat() for _ in range(3)]
    takeovers = []
    with worker():
        try:
            wait_until(leader, timeout=20)
            for _ in range(SECONDS // EVERY):
                time.sleep(
                    EVERY - FROZEN
                )  # the schedules must fire in real time: there is no condition to wait for
                pid = wait_until(leader, timeout=20)
                frozen_at = time.monotonic()
                os.kill(pid, signal.SIGSTOP)
                takeovers.append(wait_for_another(pid))
                time.sleep(max(0.0, FROZEN - (time.monotonic() - frozen_at)))
                os.kill(pid, signal.SIGCONT)
            until = timezone.now() - timedelta(seconds=2)
            wait_until(
                lambda: not ScheduleControl.objects.filter(next_slot_at__lt=until).exists(), timeout=20
            )
        finally:
            for service in beats:
                service.kill()

    assert max(takeovers) < 2 * settings.BEAT_LEASE_SECONDS, takeovers
    assert_every_slot_has_its_row(schedules_every_few_seconds, until=until)


def test_after_an_hour_without_a_scheduler_each_policy_gets_what_it_says():
    PeriodicTask.objects.all().delete()
    jobs_by_policy = {
        "skip": "cleanup_tokens",
        "run_once": "cleanup_sessions",
        "run_all": "cleanup_login_sessions",
    }
    now = timezone.now()
    for policy, job in jobs_by_policy.items():
        task = factories.schedule(crontab="* * * * *", task=f"maintenance.{job}", name=policy)
        ScheduleControl.objects.filter(pk=task.pk).update(
            misfire_policy=policy,
            misfire_limit=5,
            effective_from=now - timedelta(hours=1),
            next_slot_at=now - timedelta(minutes=59),
        )
        # The slot of this minute would run normally, which this test is not about.
        PeriodicTask.objects.filter(pk=task.pk).update(expires=now - timedelta(seconds=61))
        task = PeriodicTask.objects.get(pk=task.pk)
        control = ScheduleControl.objects.get(pk=task.pk)
        control.timing = str(Timing.of(task))
        control.save()
    with worker(), beat():
        wait_until(lambda: JobRun.objects.filter(status="missed").count() == 3, timeout=30)
        wait_until(lambda: not JobRun.objects.open().exists(), timeout=60)

    made = {
        policy: JobRun.objects.filter(schedule_name=policy, status="succeeded").count()
        for policy in jobs_by_policy
    }
    assert made == {"skip": 0, "run_once": 1, "run_all": 5}
    missed = {run.schedule_name: run.counts["slots_missed"] for run in JobRun.objects.filter(status="missed")}
    assert {policy: number + made[policy] for policy, number in missed.items()} == dict.fromkeys(
        made, missed["skip"]
    )
    assert 57 <= missed["skip"] <= 60
