"""Warns the operators of a config, and pauses configs that Reddit refuses.

A warning tells of a subreddit that brings fewer or more posts than usual, or of one with more new posts than a listing shows. A config is
paused after several refusals that will last until somebody acts.
"""

import math
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils.translation import gettext_noop

from audit import words
from audit.events import record
from audit.models import Event
from database.messages import gettext as _
from database.messages import joined
from scraping.models import BotConfig, ErrorKind, Freshness, ScrapeSession
from scraping.models.freshness import UNUSUAL
from scraping.reddit.listing import LISTING_MAX

BOT_PAUSED = "bot.paused"
words.register({BOT_PAUSED: gettext_noop("paused")})
# Refusals of a subreddit or an app that last until somebody acts.
LASTING: Final = frozenset(
    {
        ErrorKind.PRIVATE,
        ErrorKind.QUARANTINED,
        ErrorKind.BANNED,
        ErrorKind.NOT_FOUND,
        ErrorKind.UNAUTHORIZED,
        ErrorKind.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)
# After so many sessions in a row with the same lasting refusal, a config is paused.
REFUSALS_MAX: Final = 3
# A run that needs a larger share of the listing's reach gives a warning.
REACH_SHARE: Final = 0.8
# The weight of the latest listing in the rate; the rest is the baseline.
_RATE_WEIGHT: Final = 0.3


def smoothed(before: float | None, measured: float | None) -> float | None:
    """Return a subreddit's new baseline, in posts per hour (exponential smoothing)."""
    if before is None or measured is None:
        return before if measured is None else measured
    return (1 - _RATE_WEIGHT) * before + _RATE_WEIGHT * measured


def yield_warning(row: Freshness) -> str:
    """Return a warning if a subreddit brings far fewer or far more posts than usual; else an empty text."""
    if row.verdict not in (Freshness.Verdict.SILENT, *UNUSUAL):
        return ""
    return joined([joined([row.figures_text, "."], by=""), row.error])


def growth_warning(
    *, name: str, posts_per_hour: float | None, since_last: timedelta | None, post_limit: int
) -> str:
    """Return a warning if more posts are made between two runs than a listing holds; else an empty text.

    ``since_last`` is the time between the last two listings: how often the config is scraped.
    """
    reach = min(post_limit, LISTING_MAX)
    if not posts_per_hour or since_last is None:
        return ""
    if posts_per_hour * since_last.total_seconds() / 3600 < REACH_SHARE * reach:
        return ""
    text = _("r/%(name)s gets %(rate)d posts per hour: scrape at least every %(often)s.") % {
        "name": name,
        "rate": round(posts_per_hour),
        "often": scrape_at_least_every(posts_per_hour, post_limit),
    }
    if reach < LISTING_MAX:
        more = _("Or raise the posts per subreddit, of which it reads %(reach)d.") % {"reach": reach}
        text = joined([text, more])
    return text


def scrape_at_least_every(posts_per_hour: float | None, post_limit: int) -> str:
    """Return the longest time between two scrapes for which the listing holds all new posts; empty if unknown."""
    if not posts_per_hour:
        return ""
    return _often(min(post_limit, LISTING_MAX) / posts_per_hour)


def _often(hours: float) -> str:
    if hours >= 48:
        return _("%(number)d days") % {"number": math.floor(hours / 24)}
    if hours >= 1:
        return _("%(number)d h") % {"number": math.floor(hours)}
    return _("%(number)d min") % {"number": max(1, math.floor(60 * hours))}


def lasting_refusal(session: ScrapeSession) -> str:
    """Return the first error kind of a failed session if Reddit refused all its subreddits lastingly; else empty."""
    kinds = {total.get("error_kind", "") for _name, total in session.totals_by_subreddit}
    if session.status != ScrapeSession.Status.FAILED or not kinds or not kinds <= LASTING:
        return ""
    return str(session.error_kind)


def note_outcome(config: BotConfig, session: ScrapeSession) -> bool:
    """Count refusals in a row; return whether the refusal of this session paused the config."""
    if kind := lasting_refusal(session):
        with transaction.atomic():
            is_paused = config.note_refusal(kind, pause_after=REFUSALS_MAX)
            if is_paused:
                record(
                    BOT_PAUSED,
                    config,
                    kind=Event.ActorKind.SYSTEM,  # also when a shell command asked for the scrape
                    before={"is_active": True},
                    after={"is_active": False},
                    reason=config.pause_reason,
                )
            return is_paused
    if session.status in (ScrapeSession.Status.SUCCEEDED, ScrapeSession.Status.PARTIAL):
        config.forget_refusals()
    return False
