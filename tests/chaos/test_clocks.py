"""Processes on hosts whose clocks differ from the database's (simulated with `faketime`)."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from maintenance.ledger import requests
from maintenance.models import JobRun
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no clock but its host's"),
    pytest.mark.skipif(
        shutil.which("faketime") is None, reason="faketime is not installed (apt-get install faketime)"
    ),
]
DAYS_KEPT = 90


def on_a_host_that_is_off_by(offset, *command):
    """Run a command with a wrong clock; return its JSON output and its exit code."""
    done = subprocess.run(
        ["faketime", "-f", offset, sys.executable, "manage.py", *command, "--json"],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": factories.database_url(),
            "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
            "PURGE_CAP_SHARE": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


@pytest.fixture
def posts():
    """One expired post, one a minute too young, and one of today."""
    now = timezone.now()
    ages = [timedelta(days=DAYS_KEPT, minutes=1), timedelta(days=DAYS_KEPT, minutes=-1), timedelta()]
    return [factories.post(created_at=now - age).pk for age in ages]


@pytest.mark.parametrize("days", [60, -60])
def test_a_host_whose_clock_is_wrong_deletes_nothing_and_names_both_times(posts, days):
    run, code = on_a_host_that_is_off_by(f"{days:+}d", "purge_old_content")

    assert (code, run["status"]) == (1, "failed")
    assert set(RedditPost.objects.values_list("pk", flat=True)) == {*posts}
    now = timezone.localtime()  # the console names times in its zone
    assert f"{now + timedelta(days=days):%Y-%m-%d %H}" in run["error"]
    assert f"{now:%Y-%m-%d %H}" in run["error"]


def test_a_plan_is_made_by_the_databases_clock(posts):
    run, code = on_a_host_that_is_off_by("+60d", "purge_old_content", "--dry-run")

    assert (code, run["counts"]["scraping.RedditPost"]) == (0, 1)
    (warning,) = JobRun.objects.get(pk=run["id"]).log_lines.filter(level="warning")
    assert "clock of host" in warning.text


@pytest.mark.parametrize("seconds", [40, -40])
def test_a_clock_that_is_off_by_less_than_a_minute_deletes_by_the_databases(posts, seconds):
    run, code = on_a_host_that_is_off_by(f"{seconds:+}s", "purge_old_content")

    assert (code, run["status"]) == (0, "succeeded")
    assert set(RedditPost.objects.values_list("pk", flat=True)) == {*posts[1:]}


@pytest.mark.parametrize("minutes", [5, -5])
def test_every_time_in_the_ledger_is_of_one_clock(minutes):
    before = timezone.now()

    run, _ = on_a_host_that_is_off_by(f"{minutes:+}m", "cleanup_login_sessions")

    times = [datetime.fromisoformat(run[name]) for name in ("queued_at", "started_at", "finished_at")]
    after, a_little = timezone.now(), timedelta(milliseconds=100)
    assert times == sorted(times)
    heartbeat = JobRun.objects.get(pk=run["id"]).heartbeat_at
    assert all(before - a_little < moment < after + a_little for moment in [*times, heartbeat])


def test_a_run_that_waits_for_its_time_waits_by_the_databases_clock():
    run = requests.request_run(job="cleanup_login_sessions", trigger="command", send=False)
    JobRun.objects.filter(pk=run.pk).update(not_before=timezone.now() + timedelta(minutes=3))
    script = (
        "import django; django.setup();"
        "from maintenance.ledger import performing; from maintenance.models import JobRun;"
        f"print(performing.perform(JobRun.objects.get(pk={run.pk})))"
    )

    done = subprocess.run(
        ["faketime", "-f", "+5m", sys.executable, "-c", script],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "DATABASE_URL": factories.database_url(),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "False"
