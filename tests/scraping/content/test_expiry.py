"""Posts that a purge would delete at once are not stored."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from scraping.compliance.sweep import refresh_stored_content
from scraping.content import expiry
from scraping.content.expiry import EXPIRED, Cutoffs
from scraping.content.storage import store_posts
from scraping.models import ContentState, RedditPost, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions import trial
from scraping.sessions.scrape import scrape_config
from tests.kit import factories
from tests.kit.scraped import make_comment, make_config, make_post, make_session, raw_comment, raw_post
from tests.scraping.reddit_replay import RedditReplay

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def aged(days: float, **fields: Any) -> dict[str, Any]:
    return raw_post(created_utc=(timezone.now() - days * DAY).timestamp(), **fields)


def cutoffs(days: float = 90, **own: Any) -> Cutoffs:
    return Cutoffs(timezone.now() - days * DAY, **own)


@pytest.mark.slow
def test_a_scrape_stores_exactly_the_posts_that_the_purge_keeps() -> None:
    bot, other = make_config(), make_config()
    rule = Cutoffs(
        NOW - 90 * DAY,
        {"IAmA": NOW - 400 * DAY, "memes": NOW - 10 * DAY},
        {bot.pk: NOW - 200 * DAY},
    )
    moment = timedelta(microseconds=1)
    for config in (bot, other, None):
        session = make_session(config, status="succeeded", finished_at=NOW) if config else None
        for subreddit in ("iama", "Memes", "python"):
            for edge in (10, 90, 200, 400):
                for distance in (-moment, timedelta(0), moment):
                    at = NOW - edge * DAY + distance
                    raw = raw_post(subreddit=subreddit, created_utc=0)
                    post = make_post(
                        fullname=raw["name"],
                        subreddit=subreddit,
                        created_at=at,
                        session=session,
                        config=config,
                    )
                    goes = rule.expired(RedditPost.objects.filter(pk=post.pk)).exists()
                    post.delete()
                    row = {"fullname": raw["name"], "subreddit": subreddit, "created_at": at}
                    kept = expiry.without_expired([row], rule, config_id=config.pk if config else None)
                    assert (kept == []) == goes, (config, subreddit, at)


def test_old_posts_are_left_out_and_counted_and_known_ones_still_updated() -> None:
    known = make_post(created_at=timezone.now() - 100 * DAY, held_at=timezone.now(), hold_reason="evidence")
    young, old = aged(89), aged(91)
    again = aged(100, id=known.id36, score=77)

    stored = store_posts([young, old, again], session=None, seen_at=timezone.now(), cutoffs=cutoffs())

    assert (stored.found, stored.new, stored.skipped) == (2, 1, {EXPIRED: 1})
    assert set(RedditPost.objects.values_list("fullname", "score")) == {
        (known.fullname, 77),
        (young["name"], 1),
    }


def test_a_scrape_applies_the_retention_that_it_gets(reddit: RedditReplay) -> None:
    config = make_config(comment_policy="first_page", sort="top")
    old, young = [aged(100, num_comments=1) for _ in range(4)], [aged(1) for _ in range(3)]
    reddit.add_posts("python", [*old, *young])
    for post in old:
        reddit.add_tree(post, [raw_comment(post)])

    session = scrape_config(
        config, run_id=None, kind=ScrapeSession.Kind.AUTO, progress=SilentProgress(), cutoffs=cutoffs
    )

    assert (session.status, session.posts_new, session.posts_expired) == ("succeeded", 3, 4)
    assert set(RedditPost.objects.values_list("fullname", flat=True)) == {post["name"] for post in young}
    assert reddit.asked(path="/comments") == []  # no request for posts that are not stored


def test_the_session_and_the_bot_show_the_count_of_expired_posts(client: Any) -> None:
    client.force_login(factories.superuser())
    session = factories.session(totals={"python": {"posts_found": 1, "skipped": {EXPIRED: 374}}})

    page = client.get(reverse("admin:scraping_scrapesession_change", args=[session.pk])).content.decode()
    bot = client.get(reverse("admin:scraping_botconfig_change", args=[session.config_id])).content.decode()

    assert re.search(r"Older than the retention</dt>\s*<dd>374", page)
    assert "left out 374 posts that are older than the retention" in bot


def test_a_trial_shows_what_would_be_left_out(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_source", cutoffs)
    config = make_config()
    reddit.add_posts("python", [aged(1), aged(100)])

    tried = trial.try_on_reddit(config, by=config.owner)

    assert [item.reason for item in tried.subreddits[0].items] == ["", "older than the retention"]


def test_restored_content_stays_blank_if_the_purge_would_delete_it(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_source", cutoffs)
    blank = {"state": ContentState.REMOVED_BY_MODERATOR, "title": "", "body": ""}
    long_ago = timezone.now() - 100 * DAY
    old = make_post(created_at=long_ago, **blank)
    held = make_post(created_at=long_ago, held_at=timezone.now(), hold_reason="evidence", **blank)
    young = make_post(created_at=timezone.now(), **blank)
    comment = make_comment(old, body="", state=ContentState.REMOVED_BY_MODERATOR)
    for post in (old, held, young):
        reddit.known[post.fullname] = raw_post(id=post.id36)
    reddit.known[comment.fullname] = raw_comment({"name": old.fullname}, id=comment.id36)

    swept = refresh_stored_content(SilentProgress())

    assert swept.counts["restored"] == 2
    for row in (old, held, young, comment):
        row.refresh_from_db()
    assert [old.title, held.title, young.title, comment.body] == ["", "A title", "A title", ""]
    assert old.checked_at is not None
