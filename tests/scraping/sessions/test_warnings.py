"""The warnings about a config, and the pauses of a config."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from audit.models import Event
from scraping.models import BotConfig, ErrorKind, ScrapeSession, Watermark
from scraping.sessions import warnings
from scraping.sessions.scrape import ConfigInactive
from tests.kit import steps
from tests.kit.progress import Recorder
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = pytest.mark.django_db

PRIVATE = Answer(403, {}, b'{"reason": "private"}')
BANNED = Answer(404, {}, b'{"reason": "banned"}')


scrape = partial(steps.scrape, kind=ScrapeSession.Kind.AUTO)


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (PRIVATE, "private"),
        (Answer(403, {}, b'{"reason": "quarantined"}'), "quarantined"),
        (BANNED, "banned"),
        (Answer(302, {"Location": "/subreddits/search?q=python"}), "not_found"),
        (Answer(401, {"www-authenticate": 'Bearer error="invalid_token"'}), "unauthorized"),
    ],
)
def test_three_refusals_in_a_row_pause_the_config_and_say_why(
    reddit: RedditReplay, answer: Answer, kind: str
) -> None:
    reddit.answers["/r/python/new"] = [answer]
    config, other = make_config(), make_config(subreddits=["golang"])
    for _ in range(2):
        scrape(config)
        config.refresh_from_db()
        assert config.is_active
    progress = Recorder()
    session = scrape(config, progress)
    assert session.error_kind == kind
    config.refresh_from_db()
    assert (config.is_active, config.refusal_kind, config.refusals) == (False, kind, 3)
    assert config.paused_at is not None
    reason = str(ErrorKind(kind).label)
    assert config.pause_reason == reason
    assert any(reason in text and "paused" in text for _level, text in progress.lines)
    assert config not in BotConfig.objects.auto_scraped()
    event = Event.objects.get(verb="bot.paused")
    assert (event.actor_kind, event.subject_id, event.reason) == ("system", str(config.pk), reason)
    assert (event.before, event.after) == ({"is_active": True}, {"is_active": False})
    assert event.parameters["reason_parts"]
    assert other in BotConfig.objects.auto_scraped()
    with pytest.raises(ConfigInactive, match=reason):
        scrape(config)


def test_an_answer_in_between_or_another_reason_restarts_the_count(reddit: RedditReplay) -> None:
    config = make_config()
    for answers in (PRIVATE, PRIVATE, BANNED, BANNED):
        reddit.answers["/r/python/new"] = [answers]
        scrape(config)
    del reddit.answers["/r/python/new"]
    reddit.add_posts("python", [raw_post()])
    scrape(config)
    config.refresh_from_db()
    assert (config.is_active, config.refusals, config.refusal_kind) == (True, 0, "")


def test_a_transient_error_neither_counts_nor_resets_the_count(reddit: RedditReplay) -> None:
    config = make_config()
    for answer in (PRIVATE, PRIVATE, Answer(500), PRIVATE):
        reddit.answers["/r/python/new"] = [answer]
        scrape(config)
    config.refresh_from_db()
    assert config.paused_at is not None


def test_one_refused_subreddit_of_two_pauses_nothing(reddit: RedditReplay) -> None:
    reddit.answers["/r/secret/new"] = [PRIVATE]
    reddit.add_posts("python", [raw_post()])
    config = make_config(subreddits=["secret", "python"])
    for _ in range(4):
        assert scrape(config).status == "partial"
    config.refresh_from_db()
    assert (config.is_active, config.refusals) == (True, 0)


def test_activating_a_paused_config_ends_the_pause_and_its_count(reddit: RedditReplay) -> None:
    reddit.answers["/r/python/new"] = [PRIVATE]
    config = make_config()
    for _ in range(3):
        scrape(config)
    config.refresh_from_db()
    config.is_active = True
    config.save()
    config.refresh_from_db()
    assert (config.paused_at, config.refusals, config.refusal_kind) == (None, 0, "")
    scrape(config)
    config.refresh_from_db()
    assert config.is_active


# --- Warnings ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_posts_that_another_bot_stored_or_a_filter_left_out_are_no_silence(reddit: RedditReplay) -> None:
    now = timezone.now().timestamp()
    old = [raw_post(created_utc=now - 7 * 3600 - n * 360) for n in range(100)]
    reddit.add_posts("python", old)
    robbed, strict = make_config(post_limit=1000), make_config(post_limit=1000, pattern_wanted="nothing")
    for config in (robbed, strict):
        scrape(config)
    reddit.posts["python"] = [raw_post(created_utc=now - n * 360) for n in range(60)] + old
    scrape(make_config())
    for config in (robbed, strict):
        session = scrape(config)
        assert (session.posts_new, session.totals["python"]["warnings"]) == (0, [])


def test_a_listing_that_passes_the_watermark_was_long_enough(reddit: RedditReplay) -> None:
    now = timezone.now().timestamp()
    posts = [raw_post(created_utc=now - n * 30) for n in range(160)]
    reddit.add_posts("python", posts[30:])
    config = make_config(post_limit=100)
    scrape(config)
    Watermark.objects.update(listed_at=timezone.now() - timedelta(minutes=15))
    reddit.posts["python"] = posts
    session = scrape(config)
    assert (session.posts_new, session.totals["python"]["warnings"]) == (30, [])


def test_a_quiet_subreddit_may_be_quiet(reddit: RedditReplay) -> None:
    now = timezone.now().timestamp()
    reddit.add_posts("python", [raw_post(created_utc=now - 3 * 3600 - n * 3600) for n in range(120)])
    config = make_config(post_limit=1000)
    scrape(config)
    assert scrape(config).totals["python"]["warnings"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (1000, "r/python gets 310 posts per hour: scrape at least every 3 h."),
        (100, "scrape at least every 19 min. Or raise the posts per subreddit, of which it reads 100."),
    ],
)
def test_a_config_with_more_posts_than_its_listing_warns(
    reddit: RedditReplay, limit: int, words: str
) -> None:
    now = timezone.now().timestamp()
    posts = [raw_post(subreddit="python", created_utc=now - n * 3600 / 310) for n in range(1000)]
    reddit.add_posts("python", posts[900:])
    config = make_config(post_limit=limit)
    assert scrape(config).totals["python"]["warnings"] == []
    Watermark.objects.update(listed_at=timezone.now() - timedelta(hours=3))
    reddit.posts["python"] = posts
    progress = Recorder()
    session = scrape(config, progress)
    assert [words in warning for warning in session.totals["python"]["warnings"]] == [True]
    assert any(words in text for level, text in progress.lines if level == "warning")


def test_a_config_within_its_listing_does_not_warn() -> None:
    hours = timedelta(hours=3)
    assert warnings.growth_warning(name="x", posts_per_hour=200, since_last=hours, post_limit=1000) == ""
    assert warnings.growth_warning(name="x", posts_per_hour=None, since_last=hours, post_limit=1000) == ""
    assert warnings.growth_warning(name="x", posts_per_hour=9e9, since_last=None, post_limit=1000) == ""


def test_a_baseline_changes_slowly() -> None:
    assert warnings.smoothed(None, 10) == 10
    assert warnings.smoothed(10, None) == 10
    assert warnings.smoothed(10, 20) == pytest.approx(13)


@pytest.mark.django_db(transaction=True)  # the database cascades when the transaction commits
def test_deleting_a_config_deletes_its_watermarks_only() -> None:
    config, other = make_config(), make_config()
    now = timezone.now()
    for owner in (config, other):
        Watermark.objects.create(
            config=owner, subreddit="python", name="python", listing="new", newest_at=now, listed_at=now
        )
    config.delete()
    assert [mark.config for mark in Watermark.objects.all()] == [other]
