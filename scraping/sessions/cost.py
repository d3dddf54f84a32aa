"""How many requests a run of a bot costs: at most, and probably, by stored rates and the current listings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from database import clock
from database.names import folded
from scraping.models import BotConfig, Freshness, RedditPost, Watermark, due
from scraping.reddit.listing import LISTING_MAX, PAGE_SIZE, creation_times, posts_per_hour
from scraping.sessions import watermarks
from scraping.sessions.reach import is_walked, reach_of
from scraping.sessions.steps import new_posts
from scraping.sessions.watermarks import INCREMENTAL

# The comments of the first request, and of each further one (Reddit's morechildren).
FIRST_COMMENTS: Final = 500
MORE_COMMENTS: Final = 100


@dataclass(frozen=True)
class Cost:
    """Requests of one run, without retries and sign-in."""

    listings: int
    comments: int

    @property
    def total(self) -> int:
        """All requests of the run."""
        return self.listings + self.comments

    @property
    def minutes(self) -> int:
        """The fewest minutes that the run takes at Reddit's limit of 100 requests per minute."""
        return math.ceil(self.total / 100)


@dataclass(frozen=True)
class Listed:
    """The first page of a subreddit's listing: its raw posts, and whether there are more."""

    name: str
    posts: Sequence[dict[str, Any]] = field(default_factory=list)
    # The fullnames of posts that the filters or the retention leave out.
    unwanted: frozenset[str] = frozenset()
    has_more: bool = False


def worst_case(config: BotConfig) -> Cost:
    """Return what a run may cost if every post is new and has comments.

    A listing costs one request per 100 posts. The comments of a post cost one; a complete tree costs one more per 100
    comments beyond the first 500.
    """
    posts = config.post_limit * len(config.subreddits)
    listings = math.ceil(config.post_limit / PAGE_SIZE) * len(config.subreddits)
    if config.comment_policy == BotConfig.CommentPolicy.NONE:
        return Cost(listings, 0)
    return Cost(listings, posts * of_post(config, comments=config.comment_limit))


def of_post(config: BotConfig, *, comments: int) -> int:
    """Return the requests for one post's comments; ``comments`` is Reddit's count."""
    if config.comment_policy == BotConfig.CommentPolicy.NONE or comments <= 0:
        return 0
    more = math.ceil(max(min(comments, config.comment_limit) - FIRST_COMMENTS, 0) / MORE_COMMENTS)
    if config.comment_policy == BotConfig.CommentPolicy.FIRST_PAGE:
        more = 0
    if config.comment_policy == BotConfig.CommentPolicy.BUDGETED:
        more = min(more, config.comment_requests - 1)
    return 1 + more


def likely(config: BotConfig, answers: Sequence[Listed]) -> Cost | None:
    """Return what the next run is likely to cost, or None if Reddit listed nothing.

    The first pages just listed give the number of posts and of their comments. The stored rows tell which of them are
    known. Rates and watermarks give the number of posts after the first page. Subreddits that were not listed are
    assumed to cost the average of the others.
    """
    if not answers:
        return None
    marks, known = _known(config)
    costs = [
        _of_subreddit(config, listed, marks.get(folded(listed.name)), known.get(folded(listed.name)))
        for listed in answers
    ]
    scale = len(config.subreddits) / len(costs)
    listings, comments = sum(cost.listings for cost in costs), sum(cost.comments for cost in costs)
    most = worst_case(config)
    return Cost(
        max(round(listings * scale), len(config.subreddits)), min(round(comments * scale), most.comments)
    )


def _known(config: BotConfig) -> tuple[dict[str, Watermark], dict[str, Freshness]]:
    """Return the watermarks and the freshness of a stored config's listings, by case-folded name."""
    if config.pk is None or config.sort not in INCREMENTAL:
        return {}, {}
    is_search = config.sort == BotConfig.Sort.SEARCH
    listing = f"search:{config.query}" if is_search else str(config.sort)
    marks = {mark.subreddit: mark for mark in config.watermarks.filter(listing=listing)}
    return marks, {row.subreddit: row for row in config.freshness.defer("yields")}


def _of_subreddit(config: BotConfig, listed: Listed, mark: Watermark | None, fresh: Freshness | None) -> Cost:
    posts = listed.posts[: config.post_limit]
    behind = _posts_behind(config, listed, mark, fresh)
    pages = max(math.ceil((len(posts) + behind) / PAGE_SIZE), 1)
    if mark is not None and watermarks.is_deep_due(mark):
        # Once a day the last day is read again, to find late approvals.
        rate = posts_per_hour(creation_times(posts)) or mark.posts_per_hour or 0.0
        day = rate * watermarks.DEEP_SPAN.total_seconds() / 3600
        pages = max(
            pages, math.ceil(min(len(posts) + day, LISTING_MAX) / PAGE_SIZE) if listed.has_more else 1
        )
    comments = [_of_listed(config, post, listed.unwanted) for post in posts]
    walked = _walked(config, posts)
    on_page = sum(
        cost for post, cost in zip(posts, comments, strict=True) if str(post.get("name")) not in walked
    )
    # Posts after the page are assumed to be like those on it.
    rest = behind * sum(comments) / len(posts) if posts else 0.0
    waiting = len(due.posts_due(config.pk, listed.name)) if config.pk is not None else 0
    return Cost(pages, math.ceil(on_page + rest) + waiting)


def _posts_behind(
    config: BotConfig, listed: Listed, mark: Watermark | None, fresh: Freshness | None
) -> float:
    """Return how many posts after the first page a run is likely to list."""
    room = config.post_limit - len(listed.posts)
    if not listed.has_more or room <= 0:
        return 0.0
    if mark is None:
        return float(room)
    # A page that reaches posts older than the watermark is the last one, or nearly the last.
    times = creation_times(listed.posts, until=clock.now())
    if times and min(times) <= mark.newest_at:
        return 0.0
    return min(max(new_posts(mark, fresh) - len(listed.posts), 0.0), float(room))


def _of_listed(config: BotConfig, post: dict[str, Any], unwanted: frozenset[str]) -> int:
    return 0 if str(post.get("name")) in unwanted else of_post(config, comments=_number_of_comments(post))


def _number_of_comments(post: dict[str, Any]) -> int:
    number = post.get("num_comments")
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def _walked(config: BotConfig, posts: Sequence[dict[str, Any]]) -> set[str]:
    """Return the fullnames of the posts whose comments are stored as far as the config wants them."""
    reach = reach_of(config)
    if reach is None:
        return set()
    numbers = {str(post.get("name")): _number_of_comments(post) for post in posts}
    found = set()
    for post in RedditPost.objects.filter(fullname__in=numbers).only("fullname", "num_comments", "walk"):
        post.num_comments = numbers[post.fullname]  # Reddit's current count
        if is_walked(post, reach, lowest=config.comment_min_score):
            found.add(post.fullname)
    return found
