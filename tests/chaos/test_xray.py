"""A look at runs that hang in a real worker: how long until the page names who blocks them, and the line of code."""

import contextlib
import re
import threading
import time
from html import unescape

import psycopg2
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from maintenance.ledger.requests import request_run
from maintenance.models import JobRun
from tests.chaos.services import misbehaving_worker as worker
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "misbehaving_jobs")]
# Seconds between two looks of the page, and those in which each thing must be on it.
EVERY, BLOCKER_WITHIN, FRAME_WITHIN = 3, 3, 6
LOCK_POSTS = "SELECT id FROM scraping_redditpost ORDER BY id FOR UPDATE"


class Other:
    """Another session of the database, which blocks the run."""

    def __init__(self, stack, *statements, then=""):
        self.raw = psycopg2.connect(factories.database_url(), application_name="planted")
        stack.callback(self.raw.close)
        self.pid = self.raw.info.backend_pid
        with self.raw.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        if then:
            self.thread = threading.Thread(target=self._go_on, args=[then])
            self.thread.start()
            stack.callback(self.thread.join, 20)
            stack.callback(self._cancel)

    def _go_on(self, statement):
        with contextlib.suppress(psycopg2.Error), self.raw.cursor() as cursor:
            cursor.execute(statement)

    def _cancel(self):
        self.raw.cancel()


def a_row_that_a_busy_session_locks(stack):
    return "touch_posts", [Other(stack, LOCK_POSTS, then="SELECT pg_sleep(600)").pid]


def a_locked_table(stack):
    return "count_comments", [Other(stack, "LOCK TABLE scraping_redditcomment IN ACCESS EXCLUSIVE MODE").pid]


def a_forgotten_transaction(stack):
    return "touch_posts", [Other(stack, LOCK_POSTS).pid]


def an_advisory_lock(stack):
    return "take_a_lock", [Other(stack, "SELECT pg_advisory_lock(77)").pid]


def a_chain_of_two(stack):
    root = Other(stack, "SELECT id FROM scraping_redditpost WHERE title = 'last' FOR UPDATE")
    middle = Other(
        stack,
        "SELECT id FROM scraping_redditpost WHERE title = 'first' FOR UPDATE",
        then="SELECT id FROM scraping_redditpost WHERE title = 'last' FOR UPDATE",
    )
    return "touch_posts", [middle.pid, root.pid]


def page_of(client, run):
    return unescape(client.get(reverse("admin:maintenance_jobrun_xray", args=[run.pk])).content.decode())


def seconds_until_shown(run, **wanted):
    """Open the page and look again as it does; return after how many seconds each of the texts was on it."""
    client = Client()
    client.force_login(factories.superuser())
    began, shown = time.monotonic(), {}
    while len(shown) < len(wanted) and time.monotonic() - began < 30:
        page = page_of(client, run)
        for name, pattern in wanted.items():
            if re.search(pattern, page, re.DOTALL):
                shown.setdefault(name, time.monotonic() - began)
        if len(shown) < len(wanted):
            time.sleep(EVERY)
    assert len(shown) == len(wanted), page
    return shown


def has_locks_to_wait_for():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database() AND application_name <> 'planted'"
        )
        return cursor.fetchone()[0]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no sessions")
def test_five_blockages_are_named_with_the_line_of_code():
    factories.post(title="first")
    factories.post(title="last")
    plants = (
        a_row_that_a_busy_session_locks, a_locked_table, a_forgotten_transaction, an_advisory_lock, a_chain_of_two,
    )  # fmt: skip
    with worker():
        for plant in plants:
            with contextlib.ExitStack() as stack:
                job, pids = plant(stack)
                run = request_run(job=job, trigger="command")
                wait_until(has_locks_to_wait_for, timeout=40)
                shown = seconds_until_shown(
                    JobRun.objects.get(pk=run.pk),
                    blocker=".*".join(rf"Session {pid} of" for pid in pids),
                    frame=rf"tests/chaos/misbehaving\.py:\d+ execute\s.*misbehaving\.py:\d+ {job}\s",
                )
            figures = f"blocker {shown['blocker']:.1f} s, frame {shown['frame']:.1f} s"
            print(f"\n{plant.__name__}: {figures}", end="")  # noqa: T201  # the figures
            assert shown["blocker"] <= BLOCKER_WITHIN
            assert shown["frame"] <= FRAME_WITHIN
            wait_until(JobRun.objects.filter(pk=run.pk, status="succeeded").exists, timeout=20)


def test_a_job_that_sleeps_is_seen_where_it_sleeps():
    with worker():
        run = request_run(job="hang_for_long", trigger="command")
        wait_until(lambda: JobRun.objects.get(pk=run.pk).is_running, timeout=40)
        shown = seconds_until_shown(
            run,
            frame=r"misbehaving\.py:\d+ hang_for_long\s",
            memory=r"The process uses \d+\.\d\sMB of memory",
        )
    print(f"\nframe {shown['frame']:.1f} s, memory {shown['memory']:.1f} s")  # noqa: T201  # the figures
    assert max(shown.values()) <= FRAME_WITHIN
