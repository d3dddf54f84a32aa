"""One scrape of one bot config: listing pages, then the comments of their posts, stored page by page.

Nothing waits for Reddit inside a transaction, and each page's facts are saved with it, so a killed worker
loses one page at most.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from scraping.content import storable_text
from scraping.models import (
    BotConfig,
    ContentState,
    RedditPost,
    ScrapeSession,
    validate_subreddits,
)
from scraping.progress import Progress
from scraping.reddit import LISTING_MAX, PAGE_SIZE, RedditClient, RedditError, client_for
from scraping.storage import Stored, store_comments, store_posts, stored_posts

logger = logging.getLogger(__name__)

Status = ScrapeSession.Status
ErrorKind = ScrapeSession.ErrorKind

# Log lines on items that could not be read; the rest are only counted.
SKIP_LINES_MAX: Final = 20
# Posts in a row whose comments failed, after which a subreddit is given up.
FAILURES_MAX: Final = 3


class ScrapeRefused(Exception):
    """The scrape did not begin; the text says what to do."""


class AlreadyScraping(ScrapeRefused):
    """Another scrape of this config is under way."""


class ConfigInactive(ScrapeRefused):
    """The config is switched off, or gone."""


class _SessionClosed(Exception):
    """Our session was closed by somebody else, who took this worker for dead: stop writing."""


def scrape_config(
    config: BotConfig, *, run_id: int | None, kind: ScrapeSession.Kind, progress: Progress
) -> ScrapeSession:
    """Scrape every subreddit of a config and return the closed session, which names every failure.

    ``run_id`` is the ``maintenance.JobRun`` this belongs to; a session without one counts as abandoned as
    soon as somebody else wants to scrape the config. A fault of ours closes the session as FAILED with the
    cause INTERNAL and is logged, so that one config never stops the rest.

    Raises:
        AlreadyScraping: another scrape of this config is under way.
        ConfigInactive: the config is switched off.
        BaseException: what ``progress.checkpoint()`` raised; the session is INTERRUPTED.
    """
    config = _active(config)
    session = _open_session(config, run_id=run_id, kind=kind)
    try:
        _Scrape(config, session, progress).run()
    except _SessionClosed:
        logger.warning("Session %s was closed by somebody else while it ran", session.pk)
    except Exception as error:
        logger.exception("Scraping %r failed (session %s)", config.name, session.pk)
        text = _("The scraper itself failed (%(error)s): see the worker's log.")
        cause = storable_text(f"{type(error).__name__}: {error}")
        session.close(Status.FAILED, error_kind=ErrorKind.INTERNAL, error=text % {"error": cause})
    except BaseException:
        session.close(Status.INTERRUPTED, error=_("The scrape was stopped; what it had found is stored."))
        raise
    session.refresh_from_db()
    return session


def close_abandoned_sessions() -> int:
    """Close sessions whose run is no longer running as INTERRUPTED; return how many."""
    return ScrapeSession.objects.abandoned().update(
        status=Status.INTERRUPTED,
        finished_at=timezone.now(),
        error=_("The worker was lost; what it had found is stored."),
    )


def _active(config: BotConfig) -> BotConfig:
    """Return the config as it is stored now."""
    stored = BotConfig.objects.select_related("app").filter(pk=config.pk).first()
    if stored is None:
        raise ConfigInactive(_("The bot “%(name)s” no longer exists.") % {"name": config.name})
    if not stored.is_active:
        text = _("The bot “%(name)s” is not active: activate it, then scrape again.")
        raise ConfigInactive(text % {"name": stored.name})
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

    def __init__(self, config: BotConfig, session: ScrapeSession, progress: Progress) -> None:
        self._config = config
        self._session = session
        self._progress = progress
        self._subreddits: list[str] = config.subreddits
        self._totals: dict[str, dict[str, Any]] = {}
        self._has_gap = False
        self._posts_done = 0
        self._skip_lines = 0

    def run(self) -> None:
        """Scrape all subreddits and close the session."""
        try:
            validate_subreddits(self._subreddits)
            with client_for(self._config) as client:
                self._scrape_all(client)
        except ValidationError as error:
            self._session.close(
                Status.FAILED, error_kind=ErrorKind.BAD_REQUEST, error=" ".join(error.messages)
            )
        except RedditError as error:
            # Before the first request: there is no client.
            self._session.close(Status.FAILED, error_kind=error.kind, error=str(error))
        else:
            self._close()

    def _scrape_all(self, client: RedditClient) -> None:
        for subreddit in self._subreddits:
            self._progress.checkpoint()
            scrape = _SubredditScrape(self._config, self._session, self, client, subreddit)
            self._totals[subreddit] = scrape.totals
            try:
                scrape.run()
            except RedditError as error:
                scrape.fail(error)
                self.save(client)
                if error.stops_everything:
                    self._give_up_the_rest(error)
                    break
        self.save(client)

    def _give_up_the_rest(self, error: RedditError) -> None:
        for subreddit in self._subreddits:
            self._totals.setdefault(subreddit, _no_totals() | {"error_kind": error.kind, "error": str(error)})

    def save(self, client: RedditClient) -> None:
        """Save what is known so far.

        Raises:
            _SessionClosed: somebody has closed the session.
        """
        totals = self._totals.values()
        saved = self._session.record(
            totals=self._totals,
            has_gap=self._has_gap,
            requests_used=client.requests_used,
            items_skipped=sum(sum(total["skipped"].values()) for total in totals),
            **{name: sum(total[name] for total in totals) for name in _COUNTED},
        )
        if not saved:
            raise _SessionClosed

    def report(self, stage: str, *, posts: int = 0) -> None:
        """Report the posts done so far, of all that the config may list."""
        self._posts_done += posts
        total = max(self._config.post_limit * len(self._subreddits), self._posts_done)
        self._progress.report(self._posts_done, total, stage)

    def note_gap(self) -> None:
        """Remember that posts between the last scrape and this one were out of Reddit's reach."""
        self._has_gap = True

    def log(self, text: str, level: str = "info") -> None:
        """Write a line to the run's log."""
        self._progress.log(text, level)

    def checkpoint(self) -> None:
        """Let the caller stop the work here."""
        self._progress.checkpoint()

    def log_skipped(self, where: str, skipped: Counter[str]) -> None:
        """Name skipped items in the log, up to a number of lines."""
        for reason, count in skipped.items():
            if self._skip_lines < SKIP_LINES_MAX:
                self._skip_lines += 1
                text = _("%(where)s: %(count)d items skipped (%(reason)s).")
                self.log(text % {"where": where, "count": count, "reason": reason}, "warning")

    def _close(self) -> None:
        failed = {name: total for name, total in self._totals.items() if total["error_kind"]}
        skipped = self._session.items_skipped
        if skipped and self._skip_lines >= SKIP_LINES_MAX:
            text = _("%(count)d items skipped in all; the session counts them by reason.")
            self.log(text % {"count": skipped}, "warning")
        if not failed:
            closed = self._session.close(Status.SUCCEEDED)
        else:
            nothing = len(failed) == len(self._totals) and not self._session.posts_found
            closed = self._session.close(
                Status.FAILED if nothing else Status.PARTIAL,
                error_kind=next(iter(failed.values()))["error_kind"],
                error="\n".join(f"r/{name}: {total['error']}" for name, total in failed.items()),
            )
        if not closed:
            raise _SessionClosed


# What a session sums up over its subreddits.
_COUNTED: Final = ("posts_found", "posts_new", "comments_found", "comments_new")


def _no_totals() -> dict[str, Any]:
    return {
        **dict.fromkeys(_COUNTED, 0),
        "posts_changed": 0,
        "comments_changed": 0,
        "skipped": {},  # items by reason
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
        self._client = client
        self._subreddit = subreddit
        self._failures = 0
        self.totals = _no_totals()

    def run(self) -> None:
        """Read the listing page by page, and the comments of each page's posts.

        Raises:
            RedditError: the subreddit cannot be read (further).
        """
        config, name = self._config, f"r/{self._subreddit}"
        self._scrape.report(_("%(subreddit)s: posts") % {"subreddit": name})
        pages = listed = 0
        listing = self._client.listing(
            self._subreddit, sort=config.sort, time_filter=config.time_filter, limit=config.post_limit
        )
        for page in listing:
            pages += 1
            listed += len(page.posts)
            stored = store_posts(page.posts, session=self._session, seen_at=timezone.now())
            self._count("posts", stored, page.skipped)
            self._scrape.save(self._client)
            self._scrape.report(_("%(subreddit)s: posts") % {"subreddit": name}, posts=len(page.posts))
            self._scrape.checkpoint()
            if config.comment_policy != BotConfig.CommentPolicy.NONE:
                self._scrape_comments(str(post.get("name")) for post in page.posts)
        self._judge(pages=pages, listed=listed)
        text = _("%(subreddit)s: %(posts)d posts (%(new)d new), %(comments)d comments.")
        self._scrape.log(
            text
            % {
                "subreddit": name,
                "posts": self.totals["posts_found"],
                "new": self.totals["posts_new"],
                "comments": self.totals["comments_found"],
            }
        )

    def fail(self, error: RedditError) -> None:
        """Write an error down; the first one names the subreddit's failure."""
        self._scrape.log(f"r/{self._subreddit}: {error}", "error")
        if not self.totals["error_kind"]:
            self.totals |= {"error_kind": str(error.kind), "error": str(error)}

    def _judge(self, *, pages: int, listed: int) -> None:
        """Notice a listing that cannot be the whole truth."""
        if self._config.sort != BotConfig.Sort.NEW:
            return
        before = RedditPost.objects.filter(
            subreddit__iexact=self._subreddit, first_seen_at__lt=self._session.started_at
        )
        if not listed and before.filter(state=ContentState.LIVE).exists():
            text = _(
                "Reddit lists no posts, although it did before. Look at the subreddit, or try again later."
            )
            self.fail(RedditError(ErrorKind.BAD_ANSWER, text))
        met_known = self.totals["posts_found"] > self.totals["posts_new"]
        at_cap = pages >= LISTING_MAX // PAGE_SIZE
        if at_cap and not met_known and (listed >= LISTING_MAX or before.exists()):
            self._scrape.note_gap()

    def _scrape_comments(self, fullnames: Iterable[str]) -> None:
        for post in stored_posts(fullnames):
            # Most posts of a busy listing are young: no comments, no request.
            if post.num_comments <= 0:
                continue
            self._scrape.report(_("%(subreddit)s: comments") % {"subreddit": f"r/{self._subreddit}"})
            try:
                self._store_comments(post)
            except RedditError as error:
                self.fail(error)
                self._failures += 1
                if error.stops_everything or self._failures >= FAILURES_MAX:
                    raise
            else:
                self._failures = 0

    def _store_comments(self, post: RedditPost) -> None:
        config = self._config
        pages = self._client.comments(
            post.id36,
            limit=config.comment_limit,
            depth=config.comment_depth,
            complete=config.comment_policy == BotConfig.CommentPolicy.COMPLETE,
        )
        for page in pages:
            try:
                stored = store_comments(post, page.comments, seen_at=timezone.now())
            except IntegrityError:
                self._scrape.log(
                    _("%(post)s was deleted here meanwhile.") % {"post": post.fullname}, "warning"
                )
                return
            self._count("comments", stored, page.skipped)
            self._scrape.save(self._client)
            self._scrape.checkpoint()
        # What is stored, not what this walk met: an earlier, deeper walk still counts.
        RedditPost.objects.filter(pk=post.pk).update(comments_fetched=post.comments.count())

    def _count(self, what: str, stored: Stored, unreadable: Counter[str]) -> None:
        totals = self.totals
        totals[f"{what}_found"] += stored.found
        totals[f"{what}_new"] += stored.new
        totals[f"{what}_changed"] += stored.changed
        skipped = unreadable + stored.skipped
        totals["skipped"] = dict(Counter(totals["skipped"]) + skipped)
        self._scrape.log_skipped(f"r/{self._subreddit}", skipped)
