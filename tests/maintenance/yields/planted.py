"""Histories of schedules with the rhythm of a week, noise and growth; with and without planted silences, halvings and floods.

What real counts of jobs look like is not recorded; so they are made: a rhythm of hours and days, growth or decline by
up to 5 % a week, a level that wanders from day to day (correlated 0.6 with the day before), and noise of each run
(each with a standard deviation of 5 to 15 %), and chance (counts are drawn, not computed). One run in 50 is missing; one
in 100 did nothing, because somebody had run the job by hand, and the next one did double.
"""

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from maintenance.models import RowsVerdict
from maintenance.models.yields import ROWS_MIN
from maintenance.yields.judging import judge
from maintenance.yields.learning import LATEST, learn
from tests.kit import factories
from tests.kit.yields import store_runs

# Hours between two runs, by kind of schedule.
CADENCES: Final = {"hourly": 1, "six-hourly": 6, "daily": 24, "weekly": 168}
# Rows of a run on average.
LEVELS: Final = (60, 300, 2_000, 10_000, 200_000)
KINDS: Final = {"silence": 0.0, "halving": 0.5, "flood": 10.0}
RIGHT: Final = {"silence": {"nothing"}, "halving": {"fewer"}, "flood": {"more"}}
BEFORE, JUDGED = timedelta(weeks=12), timedelta(weeks=4)
# A Monday.
BEGIN: Final = datetime(2026, 1, 5, 2, 30, tzinfo=UTC)
Slots = list[tuple[datetime, int]]
# A halving counts as told from chance if the rows of runs are spread by so much (the standard deviation of their
# logarithm, chance included): nine runs of ten are then within a fifth of what is expected. Other changes always are.
TOLD: Final = 0.12
# No schedule is judged where fewer rows are expected; and those of a generated history are not known exactly.
LEAST: Final = 1.5 * ROWS_MIN


def history(chosen: random.Random, cadence: str, *, level: int, end: datetime) -> tuple[Slots, float, float]:
    """Return the slots of a schedule up to ``end`` with the rows of their runs; the spread, and the size of the last run."""
    every = CADENCES[cadence]
    growth, wander, noise = (
        chosen.uniform(-0.05, 0.05),
        chosen.uniform(0.05, 0.15),
        chosen.uniform(0.05, 0.15),
    )
    night, weekend = chosen.uniform(0.3, 1.0), chosen.uniform(0.4, 1.2)
    slots: Slots = []
    today, wanders, carried = -1, 0.0, 0
    for number in range(int((end - BEGIN) / timedelta(hours=every))):
        slot = BEGIN + timedelta(hours=every * number)
        day = (slot - BEGIN).days
        if day != today:
            today, wanders = day, 0.6 * wanders + 0.8 * chosen.gauss(0, 1)
        rhythm = 1 - (1 - night) * (1 + math.cos(2 * math.pi * (slot.hour - 3) / 24)) / 2
        rhythm *= weekend if slot.weekday() >= 5 else 1.0
        size = level * rhythm * (1 + growth) ** (day / 7)
        size *= math.exp(wander * wanders + noise * chosen.gauss(0, 1))
        rows = max(round(chosen.gauss(size, math.sqrt(size))), 0) + carried
        carried, chance = 0, chosen.random()
        if chance < 0.01:
            rows, carried = 0, rows
        if chance < 0.99:
            slots.append((slot, rows))
        else:
            carried += rows
    return slots, math.sqrt(wander**2 + noise**2 + 1 / size), size


def stored(slots: Slots) -> int:
    """Store a schedule with these runs; return its key."""
    task = factories.schedule()
    store_runs(task, slots)
    return task.pk


@dataclass
class Trial:
    """One planted change, and whether it was found when two runs had shown it; None: it is not told from chance."""

    cadence: str
    level: int
    is_found: bool | None = None


def trials(chosen: random.Random, kind: str, number: int) -> list[Trial]:
    """Plant changes into the last two runs of schedules until so many are told from chance; return all of them."""
    done: list[Trial] = []
    while (missing := number - sum(one.is_found is not None for one in done)) > 0:
        done += _planted(chosen, kind, number=missing, drawn=len(done))
    return done


def _planted(chosen: random.Random, kind: str, *, number: int, drawn: int) -> list[Trial]:
    share, made, now = KINDS[kind], dict[int, Trial](), BEGIN
    drawn_now: list[Trial] = []
    for at in range(drawn, drawn + number):
        trial = Trial(list(CADENCES)[at % len(CADENCES)], LEVELS[at % len(LEVELS)])
        end = BEGIN + BEFORE + timedelta(hours=chosen.randrange(168))
        slots, spread, size = history(chosen, trial.cadence, level=trial.level, end=end)
        is_told = size >= LEAST and (kind != "halving" or spread <= TOLD)
        slots[-LATEST:] = [(slot, round(share * rows)) for slot, rows in slots[-LATEST:]]
        drawn_now.append(trial)
        if is_told:
            made[stored(slots)] = trial
            now = max(now, slots[-1][0])
    if made:
        learn(list(made), now=now)
        judge(list(made), now=now)
    kinds = dict(RowsVerdict.objects.filter(schedule__in=made).values_list("schedule_id", "kind"))
    for key, trial in made.items():
        trial.is_found = kinds.get(key) in RIGHT[kind]
    return drawn_now


def false_alarms(chosen: random.Random, cadence: str, schedules: int) -> int:
    """Return how many verdicts open in four weeks for so many schedules in which nothing was planted."""
    end = BEGIN + BEFORE + JUDGED
    keys = [
        stored(history(chosen, cadence, level=LEVELS[number % len(LEVELS)], end=end)[0])
        for number in range(schedules)
    ]
    opened, standing = 0, set[int]()
    for number in range(int(JUDGED / timedelta(hours=CADENCES[cadence]))):
        now = BEGIN + BEFORE + timedelta(hours=CADENCES[cadence] * number)
        learn(keys, now=now)
        judge(keys, now=now)
        found = set(RowsVerdict.objects.values_list("schedule_id", flat=True))
        opened += len(found - standing)
        standing = found
    return opened
