"""Compares the scheduler with django-celery-beat's DatabaseScheduler: lag, CPU, memory, bursts, edits.

Both run as real `celery beat` processes on the same database server and broker, one after the other; a consumer reads
the messages from the broker and records when each arrived. A received run counts as performed.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench import harness

OURS, STOCK = (
    "maintenance.scheduling.beat:LeasedDatabaseScheduler",
    "django_celery_beat.schedulers:DatabaseScheduler",
)
NAMES = {OURS: "leased", STOCK: "stock"}
# The duration of a measurement in seconds, and numbers of schedules with their period in seconds.
WATCHED = float(os.environ.get("BENCH_SECONDS", "40"))
SPREAD = [(10, 20), (1_000, 400), (10_000, 3_600)]
BURSTS = [1_000, 10_000]
BURST_SECONDS_MAX = 60.0
EDITS = 5


@dataclass
class Arrivals:
    """The arrival times of messages, by the name of their schedule."""

    at: list[tuple[str, float]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def more_than(self, number: int) -> bool:
        """Whether more messages than this have arrived."""
        return len(self.at) > number

    def consume(self, socket: Path) -> None:
        """Read messages until ``stop`` is set; received runs are marked as performed twice per second."""
        import redis
        from django.db import connection

        from console.local.processes import QUEUES
        from maintenance.ledger.dispatch import SCHEDULED_PRIORITY

        client = redis.Redis(unix_socket_path=str(socket))
        # The queues of the jobs, and within each the key of the messages of schedules.
        names = [*QUEUES, *(f"{name}\x06\x16{SCHEDULED_PRIORITY}" for name in QUEUES)]
        received: list[int] = []
        marked_at = time.monotonic()
        while not self.stop.is_set():
            got: Any = client.blpop(names, timeout=0.2)
            if got:
                headers = json.loads(got[1])["headers"]
                now = time.time()
                if headers["task"].startswith("maintenance."):
                    run_id = int(re.sub(r"\D", "", headers["argsrepr"]))
                    received.append(run_id)
                    self.at.append((f"#{run_id}", now))
                else:
                    self.at.append((headers["periodic_task_name"], now))
            if received and (time.monotonic() - marked_at > 0.5):
                perform(received)
                received, marked_at = [], time.monotonic()
        perform(received)
        connection.close()
        client.close()


def perform(run_ids: list[int]) -> None:
    """Mark these runs as done, as workers would."""
    from django.utils import timezone

    from maintenance.models import JobRun

    JobRun.objects.filter(pk__in=run_ids).update(status=JobRun.Status.SUCCEEDED, finished_at=timezone.now())


@contextmanager
def broker() -> Iterator[Path]:
    """Start a private broker, as `manage.py up` does."""
    from console.local import broker as private

    directory = Path(harness.scratch_directory())
    socket = directory / "broker.sock"
    command = private.broker_command(server=private.find_server(), socket=socket, directory=directory)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: private.broker_answers(socket), 20)
        yield socket
    finally:
        server.terminate()
        server.wait(10)


def wait_until(condition: Callable[[], Any], seconds: float) -> bool:
    """Return whether the condition became true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


@contextmanager
def beat(scheduler: str, database_url: str, socket: Path) -> Iterator[psutil.Process]:
    """Run a scheduler in a separate process."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "bench.noop_app",
            "--quiet",
            "beat",
            "-S",
            scheduler,
            "--pidfile=",
        ],
        cwd=harness.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": f"redis+socket://{socket}",
            "LOG_LEVEL": "ERROR",
        },
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def make_schedules(number: int, *, first_at: datetime, period: float, scheduler: str) -> dict[str, datetime]:
    """Create interval schedules with slots spread evenly over a period from ``first_at`` on; return the first slots."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    from maintenance.models import ScheduleControl
    from maintenance.scheduling.timing import Timing

    PeriodicTask.objects.all().delete()
    interval, _ = IntervalSchedule.objects.get_or_create(every=period, period="seconds")
    slots = [first_at + timedelta(seconds=period * n / number) for n in range(number)]
    before = [slot - timedelta(seconds=period) for slot in slots]
    ours = scheduler == OURS
    tasks = PeriodicTask.objects.bulk_create(
        PeriodicTask(
            name=f"s{n}",
            task="maintenance.bench_noop" if ours else "bench.plain",
            kwargs=json.dumps({"n": n}),
            interval=interval,
            last_run_at=before[n],
        )
        for n in range(number)
    )
    ScheduleControl.objects.bulk_create(
        ScheduleControl(
            schedule=task, effective_from=before[n], timing=str(Timing.of(task)), next_slot_at=slots[n]
        )
        for n, task in enumerate(tasks)
    )
    PeriodicTasks.update_changed()
    return {f"s{n}": slot for n, slot in enumerate(slots)}


def lags(arrivals: Arrivals, slots: dict[str, datetime]) -> list[float]:
    """Return by how many seconds each message came after its slot."""
    from maintenance.models import JobRun

    ids = [int(name[1:]) for name, _ in arrivals.at if name.startswith("#")]
    names = {
        f"#{pk}": name for pk, name in JobRun.objects.filter(pk__in=ids).values_list("pk", "schedule_name")
    }
    first: dict[str, float] = {}
    for name, at in arrivals.at:
        first.setdefault(names.get(name, name), at)
    return [first[name] - slot.timestamp() for name, slot in slots.items() if name in first]


def spread(scheduler: str, number: int, period: float) -> dict[str, float]:
    """Measure schedules that fire one after the other."""
    from django.utils import timezone

    with harness.scratch_database() as url, broker() as socket:
        warm_up = 6 + number / 1_000  # the stock scheduler reads all of them at its start
        slots = make_schedules(
            number, first_at=timezone.now() + timedelta(seconds=warm_up), period=period, scheduler=scheduler
        )
        arrivals = Arrivals()
        consumer = threading.Thread(target=arrivals.consume, args=(socket,))
        consumer.start()
        with beat(scheduler, url, socket) as process:
            time.sleep(warm_up)  # the start is not part of the measurement
            used = cpu_seconds(process)
            time.sleep(WATCHED)
            cpu = (cpu_seconds(process) - used) / WATCHED
            memory = process.memory_info().rss / 1e6
        arrivals.stop.set()
        consumer.join()
        end = timezone.now() - timedelta(seconds=2)
        due = {name: slot for name, slot in slots.items() if slot < end}
        late = sorted(lags(arrivals, due))
        close_connection()
    return {
        "fired": len(late),
        "of": len(due),
        "p50": quantile(late, 0.5),
        "p99": quantile(late, 0.99),
        "cpu": 100 * cpu,
        "memory": memory,
    }


def burst(scheduler: str, number: int) -> dict[str, float]:
    """Let all schedules be due in the same second; measure how long their messages take."""
    from django.utils import timezone

    with harness.scratch_database() as url, broker() as socket:
        at = timezone.now() + timedelta(seconds=8 + number / 1_000)
        slots = dict.fromkeys(make_schedules(number, first_at=at, period=3600, scheduler=scheduler), at)
        due_at_once(at, scheduler)
        arrivals = Arrivals()
        consumer = threading.Thread(target=arrivals.consume, args=(socket,))
        consumer.start()
        with beat(scheduler, url, socket):
            time.sleep(max(0.0, (at - timezone.now()).total_seconds()))
            wait_until(lambda: len(arrivals.at) >= number, BURST_SECONDS_MAX)
        arrivals.stop.set()
        consumer.join()
        late = lags(arrivals, slots)
        close_connection()
    return {"sent": len(late), "seconds": max(late, default=float("nan"))}


def due_at_once(at: datetime, scheduler: str) -> None:
    """Move every schedule's next slot to that moment."""
    from django_celery_beat.models import PeriodicTask, PeriodicTasks

    from maintenance.models import ScheduleControl

    before = at - timedelta(seconds=3600)
    PeriodicTask.objects.update(last_run_at=before)
    ScheduleControl.objects.update(effective_from=before, next_slot_at=at)
    PeriodicTasks.update_changed()


def edits(scheduler: str, number: int) -> list[float]:
    """Retime one schedule of many to every second, several times; return how long each edit took to have an effect."""
    from django.utils import timezone
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    waits = []
    with harness.scratch_database() as url, broker() as socket:
        make_schedules(
            number, first_at=timezone.now() + timedelta(hours=1), period=36_000, scheduler=scheduler
        )
        every_second = IntervalSchedule.objects.create(every=1, period="seconds")
        arrivals = Arrivals()
        consumer = threading.Thread(target=arrivals.consume, args=(socket,))
        consumer.start()
        with beat(scheduler, url, socket):
            time.sleep(6 + number / 1_000)  # until the schedules are read
            for n in range(EDITS):
                time.sleep(
                    0.37
                )  # so that each edit comes at another moment of the scheduler's one-second loop
                task = PeriodicTask.objects.get(name=f"s{n}")
                task.interval, task.last_run_at = every_second, timezone.now()
                seen, started = len(arrivals.at), time.time()
                task.save()
                came = wait_until(partial(arrivals.more_than, seen), 30)
                # The first slot is one second after the edit.
                waits.append(max(0.0, arrivals.at[seen][1] - started - 1) if came else float("inf"))
                task.enabled = False
                task.save()
                time.sleep(3)  # until it has passed the edit before
        arrivals.stop.set()
        consumer.join()
        close_connection()
    return waits


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that the process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def quantile(values: list[float], share: float) -> float:
    """Return the value below which this share of the (sorted) values lies."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def close_connection() -> None:
    """Disconnect from the scratch database, so that it can be dropped."""
    from django.db import connection

    connection.close()


def main() -> None:
    """Print the three tables for the configured database."""
    from django.db import connection

    rows = []
    for number, period in SPREAD:
        for scheduler in (OURS, STOCK):
            got = spread(scheduler, number, period)
            rows.append(
                [
                    f"{number:,}",
                    NAMES[scheduler],
                    f"{got['fired']:.0f} / {got['of']:.0f}",
                    f"{1000 * got['p50']:.0f}",
                    f"{1000 * got['p99']:.0f}",
                    f"{got['cpu']:.1f}",
                    f"{got['memory']:.0f}",
                ]
            )
    harness.print_table(
        f"Schedules spread evenly, {WATCHED:.0f} s on {connection.vendor}",
        ["schedules", "scheduler", "fired", "lag p50, ms", "p99, ms", "CPU, %", "memory, MB"],
        rows,
    )
    rows = []
    for number in BURSTS:
        for scheduler in (OURS, STOCK):
            result = burst(scheduler, number)
            rows.append([f"{number:,}", NAMES[scheduler], f"{result['sent']:,}", f"{result['seconds']:.1f}"])
    harness.print_table(
        f"Due in the same second (given up after {BURST_SECONDS_MAX:.0f} s)",
        ["schedules", "scheduler", "sent", "seconds until the last"],
        rows,
    )
    rows = []
    for scheduler in (OURS, STOCK):
        waits = edits(scheduler, 10_000)
        rows.append([NAMES[scheduler], f"{statistics.median(waits):.2f}", f"{max(waits):.2f}"])
    harness.print_table(
        "An edit of one of 10,000 schedules is seen after", ["scheduler", "median, s", "longest, s"], rows
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    import bench.noop_app  # noqa: F401  (the job must be declared here too)

    main()
