"""Listings that end too soon, loop, have wrong times or show old posts late: no post is lost without a warning."""

import json
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from scraping.models import (
    BotConfig,
    RedditComment,
    RedditPost,
    RequestBudget,
    Watermark,
    validate_subreddits,
)
from scraping.sessions import watermarks
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import Answer, Asked, RedditReplay, listing, thing
from tests.soak import size

pytestmark = pytest.mark.django_db

Raw = dict[str, Any]
START = int(time.time()) - 60 * 86_400


def stored() -> set[str]:
    return set(RedditPost.objects.values_list("fullname", flat=True))


def newest_first(number: int, *, start: float = START, every: float = 60, **fields: Any) -> list[Raw]:
    """Return posts of which the oldest was made at ``start``."""
    return [raw_post(created_utc=start + n * every, **fields) for n in reversed(range(number))]


# --- Gaps -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("new", "cap", "sort", "gap"),
    [
        (400, 250, "search", True),
        (249, 250, "search", False),
        (250, 250, "search", True),
        (999, 1000, "new", False),
        (1000, 1000, "new", True),
        (700, 620, "new", True),
    ],
)
def test_a_listing_that_ends_before_its_watermark_is_a_gap_however_long_it_is(
    reddit: RedditReplay, new: int, cap: int, sort: str, gap: bool
) -> None:
    posts = newest_first(new + 100)
    reddit.add_posts("python", posts[new:])
    config = make_config(post_limit=1000, sort=sort, query="django" if sort == "search" else "")
    assert not scrape(config).has_gap
    reddit.cap, reddit.posts["python"] = cap, posts
    session = scrape(config)
    assert (session.status, session.has_gap) == ("succeeded", gap)
    assert gap or stored() >= {post["name"] for post in posts[:new]}


def test_more_new_posts_than_the_limit_are_a_gap(reddit: RedditReplay) -> None:
    posts = newest_first(400)
    reddit.add_posts("python", posts[300:])
    config = make_config(post_limit=100)
    scrape(config)
    reddit.posts["python"] = posts
    session = scrape(config)
    assert session.has_gap
    assert any("more new posts than the limit" in text for text in session.totals["python"]["warnings"])


def test_a_small_subreddit_that_is_listed_whole_has_no_gap(reddit: RedditReplay) -> None:
    posts = newest_first(5, every=60)
    reddit.add_posts("python", posts[2:])
    config = make_config()
    scrape(config)
    reddit.posts["python"] = [posts[0], posts[1], posts[3]]  # what was the newest is gone
    assert not scrape(config).has_gap


def test_posts_that_a_filter_left_out_still_count_as_met(reddit: RedditReplay) -> None:
    posts = newest_first(30, title="dull")
    reddit.add_posts("python", posts[10:])
    config = make_config(pattern_wanted="shiny")
    scrape(config)
    reddit.posts["python"] = posts
    session = scrape(config)
    assert (session.has_gap, stored()) == (False, set())


# --- Odd times --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_post_dated_ahead_moves_no_watermark_ahead(reddit: RedditReplay) -> None:
    now = int(time.time())
    posts = newest_first(500, start=now - 500 * 60)
    ahead = raw_post(created_utc=now + 7200)
    reddit.add_posts("python", [ahead, *posts[300:]])
    config = make_config(post_limit=1000)
    scrape(config)
    assert Watermark.objects.get().newest_at.timestamp() == posts[300]["created_utc"]
    reddit.posts["python"] = [ahead, *posts]
    session = scrape(config)
    assert (session.posts_new, session.has_gap) == (300, False)
    assert Watermark.objects.get().newest_at <= timezone.now()


@pytest.mark.slow
def test_a_watermark_that_an_earlier_release_moved_ahead_heals(reddit: RedditReplay) -> None:
    posts = newest_first(400, start=time.time() - 400 * 60)
    reddit.add_posts("python", posts[300:])
    config = make_config(post_limit=1000)
    scrape(config)
    listed_at = datetime.fromtimestamp(posts[300]["created_utc"] + 30, UTC)
    Watermark.objects.update(newest_at=timezone.now() + timedelta(hours=2), listed_at=listed_at)
    reddit.posts["python"] = posts
    assert scrape(config).posts_new == 300


@pytest.mark.slow
@pytest.mark.parametrize("odd", [0, -7.0, 1, 1_262_304_000, None, "never", 1e18])
def test_one_wrong_time_at_the_end_of_a_page_ends_no_listing(reddit: RedditReplay, odd: Any) -> None:
    posts = newest_first(400)
    reddit.add_posts("python", posts[300:])
    config = make_config(post_limit=1000)
    scrape(config)
    for place in (99, 199, 250):
        posts[place]["created_utc"] = odd
    reddit.posts["python"] = posts
    session = scrape(config)
    assert (session.posts_new, session.has_gap, session.status) == (300, False, "succeeded")


def test_the_watermark_goes_by_reddits_clock(reddit: RedditReplay) -> None:
    # Reddit's clock shows a past day; a post dated a little later is in the future by that clock.
    posts = newest_first(30)
    plain = RedditReplay._answer

    class Slow(RedditReplay):
        def _answer(self, asked: Asked) -> Answer:
            answer = plain(self, asked)
            answer.headers["Date"] = datetime.fromtimestamp(posts[10]["created_utc"], UTC).strftime(
                "%a, %d %b %Y %H:%M:%S GMT"
            )
            return answer

    reddit.__class__ = Slow
    reddit.add_posts("python", posts)
    scrape(make_config())
    assert Watermark.objects.get().newest_at.timestamp() <= posts[10]["created_utc"]


# --- Circles ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_listing_that_goes_round_in_circles_is_noticed_at_the_second_meeting(
    reddit: RedditReplay, pages: int
) -> None:
    chunks = [newest_first(100, start=START - n * 6000) for n in range(pages)]
    answers = [Answer.of(listing(map(thing, chunk), after=chunk[-1]["name"])) for chunk in chunks]
    reddit.answers["/r/python/new"] = answers * 20
    session = scrape(make_config(post_limit=1000))
    assert (session.status, session.error_kind, session.posts_found) == ("partial", "bad_answer", 100 * pages)
    assert "round in circles" in session.error
    assert len(reddit.asked(path="/new")) == pages + 1
    assert not Watermark.objects.exists()


# --- Late approvals ---------------------------------------------------------------------------------


def late_approval(reddit: RedditReplay, hours: float = 3.0) -> tuple[Raw, BotConfig]:
    """Return a post that appears hours after its creation, after 150 newer ones in the listing."""
    posts = newest_first(400, every=hours * 3600 / 150)
    late = posts.pop(150)
    reddit.add_posts("python", posts)
    config = make_config(post_limit=200)
    scrape(config)
    reddit.posts["python"].insert(150, late)
    return late, config


@pytest.mark.slow
def test_a_late_approval_is_found_by_the_deeper_reading_of_the_day(reddit: RedditReplay) -> None:
    late, config = late_approval(reddit)
    reddit.requests.clear()
    assert scrape(config).posts_new == 0
    assert len(reddit.asked(path="/new")) == 1
    Watermark.objects.update(deep_at=timezone.now() - watermarks.DEEP_EVERY)
    reddit.requests.clear()
    session = scrape(config)
    assert late["name"] in stored()
    # Posts older than the bot's first listing are not fetched.
    assert session.posts_new == 1
    assert RedditPost.objects.count() <= 201
    mark = Watermark.objects.get()
    assert mark.deep_at is not None
    assert (timezone.now() - mark.deep_at).total_seconds() < 60
    assert mark.late_hours is not None
    assert 3.0 < mark.late_hours < 5.0
    reddit.requests.clear()
    scrape(config)
    assert len(reddit.asked(path="/new")) == 1


@pytest.mark.slow
def test_a_deeper_reading_goes_a_day_back_and_no_further(reddit: RedditReplay) -> None:
    reddit.add_posts("python", newest_first(1000, every=300))
    config = make_config(post_limit=1000)
    scrape(config)
    Watermark.objects.update(deep_at=None)
    reddit.requests.clear()
    scrape(config)
    assert len(reddit.asked(path="/new")) == 4  # 288 posts a day
    assert Watermark.objects.get().late_hours == 24


@pytest.mark.slow
def test_a_deeper_reading_waits_for_an_app_with_requests(reddit: RedditReplay) -> None:
    late, config = late_approval(reddit)
    Watermark.objects.update(deep_at=None)
    RequestBudget.objects.update(used=600, window_requests=1000, is_confirmed=True)
    scrape(config)
    assert Watermark.objects.get().deep_at is None
    RequestBudget.objects.update(used=0)
    scrape(config)
    assert late["name"] in stored()


# --- r/all, and names of no subreddit ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "popular", "All"])
def test_r_all_is_read_as_an_aggregate(reddit: RedditReplay, name: str) -> None:
    now = int(time.time())
    foreign = [raw_post(subreddit="golang", created_utc=now - n, num_comments=1) for n in range(20)]
    reddit.add_posts("golang", foreign)
    for post in foreign:
        reddit.add_tree(post, [raw_comment(post)])
    scrape(make_config(subreddits=["golang"]))  # another bot's, without comments
    mixed = [
        raw_post(subreddit=s, created_utc=now - 60 * n, num_comments=1)
        for n, s in enumerate(["golang", "python", "rust"])
    ]
    reddit.add_posts(name, mixed)
    for post in mixed:
        reddit.add_tree(post, [raw_comment(post)])
    config = make_config(subreddits=[name], comment_policy="first_page")
    reddit.requests.clear()
    session = scrape(config)
    assert (session.status, session.posts_new, session.comments_new) == ("succeeded", 3, 3)
    assert len(reddit.asked(path="/comments/")) == 3
    assert Watermark.objects.get(config=config).name == name
    # Young posts that it found are checked again, in whatever subreddit they are.
    reddit.posts[name.lower()] = [raw_post(subreddit="rust", created_utc=now)]
    mixed[1]["num_comments"] = 2
    reddit.add_tree(mixed[1], [*reddit.trees[mixed[1]["id"]].comments.values(), raw_comment(mixed[1])])
    scrape(config)
    assert RedditComment.objects.filter(post__fullname=mixed[1]["name"]).count() == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("friends", "is no subreddit"),
        ("Mod", "is no subreddit"),
        ("random", "is no subreddit"),
        ("python+golang", "several subreddits"),
        ("all-python", "several subreddits"),
        ("popular-a-b", "several subreddits"),
    ],
)
def test_a_name_of_no_subreddit_is_refused_with_its_name(name: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        validate_subreddits(["python", name])
    assert name in caught.value.messages[0]
    validate_subreddits(["all", "popular", "u_some-body", "friends_of_django"])


# --- Any sequence of runs ---------------------------------------------------------------------------

ODD_TIMES = (0, -1, 1, 1_262_304_000, None, "x", float("1e15"))


class Feed(RedditReplay):
    """A listing in the order of arrival or of creation times, that ends at ``cap``."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.draw, self.came, self.moment = draw, list[Raw](), START
        self.cap = draw.choice([250, 1000])
        self.goes_by_what_posts_say = draw.random() < 0.5

    def grow(self, number: int) -> None:
        for _ in range(number):
            self.moment += self.draw.choice([0, 1, 60, 600])
            said: Any = self.moment
            if self.draw.random() < 0.03:
                said = self.draw.choice([*ODD_TIMES, time.time() + 7200])
            self.came.insert(0, raw_post(created_utc=said, stickied=self.draw.random() < 0.01))
        for _ in range(self.draw.choice([0, 0, 1, 5, 60])):
            if self.came:
                del self.came[min(int(self.draw.expovariate(0.05)), len(self.came) - 1)]
        self.posts["python"] = list(self.came)
        if self.goes_by_what_posts_say:
            self.posts["python"].sort(key=lambda post: -_said(post))

    def between(self) -> list[Raw]:
        """Return the posts listed in front of the older ones: not those that say that they are older, and stand there."""
        return [post for post in self.came if not self.goes_by_what_posts_say or _said(post) > START]

    def _answer(self, asked: Asked) -> Answer:
        after = asked.query.get("after")
        if after and self.draw.random() < 0.1:
            self.came = [post for post in self.came if post["name"] != after]  # the anchor goes
            self.posts["python"] = [post for post in self.posts["python"] if post["name"] != after]
        answer = super()._answer(asked)
        if self.draw.random() < 0.1:
            body = json.loads(answer.body)
            children = body["data"]["children"]
            children[len(children) // 2 : len(children) // 2] = children[:2]
            answer.body = json.dumps(body).encode()
        return answer


def _said(post: Raw) -> float:
    said = post["created_utc"]
    return said if isinstance(said, int | float) and said < 1e12 else 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(size(14, 400)))
def test_no_sequence_of_runs_loses_a_listed_post_silently(
    reddit: RedditReplay, settings: Any, seed: int
) -> None:
    draw = random.Random(seed)
    with Feed(draw) as feed:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = feed.url
        feed.grow(draw.choice([0, 3, 40, 130, 300]))
        config = make_config(
            post_limit=draw.choice([100, 1000, 1000]), sort="search" if feed.cap == 250 else "new", query="x"
        )
        scrape(config)
        before, has_gap = {post["name"] for post in feed.came}, False
        for _ in range(4):
            feed.grow(draw.choice([0, 0, 1, 30, 99, 100, 101, 160, 240, 260, 420]))
            session = scrape(config)
            has_gap = has_gap or session.has_gap
            # Posts that disappeared during the reading could not be seen.
            missing = {post["name"] for post in feed.between()} - before - stored()
            if session.status == "succeeded" and not has_gap:
                assert not missing, (seed, len(missing))
