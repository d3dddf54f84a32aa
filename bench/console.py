"""The pages that list schedules, with ten and with many thousands of them: server time per request, and memory.

Half of the schedules scrape one bot each, the others run the other jobs; every hundredth is paused.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil

from bench import harness

SIZES = [int(size) for size in os.environ.get("BENCH_SCHEDULES", "10,10000,100000").split(",")]
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "40"))
LIST = "/admin/django_celery_beat/periodictask/"
PAGES = {
    "dashboard": "/admin/",
    "list": LIST,
    "list, page 2": f"{LIST}?p=2",
    "filter: job": f"{LIST}?job=scrape_now",
    "filter: paused": f"{LIST}?enabled__exact=0",
    "search": f"{LIST}?q=schedule+00004",
}


def make_schedules(number: int) -> None:
    """Create the schedules as an import would, and the state that the scheduler would have stored for each."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django_celery_beat.models import CrontabSchedule, PeriodicTask

    from database import clock
    from maintenance.models import ScheduleControl
    from maintenance.registry import jobs
    from maintenance.scheduling import seeding
    from maintenance.scheduling.timing import Timing
    from scraping.models import BotConfig

    owner = User.objects.get(username="bench")
    bots = BotConfig.objects.bulk_create(
        [BotConfig(name=f"bot {n}", owner=owner, subreddits=["python"]) for n in range(number // 2)], 500
    )
    row = CrontabSchedule.objects.create(minute="*/10", hour="*", timezone="UTC")
    names = [job.task_name for job in jobs() if job.crontab]
    tasks = PeriodicTask.objects.bulk_create(
        [
            PeriodicTask(
                name=f"schedule {n:06}",
                task="maintenance.scrape_now" if n < len(bots) else names[n % len(names)],
                kwargs=f'{{"config": {bots[n].pk}}}' if n < len(bots) else "{}",
                crontab=row,
                enabled=bool(n % 100),
            )
            for n in range(number)
        ],
        500,
    )
    now = clock.now()
    ScheduleControl.objects.bulk_create(
        [
            ScheduleControl(
                schedule=task,
                timing=str(Timing.of(task)),
                effective_from=now,
                next_slot_at=now if task.enabled else None,
            )
            for task in tasks
        ],
        500,
    )
    seeding.seed()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def measure(request: Callable[[], Any]) -> tuple[float, float]:
    """Return the median and the 95th percentile of the duration of a request, in milliseconds."""
    for _ in range(3):
        assert request().status_code == 200
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        request()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def main() -> None:
    """Print a table."""
    harness.set_up()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    settings.ALLOWED_HOSTS = ["*"]
    # A deploy creates the manifest of static files; here there is none.
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.SECURE_SSL_REDIRECT = False
    print(f"{connection.vendor}: {REQUESTS} requests a page, ms")
    print(f"{'schedules':>10}  {'page':16} {'median':>8} {'p95':>8}  grown by, MB")
    for size in SIZES:
        with harness.scratch_database():
            user = User.objects.create_superuser("bench")
            make_schedules(size)
            client = Client()
            client.force_login(user)
            for name, address in PAGES.items():
                before = psutil.Process().memory_info().rss
                middle, late = measure(partial(client.get, address))
                grown = (psutil.Process().memory_info().rss - before) / 1e6
                print(f"{size:>10}  {name:16} {middle:8.1f} {late:8.1f}  {grown:.1f}")


if __name__ == "__main__":
    main()
