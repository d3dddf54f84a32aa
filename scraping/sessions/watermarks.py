"""How far a listing has got, and whether it has met the posts of the previous listing (ADR 21).

Ids decide, not single times: a listing has met the previous one when it shows a post that the previous one listed, or
that was stored before the previous one ended. A listing that ends without such a post has left a gap, however long the
listing is.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from database import clock
from database.names import folded
from scraping.models import BotConfig, RedditPost, Watermark, freshness
from scraping.reddit.listing import REDDIT_BEGAN, Frontier, creation_times, is_sticky, posts_per_hour
from scraping.sessions import warnings

# The listings that are in the order of creation; only these have a watermark.
INCREMENTAL: Final = (BotConfig.Sort.NEW, BotConfig.Sort.SEARCH)
# Reddit's search ends near 250 posts, other listings at 1,000: a listing of fewer posts than this is complete.
SHORTEST_END: Final = 200
# How many of a listing's first posts are kept, so that the next listing can find them again.
ANCHORS_MAX: Final = 100
# A post that waited for a moderator appears hours later, at the position of its creation. So about once a day a
# listing is read this far beyond its watermark; a little more often, so that the time of day does not drift.
DEEP_EVERY: Final = timedelta(hours=23)
DEEP_SPAN: Final = timedelta(hours=24)


@dataclass
class Reading:
    """What a listing has shown so far; stored as JSON, so that another session can resume it."""

    is_deep: bool = False
    has_met: bool = False  # whether it has met the previous listing
    newest: str | None = None
    oldest: str | None = None
    anchors: list[str] = field(default_factory=list)
    after: str | None = None  # the watermark: newer posts are new
    hours: dict[str, int] = field(default_factory=dict)  # new posts by hour since 1970, of the last weeks
    kept: dict[str, int] = field(default_factory=dict)  # those of them that the filters let through
    times: list[datetime] = field(default_factory=list)  # of this session's pages; not saved

    @classmethod
    def of(cls, saved: dict[str, Any] | None, *, is_deep: bool, after: datetime | None = None) -> Self:
        """Return the reading that was saved, or a new one that begins at the watermark ``after``."""
        if saved:
            return cls(**{"kept": dict(saved.get("hours") or {}), **saved})
        return cls(is_deep=is_deep, after=after.isoformat() if after else None)

    def as_json(self) -> dict[str, Any]:
        """Return it for the column."""
        values = asdict(self)
        del values["times"]
        if self.kept == self.hours:
            del values["kept"]
        return values

    @property
    def posts_by_hour(self) -> dict[int, int]:
        """New posts by hour since 1970."""
        return {int(hour): count for hour, count in self.hours.items()}

    @property
    def kept_by_hour(self) -> dict[int, int]:
        """New posts that the bot keeps, by hour since 1970."""
        return {int(hour): count for hour, count in self.kept.items()}

    @property
    def newest_at(self) -> datetime | None:
        """The newest valid time listed so far."""
        return datetime.fromisoformat(self.newest) if self.newest else None

    @property
    def oldest_at(self) -> datetime | None:
        """The oldest time that the last page reaches."""
        return datetime.fromisoformat(self.oldest) if self.oldest else None

    def add(
        self,
        posts: Iterable[dict[str, Any]],
        *,
        kept: Iterable[dict[str, Any]] | None = None,
        until: datetime,
    ) -> None:
        """Add a page; ``kept`` are the posts that the bot keeps, None: all; ``until`` is the present by Reddit's clock."""
        posts = list(posts)
        names = [str(post["name"]) for post in posts if post.get("name") and not is_sticky(post)]
        self.anchors = [*self.anchors, *names][:ANCHORS_MAX]
        times = creation_times(posts, until=until)
        self.times += times
        after = datetime.fromisoformat(self.after) if self.after else None
        _tally(self.hours, times, after=after)
        _tally(self.kept, times if kept is None else creation_times(list(kept), until=until), after=after)
        if times:
            newest = max(times, default=until)
            self.newest = max(newest, self.newest_at or newest).isoformat()
            # Not the very oldest time, which may be wrong.
            self.oldest = sorted(times)[len(times) // 20].isoformat()


def _tally(hours: dict[str, int], times: Iterable[datetime], *, after: datetime | None) -> None:
    for hour, count in freshness.count_by_hour(times, after=after).items():
        hours[str(hour)] = hours.get(str(hour), 0) + count


def watermark_of(config: BotConfig, subreddit: str, listing: str) -> Watermark | None:
    """Return how far the config has listed the subreddit in this listing."""
    rows = Watermark.objects.filter(config=config, subreddit=folded(subreddit))
    watermark = rows.filter(listing=listing).first()
    if watermark is not None:
        # An earlier release accepted posts dated in the future.
        watermark.newest_at = min(watermark.newest_at, watermark.listed_at)
    return watermark


def is_deep_due(watermark: Watermark | None) -> bool:
    """Return whether late approvals should be looked for."""
    if watermark is None:
        return False
    return watermark.deep_at is None or watermark.deep_at <= clock.now() - DEEP_EVERY


def deep_until(watermark: Watermark) -> datetime:
    """Return how far back a deep reading goes: never beyond the oldest post ever listed."""
    until = watermark.newest_at - DEEP_SPAN
    return until if watermark.since is None else max(until, watermark.since)


def has_met(frontier: Frontier, watermark: Watermark | None, posts: Iterable[dict[str, Any]]) -> bool:
    """Return whether a page shows a post that was listed, or stored, before the last listing ended."""
    if watermark is None:
        return False
    names = frontier.candidates(posts)
    if not names.isdisjoint(watermark.anchors or ()):
        return True
    return RedditPost.objects.filter(fullname__in=names, first_seen_at__lte=watermark.listed_at).exists()


def is_gap(watermark: Watermark, reading: Reading, *, posts: int, is_at_limit: bool) -> bool:
    """Return whether posts may be missing between the last listing and this one, of so many posts."""
    if reading.has_met or not posts:
        return False
    # The previous listing was empty, so there is nothing to meet, and a short listing is a complete one.
    was_empty = watermark.anchors == []
    return not was_empty or is_at_limit or posts >= SHORTEST_END


def advance(
    watermark: Watermark | None,
    reading: Reading,
    *,
    config: BotConfig,
    subreddit: str,
    name: str,
    listing: str,
    is_whole: bool,
) -> None:
    """Store how far a listing went; it was read to its frontier, or as far as allowed.

    ``is_whole``: Reddit had no more posts.
    """
    # After an empty listing, or one without a valid time, all later posts are new.
    known_at, now = watermark.newest_at if watermark else REDDIT_BEGAN, clock.now()
    newest_at = max(reading.newest_at or known_at, known_at)
    oldest_at = reading.oldest_at or newest_at
    rate = posts_per_hour(reading.times)
    values: dict[str, Any] = {
        "name": name,
        "listing": listing,
        "newest_at": newest_at,
        "listed_at": now,
        "posts_per_hour": warnings.smoothed(watermark.posts_per_hour if watermark else None, rate),
        "anchors": reading.anchors or (watermark.anchors if watermark else []),
    }
    if watermark is None:
        values["since"] = None if is_whole else oldest_at
    if watermark is None or reading.is_deep:
        since = watermark.since if watermark and watermark.since else oldest_at
        span = DEEP_SPAN if is_whole else newest_at - max(oldest_at, since)
        values |= {"deep_at": now, "late_hours": min(span, DEEP_SPAN).total_seconds() / 3600}
    Watermark.objects.update_or_create(config=config, subreddit=folded(subreddit), defaults=values)
