"""Planted causes, as other schedulers' incident reports describe them: each plants one and asks why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from audit.events import record
from database import clock
from database.messages import gettext as _
from maintenance.explanations import (
    Cause,
    explain_run,
    explain_slot,
)
from maintenance.models import ScheduleControl, WorkerProcess
from maintenance.scheduling import edits, maintenance_mode, schedules
from maintenance.scheduling.lease import Lease
from tests.kit import factories
from tests.kit.windows import planned_window

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Planted = Callable[[], list[Cause]]
# The expected code of the main cause, and a word of its English sentence.
PLANTED: list[tuple[str, str, Planted]] = []


def planted(code: str, word: str) -> Callable[[Planted], Planted]:
    """Add a planted cause to the list."""

    def add(plant: Planted) -> Planted:
        PLANTED.append((code, word, plant))
        return plant

    return add


def a_scheduler() -> None:
    Lease(60).acquire()


def a_worker(**fields: object) -> None:
    now = clock.now()
    values = {"name": "worker@one", "pid": 1, "started_at": now, "seen_at": now, "listening_at": now}
    WorkerProcess.objects.create(**{**values, **fields})


def default(slug: str) -> PeriodicTask:
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(task=f"maintenance.{slug}")


def hourly() -> PeriodicTask:
    """A schedule with a slot every hour, for as long as tests look back."""
    task = factories.schedule(crontab="0 * * * *", task="maintenance.cleanup_tokens", name="hourly")
    ScheduleControl.objects.filter(schedule=task).update(effective_from=clock.now() - 30 * DAY)
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def last_hour():
    return clock.now().replace(minute=0, second=0, microsecond=0) - 2 * HOUR


# --- Runs that wait --------------------------------------------------------------------------------


@planted("no_worker", "No worker")
def every_worker_is_gone():
    return explain_run(factories.job_run(status="queued"))


@planted("queue_unserved", "scraping")
def the_workers_take_another_queue():
    a_worker(queues="maintenance")
    return explain_run(factories.job_run(status="queued", job="auto_scraping"))


@planted("workers_unresponsive", "broker")
def workers_lost_the_broker():
    a_worker(listening_at=clock.now() - HOUR)
    return explain_run(factories.job_run(status="queued"))


@planted("workers_stuck", "idle")
def workers_hang():
    a_worker(taken_at=clock.now() - 2 * HOUR)
    return explain_run(factories.job_run(status="queued", queued_at=clock.now() - HOUR))


@planted("workers_busy", "1 run waits")
def all_workers_are_busy():
    a_worker(taken_at=clock.now() - HOUR)
    factories.job_run(status="running", job="auto_scraping")
    return explain_run(factories.job_run(status="queued", queued_at=clock.now() - HOUR))


@planted("waits_for_run", "waits for run")
def the_same_job_still_runs():
    a_worker()
    factories.job_run(status="running", concurrency_key="cleanup_tokens")
    return explain_run(factories.job_run(status="queued", concurrency_key="cleanup_tokens"))


@planted("maintenance_mode", "maintenance mode")
def maintenance_mode_holds_it():
    a_worker()
    maintenance_mode.start(by=factories.superuser(username="ada"), reason="restore test")
    slot = timezone.now()
    return explain_run(
        factories.job_run(status="queued", trigger="schedule", schedule=hourly(), scheduled_for=slot)
    )


@planted("group_paused", "scraping")
def scraping_is_paused():
    a_worker()
    maintenance_mode.start(by=None, reason="Reddit asked us to", scope="scraping")
    return explain_run(factories.job_run(status="queued", job="auto_scraping"))


@planted("budget", "allowance")
def the_budget_is_used_up():
    a_worker()
    first = factories.job_run(
        status="interrupted", reason="waits", job="auto_scraping", finished_at=clock.now()
    )
    later = clock.now() + 5 * MINUTE
    return explain_run(
        factories.job_run(status="queued", job="auto_scraping", attempt=2, retry_of=first, not_before=later)
    )


@planted("not_sent", "broker")
def the_broker_took_no_message():
    a_scheduler()
    a_worker()
    return explain_run(factories.job_run(status="queued", queued_at=clock.now() - 30 * timedelta(seconds=1)))


@planted("not_sent", "no scheduler ticks")
def nobody_sends_its_message_again():
    a_worker()
    return explain_run(factories.job_run(status="queued", queued_at=clock.now() - MINUTE / 2))


# --- Runs that run -------------------------------------------------------------------------------


@planted("worker_silent", "silent")
def its_worker_was_killed():
    a_scheduler()
    return explain_run(factories.job_run(status="running", heartbeat_at=clock.now() - 5 * MINUTE))


@planted("worker_silent", "no scheduler ticks")
def its_worker_was_killed_and_nobody_recovers_it():
    return explain_run(factories.job_run(status="running", heartbeat_at=clock.now() - 5 * MINUTE))


@planted("worker_silent", "end it: cancelled")
def its_worker_was_killed_after_it_was_cancelled():
    a_scheduler()
    silent = clock.now() - 5 * MINUTE
    return explain_run(factories.job_run(status="running", heartbeat_at=silent, cancel_requested_at=silent))


@planted("long", "usually")
def it_takes_much_longer_than_usual():
    for _number in range(5):
        ended = clock.now() - HOUR
        factories.job_run(concurrency_key="x", started_at=ended - MINUTE, finished_at=ended)
    begun = clock.now() - 20 * MINUTE
    return explain_run(factories.job_run(status="running", concurrency_key="x", started_at=begun))


@planted("stopping", "checkpoint")
def somebody_asked_it_to_stop():
    run = factories.job_run(status="running", cancel_requested_at=clock.now())
    record("run.cancelled", run, by=factories.user(username="ada"))
    return explain_run(run)


# --- Slots that did not run ------------------------------------------------------------------------


def _slot_row(task, slot, **fields):
    values = {"trigger": "schedule", "schedule": task, "schedule_name": task.name, "scheduled_for": slot}
    return factories.job_run(**{**values, "finished_at": slot + 3 * MINUTE, **fields})


@planted("overlap", "was not finished")
def the_run_before_was_not_finished():
    task, slot = hourly(), last_hour()
    long = factories.job_run(status="succeeded", started_at=slot - HOUR, finished_at=slot + HOUR)
    message = f"Run #{long.pk} was not finished."
    _slot_row(task, slot, status="skipped", reason="overlap", message=message)
    return explain_slot(task, slot)


@planted("paused", "ada")
def the_schedule_was_paused():
    task, slot = hourly(), last_hour()
    edits.pause(task, by=factories.superuser(username="ada"), reason="restore test")
    _backdate_pause(task, slot - 5 * MINUTE)
    _slot_row(task, slot, status="skipped", reason="paused")
    return explain_slot(task, slot)


def _backdate_pause(task, at):
    """Events are append-only: write the pause's once more, at another time."""
    from audit.models import Event

    event = Event.objects.filter(verb="schedule.paused").latest("pk")
    event.pk, event.at = None, at
    event.save(force_insert=True)


@planted("no_scheduler", "No scheduler")
def no_scheduler_was_alive():
    task, slot = hourly(), last_hour()
    _slot_row(task, slot, status="missed", reason="no_scheduler")
    return explain_slot(task, slot)


@planted("no_scheduler", "No scheduler")
def one_row_stands_for_a_night():
    task, slot = hourly(), last_hour()
    _slot_row(task, slot, status="missed", reason="no_scheduler", counts={"slots_missed": 9})
    return explain_slot(task, slot - 3 * HOUR)


@planted("edited", "ada")
def it_was_retimed_before_the_tick():
    task, slot = hourly(), last_hour()
    row = _slot_row(task, slot, status="missed", reason="edited", finished_at=clock.now() + MINUTE)
    record("schedule.retimed", task, by=factories.user(username="ada"), before={"schedule": "x"})
    return explain_run(row)


@planted("no_slot", "no slot")
def the_time_is_no_slot():
    return explain_slot(hourly(), last_hour() + 17 * MINUTE)


@planted("retimed", "ada")
def it_had_another_time_then():
    task = hourly()
    record("schedule.retimed", task, by=factories.user(username="ada"), before={"schedule": "17 * * * *"})
    return explain_slot(task, last_hour() + 17 * MINUTE)


@planted("before_edit", "in force since")
def it_was_created_later():
    task = hourly()
    ScheduleControl.objects.filter(schedule=task).update(effective_from=clock.now())
    return explain_slot(PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk), last_hour())


@planted("clocks_forward", "does not exist")
def its_time_does_not_exist_on_that_day():
    task = factories.schedule(crontab="30 2 * * *", timezone_name="Europe/Berlin", name="hourly")
    slot = datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    ScheduleControl.objects.filter(schedule=task).update(effective_from=slot - DAY)
    task = PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)
    _slot_row(task, slot.astimezone(UTC), status="succeeded", started_at=slot)
    return explain_slot(task, slot)


@planted("too_old_to_catch_up", "caught up")
def it_is_older_than_what_is_caught_up():
    task = hourly()
    ScheduleControl.objects.filter(schedule=task).update(catch_up_hours=6)
    slot = last_hour() - 12 * HOUR
    _slot_row(task, slot, status="missed", reason="no_scheduler", finished_at=slot + 9 * HOUR)
    return explain_slot(task, slot)


@planted("day_off", "New Year")
def it_was_a_holiday():
    task, slot = hourly(), clock.now().replace(month=1, day=1, hour=2, minute=0, second=0, microsecond=0)
    ScheduleControl.objects.filter(schedule=task).update(days_off="US", effective_from=slot - DAY)
    task = PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)
    _slot_row(task, slot, status="skipped", reason="paused")
    return explain_slot(task, slot)


@planted("planned_window", "restore test")
def it_was_in_a_planned_window():
    task, slot = hourly(), last_hour()
    times = {"starts_at": slot - HOUR, "ends_at": slot + HOUR, "ended_at": slot + HOUR}
    planned_window(reason="restore test", planned_at=slot - DAY, **times)
    _slot_row(task, slot, status="skipped", reason="paused")
    return explain_slot(task, slot)


# --- Runs that ended ------------------------------------------------------------------------------


@planted("private", "private")
def a_subreddit_became_private():
    ended = clock.now()
    run = factories.job_run(
        job="auto_scraping", status="partial", started_at=ended - MINUTE, finished_at=ended
    )
    factories.session(run_id=run.pk, status="failed", finished_at=ended, error_kind="private")
    return explain_run(run)


@planted("database_full", "no room")
def the_disk_is_full():
    ended = clock.now()
    return explain_run(
        factories.job_run(status="failed", reason="database_full", started_at=ended, finished_at=ended)
    )


@planted("rejected", "ada")
def an_approver_rejected_it():
    run = factories.job_run(status="cancelled", reason="operator", finished_at=clock.now())
    record("run.rejected", run, by=factories.user(username="ada"), reason="too many")
    return explain_run(run)


@planted("blocked", "cap")
def a_cap_stopped_it():
    message = "14,077 posts are more than half of the table."
    return explain_run(factories.job_run(status="blocked", started_at=clock.now(), message=message))


@planted("time_limit", "longer")
def it_took_longer_than_its_time_limit():
    error = _("It took longer than its time limit of %(limit)s s without reaching a checkpoint.")
    return explain_run(_failed_run(reason="time_limit", error=error % {"limit": 60}))


@planted("database_read_only", "no writes")
def the_database_became_read_only():
    return explain_run(_failed_run(reason="database_read_only"))


@planted("worker_lost", "lost")
def its_worker_died_after_it_had_taken_the_message():
    ended = clock.now()
    first = factories.job_run(status="interrupted", reason="worker_lost", started_at=ended, finished_at=ended)
    factories.job_run(status="queued", attempt=2, retry_of=first)
    return explain_run(first)


@planted("too_many_attempts", "memory")
def the_system_killed_its_workers_for_their_memory():
    ended = clock.now()
    error = _("Worker %(worker)s was lost: no heartbeat since %(moment)s.")
    lost = {"error": error % {"worker": "celery", "moment": "2026-11-24 02:31 UTC"}, "started_at": ended}
    first = factories.job_run(status="interrupted", reason="worker_lost", finished_at=ended, **lost)
    return explain_run(
        factories.job_run(
            status="failed", reason="too_many_attempts", attempt=2, retry_of=first, finished_at=ended, **lost
        )
    )


def _failed_run(**fields):
    ended = clock.now()
    return factories.job_run(status="failed", started_at=ended - MINUTE, finished_at=ended, **fields)
