"""The rows of a bot's page, one per subreddit: its newest post, its usual rate, and why it is silent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _

from database import clock
from database.names import folded
from scraping.models import BotConfig, Watermark
from scraping.models.freshness import Freshness, Week
from scraping.sessions.warnings import scrape_at_least_every
from scraping.sessions.watermarks import INCREMENTAL
from scraping.yields.history import HOURS
from scraping.yields.judge import KNOWN_MIN, POSTS_MIN

# A bot may have hundreds of subreddits; those beyond this number show their rates in words only.
MAPS_MAX: Final = 30
_SHADES: Final = 5


@dataclass(frozen=True)
class Shade:
    """The hours of the week with about the same rate: one SVG path in a map of 24 by 7 squares."""

    opacity: str
    path: str


@dataclass(frozen=True)
class Row:
    """One subreddit."""

    name: str
    newest_at: datetime | None
    listed_at: datetime | None
    rate: float | None
    busiest: str
    shades: list[Shade]
    # Where the subreddit is silent or unusual, a badge: its kind and text; and since when.
    badge: str
    label: str
    unusual_from: datetime | None
    # The figures, or why there are none.
    compared: str
    why: str
    error: str
    every: str
    watermark: Watermark | None


def rows_of(config: BotConfig) -> list[Row]:
    """Return a row for each subreddit of the bot, in their order; two queries, however many they are."""
    marks = {mark.subreddit: mark for mark in config.watermarks.all()}
    known = {fresh.subreddit: fresh for fresh in config.freshness.defer("yields")}
    return [
        _row(config, name, known.get(folded(name)), marks.get(folded(name)), has_map=number < MAPS_MAX)
        for number, name in enumerate(config.subreddits)
    ]


def _row(
    config: BotConfig, name: str, fresh: Freshness | None, mark: Watermark | None, *, has_map: bool
) -> Row:
    # An earlier release stored watermarks only, and an empty listing has no newest post.
    has_listed = mark is not None and mark.anchors != []
    newest_at = fresh.newest_at if fresh else mark.newest_at if mark and has_listed else None
    week = fresh.week if fresh else Week.of(None)
    return Row(
        name=mark.name if mark else name,
        newest_at=newest_at,
        listed_at=fresh.listed_at if fresh else mark.listed_at if mark else None,
        rate=mark.posts_per_hour if mark else None,
        busiest=busiest(week) if week.is_known else "",
        shades=shades(week) if week.is_known and has_map else [],
        badge="" if not fresh or not fresh.unusual_from else "failed" if fresh.silent_since else "partial",
        label=_("silent") if fresh and fresh.silent_since else fresh.get_verdict_display() if fresh else "",
        unusual_from=fresh.unusual_from if fresh else None,
        compared=compared(config, fresh),
        why=why_silent(config, fresh),
        error=fresh.error if fresh and fresh.unusual_from else "",
        every=scrape_at_least_every(mark.posts_per_hour, config.post_limit) if mark else "",
        watermark=mark,
    )


def why_silent(config: BotConfig, fresh: Freshness | None) -> str:
    """Return why no posts come from a subreddit, or an empty text if all is well; the bot's own state comes first."""
    if config.paused_at is not None:
        return _("the bot is paused: %(reason)s") % {"reason": config.pause_reason}
    if not config.is_active:
        return _("the bot is switched off")
    if fresh is None:
        return _("not listed yet")
    return fresh.why_text


def compared(config: BotConfig, fresh: Freshness | None) -> str:
    """Return the last posts beside what is usual; or why that cannot be said."""
    if fresh is None or fresh.listed_at is None or fresh.unusual_from is not None:
        return ""
    if config.sort not in INCREMENTAL:
        return _("not judged: only new posts and searches are in the order of creation")
    if not fresh.verdict:
        return _("not judged yet: that takes %(days)s known days with %(posts)s posts") % {
            "days": KNOWN_MIN // 24,
            "posts": POSTS_MIN,
        }
    if fresh.due_at is None:
        return _("%(figures)s; too slow for silence to show within two weeks") % {
            "figures": fresh.figures_text
        }
    return fresh.figures_text


def _local(week: Week) -> list[float]:
    """Return the rates by hour of the week in the reader's time zone, Monday 0:00 first."""
    offset = timezone.localtime(clock.now()).utcoffset()
    hours = int(offset.total_seconds() // 3600) if offset else 0
    rates = week.rates
    return [rates[(place - hours) % HOURS] for place in range(HOURS)]


def busiest(week: Week) -> str:
    """Return in words when most posts come, and how many."""
    rates = _local(week)
    place = max(range(HOURS), key=rates.__getitem__)
    return _("most on %(day)s at %(hour)02d:00: %(rate)s an hour") % {
        "day": WEEKDAYS[place // 24],
        "hour": place % 24,
        "rate": f"{rates[place]:.1f}",
    }


def shades(week: Week) -> list[Shade]:
    """Return the map of the week, from the quietest hours to the busiest."""
    rates = _local(week)
    top = max(rates)
    squares: dict[int, list[str]] = {}
    for place, rate in enumerate(rates):
        shade = round(_SHADES * rate / top) if top else 0
        squares.setdefault(shade, []).append(f"M{place % 24} {place // 24}h1v1h-1z")
    return [
        Shade(f"{0.06 + 0.9 * shade / _SHADES:.2f}", "".join(squares[shade])) for shade in sorted(squares)
    ]


def context(config: BotConfig) -> dict[str, Any]:
    """Return what ``_listed_so_far.html`` shows."""
    return {"rows": rows_of(config), "last": config.sessions.order_by("-pk").first()}
