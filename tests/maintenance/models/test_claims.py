"""A claim: only one of many processes claims a run that may start, and only that process may write it."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from maintenance.models import JobRun
from maintenance.scheduling import maintenance_mode
from tests.kit import factories
from tests.kit.steps import requested

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


def test_only_one_of_many_claims_succeeds():
    run = requested("cleanup_tokens")
    won = []

    def claim():
        try:
            won.append(JobRun.objects.get(pk=run.pk).claim(worker=threading.current_thread().name))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == [False] * 7 + [True]


def test_a_job_does_not_run_beside_itself_but_beside_others():
    first, second, other = (
        requested("cleanup_tokens"),
        requested("cleanup_tokens"),
        requested("cleanup_sessions"),
    )

    assert first.claim(worker="a")
    assert not second.claim(worker="b")
    assert other.claim(worker="c")

    second.refresh_from_db()
    assert second.status == Status.QUEUED


def test_a_claim_is_one_statement_and_reads_what_it_claimed(django_assert_num_queries):
    run = requested("purge_old_content", params={"days": 5})
    claimed = JobRun(pk=run.pk, job="purge_old_content")
    with django_assert_num_queries(1):
        assert claimed.claim(worker="w")

    stored = JobRun.objects.get(pk=run.pk)
    assert (stored.status, stored.worker, stored.params) == (Status.RUNNING, "w", {"days": 5})
    for field in JobRun._meta.concrete_fields:
        assert getattr(claimed, field.attname) == getattr(stored, field.attname), field.name


def test_a_claim_takes_nothing_of_another_job_and_nothing_that_is_gone():
    run, gone = requested("cleanup_tokens"), requested("cleanup_sessions")
    pk = gone.pk
    gone.delete()

    assert not JobRun(pk=run.pk, job="cleanup_sessions").claim(worker="w")
    assert not JobRun(pk=pk, job="cleanup_sessions").claim(worker="w")
    run.refresh_from_db()
    assert run.status == Status.QUEUED


def test_scrapes_of_two_bots_may_run_side_by_side_but_not_of_one():
    one, two = factories.bot_config(), factories.bot_config()
    runs_of_one = [requested("scrape_now", params={"config": one.pk}) for _ in range(2)]
    run_of_two = requested("scrape_now", params={"config": two.pk})

    assert runs_of_one[0].claim(worker="a")
    assert not runs_of_one[1].claim(worker="b")
    assert run_of_two.claim(worker="c")


@pytest.mark.slow
@pytest.mark.parametrize("status", ["queued", "running", "blocked"])
@pytest.mark.parametrize("mode", [False, True])
@pytest.mark.parametrize("wait", [None, -5, 5])
@pytest.mark.parametrize("is_scheduled", [False, True])
def test_what_may_start_is_what_a_claim_takes(status, mode, wait, is_scheduled):
    now = timezone.now()
    if mode:
        maintenance_mode.start(by=None, reason="x")
    run = factories.job_run(
        status=status,
        trigger="schedule" if is_scheduled else "admin",
        scheduled_for=now if is_scheduled else None,
        not_before=None if wait is None else now + timedelta(seconds=wait),
    )
    may = JobRun.objects.may_start().filter(pk=run.pk).exists()

    assert JobRun(pk=run.pk, job=run.job).claim(worker="w") == may


def test_a_claim_refused_within_a_transaction_leaves_that_usable():
    first, second = requested("cleanup_tokens"), requested("cleanup_tokens")
    assert first.claim(worker="a")
    with transaction.atomic():
        assert not second.claim(worker="b")
        assert JobRun.objects.count() == 2


def test_only_the_worker_that_claimed_a_run_may_write_it():
    run = requested("cleanup_tokens")
    run.claim(worker="a")
    other = JobRun.objects.get(pk=run.pk)
    other.worker = "b"

    assert not other.record(stage="mine")
    assert not other.finish(Status.SUCCEEDED)
    assert run.record(stage="mine")
