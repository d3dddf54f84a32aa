"""The strip of a job's latest runs."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone, translation

from maintenance.admin import run_strip
from tests.kit import factories

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


def test_a_drawing_leads_to_each_run_and_says_what_became_of_it(rf):
    now = timezone.now()
    ended = factories.job_run(status="failed", trigger="admin", dry_run=True, started_at=now, finished_at=now)

    drawn = run_strip.drawing([ended], "<Purge>")

    assert f'href="/admin/maintenance/jobrun/{ended.pk}/change/"' in drawn
    assert f"<title>#{ended.pk} · Failed · " in drawn
    assert "dry run" in drawn
    assert 'aria-label="&lt;Purge&gt;"' in drawn


def test_a_kept_drawing_is_made_anew_in_another_language_and_after_another_run(monkeypatch):
    drawn = []

    def draw(runs, _label):
        drawn.append(len(runs))
        return ""

    monkeypatch.setattr(run_strip, "_drawn", draw)
    monkeypatch.setattr(run_strip, "_kept", {})
    now = timezone.now()
    runs = [factories.job_run(status="succeeded", started_at=now, finished_at=now) for _ in range(2)]

    for _ in range(2):
        run_strip.drawing(runs[:1], "x")
    with translation.override("zh-hans"):
        run_strip.drawing(runs[:1], "x")
    run_strip.drawing(runs, "x")

    assert drawn == [1, 1, 2]


def test_a_drawing_with_a_run_under_way_is_not_kept(monkeypatch):
    monkeypatch.setattr(run_strip, "_kept", {})

    run_strip.drawing([factories.job_run(status="queued")], "x")

    assert run_strip._kept == {}


def test_an_outline_is_one_link_with_a_shape_for_each_state():
    now = timezone.now()
    runs = [
        factories.job_run(status=status, started_at=now, finished_at=now)
        for status in ("succeeded", "failed", "succeeded")
    ]

    drawn = run_strip.outline(runs, "/runs/?job=x&y")

    assert drawn.count("<a ") == 1
    assert 'href="/runs/?job=x&amp;y"' in drawn
    assert drawn.count("<path") == 3  # one path with the bars of each state, and the shape of the failure
    assert "succeeded: 2 · failed: 1" in drawn
    assert run_strip.outline([], "/") == '<span class="quiet-line">never run</span>'
