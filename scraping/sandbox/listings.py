"""The posts of listings, and their order."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from scraping.sandbox.items import Post, State, Subreddit
from scraping.sandbox.world import World

LISTING_MAX = 1_000  # Reddit lists no more
PAGE_MAX = 100
PAGE_DEFAULT = 25
# Ranked listings are recomputed this often (seconds), so that they do not change while a client pages through them.
RANKED_EVERY = 300
# More than LISTING_MAX are ranked, because some of the most popular are deleted, or too young for a high score.
CANDIDATES = 2_000
RISING_OF_LATEST = 100
STICKIES_MAX = 2
SPAN_SECONDS = {
    "hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "year": 365 * 86_400, "all": math.inf,
}  # fmt: skip
SORTS = ("new", "hot", "top", "rising", "controversial")


@dataclass(frozen=True)
class Page:
    """A page of a listing; ``after`` is None at the end."""

    posts: list[Post]
    after: str | None
    before: str | None


class Listings:
    """The listings of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        # A client that pages through a listing requests it ten times in a row.
        self._ranked = lru_cache(maxsize=16)(self._rank)

    def page(
        self,
        subreddits: list[Subreddit],
        sort: str,
        *,
        span: str = "day",
        limit: int = PAGE_DEFAULT,
        after: str = "",
        before: str = "",
        now: float,
    ) -> Page:
        """Return at most ``limit`` posts after the anchor ``after``, or before the anchor ``before``.

        As on Reddit, the first page of one subreddit's hot carries the stickied posts on top of the limit, and
        an anchor that is not in the listing (any more) makes an empty page.
        """
        posts = self.posts(subreddits, sort, span=span, now=now)
        stickies = self.stickies(subreddits[0], now) if sort == "hot" and len(subreddits) == 1 else []
        pinned = {post.fullname for post in stickies}
        posts = [post for post in posts if post.fullname not in pinned]
        places = {post.fullname: place for place, post in enumerate(posts)}
        anchor = after or before
        if anchor and anchor not in places:
            return Page([], None, None)
        start = places[after] + 1 if after else 0
        if before and not after:
            start = max(0, places[before] - limit)
            limit = places[before] - start
        shown = posts[start : start + limit]
        more = start + limit < len(posts)
        return Page(
            posts=shown if anchor else stickies + shown,
            after=shown[-1].fullname if shown and more else None,
            before=shown[0].fullname if shown and start else None,
        )

    def posts(self, subreddits: list[Subreddit], sort: str, *, span: str, now: float) -> list[Post]:
        """Return the whole listing, best first: at most 1,000 posts, only those that are live."""
        return self._ranked(tuple(subreddits), sort, span, now, self.world.version)

    def _rank(
        self, subreddits: tuple[Subreddit, ...], sort: str, span: str, now: float, version: int
    ) -> list[Post]:
        ranked_at = now - now % RANKED_EVERY
        candidates: list[Post] = []
        for subreddit in subreddits:
            if sort == "new":
                candidates += self._latest(subreddit, now, at=now, count=LISTING_MAX)
            elif sort == "hot":
                candidates += self._latest(subreddit, ranked_at, at=now, count=LISTING_MAX)
            elif sort == "rising":
                candidates += self._latest(subreddit, ranked_at, at=now, count=RISING_OF_LATEST)
            else:
                candidates += self._popular(subreddit, ranked_at, at=now, span=SPAN_SECONDS[span])
        rank = _RANKS[sort]
        # The id makes the order unique.
        candidates.sort(key=lambda post: (rank(post, ranked_at), post.number), reverse=True)
        return candidates[:LISTING_MAX]

    def stickies(self, subreddit: Subreddit, now: float) -> list[Post]:
        """Return the pinned posts, newest first."""
        newest = self.world.latest(subreddit, now) // subreddit.weekly * subreddit.weekly
        indexes = [newest - n * subreddit.weekly for n in range(STICKIES_MAX)]
        return list(_live((self.world.post(subreddit, i) for i in indexes if i >= 0), now))

    def _latest(self, subreddit: Subreddit, until: float, *, at: float, count: int) -> list[Post]:
        indexes = range(self.world.latest(subreddit, until), -1, -1)
        posts = (self.world.post(subreddit, index) for index in indexes)
        return list(islice(_live(posts, at), count))

    def _popular(self, subreddit: Subreddit, until: float, *, at: float, span: float) -> list[Post]:
        last = self.world.latest(subreddit, until)
        first = 0 if math.isinf(span) else max(0, self.world.latest(subreddit, until - span) + 1)
        if last < first:
            return []
        return list(_live(self.world.popular(subreddit, first, last, wanted=CANDIDATES), at))


def _live(posts: Iterable[Post], now: float) -> Iterable[Post]:
    return (post for post in posts if post.state(now) is State.LIVE)


def _newness(post: Post, ranked_at: float) -> float:
    return post.created


def _score(post: Post, ranked_at: float) -> float:
    return post.score(ranked_at)


def _heat(post: Post, ranked_at: float) -> float:
    # Reddit's published formula: ten times the score is worth 12.5 hours.
    return math.log10(max(1, post.score(ranked_at))) + post.created / 45_000


def _speed(post: Post, ranked_at: float) -> float:
    return post.score(ranked_at) / (ranked_at - post.created + 60)


def _controversy(post: Post, ranked_at: float) -> float:
    return math.log10(1 + post.score(ranked_at)) * (1 - post.upvote_ratio)


_RANKS: dict[str, Callable[[Post, float], float]] = {
    "new": _newness,
    "hot": _heat,
    "top": _score,
    "rising": _speed,
    "controversial": _controversy,
}
