"""Twenty people who leave the dashboard and the page of a running run open: what that costs the web server of production.

Fill a database first (``python -m bench.fill --posts 1000000``), then run ``python -m bench.tabs`` with the same
DATABASE_URL. It starts gunicorn as production does, adds superusers, their sessions and a running run, and deletes
them again. As the pages do, each client polls with the version that it has, in turn for the whole period. It prints
the processor time of the web processes as a share of one core, the polls and how many were answered with 204.
``BENCH_SECONDS`` is the length, ``BENCH_CLIENTS`` the number of clients; ``BENCH_PEOPLE=1`` makes them one person's.
"""

import html
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from bench import harness, web

SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
CLIENTS = int(os.environ.get("BENCH_CLIENTS", "20"))
PEOPLE = int(os.environ.get("BENCH_PEOPLE", str(CLIENTS)))
EVERY_SECONDS = 10
TARGET_PERCENT = 5
_POLL = re.compile(r'hx-get="(/admin/(?:dashboard/live|maintenance/jobrun/\d+/live)/\?[^"]*)"')


class Tab:
    """An open page, which asks for news of itself."""

    def __init__(self, page: str, cookie: str) -> None:
        self._headers = {"Cookie": cookie, "Accept-Language": "en"}
        status, body = web.fetch(page, self._headers)
        if status != 200:
            sys.exit(f"{page} answered {status}")
        self._address = self._next(body)

    def poll(self) -> tuple[int, float]:
        """Ask for news; return the status and the milliseconds that the answer took."""
        began = time.perf_counter()
        status, body = web.fetch(self._address, {**self._headers, "HX-Request": "true"})
        if status == 200:
            self._address = self._next(body)
        return status, 1000 * (time.perf_counter() - began)

    @staticmethod
    def _next(body: str) -> str:
        found = _POLL.search(body)
        if found is None:
            sys.exit("The page does not poll.")
        return html.unescape(found[1])


def used_seconds(server: psutil.Process) -> float:
    """Return the processor time that the web server's processes have used."""
    times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def watch(tabs: list[Tab], seconds: int) -> tuple[Counter[int], list[float]]:
    """Let each tab poll every ten seconds, evenly spread; return the statuses and times of the answers."""
    statuses: Counter[int] = Counter()
    times = []
    began = time.monotonic()
    for turn in range(len(tabs) * seconds // EVERY_SECONDS):
        time.sleep(max(0.0, began + turn * EVERY_SECONDS / len(tabs) - time.monotonic()))
        status, milliseconds = tabs[turn % len(tabs)].poll()
        statuses[status] += 1
        times.append(milliseconds)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    return statuses, times


def row_of(name: str, pages: list[str], cookies: list[str], server: psutil.Process) -> list[str]:
    """Open the pages, watch them, and return the line of the table."""
    tabs = [Tab(page, cookie) for cookie in cookies for page in pages]
    watch(tabs, EVERY_SECONDS)  # each process has imported and cached what it needs
    before, began = used_seconds(server), time.monotonic()
    statuses, times = watch(tabs, SECONDS)
    percent = 100 * (used_seconds(server) - before) / (time.monotonic() - began)
    return [
        name,
        f"{percent:.1f}",
        str(statuses.total()),
        ", ".join(f"{status}: {number}" for status, number in statuses.items()),
        f"{10 * percent * SECONDS / max(1, statuses.total()):.1f}",
        f"{statistics.quantiles(times, n=20)[-1]:.0f}",
        "*" if percent >= TARGET_PERCENT else "",
    ]


def main() -> None:
    """Print the table."""
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    with (
        tempfile.TemporaryDirectory() as folder,
        web.signed_in(people=PEOPLE, sessions=CLIENTS) as cookies,
        web.running_run() as run,
    ):
        pages = {"dashboard": "/admin/", "run": f"/admin/maintenance/jobrun/{run}/change/"}
        with web.web_server(Path(folder, "log")) as server:
            rows = [row_of(name, [page], cookies, server) for name, page in pages.items()]
            rows.append(row_of("both", list(pages.values()), cookies, server))
    harness.print_table(
        f"{CLIENTS} clients of {PEOPLE} people, each page asks every {EVERY_SECONDS} s, {SECONDS} s each",
        ["open pages", "% of a core", "polls", "statuses", "own ms a poll", "p95 ms", "over"],
        rows,
    )


if __name__ == "__main__":
    harness.set_up()
    main()
