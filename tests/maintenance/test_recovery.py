"""Lost workers, lost messages, ended pauses."""

from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from adminkit.templatetags.display import moment
from maintenance.ledger import requests
from maintenance.models import JobRun
from maintenance.scheduling import recovery
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(minutes=5)


def lost_run(**fields):
    ago = timezone.now() - LONG_AGO
    return factories.job_run(status="running", started_at=ago, heartbeat_at=ago, **fields)


def test_a_silent_run_is_interrupted_and_its_next_attempt_resumes_the_cursor():
    run = lost_run(cursor={"scraping.RedditPost": ["2026-01-01T00:00:00+00:00", 7]})
    alive = factories.job_run(status="running", job="cleanup_sessions", heartbeat_at=timezone.now())

    assert recovery.interrupt_lost_runs() == 1

    run.refresh_from_db()
    alive.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)
    assert (run.status, run.reason) == ("interrupted", "worker_lost")
    assert run.error == f"Worker w was lost: no heartbeat since {moment(run.heartbeat_at)}."
    assert (attempt.status, attempt.attempt, attempt.cursor) == ("queued", 2, run.cursor)
    assert attempt.sent_at is not None
    assert alive.status == "running"


def test_a_run_that_kills_its_workers_fails_at_the_third_loss():
    run, waits = lost_run(), []
    for _ in range(2):
        recovery.interrupt_lost_runs()
        run = JobRun.objects.get(retry_of=run)
        waits.append(run.not_before is not None)
        JobRun.objects.filter(pk=run.pk).update(not_before=None)
        run.claim(worker="w")
        JobRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - LONG_AGO)
    recovery.interrupt_lost_runs()

    run.refresh_from_db()
    assert waits == [False, True]  # a second loss may have a cause in the run
    assert (run.status, run.reason, run.attempt) == ("failed", "too_many_attempts", 3)
    assert "no other is made" in run.error
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_being_handed_back_does_not_count_as_a_loss():
    handed_back = factories.job_run(status="interrupted", reason="worker_stopped", attempt=2)
    run = lost_run(retry_of=handed_back, attempt=3)

    recovery.interrupt_lost_runs()

    run.refresh_from_db()
    assert run.status == "interrupted"
    assert JobRun.objects.filter(retry_of=run).exists()


def test_a_run_that_beats_again_at_the_last_moment_is_left_alone():
    run = lost_run()
    stale = JobRun.objects.get(pk=run.pk)
    JobRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now())

    with transaction.atomic():
        recovery._interrupt(stale)

    run.refresh_from_db()
    assert run.status == "running"
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_the_session_of_a_lost_run_is_closed_and_others_are_not():
    session = factories.session(status="running", run=lost_run(job="auto_scraping"))
    busy = factories.session(
        status="running", run=factories.job_run(status="running", job="x", heartbeat_at=timezone.now())
    )

    recovery.interrupt_lost_runs()

    session.refresh_from_db()
    busy.refresh_from_db()
    assert (session.status, busy.status) == ("interrupted", "running")


def test_a_message_that_was_never_sent_is_sent(broker):
    run = factories.job_run(status="queued", queued_at=timezone.now() - LONG_AGO)
    fresh = factories.job_run(status="queued", job="cleanup_sessions", queued_at=timezone.now())

    assert recovery.republish() == 1

    run.refresh_from_db()
    fresh.refresh_from_db()
    assert run.sent_at is not None
    assert fresh.sent_at is None  # its sender may be about to send it


def test_a_message_that_got_lost_is_sent_again(broker):
    ago = timezone.now() - LONG_AGO
    run = factories.job_run(status="queued", queued_at=ago, sent_at=ago)

    assert recovery.republish() == 1

    run.refresh_from_db()
    assert run.sent_at > ago


def test_a_message_that_still_waits_is_not_sent_twice(broker):
    waiting = requests.request_run(job="cleanup_sessions", trigger="command")
    ago = timezone.now() - LONG_AGO
    JobRun.objects.filter(pk=waiting.pk).update(queued_at=ago, sent_at=ago)

    assert recovery.republish() == 0


def test_no_message_is_sent_for_a_run_behind_a_running_one(broker):
    factories.job_run(status="running", concurrency_key="k", heartbeat_at=timezone.now())
    factories.job_run(status="queued", concurrency_key="k", queued_at=timezone.now() - LONG_AGO)

    assert recovery.republish() == 0


def test_a_run_of_a_job_only_a_newer_process_knows_waits_a_day_and_then_fails(broker):
    now = timezone.now()
    fresh = factories.job_run(status="queued", job="tomorrows", queued_at=now - timedelta(hours=23))
    stale = factories.job_run(status="queued", job="bygone", queued_at=now - timedelta(hours=25))

    recovery.republish()

    fresh.refresh_from_db()
    stale.refresh_from_db()
    assert (fresh.status, stale.status, stale.reason) == ("queued", "failed", "unknown_job")
    assert "bygone" in stale.error


@pytest.mark.parametrize("sent", [None, LONG_AGO])
def test_runs_of_jobs_only_a_newer_process_knows_keep_no_other_run_from_being_sent(broker, monkeypatch, sent):
    monkeypatch.setattr(recovery, "REPUBLISHED_MAX", 2)
    now = timezone.now()
    asked = {"status": "queued", "queued_at": now - LONG_AGO, "sent_at": sent and now - sent}
    tomorrows = [factories.job_run(job="tomorrows", **asked) for _ in range(3)]
    known = factories.job_run(job="cleanup_sessions", **asked)

    assert recovery.republish() == 1

    known.refresh_from_db()
    assert known.sent_at is not None
    assert known.sent_at != asked["sent_at"]
    assert set(JobRun.objects.filter(pk__in=[run.pk for run in tomorrows]).values_list("status")) == {
        ("queued",)
    }


def test_a_lost_run_of_an_unknown_job_does_not_stop_the_sweep():
    ago = timezone.now() - LONG_AGO
    factories.job_run(status="running", job="tomorrows", started_at=ago, heartbeat_at=ago)
    run = lost_run(job="cleanup_sessions")

    assert recovery.interrupt_lost_runs() == 2

    assert JobRun.objects.filter(retry_of=run).exists()


def test_a_lost_run_that_was_being_cancelled_is_cancelled_and_not_made_again():
    run = lost_run(cancel_requested_at=timezone.now())

    recovery.interrupt_lost_runs()

    run.refresh_from_db()
    assert (run.status, run.reason) == ("cancelled", "operator")
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_losses_with_progress_between_them_do_not_add_up():
    run = lost_run(cursor={"step": 1})
    for step in (2, 3, 4):
        recovery.interrupt_lost_runs()
        run = JobRun.objects.get(retry_of=run)
        run.claim(worker="w")
        JobRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - LONG_AGO, cursor={"step": step})
    recovery.interrupt_lost_runs()

    run.refresh_from_db()
    assert (run.status, run.attempt) == ("interrupted", 4)


def test_nothing_is_lost_while_the_broker_is_away(no_broker):
    run = factories.job_run(status="queued", queued_at=timezone.now() - LONG_AGO)

    assert recovery.republish() == 0

    run.refresh_from_db()
    assert (run.status, run.sent_at) == ("queued", None)


def test_a_scheduler_whose_clock_is_ahead_takes_no_living_worker_for_lost():
    run = factories.job_run(status="running", heartbeat_at=timezone.now())

    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert recovery.interrupt_lost_runs() == 0

    run.refresh_from_db()
    assert run.status == "running"


def test_a_run_is_sent_when_its_time_has_come_and_not_before(broker):
    now = timezone.now()
    long_ago = now - timedelta(minutes=10)
    early = factories.job_run(status="queued", queued_at=long_ago, not_before=now + timedelta(minutes=1))
    due = factories.job_run(status="queued", queued_at=long_ago, not_before=now - timedelta(seconds=1))

    assert recovery.republish() == 1

    early.refresh_from_db()
    due.refresh_from_db()
    assert (early.sent_at, due.sent_at is not None) == (None, True)


def test_what_a_clock_ahead_has_written_counts_from_now_on(broker):
    now = timezone.now()
    ahead = now + timedelta(hours=8)
    dead = factories.job_run(status="running", started_at=now, heartbeat_at=ahead)
    alive = factories.job_run(status="running", job="cleanup_sessions", heartbeat_at=now)
    message = factories.job_run(
        status="queued", job="cleanup_login_sessions", queued_at=now - LONG_AGO, sent_at=ahead
    )
    beat_at = alive.heartbeat_at

    recovery.pull_back_the_future(now)

    for run in (dead, alive, message):
        run.refresh_from_db()
    assert abs(dead.heartbeat_at - now) < timedelta(minutes=1)
    assert abs(message.sent_at - now) < timedelta(minutes=1)
    assert alive.heartbeat_at == beat_at


def test_a_message_lost_long_ago_is_sent_again_although_others_wait(broker):
    ago = timezone.now() - timedelta(minutes=11)
    lost = factories.job_run(status="queued", queued_at=ago, sent_at=ago)
    waits = factories.job_run(
        status="queued", job="cleanup_sessions", queued_at=ago, sent_at=timezone.now() - timedelta(minutes=1)
    )
    requests.request_run(job="cleanup_login_sessions", trigger="admin")

    assert recovery.republish() == 1

    before = waits.sent_at
    lost.refresh_from_db()
    waits.refresh_from_db()
    assert lost.sent_at > ago
    assert waits.sent_at == before
