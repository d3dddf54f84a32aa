"""What a dry run reports about the real run, and what the last attempt reports about all attempts."""

import pytest
from django.urls import reverse

from maintenance.ledger import run_json
from maintenance.models import JobRun
from scraping.models import RedditPost
from tests.kit import factories
from tests.kit.purges import comments, interrupted, posts, purged, requested_purge

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status

POST, COMMENT = "scraping.RedditPost", "scraping.RedditComment"


@pytest.fixture(autouse=True)
def caps(settings):
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_SHARE = 10_000, 1.0


@pytest.mark.slow
def test_a_dry_run_says_that_the_real_one_would_run():
    posts(3)

    dry = purged(dry_run=True)

    assert (dry.status, dry.message) == (Status.SUCCEEDED, "It would run.")
    assert run_json.as_json(dry)["would"] == "run"
    assert run_json.as_json(purged())["would"] is None


def test_a_dry_run_says_that_the_real_one_would_wait_and_why(settings):
    settings.PURGE_CAP_SHARE = 0.5
    posts(110)
    posts(90, days=1)

    dry = purged(dry_run=True)

    assert (dry.status, run_json.as_json(dry)["would"]) == (Status.SUCCEEDED, "block")
    assert dry.message.startswith("It would wait for approval. 110 of 200 posts would be deleted: 55 %")
    assert purged().status == Status.BLOCKED


@pytest.mark.slow
def test_the_last_attempt_tells_what_all_of_them_deleted(client, small_batches):
    made = posts(100)
    comments(made[0], 7)
    factories.post(subreddit="survivor")
    attempt = interrupted(requested_purge(), left=51)

    purged(attempt)

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
    attempt = interrupted(requested_purge(), left=0)

    purged(attempt)

    assert (attempt.status, attempt.counts[POST]) == (Status.SUCCEEDED, 0)
    assert attempt.message == "All attempts together deleted 50 posts, 0 comments."
