"""Maintenance mode: scheduled runs do not start, manual runs do, and the history says why."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.ledger import performing
from maintenance.models import JobRun, MaintenanceMode, ScheduleControl
from maintenance.scheduling import maintenance_mode, recovery
from tests.kit import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("only_what_a_test_schedules")]
NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)
MAY = "maintenance.change_maintenancemode"


def statuses(task):
    return [run.status for run in JobRun.objects.filter(schedule=task).order_by("scheduled_for")]


def test_nothing_scheduled_starts_while_it_is_on_and_the_history_says_why(clock, scheduler):
    task = factories.schedule(crontab="* * * * *")
    maintenance_mode.start(by=None, reason="moving the database")
    clock.shift(601)
    scheduler.tick()
    assert statuses(task) == []

    maintenance_mode.end(by=None)
    scheduler.tick()
    summary = JobRun.objects.get(schedule=task)
    assert (summary.status, summary.reason, summary.counts) == ("skipped", "paused", {"slots_skipped": 10})
    assert "moving the database" in summary.message

    clock.shift(60)
    scheduler.tick()
    assert statuses(task) == ["skipped", "queued"]


def test_a_schedule_that_makes_up_for_pauses_does_so_afterwards(clock, scheduler):
    task = factories.schedule(crontab="* * * * *")
    ScheduleControl.objects.filter(pk=task.pk).update(catch_up_after_pause=True, misfire_policy="run_once")
    maintenance_mode.start(by=None, reason="x")
    clock.shift(timedelta(minutes=10, seconds=59))
    maintenance_mode.end(by=None)
    clock.shift(timedelta(minutes=1))
    PeriodicTask.objects.filter(pk=task.pk).update(expires=None)
    scheduler.tick()

    assert statuses(task).count("queued") == 1


def test_an_outage_before_it_is_still_a_misfire(clock, scheduler):
    task = factories.schedule(crontab="* * * * *")
    clock.shift(300)
    maintenance_mode.start(by=None, reason="x")
    clock.shift(301)
    maintenance_mode.end(by=None)
    scheduler.tick()

    found = {run.reason: run.counts for run in JobRun.objects.filter(schedule=task).exclude(status="queued")}
    assert found == {"no_scheduler": {"slots_missed": 4}, "paused": {"slots_skipped": 5}}


def test_a_second_period_before_any_tick_joins_the_first(clock, scheduler):
    task = factories.schedule(crontab="* * * * *")
    for _ in range(2):
        maintenance_mode.start(by=None, reason="x")
        clock.shift(301)
        maintenance_mode.end(by=None)
    scheduler.tick()

    assert JobRun.objects.get(schedule=task).counts == {"slots_skipped": 10}


def test_manual_runs_start_and_queued_scheduled_ones_wait(clock):
    scheduled = factories.job_run(status="queued", trigger="schedule", scheduled_for=NOON)
    manual = factories.job_run(job="cleanup_sessions", status="queued", trigger="admin")
    maintenance_mode.start(by=None, reason="x")

    assert not scheduled.claim(worker="w")
    assert performing.perform(manual)

    maintenance_mode.end(by=None)
    assert scheduled.claim(worker="w")


def test_recovery_leaves_waiting_scheduled_runs_alone_until_it_ends(clock, broker):
    waiting = factories.job_run(
        status="queued", trigger="schedule", scheduled_for=NOON, queued_at=NOON - timedelta(minutes=5)
    )
    maintenance_mode.start(by=None, reason="x")
    assert recovery.republish() == 0

    maintenance_mode.end(by=None)
    assert recovery.republish() == 1
    waiting.refresh_from_db()
    assert waiting.sent_at is not None


def test_it_ends_by_itself_in_the_name_of_who_switched_it_on(clock, scheduler):
    admin = factories.superuser()
    maintenance_mode.start(by=admin, reason="lunch", until=NOON + timedelta(minutes=30))
    clock.shift(1801)
    scheduler.tick()

    assert not maintenance_mode.is_on()
    last = Event.objects.order_by("-pk").first()
    assert (last.actor, last.actor_kind) == (None, "system")
    assert last.after["on"] is False


@pytest.mark.slow
@pytest.mark.parametrize("until_minutes", [60, 59])
def test_a_slot_behind_its_end_runs_however_late_the_end_is_noticed(clock, scheduler, until_minutes):
    task = factories.schedule(crontab="0 * * * *")
    maintenance_mode.start(by=None, reason="x", until=NOON + timedelta(minutes=until_minutes))
    clock.shift(timedelta(minutes=60, seconds=30))
    scheduler.tick()
    scheduler.tick()

    assert statuses(task) == ["queued"]


def test_it_ends_although_the_clock_was_set_back(clock):
    maintenance_mode.start(by=None, reason="x")
    clock.move_to(NOON - timedelta(minutes=10))
    maintenance_mode.end(by=None)

    assert not maintenance_mode.is_on()


def test_switching_needs_the_permission_a_reason_and_an_end_in_the_future(clock):
    with pytest.raises(PermissionDenied):
        maintenance_mode.start(by=factories.user(), reason="x")
    with pytest.raises(PermissionDenied):
        maintenance_mode.end(by=factories.user())
    with pytest.raises(ValueError, match="why"):
        maintenance_mode.start(by=None, reason=" ")
    with pytest.raises(ValueError, match="past"):
        maintenance_mode.start(by=None, reason="x", until=NOON)

    assert not maintenance_mode.is_on()


def test_every_switching_is_logged(clock):
    person = factories.user(MAY)
    maintenance_mode.start(by=person, reason="first")
    maintenance_mode.start(by=person, reason="second")
    maintenance_mode.end(by=person, reason="done")

    assert [(e.before["on"], e.after["on"], e.reason) for e in Event.objects.order_by("pk")] == [
        (False, True, "first"),
        (True, True, "second"),
        (True, False, "done"),
    ]
    assert MaintenanceMode.objects.count() == 1


# --- The page --------------------------------------------------------------------------------


PAGE = "admin:maintenance_mode"


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_page_is_for_who_may_switch(client, method):
    client.force_login(factories.user("django_celery_beat.change_periodictask"))

    assert getattr(client, method)(reverse(PAGE), {"reason": "x"}).status_code == 403
    assert not maintenance_mode.is_on()


@pytest.mark.slow
def test_it_is_switched_on_and_off_in_the_browser_and_every_page_says_so(client):
    client.force_login(factories.user(MAY))

    client.post(reverse(PAGE), {"reason": "new disk", "until": ""})
    assert maintenance_mode.is_on()
    page = client.get(reverse("admin:index")).content.decode()
    assert "Maintenance mode: nothing scheduled starts." in page
    assert "new disk" in page

    client.post(reverse(PAGE), {"end": "1"})
    assert not maintenance_mode.is_on()
    assert "Maintenance mode: nothing" not in client.get(reverse("admin:index")).content.decode()


def test_without_a_reason_the_page_asks_for_it(client):
    client.force_login(factories.user(MAY))

    response = client.post(reverse(PAGE), {"reason": "", "until": ""})

    assert "This field is required" in response.content.decode()
    assert not maintenance_mode.is_on()
