"""Runs in the admin: the list, a run's page and its polling, cancelling and deciding."""

import re
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.events import record
from maintenance.ledger import decisions
from maintenance.models import JobRun
from maintenance.models.chain import attempts_of
from maintenance.yields.rows import rows_of
from tests.kit import factories
from tests.kit.steps import listed
from tests.maintenance.admin.steps import job_page

pytestmark = pytest.mark.django_db


def test_runs_are_read_only_even_for_superusers(client, superuser):
    run = factories.job_run()

    assert client.get(reverse("admin:maintenance_jobrun_add")).status_code == 403
    assert (
        client.post(
            reverse("admin:maintenance_jobrun_change", args=[run.pk]), {"status": "failed"}
        ).status_code
        == 403
    )
    assert (
        client.post(reverse("admin:maintenance_jobrun_delete", args=[run.pk]), {"post": "yes"}).status_code
        == 403
    )
    assert JobRun.objects.get().status == "succeeded"


@pytest.mark.slow
def test_bot_owners_see_the_runs_of_their_own_bots_only(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner)
    mine = factories.job_run(job="scrape_now", params={"config": bot.pk})
    others = factories.job_run(job="scrape_now", params={"config": factories.bot_config().pk})
    job = factories.job_run()
    client.force_login(owner)

    assert listed(client.get(reverse("admin:maintenance_jobrun_changelist"))) == [mine]
    assert client.get(reverse("admin:maintenance_jobrun_change", args=[mine.pk])).status_code == 200
    assert client.get(reverse("admin:maintenance_jobrun_live", args=[mine.pk])).status_code == 200
    for run in (others, job):
        assert client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).status_code == 404
        assert client.get(reverse("admin:maintenance_jobrun_live", args=[run.pk])).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("term", ["{pk}", "#{pk}", "purge_old_content", "Purge old content", "lock timeout"])
def test_runs_are_found_by_number_job_and_words_of_a_failure(client, operator, term):
    wanted = factories.job_run(
        job="purge_old_content", status="failed", error="canceling due to lock timeout"
    )
    factories.job_run(status="failed", error="other")

    response = client.get(reverse("admin:maintenance_jobrun_changelist"), {"q": term.format(pk=wanted.pk)})

    assert listed(response) == [wanted]


def test_the_tile_of_failures_leads_to_them(client, operator):
    failed, partial = factories.job_run(status="failed"), factories.job_run(status="partial")
    factories.job_run()

    response = client.get(reverse("admin:maintenance_jobrun_changelist"), {"status__in": "failed,partial"})

    assert listed(response) == [partial, failed]


def test_rows_are_what_was_deleted_or_newly_stored():
    assert rows_of(JobRun(counts={"scraping.RedditPost": 2, "scraping.RedditComment": 3})) == 5
    assert rows_of(JobRun(counts={"posts_found": 9, "posts_new": 2, "comments_new": 4})) == 6
    assert rows_of(JobRun(counts={})) is None


def test_a_runs_page_shows_facts_counts_error_log_and_attempts(client, operator):
    first = factories.job_run(status="interrupted")
    run = factories.job_run(
        status="failed", trigger="retry", retry_of=first, attempt=2, error="boom <b>", traceback="Traceback: boom",
        counts={"accounts.RefreshToken": 1234}, requested_by_name="lin",
    )  # fmt: skip
    last = factories.job_run(retry_of=run, attempt=3, trigger="retry")
    factories.log_line(run=run, text="a <line>", level="warning")
    session = factories.session(run=run)

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()

    for text in (
        "boom &lt;b&gt;",
        "Traceback: boom",
        "1,234",
        "Retry · lin",
        "a &lt;line&gt;",
        "level-warning",
    ):
        assert text in page
    for other in (first, last):
        assert reverse("admin:maintenance_jobrun_change", args=[other.pk]) in page
    assert reverse("admin:scraping_scrapesession_change", args=[session.pk]) in page
    assert "hx-get" not in page


def a_chain(number):
    """Attempts of which each goes on from the one before, each with a decision and counts."""
    runs = []
    for attempt in range(1, number + 1):
        is_last = attempt == number
        runs.append(
            factories.job_run(
                status="succeeded" if is_last else "interrupted",
                retry_of=runs[-1] if runs else None,
                attempt=attempt,
                counts={"accounts.ApiToken": 10},
                reason="" if is_last else "worker_lost",
            )
        )
        record(decisions.APPROVED, runs[-1], reason=f"reason {attempt}")
        factories.session(run=runs[-1])
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1, -1])
def test_all_attempts_are_on_the_page_of_each_with_as_many_queries_as_of_three(client, operator, place):
    other = factories.job_run(status="interrupted", attempt=2)

    def looked(runs):
        address = reverse("admin:maintenance_jobrun_change", args=[runs[place].pk])
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            page = " ".join(client.get(address).content.decode().split())
        return len(captured), page

    few, _page = looked(a_chain(3))
    runs = a_chain(12)
    many, page = looked(runs)

    assert many == few
    table = page[page.index('id="run-attempts"') : page.index('id="run-error"')]
    assert [int(pk) for pk in re.findall(r"#(\d+)<", table)] == [run.pk for run in runs[::-1]]
    assert f"#{other.pk}<" not in table
    assert all(f"approved: reason {number}" in page for number in range(1, 13))
    assert "All attempts together" in page
    assert "<dd>120</dd>" in page


def test_attempts_that_name_each_other_in_a_circle_end(client, operator):
    one, two = factories.job_run(status="failed"), factories.job_run(status="failed", attempt=2)
    JobRun.objects.filter(pk=one.pk).update(retry_of=two)
    JobRun.objects.filter(pk=two.pk).update(retry_of=one)

    assert list(attempts_of(one)) == [one, two]


def test_polling_brings_new_lines_only_and_ends_with_the_run(client, operator):
    run = factories.job_run(status="running", progress_done=1, progress_total=4)
    seen = factories.log_line(run=run, text="first line")
    new = factories.log_line(run=run, text="second line")
    target = reverse("admin:maintenance_jobrun_live", args=[run.pk])

    page = client.get(target, {"after": seen.pk}).content.decode()

    assert "first line" not in page
    assert "second line" in page
    assert f'hx-get="{target}?after={new.pk}&amp;v=' in page
    assert f"after={new.pk}" in client.get(target, {"after": new.pk}).content.decode()

    run.finish("succeeded", message="all done")
    page = client.get(target, {"after": new.pk}).content.decode()
    assert "all done" in page
    assert "hx-get" not in page


def version_in(page):
    return re.search(r"&amp;v=([0-9a-f.]+)", page).group(1)


def test_a_poll_that_has_the_latest_version_is_told_nothing(client, operator):
    run = factories.job_run(status="running", progress_done=1, progress_total=4)
    target = reverse("admin:maintenance_jobrun_live", args=[run.pk])
    version = version_in(client.get(target).content.decode())

    later = timezone.now() + timedelta(seconds=90)
    with mock.patch.object(timezone, "now", return_value=later):
        assert client.get(target, {"v": version}).status_code == 204

    run.record(progress_done=2)
    page = client.get(target, {"v": version}).content.decode()
    assert 'id="run-status"' in page
    assert 'id="run-facts"' not in page  # unchanged parts are not sent, so a reader's selection stays
    session = factories.session(run=run, status="running", finished_at=None)
    page = client.get(target, {"v": version_in(page)}).content.decode()
    assert session.config_name in page
    session.record(posts_found=7)
    assert ">7<" in client.get(target, {"v": version_in(page)}).content.decode()


def test_the_time_left_of_an_open_page_grows_shorter_also_without_other_news(client, operator):
    run = factories.job_run(
        status="running", started_at=timezone.now() - timedelta(minutes=1), concurrency_key="k"
    )
    for _number in range(3):
        ended = timezone.now()
        factories.job_run(started_at=ended - timedelta(minutes=9), finished_at=ended, concurrency_key="k")
    target = reverse("admin:maintenance_jobrun_live", args=[run.pk])
    page = client.get(target).content.decode()
    assert "about 8 minutes left" in page
    version = version_in(page)

    JobRun.objects.filter(pk=run.pk).update(started_at=timezone.now() - timedelta(minutes=4))

    assert "about 5 minutes left" in client.get(target, {"v": version}).content.decode()


@pytest.mark.slow
@pytest.mark.parametrize("v", ["", "x", "1.2.3", "." * 50])
def test_a_poll_with_an_odd_version_is_told_everything(client, operator, v):
    run = factories.job_run(status="running")

    page = client.get(reverse("admin:maintenance_jobrun_live", args=[run.pk]), {"v": v}).content.decode()

    assert 'id="run-facts"' in page


@pytest.mark.slow
@pytest.mark.parametrize("after", ["x", "", "-1"])
def test_a_poll_with_a_bad_position_starts_over(client, operator, after):
    run = factories.job_run(status="running")
    factories.log_line(run=run, text="first line")

    page = client.get(
        reverse("admin:maintenance_jobrun_live", args=[run.pk]), {"after": after}
    ).content.decode()

    assert "first line" in page


def test_cancelling_ends_a_queued_run_and_asks_a_running_one(client, operator):
    queued, running = factories.job_run(status="queued"), factories.job_run(status="running")
    over = factories.job_run(status="succeeded")

    for run in (queued, running, over):
        client.post(reverse("admin:maintenance_jobrun_cancel", args=[run.pk]))
        run.refresh_from_db()

    assert queued.status == "cancelled"
    assert running.status == "running"
    assert running.cancel_requested_at is not None
    assert over.status == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["", "x" * 501])
def test_cancelling_what_has_ended_says_so(client, operator, reason):
    run = factories.job_run(status="succeeded")
    client.force_login(operator)

    page = client.post(
        reverse("admin:maintenance_jobrun_cancel", args=[run.pk]), {"reason": reason}, follow=True
    )

    assert [str(message) for message in page.context["messages"]] == [
        f"Cleanup tokens #{run.pk} has already ended: succeeded."
    ]


def test_cancelling_is_asked_about_first_and_says_what_stays_deleted(client, operator):
    task = factories.schedule()
    run = factories.job_run(
        status="running",
        counts={"scraping.RedditPost": 1200},
        schedule=task,
        schedule_name="Nightly",
        trigger="schedule",
    )
    queued, over = factories.job_run(status="queued"), factories.job_run()
    address = reverse("admin:maintenance_jobrun_cancel", args=[run.pk])
    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    assert f'href="{address}"' in page

    page = " ".join(client.get(address).content.decode().split())
    for text in (
        "the current batch is finished first",
        "What it has deleted stays deleted. Rows so far: 1,200.",
        "The schedule Nightly goes on with its next slot.",
    ):
        assert text in page
    page = client.get(reverse("admin:maintenance_jobrun_cancel", args=[queued.pk])).content.decode()
    assert "nothing of it is done" in page
    page = client.get(reverse("admin:maintenance_jobrun_cancel", args=[over.pk])).content.decode()
    assert "There is nothing to cancel." in page
    assert "push-danger" not in page
    run.refresh_from_db()
    assert run.cancel_requested_at is None

    client.post(address, {"reason": "wrong day"})
    run.refresh_from_db()
    assert run.cancel_requested_at is not None
    assert [decisions.in_words(one) for one in decisions.decisions_about(run)] == ["cancelled: wrong day"]


def test_a_blocked_run_is_decided_with_a_reason(client, operator):
    approved, rejected, silent = (factories.job_run(status="blocked") for _ in range(3))

    client.post(
        reverse("admin:maintenance_jobrun_approve", args=[approved.pk]), {"reason": "checked the plan"}
    )
    client.post(reverse("admin:maintenance_jobrun_reject", args=[rejected.pk]), {"reason": "too much"})
    client.post(reverse("admin:maintenance_jobrun_approve", args=[silent.pk]), {"reason": ""})

    for run in (approved, rejected, silent):
        run.refresh_from_db()
    assert (approved.status, rejected.status, silent.status) == ("queued", "cancelled", "blocked")
    assert "checked the plan" in approved.message


def test_a_run_that_would_wait_is_asked_for_and_not_started(client, superuser, settings):
    factories.post(created_at=timezone.now() - timedelta(days=400))
    page = " ".join(client.get(job_page("purge_old_content")).content.decode().split())
    assert "Run now and delete 1 row" in page

    settings.PURGE_CAP_ROWS = 0
    page = " ".join(client.get(job_page("purge_old_content")).content.decode().split())

    assert "Ask to delete 1 row (waits for approval)" in page
    assert "Run now and delete" not in page
