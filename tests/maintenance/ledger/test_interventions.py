"""Decisions of people about a run: cancel, approve, reject."""

import threading
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone

from maintenance.ledger import interventions, performing
from maintenance.models import JobRun
from tests.kit import factories
from tests.kit.steps import ran, requested
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


@pytest.mark.slow
def test_a_running_run_is_cancelled_at_its_next_checkpoint(declare):
    started = threading.Event()

    def wait(ctx):
        """Wait for the end."""
        started.set()
        wait_until(lambda: ctx.checkpoint(), timeout=20)

    run = requested(declare(wait))

    def cancel():
        started.wait(10)
        interventions.cancel_run(JobRun.objects.get(pk=run.pk), by=factories.superuser())
        connection.close()

    thread = threading.Thread(target=cancel)
    thread.start()
    performing.perform(run)
    thread.join()

    run.refresh_from_db()
    assert (run.status, run.reason) == (Status.CANCELLED, "operator")


def test_a_queued_run_is_cancelled_at_once_and_never_performed():
    run = requested("cleanup_tokens")

    interventions.cancel_run(run, by=factories.superuser())

    assert not performing.perform(run)
    run.refresh_from_db()
    assert run.status == Status.CANCELLED


def test_a_finished_run_cannot_be_cancelled():
    run = factories.job_run(status="succeeded")

    with pytest.raises(interventions.NotPossible, match="succeeded"):
        interventions.cancel_run(run, by=factories.superuser())


def test_cancelling_needs_its_permission():
    run = requested("cleanup_tokens")

    with pytest.raises(PermissionDenied):
        interventions.cancel_run(run, by=factories.user())

    run.refresh_from_db()
    assert run.status == Status.QUEUED


def test_what_an_operator_cancelled_is_not_handed_back(declare):
    def work(ctx):
        """Be cancelled and told to stop at once."""
        JobRun.objects.filter(pk=ctx.run.pk).update(cancel_requested_at=timezone.now())
        ctx.checkpoint()

    run = requested(declare(work))
    performing.perform(run, stopping=lambda: True)

    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_a_purge_over_the_cap_is_blocked_and_goes_on_once_approved(settings):
    settings.PURGE_CAP_ROWS = 1
    old = timezone.now() - timedelta(days=100)
    for _ in range(2):
        factories.post(created_at=old)
    survivor = factories.post(created_at=timezone.now())

    run = ran("purge_old_content")
    assert (run.status, run.counts) == (Status.BLOCKED, {})
    assert [table["rows"] for table in run.plan["tables"]] == [2, 0]
    assert type(survivor).objects.count() == 3

    interventions.approve_run(run, by=factories.superuser(username="ada"), reason="after the import")
    run.refresh_from_db()
    assert run.status == Status.QUEUED
    performing.perform(run)

    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED
    assert list(type(survivor).objects.all()) == [survivor]


def test_a_rejected_purge_deletes_nothing(settings):
    settings.PURGE_CAP_ROWS = 0
    factories.post(created_at=timezone.now() - timedelta(days=100))
    run = ran("purge_old_content")

    interventions.reject_run(run, by=factories.superuser(), reason="looks wrong")

    run.refresh_from_db()
    assert (run.status, run.message.endswith("looks wrong")) == (Status.CANCELLED, True)


def test_approval_needs_its_permission():
    run = factories.job_run(status="blocked")

    with pytest.raises(PermissionDenied):
        interventions.approve_run(run, by=factories.user(), reason="please")


def test_approving_forgets_a_cancel_that_came_too_late():
    run = factories.job_run(status="blocked", cancel_requested_at=timezone.now())

    interventions.approve_run(run, by=factories.superuser(), reason="checked")

    run.refresh_from_db()
    assert (run.status, run.cancel_requested_at) == (Status.QUEUED, None)


@pytest.mark.slow
def test_two_people_who_retry_a_run_at_once_request_one_run():
    run, boss = factories.job_run(status="failed"), factories.superuser()
    refusals = []

    def retry_too():
        try:
            with pytest.raises(interventions.NotPossible) as refused:
                interventions.retry_run(JobRun.objects.get(pk=run.pk), by=boss)
            refusals.append(str(refused.value))
        finally:
            connection.close()

    thread = threading.Thread(target=retry_too)
    with transaction.atomic():
        made = interventions.retry_run(run, by=boss)
        thread.start()
        thread.join(0.5)
    thread.join()

    assert refusals == [f"#{made.pk} does the same and is not over."]
    assert JobRun.objects.queued().count() == 1
