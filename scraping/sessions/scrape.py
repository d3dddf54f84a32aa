"""One scrape of one bot config: each subreddit's listing, then the comments of its posts, stored page by page.

No transaction is open during a request to Reddit. The rows of each page are saved together with the checkpoint after
it. So a killed worker loses one page at most, and a scrape whose app has no requests left continues later, in another
session.
"""

import contextlib
import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction

from database.messages import gettext as _
from database.messages import joined
from database.text import storable_text
from scraping.content.expiry import Source
from scraping.models import (
    BotConfig,
    ErrorKind,
    ScrapeSession,
    validate_subreddits,
)
from scraping.progress import Progress
from scraping.reddit.client import RedditClient, client_for
from scraping.reddit.errors import OutOfBudget, RedditError
from scraping.sessions import warnings
from scraping.sessions.abandoned import close_abandoned_sessions
from scraping.sessions.part import part_of
from scraping.sessions.steps import Steps, expected_posts
from scraping.sessions.subreddit import SubredditScrape
from scraping.sessions.writer import SKIP_LINES_MAX, SessionClosed, SessionWriter, no_totals

logger = logging.getLogger(__name__)
Status = ScrapeSession.Status
# After so many sessions in a row that got nothing but a 429, the scrape fails instead of waiting again.
REFUSED_MAX: Final = 3


class ScrapeRefused(Exception):
    """The scrape did not begin; the text says what to do."""


class AlreadyScraping(ScrapeRefused):
    """Another scrape of this config is under way."""


class ConfigInactive(ScrapeRefused):
    """The config is switched off, or gone."""


class NotOfThisBot(ScrapeRefused):
    """The bot has none of the subreddits that were asked for."""


class ContinueLater(Exception):
    """The app has no requests left until ``until``; the next scrape resumes where ``session`` was interrupted."""

    def __init__(self, session: ScrapeSession, until: datetime) -> None:
        super().__init__(session.error)
        self.session = session
        self.until = until


def scrape_config(
    config: BotConfig,
    *,
    run_id: int | None,
    kind: ScrapeSession.Kind,
    progress: Progress,
    cutoffs: Source | None = None,
    only: Collection[str] = (),
) -> ScrapeSession:
    """Scrape every subreddit of a config and return the closed session, which names every failure.

    ``only`` names the subreddits to scrape instead of all of them; the outcome of such a scrape neither pauses the bot nor
    resets its count of refusals.

    ``run_id`` is the run of the scrape; a session without a run counts as abandoned as soon as another scrape of the
    config begins. An internal error is logged and closes the session as FAILED with the cause INTERNAL, so that one
    config never stops the others.

    Posts that a purge would delete at once, by ``cutoffs``, are not stored.

    The scrape begins at the checkpoint of an interrupted session if that is less than an hour old.

    Raises:
        AlreadyScraping: another scrape of this config is under way.
        ConfigInactive: the config is switched off.
        NotOfThisBot: the bot has none of the subreddits in ``only``.
        ContinueLater: its app may send no more requests now; the session is INTERRUPTED.
        OperationalError, InterfaceError: the database failed; the session is INTERRUPTED.
        BaseException: what ``progress.checkpoint()`` raised; the session is INTERRUPTED.
    """
    config = _active(config)
    if only and not part_of(config.subreddits, only):
        text = _("The bot “%(name)s” does not scrape %(subreddits)s any more.")
        names = ", ".join(f"r/{name}" for name in only)
        raise NotOfThisBot(text % {"name": config.name, "subreddits": names})
    session = _open_session(config, run_id=run_id, kind=kind)
    scrape = _Scrape(config, session, progress, cutoffs=cutoffs() if cutoffs else None, only=only)
    _run(scrape, config, session)
    session.refresh_from_db()
    if not only and warnings.note_outcome(config, session):
        text = _("Reddit has answered %(number)d times in a row: %(reason)s. The bot is paused.")
        progress.log(text % {"number": config.refusals, "reason": config.pause_reason}, "error")
    return session


def _run(scrape: "_Scrape", config: BotConfig, session: ScrapeSession) -> None:
    """Run a scrape and close its session however it ends. Raises what ``scrape_config`` lists."""
    try:
        scrape.run()
    except SessionClosed:
        logger.warning("Session %s was closed by somebody else while it ran", session.pk)
    except OutOfBudget as shortage:
        if scrape.wait_for(shortage):
            raise ContinueLater(session, shortage.until) from shortage
    except (OperationalError, InterfaceError):
        # A restart, or a lock not granted: not an error of the scrape.
        connection.close()
        with contextlib.suppress(Error):  # still unavailable: recovery will close the session
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


def _active(config: BotConfig) -> BotConfig:
    """Return the config as it is stored now, if it may be scraped."""
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


@contextlib.contextmanager
def counting_requests(client: RedditClient, totals: dict[str, Any]) -> Iterator[None]:
    """Write into a subreddit's totals how many requests were sent for it, however its part ends."""
    before = client.requests_used
    try:
        yield
    finally:
        totals["requests"] += client.requests_used - before


class _Scrape(SessionWriter):
    """The work of one session."""

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
            # No request was sent yet, so there is no client.
            self.note_not_listed(self._subreddits, str(error.kind), str(error))
            self._session.close(Status.FAILED, error_kind=error.kind, error=str(error))
        else:
            self._close()

    def _scrape_all(self, client: RedditClient) -> None:
        if self.checkpoint.is_resumed:
            self.log(_("Going on where the session before was interrupted."))
        left = [name for name in self._subreddits if name not in self.checkpoint.done]
        self.steps = Steps(expected_posts(self._config, left))
        # The subreddit under way first: starting another one would lose its position.
        for subreddit in sorted(self._subreddits, key=lambda name: name != self.checkpoint.subreddit):
            if subreddit in self.checkpoint.done:
                continue
            self.stop_here_if_asked()
            self.checkpoint.begin(subreddit, self._config.pk)
            scrape = SubredditScrape(self._config, self._session, self, client, subreddit)
            self._totals[subreddit] = scrape.totals
            try:
                with counting_requests(client, scrape.totals):
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
                given_up = no_totals() | {"error_kind": error.kind, "error": str(error)}
                if self._totals.setdefault(subreddit, given_up) is given_up:
                    self.note_not_listed([subreddit], str(error.kind), str(error))

    def wait_for(self, shortage: OutOfBudget) -> bool:
        """Close the session until its app may send requests again. False: it failed, and waiting would not help."""
        checkpoint = self.checkpoint
        checkpoint.refused = checkpoint.refused + 1 if shortage.is_refusal and not self._has_answers else 0
        if checkpoint.refused >= REFUSED_MAX:
            self._fail_by(shortage, str(shortage))
            return False
        if checkpoint.is_handed_on_for_too_long:
            text = _(
                "The requests of the Reddit app are not enough for this bot: let it scrape less, or less often."
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
        """Keep due what the session has not read, so that its checkpoint is no longer needed."""
        self.checkpoint.begin("", self._config.pk)

    def _fail_by(self, shortage: OutOfBudget, text: str) -> None:
        failed = {"error_kind": str(shortage.kind), "error": text}
        for subreddit in self._subreddits:
            if subreddit not in self.checkpoint.done:
                if subreddit != self.checkpoint.subreddit or not self.checkpoint.is_listed:
                    self.note_not_listed([subreddit], str(shortage.kind), text)
                self._totals[subreddit] = self._totals.get(subreddit, no_totals()) | failed
        status = Status.PARTIAL if self._session.posts_found else Status.FAILED
        self._hand_on()
        self._session.close(
            status,
            error_kind=shortage.kind,
            error=text,
            totals=self._totals,
            checkpoint=None,
        )

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
            raise SessionClosed
