"""The site: menu, banner, dashboard, and what every page must have."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from adminkit.templatetags import display
from maintenance.registry import jobs
from maintenance.scheduling import seeding
from tests.kit import factories
from tests.pages import every_page

pytestmark = pytest.mark.django_db


def menu_of(client):
    return [
        (str(group["name"]), [str(model["name"]) for model in group["models"]])
        for group in client.get(reverse("admin:index")).context["available_apps"]
    ]


@pytest.mark.slow
def test_the_menu_has_three_groups_in_the_operators_order(client, superuser):
    assert menu_of(client) == [
        ("Operations", ["Schedules", "Job runs", "Alerts", "Deliveries", "Routes", "Retentions", "Activity"]),
        ("Scraping", ["Bots", "Scrape sessions", "Posts", "Comments", "Items set aside", "Reddit apps"]),
        ("Access", ["Users", "Groups"]),
    ]


@pytest.mark.slow
def test_the_menu_names_everything_that_is_registered(client, superuser):
    assert sum(len(models) for _, models in menu_of(client)) == len(admin.site._registry)


def test_the_menu_shows_only_what_a_person_may_see(client):
    client.force_login(factories.user("scraping.view_redditpost"))

    assert menu_of(client) == [("Scraping", ["Posts"])]


@pytest.mark.slow
@pytest.mark.parametrize(("client_id", "shown"), [("", True), ("sandbox", True), ("a-real-one", False)])
def test_the_banner_says_when_the_content_is_synthetic(client, superuser, settings, client_id, shown):
    settings.REDDIT_CLIENT_ID = client_id

    for name in ("admin:index", "admin:maintenance_jobrun_changelist"):
        assert ("Sandbox: synthetic content" in client.get(reverse(name)).content.decode()) is shown


def test_a_stranger_is_sent_to_the_login_page(client):
    response = client.get(reverse("admin:index"))

    assert response.status_code == 302
    assert response.url.startswith(reverse("admin:login"))


def test_who_may_not_see_runs_gets_the_menu_and_no_figures(client):
    client.force_login(factories.user())

    response = client.get(reverse("admin:index"))

    assert response.status_code == 200
    assert "job_rows" not in response.context


@pytest.mark.slow
def test_the_dashboard_lists_every_scheduled_job(client, superuser):
    seeding.seed()

    rows = client.get(reverse("admin:index")).context["job_rows"]

    assert [row.job.slug for row in rows] == [job.slug for job in jobs() if job.crontab]


@pytest.mark.slow
def test_the_dashboard_asks_as_many_queries_for_many_runs_as_for_one(client, superuser):
    seeding.seed()
    factories.job_run()
    client.get(reverse("admin:index"))

    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("admin:index"))
        return len(captured)

    factories.job_run(status="failed", error="no")
    client.get(reverse("admin:index"))
    few = queries()
    for job in jobs():
        for _number in range(35):
            factories.job_run(job=job.slug, status="failed", error="no")
        factories.schedule(task=job.task_name)
    client.get(reverse("admin:index"))
    assert queries() == few
    assert few <= 25


# --- Every page --------------------------------------------------------------------------------


@pytest.fixture
def pages(superuser):
    return every_page(superuser)


INLINE = re.compile(r"""<style|\sstyle=|\son[a-z]+=["']|<script(?![^>]*\ssrc=)|javascript:""", re.IGNORECASE)


@pytest.mark.slow
def test_no_page_carries_a_script_or_a_style_of_its_own(client, pages):
    for address in pages:
        response = client.get(address)
        assert response.status_code == 200, address
        assert not INLINE.search(response.content.decode()), address
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy + ";", address
        assert "style-src 'self';" in policy + ";", address


@pytest.mark.slow
def test_every_page_renders_in_chinese(client, pages):
    with translation.override("en"):  # restores the language, which the requests change
        for address in pages:
            response = client.get(address, headers={"accept-language": "zh-hans"})
            assert response.status_code == 200, address
            assert '<html lang="zh-hans"' in response.content.decode(), address


# --- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.679, "679 ms"),
        (2, "2.0 s"),
        (42.64, "42.6 s"),
        (59.96, "1 m 00 s"),
        (111, "1 m 51 s"),
        (7500, "2 h 05 m"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, text):
    assert display.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.679, "679 毫秒"),
        (42.6, "42.6 秒"),
        (111, "1 分 51 秒"),
        (7500, "2 小时 05 分"),
        (273_600, "3 天 4 小时"),
    ],
)
def test_a_duration_has_chinese_units_in_chinese(seconds, text):
    with translation.override("zh-hans"):
        assert display.duration(timedelta(seconds=seconds)) == text


def test_moments_are_told_from_now():
    now = timezone.now()

    assert display.ago(now - timedelta(seconds=5)) == "just now"
    assert display.ago(now - timedelta(minutes=45, seconds=5)).replace("\xa0", " ") == "45 minutes ago"
    assert display.until(now + timedelta(minutes=14, seconds=5)).replace("\xa0", " ") == "in 14 minutes"
    assert display.until(now - timedelta(seconds=1)) == "now"
    assert display.ago(None) == display.until(None) == display.duration(None) == "–"


@pytest.mark.parametrize(("target", "warned"), [(50, False), (51, True)])
def test_the_dashboard_says_how_much_was_verified_lately(client, superuser, settings, target, warned):
    settings.COMPLIANCE_TARGET_PERCENT = target
    verified = factories.post(checked_at=timezone.now())
    factories.comment(post=verified, checked_at=timezone.now() - timedelta(hours=49))

    page = client.get(reverse("admin:dashboard_stored")).content.decode()

    assert "last 48 h: 50.0 % of posts and comments (target:" in page
    assert ('<p class="warning"> Verified' in " ".join(page.split())) is warned


def test_with_nothing_stored_the_dashboard_says_nothing_of_verifying(client, superuser):
    assert "Verified with Reddit" not in client.get(reverse("admin:dashboard_stored")).content.decode()


def test_the_page_of_stored_content_says_when_an_account_may_see_none_of_it(client):
    client.force_login(factories.user())

    page = client.get(reverse("admin:dashboard_stored")).content.decode()

    assert "no stored content and no change that your account may see" in page
    assert f'<a href="{reverse("admin:index")}">Dashboard</a>' in page
