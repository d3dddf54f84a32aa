"""Which slots of a new schedule are due, and that all code agrees on a schedule's timing."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, replanning, schedules, slots
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.reading import LABELS, read
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.maintenance.scheduling.recorded_slots import NOON, rows

pytestmark = pytest.mark.django_db


def imported(**fields):
    """Create a schedule as an import or another tool writes it."""
    row = CrontabSchedule.objects.create(**{"minute": "0", "hour": "3", "timezone": "UTC", **fields})
    return PeriodicTask.objects.create(name="imported", task="maintenance.cleanup_tokens", crontab=row)


def test_a_field_with_spaces_is_read_alike_by_page_and_beat():
    with time_machine.travel(NOON, tick=False):
        task = imported(minute="0, 30")
        half_past = NOON.replace(hour=3, minute=30) + timedelta(days=1)

        assert schedules.upcoming(task, 2) == [half_past - timedelta(minutes=30), half_past]
        assert read(task).timing_fault == ""
        assert task.control.next_slot_at == half_past - timedelta(minutes=30)


@pytest.mark.parametrize("fields", [{"minute": "0, 30"}, {"minute": "1 2"}, {"day_of_week": "mon#1"}])
def test_a_retime_from_any_row_brings_back_no_past_slot(fields):
    with time_machine.travel(NOON.replace(hour=10), tick=False):
        task = imported(**fields)
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")

        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON.replace(hour=9) + timedelta(
            days=1
        )
    assert rows(task) == []


@pytest.mark.parametrize("fields", ["0, 30 3 * * *", "1 2 3 * * *", "0 3 * * mon#1"])
def test_a_retime_after_an_upgrade_brings_back_no_past_slot(fields):
    """The timing was written by the previous version, with fields and zone in one text."""
    with time_machine.travel(NOON.replace(hour=10), tick=False):
        task = imported(minute="0, 30")
        ScheduleControl.objects.filter(pk=task.pk).update(
            timing=f'{{"crontab": "{fields} UTC", "enabled": true}}', effective_from=NOON.replace(hour=4)
        )
        task = PeriodicTask.objects.get(pk=task.pk)
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")

        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON.replace(hour=9) + timedelta(
            days=1
        )


def test_an_upgrade_is_no_edit():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 * * * *")
        ScheduleControl.objects.filter(pk=task.pk).update(
            timing='{"crontab": "0 * * * * UTC", "enabled": true}'
        )
        clock.shift(timedelta(minutes=90))
        replanning.note_timing(PeriodicTask.objects.get(pk=task.pk))

        control = ScheduleControl.objects.get(pk=task.pk)
        assert control.timing == str(Timing.of(task))
        assert control.next_slot_at == NOON + timedelta(hours=1)
    assert rows(task) == []


def test_slots_of_a_pause_with_spaces_in_a_field_are_skipped():
    with time_machine.travel(NOON.replace(hour=1), tick=False) as clock:
        task = imported(minute="0, 30")
        edits.pause(task, by=None, reason="x")
        clock.move_to(NOON.replace(hour=4))
        edits.resume(task, by=None)

    assert rows(task) == [("skipped", "paused", NOON.replace(hour=3, minute=30), {"slots_skipped": 2})]


@pytest.mark.parametrize(
    "fields",
    [
        {"day_of_week": "mon#1"},
        {"day_of_week": "fri L"},
        {"minute": "mon"},
        {"minute": "*/90"},
        {"hour": "3 4"},
    ],
)
def test_what_the_page_refuses_does_not_fire_and_says_so(fields):
    task = imported(**fields)

    assert task.control.next_slot_at is None
    assert read(task).timing_fault.startswith(str(LABELS[next(iter(fields))]))


def test_an_interval_that_never_moves_on_is_shown_as_broken():
    never = IntervalSchedule.objects.create(every=-5, period="seconds")
    task = PeriodicTask.objects.create(name="never", task="maintenance.cleanup_tokens", interval=never)

    assert "longer than zero" in read(task).timing_fault
    assert task.control.next_slot_at is None


def clocked(moment, **fields):
    values = {"name": "once", "task": "maintenance.cleanup_tokens", "one_off": True, **fields}
    return PeriodicTask.objects.create(clocked=ClockedSchedule.objects.create(clocked_time=moment), **values)


def interval(start, **fields):
    every = IntervalSchedule.objects.create(every=10, period="minutes")
    values = {"name": "often", "task": "maintenance.cleanup_tokens", "start_time": start, **fields}
    return PeriodicTask.objects.create(interval=every, **values)


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_a_clock_time_within_the_misfire_window_fires(seconds):
    with time_machine.travel(NOON, tick=False):
        moment = NOON - timedelta(seconds=seconds)
        task = clocked(moment)

        assert task.control.next_slot_at == moment
    assert rows(task) == []


def test_a_clock_time_before_the_misfire_window_is_missed():
    with time_machine.travel(NOON, tick=False):
        moment = NOON - timedelta(seconds=61)
        task = clocked(moment)

        assert task.control.next_slot_at is None
    assert rows(task) == [("missed", "edited", moment, {"slots_missed": 1})]
    assert "had passed when the schedule was saved" in JobRun.objects.get(schedule=task).message


def test_the_start_of_an_interval_is_a_slot():
    with time_machine.travel(NOON, tick=False):
        assert interval(NOON).control.next_slot_at == NOON


def test_an_interval_with_an_end_soon_after_its_start_fires_once():
    with time_machine.travel(NOON, tick=False):
        task = interval(NOON - timedelta(seconds=2), expires=NOON + timedelta(minutes=5))
        due = slots.due_slots(Timing.of(task), task.control, now=NOON + timedelta(hours=1))

        assert due == [NOON - timedelta(seconds=2)]


def test_slots_between_a_start_that_has_passed_and_the_creation_are_missed():
    with time_machine.travel(NOON, tick=False):
        task = interval(NOON - timedelta(minutes=25))

        assert task.control.next_slot_at == NOON + timedelta(minutes=5)
    assert rows(task) == [("missed", "edited", NOON - timedelta(minutes=5), {"slots_missed": 3})]


def test_a_start_in_the_future_is_the_first_slot():
    with time_machine.travel(NOON, tick=False):
        start = NOON + timedelta(seconds=1)
        assert interval(start).control.next_slot_at == start


def test_a_one_off_that_is_given_a_time_that_just_passed_fires():
    with time_machine.travel(NOON, tick=False) as clock:
        task = clocked(NOON + timedelta(days=1))
        clock.shift(timedelta(hours=1))
        task.clocked.clocked_time = timezone.now() - timedelta(seconds=1)
        task.clocked.save()

        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == task.clocked.clocked_time
    assert rows(task) == []


def test_a_retime_leaves_a_start_that_has_passed_alone():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 15 * * *", start_time=NOON + timedelta(minutes=1))
        clock.shift(timedelta(days=2, hours=1))
        ScheduleControl.objects.filter(pk=task.pk).update(last_slot_at=NOON + timedelta(days=1, hours=3))
        edits.retime(
            PeriodicTask.objects.get(pk=task.pk),
            by=None,
            crontab=Crontab.parse("30 12 * * *"),
            timezone_name="UTC",
        )

        control = ScheduleControl.objects.get(pk=task.pk)
        assert control.next_slot_at == NOON + timedelta(days=3, minutes=30)
    assert rows(task) == []


def test_a_schedule_that_is_made_paused_owes_nothing_until_it_is_resumed():
    with time_machine.travel(NOON, tick=False) as clock:
        task = interval(NOON - timedelta(minutes=25), enabled=False)
        assert rows(task) == []
        clock.shift(timedelta(minutes=10))
        edits.resume(task, by=None)

    assert rows(task) == [("skipped", "paused", NOON + timedelta(minutes=5), {"slots_skipped": 4})]
