"""No page, filter, documented search or job reads a big table from end to end, or walks an index to find little.

A small world is filled; PostgreSQL is told to scan no table if it can help it, so that who scans has no index. SQLite has no
statistics to speak of, and plans as it would for a big one.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from bench import fill, filler, harness, pages
from database.keyset import Place, encoded
from maintenance.ledger import performing
from maintenance.ledger.requests import request_run
from maintenance.models import JobRun
from scraping.models import Freshness, RedditPost
from tests.kit import factories

BIG = {
    "scraping_redditpost",
    "scraping_redditcomment",
    "scraping_postsighting",
    "scraping_scrapesession",
    "maintenance_jobrun",
    "maintenance_runlogline",
    "audit_event",
}
JOBS = ("cleanup_tokens", "cleanup_sessions", "purge_old_content", "cleanup_login_sessions")
# Rows of the small world in place of those that bench.pages names.
IDS = {**pages.IDS, "run": 50, "session": 50, "post": 50, "comment": 50}
ADDRESSES = {
    name: re.sub(r"after=\w+", f"after={encoded(Place(60))}", address.format(**IDS))
    for name, address in pages.PAGES.items()
}
# Not the choices that nearly all rows fit: the first page of those is found at once.
SEARCHES = {
    "posts: hold has ended": f"{pages.POSTS}?hold=ended",
    "comments: bot": f"{pages.COMMENTS}?bot=77",
    "comments: fullname": f"{pages.COMMENTS}?q=t1_5000",
    "comments: of a post": f"{pages.COMMENTS}?q=t3_5000",
    "runs: number": f"{pages.RUNS}?q=50",
    "runs: fullname": f"{pages.RUNS}?q=t3_5000",
    "runs: of a schedule, first attempts": f"{pages.RUNS}?schedule__exact={filler.FIRST + 7}&attempt__exact=1",
    "runs: two long periods": f"{pages.RUNS}compare/?days=92",
    "sessions: number": f"{pages.SESSIONS}?q=50",
    "sessions: manual": f"{pages.SESSIONS}?kind__exact=manual",
    "sessions: of a day": f"{pages.SESSIONS}?started_at__gte=2026-01-01+00:00:00%2B00:00",
}
ORDERS = re.compile(r" ORDER BY [^()]+? LIMIT -?\d+(?: OFFSET \d+)?(?! OFFSET)\b")
# What reads on purpose, and why that is no harm: a part of the statement.
ALLOWED = {
    "TABLESAMPLE": "a sample",
    # Of runs and their lines only the newest are read, and the page says so; sessions by a part of their bot's name.
    " LIKE ": "words",
}


@contextmanager
def recorded() -> Iterator[list[tuple[str, object]]]:
    """The statements that are made inside."""
    statements: list[tuple[str, object]] = []

    def note(execute, sql, params, many, context):
        if not many:
            statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield statements


def faults(sql, params) -> list[str]:
    """Which big tables a statement reads from end to end, or until it happens to have found enough."""
    reads = sql.lstrip("( ").upper().startswith(("SELECT", "WITH", "DELETE", "UPDATE"))
    if not reads or any(part in sql for part in ALLOWED) or "pg_" in sql:
        return []
    # In a small table it is cheapest to walk along the key until enough is found, whatever indexes there are.
    unordered, params = without_order(sql, params) if " WHERE " in sql else (sql, params)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (FORMAT JSON) {unordered}", params)
            found = cursor.fetchone()[0]
            plan = json.loads(found) if isinstance(found, str) else found
            cursor.execute(
                "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid WHERE indpred IS NOT NULL"
            )
            partial = {name for (name,) in cursor.fetchall()}
            return [fault for node in nodes(plan[0]["Plan"]) if (fault := fault_of_node(node, partial))]
        cursor.execute(f"EXPLAIN QUERY PLAN {unordered}", params)
        steps = [step[-1] for step in cursor.fetchall()]
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%%WHERE%%'")
        partial = {name for (name,) in cursor.fetchall()}
    # The first of a list, in the order of its key.
    is_list = " LIMIT " in sql and " WHERE " not in sql
    is_chosen = " WHERE " in sql
    return [step for step in steps if not is_list and _reads_all(step, partial, is_chosen=is_chosen)]


def _reads_all(step, partial, *, is_chosen) -> bool:
    """Whether a step of SQLite reads a big table, or the whole of an index for the rows that a condition chooses."""
    found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?$", step)
    if found is None or found[1] not in BIG:
        return False
    return found[2] is None or (is_chosen and found[2] not in partial)


def without_order(sql, params):
    """Return a statement without its orders and limits, and the parameters that are left."""
    left = list(params or ())
    for found in reversed([*ORDERS.finditer(sql)]):
        first = sql[: found.start()].count("%s")
        del left[first : first + found[0].count("%s")]
    return ORDERS.sub("", sql), left


def nodes(plan) -> Iterator[dict]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def fault_of_node(node, partial) -> str:
    table, kind = node.get("Relation Name"), node["Node Type"]
    if table not in BIG:
        return ""
    if kind == "Seq Scan":
        return f"reads {table}: {node.get('Filter', 'all of it')}"
    is_walk = "Index" in kind and "Index Cond" not in node and "Filter" in node
    if is_walk and node["Index Name"] not in partial:
        return f"walks {node['Index Name']} for {node['Filter']}"
    return ""


@pytest.fixture
def world():
    fill.fill(posts=4_000, schedules=60)
    RedditPost.objects.filter(pk__lte=40).update(held_at=timezone.now(), hold_reason="a court")
    harness.settle()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("world")
def test_no_page_and_no_job_reads_a_big_table_without_an_index(client):
    client.force_login(User.objects.create_superuser("plans"))
    statements: dict[str, list[tuple[str, object]]] = {}
    for name, address in (ADDRESSES | SEARCHES).items():
        with recorded() as statements[name]:
            answer = client.get(f"/admin/{address}")
        assert answer.status_code == 200, (name, answer)
    for job in JOBS:
        run = request_run(job=job, trigger=JobRun.Trigger.COMMAND, force_reason="a test", send=False)
        with recorded() as statements[job]:
            performing.perform(run, worker="plans")

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
    try:
        found = {
            (name, fault): sql
            for name, made in statements.items()
            for sql, params in made
            for fault in faults(sql, params)
        }
    finally:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("RESET enable_seqscan")

    assert not found, "\n".join(f"{name}: {fault}\n    {sql[-300:]}" for (name, fault), sql in found.items())


@pytest.mark.django_db
def test_silent_and_unusual_subreddits_are_found_by_their_indexes():
    bot, now = factories.bot_config(), timezone.now()
    figures = {"counted_from": now, "posts": 1, "usual_low": 1, "usual_high": 1}
    Freshness.objects.bulk_create(
        Freshness(config=bot, subreddit=f"s{number}", verdict="usual", **figures) for number in range(500)
    )
    factories.freshness(config=bot, verdict="fewer", **figures)
    factories.freshness(config=bot, silent_since=now, why="private")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    found = {}
    for name, rows in {"silent": Freshness.objects.silent(), "unusual": Freshness.objects.unusual()}.items():
        assert rows.count() == 1
        found[name] = rows.order_by("pk")[:200].explain()

    assert "freshness_silent" in found["silent"]
    # SQLite does not look into parameters for the condition of an index.
    assert "freshness_unusual" in found["unusual"] or connection.vendor == "sqlite"
