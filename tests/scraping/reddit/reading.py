"""Reads pages for the tests of the Reddit client."""

from typing import Any

from scraping.reddit.client import RedditClient
from scraping.reddit.comment_walk import Reach, requests_per_post
from tests.scraping.reddit_replay import Tree


def all_comments(
    reddit_client: RedditClient,
    tree: Tree,
    *,
    limit: int = 100_000,
    depth: int = 100,
    requests: int | None = None,
) -> list[dict[str, Any]]:
    reach = Reach(requests_per_post(limit) if requests is None else requests, limit, depth)
    return [c for page in reddit_client.comments(tree.post["id"], reach) for c in page.comments]
