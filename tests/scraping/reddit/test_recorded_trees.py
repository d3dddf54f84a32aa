"""Each recorded answer of /comments and /api/morechildren, and each recorded tree as a whole."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from scraping.models import RedditComment, RedditPost, ScrapeSession
from scraping.progress import SilentProgress
from scraping.reddit.client import client_for
from scraping.reddit.comment_walk import Reach
from scraping.sessions.scrape import scrape_config
from tests import recorded
from tests.kit.scraped import make_config, raw_post
from tests.scraping.content.test_recorded_content import differences, expected_comment
from tests.scraping.reddit_replay import Answer, RedditReplay, listing

pytestmark = [pytest.mark.django_db, recorded.needed]

Raw = dict[str, Any]


def comments_in(children: list[Raw]) -> Iterator[Raw]:
    """Yield every t1 of a recorded answer, whatever is above it."""
    for child in children:
        if child["kind"] == "t1":
            yield child["data"]
            replies = child["data"].get("replies")
            if isinstance(replies, dict):
                yield from comments_in(replies["data"]["children"])


def children_of(exchange: Raw) -> list[Raw]:
    body = exchange["response"]["body"]
    if isinstance(body, list):
        return list(body[1]["data"]["children"])
    return list(body["json"]["data"]["things"])


@pytest.mark.slow
def test_each_recorded_answer_yields_all_its_comments(reddit: RedditReplay) -> None:
    answers = 0
    for id36, exchanges in recorded.trees().items():
        for exchange in exchanges:
            flat = exchange["request"]["method"] == "POST"
            if flat:
                # The recorded answer stands where the walk opens the one id it was given.
                more = {"id": "zzz", "parent_id": f"t3_{id36}", "count": 1, "children": ["zzz"]}
                tree = [listing([]), listing([{"kind": "more", "data": more}])]
                reddit.answers[f"/comments/{id36}"] = [Answer.of(tree)]
                reddit.answers["/api/morechildren"] = [Answer.of(exchange["response"]["body"])]
            else:
                reddit.answers[f"/comments/{id36}"] = [Answer.of(exchange["response"]["body"])]
            with client_for(None) as client:
                walk = client.comments(id36, Reach(requests=1, comments=100_000, depth=100))
                page = list(islice(walk, 1 + flat))[-1]
            expected = {data["name"] for data in comments_in(children_of(exchange))}
            assert {data["name"] for data in page.comments} == expected
            assert not page.skipped
            answers += 1
    assert answers == 323


@pytest.mark.slow
def test_every_recorded_tree_is_stored_whole(reddit: RedditReplay) -> None:
    posts: list[Raw] = []
    expected: dict[str, Raw] = {}
    for id36, exchanges in recorded.trees().items():
        found = {c["name"]: c for e in exchanges for c in comments_in(children_of(e))}
        posts.append(raw_post(id=id36, num_comments=len(found)))
        # Two of each level at once: the rest is behind "more", the deep ones behind "continue this thread".
        reddit.add_tree(posts[-1], found.values(), first=2, nested=3)
        expected |= {name: expected_comment(raw) for name, raw in found.items()}
    reddit.add_posts("trees", posts)
    config = make_config(
        subreddits=["trees"], comment_policy="complete", comment_limit=100_000, comment_depth=100
    )
    session = scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())
    assert (session.status, session.error, session.items_skipped) == ("succeeded", "", 0)
    assert len(expected) > 2000
    assert differences(RedditComment, expected) == []
    depths = dict(RedditComment.objects.values_list("fullname", "depth"))
    for name, row in expected.items():
        if row["parent_fullname"] in depths:
            assert depths[name] == depths[row["parent_fullname"]] + 1
    for post in RedditPost.objects.all():
        assert post.comments_fetched == post.num_comments
