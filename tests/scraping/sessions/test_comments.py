"""Which comments are fetched, when they are fetched again, and the requests that this costs."""

from typing import Any

import praw
import pytest
from django.conf import settings
from django.utils import timezone

from scraping.models import RedditComment, RedditPost
from scraping.reddit.client import client_for
from scraping.reddit.comment_walk import Reach
from scraping.sessions.reach import is_walked
from tests import recorded
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit.test_recorded_trees import children_of, comments_in
from tests.scraping.reddit_replay import Answer, RedditReplay, Tree, listing, thing

pytestmark = pytest.mark.django_db


# --- The price --------------------------------------------------------------------------------------


def replace_all_more(tree: Tree) -> None:
    """Walk over the tree as PRAW does."""
    reddit = praw.Reddit(
        "DEFAULT", client_id="x", client_secret="x", user_agent="test:maintenance-console:0",
        reddit_url=settings.REDDIT_URL, oauth_url=settings.REDDIT_OAUTH_URL,
        check_for_updates=False, check_for_async=False,
    )  # fmt: skip
    submission = reddit.submission(tree.post["id"])
    submission.comment_limit = 500
    submission.comments.replace_more(limit=None)


@pytest.mark.slow
@recorded.needed
@pytest.mark.parametrize("id36", ["3hahrw", "ablzuq"])
def test_the_two_largest_recorded_trees_cost_a_fraction_of_replace_more(
    reddit: RedditReplay, id36: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {c["name"]: c for e in recorded.trees()[id36] for c in comments_in(children_of(e))}
    post = raw_post(id=id36, num_comments=len(found), subreddit="trees")
    # As few of each level at once as the recorded answers opened.
    tree = reddit.add_tree(post, found.values(), first=2, nested=10, unasked=1)
    reddit.add_posts("trees", [post])
    replace_all_more(tree)
    theirs = len(reddit.asked(path="/comments/")) + len(reddit.asked(path="/api/morechildren"))
    reddit.requests.clear()
    scrape(
        make_config(subreddits=["trees"], comment_policy="complete", comment_limit=100_000, comment_depth=100)
    )
    ours = len(reddit.asked(path="/comments/")) + len(reddit.asked(path="/api/morechildren"))
    assert set(RedditComment.objects.values_list("fullname", flat=True)) == set(found)
    assert ours <= 0.15 * theirs, (ours, theirs)


def test_budgeted_comments_cost_no_more_than_their_requests(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=700)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post) for _ in range(700)], first=20)
    session = scrape(make_config(comment_policy="budgeted", comment_requests=3, comment_limit=10_000))
    assert session.comments_found == 220
    assert len(reddit.asked(path="/comments/")) + len(reddit.asked(method="POST")) == 3
    stored = RedditPost.objects.get()
    assert (stored.comments_fetched, stored.walk["left"], round(stored.comment_share or 0)) == (220, 480, 31)


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 413, 414])
def test_a_batch_that_reddit_refuses_is_asked_for_in_halves(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    post = raw_post(num_comments=300)
    reddit.add_posts("python", [post])
    comments = [raw_comment(post) for _ in range(300)]
    reddit.add_tree(post, comments, first=20)
    poison = comments[150]["id"]
    plain = RedditReplay._answer

    def refusing(self: RedditReplay, asked: Any) -> Answer:
        if poison in asked.form.get("children", "").split(","):
            return Answer(status)
        return plain(self, asked)

    monkeypatch.setattr(RedditReplay, "_answer", refusing)
    session = scrape(make_config(comment_policy="complete", comment_limit=10_000))
    assert (session.status, session.comments_found) == ("succeeded", 300)
    # Looked up by its fullname, which Reddit does answer.
    reddit.known.pop(f"t1_{poison}")
    RedditPost.objects.update(walk=None)
    RedditComment.objects.all().delete()
    reddit.requests.clear()
    session = scrape(make_config(comment_policy="complete", comment_limit=10_000))
    assert (session.status, session.comments_found) == ("succeeded", 299)
    assert session.totals["python"]["comments_unavailable"] == 1
    assert RedditPost.objects.get().walk["unavailable"] == 1
    assert len(reddit.asked(method="POST")) <= 25


# --- Again, or not ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_comments_are_fetched_again_only_where_there_are_more(reddit: RedditReplay) -> None:
    posts = [raw_post(num_comments=2) for _ in range(3)]
    reddit.add_posts("python", posts)
    for post in posts:
        reddit.add_tree(post, [raw_comment(post) for _ in range(2)])
    config = make_config(comment_policy="complete")
    scrape(config)
    reddit.requests.clear()
    assert scrape(config).requests_used == 1  # the listing; the token is still good
    posts[1]["num_comments"] = 3
    reddit.add_tree(posts[1], [*reddit.trees[posts[1]["id"]].comments.values(), raw_comment(posts[1])])
    reddit.requests.clear()
    assert scrape(config).comments_new == 1
    assert [r.path for r in reddit.asked(path="/comments/")] == [f"/comments/{posts[1]['id']}"]


def test_young_posts_beyond_the_listings_end_get_their_new_comments(reddit: RedditReplay) -> None:
    now = timezone.now().timestamp()
    posts = [raw_post(created_utc=now - n * 600, num_comments=0) for n in range(250)]
    reddit.add_posts("python", posts)
    config = make_config(post_limit=1000, comment_policy="first_page", comment_refresh_hours=24)
    scrape(config)
    young, old = posts[120], posts[200]  # 20 h and 33 h
    for post in (young, old):
        post["num_comments"] = 1
        reddit.add_tree(post, [raw_comment(post)])
    reddit.requests.clear()
    session = scrape(config)
    assert session.totals["python"]["posts_refreshed"] == 44  # of 24 h, but for the first page's 100
    assert RedditComment.objects.get().post.fullname == young["name"]
    assert [r.path for r in reddit.asked()] == ["/r/python/new", "/api/info", f"/comments/{young['id']}"]
    config.comment_refresh_hours = 0
    config.save()
    reddit.requests.clear()
    scrape(config)
    assert [r.path for r in reddit.asked()] == ["/r/python/new"]


@pytest.mark.slow
def test_a_post_whose_comments_failed_is_fetched_by_the_next_run_wherever_it_is(reddit: RedditReplay) -> None:
    posts = [raw_post(created_utc=1_700_000_000.0 - n * 600) for n in range(250)]
    posts[240]["num_comments"] = 1
    reddit.add_posts("python", posts)
    reddit.add_tree(posts[240], [raw_comment(posts[240])])
    reddit.answers[f"/comments/{posts[240]['id']}"] = [Answer(500)]
    config = make_config(post_limit=1000, comment_policy="complete")
    for _ in range(3):
        assert scrape(config).status == "partial"
    del reddit.answers[f"/comments/{posts[240]['id']}"]
    assert scrape(config).comments_new == 1
    reddit.requests.clear()
    assert scrape(config).status == "succeeded"
    assert not reddit.asked(path="/comments/")


def test_comments_left_by_a_smaller_walk_are_fetched_by_a_larger_one() -> None:
    weak, strong = Reach(0, 50, 10), Reach(20, 50, 10)
    post = RedditPost(num_comments=9)
    assert not is_walked(post, weak)
    post.walk = {"num_comments": 9, "reach": weak.as_json(), "left": 4}
    assert is_walked(post, weak)
    assert not is_walked(post, strong)
    post.walk["left"] = 0
    assert is_walked(post, strong)
    assert not is_walked(post, Reach(20, 50, 11))
    post.num_comments = 10
    assert not is_walked(post, weak)
    for broken in ({}, {"num_comments": 10, "reach": "x"}, {"num_comments": 10, "reach": [1]}):
        post.walk = broken
        assert not is_walked(post, weak)


@pytest.mark.slow
def test_a_walk_without_low_scores_does_not_count_if_they_are_wanted(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=2)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post, score=1), raw_comment(post, score=20)])
    strict = make_config(comment_policy="first_page", comment_min_score=10)
    assert scrape(strict).comments_new == 1
    assert scrape(make_config(comment_policy="first_page", comment_min_score=5)).requests_used == 2
    assert scrape(make_config(comment_policy="first_page")).comments_new == 1
    reddit.requests.clear()
    scrape(strict)  # what has more is enough
    assert not reddit.asked(path="/comments/")


def test_a_resumed_walk_remembers_what_its_limit_left_out(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=8)
    reddit.add_tree(post, [raw_comment(post) for _ in range(8)], first=4)
    with client_for(None) as client:
        walk = client.comments(post["id"], Reach(5, 6, 10))
        assert [len(page.comments) for page in walk] == [4, 2]
        again = client.comments(post["id"], Reach(5, 6, 10), resume=walk.saved())
        assert (list(again), again.left) == ([], 2)


# --- Filters ------------------------------------------------------------------------------------------


def test_comments_below_the_lowest_score_are_left_out_unless_it_is_hidden(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=4)
    reddit.add_posts("python", [post])
    low = raw_comment(post, score=-3)
    kept = [
        raw_comment(post, score=5),
        raw_comment(post, score=1, score_hidden=True),
        raw_comment(post, score=9, parent_id=low["name"]),
        raw_comment(post, score=None),
    ]
    shown = [thing({**low, "replies": listing([thing(kept[2])])}), *map(thing, (kept[0], kept[1], kept[3]))]
    reddit.answers[f"/comments/{post['id']}"] = [Answer.of([listing([]), listing(shown)])]
    session = scrape(make_config(comment_policy="first_page", comment_min_score=2))
    assert set(RedditComment.objects.values_list("fullname", flat=True)) == {c["name"] for c in kept}
    assert session.totals["python"]["skipped"] == {"score too low": 1}


def test_the_walk_of_a_first_page_does_not_count_as_a_longer_one(reddit: RedditReplay) -> None:
    post = raw_post(num_comments=60)
    reddit.add_posts("python", [post])
    reddit.add_tree(post, [raw_comment(post) for _ in range(60)], first=50)
    scrape(make_config(comment_policy="first_page"))
    assert RedditPost.objects.get().walk == {
        "num_comments": 60,
        "reach": [0, 500, 10],
        "left": 10,
        "unavailable": 0,
        "lowest": None,
    }
    with client_for(None) as client:
        walk = client.comments(post["id"], Reach(5, 30, 10))
        assert sum(len(page.comments) for page in walk) == 30
        assert walk.left == 30
