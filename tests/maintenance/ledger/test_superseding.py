"""A run that waits for a person, and newer runs of its job."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Event
from maintenance.ledger import performing, requests
from maintenance.models import JobRun
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db

SINCE = timezone.now() - timedelta(days=3)


@pytest.fixture(autouse=True)
def low_cap(settings):
    """Two rows are too many."""
    settings.PURGE_CAP_ROWS = 1


def blocked(**fields):
    return factories.job_run(
        **{
            "job": "purge_old_content",
            "status": "blocked",
            "waiting_since": SINCE,
            "started_at": SINCE,
            **fields,
        }
    )


def expired(number):
    return [factories.post(created_at=timezone.now() - timedelta(days=400)) for _ in range(number)]


def performed(**fields):
    run = factories.job_run(**{"job": "purge_old_content", "status": "queued", **fields})
    performing.perform(run)
    run.refresh_from_db()
    return run


def test_a_newer_run_that_may_go_ends_the_one_that_waits():
    waiting = blocked()
    expired(1)

    run = performed()

    waiting.refresh_from_db()
    assert run.status == "succeeded"
    assert (waiting.status, waiting.reason, waiting.message) == (
        "cancelled",
        "superseded",
        f"Superseded by #{run.pk}.",
    )
    assert not RedditPost.objects.exists()
    assert Event.objects.filter(verb="run.superseded", subject_id=str(waiting.pk)).count() == 1


def test_a_newer_run_that_blocks_too_takes_its_place_and_has_waited_as_long():
    waiting = blocked()
    posts = expired(2)

    run = performed()

    waiting.refresh_from_db()
    assert waiting.status == "cancelled"
    assert (run.status, run.waiting_since) == ("blocked", SINCE)
    assert RedditPost.objects.count() == len(posts)
    # A third run inherits it from the second.
    assert performed().waiting_since == SINCE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({}, {"dry_run": True}),
        ({}, {"params": {"days": 30}}),
        ({"params": {"days": 30}}, {}),
        ({"job": "cleanup_sessions"}, {}),
    ],
    ids=["a dry run", "other parameters", "the other's parameters", "another job"],
)
def test_what_does_other_work_supersedes_nothing(older, newer):
    waiting = blocked(**older)
    expired(1)

    performed(**newer)

    waiting.refresh_from_db()
    assert waiting.status == "blocked"


def test_a_run_that_never_got_so_far_as_to_plan_supersedes_nothing():
    waiting = blocked()

    run = performed(params=[])

    waiting.refresh_from_db()
    assert (run.status, waiting.status) == ("failed", "blocked")


def test_an_older_run_supersedes_no_newer_one():
    older = factories.job_run(job="purge_old_content", status="queued")
    waiting = blocked()
    expired(1)

    performing.perform(older)

    waiting.refresh_from_db()
    assert waiting.status == "blocked"


def test_a_blocked_run_is_in_no_later_slots_way():
    blocked(concurrency_key="purge_old_content")
    overlaps = requests.Overlaps(["purge_old_content"])
    slot = JobRun(job="purge_old_content", status="queued", concurrency_key="purge_old_content")

    overlaps.add(slot, "skip")

    assert slot.status == "queued"


@pytest.mark.slow
def test_a_blocked_run_waits_since_it_was_blocked_and_its_duration_stands_still():
    expired(2)

    run = performed()

    assert run.status == "blocked"
    assert abs(timezone.now() - run.waiting_since) < timedelta(minutes=1)
    first = run.duration
    assert JobRun.objects.get(pk=run.pk).duration == first
    assert first < timedelta(minutes=1)


def test_who_waited_longest_comes_first_and_an_approved_run_waits_no_more():
    late, early = blocked(waiting_since=timezone.now()), blocked()
    assert list(JobRun.objects.blocked()) == [early, late]

    assert early.approve(mandate=None, message="")
    early.refresh_from_db()
    assert early.waiting_since is None
