"""How far the comment walks of a bot go, and whether a post needs another one."""

from scraping.models import (
    BotConfig,
    RedditPost,
)
from scraping.reddit.comment_walk import Reach, requests_per_post


def reach_of(config: BotConfig) -> Reach | None:
    """Return how far a config's comment walks go, or None if it wants no comments."""
    requests = {
        BotConfig.CommentPolicy.FIRST_PAGE: 0,
        BotConfig.CommentPolicy.BUDGETED: config.comment_requests - 1,
        BotConfig.CommentPolicy.COMPLETE: requests_per_post(config.comment_limit),
    }.get(BotConfig.CommentPolicy(config.comment_policy))
    if requests is None:
        return None
    return Reach(requests=requests, comments=config.comment_limit, depth=config.comment_depth)


def is_walked(post: RedditPost, reach: Reach, *, lowest: int | None = None) -> bool:
    """Return whether a walk has gone as far as ``reach``, and the post has no more comments since then.

    ``lowest`` is the score below which comments are not wanted; a walk with a higher limit does not count.
    """
    walk = post.walk or {}
    if walk.get("num_comments") != post.num_comments:
        return False
    left_out_below = walk.get("lowest")
    if left_out_below is not None and (lowest is None or lowest < left_out_below):
        return False
    if reach.is_within(walk.get("reach")):
        return True
    # The earlier walk had lower limits but reached the end of the tree all the same.
    is_whole = walk.get("left") == 0
    return is_whole and Reach(0, 0, reach.depth).is_within(walk.get("reach"))
