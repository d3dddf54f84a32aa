"""Every recorded listing — pages, searches, users, /api/info — through real PRAW, down to its rows."""

from collections import defaultdict
from typing import Any

import pytest
from django.utils import timezone

from scraping.content.storage import store_comments, store_posts
from scraping.models import RedditComment, RedditPost
from scraping.reddit.client import client_for
from tests import recorded
from tests.kit.scraped import CREATED
from tests.scraping.content.test_recorded_content import differences, expected_comment, expected_post, moment
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = [pytest.mark.django_db, recorded.needed]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "listings"), [("pages", 105), ("search", 54), ("users", 73), ("info", 125), ("duplicates", 4)]
)
def test_all_items_of_every_recorded_listing_are_stored(
    reddit: RedditReplay, name: str, listings: int
) -> None:
    posts: dict[str, dict[str, Any]] = {}
    comments: dict[str, dict[str, Any]] = {}
    read = 0
    for exchange in recorded.responses(name):
        body = exchange["response"]["body"]
        for recorded_listing in body if isinstance(body, list) else [body]:
            reddit.answers["/recorded"] = [Answer.of(recorded_listing)]
            with client_for(None) as client:
                page = client.page("recorded", {})
            children = recorded_listing["data"]["children"]
            known = [child for child in children if child["kind"] in ("t1", "t3")]
            assert len(page.posts) + len(page.comments) == len(known)
            assert page.skipped.total() == len(children) - len(known)
            stored = store_posts(page.posts, session=None, seen_at=timezone.now())
            assert stored.found == len({post["name"] for post in page.posts})
            assert not stored.skipped
            posts |= {post["name"]: post for post in page.posts}
            comments |= {comment["name"]: comment for comment in page.comments}
            read += 1
    assert read == listings
    if posts:
        assert differences(RedditPost, {n: expected_post(p) for n, p in posts.items()}) == []
    below = defaultdict(list)
    for comment in comments.values():
        below[comment["link_id"]].append(comment)
    RedditPost.objects.bulk_create(
        [RedditPost(fullname=fullname, created_at=moment(CREATED)) for fullname in below],
        ignore_conflicts=True,
    )
    for post in RedditPost.objects.filter(fullname__in=below):
        stored = store_comments(post, below[post.fullname], seen_at=timezone.now())
        assert (stored.found, dict(stored.skipped)) == (len(below[post.fullname]), {})
    if comments:
        assert differences(RedditComment, {n: expected_comment(c) for n, c in comments.items()}) == []
