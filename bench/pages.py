"""Every page and documented search of the console on a filled database, compared with lists of the stock admin.

Fill a database first (``python -m bench.fill --posts 1000000 --schedules 10000``), then run ``python -m bench.pages``
with the same DATABASE_URL; it only reads. It prints the server time of a request in milliseconds, the queries, and
the kilobytes of the answer. ``BENCH_PAGES=runs`` measures only pages with that text in their names. The stock admin
runs in a separate process with Django's templates.
"""

import json
import os
import statistics
import sys
import time
from typing import Any

from django.urls import URLPattern, URLResolver, path

from bench import fill, harness

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "20"))
ONLY = os.environ.get("BENCH_PAGES", "")
TARGET_MS, TARGET_DASHBOARD_MS, TARGET_QUERIES, TARGET_KB = 150, 100, 25, 250
RUNS, SCHEDULES = "maintenance/jobrun/", "django_celery_beat/periodictask/"
POSTS, COMMENTS, SESSIONS = "scraping/redditpost/", "scraping/redditcomment/", "scraping/scrapesession/"
BOTS = "scraping/botconfig/"
LISTS = (RUNS, SCHEDULES, POSTS, COMMENTS, SESSIONS, BOTS, "auth/user/")
# Lists that the stock admin also has are compared with it.
PAGES = {
    "dashboard": "",
    "schedules": SCHEDULES,
    "schedules: search": f"{SCHEDULES}?q=schedule+77",
    "schedules: job": f"{SCHEDULES}?job=scrape_now",
    "schedules: paused": f"{SCHEDULES}?enabled__exact=0",
    "schedule": f"{SCHEDULES}{fill.FIRST + 1}/change/",
    "schedule: add": f"{SCHEDULES}add/",
    "runs": RUNS,
    "runs: page 50": f"{RUNS}?p=50",
    "runs: failed": f"{RUNS}?status__exact=failed",
    "runs: job": f"{RUNS}?job=purge_old_content",
    "runs: by a person": f"{RUNS}?trigger__exact=admin",
    "runs: dry": f"{RUNS}?dry_run__exact=1",
    "runs: words": f"{RUNS}?q=503",
    "run": f"{RUNS}250000/change/",
    "retentions": "maintenance/retentionpolicy/",
    "bots": BOTS,
    "bots: search": f"{BOTS}?q=bot+77",
    "bot": f"{BOTS}77/change/",
    "sessions": SESSIONS,
    "sessions: gap": f"{SESSIONS}?has_gap__exact=1",
    "sessions: failed": f"{SESSIONS}?status__exact=failed",
    "session": f"{SESSIONS}5000/change/",
    "posts": POSTS,
    "posts: page 50": f"{POSTS}?p=50",
    "posts: subreddit": f"{POSTS}?q=r/sub7",
    "posts: author": f"{POSTS}?q=u/author77",
    "posts: deleted": f"{POSTS}?state__exact=author",
    "posts: held": f"{POSTS}?hold=held",
    "posts: bot": f"{POSTS}?bot=77",
    "posts: fullname": f"{POSTS}?q=t3_5000",
    "post": f"{POSTS}5000/change/",
    "comments": COMMENTS,
    "comments: author": f"{COMMENTS}?q=u/author77",
    "comments: deleted": f"{COMMENTS}?state__exact=author",
    "comment": f"{COMMENTS}5000/change/",
    "users": "auth/user/",
    "run now: purge": "jobs/purge_old_content/run/",
    "run now: sessions": "jobs/cleanup_sessions/run/",
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
    """Return status, median and 95th percentile in ms, queries and kB of a page."""
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
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        client.get(address)
        times.append(1000 * (time.perf_counter() - began))
        if sum(times) > 20_000 and len(times) > 2:
            break
    return {
        "status": 200,
        "median": statistics.median(times),
        "p95": statistics.quantiles(times, n=20, method="inclusive")[-1],
        "queries": queries,
        "kb": len(answer.content) / 1000,
    }


def row_of(name: str, ours: dict[str, Any], peer: dict[str, Any] | None) -> list[str]:
    """Return a line of the table; a star marks a figure that is over its target."""
    if ours["status"] != 200:
        return [name, f"answers {ours['status']}", "", "", "", "", "*"]
    limit = TARGET_DASHBOARD_MS if name == "dashboard" else TARGET_MS
    is_over = ours["p95"] > limit or ours["queries"] > TARGET_QUERIES or ours["kb"] > TARGET_KB
    beside = "" if peer is None else f"{peer['p95']:.0f}" if peer["status"] == 200 else str(peer["status"])
    return [
        name,
        f"{ours['median']:.0f}",
        f"{ours['p95']:.0f}",
        beside,
        str(ours["queries"]),
        f"{ours['kb']:.0f}",
        "*" if is_over else "",
    ]


def main(*, is_stock: bool) -> None:
    """Print a table of all pages; for the stock admin one JSON object: name of the page → its measurements."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    settings.ALLOWED_HOSTS = ["*"]
    # A deploy creates the manifest of static files; here there is none.
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.SECURE_SSL_REDIRECT = False
    user, _is_new = User.objects.get_or_create(username="bench", is_superuser=True, is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    pages = {name: address for name, address in PAGES.items() if ONLY in name}
    if is_stock:
        serve_stock_admin()
        lists = {name: address for name, address in pages.items() if address in LISTS}
        print(json.dumps({name: measure(client, f"/admin/{address}") for name, address in lists.items()}))
        return
    table = []
    stock = harness.in_child("bench.pages", "--stock", database_url=os.environ["DATABASE_URL"])
    for name, address in pages.items():
        table.append(row_of(name, measure(client, f"/admin/{address}"), stock.get(name)))
        sys.stderr.write(f"{' '.join(table[-1])}\n")
    harness.print_table(
        f"Pages on {connection.vendor}, up to {REQUESTS} requests each",
        ["page", "median ms", "p95 ms", "stock admin p95", "queries", "kB", "over"],
        table,
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    main(is_stock="--stock" in sys.argv)
