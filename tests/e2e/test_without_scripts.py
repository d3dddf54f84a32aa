"""Browsers that run no JavaScript: everything is reachable, and every change can be made."""

import pytest
from playwright.sync_api import expect

from maintenance.models import JobRun
from maintenance.scheduling import schedules
from tests.kit import factories
from tests.pages import changed_retention

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser_context_args(browser_context_args):
    """A browser without JavaScript."""
    return {**browser_context_args, "java_script_enabled": False}


def test_the_preview_of_a_schedule_has_a_button_and_stores_nothing(signed_in):
    page = signed_in
    schedule = schedules.for_job("purge_old_content")
    page.goto(f"/admin/django_celery_beat/periodictask/{schedule.pk}/change/")
    preview = page.locator("#schedule-preview")

    page.locator("#id_hour").fill("5")
    page.locator("#id_minute").fill("10")
    page.get_by_role("button", name="Preview", exact=True).click()

    expect(preview).to_contain_text("At 05:10")
    expect(preview.locator("tbody tr")).to_have_count(10)
    expect(page.locator("#id_hour")).to_have_value("5")
    assert str(schedules.crontab_of(schedules.for_job("purge_old_content"))) == "30 2 * * 0"
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name="Purge old content")).to_contain_text("10 5 * * 0")


def test_the_page_of_an_open_run_loads_itself_again(signed_in):
    page = signed_in
    run = factories.job_run(status="running")
    page.goto(f"/admin/maintenance/jobrun/{run.pk}/change/")
    expect(page.locator("#run-status")).to_contain_text("Running")

    run.finish("succeeded", message="all done")

    expect(page.locator("#run-status")).to_contain_text("all done", timeout=20_000)
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)


def test_a_list_is_filtered_by_its_menu(signed_in):
    page = signed_in
    for status in ("failed", "succeeded"):
        factories.job_run(status=status)
    page.goto("/admin/maintenance/jobrun/")
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(2)

    page.locator(".filter-menu summary").click()
    page.locator(".filter-menu").get_by_role("link", name="Failed", exact=True).click()

    expect(rows).to_have_count(1)
    expect(page.locator("a.chip")).to_contain_text("Failed")


def test_many_runs_are_cancelled_after_a_confirmation(signed_in):
    page = signed_in
    runs = [factories.job_run(status="queued") for _number in range(2)]
    page.goto("/admin/maintenance/jobrun/")

    for run in runs:
        page.get_by_label(f"Select Cleanup tokens #{run.pk}").check()
    page.get_by_label("Action:").select_option(label="Cancel…")
    page.get_by_role("button", name="Go").click()
    assert JobRun.objects.filter(status="queued").count() == 2
    page.get_by_label("Reason").fill("disk is full")
    page.get_by_role("button", name="Cancel runs").click()

    expect(page.locator("#content-main")).to_contain_text("Cancelled")
    assert JobRun.objects.filter(status="cancelled").count() == 2


@pytest.mark.parametrize("width", [1440, 360])
def test_every_entry_of_the_menu_is_reached(signed_in, width):
    page = signed_in
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/admin/")
    menu = page.locator(".narrow-menu")
    menu.locator("summary").click()

    menu.get_by_role("link", name="Schedules").click()

    expect(page.get_by_role("heading", name="Schedules", level=1)).to_be_visible()


def test_the_dashboard_promises_nothing_that_needs_a_script(signed_in):
    page = signed_in
    page.goto("/admin/")
    for missing in (".live-sign", "#shortcuts-open", ".theme-toggle"):
        expect(page.locator(missing).first).to_be_hidden()

    page.get_by_role("link", name="Show freshness, storage and recent changes").click()

    expect(page.get_by_role("heading", name="Storage")).to_be_visible()
    page.goto("/admin/")
    page.get_by_role("switch", name="Cleanup tokens is active").click()
    page.get_by_label("Reason").fill("disk is full")
    page.get_by_role("button", name="Pause").click()
    assert schedules.for_job("cleanup_tokens").control.pause_reason == "disk is full"


def test_an_edit_of_a_retention_says_where_its_effect_is_shown(signed_in, superuser):
    page = signed_in
    policy = changed_retention(superuser)
    page.goto(f"/admin/maintenance/retentionpolicy/{policy.pk}/change/")

    # Playwright finds no text inside of <noscript>.
    expect(page.locator(".preview noscript p")).to_be_visible()
