"""The next time that is shown of a schedule is when the scheduler starts its job: whatever holds it, and ends."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from console.celery import app
from database import clock
from maintenance.ledger import dispatch
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import beat, edits, failing, maintenance_mode, recovery, schedules
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from maintenance.scheduling.reading import read
from tests.kit import factories
from tests.kit.windows import planned_window
from tests.soak import size

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# An evening before a holiday in Germany, at which a day off begins.
NOW = datetime(2026, 12, 24, 20, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
STEP, END = 10 * MINUTE, 12 * HOUR

# On the grid of the ticks, or half a minute beside it.
moments = st.integers(-12, 36).map(lambda number: number * STEP)
ahead = st.integers(1, 36).map(lambda number: number * STEP) | st.integers(1, 36).map(
    lambda number: number * STEP + MINUTE / 2
)
worlds = st.fixed_dictionaries(
    {
        "time": st.sampled_from(["0 * * * *", "*/10 * * * *", "30 */3 * * *", 10, 50, 130])
        | moments.map(lambda at: ("once", at)),
        "start_time": st.sampled_from([None, None, -5 * HOUR, 90 * MINUTE]),
        "expires": st.sampled_from([None, None, None, 5 * HOUR, 7 * HOUR]),
        "policies": st.fixed_dictionaries(
            {
                "days_off": st.sampled_from(["", "", "DE"]),
                "catch_up_after_pause": st.booleans(),
                "misfire_policy": st.sampled_from(["skip", "run_once", "run_all"]),
                "catch_up_hours": st.sampled_from([None, 1, 2, 3]),
            }
        ),
        "pause": st.none() | ahead,
        "mode": st.none() | ahead,
        "window": st.none() | st.tuples(moments, st.integers(1, 24).map(lambda number: number * STEP)),
        # For so long the world goes on before the time is shown.
        "passed": st.integers(0, 18).map(lambda number: number * STEP),
        # Whether no scheduler was alive meanwhile.
        "away": st.booleans(),
        # So long after its moment each tick comes.
        "late": st.sampled_from([timedelta(), SECOND, 5 * SECOND]),
    }
)


def stored(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def planted(world):
    """The only schedule, with what holds it."""
    PeriodicTask.objects.all().delete()
    fields = {"name": "One", "task": "maintenance.cleanup_tokens"}
    fields |= {name: NOW + world[name] for name in ("start_time", "expires") if world[name] is not None}
    match world["time"]:
        case str(crontab):
            made = factories.schedule(crontab=crontab, timezone_name="UTC", **fields)
        case int(minutes):
            interval = IntervalSchedule.objects.get_or_create(every=minutes, period="minutes")[0]
            made = PeriodicTask.objects.create(interval=interval, **fields)
        case (_, at):
            once = ClockedSchedule.objects.create(clocked_time=NOW + at)
            made = PeriodicTask.objects.create(clocked=once, one_off=True, **fields)
    edits.set_policies(stored(made), world["policies"], by=None)
    if world["pause"]:
        edits.pause(stored(made), by=None, reason="x", until=NOW + world["pause"])
    if world["mode"]:
        maintenance_mode.start(by=None, reason="x", until=NOW + world["mode"])
    if world["window"]:
        start, length = world["window"]
        planned_window(starts_at=NOW + start, ends_at=NOW + start + length)
    return made


def ends_of(world):
    start, length = world["window"] or (timedelta(), timedelta())
    return [NOW + end for end in (world["pause"], world["mode"], start, start + length) if end]


class World:
    """Goes on from tick to tick; every run ends before the next."""

    def __init__(self, travel, task, world):
        self.travel, self.task, self.late = travel, task, world["late"]
        self.ends = ends_of(world)
        self.scheduler = LeasedDatabaseScheduler(app=app, lazy=True)

    def go_on(self, *, after, until):
        """Tick from the first moment to the second; yield the moments at which a run starts."""
        while (due := self.due_next(after)) is not None and due + self.late <= until:
            after = due + self.late
            self.to(after)
            # The sweep, which ends pauses, comes after the slots.
            for _number in range(2):
                self.scheduler._sweep_at = float("-inf")
                self.scheduler.tick()
            if JobRun.objects.filter(schedule=self.task, status="queued").update(
                status="succeeded", finished_at=after
            ):
                yield after

    def due_next(self, after):
        slot = ScheduleControl.objects.get(pk=self.task.pk).next_slot_at
        # A slot that its tick has left waits for an end.
        found = [moment for moment in (*self.ends, slot) if moment is not None and moment + self.late > after]
        return min(found, default=None)

    def to(self, moment):
        self.travel.move_to(moment)
        clock._reading = None


@pytest.fixture(autouse=True)
def in_one_transaction(monkeypatch):
    """Each world is undone, so its ticks must not close the connection."""
    monkeypatch.setattr(beat, "close_old_connections", lambda: None)
    for module, name in (
        (dispatch, "publish_all"),
        (recovery, "interrupt_lost_runs"),
        (recovery, "republish"),
        (failing, "pause_failing"),
    ):
        monkeypatch.setattr(module, name, lambda *args: 0)


def shown_and_ran(world):
    """Return when a run is to be made by what is shown after some time, and when the scheduler then makes one."""
    with transaction.atomic(), time_machine.travel(NOW, tick=False) as travel:
        clock._reading = None
        going, now = World(travel, planted(world), world), NOW + world["passed"]
        if world["away"]:
            now += MINUTE / 2  # no slot is exactly as old as it may be
            going.ends.append(now)  # it looks at once
        else:
            list(going.go_on(after=NOW - SECOND, until=now))
        going.to(now)
        reading = read(stored(going.task))
        made = going.go_on(after=now - SECOND, until=NOW + END)
        ran = next(made, None)
        shown = reading.next_run_at and max(reading.next_run_at, now) + world["late"]
        if world["away"] and not reading.held and ran and shown and ran < shown:
            # What was missed is made up for beside what is shown.
            ran = next(made, None)
        going.scheduler.close()
        transaction.set_rollback(True)
    clock._reading = None
    return None if shown is None or shown > NOW + END else shown, ran


def world(time, *, pause=None, mode=None, window=None, **policies):
    """A world with what a test is about."""
    usual = {
        "days_off": "",
        "catch_up_after_pause": False,
        "misfire_policy": "run_once",
        "catch_up_hours": None,
    }
    return {
        "time": time, "start_time": None, "expires": None, "policies": {**usual, **policies}, "pause": pause,
        "mode": mode, "window": window, "passed": timedelta(), "away": False, "late": SECOND,
    }  # fmt: skip


CATCHES_UP = {"catch_up_after_pause": True}


@given(world=worlds)
# An interval counts from the end of its own pause; it keeps its anchor if it catches up.
@example(world(50, pause=20 * MINUTE))
@example(world(50, pause=2 * HOUR, **CATCHES_UP, misfire_policy="skip"))
# A slot exactly as old as it may be, at the end of a pause.
@example(world("30 */3 * * *", pause=3.5 * HOUR, **CATCHES_UP, catch_up_hours=2))
# A slot of less than a minute ago is not late.
@example(world("0 * * * *", mode=HOUR + MINUTE / 2, **CATCHES_UP, misfire_policy="skip"))
# The only slot passed in a pause of its own, and a window goes on after that.
@example(world(("once", HOUR), pause=2 * HOUR, window=(2 * HOUR, HOUR)))
@hypothesis_settings(
    max_examples=size(15, 1_000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_shown_is_what_happens(world):
    shown, ran = shown_and_ran(world)
    assert ran == shown
