"""The window of catching up: beside the number of slots, how old they may be."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from maintenance.models import JobRun, MaintenanceMode, ScheduleControl
from maintenance.scheduling import edits, slots
from maintenance.scheduling.forecast import forecast
from maintenance.scheduling.holds import Holds, Switch
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.maintenance.scheduling.beat.ticks import made, schedule
from tests.maintenance.scheduling.recorded_slots import NOON

HOUR = timedelta(hours=1)
# The scheduler is away from noon on, comes back at 20:30, and the schedule fires each full hour.
AWAY = timedelta(hours=8, minutes=30)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("policy", "limit", "hours", "caught_up"),
    [
        ("run_all", 10, None, [13, 14, 15, 16, 17, 18, 19, 20]),
        ("run_all", 10, 6, [15, 16, 17, 18, 19, 20]),
        ("run_all", 3, 6, [18, 19, 20]),
        ("run_all", 10, 1, [20]),
        ("run_once", 10, 6, [20]),
        ("skip", 10, 6, []),
    ],
)
def test_a_scheduler_that_comes_back_catches_up_what_is_young_enough(
    scheduler,
    policy,
    limit,
    hours,
    caught_up,
):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule("0 * * * *", misfire_policy=policy, misfire_limit=limit, catch_up_hours=hours)
        clock.shift(AWAY)
        scheduler.tick()

    queued = [slot for slot, status in made(task) if status == "queued"]
    assert queued == [NOON + (hour - 12) * HOUR for hour in caught_up]
    missed = JobRun.objects.filter(schedule=task, status="missed").first()
    assert (missed.counts["slots_missed"] if missed else 0) == 8 - len(caught_up)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("hours", "at"), [(1, NOON + 30 * HOUR), (2, NOON + 7 * HOUR), (None, NOON + 7 * HOUR)]
)
def test_the_forecast_knows_that_a_slot_will_be_too_old_when_its_pause_ends(hours, at):
    with time_machine.travel(NOON, tick=False):
        task = factories.schedule(crontab="0 18 * * *")
        edits.set_policies(task, {"catch_up_after_pause": True, "catch_up_hours": hours}, by=None)
        edits.pause(task, by=None, reason="x", until=NOON + 7 * HOUR + timedelta(minutes=30))
        coming = forecast(task, Timing.of(task), task.control, now=NOON, holds=Holds(), number=1)

    at += timedelta(minutes=30) if hours != 1 else timedelta()
    assert coming.next_at == at


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_pause_leaves_only_young_slots_to_be_caught_up(scheduler):
    with time_machine.travel(NOON, tick=False) as clock:
        task = schedule(
            "0 * * * *",
            misfire_policy="run_all",
            misfire_limit=10,
            catch_up_hours=2,
            catch_up_after_pause=True,
        )
        edits.pause(task, by=None, reason="x")
        clock.shift(AWAY)
        edits.resume(task, by=None)
        scheduler.tick()

    assert made(task) == [
        (NOON + 6 * HOUR, "skipped"),
        (NOON + 7 * HOUR, "queued"),
        (NOON + 8 * HOUR, "queued"),
    ]


def test_a_slot_is_caught_up_until_it_is_exactly_as_old_as_the_window():
    due = [NOON - 6 * HOUR - timedelta(microseconds=1), NOON - 6 * HOUR]
    control = ScheduleControl(misfire_policy="run_all", misfire_limit=10, catch_up_hours=6)

    found = slots.classify(due, now=NOON, control=control)

    assert (found.missed, found.caught_up) == (due[:1], due[1:])


def expected(due, now, control, modes):
    """Decide about each slot by itself, from the words of the documentation."""
    fates = {}
    held = {slot for slot in due if any(mode.started_at < slot < mode.ended_at for mode in modes)}
    candidates = [slot for slot in due if control.catch_up_after_pause or slot not in held]
    on_time = [slot for slot in candidates if now - slot <= timedelta(seconds=60)]
    for number, slot in enumerate(sorted(set(candidates) - set(on_time), reverse=True), start=1):
        allowed = {
            "skip": 0,
            "run_once": 0 if on_time else 1,
            "run_all": control.misfire_limit,
        }[control.misfire_policy]
        is_young = control.catch_up_hours is None or slot >= now - control.catch_up_hours * HOUR
        if number <= allowed and is_young:
            fates[slot] = "caught_up"
    for slot in due:
        fates.setdefault(slot, "in_time" if slot in on_time else "paused" if slot in held else "missed")
    return fates


@pytest.mark.slow
@given(
    minutes=st.lists(st.integers(0, 600), max_size=40, unique=True).map(sorted),
    policy=st.sampled_from(ScheduleControl.MisfirePolicy.values),
    limit=st.integers(1, 12),
    hours=st.none() | st.integers(1, 9),
    windows=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)).map(sorted), max_size=2),
    catches_up=st.booleans(),
)
def test_each_slot_fares_as_if_it_were_decided_alone(minutes, policy, limit, hours, windows, catches_up):
    due, now = [NOON + timedelta(minutes=one) for one in minutes], NOON + timedelta(minutes=600)
    modes = [
        MaintenanceMode(started_at=NOON + timedelta(minutes=start), ended_at=NOON + timedelta(minutes=end))
        for start, end in windows
    ]
    control = ScheduleControl(
        misfire_policy=policy, misfire_limit=limit, catch_up_hours=hours, catch_up_after_pause=catches_up
    )

    found = slots.classify(due, now=now, control=control, holds=Holds([Switch(mode) for mode in modes]))

    told = SimpleNamespace(**vars(found))
    assert {
        slot: name for name in ("paused", "missed", "caught_up", "in_time") for slot in getattr(told, name)
    } == expected(due, now, control, modes)
