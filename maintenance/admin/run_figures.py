"""The figures of a run, as the list and the run's page show them: counts by name, rows, time left."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext_noop

from database.messages import gettext
from maintenance.models import JobRun
from scraping.models import ScrapeSession


def rows_of(run: JobRun) -> int | None:
    """Return how many rows a run deleted (counts by model label) or added; None for neither."""
    counts: dict[str, int] = {name: number for name, number in run.counts.items() if type(number) is int}
    deleted = [number for name, number in counts.items() if "." in name]
    if deleted:
        return sum(deleted)
    stored = [counts[name] for name in ("posts_new", "comments_new") if name in counts]
    return sum(stored) if stored else None


# The names of counts that jobs define themselves, marked for `make messages`.
COUNT_WORDS = (
    gettext_noop("requests"),
    gettext_noop("checked"),
    gettext_noop("unchanged"),
    gettext_noop("updated"),
    gettext_noop("deleted"),
    gettext_noop("removed"),
    gettext_noop("account deleted"),
    gettext_noop("restored"),
    gettext_noop("missing"),
    gettext_noop("tombstoned"),
    gettext_noop("unreadable"),
    gettext_noop("slots missed"),
)


def count_name(name: str) -> str:
    """Return the name of a count in the reader's language: of a table, of a session's field, or its own."""
    try:
        if "." in name:
            return str(apps.get_model(name)._meta.verbose_name_plural)
        field: Any = ScrapeSession._meta.get_field(name)
        return str(field.verbose_name)
    except (LookupError, FieldDoesNotExist, ValueError):  # a name with two dots is no model label
        return gettext(name.replace("_", " ")) if name else ""


def time_left(run: JobRun) -> timedelta | None:
    """Return how long a running run will still take at its speed so far; None while that is unknown."""
    if run.status != JobRun.Status.RUNNING or not run.progress_total or not run.progress_done:
        return None
    left = max(0, run.progress_total - run.progress_done)
    return (run.duration or timedelta()) * left / run.progress_done
