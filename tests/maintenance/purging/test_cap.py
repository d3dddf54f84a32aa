"""The safety cap: what it blocks, what an approval covers, and who gets a mail."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from maintenance import registry
from maintenance.ledger import blocked, interventions, performing, requests
from maintenance.models import JobRun
from maintenance.purging.cap import Caps, refusals
from maintenance.purging.plan import TablePlan
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)
Status = JobRun.Status


@pytest.fixture(autouse=True)
def caps(settings):
    settings.PURGE_CAP_ROWS = 1_000
    settings.PURGE_CAP_SHARE = 0.5
    settings.PURGE_CAP_MIN_ROWS = 10


def posts(rows, total=10_000):
    return [TablePlan(model="scraping.RedditPost", rows=rows, total=total)]


def reasons(tables, *, job="purge_old_content", **declared):
    return refusals(job, tables, caps=Caps.in_force(**declared), using="default")


def old_posts(number):
    made = timezone.now() - timedelta(days=100)
    RedditPost.objects.bulk_create(factories.unsaved_post(created_at=made) for _ in range(number))


def performed(run=None, **options):
    run = run or requests.request_run(job="purge_old_content", trigger="command", send=False, **options)
    performing.perform(run)
    run.refresh_from_db()
    return run


def test_the_rows_of_all_tables_together_reach_the_cap():
    comments = TablePlan(model="scraping.RedditComment", rows=500, total=10_000, cascaded_from="x")

    assert reasons([*posts(500), comments]) == []
    assert "1,001 rows would be deleted, more than the 1,000" in reasons([*posts(501), comments])[0]


def test_more_than_half_of_a_table_is_refused_and_just_half_is_not():
    old_posts(20)

    assert reasons(posts(10, total=20)) == []
    assert "11 of 20 posts would be deleted: 55 %, more than the 50 %" in reasons(posts(11, total=20))[0]
    old_posts(380)
    assert "would be deleted: 50.3 %, more than the 50 %" in reasons(posts(201, total=400))[0]


def test_of_a_small_table_everything_may_go():
    assert reasons(posts(9, total=9)) == []


def test_an_estimate_refuses_nobody():
    old_posts(100)

    assert reasons(posts(11, total=11)) == []  # only 11 rows by the estimate


def earlier_runs(*rows, **fields):
    for number in rows:
        factories.job_run(**{"job": "purge_old_content", "counts": {"scraping.RedditPost": number}, **fields})


def test_more_than_three_times_the_usual_is_refused():
    earlier_runs(100, 10, 20)

    assert reasons(posts(60)) == []
    assert "61 rows would be deleted, more than three times the usual 20" in reasons(posts(61))[0]


def test_only_real_successes_of_the_last_ten_runs_are_usual():
    earlier_runs(*[1_000] * 9)
    earlier_runs(*[10] * 10)
    earlier_runs(1_000, 1_000, dry_run=True)
    earlier_runs(1_000, 1_000, status="failed")

    assert reasons(posts(30)) == []
    assert reasons(posts(31))


def test_two_runs_say_nothing_about_what_is_usual():
    earlier_runs(1, 1)

    assert reasons(posts(400)) == []


def test_a_run_in_several_attempts_counts_by_its_plan():
    plan = {"at": "2026-01-01T00:00:00+00:00", "tables": [posts(400)[0].as_json()]}
    earlier_runs(*[3] * 3, plan=plan)

    assert reasons(posts(500)) == []


@pytest.mark.parametrize(
    "plan",
    [{"tables": [{}, 5]}, {"tables": 5}, [], {"tables": [{"model": "scraping.RedditPost", "rows": "x"}]}],
)
def test_plans_and_counts_that_nobody_can_read_stop_no_cap(plan):
    earlier_runs(*[10] * 3, plan=plan)
    JobRun.objects.filter(pk=JobRun.objects.latest("pk").pk).update(counts={"scraping.RedditPost": "many"})

    assert reasons(posts(30)) == []
    assert reasons(posts(31))


def test_of_content_the_share_counts_from_a_hundred_rows_on(settings):
    settings.PURGE_CAP_MIN_ROWS = 10_000
    old_posts(99)

    assert reasons(posts(99, total=99), share_min_rows=100) == []
    old_posts(1)
    assert reasons(posts(100, total=100), share_min_rows=100)
    assert reasons(posts(100, total=100)) == []  # for other jobs the share counts from more rows on


@pytest.mark.slow
def test_a_small_installation_does_not_lose_everything_to_a_typing_error(settings):
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_MIN_ROWS = 10_000_000, 10_000
    old_posts(999)

    run = performed(params={"days": 7})

    assert (run.status, RedditPost.objects.count()) == (Status.BLOCKED, 999)
    assert "999 of 999 posts would be deleted: 100 %" in run.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slug", "make"),
    [
        ("cleanup_tokens", factories.expired_refresh_token),
        ("cleanup_login_sessions", lambda: factories.login_session(expire_date=timezone.now())),
    ],
)
def test_rows_that_are_worthless_by_definition_meet_neither_share_nor_usual(settings, slug, make):
    earlier_runs(1, 1, 1, job=slug)
    for _ in range(12):
        make()

    run = requests.request_run(job=slug, trigger="command", send=False)
    performing.perform(run)

    run.refresh_from_db()
    assert (run.status, sum(run.counts.values())) == (Status.SUCCEEDED, 12)


@pytest.mark.parametrize("slug", ["cleanup_sessions", "cleanup_run_history"])
def test_scrape_sessions_and_history_keep_their_caps(slug):
    assert registry.get_job(slug).has_relative_caps


def test_an_approval_is_of_the_plan_that_was_seen(settings):
    settings.PURGE_CAP_ROWS = 9
    old_posts(10)
    run, ada = performed(), factories.superuser(username="ada")

    with pytest.raises(interventions.NotPossible, match="planned anew"):
        interventions.approve_run(run, by=ada, reason="seen yesterday", plan_at="2026-01-01T00:00:00+00:00")
    assert JobRun.objects.get().status == Status.BLOCKED

    interventions.approve_run(run, by=ada, reason="seen", plan_at=run.plan["at"])
    assert JobRun.objects.get().status == Status.QUEUED


def test_a_forced_run_passes_the_cap_and_says_why(settings):
    settings.PURGE_CAP_ROWS = 0
    old_posts(1)
    survivor = factories.post()

    run = performed(force_reason="the import was wrong")

    assert (run.status, run.mandate["reason"]) == (Status.SUCCEEDED, "the import was wrong")
    assert list(RedditPost.objects.all()) == [survivor]


def test_forcing_needs_the_permission_to_approve():
    user = factories.user("maintenance.run_job")

    with pytest.raises(PermissionDenied):
        requests.request_run(job="purge_old_content", trigger="admin", by=user, force_reason="because")

    assert not JobRun.objects.exists()


def test_a_blocked_run_is_signalled(settings):
    settings.PURGE_CAP_ROWS = 0
    old_posts(1)
    heard = []
    blocked.run_blocked.connect(lambda run, **_: heard.append(run.pk), weak=False, dispatch_uid="test")

    try:
        run = performed()
    finally:
        blocked.run_blocked.disconnect(dispatch_uid="test")

    assert heard == [run.pk]
