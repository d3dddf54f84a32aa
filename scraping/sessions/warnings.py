"""What a config's operator is warned of, and what pauses the config.

Warnings: silence where there used to be posts, growth beyond what a listing shows. Paused: after refusals that will not
pass by themselves.
"""

import math
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils.translation import gettext_noop

from audit import words
from audit.events import record
from audit.models import Event
from database.messages import gettext as _
from database.messages import joined
from scraping.models import BotConfig, ErrorKind, ScrapeSession, Watermark
from scraping.reddit.listing import LISTING_MAX

BOT_PAUSED = "bot.paused"
words.register({BOT_PAUSED: gettext_noop("paused")})
# What Reddit says of a subreddit or an app, and will say again until somebody does something about it.
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
# Sessions in a row with the same lasting refusal that pause a config.
REFUSALS_MAX: Final = 3
# So many posts expected and none there is no chance: of a Poisson process, less than once in 20,000 times.
SILENCE: Final = 10.0
# The share of the listing's reach that a run may need before it warns.
REACH_SHARE: Final = 0.8
# How much the latest listing says of the rate; the rest is the baseline.
_RATE_WEIGHT: Final = 0.3


def smoothed(before: float | None, measured: float | None) -> float | None:
    """Return a subreddit's new baseline, in posts an hour."""
    if before is None or measured is None:
        return before if measured is None else measured
    return (1 - _RATE_WEIGHT) * before + _RATE_WEIGHT * measured


def silence_warning(
    watermark: Watermark, *, has_new: bool, now: datetime, expected: float | None = None
) -> str:
    """Return a warning where a subreddit lists nothing new although it used to, by its own rate; else nothing.

    ``expected``: the posts since its newest one, by the rates of the hours; None: only its overall rate is known.
    """
    if has_new:
        return ""
    hours = (now - watermark.newest_at).total_seconds() / 3600
    if expected is None:
        expected = (watermark.posts_per_hour or 0.0) * hours
    if expected < SILENCE:
        return ""
    return _(
        "No new posts for %(hours)d h, although %(expected)d were expected. Look at the subreddit on Reddit:"
        " it may be closed to new posts, or hide them from apps."
    ) % {"hours": hours, "expected": expected}


def growth_warning(
    *, name: str, posts_per_hour: float | None, since_last: timedelta | None, post_limit: int
) -> str:
    """Return what to do where a listing holds fewer posts than are made between two runs; else nothing.

    ``since_last``: the time between the last two listings, which is how often the config is scraped.
    """
    reach = min(post_limit, LISTING_MAX)
    if not posts_per_hour or since_last is None:
        return ""
    if posts_per_hour * since_last.total_seconds() / 3600 < REACH_SHARE * reach:
        return ""
    text = _("r/%(name)s makes %(rate)d posts an hour: scrape at least every %(often)s.") % {
        "name": name,
        "rate": round(posts_per_hour),
        "often": scrape_at_least_every(posts_per_hour, post_limit),
    }
    if reach < LISTING_MAX:
        more = _("Or raise the posts per subreddit, of which it reads %(reach)d.") % {"reach": reach}
        text = joined([text, more])
    return text


def scrape_at_least_every(posts_per_hour: float | None, post_limit: int) -> str:
    """Return the longest time between two scrapes in which the listing holds all new posts; nothing if unknown."""
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
    """Return the (first) kind of a failed session all of whose subreddits Reddit refused for good, or nothing."""
    kinds = {total.get("error_kind", "") for _name, total in session.totals_by_subreddit}
    if session.status != ScrapeSession.Status.FAILED or not kinds or not kinds <= LASTING:
        return ""
    return str(session.error_kind)


def note_outcome(config: BotConfig, session: ScrapeSession) -> bool:
    """Count refusals in a row; return whether this session's was the one that paused the config."""
    if kind := lasting_refusal(session):
        with transaction.atomic():
            is_paused = config.note_refusal(kind, pause_after=REFUSALS_MAX)
            if is_paused:
                record(
                    BOT_PAUSED,
                    config,
                    kind=Event.ActorKind.SYSTEM,  # also where a shell asked for the scrape
                    before={"is_active": True},
                    after={"is_active": False},
                    reason=config.pause_reason,
                )
            return is_paused
    if session.status in (ScrapeSession.Status.SUCCEEDED, ScrapeSession.Status.PARTIAL):
        config.forget_refusals()
    return False
