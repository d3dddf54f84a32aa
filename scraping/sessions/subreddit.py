"""One subreddit of a session: its listing, then the comments of its posts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from database import clock
from database.messages import gettext as _
from database.names import folded
from scraping.content.storage import Stored, store_posts
from scraping.models import (
    AGGREGATES,
    BotConfig,
    ContentState,
    ErrorKind,
    RedditPost,
    Watermark,
    due,
    freshness,
)
from scraping.reddit.answers import Page
from scraping.reddit.client import INFO_SIZE
from scraping.reddit.errors import OutOfBudget, RedditError
from scraping.reddit.listing import (
    LISTING_MAX,
    PAGE_SIZE,
    Frontier,
    ListingWalk,
    created_at,
    is_past,
    posts_per_hour,
)
from scraping.sessions import warnings, watermarks, yields
from scraping.sessions.comments import CommentScrape, with_moments
from scraping.sessions.filters import keep_wanted
from scraping.sessions.watermarks import INCREMENTAL, Reading

# The requests that a reading of a whole listing may cost.
PAGES_OF_LISTING: Final = LISTING_MAX // PAGE_SIZE


class SubredditScrape(CommentScrape):
    """One subreddit's part of a session."""

    def run(self) -> None:
        """Read the listing page by page, then the comments of its posts and of other young posts.

        Raises:
            RedditError: the subreddit cannot be read, or no further.
        """
        if self._checkpoint.is_listed:
            self._scrape.steps.end_listing(self._subreddit)
        else:
            try:
                self._list()
            except OutOfBudget:
                raise
            except RedditError as error:
                if error.stops_everything or not self._checkpoint.posts:
                    raise
                self.fail(error)  # the comments of the earlier pages can still be fetched
        if self._reach is not None:
            # After the posts of the listing, because some of these may fail again.
            self._checkpoint.add_posts(due.posts_due(self._config.pk, self._subreddit))
        self._scrape_comments()
        self._tell_what_is_due()
        text = _("%(subreddit)s: %(posts)d posts (%(new)d new), %(comments)d comments.")
        self._scrape.log(
            text
            % {
                "subreddit": f"r/{self._subreddit}",
                "posts": self.totals["posts_found"],
                "new": self.totals["posts_new"],
                "comments": self.totals["comments_found"],
            }
        )

    def _list(self) -> None:
        config, checkpoint, stage = self._config, self._checkpoint, _("%(subreddit)s: posts")
        stage %= {"subreddit": f"r/{self._subreddit}"}
        self._scrape.report(stage)
        watermark = self._watermark()
        frontier = Frontier(watermark.newest_at if watermark else None)
        is_deep = watermarks.is_deep_due(watermark) and self._client.can_afford(PAGES_OF_LISTING)
        after = watermark.newest_at if watermark else None
        reading = Reading.of(checkpoint.reading, is_deep=is_deep, after=after)
        walk = self._client.listing(
            self._subreddit,
            sort=config.sort,
            time_filter=config.time_filter,
            limit=LISTING_MAX if reading.is_deep else config.post_limit,
            query=config.query,
            resume=checkpoint.listing,
        )
        for asked_at, page in with_moments(walk):
            # A deep reading looks for posts that appeared late, not for posts older than the bot.
            since = watermark.since if watermark and reading.is_deep else None
            wanted = keep_wanted(_not_before(since, page), config)
            stored = self._store(wanted, asked_at)
            self._listed.update(names_of(page.posts))
            until = self._client.server_time
            is_met = frontier.is_met(page.posts, has_new=stored.new > 0, until=until)
            reading.add(page.posts, kept=wanted.posts, until=until)
            reading.has_met |= is_met or watermarks.has_met(frontier, watermark, page.posts)
            checkpoint.listing, checkpoint.reading = walk.saved(), reading.as_json()
            self._scrape.save(self._client)
            self._scrape.report(stage, posts=len(page.posts))
            if is_met and not (reading.is_deep and watermark is not None):
                break
            if reading.is_deep and watermark and is_past(page.posts, watermarks.deep_until(watermark)):
                break
            self._scrape.stop_here_if_asked()
        self._end_listing(walk, watermark, reading)
        self._refresh_young()
        checkpoint.is_listed, checkpoint.listing = True, None
        self._scrape.steps.end_listing(self._subreddit)
        self._scrape.save(self._client)

    def _end_listing(self, walk: ListingWalk, watermark: Watermark | None, reading: Reading) -> None:
        text = ""
        if walk.is_broken:
            text = _(
                "The listing lost its position repeatedly while it was read. The next scrape starts it again."
            )
        elif walk.is_looping:
            text = _(
                "Reddit's listing goes round in circles: a page led back to an earlier one. Try again later."
            )
        if text:
            self.fail(RedditError(ErrorKind.BAD_ANSWER, text))
            return
        self._judge(walk, watermark, reading)
        if self._is_incremental:
            watermarks.advance(
                watermark,
                reading,
                config=self._config,
                subreddit=self._subreddit,
                name=self._name or self._subreddit,
                listing=self._listing_key,
                is_whole=walk.has_ended and not walk.is_at_cap,
            )
        if not self.totals["error_kind"]:
            self._note_fresh(watermark, reading)

    def _note_fresh(self, watermark: Watermark | None, reading: Reading) -> None:
        """Store how new the subreddit's posts are, and when the next one is expected."""
        self._is_fresh = True
        newest_at = reading.newest_at
        week = judged = None
        if self._is_incremental:
            newest_at = newest_at or (watermark.newest_at if watermark and watermark.anchors else None)
            # If posts may be missing, only the hours that this listing covers completely give a rate.
            since, now = None, clock.now()
            if watermark is None or self._has_gap:
                since = freshness.hour_of(reading.oldest_at or now) + 1
            row = freshness.of(self._config.pk, self._subreddit)
            week = row.week
            week.count(reading.posts_by_hour, since=since, now=now)
            judged = yields.judge(
                self._config,
                row,
                reading.posts_by_hour,
                reading.kept_by_hour,
                since=since,
                is_first=watermark is None,
                now=now,
            )
        row = freshness.note_listed(
            self._config.pk, self._subreddit, newest_at=newest_at, week=week, judged=judged
        )
        self._warn(warnings.yield_warning(row))

    def _store(self, page: Page, asked_at: datetime) -> Stored:
        posts = page.posts
        stored = store_posts(posts, session=self._session, seen_at=asked_at, cutoffs=self._scrape.cutoffs)
        self._count("posts", stored, page.skipped)
        names = names_of(posts)
        if not self._is_aggregate:
            self._name = next((str(post["subreddit"]) for post in posts if post.get("subreddit")), self._name)
        self._checkpoint.add_posts(self._with_new_comments(names))
        return stored

    def _watermark(self) -> Watermark | None:
        watermark = watermarks.watermark_of(self._config, self._subreddit, self._listing_key)
        if watermark is not None:
            self._name = watermark.name
        return watermark

    @property
    def _is_incremental(self) -> bool:
        return self._config.sort in INCREMENTAL

    @property
    def _listing_key(self) -> str:
        is_search = self._config.sort == BotConfig.Sort.SEARCH
        return f"search:{self._config.query}" if is_search else str(self._config.sort)

    @property
    def _is_aggregate(self) -> bool:
        """Whether this is r/all or r/popular, whose posts belong to other subreddits."""
        return folded(self._subreddit) in AGGREGATES

    def _of_subreddit(self, posts: QuerySet[RedditPost]) -> QuerySet[RedditPost]:
        """Return the posts of this subreddit; for an aggregate, the posts that this bot has found."""
        if self._is_aggregate:
            return posts.filter(config=self._config)
        return posts.filter(subreddit__folded=folded(self._name or self._subreddit))

    def _judge(self, walk: ListingWalk, watermark: Watermark | None, reading: Reading) -> None:
        """Detect a listing that cannot be complete."""
        before = self._of_subreddit(RedditPost.objects.filter(first_seen_at__lt=self._session.started_at))
        is_new = self._config.sort == BotConfig.Sort.NEW
        if is_new and not walk.posts and before.filter(state=ContentState.LIVE).exists():
            text = _(
                "Reddit lists no posts, although it did before. Look at the subreddit, or try again later."
            )
            self.fail(RedditError(ErrorKind.BAD_ANSWER, text))
            return
        if not self._is_incremental:
            return
        if watermark is None:
            met_known = self.totals["posts_found"] > self.totals["posts_new"]
            reaches_back = walk.posts >= LISTING_MAX or before.exists()
            if walk.is_at_cap and not met_known and reaches_back:
                self._scrape.note_gap()
            return
        self._has_gap = watermarks.is_gap(watermark, reading, posts=walk.posts, is_at_limit=walk.is_at_limit)
        if self._has_gap:
            self._scrape.note_gap()
        now = clock.now()
        rate = warnings.smoothed(watermark.posts_per_hour, posts_per_hour(reading.times))
        growth = warnings.growth_warning(
            name=self._name,
            posts_per_hour=rate,
            since_last=now - watermark.listed_at,
            post_limit=self._config.post_limit,
        )
        ends_too_soon = walk.is_at_limit and not reading.has_met
        if not growth and ends_too_soon and self._config.post_limit < LISTING_MAX:
            growth = _("There were more new posts than the limit: scrape more often, or raise it.")
        self._warn(growth)

    def _refresh_young(self) -> None:
        """Check again the posts beyond the listing's end that are young enough to get more comments."""
        hours = self._config.comment_refresh_hours
        if self._reach is None or not hours or not (self._name or self._is_aggregate):
            return
        recent = RedditPost.objects.filter(
            created_at__gte=clock.now() - timedelta(hours=hours), state=ContentState.LIVE
        )
        young = self._of_subreddit(recent)
        if self._config.sort != BotConfig.Sort.NEW:
            young = young.filter(config=self._config)  # others are not in its listing
        youngest = young.order_by("-created_at").values_list("fullname", flat=True)[: self._config.post_limit]
        names = [fullname for fullname in youngest if fullname not in self._listed]
        for start in range(0, len(names), INFO_SIZE):
            asked_at = clock.now()
            page = self._client.info(names[start : start + INFO_SIZE])
            stored = store_posts(
                page.posts, session=self._session, seen_at=asked_at, cutoffs=self._scrape.cutoffs
            )
            self.totals["posts_refreshed"] += stored.found
            self.totals["posts_changed"] += stored.changed
            wanted = keep_wanted(page, self._config).posts
            self._checkpoint.add_posts(self._with_new_comments(names_of(wanted)))
            self._scrape.stop_here_if_asked()


def names_of(posts: Iterable[dict[str, Any]]) -> list[str]:
    """Return the fullnames of raw posts."""
    return [str(post.get("name")) for post in posts]


def _not_before(moment: datetime | None, page: Page) -> Page:
    """Return the page without posts that were made before ``moment``."""
    if moment is None:
        return page
    posts = [post for post in page.posts if (made := created_at(post)) is None or made >= moment]
    return replace(page, posts=posts)
