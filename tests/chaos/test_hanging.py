"""Jobs that hang in real workers: they are killed and named, and the worker continues with the next run."""

import os
import subprocess
import sys
from datetime import timedelta

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from maintenance.ledger import interventions, requests
from maintenance.models import JobRun
from maintenance.scheduling import recovery
from scraping.models import RedditPost
from tests.chaos import misbehaving
from tests.chaos.services import misbehaving_worker as worker
from tests.full_disk import full_when_posts_are_deleted, make_room
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "misbehaving_jobs")]


def request(job):
    return requests.request_run(job=job, trigger="command")


def last_attempts(jobs):
    """Return the last attempts of these jobs once they have ended; this process does the leading scheduler's work."""

    def over():
        JobRun.objects.queued().update(not_before=None)
        recovery.republish()
        goes_on = ["queued", "running", "interrupted"]
        found = {run.job: run for run in JobRun.objects.filter(job__in=jobs).exclude(status__in=goes_on)}
        return len(found) == len(jobs) and found

    return wait_until(over, timeout=150, every=0.3)


@pytest.fixture
def no_room_at_commit():
    """A PostgreSQL whose disk is full whenever a purge of posts commits; and a post that such a purge would delete."""
    if connection.vendor == "sqlite":
        yield
        make_room(connection.connection)
        return
    factories.post(created_at=timezone.now() - timedelta(days=100))
    with full_when_posts_are_deleted():
        yield


def test_jobs_that_get_nowhere_end_and_others_go_on(no_room_at_commit):
    hanging = ["hang_in_python", *(["hang_in_sql"] if connection.vendor == "postgresql" else [])]
    full = "purge_old_content" if connection.vendor == "postgresql" else "fill_the_disk"
    jobs = [*hanging, "go_on", "stand_still", "exit_at_once", full]
    with worker(concurrency=5) as service:
        for job in jobs:
            request(job)
        last = last_attempts(jobs)
        assert_another_run_succeeds()
        assert service.process.poll() is None
        assert_the_server_works_on_nothing()

    def ends_before(job):
        return {
            *JobRun.objects.filter(job=job, attempt__lt=last[job].attempt).values_list("status", "reason")
        }

    for job in hanging:
        assert (last[job].status, last[job].reason, last[job].attempt) == ("failed", "too_many_attempts", 3)
        assert f"longer than its time limit of {misbehaving.LIMIT} s" in last[job].error
        assert "no other is made" in last[job].error
        assert job in last[job].traceback
        assert "celery" not in last[job].traceback  # it begins at the job
        assert ends_before(job) == {("interrupted", "time_limit")}
    for job, reason in [
        ("stand_still", "handed_on"),
        ("exit_at_once", "terminated"),
        (full, "database_full"),
    ]:
        assert (last[job].status, last[job].reason, last[job].attempt) == ("failed", "too_many_attempts", 3)
        assert ends_before(job) == {("interrupted", reason)}
    assert ("could not extend file" if full == "purge_old_content" else "disk is full") in last[full].error
    assert RedditPost.objects.exists() == (full == "purge_old_content")
    assert last["go_on"].status == "succeeded"
    assert last["go_on"].attempt >= 3
    assert ends_before("go_on") == {("interrupted", "handed_on")}


def assert_another_run_succeeds():
    request("cleanup_login_sessions")
    # Given to a child just as it was killed, a message is lost with it: then the scheduler sends it again.
    assert last_attempts(["cleanup_login_sessions"])["cleanup_login_sessions"].status == "succeeded"


def assert_the_server_works_on_nothing():
    if connection.vendor == "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
        )
        assert cursor.fetchone() == (0,)


def test_force_stop_kills_that_child_only():
    operator = factories.user("maintenance.cancel_jobrun")
    with worker() as service:
        run = request("hang_for_long")
        wait_until(lambda: JobRun.objects.get(pk=run.pk).status == "running", timeout=40)
        child = int(JobRun.objects.get(pk=run.pk).worker.rpartition(":")[2])
        interventions.cancel_run(run, by=operator)
        with pytest.raises(interventions.NotPossible, match="30 seconds"):
            interventions.force_stop_run(run, by=operator)
        JobRun.objects.filter(pk=run.pk).update(cancel_requested_at=timezone.now() - timedelta(seconds=31))

        interventions.force_stop_run(run, by=operator)

        wait_until(lambda: JobRun.objects.get(pk=run.pk).is_final, timeout=20)
        wait_until(lambda: not psutil.pid_exists(child), timeout=20)
        assert service.process.poll() is None
        assert_another_run_succeeds()

    run.refresh_from_db()
    assert (run.status, run.reason) == ("cancelled", "operator")
    assert "by force" in run.error
    assert [line.text for line in run.log_lines.all()] == [f"{operator.username} has it stopped by force."]
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_a_command_that_hangs_ends_and_says_so():
    script = (
        "import sys, django; django.setup(); from tests.chaos import misbehaving; misbehaving.declare();"
        "from django.core.management import call_command; call_command('run_job', 'hang_in_python')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "DATABASE_URL": factories.database_url(),
            "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1, ended.stderr
    assert "hang_in_python" in ended.stdout
    assert "longer than its time limit of 2 s" in ended.stderr
    run = JobRun.objects.get(attempt=1)
    assert (run.status, run.reason) == ("interrupted", "time_limit")
