"""Incremental listings: the cost of a second run, and no lost posts while a listing shifts."""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraping.models import RedditPost, Watermark
from scraping.reddit.answers import Page
from scraping.reddit.listing import OVERLAP, PAGE_SIZE, Frontier, ListingWalk, creation_times, posts_per_hour
from tests import recorded
from tests.kit.scraped import CREATED, make_config, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import Answer, Asked, RedditReplay, listing

Raw = dict[str, Any]


def pages_asked(reddit: RedditReplay) -> int:
    number = len(reddit.asked(path="/new"))
    reddit.requests.clear()
    return number


def newest_first(number: int, *, start: float = CREATED, every: float = 60, **fields: Any) -> list[Raw]:
    """Return posts of which the oldest was made at ``start``."""
    return [raw_post(created_utc=start + n * every, **fields) for n in reversed(range(number))]


# --- What a run costs -----------------------------------------------------------------------------


@pytest.mark.slow
@recorded.needed
@pytest.mark.django_db
def test_runs_over_recorded_posts_cost_what_is_new(reddit: RedditReplay) -> None:
    by_subreddit: dict[str, list[Raw]] = {}
    for post in recorded.posts():
        by_subreddit.setdefault(post["subreddit"], []).append(post)
    names = ["androiddev", "cpp", "golang"]
    waiting = {
        name: sorted(by_subreddit[name], key=lambda post: -post["created_utc"])[:1300] for name in names
    }
    new = {"androiddev": 0, "cpp": 1, "golang": 100}
    for name in names:
        waiting[name], listed = waiting[name][:300], waiting[name][300:]
        reddit.add_posts(name, listed)
    config = make_config(subreddits=names, post_limit=1000, sort="new")

    first = scrape(config)
    assert (first.posts_new, pages_asked(reddit)) == (3000, 30)

    second = scrape(config)
    assert second.posts_new == 0
    assert second.requests_used <= 1 + len(names)
    assert pages_asked(reddit) == len(names)

    stored = 3000
    for round_ in range(4):
        for name, step in new.items():
            step *= 1 + round_ // 2  # 0, 1, 100; then 0, 2, 200
            if round_ == 3 and name == "golang":
                step = 0
            arriving = waiting[name][len(waiting[name]) - step :]
            waiting[name] = waiting[name][: len(waiting[name]) - step]
            reddit.posts[name][:0] = arriving
            stored += len(arriving)
            scrape(make_config_like(config, name))
            assert pages_asked(reddit) <= math.ceil(step / PAGE_SIZE) + 1
    assert RedditPost.objects.count() == stored
    served = {post["name"] for name in names for post in reddit.posts[name]}
    assert set(RedditPost.objects.values_list("fullname", flat=True)) == served


def make_config_like(config: Any, subreddit: str) -> Any:
    """Return the same config for one of its subreddits only."""
    config.subreddits = [subreddit]
    config.save()
    return config


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("new", [0, 1, 50, 99, 100, 101, 250])
def test_n_new_posts_cost_their_pages_and_one_more(reddit: RedditReplay, new: int) -> None:
    posts = newest_first(1000, every=5)  # 100 posts are less than the overlap
    reddit.add_posts("python", posts[new:])
    config = make_config(post_limit=1000)
    scrape(config)
    pages_asked(reddit)
    reddit.posts["python"] = posts
    session = scrape(config)
    assert session.posts_new == new
    assert pages_asked(reddit) <= math.ceil(new / PAGE_SIZE) + 1
    assert not session.has_gap


@pytest.mark.slow
@pytest.mark.django_db
def test_a_page_stored_by_an_interrupted_listing_hides_no_gap(reddit: RedditReplay) -> None:
    posts = newest_first(700, every=600)
    reddit.add_posts("python", posts[500:])
    config = make_config(post_limit=1000)
    scrape(config)
    # A listing of 500 new posts broke off after its first page.
    reddit.posts["python"] = posts
    reddit.answers["/r/python/new"] = [
        Answer.of(listing([{"kind": "t3", "data": p} for p in posts[:100]], after=posts[99]["name"])),
        Answer(404),
    ]
    assert scrape(config).posts_new == 100
    del reddit.answers["/r/python/new"]
    assert scrape(config).posts_new == 400
    assert RedditPost.objects.count() == 700


@pytest.mark.django_db
def test_a_post_held_back_by_a_filter_is_found_at_its_position(reddit: RedditReplay) -> None:
    posts = newest_first(400, every=5)
    late = posts.pop(120)
    reddit.add_posts("python", posts)
    config = make_config(post_limit=1000)
    scrape(config)
    reddit.posts["python"] = [*newest_first(30, start=CREATED + 4000, every=5), *posts]
    reddit.posts["python"].insert(30 + 120, late)
    assert scrape(config).posts_new == 31


@pytest.mark.django_db
def test_pinned_posts_do_not_affect_the_order(reddit: RedditReplay) -> None:
    posts = newest_first(300, every=5)
    old = raw_post(created_utc=CREATED - 10**7, stickied=True)
    young = raw_post(created_utc=CREATED + 10**7, stickied=True)
    reddit.add_posts("python", [young, *posts[250:], old])
    config = make_config(post_limit=1000)
    scrape(config)
    reddit.posts["python"] = [young, *posts[:99], old, *posts[99:]]
    scrape(config)
    assert RedditPost.objects.count() == 302


@pytest.mark.django_db
def test_another_listing_has_another_watermark(reddit: RedditReplay) -> None:
    reddit.add_posts("python", newest_first(250))
    reddit.posts["golang"] = newest_first(3, subreddit="golang")
    config = make_config(subreddits=["python", "golang"], post_limit=1000)
    scrape(config)
    marks = dict(Watermark.objects.values_list("subreddit", "newest_at"))
    assert marks == {
        "python": datetime.fromtimestamp(CREATED + 249 * 60, UTC),
        "golang": datetime.fromtimestamp(CREATED + 2 * 60, UTC),
    }
    config.sort, config.query = "search", "django"
    config.save()
    reddit.requests.clear()
    found = newest_first(150)
    reddit.posts["python"] = found
    scrape(config)
    asked = reddit.asked(path="/r/python/search")
    assert [r.query["q"] for r in asked] == ["django", "django"]
    assert (asked[0].query["sort"], asked[0].query["restrict_sr"]) == ("new", "1")
    assert Watermark.objects.get(subreddit="python").listing == "search:django"


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("sort", ["hot", "top", "rising", "controversial"])
def test_ranked_listings_are_read_to_their_limit_every_time(reddit: RedditReplay, sort: str) -> None:
    reddit.add_posts("python", newest_first(250))
    config = make_config(post_limit=250, sort=sort)
    scrape(config)
    reddit.requests.clear()
    assert scrape(config).posts_found == 250
    assert len(reddit.asked(path=f"/r/python/{sort}")) == 3
    assert not Watermark.objects.exists()


# --- Shifting listings, over a real socket ----------------------------------------------------------


class ShiftingReddit(RedditReplay):
    """A Reddit on which posts arrive, disappear and leave the filter between two requests."""

    def __init__(self) -> None:
        super().__init__()
        self.draw = random.Random(0)
        self.shifts = True
        self.served: set[str] = set()
        self.clock = CREATED
        self.held: list[Raw] = []

    def shift(self, name: str) -> None:
        draw, posts = self.draw, self.posts[name]
        for _ in range(draw.choice([0, 0, 0, 1, 20, 100])):
            self.clock += draw.choice([0, 1, 20])
            post = raw_post(created_utc=self.clock, subreddit=name)
            (self.held if draw.random() < 0.02 else posts).insert(0, post)
        for held in self.held:
            if self.clock - held["created_utc"] < OVERLAP.total_seconds() / 2:
                place = sum(post["created_utc"] > held["created_utc"] for post in posts)
                posts.insert(place, held)
        self.held = []
        for _ in range(draw.choice([0, 0, 1, 5])):
            if posts:
                del posts[draw.randrange(len(posts))]

    def _answer(self, asked: Asked) -> Answer:
        name = asked.path.split("/")[2]
        posts = self.posts[name]
        if self.shifts:
            self.shift(name)
            after = asked.query.get("after")
            if after and self.draw.random() < 0.2:
                # The anchor disappears, together with posts before it.
                place = next((n for n, post in enumerate(posts) if post["name"] == after), 0)
                del posts[max(0, place - self.draw.choice([0, 1, 4, 12])) : place + 1]
        answer = super()._answer(asked)
        if self.shifts and self.draw.random() < 0.2:
            answer = _with_a_repetition(answer)
        self.served |= {child["data"]["name"] for child in _children(answer)}
        return answer


def _children(answer: Answer) -> list[Raw]:
    return list(json.loads(answer.body)["data"]["children"])


def _with_a_repetition(answer: Answer) -> Answer:
    body = json.loads(answer.body)
    children = body["data"]["children"]
    if children:
        children.insert(len(children) // 2, children[0])
    return Answer.of(body)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(8))
def test_all_served_posts_are_stored_however_the_listing_shifts(
    reddit: RedditReplay, settings: Any, seed: int
) -> None:
    with ShiftingReddit() as shifting:
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = shifting.url
        shifting.draw.seed(seed)
        shifting.posts["python"] = newest_first(250, start=CREATED - 250 * 60)
        config = make_config(post_limit=1000)
        for _ in range(5):
            session = scrape(config)
            assert session.status == "succeeded", session.error
            assert not session.has_gap
        # Then the listing is stable, and one last run finds the posts that came meanwhile.
        shifting.shifts = False
        scrape(config)
        stored = set(RedditPost.objects.values_list("fullname", flat=True))
        assert stored == shifting.served
        assert {post["name"] for post in shifting.posts["python"][: shifting.cap]} <= stored
        shifting.requests.clear()
        assert scrape(config).posts_new == 0
        assert len(shifting.asked()) == 1


# --- The walk and its frontier, by themselves ---------------------------------------------------------


class Shelf:
    """A listing in memory that loses posts between two requests."""

    def __init__(self, posts: list[Raw], lose: list[list[int]]) -> None:
        self.posts, self.lose, self.requests = list(posts), list(lose), 0

    def fetch(self, params: dict[str, Any]) -> Page:
        self.requests += 1
        for place in self.lose.pop() if self.lose else []:
            if place < len(self.posts):
                del self.posts[place]
        names = [post["name"] for post in self.posts]
        after = params.get("after")
        if after is not None and after not in names:
            return Page()
        start = names.index(after) + 1 if after else 0
        shown = self.posts[start : start + params["limit"]]
        more = start + len(shown) < len(self.posts)
        return Page(posts=shown, after=shown[-1]["name"] if shown and more else None)


@given(
    st.integers(0, 350),
    st.lists(st.lists(st.integers(0, 350), max_size=30), max_size=8),
    st.integers(0, 6),
)
def test_a_walk_yields_all_that_stays_and_nothing_twice(
    number: int, lose: list[list[int]], stop_after: int
) -> None:
    shelf = Shelf(newest_first(number), lose)
    walk = ListingWalk(shelf.fetch, limit=1000)
    names: list[str] = []
    saved = walk.saved()
    for page in walk:
        names += [post["name"] for post in page.posts]
        saved = walk.saved()
        if walk.pages == stop_after:
            break
    if not walk.has_ended:
        # Another worker resumes from the saved state.
        walk = ListingWalk(shelf.fetch, limit=1000, resume=saved)
        for page in walk:
            names += [post["name"] for post in page.posts if post["name"] not in names]
    assert len(names) == len(set(names))
    assert walk.is_broken or {post["name"] for post in shelf.posts} <= set(names)


@given(st.integers(0, 400), st.integers(1, 400), st.integers(1, 3600))
def test_a_frontier_is_met_no_later_than_one_known_page_and_never_before_the_new_posts(
    new: int, known: int, every: int
) -> None:
    posts = newest_first(new + known, every=every)
    frontier = Frontier(creation_times(posts[new:])[0])
    read = 0
    for start in range(0, len(posts), PAGE_SIZE):
        page = posts[start : start + PAGE_SIZE]
        read += 1
        if frontier.is_met(page, has_new=start < new):
            assert start + len(page) >= new
            break
    assert read <= math.ceil(new / PAGE_SIZE) + 1


def test_without_a_watermark_no_frontier_is_met() -> None:
    assert not Frontier(None).is_met(newest_first(3), has_new=False)
    assert not Frontier(datetime.now(UTC)).is_met([raw_post(created_utc=None)], has_new=False)


@pytest.mark.parametrize(
    ("minutes", "rate"), [([], None), ([0], None), ([0, 0], None), ([10, 0], 6.0), ([50, 25, 0], 2.4)]
)
def test_the_rate_is_that_of_the_listed_posts(minutes: list[int], rate: float | None) -> None:
    start = datetime.fromtimestamp(CREATED, UTC)
    assert posts_per_hour([start + timedelta(minutes=m) for m in minutes]) == rate
