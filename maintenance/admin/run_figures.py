"""The figures of a run, as the list and the run's page show them: counts by name, rows, pace."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext_noop

from database import clock
from database.messages import gettext
from maintenance.ledger.usual import Usual
from maintenance.ledger.worker_health import GONE_HEARTBEATS
from maintenance.models import JobRun
from maintenance.registry import get_job, is_known
from scraping.models import ScrapeSession

# A speed is measured over this time at least.
PACE_AFTER: Final = timedelta(seconds=5)
# A lower speed is shown with one decimal.
ROUNDED_FROM: Final = 10
MINUTE: Final = timedelta(minutes=1)
LEFT_MAX: Final = timedelta(days=30)
# A longer time left is shown in hours.
MINUTES_SHOWN: Final = timedelta(hours=2)


# The counts that jobs define themselves, in words.
COUNT_NAMES: Final[Mapping[str, str]] = {
    "requests": gettext_noop("requests"),
    "checked": gettext_noop("checked"),
    "unchanged": gettext_noop("unchanged"),
    "updated": gettext_noop("updated"),
    "deleted": gettext_noop("deleted by its author"),
    "removed": gettext_noop("removed"),
    "account_deleted": gettext_noop("account deleted"),
    "restored": gettext_noop("restored"),
    "missing": gettext_noop("missing for the first time"),
    "tombstoned": gettext_noop("tombstoned"),
    "suspect": gettext_noop("in answers that prove nothing"),
    "hidden": gettext_noop("in subreddits that show nothing"),
    "set_aside": gettext_noop("set aside for a person"),
    "unreadable": gettext_noop("unreadable"),
    "failing": gettext_noop("cannot be asked for"),
    "slots_missed": gettext_noop("slots missed"),
}


def count_name(name: str) -> str:
    """Return the name of a count in the reader's language: of a table, of a session's field, or its own."""
    try:
        if "." in name:
            return str(apps.get_model(name)._meta.verbose_name_plural)
        field: Any = ScrapeSession._meta.get_field(name)
        return str(field.verbose_name)
    except (LookupError, FieldDoesNotExist, ValueError):  # a name with two dots is no model label
        return gettext(COUNT_NAMES.get(name, name.replace("_", " "))) if name else ""


@dataclass(frozen=True)
class Pace:
    """How fast a running run works, and how long it will still take; for the progress line of its page."""

    # Units (rows, bots) per second, minute or hour: the shortest of them in which it does one at least.
    number: float = 0.0
    per: str = ""
    # At its speed so far, or, without one, up to the usual duration; None: unknown.
    left: timedelta | None = None
    # It has taken longer than 95 of 100 runs of its kind.
    is_longer: bool = False

    @property
    def rounded(self) -> float:
        """The number with as many digits as it is worth."""
        return round(self.number) if self.number >= ROUNDED_FROM else round(self.number, 1)

    @property
    def minutes_left(self) -> int | None:
        """The time left in minutes, rounded up; 0 is less than a minute, and None from two hours on."""
        if self.left is None or self.left >= MINUTES_SHOWN:
            return None
        minutes = math.ceil(self.left / MINUTE)
        return minutes if minutes > 1 else 0


def percent_done(run: JobRun) -> int | None:
    """Return the progress of a run in per cent, never 100 while it runs; None: its whole is unknown."""
    if not run.progress_total:
        return None
    percent = 100 * run.progress_done // run.progress_total
    return max(0, min(99 if run.is_running else 100, percent))


def pace(run: JobRun, usual: Usual | None) -> Pace:
    """Return how fast a running run works, and how long it will still take."""
    taken = run.duration
    if not run.is_running or taken is None:
        return Pace()
    is_longer = usual is not None and usual.is_exceeded_by(taken)
    gone = timedelta(seconds=GONE_HEARTBEATS * settings.HEARTBEAT_SECONDS)
    if run.heartbeat_at is not None and clock.now() - run.heartbeat_at > gone:
        return Pace(is_longer=is_longer)  # nobody may be working on it
    if not _counts_from_zero(run) or run.progress_done <= 0 or taken < PACE_AFTER:
        left = usual.p50 - taken if usual is not None and taken < usual.p50 else None
        return Pace(left=left, is_longer=is_longer)
    left = None
    if run.progress_total and run.progress_total > run.progress_done:
        seconds_left = taken.total_seconds() * (run.progress_total / run.progress_done - 1)
        # A longer time is a guess from too little.
        left = timedelta(seconds=max(1.0, seconds_left)) if seconds_left < LEFT_MAX.total_seconds() else None
    by_second = run.progress_done / taken.total_seconds()
    for seconds, per in ((1, "second"), (60, "minute")):
        if by_second * seconds >= 1:
            return Pace(by_second * seconds, per, left, is_longer)
    return Pace(by_second * 3600, "hour", left, is_longer)


def _counts_from_zero(run: JobRun) -> bool:
    """Whether what is reported as done was done by this attempt, and not in part by those before it."""
    return run.attempt == 1 or not (is_known(run.job) and get_job(run.job).keeps_its_place)
