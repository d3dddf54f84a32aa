"""What a listing says about the yield of a pair of bot and subreddit: far from usual or not, and the likely cause."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Field

from adminkit.templatetags.display import local, zoned
from audit.models import Event
from database.messages import gettext as _
from database.messages import joined, message_of
from scraping.models import BotConfig
from scraping.models.freshness import QUIET, Freshness, hour_of, moment_of
from scraping.yields.history import History
from scraping.yields.judge import MORE
from scraping.yields.verdict import Figures, Verdict, look, usual_of_listed

# Columns of a bot that decide which posts it keeps.
FILTERS: Final = (
    "nsfw",
    "min_score",
    "flairs_wanted",
    "flairs_unwanted",
    "domains_wanted",
    "domains_unwanted",
    "pattern_wanted",
    "pattern_unwanted",
    "query",
    "sort",
    "post_limit",
)
# A change of the bot is named as a cause if it was made this long before the first hour that is unusual, or later.
CHANGED_BEFORE: Final = timedelta(hours=12)
CHANGES_READ: Final = 20


def judge(
    config: BotConfig,
    row: Freshness,
    listed: dict[int, int],
    kept: dict[int, int],
    *,
    since: int | None,
    is_first: bool,
    now: datetime,
) -> dict[str, Any]:
    """Return the columns of ``Freshness`` after a listing.

    Args:
        config: the bot.
        row: the pair's row, as it was stored.
        listed: the new posts that Reddit lists, by hour since 1970.
        kept: those of them that the filters let through.
        since: the first hour that the listing shows wholly, if posts may be missing before; None: it met the last one.
        is_first: whether it is the pair's first listing, or its first by another sort or search: what was before says nothing.
        now: the time of the listing.
    """
    saved = row.yields if isinstance(row.yields, dict) and not is_first else {}
    history, verdict = History.of(saved.get("history")), Verdict.of(saved.get("verdict"))
    before, current = history.until, hour_of(now)
    history.add(listed, kept, since=since, current=current)
    values: dict[str, Any] = {"yields": {"history": None, "verdict": verdict.as_json()}}
    if before is None or current > before:
        figures = look(history, verdict, subreddits=len(config.subreddits))
        values |= _columns(config, history, verdict, figures, row)
        values["yields"]["verdict"] = verdict.as_json()
    else:  # no further hour is complete: what the last listing said still holds
        is_refused = row.why not in ("", QUIET)
        values |= {"verdict": row.verdict, "due_at": row.due_at, "error": "" if is_refused else row.error}
        values["counted_from"] = row.counted_from
    values["yields"]["history"] = history.as_json()
    return values


def _columns(
    config: BotConfig, history: History, verdict: Verdict, figures: Figures | None, row: Freshness
) -> dict[str, Any]:
    if figures is None:
        # A long silence outlives the history: its figures stay as they were.
        stays = verdict.kind if row.verdict == verdict.kind else ""
        return {
            "verdict": stays,
            "counted_from": row.counted_from,
            "due_at": None,
            "error": row.error if stays else "",
        }
    return {
        "verdict": verdict.kind or Freshness.Verdict.USUAL,
        "counted_from": moment_of(figures.begin),
        "posts": figures.posts,
        "usual_low": figures.low,
        "usual_high": figures.high,
        "due_at": moment_of(figures.due) if figures.due is not None else None,
        "error": likely_cause(config, history, verdict),
    }


def likely_cause(config: BotConfig, history: History, verdict: Verdict) -> str:
    """Return the likely cause of what is unusual, and what to look at; empty if nothing is."""
    if not verdict.kind or verdict.since is None:
        return ""
    changed = _changed(config, moment_of(verdict.since) - CHANGED_BEFORE)
    if verdict.kind == MORE:
        return changed or _("Reddit lists more posts: an event, or spam.")
    if history.listed != history.kept and usual_of_listed(history, verdict.since):
        text = _("Reddit lists as many posts as usual, but the bot's filters leave them out.")
        return joined([text, changed]) if changed else text
    if changed:
        return changed
    if verdict.kind == Freshness.Verdict.SILENT:
        return _(
            "Reddit lists no new posts either. Look at the subreddit on Reddit: it may be closed to new posts, or hide"
            " them from apps."
        )
    return _("Reddit lists fewer posts than usual.")


def _changed(config: BotConfig, after: datetime) -> str:
    """Return who changed the bot's filters last, and when; empty if nobody did."""
    events = Event.objects.filter(
        subject_type=BotConfig._meta.label, subject_id=str(config.pk), verb="row.changed", at__gte=after
    )
    for event in events.newest_first()[:CHANGES_READ]:
        names = [name for name in FILTERS if name in (event.after or {})]
        if names:
            told = {
                "name": event.actor_name or "–",
                "time": zoned(local(event.at)),
                "fields": joined([message_of(_field(name).verbose_name) for name in names], by=", "),
            }
            return _("%(name)s changed the bot at %(time)s: %(fields)s.") % told
    return ""


def _field(name: str) -> "Field[Any, Any]":
    field = BotConfig._meta.get_field(name)
    assert isinstance(field, Field)
    return field
