"""What people come for, by keyboard alone: each key is counted, printed and bounded."""

from datetime import timedelta
from fnmatch import fnmatch
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from maintenance.ledger import performing
from maintenance.models import JobRun, MaintenanceMode
from maintenance.scheduling import edits, schedules
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)

TABS_MAX = 60
FOCUSED = """() => {
  const one = document.activeElement;
  const label = one.labels && one.labels.length ? one.labels[0].textContent : '';
  return (one.getAttribute('aria-label') || label || one.textContent || '').trim().replace(/\\s+/g, ' ');
}"""


class Keys:
    """A keyboard that counts, also the pages that are opened."""

    def __init__(self, page):
        self.page, self.pressed, self.pages = page, 0, 0

    def press(self, *names):
        for name in names:
            self.page.keyboard.press(name)
            self.pressed += 1
        return self

    def type(self, text):
        return self.press(*text)

    def tab_to(self, start, *, by="Tab"):
        """Press Tab, or another key, until what is focused begins with these words."""
        for _each in range(TABS_MAX):
            self.press(by)
            if self.page.evaluate(FOCUSED).startswith(start):
                return self
        raise AssertionError(f"no {start!r} in {TABS_MAX} tabs on {self.page.url}")

    def follow(self, start, address):
        """Tab to a link or button, press Enter, and wait for the page."""
        self.tab_to(start).press("Enter")
        self.arrive(address)
        return self

    def arrive(self, address):
        """Wait for the page, whatever its query and its fragment, which a redirect keeps."""
        self.page.wait_for_url(lambda url: fnmatch(urlsplit(url).path, address))
        self.pages += 1

    def shows(self, heading):
        """Wait for the whole page with this heading: its address still ends with the place that was skipped to."""
        self.page.get_by_role("heading", name=heading).wait_for()
        self.page.wait_for_load_state("load")
        return self

    def search(self, words):
        """Search for it from wherever one is."""
        self.press("/").type(words).press("Enter")
        self.arrive("/admin/search/")
        return self

    def skip(self):
        """Skip to the content."""
        return self.press("Tab", "Enter")

    def bounded(self, most, what):
        print(f"\n{what}: {self.pressed} keys, at most {most}, and {self.pages} pages")  # noqa: T201  # the figures
        assert self.pressed <= most


@pytest.fixture
def keys(signed_in):
    """At the top of the dashboard, once it is there."""

    def start():
        signed_in.goto("/admin/")
        return Keys(signed_in)

    return start


def test_find_what_failed_and_retry(keys):
    failed = factories.job_run(job="cleanup_tokens", status="failed", error="boom", trigger="admin")

    board = keys()
    board.press("g", "n").follow("Retry", "*/jobs/cleanup_tokens/run/")
    board.skip().follow("Run", "*/jobrun/*/change/")

    assert JobRun.objects.exclude(pk=failed.pk).get().job == "cleanup_tokens"
    board.bounded(15, "find what failed and retry")


def test_the_first_tabs_lead_to_what_needs_somebody(keys):
    factories.job_run(job="cleanup_tokens", status="failed", error="boom", trigger="admin")

    keys().tab_to("Skip to what needs you").press("Enter").tab_to("Retry").bounded(
        5, "skip to what needs you"
    )


def test_retime_a_schedule(keys):
    board = keys()
    board.search("tokens").skip().follow("Cleanup tokens", "*/periodictask/*/change/")
    board.skip().tab_to("Hour").type("5").press("Enter")
    board.arrive("*/periodictask/")

    assert schedules.crontab_of(schedules.for_job("cleanup_tokens")).hour == "5"
    board.bounded(30, "retime a schedule")


def test_a_blocked_dry_run_is_approved(keys, settings, superuser):
    settings.PURGE_CAP_ROWS = 2
    old = timezone.now() - timedelta(days=400)
    for _number in range(4):
        factories.post(created_at=old)
    run = factories.job_run(job="purge_old_content", status="queued", trigger="schedule")
    performing.perform(run)
    run.refresh_from_db()
    assert run.status == "blocked"

    board = keys()
    board.press("g", "n").follow("Review", "*/jobrun/*/change/")
    words = "as agreed"
    board.skip().tab_to("Reason").type(words).press("Enter")
    expect(board.page.locator("#run-decision form")).to_have_count(0)

    run.refresh_from_db()
    assert run.status == "queued"
    board.pressed -= len(words)
    board.bounded(15, "look at a plan and approve it, without the letters of the reason")


def test_pause_scraping_until_monday(keys):
    board = keys()
    board.skip().follow("Pause scraping", "*/pause-scraping/")
    words = "Reddit is down"
    board.skip().tab_to("Reason").type(words).tab_to("For how long").press("ArrowDown", "ArrowDown").tab_to(
        "Pause"
    ).press("Enter")
    expect(board.page.get_by_text("On since")).to_be_visible()

    until = MaintenanceMode.objects.get(scope="scraping").until.astimezone(timezone.get_current_timezone())
    assert (until.weekday(), until.hour) == (0, 9)
    board.pressed -= len(words)
    board.bounded(20, "pause scraping until Monday, without the letters of the reason")


def test_why_a_subreddit_is_silent(keys, superuser):
    bot = factories.bot_config(owner=superuser, name="Garden", subreddits=["foo"])
    factories.session(config=bot, status="failed", error="r/foo is private.", error_kind="private")
    factories.freshness(config=bot, subreddit="foo", silent_since=timezone.now(), why="private")

    board = keys()
    board.search("r/foo").skip().follow("r/foo", "*/botconfig/*/change/")

    expect(board.page.locator("#why")).to_contain_text("r/foo is silent since")
    board.bounded(15, "why is r/foo silent")


def test_who_changed_a_schedule(keys, superuser):
    edits.pause(schedules.for_job("cleanup_tokens"), by=superuser, reason="audit")

    board = keys()
    board.search("tokens").skip().follow("Cleanup tokens", "*/periodictask/*/change/")
    board.skip().follow("Activity", "*/audit/event/")

    expect(board.page.locator("#result_list, #content-main").first).to_contain_text("lin")
    board.bounded(35, "who changed this")


def test_what_deleted_a_post(keys):
    run = factories.job_run(job="purge_old_content", status="succeeded")
    factories.erasure(number=int("gone", 36), run_id=run.pk)

    board = keys()
    board.search("t3_gone")

    expect(board.page.get_by_role("link", name=f"#{run.pk}")).to_be_visible()
    board.skip().follow(f"#{run.pk}", "*/jobrun/*/change/")
    board.bounded(15, "what deleted this post, and the page of that run")


def test_compare_two_weeks(keys):
    now = timezone.now()
    for days, minutes in ((10, 1), (10, 2), (10, 3), (3, 4), (3, 5), (3, 6)):
        began = now - timedelta(days=days)
        ended = began + timedelta(minutes=minutes)
        factories.job_run(job="cleanup_tokens", queued_at=began, started_at=began, finished_at=ended)

    board = keys()
    board.press("g", "r").arrive("*/jobrun/")
    board.skip().follow("Compare two weeks", "*/jobrun/compare/")
    expect(board.page.locator(".compare-table tbody tr").first).to_contain_text("3 m 00 s longer")

    board.bounded(15, "compare two weeks")


def test_compare_two_other_weeks_and_see_the_runs_behind_a_figure(keys):
    began = timezone.now() - timedelta(days=20)
    factories.job_run(job="cleanup_tokens", status="failed", queued_at=began, started_at=began)

    board = keys()
    board.press("g", "r").arrive("*/jobrun/")
    board.skip().follow("Compare two weeks", "*/jobrun/compare/")
    board.skip().tab_to("Last 28 days").press("Enter")
    expect(board.page.get_by_role("link", name="Last 28 days")).to_have_attribute("aria-current", "true")
    board.pages += 1
    board.skip().follow("After: 1", "*/jobrun/")
    expect(board.page.locator("#result_list tbody tr")).to_have_count(1)

    board.bounded(60, "compare two other weeks, and the runs behind a figure")


def test_runs_are_ticked_and_requested_again(keys):
    for job in ("cleanup_tokens", "cleanup_sessions"):
        factories.job_run(job=job, status="failed", error="boom", trigger="admin")

    board = keys()
    board.press("g", "r").arrive("*/jobrun/")
    board.skip().tab_to("Select Cleanup sessions").press("Space").tab_to("Select Cleanup tokens").press(
        "Space"
    )
    act(board, "Run again")
    board.shows("Run 2 runs again?")
    words = "a look again"
    board.tab_to("Reason").type(words).press("Enter")
    expect(board.page.get_by_role("link", name="is queued as")).to_have_count(2)

    assert JobRun.objects.filter(status="queued").count() == 2
    board.pressed -= len(words)
    board.bounded(60, "tick two runs and request them again, without the letters of the reason")


@pytest.mark.parametrize(
    ("status", "action", "asked"),
    [("queued", "Cancel", "Cancel 1 run?"), ("blocked", "Approve", "Approve 1 run?")],
)
def test_a_run_is_ticked_and_cancelled_or_approved(keys, status, action, asked):
    plan = {"at": timezone.now().isoformat(), "tables": []}
    run = factories.job_run(job="purge_old_content", status=status, trigger="schedule", plan=plan)

    board = keys()
    board.press("g", "r").arrive("*/jobrun/")
    board.skip().tab_to("Select Purge old content").press("Space")
    act(board, action)
    board.shows(asked)
    words = "as agreed"
    board.tab_to("Reason").type(words).press("Enter")
    board.page.get_by_role("columnheader", name="Outcome").wait_for()

    run.refresh_from_db()
    assert run.status == {"queued": "cancelled", "blocked": "queued"}[status]
    board.pressed -= len(words)
    board.bounded(60, f"tick a run: {action.lower()}, without the letters of the reason")


def act(board, action):
    """Choose an action above the list, by its first letters, and start it."""
    board.tab_to("Action", by="Shift+Tab").type(action).tab_to("Go").press("Enter")
    board.pages += 1
