"""Days off that are set, changed or removed, and pauses around them: each slot gets one decision, and none is lost."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, schedules
from tests.kit import factories
from tests.maintenance.scheduling.windows import HOUR, MINUTE, reread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("only_what_a_test_schedules")]
CHRISTMAS = datetime(2026, 12, 25, 6, tzinfo=UTC)  # in Germany, 26 December is a holiday too
NO_CALENDAR = {"days_off": "", "days_off_weekends": False}


def reload(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def schedule(**policies):
    task = factories.schedule(crontab="0 6 * * *")
    ScheduleControl.objects.filter(pk=task.pk).update(days_off="DE", **policies)
    return reload(task)


def one_off(at=CHRISTMAS, **policies):
    clocked = ClockedSchedule.objects.create(clocked_time=at)
    task = PeriodicTask.objects.create(
        name="once", task="maintenance.cleanup_tokens", one_off=True, clocked=clocked
    )
    ScheduleControl.objects.filter(pk=task.pk).update(days_off="DE", **policies)
    return reload(task)


def history(task):
    rows = JobRun.objects.filter(schedule=task).order_by("pk")
    return [
        f"{run.scheduled_for:%d %H:%M} {run.status}"
        + (f" at {run.queued_at:%d %H:%M}" if run.status == "queued" else f" {sum(run.counts.values())}")
        for run in rows
    ]


def set_calendar(task, code):
    edits.set_policies(reload(task), {**NO_CALENDAR, "days_off": code}, by=None)


def tick(clock, scheduler, at):
    clock.move_to(at)
    scheduler.tick()


# --- A run once ---------------------------------------------------------------------------------------

# What is done at 07:00 on the day off, and when the run of 06:00 is made.
ONE_OFFS = {
    "nothing": (None, "27 00:00"),
    "the calendar is removed": ("", "25 07:00"),
    "another calendar has the day off too": ("AT", "27 00:00"),
    "another calendar has the day as a workday": ("CN", "25 07:00"),
}


@pytest.mark.parametrize("is_ticked", [True, False], ids=["scheduler alive", "scheduler dead until then"])
@pytest.mark.parametrize(("code", "expected"), ONE_OFFS.values(), ids=ONE_OFFS)
def test_a_one_off_that_a_day_off_holds_runs_once(clock, scheduler, settings, code, expected, is_ticked):
    settings.TIME_ZONE = "UTC"
    clock.move_to(CHRISTMAS - HOUR)
    task = one_off()
    if is_ticked:
        tick(clock, scheduler, CHRISTMAS + timedelta(seconds=1))
    clock.move_to(CHRISTMAS + HOUR)
    if code is not None:
        set_calendar(task, code)
        shown = reread(task).next_run_at
    for moment in (CHRISTMAS + HOUR, CHRISTMAS + 2 * HOUR, datetime(2026, 12, 27, tzinfo=UTC)):
        tick(clock, scheduler, moment + timedelta(seconds=1))

    assert history(task) == [f"25 06:00 queued at {expected}"]
    assert not PeriodicTask.objects.get(pk=task.pk).enabled
    if code is not None and expected.startswith("27"):
        assert f"{shown:%d %H:%M}" == expected


def test_a_one_off_that_is_not_caught_up_is_told_as_what_it_was(clock, scheduler):
    clock.move_to(CHRISTMAS - HOUR)
    task = one_off(misfire_policy="skip")
    tick(clock, scheduler, CHRISTMAS + timedelta(seconds=1))
    clock.move_to(CHRISTMAS + HOUR)

    set_calendar(task, "")
    tick(clock, scheduler, CHRISTMAS + HOUR + MINUTE)

    assert history(task) == ["25 06:00 skipped 1"]
    assert "pause (" in JobRun.objects.get(schedule=task).message


# --- A pause around days off ------------------------------------------------------------------------

CATCHES_UP = {"catch_up_after_pause": True}
# From when to when the schedule is switched off, its policies, and what the history has on the 28th.
PAUSES = {
    "a pause over days off and a workday": (
        (24, 27, {}),
        ["27 06:00 skipped 3", "28 06:00 queued at 28 06:00"],
    ),
    "one that catches up runs the workday's slot": (
        (24, 27, CATCHES_UP),
        ["26 06:00 skipped 2", "27 06:00 queued at 27 12:00", "28 06:00 queued at 28 06:00"],
    ),
    "a pause within days off": (
        (25, 26, CATCHES_UP),
        ["25 06:00 skipped 1", "26 06:00 skipped 1", "27 06:00 queued at 27 06:00", "28 06:00 queued at 28 06:00"],
    ),
    "one that is switched on on a day off catches up the workday before it after that day": (
        (23, 26, CATCHES_UP),
        [
            "26 06:00 skipped 2",
            "24 06:00 queued at 27 00:00",
            "27 06:00 queued at 27 06:00",
            "28 06:00 queued at 28 06:00",
        ],
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("pause", "expected"), PAUSES.values(), ids=PAUSES)
def test_switched_off_and_on_with_days_off_between(clock, scheduler, pause, expected):
    off, on, policies = pause
    clock.move_to(datetime(2026, 12, 23, 5, tzinfo=UTC))
    task = schedule(overlap_policy="queue_one", **policies)
    moment, end = datetime(2026, 12, 23, 5, tzinfo=UTC), datetime(2026, 12, 28, 7, tzinfo=UTC)
    while moment < end:
        tick(clock, scheduler, moment + timedelta(seconds=1))
        if moment.hour == 12 and moment.day == off:
            edits.pause(reload(task), by=None, reason="x")
        if moment.hour == 12 and moment.day == on:
            edits.resume(reload(task), by=None)
            scheduler.tick()
        JobRun.objects.filter(schedule=task, status="queued").update(concurrency_key="")
        moment += HOUR

    found = [
        line
        for line in history(task)
        if not line.startswith(("23", "24 06:00 queued at 24", "25 06:00 queued"))
    ]
    assert found == expected


def test_a_calendar_that_is_removed_and_set_again_on_its_day_off_doubles_nothing(clock, scheduler):
    clock.move_to(CHRISTMAS - MINUTE)
    task = schedule()
    for minutes, code in ((30, ""), (60, "DE"), (90, ""), (120, "DE")):
        tick(clock, scheduler, CHRISTMAS + minutes * MINUTE)
        set_calendar(task, code)
    tick(clock, scheduler, datetime(2026, 12, 27, 6, 0, 1, tzinfo=UTC))

    assert history(task) == ["25 06:00 skipped 1", "26 06:00 skipped 1", "27 06:00 queued at 27 06:00"]
