"""The health of the schedulers, as it is stored in the database."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from alerts.rules import no_scheduler
from maintenance.explanations import explain_schedule
from maintenance.models import BeatLease, BeatProcess, ScheduleControl
from maintenance.scheduling import maintenance_mode, planned_windows
from maintenance.scheduling.lease import Lease
from maintenance.scheduling.planned_windows import Plan
from maintenance.scheduling.scheduler_health import scheduler_health
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_without_any_scheduler_nobody_is_alive():
    health = scheduler_health()

    assert (health.is_alive, health.standbys, health.tick_age_seconds) == (False, [], None)


def test_leader_and_standbys_are_named():
    leader, standby = Lease(5), Lease(5)
    leader.acquire()
    standby.acquire()

    health = scheduler_health()

    assert (health.leader, health.standbys) == (leader.holder, [standby.holder])
    assert health.is_alive
    assert 0 <= health.tick_age_seconds < 5


def test_a_scheduler_that_stopped_is_no_longer_there():
    leader, standby = Lease(5), Lease(5)
    leader.acquire()
    standby.acquire()
    leader.release()
    standby.release()

    assert not scheduler_health().is_alive
    assert not BeatProcess.objects.exists()


def test_a_leader_whose_lease_ran_out_is_dead_and_its_last_tick_is_known():
    leader = Lease(5)
    leader.acquire()
    past = timezone.now() - timedelta(minutes=2)
    BeatLease.objects.update(expires_at=past, ticked_at=past)

    health = scheduler_health()

    assert not health.is_alive
    assert 115 < health.tick_age_seconds < 130


def test_the_lag_of_the_latest_slots_is_kept():
    leader = Lease(5)
    leader.acquire()
    with transaction.atomic():
        leader.guard(lag_seconds=0.25)

    assert scheduler_health().lag_seconds == 0.25


def test_schedules_whose_slot_nobody_ticks_are_counted():
    late, soon = factories.schedule(), factories.schedule()
    ScheduleControl.objects.filter(pk=late.pk).update(next_slot_at=timezone.now() - timedelta(seconds=90))
    ScheduleControl.objects.filter(pk=soon.pk).update(next_slot_at=timezone.now() - timedelta(seconds=1))

    assert scheduler_health().overdue == 1


@pytest.mark.slow
def test_the_dashboard_says_who_ticks_or_that_nobody_does(client):
    client.force_login(factories.superuser())
    assert "start celery beat" in client.get(reverse("admin:index")).content.decode()

    leader = Lease(5)
    leader.acquire()
    assert leader.holder in client.get(reverse("admin:index")).content.decode()


def test_nobody_is_told_to_start_a_scheduler_that_is_alive_without_its_lease(client):
    Lease(5).acquire()
    past = timezone.now() - timedelta(minutes=2)
    BeatLease.objects.update(expires_at=past, ticked_at=past)
    client.force_login(factories.superuser())
    task = factories.schedule()

    told = [
        client.get(reverse("admin:index")).content.decode(),
        client.get("/readyz").content.decode(),
        next(no_scheduler(timezone.now())).cause,
        " ".join(map(str, explain_schedule(task))),
    ]
    assert all("the lease" in text for text in told)
    assert not [text for text in told if "tart celery beat" in text or "No scheduler is alive" in text]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the database, not rows")
def test_a_standby_does_not_wait_behind_a_leader_that_holds_its_row():
    import threading

    leader, standby = Lease(1), Lease(1)
    leader.acquire()
    BeatLease.objects.update(expires_at=timezone.now() - timedelta(seconds=9))
    answers = []

    def take():
        answers.append(standby.acquire())
        connection.close()

    with transaction.atomic():
        BeatLease.objects.select_for_update().get()
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(5)
        assert answers == [False]
    assert standby.acquire()


# --- Overdue --------------------------------------------------------------------------------------

NOON = datetime(2026, 12, 25, 12, tzinfo=UTC)


def scheduled_at_noon():
    """Three schedules with a slot at noon, and nobody who ticks: a purge, a scrape, one with German holidays."""
    with time_machine.travel(NOON - timedelta(hours=1), tick=False):
        PeriodicTask.objects.all().delete()
        tasks = [
            factories.schedule(task="maintenance.purge_old_content", crontab="0 12 * * *"),
            factories.schedule(task="maintenance.auto_scraping", crontab="0 12 * * *"),
            factories.schedule(task="maintenance.cleanup_tokens", crontab="0 12 * * *"),
        ]
    ScheduleControl.objects.update(next_slot_at=NOON)
    ScheduleControl.objects.filter(pk=tasks[2].pk).update(days_off="DE")


def window(scope="", *, hours=3):
    plan = Plan(NOON - timedelta(minutes=30), NOON + timedelta(hours=hours))
    planned_windows.plan_window(plan, by=None, reason="restore test", scope=scope)


# What holds, and how many schedules are overdue an hour after noon; the one with holidays never is on Christmas Day.
OVERDUE = {
    "nothing": (lambda: None, 2),
    "a window of all": (window, 0),
    "a window of scraping": (lambda: window("scraping"), 1),
    "a window that is over": (lambda: window(hours=0.5), 2),
    "maintenance mode": (lambda: maintenance_mode.start(by=None, reason="x"), 0),
    "a pause of scraping": (lambda: maintenance_mode.start(by=None, reason="x", scope="scraping"), 1),
}


@pytest.mark.parametrize(("hold", "expected"), OVERDUE.values(), ids=OVERDUE)
def test_what_something_holds_is_not_overdue(hold, expected):
    scheduled_at_noon()
    with time_machine.travel(NOON - timedelta(minutes=40), tick=False):
        hold()
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        assert scheduler_health().overdue == expected


def test_the_dashboard_counts_nothing_as_overdue_in_a_window_and_still_says_that_no_scheduler_lives(client):
    scheduled_at_noon()
    with time_machine.travel(NOON - timedelta(minutes=40), tick=False):
        window()
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        client.force_login(factories.superuser())
        text = client.get(reverse("admin:index")).content.decode()

    assert "overdue" not in text
    assert "No scheduler is alive" in text
