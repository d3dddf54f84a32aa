"""What failed in a scrape: its bots, and their subreddits; for the retry of only that."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from database.names import folded
from database.text import row_key
from maintenance.models import JobRun
from maintenance.models.chain import attempts_of
from maintenance.models.statuses import FAILURES
from scraping.models import BotConfig, ScrapeSession
from scraping.sessions.part import part_of

# The parameter of ``auto_scraping``, and the name in its cursor for bots whose scrape did not begin.
FAILED_IN, REFUSED = "failed_in", "refused"
Status = ScrapeSession.Status


def failed_parts(run: JobRun) -> dict[int, list[str]]:
    """Return the subreddits that failed in a scrape, in all its attempts, by the key of their bot.

    Only those that the bots still have. A bot whose scrape was broken off counts with all its subreddits.
    """
    attempts = list(attempts_of(run).only("cursor"))
    sessions = ScrapeSession.objects.filter(run__in=attempts, config__isnull=False).order_by("pk")
    # By bot, whether each subreddit failed at last; and the bots that failed as a whole.
    outcomes: dict[int, dict[str, bool]] = {}
    whole: set[int] = {key for one in attempts for key in (one.cursor or {}).get(REFUSED, ())}
    # Of bots that had no trouble, nothing is read.
    troubled = sessions.exclude(status=Status.SUCCEEDED).order_by().values("config")
    for session in sessions.filter(config__in=troubled).only("config", "status", "totals"):
        key = session.config_id or 0
        found = {folded(name): bool(total.get("error_kind")) for name, total in session.totals.items()}
        outcomes.setdefault(key, {}).update(found)
        is_whole = session.status != Status.SUCCEEDED and not any(found.values())
        whole = whole | {key} if is_whole else whole - {key}
    wanted: list[str] = run.params.get("subreddits") or []
    parts = {}
    for bot in BotConfig.objects.filter(pk__in={*outcomes, *whole}).only("subreddits").order_by("pk"):
        names = part_of(bot.subreddits, wanted) if wanted else list(bot.subreddits)
        if bot.pk not in whole:
            names = [name for name in names if outcomes[bot.pk].get(folded(name))]
        if names:
            parts[bot.pk] = names
    return parts


def clean_failed_in(value: Any) -> int:
    """Return the number of a run of ``auto_scraping`` in which something failed.

    Raises:
        ValidationError: there is no such run, or nothing failed in it.
    """
    run = JobRun.objects.filter(pk=row_key(str(value)), job="auto_scraping", dry_run=False).first()
    if run is None or not run.is_final:
        raise ValidationError(_("That is no finished run of this job."))
    if not failed_parts(run):
        raise ValidationError(_("Nothing failed in that run, or its sessions were deleted."))
    return run.pk


def bots_wanted(params: Mapping[str, Any]) -> tuple[list[BotConfig], dict[int, list[str]]]:
    """Return the bots that a run of ``auto_scraping`` with these parameters scrapes.

    With them, by their keys, the subreddits to scrape instead of all of the bot's.
    """
    bots = BotConfig.objects.auto_scraped().select_related("app").order_by("pk")
    if FAILED_IN not in params:
        return list(bots), {}
    run = JobRun.objects.filter(pk=params[FAILED_IN]).first()
    parts = failed_parts(run) if run else {}
    return list(bots.filter(pk__in=parts)), parts


def retry_params(run: JobRun) -> tuple[str, dict[str, Any]] | None:
    """Return the job, and its parameters, that would scrape only what failed in this run; None: nothing did."""
    if run.dry_run or run.status not in FAILURES or run.job not in ("auto_scraping", "scrape_now"):
        return None
    parts = failed_parts(run)
    if not parts:
        return None
    if run.job == "auto_scraping":
        return run.job, {FAILED_IN: run.pk}
    bot, names = next(iter(parts.items()))
    return run.job, {"config": bot, "subreddits": names}
