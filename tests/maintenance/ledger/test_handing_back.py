"""Attempts that end before their work is done: another attempt continues, at once or later, or there is none."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from maintenance.ledger import dispatch, interventions, performing
from maintenance.models import JobRun
from maintenance.stops import HandBack
from tests.kit import factories
from tests.kit.steps import at_once, ran, requested

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


def test_a_cancelled_run_that_meets_a_database_error_does_not_go_on(declare):
    def cancelled_then_locked_out(ctx):
        """Stop."""
        interventions.cancel_run(JobRun.objects.get(pk=ctx.run_id), by=factories.superuser())
        raise OperationalError("lock timeout")

    run = requested(declare(cancelled_then_locked_out))
    with pytest.raises(OperationalError):
        performing.perform(run)

    run.refresh_from_db()
    assert (run.status, run.reason) == (Status.CANCELLED, "operator")
    assert JobRun.objects.count() == 1


@pytest.mark.parametrize("subject", ["schedule", "person"])
def test_a_run_is_handed_back_although_its_schedule_or_person_was_deleted(declare, subject):
    schedule, person = factories.schedule(task="maintenance.hand_back"), factories.superuser()

    def hand_back(ctx):
        """Stop."""
        (schedule if subject == "schedule" else person).delete()
        raise HandBack("worker_stopped")

    declare(hand_back)
    run = factories.job_run(
        job="hand_back", status="queued", schedule=schedule, schedule_name="nightly", requested_by=person
    )
    performing.perform(run)

    attempt = JobRun.objects.get(retry_of=run)
    assert (attempt.status, attempt.schedule_name) == (Status.QUEUED, "nightly")
    assert (attempt.schedule is None) == (subject == "schedule")
    assert (attempt.requested_by is None) == (subject == "person")


def test_a_worker_that_stops_hands_back_and_the_next_attempt_resumes(declare):
    seen = []

    def walk(ctx):
        """Walk on from the cursor."""
        for step in range(ctx.cursor.get("step", 0), 4):
            seen.append(step)
            ctx.save_cursor(step=step + 1)
            ctx.checkpoint()

    run = requested(declare(walk))
    performing.perform(run, stopping=lambda: len(seen) == 2)
    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)
    performing.perform(attempt)
    attempt.refresh_from_db()

    assert (run.status, run.reason) == (Status.INTERRUPTED, "worker_stopped")
    assert (attempt.status, attempt.trigger, attempt.attempt) == (Status.SUCCEEDED, "retry", 2)
    assert seen == [0, 1, 2, 3]


def test_a_run_that_the_database_left_goes_on_as_the_next_attempt(declare):
    def meet_a_restart(ctx):
        """Meet a restart of the database."""
        ctx.save_cursor(step=1)
        raise OperationalError("server closed the connection unexpectedly")

    run = requested(declare(meet_a_restart))
    with pytest.raises(OperationalError):
        performing.perform(run)

    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)
    assert (run.status, run.reason) == (Status.INTERRUPTED, "database")
    assert (attempt.status, attempt.cursor["step"]) == (Status.QUEUED, 1)


def test_a_run_that_always_meets_the_same_database_error_fails_in_the_end(declare):
    def fail(ctx):
        """Fail without getting any further."""
        raise OperationalError("out of shared memory")

    run = requested(declare(fail))
    for _ in range(3):
        with pytest.raises(OperationalError):
            performing.perform(run)
        run.refresh_from_db()
        last, run = run, at_once(JobRun.objects.filter(retry_of=run).first())

    assert run is None
    assert (last.status, last.reason) == (Status.FAILED, "too_many_attempts")
    assert "out of shared memory" in last.error


def handing_back(until, seen):
    def wait_for_requests(ctx):
        """Go on later."""
        seen.append(ctx.cursor.get("step", 0))
        ctx.save_cursor(step=ctx.cursor.get("step", 0) + 1)
        if len(seen) < 5:
            ctx.hand_back(until=until(), message="later")

    return wait_for_requests


def test_a_run_handed_back_until_later_has_a_next_attempt_that_nobody_may_begin_before(declare, broker):
    later = timezone.now() + timedelta(minutes=5)
    slug = declare(handing_back(lambda: later, []))

    run = ran(slug)

    assert (run.status, run.reason, run.message) == (Status.INTERRUPTED, "waits", "later")
    attempt = run.next_attempt
    assert (attempt.status, attempt.not_before, attempt.cursor["step"]) == (Status.QUEUED, later, 1)
    assert attempt.sent_at is None
    assert not dispatch.publish(attempt)
    assert not performing.perform(attempt)
    dispatch.publish_next(attempt.concurrency_key)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.sent_at) == (Status.QUEUED, None)


def test_a_run_that_waits_stands_in_nobodys_way_and_may_be_cancelled(declare):
    later = timezone.now() + timedelta(minutes=5)
    seen = [0] * 3
    slug = declare(handing_back(lambda: later, seen))
    waiting = ran(slug).next_attempt

    other = ran(slug)
    interventions.cancel_run(waiting, by=factories.superuser())

    assert other.status == Status.SUCCEEDED
    waiting.refresh_from_db()
    assert waiting.status == Status.CANCELLED


def test_waiting_is_no_lost_attempt(declare):
    seen = []
    slug = declare(handing_back(timezone.now, seen))
    run = requested(slug)
    while run.status != Status.SUCCEEDED:
        assert performing.perform(run)
        run.refresh_from_db()
        run = getattr(run, "next_attempt", run)

    assert (run.attempt, seen) == (5, [0, 1, 2, 3, 4])


@pytest.mark.parametrize(("one_off", "status", "attempts"), [(False, "skipped", 1), (True, "interrupted", 2)])
def test_a_one_off_is_not_used_up_by_a_job_that_skips(declare, one_off, status, attempts):
    def busy(ctx):
        """Find somebody else at it."""
        ctx.skip("somebody else is at it")

    task = factories.schedule(task=f"maintenance.{declare(busy)}", one_off=one_off)
    run = factories.job_run(
        job="busy", status="queued", trigger="schedule", schedule=task, scheduled_for=timezone.now()
    )
    performing.perform(run)

    made = JobRun.objects.filter(schedule=task).order_by("pk")
    assert (made[0].status, made.count()) == (status, attempts)
    if one_off:
        assert made[1].not_before > timezone.now() + timedelta(seconds=50)
