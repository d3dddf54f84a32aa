"""What maintenance windows and days off cost a tick: 10,000 due schedules, planned with and without them, in turns.

Processor time of this process alone, and without writing: both sides read and write the same rows.
"""

import gc
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import harness

SCHEDULES = int(os.environ.get("BENCH_SCHEDULES", "10000"))
PAIRS = int(os.environ.get("BENCH_PAIRS", "24"))
WINDOWS, CALENDARS = 20, ("CN", "DE", "US", "GB-SCT", "FR")
# A Wednesday on which no window is open and no day is off, so that both sides make the same runs.
NOW = datetime(2026, 6, 10, 12, 0, 20, tzinfo=UTC)
RATIO_MAX = 1.05


def due_schedules() -> list[Any]:
    """Return schedules of four jobs at four times, all of them due, without storing them."""
    from django_celery_beat.models import CrontabSchedule, PeriodicTask

    from maintenance.models import ScheduleControl
    from maintenance.scheduling.timing import Timing

    jobs = ("cleanup_tokens", "cleanup_sessions", "auto_scraping", "purge_old_content")
    crontabs = [
        CrontabSchedule(minute=minute, hour="*", timezone="UTC") for minute in ("0", "*/5", "*", "*/10")
    ]
    found = []
    for number in range(SCHEDULES):
        task = PeriodicTask(
            pk=number + 1,
            name=f"bench {number}",
            task=f"maintenance.{jobs[number % 4]}",
            crontab=crontabs[number // 4 % 4],
        )
        effective = NOW.replace(minute=59, second=0, hour=NOW.hour - 1) + timedelta(seconds=30)
        task.control = ScheduleControl(schedule=task, effective_from=effective)
        task.control.timing = str(Timing.of(task))
        found.append(task)
    return found


def windows() -> list[Any]:
    """Return windows of every week, of all schedules and of scraping, without storing them."""
    from datetime import time as clock_time

    from maintenance.models import PlannedWindow

    return [
        PlannedWindow(
            pk=number + 1,
            scope="" if number % 2 else "scraping",
            reason="bench",
            weekdays=str(number % 7),
            from_time=clock_time(2 + number % 3, number),
            to_time=clock_time(6, 0),
            timezone=("Europe/Berlin", "Asia/Shanghai", "UTC")[number % 3],
            starts_at=NOW - timedelta(days=8),
            ends_at=NOW - timedelta(days=7),
            planned_at=NOW - timedelta(days=30),
        )
        for number in range(WINDOWS)
    ]


def planned(tasks: list[Any], rows: list[Any], calendars: tuple[str, ...]) -> tuple[float, int]:
    """Return the seconds of processor time that one tick's planning takes, and how many runs it wants."""
    from maintenance.scheduling.maintenance_mode import Modes
    from maintenance.scheduling.tick_batch import TickBatch

    for number, task in enumerate(tasks):
        task.control.days_off = calendars[number % len(calendars)] if calendars and number % 2 else ""
        task.control.last_slot_at = task.control.next_slot_at = None
    gc.collect()
    started = time.process_time()
    batch = TickBatch(NOW, Modes([], rows))
    for task in tasks:
        batch.settle(task)
    return time.process_time() - started, len(batch._wanted)


def main() -> None:
    """Print the median of the ratios of the pairs; fail if it is too high."""
    harness.set_up()
    import maintenance.jobs  # noqa: F401  (declares the jobs)

    tasks, rows = due_schedules(), windows()
    planned(tasks, rows, CALENDARS)  # reads the calendars of the package
    pairs = []
    for number in range(PAIRS):
        sides: list[tuple[list[Any], tuple[str, ...]]] = [([], ()), (rows, CALENDARS)]
        first = [planned(tasks, *side) for side in (sides if number % 2 else sides[::-1])]
        without, with_them = first if number % 2 else first[::-1]
        assert without[1] == with_them[1] == SCHEDULES, (without, with_them)
        pairs.append((without[0], with_them[0]))
    ratio = statistics.median(held / free for free, held in pairs)
    harness.print_table(
        f"Planning of one tick of {SCHEDULES:,} due schedules",
        ["", "processor time"],
        [
            ["without windows", f"{statistics.median(free for free, _ in pairs) * 1000:.0f} ms"],
            [
                f"{WINDOWS} windows, {len(CALENDARS)} calendars of days off",
                f"{statistics.median(held for _, held in pairs) * 1000:.0f} ms",
            ],
            [f"median ratio of {PAIRS} pairs", f"{ratio:.3f}"],
        ],
    )
    if ratio > RATIO_MAX:
        raise SystemExit(f"Windows and days off cost a tick more than {RATIO_MAX - 1:.0%}.")


if __name__ == "__main__":
    main()
