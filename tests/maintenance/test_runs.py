"""The ledger: requesting, claiming, performing, ending."""

import threading
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from database.footprint import analyze, is_underestimated
from maintenance import context as contexts
from maintenance import registry
from maintenance.ledger import decisions, dispatch, heartbeat, interventions, performing, requests, run_json
from maintenance.models import JobRun, RunLogLine
from maintenance.purging import afterwards, batches
from maintenance.scheduling import maintenance_mode
from maintenance.stops import HandBack, JobFailed
from scraping.models import RedditPost
from tests import factories
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Status = JobRun.Status


def request(slug, **options):
    return requests.request_run(job=slug, trigger="command", send=False, **options)


def at_once(run):
    """The run, whose time has come."""
    if run is not None:
        run.not_before = None
        run.save(update_fields=["not_before"])
    return run


def performed(slug, **options):
    run = request(slug, **options)
    performing.perform(run)
    run.refresh_from_db()
    return run


def test_a_request_is_written_down_before_any_message_is_sent():
    run = requests.request_run(job="cleanup_tokens", trigger="admin", by=factories.superuser(username="ada"))

    run.refresh_from_db()
    assert (run.status, run.trigger, run.requested_by_name) == (Status.QUEUED, "admin", "ada")
    assert run.sent_at is not None


def test_a_request_survives_a_broker_that_is_away(settings, no_broker):
    run = requests.request_run(job="cleanup_tokens", trigger="admin")

    run.refresh_from_db()
    assert (run.status, run.sent_at) == (Status.QUEUED, None)


def test_nothing_is_requested_without_permission():
    with pytest.raises(PermissionDenied):
        requests.request_run(job="cleanup_tokens", trigger="admin", by=factories.user())

    assert not JobRun.objects.exists()


@pytest.mark.parametrize("params", [{"days": 0}, {"days": "soon"}, {"days": 36_501}, {"nonsense": 1}])
def test_parameters_that_cannot_be_used_name_themselves(params):
    with pytest.raises(registry.InvalidParams) as error:
        request("purge_old_content", params=params)

    assert list(error.value.message_dict) == list(params)
    assert not JobRun.objects.exists()


def test_an_unknown_job_says_which_there_are():
    with pytest.raises(registry.UnknownJob, match="purge_old_content"):
        request("purge_everything")


def test_only_one_of_many_claims_succeeds():
    run = request("cleanup_tokens")
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
    first, second, other = request("cleanup_tokens"), request("cleanup_tokens"), request("cleanup_sessions")

    assert first.claim(worker="a")
    assert not second.claim(worker="b")
    assert other.claim(worker="c")

    second.refresh_from_db()
    assert second.status == Status.QUEUED


def test_a_claim_is_one_statement_and_reads_what_it_claimed(django_assert_num_queries):
    run = request("purge_old_content", params={"days": 5})
    claimed = JobRun(pk=run.pk, job="purge_old_content")
    with django_assert_num_queries(1):
        assert claimed.claim(worker="w")

    stored = JobRun.objects.get(pk=run.pk)
    assert (stored.status, stored.worker, stored.params) == (Status.RUNNING, "w", {"days": 5})
    for field in JobRun._meta.concrete_fields:
        assert getattr(claimed, field.attname) == getattr(stored, field.attname), field.name


def test_a_claim_takes_nothing_of_another_job_and_nothing_that_is_gone():
    run, gone = request("cleanup_tokens"), request("cleanup_sessions")
    pk = gone.pk
    gone.delete()

    assert not JobRun(pk=run.pk, job="cleanup_sessions").claim(worker="w")
    assert not JobRun(pk=pk, job="cleanup_sessions").claim(worker="w")
    run.refresh_from_db()
    assert run.status == Status.QUEUED


def test_scrapes_of_two_bots_may_run_side_by_side_but_not_of_one():
    one, two = factories.bot_config(), factories.bot_config()
    runs_of_one = [request("scrape_now", params={"config": one.pk}) for _ in range(2)]
    run_of_two = request("scrape_now", params={"config": two.pk})

    assert runs_of_one[0].claim(worker="a")
    assert not runs_of_one[1].claim(worker="b")
    assert run_of_two.claim(worker="c")


def test_a_cancelled_run_that_meets_a_database_error_does_not_go_on(declare):
    def cancelled_then_locked_out(ctx):
        """Stop."""
        interventions.cancel_run(JobRun.objects.get(pk=ctx.run_id), by=factories.superuser())
        raise OperationalError("lock timeout")

    run = request(declare(cancelled_then_locked_out))
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
    first, second = request("cleanup_tokens"), request("cleanup_tokens")
    assert first.claim(worker="a")
    with transaction.atomic():
        assert not second.claim(worker="b")
        assert JobRun.objects.count() == 2


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

    run = performed(declare(count_sheep))

    assert (run.status, run.counts, run.message) == (Status.SUCCEEDED, {"sheep": 3}, "asleep")
    assert (run.progress_done, run.progress_total, run.stage) == (3, 3, "sheep")
    assert run.queued_at <= run.started_at <= run.finished_at
    assert [line.text for line in run.log_lines.all()] == ["all counted"]


def test_a_failure_is_recorded_and_then_raised_again(declare):
    def stumble(ctx):
        """Stumble."""
        ctx.count("steps", 1)
        raise ZeroDivisionError("no ground")

    run = request(declare(stumble))
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

    run = performed(declare(refuse))

    assert (run.status, run.error, run.traceback) == (Status.FAILED, "the moon is full", "")


def test_a_partly_done_run_is_partial(declare):
    def halve(ctx):
        """Do half."""
        ctx.partial("one of two")

    assert performed(declare(halve)).status == Status.PARTIAL


def test_a_worker_that_stops_hands_back_and_the_next_attempt_resumes(declare):
    seen = []

    def walk(ctx):
        """Walk on from the cursor."""
        for step in range(ctx.cursor.get("step", 0), 4):
            seen.append(step)
            ctx.save_cursor(step=step + 1)
            ctx.checkpoint()

    run = request(declare(walk))
    performing.perform(run, stopping=lambda: len(seen) == 2)
    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)
    performing.perform(attempt)
    attempt.refresh_from_db()

    assert (run.status, run.reason) == (Status.INTERRUPTED, "worker_stopped")
    assert (attempt.status, attempt.trigger, attempt.attempt) == (Status.SUCCEEDED, "retry", 2)
    assert seen == [0, 1, 2, 3]


def test_an_interrupted_run_has_one_next_attempt_however_often_it_is_requested():
    run = factories.job_run(status="interrupted")

    assert requests.request_next_attempt(run) == requests.request_next_attempt(run)


def test_a_running_run_is_cancelled_at_its_next_checkpoint(declare):
    started = threading.Event()

    def wait(ctx):
        """Wait for the end."""
        started.set()
        wait_until(lambda: ctx.checkpoint(), timeout=20)

    run = request(declare(wait))

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
    run = request("cleanup_tokens")

    interventions.cancel_run(run, by=factories.superuser())

    assert not performing.perform(run)
    run.refresh_from_db()
    assert run.status == Status.CANCELLED


def test_a_finished_run_cannot_be_cancelled():
    run = factories.job_run(status="succeeded")

    with pytest.raises(interventions.NotPossible, match="succeeded"):
        interventions.cancel_run(run, by=factories.superuser())


def test_cancelling_needs_its_permission():
    run = request("cleanup_tokens")

    with pytest.raises(PermissionDenied):
        interventions.cancel_run(run, by=factories.user())

    run.refresh_from_db()
    assert run.status == Status.QUEUED


def test_a_run_taken_from_its_worker_writes_nothing_more(declare):
    def overtaken(ctx):
        """Lose the run while working."""
        JobRun.objects.filter(pk=ctx.run.pk).update(
            status=Status.INTERRUPTED, finished_at=timezone.now(), message="taken"
        )
        ctx.save_cursor(step=1)
        pytest.fail("the lost run went on")

    run = performed(declare(overtaken))

    assert (run.status, run.message, run.cursor) == (Status.INTERRUPTED, "taken", None)


def test_only_the_worker_that_claimed_a_run_may_write_it():
    run = request("cleanup_tokens")
    run.claim(worker="a")
    other = JobRun.objects.get(pk=run.pk)
    other.worker = "b"

    assert not other.record(stage="mine")
    assert not other.finish(Status.SUCCEEDED)
    assert run.record(stage="mine")


def test_a_running_run_tells_that_it_is_alive(declare, monkeypatch, settings):
    settings.HEARTBEAT_SECONDS = 0.02
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.01)

    def wait(ctx):
        """Wait for a heartbeat."""
        claimed = JobRun.objects.get(pk=ctx.run.pk).heartbeat_at
        wait_until(lambda: JobRun.objects.get(pk=ctx.run.pk).heartbeat_at > claimed, timeout=10)

    assert performed(declare(wait)).status == Status.SUCCEEDED


def test_a_run_that_the_database_left_goes_on_as_the_next_attempt(declare):
    def meet_a_restart(ctx):
        """Meet a restart of the database."""
        ctx.save_cursor(step=1)
        raise OperationalError("server closed the connection unexpectedly")

    run = request(declare(meet_a_restart))
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

    run = request(declare(fail))
    for _ in range(3):
        with pytest.raises(OperationalError):
            performing.perform(run)
        run.refresh_from_db()
        last, run = run, at_once(JobRun.objects.filter(retry_of=run).first())

    assert run is None
    assert (last.status, last.reason) == (Status.FAILED, "too_many_attempts")
    assert "out of shared memory" in last.error


def test_what_an_operator_cancelled_is_not_handed_back(declare):
    def work(ctx):
        """Be cancelled and told to stop at once."""
        JobRun.objects.filter(pk=ctx.run.pk).update(cancel_requested_at=timezone.now())
        ctx.checkpoint()

    run = request(declare(work))
    performing.perform(run, stopping=lambda: True)

    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    assert not JobRun.objects.filter(retry_of=run).exists()


def test_a_dry_run_may_run_beside_the_real_one():
    assert request("cleanup_tokens").claim(worker="a")
    assert request("cleanup_tokens", dry_run=True).claim(worker="b")


def test_a_worker_that_is_told_to_exit_in_a_batch_counts_only_what_is_gone(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", 2)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)  # rows so few stand on one page
    for _ in range(4):
        factories.post(created_at=timezone.now() - timedelta(days=100))
    record, recorded = JobRun.record, []

    def exit_in_the_second_batch(run, **values):
        kept = record(run, **values)
        recorded.extend(key for key in values if key == "cursor")
        if len(recorded) == 2:
            raise SystemExit
        return kept

    monkeypatch.setattr(JobRun, "record", exit_in_the_second_batch)
    run = request("purge_old_content")
    with pytest.raises(SystemExit):
        performing.perform(run)

    run.refresh_from_db()
    assert run.status == Status.INTERRUPTED
    assert run.counts["scraping.RedditPost"] == 4 - RedditPost.objects.count() == 2


def test_the_message_of_a_waiting_run_is_sent_when_the_one_before_it_ends():
    first, second = request("cleanup_tokens"), request("cleanup_tokens")

    performing.perform(first)

    second.refresh_from_db()
    assert second.sent_at is not None


def test_a_purge_over_the_cap_is_blocked_and_goes_on_once_approved(settings):
    settings.PURGE_CAP_ROWS = 1
    old = timezone.now() - timedelta(days=100)
    for _ in range(2):
        factories.post(created_at=old)
    survivor = factories.post(created_at=timezone.now())

    run = performed("purge_old_content")
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
    run = performed("purge_old_content")

    interventions.reject_run(run, by=factories.superuser(), reason="looks wrong")

    run.refresh_from_db()
    assert (run.status, run.message.endswith("looks wrong")) == (Status.CANCELLED, True)


def test_approval_needs_its_permission():
    run = factories.job_run(status="blocked")

    with pytest.raises(PermissionDenied):
        interventions.approve_run(run, by=factories.user(), reason="please")


def test_the_log_of_a_run_ends_at_its_cap(declare, monkeypatch):
    monkeypatch.setattr(contexts, "LOG_LINES_MAX", 5)

    def babble(ctx):
        """Talk."""
        for number in range(9):
            ctx.log(str(number))

    run = performed(declare(babble))

    texts = list(RunLogLine.objects.filter(run=run).values_list("text", flat=True))
    assert texts[:4] == ["0", "1", "2", "3"]
    assert len(texts) == 5
    assert "ends here" in texts[-1]


def test_a_preview_writes_nothing():
    factories.post(created_at=timezone.now() - timedelta(days=100))

    plan = performing.preview("purge_old_content")

    assert [(row.model, row.rows) for row in plan.tables] == [
        ("scraping.RedditPost", 1),
        ("scraping.RedditComment", 0),
    ]
    assert not JobRun.objects.exists()
    assert not RunLogLine.objects.exists()


def test_an_operators_retention_decides():
    factories.retention_policy(job="purge_old_content", days=10)
    kept = factories.post(created_at=timezone.now() - timedelta(days=9))
    factories.post(created_at=timezone.now() - timedelta(days=11))

    performed("purge_old_content")

    assert list(type(kept).objects.all()) == [kept]


def test_approving_forgets_a_cancel_that_came_too_late():
    run = factories.job_run(status="blocked", cancel_requested_at=timezone.now())

    interventions.approve_run(run, by=factories.superuser(), reason="checked")

    run.refresh_from_db()
    assert (run.status, run.cancel_requested_at) == (Status.QUEUED, None)


# --- Plans ---------------------------------------------------------------------------------------


def old_post(**fields):
    return factories.post(created_at=timezone.now() - timedelta(days=100), **fields)


def test_a_dry_run_keeps_its_plan_and_a_real_run_the_one_it_started_with():
    factories.comment(post=old_post())

    dry, real = performed("purge_old_content", dry_run=True), performed("purge_old_content")

    for run in (dry, real):
        assert [(table["model"], table["rows"]) for table in run.plan["tables"]] == [
            ("scraping.RedditPost", 1),
            ("scraping.RedditComment", 1),
        ]
    assert [run.plan["tables"][0]["left"] for run in (dry, real)] == [None, 0]
    assert run_json.as_json(real)["plan"] == real.plan


def test_a_run_that_refers_to_a_plan_says_how_the_world_moved():
    old_post()
    dry = performed("purge_old_content", dry_run=True)
    old_post()

    run = performed(
        "purge_old_content", shown=decisions.shown_by_run(dry.pk, job="purge_old_content", params={})
    )

    assert run.status == Status.SUCCEEDED
    assert (run.mandate["plan"], run.mandate["rows"]["scraping.RedditPost"]) == (dry.pk, 1)
    assert "Posts: 1 were planned, at the start there were 2." in [line.text for line in run.log_lines.all()]


def test_a_plan_is_good_for_fifteen_minutes():
    dry = performed("purge_old_content", dry_run=True)
    at = timezone.now() - timedelta(minutes=15, seconds=1)
    JobRun.objects.filter(pk=dry.pk).update(plan={**dry.plan, "at": at.isoformat()})
    shown = decisions.shown_by_run(dry.pk, job="purge_old_content")

    with pytest.raises(registry.InvalidParams, match="older than 15 minutes"):
        request("purge_old_content", shown=shown)

    assert JobRun.objects.count() == 1


def test_only_a_dry_run_of_the_same_job_and_parameters_is_a_plan():
    dry = performed("purge_old_content", dry_run=True)
    real = performed("purge_old_content")
    failed = factories.job_run(job="purge_old_content", dry_run=True, status="failed")

    for plan_id, job, params in [
        (dry.pk, "cleanup_sessions", {}),
        (dry.pk, "purge_old_content", {"days": 3}),
        (real.pk, "purge_old_content", {}),
        (failed.pk, "purge_old_content", {}),
        (0, "purge_old_content", {}),
        ("x", "purge_old_content", {}),
    ]:
        with pytest.raises(registry.InvalidParams, match=str(plan_id)):
            decisions.shown_by_run(plan_id, job=job, params=params)


def test_the_next_attempt_goes_on_with_the_plan_of_the_first(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", 2)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)
    for _ in range(5):
        old_post()
    run = request("purge_old_content")
    performing.perform(run, stopping=lambda: RedditPost.objects.count() < 5)
    run.refresh_from_db()
    attempt = JobRun.objects.get(retry_of=run)

    performing.perform(attempt)

    attempt.refresh_from_db()
    assert attempt.plan["tables"][0]["rows"] == run.plan["tables"][0]["rows"] == 5
    assert (run.counts["scraping.RedditPost"], attempt.counts["scraping.RedditPost"]) == (2, 3)
    assert (attempt.progress_done, attempt.progress_total) == (3, 3)


@pytest.mark.parametrize("has_crashed", [False, True], ids=["restarted", "crashed"])
def test_batches_that_were_undone_are_not_counted_though_the_row_cannot_be_read_at_once(
    monkeypatch, has_crashed
):
    monkeypatch.setattr(batches, "BATCH_ROWS_FIRST", 2)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)
    for _ in range(5):
        old_post()
    save, reread, saved, asked = contexts.JobContext.save_cursor, contexts.JobContext.reread, [], []

    def save_twice(context, **values):
        save(context, **values)
        saved.append(values)
        if len(saved) == 2:
            raise OperationalError("the server restarts")

    def be_away_once(context):
        asked.append(context)
        if len(asked) == 1:
            raise OperationalError("there is no server")
        if has_crashed:  # the server has lost the last commit before that, and the rows are back
            JobRun.objects.filter(pk=context.run.pk).update(counts={}, cursor=None, progress_done=0)
        reread(context)

    monkeypatch.setattr(contexts.JobContext, "save_cursor", save_twice)
    monkeypatch.setattr(contexts.JobContext, "reread", be_away_once)
    run = request("purge_old_content")

    with pytest.raises(OperationalError):
        performing.perform(run)

    run.refresh_from_db()
    gone = 0 if has_crashed else 2
    assert (run.status, run.counts.get("scraping.RedditPost", 0), run.progress_done) == (
        Status.INTERRUPTED,
        gone,
        gone,
    )
    assert bool(run.cursor) != has_crashed
    assert RedditPost.objects.count() == 3


def leave_everything(monkeypatch):
    monkeypatch.setattr(batches, "delete_in_batches", lambda *_arguments, **_options: contexts.Counter())


def test_what_is_left_makes_the_run_partial(monkeypatch):
    leave_everything(monkeypatch)
    old_post()

    run = performed("purge_old_content")

    assert (run.status, run.message) == (Status.PARTIAL, "1 posts that should be gone are still there.")
    assert run.plan["tables"][0]["left"] == 1


def test_the_third_run_in_a_row_that_leaves_rows_warns_that_the_purge_is_too_slow(monkeypatch):
    leave_everything(monkeypatch)
    old_post()

    messages = [performed("purge_old_content").message for _ in range(3)]

    assert ["faster than the purge" in message for message in messages] == [False, False, True]


def test_rows_that_come_behind_the_walk_are_taken_by_a_second_one(monkeypatch):
    walk, late = batches.delete_in_batches, [old_post]

    def walk_and_let_one_in(*arguments, **options):
        gone = walk(*arguments, **options)
        if late:
            late.pop()()
        return gone

    monkeypatch.setattr(batches, "delete_in_batches", walk_and_let_one_in)
    old_post()
    survivor = factories.post()

    run = performed("purge_old_content")

    assert (run.status, run.counts["scraping.RedditPost"]) == (Status.SUCCEEDED, 2)
    assert list(RedditPost.objects.all()) == [survivor]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no such statistics")
def test_a_large_purge_renews_the_statistics_and_tells_what_the_tables_take(monkeypatch):
    monkeypatch.setattr(afterwards, "ANALYZE_ROWS_MIN", 3)
    for _ in range(3):
        old_post()
    factories.post()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scraping_redditpost")

    run = performed("purge_old_content")

    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'scraping_redditpost'")
        assert cursor.fetchone()[0] == 1
    (line,) = [line.text for line in run.log_lines.all() if "dead rows" in line.text]
    assert line.startswith("Posts: table ")
    assert "→ 3; VACUUM" in line


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no such statistics")
def test_a_planner_that_knows_nothing_of_the_rows_is_told_first():
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scraping_redditpost")
    RedditPost.objects.bulk_create(
        factories.unsaved_post(created_at=timezone.now() - timedelta(days=100)) for _ in range(200)
    )
    rows = RedditPost.objects.created_before(timezone.now() - timedelta(days=90))

    assert is_underestimated(rows, 10**9)
    analyze([RedditPost])
    assert not is_underestimated(rows, 200)


# --- Handing back until later ----------------------------------------------------------------


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

    run = performed(slug)

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
    waiting = performed(slug).next_attempt

    other = performed(slug)
    interventions.cancel_run(waiting, by=factories.superuser())

    assert other.status == Status.SUCCEEDED
    waiting.refresh_from_db()
    assert waiting.status == Status.CANCELLED


def test_waiting_is_no_lost_attempt(declare):
    seen = []
    slug = declare(handing_back(timezone.now, seen))
    run = request(slug)
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
