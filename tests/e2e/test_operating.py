"""What an operator does, in a browser."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from adminkit.templatetags.display import duration
from maintenance.ledger import performing
from maintenance.models import JobRun
from maintenance.scheduling import schedules
from scraping.models import BotConfig
from tests.e2e.conftest import PASSWORD
from tests.kit import factories
from tests.pages import changed_retention

pytestmark = pytest.mark.django_db(transaction=True)


def test_signing_in_leads_to_the_dashboard(page, complaints, superuser):
    page.goto("/")
    page.get_by_label("Username").fill("lin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()

    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(page.get_by_role("row", name="Purge old content")).to_contain_text("At 02:30, only on Sunday")


def test_retiming_a_schedule_with_the_preview(signed_in):
    page = signed_in
    page.goto("/admin/")
    page.get_by_role("link", name="Schedules").click()
    page.locator("#result_list").get_by_role("link", name="Purge old content", exact=True).click()
    preview = page.locator("#schedule-preview")
    expect(preview).to_contain_text("At 02:30, only on Sunday")
    expect(preview.locator("tbody tr")).to_have_count(10)

    page.get_by_role("button", name="Daily 03:10").click()
    expect(preview).to_contain_text("At 03:10")

    page.locator("#id_hour").fill("25")
    expect(preview).to_contain_text("Hour:")
    page.locator("#id_hour").fill("5")
    page.get_by_label("Day of month").fill("13")
    page.get_by_label("Day of week").fill("fri")
    expect(preview).to_contain_text("Celery runs only when both match")

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name="Purge old content")).to_contain_text("10 5 13 * fri")
    assert str(schedules.crontab_of(schedules.for_job("purge_old_content"))) == "10 5 13 * fri"

    page.get_by_role("link", name=re.compile("^Purge old content")).first.click()
    page.get_by_role("button", name="Reset to default").click()
    expect(page.get_by_role("button", name="Reset to default")).to_have_count(0)
    assert schedules.deviation(schedules.for_job("purge_old_content")) is None


def test_pausing_asks_why_and_resuming_does_not(signed_in):
    page = signed_in
    page.goto("/admin/")
    switch = page.get_by_role("switch", name="Cleanup tokens is active")
    expect(switch).to_be_checked()

    switch.click()
    page.get_by_label("Reason").fill("disk is full")
    page.get_by_role("button", name="Pause").click()

    expect(switch).not_to_be_checked()
    assert schedules.for_job("cleanup_tokens").control.pause_reason == "disk is full"
    switch.click()
    expect(switch).to_be_checked()
    assert schedules.for_job("cleanup_tokens").enabled


def test_running_a_job_shows_the_plan_first_and_then_follows_the_run(signed_in):
    page = signed_in
    token, survivor = factories.expired_refresh_token(), factories.refresh_token()
    page.goto("/admin/")
    page.get_by_role("row", name="Cleanup tokens").get_by_role("link", name="Run…").click()
    expect(page.get_by_role("row", name="Refresh tokens")).to_contain_text("1")
    assert not JobRun.objects.exists()

    page.get_by_role("button", name="Run now and delete 1 row").click()

    status = page.locator("#run-status")
    expect(status).to_contain_text("Queued")
    run = JobRun.objects.get()
    assert type(token).objects.count() == 2

    # A worker takes it; the open page notices by itself.
    performing.perform(run)

    expect(status).to_contain_text("Succeeded")
    expect(page.locator("#run-log")).to_contain_text("deleted 1")
    expect(page.locator("#run-facts")).to_contain_text("Finished")
    expect(page.locator("#run-status[hx-get]")).to_have_count(0)
    assert list(type(token).objects.all()) == [survivor]


def test_a_plan_with_rules_is_no_wider_than_a_telephone(signed_in, superuser):
    page = signed_in
    changed_retention(superuser)
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/admin/jobs/purge_old_content/run/")

    expect(page.get_by_role("region", name="By rule").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_run_is_cancelled_from_its_page(signed_in):
    page = signed_in
    run = factories.job_run(status="queued")
    page.goto(f"/admin/maintenance/jobrun/{run.pk}/change/")

    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)

    page.get_by_role("link", name="Cancel run…").click()
    page.get_by_role("button", name="Cancel run").dblclick()

    expect(page.locator("#run-status")).to_contain_text("Cancelled")
    assert len(sent) == 1
    expect(page.get_by_role("link", name="Cancel run…")).to_have_count(0)


def test_a_page_left_open_past_the_session_says_so_and_goes_on_after_the_next(signed_in):
    page = signed_in
    run = factories.job_run(status="running")
    page.goto(f"/admin/maintenance/jobrun/{run.pk}/change/")
    cookies = page.context.cookies()

    page.context.clear_cookies()
    expect(page.get_by_text("You are signed out")).to_be_visible()

    page.context.add_cookies(cookies)
    run.finish("succeeded", message="all done")
    expect(page.locator("#run-status")).to_contain_text("all done")
    expect(page.get_by_text("You are signed out")).to_be_hidden()


def test_a_live_page_says_that_the_connection_is_lost_and_catches_up(signed_in, complaints):
    page = signed_in
    run = factories.job_run(status="running")
    page.goto(f"/admin/maintenance/jobrun/{run.pk}/change/")
    live = "**/live/**"
    facts = page.locator("#run-facts")
    counter = facts.locator("[data-since]")
    expect(counter).to_have_text(re.compile(r"^\d s$"))

    page.route(live, lambda route: route.abort())
    expect(page.get_by_text("Connection lost: what you see is as of")).to_be_visible()
    # Later it counts in the words of the durations beside it.
    for seconds in (90, 7_500, 270_000):
        set_back = f"element => element.dataset.since = new Date(Date.now() - {seconds * 1000}).toISOString()"
        counter.evaluate(set_back)
        shown = [duration(timedelta(seconds=seconds + late)) for late in range(30)]
        expect(counter).to_have_text(re.compile("|".join(shown)))
    page.unroute(live)
    run.finish("succeeded", message="all done")

    expect(page.locator("#run-status")).to_contain_text("all done")
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    assert all("ERR_FAILED" in text or text.startswith("htmx:") for text in complaints)
    complaints.clear()


def test_what_is_typed_outlives_the_session(signed_in, complaints):
    page = signed_in
    bot = factories.bot_config(owner=User.objects.get())
    page.goto(f"/admin/scraping/botconfig/{bot.pk}/change/")
    cookies = page.context.cookies()
    page.get_by_label("Name").fill("Typed with care")

    page.context.clear_cookies()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Typed with care")

    renewed = [
        {**cookie, "value": "a" * 32} if cookie["name"] == "csrftoken" else cookie for cookie in cookies
    ]
    page.context.add_cookies(renewed)
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("row", name="Typed with care")).to_be_visible()
    assert all("403" in text for text in complaints)
    complaints.clear()


def test_a_test_of_a_config_leaves_the_edited_form_as_it_is(signed_in):
    page = signed_in
    bot = factories.bot_config()
    page.goto(f"/admin/scraping/botconfig/{bot.pk}/change/")
    page.get_by_label("Name").fill("Not saved yet")

    with page.expect_popup() as tab:
        page.get_by_role("button", name="Try the filters on stored posts").click()

    expect(tab.value.get_by_text("Your edits are in the tab that you came from.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Not saved yet")


def test_making_a_bot_and_being_told_which_subreddit_is_wrong(signed_in):
    page = signed_in
    page.goto("/admin/scraping/botconfig/add/")
    page.get_by_label("Name").fill("News")
    page.get_by_label("Subreddits").fill("r/python, not-a-name!")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("“not-a-name!” is not a subreddit name")).to_be_visible()

    page.get_by_label("Subreddits").fill("r/python, django")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("row", name="News")).to_contain_text("r/python, r/django")
    assert BotConfig.objects.get().subreddits == ["python", "django"]
    page.get_by_role("link", name="Scrape now… News").click()
    expect(page.get_by_role("heading", name="Run “Scrape now” now?")).to_be_visible()
    expect(page.locator("#content-main")).to_contain_text("News")


def test_the_arrow_keys_walk_along_a_strip(signed_in):
    page = signed_in
    first, last = (factories.job_run(job="cleanup_tokens") for _ in range(2))
    page.goto("/admin/")

    page.locator(f'.strip a[href*="/{last.pk}/"]').focus()
    page.keyboard.press("ArrowLeft")

    expect(page.locator(f'.strip a[href*="/{first.pk}/"]')).to_be_focused()
    expect(page.locator('.strip a[tabindex="0"]')).to_have_count(1)
