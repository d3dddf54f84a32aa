"""Every page and documented search of the console on a filled database, compared with lists of the stock admin.

Fill a database first (``python -m bench.fill --posts 1000000 --schedules 10000``), then run ``python -m bench.pages``
with the same DATABASE_URL; it only reads. It prints the server time of a request in milliseconds, the processor time
of its process (without the database's), the queries, and the kilobytes of the answer. ``BENCH_PAGES=runs`` measures
only pages with that text in their names. The stock admin runs in a separate process with Django's templates.
"""

import json
import os
import statistics
import sys
import time
from typing import Any

from django.urls import URLPattern, URLResolver, path

from bench import filler, harness
from database.keyset import Place, encoded

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "20"))
ONLY = os.environ.get("BENCH_PAGES", "")
TARGET_MS, TARGET_DASHBOARD_MS, TARGET_QUERIES, TARGET_KB = 150, 100, 25, 250
RUNS, SCHEDULES = "maintenance/jobrun/", "django_celery_beat/periodictask/"
POSTS, COMMENTS, SESSIONS = "scraping/redditpost/", "scraping/redditcomment/", "scraping/scrapesession/"
BOTS, RETENTIONS, SET_ASIDE = "scraping/botconfig/", "maintenance/retentionpolicy/", "scraping/setaside/"
ALERTS, ACTIVITY, USERS = "alerts/alert/", "audit/event/", "auth/user/"
LISTS = (RUNS, SCHEDULES, POSTS, COMMENTS, SESSIONS, BOTS, USERS)
# The rows that stand for all of their kind in a world of ``bench.fill``.
IDS = {
    "schedule": filler.FIRST + 1,
    "run": 50_000,
    "bot": 77,
    "session": 5_000,
    "post": 5_000,
    "comment": 5_000,
    "user": filler.FIRST + 1,
}
# Lists that the stock admin also has are compared with it.
PAGES = {
    "dashboard": "",
    "dashboard: stored": "dashboard/stored/",
    "dashboard: poll": "dashboard/live/?v=0",
    "schedules": SCHEDULES,
    "schedules: search": f"{SCHEDULES}?q=schedule+77",
    "schedules: job": f"{SCHEDULES}?job=scrape_now",
    "schedules: paused": f"{SCHEDULES}?enabled__exact=0",
    "schedule": f"{SCHEDULES}{{schedule}}/change/",
    "schedule: add": f"{SCHEDULES}add/",
    "schedule: pause": f"{SCHEDULES}{{schedule}}/pause/",
    "schedule: hook": f"{SCHEDULES}{{schedule}}/address/",
    "schedule: delete": f"{SCHEDULES}{{schedule}}/delete/",
    "schedule: activity": f"{ACTIVITY}?kind=django_celery_beat.PeriodicTask&id={{schedule}}",
    "runs": RUNS,
    "runs: far in": f"{RUNS}?after={encoded(Place(50_000))}",
    "runs: oldest": f"{RUNS}?o=0",
    "runs: failed": f"{RUNS}?status__exact=failed",
    "runs: job": f"{RUNS}?job=purge_old_content",
    "runs: by a person": f"{RUNS}?trigger__exact=admin",
    "runs: dry": f"{RUNS}?dry_run__exact=1",
    "runs: words": f"{RUNS}?q=503",
    "run": f"{RUNS}{{run}}/change/",
    "run: poll": f"{RUNS}{{run}}/live/?v=0",
    "run: cancel": f"{RUNS}{{run}}/cancel/",
    "run: x-ray": f"{RUNS}{{run}}/x-ray/",
    "retentions": RETENTIONS,
    "runs: compared": f"{RUNS}compare/",
    "runs: one job compared": f"{RUNS}compare/?job=cleanup_sessions",
    "bots": BOTS,
    "bots: search": f"{BOTS}?q=bot+77",
    "bot": f"{BOTS}{{bot}}/change/",
    "bot: delete": f"{BOTS}{{bot}}/delete/",
    "sessions": SESSIONS,
    "sessions: by time": f"{SESSIONS}?o=-3",
    "sessions: gap": f"{SESSIONS}?has_gap__exact=1",
    "sessions: failed": f"{SESSIONS}?status__exact=failed",
    "session": f"{SESSIONS}{{session}}/change/",
    "posts": POSTS,
    "posts: far in": f"{POSTS}?after={encoded(Place(100_000))}",
    "posts: by time": f"{POSTS}?o=-9",
    "posts: subreddit": f"{POSTS}?q=r/sub7",
    "posts: author": f"{POSTS}?q=u/author77",
    "posts: deleted": f"{POSTS}?state__exact=author",
    "posts: held": f"{POSTS}?hold=held",
    "posts: bot": f"{POSTS}?bot={{bot}}",
    "posts: fullname": f"{POSTS}?q=t3_5000",
    "post": f"{POSTS}{{post}}/change/",
    "comments": COMMENTS,
    "comments: far in": f"{COMMENTS}?after={encoded(Place(500_000))}",
    "comments: author": f"{COMMENTS}?q=u/author77",
    "comments: deleted": f"{COMMENTS}?state__exact=author",
    "comment": f"{COMMENTS}{{comment}}/change/",
    "set aside": SET_ASIDE,
    "apps": "scraping/redditapp/",
    "search: words": "search/?q=sub7",
    "search: number": "search/?q=50000",
    "search: fullname": "search/?q=t3_5000",
    "alerts": ALERTS,
    "alerts: open": f"{ALERTS}?state=open",
    "messages": "alerts/delivery/",
    "routes": "alerts/route/",
    "activity": ACTIVITY,
    "activity: a person": f"{ACTIVITY}?q=person7",
    "users": USERS,
    "user": f"{USERS}{{user}}/change/",
    "user: sessions": "sessions-of/{user}/",
    "user: tokens": "tokens-of/{user}/",
    "my sessions": "my-sessions/",
    "my tokens": "my-tokens/",
    "my messages": "my-messages/",
    "pause scraping": "pause-scraping/",
    "maintenance mode": "maintenance-mode/",
    "run now: purge": "jobs/purge_old_content/run/",
    "run now: tokens": "jobs/cleanup_tokens/run/",
    "run now: sessions": "jobs/cleanup_sessions/run/",
    "run now: a bot": "jobs/scrape_now/run/?config={bot}",
}

urlpatterns: list[URLPattern | URLResolver] = []


def serve_stock_admin() -> None:
    """Serve Django's stock admin for the same models at the same addresses, without the console's templates."""
    from django.conf import settings
    from django.contrib import admin

    stock = admin.AdminSite(name="admin")
    for model in admin.site._registry:
        stock.register(model, admin.ModelAdmin)
    urlpatterns[:] = [path("admin/", stock.urls)]
    settings.ROOT_URLCONF = __name__
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]


def measure(client: Any, address: str) -> dict[str, Any]:
    """Return status, median and 95th percentile in ms, the process's own time in ms, queries and kB of a page."""
    from django.db import connection

    queries = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    with connection.execute_wrapper(count):
        answer = client.get(address)
    if answer.status_code != 200:
        return {"status": answer.status_code}
    times, processor = [], []
    for _ in range(REQUESTS):
        began, used = time.perf_counter(), time.process_time()
        client.get(address)
        times.append(1000 * (time.perf_counter() - began))
        processor.append(1000 * (time.process_time() - used))
        if sum(times) > 20_000 and len(times) > 2:
            break
    return {
        "status": 200,
        "median": statistics.median(times),
        "p95": statistics.quantiles(times, n=20, method="inclusive")[-1],
        "processor": statistics.median(processor),
        "queries": queries,
        "kb": len(answer.content) / 1000,
    }


def row_of(name: str, ours: dict[str, Any], peer: dict[str, Any] | None) -> list[str]:
    """Return a line of the table; a star marks a figure that is over its target."""
    if ours["status"] != 200:
        return [name, f"answers {ours['status']}", "", "", "", "", "", "*"]
    limit = TARGET_DASHBOARD_MS if name == "dashboard" else TARGET_MS
    is_over = ours["p95"] > limit or ours["queries"] > TARGET_QUERIES or ours["kb"] > TARGET_KB
    beside = "" if peer is None else f"{peer['p95']:.0f}" if peer["status"] == 200 else str(peer["status"])
    return [
        name,
        f"{ours['median']:.0f}",
        f"{ours['p95']:.0f}",
        beside,
        f"{ours['processor']:.0f}",
        str(ours["queries"]),
        f"{ours['kb']:.0f}",
        "*" if is_over else "",
    ]


def client_of_bench() -> Any:
    """Return a client that is signed in as a superuser, in a process that is ready as a web server's is."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    from console import ready

    settings.ALLOWED_HOSTS = ["*"]
    # A deploy creates the manifest of static files; here there is none.
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.SECURE_SSL_REDIRECT = False
    user, _is_new = User.objects.get_or_create(username="bench", is_superuser=True, is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    client.get("/admin/password_change/")  # the first page of a session stores it, which no page does again
    ready.load_pages()
    return client


def main(*, is_stock: bool) -> None:
    """Print a table of all pages; for the stock admin one JSON object: name of the page → its measurements."""
    from django.db import connection

    if is_stock:
        serve_stock_admin()
    client = client_of_bench()
    pages = {name: address.format(**IDS) for name, address in PAGES.items() if ONLY in name}
    if is_stock:
        lists = {name: address for name, address in pages.items() if address in LISTS}
        print(json.dumps({name: measure(client, f"/admin/{address}") for name, address in lists.items()}))
        return
    table = []
    stock = harness.in_child("bench.pages", "--stock")
    for name, address in pages.items():
        table.append(row_of(name, measure(client, f"/admin/{address}"), stock.get(name)))
        sys.stderr.write(f"{' '.join(table[-1])}\n")
    harness.print_table(
        f"Pages on {connection.vendor}, up to {REQUESTS} requests each",
        ["page", "median ms", "p95 ms", "stock admin p95", "own ms", "queries", "kB", "over"],
        table,
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    main(is_stock="--stock" in sys.argv)
