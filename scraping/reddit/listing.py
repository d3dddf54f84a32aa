"""Pages through a listing that shifts while it is read, and finds where the new posts end.

Reddit lists 1,000 posts at most, 100 per page. The next page is requested by the fullname of the last post, the
anchor. A listing shifts between two requests. New posts come on top, so a page may repeat posts. Posts are removed,
and if the anchor itself is removed, Reddit answers with an empty page as if the listing had ended. ``before`` is
never used: it does not report a removed anchor either, and it misses posts between two pages.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from scraping.reddit.answers import Page, unreadable_reason

# Reddit's limits (https://www.reddit.com/dev/api): items of one page and of a whole listing.
PAGE_SIZE: Final = 100
LISTING_MAX: Final = 1000
# Pages may hold few posts, so allow more pages than needed, but not an endless number.
PAGES_MAX: Final = 3 * LISTING_MAX // PAGE_SIZE
# How many anchors further up the last page are tried if the last one is gone.
ANCHORS_BACK: Final = (2, 3, 5, 9, 17, 50)
# Reddit opened in June 2005; an earlier time, or one in the future, is invalid.
REDDIT_BEGAN: Final = datetime(2005, 6, 1, tzinfo=UTC)
# The fewest times by which a page is judged: single ones may be wrong.
MASS_MIN: Final = 20
# Posts held back by a filter appear late, at the position of their creation. So a listing reads this far beyond the
# newest post of the previous one.
OVERLAP: Final = timedelta(hours=1)

Fetch = Callable[[dict[str, str | int]], Page]


class ListingWalk:
    """Yields the pages of a listing, each post once; the caller stops when it has seen enough.

    The stickied posts that Reddit puts on top of hot (``has_stickies``) do not count towards ``limit``. ``resume`` is
    what an earlier walk returned from ``saved()``.
    """

    def __init__(
        self, fetch: Fetch, *, limit: int, has_stickies: bool = False, resume: dict[str, Any] | None = None
    ) -> None:
        self._fetch = fetch
        self._has_stickies = has_stickies
        self._remaining = min(limit, LISTING_MAX)
        self._seen: set[str] = set()
        self._after: str | None = None
        self._recent: list[str] = []  # the fullnames of the last page that had any
        self._is_second_time = False
        self.pages = 0
        self.posts = 0
        # Whether Reddit, not the caller, ended the walk; whether no anchor was left; whether a page led back to an
        # earlier one.
        self.has_ended = self.is_broken = self.is_looping = False
        self._met: set[str] = set()  # the anchors that Reddit named
        if resume is not None:
            self._after, self._recent = resume["after"], list(resume["recent"])
            self._remaining, self.pages, self.posts = resume["remaining"], resume["pages"], resume["posts"]
            self.has_ended = resume["has_ended"]
            self._met = set(resume.get("met", ()))

    def saved(self) -> dict[str, Any]:
        """Return what another walk needs to continue after the last page, for a JSON column."""
        return {
            "after": self._after,
            "recent": self._recent[-max(ANCHORS_BACK) :],
            "remaining": self._remaining,
            "pages": self.pages,
            "posts": self.posts,
            "has_ended": self.has_ended,
            "met": sorted(self._met),
        }

    @property
    def is_at_cap(self) -> bool:
        """Whether Reddit's limit of 1,000 posts ended the listing."""
        return self.pages >= LISTING_MAX // PAGE_SIZE

    @property
    def is_at_limit(self) -> bool:
        """Whether the caller's limit ended the walk."""
        return self._remaining <= 0

    def __iter__(self) -> Iterator[Page]:
        while not self.has_ended and not self.is_at_limit and self.pages < PAGES_MAX:
            asked = self._after
            page = self._next()
            self.pages += 1
            self._after = page.after
            self.is_looping = page.after is not None and page.after in self._met
            self.has_ended = page.after is None or self.is_looping
            if page.after is not None:
                self._met.add(page.after)
            page = self._without_repetitions(page, is_first=asked is None)
            self.posts += len(page.posts)
            yield page

    def _next(self) -> Page:
        """Return the page after the anchor; if that is gone, after an earlier one, or from the top again."""
        size: dict[str, str | int] = {"limit": min(self._remaining, PAGE_SIZE)}
        if self._after is None:
            return self._fetch(size)
        page = self._fetch(size | {"after": self._after})
        for back in ANCHORS_BACK:
            if not _is_bare(page):
                return page
            if back > len(self._recent):
                break
            page = self._fetch(size | {"after": self._recent[-back]})
        if not _is_bare(page):
            return page
        self.is_broken = self._is_second_time
        if not self._is_second_time:
            self._is_second_time = True
            self._met.clear()  # from the top again
            return self._fetch(size)
        return page

    def _without_repetitions(self, page: Page, *, is_first: bool) -> Page:
        posts = []
        names = []
        for post in page.posts:
            # An item without a fullname is passed on, so that it is counted.
            name = post["name"] if isinstance(post.get("name"), str) else None
            extra = self._has_stickies and is_first and is_sticky(post)
            if name is not None:
                names.append(name)
            if name in self._seen or (self._remaining <= 0 and not extra):
                continue
            if name is not None:
                self._seen.add(name)
            self._remaining -= not extra
            posts.append(post)
        self._recent = names or self._recent
        skipped = page.skipped + Counter({unreadable_reason("t1"): len(page.comments)})
        return replace(page, posts=posts, comments=[], skipped=skipped)


def _is_bare(page: Page) -> bool:
    """Return whether the page is what Reddit returns for an anchor that is gone."""
    return page.after is None and not (page.posts or page.comments or page.skipped)


def is_sticky(post: dict[str, Any]) -> bool:
    """Return whether a post is pinned, so that its position says nothing about the order of the listing."""
    return post.get("stickied") is True


def created_at(post: dict[str, Any]) -> datetime | None:
    """Return when a raw post was made, or None if it gives no valid time."""
    seconds = post.get("created_utc")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def creation_times(posts: Iterable[dict[str, Any]], *, until: datetime | None = None) -> list[datetime]:
    """Return when the posts were made, in their order, without pinned posts and impossible times.

    ``until`` is the present by Reddit's clock.
    """
    times = (created_at(post) for post in posts if not is_sticky(post))
    return [
        time
        for time in times
        if time is not None and time >= REDDIT_BEGAN and (until is None or time <= until)
    ]


@dataclass(frozen=True)
class Frontier:
    """Where a listing of new posts reaches the posts of an earlier one.

    ``newest_at`` is the watermark: the newest post of the last listing that was read to its own frontier, so that all
    posts listed up to it are known; None if there was no such listing. No single post decides: its time may be wrong.
    """

    newest_at: datetime | None

    def is_met(
        self, posts: Iterable[dict[str, Any]], *, has_new: bool, until: datetime | None = None
    ) -> bool:
        """Return whether the listing may stop after this page.

        It may if most posts of the page are older than the watermark by ``OVERLAP``, or if most are older than the
        watermark and all are stored already (``has_new``: one was not). A page of stored posts that are newer than the
        watermark proves nothing: an interrupted listing stored it, and older posts may be missing.
        """
        if self.newest_at is None:
            return False
        if self._is_behind(posts := list(posts), self.newest_at - OVERLAP, until):
            return True
        return not has_new and self._is_behind(posts, self.newest_at, until)

    def candidates(self, posts: Iterable[dict[str, Any]]) -> set[str]:
        """Return the fullnames of the posts that prove a meeting with the last listing, if that one had them."""
        if self.newest_at is None:
            return set()
        return {
            str(post.get("name"))
            for post in posts
            if not is_sticky(post) and ((time := created_at(post)) is None or time <= self.newest_at)
        }

    def _is_behind(self, posts: list[dict[str, Any]], moment: datetime, until: datetime | None) -> bool:
        times = creation_times(posts, until=until)
        return len(times) >= MASS_MIN and 2 * sum(time <= moment for time in times) > len(times)


def is_past(posts: Iterable[dict[str, Any]], moment: datetime) -> bool:
    """Return whether most posts of a page were made before a moment."""
    times = creation_times(posts)
    return bool(times) and 2 * sum(time < moment for time in times) > len(times)


def posts_per_hour(times: list[datetime]) -> float | None:
    """Return the rate of a listing's posts, given newest first; None if there are too few.

    If there are many, the outermost twentieths are left out: one wrong time would make a span of years.
    """
    times = sorted(times)
    cut = len(times) // 20
    times = times[cut : len(times) - cut]
    if len(times) < 2:
        return None
    span = (times[-1] - times[0]).total_seconds()
    return 3600 * (len(times) - 1) / span if span > 0 else None
