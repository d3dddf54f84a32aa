"""What scrapes say about the yield of a subreddit: silent, fewer, more, and the likely cause."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from audit.events import record
from database import clock
from scraping.models import BotConfig, Freshness, ScrapeSession, Watermark
from tests.kit import factories, steps
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
HOUR = timedelta(hours=1)
DAYS = 25
scrape = partial(steps.scrape, kind=ScrapeSession.Kind.AUTO)


def posts(
    *, until: datetime, hours: int = DAYS * 24, every: timedelta = HOUR, **fields: Any
) -> list[dict[str, Any]]:
    """Return posts, newest first, the last one at ``until``."""
    return [raw_post(created_utc=(until - number * every).timestamp(), **fields) for number in range(hours)]


def twice(config: BotConfig) -> Freshness:
    """Scrape, and again two hours later; return the row."""
    scrape(config)
    assert Freshness.objects.get().verdict in ("", "usual")
    with time_machine.travel(clock.now() + 2 * HOUR):
        scrape(config)
    return Freshness.objects.get()


def test_a_subreddit_is_silent_at_the_second_look_and_since_its_last_post(reddit: RedditReplay) -> None:
    newest = clock.now().replace(minute=30, second=0, microsecond=0) - 40 * HOUR
    reddit.add_posts("python", posts(until=newest))
    config = make_config(post_limit=1000)

    row = twice(config)

    assert (row.verdict, row.why, row.posts) == ("silent", "quiet", 0)
    assert row.silent_since == row.counted_from == newest + HOUR / 2
    assert row.usual_low is not None
    assert row.usual_high is not None
    assert 15 < row.usual_low < 41 < row.usual_high < 70
    assert "Look at the subreddit on Reddit" in row.error
    session = config.sessions.first()
    assert session is not None
    (warning,) = session.totals["python"]["warnings"]
    assert warning.startswith("0 posts since ")
    assert list(Freshness.objects.silent()) == [row]
    assert not Freshness.objects.unusual().exists()


def test_as_many_posts_as_usual_are_shown_beside_what_is_usual(reddit: RedditReplay, client: Any) -> None:
    reddit.add_posts("python", posts(until=clock.now() - HOUR / 4))
    config = make_config(post_limit=1000)

    row = twice(config)

    assert (row.verdict, row.silent_since, row.error) == ("usual", None, "")
    assert row.due_at is not None
    assert row.due_at > clock.now() + 5 * HOUR
    client.force_login(factories.superuser())
    page = client.get(reverse("admin:scraping_botconfig_change", args=[config.pk])).content.decode()
    assert row.figures_text in page
    assert f"usually {row.usual_low} to {row.usual_high} in that time" in page


def test_too_little_history_is_not_judged_and_the_page_says_so(reddit: RedditReplay, client: Any) -> None:
    reddit.add_posts("python", posts(until=clock.now() - 40 * HOUR, hours=200))
    config = make_config(post_limit=1000)

    row = twice(config)

    assert (row.verdict, row.silent_since, row.due_at) == ("", None, None)
    client.force_login(factories.superuser())
    page = client.get(reverse("admin:scraping_botconfig_change", args=[config.pk])).content.decode()
    assert "not judged yet: that takes 14 known days with 20 posts" in page


def test_what_a_new_filter_leaves_out_is_told_with_who_set_it(reddit: RedditReplay) -> None:
    now = clock.now()
    reddit.add_posts("python", posts(until=now - HOUR / 2))
    config = make_config(post_limit=1000)
    with time_machine.travel(now - 40 * HOUR):
        row = scrape_before(reddit, config)
    config.pattern_wanted = "nothing like it"
    config.save()
    record("row.changed", config, after={"pattern_wanted": "nothing like it"}, by=config.owner)
    row = twice(config)

    assert (row.verdict, row.posts) == ("silent", 0)
    assert "the bot's filters leave them out" in row.error
    assert f"{config.owner} changed the bot at " in row.error
    assert "only posts that match" in row.error


def scrape_before(reddit: RedditReplay, config: BotConfig) -> Freshness:
    """Scrape at the present moment of the clock, without the posts that come later."""
    later, now = reddit.posts["python"], clock.now().timestamp()
    reddit.posts["python"] = [post for post in later if post["created_utc"] < now]
    scrape(config)
    reddit.posts["python"] = later
    return Freshness.objects.get()


def test_a_flood_is_unusual_but_no_silence(reddit: RedditReplay) -> None:
    now = clock.now()
    calm = posts(until=now - 12 * HOUR)
    flood = posts(until=now - HOUR / 2, hours=180, every=HOUR / 15)
    reddit.add_posts("python", flood + calm)

    row = twice(make_config(post_limit=1000))

    assert (row.verdict, row.silent_since, row.why) == ("more", None, "")
    assert row.unusual_from == row.counted_from
    assert list(Freshness.objects.unusual()) == [row]
    assert row.error == "Reddit lists more posts: an event, or spam."


def test_failed_sessions_are_no_silence_until_they_last_a_day(reddit: RedditReplay) -> None:
    reddit.add_posts("python", posts(until=clock.now() - HOUR / 4))
    config = make_config(post_limit=1000)
    scrape(config)
    listed_at = Freshness.objects.get().listed_at
    for hours, is_silent in ((2, False), (20, False), (25, True)):
        reddit.answers["/r/python/new"] = [Answer(503, {}, b"")] * 10
        with time_machine.travel(clock.now() + hours * HOUR):
            scrape(config)
        row = Freshness.objects.get()
        assert (row.silent_since == listed_at) is is_silent


def test_another_search_begins_a_new_history(reddit: RedditReplay) -> None:
    newest = clock.now() - 40 * HOUR
    reddit.add_posts("python", posts(until=newest))
    config = make_config(post_limit=1000)
    twice(config)
    Watermark.objects.update(listing="search:something else")

    scrape(config)

    row = Freshness.objects.get()
    assert row.yields is not None
    assert row.yields["verdict"]["kind"] == ""
