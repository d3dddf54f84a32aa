"""The strip of a job's latest runs."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from maintenance.admin import run_strip
from tests import factories

pytestmark = pytest.mark.django_db


def test_each_job_has_its_own_latest_thirty_oldest_first(django_assert_num_queries):
    tokens = [factories.job_run(job="cleanup_tokens") for _ in range(run_strip.RUNS + 2)]
    purge = [factories.job_run(job="purge_old_content")]
    factories.job_run(job="auto_scraping")

    boss = factories.superuser()

    with django_assert_num_queries(1):
        runs = run_strip.latest_runs(["cleanup_tokens", "purge_old_content", "cleanup_sessions"], boss)

    assert runs == {"cleanup_tokens": tokens[2:], "purge_old_content": purge, "cleanup_sessions": []}


def test_no_jobs_have_no_runs(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert run_strip.latest_runs([], AnonymousUser()) == {}


def test_the_newest_run_stands_at_the_right_edge():
    bars = run_strip.bars([factories.job_run(), factories.job_run()])

    assert bars[-1].x + run_strip.BAR_WIDTH + run_strip.BAR_GAP == run_strip.WIDTH
    assert bars[0].x < bars[1].x


@pytest.mark.parametrize(("seconds", "height"), [(0, 3), (0.01, 3), (6, 16), (3600, 30), (90_000, 30)])
def test_a_bar_grows_with_the_logarithm_of_the_duration_and_stays_in_the_drawing(seconds, height):
    now = timezone.now()
    run = factories.job_run(started_at=now - timedelta(seconds=seconds), finished_at=now)

    (bar,) = run_strip.bars([run])

    assert bar.height == height
    assert bar.y + bar.height == run_strip.MARK_SPACE + run_strip.HEIGHT


@pytest.mark.parametrize(
    ("trigger", "marked"), [("schedule", False), ("retry", False), ("admin", True), ("api", True)]
)
def test_runs_that_somebody_asked_for_are_marked(trigger, marked):
    (bar,) = run_strip.bars([factories.job_run(trigger=trigger)])

    assert bar.is_marked is marked
