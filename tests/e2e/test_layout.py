"""What a page looks like between a phone and a desk, and what its forms show as somebody fills them in."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from playwright.sync_api import expect

from maintenance.models import JobRun, PlannedWindow
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)
# The timeline scrolls through time.
TOO_WIDE = """[...document.querySelectorAll("table")].map((table) => table.parentElement)
    .filter((box) => box.scrollWidth > box.clientWidth + 1 && !box.closest("#timeline-scroll"))
    .map((box) => `${box.id} ${box.className}: ${box.scrollWidth} in ${box.clientWidth}`)"""
NARROW_FIELDS = """[...document.querySelectorAll("#content :is(input[type='text'], select)")]
    .filter((field) => field.offsetParent && field.offsetWidth < 80).map((field) => field.outerHTML)"""
HEADER = "document.getElementById('header').offsetHeight"


@pytest.mark.parametrize(("width", "highest"), [(360, 220), (780, 190), (1000, 130), (1100, 70)])
def test_the_header_is_low_at_every_width(signed_in, width, highest):
    page = signed_in
    page.set_viewport_size({"width": width, "height": 740})
    page.goto("/admin/audit/event/")

    assert page.evaluate(HEADER) <= highest
    assert page.evaluate("document.documentElement.scrollWidth") <= width


COVERED = """() => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector("#content > h1"));
  const lines = [...range.getClientRects()];
  const buttons = [...document.querySelectorAll(".object-tools li")].map((one) => one.getBoundingClientRect());
  return lines.some((line) => buttons.some((button) => line.left < button.right && button.left < line.right
    && line.top < button.bottom && button.top < line.bottom));
}"""


@pytest.mark.parametrize("name", ["Gardens, newest posts, every hour", "x" * 190])
def test_buttons_cover_no_title_however_long_it_is(signed_in, name):
    schedule = factories.schedule(name=name)
    page = signed_in
    page.goto(f"/admin/django_celery_beat/periodictask/{schedule.pk}/change/")
    expect(page.locator(".object-tools")).to_be_visible()

    for width in (1440, 1300, 1100, 1030, 900, 360):
        page.set_viewport_size({"width": width, "height": 900})
        assert not page.evaluate(COVERED), width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_name_without_spaces_makes_no_page_wider_than_a_phone(signed_in):
    bot = factories.bot_config(name="x" * 90)
    page = signed_in
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/admin/scraping/botconfig/{bot.pk}/change/")

    expect(page.get_by_role("heading", name=bot.name)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width", [768, 900, 1024])
@pytest.mark.parametrize(
    "address", ["", "maintenance/jobrun/", "django_celery_beat/periodictask/", "scraping/redditpost/"]
)
def test_no_table_scrolls_sideways_between_a_phone_and_a_desk(signed_in, superuser, width, address):
    page = signed_in
    for status in ("succeeded", "failed", "partial"):
        for task in PeriodicTask.objects.filter(task__startswith="maintenance."):
            fields = {"schedule": task, "schedule_name": task.name, "trigger": "schedule"}
            slot = timezone.now() - timedelta(minutes=JobRun.objects.count())
            factories.job_run(
                status=status, job=task.task[12:], scheduled_for=slot, started_at=slot, **fields
            )
    factories.post(
        title="A bench for the garden", author="a_name_of_twenty_chr", subreddit="a_long_subreddit_name"
    )
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(f"/admin/{address}")

    expect(page.locator("#content table").first).to_be_visible()
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(NARROW_FIELDS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_tick_box_covers_no_title_and_a_choice_of_a_schedule_stays_in_its_form(signed_in):
    page = signed_in
    factories.post(title="words of a title that fills more than two lines of a telephone " * 3)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/admin/scraping/redditpost/")
    title = page.locator("#result_list tbody th a").bounding_box()
    box = page.locator("#result_list tbody .action-select").bounding_box()
    assert title["x"] + title["width"] <= box["x"]

    page.locator("#result_list thead a").first.focus()
    assert page.locator("#result_list thead").bounding_box()["height"] > 20

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/admin/django_celery_beat/periodictask/add/")
    choice, form = (
        page.locator("#id_days_off").bounding_box(),
        page.locator("fieldset", has=page.locator("#id_days_off")),
    )
    assert choice["x"] + choice["width"] <= form.bounding_box()["x"] + form.bounding_box()["width"]


def test_the_first_event_is_in_sight_on_a_phone(signed_in):
    page = signed_in
    factories.event()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/admin/audit/event/")

    expect(page.get_by_label("Subject’s id")).to_be_hidden()
    assert page.locator("#activity tbody tr").first.bounding_box()["y"] < 740
    page.locator(".activity-menu > summary").click()
    page.get_by_label("Person").fill("nobody")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_text("Nothing has happened.")).to_be_visible()
    expect(page.get_by_label("Person")).to_have_value("nobody")
    expect(page.get_by_label("Person")).to_be_visible()


def test_a_windows_preview_follows_typing_and_only_fields_of_its_kind_are_shown(signed_in):
    page = signed_in
    asked = []
    page.on(
        "request", lambda request: asked.append(request.url) if "windows/preview" in request.url else None
    )
    page.goto("/admin/windows/")
    preview = page.locator("#window-preview")
    expect(page.get_by_label("Monday")).to_be_hidden()

    page.get_by_label("every week").check()
    expect(page.get_by_label("Starts")).to_be_hidden()
    page.get_by_label("Sunday").check()
    page.get_by_label("From").fill("02:00")
    page.locator("#id_to_time").fill("04:00")
    page.get_by_label("Reason").fill("backup")

    expect(preview).to_contain_text("The window is open")
    expect(preview).to_contain_text("Purge old content")
    assert asked
    assert not any("csrfmiddlewaretoken" in address for address in asked)
    assert not PlannedWindow.objects.exists()


def test_a_routes_form_shows_what_its_recipient_needs(signed_in):
    page = signed_in
    page.goto("/admin/alerts/route/add/")
    expect(page.get_by_label("Apprise address")).to_be_hidden()

    page.get_by_label("Recipient").select_option("chat")
    expect(page.get_by_label("Apprise address")).to_be_visible()
    expect(page.get_by_label("Web address")).to_be_hidden()
    page.get_by_label("Recipient").select_option("webhook")
    expect(page.get_by_label("Secret of the signature")).to_be_visible()
    expect(page.get_by_label("Apprise address")).to_be_hidden()


def test_the_dashboard_and_a_schedule_lead_to_the_comparison(signed_in):
    page = signed_in
    page.goto("/admin/")
    page.locator("#jobs").get_by_role("link", name="Compare two weeks").click()
    expect(page.get_by_role("heading", name="Compare two periods")).to_be_visible()

    page.goto("/admin/django_celery_beat/periodictask/")
    page.get_by_role("link", name="Purge old content", exact=True).first.click()
    page.get_by_role("link", name="Compare two weeks").click()
    expect(page.get_by_label("Job")).to_have_value("purge_old_content")


IN_SIGHT = """() => {
  const place = document.getElementById("timeline-scroll");
  const frame = place.getBoundingClientRect(), names = place.querySelector(".names").getBoundingClientRect();
  const now = place.querySelector(".plot .now").getBoundingClientRect();
  const [text, line] = [place.querySelector(".names text:last-child"), [...place.querySelectorAll(".lane")].pop()];
  const middle = (box) => (box.top + box.bottom) / 2;
  return {
    now: now.left > names.right && now.right < frame.right,
    names: Math.abs(names.left - frame.left) < 1,
    level: Math.abs(middle(text.getBoundingClientRect()) - middle(line.getBoundingClientRect())) < 4,
  };
}"""


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_timeline_opens_at_the_present_with_the_names_beside_it(signed_in, width):
    page = signed_in
    page.set_viewport_size({"width": width, "height": 800})

    page.goto("/admin/")

    assert page.evaluate(IN_SIGHT) == {"now": True, "names": True, "level": True}
