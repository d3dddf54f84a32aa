"""kill -9 at random moments of a purge: the right rows survive, and the history has the count of the deleted ones.

By default there are few kills and few rows; PURGE_KILLS=50 is the long version, with 200,000 rows.
"""

import itertools
import multiprocessing
import os
import random
import signal
import time
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, connections
from django.utils import timezone

from bench import harness
from maintenance.ledger import performing, requests
from maintenance.models import JobRun
from maintenance.purging import batches
from scraping.models import RedditComment, RedditPost
from tests.kit.waiting import wait_until

KILLS = int(os.environ.get("PURGE_KILLS", "6"))
POSTS_PER_KILL, COMMENTS_PER_POST = 800, 4
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


# Connections that a child has inherited: referenced here, because closing them would close them for the parent too.
inherited = []


def perform(run_id, is_doomed):
    """Perform the run as a worker does, in a child process; one that will be killed waits for it before its end."""
    # While a browser's event loop runs, the parent has two connections: one for the loop, and one without, which the
    # child would find here. It must use neither.
    for wrapper in connections.all(initialized_only=True):
        inherited.append(wrapper.connection)
        wrapper.connection = None
    batches.BATCH_ROWS_FIRST = batches.BATCH_ROWS_MAX = 100
    if is_doomed:
        number, delete = itertools.count(1), batches.delete_in_batches

        def until_the_blow(*args, between, **options):
            def between_batches(gone):
                between(gone)
                if next(number) == POSTS_PER_KILL // 100 - 1:
                    signal.pause()

            return delete(*args, between=between_batches, **options)

        batches.delete_in_batches = until_the_blow
    performing.perform(JobRun.objects.get(pk=run_id))
    os._exit(0)


@pytest.mark.parametrize("share", [2, 0], ids=["along the key", "over the table"])
def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(settings, monkeypatch, share):
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", share)
    settings.PURGE_CAP_SHARE, settings.PURGE_THROTTLE = 1.0, 1.0
    draw = random.Random(7)
    posts = KILLS * POSTS_PER_KILL
    expired = posts - 500
    harness.fill_content(posts=posts, comments_per_post=COMMENTS_PER_POST, expired=expired)
    held = RedditPost.objects.filter(pk__in=draw.sample(range(1, expired + 1), 50))
    held.update(held_at=timezone.now() - timedelta(days=1), hold_reason="court order")
    survivors = set(held.values_list("pk", flat=True)) | set(range(expired + 1, posts + 1))
    run = requests.request_run(job="purge_old_content", trigger="command", send=False)
    attempts = [run]

    kills = 0
    while True:
        worker = start(run, is_doomed=kills < KILLS)
        # Sometimes before the first batch, usually during or between later ones.
        moment = begun if draw.random() < 0.2 else deleting
        wait_until(partial(moment, run), timeout=30, every=0.001)
        if kills < KILLS:
            time.sleep(draw.uniform(0, 0.012))
            worker.kill()
        worker.join(120)
        run.refresh_from_db()
        if run.is_final:
            break
        assert worker.exitcode == -signal.SIGKILL
        kills += 1
        assert run.mark_lost(silent_for=0, status="interrupted", reason="worker_lost", error="killed")
        run = requests.request_next_attempt(run)
        attempts.append(run)

    assert run.status == "succeeded"
    assert kills == KILLS
    for attempt in attempts:
        attempt.refresh_from_db()
    assert sum(bool(one.counts) for one in attempts[:-1]) >= KILLS // 2, (
        "it was killed before it deleted anything"
    )
    assert set(RedditPost.objects.values_list("pk", flat=True)) == survivors
    assert set(RedditComment.objects.values_list("post_id", flat=True)) == survivors
    gone = posts - len(survivors)
    assert sum(one.counts.get("scraping.RedditPost", 0) for one in attempts) == gone
    assert sum(one.counts.get("scraping.RedditComment", 0) for one in attempts) == gone * COMMENTS_PER_POST


def start(run, *, is_doomed):
    connection.close()  # a child must not share it
    worker = multiprocessing.get_context("fork").Process(target=perform, args=[run.pk, is_doomed])
    worker.start()
    return worker


def begun(run):
    return JobRun.objects.get(pk=run.pk).status != "queued"


def deleting(run):
    now = JobRun.objects.get(pk=run.pk)
    return now.counts or now.is_final
