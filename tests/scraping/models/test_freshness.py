"""The freshness of each subreddit of each bot, and the reasons for silence."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from database import clock
from scraping.models import ScrapeSession, freshness
from scraping.models.freshness import Freshness, Week, hour_of
from scraping.sessions import warnings
from scraping.yields.history import HOURS
from tests.kit import factories, steps
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay

# A Monday.
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRIVATE = Answer(403, {}, b'{"reason": "private"}')


scrape = partial(steps.scrape, kind=ScrapeSession.Kind.AUTO)


def posts_at(*moments: datetime) -> list[dict[str, Any]]:
    return [raw_post(created_utc=moment.timestamp()) for moment in sorted(moments, reverse=True)]


def daytime_week() -> Week:
    """Return a week with six posts per hour from 8 to 20, none at night."""
    week = Week.of(None)
    for place in range(HOURS):
        week.means[place], week.weeks[place] = 6.0 if 8 <= place % 24 < 20 else 0.0, 3
    return week


# --- The usual week ------------------------------------------------------------------------------


def test_the_week_begins_on_monday_at_midnight_utc() -> None:
    week = Week.of(None)
    week.means[0], week.weeks[0] = 7.0, 2
    week.means[1], week.weeks[1] = 3.0, 2
    assert week.expected(MONDAY, MONDAY + HOUR) == 7
    assert week.expected(MONDAY + HOUR, MONDAY + 2 * HOUR) == 3


def test_an_hour_seen_once_or_never_is_as_usual_at_that_time_of_day() -> None:
    week = Week.of(None)
    for day, mean, weeks in ((0, 6.0, 3), (1, 6.0, 3), (2, 0.0, 1)):
        week.means[24 * day + 9], week.weeks[24 * day + 9] = mean, weeks
    assert [week.rates[24 * day + 9] for day in range(4)] == [6, 6, 4, 4]
    assert week.rates[10] == 4  # all that is known


def test_an_hour_between_two_listings_is_counted_once_and_whole() -> None:
    week, nine = Week.of(None), MONDAY + 9 * HOUR
    week.count({hour_of(nine): 4}, since=hour_of(nine), now=nine + HOUR / 2)
    assert week.weeks[9] == 0  # it is not over
    week.count({hour_of(nine): 5, hour_of(nine) + 1: 2}, since=None, now=nine + 1.5 * HOUR)
    assert (week.means[9], week.weeks[9], week.weeks[10], week.pending) == (9, 1, 0, 2)
    week.count({}, since=None, now=nine + 4 * HOUR)
    assert (week.means[10:13], week.weeks[10:13]) == ([2, 0, 0], [1, 1, 1])


def test_hours_hidden_by_a_gap_give_no_rate() -> None:
    week, nine = Week.of(None), MONDAY + 9 * HOUR
    week.count({hour_of(nine): 4}, since=hour_of(nine), now=nine + HOUR / 2)
    week.count({hour_of(nine) + 5: 60}, since=hour_of(nine) + 5, now=nine + 6 * HOUR)
    assert week.weeks[9:15] == [0, 0, 0, 0, 0, 1]
    assert week.means[14] == 60


def test_the_last_weeks_weigh_most_and_a_long_pause_is_not_counted_hour_by_hour() -> None:
    week = Week.of(None)
    for number in range(8):
        start = MONDAY + number * timedelta(days=7)
        week.count({hour_of(start): 10 if number < 4 else 20}, since=hour_of(start), now=start + HOUR)
    assert 15 < week.means[0] < 20
    week.count({}, since=None, now=MONDAY + timedelta(days=3650))
    assert max(week.weeks) <= 8 + freshness.WEEKS_BACK


def test_nights_do_not_count_as_silence() -> None:
    week, evening = daytime_week(), MONDAY + 19 * HOUR
    assert week.expected(evening, MONDAY + 32 * HOUR) == 6
    assert week.expected(evening + HOUR / 2, evening + HOUR) == pytest.approx(3)


def test_a_week_is_restored_from_its_column_and_invalid_data_is_an_empty_week() -> None:
    week = daytime_week()
    assert vars(Week.of(week.as_json())) == vars(week)
    assert Week.of({"means": [1], "weeks": [1]}).is_known is False


# --- What scrapes write ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_listing_says_how_new_its_posts_are(reddit: RedditReplay) -> None:
    now = clock.now()
    newest = (now - HOUR).replace(microsecond=0)
    reddit.add_posts("python", posts_at(newest, newest - HOUR))
    config = make_config(subreddits=["Python"])
    scrape(config)
    row = Freshness.objects.get()
    assert (row.subreddit, row.newest_at, row.silent_since, row.why) == ("python", newest, None, "")
    assert row.listed_at is not None
    assert row.listed_at >= now


@pytest.mark.django_db
@pytest.mark.parametrize("sort", ["hot", "top", "rising"])
def test_other_listings_say_it_too(reddit: RedditReplay, sort: str) -> None:
    newest = (clock.now() - HOUR).replace(microsecond=0)
    reddit.add_posts("python", posts_at(newest - HOUR, newest))
    scrape(make_config(sort=sort))
    row = Freshness.objects.get()
    assert (row.newest_at, row.due_at, row.rates) == (newest, None, None)


@pytest.mark.slow
@pytest.mark.django_db
def test_a_subreddit_that_cannot_be_listed_is_silent_since_its_last_listing(reddit: RedditReplay) -> None:
    reddit.add_posts("python", posts_at(clock.now() - HOUR))
    reddit.add_posts("golang", posts_at(clock.now() - HOUR))
    config = make_config(subreddits=["python", "golang"])
    scrape(config)
    listed_at = Freshness.objects.get(subreddit="python").listed_at
    for _ in range(2):
        reddit.answers["/r/python/new"] = [PRIVATE]
        scrape(config)
        row = Freshness.objects.get(subreddit="python")
        assert (row.silent_since, row.why, row.listed_at) == (listed_at, "private", listed_at)
        assert row.why_text == "private subreddit"
        assert row.tried_at > listed_at
    assert [row.subreddit for row in Freshness.objects.silent()] == ["python"]
    del reddit.answers["/r/python/new"]
    scrape(config)
    row.refresh_from_db()
    assert (row.silent_since, row.why, row.error) == (None, "", "")
    assert not Freshness.objects.silent().exists()


@pytest.mark.django_db
def test_a_subreddit_never_listed_says_why(reddit: RedditReplay, settings: Any) -> None:
    settings.REDDIT_CLIENT_ID = ""
    scrape(make_config(subreddits=["python", "golang"]))
    rows = list(Freshness.objects.all())
    assert [(row.subreddit, row.why, row.newest_at) for row in rows] == [
        ("golang", "not_configured", None),
        ("python", "not_configured", None),
    ]
    assert all(row.silent_since for row in rows)


@pytest.mark.django_db
def test_refused_comments_do_not_make_a_subreddit_silent(reddit: RedditReplay) -> None:
    (post,) = posts_at(clock.now() - HOUR)
    reddit.add_posts("python", [post | {"num_comments": 3}])
    reddit.answers[f"/comments/{post['id']}"] = [PRIVATE]
    session = scrape(make_config(comment_policy="complete"))
    assert session.status != "succeeded"
    assert not Freshness.objects.silent().exists()


@pytest.mark.django_db
def test_a_subreddit_is_silent_by_the_rates_of_its_hours(reddit: RedditReplay) -> None:
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    reddit.add_posts("python", posts_at(*(now - number * timedelta(minutes=10) for number in range(1, 600))))
    config = make_config(post_limit=1000)
    scrape(config)
    row = Freshness.objects.get()
    assert row.week.is_known
    assert sum(row.week.rates) / HOURS == pytest.approx(6, abs=0.3)
    assert row.newest_at is not None
    assert (row.verdict, row.due_at) == ("", None)  # four days of history are too few for a judgement
    assert not Freshness.objects.silent().exists()


@pytest.mark.django_db
def test_a_subreddit_that_is_not_scraped_any_more_is_forgotten(reddit: RedditReplay) -> None:
    for name in ("python", "golang"):
        reddit.add_posts(name, posts_at(clock.now() - HOUR))
    config, other = make_config(subreddits=["python", "golang"]), make_config(subreddits=["golang"])
    scrape(config)
    scrape(other)
    config.subreddits = ["python"]
    config.save()
    scrape(config)
    assert sorted(Freshness.objects.values_list("config", "subreddit")) == sorted(
        [(config.pk, "python"), (other.pk, "golang")]
    )
    config.delete()
    assert Freshness.objects.get().config_id == other.pk


# --- What people see ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_everybody_sees_their_own() -> None:
    mine, foreign = make_config(), make_config()
    for config in (mine, foreign):
        freshness.note_failed(config.pk, ["python"], kind="private", error="x")
    assert [row.config_id for row in Freshness.objects.visible_to(mine.owner)] == [mine.pk]
    assert Freshness.objects.visible_to(factories.superuser()).count() == 2


@pytest.mark.slow
@pytest.mark.django_db
def test_the_bots_page_shows_every_subreddit_in_a_fixed_number_of_queries(client: Any) -> None:
    config = make_config(subreddits=["python", "golang", "java"])
    now = clock.now()
    freshness.note_listed(config.pk, "python", newest_at=now - HOUR, week=daytime_week())
    freshness.note_failed(config.pk, ["golang"], kind="private", error="It is private.")
    client.force_login(factories.superuser())
    address = reverse("admin:scraping_botconfig_change", args=[config.pk])
    with CaptureQueriesContext(connection) as few:
        page = client.get(address).content.decode()
    for name in ("python", "golang", "java"):
        assert f">r/{name}</th>" in page
    assert "private subreddit: It is private." in page
    assert '<span class="badge badge-failed">Silent</span>' in page
    assert "not listed yet" in page
    assert page.count('<svg viewBox="0 0 24 7"') == 1
    assert "6.0 an hour" in page
    config.subreddits = [f"sub{number}" for number in range(40)]
    config.save()
    for name in config.subreddits:
        freshness.note_failed(config.pk, [name], kind="private", error="x")
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(many) <= len(few)


@pytest.mark.django_db
@time_machine.travel(MONDAY, tick=False)
def test_a_paused_bot_says_that_first(client: Any) -> None:
    config = make_config()
    for _ in range(warnings.REFUSALS_MAX):
        config.note_refusal("private", pause_after=warnings.REFUSALS_MAX)
    client.force_login(factories.superuser())
    page = client.get(reverse("admin:scraping_botconfig_change", args=[config.pk])).content.decode()
    assert "the bot is paused: private subreddit" in page
