"""An approver looks at a plan, approves it, and finds the decision again afterwards."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from maintenance.ledger import performing
from maintenance.models import JobRun
from maintenance.purging.plan import TablePlan
from scraping.models import RedditPost
from tests.e2e.reading import violations
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_plan_names_what_decides_it_and_an_approval_is_remembered(signed_in, axe, settings):
    settings.PURGE_CAP_ROWS = 2
    now, news = timezone.now(), factories.bot_config(name="News")
    factories.retention_override(subreddit="Python", days=400)
    for days, subreddit in ((100, "django"), (100, "django"), (500, "Python"), (200, "Python")):
        factories.post(created_at=now - timedelta(days=days), subreddit=subreddit, config=news)
    page = signed_in

    page.goto("/admin/jobs/purge_old_content/run/")
    expect(page.get_by_text("This run would wait for approval:")).to_be_visible()
    expect(page.get_by_role("row", name="r/Python 400 1 0 1")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_role("button", name="Ask to delete 3 rows (waits for approval)").click()
    expect(page.get_by_text("is queued as run")).to_be_visible()
    performing.perform(JobRun.objects.get())
    page.reload()
    expect(page.get_by_text("The run asks again if it would delete other rows")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_label("Reason").fill("after the import")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("button", name="Approve")).not_to_be_visible()
    performing.perform(JobRun.objects.get())
    page.reload()

    expect(page.get_by_text("lin · approved: after the import")).to_be_visible()
    assert RedditPost.objects.get().subreddit == "Python"
    if shots := settings.VAR_DIR / "shots" if (settings.VAR_DIR / "shots").is_dir() else None:
        page.screenshot(path=str(shots / "run.png"), full_page=True)


def test_a_link_between_the_words_of_a_decision_is_told_by_more_than_its_colour(signed_in, axe):
    table = TablePlan(model="scraping.RedditPost", rows=8_687, total=41_200)
    plan = {"at": timezone.now().isoformat(), "tables": [table.as_json()]}
    factories.job_run(job="purge_old_content", dry_run=True, plan=plan)
    blocked = factories.job_run(
        job="purge_old_content", status="blocked", params={"days": 30}, requested_by_name="lin", plan=plan
    )
    page = signed_in

    page.goto(f"/admin/maintenance/jobrun/{blocked.pk}/change/")

    expect(page.get_by_text("planned to delete 8,687 rows")).to_be_visible()
    assert violations(page, axe) == []
