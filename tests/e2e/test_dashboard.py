"""The dashboard in a real browser: it follows what happens, and keeps what its reader does."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from console.dashboard import page as page_module
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)

UNDER_WAY = ".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"
POLL = "window.htmx.trigger(document.getElementById('dashboard-head'), 'poll')"


@pytest.fixture
def dashboard(signed_in, monkeypatch):
    """The open page; it asks when the test says so."""
    monkeypatch.setattr(page_module, "POLL_SECONDS", 3600)
    monkeypatch.setattr(page_module, "KEPT_SECONDS", 0)
    page = signed_in
    page.goto("/admin/")
    expect(page.locator("#stored.cards")).to_be_visible()
    return page


def poll(page):
    """Ask now, and return what came back."""
    with page.expect_response(lambda response: "dashboard/live" in response.url) as answered:
        page.evaluate(POLL)
    # htmx wires what it has swapped in a moment later.
    expect(page.locator(UNDER_WAY)).to_have_count(0)
    return answered.value


def test_an_open_page_follows_and_keeps_focus_unfolded_parts_and_nothing_flickers(dashboard):
    page = dashboard
    poll(page)  # from now on it has a version
    page.locator("#timeline-words summary").click()
    page.get_by_role("link", name="Maintenance mode…").focus()
    page.evaluate("document.getElementById('jobs').dataset.same = 'yes'")
    assert poll(page).status == 204

    factories.set_aside()
    assert poll(page).status == 200

    expect(page.locator("#needs")).to_contain_text("items are set aside")
    expect(page.get_by_role("link", name="Maintenance mode…")).to_be_focused()
    assert page.evaluate("document.getElementById('timeline-words').open")
    # What did not change was not touched.
    assert page.evaluate("document.getElementById('jobs').dataset.same") == "yes"


def test_a_switch_that_is_focused_keeps_the_focus_when_its_table_is_swapped(dashboard):
    page = dashboard
    poll(page)
    name = "Purge old content is active"
    page.get_by_role("switch", name=name).focus()

    factories.job_run(job="purge_old_content", status="failed", finished_at=timezone.now())
    poll(page)

    expect(page.locator("#jobs")).to_contain_text("Failed")
    expect(page.get_by_role("switch", name=name)).to_be_focused()


def seconds(text: str) -> int:
    """Return the time of day in the text, in seconds."""
    hours, minutes, rest = re.search(r"(\d\d):(\d\d):(\d\d)", text).groups()
    return int(hours) * 3_600 + int(minutes) * 60 + int(rest)


def test_stored_content_that_cannot_be_had_at_first_comes_later(dashboard, complaints):
    page = dashboard
    page.route("**/dashboard/stored/", lambda route: route.abort())
    page.reload()
    expect(page.locator("#live-notice")).to_be_visible()

    page.unroute("**/dashboard/stored/")
    page.evaluate("htmx.trigger('#stored', 'poll')")

    expect(page.locator("#stored.cards")).to_be_visible()
    complaints.clear()  # the request that was cut off


def test_a_page_whose_server_is_away_says_so_and_is_live_again_afterwards(dashboard, complaints):
    page = dashboard
    page.route("**/dashboard/live/**", lambda route: route.abort())
    page.evaluate(POLL)
    expect(page.locator("#live-notice")).to_be_visible()
    expect(page.locator(".live-sign")).to_be_hidden()
    # In the same zone as the time at the head of the page, wherever the browser is.
    expect(page.locator("#live-notice")).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d Asia/Shanghai\."))
    said, shown = (page.locator(place).inner_text() for place in ("#live-notice [data-as-of]", ".as-of"))
    assert abs(seconds(said) - seconds(shown)) % (86_400 - 60) < 60

    page.unroute("**/dashboard/live/**")
    poll(page)

    expect(page.locator("#live-notice")).to_be_hidden()
    expect(page.locator(".live-sign")).to_be_visible()
    complaints.clear()  # the request that was cut off


def test_a_page_whose_text_is_selected_says_that_it_waits_and_follows_at_once_afterwards(
    dashboard, monkeypatch
):
    page = dashboard
    monkeypatch.setattr(page_module, "POLL_SECONDS", 1)
    page.goto("/admin/")
    expect(page.locator(".held-sign")).to_be_hidden()
    page.evaluate("getSelection().selectAllChildren(document.getElementById('needs-heading'))")
    factories.set_aside()

    expect(page.locator(".held-sign")).to_be_visible()
    expect(page.locator(".live-sign")).to_be_hidden()
    assert page.evaluate("getSelection().toString()")
    expect(page.locator("#needs")).not_to_contain_text("set aside")

    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator("#needs")).to_contain_text("items are set aside")
    expect(page.locator(".live-sign")).to_be_visible()


HEADING_SELECTED = "getSelection().selectAllChildren(document.getElementById('needs-heading'))"


def become(page, hidden):
    """Tell the page that its tab is hidden, or in front again."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_selection_is_kept_by_a_tab_that_comes_to_the_front_again(dashboard, monkeypatch):
    page = dashboard
    monkeypatch.setattr(page_module, "POLL_SECONDS", 1)
    page.goto("/admin/")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "dashboard/live" in request.url else None)
    become(page, hidden=True)
    page.wait_for_timeout(1500)
    factories.set_aside()
    page.evaluate(HEADING_SELECTED)
    become(page, hidden=False)

    expect(page.locator(".held-sign")).to_be_visible()
    assert (page.evaluate("getSelection().toString()") != "", asked) == (True, [])

    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator("#needs")).to_contain_text("items are set aside")


def test_a_selection_that_begins_while_an_answer_is_on_its_way_is_kept(dashboard):
    page = dashboard
    poll(page)
    as_of = page.locator("[data-current]").inner_text()
    factories.set_aside()

    def selecting(route):
        answer = route.fetch()
        page.evaluate(HEADING_SELECTED)
        route.fulfill(response=answer, headers={**answer.headers, "console-as-of": "00:00:00"})

    page.route("**/dashboard/live/**", selecting)
    page.evaluate(POLL)
    expect(page.locator(".held-sign")).to_be_visible()
    assert page.evaluate("getSelection().toString()")
    expect(page.locator("[data-current]")).to_have_text(as_of)

    page.unroute("**/dashboard/live/**")
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator("#needs")).to_contain_text("items are set aside")


def test_the_answer_of_one_part_does_not_hide_that_another_is_lost(dashboard, complaints):
    page = dashboard
    page.route("**/dashboard/live/**", lambda route: route.abort())
    page.evaluate(POLL)
    expect(page.locator("#live-notice")).to_be_visible()

    with page.expect_response("**/dashboard/stored/**"):
        page.evaluate("window.htmx.trigger(document.getElementById('stored'), 'poll')")
    expect(page.locator(UNDER_WAY)).to_have_count(0)
    expect(page.locator("#live-notice")).to_be_visible()

    page.unroute("**/dashboard/live/**")
    poll(page)
    expect(page.locator("#live-notice")).to_be_hidden()
    complaints.clear()  # the request that was cut off


def test_ages_go_by_the_clock_of_the_server_and_can_be_selected(dashboard):
    page = dashboard
    page.add_init_script("{ const real = Date.now; Date.now = () => real() + 3600 * 1000; }")
    started = timezone.now() - timedelta(seconds=90)
    factories.job_run(job="cleanup_tokens", status="running", started_at=started, heartbeat_at=timezone.now())
    page.goto("/admin/")
    age = page.locator("[data-since]").first
    page.wait_for_timeout(1200)
    expect(age).to_contain_text(re.compile("^[12] m "))

    page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-since]'))")
    page.wait_for_timeout(1200)
    assert page.evaluate("getSelection().toString()") == age.inner_text()


def test_a_failure_is_found_and_asked_for_again_by_keyboard_alone(dashboard):
    run = factories.job_run(job="cleanup_tokens", status="failed", error="boom")
    page = dashboard
    page.goto("/admin/")
    page.locator("#content-main").evaluate("element => { element.tabIndex = -1; element.focus(); }")
    keys = 0
    said = ""
    while keys < 15 and not said.strip().startswith("Retry"):
        page.keyboard.press("Tab")
        said = page.evaluate("document.activeElement.textContent") or ""
        keys += 1
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/cleanup_tokens/run/")
    assert keys + 1 <= 15
    assert JobRun.objects.get().pk == run.pk
