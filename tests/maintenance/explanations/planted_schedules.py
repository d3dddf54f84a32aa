"""Planted causes of schedules: why they do not fire, or fire."""

from datetime import timedelta

from django_celery_beat.models import ClockedSchedule, PeriodicTask

from database import clock
from maintenance.explanations import explain_schedule, explain_slot
from maintenance.models import BeatLease, JobRun, ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, schedules
from maintenance.scheduling.lease import Lease
from tests.kit import factories
from tests.maintenance.explanations.planted import (
    DAY,
    HOUR,
    MINUTE,
    a_scheduler,
    default,
    hourly,
    last_hour,
    planted,
)


@planted("paused", "restore test")
def a_schedule_is_paused():
    a_scheduler()
    task = default("purge_old_content")
    edits.pause(task, by=factories.superuser(username="ada"), reason="restore test")
    return explain_schedule(default("purge_old_content"))


@planted("no_scheduler", "No scheduler")
def nobody_ticks():
    return explain_schedule(default("purge_old_content"))


@planted("lease_lost", "lease")
def the_scheduler_has_lost_its_lease():
    Lease(60).acquire()
    past = clock.now() - 5 * MINUTE
    BeatLease.objects.update(expires_at=past, ticked_at=past)
    return explain_schedule(default("purge_old_content"))


@planted("broken", "No such job")
def its_job_is_gone():
    a_scheduler()
    task = factories.schedule(task="maintenance.removed_job", name="of an old release")
    return explain_schedule(PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk))


@planted("ended", "ended")
def its_end_has_passed():
    a_scheduler()
    task = hourly()
    # A pause and maintenance mode beside it change nothing: the main cause is the end.
    edits.pause(task, by=None, reason="restore test")
    maintenance_mode.start(by=None, reason="deploy")
    ScheduleControl.objects.filter(schedule=task).update(last_slot_at=clock.now())
    PeriodicTask.objects.filter(pk=task.pk).update(expires=clock.now() - DAY)
    return explain_schedule(PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk))


@planted("ended", "before its next")
def its_end_comes_before_its_next_slot():
    a_scheduler()
    end = clock.now() + timedelta(seconds=1)
    return explain_schedule(factories.schedule(crontab="0 0 29 2 *", expires=end))


@planted("never_fired", "did not: missed")
def a_one_off_was_missed():
    a_scheduler()
    once = ClockedSchedule.objects.create(clocked_time=last_hour())
    task = PeriodicTask.objects.create(
        name="once", task="maintenance.cleanup_tokens", one_off=True, clocked=once
    )
    return explain_schedule(PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk))


@planted("history_deleted", "no longer in the history")
def its_slot_was_settled_before_the_pause():
    edits.pause(task := hourly(), by=None, reason="restore test")
    JobRun.objects.all().delete()
    ScheduleControl.objects.filter(schedule=task).update(
        last_slot_at=last_hour(), effective_from=clock.now() - DAY
    )
    task = PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)
    return explain_slot(task, last_hour() - HOUR)
