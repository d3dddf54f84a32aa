"""The cost of the ledger: no-op jobs, compared with the same tasks under django-celery-results and plain Celery.

It uses real worker processes and the same broker and database. Throughput: tasks are requested, then a worker of four
processes starts; measured is the time from its first task to its last. Latency: one request after another, from the
request to the start of the work.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import harness
from bench.schedules import broker, close_connection, wait_until

JOBS = int(os.environ.get("BENCH_JOBS", "1000"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "200"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
LABELS = {
    "ledger": "the ledger",
    "results": "django-celery-results",
    "kept results": "the same, with CELERY_DB_REUSE_MAX",
    "bare": "bare Celery",
}
KINDS = tuple(LABELS)
STARTED = "bench:started"  # a list in the broker: the start time of each task


@contextmanager
def worker(kind: str, database_url: str, socket: Path) -> Iterator[None]:
    """Run a worker of four processes."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "bench.noop_app", "--quiet", "worker", "--concurrency", "4",
            "--prefetch-multiplier", "1", "--without-gossip", "--without-mingle", "--loglevel", "ERROR",
        ],
        cwd=harness.BASE_DIR,
        env=environment(kind, database_url, socket),
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def environment(kind: str, database_url: str, socket: Path) -> dict[str, str]:
    """Return the environment of a worker, and of the child that requests its tasks."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": f"redis+socket://{socket}",
        "LOG_LEVEL": "CRITICAL",
        "BENCH_KIND": kind,
        "BENCH_SOCKET": str(socket),
    }


def request(number: int) -> None:
    """Request one task of the configured kind."""
    kind = os.environ["BENCH_KIND"]
    if kind == "ledger":
        from maintenance.ledger import requests

        requests.request_run(job="bench_noop", trigger="api", params={"n": number})
    else:
        from bench.noop_app import plain

        plain.delay(number)


def request_all() -> dict[str, Any]:
    """In a child: request the tasks for the measurement of throughput."""
    started = time.monotonic()
    for number in range(JOBS):
        request(number)
    return {"seconds": time.monotonic() - started}


def request_one_by_one() -> dict[str, Any]:
    """In a child: request a task, wait until it has begun, request the next; return the times in milliseconds."""
    import redis

    client = redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"])
    waits = []
    for number in range(REQUESTS + 20):
        asked = time.time()
        request(number)
        got: Any = client.blpop([STARTED], timeout=20)
        waits.append(1000 * (float(got[1]) - asked))
        time.sleep(0.01)  # until the work's end is recorded
    client.close()
    return {"milliseconds": waits[20:]}  # the first ones warm the worker's processes


def throughput(kind: str) -> float:
    """Return the tasks per second of a worker with four processes."""
    import redis

    with harness.scratch_database() as url, broker() as socket:
        close_connection()
        client = redis.Redis(unix_socket_path=str(socket))
        child("request_all", kind, url, socket)
        client.delete(STARTED)
        with worker(kind, url, socket):
            assert wait_until(lambda: client.llen(STARTED) >= JOBS, 300), client.llen(STARTED)
            moments = sorted(float(moment) for moment in client.lrange(STARTED, 0, -1))
        client.close()
    return (JOBS - 1) / (moments[JOBS - 1] - moments[0])


def latency(kind: str) -> list[float]:
    """Return the milliseconds from the request to the start of the work."""
    with harness.scratch_database() as url, broker() as socket:
        close_connection()
        with worker(kind, url, socket):
            waits: list[float] = child("request_one_by_one", kind, url, socket)["milliseconds"]
    return waits


def child(part: str, kind: str, database_url: str, socket: Path) -> dict[str, Any]:
    """Run a part of this file in a separate process."""
    return harness.in_child(
        "bench.ledger", part, **{**environment(kind, database_url, socket), "database_url": database_url}
    )


def main() -> None:
    """Print both tables for the configured database."""
    from django.db import connection

    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    waits: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind in KINDS:
            rates[kind].append(throughput(kind))
            waits[kind].append(statistics.median(latency(kind)))
    rate = {kind: statistics.median(found) for kind, found in rates.items()}
    wait = {kind: statistics.median(found) for kind, found in waits.items()}
    harness.print_table(
        f"{JOBS:,} no-op tasks on {connection.vendor}, median of {ROUNDS}",
        ["", "tasks/s", "of django-celery-results", "request to start p50, ms", "of bare Celery"],
        [
            [
                LABELS[kind],
                f"{rate[kind]:.0f}",
                f"{rate[kind] / rate['results']:.2f}",
                f"{wait[kind]:.1f}",
                f"{wait[kind] / wait['bare']:.2f}",
            ]
            for kind in KINDS
        ],
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings_with_results"
    import bench.noop_app  # noqa: F401  (sets Django up, and declares the tasks)

    if len(sys.argv) > 1:
        parts = {"request_all": request_all, "request_one_by_one": request_one_by_one}
        print(json.dumps(parts[sys.argv[1]]()))
    else:
        main()
