"""A Celery application with jobs that misbehave, for the tests' workers (``celery -A tests.chaos.misbehaving``)."""

import os
import sys
import time
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from django.db import connection, transaction

from console.celery import app  # noqa: F401  (celery -A looks for it)
from tests.full_disk import leave_no_room

# How many seconds one attempt may take; these jobs hang much longer.
LIMIT = 2
EVER = 600


def hang_in_python(ctx):
    """Sleep without a checkpoint, and swallow every signal and exception."""
    while True:
        try:
            time.sleep(EVER)
        except BaseException:
            continue


def hang_in_sql(ctx):
    """Wait for the database within a transaction that has written the run's own row."""
    with transaction.atomic(), connection.cursor() as cursor:
        ctx.save_cursor(step=1)
        cursor.execute("SELECT pg_sleep(%s)", [EVER])


def go_on(ctx):
    """Reach checkpoints, three steps per attempt, for longer than the limit."""
    for step in range(ctx.cursor.get("step", 0), 8):
        ctx.checkpoint()
        time.sleep(LIMIT * 0.3)
        ctx.save_cursor(step=step + 1)


def stand_still(ctx):
    """Reach checkpoints, but make no progress."""
    while True:
        ctx.checkpoint()
        time.sleep(0.1)


def fill_the_disk(ctx):
    """Write until SQLite has no space left; afterwards there is some again, to store how the run ended."""
    leave_no_room(connection.connection)
    for _ in range(100):
        ctx.log("x" * 10_000)


def hang_for_long(ctx):
    """Hang, without a limit that a test could wait for."""
    time.sleep(EVER)


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def touch_posts(ctx):
    """Write each post, also one that somebody else has locked."""
    execute("UPDATE scraping_redditpost SET score = score")


def count_comments(ctx):
    """Read all comments, also while their table is locked."""
    execute("SELECT count(*) FROM scraping_redditcomment")


def take_a_lock(ctx):
    """Wait for an advisory lock that somebody else has."""
    execute("SELECT pg_advisory_xact_lock(77)")


def exit_at_once(ctx):
    """End the process in the middle of the work."""
    sys.exit(1)


def declare():
    """Put these jobs into the registry."""
    from maintenance import registry  # once Django is set up

    for function in (hang_in_python, hang_in_sql, go_on, stand_still, exit_at_once, fill_the_disk):
        registry.job(time_limit=timedelta(seconds=LIMIT))(function)
    for function in (hang_for_long, touch_posts, count_comments, take_a_lock):
        registry.job()(function)


if sys.argv[0].endswith("celery"):
    import django

    django.setup()
    declare()
