"""What to do at 3 a.m. is one list: the guide has the same table, and a run's page the line for its state."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from database import clock
from maintenance.explanations import explain_run
from maintenance.explanations.advice import AT_NIGHT, advice_for
from maintenance.models import JobRun
from maintenance.models.statuses import Reason, Status
from tests.kit import factories

GUIDE = Path(settings.BASE_DIR) / "docs" / "operating.md"


def test_the_guide_has_the_same_table():
    section = GUIDE.read_text().split("## At 3 a.m.")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]

    assert lines == [f"| {one.seen} | {one.meaning} | {one.todo} |" for one in AT_NIGHT]


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_each_reason_has_advice_of_its_own(reason):
    advice = advice_for(JobRun(status=Status.INTERRUPTED, reason=reason))

    assert advice is not None
    assert reason in advice.reasons


@pytest.mark.parametrize(
    ("fields", "todo"),
    [
        ({"status": "failed", "error": "boom"}, "fix the cause, then run it again"),
        ({"status": "failed", "error": "The clock of host x is wrong"}, "set the host's clock"),
        ({"status": "failed", "reason": "time_limit", "error": "boom"}, "look there"),
        ({"status": "partial", "error": "3 posts: locked by session 7"}, "pg_terminate_backend"),
        ({"status": "partial", "message": "2,700 items were …: asked again."}, "the next runs ask"),
        ({"status": "blocked", "message": "Changed since the plan: 5"}, "look at the new plan"),
        ({"status": "blocked", "message": "too many"}, "look at the plan"),
    ],
)
def test_the_line_that_names_the_most_is_the_one_that_counts(fields, todo):
    advice = advice_for(JobRun(**fields))

    assert advice is not None
    assert todo in advice.todo


def test_a_run_that_did_its_work_or_is_doing_it_needs_no_advice():
    assert [advice_for(JobRun(status=status)) for status in ("succeeded", "running", "queued")] == [None] * 3


def told(run):
    return {cause.code: cause for cause in explain_run(run)}


@pytest.mark.django_db
def test_what_is_tried_again_needs_nobody():
    run = factories.job_run(status="failed", error="boom")
    factories.job_run(status="queued", retry_of=run, attempt=2, trigger="retry")

    assert explain_run(run)[0].remedy == "What to do: nothing."


@pytest.mark.django_db
def test_a_failed_run_names_the_later_one_of_its_kind_that_succeeded():
    task, other = factories.schedule(), factories.schedule()
    run = factories.job_run(status="failed", error="boom", schedule=task)
    factories.job_run(schedule=other)
    factories.job_run(schedule=task, dry_run=True)
    factories.job_run(schedule=task, job="purge_old_content")
    factories.job_run(status="failed", error="boom", schedule=task)
    assert "recovered" not in told(run)

    better = factories.job_run(schedule=task)
    factories.job_run(schedule=task)
    assert told(run)["recovered"].about == better
    assert f"Recovered by #{better.pk}," in told(run)["recovered"].text
    assert explain_run(run)[0].remedy == "Nothing to do: a later run did the work."


@pytest.mark.django_db
def test_without_a_schedule_the_parameters_tell_the_kind():
    run = factories.job_run(status="failed", error="boom", params={"config": 1})
    factories.job_run(params={"config": 2})
    assert "recovered" not in told(run)

    better = factories.job_run(params={"config": 1})
    assert told(run)["recovered"].about == better


@pytest.mark.django_db
def test_the_same_error_is_counted_whatever_its_numbers():
    first = factories.job_run(status="failed", error="lock timeout of session 4711")
    factories.job_run(status="failed", error="lock timeout of session 99", job="purge_old_content")
    factories.job_run(status="failed", error="no room left")
    factories.job_run(status="failed", error="lock timeout of session 5", dry_run=True)
    assert "seen" not in told(first)

    for number in (1, 2):
        factories.job_run(status="failed", error=f"lock timeout of session {number}")
    long_ago = clock.now() - timedelta(days=40)
    factories.job_run(status="failed", error="lock timeout of session 3", queued_at=long_ago)
    assert re.match(r"The same error was seen 3 times since \d{4}-", told(first)["seen"].text)


@pytest.mark.slow
@pytest.mark.django_db
def test_the_page_of_a_run_says_all_of_it(client, operator):
    run = factories.job_run(status="failed", error="boom 1")
    factories.job_run(status="failed", error="boom 2")
    better = factories.job_run()

    page = " ".join(
        client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode().split()
    )

    for text in (
        "Nothing to do: a later run did the work.",
        f"Recovered by #{better.pk}",
        "seen 2 times since",
    ):
        assert text in page
