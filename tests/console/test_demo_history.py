"""The made-up history: it has everything that the dashboard can show, and is refused in a database with real rows."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import Max
from django.urls import reverse

from console import demo_history
from maintenance.models import JobRun
from scraping.models import Freshness, PostSighting, RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_a_fortnight_has_runs_of_all_kinds_and_the_dashboard_shows_what_needs_somebody(client, superuser):
    made = demo_history.make(owner=superuser)

    assert JobRun.objects.count() > made > 1_000
    assert set(JobRun.objects.values_list("status", flat=True)) >= {
        "succeeded", "partial", "failed", "interrupted", "missed", "skipped", "blocked", "running"
    }  # fmt: skip
    answer = client.get(reverse("admin:index"))
    # Every job that has run a few times shows how long it takes; the purge runs once a week.
    assert [row.title for row in answer.context["job_rows"] if row.usual is None] == ["Purge old content"]
    page = answer.content.decode()
    for text in ("14,077 posts", "2 bots stopped by Reddit", "Recovered today:", "longer than usual"):
        assert text in page
    stored = client.get(reverse("admin:dashboard_stored")).content.decode()
    assert all(text in stored for text in ("silent since", "as of the plan of", "Recent changes"))
    # What the bots are said to have found is there.
    assert not RedditPost.objects.exclude(pk__in=PostSighting.objects.values("post")).exists()
    for fresh in Freshness.objects.all():
        posts = RedditPost.objects.found_by(fresh.config_id).filter(subreddit__folded=fresh.subreddit)
        assert posts.aggregate(newest=Max("created_at"))["newest"] == fresh.newest_at


@pytest.mark.parametrize("real", [factories.job_run, factories.post])
def test_a_database_that_holds_something_real_is_left_alone(superuser, real):
    real()

    with pytest.raises(CommandError, match="Take an empty one"):
        call_command("demo_history")

    assert JobRun.objects.count() + RedditPost.objects.count() == 1


def test_somebody_must_own_the_bots():
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("demo_history")
    with pytest.raises(CommandError, match="There is no account 'nobody'"):
        call_command("demo_history", "--user", "nobody")
