"""Pages on paper."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from alerts import decisions
from maintenance.ledger import performing
from maintenance.scheduling import schedules
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_and_its_plan_are_printed_whole_and_without_buttons(signed_in, settings):
    settings.PURGE_CAP_ROWS = 2
    for _number in range(4):
        factories.post(created_at=timezone.now() - timedelta(days=400))
    run = factories.job_run(job="purge_old_content", status="queued", trigger="schedule")
    performing.perform(run)
    for _number in range(80):
        factories.log_line(run=run)
    page = signed_in
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(f"/admin/maintenance/jobrun/{run.pk}/change/")

    for shown in ("#content h1", "#run-log .log-line >> nth=0", "#run-plan", ".facts >> nth=0"):
        expect(page.locator(shown)).to_be_visible()
    for hidden in (
        "#header",
        "#nav-sidebar",
        ".object-tools",
        "#run-decision form",
        ".log-tools",
        ".last-runs",
    ):
        expect(page.locator(hidden).first).to_be_hidden()
    # The log is not cut at its window, and dark readers do not print a black page.
    assert page.evaluate(
        "(log => log.scrollHeight <= log.clientHeight + 1)(document.getElementById('run-log'))"
    )
    assert_printable(page)


def assert_printable(page):
    """Dark readers do not print a black page, nothing is cut off at the paper's edge, and the browser makes a PDF."""
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(246, 248, 250)",
        "rgb(255, 255, 255)",
    )
    page.set_viewport_size({"width": 700, "height": 1000})  # about A4 less its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_schedule_is_printed_with_its_fields_and_its_next_runs(signed_in):
    page = signed_in
    page.emulate_media(media="print", color_scheme="dark")
    schedule = schedules.for_job("purge_old_content")
    page.goto(f"/admin/django_celery_beat/periodictask/{schedule.pk}/change/")

    expect(page.locator("#schedule-preview tbody tr")).to_have_count(10)
    for shown in ("#content h1", "#id_hour", "#schedule-preview tbody tr >> nth=9"):
        expect(page.locator(shown)).to_be_visible()
    for hidden in ("#header", "#nav-sidebar", ".object-tools", ".presets", ".submit-row"):
        expect(page.locator(hidden).first).to_be_hidden()
    assert (
        page.evaluate("getComputedStyle(document.getElementById('id_hour')).borderTopColor")
        == "rgba(0, 0, 0, 0)"
    )
    assert_printable(page)


def test_an_alert_is_printed_with_its_decisions_and_without_forms(signed_in, superuser):
    page = signed_in
    alert = factories.alert(rule="late")
    decisions.acknowledge(alert, by=superuser, note="on it")
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(f"/admin/alerts/alert/{alert.pk}/change/")

    expect(page.get_by_text("on it")).to_be_visible()
    expect(page.locator(".field-what, .field-opened_at").first).to_be_visible()
    for hidden in ("#header", ".below-form form", ".below-form button"):
        expect(page.locator(hidden).first).to_be_hidden()
    assert_printable(page)
