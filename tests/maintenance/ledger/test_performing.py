"""A run from its claim to its end: what it stores, and which run follows."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from maintenance.ledger import dispatch, heartbeat, performing
from maintenance.models import JobRun, RunLogLine
from maintenance.scheduling import maintenance_mode
from maintenance.stops import JobFailed
from tests.kit import factories
from tests.kit.steps import ran, requested
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


def test_in_maintenance_mode_the_end_of_a_run_lets_a_manual_one_pass_a_scheduled_one(broker):
    maintenance_mode.start(by=None, reason="x")
    now = timezone.now()
    factories.job_run(
        status="queued", trigger="schedule", scheduled_for=now, concurrency_key="cleanup_tokens"
    )
    manual = factories.job_run(status="queued", trigger="admin", concurrency_key="cleanup_tokens")

    dispatch.publish_next("cleanup_tokens")

    manual.refresh_from_db()
    assert manual.sent_at is not None


def test_a_good_run_leaves_its_facts(declare):
    def count_sheep(ctx):
        """Count."""
        ctx.count("sheep", 3)
        ctx.report(3, 3, "sheep")
        ctx.log("all counted")
        ctx.message = "asleep"

    run = ran(declare(count_sheep))

    assert (run.status, run.counts, run.message) == (Status.SUCCEEDED, {"sheep": 3}, "asleep")
    assert (run.progress_done, run.progress_total, run.stage) == (3, 3, "sheep")
    assert run.queued_at <= run.started_at <= run.finished_at
    assert [line.text for line in run.log_lines.all()] == ["all counted"]


def test_a_failure_is_recorded_and_then_raised_again(declare):
    def stumble(ctx):
        """Stumble."""
        ctx.count("steps", 1)
        raise ZeroDivisionError("no ground")

    run = requested(declare(stumble))
    with pytest.raises(ZeroDivisionError):
        performing.perform(run)

    run.refresh_from_db()
    assert (run.status, run.error, run.counts) == (
        Status.FAILED,
        "ZeroDivisionError: no ground",
        {"steps": 1},
    )
    assert "stumble" in run.traceback


def test_a_plain_refusal_keeps_no_traceback(declare):
    def refuse(ctx):
        """Refuse."""
        raise JobFailed("the moon is full")

    run = ran(declare(refuse))

    assert (run.status, run.error, run.traceback) == (Status.FAILED, "the moon is full", "")


def test_a_partly_done_run_is_partial(declare):
    def halve(ctx):
        """Do half."""
        ctx.partial("one of two")

    assert ran(declare(halve)).status == Status.PARTIAL


def test_a_run_taken_from_its_worker_writes_nothing_more(declare):
    def overtaken(ctx):
        """Lose the run while working."""
        JobRun.objects.filter(pk=ctx.run.pk).update(
            status=Status.INTERRUPTED, finished_at=timezone.now(), message="taken"
        )
        ctx.save_cursor(step=1)
        pytest.fail("the lost run went on")

    run = ran(declare(overtaken))

    assert (run.status, run.message, run.cursor) == (Status.INTERRUPTED, "taken", None)


def test_a_running_run_tells_that_it_is_alive(declare, monkeypatch, settings):
    settings.HEARTBEAT_SECONDS = 0.02
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.01)

    def wait(ctx):
        """Wait for a heartbeat."""
        claimed = JobRun.objects.get(pk=ctx.run.pk).heartbeat_at
        wait_until(lambda: JobRun.objects.get(pk=ctx.run.pk).heartbeat_at > claimed, timeout=10)

    assert ran(declare(wait)).status == Status.SUCCEEDED


def test_a_dry_run_may_run_beside_the_real_one():
    assert requested("cleanup_tokens").claim(worker="a")
    assert requested("cleanup_tokens", dry_run=True).claim(worker="b")


def test_the_message_of_a_waiting_run_is_sent_when_the_one_before_it_ends():
    first, second = requested("cleanup_tokens"), requested("cleanup_tokens")

    performing.perform(first)

    second.refresh_from_db()
    assert second.sent_at is not None


def test_a_preview_writes_nothing():
    factories.post(created_at=timezone.now() - timedelta(days=100))

    plan = performing.preview("purge_old_content")

    assert [(row.model, row.rows) for row in plan.tables] == [
        ("scraping.RedditPost", 1),
        ("scraping.RedditComment", 0),
    ]
    assert not JobRun.objects.exists()
    assert not RunLogLine.objects.exists()


@pytest.mark.parametrize(
    ("failure", "status", "attempts"),
    [
        (ValueError("no such retention"), Status.FAILED, 1),
        (OperationalError("the server is starting"), Status.INTERRUPTED, 2),
        (SystemExit(0), Status.INTERRUPTED, 2),
    ],
)
def test_a_run_that_cannot_begin_tells_why_and_lets_the_next_one_start(
    monkeypatch, broker, failure, status, attempts
):
    def fail(*_args, **_kwargs):
        raise failure

    run, behind = requested("cleanup_tokens"), requested("cleanup_tokens")
    JobRun.objects.filter(pk=behind.pk).update(sent_at=None)
    monkeypatch.setattr(performing, "_context", fail)

    with pytest.raises(type(failure)):
        performing.perform(run)

    run.refresh_from_db()
    behind.refresh_from_db()
    assert (run.status, JobRun.objects.exclude(pk=behind.pk).count()) == (status, attempts)
    assert str(failure) in run.error or status != Status.FAILED
    assert run.traceback
    assert (behind.status, behind.sent_at is not None) == ("queued", True)
