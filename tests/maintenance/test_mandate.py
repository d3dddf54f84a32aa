"""What was authorised is what happens: the mandate of a run, each way of giving one, and what stops a run as BLOCKED."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from database import clock
from maintenance import retention
from maintenance.ledger import decisions, interventions, performing, requests, run_json
from maintenance.models import JobRun, RetentionOverride
from maintenance.purging import batches
from maintenance.purging.days import Retention
from maintenance.purging.mandate import has_grown
from scraping.models import RedditComment, RedditPost
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
Status = JobRun.Status
POST, COMMENT = "scraping.RedditPost", "scraping.RedditComment"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def caps(settings):
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_SHARE = 10_000, 1.0


def posts(number, *, days=100, **fields):
    """So many posts of that age; the database names them."""
    made = timezone.now() - days * DAY
    return RedditPost.objects.bulk_create(
        factories.unsaved_post(created_at=made, **fields) for _ in range(number)
    )


def comments(post, number):
    RedditComment.objects.bulk_create(
        RedditComment(
            fullname=f"t1_{post.pk}x{index}",
            post=post,
            created_at=post.created_at,
            parent_fullname=post.fullname,
        )
        for index in range(number)
    )


def keep(days, **subreddits):
    """Edit the retention, as an operator does."""
    policy = factories.retention_policy(job="purge_old_content", days=90)
    overrides = tuple(RetentionOverride(subreddit=name, days=number) for name, number in subreddits.items())
    retention.change(policy, Retention(days, overrides), by=factories.superuser())


def requested(**options):
    return requests.request_run(job="purge_old_content", trigger="command", send=False, **options)


def performed(run=None, **options):
    run = run or requested(**options)
    run.refresh_from_db()
    performing.perform(run)
    run.refresh_from_db()
    return run


def blocked(settings, **options):
    """A run that one row too many has stopped."""
    settings.PURGE_CAP_ROWS = 0
    run = performed(**options)
    assert run.status == Status.BLOCKED
    return run


def approved(run, **fields):
    interventions.approve_run(run, by=factories.superuser(**fields), reason="seen")
    return performed(run)


def interrupted(run, *, left):
    """The next attempt of a run that is stopped when so many posts are left."""
    performing.perform(run, stopping=lambda: RedditPost.objects.count() <= left)
    run.refresh_from_db()
    assert run.status == Status.INTERRUPTED
    return JobRun.objects.get(retry_of=run)


@pytest.fixture
def small_batches(monkeypatch):
    for name in ("BATCH_ROWS_FIRST", "BATCH_ROWS_MIN", "BATCH_ROWS_MAX"):
        monkeypatch.setattr(batches, name, 50)
    monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", 2)


# --- How much more is more -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "allowed", "grown"),
    [
        (100, 0, False),
        (101, 0, True),
        (1_000, 900, False),
        (1_101, 1_000, True),
        (1_100, 1_000, False),
        (11_000, 10_000, False),
        (11_001, 10_000, True),
        (1, 1_000, False),
    ],
)
def test_a_plan_has_grown_by_more_than_a_tenth_and_more_than_a_hundred_rows(rows, allowed, grown):
    assert has_grown(rows, allowed) is grown


# --- An approval -----------------------------------------------------------------------------


def test_an_approval_does_not_cover_other_rows_than_those_of_the_plan(settings):
    posts(200, days=100, subreddit="old")
    others = posts(200, days=40, subreddit="young")
    run = blocked(settings)

    keep(30, old=400)
    approved(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 400)
    assert "Changed since the plan: under the retention as it is now, 200 other posts" in run.message
    approved(run)  # of the new plan
    assert run.status == Status.SUCCEEDED
    assert set(RedditPost.objects.values_list("subreddit", flat=True)) == {"old"}
    assert not RedditPost.objects.filter(pk__in=[post.pk for post in others]).exists()


def test_posts_and_comments_are_not_one_sum(settings):
    approved_posts = posts(100)
    comments(approved_posts[0], 900)
    run = blocked(settings)

    RedditPost.objects.update(held_at=timezone.now(), hold_reason="court order")
    posts(1_000, days=95)
    approved(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 1_100)
    assert "Changed since the plan: 1000 posts would be deleted, 100 were planned." in run.message


def test_comments_that_have_grown_stop_it_too(settings):
    (post,) = posts(1)
    run = blocked(settings)
    comments(post, 150)

    approved(run)

    assert run.status == Status.BLOCKED
    assert "150 comments would be deleted, 0 were planned" in run.message


def test_fewer_rows_and_a_few_more_never_stop_it(settings):
    made = posts(200)
    run = blocked(settings)
    RedditPost.objects.filter(pk__in=[post.pk for post in made[:150]]).update(
        held_at=timezone.now(), hold_reason="court order"
    )
    posts(90, days=95)

    approved(run)

    assert run.status == Status.SUCCEEDED
    assert RedditPost.objects.count() == 150


def test_what_became_due_since_the_plan_is_the_next_runs_work(settings):
    now = timezone.now()
    posts(5)
    survivor = factories.post(created_at=now - 90 * DAY + timedelta(minutes=1))
    run = blocked(settings)
    plan = {**run.plan, "now": (now - timedelta(minutes=30)).isoformat()}
    JobRun.objects.filter(pk=run.pk).update(plan=plan)
    RedditPost.objects.filter(pk=survivor.pk).update(created_at=now - 90 * DAY - timedelta(minutes=1))
    run.refresh_from_db()

    approved(run)

    assert run.status == Status.SUCCEEDED
    assert list(RedditPost.objects.all()) == [survivor]


def aged_plan(run, age):
    JobRun.objects.filter(pk=run.pk).update(plan={**run.plan, "at": (clock.now() - age).isoformat()})
    run.refresh_from_db()


def test_the_approval_of_a_plan_older_than_a_day_asks_again(settings):
    posts(3)
    run = blocked(settings)
    aged_plan(run, 60 * DAY)

    with pytest.raises(interventions.PlanExpired, match="planned again"):
        interventions.approve_run(run, by=factories.superuser(), reason="seen")
    performed(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 3)
    assert not decisions.is_plan_expired(run)
    approved(run)
    assert (run.status, RedditPost.objects.count()) == (Status.SUCCEEDED, 0)


def test_an_approval_that_no_worker_used_for_a_day_asks_again(settings):
    posts(3)
    run = blocked(settings)
    aged_plan(run, DAY - timedelta(minutes=1))
    interventions.approve_run(run, by=factories.superuser(), reason="seen")
    run.refresh_from_db()
    late = (clock.now() - timedelta(seconds=1)).isoformat()
    JobRun.objects.filter(pk=run.pk).update(mandate={**run.mandate, "valid_until": late})

    performed(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 3)
    assert "more than a day old" in run.message


def test_a_run_that_has_begun_goes_on_after_its_day(settings, small_batches):
    posts(150)
    run = blocked(settings)
    interventions.approve_run(run, by=factories.superuser(), reason="seen")
    run.refresh_from_db()
    attempt = interrupted(run, left=100)
    late = (clock.now() - timedelta(seconds=1)).isoformat()
    JobRun.objects.filter(pk=attempt.pk).update(mandate={**attempt.mandate, "valid_until": late})

    performed(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.SUCCEEDED, 0)


# --- A plan ----------------------------------------------------------------------------------


def shown(dry):
    return decisions.shown_by_run(dry.pk, job="purge_old_content")


def test_a_run_does_what_its_plan_showed_and_not_fifty_times_as_much():
    posts(10)
    dry = performed(dry_run=True)
    posts(500, days=95)

    run = performed(shown=shown(dry))

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 510)
    assert "510 posts would be deleted, 10 were planned." in run.message


def test_a_plan_and_an_edit_of_the_retention_meet():
    posts(10)
    posts(3, days=50)
    dry = performed(dry_run=True)
    keep(40)

    run = performed(shown=shown(dry))

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 13)
    assert "3 other posts" in run.message


def test_a_longer_retention_spares_rows_of_the_plan_without_a_word():
    posts(10)
    survivors = posts(3, days=95)
    dry = performed(dry_run=True)
    keep(97)

    run = performed(shown=shown(dry))

    assert run.status == Status.SUCCEEDED
    assert set(RedditPost.objects.all()) == set(survivors)


def test_a_seen_plan_does_not_lift_the_caps(settings):
    posts(10)
    settings.PURGE_CAP_ROWS = 9
    dry = performed(dry_run=True)

    assert performed(shown=shown(dry)).status == Status.BLOCKED


def test_what_is_no_mandate_allows_nothing_past_the_caps(settings):
    posts(3)
    run = blocked(settings)
    interventions.approve_run(run, by=factories.superuser(), reason="seen")
    JobRun.objects.filter(pk=run.pk).update(mandate={"rows": {POST: 9}})

    performed(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 3)


# --- Attempts --------------------------------------------------------------------------------


def test_a_forced_run_is_held_to_its_first_plan_by_every_attempt(settings, small_batches):
    settings.PURGE_CAP_ROWS = 0
    posts(100)
    posts(300, days=50)
    attempt = interrupted(requested(force_reason="only the old ones"), left=350)
    keep(40)

    performed(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.BLOCKED, 350)
    assert "300 other posts" in attempt.message
    assert [table["rows"] for table in attempt.plan["tables"]] == [350, 0]
    assert attempt.plan["tables"][0]["gone"] == 50


def test_what_earlier_attempts_deleted_counts(small_batches):
    posts(150)
    dry = performed(dry_run=True)
    attempt = interrupted(requested(shown=shown(dry)), left=50)
    posts(150, days=95)  # 200 match, 100 are gone: twice as many as were planned

    performed(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.BLOCKED, 200)
    assert "300 posts would be deleted, 150 were planned." in attempt.message
    assert run_json.totals(attempt)["scraping.RedditPost"] == 100


def test_a_scheduled_run_that_resumes_does_not_take_what_its_first_attempt_would_not_have(small_batches):
    posts(100)
    posts(10, days=50)
    attempt = interrupted(requested(), left=60)
    keep(40)

    performed(attempt)

    assert (attempt.status, RedditPost.objects.count()) == (Status.BLOCKED, 60)
    approved(attempt)
    assert (attempt.status, RedditPost.objects.count()) == (Status.SUCCEEDED, 0)
    assert run_json.totals(attempt)["scraping.RedditPost"] == 110


def test_rows_that_only_the_newer_of_two_retentions_takes_stay_though_nothing_stopped_the_run(small_batches):
    """They came after the look: the deletion itself is narrowed to both."""
    posts(100)
    attempt = interrupted(requested(), left=50)
    keep(40)
    late = []
    real = batches.delete_in_batches

    def let_some_in(queryset, **options):
        if not late:
            late.extend(posts(3, days=50))
        return real(queryset, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "delete_in_batches", let_some_in)
        performed(attempt)

    assert set(RedditPost.objects.all()) == set(late)


def test_a_job_that_spares_held_rows_no_more_asks_first(settings, monkeypatch):
    posts(3)
    posts(1, held_at=timezone.now(), hold_reason="court order")
    run = blocked(settings)

    def careless(ctx):
        """Delete all."""
        ctx.delete(RedditPost.objects.created_before(ctx.cutoff), by="created_at")

    job = requests.get_job("purge_old_content")
    monkeypatch.setitem(vars(job), "function", careless)
    approved(run)

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 4)
    assert "held posts are not spared any more" in run.message


# --- An edit while it runs -------------------------------------------------------------------


def edited_while_it_runs(monkeypatch, edit):
    """Make the edit before the third batch."""
    looks = []
    checkpoint = performing.JobContext.checkpoint

    def look(context):
        looks.append(1)
        if len(looks) == 3:
            edit()
        checkpoint(context)

    monkeypatch.setattr(performing.JobContext, "checkpoint", look)


def test_an_edit_that_spares_rows_stops_the_running_purge_at_its_next_batch(small_batches, monkeypatch):
    posts(150)
    survivors = posts(100, days=95)
    edited_while_it_runs(monkeypatch, lambda: keep(97))

    run = performed()

    assert (run.status, run.reason) == (Status.INTERRUPTED, JobRun.Reason.RETENTION)
    assert RedditPost.objects.count() == 150
    attempt = performed(JobRun.objects.get(retry_of=run))
    assert attempt.status == Status.SUCCEEDED
    assert set(RedditPost.objects.all()) == set(survivors)


def test_an_edit_that_only_takes_more_stops_nothing_and_is_the_next_runs_work(small_batches, monkeypatch):
    posts(150)
    survivors = posts(100, days=50)
    edited_while_it_runs(monkeypatch, lambda: keep(40))

    run = performed()

    assert run.status == Status.SUCCEEDED
    assert set(RedditPost.objects.all()) == set(survivors)


def test_an_override_that_is_added_while_it_runs_is_heeded(small_batches, monkeypatch):
    posts(150, subreddit="memes")
    survivors = posts(100, days=99, subreddit="Python")
    edited_while_it_runs(monkeypatch, lambda: keep(90, python=400))

    run = performed()
    performed(JobRun.objects.get(retry_of=run))

    assert set(RedditPost.objects.all()) == set(survivors)


# --- Who decides -----------------------------------------------------------------------------


def verbs(run):
    return [event.verb for event in decisions.decisions_about(run)]


def test_every_decision_stays_when_the_run_has_ended(settings):
    posts(3)
    run = blocked(settings)
    ada = factories.superuser(username="ada")

    interventions.approve_run(run, by=ada, reason="after the import")
    performed(run)

    assert "ada" not in run.message
    assert verbs(run) == [decisions.BLOCKED, decisions.APPROVED]
    event = Event.objects.get(verb=decisions.APPROVED)
    assert (event.actor, event.reason, event.parameters["rows"]["scraping.RedditPost"]) == (
        ada,
        "after the import",
        3,
    )
    assert decisions.in_words(event) == "approved: after the import"


def test_rejecting_forcing_and_using_a_plan_are_decisions_too(settings):
    posts(3)
    dry = performed(dry_run=True)
    ada = factories.superuser(username="ada")
    planned = requests.request_run(
        job="purge_old_content", trigger="admin", by=ada, shown=shown(dry), send=False
    )
    forced = requested(force_reason="the import")
    run = blocked(settings)

    interventions.reject_run(run, by=ada, reason="looks wrong")

    assert verbs(planned) == [decisions.PLAN_USED]
    assert verbs(run) == [decisions.BLOCKED, decisions.REJECTED]
    assert verbs(forced) == [decisions.FORCED]
    assert Event.objects.get(verb=decisions.FORCED).actor_kind == Event.ActorKind.SHELL
    assert Event.objects.get(verb=decisions.PLAN_USED).parameters["plan"] == dry.pk


def test_a_refused_decision_leaves_no_event(settings):
    posts(3)
    run = blocked(settings)
    interventions.reject_run(run, by=factories.superuser(), reason="no")
    before = Event.objects.count()

    with pytest.raises(interventions.NotPossible):
        interventions.approve_run(JobRun.objects.get(pk=run.pk), by=factories.superuser(), reason="yes")

    assert Event.objects.count() == before


def test_who_asked_may_be_kept_from_approving(settings):
    settings.APPROVE_OWN_RUNS = False
    settings.PURGE_CAP_ROWS = 0
    posts(3)
    ada = factories.superuser(username="ada")
    run = performed(by=ada)

    with pytest.raises(PermissionDenied, match="somebody else"):
        interventions.approve_run(run, by=ada, reason="mine")
    with pytest.raises(PermissionDenied, match="without force"):
        requested(by=ada, force_reason="mine")

    assert JobRun.objects.get().status == Status.BLOCKED
    assert approved(run, username="bob").status == Status.SUCCEEDED


def test_who_asked_may_approve_by_default_and_anybody_may_what_a_schedule_asked_for(settings):
    posts(3)
    ada = factories.superuser(username="ada")
    run = blocked(settings, by=ada)
    interventions.approve_run(run, by=ada, reason="mine")
    settings.APPROVE_OWN_RUNS = False
    other = factories.job_run(job="purge_old_content", status="blocked", trigger="schedule")

    interventions.approve_run(other, by=ada, reason="the schedule's")

    assert JobRun.objects.filter(status="queued").count() == 2


# --- A dry run -------------------------------------------------------------------------------


def test_a_dry_run_says_that_the_real_one_would_run():
    posts(3)

    dry = performed(dry_run=True)

    assert (dry.status, dry.message) == (Status.SUCCEEDED, "It would run.")
    assert run_json.as_json(dry)["would"] == "run"
    assert run_json.as_json(performed())["would"] is None


def test_a_dry_run_says_that_the_real_one_would_wait_and_why(settings):
    settings.PURGE_CAP_SHARE = 0.5
    posts(110)
    posts(90, days=1)

    dry = performed(dry_run=True)

    assert (dry.status, run_json.as_json(dry)["would"]) == (Status.SUCCEEDED, "block")
    assert dry.message.startswith("It would wait for approval. 110 of 200 posts would be deleted: 55 %")
    assert performed().status == Status.BLOCKED


# --- All attempts together -------------------------------------------------------------------


def test_the_last_attempt_tells_what_all_of_them_deleted(client, small_batches):
    made = posts(100)
    comments(made[0], 7)
    factories.post(subreddit="survivor")
    attempt = interrupted(requested(), left=51)

    performed(attempt)

    assert attempt.counts == {POST: 50, COMMENT: 0}
    assert run_json.as_json(attempt)["totals"] == {POST: 100, COMMENT: 7}
    assert attempt.message == "All attempts together deleted 100 posts, 7 comments."
    client.force_login(factories.superuser())
    page = client.get(reverse("admin:maintenance_jobrun_change", args=[attempt.pk])).content.decode()
    assert "All attempts together" in page
    assert "<dt>Posts</dt><dd>100</dd>" in "".join(page.split())
    assert list(RedditPost.objects.values_list("subreddit", flat=True)) == ["survivor"]


def test_an_attempt_that_found_nothing_more_does_not_say_zero(small_batches):
    posts(50)
    attempt = interrupted(requested(), left=0)

    performed(attempt)

    assert (attempt.status, attempt.counts[POST]) == (Status.SUCCEEDED, 0)
    assert attempt.message == "All attempts together deleted 50 posts, 0 comments."


def test_an_approval_of_before_there_were_events_is_still_shown(client):
    mandate = {
        "kind": "approval",
        "made_at": "2026-11-01T00:00:00+00:00",
        "by": "ada",
        "reason": "an old reason",
    }
    run = factories.job_run(mandate=mandate)
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()

    assert "· ada · an old reason" in page
