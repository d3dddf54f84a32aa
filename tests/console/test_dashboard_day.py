"""The dashboard's summary of the day, its live updates, and its parts about stored content."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import access
from console.dashboard import page as page_module
from console.dashboard import stored
from console.needs import world as needs_world
from maintenance.models import JobRun
from maintenance.purging.days import Retention
from maintenance.scheduling import edits, schedules
from maintenance.scheduling import maintenance_mode as mode
from scraping.compliance.coverage import Coverage
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]

INDEX = reverse("admin:index")
SEE_RUNS = "maintenance.view_jobrun"


# --- The last day ---------------------------------------------------------------------------------


def of_day(client):
    page = client.get(INDEX)
    return page.context["day"], " ".join(page.content.decode().split())


@pytest.mark.slow
def test_the_day_counts_slots_and_what_became_of_them_and_no_dry_run(client, superuser):
    slot = timezone.now()

    def slot_run(status, **fields):
        nonlocal slot
        slot -= timedelta(minutes=1)
        schedule = schedules.for_job("cleanup_tokens")
        factories.job_run(status=status, trigger="schedule", schedule=schedule, scheduled_for=slot, **fields)

    slot_run("succeeded")
    slot_run("failed")
    slot_run("skipped")
    slot_run("missed", counts={"slots_missed": 60})
    slot_run("missed", counts={"slots_missed": "many"})
    slot_run("missed", queued_at=timezone.now() - timedelta(hours=25))
    slot_run("cancelled")
    for last in ("succeeded", "failed"):
        slot_run("interrupted")
        first = JobRun.objects.latest("pk")
        of_slot = {"schedule": first.schedule, "scheduled_for": first.scheduled_for}
        factories.job_run(status=last, trigger="retry", retry_of=first, attempt=2, **of_slot)
    factories.job_run(status="partial", trigger="admin")
    factories.job_run(status="failed", dry_run=True)

    found, page = of_day(client)

    assert (found.slots, found.kept, found.failed, found.partial, found.missed) == (66, 2, 2, 1, 61)
    assert "slots kept 2/66" in page
    assert "61 missed" in page
    failed = client.get(f"{found.runs_url}&status__exact=failed").context["cl"]
    assert failed.result_count == found.failed


@pytest.mark.slow
def test_a_run_that_takes_far_longer_than_usual_is_marked(client, superuser):
    now = timezone.now()
    for _number in range(3):
        factories.job_run(
            job="auto_scraping",
            concurrency_key="auto_scraping",
            started_at=now - timedelta(minutes=6),
            finished_at=now,
        )
    run = factories.job_run(
        job="auto_scraping",
        concurrency_key="auto_scraping",
        status="running",
        started_at=now - timedelta(minutes=14),
        progress_done=60,
        progress_total=100,
    )
    factories.job_run(job="purge_old_content", status="running")

    found, page = of_day(client)

    slow, new = found.running
    assert (slow.run, slow.percent, slow.usual.p50, slow.is_slow) == (run, 60, timedelta(minutes=6), True)
    assert (new.percent, new.usual, new.is_slow) == (None, None, False)
    assert "usual 6 m 00 s," in page
    assert "longer than usual" in page


@pytest.mark.slow
def test_a_run_is_never_shown_as_done_while_it_runs(client, superuser):
    factories.job_run(status="running", progress_done=10, progress_total=10)

    assert of_day(client)[0].running[0].percent == 99


@pytest.mark.slow
@pytest.mark.parametrize(("used", "short"), [(232, False), (990, True)])
def test_the_budget_of_reddit_is_shown_and_warned_of(client, superuser, settings, used, short):
    settings.REDDIT_CLIENT_ID = "own"
    ends_at = timezone.now() + timedelta(minutes=5)
    factories.request_budget(client_id="own", used=used, ends_at=ends_at)

    page = client.get(INDEX)

    assert page.context["services"].budget.is_short is short
    assert f"{used}/1,000" in page.content.decode()


@pytest.mark.slow
def test_a_blocked_run_needs_somebody_until_it_is_decided(client):
    run = factories.job_run(job="purge_old_content", status="blocked", waiting_since=timezone.now())

    client.force_login(factories.user(SEE_RUNS))
    page = client.get(INDEX).content.decode()
    assert page.index("waits for approval") < page.index('id="jobs"')
    client.force_login(factories.user(SEE_RUNS, "maintenance.approve_run"))
    assert "Review" in client.get(INDEX).content.decode()
    assert run.reject(message="no")
    assert "waits for approval" not in client.get(INDEX).content.decode()


# --- Live -------------------------------------------------------------------------------------------

LIVE, STORED = reverse("admin:dashboard_live"), reverse("admin:dashboard_stored")


@pytest.fixture
def at_once(monkeypatch):
    """Turn off the cache, so that each poll computes its answer."""
    monkeypatch.setattr(page_module, "KEPT_SECONDS", 0)


def version_of(answer):
    return re.search(r"\?v=([0-9a-f.]+)", answer.content.decode())[1]


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_a_poll_that_knows_the_page_gets_204_and_then_only_what_changed(client, superuser):
    first = client.get(LIVE)
    assert first.status_code == 200
    assert all(f'id="{name}"' in first.content.decode() for name in ("needs", "day", "jobs", "timeline"))

    same = client.get(LIVE, {"v": version_of(first)})
    assert (same.status_code, same.content) == (204, b"")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", same["Console-As-Of"])

    factories.set_aside()
    changed = client.get(LIVE, {"v": version_of(first)}).content.decode()
    assert 'id="needs"' in changed
    assert 'id="jobs"' not in changed


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_the_first_poll_of_a_page_brings_nothing_that_it_has_also_in_maintenance_mode(client, superuser):
    mode.start(by=superuser, reason="x")
    for _page in range(2):  # the first sets the cookie of the forms' tokens
        opened = client.get(INDEX)

    assert client.get(LIVE, {"v": version_of(opened)}).status_code == 204


@pytest.mark.slow
def test_the_tabs_of_one_person_share_an_answer_for_a_moment_and_nobody_elses(client, superuser):
    for _tab in range(2):  # the first sets the cookie of the forms' tokens
        client.get(LIVE)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(LIVE).status_code == 200
    assert len(captured) <= 3

    client.force_login(factories.user())
    assert 'id="jobs"' not in client.get(LIVE).content.decode()


@pytest.mark.slow
def test_people_who_see_the_same_share_an_answer_but_no_token_of_a_form(client):
    see = (SEE_RUNS, "scraping.view_botconfig", "django_celery_beat.change_periodictask")
    first, second, owner = (factories.user(*see) for _ in range(3))
    factories.bot_config(owner=owner)
    schedules.for_job("purge_old_content").delete()

    answers, numbers = {}, {}
    for person in (first, second, owner):
        client.cookies.clear()
        client.force_login(person)
        client.get(reverse("admin:my_sessions"))
        with CaptureQueriesContext(connection) as captured:
            answers[person] = client.get(LIVE).content.decode()
        numbers[person] = len(captured)

    assert numbers[second] <= 6 < numbers[owner]
    tokens = {
        person: set(re.findall(r'csrfmiddlewaretoken" value="(.+?)"', answers[person])) for person in answers
    }
    assert all(tokens.values())
    assert len(set.union(*tokens.values())) == 3


def test_more_running_runs_than_are_read_are_counted(client, superuser, monkeypatch):
    monkeypatch.setattr(needs_world, "OPEN_MAX", 2)
    for number in range(3):
        factories.job_run(job="scrape_now", status="running", params={"config": number})

    assert of_day(client)[0].number_running == 3


def test_how_long_the_queue_waits_goes_on_in_an_open_page(client, superuser):
    since = timezone.now() - timedelta(seconds=20)
    factories.job_run(status="queued", queued_at=since)

    _day, page = of_day(client)

    assert re.search(r'oldest <span data-since="[^"]+">2\d', page)


def test_who_may_not_see_runs_gets_what_needs_them_alone(client):
    owner = factories.user("scraping.view_botconfig")
    bot = factories.bot_config(owner=owner, name="memes")
    bot.note_refusal("private", pause_after=1)
    factories.freshness(config=bot, subreddit="memes", silent_since=timezone.now(), why="private")
    factories.freshness(subreddit="other", silent_since=timezone.now(), why="private")
    client.force_login(owner)

    page, stored = client.get(INDEX), client.get(STORED).content.decode()

    assert "1 bot stopped by Reddit: memes" in page.content.decode()
    assert "job_rows" not in page.context
    assert ("r/memes" in stored, "r/other" in stored, "Storage" in stored) == (True, False, False)


@pytest.mark.slow
def test_the_switch_over_scraping_is_shown_only_once_there_is_one(client, superuser):
    page = client.get(INDEX).content.decode()

    assert "Maintenance mode…" in page
    assert ("Pause scraping…" in page) is bool(page_module._address("admin:maintenance_pause_scraping"))


# --- What is stored -----------------------------------------------------------------------------------


def test_silent_subreddits_come_first_then_unusual_ones_then_those_that_are_due(client, superuser):
    now = timezone.now()
    figures = {"counted_from": now - timedelta(hours=9), "posts": 9, "usual_low": 22, "usual_high": 41}
    factories.freshness(subreddit="fresh", newest_at=now, due_at=now + timedelta(hours=1))
    factories.freshness(
        subreddit="half", newest_at=now, due_at=now + timedelta(minutes=1), verdict="fewer", **figures
    )
    factories.freshness(subreddit="private", silent_since=now - timedelta(days=2), why="private")

    page = client.get(STORED).content.decode()

    assert page.index("r/private") < page.index("r/half") < page.index("r/fresh")
    assert "fewer than usual" in page
    assert "usually 22 to 41 in that time" in page


def test_the_next_purge_takes_what_the_newest_plan_says_and_says_how_old_it_is(client, superuser):
    def planned(rows, retention=None, **fields):
        table = {
            "model": "scraping.RedditPost",
            "rows": rows,
            "total": 1000,
            "sample": [],
            "held_reasons": [],
        }
        plan = {"at": timezone.now().isoformat(), "tables": [table], "retention": retention}
        return factories.job_run(job="purge_old_content", dry_run=True, plan=plan, **fields)

    planned(500)
    newest = planned(351)
    planned(900, params={"days": 7})
    planned(800, retention=Retention(60).key())  # under another one than the job has now

    page = client.get(STORED).content.decode()

    assert f'{reverse("admin:maintenance_jobrun_change", args=[newest.pk])}">351</a>' in page
    assert "as of the plan of" in page

    factories.job_run(job="purge_old_content", status="partial", params={"days": 7})
    assert "as of the plan of" not in client.get(STORED).content.decode()


def test_growth_is_what_was_stored_less_what_was_deleted_in_a_week(client, superuser):
    now = timezone.now()
    factories.session(posts_new=100)
    factories.session(posts_new=7, finished_at=now - timedelta(days=8))
    factories.job_run(job="purge_old_content", counts={"scraping.RedditPost": 30})
    factories.job_run(job="purge_old_content", counts={"scraping.RedditPost": 9}, dry_run=True)
    # Newer than the purge that deleted something, and of the same week.
    for _number in range(stored.RUNS_READ):
        factories.job_run(job="purge_old_content")

    assert stored._days_of_growth(now) == 7
    assert stored._days_of_growth(now - timedelta(days=5.5)) == 2.5
    assert stored._days_of_growth(now - timedelta(days=8)) == 1

    page = client.get(STORED)

    assert {table.name: table.growth for table in page.context["storage"].tables}["posts"] == 70
    assert (page.context["storage"].days_left is None) is (connection.vendor != "sqlite" or not has_file())


@pytest.mark.parametrize(("days", "is_far"), [(None, False), (3_650, False), (3_651, True)])
def test_a_disk_that_fills_in_more_than_ten_years_has_no_number_of_days(days, is_far):
    assert stored.Storage([], Coverage(None), days).is_far_from_full is is_far


def has_file():
    return Path(connection.settings_dict["NAME"]).is_file()


@pytest.mark.slow
def test_without_a_script_a_link_leads_to_a_page_of_what_the_fragment_shows(client, superuser):
    fragment = client.get(STORED, headers={"HX-Request": "true"}).content.decode()

    page = client.get(STORED).content.decode()

    assert f'href="{STORED}"' in client.get(INDEX).content.decode()
    assert "Storage" in fragment
    assert "Storage" in page
    assert ("</html>" in fragment, "</html>" in page) == (False, True)


def test_recent_changes_say_who_did_what(client, superuser):
    edits.pause(schedules.for_job("cleanup_tokens"), by=superuser, reason="x")

    page = " ".join(client.get(STORED).content.decode().split())

    assert f"<strong>{superuser.username}</strong> Paused, or changed the pause: Cleanup tokens" in page
    assert reverse("admin:audit_event_changelist") in page


def test_who_came_and_went_is_no_change(client, superuser):
    factories.event(verb=access.PASSWORD_CHANGED, subject_name="ada")
    factories.event(verb=access.SIGNED_IN, subject_name="visitor")

    page = client.get(STORED).content.decode()

    assert "ada" in page
    assert "visitor" not in page


def test_what_is_stored_is_asked_for_in_few_queries(client, superuser):
    with CaptureQueriesContext(connection) as captured:
        client.get(STORED)
    assert len(captured) <= 25


def test_a_missing_scheduler_is_told_once_with_what_to_do(client, superuser):
    page = client.get(reverse("admin:index")).content.decode()

    assert page.count("start celery beat") == 1
    assert "none is alive" in page
