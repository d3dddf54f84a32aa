"""What a session stores about itself while it runs: totals, checkpoint, progress and log."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Final

from database.messages import gettext as _
from scraping.content.expiry import EXPIRED, Cutoffs
from scraping.models import (
    BotConfig,
    ScrapeSession,
    freshness,
)
from scraping.progress import Progress
from scraping.reddit.client import RedditClient
from scraping.sessions.checkpoint import Checkpoint
from scraping.sessions.part import part_of
from scraping.sessions.steps import Steps
from scraping.skip_reasons import FILTERED, reason_label

# How many log lines name items that could not be read; the rest are only counted.
SKIP_LINES_MAX: Final = 20


class SessionClosed(Exception):
    """Another process considered this worker dead and closed its session: stop writing."""


# The totals that a session adds up over its subreddits.
COUNTED: Final = ("posts_found", "posts_new", "comments_found", "comments_new")


def no_totals() -> dict[str, Any]:
    """Return the totals of a subreddit at the beginning."""
    return {
        **dict.fromkeys(COUNTED, 0),
        "requests": 0,  # sent for it, repeated ones too
        "posts_changed": 0,
        "posts_refreshed": 0,  # young posts beyond the listing's end, checked again
        "comments_changed": 0,
        "comments_due": 0,  # posts whose comments are still to be read
        "comments_unavailable": 0,  # named by Reddit but never returned
        "skipped": {},  # items by reason
        "odd_fields": {},  # fields left empty in stored items, by reason
        "warnings": [],
        "error_kind": "",
        "error": "",
    }


class SessionWriter:
    """The open session of one scrape."""

    def __init__(
        self,
        config: BotConfig,
        session: ScrapeSession,
        progress: Progress,
        *,
        cutoffs: Cutoffs | None,
        only: Collection[str] = (),
    ) -> None:
        self._config = config
        self._session = session
        self._progress = progress
        self._subreddits: list[str] = part_of(config.subreddits, only) if only else config.subreddits
        self.cutoffs = cutoffs
        self._totals: dict[str, dict[str, Any]] = {}
        self._has_gap = False
        self._skip_lines = 0
        self._has_answers = False
        self.checkpoint = Checkpoint.of(config, session, only=self._subreddits if only else ())
        self.steps = Steps({})
        # Saved at once: the next session must find it even if this one stops before its first page.
        session.record(checkpoint=self.checkpoint.as_json())

    def save(self, client: RedditClient) -> None:
        """Save the totals so far and the checkpoint from which another session can resume.

        Raises:
            SessionClosed: another process has closed the session.
        """
        totals = self._totals.values()
        saved = self._session.record(
            totals=self._totals,
            has_gap=self._has_gap,
            requests_used=client.requests_used,
            retries=client.retries,
            items_skipped=sum(sum(total["skipped"].values()) for total in totals),
            checkpoint=self.checkpoint.as_json(),
            **{name: sum(total[name] for total in totals) for name in COUNTED},
        )
        if not saved:
            raise SessionClosed

    def report(self, stage: str, *, posts: int = 0) -> None:
        """Report the progress; ``posts`` more posts of the current subreddit have been listed."""
        self.steps.listed(self.checkpoint.subreddit, posts)
        total = self.steps.total(pending=len(self.checkpoint.posts))
        self._progress.report(self.steps.done, total, stage)

    def note_not_listed(self, subreddits: Iterable[str], kind: str, error: str) -> None:
        """Store why subreddits could not be listed."""
        freshness.note_failed(self._config.pk, list(subreddits), kind=kind, error=error)

    def note_gap(self) -> None:
        """Record a gap: Reddit no longer lists some posts between the last scrape and this one."""
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
        """Name fields that were left empty in the log, up to the same number of lines."""
        for reason, count in odd.items():
            if self._skip_lines < SKIP_LINES_MAX:
                self._skip_lines += 1
                text = _("%(where)s: a field of %(count)d items was left empty (%(reason)s).")
                self.log(text % {"where": where, "count": count, "reason": reason_label(reason)}, "warning")
