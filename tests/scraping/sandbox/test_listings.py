"""Listings of the sandbox."""

from itertools import islice

import pytest

import scraping.sandbox
from scraping.sandbox import Action
from tests.scraping.sandbox.asking import DAY, NOW, get, live_posts


@pytest.mark.slow
def test_new_lists_the_newest_thousand_in_order_and_no_post_twice(sandbox, reddit):
    listed = [post.fullname for post in reddit.subreddit("python").new(limit=None)]

    everything = [post.fullname for post in islice(live_posts(sandbox, "python"), 1_001)]
    assert len(everything) == 1_001
    assert listed == everything[:1_000]
    pages = [request for request in sandbox.requests if request.path.endswith("/new")]
    assert len(pages) == 10


def test_a_listing_shorter_than_the_cap_ends_with_its_last_post(sandbox, reddit, clock):
    clock.now = scraping.sandbox.items.EPOCH + 42.5 * 21_600

    listed = [post.fullname for post in reddit.subreddit("sandbox_quiet").new(limit=None)]

    assert 30 < len(listed) <= 43
    assert listed == [post.fullname for post in live_posts(sandbox, "sandbox_quiet", now=clock.now)]


@pytest.mark.slow
@pytest.mark.parametrize("sort", ["hot", "top", "rising", "controversial"])
def test_a_ranked_listing_names_no_post_twice_over_all_its_pages(sandbox, reddit, sort):
    listed = [post.id for post in getattr(reddit.subreddit("python"), sort)(limit=None)]

    assert len(listed) == len(set(listed))
    assert len(listed) > 20


@pytest.mark.slow
def test_top_of_all_time_equals_the_ranking_of_all_posts(sandbox, reddit):
    listed = [post.score for post in reddit.subreddit("sandbox_quiet").top(time_filter="all", limit=None)]

    every_score = sorted((post.score(NOW) for post in live_posts(sandbox, "sandbox_quiet")), reverse=True)
    assert len(every_score) > 5_000
    assert listed == every_score[:1_000]


@pytest.mark.slow
@pytest.mark.parametrize(("span", "seconds"), [("hour", 3_600), ("day", DAY), ("week", 7 * DAY)])
def test_top_of_a_span_holds_no_older_posts(sandbox, reddit, span, seconds):
    listed = list(reddit.subreddit("sandbox_busy").top(time_filter=span, limit=None))

    assert len(listed) > 200
    assert min(post.created_utc for post in listed) >= NOW - seconds - 300


@pytest.mark.slow
def test_posts_reach_back_more_than_ninety_days(reddit):
    oldest = list(reddit.subreddit("sandbox_quiet").new(limit=None))[-1]

    assert NOW - oldest.created_utc > 90 * DAY


@pytest.mark.slow
def test_new_advances_with_the_clock_and_keeps_all_posts(reddit, clock):
    before = [post.id for post in reddit.subreddit("sandbox_busy").new(limit=100)]

    clock.now += 300
    after = [post.id for post in reddit.subreddit("sandbox_busy").new(limit=130)]

    fresh = [name for name in after if name not in before]
    assert 25 <= len(fresh) <= 30
    assert after[: len(fresh)] == fresh


def test_limit_and_after_decide_the_pages(sandbox):
    whole = get(sandbox, "/r/python/new?limit=100")["data"]
    first = get(sandbox, "/r/python/new?limit=7")["data"]
    second = get(sandbox, f"/r/python/new?limit=7&after={first['after']}")["data"]
    back = get(sandbox, f"/r/python/new?limit=3&before={second['children'][0]['data']['name']}")["data"]

    names = [child["data"]["name"] for child in whole["children"]]
    assert first["dist"] == 7
    assert [child["data"]["name"] for child in first["children"] + second["children"]] == names[:14]
    assert [child["data"]["name"] for child in back["children"]] == names[4:7]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["1024", "0", "-5", "many", ""])
def test_a_page_has_between_1_and_100_posts_whatever_the_limit(sandbox, limit):
    data = get(sandbox, f"/r/python/new?limit={limit}")["data"]

    assert data["dist"] == len(data["children"])
    assert data["dist"] == {"1024": 100, "0": 1, "-5": 1}.get(limit, 25)


def test_an_anchor_that_left_the_listing_makes_an_empty_page(sandbox):
    name = get(sandbox, "/r/python/new?limit=5")["data"]["after"]
    sandbox.world.change(name, Action.DELETE)

    data = get(sandbox, f"/r/python/new?limit=5&after={name}")["data"]

    assert (data["children"], data["after"]) == ([], None)


def test_hot_carries_the_stickied_posts_on_top_of_its_first_page_only(sandbox):
    first = get(sandbox, "/r/python/hot?limit=25")["data"]
    second = get(sandbox, f"/r/python/hot?limit=25&after={first['after']}")["data"]

    stickied = [child["data"]["stickied"] for child in first["children"]]
    assert first["dist"] == 27
    assert stickied == [True, True] + [False] * 25
    assert not any(child["data"]["stickied"] for child in second["children"])


@pytest.mark.slow
def test_a_multi_subreddit_merges_its_streams(sandbox, reddit):
    listed = [post.fullname for post in reddit.subreddit("python+sandbox_quiet").new(limit=200)]

    merged = [post for name in ("python", "sandbox_quiet") for post in islice(live_posts(sandbox, name), 200)]
    merged.sort(key=lambda post: (post.created, post.number), reverse=True)
    assert listed == [post.fullname for post in merged[:200]]


def test_an_encoded_plus_separates_subreddits(sandbox):
    assert get(sandbox, "/r/python%2Bsandbox_quiet/new") == get(sandbox, "/r/python+sandbox_quiet/new")


def test_a_closed_subreddit_is_left_out_of_a_multi_subreddit(reddit):
    listed = list(reddit.subreddit("sandbox_private+python+sandbox_banned").new(limit=30))

    assert {post.subreddit.display_name for post in listed} == {"python"}


def test_removed_posts_leave_the_listing_and_stay_in_info(sandbox, reddit):
    post, survivor = reddit.subreddit("python").new(limit=2)
    sandbox.world.change(post.fullname, Action.REMOVE)

    listed = [item.fullname for item in reddit.subreddit("python").new(limit=30)]

    assert post.fullname not in listed
    assert listed[0] == survivor.fullname
    assert next(reddit.info(fullnames=[post.fullname])).removed_by_category == "moderator"
