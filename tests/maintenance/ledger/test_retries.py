"""Retries after failures with a transient cause."""

from datetime import timedelta

import pytest
from django.utils import timezone

from maintenance import registry
from maintenance.ledger import performing, requests
from maintenance.models import JobRun, ScheduleControl
from maintenance.stops import JobFailed
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)
AFTER = (timedelta(minutes=5), timedelta(minutes=30))


def fail(*, is_transient=True, partly=False):
    def scrape(ctx):
        """Meet a server that is away."""
        ctx.save_cursor(finished=[1])
        if partly:
            ctx.partial("503", is_transient=is_transient)
        else:
            raise JobFailed("503", is_transient=is_transient)

    return scrape


def performed(run):
    JobRun.objects.filter(pk=run.pk).update(not_before=None)
    assert performing.perform(run)
    run.refresh_from_db()
    return run, JobRun.objects.filter(retry_of=run).first()


def request(slug, **options):
    return requests.request_run(job=slug, trigger="command", send=False, **options)


@pytest.mark.parametrize(("partly", "status"), [(False, "failed"), (True, "partial")])
def test_what_failed_for_a_cause_that_may_pass_is_tried_twice_more(declare, partly, status):
    run, waits = request(declare(fail(partly=partly), retries=AFTER)), []
    while run is not None:
        run, following = performed(run)
        assert run.status == status
        waits.append(following and following.not_before - timezone.now())
        last, run = run, following

    assert (last.attempt, last.trigger, last.cursor["finished"]) == (3, "retry", [1])
    assert waits[2] is None
    for wait, after in zip(waits, AFTER, strict=False):
        assert abs(wait - after) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("options", "is_transient", "request_options"),
    [({}, True, {}), ({"retries": AFTER}, False, {}), ({"retries": AFTER}, True, {"dry_run": True})],
    ids=["not declared", "would come again", "dry run"],
)
def test_nothing_else_is_tried_again(declare, options, is_transient, request_options):
    slug = declare(fail(is_transient=is_transient), **options)

    run, following = performed(request(slug, **request_options))

    assert (run.status, following) == ("failed", None)


def test_a_cancelled_run_is_not_tried_again(declare):
    def be_cancelled(ctx):
        """Fail just after a cancel."""
        ctx.run.ask_to_cancel()
        raise JobFailed("503", is_transient=True)

    assert performed(request(declare(be_cancelled, retries=AFTER)))[1] is None


def test_a_slot_is_not_left_out_for_a_retry_that_waits(declare):
    slug = declare(fail(), retries=AFTER)
    _, waiting = performed(request(slug))
    assert waiting.status == "queued"
    slot = JobRun(job=slug, concurrency_key=waiting.concurrency_key, queued_at=timezone.now())

    requests.Overlaps([slot.concurrency_key]).add(slot, ScheduleControl.OverlapPolicy.SKIP)

    assert slot.status == "queued"
    JobRun.objects.filter(pk=waiting.pk).update(not_before=timezone.now())
    requests.Overlaps([slot.concurrency_key]).add(slot, ScheduleControl.OverlapPolicy.SKIP)
    assert slot.status == "skipped"


def test_scraping_compliance_and_deletions_are_tried_again():
    again = {job.slug: job.retries for job in registry.jobs() if job.retries}

    assert {slug for slug, retries in again.items() if retries == AFTER} == {
        "auto_scraping", "scrape_now", "refresh_stored_content"
    }  # fmt: skip
    assert {slug for slug, retries in again.items() if retries[0] == timedelta(minutes=1)} == {
        "cleanup_tokens", "cleanup_sessions", "purge_old_content", "cleanup_run_history", "cleanup_events",
        "cleanup_login_sessions"
    }  # fmt: skip


def test_a_retry_scrapes_only_the_bots_that_failed_for_now(monkeypatch):
    from maintenance import jobs

    good, away, gone = (factories.bot_config(auto_scrape=True) for _ in range(3))
    asked = []

    def outcomes(configs, *, run_id, kind, progress_of, cutoffs, parts):
        for config in configs:
            asked.append(config.pk)
            kinds = {good.pk: "", away.pk: "server_error", gone.pk: "banned"}
            error = kinds[config.pk]
            yield (
                config,
                factories.session(config=config, status="failed" if error else "succeeded", error_kind=error),
            )

    monkeypatch.setattr(jobs, "scrape_configs", outcomes)

    run, following = performed(request("auto_scraping"))
    assert (run.status, run.message) == ("partial", "1 of 3 bots scraped")
    asked.clear()
    run, _ = performed(following)

    assert asked == [away.pk]
    assert (run.status, run.message) == ("partial", "1 of 3 bots scraped")
