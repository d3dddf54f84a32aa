"""Requested comments that did not arrive: handed back as ids, left out, or not answered at all."""

from collections import defaultdict
from typing import Any

import pytest

from scraping.models import RedditComment, RedditPost
from scraping.reddit.client import client_for
from scraping.reddit.comment_walk import Reach
from tests import recorded
from tests.kit.scraped import make_config, raw_comment, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit.test_recorded_trees import children_of, comments_in
from tests.scraping.reddit_replay import Answer, RedditReplay
from tests.scraping.sessions.test_comments import replace_all_more

pytestmark = pytest.mark.django_db

Raw = dict[str, Any]
EVERYTHING: dict[str, Any] = {
    "comment_policy": "complete", "comment_limit": 100_000, "comment_depth": 100, "post_limit": 1000,
}  # fmt: skip


def stored() -> set[str]:
    return set(RedditComment.objects.values_list("fullname", flat=True))


def walk_the_recording(exchanges: list[Raw]) -> tuple[dict[str, Raw], dict[str, list[str]]]:
    """Return the comments of a recorded tree, and by parent the ids of "more" nodes without a recorded answer."""
    comments = {data["name"]: data for exchange in exchanges for data in comments_in(children_of(exchange))}
    named: dict[str, set[str]] = defaultdict(set)
    stack = [child for exchange in exchanges for child in children_of(exchange)]
    while stack:
        child = stack.pop()
        data = child["data"]
        if child["kind"] == "more":
            named[data["parent_id"]].update(data["children"])
        elif isinstance(data.get("replies"), dict):
            stack += data["replies"]["data"]["children"]
    return comments, {
        parent: sorted(id36 for id36 in ids if f"t1_{id36}" not in comments) for parent, ids in named.items()
    }


def reachable(root: str, comments: dict[str, Raw]) -> set[str]:
    """Return the comments below the post, or below a comment whose parent was not recorded."""
    return {name for name, data in comments.items() if data["link_id"] == root}


@pytest.mark.slow
@recorded.needed
@pytest.mark.parametrize("unasked", [0, 1, 3])
def test_every_reachable_comment_of_every_recorded_tree_is_stored(reddit: RedditReplay, unasked: int) -> None:
    posts, expected = [], set()
    for id36, exchanges in recorded.trees().items():
        comments, _phantoms = walk_the_recording(exchanges)
        posts.append(raw_post(id=id36, num_comments=len(comments), subreddit="trees"))
        reddit.add_tree(posts[-1], comments.values(), first=2, nested=3, cap=20, unasked=unasked)
        expected |= reachable(f"t3_{id36}", comments)
    reddit.add_posts("trees", posts)
    session = scrape(make_config(subreddits=["trees"], **EVERYTHING))
    assert (session.status, session.totals["trees"]["comments_unavailable"]) == ("succeeded", 0)
    assert len(expected) > 2000
    assert stored() == expected


@pytest.mark.slow
@recorded.needed
@pytest.mark.parametrize("id36", ["3hahrw", "ablzuq"])
def test_ids_that_never_arrive_are_counted_and_cost_little(reddit: RedditReplay, id36: str) -> None:
    comments, phantoms = walk_the_recording(recorded.trees()[id36])
    # Some recorded nodes name thousands of ids that were never opened.
    phantoms = {parent: ids[:1] for parent, ids in phantoms.items() if parent in comments}
    post = raw_post(id=id36, num_comments=len(comments), subreddit="trees")
    tree = reddit.add_tree(post, comments.values(), first=2, nested=10, unasked=1)
    tree.phantoms = phantoms
    reddit.add_posts("trees", [post])
    replace_all_more(tree)
    theirs = len(reddit.asked(path="/comments/")) + len(reddit.asked(path="/api/morechildren"))
    reddit.requests.clear()
    scrape(make_config(subreddits=["trees"], **EVERYTHING))
    ours = len(reddit.asked()) - 1
    assert stored() == set(comments)
    assert RedditPost.objects.get().walk["unavailable"] == sum(map(len, phantoms.values())) > 0
    assert ours <= 0.15 * theirs, (ours, theirs)


def wide_tree(reddit: RedditReplay, **shape: int) -> tuple[Raw, list[Raw]]:
    """Return a post with 500 comments, every second one with a reply."""
    post = raw_post(num_comments=750)
    comments = [raw_comment(post) for _ in range(500)]
    comments += [raw_comment(post, parent_id=comment["name"]) for comment in comments[::2]]
    reddit.add_posts("python", [post])
    reddit.add_tree(post, comments, **{"first": 20, "unasked": 1} | shape)
    return post, comments


@pytest.mark.slow
def test_ids_that_come_back_are_asked_for_again_in_no_more_requests_than_needed(reddit: RedditReplay) -> None:
    _post, comments = wide_tree(reddit)
    scrape(make_config(**EVERYTHING))
    assert stored() == {comment["name"] for comment in comments}
    assert len(reddit.asked(method="POST")) <= 9


@pytest.mark.slow
def test_an_answer_without_items_leaves_the_ids_to_be_requested(reddit: RedditReplay) -> None:
    _post, comments = wide_tree(reddit)
    nothing = Answer.of({"json": {"errors": [], "data": {"things": []}}})
    plain, calls = RedditReplay._answer, []

    class Empty(RedditReplay):
        def _answer(self, asked: Any) -> Answer:
            if asked.path == "/api/morechildren":
                calls.append(asked)
                if len(calls) in (1, 3):
                    return nothing
            return plain(self, asked)

    reddit.__class__ = Empty
    session = scrape(make_config(**EVERYTHING))
    assert stored() == {comment["name"] for comment in comments}
    assert session.totals["python"]["comments_unavailable"] == 0


@pytest.mark.slow
def test_ids_that_morechildren_never_answers_are_looked_up_with_their_replies(reddit: RedditReplay) -> None:
    post, comments = wide_tree(reddit)
    tree = reddit.trees[post["id"]]
    live, deleted, unknown = comments[100], comments[101], comments[103]
    tree.passed_over = {live["name"], deleted["name"], unknown["name"]}
    reddit.known[deleted["name"]] = deleted | {"author": "[deleted]", "body": "[deleted]"}
    del reddit.known[unknown["name"]]
    scrape(make_config(**EVERYTHING))
    assert stored() == {comment["name"] for comment in comments} - {unknown["name"]}
    walk = RedditPost.objects.get().walk
    assert (walk["unavailable"], walk["left"]) == (1, 0)
    assert {c.depth for c in RedditComment.objects.filter(parent_fullname=live["name"])} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", range(1, 12))
def test_ids_that_did_not_arrive_survive_an_interruption(reddit: RedditReplay, stop_after: int) -> None:
    post, comments = wide_tree(reddit)
    reddit.trees[post["id"]].passed_over = {comment["name"] for comment in comments[30:400:7]}
    reach = Reach(requests=500, comments=10_000, depth=10)
    found: dict[str, int] = {}
    with client_for(None) as client:
        saved: dict[str, Any] | None = None
        while True:
            walk = client.comments(post["id"], reach, resume=saved)
            pages = 0
            for page in walk:
                found |= {comment["name"]: comment["depth"] for comment in page.comments}
                pages += 1
                if pages == stop_after:
                    break
            saved = walk.saved()
            if pages < stop_after:
                break
    assert set(found) == {comment["name"] for comment in comments}
    assert all(found[c["name"]] == (c["parent_id"] != post["name"]) for c in comments)


@pytest.mark.slow
def test_a_server_that_refuses_every_single_id_ends_the_walk_with_its_error(reddit: RedditReplay) -> None:
    wide_tree(reddit)
    plain, calls = RedditReplay._answer, []

    class Refusing(RedditReplay):
        def _answer(self, asked: Any) -> Answer:
            if asked.path == "/api/morechildren":
                calls.append(asked)
                if len(calls) > 2:
                    return Answer(400)
            return plain(self, asked)

    reddit.__class__ = Refusing
    session = scrape(make_config(**EVERYTHING))
    assert (session.status, session.error_kind) == ("partial", "bad_request")
    assert len(calls) < 20
    reddit.__class__ = RedditReplay
    scrape(make_config(**EVERYTHING))
    assert RedditComment.objects.count() == 750
