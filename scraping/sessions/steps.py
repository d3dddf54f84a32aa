"""The progress of a scrape: posts listed, posts whose comments were read, subreddits finished."""

from collections.abc import Iterable

from database import clock
from database.names import folded
from scraping.models import BotConfig, Freshness, Watermark
from scraping.reddit.listing import PAGE_SIZE


class Steps:
    """Counts the steps done and estimates the total until it is known; at the end both are equal.

    Args:
        expected: how many posts each unread subreddit may list.
    """

    def __init__(self, expected: dict[str, int]) -> None:
        self._left = dict(expected)
        self._listed = self._walked = self._finished = 0

    @property
    def done(self) -> int:
        """The steps that this session has done."""
        return self._listed + self._walked + self._finished

    def total(self, *, pending: int) -> int:
        """Return all steps; ``pending`` is the number of listed posts whose comments are still to be read."""
        # For the other subreddits, assume the same share of posts with comments to read as so far.
        share = (self._walked + pending) / self._listed if self._listed else 0.0
        return self.done + pending + len(self._left) + round(sum(self._left.values()) * (1 + share))

    def listed(self, subreddit: str, posts: int) -> None:
        """Count a page of a listing."""
        self._listed += posts
        if subreddit in self._left:
            self._left[subreddit] = max(self._left[subreddit] - posts, 0)

    def end_listing(self, subreddit: str) -> None:
        """Expect no more posts from a subreddit."""
        if subreddit in self._left:
            self._left[subreddit] = 0

    def walked(self) -> None:
        """Count a post whose comments were read."""
        self._walked += 1

    def finish(self, subreddit: str) -> None:
        """Count a subreddit as finished."""
        if self._left.pop(subreddit, None) is not None:
            self._finished += 1

    def give_up(self, subreddit: str) -> None:
        """Expect nothing more from a subreddit that failed."""
        self._left.pop(subreddit, None)


def expected_posts(config: BotConfig, subreddits: Iterable[str]) -> dict[str, int]:
    """Return how many posts the next listing of each subreddit may show, by its watermark and rate."""
    marks = {mark.subreddit: mark for mark in config.watermarks.all()}
    known = {row.subreddit: row for row in config.freshness.defer("yields")}
    return {
        name: min(
            config.post_limit,
            max(PAGE_SIZE, round(new_posts(marks.get(folded(name)), known.get(folded(name))))),
        )
        for name in subreddits
    }


def new_posts(mark: Watermark | None, fresh: Freshness | None) -> float:
    """Return how many posts a subreddit may have got since its newest known one; 0 if nothing is known."""
    if mark is None:
        return 0.0
    now = clock.now()
    if fresh is not None and fresh.week.is_known:
        return fresh.week.expected(mark.newest_at, now)
    return (mark.posts_per_hour or 0.0) * max((now - mark.newest_at).total_seconds(), 0) / 3600
