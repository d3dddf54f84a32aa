"""Every slot is recorded: what an edit, a pause and an outage write to the history."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask
from hypothesis import given
from hypothesis import strategies as st

from maintenance.models import JobRun, MaintenanceMode, ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, replanning, schedules, slot_rows, slots
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.holds import Holds, Switch
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.maintenance.scheduling.recorded_slots import NOON, rows

pytestmark = pytest.mark.django_db


def test_a_slot_that_nobody_ticked_before_an_edit_is_written_down():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="*/10 * * * *")
        clock.shift(timedelta(minutes=25))
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")

    assert rows(task) == [("missed", "edited", NOON + timedelta(minutes=20), {"slots_missed": 2})]


def test_slots_of_a_pause_become_one_row_that_says_why():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *")
        edits.pause(task, by=None, reason="disk full")
        clock.shift(timedelta(hours=3))
        edits.resume(task, by=None)

        assert rows(task) == [("skipped", "paused", NOON + timedelta(hours=3), {"slots_skipped": 180})]
        assert "disk full" in JobRun.objects.get(schedule=task).message
        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON + timedelta(hours=3, minutes=1)


@pytest.mark.parametrize(("policy", "owed"), [("skip", 0), ("run_once", 1), ("run_all", 4)])
def test_a_schedule_that_makes_up_for_pauses_owes_what_its_policy_says(policy, owed):
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *")
        edits.pause(task, by=None, reason="disk full")
        ScheduleControl.objects.filter(pk=task.pk).update(
            misfire_policy=policy, misfire_limit=4, catch_up_after_pause=True
        )
        clock.shift(timedelta(minutes=10))
        edits.resume(PeriodicTask.objects.get(pk=task.pk), by=None)

        control = ScheduleControl.objects.get(pk=task.pk)
        due = slots.due_slots(Timing.of(task), control, now=timezone.now())
        assert len(due) == owed
        assert [counts for _, _, _, counts in rows(task)] == [{"slots_skipped": 10 - owed}]


def test_retiming_a_paused_schedule_accounts_for_the_time_before():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 * * * *")
        edits.pause(task, by=None, reason="x")
        clock.shift(timedelta(hours=2, minutes=30))
        edits.retime(task, by=None, crontab=Crontab.parse("*/10 * * * *"), timezone_name="UTC")
        clock.shift(timedelta(minutes=30))
        edits.resume(task, by=None)

    assert [(reason, counts) for _, reason, _, counts in rows(task)] == [
        ("paused", {"slots_skipped": 2}),
        ("paused", {"slots_skipped": 3}),
    ]


def test_a_crontab_row_edited_in_place_is_noticed_by_every_schedule_on_it():
    with time_machine.travel(NOON, tick=False):
        task = factories.schedule(crontab="0 3 * * *")
        twin = PeriodicTask.objects.create(
            name="twin", task="maintenance.cleanup_tokens", crontab=task.crontab
        )
        task.crontab.hour = "13"
        task.crontab.save()

        planned = ScheduleControl.objects.filter(schedule__in=[task, twin]).values_list(
            "next_slot_at", flat=True
        )
        assert list(planned) == [NOON + timedelta(hours=1)] * 2


def test_an_edit_of_the_name_moves_nothing():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 * * * *")
        clock.shift(timedelta(minutes=90))
        task.name = "another"
        task.save()

        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON + timedelta(hours=1)
    assert rows(task) == []


def test_a_one_off_that_has_done_its_work_was_not_paused():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *", one_off=True)
        task.enabled = False
        task.save()
        clock.shift(timedelta(hours=1))
        edits.resume(task, by=None)

    assert rows(task) == []


def test_a_look_back_finds_the_slots_of_a_crontab_of_few_days():
    with time_machine.travel(datetime(2026, 5, 31, 12, tzinfo=UTC), tick=False) as clock:
        task = factories.schedule(crontab="* * 1 * *")
        clock.move_to(datetime(2026, 6, 28, tzinfo=UTC))
        due = slots.due_slots(Timing.of(task), schedules.control_of(task), now=timezone.now())

        assert len(due) == 1440
        assert due[-1] == datetime(2026, 6, 1, 23, 59, tzinfo=UTC)


def test_a_paused_one_off_whose_moment_passed_is_accounted_for():
    with time_machine.travel(NOON, tick=False) as clock:
        moment = ClockedSchedule.objects.create(clocked_time=NOON + timedelta(hours=1))
        task = PeriodicTask.objects.create(
            name="once", task="maintenance.cleanup_tokens", clocked=moment, one_off=True
        )
        edits.pause(task, by=None, reason="not today")
        clock.shift(timedelta(hours=2))
        edits.resume(task, by=None)

    assert rows(task) == [("skipped", "paused", NOON + timedelta(hours=1), {"slots_skipped": 1})]


def test_a_one_off_that_has_run_makes_up_for_nothing_when_it_is_enabled_again():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 * * * *", one_off=True)
        ScheduleControl.objects.filter(pk=task.pk).update(catch_up_after_pause=True)
        task = PeriodicTask.objects.get(pk=task.pk)
        task.enabled = False  # as a tick leaves it
        task.save()
        clock.shift(timedelta(hours=5, minutes=30))
        edits.resume(task, by=None)

        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON + timedelta(hours=6)
    assert rows(task) == []


@pytest.mark.parametrize("until_minutes", [60, 50])
def test_a_timed_pause_ends_at_its_end_however_late_that_is_noticed(until_minutes):
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 * * * *")
        edits.pause(task, by=None, reason="x", until=NOON + timedelta(minutes=until_minutes))
        clock.shift(timedelta(minutes=61))
        edits.resume_ended_pauses(timezone.now())

        control = ScheduleControl.objects.get(pk=task.pk)
        assert control.next_slot_at == NOON + timedelta(hours=1)
    assert rows(task) == []


def test_an_ended_pause_that_was_prolonged_meanwhile_goes_on():
    task = factories.schedule(crontab="0 * * * *")
    edits.pause(task, by=None, reason="x", until=timezone.now() + timedelta(hours=1))
    old = ScheduleControl.objects.get(pk=task.pk).paused_until
    edits.pause(task, by=None, reason="y", until=timezone.now() + timedelta(hours=9))

    edits._resume(task, by=None, reason="", at=old)

    assert not PeriodicTask.objects.get(pk=task.pk).enabled


def test_an_edit_of_an_old_copy_undoes_nobody_elses():
    task = factories.schedule(crontab="0 * * * *")
    edits.pause(task, by=None, reason="x")
    old_copy = PeriodicTask.objects.get(pk=task.pk)
    edits.resume(PeriodicTask.objects.get(pk=task.pk), by=None)

    edits.retime(old_copy, by=None, crontab=Crontab.parse("5 * * * *"), timezone_name="UTC")

    stored = PeriodicTask.objects.get(pk=task.pk)
    assert stored.enabled
    assert stored.control.timing == str(Timing.of(stored))
    assert stored.control.next_slot_at is not None


def test_a_schedule_that_cannot_be_computed_can_be_paused_and_repaired():
    broken = IntervalSchedule.objects.create(every=-5, period="seconds")
    task = PeriodicTask.objects.create(name="broken", task="maintenance.cleanup_tokens", interval=broken)
    edits.pause(task, by=None, reason="x")
    edits.retime(task, by=None, crontab=Crontab.parse("5 * * * *"), timezone_name="UTC")
    edits.resume(task, by=None)

    assert ScheduleControl.objects.get(pk=task.pk).next_slot_at is not None


def test_a_timing_that_another_version_wrote_is_no_edit():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 * * * *")
        ScheduleControl.objects.filter(pk=task.pk).update(timing='{"every_so_often": 3, "enabled": true}')
        clock.shift(timedelta(minutes=90))
        replanning.note_timing(PeriodicTask.objects.get(pk=task.pk))

        assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == NOON + timedelta(hours=1)


def test_the_longest_crontab_that_fits_the_form_can_be_kept():
    every_minute, every_day = ",".join(map(str, range(60))), ",".join(map(str, range(1, 32)))
    hours, months = ",".join(map(str, range(24))), ",".join(map(str, range(1, 13)))
    long = Crontab(
        minute=every_minute,
        hour=hours,
        day_of_month=every_day,
        month_of_year=months,
        day_of_week="0,1,2,3,4,5,6",
    )
    task = factories.schedule()
    PeriodicTask.objects.filter(pk=task.pk).update(expires=NOON + timedelta(days=900), start_time=NOON)

    edits.retime(task, by=None, crontab=long, timezone_name="America/Argentina/ComodRivadavia")

    assert (
        str(Timing.of(PeriodicTask.objects.get(pk=task.pk))) == ScheduleControl.objects.get(pk=task.pk).timing
    )


def test_a_look_back_over_years_ends():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *")
        clock.shift(timedelta(days=3650))
        due = slots.due_slots(Timing.of(task), schedules.control_of(task), now=timezone.now())

        assert slots.LOOK_BACK_SLOTS - 1 <= len(due) <= slots.LOOK_BACK_SLOTS + 1
        assert due[-1] == timezone.now()


@pytest.mark.slow
@given(
    minutes=st.lists(st.integers(0, 300), max_size=30, unique=True).map(sorted),
    policy=st.sampled_from(ScheduleControl.MisfirePolicy.values),
    limit=st.integers(1, 10),
    window=st.none() | st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted),
    catches_up=st.booleans(),
)
def test_every_due_slot_has_one_fate(minutes, policy, limit, window, catches_up):
    due = [NOON + timedelta(minutes=m) for m in minutes]
    now = NOON + timedelta(minutes=300)
    mode = window and MaintenanceMode(
        started_at=NOON + timedelta(minutes=window[0]), ended_at=NOON + timedelta(minutes=window[1])
    )
    control = ScheduleControl(misfire_policy=policy, misfire_limit=limit, catch_up_after_pause=catches_up)

    classified = slots.classify(due, now=now, control=control, holds=Holds([Switch(mode)] if mode else []))

    assert sorted(classified.paused + classified.missed + classified.run) == due
    in_maintenance = [slot for slot in due if mode and mode.started_at < slot < mode.ended_at]
    assert classified.paused == [slot for slot in in_maintenance if slot not in classified.run]
    held_back = [] if catches_up else in_maintenance
    assert not set(held_back) & set(classified.run)
    on_time = [slot for slot in due if (now - slot).total_seconds() <= slots.MISFIRE_SECONDS]
    assert classified.in_time == [slot for slot in on_time if slot not in held_back]
    assert classified.missed + classified.caught_up == sorted(classified.missed + classified.caught_up)
    assert classified.paused == sorted(classified.paused)
    assert len(classified.caught_up) <= {"skip": 0, "run_once": 1, "run_all": limit}[policy]
    if classified.missed and not classified.in_time and policy != "skip":
        assert classified.caught_up


@pytest.mark.slow
@pytest.mark.parametrize("crontab", ["* * * * 1-5", "* * 1 * *", "*/5 8-17 * * 1-5"])
def test_slots_on_few_days_are_all_counted(crontab):
    task = factories.schedule(crontab=crontab)
    control, timing = task.control, Timing.of(task)
    control.effective_from = NOON - timedelta(days=12)

    due = slots.due_slots(timing, control, now=NOON)

    every = list(timing.fire_times(after=control.effective_from, until=NOON, anchor=NOON))
    assert due == every[-slots.LOOK_BACK_SLOTS :]


def test_slots_that_are_not_counted_are_mentioned():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * 1-5")
        clock.shift(timedelta(days=21))
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")

    run = JobRun.objects.get(schedule=task)
    assert run.counts == {"slots_missed": slots.LOOK_BACK_SLOTS}
    assert "Older ones are not counted." in run.message


def test_an_edit_during_maintenance_mode_tells_its_slots_from_missed_ones():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *")
        clock.shift(timedelta(minutes=2))
        maintenance_mode.start(by=None, reason="deploy")
        clock.shift(timedelta(minutes=5))
        edits.retime(task, by=None, crontab=Crontab.parse("0 9 * * *"), timezone_name="UTC")

    assert rows(task) == [
        ("missed", "edited", NOON + timedelta(minutes=2), {"slots_missed": 2}),
        ("skipped", "paused", NOON + timedelta(minutes=7), {"slots_skipped": 5}),
    ]
    assert "deploy" in JobRun.objects.get(schedule=task, reason="paused").message


def test_what_catching_up_leaves_of_maintenance_mode_was_not_missed():
    mode = MaintenanceMode(started_at=NOON, ended_at=NOON + timedelta(minutes=10))
    control = ScheduleControl(catch_up_after_pause=True, misfire_policy="run_once")
    due = [NOON + timedelta(minutes=n) for n in range(-2, 10)]

    classified = slots.classify(
        due, now=NOON + timedelta(minutes=15), control=control, holds=Holds([Switch(mode)] if mode else [])
    )

    assert classified.missed == due[:3]
    assert classified.paused == due[3:-1]
    assert classified.run == due[-1:]


def test_the_end_of_a_pause_brings_back_no_slot_from_before_an_edit():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="0 3 * * *")
        edits.pause(task, by=None, reason="x", until=NOON + timedelta(minutes=10))
        clock.shift(timedelta(hours=1))  # no scheduler ticks meanwhile
        edits.retime(task, by=None, crontab=Crontab.parse("30 12 * * *"), timezone_name="UTC")
        edits.resume_ended_pauses(timezone.now())

        control = ScheduleControl.objects.get(pk=task.pk)
        assert control.next_slot_at == NOON + timedelta(days=1, minutes=30)


def test_the_row_of_an_outage_mentions_what_it_does_not_count():
    with time_machine.travel(NOON, tick=False) as clock:
        task = factories.schedule(crontab="* * * * *")
        control, timing = task.control, Timing.of(task)
        clock.shift(timedelta(days=30, seconds=30))
        due = slots.due_slots(timing, control, now=timezone.now())
        classified = slots.classify(due, now=timezone.now(), control=control)
        row = slot_rows.missed_row(
            task, "cleanup_tokens", classified.missed, timing=timing, cut_at=classified.cut_at
        )

    assert len(classified.run) == 1
    assert row.counts == {"slots_missed": slots.LOOK_BACK_SLOTS - 1}
    assert "Older ones are not counted." in row.message
