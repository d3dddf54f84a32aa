"""One scrape of one bot config: each subreddit's listing, then the comments of its posts, stored page by page.

Nothing waits for Reddit inside a transaction. Each page's facts are saved with the checkpoint behind it, so that a
killed worker loses one page at most, and a scrape whose app has no requests left goes on later, in another session.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet

from database import clock
from database.messages import gettext as _
from database.messages import joined
from database.names import folded
from database.text import storable_text
from scraping.content.expiry import EXPIRED, Cutoffs, Source
from scraping.content.normalise import post_values
from scraping.content.storage import Stored, store_comments, store_posts
from scraping.models import (
    AGGREGATES,
    BotConfig,
    ContentState,
    ErrorKind,
    RedditPost,
    ScrapeSession,
    Watermark,
    due,
    freshness,
    validate_subreddits,
)
from scraping.progress import Progress
from scraping.reddit.answers import Page
from scraping.reddit.client import INFO_SIZE, RedditClient, client_for
from scraping.reddit.comment_walk import Reach, requests_per_post
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
from scraping.sessions import warnings, watermarks
from scraping.sessions.checkpoint import Checkpoint
from scraping.sessions.filters import keep_wanted
from scraping.sessions.steps import Steps, expected_posts
from scraping.sessions.watermarks import Reading
from scraping.skip_reasons import FILTERED, reason_label

logger = logging.getLogger(__name__)

Status = ScrapeSession.Status

# Log lines on items that could not be read; the rest are only counted.
SKIP_LINES_MAX: Final = 20
# Posts in a row whose comments failed, after which a subreddit is given up.
FAILURES_MAX: Final = 3
# Sessions in a row that got nothing but a 429, after which the scrape fails instead of waiting once more.
REFUSED_MAX: Final = 3
# /api/info may leave a post out once by accident.
MISSING_MAX: Final = 2
# What a reading of a whole listing may cost.
PAGES_OF_LISTING: Final = LISTING_MAX // PAGE_SIZE
# Listings in the order of creation, which have a watermark.
INCREMENTAL: Final = (BotConfig.Sort.NEW, BotConfig.Sort.SEARCH)


class ScrapeRefused(Exception):
    """The scrape did not begin; the text says what to do."""


class AlreadyScraping(ScrapeRefused):
    """Another scrape of this config is under way."""


class ConfigInactive(ScrapeRefused):
    """The config is switched off, or gone."""


class ContinueLater(Exception):
    """The app's requests are used up until ``until``; the next scrape goes on where ``session`` was interrupted."""

    def __init__(self, session: ScrapeSession, until: datetime) -> None:
        super().__init__(session.error)
        self.session = session
        self.until = until


class _SessionClosed(Exception):
    """Our session was closed by somebody else, who took this worker for dead: stop writing."""


def scrape_config(
    config: BotConfig,
    *,
    run_id: int | None,
    kind: ScrapeSession.Kind,
    progress: Progress,
    cutoffs: Source | None = None,
) -> ScrapeSession:
    """Scrape every subreddit of a config and return the closed session, which names every failure.

    ``run_id`` is the ``maintenance.JobRun`` this belongs to; a session without one counts as abandoned as
    soon as somebody else wants to scrape the config. A fault of ours closes the session as FAILED with the
    cause INTERNAL and is logged, so that one config never stops the rest.

    ``cutoffs`` says what a purge would delete at once, which is not stored.

    An interrupted session's checkpoint of less than an hour ago is where this one begins.

    Raises:
        AlreadyScraping: another scrape of this config is under way.
        ConfigInactive: the config is switched off.
        ContinueLater: its app may send no more requests now; the session is INTERRUPTED.
        OperationalError, InterfaceError: the database failed; the session is INTERRUPTED.
        BaseException: what ``progress.checkpoint()`` raised; the session is INTERRUPTED.
    """
    config = _active(config)
    session = _open_session(config, run_id=run_id, kind=kind)
    scrape = _Scrape(config, session, progress, cutoffs=cutoffs() if cutoffs else None)
    try:
        scrape.run()
    except _SessionClosed:
        logger.warning("Session %s was closed by somebody else while it ran", session.pk)
    except OutOfBudget as shortage:
        if scrape.wait_for(shortage):
            raise ContinueLater(session, shortage.until) from shortage
    except (OperationalError, InterfaceError):
        # A restart, a lock not granted: nothing that the scrape did wrong.
        connection.close()
        with contextlib.suppress(Error):  # still away: then recovery closes the session
            session.close(Status.INTERRUPTED, error=_("The database failed; what had been found is stored."))
        raise
    except Exception as error:
        logger.exception("Scraping %r failed (session %s)", config.name, session.pk)
        text = _("The scraper itself failed (%(error)s): see the worker's log.")
        cause = storable_text(f"{type(error).__name__}: {error}")
        session.close(Status.FAILED, error_kind=ErrorKind.INTERNAL, error=text % {"error": cause})
    except BaseException:
        session.close(Status.INTERRUPTED, error=_("The scrape was stopped; what it had found is stored."))
        raise
    session.refresh_from_db()
    if warnings.note_outcome(config, session):
        text = _("Reddit has answered %(number)d times in a row: %(reason)s. The bot is paused.")
        progress.log(text % {"number": config.refusals, "reason": config.pause_reason}, "error")
    return session


def close_abandoned_sessions() -> int:
    """Close sessions whose run is no longer running as INTERRUPTED; return how many."""
    return ScrapeSession.objects.abandoned().update(
        status=Status.INTERRUPTED,
        finished_at=clock.now(),
        error=_("Its run ended before it did; what it had found is stored."),
    )


def _active(config: BotConfig) -> BotConfig:
    """Return the config as it is stored now."""
    stored = BotConfig.objects.select_related("app").filter(pk=config.pk).first()
    if stored is None:
        raise ConfigInactive(_("The bot “%(name)s” no longer exists.") % {"name": config.name})
    if not stored.is_active:
        text = _("The bot “%(name)s” is not active: activate it, then scrape again.")
        if stored.paused_at is not None:
            text = _("The bot “%(name)s” was paused (%(reason)s): put that right, activate it, scrape again.")
        raise ConfigInactive(text % {"name": stored.name, "reason": stored.pause_reason})
    return stored


def _open_session(config: BotConfig, *, run_id: int | None, kind: ScrapeSession.Kind) -> ScrapeSession:
    """Return a new running session; the constraint "one running session per config" is the lock."""
    for _attempt in range(2):
        try:
            with transaction.atomic():
                return ScrapeSession.objects.create(
                    config=config, config_name=config.name, run_id=run_id, kind=kind
                )
        except IntegrityError:
            if not ScrapeSession.objects.running().filter(config=config).exists():
                raise
            close_abandoned_sessions()
    text = _("The bot “%(name)s” is being scraped already: wait for that scrape, or cancel its run.")
    raise AlreadyScraping(text % {"name": config.name})


class _Scrape:
    """The work of one session."""

    def __init__(
        self, config: BotConfig, session: ScrapeSession, progress: Progress, *, cutoffs: Cutoffs | None
    ) -> None:
        self._config = config
        self._session = session
        self._progress = progress
        self._subreddits: list[str] = config.subreddits
        self.cutoffs = cutoffs
        self._totals: dict[str, dict[str, Any]] = {}
        self._has_gap = False
        self._skip_lines = 0
        self._has_answers = False
        self.checkpoint = Checkpoint.of(config, session)
        self.steps = Steps({})
        # At once: whoever comes after a session that was stopped before its first page must find it too.
        session.record(checkpoint=self.checkpoint.as_json())

    def run(self) -> None:
        """Scrape all subreddits and close the session.

        Raises:
            OutOfBudget: no more requests now; the session is still open.
        """
        try:
            validate_subreddits(self._subreddits)
            with client_for(self._config.app) as client:
                try:
                    self._scrape_all(client)
                finally:
                    self._has_answers = client.has_answers
        except ValidationError as error:
            self._session.close(Status.FAILED, error_kind=ErrorKind.BAD_REQUEST, error=joined(error.messages))
        except OutOfBudget:
            raise
        except RedditError as error:
            # Before the first request: there is no client.
            self.note_not_listed(self._subreddits, str(error.kind), str(error))
            self._session.close(Status.FAILED, error_kind=error.kind, error=str(error))
        else:
            self._close()

    def _scrape_all(self, client: RedditClient) -> None:
        if self.checkpoint.is_resumed:
            self.log(_("Going on where the session before was interrupted."))
        left = [name for name in self._subreddits if name not in self.checkpoint.done]
        self.steps = Steps(expected_posts(self._config, left))
        # The one in hand first: taking up another would lose its place.
        for subreddit in sorted(self._subreddits, key=lambda name: name != self.checkpoint.subreddit):
            if subreddit in self.checkpoint.done:
                continue
            self.stop_here_if_asked()
            self.checkpoint.begin(subreddit, self._config.pk)
            scrape = _SubredditScrape(self._config, self._session, self, client, subreddit)
            self._totals[subreddit] = scrape.totals
            try:
                scrape.run()
            except OutOfBudget:
                self.save(client)
                raise
            except RedditError as error:
                scrape.fail(error)
                self.save(client)
                if error.stops_everything:
                    self._give_up_the_rest(error)
                    break
            if not scrape.totals["error_kind"]:
                self.checkpoint.finish(subreddit, self._config.pk)
                self.steps.finish(subreddit)
            else:
                self.steps.give_up(subreddit)
        self.save(client)
        self._progress.report(self.steps.done, self.steps.done, _("finished"))

    def _give_up_the_rest(self, error: RedditError) -> None:
        for subreddit in self._subreddits:
            if subreddit not in self.checkpoint.done:
                given_up = _no_totals() | {"error_kind": error.kind, "error": str(error)}
                if self._totals.setdefault(subreddit, given_up) is given_up:
                    self.note_not_listed([subreddit], str(error.kind), str(error))

    def wait_for(self, shortage: OutOfBudget) -> bool:
        """Close the session until its app may send requests again. False: it failed, there is no point in waiting."""
        checkpoint = self.checkpoint
        checkpoint.refused = checkpoint.refused + 1 if shortage.is_refusal and not self._has_answers else 0
        if checkpoint.refused >= REFUSED_MAX:
            self._fail_by(shortage, str(shortage))
            return False
        if checkpoint.is_handed_on_for_too_long:
            text = _(
                "The requests of the Reddit app do not suffice for this bot: let it scrape less, or seldomer."
            )
            self._fail_by(shortage, text)
            return False
        self._session.close(
            Status.INTERRUPTED,
            error_kind=ErrorKind.RATE_LIMITED,
            error=joined([str(shortage), _("The scrape goes on after that; what it had found is stored.")]),
            resume_at=shortage.until,
            checkpoint=checkpoint.as_json(),
        )
        return True

    def _hand_on(self) -> None:
        """Keep what the session has left over due; nobody needs its checkpoint then."""
        self.checkpoint.begin("", self._config.pk)

    def _fail_by(self, shortage: OutOfBudget, text: str) -> None:
        failed = {"error_kind": str(shortage.kind), "error": text}
        for subreddit in self._subreddits:
            if subreddit not in self.checkpoint.done:
                if subreddit != self.checkpoint.subreddit or not self.checkpoint.is_listed:
                    self.note_not_listed([subreddit], str(shortage.kind), text)
                self._totals[subreddit] = self._totals.get(subreddit, _no_totals()) | failed
        status = Status.PARTIAL if self._session.posts_found else Status.FAILED
        self._hand_on()
        self._session.close(
            status,
            error_kind=shortage.kind,
            error=text,
            totals=self._totals,
            checkpoint=None,
        )

    def save(self, client: RedditClient) -> None:
        """Save what is known so far, and where a session after this one would go on.

        Raises:
            _SessionClosed: somebody has closed the session.
        """
        totals = self._totals.values()
        saved = self._session.record(
            totals=self._totals,
            has_gap=self._has_gap,
            requests_used=client.requests_used,
            retries=client.retries,
            items_skipped=sum(sum(total["skipped"].values()) for total in totals),
            checkpoint=self.checkpoint.as_json(),
            **{name: sum(total[name] for total in totals) for name in _COUNTED},
        )
        if not saved:
            raise _SessionClosed

    def report(self, stage: str, *, posts: int = 0) -> None:
        """Report how far the scrape is, ``posts`` more of the subreddit in hand having been listed."""
        self.steps.listed(self.checkpoint.subreddit, posts)
        total = self.steps.total(pending=len(self.checkpoint.posts))
        self._progress.report(self.steps.done, total, stage)

    def note_not_listed(self, subreddits: Iterable[str], kind: str, error: str) -> None:
        """Remember why subreddits could not be listed."""
        freshness.note_failed(self._config.pk, list(subreddits), kind=kind, error=error)

    def note_gap(self) -> None:
        """Remember that posts between the last scrape and this one were out of Reddit's reach."""
        self._has_gap = True

    def log(self, text: str, level: str = "info") -> None:
        """Write a line to the run's log."""
        self._progress.log(text, level)

    def stop_here_if_asked(self) -> None:
        """Let the caller stop the work here."""
        self._progress.checkpoint()

    def log_skipped(self, where: str, skipped: Counter[str]) -> None:
        """Name skipped items in the log, up to a number of lines."""
        for reason, count in skipped.items():
            if self._skip_lines < SKIP_LINES_MAX and not reason.startswith((FILTERED, EXPIRED)):
                self._skip_lines += 1
                text = _("%(where)s: %(count)d items skipped (%(reason)s).")
                self.log(text % {"where": where, "count": count, "reason": reason_label(reason)}, "warning")

    def log_odd(self, where: str, odd: Counter[str]) -> None:
        """Name fields that were left empty, up to the same number of lines."""
        for reason, count in odd.items():
            if self._skip_lines < SKIP_LINES_MAX:
                self._skip_lines += 1
                text = _("%(where)s: a field of %(count)d items was left empty (%(reason)s).")
                self.log(text % {"where": where, "count": count, "reason": reason_label(reason)}, "warning")

    def _close(self) -> None:
        failed = {name: total for name, total in self._totals.items() if total["error_kind"]}
        skipped = self._session.items_skipped
        if skipped and self._skip_lines >= SKIP_LINES_MAX:
            text = _("%(count)d items skipped in all; the session counts them by reason.")
            self.log(text % {"count": skipped}, "warning")
        self._hand_on()
        if not failed:
            closed = self._session.close(Status.SUCCEEDED, checkpoint=None)
        else:
            nothing = len(failed) == len(self._subreddits) and not self._session.posts_found
            closed = self._session.close(
                Status.FAILED if nothing else Status.PARTIAL,
                error_kind=next(iter(failed.values()))["error_kind"],
                error=joined(
                    (joined([f"r/{name}:", total["error"]]) for name, total in failed.items()), by="\n"
                ),
                checkpoint=None,
            )
        if not closed:
            raise _SessionClosed


# What a session sums up over its subreddits.
_COUNTED: Final = ("posts_found", "posts_new", "comments_found", "comments_new")


def _no_totals() -> dict[str, Any]:
    return {
        **dict.fromkeys(_COUNTED, 0),
        "posts_changed": 0,
        "posts_refreshed": 0,  # young posts behind the listing's end, looked at again
        "comments_changed": 0,
        "comments_due": 0,  # posts whose comments are still to be read
        "comments_unavailable": 0,  # named by Reddit, and never handed out
        "skipped": {},  # items by reason
        "odd_fields": {},  # left empty in items that are stored, by reason
        "warnings": [],
        "error_kind": "",
        "error": "",
    }


class _SubredditScrape:
    """One subreddit's part of a session."""

    def __init__(
        self,
        config: BotConfig,
        session: ScrapeSession,
        scrape: _Scrape,
        client: RedditClient,
        subreddit: str,
    ) -> None:
        self._config = config
        self._session = session
        self._scrape = scrape
        self._checkpoint = scrape.checkpoint
        self._client = client
        self._subreddit = subreddit
        self._failures = 0
        self._has_gap = False
        self._is_fresh = False  # its listing was read
        self._name = ""  # as Reddit writes it
        self._listed: set[str] = set()
        self._reach = reach_of(config)
        self.totals = _no_totals()

    def run(self) -> None:
        """Read the listing page by page, then the comments of its posts and of those that are young.

        Raises:
            RedditError: the subreddit cannot be read (further).
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
                self.fail(error)  # the comments of the pages before can be had all the same
        if self._reach is not None:
            # Behind those of the listing: some of them may fail again.
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

    def fail(self, error: RedditError) -> None:
        """Write an error down; the first one names the subreddit's failure."""
        self._scrape.log(joined([f"r/{self._subreddit}:", str(error)]), "error")
        if not self.totals["error_kind"]:
            self.totals |= {"error_kind": str(error.kind), "error": str(error)}
        if not (self._is_fresh or self._checkpoint.is_listed):
            self._scrape.note_not_listed([self._subreddit], str(error.kind), str(error))

    # --- The listing ---------------------------------------------------------------------------

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
        for asked_at, page in _with_moments(walk):
            # A deep reading is for what came late, not for what is older than the bot.
            since = watermark.since if watermark and reading.is_deep else None
            stored = self._store(_not_before(since, page), asked_at)
            until = self._client.server_time
            is_met = frontier.is_met(page.posts, has_new=stored.new > 0, until=until)
            reading.add(page.posts, until=until)
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
                "The listing lost its place again and again while it was read. The next scrape begins anew."
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
        """Write down how new the subreddit's posts are, and when the next one is to be expected."""
        self._is_fresh = True
        newest_at = reading.newest_at
        week = due_at = None
        if self._is_incremental:
            newest_at = newest_at or (watermark.newest_at if watermark and watermark.anchors else None)
            # Where posts may be missing, only the hours that this listing shows wholly tell a rate.
            since = None
            if watermark is None or self._has_gap:
                since = freshness.hour_of(reading.oldest_at or clock.now()) + 1
            week = freshness.of(self._config.pk, self._subreddit).week
            week.count(reading.posts_by_hour, since=since, now=clock.now())
            before = watermark.posts_per_hour if watermark else None
            rate = warnings.smoothed(before, posts_per_hour(reading.times))
            due_at = freshness.due_at(week, newest_at, flat_rate=rate, posts=warnings.SILENCE)
        freshness.note_listed(self._config.pk, self._subreddit, newest_at=newest_at, week=week, due_at=due_at)

    def _store(self, page: Page, asked_at: datetime) -> Stored:
        self._listed.update(_names(page.posts))
        page = keep_wanted(page, self._config)
        posts = page.posts
        stored = store_posts(posts, session=self._session, seen_at=asked_at, cutoffs=self._scrape.cutoffs)
        self._count("posts", stored, page.skipped)
        names = _names(posts)
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
        """Whether this is r/all or r/popular, whose posts belong to any subreddit."""
        return folded(self._subreddit) in AGGREGATES

    def _of_subreddit(self, posts: QuerySet[RedditPost]) -> QuerySet[RedditPost]:
        """Return the posts of this subreddit; of an aggregate those that this bot has found."""
        if self._is_aggregate:
            return posts.filter(config=self._config)
        return posts.filter(subreddit__folded=folded(self._name or self._subreddit))

    def _judge(self, walk: ListingWalk, watermark: Watermark | None, reading: Reading) -> None:
        """Notice a listing that cannot be the whole truth."""
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
        # Listed, not stored: another bot may have stored them, or a filter may have kept none.
        has_new = reading.newest_at is not None and reading.newest_at > watermark.newest_at
        week = freshness.of(self._config.pk, self._subreddit).week
        expected = week.expected(watermark.newest_at, now) if week.is_known else None
        self._warn(warnings.silence_warning(watermark, has_new=has_new, now=now, expected=expected))
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

    def _warn(self, text: str) -> None:
        if text:
            self.totals["warnings"].append(text)
            self._scrape.log(joined([f"r/{self._subreddit}:", text]), "warning")

    # --- Comments ------------------------------------------------------------------------------

    def _with_new_comments(self, fullnames: Iterable[str]) -> list[str]:
        """Return those of the posts whose comments this config wants and has not seen, in this order."""
        if self._reach is None:
            return []
        order = list(fullnames)
        # Most posts of a busy listing are young: no comments, no request.
        rows = RedditPost.objects.filter(fullname__in=order, num_comments__gt=0)
        reach = self._reach
        lowest = self._config.comment_min_score
        wanted = {
            post.fullname
            for post in rows.only("fullname", "num_comments", "walk")
            if not is_walked(post, reach, lowest=lowest)
        }
        # Those that are due have a next try of their own.
        wanted -= due.among(self._config.pk, wanted)
        return [fullname for fullname in dict.fromkeys(order) if fullname in wanted]

    def _refresh_young(self) -> None:
        """Look again at the posts behind the listing's end that are young enough to get more comments."""
        hours = self._config.comment_refresh_hours
        if self._reach is None or not hours or not (self._name or self._is_aggregate):
            return
        recent = RedditPost.objects.filter(
            created_at__gte=clock.now() - timedelta(hours=hours), state=ContentState.LIVE
        )
        young = self._of_subreddit(recent)
        if self._config.sort != BotConfig.Sort.NEW:
            young = young.filter(config=self._config)  # the listing would never have shown it others
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
            self._checkpoint.add_posts(self._with_new_comments(_names(wanted)))
            self._scrape.stop_here_if_asked()

    def _scrape_comments(self) -> None:
        pending = self._checkpoint.posts
        while pending and self._reach is not None:
            batch = RedditPost.objects.filter(fullname__in=pending[:INFO_SIZE])
            found = {
                post.fullname: post
                for post in batch.only("pk", "fullname", "num_comments", "newest_comment_at")
            }
            for fullname in pending[:INFO_SIZE]:
                try:
                    if fullname in found:
                        self._scrape_post(found[fullname])
                    else:
                        due.settle(self._config.pk, fullname)  # it was deleted here
                except RedditError as error:
                    if not error.stops_everything:  # else the post is still to be fetched
                        self._be_done_with_first()
                    raise
                self._be_done_with_first()

    def _be_done_with_first(self) -> None:
        self._checkpoint.posts.pop(0)
        self._scrape.steps.walked()
        self._checkpoint.walk = None

    def _scrape_post(self, post: RedditPost) -> None:
        self._scrape.report(_("%(subreddit)s: comments") % {"subreddit": f"r/{self._subreddit}"})
        try:
            self._store_comments(post)
        except RedditError as error:
            if error.stops_everything:
                raise
            tries = due.note_failure(
                self._config.pk, self._subreddit, post.fullname, reason=str(error.kind), error=str(error)
            )
            if self._is_gone(post, tries, error):
                due.settle(self._config.pk, post.fullname)
                self._scrape.log(_("%(post)s is gone from Reddit.") % {"post": post.fullname}, "warning")
                return
            self.fail(error)
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                raise
        else:
            due.settle(self._config.pk, post.fullname)
            self._failures = 0

    def _is_gone(self, post: RedditPost, tries: int, error: RedditError) -> bool:
        """Ask whether Reddit knows the post at all; one answer without it proves nothing."""
        if error.kind not in warnings.LASTING | {ErrorKind.FORBIDDEN} or tries < MISSING_MAX:
            return False
        try:
            found = self._client.info([post.fullname]).posts
        except RedditError as failure:
            if failure.stops_everything:
                raise
            return False
        states = [post_values(data)["state"] for data in found if data.get("name") == post.fullname]
        return not states or (states[0] != ContentState.LIVE and tries >= due.TRIES_AT_ONCE)

    def _tell_what_is_due(self) -> None:
        number = self.totals["comments_due"] = due.number_waiting(self._config.pk, self._subreddit)
        if number and not self.totals["error_kind"]:
            text = _("The comments of %(number)d posts could not be read so far; they are tried again.")
            self._warn(text % {"number": number})

    def _store_comments(self, post: RedditPost) -> None:
        assert self._reach is not None
        walk = self._client.comments(post.id36, self._reach, resume=self._checkpoint.walk)
        lowest = self._config.comment_min_score
        for asked_at, page in _with_moments(walk):
            comments, skipped = page.comments, page.skipped
            if lowest is not None:
                comments, skipped = _above(lowest, page)
            try:
                stored = store_comments(post, comments, seen_at=asked_at)
            except IntegrityError:
                self._scrape.log(
                    _("%(post)s was deleted here meanwhile.") % {"post": post.fullname}, "warning"
                )
                return
            self._count("comments", stored, skipped)
            self._checkpoint.walk = walk.saved()
            self._scrape.save(self._client)
            self._scrape.stop_here_if_asked()
        # What is stored, not what this walk met: an earlier, deeper walk still counts.
        RedditPost.objects.filter(pk=post.pk).update(
            comments_fetched=post.comments.count(),
            walk={
                "num_comments": post.num_comments,
                "reach": self._reach.as_json(),
                "left": walk.left,
                "unavailable": walk.unavailable,
                "lowest": lowest,
            },
        )
        self.totals["comments_unavailable"] += walk.unavailable

    def _count(self, what: str, stored: Stored, unreadable: Counter[str]) -> None:
        totals = self.totals
        totals[f"{what}_found"] += stored.found
        totals[f"{what}_new"] += stored.new
        totals[f"{what}_changed"] += stored.changed
        skipped = unreadable + stored.skipped
        totals["skipped"] = dict(Counter(totals["skipped"]) + skipped)
        self._scrape.log_skipped(f"r/{self._subreddit}", skipped)
        totals["odd_fields"] = dict(Counter(totals["odd_fields"]) + stored.odd)
        self._scrape.log_odd(f"r/{self._subreddit}", stored.odd)


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


def _with_moments(pages: Iterable[Page]) -> Iterator[tuple[datetime, Page]]:
    """Yield each page with a moment before it was asked for: what is learnt meanwhile is newer than the page."""
    rest = iter(pages)
    while True:
        asked_at = clock.now()
        page = next(rest, None)
        if page is None:
            return
        yield asked_at, page


def _names(posts: Iterable[dict[str, Any]]) -> list[str]:
    return [str(post.get("name")) for post in posts]


def _above(lowest: int, page: Page) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return a page's comments of at least this score, or whose score Reddit hides, and what was skipped."""
    kept = [
        comment
        for comment in page.comments
        if comment.get("score_hidden") is True
        or not isinstance(score := comment.get("score"), int | float)
        or score >= lowest
    ]
    dropped = len(page.comments) - len(kept)
    return kept, page.skipped + Counter({"score too low": dropped} if dropped else {})


def _not_before(moment: datetime | None, page: Page) -> Page:
    """Return the page without posts that were made before a moment."""
    if moment is None:
        return page
    posts = [post for post in page.posts if (made := created_at(post)) is None or made >= moment]
    return replace(page, posts=posts)
