"""How fast the console answers while 20 callers of the API ask to wait for their runs (``Prefer: wait=60``).

Fill a database first (``python -m bench.fill --posts 1000000``), then run ``python -m bench.waiters`` with the same
DATABASE_URL and no worker, so that no run ends. It starts gunicorn as production does, requests 20 bots to be scraped
at once, and reads pages one after another meanwhile, beside the same pages without callers. It deletes its runs; their
messages stay in the broker, and a worker drops them. ``BENCH_SECONDS`` is the length of each part.
"""

import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

from bench import harness, web

SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
CALLERS = 20
TARGET_MS = 200
PAGES = {
    "dashboard": "/admin/",
    "runs": "/admin/maintenance/jobrun/",
    "schedules": "/admin/django_celery_beat/periodictask/",
}


class Callers:
    """Callers that each ask to wait for the scrape of another bot."""

    def __init__(self, bots: list[int], tokens: list[str]) -> None:
        self.statuses: Counter[int] = Counter()
        self._threads = [
            threading.Thread(target=self._call, args=pair, daemon=True)
            for pair in zip(bots, tokens, strict=False)
        ]

    def start(self) -> None:
        """Send all requests; return when all but those that wait are answered, or after ten seconds."""
        for thread in self._threads:
            thread.start()
        end = time.monotonic() + 10
        while time.monotonic() < end and self.statuses.total() < len(self._threads) - 2:
            time.sleep(0.05)

    @property
    def waiting(self) -> int:
        """How many have no answer yet."""
        return sum(thread.is_alive() for thread in self._threads)

    def _call(self, bot: int, token: str) -> None:
        connection = HTTPConnection("127.0.0.1", web.PORT, timeout=90)
        headers = {
            "Authorization": f"Bearer {token}",
            "Prefer": "wait=60",
            "X-Forwarded-For": f"10.0.0.{bot % 250}",
        }
        try:
            connection.request("POST", f"/api/v1/bot-configs/{bot}/scrape-now", headers=headers)
            self.statuses[connection.getresponse().status] += 1
        except OSError:
            return  # the server ends before the wait does
        finally:
            connection.close()


def read(cookie: str, seconds: int) -> dict[str, list[float]]:
    """Read the pages in turn; return the milliseconds of each answer, by page."""
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, page in PAGES.items():
            began = time.perf_counter()
            web.fetch(page, {"Cookie": cookie})
            times[name].append(1000 * (time.perf_counter() - began))
    return times


def main() -> None:
    """Print the table."""
    from django.core.management import call_command

    from maintenance.models import JobRun
    from scraping.models import BotConfig

    call_command("collectstatic", interactive=False, verbosity=0)
    bots = list(
        BotConfig.objects.filter(is_active=True).order_by("pk").values_list("pk", flat=True)[:CALLERS]
    )
    newest = JobRun.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            web.signed_in(people=1, sessions=1) as cookies,
            web.running_run(),
            web.callers("run") as tokens,
            web.web_server(Path(folder, "log")),
        ):
            read(cookies[0], 5)
            alone, callers = read(cookies[0], SECONDS), Callers(bots, tokens)
            callers.start()
            beside, waiting = read(cookies[0], SECONDS), callers.waiting
    finally:
        JobRun.objects.filter(pk__gt=newest, job="scrape_now").delete()
    told = ", ".join(f"{status}: {number}" for status, number in callers.statuses.items())
    rows = []
    for name in PAGES:
        p95 = [statistics.quantiles(times[name], n=20)[-1] for times in (alone, beside)]
        most, is_over = max(beside[name]), p95[1] > TARGET_MS
        rows.append(
            [name, *(f"{one:.0f}" for one in (*p95, most)), str(len(beside[name])), "*" if is_over else ""]
        )
    harness.print_table(
        f"{len(bots)} callers with Prefer: wait=60, of whom {waiting} still wait at the end; the others got {told}",
        ["page", "p95 ms alone", "p95 ms beside", "most ms", "answers", "over"],
        rows,
    )


if __name__ == "__main__":
    harness.set_up()
    main()
