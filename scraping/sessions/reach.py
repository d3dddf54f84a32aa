"""How far the comment walks of a bot go, and whether a post needs another one."""

from scraping.models import (
    BotConfig,
    RedditPost,
)
from scraping.reddit.comment_walk import Reach, requests_per_post


def reach_of(config: BotConfig) -> Reach | None:
    """Return how far a config's comment walks go; None: it wants no comments."""
    requests = {
        BotConfig.CommentPolicy.FIRST_PAGE: 0,
        BotConfig.CommentPolicy.BUDGETED: config.comment_requests - 1,
        BotConfig.CommentPolicy.COMPLETE: requests_per_post(config.comment_limit),
    }.get(BotConfig.CommentPolicy(config.comment_policy))
    if requests is None:
        return None
    return Reach(requests=requests, comments=config.comment_limit, depth=config.comment_depth)


def is_walked(post: RedditPost, reach: Reach, *, lowest: int | None = None) -> bool:
    """Return whether a walk has been as far as ``reach`` goes, since when the post got no more comments.

    ``lowest``: the score below which comments are not wanted; a walk that left out more is no such walk.
    """
    walk = post.walk or {}
    if walk.get("num_comments") != post.num_comments:
        return False
    left_out_below = walk.get("lowest")
    if left_out_below is not None and (lowest is None or lowest < left_out_below):
        return False
    if reach.is_within(walk.get("reach")):
        return True
    # The earlier walk was allowed less, and yet it reached the end.
    is_whole = walk.get("left") == 0
    return is_whole and Reach(0, 0, reach.depth).is_within(walk.get("reach"))
