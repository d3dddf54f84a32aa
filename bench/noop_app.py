"""The console's Celery application with tasks that do nothing: `celery -A bench.noop_app`.

With BENCH_KIND=results, django-celery-results stores their results and, by default, opens a new database connection for
each task; with "kept results" it keeps its connection, as the ledger does. BENCH_SOCKET is the broker that gets the
start time of each task.
"""

import os
import time
from functools import cache
from typing import Any

from bench import harness

harness.set_up()

# After set_up(), because these modules need Django.
from django.conf import settings  # noqa: E402

import maintenance.jobs  # noqa: E402, F401  (first, so that the order of the jobs stays the same)
from maintenance.context import JobContext  # noqa: E402
from maintenance.registry import job  # noqa: E402


@cache
def _client(pid: int) -> Any:
    import redis

    return redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"])


def _tell() -> None:
    if "BENCH_SOCKET" in os.environ:
        _client(os.getpid()).rpush("bench:started", repr(time.time()))


@job(params={"n": int}, concurrent_by="n")
def bench_noop(ctx: JobContext) -> None:
    """Do nothing."""
    _tell()


if os.environ.get("BENCH_KIND") == "results":
    settings.CELERY_DB_REUSE_MAX = None  # Celery's default

from console.celery import app  # noqa: E402

__all__ = ["app"]


@app.task(name="bench.plain")
def plain(n: int) -> None:
    """Do nothing, without a ledger."""
    _tell()


if os.environ.get("BENCH_KIND") in ("results", "kept results"):
    app.conf.update(result_backend="django-db", task_ignore_result=False)
